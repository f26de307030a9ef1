"""``/modelos``: which versions there are, handing one in, and deciding which of them answers.

What is decided, and by whom it may be, is ``publishing``'s; nothing of a file is read here but its
bytes, and nothing of a request goes into a release but a name and a reason.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from typing import Any, NoReturn

from flask import Flask, Response, request

from propensia import inbox, standing
from propensia.publishing import Order, Publishing, PublishingError
from propensia.registry import Registry, RegistryError, Release, decision
from propensia.settings import Settings
from propensia.web.asked import Errors, Refused, error, fault, hand, language
from propensia.web.prediccion import Scoring
from propensia.web.rows import BadBody, content, is_json
from propensia.web.uploads import take_in

LONGEST_WHY = 200
STATUS = {"version_desconocida": "no_encontrado", "misma_persona": "sin_permiso"}
"""Code of a decision that cannot be carried out -> the problem to answer with; else a conflict."""


def add_routes(
    app: Flask,
    scoring: Scoring,
    chosen: Settings,
    refusal: Callable[[str, Errors], Response],
) -> None:
    """Give ``app`` the routes about models; ``refusal`` makes the answer to a problem's code and
    its ``errores``."""
    registry = scoring.serving.registry
    desk = Publishing(chosen, scoring.contract, registry)

    @app.get("/modelos")
    def modelos() -> dict[str, Any]:
        return models_shape(registry, chosen.four_eyes)

    @app.post("/modelos")
    def entregar() -> tuple[dict[str, Any], int]:
        return take_in(desk), 201

    @app.post("/modelos/<version>/activar")
    def activar(version: str) -> dict[str, Any]:
        return _activate(desk, version)

    @app.post("/modelos/rollback")
    def volver() -> dict[str, Any]:
        return _go_back(desk)

    @app.errorhandler(Refused)
    def refused(why: Refused) -> Response:
        return refusal(why.code, why.errors)


# Looking


def models_shape(registry: Registry, four_eyes: bool) -> dict[str, Any]:
    """``GET /modelos``: what answers, what answered before, and every file that was judged."""
    releases = _readable_releases(registry)
    current = releases[0] if releases else None
    before = next((r.version for r in releases if current and r.version != current.version), None)
    published = {release.version: release.at for release in reversed(releases)}

    def row(verdict: dict[str, Any]) -> dict[str, Any]:
        version, accepted = verdict["version"], verdict["accepted"]
        state, why = "candidata" if accepted else "rechazada", verdict["why"]
        if accepted and current is not None and version == current.version:
            state = "activa"
        elif accepted and version == before:
            state = "anterior"
        elif accepted and version not in published:
            why = standing.FOUR_EYES if four_eyes else _reason(verdict["model"], current)
        return {
            "version": version,
            "modelo": verdict["model"],
            "sha256": verdict["sha256"],
            "estado": state,
            "publicado": published.get(version) if accepted else None,
            "motivo": why,
        }

    return {
        "activa": current.version if current else None,
        "anterior": before,
        "modelos": [row(verdict) for verdict in registry.verdicts()],
    }


def _reason(model: str, current: Release | None) -> str:
    """Why a version that never answered is not published by itself; empty where nothing says."""
    if current is None:
        return ""
    return inbox.may_promote(model, current.model, current.pinned, False) or ""


def _readable_releases(registry: Registry) -> list[Release]:
    """Newest first. One that is damaged, or went away meanwhile, does not hide the others."""
    found = []
    for number in range(registry.current_number(), 0, -1):
        with contextlib.suppress(OSError, RegistryError):
            found.append(registry.release(number))
    return found


# Deciding


def _activate(desk: Publishing, version: str) -> dict[str, Any]:
    given = _given({"umbral": _wrong_share, "publicacion": _wrong_number})
    threshold = given.get("umbral")
    share = None if threshold is None else float(threshold)
    order = Order(hand(), given["motivo"], "activar", share, given.get("publicacion"))
    return _decided(desk, lambda: desk.activate(version, order))


def _go_back(desk: Publishing) -> dict[str, Any]:
    given = _given({"version": _wrong_version, "publicacion": _wrong_number})
    order = Order(hand(), given["motivo"], "rollback", None, given.get("publicacion"))
    return _decided(desk, lambda: desk.go_back(given.get("version"), order))


def _decided(desk: Publishing, decide: Callable[[], tuple[Release, bool]]) -> dict[str, Any]:
    """What answers after a decision; the same again where it had been decided before. Raises
    ``Refused``."""
    try:
        release, _ = decide()
    except PublishingError as why:
        told = error("version", why.code, f"version: {why.sentence(language())}")
        raise Refused(STATUS.get(why.code, "conflicto"), [told]) from why
    except RegistryError as why:  # somebody published at this very moment
        raise Refused("conflicto") from why
    rule = decision(desk.registry.manifest(release.version), release, desk.contract.threshold)
    before = desk.registry.previous()
    return {
        "publicacion": release.number,
        "version": release.version,
        "modelo": release.model,
        "anterior": before.version if before else None,
        "umbral": rule.threshold,
    }


Wrong = tuple[str, str]
"""The code of what is wrong with a field, and what the field takes."""


def _given(optional: dict[str, Callable[[Any], Wrong | None]]) -> dict[str, Any]:
    """The object that a request sends: a reason and, where they are sent, these fields.

    Raises ``Refused`` with everything that is wrong at once.
    """
    sent = _object()
    if sent.keys() - {"motivo", *optional}:
        raise Refused("cuerpo_no_valido")
    wrong = {"motivo": _wrong_why(sent.get("motivo"))}
    wrong |= {name: check(sent[name]) for name, check in optional.items() if name in sent}
    errors = [fault(name, *found) for name, found in wrong.items() if found is not None]
    if errors:
        raise Refused("peticion_no_valida", errors)
    why = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in sent["motivo"])
    return sent | {"motivo": why.strip()}


def _object() -> dict[str, Any]:
    if not is_json(request.environ.get("CONTENT_TYPE", "")):
        raise Refused("tipo_no_admitido")
    try:
        text = content(request.environ).decode("utf-8-sig")
        sent = json.loads(text, object_pairs_hook=_once, parse_constant=_no_number)
    except BadBody as bad:
        raise Refused(bad.code) from None
    except (ValueError, RecursionError):
        raise Refused("cuerpo_no_valido") from None
    if not isinstance(sent, dict):
        raise Refused("cuerpo_no_valido")
    return sent


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):  # of two, programs take the one or the other (RFC 8259, 4)
        raise ValueError("a name appears twice")
    return found


def _no_number(name: str) -> NoReturn:
    raise ValueError("a constant that is not JSON")


def _wrong_why(value: Any) -> Wrong | None:
    if not isinstance(value, str) or not value.strip():
        return "parametro_ausente", f"1\N{EN DASH}{LONGEST_WHY}"
    too_long = len(value) > LONGEST_WHY
    return ("texto_demasiado_largo", f"1\N{EN DASH}{LONGEST_WHY}") if too_long else None


def _wrong_share(value: Any) -> Wrong | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return "numero_no_valido", ""
    return None if 0 <= value <= 1 else ("fuera_de_rango", "0\N{EN DASH}1")


def _wrong_number(value: Any) -> Wrong | None:
    whole = isinstance(value, int) and not isinstance(value, bool) and value > 0
    return None if whole else ("no_es_entero", "")


def _wrong_version(value: Any) -> Wrong | None:
    return None if isinstance(value, str) else ("opcion_no_valida", "/modelos")

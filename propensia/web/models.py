"""``/modelos``: which versions there are, handing one in, and deciding which of them answers.

What is decided, and by whom it may be, is ``publishing``'s; nothing of a file is read here but its
bytes, and nothing of a request goes into a release but a name and a reason.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

from flask import Flask, Response

from propensia import inbox, standing
from propensia.publishing import Order, Publishing, PublishingError
from propensia.registry import Registry, RegistryError, Release, decision
from propensia.settings import Settings
from propensia.web.asked import (
    Refused,
    Wrong,
    error,
    fault,
    hand,
    kept_why,
    language,
    sent_object,
    wrong_why,
)
from propensia.web.prediccion import Scoring
from propensia.web.refusals import refusal
from propensia.web.refused import DETAILS
from propensia.web.uploads import take_in

STATUS = {"version_desconocida": "no_encontrado", "misma_persona": "sin_permiso"}
"""Code of a decision that cannot be carried out -> the problem to answer with; else a conflict."""


def add_routes(app: Flask, scoring: Scoring, chosen: Settings) -> None:
    """Give ``app`` the routes about models."""
    registry = scoring.serving.registry
    desk = Publishing(chosen, scoring.contract, registry)

    @app.get("/modelos")
    def modelos() -> dict[str, Any]:
        return models_shape(registry, scoring.contract.threshold, chosen.four_eyes)

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
        return refusal(why.code, scoring, why.errors, why.exact)


# Looking


def models_shape(registry: Registry, otherwise: float, four_eyes: bool) -> dict[str, Any]:
    """``GET /modelos``: what answers, what answered before, and every file that was judged.

    ``otherwise``: the contract's threshold, in [0, 1].
    """
    releases = _readable_releases(registry)
    current = releases[0] if releases else None
    before = next((r.version for r in releases if current and r.version != current.version), None)
    last = {release.version: release for release in reversed(releases)}

    def row(verdict: dict[str, Any]) -> dict[str, Any]:
        version, accepted = verdict["version"], verdict["accepted"]
        release = last.get(version) if accepted else None
        state, why = "candidata" if accepted else "rechazada", verdict["why"]
        if release is not None:
            why = release.why
        elif accepted:
            why = standing.FOUR_EYES if four_eyes else _reason(verdict["model"], current)
        if release is not None and current is not None and version == current.version:
            state = "activa"
        elif release is not None and version == before:
            state = "anterior"
        return {
            "version": version,
            "modelo": verdict["model"],
            "sha256": verdict["sha256"],
            "estado": state,
            "publicacion": release.number if release else None,
            "publicado": release.at if release else None,
            "umbral": _threshold(registry, version, release, otherwise) if accepted else None,
            "quien": release.who if release else None,
            "motivo": why,
        }

    return {
        "activa": current.version if current else None,
        "anterior": before,
        "publicacion": current.number if current else None,
        "umbral": _threshold(registry, current.version, current, otherwise) if current else None,
        "modelos": [row(verdict) for verdict in registry.verdicts()],
    }


def _threshold(
    registry: Registry, version: str, release: Release | None, otherwise: float
) -> float | None:
    """What a version was last served with, or would be; ``None`` where its files are gone."""
    try:
        return decision(registry.manifest(version), release, otherwise).threshold
    except (RegistryError, KeyError, TypeError, ValueError):
        return None


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
        exact = why.code if why.code in DETAILS else ""
        raise Refused(STATUS.get(why.code, "conflicto"), [told], exact) from why
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


def _given(optional: dict[str, Callable[[Any], Wrong | None]]) -> dict[str, Any]:
    """The object that a request sends: a reason and, where they are sent, these fields.

    ``null`` is not sent. Raises ``Refused`` with everything that is wrong at once.
    """
    sent = sent_object({"motivo", *optional})
    wrong = {"motivo": wrong_why(sent.get("motivo"))}
    wrong |= {name: check(sent[name]) for name, check in optional.items() if name in sent}
    errors = [fault(name, *found) for name, found in wrong.items() if found is not None]
    if errors:
        raise Refused("peticion_no_valida", errors)
    return sent | {"motivo": kept_why(sent["motivo"])}


def _wrong_share(value: Any) -> Wrong | None:
    admits = "0\N{EN DASH}1"
    if isinstance(value, bool) or not isinstance(value, int | float):
        return "tipo_no_valido", admits
    return None if 0 <= value <= 1 else ("fuera_de_rango", admits)


def _wrong_number(value: Any) -> Wrong | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return "tipo_no_valido", "1, 2, 3…"
    if not isinstance(value, int):
        return "no_es_entero", ""
    return None if value > 0 else ("fuera_de_rango", "1, 2, 3…")


def _wrong_version(value: Any) -> Wrong | None:
    return None if isinstance(value, str) else ("tipo_no_valido", "/modelos")

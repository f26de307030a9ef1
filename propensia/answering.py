"""What the commands about stored answers do, and what they print: in Spanish, one fact a line.

Each takes what it works with; none reads the command line, and none writes into the store but the
one that erases.
"""

from __future__ import annotations

import contextlib
import json
import sys
import time
from dataclasses import replace
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import click

from propensia import listings, replaying, rights, spanish, telling
from propensia.access import typed
from propensia.access.typed import WrongUse
from propensia.audit import Audit
from propensia.faults import Note, note_shape
from propensia.journal.writer import FOLDER
from propensia.replaying import Replay, ReplayError
from propensia.rules import Rules
from propensia.serving import Serving
from propensia.settings import Settings
from propensia.store import answers, database, shipping
from propensia.store.answers import Wanted
from propensia.terminal import Exit, Parts, table

if TYPE_CHECKING:
    from sqlalchemy import Engine

BEHIND_S = 5.0
"""The keeper ships every second; only what waits longer is worth a word."""

NOBODY = (
    "No se sabe nada de nadie con ese identificador o referencia: ¿está bien escrito? / Nothing "
    "is known of anybody with that id or reference: is it written right?"
)


class Refused(Exception):
    """There is nothing to do it with; the text, in Spanish, says what is missing."""


def moment_ms(option: str, text: str, until: bool = False) -> int:
    """A moment in ms since 1970: ``2026-01-31``, ``2026-01-31T09:30`` by the clock of this machine
    unless a zone is told, or how long ago, ``24h`` or ``7d``. With ``until`` a day counts to its
    end. Raises ``WrongUse``, which names the option."""
    with contextlib.suppress(WrongUse):
        return round((time.time() - typed.seconds(option, text)) * 1000)
    try:
        with contextlib.suppress(ValueError):
            day = date.fromisoformat(text) + timedelta(days=1 if until else 0)
            text = day.isoformat()
        return round(datetime.fromisoformat(text).astimezone().timestamp() * 1000)
    except (ValueError, OverflowError, OSError):
        raise WrongUse(
            f"{option}: escriba un día como 2026-01-31, una hora como 2026-01-31T09:30, o hace "
            "cuánto: 24h, 7d"
        ) from None


def listing(parts: Parts, wanted: Wanted, form: str, out: Path | None, who: str) -> Exit:
    """Print answers, or write them into a file: as many as there are, in constant memory. That
    ``who`` looked at data of persons is in the audit log before. Raises ``Refused``,
    ``StoreError`` or ``OSError``."""
    rules = Rules(parts.settings.state, parts.contract)
    with database.using(parts.settings) as engine:
        _warn_of_lag(engine, parts.settings)
        if (refused := _refusal(engine, wanted)) is not None:
            click.echo("Esa petición se rechazó: no hay respuesta.", err=True)
            with listings.opened(out, form) as stream:
                listings.write_refusal(stream, refused, form)
            return Exit.DONE
        _not_in_vain(engine, wanted)
        with listings.opened(out, form) as stream:
            if form != "ids":
                count = answers.count(engine, wanted)
                audit = Audit(parts.settings.state)
                audit.record("listed", who=who, answers=count, filters=wanted.filters())
            if form == "ids":
                count = listings.write_ids(stream, answers.ids(engine, wanted))
            elif form == "json":
                count = listings.write_json(stream, answers.iterate(engine, wanted), rules)
            else:
                names = _names(rules, answers.rules(engine, wanted))
                count = listings.write_csv(stream, answers.iterate(engine, wanted), rules, names)
    if out is not None:
        click.echo(f"{spanish.number(count, 0)} respuestas en {out}")
    return Exit.DONE


def _refusal(engine: Engine, wanted: Wanted) -> answers.Refusal | None:
    """What was refused under the id that is asked for."""
    if wanted.id is None:
        return None
    with engine.connect() as connection:
        return answers.refusal(connection, wanted.id)


def _not_in_vain(engine: Engine, wanted: Wanted) -> None:
    """Raises ``Refused`` where somebody asks for what is not there: an empty list would look as
    if there had been nothing."""
    if wanted.since is not None and wanted.until is not None and wanted.since >= wanted.until:
        raise Refused("--since es posterior a --until: no puede haber ninguna respuesta")
    named = wanted.id is not None or wanted.reference is not None
    if not (named or wanted.version) or next(answers.ids(engine, wanted), None) is not None:
        return
    if named:
        raise Refused("no hay ninguna respuesta guardada con ese identificador o referencia")
    raise Refused(
        f"no hay ninguna respuesta guardada de una versión que empiece por «{wanted.version}», "
        "en ese tiempo; «propensia models» dice las que hay"
    )


def _warn_of_lag(engine: Engine, settings: Settings) -> None:
    now_ms = time.time_ns() // 1_000_000
    left = shipping.waiting(settings.state / FOLDER, shipping.places(engine), now_ms)
    if left.seconds > BEHIND_S:
        click.echo(
            f"Atención: en el diario hay {spanish.number(left.bytes / 1e6, 1)} MB que el servicio "
            f"aún no ha pasado a la base de datos, desde hace "
            f"{spanish.number(left.seconds, 0)} s; las últimas respuestas pueden faltar.",
            err=True,
        )


def _names(rules: Rules, fingerprints: list[str]) -> list[str]:
    """The parameters of all contracts that answered, those of the one of now first."""
    names = {parameter.name: None for parameter in rules.current.parameters}
    for fingerprint in fingerprints:
        contract = rules.of(fingerprint)
        if contract is None:
            click.echo(
                f"Atención: falta el contrato {fingerprint} con el que se respondió a algunas; "
                "sus valores no se muestran.",
                err=True,
            )
        else:
            names |= {parameter.name: None for parameter in contract.parameters}
    return list(names)


# One answer again


def replay(parts: Parts, id: str) -> Exit:
    """Score a stored answer again and print what differs. Raises ``Refused`` or ``StoreError``."""
    rules = Rules(parts.settings.state, parts.contract)
    with database.using(parts.settings) as engine, engine.connect() as connection:
        stored = answers.find(connection, id)
        refused = stored is None and answers.refusal(connection, id) is not None
        if stored is None:
            _warn_of_lag(engine, parts.settings)
    if refused:
        raise Refused(replaying.TEXTS["peticion_rechazada"][0])
    if stored is None:
        raise Refused(
            "no hay ninguna respuesta guardada con ese identificador; las nuevas tardan "
            "un momento en estar"
        )
    try:
        found = replaying.replay(stored, rules, Serving(parts.contract, parts.registry))
    except ReplayError as error:
        raise Refused(str(error)) from error
    _print_replay(found, rules)
    return Exit.REFUSED if found.differences else Exit.DONE


def _print_replay(found: Replay, rules: Rules) -> None:
    stored, answer = found.stored, found.answer
    names = found.contract.positive_name if answer.positive else found.contract.negative_name
    click.echo(f"Respuesta {stored.id}, {telling.moment(stored.milliseconds)}")
    click.echo(
        f"Versión {stored.version} ({stored.model}), publicación {stored.publication}, umbral "
        f"{stored.threshold:g}, contrato {stored.rules}\n"
    )
    then, now = replaying.notes_of(stored), replaying.notes_of(answer)
    compared: list[tuple[str, ...]] = [
        ("", "ENTONCES", "AHORA"),
        ("probabilidad", repr(stored.probability), repr(answer.probability)),
        ("clasificación", telling.answered(stored, rules), names["es"]),
        ("avisos", _noted(then), _noted(now)),
    ]
    click.echo(table(compared))
    click.echo(f"\n{_verdict(found)}")
    click.echo("\nMotivos: cuánto mueve cada valor la probabilidad, desde un caso típico")
    texts = telling.values(stored, found.contract) or {}
    rows: list[tuple[str, ...]] = [
        (name, "(no se envió)" if texts[name] is None else repr(texts[name]), _signed(effect))
        for name, effect in answer.effects or ()
    ]
    heading = ("PARÁMETRO", "VALOR", "EFECTO")
    click.echo(table([heading, *rows]) if rows else "ninguno la mueve")


def _noted(notes: list[Note]) -> str:
    told = [note_shape(note, "es") for note in notes]
    texts = [f"{one['parametro']}: {one['codigo']} ({one['valor_usado']})" for one in told]
    return ", ".join(texts) or "ninguno"


def _verdict(found: Replay) -> str:
    if not found.differences:
        exact = "la probabilidad, bit a bit" if found.exact else "salvo el redondeo de la máquina"
        return f"IGUAL: {exact}; la clasificación y los avisos también."
    told = ", ".join(replaying.DIFFERENCES[code][0] for code in found.differences)
    return f"DISTINTA: {told}. Causa probable: {found.why[0] if found.why else '?'}."


def _signed(effect: float) -> str:
    text = spanish.number(effect, 4)
    return text if effect < 0 else f"+{text}"


# What a person may ask for


def wanted_by(settings: Settings, wanted: Wanted, reference: str | None) -> Wanted | None:
    """The same answers, of that reference only; ``None`` where there was never any."""
    if reference is None:
        return wanted
    found = rights.person(settings, None, reference)
    if found is None:
        return None
    return replace(wanted, reference=found.reference)


def export(
    parts: Parts, id: str | None, reference: str | None, out: Path | None, who: str
) -> Exit:
    """Print all that is known of a person as JSON, or write it into a file. Raises ``Refused``,
    ``StoreError`` or ``OSError``."""
    asked = rights.person(parts.settings, id, reference)
    if asked is None:
        raise Refused(NOBODY)
    rules = Rules(parts.settings.state, parts.contract)
    with database.using(parts.settings) as engine:
        _warn_of_lag(engine, parts.settings)
        if not any(rights.known(engine, asked).counts().values()):
            raise Refused(NOBODY)
        # The file first: what cannot be written is not told to have been exported.
        with listings.opened(out, "json") as stream:
            found = rights.export(engine, rules, Audit(parts.settings.state), asked, who)
            json.dump(found, stream, ensure_ascii=False, indent=2)
            stream.write("\n")
    if out is not None:
        click.echo(f"Todo lo que se sabe, en {out}: son datos personales, entréguelo con cuidado.")
    return Exit.DONE


def erase(
    parts: Parts, id: str | None, reference: str | None, why: str, who: str, sure: bool
) -> Exit:
    """Erase all that is known of a person; asks before it does unless ``sure``. Raises
    ``Refused``, ``StoreError`` or ``OSError``."""
    asked = rights.person(parts.settings, id, reference)
    if asked is None:
        raise Refused(NOBODY)
    with database.using(parts.settings) as engine:
        counts = rights.known(engine, asked).counts()
        if not sure and not _is_sure(_counted(counts)):
            raise Refused("No se ha borrado nada.")
        counts = rights.erase(engine, Audit(parts.settings.state), asked, who, why)
    if not any(counts.values()):
        raise Refused(
            "No se sabía nada de ese identificador o referencia, y nada se ha borrado: ¿está bien "
            "escrito? Lo suyo que espere en el diario no llegará a la base de datos."
        )
    click.echo(f"Borrado: {_counted(counts)}. Las sumas, que no dicen de quién, se quedan.")
    click.echo(
        "Lo que quede en el diario no vuelve a la base de datos y desaparece en un cuarto de "
        "hora. En las copias de seguridad sigue: bórrelas o repita esta orden si restaura una."
    )
    return Exit.DONE


def _is_sure(what: str) -> bool:
    if not sys.stdin.isatty():
        raise WrongUse("nadie puede confirmarlo aquí: añada --yes para borrar sin preguntar")
    typed_text = click.prompt(f"Se va a borrar para siempre: {what}. Escriba «borrar»", err=True)
    return str(typed_text).strip().lower() == "borrar"


def _counted(counts: dict[str, int]) -> str:
    words = {
        "answers": "respuestas",
        "inputs": "con sus valores",
        "refusals": "peticiones rechazadas",
        "outcomes": "resultados",
        "events": "comunicaciones de resultados",
    }
    return ", ".join(f"{counts[kind]} {word}" for kind, word in words.items())

"""The query string, read strictly: which text was sent under which name, exactly once each.

Web frameworks forgive bytes that are not UTF-8, broken escapes and repeated names; a score must
not rest on a guess, so none of that passes here.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from propensia.contract import Contract
from propensia.faults import Fault, Note
from propensia.journal import references

OPTIONS = frozenset({"ref", "formato", "motivos", "idioma"})
FORMS = {"json": "json", "texto": "text", "html": "html"}
LONGEST_QUERY = 2048
LONGEST_REF = references.LONGEST
LONGEST_NAME = 32
MOST_NOTES = 20
LONGEST_COUNT = 3
ESCAPE = re.compile(rb"%([0-9A-Fa-f]{2})?")


@dataclass(slots=True)
class Query:
    """What one request says: texts by parameter, options by name, and what is odd about it."""

    texts: dict[str, str]
    options: dict[str, str]
    notes: list[Note] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    broken: bool = False
    """An escape or its UTF-8 is broken, so nobody knows which parameters were meant."""
    told: set[tuple[str, str]] = field(default_factory=set, compare=False)
    """What ``add_fault`` has told."""
    too_long: bool = False
    """Longer than ``LONGEST_QUERY``: nothing of it was read, not even its options."""

    @property
    def form(self) -> str | None:
        """``json``, ``text`` or ``html`` where the caller asked for one."""
        return FORMS.get(self.options.get("formato", ""))

    def add_fault(self, name: str, code: str) -> None:
        """Tell a fault once, however often it is there: what is sent must not choose how long
        the answer is."""
        if (name, code) not in self.told:
            self.told.add((name, code))
            self.faults.append(Fault(name, code))

    @property
    def reasons(self) -> int:
        """How many reasons the caller asked for."""
        text = self.options.get("motivos", "0")
        return int(text) if text.isascii() and text.isdigit() and len(text) <= LONGEST_COUNT else 0


class QueryReader:
    """Reads the query strings of one contract. Immutable; safe for threads."""

    def __init__(self, contract: Contract, options: frozenset[str] = OPTIONS) -> None:
        """``options``: those that the route has; any other name is unknown there."""
        self._options = options
        self._parameters = frozenset(p.name for p in contract.parameters)
        self._strict = contract.bad_utf8 == "refuse"
        self._first_wins = contract.repeated == "first"

    def read(self, raw: str) -> Query:
        """The query that ``raw`` is; what is wrong with it is inside.

        ``raw`` is WSGI's QUERY_STRING: the bytes of the address as Latin-1 characters.
        """
        query = Query({}, {})
        if len(raw) > LONGEST_QUERY:  # before any work: senders must not choose how much there is
            query.too_long = True
            return query
        plain = raw.isascii() and "%" not in raw and "+" not in raw and raw.isprintable()
        items = [item.partition("=") for item in raw.split("&")] if plain else None
        self.gather(items or self._decoded(raw, query), query)
        return query

    def gather(self, items: Iterable[tuple[str, str, str]], query: Query) -> None:
        """Put ``(name, "=", text)`` by ``(name, "=", text)`` where it belongs in ``query``."""
        texts, parameters = query.texts, self._parameters
        for name, equals, text in items:
            if name in parameters:
                if name not in texts:
                    texts[name] = text
                elif not self._first_wins:
                    query.add_fault(name, "parametro_repetido")
            elif name or equals:
                self._other(name, text, query)

    def _other(self, name: str, text: str, query: Query) -> None:
        if name not in self._options:
            if len(query.notes) < MOST_NOTES:
                query.notes.append(Note(name[:LONGEST_NAME], "parametro_desconocido", None))
            return
        if name in query.options:
            if not self._first_wins:
                query.add_fault(name, "parametro_repetido")
            return
        query.options[name] = text
        if name == "ref":
            if len(text) > LONGEST_REF:
                query.faults.append(Fault(name, "texto_demasiado_largo"))
            elif not text.isprintable():
                query.faults.append(Fault(name, "caracter_de_control"))
        elif not self._option_is_known(name, text):
            query.faults.append(Fault(name, "opcion_no_valida"))

    def _option_is_known(self, name: str, text: str) -> bool:
        if name == "formato":
            return text in FORMS
        if name == "idioma":
            return text in ("es", "en")
        number = text.isascii() and text.isdigit() and len(text) <= LONGEST_COUNT
        return number and int(text) <= len(self._parameters)

    def _decoded(self, raw: str, query: Query) -> Iterable[tuple[str, str, str]]:
        """The items with escapes undone, as (name, ``=`` if there, text)."""
        for item in raw.encode("latin-1", "replace").split(b"&"):
            name, equals, text = item.partition(b"=")
            try:
                yield self._text(name), equals.decode(), self._text(text)
            except ValueError:
                if not query.broken:
                    query.broken = True
                    query.faults.append(Fault("", "codificacion_no_valida"))

    def _text(self, data: bytes) -> str:
        def undo(match: re.Match[bytes]) -> bytes:
            if match[1] is None:
                if self._strict:
                    raise ValueError("a % without two hexadecimal digits")
                return match[0]
            return bytes.fromhex(match[1].decode())

        data = ESCAPE.sub(undo, data.replace(b"+", b" "))
        return data.decode("utf-8", "strict" if self._strict else "replace")


# What an option takes; {most} is the number of parameters of the contract.
OPTION_ADMITS = {
    "formato": "json, texto, html",
    "idioma": "es, en",
    "motivos": "0–{most}",  # noqa: RUF001 - the dash of a range
    "ref": f"≤ {LONGEST_REF}",
}

"""A JSON body, read strictly into the very ``Query`` that an address gives.

A number keeps the digits that were sent, so that no score depends on the way it was asked for. It
must never guess: what is repeated, of another type or not quite JSON is told, not mended.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, NoReturn, TypeAlias

from werkzeug.http import parse_options_header

from propensia.contract import Contract
from propensia.faults import Fault
from propensia.web.query import OPTIONS, Query, QueryReader

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

Json: TypeAlias = "str | bool | list[Json] | tuple[tuple[str, Json], ...] | None"
"""A value as it is read here: texts and numbers are the text that was sent, an array is a list, an
object a tuple of its ``(name, value)`` in order, so that a repeated name can be seen."""

ROW_OPTIONS = OPTIONS - {"formato"}
"""What may go with a row besides its parameters; the answer to a row is always JSON."""

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,31}").fullmatch


class BadBody(Exception):
    """A body that cannot be used: ``code`` is the problem to answer with, ``exact`` the name of
    its detail, ``faults`` why. Their ``parameter`` is a place in the body (``3:14``, line and
    column, or steps of a path that we know, such as ``inputs[2].shape``) or a name; never a
    value that was sent."""

    def __init__(self, code: str, *faults: Fault, exact: str = "") -> None:
        super().__init__(code, faults)
        self.code = code
        self.faults = faults
        self.exact = exact


def unreadable(why: str, place: str = "") -> BadBody:
    """The refusal of a body that is not JSON, or not of the shape that its route takes."""
    return BadBody("cuerpo_no_valido", Fault(place, why))


def unknown(name: str, known: Iterable[str]) -> Fault:
    """The fault of a name that a closed object has not; it is told where it looks like one."""
    return Fault(name if _NAME(name) else "?", "nombre_desconocido", ", ".join(known))


def content(environ: WSGIEnvironment) -> bytes:
    """The body of a request, whole. Raises ``BadBody`` for one that is compressed: unpacked, it
    could be any size (RFC 9110, 15.5.16, gives it 415)."""
    if environ.get("HTTP_CONTENT_ENCODING", "identity") != "identity":
        raise BadBody("tipo_no_admitido", exact="contenido_comprimido")
    length = environ.get("CONTENT_LENGTH", "")
    data: bytes = environ["wsgi.input"].read(int(length)) if length.isdecimal() else b""
    return data


def json_content(environ: WSGIEnvironment) -> Json:
    """The JSON that a request sends as such. Raises ``BadBody``."""
    if not is_json(environ.get("CONTENT_TYPE", "")):
        raise BadBody("tipo_no_admitido", exact="solo_json")
    return STRICT.read(content(environ))


@functools.lru_cache(maxsize=64)  # a caller sends the same header with every request
def is_json(content_type: str) -> bool:
    """Whether a Content-Type is that of JSON in UTF-8, the only encoding of it (RFC 8259, 8.1)."""
    kind, options = parse_options_header(content_type)
    return kind.lower() == "application/json" and options.get("charset", "utf-8").lower() in (
        "utf-8",
        "utf8",
    )


class JsonReader:
    """Reads bytes as JSON. Immutable; safe for threads."""

    def __init__(self, constants: dict[str, str | None]) -> None:
        """``constants``: what ``NaN``, ``Infinity`` and ``-Infinity``, which are not JSON but
        written by many libraries, are read as; one that is not there is refused."""
        self._decoder = json.JSONDecoder(
            object_pairs_hook=_pairs,
            parse_float=str,
            parse_int=str,
            parse_constant=lambda name: constants[name] if name in constants else no_json(name),
        )

    def read(self, data: bytes) -> Json:
        """The value that ``data`` is; a byte order mark before it is not looked at (RFC 8259,
        8.1). Raises ``BadBody``; values nested too deeply are refused by the interpreter's own
        limit of recursion."""
        value: Json = decoded(self._decoder, data)
        return value


def decoded(decoder: json.JSONDecoder, data: bytes) -> Any:
    """What ``decoder`` makes of JSON in UTF-8. Raises ``BadBody`` that says where it ends to be
    so, but quotes nothing of it, as the parser's own message would."""
    try:
        return decoder.decode(data.decode("utf-8-sig"))
    except json.JSONDecodeError as error:
        raise unreadable("json_no_valido", f"{error.lineno}:{error.colno}") from None
    except UnicodeError:
        raise unreadable("cuerpo_no_utf8") from None
    except RecursionError:
        raise unreadable("json_demasiado_profundo") from None


def _pairs(pairs: list[tuple[str, Json]]) -> tuple[tuple[str, Json], ...]:
    for name, _ in pairs:
        if not name.isascii():
            name.encode("utf-8")  # raises UnicodeError for half a surrogate pair (RFC 7493, 2.1)
    return tuple(pairs)


def no_json(name: str) -> NoReturn:
    """Refuse ``NaN``, ``Infinity`` or ``-Infinity``, which the parser takes for numbers."""
    raise unreadable("constante_no_valida", name)


STRICT = JsonReader({})


class RowReader:
    """Reads JSON objects as rows of one contract. Immutable; safe for threads."""

    def __init__(self, contract: Contract, options: frozenset[str] = ROW_OPTIONS) -> None:
        """``options``: what a row may hold besides parameters."""
        self._reader = QueryReader(contract, options)
        self._options = options
        # Short names last: where a feature is called like another's short name, that one wins.
        self._names = {p.feature: p.name for p in contract.parameters}
        self._names |= {p.name: p.name for p in contract.parameters}
        self._names |= {name: name for name in options}
        self._no_data = min(contract.no_data, default="")

    def options(self, raw: str) -> Query:
        """The options in the query of a POST, as WSGI's QUERY_STRING; anything else there, such
        as a debtor's data, is not looked at."""
        read = self._reader.read(raw)
        faults = [f for f in read.faults if f.parameter in self._options or not f.parameter]
        return Query({}, read.options, faults=faults, too_long=read.too_long)

    def row(self, value: Json, options: Query) -> Query:
        """The row that a JSON object is, with ``options``; what is wrong with it is inside.

        Parameters go by short name or by feature. Texts and numbers are read as in an address,
        ``null`` is no data (for an option: not sent). Raises ``BadBody`` for what is no object.
        """
        if not isinstance(value, tuple):
            raise unreadable("objeto_esperado")
        query = Query({}, dict(options.options), faults=list(options.faults))
        self._reader.gather(self._items(value, query), query)
        return query

    def _items(
        self, pairs: tuple[tuple[str, Json], ...], query: Query
    ) -> Iterable[tuple[str, str, str]]:
        known = self._names
        for sent, value in pairs:
            name = known.get(sent, sent)
            if isinstance(value, str):
                yield name, "=", value
            elif value is None:
                if name not in self._options:
                    yield name, "=", self._no_data
            elif name in known:
                query.add_fault(name, "tipo_no_valido")
            else:
                yield name, "=", ""  # nobody reads it: only its name is told

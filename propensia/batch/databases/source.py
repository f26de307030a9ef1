"""A table or a query of a database as a source: read in the order of a key, block by block.

It only reads, waits for a database that goes away, and goes on behind the last key it has seen.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from propensia import columnar, delimited, files
from propensia.batch import arrow
from propensia.batch.blocks import Block, Place, Rows
from propensia.batch.databases import keys
from propensia.batch.databases import since as sinces
from propensia.batch.databases.since import Since
from propensia.delimited import TableError
from propensia.files import shown
from propensia.queries.databases import Gone
from propensia.queries.query import EVERYTHING, Part, Query, names_of

BLOCK_ROWS = 20_000
WAITS_S = (1.0, 3.0, 8.0, 20.0)
"""Between the attempts to get a database back; as many as there are, after each block anew."""
# What travels as it is; all else as its text.
PLAIN = (int, float, str)


@dataclass(frozen=True, slots=True)
class DatabaseReader:
    """Reads blocks of a database. ``columns``: the place of each parameter's column by short
    name; a parameter without one was not sent."""

    columns: Mapping[str, int]

    def read(self, block: Block) -> Rows:
        """As ``Reader.read``."""
        found = arrow.unpacked(block.content)
        # Of texts, for a block tells nothing of the types in the next one.
        texts = [pc.if_else(pc.is_valid(column), columnar.texts(column), None) for column in found]
        return arrow.rows_of(pa.record_batch(texts, found.schema.names), self.columns, block.first)


class DatabaseSource:
    """The rows of a query, or of a table by its name, at a database URL, as ``Source``.

    ``key`` is the column that orders them: what a person says, or the primary key of the table.
    Without one the rows come as they will, and a run cannot go on in the middle.
    """

    schema = row_count = None

    def __init__(
        self, url: str, query: str, *, key: str | None = None, since: Since | None = None
    ) -> None:
        """Raises ``TableError``, also for a key that does not tell each row from all others; and
        ``Gone``."""
        self._query = Query(url, query)
        self.name = self._query.source
        names = self._query.names
        delimited.refuse_twice(names, self.name)
        self.heading = self._read = tuple(name for name in names if name)
        own = self._query.primary_key()
        self.key = self._known(key, "--key") if key else own
        self.goes_on = self.key is not None
        self._part = Part(key=self.key, is_unique=self.key is not None and self.key == own)
        if since is not None and since.moment is not None:
            self._part = self._only(since, since.column)
        if self.key is not None and self._query.backend == "sqlite":
            # A block at a time: as long as it is read, nobody could write into the same file.
            self._part = replace(self._part, rows=BLOCK_ROWS)
        # A query without a key is not asked twice only to tell how far it is.
        wanted = self.key is not None or self._query.table is not None
        self._count = self._query.count(replace(self._part, rows=None)) if wanted else 0
        self.identity: Mapping[str, Any] = {
            "database": self.name,
            "query": files.sha256(query.strip().encode("utf-8")),
            "key": self.key,
            "since": None if self._part.since is None else str(self._part.since),
            "changed": self._part.changed,
        }

    def _known(self, name: str, option: str) -> str:
        if name not in self.heading:
            raise TableError(
                f"{self.name}: no hay ninguna columna {shown(name)}, que dice {option}"
            )
        return name

    def _only(self, since: Since, column: str) -> Part:
        sample = self._query.sample(self._known(column, "--changed"))
        if sample is None:  # a column of nulls, of which none is later than anything
            raise TableError(f"{self.name}: la columna {shown(column)} no tiene ninguna fecha")
        try:
            limit = sinces.limit(since, sample)
        except ValueError:
            raise TableError(
                f"{self.name}: la columna {shown(column)} no es de fechas (AAAA-MM-DD)"
            ) from None
        return replace(self._part, changed=column, since=limit)

    def read_columns(self, columns: Mapping[str, int]) -> None:
        """As ``Source.read_columns``."""
        self.reader = DatabaseReader(columns)

    def narrow(self) -> None:
        """Read no other columns than parameters and the key, where nobody wants the others."""
        names = {name: self.heading[at] for name, at in self.reader.columns.items()}
        wanted = dict.fromkeys([*names.values(), *([self.key] if self.key else [])])
        self._read = tuple(wanted)
        self._part = replace(self._part, columns=self._read)
        self.reader = DatabaseReader({n: self._read.index(own) for n, own in names.items()})

    def blocks(self, after: Place | None = None) -> Iterator[Block]:
        """As ``Source.blocks``; also raises ``Gone``."""
        if after is not None and self.key is None:
            raise TableError(f"{self.name}: {NOT_ORDERED}")
        number, first = (after["number"], after["first"]) if after else (0, 1)
        for rows, last in self._rows(keys.restored(after["key"]) if after else None):
            first_of_next = first + len(rows)
            end = {"number": number + 1, "first": first_of_next, "key": self._noted(last)}
            done = min((first_of_next - 1) / self._count, 1.0) if self._count else 0.0
            yield Block(number, first, self._packed(rows), end, done)
            number, first = number + 1, first_of_next

    def check(self) -> None:
        """As ``Source.check``: a table that others write into all the time has no one state; a
        server gives the one it had when it was asked."""

    def _noted(self, key: Any) -> Any:
        try:
            return None if self.key is None else keys.noted(key)
        except keys.NoKey as kind:
            raise TableError(
                f"{self.name}: la columna {shown(self.key or '')} no puede ser la clave de las "
                f"filas, por ser {kind}: sirven números enteros, decimales, textos y fechas"
            ) from None

    def _rows(self, last: Any) -> Iterator[tuple[Sequence[Any], Any]]:
        """Blocks of rows, each with the key of its last one, after a key; again and again where
        the database goes away."""
        waits = iter(WAITS_S)
        begun = False
        while True:
            count = 0
            try:
                for rows in self._answer(replace(self._part, after=last)):
                    count, waits, begun = count + len(rows), iter(WAITS_S), True
                    last = rows[-1][self._key_place()] if self.key is not None else None
                    yield rows, last
            except Gone:
                wait = next(waits, None)
                if wait is None or (begun and self.key is None):
                    raise
                time.sleep(wait)
                continue
            if self._part.rows is None or count < self._part.rows:
                return

    def _answer(self, part: Part) -> Iterator[Sequence[Any]]:
        names = self._query.names if part == EVERYTHING else list(self._read)
        with self._query.result(part) as result:
            if names_of(result) != names:
                raise TableError(f"{self.name}: la consulta ha cambiado; repita")
            if part.rows is None:
                while rows := result.fetchmany(BLOCK_ROWS):
                    yield rows
                return
            rows = result.fetchall()
        if rows:
            yield rows

    def _key_place(self) -> int:
        return self._read.index(self.key or "")

    def _packed(self, rows: Sequence[Any]) -> bytes:
        columns = list(zip(*rows, strict=True))
        if len(columns) > len(self._read):  # nameless ones, of a query as it was written
            columns = [c for c, name in zip(columns, self._query.names, strict=True) if name]
        arrays = [_array(column) for column in columns]
        return arrow.packed(pa.record_batch(arrays, list(self._read)))


NOT_ORDERED = (
    "sin clave (--key COLUMNA) las filas vienen sin orden y no se puede seguir a medias; repita "
    "con --force"
)


def _array(values: Sequence[Any]) -> pa.Array:
    """Values of a column; of those that are no plain numbers or texts, their texts."""
    kinds = set(map(type, values)) - {type(None)}
    if len(kinds) <= 1 and kinds <= set(PLAIN):
        try:
            return pa.array(values, pa.string() if not kinds else None)
        except (pa.ArrowException, OverflowError):  # a number beyond 64 bits
            pass
    return pa.array([None if v is None else columnar.text(v) for v in values], pa.string())

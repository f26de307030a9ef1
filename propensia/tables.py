"""Big tables as blocks of texts, as the contract reads them: CSV, Parquet or a database query.

It never holds more than a block of a table, and never turns a text into another one or into none.
"""

from __future__ import annotations

import hashlib
import re
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from propensia import columnar, delimited, files
from propensia.delimited import TableError
from propensia.files import shown
from propensia.queries.query import Query, names_of

BLOCK_ROWS = 20_000
PARQUET = (".parquet", ".pq")
BUFFER_BYTES = 1 << 20
# A column without a name, as a spreadsheet's stray one is, also after pandas wrote it.
NAMELESS = re.compile(r"(?:Unnamed: [0-9]+)?").fullmatch
Texts = list[str]


class Table(ABC):
    """A table that can be read from its start to its end, as often as one likes.

    ``source`` is fit to be shown: a path, or a database URL without its password. ``heading``
    holds the names of its columns, blanks around them removed, nameless ones left out; none is
    there twice. ``sha256`` is of a file's bytes; of a query, of all its texts, and empty until
    the last block was read.
    """

    source: str
    heading: tuple[str, ...]
    sha256: str

    def blocks(self, columns: Sequence[str], rows: int = BLOCK_ROWS) -> Iterator[dict[str, Texts]]:
        """The texts of ``columns``, of at most ``rows`` rows at a time, in the table's order.

        ``""`` is no data. Numbers read back exactly, without ``.0``; dates are ISO. Raises
        ``TableError``, with the line where there is one, also when the file changed meanwhile;
        ``KeyError`` for a column that is not in ``heading``.
        """
        unknown = set(columns) - set(self.heading)
        if unknown:
            raise KeyError(", ".join(sorted(unknown)))
        for texts in self._read(columns, rows):
            yield dict(zip(columns, texts, strict=True))

    @abstractmethod
    def _read(self, columns: Sequence[str], rows: int) -> Iterator[list[Texts]]:
        """Blocks, each a list of texts per column."""


def open_table(source: str, query: str | None = None) -> Table:
    """The table in a file, or the rows of a ``query`` (or a table's name) at a database URL.

    Reads a file once, for its hash. Raises ``TableError`` for what is no table, and ``OSError``.
    """
    if "://" in source:
        if not query:
            raise TableError("una base de datos necesita una consulta o el nombre de una tabla")
        return _Query(source, query)
    if query:
        raise TableError(f"{shown(source)}: una consulta solo vale para una base de datos")
    path = Path(source)
    if not path.is_file():
        raise TableError(f"{shown(source)}: no existe o no es un fichero")
    return _Parquet(path) if path.suffix.lower() in PARQUET else _Csv(path)


class _File(Table):
    """A file, which must still be the same when its end was reached."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.source = str(path)
        self.sha256 = files.digest(path)

    def _must_be_unchanged(self) -> None:
        if files.digest(self._path) != self.sha256:
            raise TableError(
                f"{shown(self._path.name)} ha cambiado mientras se leía; espere a que esté "
                "completo y repita"
            )


class _Csv(_File):
    def __init__(self, path: Path) -> None:
        super().__init__(path)
        with files.open_regular(path) as stream:
            self._encoding = delimited.table_encoding(stream, path.name)
        with self._lines() as (heading, _):
            self._names = heading
        if not any(heading):
            raise TableError(f"{shown(path.name)} está vacío: no tiene ni cabecera")
        self.heading = tuple(name for name in heading if not NAMELESS(name))

    @contextmanager
    def _lines(self) -> Iterator[tuple[list[str], Iterator[list[str]]]]:
        with (
            files.open_regular(self._path) as stream,
            delimited.as_text(stream, self._encoding) as text,
        ):
            try:
                yield delimited.parse_table(text, self._path.name)
            except UnicodeDecodeError as error:  # it was checked to its end: somebody is writing
                self._must_be_unchanged()
                raise TableError(f"{shown(self._path.name)}: {error.reason}") from error

    def _read(self, columns: Sequence[str], rows: int) -> Iterator[list[Texts]]:
        with self._lines() as (heading, lines):
            if heading != self._names:
                self._must_be_unchanged()
            places = [heading.index(name) for name in columns]
            while block := list(islice(lines, rows)):
                yield [[row[place] for row in block] for place in places]
        self._must_be_unchanged()


class _Parquet(_File):
    def __init__(self, path: Path) -> None:
        super().__init__(path)
        with self._opened() as file:
            self._names = {name.strip(): name for name in file.schema_arrow.names}
            _refuse_twice([name.strip() for name in file.schema_arrow.names], path.name)
        self.heading = tuple(name for name in self._names if not NAMELESS(name))

    @contextmanager
    def _opened(self) -> Iterator[pq.ParquetFile]:
        try:
            with (
                files.open_regular(self._path) as stream,
                pq.ParquetFile(stream, buffer_size=BUFFER_BYTES) as file,
            ):
                yield file
        except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
            if getattr(error, "errno", None) is not None:  # the system's; pyarrow's have none
                raise
            name = shown(self._path.name)
            raise TableError(f"{name}: no es un fichero Parquet entero") from error

    def _read(self, columns: Sequence[str], rows: int) -> Iterator[list[Texts]]:
        names = [self._names[name] for name in columns]
        with self._opened() as file:
            for batch in file.iter_batches(rows, columns=names):
                yield [self._texts(name, batch.column(name)) for name in names]
        self._must_be_unchanged()

    def _texts(self, name: str, values: pa.Array) -> Texts:
        try:
            texts: Texts = columnar.texts(values).to_pylist()
        except columnar.NotFlat as error:
            raise TableError(
                f"{shown(self._path.name)}: la columna {shown(name)} no es de textos, números "
                f"ni fechas, sino {shown(str(error))}"
            ) from error
        return texts


class _Query(Table):
    def __init__(self, source: str, query: str) -> None:
        self._query = Query(source, query)
        self.source = self._query.source
        self.sha256 = ""
        _refuse_twice(self._query.names, self.source)
        self.heading = tuple(name for name in self._query.names if not NAMELESS(name))

    def _read(self, columns: Sequence[str], rows: int) -> Iterator[list[Texts]]:
        names = self._query.names
        places = [names.index(name) for name in columns]
        total = hashlib.sha256("\x1f".join(names).encode("utf-8"))
        with self._query.result() as result:
            if names_of(result) != names:
                raise TableError(f"{self.source}: la consulta ha cambiado; repita")
            while block := result.fetchmany(rows):
                texts = [[columnar.text(value) for value in row] for row in block]
                for row in texts:
                    total.update(("\x1e" + "\x1f".join(row)).encode("utf-8", "backslashreplace"))
                yield [[row[place] for row in texts] for place in places]
        self.sha256 = total.hexdigest()


def _refuse_twice(names: Sequence[str], source: str) -> None:
    delimited.refuse_twice(["" if NAMELESS(name) else name for name in names], source)

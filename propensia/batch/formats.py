"""What a path or a database URL means as an end of a run: which source, which sink.

A source is known by what is in it, for a name may lie; a sink by its name.
"""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pyarrow as pa

from propensia import files
from propensia.batch.added import Added
from propensia.batch.blocks import Reader, Sink, Source
from propensia.batch.columns import resolve
from propensia.batch.csv_files.dialect import OURS
from propensia.batch.csv_files.ends import CsvSink, CsvSource
from propensia.batch.databases.since import Since
from propensia.batch.databases.source import DatabaseSource
from propensia.batch.deciles import DecilesSink
from propensia.batch.errors import WrongUse
from propensia.batch.excel_files.reading import ExcelSource
from propensia.batch.excel_files.writing import ExcelSink, refuse_long
from propensia.batch.parquet_tables import ParquetSink, ParquetSource
from propensia.contract import Contract
from propensia.delimited import TableError
from propensia.files import shown

CSV = (".csv", ".txt", ".tsv")
PARQUET = (".parquet", ".pq")
EXCEL = (".xlsx", ".xlsm")
# What a file begins with.
PARQUET_MAGIC, ZIP_MAGIC = b"PAR1", b"PK\x03\x04"
OLD_EXCEL_MAGIC = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
PACKED_MAGICS = (b"\x1f\x8b", b"BZh", b"\xfd7zXZ\x00", b"7z\xbc\xaf\x27\x1c", b"\x28\xb5\x2f\xfd")
AS_XLSX = "ábralo en Excel y guárdelo como .xlsx (sin contraseña) o como CSV UTF-8"
KINDS = ".csv, .parquet o .xlsx"


@dataclass(frozen=True, slots=True)
class Selection:
    """Which rows of a source are meant: ``query`` (SQL, or a table's name), ``key`` and ``since``
    of a database, ``sheet`` of a workbook."""

    query: str | None = None
    key: str | None = None
    since: Since | None = None
    sheet: str | None = None


def is_database(where: str) -> bool:
    """Whether an end is a database URL, and no path."""
    return "://" in where


def open_source(
    where: str,
    contract: Contract,
    chosen: Selection,
    renamed: Mapping[str, str] | None = None,
) -> Source:
    """The table at a path or URL, its columns found; ``renamed`` as ``columns.resolve`` takes it.

    Raises ``WrongUse`` for what does not go with that kind of table, ``TableError`` with what is
    wrong and what to do, and ``OSError``.
    """
    if is_database(where):
        if chosen.query is None:
            raise WrongUse("una base de datos necesita --query: una consulta o una tabla")
        source: Source = DatabaseSource(where, chosen.query, key=chosen.key, since=chosen.since)
    else:
        _refuse_database_options(where, chosen)
        path = Path(where)
        kind = _kind(path)
        if kind != EXCEL and chosen.sheet is not None:
            raise WrongUse(f"--sheet: {shown(path.name)} no tiene hojas")
        if kind == CSV:
            source = CsvSource(path)
        else:
            source = ExcelSource(path, chosen.sheet) if kind == EXCEL else ParquetSource(path)
    source.read_columns(resolve(source.heading, contract, source.name, renamed))
    return source


def _refuse_database_options(where: str, chosen: Selection) -> None:
    if (chosen.query, chosen.key, chosen.since) != (None, None, None):
        raise WrongUse(
            f"{shown(where)} no es la dirección de una base de datos (tipo://…), y --query, --key "
            "y --since solo valen para una"
        )


def _kind(path: Path) -> tuple[str, ...]:
    """What a file is: ``CSV``, ``PARQUET`` or ``EXCEL``. Raises ``TableError``."""
    name = shown(path.name)
    with files.open_regular(path) as stream:
        head = stream.read(8)
    if head.startswith(PARQUET_MAGIC):
        return PARQUET
    if head.startswith(OLD_EXCEL_MAGIC):
        raise TableError(f"{name} es un libro de Excel antiguo o con contraseña; {AS_XLSX}")
    if head.startswith(PACKED_MAGICS):
        raise TableError(f"{name} está comprimido; descomprímalo y puntúe lo que hay dentro")
    if head.startswith(ZIP_MAGIC):
        return _zipped(path)
    suffix = path.suffix.lower()
    if suffix in (*PARQUET, *EXCEL):
        raise TableError(f"{name} no es un fichero {suffix}, aunque se llame así, o está a medias")
    return CSV


def _zipped(path: Path) -> tuple[str, ...]:
    name = shown(path.name)
    try:
        with files.open_regular(path) as stream, zipfile.ZipFile(stream) as book:
            parts = set(book.namelist())
    except zipfile.BadZipFile as error:
        raise TableError(f"{name} está dañado o a medias; cópielo de nuevo") from error
    if "xl/workbook.xml" in parts:
        return EXCEL
    if "xl/workbook.bin" in parts:
        raise TableError(f"{name} es un libro binario de Excel (.xlsb); {AS_XLSX}")
    if "content.xml" in parts:
        raise TableError(
            f"{name} es un documento de LibreOffice (.ods); ábralo y guárdelo como .xlsx o CSV"
        )
    raise TableError(f"{name} es un zip; descomprímalo y puntúe lo que hay dentro")


@dataclass(frozen=True, slots=True)
class Ends:
    """Both ends of a run: ``reader`` is what reads the blocks of ``source`` for that ``sink``."""

    source: Source
    reader: Reader
    sink: Sink


def open_ends(
    source: Source, target: str, contract: Contract, added: Added, *, own_deciles: bool = False
) -> Ends:
    """A source with the sink for a path. ``own_deciles``: by the limits of this very run.

    Raises ``WrongUse`` for another ending, and ``TableError`` for what cannot be written, before
    anything is. Nothing is made yet.
    """
    path = Path(target)
    if isinstance(source, ParquetSource) and path.suffix.lower() not in PARQUET:
        source.give_texts()
    make = partial(_file_sink, source=source, contract=contract, added=added)
    if not own_deciles:
        return Ends(source, source.reader, make(path))
    sink = DecilesSink(path, source.reader, make)
    return Ends(source, sink.reader, sink)


def _file_sink(path: Path, source: Source, contract: Contract, added: Added) -> Sink:
    suffix = path.suffix.lower()
    if suffix in PARQUET:
        return ParquetSink(path, _schema(source), added)
    if suffix == ".xlsx":
        if source.row_count is not None:
            refuse_long(source.row_count)
        return ExcelSink(path, source.heading, added, _numbers(source, contract))
    if suffix in CSV:
        numbers = _numbers(source, contract)
        dialect = source.dialect(numbers) if isinstance(source, CsvSource) else OURS
        return CsvSink(path, source.heading, added, dialect)
    told = "los resultados no llevan macros: " if suffix == ".xlsm" else ""
    raise WrongUse(f"{shown(path.name)}: {told}el resultado se llama como un {KINDS}")


def _schema(source: Source) -> pa.Schema:
    """The columns of a source with their types, none of them nameless."""
    if source.schema is not None:
        return source.schema
    names = [name or f"columna_{n}" for n, name in enumerate(source.heading, 1)]
    return pa.schema([(name, pa.string()) for name in names])


def _numbers(source: Source, contract: Contract) -> frozenset[int]:
    """The places of the columns that hold numbers by the contract; a month is none to add up."""
    kinds = {p.name: p.kind for p in contract.parameters}
    places = source.reader.columns.items()
    return frozenset(at for name, at in places if kinds[name] not in ("category", "month"))

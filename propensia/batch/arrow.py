"""Record batches of Arrow: as the bytes of a block, as the rows of a run, a column as texts.

It knows no format of a file, and a column that no text can be made of never goes further.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from propensia import columnar
from propensia.batch.blocks import Rows
from propensia.batch.row_faults import LOST_LETTERS
from propensia.delimited import TableError
from propensia.files import shown


def packed(batch: pa.RecordBatch) -> bytes:
    """A record batch as bytes, which ``unpacked`` reads."""
    out = pa.BufferOutputStream()
    with pa.ipc.new_stream(out, batch.schema) as stream:
        stream.write_batch(batch)
    found: bytes = out.getvalue().to_pybytes()
    return found


def unpacked(content: bytes) -> pa.RecordBatch:
    """The record batch of ``packed``."""
    with pa.ipc.open_stream(content) as stream:
        return stream.read_next_batch()


def rows_of(batch: pa.RecordBatch, columns: Mapping[str, int], first: int) -> Rows:
    """The rows of a record batch, the first of which a person finds as number ``first``.

    Raises ``TableError`` for a column that no text can be made of.
    """
    broken = np.zeros(len(batch), dtype=bool)
    found: dict[str, pa.Array] = {}
    for name, at in columns.items():
        column, bad = _decoded(batch.column(at))
        broken |= bad
        found[name] = texts(column, batch.schema.names[at])
    if broken.any():
        found = {name: pc.if_else(pa.array(broken), None, c) for name, c in found.items()}
    numbers = np.arange(first, first + len(batch))
    return Rows(found, {int(place): LOST_LETTERS for place in broken.nonzero()[0]}, numbers, batch)


def texts(column: pa.Array, name: str) -> pa.StringArray:
    """The texts of a column of that name, as ``columnar.texts``. Raises ``TableError``."""
    try:
        return columnar.texts(column)
    except columnar.NotFlat as error:
        raise TableError(not_flat(name, str(error))) from None


def not_flat(name: str, kind: str) -> str:
    """What is wrong with a column of that name and type, of which no texts can be made."""
    return (
        f"la columna {shown(name)} no es de textos, números ni fechas, sino {shown(kind)}; "
        "quítela o despliéguela en columnas sencillas"
    )


def is_bytes(kind: pa.DataType) -> bool:
    """Whether the values of a type are bytes, which may or may not be texts."""
    found: bool = (
        pa.types.is_binary(kind)
        or pa.types.is_large_binary(kind)
        or pa.types.is_fixed_size_binary(kind)
    )
    return found


def _decoded(column: pa.Array) -> tuple[pa.Array, np.ndarray[Any, np.dtype[np.bool_]]]:
    """A column whose bytes are texts, null where they are not, and where that is."""
    kind = column.type
    if pa.types.is_dictionary(kind):
        return _decoded(column.dictionary_decode())
    bad = np.zeros(len(column), dtype=bool)
    if not is_bytes(kind) and not pa.types.is_string(kind) and not pa.types.is_large_string(kind):
        return column, bad
    plain = pc.cast(column, pa.large_binary())
    try:
        found = plain.view(pa.large_string())
        found.validate(full=True)
    except pa.ArrowException:  # rare: only then each text by itself
        for place, value in enumerate(plain.to_pylist()):
            bad[place] = value is not None and not _is_utf8(value)
        found = pc.if_else(pa.array(bad), None, plain).view(pa.large_string())
    return found, bad


def _is_utf8(value: bytes) -> bool:
    try:
        value.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True

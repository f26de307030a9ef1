"""Rows of CSV that a fast reader would trip over, made such that it does not.

It never drops a cell that says anything, and tells every row that was none.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from propensia.batch.csv_files import boundaries
from propensia.batch.csv_files.boundaries import QUOTE, Mask, Places, Spans
from propensia.batch.row_faults import FEWER_COLUMNS, MORE_COLUMNS


@dataclass(frozen=True, slots=True)
class Repaired:
    """Rows that all have the width of the heading, and none of which is empty.

    ``kept``: the place that each of them had. ``broken``: the code of what is none, by its place
    now; its cells are still there, though not in their columns.
    """

    content: bytes
    kept: Places
    broken: dict[int, str]


def empty(content: bytes, spans: Spans, delimiter: str, width: int) -> Mask:
    """Which rows say nothing at all: ``(n,)``."""
    found: Mask = spans.starts == spans.ends
    codes = np.frombuffer(content, np.uint8)
    signs = np.zeros(256, dtype=bool)
    signs[[QUOTE, ord(delimiter)]] = True
    likely = ~found & (spans.ends - spans.starts < 3 * width + 1)
    likely[likely] = signs[codes[spans.starts[likely]]] & signs[codes[spans.ends[likely] - 1]]
    for place in np.flatnonzero(likely).tolist():
        row = content[spans.starts[place] : spans.ends[place]]
        if not row.strip(b'"' + delimiter.encode()):
            cells = boundaries.cells(row, delimiter)
            found[place] = cells is not None and not any(cells)
    return found


def repaired(content: bytes, spans: Spans, names: Sequence[str], delimiter: str) -> Repaired:
    """The rows of ``content``, which is in UTF-8; ``names`` is the heading.

    Empty cells too many are taken off, and such as are missing below nameless columns added. A
    row of more or fewer columns keeps its cells, the last of them holding all that is too much;
    one with broken quotes becomes one cell.
    """
    unusual = empty(content, spans, delimiter, len(names))
    kept = np.ones(len(spans.ends), dtype=bool)
    unusual |= _widths(content, spans, delimiter) != len(names)
    unusual[list(spans.broken)] = True
    codes: dict[int, str] = {}
    parts, copied = [], 0
    for place in np.flatnonzero(unusual).tolist():
        row = content[spans.starts[place] : spans.ends[place]]
        code = spans.broken.get(place)
        cells = [row] if code else boundaries.cells(row, delimiter) or []
        parts.append(content[copied : spans.starts[place]])
        copied = int(spans.starts[place + 1]) if place + 1 < len(kept) else spans.end
        if not any(cells):
            kept[place] = False
            continue
        fitted, wrong = _fitted(cells, names, delimiter.encode())
        if code or wrong:
            codes[place] = code or str(wrong)
        parts.append(delimiter.encode().join(_quoted(c, delimiter) for c in fitted) + b"\n")
    parts.append(content[copied:])
    now = np.cumsum(kept) - 1
    return Repaired(
        content=b"".join(parts),
        kept=np.flatnonzero(kept),
        broken={int(now[place]): code for place, code in codes.items()},
    )


def _widths(content: bytes, spans: Spans, delimiter: str) -> Places:
    """How many cells each row has; 0 where that is unknown."""
    codes = np.frombuffer(content, np.uint8)
    signs = np.flatnonzero(codes == ord(delimiter))
    quotes = np.flatnonzero(codes == QUOTE)
    if spans.regular:  # then those behind an odd quote are within a cell
        signs = signs[np.searchsorted(quotes, signs) % 2 == 0]
    widths: Places = np.searchsorted(signs, spans.ends) - np.searchsorted(signs, spans.starts) + 1
    if spans.regular:
        return widths
    for place in np.unique(np.searchsorted(spans.ends, quotes)).tolist():
        row = content[spans.starts[place] : spans.ends[place]]
        widths[place] = len(boundaries.cells(row, delimiter) or [])
    return widths


def _fitted(
    cells: list[bytes], names: Sequence[str], sign: bytes
) -> tuple[list[bytes], str | None]:
    width = len(names)
    if len(cells) <= width:
        wrong = FEWER_COLUMNS if any(names[len(cells) :]) else None
        return cells + [b""] * (width - len(cells)), wrong
    if not any(cells[width:]):
        return cells[:width], None
    return [*cells[: width - 1], sign.join(cells[width - 1 :])], MORE_COLUMNS


def _quoted(cell: bytes, delimiter: str) -> bytes:
    if any(sign in cell for sign in (b'"', b"\n", b"\r", delimiter.encode())):
        return b'"' + cell.replace(b'"', b'""') + b'"'
    return cell

"""The lines of a CSV with cells that a spreadsheet would run, made such that it does not.

It changes no other line, and looks at those by themselves that might be one.
"""

from __future__ import annotations

import re

import numpy as np
import numpy.typing as npt

from propensia.batch import csv_rows
from propensia.batch.csv_reading import CsvLines
from propensia.batch.csv_rows import CR, LF, QUOTE, Mask, Places
from propensia.delimited import DELIMITERS, still

BLANK, TAB = b" \t"
SIGNS = b"=+-@"
# The wide forms of these signs: the first two bytes of each, and the third.
WIDE_BYTES, WIDE_SIGNS = b"\xef\xbc", b"\x9d\x8b\x8d\xa0"
BLANKS_BEFORE = 8
"""So many blanks and quotes are skipped before a sign; behind more, it might be one."""
# A whole cell, up to the delimiter or the line's end.
NUMBERS = {
    delimiter: re.compile(
        rb'("?)[+-][0-9]+(?:[.,][0-9]+)?\1(?=[\r\n%b]|\Z)' % delimiter.encode()
    ).match
    for delimiter in DELIMITERS
}
HAS_TO_BE_QUOTED = re.compile(f'["\r\n{DELIMITERS}]').search

Codes = npt.NDArray[np.uint8]


def quoted(text: str) -> str:
    """A cell, between quotes if it has what ends one here or in a program of other settings."""
    return '"' + text.replace('"', '""') + '"' if HAS_TO_BE_QUOTED(text) else text


def stilled(lines: CsvLines) -> dict[int, bytes]:
    """The lines that have to be others, by their places in order: no cell of theirs runs."""
    changed: dict[int, bytes] = {}
    for place in np.flatnonzero(_suspicious(lines)).tolist():
        row = lines.content[lines.starts[place] : lines.ends[place]]
        cells = [cell.decode() for cell in csv_rows.cells(row, lines.delimiter) or []]
        safe = [still(cell, lines.delimiter) for cell in cells]
        if safe != cells:
            changed[place] = lines.delimiter.join(map(quoted, safe)).encode()
    return changed


def _suspicious(lines: CsvLines) -> Mask:
    """The rows in which a cell may begin with a sign, a tab or a line end, ``(n,)``; no row that
    has to change is missing."""
    content, codes = lines.content, np.frombuffer(lines.content, np.uint8)
    signs = _one_of(codes, SIGNS if lines.delimiter == "\t" else SIGNS + b"\t")
    places = [np.flatnonzero(signs)]
    if not content.isascii():
        wide = np.flatnonzero((codes[:-2] == WIDE_BYTES[0]) & (codes[1:-1] == WIDE_BYTES[1]))
        places.append(wide[np.isin(codes[wide + 2], list(WIDE_SIGNS))])
    found = _beginning(lines, codes, np.concatenate(places))
    if b'"' in content:
        blanks = b"\r\n\t" if lines.delimiter == "\t" else b"\r\n"
        opened = np.flatnonzero((codes[:-1] == QUOTE) & _one_of(codes[1:], blanks))
        begins = np.isin(codes[opened - 1], [LF, CR, ord(lines.delimiter)]) | (opened == 0)
        found = np.append(found, opened[begins])
    rows = np.zeros(len(lines.ends), dtype=bool)
    place = np.searchsorted(lines.ends, found)
    rows[place[lines.starts[place] <= found]] = True
    return rows


def _one_of(codes: Codes, signs: bytes) -> Mask:
    found = np.zeros(len(codes), dtype=bool)
    for sign in signs:
        found |= codes == sign
    return found


def _beginning(lines: CsvLines, codes: Codes, signs: Places) -> Places:
    """Those signs that a cell may begin with, as any spreadsheet sees cells, but for numbers."""
    ends, skipped = np.zeros(256, dtype=bool), np.zeros(256, dtype=bool)
    ends[[LF, CR, *DELIMITERS.encode()]] = True
    skipped[[BLANK, QUOTE]] = True
    before = signs - 1
    for _ in range(BLANKS_BEFORE):
        before = before - ((before >= 0) & skipped[codes[before]])
    found = signs[(before < 0) | (ends | skipped)[codes[before]]]
    # A cell of its own that is a number runs nowhere.
    begin = found - ((found > 0) & (codes[found - 1] == QUOTE))
    alone = codes[begin - 1] == ord(lines.delimiter)
    rows = np.append(lines.starts, -1)
    alone |= rows[np.searchsorted(lines.starts, begin)] == begin
    number = NUMBERS[lines.delimiter]
    alone[alone] = [number(lines.content, at) is not None for at in begin[alone].tolist()]
    others: Places = found[~alone]
    return others

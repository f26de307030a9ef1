"""The lines of a CSV with cells that a spreadsheet would run, made such that it does not.

It changes no other line, and looks at those by themselves that might be one.
"""

from __future__ import annotations

import re

import numpy as np
import numpy.typing as npt

from propensia.batch.csv_files import boundaries
from propensia.batch.csv_files.boundaries import CR, LF, QUOTE, Mask, Places
from propensia.batch.csv_files.reading import CsvLines
from propensia.delimited import BLANKS, DELIMITERS, NUMBER, SIGNS, still

BLANK = ord(" ")
PLAIN_SIGNS = "".join(filter(str.isascii, SIGNS)).encode()
# The wide forms of these signs, of three bytes each.
WIDE_SIGNS = [sign.encode() for sign in SIGNS if not sign.isascii()]
BLANKS_BEFORE = 8
"""So many blanks and quotes are skipped before a sign; behind more, it might be one."""
# A whole cell, up to the delimiter or the line's end.
NUMBERS = {
    delimiter: re.compile(
        rb'("?)%b\1(?=[\r\n%b]|\Z)' % (NUMBER.encode(), delimiter.encode())
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
        cells = [cell.decode() for cell in boundaries.cells(row, lines.delimiter) or []]
        safe = [still(cell, lines.delimiter) for cell in cells]
        if safe != cells:
            changed[place] = lines.delimiter.join(map(quoted, safe)).encode()
    return changed


def _suspicious(lines: CsvLines) -> Mask:
    """The rows in which a cell may begin with a sign, a tab or a line end, ``(n,)``; no row that
    has to change is missing."""
    content, codes = lines.content, np.frombuffer(lines.content, np.uint8)
    # What ends a row or a cell here begins one only behind a quote.
    ends = "\r\n" + lines.delimiter
    blanks = "".join(blank for blank in BLANKS if blank not in ends).encode()
    places = [np.flatnonzero(_one_of(codes, PLAIN_SIGNS + blanks))]
    if not content.isascii():
        for first, second in sorted({(sign[0], sign[1]) for sign in WIDE_SIGNS}):
            wide = np.flatnonzero((codes[:-2] == first) & (codes[1:-1] == second))
            places.append(wide[np.isin(codes[wide + 2], [sign[2] for sign in WIDE_SIGNS])])
    found = _beginning(lines, codes, np.concatenate(places))
    if b'"' in content:
        opened = np.flatnonzero((codes[:-1] == QUOTE) & _one_of(codes[1:], BLANKS.encode()))
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

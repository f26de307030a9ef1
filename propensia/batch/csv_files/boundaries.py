"""Where the rows of a piece of CSV begin and end, and which lines are none.

It looks at delimiters, quotes and line ends only, and never at what a cell says: these bytes mean
the same in UTF-8 and in every code page of one byte.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from propensia.batch.row_faults import LOOSE_QUOTE, OPEN_QUOTE

LF, CR, QUOTE = b'\n\r"'

Places = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Spans:
    """The n rows of some bytes, empty ones too.

    Row i is ``content[starts[i]:ends[i]]``, without its line end, and begins ``lines[i]`` lines
    below the start. ``broken``: the code of what is no row, by its place. ``end``: where the last
    row ends with its line end, and ``count`` the lines that end up to there. ``regular``: every
    quote begins or ends a cell, or is one of two within.
    """

    starts: Places
    ends: Places
    lines: Places
    broken: dict[int, str]
    end: int
    count: int
    regular: bool


def split(content: bytes, delimiter: str, *, whole: bool = True) -> Spans:
    """The rows of ``content``, which begins with one.

    A quoted cell may go on in the next line, if it ends as CSV says: before a delimiter or a line
    end. Otherwise its first line is broken, and the next one is read by itself. Without
    ``whole``, what has no end yet is left out.
    """
    lines = _Lines(content, whole)
    return _counted(lines, delimiter) or _walk(lines, delimiter, None)


def split_meant(content: bytes, delimiter: str, width: int) -> Spans:
    """As ``split``, but a row that goes on in other lines is one only if it has ``width`` columns,
    and its first and its last line do not both have them all by themselves."""
    lines = _Lines(content, True)
    spans = _counted(lines, delimiter)
    if spans is None:
        return _walk(lines, delimiter, width)
    several = np.diff(spans.lines, append=spans.count) > 1
    first = spans.lines[several]
    last = np.append(spans.lines, spans.count)[1:][several] - 1
    pairs = zip(first.tolist(), last.tolist(), strict=True)
    if all(_meant(lines, begin, end, delimiter, width) for begin, end in pairs):
        return spans
    return _walk(lines, delimiter, width)


def doubtful(content: bytes, spans: Spans, delimiter: str, width: int) -> bool:
    """Whether ``split_meant`` might find other rows than ``split`` did, if all have ``width``
    columns."""
    if spans.broken:
        return True
    sign, full = delimiter.encode(), width - 1
    for place in np.flatnonzero(np.diff(spans.lines, append=spans.count) > 1).tolist():
        row = content[spans.starts[place] : spans.ends[place]]
        first, *_, last = re.split(rb"\r\n|\r|\n", row)
        if first.count(sign) == last.count(sign) == full:
            return True
    return False


def cut(content: bytes, delimiter: str, *, whole: bool) -> tuple[int, int]:
    """Where the last row of ``content`` ends, and how many lines do so up to there: as ``split``
    says, but faster."""
    if b'"' in content or whole:
        spans = split(content, delimiter, whole=whole)
        return spans.end, spans.count
    codes = np.frombuffer(content, np.uint8)
    end = content.rfind(b"\n") + 1
    count = int(np.count_nonzero(codes == LF))
    if b"\r" in content:
        # One at the very end may be half of a line end.
        end = max(end, content.rfind(b"\r", 0, -1) + 1)
        count += int(np.count_nonzero((codes[:-1] == CR) & (codes[1:] != LF)))
    return end, count


def cells(row: bytes, delimiter: str) -> list[bytes] | None:
    """The cells of one row, quotes taken off; ``None`` where its quotes are broken."""
    if b'"' not in row:
        return row.split(delimiter.encode())
    cell = _patterns(delimiter).cell
    found, place = [], 0
    while match := cell.match(row, place):
        text = match[0]
        found.append(text[1:-1].replace(b'""', b'"') if text.startswith(b'"') else text)
        place = match.end() + 1
        if place > len(row):
            return found
        if row[place - 1 : place] != delimiter.encode():
            break
    return None


class _Lines:
    """The lines of some bytes: line i ends at ``at[i]`` and the next begins at ``after[i]``."""

    def __init__(self, content: bytes, whole: bool) -> None:
        self.content, self.whole = content, whole
        self.codes = codes = np.frombuffer(content, np.uint8)
        at = np.flatnonzero(codes == LF)
        after = at + 1
        if b"\r" in content:
            at = np.where((at > 0) & (codes[at - 1] == CR), at - 1, at)
            returns = np.flatnonzero(codes == CR)
            if not whole:  # one at the very end may be half of a line end
                returns = returns[returns < len(content) - 1]
            lone = returns[codes.take(returns + 1, mode="clip") != LF]
            order = np.argsort(np.concatenate([at, lone]), kind="stable")
            at = np.concatenate([at, lone])[order]
            after = np.concatenate([after, lone + 1])[order]
        if whole and len(content) > (after[-1] if len(after) else 0):
            at, after = np.append(at, len(content)), np.append(after, len(content))
        self.at: Places = at
        self.after: Places = after

    def quotes(self) -> Places:
        """Where quotes are."""
        return np.flatnonzero(self.codes == QUOTE)

    def start(self, line: int) -> int:
        """Where a line begins."""
        return int(self.after[line - 1]) if line else 0

    def ending(self, place: int, line: int) -> int:
        """Which line ends there: ``line`` or one below; their number where none does."""
        if line < len(self.at) and self.at[line] == place:
            return line
        return int(np.searchsorted(self.at, place))

    def spans(self, last: Mask, broken: dict[int, str], *, regular: bool) -> Spans:
        """The rows, where ``last`` tells each line that a row ends with; ``broken`` by line."""
        ending = np.flatnonzero(last)
        behind = self.after[ending]
        begin = np.append(0, ending[:-1] + 1)[: len(ending)]
        place = np.cumsum(last)
        return Spans(
            starts=np.append(0, behind[:-1])[: len(ending)],
            ends=self.at[ending],
            lines=begin,
            broken={int(place[line]) - 1: code for line, code in broken.items()},
            end=int(behind[-1]) if len(ending) else 0,
            count=int(ending[-1]) + 1 if len(ending) else 0,
            regular=regular,
        )


def _counted(lines: _Lines, delimiter: str) -> Spans | None:
    """The rows, if counting quotes tells where they end."""
    if b'"' not in lines.content:
        return lines.spans(np.ones(len(lines.at), dtype=bool), {}, regular=True)
    quotes = lines.quotes()
    if (lines.whole and len(quotes) % 2) or not _regular(lines.codes, quotes, delimiter):
        return None
    return lines.spans(np.searchsorted(quotes, lines.at) % 2 == 0, {}, regular=True)


def _regular(codes: npt.NDArray[np.uint8], quotes: Places, delimiter: str) -> bool:
    """Whether every other quote stands where a cell begins or behind another quote, and the rest
    where one ends or before another: then counting them tells what is inside of quotes."""
    beside = np.zeros(256, dtype=bool)
    beside[[LF, CR, QUOTE, ord(delimiter)]] = True
    opening, closing = quotes[::2], quotes[1::2]
    if opening[0] == 0:
        opening = opening[1:]
    if len(closing) and closing[-1] == len(codes) - 1:
        closing = closing[:-1]
    return bool(beside[codes[opening - 1]].all() and beside[codes[closing + 1]].all())


def _meant(lines: _Lines, first: int, last: int, delimiter: str, width: int) -> bool:
    content, sign = lines.content, delimiter.encode()
    start, end = lines.start(first), int(lines.at[last])
    found = cells(content[start:end], delimiter)
    if found is None or len(found) != width:
        return False
    alone = (
        content.count(sign, start, int(lines.at[first])),
        content.count(sign, lines.start(last), end),
    )
    return alone != (width - 1, width - 1)


def _walk(lines: _Lines, delimiter: str, width: int | None) -> Spans:
    """As ``split`` says, one line with quotes after the other."""
    content, patterns = lines.content, _patterns(delimiter)
    last = np.ones(len(lines.at), dtype=bool)
    broken: dict[int, str] = {}
    free = 0
    for line in np.unique(np.searchsorted(lines.at, lines.quotes())).tolist():
        if line < free or line == len(last):  # the latter has no end yet
            continue
        start = lines.start(line)
        row = patterns.row_end(content, start)
        end = len(last) if row is None else lines.ending(row, line)
        if (
            not lines.whole
            and (end == len(last))
            and (row is not None or patterns.is_open(content, start, len(content)))
        ):
            last[line:] = False
            break
        if row is None:
            open_ = patterns.is_open(content, start, int(lines.at[line]))
            broken[line] = OPEN_QUOTE if open_ else LOOSE_QUOTE
        elif end > line:
            if width is not None and not _meant(lines, line, end, delimiter, width):
                broken[line] = OPEN_QUOTE
                continue
            last[line:end] = False
            free = end + 1
    return lines.spans(last, broken, regular=False)


@dataclass(frozen=True, slots=True)
class _Patterns:
    """``cell``: one cell. ``open``: up to the very end, within quotes. ``sign``: what stands
    between cells.

    A row is put together here, cell by cell: of a repeated choice Python before 3.11.5 makes
    another thing where it must not go back, and where it may, a long row takes all memory.
    """

    cell: re.Pattern[bytes]
    open: re.Pattern[bytes]
    sign: int

    def row_end(self, content: bytes, start: int) -> int | None:
        """Where the row of whole cells ends that begins at ``start``; ``None`` if none does."""
        place = self._last_cell(content, start, len(content))
        match = self.cell.match(content, place)
        if match is None:
            return None
        end = match.end()
        return end if end == len(content) or content[end] in (LF, CR) else None

    def is_open(self, content: bytes, start: int, end: int) -> bool:
        """Whether a cell that has begun with a quote goes on to ``end``."""
        place = self._last_cell(content, start, end)
        return self.open.match(content, place, end) is not None

    def _last_cell(self, content: bytes, start: int, end: int) -> int:
        """Where the first cell begins behind which there is no other."""
        while match := self.cell.match(content, start, end):
            if match.end() == end or content[match.end()] != self.sign:
                break
            start = match.end() + 1
        return start


@lru_cache
def _patterns(delimiter: str) -> _Patterns:
    sign = re.escape(delimiter.encode())
    quoted = rb'"[^"]*+(?:""[^"]*+)*+'
    return _Patterns(
        cell=re.compile(rb'%b"|(?!")[^%b\r\n]*+' % (quoted, sign)),
        open=re.compile(rb"%b\Z" % quoted),
        sign=ord(delimiter),
    )

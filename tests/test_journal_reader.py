"""The reader takes whole records and nothing else, from any place of whatever it may find."""

from __future__ import annotations

import os
import sys
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from journal_files import journal, lines, numbers, paths, read_all, record, segment

from propensia.journal import reader
from propensia.journal.lines import LONGEST, line
from propensia.journal.reader import Part, Segment

COUNT = 6
DATA = b"".join(lines(COUNT))
ENDS = [len(b"".join(lines(count))) for count in range(COUNT + 1)]


def read_to_end(found: Segment, most_bytes: int = reader.MOST_BYTES) -> Part:
    """All parts of a file as one."""
    records: list[bytes] = []
    place = damaged = 0
    while (part := reader.read(found, place, most_bytes)).end != place:
        records += part.records
        place, damaged = part.end, damaged + part.damaged
    return Part(records, place, damaged)


def test_a_line_is_a_checksum_and_the_record() -> None:
    """Against the CRC-32 of ISO 3309, computed bit by bit."""
    table = []
    for byte in range(256):
        for _ in range(8):
            byte = byte >> 1 ^ (0xEDB88320 if byte & 1 else 0)
        table.append(byte)
    crc = 0xFFFFFFFF
    for byte in b'{"a":1}':
        crc = crc >> 8 ^ table[(crc ^ byte) & 0xFF]
    assert line(b'{"a":1}') == b"%08x " % (crc ^ 0xFFFFFFFF) + b'{"a":1}\n'


@pytest.mark.parametrize("start", range(COUNT + 1))
def test_reading_goes_on_from_any_record(tmp_path: Path, start: int) -> None:
    found = segment(tmp_path, DATA, finished=False)
    part = reader.read(found, ENDS[start])
    assert numbers(part.records) == list(range(start, COUNT))
    assert (part.end, part.damaged) == (len(DATA), 0)


@pytest.mark.parametrize("finished", [False, True])
def test_a_file_torn_at_any_byte_gives_the_records_before(tmp_path: Path, finished: bool) -> None:
    """RELIABILITY D3. Of a file that is written the rest may still come; of one that is not, it
    is told, once."""
    for cut in range(len(DATA) + 1):
        whole = max(number for number in range(COUNT + 1) if ENDS[number] <= cut)
        found = segment(tmp_path, DATA[:cut], finished)
        part = reader.read(found, 0, LONGEST)
        assert numbers(part.records) == list(range(whole))
        torn = cut > ENDS[whole]
        assert part.damaged == (torn and finished)
        assert part.end == (cut if finished else ENDS[whole])
        again = reader.read(found, part.end, LONGEST)
        assert (again.records, again.end, again.damaged) == ([], part.end, 0)
        if not finished:
            rest = reader.read(segment(tmp_path, DATA, finished), part.end)
            assert numbers(part.records + rest.records) == list(range(COUNT))


@given(st.data(), st.booleans())
def test_a_changed_byte_takes_the_records_that_it_is_in_and_no_other(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject, finished: bool
) -> None:
    place = data.draw(st.integers(0, len(DATA) - 1))
    new = data.draw(st.integers(0, 255).filter(lambda byte: byte != DATA[place]))
    found = segment(
        tmp_path_factory.mktemp("flip"), DATA[:place] + bytes([new]) + DATA[place + 1 :], finished
    )
    hit = next(number for number in range(COUNT) if place < ENDS[number + 1])
    lost = {hit}
    if place == ENDS[hit + 1] - 1:  # a line end: two lines became one
        lost.add(hit + 1)
    part = reader.read(found, 0, LONGEST)
    assert numbers(part.records) == [number for number in range(COUNT) if number not in lost]
    tail = max(lost) >= COUNT - 1
    if finished or not tail:
        assert 1 <= part.damaged <= 2 and part.end == len(DATA)
    else:
        assert not part.damaged and part.end == ENDS[min(lost)]


@given(st.lists(st.one_of(st.integers(0, 50), st.binary(max_size=40)), max_size=30))
def test_between_whatever_else_there_is_every_whole_line_is_found(
    tmp_path_factory: pytest.TempPathFactory, parts: list[int | bytes]
) -> None:
    """Torn writes of every kind, each ended by a line end, as when a file were written on."""
    data = b"".join(
        part + b"\n" if isinstance(part, bytes) else line(record(part)) for part in parts
    )
    wanted = [part for part in parts if isinstance(part, int)]
    found = segment(tmp_path_factory.mktemp("mixed"), data)
    part = reader.read(found, 0, LONGEST)
    assert numbers(part.records) == wanted
    assert part.end == len(data)
    assert part.damaged == data.count(b"\n") - len(wanted)


def test_a_long_file_comes_in_parts_and_none_twice(tmp_path: Path) -> None:
    big = [line(b"%07d" % number + b"x" * 5000) for number in range(1200)]
    found = segment(tmp_path, b"".join(big) + b"torn")
    parts = read_to_end(found, LONGEST)
    assert [int(one[:7]) for one in parts.records] == list(range(1200))
    assert (parts.end, parts.damaged) == (found.path.stat().st_size, 1)


@pytest.mark.parametrize("finished", [False, True])
def test_neither_a_long_line_nor_long_damage_stalls_it(tmp_path: Path, finished: bool) -> None:
    rubbish = [b"\0" * (3 * LONGEST), b"x\n" * LONGEST]
    for wrong in rubbish:
        data = line(record(1)) + wrong + b"\n" + line(record(2))
        parts = read_to_end(segment(tmp_path, data, finished), LONGEST)
        assert numbers(parts.records) == [1, 2]
        assert parts.damaged >= 1 and parts.end == len(data)


def test_the_longest_record_is_read_with_the_shortest_read(tmp_path: Path) -> None:
    longest = b"x" * (LONGEST - 10)
    found = segment(tmp_path, line(record(1)) + line(longest) + line(record(2)), finished=False)
    assert len(read_to_end(found, 1).records) == 3


def test_the_first_record_is_the_first_that_is_whole(tmp_path: Path) -> None:
    for start in range(COUNT):
        one = reader.first(segment(tmp_path, DATA), ENDS[start])
        assert one is not None and numbers([one]) == [start]
    assert reader.first(segment(tmp_path, DATA), len(DATA)) is None
    assert reader.first(segment(tmp_path, DATA[: ENDS[1] - 1]), 0) is None
    damaged = b"\0" + DATA[1 : ENDS[1]] + b"x\n" + line(record(7)) + line(record(8))
    (found,) = numbers([reader.first(segment(tmp_path, damaged), 0) or b""])
    assert found == 7
    longest = b"x" * (LONGEST - 10)
    assert reader.first(segment(tmp_path, line(longest)), 0) == longest


def test_for_the_first_record_no_more_is_read_than_it_takes(tmp_path: Path) -> None:
    many = segment(tmp_path, b"".join(lines(1000)) * 30)
    rubbish = tmp_path / f"{'b' * 16}-000001.journal"
    rubbish.write_bytes(b"\0" * (3 * LONGEST) + b"\n" + line(record(1)))
    for found, most in ((many, 1 << 16), (Segment(rubbish, True), LONGEST + (1 << 16))):
        tracemalloc.start()
        reader.first(found, 0)
        taken = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert taken < 3 * most
    assert reader.first(Segment(rubbish, True), 0) is None


def test_a_file_that_became_shorter_gives_nothing_and_no_error(tmp_path: Path) -> None:
    found = segment(tmp_path, DATA)
    assert reader.read(found, len(DATA) + 100) == Part([], len(DATA) + 100, 0)


def test_reading_a_part_takes_memory_for_that_part_only(tmp_path: Path) -> None:
    """RELIABILITY D9: however long the journal is."""
    found = segment(tmp_path, b"".join(lines(1000)) * 300)
    size = found.path.stat().st_size
    assert size > 10 * reader.MOST_BYTES
    tracemalloc.start()
    reader.read(found, size // 2)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert most < 6 * reader.MOST_BYTES


def test_other_files_in_the_folder_are_no_journal(tmp_path: Path) -> None:
    kept = journal(tmp_path)
    kept.append(record(1))
    for name in ("x.journal", f"{'0' * 16}-1.journal", f"{'g' * 16}-000001.journal", "reserve"):
        (tmp_path / "journal" / name).write_bytes(DATA)
    assert numbers(read_all(tmp_path)[0]) == [1]
    assert reader.segments(tmp_path / "nothing") == []


def test_the_order_is_that_of_writing_also_after_a_million_files(tmp_path: Path) -> None:
    folder = tmp_path / "journal"
    folder.mkdir()
    names = [f"{'a' * 16}-{number:06d}.journal" for number in (1000000, 999999, 2, 10)]
    for name in names:
        (folder / name).write_bytes(b"")
    found = [one.path.name for one in reader.segments(folder)]
    assert found == [names[2], names[3], names[1], names[0]]


@pytest.mark.skipif(sys.platform == "win32", reason="links need rights there")
def test_a_pipe_in_the_folder_does_not_block_it(tmp_path: Path) -> None:
    folder = tmp_path / "journal"
    folder.mkdir()
    os.mkfifo(folder / f"{'0' * 16}-000001.journal")
    with pytest.raises(OSError, match="not a regular file"):
        reader.read(reader.segments(folder)[0], 0)


def test_a_record_is_seen_while_its_file_is_written_on(tmp_path: Path) -> None:
    kept = journal(tmp_path)
    place = 0
    for number in range(30):
        kept.append(record(number))
        (one,) = reader.segments(tmp_path / "journal")
        part = reader.read(one, place)
        assert numbers(part.records) == [number]
        place = part.end
    assert place == paths(tmp_path)[0].stat().st_size


def test_a_missing_lock_says_nothing_while_the_file_is_young(tmp_path: Path) -> None:
    """Somebody may have removed it, and its process still writes."""
    folder = tmp_path / "journal"
    folder.mkdir()
    path = folder / f"{'a' * 16}-000001.journal"
    path.write_bytes(DATA)
    assert [one.finished for one in reader.segments(folder)] == [False]
    assert list(folder.glob("*.lock")) == []
    old = path.stat().st_mtime - reader.YOUNG_S - 1
    os.utime(path, (old, old))
    assert [one.finished for one in reader.segments(folder)] == [True]


def test_a_lock_that_nobody_can_open_is_told_and_keeps_no_other_file_back(tmp_path: Path) -> None:
    folder = tmp_path / "journal"
    folder.mkdir()
    for owner in "ab":
        (folder / f"{owner * 16}-000001.journal").write_bytes(DATA)
    (folder / f"{'a' * 16}.lock").mkdir()
    (folder / f"{'c' * 16}.lock").mkdir()
    (folder / f"{'b' * 16}.lock").touch()
    first, second = reader.segments(folder)
    assert not first.finished and first.wrong.startswith(f"{'a' * 16}.lock: ")
    assert second.finished and not second.wrong
    reader.sweep(folder)


def test_a_folder_that_cannot_be_listed_is_no_empty_one(tmp_path: Path) -> None:
    (tmp_path / "journal").write_text("in the way", encoding="utf-8")
    with pytest.raises(OSError):
        reader.segments(tmp_path / "journal")

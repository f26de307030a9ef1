"""The journal keeps what it says it keeps, whatever call to the system fails."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from unittest.mock import patch

import psutil  # type: ignore[import-untyped]  # psutil ships no types
import pytest
from journal_files import SYSTEM, Call, failing, half, journal, numbers, paths, read_all, record

import propensia
from propensia import files, locks
from propensia.journal import reader, writer
from propensia.journal.lines import LONGEST
from propensia.journal.writer import Journal, JournalError

ROOT = Path(propensia.__file__).parent.parent
RECORDS = 200
SMALL_FILE = 8192


def append_all(kept: Journal, count: int = RECORDS, tick_every: int = 10) -> list[int]:
    """Append records, with a tick now and then; the numbers of those that were confirmed."""
    confirmed = []
    for number in range(count):
        try:
            kept.append(record(number))
            confirmed.append(number)
        except JournalError:
            pass
        if number % tick_every == 0:
            with contextlib.suppress(JournalError):
                kept.tick()
    return confirmed


def test_what_is_appended_is_there_at_once_in_order(tmp_path: Path) -> None:
    kept = journal(tmp_path)
    kept.append(record(0))
    kept.append(record(1), record(2))
    assert numbers(read_all(tmp_path)[0]) == [0, 1, 2]


def test_only_this_account_may_read_it(tmp_path: Path) -> None:
    if sys.platform == "win32":
        pytest.skip("on Windows the rights of the folder count")
    journal(tmp_path).append(record(0))
    assert [stat.S_IMODE(path.stat().st_mode) for path in paths(tmp_path)] == [0o600]


def test_a_full_file_is_left_for_the_next(tmp_path: Path) -> None:
    kept = journal(tmp_path, file_bytes=1000)
    assert append_all(kept) == list(range(RECORDS))
    assert len(paths(tmp_path)) > 10
    assert all(path.stat().st_size <= 1000 for path in paths(tmp_path))
    found, damaged = read_all(tmp_path)
    assert numbers(found) == list(range(RECORDS)) and not damaged
    finished = [segment.finished for segment in reader.segments(tmp_path / "journal")]
    assert finished[:-1] == [True] * (len(finished) - 1) and not finished[-1]


def test_more_than_a_file_takes_goes_into_one_of_its_own(tmp_path: Path) -> None:
    kept = journal(tmp_path, file_bytes=100)
    kept.append(*map(record, range(20)))
    kept.append(record(20))
    assert len(paths(tmp_path)) == 2
    assert numbers(read_all(tmp_path)[0]) == list(range(21))


def test_an_idle_process_leaves_its_old_file(tmp_path: Path) -> None:
    kept = Journal(tmp_path / "journal", 60.0, 1 << 20, file_s=0.0)
    kept.append(record(0))
    assert [segment.finished for segment in reader.segments(tmp_path / "journal")] == [False]
    time.sleep(0.01)
    kept.tick()
    assert [segment.finished for segment in reader.segments(tmp_path / "journal")] == [True]
    kept.append(record(1))
    states = sorted(segment.finished for segment in reader.segments(tmp_path / "journal"))
    assert states == [False, True]
    assert sorted(numbers(read_all(tmp_path)[0])) == [0, 1]


def test_a_closed_journal_is_finished_and_may_go_on(tmp_path: Path) -> None:
    kept = journal(tmp_path)
    kept.append(record(0))
    kept.close()
    assert all(segment.finished for segment in reader.segments(tmp_path / "journal"))
    kept.append(record(1))
    assert sorted(numbers(read_all(tmp_path)[0])) == [0, 1]


def test_a_record_that_no_reader_would_take_is_refused(tmp_path: Path) -> None:
    kept = journal(tmp_path)
    with pytest.raises(JournalError, match="too long"):
        kept.append(b"x" * LONGEST)
    kept.append(b"x" * (LONGEST - 10))
    assert [len(one) for one in read_all(tmp_path)[0]] == [LONGEST - 10]


# Failures (RELIABILITY D3, D4)

CALLS = [("write", None), ("write", half), ("fsync", None), ("open", None), ("mkdir", None)]

TO_DISK = ("fsync", "open")
"""Where one fails, what a file holds is not sure, and is written again; a folder is opened so that
the names in it come to the disk."""


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """No waiting: neither for the disk, which is not what fails here, nor after a failure."""
    monkeypatch.setattr(os, "fsync", lambda file: None)
    monkeypatch.setitem(SYSTEM, "fsync", lambda file: None)
    monkeypatch.setattr(writer, "AGAIN_S", 0.0)


def run(folder: Path, sync_s: float) -> list[int]:
    """Write 200 records into some files; the numbers of those that were confirmed."""
    kept = journal(folder, sync_s, SMALL_FILE)
    confirmed = append_all(kept)
    with contextlib.suppress(JournalError):
        kept.close()
    return confirmed


@pytest.mark.parametrize("sync_s", [0.0, 60.0])
@pytest.mark.parametrize(("name", "how"), CALLS)
def test_one_failed_call_loses_nothing_and_refuses_nobody(
    tmp_path: Path, quick: None, name: str, how: Call | None, sync_s: float
) -> None:
    """The Nth call fails, for every N of a run of 200 records."""
    failed, nth = [0], 0
    while failed:
        nth += 1
        folder = tmp_path / str(nth)
        folder.mkdir()
        with failing(name, lambda n, nth=nth: n == nth, how) as failed:  # type: ignore[misc]
            assert run(folder, sync_s) == list(range(RECORDS))
        found, damaged = read_all(folder)
        assert sorted(set(numbers(found))) == list(range(RECORDS)) and not damaged
        assert len(found) == RECORDS or name in TO_DISK, "twice"
    assert nth > (1 if name == "mkdir" else 5)


def test_half_a_record_that_cannot_be_cut_off_is_the_end_of_a_file(
    tmp_path: Path, quick: None
) -> None:
    with (
        failing("ftruncate", lambda n: True) as uncut,
        failing("write", lambda n: n % 20 == 0, half),
    ):
        assert run(tmp_path, 60.0) == list(range(RECORDS))
    found, damaged = read_all(tmp_path)
    assert numbers(found) == list(range(RECORDS))
    assert damaged == len(uncut) > 5, "each is told"


@pytest.mark.parametrize("sync_s", [0.0, 60.0])
@pytest.mark.parametrize(("name", "how"), CALLS[:4])
def test_while_a_call_fails_nothing_is_confirmed_that_is_not_kept(
    tmp_path: Path, quick: None, name: str, how: Call | None, sync_s: float
) -> None:
    """From the Nth call on for 50 calls, for some N."""
    for nth in (1, 2, 3, 5, 17, 60, 118):
        folder = tmp_path / str(nth)
        folder.mkdir()
        with failing(name, lambda n, nth=nth: nth <= n < nth + 50, how):  # type: ignore[misc]
            confirmed = run(folder, sync_s)
        found, _ = read_all(folder)
        if name != "fsync" or not sync_s:
            assert set(numbers(found)) >= set(confirmed)
        kept = set(numbers(found))
        assert len(found) == len(kept) or name in TO_DISK, "twice"


def test_a_failed_write_refuses_at_once_until_it_works_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "AGAIN_S", 3600.0)
    kept = journal(tmp_path)
    kept.append(record(0))
    with failing("write", lambda n: True) as failed:
        for _ in range(10):
            with pytest.raises(JournalError, match="Input/output error"):
                kept.append(record(1))
        assert len(failed) == 2, "only the first tried, in one file and in another"
        with pytest.raises(JournalError):
            kept.tick()
    assert kept.failure is not None
    kept.tick()
    assert kept.failure is None
    kept.append(record(2))
    assert numbers(read_all(tmp_path)[0]) == [0, 2]
    assert [entry.levelname for entry in caplog.records] == ["ERROR", "WARNING"], "said once"
    assert len(paths(tmp_path)) == 2, "files without records are removed"


def test_without_a_tick_it_finds_out_by_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "AGAIN_S", 0.05)
    kept = journal(tmp_path)
    with failing("write", lambda n: True), pytest.raises(JournalError):
        kept.append(record(1))
    time.sleep(0.06)
    kept.append(record(2))
    assert numbers(read_all(tmp_path)[0]) == [2]


def test_what_a_failed_fsync_leaves_unsure_is_written_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The file is closed for good: asked again, the system would say that all is well."""
    kept = journal(tmp_path, sync_s=0.1)
    synced: list[int] = []

    def fails(real: Call, file: int) -> None:
        synced.append(os.fstat(file).st_ino)
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    for number in range(3):
        kept.append(record(number))
    first = paths(tmp_path)[0].stat().st_ino
    time.sleep(0.06)
    with failing("fsync", lambda n: n == 1, fails):
        kept.tick()
    assert synced == [first] and kept.is_disk_broken and kept.failure is None
    kept.append(record(3))
    segments = reader.segments(tmp_path / "journal")
    second = reader.read(segments[1], 0)
    assert segments[0].finished and numbers(second.records) == [0, 1, 2, 3]
    assert "ERROR" in [entry.levelname for entry in caplog.records]


def test_records_wait_in_memory_while_the_disk_fails_and_come_once_it_works(
    tmp_path: Path, quick: None
) -> None:
    kept = journal(tmp_path, sync_s=0.0)
    kept.append(record(0))
    with failing("fsync", lambda n: True):
        for number in range(1, 50):
            with pytest.raises(JournalError):
                kept.append(record(number))
    kept.tick()
    kept.append(record(50))
    assert set(numbers(read_all(tmp_path)[0])) >= {0, 50}


def test_no_more_than_some_megabytes_wait_for_the_disk(tmp_path: Path) -> None:
    kept = journal(tmp_path, sync_s=60.0, file_bytes=64 << 20)
    with failing("fsync", lambda n: False) as _, patch.object(os, "fsync", wraps=os.fsync) as sync:
        for _ in range(9):
            kept.append(b"x" * (1 << 19))
    assert sync.call_count >= 1


def test_a_disk_that_is_nearly_full_is_left_to_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = journal(tmp_path)
    kept.append(record(0))
    usage = shutil.disk_usage(tmp_path)
    with monkeypatch.context() as patched:
        patched.setattr(shutil, "disk_usage", lambda path: usage._replace(free=1 << 20))
        with pytest.raises(JournalError, match="No space"):
            kept.tick()
        with pytest.raises(JournalError, match="No space"):
            kept.append(record(1))
    kept.tick()
    kept.append(record(2))
    assert numbers(read_all(tmp_path)[0]) == [0, 2]


# Threads and processes


def test_threads_that_wait_for_the_disk_share_it(tmp_path: Path) -> None:
    """While one waits, the others write; then one of them waits for all."""
    kept = journal(tmp_path, sync_s=0.0)
    kept.append(record(0))  # the names of files come to the disk with the first
    covered: list[int] = []
    early: list[int] = []

    def slow(real: Call, file: int) -> None:
        size = os.fstat(file).st_size  # of what comes later nothing is sure
        wait_until = time.monotonic() + 30
        while len(read_all(tmp_path)[0]) < 17 and time.monotonic() < wait_until:
            time.sleep(0.005)
        covered.append(size)

    def work(number: int) -> None:
        one = record(number)
        kept.append(one)
        end = paths(tmp_path)[0].read_bytes().index(one) + len(one)
        if end > max(covered, default=0):
            early.append(number)

    with failing("fsync", lambda n: True, slow):
        together([lambda number=number: work(number) for number in range(1, 17)])  # type: ignore[misc]
    assert not early, "answered before the record was on the disk"
    assert len(covered) <= 2
    assert sorted(numbers(read_all(tmp_path)[0])) == list(range(17))


def test_threads_with_small_files_and_ticks_lose_nothing(tmp_path: Path) -> None:
    kept = Journal(tmp_path / "journal", 0.0, 4096, 0.001)

    def work(start: int) -> None:
        for number in range(start, start + 100):
            kept.append(record(number))

    def tick() -> None:
        for _ in range(50):
            kept.tick()

    together([*[lambda start=start: work(start) for start in range(0, 800, 100)], tick])
    found, damaged = read_all(tmp_path)
    assert sorted(numbers(found)) == list(range(800)) and not damaged


def together(jobs: list[Callable[[], object]]) -> None:
    """Run all at once; whatever one raises is raised."""
    with ThreadPoolExecutor(len(jobs)) as pool:
        for done in [pool.submit(job) for job in jobs]:
            done.result()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="only POSIX systems fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_fork_writes_files_of_its_own_and_leaves_its_parent_alone(tmp_path: Path) -> None:
    kept = journal(tmp_path)
    kept.append(record(0))
    child = os.fork()
    if not child:
        try:
            kept.open()
            kept.append(record(1))
            kept.close()
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    kept.append(record(2))
    listed = reader.segments(tmp_path / "journal")
    by_numbers = {tuple(numbers(reader.read(one, 0).records)): one.finished for one in listed}
    assert by_numbers == {(0, 2): False, (1,): True}


@pytest.mark.skipif(not hasattr(os, "fork"), reason="only POSIX systems fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_child_that_lives_on_does_not_hold_its_parents_files(tmp_path: Path) -> None:
    """A worker outlives the process that forked it: the files of that one are finished then."""
    source = """
import os, sys, time
sys.path.insert(0, sys.argv[2])
from pathlib import Path
from propensia.journal.writer import Journal
kept = Journal(Path(sys.argv[1]), 60.0, 1 << 20, 3600.0)
kept.append(b"parent")
if not os.fork():
    kept.open()
    kept.append(b"child")
    print("ready", flush=True)
    time.sleep(60)
os._exit(0)
"""
    folder = tmp_path / "journal"
    command = [sys.executable, "-c", source, str(folder), str(ROOT)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stdin=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == b"ready\n"
        parent.wait()
        states = {
            tuple(reader.read(one, 0).records): one.finished for one in reader.segments(folder)
        }
        assert states == {(b"parent",): True, (b"child",): False}
        held = [one.path for one in reader.segments(folder) if not one.finished]
        for process in psutil.process_iter(["cmdline"]):
            if str(folder) in (process.info["cmdline"] or []):
                process.kill()
    assert len(held) == 1


# The locks of those that are gone


def test_the_lock_of_a_process_that_left_nothing_is_removed(tmp_path: Path) -> None:
    folder = tmp_path / "journal"
    gone, lives, left = journal(tmp_path), journal(tmp_path), journal(tmp_path)
    for kept in (gone, lives, left):
        kept.append(record(0))
    (segment_of_gone, *_) = [one for one in paths(tmp_path) if one.stem[:16] == gone._owner]
    gone.close()
    left.close()
    reader.forget(folder, gone._owner)
    assert len(list(folder.glob("*.lock"))) == 3, "there is still something to ship"
    segment_of_gone.unlink()
    reader.sweep(folder)
    owners = {path.stem for path in folder.glob("*.lock")}
    assert owners == {lives._owner, left._owner}
    reader.forget(folder, lives._owner)
    reader.forget(folder, gone._owner)
    assert {path.stem for path in folder.glob("*.lock")} == owners


def test_a_lock_that_is_removed_while_it_is_taken_is_taken_anew(tmp_path: Path) -> None:
    """Between opening the file and locking it, somebody else has removed it."""
    if sys.platform == "win32":
        pytest.skip("Windows removes no file that is open")
    path = tmp_path / "a.lock"

    def opened(real: Call, *arguments: Any) -> int:
        handle: int = real(*arguments)
        path.unlink()
        return handle

    with failing("open", lambda n: n == 1, opened):
        lock = locks.Lock(path, patience_s=1.0)
        assert lock.acquire()
    assert not locks.is_free(path)
    lock.release()
    assert locks.is_free(path)


def test_births_and_sweeps_at_once_never_lose_a_record(tmp_path: Path) -> None:
    folder = tmp_path / "journal"
    folder.mkdir()
    ended = threading.Event()

    def sweep() -> None:
        while not ended.is_set():
            reader.sweep(folder)

    def live() -> None:
        try:
            for _ in range(150):
                kept = journal(tmp_path)
                kept.append(record(1))
                mine = [one for one in reader.segments(folder) if kept._owner in one.path.name]
                assert [one.finished for one in mine] == [False]
                kept.close()
                mine[0].path.unlink()
        finally:
            ended.set()

    together([sweep, live])


# What somebody removes while it is written


@pytest.mark.skipif(sys.platform == "win32", reason="Windows removes no file that is open")
@pytest.mark.parametrize("gone", ["*.lock", "*.journal", "*"])
@pytest.mark.parametrize("sync_s", [0.0, 60.0])
def test_what_loses_its_name_is_kept_under_another(
    tmp_path: Path, gone: str, sync_s: float, caplog: pytest.LogCaptureFixture
) -> None:
    kept = journal(tmp_path, sync_s)
    for number in range(20):
        kept.append(record(number))
    for path in (tmp_path / "journal").glob(gone):
        path.unlink()
    kept.append(record(20))
    kept.tick()
    assert "was removed" in caplog.text
    kept.append(record(21))
    caplog.clear()
    kept.tick()
    assert caplog.text == ""
    assert set(numbers(read_all(tmp_path)[0])) == set(range(22))
    *_, last = sorted(
        reader.segments(tmp_path / "journal"), key=lambda one: kept._path == one.path
    )
    assert last.path == kept._path and not last.finished, "its process lives"
    assert not locks.is_free(tmp_path / "journal" / f"{kept._owner}.lock")


@pytest.mark.skipif(sys.platform == "win32", reason="Windows removes no file that is open")
def test_what_lost_its_name_is_brought_to_the_disk_again(tmp_path: Path) -> None:
    kept = journal(tmp_path, sync_s=0.0)
    kept.append(record(0))
    paths(tmp_path)[0].unlink()
    synced: list[int] = []
    with failing("fsync", lambda n: True, lambda _, file: synced.append(os.fstat(file).st_ino)):
        kept.tick()
    assert paths(tmp_path)[0].stat().st_ino in synced


@pytest.mark.skipif(sys.platform == "win32", reason="Windows removes no file that is open")
def test_what_lost_its_name_waits_in_memory_for_a_disk_that_is_full(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = journal(tmp_path)
    kept.append(record(0))
    shutil.rmtree(tmp_path / "journal")
    monkeypatch.setattr(writer, "AGAIN_S", 0.0)
    with failing("write", lambda n: True):
        for _ in range(2):
            with pytest.raises(JournalError):
                kept.tick()
        with pytest.raises(JournalError):
            kept.append(record(1))
    kept.tick()
    kept.append(record(2))
    assert numbers(read_all(tmp_path)[0]) == [0, 2]


@pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root gives files away"
)
def test_what_root_writes_belongs_to_the_account_of_the_state_folder(tmp_path: Path) -> None:
    """Else the service could not read what ``propensia outcomes`` of root has left."""
    os.chown(tmp_path, 65534, 65534)
    outside = tmp_path.parent / f"{tmp_path.name}-outside"
    outside.touch()
    kept = journal(tmp_path)
    kept.append(record(0))
    made = [tmp_path / "journal", *(tmp_path / "journal").iterdir()]
    assert len(made) == 3 and {path.stat().st_uid for path in made} == {65534}
    link = tmp_path / "link"
    link.symlink_to(outside)
    files.hand_over(link, like=tmp_path)
    assert outside.stat().st_uid == 0

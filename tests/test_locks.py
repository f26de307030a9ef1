"""Locks exclude, in one process and between two, and end with whoever holds them."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from propensia import locks
from propensia.locks import Busy, Lock

ROOT = Path(locks.__file__).parent.parent
HOLDER = """
import sys, time; sys.path.insert(0, sys.argv[1])
from pathlib import Path; from propensia.locks import Lock
with Lock(Path(sys.argv[2])):
    print("held", flush=True); time.sleep(60)
"""


def test_two_locks_on_one_file_exclude_each_other(tmp_path: Path) -> None:
    path = tmp_path / "a.lock"
    with Lock(path):
        assert not locks.is_free(path)
        with pytest.raises(Busy), Lock(path):
            pass
    assert locks.is_free(path)
    with Lock(path):
        pass


def test_a_patient_lock_waits_for_the_other_to_end(tmp_path: Path) -> None:
    path = tmp_path / "a.lock"
    first = Lock(path)
    assert first.acquire()
    begin = time.monotonic()
    threading.Timer(0.3, first.release).start()
    with Lock(path, patience_s=20):
        assert 0.2 < time.monotonic() - begin < 15


def test_a_lock_ends_with_the_process_that_holds_it(tmp_path: Path) -> None:
    path = tmp_path / "a.lock"
    command = [sys.executable, "-c", HOLDER, str(ROOT), str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline().strip() == b"held"
        assert not locks.is_free(path)
        holder.kill()
        holder.wait()
        with Lock(path, patience_s=10):
            pass


def test_many_threads_with_a_lock_each_count_right(tmp_path: Path) -> None:
    path, counter = tmp_path / "a.lock", tmp_path / "count"
    counter.write_text("0", encoding="ascii")

    def count() -> None:
        for _ in range(20):
            with Lock(path, patience_s=30):
                number = int(counter.read_text(encoding="ascii"))
                counter.write_text(str(number + 1), encoding="ascii")

    threads = [threading.Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert counter.read_text(encoding="ascii") == "80"


def test_a_lock_whose_file_goes_each_time_it_is_got_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a disk of the network that gives another number to a file each time."""
    tries, pauses = list[Path](), list[float]()

    def goes(_: int, path: Path) -> bool:
        tries.append(path)
        assert len(tries) < 100, "it never looks at the clock"
        return False

    monkeypatch.setattr(locks, "has_name", goes)
    assert not Lock(tmp_path / "a.lock").acquire()
    assert len(tries) == 1
    here, real = threading.get_ident(), time.sleep

    def sleep(seconds: float) -> None:
        if threading.get_ident() == here:  # not of what other tests left running
            pauses.append(seconds)
        real(seconds)

    monkeypatch.setattr(time, "sleep", sleep)
    assert not Lock(tmp_path / "a.lock", patience_s=1.0).acquire()
    assert set(pauses) == {locks.PAUSE_S}
    monkeypatch.undo()
    assert locks.is_free(tmp_path / "a.lock")


def test_a_lock_without_its_folder_is_an_error_of_the_machine(tmp_path: Path) -> None:
    with pytest.raises(OSError):
        Lock(tmp_path / "nowhere" / "a.lock").acquire()

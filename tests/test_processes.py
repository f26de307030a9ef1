"""Children are bounded in time, memory and output, and nothing of them is left behind."""

from __future__ import annotations

import os
import sys
import threading
import time
from pathlib import Path

import psutil  # type: ignore[import-untyped]  # ships no types
import pytest

from propensia import processes

CHILD = "tests.children"
posix = pytest.mark.skipif(sys.platform == "win32", reason="no process groups, no limits")
linux = pytest.mark.skipif(sys.platform != "linux", reason="limits as Linux has them")


def gone(pid: int) -> bool:
    """Whether a process has ended; one that nobody has asked about yet counts."""
    try:
        return bool(psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return True


def test_a_child_that_takes_too_long_is_killed_in_time() -> None:
    begin = time.monotonic()
    finished = processes.run(CHILD, "sleep", timeout_s=1.0)
    assert finished.timed_out and finished.too_long
    assert time.monotonic() - begin < 10


def test_only_the_end_of_a_flood_of_errors_is_kept() -> None:
    finished = processes.run(CHILD, "shout", timeout_s=30)
    assert finished.code == 3
    assert finished.errors.endswith("end")
    assert len(finished.errors) == processes.LAST_BYTES


@posix
@pytest.mark.parametrize("then", ["wait", "go"])
def test_a_grandchild_neither_keeps_us_waiting_nor_stays(tmp_path: Path, then: str) -> None:
    note = tmp_path / "pid"
    begin = time.monotonic()
    timeout_s, most_s = {"wait": (8.0, 16.0), "go": (30.0, 20.0)}[then]
    finished = processes.run(CHILD, "grandchild", str(note), then, timeout_s=timeout_s)
    assert finished.timed_out == (then == "wait")
    assert time.monotonic() - begin < most_s
    pid = int(note.read_text(encoding="utf-8"))
    deadline = time.monotonic() + 5
    while not gone(pid):
        assert time.monotonic() < deadline, "the grandchild lives on"
        time.sleep(0.02)


@linux
def test_a_child_over_its_processor_time_is_called_too_slow() -> None:
    finished = processes.run(CHILD, "spin", timeout_s=30)
    assert not finished.timed_out
    assert finished.too_long


@linux
def test_a_child_over_its_memory_fails_to_get_it() -> None:
    finished = processes.run(CHILD, "memory", timeout_s=30)
    assert finished.code == 1
    assert "MemoryError" in finished.errors


@linux
def test_a_child_cannot_write_more_than_it_may(tmp_path: Path) -> None:
    finished = processes.run(CHILD, "file", str(tmp_path / "big"), timeout_s=30)
    assert finished.code != 0
    assert (tmp_path / "big").stat().st_size <= 1 << 20


@linux
def test_a_confined_child_says_what_is_on() -> None:
    finished = processes.run(CHILD, "memory", timeout_s=30)
    for layer in ("memoria", "procesador", "ficheros", "abiertos", "volcados"):
        assert layer in finished.errors


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a rank is not a thread's own")
def test_a_thread_that_gives_way_takes_no_other_with_it() -> None:
    found = []

    def waits() -> None:
        processes.give_way()
        found.append(os.getpriority(os.PRIO_PROCESS, threading.get_native_id()))

    thread = threading.Thread(target=waits)
    own = os.getpriority(os.PRIO_PROCESS, threading.get_native_id())
    thread.start()
    thread.join()
    assert found == [max(own, processes.GIVES_WAY)] and found[0] > own
    assert os.getpriority(os.PRIO_PROCESS, threading.get_native_id()) == own

"""The request log: its lines, its files, and what happens when it cannot be written."""

from __future__ import annotations

import errno
import json
import logging
import multiprocessing
import os
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from propensia.web import request_log
from propensia.web.door import Seen
from propensia.web.request_log import RequestLog, line

SEEN = Seen("GET", "/prediccion", 200, "0a1b2c", "0123456789ab", 0.001234567, "crm")
linux = pytest.mark.skipif(os.name != "posix", reason="other processes append on POSIX only")


def written(state: Path) -> list[dict[str, object]]:
    """Every line of every file, in the order of the files' names."""
    paths = sorted((state / "logs").iterdir())
    lines = [text for path in paths for text in path.read_bytes().split(b"\n")]
    return [json.loads(text) for text in lines if text]


def opened(state: Path, days: int = 30) -> RequestLog:
    """A log that is ready to be written to."""
    made = RequestLog(state, days)
    made.tick()
    return made


# Lines


def test_a_line_says_when_what_who_and_how_long() -> None:
    moment = datetime(2026, 3, 9, 8, 7, 6, 54_321, tzinfo=UTC).timestamp()
    assert json.loads(line(SEEN, moment, 77)) == {
        "time": "2026-03-09T08:07:06.054Z",
        "id": "0a1b2c",
        "method": "GET",
        "route": "/prediccion",
        "status": 200,
        "version": "0123456789ab",
        "ms": 1.235,
        "caller": "crm",
        "pid": 77,
    }


@given(
    texts=st.tuples(*[st.text(st.characters(), max_size=60)] * 5),
    status=st.integers(100, 599),
    seconds=st.floats(0, 1e6),
    now=st.floats(0, 4e9),
)
def test_a_line_is_what_json_itself_writes_whatever_is_in_it(
    texts: tuple[str, ...], status: int, seconds: float, now: float
) -> None:
    id, method, route, version, caller = texts
    data = line(Seen(method, route, status, id, version, seconds, caller), now, 1)
    row = json.loads(data)
    assert [row[name] for name in ("id", "method", "route", "version", "caller")] == list(texts)
    assert data == json.dumps(row, separators=(",", ":")).encode() + b"\n"
    assert data.isascii() and data.decode().isprintable() is False  # but for the line end:
    assert data[:-1].decode().isprintable()
    assert abs(datetime.fromisoformat(row["time"]).timestamp() - now) <= 0.002
    assert abs(row["ms"] - seconds * 1000) <= 0.001


@pytest.mark.parametrize("text", ['a\n{"status":200}', "\r\n", "\u2028", "\x1b[2J", '","pid":1'])
def test_a_name_cannot_forge_a_line_or_a_field(text: str, tmp_path: Path) -> None:
    log = opened(tmp_path)
    log.tell(Seen("GET", "/", 401, "", "", 0.0, text))
    log.tell(SEEN)
    assert [row["caller"] for row in written(tmp_path)] == [text, "crm"]
    assert [row["status"] for row in written(tmp_path)] == [401, 200]


def test_a_very_long_name_is_cut(tmp_path: Path) -> None:
    log = opened(tmp_path)
    log.tell(Seen("GET", "/", 200, "", "", 0.0, "x" * 100_000))
    assert written(tmp_path)[0]["caller"] == "x" * request_log.LONGEST_NAME


# Files


def test_a_day_has_a_file_whose_name_is_the_date_in_utc(tmp_path: Path) -> None:
    before = datetime.now(UTC).date()
    opened(tmp_path).tell(SEEN)
    names = [path.name for path in (tmp_path / "logs").iterdir()]
    assert names in [[f"requests-{day}.jsonl"] for day in (before, datetime.now(UTC).date())]


@pytest.mark.skipif(os.name != "posix", reason="rights of POSIX")
def test_a_file_is_not_for_every_account_of_the_machine(tmp_path: Path) -> None:
    opened(tmp_path).tell(SEEN)
    (path,) = (tmp_path / "logs").iterdir()
    assert path.stat().st_mode & 0o007 == 0


class Calendar(datetime):
    """Stands for the clock: ``today`` is what a test sets."""

    today_is = datetime(2026, 12, 31, 23, 59, tzinfo=UTC)

    @classmethod
    def now(cls, tz: object = None) -> Calendar:  # type: ignore[override]
        """The moment that a test chose."""
        return cls.today_is  # type: ignore[return-value]


def test_at_midnight_lines_go_to_the_file_of_the_new_day(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(request_log, "datetime", Calendar)
    monkeypatch.setattr(Calendar, "today_is", datetime(2026, 12, 31, 23, 59, tzinfo=UTC))
    log = opened(tmp_path)
    log.tell(SEEN)
    monkeypatch.setattr(Calendar, "today_is", datetime(2027, 1, 1, tzinfo=UTC))
    log.tick()
    log.tell(SEEN)
    names = [path.name for path in sorted((tmp_path / "logs").iterdir())]
    assert names == ["requests-2026-12-31.jsonl", "requests-2027-01-01.jsonl"]
    assert len(written(tmp_path)) == 2


def test_a_line_that_is_just_being_written_at_midnight_goes_to_no_other_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The number of a closed file is given to the next that opens: a caller's connection."""
    monkeypatch.setattr(request_log, "datetime", Calendar)
    log = opened(tmp_path)
    held = log._open
    assert held is not None
    monkeypatch.setattr(Calendar, "today_is", datetime(2027, 1, 1, tzinfo=UTC))
    log.tick()
    stranger = os.open(tmp_path / "stranger", os.O_CREAT | os.O_WRONLY)
    os.write(held.descriptor, b"late")
    os.close(stranger)
    assert (tmp_path / "stranger").read_bytes() == b""
    assert (tmp_path / "logs" / "requests-2026-12-31.jsonl").read_bytes() == b"late"


def test_files_do_not_pile_up_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(request_log, "datetime", Calendar)
    log = RequestLog(tmp_path, 30)
    numbers = set()
    for day in range(1, 29):
        monkeypatch.setattr(Calendar, "today_is", datetime(2027, 2, day, tzinfo=UTC))
        log.tick()
        assert log._open is not None
        numbers.add(log._open.descriptor)
    assert len(numbers) <= 3


def test_days_are_kept_as_many_as_the_setting_says(tmp_path: Path) -> None:
    folder = tmp_path / "logs"
    folder.mkdir()
    today = datetime.now(UTC).date()
    for age in range(6):
        (folder / f"requests-{today - timedelta(days=age)}.jsonl").write_bytes(b"")
    (folder / "notas.txt").write_bytes(b"")
    (folder / "requests-antiguo.jsonl").write_bytes(b"")
    opened(tmp_path, days=2)
    kept = [f"requests-{today - timedelta(days=age)}.jsonl" for age in (2, 1, 0)]
    assert sorted(path.name for path in folder.iterdir()) == sorted(
        ["notas.txt", "requests-antiguo.jsonl", *kept]
    )


def test_no_days_mean_no_log_and_the_old_ones_go(tmp_path: Path) -> None:
    folder = tmp_path / "logs"
    folder.mkdir()
    (folder / "requests-2020-01-01.jsonl").write_bytes(b"{}\n")
    log = opened(tmp_path, days=0)
    log.tell(SEEN)
    assert list(folder.iterdir()) == []
    assert log.problem is None


def test_a_process_that_never_ticked_writes_nothing_and_fails_nobody(tmp_path: Path) -> None:
    RequestLog(tmp_path, 30).tell(SEEN)
    assert list(tmp_path.iterdir()) == []


def _many(state: Path, name: str, count: int) -> None:
    log = opened(state)
    threads = [
        threading.Thread(
            target=lambda n: [
                log.tell(Seen("GET", "/" + "r" * (n * 17 % 80), 200, f"{name}-{n}-{i}", "", 0, ""))
                for i in range(count)
            ],
            args=(n,),
        )
        for n in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


@linux
def test_lines_of_several_processes_and_threads_never_mix(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=_many, args=(tmp_path, f"w{n}", 2000)) for n in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [worker.exitcode for worker in workers] == [0, 0, 0]
    ids = [row["id"] for row in written(tmp_path)]
    assert len(ids) == len(set(ids)) == 3 * 4 * 2000


# When it cannot be written


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="the full disk of Linux")
def test_a_full_disk_breaks_nothing_is_told_once_and_ends_when_there_is_room(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = opened(tmp_path)
    assert log.problem is None
    good = log._open
    assert good is not None
    full = os.open("/dev/full", os.O_WRONLY)
    monkeypatch.setattr(log, "_open", request_log._Open(good.path, full))
    for _ in range(100):
        log.tell(SEEN)
    assert log.problem == "no se puede escribir el registro de peticiones (ENOSPC)"
    assert [record.getMessage() for record in caplog.records] == [
        "the request log cannot be written: ENOSPC"
    ]
    monkeypatch.setattr(log, "_open", good)
    os.close(full)
    log.tell(SEEN)
    assert log.problem is None
    assert len(written(tmp_path)) == 1


@linux
def test_half_a_line_costs_no_other_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that fills up takes the beginning of a line."""
    log = opened(tmp_path)
    write = os.write
    with monkeypatch.context() as patch:
        patch.setattr(os, "write", lambda descriptor, data: write(descriptor, data[:20]))
        log.tell(SEEN)
    assert log.problem is not None
    log.tell(SEEN)
    log.tell(SEEN)
    assert log.problem is None
    (path,) = (tmp_path / "logs").iterdir()
    torn, first, second, end = path.read_bytes().split(b"\n")
    assert len(torn) == 20 and end == b""
    assert json.loads(first)["id"] == json.loads(second)["id"] == SEEN.id


@linux
def test_a_folder_that_is_removed_comes_back(tmp_path: Path) -> None:
    log = opened(tmp_path)
    log.tell(SEEN)
    for path in (tmp_path / "logs").iterdir():
        path.unlink()
    (tmp_path / "logs").rmdir()
    log.tell(SEEN)  # lost with the folder, and nobody hears of it
    log.tick()
    log.tell(SEEN)
    assert len(written(tmp_path)) == 1
    assert log.problem is None


def test_a_folder_that_cannot_be_made_is_told_once_and_tried_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "logs").write_bytes(b"a file is in its place")
    log = opened(tmp_path)
    log.tick()
    log.tell(SEEN)
    assert log.problem is not None and "registro de peticiones" in log.problem
    assert len(caplog.records) == 1
    (tmp_path / "logs").unlink()
    log.tick()
    assert log.problem is None
    log.tell(SEEN)
    assert len(written(tmp_path)) == 1


def test_what_goes_wrong_is_said_without_the_text_of_the_system(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = opened(tmp_path)

    def refuse(descriptor: int, data: bytes) -> int:
        raise OSError(errno.EIO, "zq7marca", "/zq7marca")

    with monkeypatch.context() as patch, caplog.at_level(logging.DEBUG):
        patch.setattr(os, "write", refuse)
        log.tell(SEEN)
    assert "EIO" in caplog.text and "zq7marca" not in caplog.text + str(log.problem)

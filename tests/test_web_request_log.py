"""The request log: its lines, its files, and what happens when it cannot be written."""

from __future__ import annotations

import errno
import json
import logging
import multiprocessing
import os
import threading
import time
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from propensia.access import keys
from propensia.settings import Settings
from propensia.web import request_log
from propensia.web.app import create_app
from propensia.web.door import Seen
from propensia.web.request_log import RequestLog, line

SEEN = Seen("GET", "/prediccion", 200, "0a1b2c", "0123456789ab", 0.001234567, "crm")
REFUSED = Seen("GET", "/prediccion", 401, "0a1b2c", "", 0.0001, "", "clave_no_valida", "sin_clave")
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


def test_the_line_of_a_refusal_says_why() -> None:
    row = json.loads(line(REFUSED, 0.0, 77))
    assert (row["status"], row["codigo"], row["causa"]) == (401, "clave_no_valida", "sin_clave")


@given(
    texts=st.tuples(*[st.text(st.characters(), min_size=1, max_size=60)] * 7),
    status=st.integers(100, 599),
    seconds=st.floats(0, 1e6),
    now=st.floats(0, 4e9),
)
def test_a_line_is_what_json_itself_writes_whatever_is_in_it(
    texts: tuple[str, ...], status: int, seconds: float, now: float
) -> None:
    id, method, route, version, caller, code, cause = texts
    seen = Seen(method, route, status, id, version, seconds, caller, code, cause)
    data = line(seen, now, 1)
    row = json.loads(data)
    names = ("id", "method", "route", "version", "caller", "codigo", "causa")
    assert [row[name] for name in names] == list(texts)
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


# Why


def test_what_is_wrong_with_a_key_is_in_the_log_and_nowhere_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = time.time()
    wrong: dict[str, dict[str, Any]] = {
        "caducada": {"expires": now - 1},
        "revocada": {"revoked": now - 1, "expires": now - 1},
        "otra_red": {"networks": keys.networks.listed("10.1.0.0/16")},
        "otra_forma": {"in_path": True},
    }
    shown = {"desconocida": "ppk_0a1b2c3d_nadie"}
    for cause, limits in wrong.items():
        shown[cause], made = keys.new(cause, "caller", now, **limits)
        keys.change(tmp_path / keys.FOLDER, lambda known, made=made: [*known, made])  # type: ignore[misc]
    seen, door = _door(tmp_path, monkeypatch)
    answers = {_ask(door, {"X-API-Key": text}) for text in shown.values()} | {_ask(door, {})}
    assert len(answers) == 1
    assert [one.cause for one in seen] == [*shown, "sin_clave"]
    assert {one.code for one in seen} == {"clave_no_valida"}
    assert [one.caller for one in seen] == ["", *wrong, ""]


def test_why_a_key_does_not_log_in_is_in_the_log_and_nowhere_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = []
    for name, limits in (("a", {"expires": 1.0}), ("b", {"in_path": True})):
        text, made = keys.new(name, "caller", time.time(), **limits)
        keys.change(tmp_path / keys.FOLDER, lambda known, made=made: [*known, made])  # type: ignore[misc]
        shown.append(text)
    seen, door = _door(tmp_path, monkeypatch)
    for text in (*shown, "ppk_0a1b2c3d_nadie", ""):
        reply = door.test_client().post("/entrar", data={"clave": text})
        assert reply.status_code == 401
        assert not any(one.cause in str(reply.headers) + reply.text for one in seen)
    causes = ["caducada", "otra_forma", "desconocida", "sin_clave"]
    assert [one.cause for one in seen] == causes


def test_every_refusal_has_its_code_in_the_log_wherever_it_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen, door = _door(tmp_path, monkeypatch)
    client = door.test_client()
    for method, path in (
        ("GET", "/prediccion?formato=json"),
        ("GET", "/prediccion?formato=html"),
        ("GET", "/nada"),
        ("GET", "/predict"),
        ("POST", "/predict"),
        ("POST", "/v2/models/nadie/infer"),
        ("GET", "/prueba"),
    ):
        client.open(path, method=method, data=b"[" if method == "POST" else None)
    told = [(one.status, one.code) for one in seen]
    assert told[-1] == (200, "") and all(code and status >= 400 for status, code in told[:-1])
    codes = [code for _, code in told]
    assert codes[2:4] == ["no_encontrado", "metodo_no_permitido"]


def _door(state: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[list[Seen], Any]:
    """What an application would write into its log, and the application."""
    chosen = Settings(state=state, models=state / "models", request_log_days=0)
    made, seen = create_app(chosen, background=False), list[Seen]()
    monkeypatch.setattr(made.wsgi_app, "_tell", seen.append)
    return seen, made


def _ask(app: Any, headers: Mapping[str, str]) -> str:
    """All of an answer but its id."""
    reply = app.test_client().get("/prediccion", headers=headers)
    return repr((reply.status, reply.headers, reply.text)).replace(
        reply.headers["X-Propensia-Id"], ""
    )


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
    log = opened(tmp_path, days=2)
    for _ in range(4):
        log.tick()
    kept = [f"requests-{today - timedelta(days=age)}.jsonl" for age in (2, 1, 0)]
    assert sorted(path.name for path in folder.iterdir()) == sorted(
        ["notas.txt", "requests-antiguo.jsonl", *kept]
    )


def test_a_clock_that_jumps_ahead_for_a_moment_costs_one_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "logs"
    folder.mkdir()
    names = {f"requests-2026-12-0{day}.jsonl" for day in range(1, 6)}
    for name in names:
        (folder / name).write_bytes(b"")
    monkeypatch.setattr(request_log, "datetime", Calendar)
    monkeypatch.setattr(Calendar, "today_is", datetime(2026, 12, 6, tzinfo=UTC))
    log = opened(tmp_path, days=5)
    for year in (2036, 2036, 2036, 2026, 2026, 2026):
        monkeypatch.setattr(Calendar, "today_is", datetime(year, 12, 6, tzinfo=UTC))
        log.tick()
    kept = {path.name for path in folder.iterdir()}
    assert names - kept == {"requests-2026-12-01.jsonl"}


def test_never_more_than_one_file_goes_at_a_time(tmp_path: Path) -> None:
    folder = tmp_path / "logs"
    folder.mkdir()
    for day in range(10, 20):
        (folder / f"requests-2020-01-{day}.jsonl").write_bytes(b"")
    log = opened(tmp_path, days=3)
    left = []
    for _ in range(9):
        left.append(len(list(folder.iterdir())))
        log.tick()
    assert left == [10, 9, 8, 7, 6, 5, 4, 4, 4]


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
                log.tell(
                    Seen("GET", "/" + "r" * (n * 17 % 80), 200, f"{name}-{n}-{i}", "", 0, "crm")
                )
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


# When there is too much to write


class Clock:
    """Stands for ``time`` in the log: a test moves it."""

    strftime, gmtime = staticmethod(time.strftime), staticmethod(time.gmtime)

    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def time(self) -> float:
        """Seconds since 1970."""
        return self.now

    monotonic = time


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The clock of the log, which stands still."""
    made = Clock()
    monkeypatch.setattr(request_log, "time", made)
    return made


def test_a_flood_without_keys_gets_few_lines_and_the_rest_is_counted(
    tmp_path: Path, clock: Clock
) -> None:
    log = opened(tmp_path)
    for _ in range(3):
        for _ in range(1000):
            log.tell(REFUSED)
        log.tick()
        clock.now += 0.5
        log.tick()
        clock.now += 0.5
    rows = written(tmp_path)
    counts = [row["omitidas"] for row in rows if "omitidas" in row]
    assert counts == [1000 - request_log.FEW] * 3
    assert len(rows) == 3 * request_log.FEW + 3
    (size,) = (path.stat().st_size for path in (tmp_path / "logs").iterdir())
    assert size * 86_400 / 3 < request_log.DAY_BYTES / 2, "a day of it, of one process"


def test_a_flood_costs_no_caller_a_line(tmp_path: Path, clock: Clock) -> None:
    log = opened(tmp_path)
    for _ in range(100):
        log.tell(REFUSED)
        log.tell(SEEN)
        log.tell(replace(SEEN, status=403, code="sin_permiso"))
    named = [row for row in written(tmp_path) if row["caller"]]
    assert len(named) == 200


def test_what_anybody_may_ask_is_no_way_to_fill_the_disk_either(
    tmp_path: Path, clock: Clock
) -> None:
    log = opened(tmp_path)
    for _ in range(1000):
        log.tell(Seen("GET", "/health/live", 200, "0a1b2c", "", 0.0, ""))
    assert len(written(tmp_path)) == request_log.FEW


def test_every_answer_has_a_line_or_is_counted(tmp_path: Path, clock: Clock) -> None:
    log = opened(tmp_path)
    threads = [
        threading.Thread(target=lambda: [log.tell(REFUSED) for _ in range(500)]) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        log.tick()
        thread.join()
    clock.now += 1
    log.tick()
    rows = written(tmp_path)
    assert sum(int(str(row.get("omitidas", 1))) for row in rows) == 4000


def test_a_count_is_a_line_like_the_others() -> None:
    data = request_log.count_line(12, 0.5, 77)
    row = {"time": "1970-01-01T00:00:00.500Z", "omitidas": 12, "pid": 77}
    assert data == json.dumps(row, separators=(",", ":")).encode() + b"\n"


def test_strangers_leave_half_of_a_day_to_callers_and_a_day_has_an_end(
    tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(request_log, "DAY_BYTES", 4 << 20)
    log = opened(tmp_path)
    (path,) = (tmp_path / "logs").iterdir()

    def lines_of(seen: Seen) -> int:
        """How many lines ten answers get, a second later."""
        clock.now += 1
        before = path.read_bytes().count(b"\n")
        for _ in range(10):
            log.tell(seen)
        return path.read_bytes().count(b"\n") - before

    def grow_to(size: int) -> None:
        os.truncate(path, size)
        log.tick()

    grow_to((2 << 20) - 1)
    assert (lines_of(REFUSED), lines_of(SEEN)) == (10, 10)
    grow_to(2 << 20)
    assert (lines_of(REFUSED), lines_of(SEEN)) == (0, 10)
    assert log.problem is None
    grow_to(4 << 20)
    assert (lines_of(REFUSED), lines_of(SEEN)) == (0, 0)
    assert (
        log.problem == "el registro de peticiones de hoy tiene 4 MiB: hasta mañana solo las cuenta"
    )
    log.tick()
    count = json.loads(path.read_bytes().splitlines()[-1].lstrip(b"\0"))
    assert count["omitidas"] == 20
    monkeypatch.setattr(request_log, "datetime", Calendar)
    monkeypatch.setattr(Calendar, "today_is", datetime(2127, 1, 1, tzinfo=UTC))
    log.tick()
    log.tell(SEEN)
    tomorrow = tmp_path / "logs" / "requests-2127-01-01.jsonl"
    assert log.problem is None and tomorrow.read_bytes().count(b"\n") == 1


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

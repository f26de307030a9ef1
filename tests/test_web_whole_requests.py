"""Requests that are whole reach the application with their body; all others never reach it."""

from __future__ import annotations

import json
import threading
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest

from propensia.web import routes
from propensia.web.door import LONGEST, REFUSAL, ROUTE
from propensia.web.quotas import WHO
from propensia.web.routes import (
    FORM_BYTES,
    ROW_BYTES,
    ROW_OF_MANY_BYTES,
    ROWS_BYTES,
    Bodies,
)
from propensia.web.whole_requests import (
    BODIES,
    MEMORY_BYTES,
    STRANGERS,
    STRANGERS_WAITING,
    WholeRequests,
)

FILE_BYTES = 3 * MEMORY_BYTES
LIMITS = {"form": FORM_BYTES, "row": ROW_BYTES, "rows": ROWS_BYTES, "file": FILE_BYTES}
PATHS = {"form": "/entrar", "row": "/predict", "rows": "/predict/batch", "file": "/modelos"}


def environment(source: Any, path: str = "/predict", **more: str) -> dict[str, Any]:
    """What a server and the door hand on for a POST."""
    return {
        "REQUEST_METHOD": "POST",
        "HTTP_HOST": "x",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "wsgi.input": source,
        ROUTE: routes.find("POST", path),
        WHO: "net 10.0.0.1",
    } | more


def start(status: str, headers: list[tuple[str, str]]) -> None:
    pass


def app(environ: dict[str, Any], start: Any) -> list[bytes]:
    body: bytes = environ["wsgi.input"].read()
    assert environ["CONTENT_LENGTH"] in (str(len(body)), "" if not body else None)
    return [b"read", body]


def refusing(environ: dict[str, Any], start: Any) -> list[bytes]:
    return [b"refused", environ[REFUSAL].encode()]


def behind(**more: Any) -> WholeRequests:
    return WholeRequests(app, refusing, Bodies(file_bytes=FILE_BYTES), **more)


def answer(body: bytes, path: str = "/predict", **headers: str) -> tuple[bytes, bytes]:
    """What a POST comes to: read, with its body, or refused, with the code."""
    what, told = behind()(environment(BytesIO(body), path, **headers), start)
    return what, told


def test_a_whole_body_is_handed_on() -> None:
    assert answer(b"abc", CONTENT_LENGTH="3") == (b"read", b"abc")
    assert answer(b"abc", HTTP_TRANSFER_ENCODING="chunked") == (b"read", b"abc")
    assert answer(b"", CONTENT_LENGTH="0") == (b"read", b"")


NO_LENGTHS = ["-1", "-3", "+3", " 3", "3_0", "0x3", "3.0", "x", "9" * 19, "9" * 5000]


@pytest.mark.parametrize("length", NO_LENGTHS, ids=lambda length: length[:20])
def test_a_length_that_is_no_number_of_bytes_is_refused(length: str) -> None:
    """A read of less than nothing would read until the sender stops, past every limit."""
    assert answer(b"abc" * 1000, CONTENT_LENGTH=length) == (b"refused", b"peticion_incompleta")


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        (b"ab", {"CONTENT_LENGTH": "3"}),
        (b"", {"HTTP_TRANSFER_ENCODING": "chunked"}),
        (b"abc", {"HTTP_TRANSFER_ENCODING": "chunked", "CONTENT_LENGTH": "3"}),
        (b"", {"HTTP_HOST": ""}),
        (b"", {"HTTP_HOST": "x,y"}),
    ],
)
def test_what_is_torn_never_reaches_the_application(body: bytes, headers: dict[str, str]) -> None:
    assert answer(body, **headers) == (b"refused", b"peticion_incompleta")


@pytest.mark.parametrize("kind", PATHS)
@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_may_be_as_long_as_its_route_takes_and_not_a_byte_longer(
    kind: str, chunked: bool
) -> None:
    for size, expected in ((LIMITS[kind], b"read"), (LIMITS[kind] + 1, b"refused")):
        headers = {"HTTP_TRANSFER_ENCODING": "chunked"} if chunked else {}
        body = b"x" * size
        if not chunked:
            headers["CONTENT_LENGTH"] = str(size)
        what, told = answer(body, PATHS[kind], **headers)
        assert what == expected
        assert told == (body if what == b"read" else b"fichero_demasiado_grande")


class Untouchable:
    """A body that must not be read."""

    def read(self, size: int = -1) -> bytes:
        raise AssertionError("it was read")


def test_a_body_that_is_announced_as_too_long_is_not_read_at_all() -> None:
    told = behind()(environment(Untouchable(), CONTENT_LENGTH="999999999999"), start)
    assert list(told) == [b"refused", b"fichero_demasiado_grande"]


@pytest.mark.parametrize("route", [routes.find("GET", "/prediccion"), None])
def test_a_body_that_no_route_wants_is_left_unread(route: routes.Route | None) -> None:
    asked = environment(Untouchable(), CONTENT_LENGTH="5") | {ROUTE: route}
    assert list(behind()(asked, start)) == [b"read", b""]


def test_a_body_that_breaks_off_with_an_error_of_the_server_is_the_senders_fault() -> None:
    class Broken:
        def read(self, size: int = -1) -> bytes:
            raise RuntimeError("whatever a server raises")

    told = behind()(environment(Broken(), CONTENT_LENGTH="5"), start)
    assert list(told) == [b"refused", b"peticion_incompleta"]


def test_a_large_body_waits_in_the_given_folder_and_leaves_nothing_there(tmp_path: Path) -> None:
    in_memory: list[bool] = []

    def look(environ: dict[str, Any], start: Any) -> list[bytes]:
        body = environ["wsgi.input"]
        in_memory.append(not body._rolled)
        return [str(len(body.read())).encode()]

    whole = WholeRequests(look, refusing, Bodies(file_bytes=FILE_BYTES), tmp_path)
    for size in (MEMORY_BYTES, MEMORY_BYTES + 1):
        asked = environment(BytesIO(b"x" * size), "/modelos", CONTENT_LENGTH=str(size))
        assert list(whole(asked, start)) == [str(size).encode()]
    assert in_memory == [True, False]
    assert list(tmp_path.iterdir()) == []


class Bench:
    """Senders of bodies of one byte, some of which take their time."""

    def __init__(self) -> None:
        self.whole = behind(patience_s=0.05)
        self.told: list[list[bytes]] = []
        self.go_on, self.reading = threading.Event(), threading.Semaphore(0)
        self.threads: list[threading.Thread] = []

    def read(self, size: int = -1) -> bytes:
        self.reading.release()
        assert self.go_on.wait(10)
        return b"a"

    def send(self, who: str, path: str = "/predict", source: Any = None) -> list[bytes]:
        source = BytesIO(b"b") if source is None else source
        asked = environment(source, path, CONTENT_LENGTH="1") | {WHO: who}
        return list(self.whole(asked, start))

    def hold(self, who: str, path: str = "/predict") -> None:
        """Send a slow body; return once it is being read."""
        work = threading.Thread(target=lambda: self.told.append(self.send(who, path, self)))
        self.threads.append(work)
        work.start()
        assert self.reading.acquire(timeout=10)

    def end(self) -> None:
        self.go_on.set()
        for thread in self.threads:
            thread.join(10)
        assert self.told == [[b"read", b"a"]] * len(self.threads)


READ, BUSY = [b"read", b"b"], [b"refused", b"ocupado"]


def test_one_caller_holds_half_of_the_places_for_bodies_at_most() -> None:
    """Slow senders of one caller must not keep the bodies of another out."""
    bench = Bench()
    for _ in range(BODIES // 2):
        bench.hold("key a")
    assert bench.send("key a") == BUSY
    assert bench.send("key b") == READ
    bench.end()
    assert bench.send("key a") == READ


def test_slow_strangers_keep_no_caller_out_and_one_of_them_no_other() -> None:
    """Whoever has no key can send the forms of two routes, and from any number of addresses."""
    bench = Bench()
    bench.hold("net 10.0.0.1", "/entrar")
    assert bench.send("net 10.0.0.1", "/salir") == BUSY
    assert bench.send("net 10.0.0.2", "/entrar") == READ
    for number in range(2, STRANGERS + 1):
        bench.hold(f"net 10.0.0.{number}", "/salir")
    assert bench.send("net 10.0.0.9", "/entrar") == BUSY
    for _ in range(BODIES // 2):
        bench.hold("key a")
        bench.hold("key b")
    bench.end()
    assert bench.send("net 10.0.0.1", "/entrar") == READ


def test_strangers_who_wait_hold_no_more_threads_than_they_may() -> None:
    bench = Bench()
    bench.whole = behind(patience_s=10.0)
    bench.hold("net 10.0.0.1", "/entrar")
    waiting = [
        threading.Thread(target=bench.send, args=("net 10.0.0.1", "/entrar"))
        for _ in range(STRANGERS_WAITING)
    ]
    for thread in waiting:
        thread.start()
    gate = bench.whole._strangers
    while len(gate._waiting) < STRANGERS_WAITING:
        pass
    assert bench.send("net 10.0.0.1", "/entrar") == BUSY
    bench.end()
    for thread in waiting:
        thread.join(10)


def test_the_longest_batch_may_be_sent_whatever_it_is_set_to() -> None:
    batch = routes.find("POST", "/predict/batch")
    assert Bodies(100).limit(batch) == ROWS_BYTES
    assert Bodies(10_000).limit(batch) == 10_000 * ROW_OF_MANY_BYTES
    columns = {f"UN_NOMBRE_DE_COLUMNA_{n}": "un valor bastante largo" for n in range(14)}
    assert len(json.dumps(columns, indent=4)) < ROW_OF_MANY_BYTES


def test_whoever_refuses_a_body_is_told_how_long_it_may_be() -> None:
    seen: list[int] = []

    def refusing(environ: dict[str, Any], start: Any) -> list[bytes]:
        seen.append(environ[LONGEST])
        return []

    whole = WholeRequests(app, refusing, Bodies(file_bytes=FILE_BYTES))
    for kind, path in PATHS.items():
        whole(environment(Untouchable(), path, CONTENT_LENGTH=str(LIMITS[kind] + 1)), start)
    assert seen == list(LIMITS.values())

"""Limits under real servers: how often, how much, how slowly, and how many at a time."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest
from guarded import copied, key
from models_for_tests import EXAMPLE
from server import Place, Reply, Server, ask, prediccion, propensia_command, running, wait_for

from propensia import heartbeat
from propensia.access.limits import ENTERING, FAILED
from propensia.web.routes import ROW_BYTES, ROW_OF_MANY_BYTES
from propensia.web.waiting import HEAVY
from propensia.web.whole_requests import BODIES, STRANGERS

KIND = "Content-Type: application/json\r\n"
LIMIT = 60
MOST_ROWS = 10_000
ROW = json.dumps(EXAMPLE).encode()
NAMES = ("limit", "other", "bodies", "slow", "batch", "volley", "reader")


def foreign_command(port: int) -> list[str]:
    """What existing deployments start: gunicorn itself, with our application."""
    options = ["--bind", f"127.0.0.1:{port}", "--threads", "16", "--workers", "1"]
    return [sys.executable, "-m", "gunicorn", *options, "deployment_flask:app"]


not_on_windows = pytest.mark.skipif(sys.platform == "win32", reason="no gunicorn there")


@dataclass(frozen=True)
class Target:
    """A server with one worker and its keys, by name."""

    kind: str
    server: Server
    keys: dict[str, str]

    def head(self, method: str, path: str, name: str, more: str = "") -> bytes:
        """A request up to its body, sent by the holder of that key."""
        first = f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nX-API-Key: {self.keys[name]}\r\n"
        return f"{first}{more}\r\n".encode()

    def post(self, name: str, body: bytes, path: str = "/predict") -> bytes:
        """A whole POST of JSON."""
        return self.head("POST", path, name, f"{KIND}Content-Length: {len(body)}\r\n") + body

    def open(self, data: bytes = b"") -> socket.socket:
        """A connection on which that has been sent."""
        made = socket.create_connection(("127.0.0.1", self.server.port), timeout=30)
        with contextlib.suppress(ConnectionError):  # it answers, and does not wait for the rest
            made.sendall(data)
        return made

    def sent(self, data: bytes) -> Reply:
        """The first answer to bytes on a connection of their own."""
        with contextlib.closing(self.open(data)) as connection:
            return answer(connection)

    def get(self, path: str, name: str) -> Reply:
        return self.server.get(path, X_API_Key=self.keys[name])


def answer(connection: socket.socket) -> Reply:
    """The next answer on a connection."""
    data = b""
    while b"\r\n\r\n" not in data:
        part = connection.recv(65536)
        assert part, f"closed after {data!r}"
        data += part
    head, _, body = data.partition(b"\r\n\r\n")
    lines = head.decode("latin-1").split("\r\n")
    headers = {n.lower(): v.strip() for n, _, v in (line.partition(":") for line in lines[1:])}
    missing = int(headers.get("content-length", 0)) - len(body)
    while missing > 0:
        part = connection.recv(65536)
        assert part, "closed in the middle of an answer"
        body += part
        missing -= len(part)
    return Reply(int(lines[0].split(" ")[1]), headers, body)


def code(reply: Reply) -> str:
    """The code of a problem."""
    assert reply.headers["content-type"] == "application/problem+json"
    return str(reply.json()["type"]).removeprefix("urn:propensia:")


@pytest.fixture(
    scope="module",
    params=[
        "granian",
        pytest.param("waitress", marks=pytest.mark.slow),
        pytest.param("gunicorn", marks=[not_on_windows, pytest.mark.slow]),
        pytest.param("foreign", marks=[not_on_windows, pytest.mark.slow]),
    ],
)
def target(
    request: pytest.FixtureRequest, admitted: Place, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Target]:
    place = copied(admitted, tmp_path_factory.mktemp("limits"))
    keys = {name: key(place, name, "admin") for name in NAMES}
    kind = request.param
    command = foreign_command if kind == "foreign" else partial(propensia_command, server=kind)
    chosen = {"rate_limit": f"{LIMIT}/min", "max_batch_size": MOST_ROWS}
    with running(place, command, workers=1, **chosen) as server:
        yield Target(kind, server, keys)


# How often


def test_as_many_as_the_rate_says_and_not_one_more(target: Target) -> None:
    told = [target.get("/modelos", "limit") for _ in range(LIMIT)]
    assert [reply.status for reply in told] == [200] * LIMIT
    policy = f'"rate_limit";q={LIMIT};w=60'
    assert {reply.headers["ratelimit-policy"] for reply in told} == {policy}
    left = [f'"rate_limit";r={r};t=60' for r in range(LIMIT - 1, -1, -1)]
    assert [reply.headers["ratelimit"] for reply in told] == left

    refused = target.get("/modelos", "limit")
    assert (refused.status, code(refused)) == (429, "limite_superado")
    wait = int(refused.headers["retry-after"])
    assert 30 <= wait <= 62
    assert refused.headers["ratelimit"] == f'"rate_limit";r=0;t={wait}'
    assert target.sent(target.post("limit", ROW)).status == 429, "one count for all routes"
    assert target.get("/no/such/page", "limit").status == 429

    old = [target.get(prediccion(), "limit") for _ in range(5)]
    assert [reply.status for reply in old] == [200] * 5, "old callers have no limit by default"
    assert not any("ratelimit" in reply.headers for reply in old)
    assert target.get("/modelos", "other").status == 200


# How much


def test_a_body_at_its_limit_is_read_and_one_byte_more_is_refused_unread(target: Target) -> None:
    body = ROW + b" " * (ROW_BYTES - len(ROW))
    assert target.sent(target.post("bodies", body)).status == 200
    whole = target.post("bodies", body + b" ")
    refused = target.sent(whole[: -ROW_BYTES - 1])  # only the head arrives
    assert (refused.status, code(refused)) == (413, "fichero_demasiado_grande")


def test_a_batch_may_be_larger_and_has_its_limit_too(target: Target) -> None:
    body = b"[" + ROW + b" " * (MOST_ROWS * ROW_OF_MANY_BYTES - len(ROW) - 2) + b"]"
    assert target.sent(target.post("bodies", body, "/predict/batch")).status == 200
    assert target.sent(target.post("bodies", body + b" ", "/predict/batch")).status == 413


@pytest.mark.parametrize("more", [0, 1])
def test_a_body_in_chunks_has_the_same_limit(target: Target, more: int) -> None:
    body = ROW + b" " * (ROW_BYTES - len(ROW) + more)
    half = len(body) // 2
    chunks = b"".join(b"%x\r\n%s\r\n" % (len(p), p) for p in (body[:half], body[half:], b""))
    head = target.head("POST", "/predict", "bodies", f"{KIND}Transfer-Encoding: chunked\r\n")
    reply = target.sent(head + chunks)
    assert reply.status == (413 if more else 200)


def test_a_row_in_chunks_that_break_off_is_never_scored(target: Target) -> None:
    head = target.head("POST", "/predict", "bodies", f"{KIND}Transfer-Encoding: chunked\r\n")
    part = ROW[: len(ROW) // 2]
    for rest in (b"", b"zz\r\n"):
        connection = target.open(head + b"%x\r\n%s\r\n" % (len(part), part) + rest)
        with contextlib.closing(connection):
            connection.shutdown(socket.SHUT_WR)
            data = connection.recv(65536)
        assert b" 200 " not in data[:20]


def test_a_body_that_nobody_wants_is_left_alone(target: Target) -> None:
    head = target.head("GET", prediccion(), "bodies", "Content-Length: 5\r\n")
    assert target.sent(head + b"hello").status == 200


def test_nobody_reads_what_a_stranger_sends(target: Target) -> None:
    """Only the head arrives: whoever wants the body would wait."""
    if target.kind == "waitress":
        pytest.skip("waitress gathers a body before anybody asks whether the key is good")
    head = target.head("POST", "/modelos", "bodies", "Content-Length: 100000000\r\n")
    refused = target.sent(head.replace(target.keys["bodies"].encode(), b"nonsense"))
    assert (refused.status, code(refused)) == (401, "clave_no_valida")


# How slowly


def test_slow_bodies_of_one_caller_stop_no_other(target: Target) -> None:
    if target.kind == "foreign":
        pytest.skip("gunicorn by itself keeps a thread for each body that was refused")
    slow = target.post("slow", ROW)[:-20]
    drips = [target.open(slow) for _ in range(40)]
    try:
        time.sleep(1.0)  # those that find no place are told so
        assert [target.get(prediccion(), "other").status for _ in range(8)] == [200] * 8
        assert target.sent(target.post("other", ROW)).status == 200
        if target.kind != "waitress":  # whose bodies hold nothing until they are here
            refused = target.sent(target.post("slow", ROW))
            assert (refused.status, code(refused)) == (503, "ocupado")
            assert int(refused.headers["retry-after"]) >= 1
    finally:
        for connection in drips:
            connection.close()


@pytest.mark.skipif(sys.platform == "darwin", reason="only 127.0.0.1 is there")
def test_slow_forms_of_strangers_from_many_addresses_stop_no_caller(target: Target) -> None:
    if target.kind == "foreign":
        pytest.skip("gunicorn by itself keeps a thread for each body that was refused")
    head = b"POST /entrar HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\nclave"
    drips = []
    try:
        for number in range(2, 2 * (BODIES + STRANGERS)):
            own = (f"127.0.0.{number}", 0)
            drips.append(
                socket.create_connection(("127.0.0.1", target.server.port), 30, source_address=own)
            )
            drips[-1].sendall(head)
        assert target.sent(target.post("other", ROW)).status == 200
        assert target.get(prediccion(), "other").status == 200
    finally:
        for connection in drips:
            connection.close()


def test_slow_readers_of_large_answers_stop_nobody(target: Target) -> None:
    if target.kind in ("gunicorn", "foreign"):
        pytest.skip("gunicorn needs a proxy in front for that, and says so")
    rows = target.post("reader", b"[" + b",".join([ROW] * 2000) + b"]", "/predict/batch")
    script = target.head("GET", "/docs/swagger-ui-bundle.js", "reader")
    connections = []
    try:
        for request in [rows, script] * 20:
            connection = socket.socket()
            connections.append(connection)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            connection.connect(("127.0.0.1", target.server.port))
            connection.sendall(request)
            # One after the other: this is about reading, not about scoring.
            assert connection.recv(13) == b"HTTP/1.1 200 "
        assert [target.get(prediccion(), "other").status for _ in range(8)] == [200] * 8
        assert target.sent(rows).status == target.sent(script).status == 200
    finally:
        for connection in connections:
            connection.close()


# How many at a time


@pytest.mark.parametrize("count", [8, 50])
def test_rows_that_have_arrived_are_all_scored_however_many_come_at_once(
    target: Target, count: int
) -> None:
    connections = [target.open() for _ in range(count)]
    try:
        for connection in connections:
            connection.sendall(target.post("volley", ROW))
        assert Counter(answer(each).status for each in connections) == {200: count}
    finally:
        for connection in connections:
            connection.close()


def test_too_many_long_requests_are_told_to_come_back_and_short_ones_go_on(
    target: Target,
) -> None:
    """Those that run are answered, of the others each is refused in time: none hangs."""
    rows = target.post("batch", b"[" + b",".join([ROW] * 5000) + b"]", "/predict/batch")
    told: list[Reply] = []
    threads = [
        threading.Thread(target=lambda: told.append(target.sent(rows))) for _ in range(3 * HEAVY)
    ]
    for thread in threads:
        thread.start()
    short = []
    while any(thread.is_alive() for thread in threads):
        short.append(target.get(prediccion(), "other").status)
    for thread in threads:
        thread.join()
    assert set(short) == {200}
    counts = Counter(reply.status for reply in told)
    assert set(counts) == {200, 503} and counts[200] >= HEAVY
    refused = [reply for reply in told if reply.status == 503]
    assert {code(reply) for reply in refused} == {"ocupado"}
    assert {reply.headers["retry-after"] for reply in refused} == {"1"}
    assert target.sent(rows).status == 200


# One limit for all workers (S3)


@not_on_windows
def test_four_workers_keep_one_limit_also_when_one_of_them_is_killed(
    admitted: Place, tmp_path: Path
) -> None:
    place = copied(admitted, tmp_path)
    keys = {name: key(place, name, "caller") for name in ("greedy", "modest")}
    told: Counter[int] = Counter()
    retries: list[int] = []
    with running(place, workers=4, rate_limit_get="100/h") as server:

        def ask_often() -> None:
            for _ in range(20):
                with contextlib.suppress(OSError):  # of the worker that is killed
                    reply = server.get(prediccion(), X_API_Key=keys["greedy"])
                    told[reply.status] += 1
                    retries.append(int(reply.headers.get("retry-after", 3600)))

        for turn in range(5):
            threads = [threading.Thread(target=ask_often) for _ in range(4)]
            for thread in threads:
                thread.start()
            if turn == 2:
                victim, *_ = wait_for(
                    lambda: heartbeat.look_all(place.state / "workers"), "workers"
                )
                os.kill(victim["pid"], signal.SIGKILL)
            for thread in threads:
                thread.join()
        assert set(told) == {200, 429}
        assert 99 <= told[200] <= 105  # one answer may have died with the worker
        assert all(1 <= wait <= 3713 for wait in retries)

        def other_is_answered() -> bool:
            with contextlib.suppress(ConnectionRefusedError):  # the next worker is not there yet
                return server.get(prediccion(), X_API_Key=keys["modest"]).status == 200
            return False

        wait_for(other_is_answered, "the other key is answered")


# Against guessing


def test_keys_and_passwords_cannot_be_guessed_without_end(admitted: Place, tmp_path: Path) -> None:
    place = copied(admitted, tmp_path)
    good = key(place, "good", "admin")
    with running(place, rate_limit="off") as server:
        with contextlib.closing(server.connection()) as connection:
            told = [
                ask(connection, "/modelos", X_API_Key=f"guess {n}").status
                for n in range(FAILED.count + 1)
            ]
        assert Counter(told) == {401: FAILED.count, 429: 1}
        assert server.get("/modelos", X_API_Key=good).status == 200, "a good key is not held up"
        form = b"clave=guess"
        head = (
            "POST /entrar HTTP/1.1\r\nHost: localhost\r\nAccept: application/json\r\n"
            "Content-Type: application/x-www-form-urlencoded\r\n"
            f"Content-Length: {len(form)}\r\nConnection: close\r\n\r\n"
        ).encode()
        statuses = [int(server.raw(head + form)[9:12]) for _ in range(ENTERING.count + 1)]
        assert statuses[-1] == 429 and 429 not in statuses[:-1]


# Settings and other trouble


@pytest.mark.parametrize(
    ("setting", "value"),
    [("rate_limit", "100 per second"), ("rate_limit_get", "0/s"), ("redis_url", "nowhere")],
)
def test_a_limit_that_is_none_is_told_before_anything_starts(
    admitted: Place, setting: str, value: str
) -> None:
    ended = admitted.run("serve", "--port", "0", **{setting: value})
    assert ended.returncode == 3
    assert f"'{setting}'" in ended.stderr and "Traceback" not in ended.stderr


def test_a_redis_that_is_away_stops_nobody_and_health_says_so(
    admitted: Place, tmp_path: Path
) -> None:
    place = copied(admitted, tmp_path)
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        url = f"redis://:s3cr3t@127.0.0.1:{nobody.getsockname()[1]}/0"
        with running(place, redis_url=url, rate_limit=f"{LIMIT}/min", workers=2) as server:
            told = [server.get("/modelos").status for _ in range(LIMIT + 1)]
            assert told == [200] * LIMIT + [429]
        with running(place, redis_url=url, rate_limit="100/s", workers=1) as server:
            health = server.health()
            assert health["estado"] == "degradado"
            assert any("Redis no responde" in problem for problem in health["problemas"])
            assert "s3cr3t" not in server.output() + json.dumps(health)


def test_who_waits_as_long_as_told_is_let_in_again(admitted: Place, tmp_path: Path) -> None:
    place = copied(admitted, tmp_path)
    with running(place, workers=1, rate_limit="5/s") as server:
        while (reply := server.get("/modelos")).status == 200:
            pass
        wait = int(reply.headers["retry-after"])
        assert 1 <= wait <= 2
        time.sleep(wait)
        assert server.get("/modelos").status == 200

"""The servers under real connections: they answer, outlive slow clients and deaths, and stop.

It must never leave a process behind, nor listen on anything but the loopback address.
"""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest
from ports import free_port
from waiting import wait_for

from propensia.access.networks import is_loopback
from propensia.web.servers import MOST_WORKERS, WORKER_BYTES, default_workers

HERE = Path(__file__).parent
HEADER_S = 2.0
BODY_S = 3.0
SERVERS = [
    "granian",
    "waitress",
    pytest.param(
        "gunicorn", marks=pytest.mark.skipif(sys.platform == "win32", reason="not on Windows")
    ),
]


@dataclass(frozen=True)
class Running:
    """A server process under test."""

    process: "subprocess.Popen[str]"
    port: int

    def connect(self, data: bytes = b"") -> socket.socket:
        sock = socket.create_connection(("127.0.0.1", self.port), timeout=5)
        sock.sendall(data)
        return sock

    def ask(self, data: bytes) -> tuple[int, bytes, bytes]:
        """Send `data` on a new connection; return status (0 if none), head and body."""
        with self.connect(data) as sock:
            answer = b""
            try:
                while part := sock.recv(65536):
                    answer += part
            except ConnectionResetError:
                pass  # the server closed while we were still sending
        head, _, body = answer.partition(b"\r\n\r\n")
        return (int(head[9:12]) if head else 0), head, body

    def get(self, path: str) -> bytes:
        status, _, body = self.ask(
            f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode()
        )
        assert status == 200
        return body


Start = Callable[..., Running]


def _command(
    server: str, port: int, factory: str = "make", workers: int = 1, header_s: float = HEADER_S
) -> list[str]:
    numbers = [str(port), str(workers), str(header_s), str(BODY_S)]
    return [sys.executable, str(HERE / "tiny_wsgi.py"), server, factory, *numbers]


def _end(process: "subprocess.Popen[str]") -> None:
    """Kill a process with everything below it."""
    family = []
    if process.poll() is None:
        parent = psutil.Process(process.pid)
        family = [parent, *parent.children(recursive=True)]  # or it would replace them
    for one in family:
        if one.is_running():
            one.kill()
    process.communicate(timeout=10)


@pytest.fixture
def start() -> Iterator[Start]:
    """Start servers, and end them with their workers after the test."""
    started: list[subprocess.Popen[str]] = []

    def make(server: str, workers: int = 1, header_s: float = HEADER_S) -> Running:
        port = free_port()
        process = subprocess.Popen(
            _command(server, port, workers=workers, header_s=header_s),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            # Ctrl-C is sent to this process alone on Windows only if it has a group of its own.
            creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),
        )
        started.append(process)
        running = Running(process, port)

        def answers() -> bool:
            assert process.poll() is None, process.communicate()[0]
            try:
                return running.get("/") == b"ok"
            except (OSError, AssertionError):
                return False

        wait_for(answers, "the server answers")
        return running

    yield make
    for process in started:
        _end(process)


def _worker_pids(running: Running, count: int) -> set[int]:
    pids: set[int] = set()
    for _ in range(200):
        pids.add(int(running.get("/pid")))
        if len(pids) == count:
            break
    return pids


def _closed_after(sock: socket.socket, drip: bytes, seconds: float) -> float:
    """Send one byte of `drip` every 0.2 s; return when the server closed, or `seconds`."""
    began = time.monotonic()
    sock.settimeout(0.2)
    for at in range(int(seconds / 0.2)):
        try:
            sock.sendall(drip[at : at + 1])
            if sock.recv(100) == b"":
                return time.monotonic() - began
        except TimeoutError:
            continue
        except OSError:
            return time.monotonic() - began
    return seconds


@pytest.mark.parametrize("server", SERVERS)
def test_each_server_answers_alike_and_ctrl_c_ends_it_with_its_workers(
    server: str, start: Start
) -> None:
    running = start(server, workers=2)
    head = b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"

    status, answered, body = running.ask(b"GET /query?a=%FF%zz&b=1+2&&a" + head + b"\r\n")
    assert (status, body) == (200, b"a=%FF%zz&b=1+2&&a")  # the query arrives as it was sent
    assert not any(name in answered.lower() for name in (b"granian", b"waitress", b"gunicorn"))
    assert running.ask(b"POST /modelos" + head + b"Content-Length: 3\r\n\r\nabc")[2] == b"3"
    forged = b"X-Forwarded-Proto: https\r\nX-Forwarded-For: 10.1.2.3\r\nSCRIPT_NAME: /taken\r\n"
    taken = running.ask(b"GET /taken" + head + forged + b"\r\n")[2]
    assert taken == b"http 127.0.0.1 ", "nobody's word changes what the server itself sees"
    chunks = b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"
    assert running.ask(b"POST /modelos" + head + chunks)[2] == b"5"
    assert len(running.get("/query?a=" + "x" * 10_240)) == 10_242
    refused = {
        "no host": b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n",
        "two hosts": b"GET /" + head + b"Host: y\r\n\r\n",
        "two lengths": b"POST /modelos"
        + head
        + b"Content-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
        "Latin-1 in the address": b"GET /query?a=\xe1" + head + b"\r\n",
        "a head over 64 KiB": b"GET /" + head + b"X: " + b"x" * 200_000 + b"\r\n\r\n",
        "a length of 5,000 digits": b"POST /modelos"
        + head
        + b"Content-Length: %s\r\n\r\nabc" % (b"9" * 5000),
        "a torn chunk": b"POST /modelos"
        + head
        + b"Transfer-Encoding: chunked\r\n\r\nzz\r\nabc\r\n",
    }
    answers = {name: running.ask(data) for name, data in refused.items()}
    # 0: closed without an answer, or with one that was lost because we were still sending.
    assert all(told[0] == 0 or 400 <= told[0] < 500 for told in answers.values()), answers
    assert not any(body for _, _, body in answers.values()), answers
    assert running.get("//pid") == b"ok", "not the route of /pid"
    # RFC 9112, 6.3: refuse it, or go by the chunks; in any case close.
    host = b"POST /modelos HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n"
    status, answered, body = running.ask(host + chunks)
    if status or server == "granian":  # else closed with unread bytes, which may lose the answer
        assert (status, body) == ((200, b"5") if server == "granian" else (400, b""))
        assert b"connection: close" in answered.lower()
    assert running.get("/") == b"ok"

    family = psutil.Process(running.process.pid).children(recursive=True)
    running.process.send_signal(getattr(signal, "CTRL_BREAK_EVENT", signal.SIGINT))
    output, _ = running.process.communicate(timeout=15)
    assert running.process.returncode == 0, output
    assert "query" not in output  # addresses are personal data
    assert "SIG" not in output and "terminate" not in output  # the workers ended by themselves
    psutil.wait_procs(family, timeout=5)
    assert not [one for one in family if one.is_running()]


def test_500_dripping_heads_do_not_stop_a_caller_of_the_default_server(start: Start) -> None:
    running = start("granian", workers=2, header_s=60.0)
    drips = [running.connect(b"GET /query?a=") for _ in range(500)]
    try:
        for sock in drips:
            sock.sendall(b"x")
        times = []
        for _ in range(8):
            began = time.monotonic()
            assert running.get("/") == b"ok"
            times.append(time.monotonic() - began)
        assert max(times) < 5  # the deadline has closed none of them yet
    finally:
        for sock in drips:
            sock.close()


@pytest.mark.parametrize("server", [s for s in SERVERS if s != "granian"])
def test_130_dripping_heads_do_not_stop_a_caller_of_the_others(server: str, start: Start) -> None:
    running = start(server, header_s=60.0)
    drips = [running.connect(b"GET /query?a=") for _ in range(130)]
    try:
        assert [running.get("/") for _ in range(8)] == [b"ok"] * 8
    finally:
        for sock in drips:
            sock.close()


@pytest.mark.parametrize("server", SERVERS)
def test_a_head_that_drips_is_closed_at_the_deadline(server: str, start: Start) -> None:
    running = start(server)
    with running.connect(b"GET /query?a=") as sock:
        took = _closed_after(sock, b"x" * 100, 9)
    # Servers look once a second, or every 5 s at worst where a machine is busy; never before.
    assert HEADER_S - 0.3 < took < HEADER_S + 4


@pytest.mark.parametrize("server", SERVERS)
def test_slow_bodies_do_not_stop_a_caller(server: str, start: Start) -> None:
    running = start(server)
    head = b"POST /modelos HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nab"
    drips = [running.connect(head) for _ in range(40)]
    try:
        assert [running.get("/") for _ in range(8)] == [b"ok"] * 8
    finally:
        for sock in drips:
            sock.close()


@pytest.mark.parametrize("server", ["granian", "waitress"])
def test_slow_readers_do_not_stop_a_caller(server: str, start: Start) -> None:
    running = start(server)
    readers = [socket.socket() for _ in range(40)]
    try:
        for sock in readers:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)  # nothing to hide it in
            sock.settimeout(10)
            sock.connect(("127.0.0.1", running.port))
            sock.sendall(b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n")
            assert sock.recv(12) == b"HTTP/1.1 200"
        assert [running.get("/") for _ in range(8)] == [b"ok"] * 8
    finally:
        for sock in readers:
            sock.close()


@pytest.mark.parametrize("server", SERVERS)
def test_a_body_that_breaks_off_never_reaches_the_application(server: str, start: Start) -> None:
    running = start(server)
    with running.connect(
        b"POST /modelos HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nab"
    ) as sock:
        sock.shutdown(socket.SHUT_WR)
        answer = sock.recv(1000)
    assert b" 200 " not in answer


def test_a_killed_worker_comes_back_and_twice_in_a_row(start: Start) -> None:
    running = start("granian", workers=2)
    for _ in range(2):
        before = _worker_pids(running, 2)
        victim = before.pop()
        os.kill(victim, getattr(signal, "SIGKILL", signal.SIGTERM))

        def replaced(gone: int = victim) -> bool:
            try:
                pids = _worker_pids(running, 2)
            except (OSError, AssertionError):
                return False  # a connection that the dead worker had not answered
            return gone not in pids and len(pids) == (1 if sys.platform == "win32" else 2)

        wait_for(replaced, "another worker answers", 60)


def test_workers_end_with_a_killed_supervisor_and_free_the_port(start: Start) -> None:
    running = start("granian", workers=2)
    workers = psutil.Process(running.process.pid).children(recursive=True)
    running.process.kill()
    _, left = psutil.wait_procs(workers, timeout=30)
    assert not left


@pytest.mark.parametrize("server", SERVERS)
def test_a_port_in_use_is_told_in_a_sentence_with_code_3(server: str, start: Start) -> None:
    running = start("granian")
    second = subprocess.run(
        _command(server, running.port), capture_output=True, encoding="utf-8", timeout=60
    )
    assert second.returncode == 3
    assert f"127.0.0.1:{running.port} ya está en uso" in second.stderr


@pytest.mark.parametrize("server", [s for s in SERVERS if s != "waitress"])
def test_an_application_that_cannot_be_made_ends_the_server_with_code_3(server: str) -> None:
    command = _command(server, free_port(), factory="broken")
    ended = subprocess.run(command, capture_output=True, encoding="utf-8", timeout=60)
    assert ended.returncode == 3
    assert "nothing works" in ended.stderr and "no pudo arrancar" in ended.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="about workers that are forked")
def test_a_stop_during_the_start_does_not_wait_for_the_start() -> None:
    """Nor for the time after which workers are killed, which is an hour here."""
    code = (
        "import runpy, sys; from propensia.web import granian_server as g; g.STOP_S = 3600;"
        "sys.argv = sys.argv[1:]; runpy.run_path(sys.argv[0], run_name='__main__')"
    )
    command = _command("granian", free_port(), factory="never", workers=2)
    line = [sys.executable, "-c", code, *command[1:]]
    env = os.environ | {"PYTHONPATH": os.pathsep.join([str(HERE), str(HERE.parent)])}
    process = subprocess.Popen(line, stdout=subprocess.PIPE, env=env, encoding="utf-8")
    try:
        assert process.stdout is not None and process.stdout.readline() == "loading\n"
        process.terminate()
        process.wait(30)
    finally:
        _end(process)


def test_workers_fit_cores_and_memory() -> None:
    cores = default_workers("granian")
    assert 1 <= cores <= min(MOST_WORKERS, os.cpu_count() or 1)
    assert default_workers("granian", free_bytes=0) == 1
    assert default_workers("granian", free_bytes=WORKER_BYTES) == 1
    assert default_workers("waitress") == 1


@pytest.mark.parametrize(
    ("host", "here_only"),
    [
        ("127.0.0.1", True),
        ("127.8.9.10", True),
        ("::1", True),
        ("localhost", True),
        ("0.0.0.0", False),
        ("::", False),
        ("192.168.1.4", False),
        ("127.example.com", False),
        ("", False),
    ],
)
def test_only_an_address_of_this_machine_needs_no_warning(host: str, here_only: bool) -> None:
    assert is_loopback(host) is here_only

"""Malformed requests by the thousand, over raw sockets, to the real default server."""

from __future__ import annotations

import json
import re
import socket
from collections import Counter
from collections.abc import Iterator
from html.parser import HTMLParser

import pytest
from guarded import copied
from lengths import steps
from malformed import BASE, FAMILIES, HEAD_LIMIT, MARK, MARKED, Case, cases, nothing_leaked, query
from server import Place, Reply, Server, prediccion, running

ALLOWED = re.compile(rb"[A-Za-z0-9\-._~%!$&'()*+,;=:@/?]*").fullmatch
STATUS_LINE = re.compile(rb"^HTTP/1\.1 (\d{3})", re.MULTILINE).findall


class Wire:
    """A keep-alive connection that sends bytes as they are and reads whole answers."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._stream: socket.socket | None = None

    def get(self, target: bytes) -> Reply:
        """The answer to one GET of ``target``, byte by byte as given."""
        if self._stream is None:
            self._stream = socket.create_connection(("127.0.0.1", self._port), timeout=15)
        self._stream.sendall(b"GET " + target + b" HTTP/1.1\r\nHost: localhost\r\n\r\n")
        data = b""
        while b"\r\n\r\n" not in data:
            part = self._stream.recv(65536)
            assert part, f"closed without an answer: {target[:200]!r}"
            data += part
        head, _, body = data.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        headers = {k.lower(): v.strip() for k, v in (line.split(":", 1) for line in lines)}
        length = int(headers.get("content-length", "0"))
        while len(body) < length:
            part = self._stream.recv(65536)
            assert part, "the body broke off"
            body += part
        if headers.get("connection", "").lower() == "close":
            self.close()
        return Reply(int(first.split()[1]), headers, body)

    def close(self) -> None:
        """End the connection; the next request opens another."""
        if self._stream is not None:
            self._stream.close()
            self._stream = None


class Markup(HTMLParser):
    """Collects what a browser would take for markup out of a value."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.foreign: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = [name for name, _ in attrs if "zq7" in name or name == "onload"]
        if "zq7" in tag or names:
            self.foreign.append(f"<{tag} {names}>")
        if tag == "a" and any((v or "").startswith("javascript:") for _, v in attrs):
            self.foreign.append("javascript:")

    def handle_comment(self, data: str) -> None:
        self.foreign.append(f"<!--{data[:20]}")


def _judge(case: Case, reply: Reply, wire: Wire) -> str | None:
    """What is wrong with an answer, if anything."""
    if reply.status not in case.status:
        return f"status {reply.status} instead of {case.status}"
    if not reply.body and _is_no_address(case.query):
        return None  # the HTTP server itself refuses what no address may hold
    kind = reply.headers.get("content-type", "").split(";")[0]
    if kind == "text/html":
        foreign = Markup(reply.text).foreign
        if str(7919 * 7907) in reply.text:
            foreign.append("a template ran")
        return "; ".join(foreign) or None
    if kind == "text/plain":
        return "echoed" if MARK in reply.text and reply.status != 200 else None
    if kind != ("application/json" if reply.status == 200 else "application/problem+json"):
        return f"content type {kind!r}"
    table = reply.json()
    if reply.status == 200:
        return _judge_answer(case, table, wire)
    if MARK in reply.text or any(text in reply.text for text in MARKED.values()):
        return "echoed"
    return _judge_problem(case, table)


def _is_no_address(raw: bytes) -> bool:
    """Whether a query holds bytes that RFC 3986 does not allow, or is longer than any head."""
    return not ALLOWED(raw) or len(raw) > HEAD_LIMIT - 100


def _judge_answer(case: Case, table: dict[str, object], wire: Wire) -> str | None:
    if case.same_as:
        plain = wire.get(b"/prediccion?" + case.same_as).json()
        if plain["probabilidad"] != table["probabilidad"]:
            return "another probability than the plain form"
    notes = [(note["parametro"], note["codigo"]) for note in table["avisos"]]  # type: ignore[attr-defined]
    if case.code and (case.parameter, case.code) not in notes:
        return f"no {case.code} of {case.parameter!r} in {notes}"
    return None


def _judge_problem(case: Case, table: dict[str, object]) -> str | None:
    errors = [(e["parametro"], e["codigo"]) for e in table["errores"]]  # type: ignore[attr-defined]
    if case.code and (case.parameter, case.code) not in errors:
        return f"no {case.code} of {case.parameter!r} in {errors}"
    if case.parameter and {name for name, _ in errors} - {"", case.parameter}:
        return f"others than {case.parameter!r} are blamed: {errors}"
    return None


@pytest.fixture(scope="module")
def target(admitted: Place, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The default server, with an output of its own."""
    with running(copied(admitted, tmp_path_factory.mktemp("malformadas"))) as server:
        yield server


def _run(server: Server, seed: int, of_each: int) -> None:
    wire, wrong, count = Wire(server.port), [], Counter[str]()
    for case in cases(seed, of_each):
        reply = wire.get(b"/prediccion?" + case.query)
        count[f"{case.family}: {reply.status}"] += 1
        fault = _judge(case, reply, wire)
        if fault is not None:
            wrong.append(f"{case.family}: {fault}: {case.query[:300]!r}")
    wire.close()
    assert sum(count.values()) == of_each * len(FAMILIES)
    shown = "\n".join(sorted(set(wrong))[:20])
    assert not wrong, f"{len(wrong)} of {sum(count.values())}:\n{shown}"
    nothing_leaked(server)


def test_thousands_of_malformed_queries_get_the_expected_class_of_answer(target: Server) -> None:
    _run(target, seed=20261, of_each=400)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(steps(1, 3)))
def test_tens_of_thousands_of_malformed_queries(target: Server, seed: int) -> None:
    _run(target, seed=seed, of_each=2000)


def test_a_query_at_the_limit_is_read_and_one_byte_more_is_414(target: Server) -> None:
    wire = Wire(target.port)
    base = query(BASE)
    room = 2048 - len(base) - len(b"&x=")
    for extra, status in ((room, 200), (room + 1, 414)):
        whole = base + b"&x=" + b"1" * extra
        assert len(whole) == 2048 + (status == 414)
        assert wire.get(b"/prediccion?" + whole).status == status
    wire.close()


def test_an_unknown_name_is_named_as_it_was_sent(target: Server) -> None:
    notes = target.get(prediccion() + "&a%3Db=1").json()["avisos"]
    assert "a=b" in [note["parametro"] for note in notes]


def test_a_page_never_carries_markup_out_of_any_parameter(target: Server) -> None:
    """Names and values of every parameter, of the form and of the result page."""
    wire = Wire(target.port)
    payload = "%22%3E%3Czq7tag%3E%27%20onzq7=%271"
    parts = [f"{name}={payload}" for name in [*BASE, "ref", "idioma", "motivos", payload]]
    for page in ("/prediccion?formato=html&", "/?"):
        for part in ["&".join(parts), *parts]:
            reply = wire.get(f"{page}{part}".encode())
            assert reply.status in (200, 400, 414)
            assert Markup(reply.text).foreign == [], part
    good = wire.get(b"/prediccion?formato=html&ref=%3Czq7tag%3E&" + query(BASE))
    assert good.status == 200 and Markup(good.text).foreign == []
    assert "&lt;zq7tag&gt;" in good.text
    wire.close()


# Raw requests that are no HTTP, or only half

GOOD = b"GET /prueba HTTP/1.1\r\nHost: x\r\n"
SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n"
RAW = {
    "a method of its own": b"BREW /prediccion HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    "a method that is no token": b"G@T( /prueba HTTP/1.1\r\nHost: x\r\n\r\n",
    "no host": b"GET /prueba HTTP/1.1\r\nConnection: close\r\n\r\n",
    "two hosts": b"GET /prueba HTTP/1.1\r\nHost: x\r\nHost: y\r\nConnection: close\r\n\r\n",
    "two lengths": b"POST /prueba HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
    b"Content-Length: 0\r\nContent-Length: 5\r\n\r\nhello",
    "a negative length": GOOD + b"Content-Length: -1\r\nConnection: close\r\n\r\n",
    "a length that is no number": GOOD + b"Content-Length: 0x10\r\nConnection: close\r\n\r\n",
    "a blank before a colon": GOOD + b"X : 1\r\nConnection: close\r\n\r\n",
    "a header without a name": GOOD + b": 1\r\nConnection: close\r\n\r\n",
    "NUL in a header": GOOD + b"X: a\x00b\r\nConnection: close\r\n\r\n",
    "NUL in the address": b"GET /prueba?a=\x00 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    "a blank in the address": b"GET /prueba?a= b HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    "the preface of HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "HTTP/0.9": b"GET /prueba\r\n\r\n",
    "HTTP/3.7": b"GET /prueba HTTP/3.7\r\nHost: x\r\n\r\n",
    "a head without an end": b"GET /prueba HTTP/1.1\r\nHost: x\r\nX: " + b"a" * HEAD_LIMIT * 2,
    "a giant address": b"GET /prediccion?"
    + b"a" * HEAD_LIMIT * 2
    + b" HTTP/1.1\r\nHost: x\r\n\r\n",
    "TLS": bytes.fromhex("16030100a5010000a10303") + bytes(160),
    "noise": bytes(range(128, 256)) * 8 + b"\r\n\r\n",
}


@pytest.mark.parametrize("name", RAW)
def test_what_is_not_http_is_refused_or_closed(target: Server, name: str) -> None:
    answer = target.raw(RAW[name])
    assert answer == b"" or answer.split()[1][:1] == b"4", answer[:200]
    assert target.get(prediccion()).status == 200


FORGIVEN = {
    "a hundred and one headers": GOOD
    + b"".join(b"X-%d: 1\r\n" % i for i in range(101))
    + b"Connection: close\r\n\r\n",
    "a header of nine kibibytes": GOOD + b"X: " + b"a" * 9216 + b"\r\nConnection: close\r\n\r\n",
    "an absolute address": b"GET http://x/prueba HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    "HTTP/1.0": b"GET /prueba HTTP/1.0\r\n\r\n",
    "a fragment": b"GET /prueba#a HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
}


@pytest.mark.parametrize("name", FORGIVEN)
def test_what_is_odd_is_answered_or_refused_but_never_fails(target: Server, name: str) -> None:
    status = int(target.raw(FORGIVEN[name]).split()[1])
    assert status == 200 or 400 <= status < 500
    assert target.get(prediccion()).status == 200


@pytest.mark.parametrize(
    "head",
    [
        b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n",
        b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
        b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n",
        b"Transfer-Encoding:\x0bchunked\r\n\r\n0\r\n\r\n",
        b"Transfer-Encoding: chunked\r\n\r\n5 ;x\r\nhello\r\n0x0\r\n\r\n",
        b"Transfer-Encoding: chunked\r\n\r\nffffffffffffffff1\r\n",
    ],
)
def test_a_request_whose_length_is_ambiguous_never_hides_a_second_one(
    target: Server, head: bytes
) -> None:
    answer = target.raw(b"POST /prueba HTTP/1.1\r\nHost: x\r\n" + head + SMUGGLED)
    statuses = STATUS_LINE(answer)
    assert len(statuses) <= 1, answer
    assert all(status[:1] == b"4" for status in statuses)
    assert target.get(prediccion()).status == 200


def test_the_json_of_every_kind_of_answer_is_strict(target: Server) -> None:
    for path in (prediccion(), prediccion({"er": "X"}), "/modelos", "/health", "/nada"):
        body = target.get(path).body
        json.loads(body, parse_constant=pytest.fail)
        assert b"NaN" not in body.replace(b"o NaN", b"") and b"Infinity" not in body

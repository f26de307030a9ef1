"""The surface as an attacker sees it: who is let in, whom a header deceives, what breaks it."""

from __future__ import annotations

import contextlib
import re
import socket
from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from guarded import a_key_of_every_role, copied, key
from lengths import steps
from malformed import MARK
from malformed_requests import Request, path_of, requests
from server import ROOT, Place, Reply, Server, prediccion, propensia_command, running

from propensia import settings
from propensia.access.roles import PERMISSIONS, ROLES
from propensia.web.app import create_app
from propensia.web.routes import ROUTES, Route, pattern

STATUS = re.compile(rb"HTTP/1\.[01] (\d{3})").match
REFUSED = (401, 403, 404, 405)
by_route = pytest.mark.parametrize("route", ROUTES, ids=lambda r: f"{r.method} {r.path}")


@pytest.fixture(scope="module")
def place(admitted: Place, tmp_path_factory: pytest.TempPathFactory) -> Place:
    """An installation that asks for keys."""
    made = copied(admitted, tmp_path_factory.mktemp("claves"))
    key(made, "primera", "admin")
    return made


@pytest.fixture(scope="module")
def shown(place: Place) -> dict[str, str]:
    """A key of every role."""
    return a_key_of_every_role(place)


@pytest.fixture(scope="module")
def guarded(place: Place, shown: dict[str, str]) -> Iterator[Server]:
    """The default server, which asks for keys."""
    with running(place, rate_limit="off") as server:
        yield server


@pytest.fixture(scope="module", params=["granian", "waitress"])
def keyless(
    request: pytest.FixtureRequest, admitted: Place, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    """A server without keys, as the two commands of the first page start it."""
    made = copied(admitted, tmp_path_factory.mktemp("sin"))
    command = partial(propensia_command, server=request.param)
    with running(made, command, rate_limit="off") as server:
        yield server


def raw(server: Server, head: bytes) -> Reply:
    """The answer to a head that is written as it is."""
    answer = server.raw(head + b"Connection: close\r\n\r\n")
    found = STATUS(answer)
    assert found, answer[:200]
    return Reply(int(found[1]), {}, answer.partition(b"\r\n\r\n")[2])


# The table of routes


def test_every_route_of_the_application_is_in_the_table_and_the_other_way_round(
    tmp_path: Path,
) -> None:
    """Who adds a route must say there who may use it; until then it answers 404."""
    chosen = settings.load({"PROPENSIA_STATE": str(tmp_path), "PROPENSIA_MODELS": str(tmp_path)})
    made = create_app(chosen, background=False)
    found = {
        (method, pattern(rule.rule))
        for rule in made.url_map.iter_rules()
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    }
    assert found == {(route.method, route.path) for route in ROUTES}


@pytest.mark.parametrize("path", ["/de-mas", "/v2/models/de-mas"])
def test_a_route_that_is_not_in_the_table_does_not_exist(path: str, tmp_path: Path) -> None:
    """Not even for an administrator, nor where the table has another route that fits as well."""
    place = Place(tmp_path)
    admin = {"X-API-Key": key(place, "jefa", "admin")}
    made = create_app(settings.load(place.environment(request_log_days=0)), background=False)
    made.add_url_rule(path, "de_mas", lambda: "let in")
    client = made.test_client()
    assert client.get("/v2/health/live", headers=admin).status_code == 200
    reply = client.get(path, headers=admin)
    assert (reply.status_code, reply.json["type"]) == (404, "urn:propensia:no_encontrado")


def test_a_key_in_the_address_is_good_for_the_old_route_only(tmp_path: Path) -> None:
    """Even one that could do everything elsewhere: others write addresses down on the way."""
    place = Place(tmp_path)
    shown = key(place, "vieja", "admin", in_path=True)
    made = create_app(settings.load(place.environment(request_log_days=0)), background=False)
    client, found = made.test_client(), {}
    for route in ROUTES:
        reply = client.open(f"/c/{shown}{path_of(route)}", method=route.method)
        found[route.method, route.path] = reply.status_code
    assert found.pop(("GET", "/prediccion")) == 400  # let in, with nothing to score
    assert len(found) > 20 and set(found.values()) == {401}


@by_route
def test_a_route_asks_for_a_key_unless_the_table_says_that_everybody_may(
    guarded: Server, route: Route
) -> None:
    reply = guarded.get(path_of(route), route.method)
    if route.path != "/entrar":  # which asks for a key itself
        assert (reply.status == 401) == (route.permission is not None)
    if reply.status == 401:
        assert reply.json()["type"] == "urn:propensia:clave_no_valida"
        assert reply.headers["www-authenticate"] == "Bearer"


@by_route
def test_a_role_may_do_what_the_table_says_and_no_more(
    guarded: Server, shown: dict[str, str], route: Route
) -> None:
    for role in ROLES:
        may = route.permission is None or role in PERMISSIONS[route.permission]
        if may and route.method == "POST":
            continue  # it would change something for the next one: the tests of the route do it
        status = guarded.get(path_of(route), route.method, x_api_key=shown[role]).status
        assert (status == 403) == (not may), role
        assert status != 401, role


# Thirty ways around a key


def bypasses(good: str) -> dict[str, bytes]:
    """Heads that must not be let in, each with its idea."""
    get = b"GET /prediccion?er=EMP HTTP/1.1\r\nHost: localhost\r\n"
    mine = good.encode()
    b64 = "none" * 8
    none = b"eyJhbGciOiJub25lIn0.eyJyb2xlIjoiYWRtaW4iLCJzdWIiOiJ4In0."
    with_kid = b"eyJhbGciOiJIUzI1NiIsImtpZCI6Ii4uLy4uL2Rldi9udWxsIn0.eyJyb2xlIjoiYWRtaW4ifQ.AA"
    heads = {
        "no key": get,
        "an empty key": get + b"X-API-Key: \r\n",
        "another key": get + b"X-API-Key: ppk_00000000_" + b64.encode() + b"\r\n",
        "the key without its end": get + b"X-API-Key: " + mine[:-1] + b"\r\n",
        "the key and more": get + b"X-API-Key: " + mine + b"x\r\n",
        "the key in other letters": get + b"X-API-Key: " + mine.swapcase() + b"\r\n",
        "two keys": get + b"X-API-Key: " + mine + b"\r\nX-API-Key: " + mine + b"\r\n",
        "two ways at once": get
        + b"X-API-Key: " + mine + b"\r\nAuthorization: Bearer " + mine + b"\r\n",
        "the key as a password": get + b"Authorization: Basic " + mine + b"\r\n",
        "the key without a scheme": get + b"Authorization: " + mine + b"\r\n",
        "the scheme without a key": get + b"Authorization: Bearer\r\n",
        "a token without a signature": get + b"Authorization: Bearer " + none + b"\r\n",
        "a token that names a file": get + b"Authorization: Bearer " + with_kid + b"\r\n",
        "the key in the query": get.replace(b"?", b"?X-API-Key=" + mine + b"&"),
        "the key in a cookie": get + b"Cookie: X-API-Key=" + mine + b"; session=" + mine + b"\r\n",
        "the key in the address": get.replace(b"/pred", b"/c/" + mine + b"/pred"),
        "an empty key in the address": get.replace(b"/pred", b"/c//pred"),
        "another name of the header": get + b"X-APIKey: " + mine + b"\r\n",
        "a proxy's word": get + b"X-Forwarded-For: 127.0.0.1\r\n",
        "a proxy's other word": get + b"X-Real-IP: 127.0.0.1\r\nForwarded: for=127.0.0.1\r\n",
        "a user's word": get + b"X-Remote-User: admin\r\nRemote-User: admin\r\n",
        "a rewritten address": get.replace(b"/prediccion", b"/prueba")
        + b"X-Original-URL: /prediccion\r\nX-Rewrite-URL: /prediccion\r\n",
        "another method": get + b"X-HTTP-Method-Override: HEAD\r\n",
        "HEAD": get.replace(b"GET", b"HEAD"),
        "OPTIONS": get.replace(b"GET", b"OPTIONS"),
        "a path with dots": get.replace(b"/pred", b"/prueba/%2e%2e/pred"),
        "a path with dots in clear": get.replace(b"/pred", b"/prueba/../pred"),
        "two slashes": get.replace(b"/pred", b"//pred"),
        "a slash at the end": get.replace(b"prediccion", b"prediccion/"),
        "a static path": get.replace(b"/pred", b"/static/../pred"),
        "an escaped letter": get.replace(b"/pred", b"/%70red"),
        "capitals": get.replace(b"/prediccion", b"/PREDICCION"),
        "an absolute address": get.replace(b" /", b" http://127.0.0.1/"),
        "the name of this machine": get.replace(b"localhost", b"127.0.0.1"),
    }  # fmt: skip
    return heads


@pytest.mark.parametrize("idea", bypasses("ppk_x"))
def test_nothing_gets_around_a_key(guarded: Server, shown: dict[str, str], idea: str) -> None:
    reply = raw(guarded, bypasses(shown["admin"])[idea])
    if idea == "a rewritten address":
        assert reply.body.startswith(b"Funcionando")  # what was asked, and not what a header says
        return
    assert reply.status in REFUSED
    assert b"probabilidad" not in reply.body and shown["admin"].encode() not in reply.body


def test_the_key_itself_is_let_in(guarded: Server, shown: dict[str, str]) -> None:
    """Or the thirty ways above would prove nothing."""
    for head in ({"x_api_key": shown["caller"]}, {"authorization": f"bearer {shown['caller']}"}):
        assert guarded.get(prediccion(), **head).status == 200


def test_a_refusal_is_the_same_whatever_was_wrong(guarded: Server, place: Place) -> None:
    """Else it would tell a stranger which keys there are, or were."""
    old = key(place, "caducada", "admin", expires=1.0)
    other = key(place, "de otra red", "admin", networks=())
    tries = [None, "", "x", old, other[:-1]]
    bodies = set()
    for text in tries:
        head = {} if text is None else {"x_api_key": text}
        body = guarded.get(prediccion(), **head).json()
        bodies.add(tuple((k, v) for k, v in body.items() if k not in ("id", "errores")))
    assert len(bodies) == 1


# Without keys: this machine, and nobody else


@pytest.mark.parametrize(
    "head",
    [
        b"X-Forwarded-For: 127.0.0.1\r\n",
        b"X-Forwarded-For: 127.0.0.1, 10.0.0.7\r\n",
        b"X-Forwarded-For:\r\n",
        b"X_Forwarded_For: 10.0.0.7\r\nX-Forwarded-For: 10.0.0.7\r\n",
        b"Forwarded: for=127.0.0.1\r\n",
        b"X-Real-IP: 127.0.0.1\r\n",
        b"X-Forwarded-Proto: https\r\n",
        b"X-Forwarded-Host: localhost\r\n",
        b"Via: 1.1 proxy\r\n",
    ],
)
def test_who_comes_through_a_proxy_is_not_this_machine(keyless: Server, head: bytes) -> None:
    """A proxy beside the server must not make an administrator of everybody."""
    start = f"GET {prediccion()} HTTP/1.1\r\nHost: localhost\r\n".encode()
    assert raw(keyless, start).status == 200
    assert raw(keyless, start + head).status == 401


def test_through_a_proxy_that_says_nothing_there_are_scores_and_no_more(keyless: Server) -> None:
    """What nginx sends for ``proxy_pass http://127.0.0.1:5000;`` and nothing else; so do old
    programs of this machine."""
    tail = f" HTTP/1.0\r\nHost: 127.0.0.1:{keyless.port}\r\n".encode()
    assert raw(keyless, b"GET " + prediccion().encode() + tail).status == 200
    for path in (b"/", b"/modelos", b"/health", b"/docs"):
        assert raw(keyless, b"GET " + path + tail).status == 401
    rollback = raw(keyless, b"POST /modelos/rollback" + tail + b"Content-Length: 0\r\n")
    assert rollback.status == 401


@pytest.mark.parametrize(
    ("host", "status"),
    [
        (b"localhost", 200),
        (b"localhost:5000", 200),
        (b"127.0.0.1", 200),
        (b"[::1]:5000", 200),
        (b"rebound.example", 401),
        (b"rebound.example:5000", 401),
        (b"localhost.rebound.example", 401),
        (b"127.0.0.1.rebound.example", 401),
        (b"[::1].rebound.example", 401),
        (b"[]rebound.example", 401),
        (b"[", 401),
        (b"[::ffff:7f00:1]", 401),
        (b"0.0.0.0", 401),
        (b"localhost.", 200),
        (b"LOCALHOST:5000", 200),
        (b"localhost..", 401),
        (b"localhost:x", 401),
    ],
)
def test_a_name_that_only_points_here_is_not_this_machine(
    keyless: Server, host: bytes, status: int
) -> None:
    """DNS rebinding: a page of that name would read the answers."""
    head = f"GET {prediccion()} HTTP/1.1\r\nHost: ".encode() + host + b"\r\n"
    assert raw(keyless, head).status in (status, 400 if status == 401 else 200)


BROWSER = {"sec_fetch_mode": "no-cors", "sec_fetch_dest": "image"}


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_a_page_of_another_site_cannot_make_a_browser_score_or_publish(
    keyless: Server, site: str
) -> None:
    for path, method in ((prediccion(), "GET"), ("/", "GET"), ("/modelos/rollback", "POST")):
        reply = keyless.get(path, method, sec_fetch_site=site, **BROWSER)
        assert reply.status == 403
        assert reply.json()["type"] == "urn:propensia:origen_no_permitido"
    frame = {"sec_fetch_mode": "navigate", "sec_fetch_dest": "iframe"}
    assert keyless.get("/", sec_fetch_site=site, **frame).status == 403


def test_a_link_on_another_page_may_be_followed_but_nothing_sent(keyless: Server) -> None:
    link = {
        "sec_fetch_site": "cross-site",
        "sec_fetch_mode": "navigate",
        "sec_fetch_dest": "document",
    }
    assert keyless.get("/", **link).status == 200
    assert keyless.get("/modelos/rollback", "POST", **link).status == 403


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://localhost:1", ""])
def test_an_old_browser_says_only_the_origin_and_that_is_enough(
    keyless: Server, origin: str
) -> None:
    for path, method in (("/modelos/rollback", "POST"), ("/salir", "POST")):
        assert keyless.get(path, method, origin=origin).status == 403


def test_a_page_of_our_own_may_do_what_a_program_may(keyless: Server) -> None:
    own = {"origin": f"http://127.0.0.1:{keyless.port}", "sec_fetch_site": "same-origin"}
    assert keyless.get(prediccion(), **own).status == 200
    assert keyless.get("/modelos/rollback", "POST", **own).status not in (401, 403)


# Proxies that are trusted


@pytest.mark.parametrize("server", ["granian", "waitress"])
def test_behind_a_trusted_proxy_the_address_is_the_one_that_it_saw(
    admitted: Place, tmp_path: Path, server: str
) -> None:
    place = copied(admitted, tmp_path)
    key(place, "otra", "admin")
    settings = {"trusted_proxies": "127.0.0.1, 10.9.0.0/16", "open_networks": "10.1.0.0/16"}
    command = partial(propensia_command, server=server)
    with running(place, command, **settings) as running_server:
        for forwarded, status in {
            "10.1.2.3": 200,
            "10.1.2.3:51234": 200,
            "10.1.2.3, 10.9.0.1": 200,
            "8.8.8.8, 10.1.2.3": 200,
            "10.1.2.3, 8.8.8.8": 401,  # the sender wrote the first one
            "10.2.0.1": 401,
            "unknown": 401,
            "": 401,
            "10.1.2.3" + " " * 2000: 200,
            "10.1.2.3, " + "9" * 5000: 401,
        }.items():
            reply = running_server.get(prediccion(), x_forwarded_for=forwarded)
            assert reply.status == status, forwarded
        two = b"X-Forwarded-For: 10.1.2.3\r\nX-Forwarded-For: 8.8.8.8\r\n"
        head = f"GET {prediccion()} HTTP/1.1\r\nHost: x\r\n".encode()
        assert raw(running_server, head + two).status == 401
        assert running_server.get(prediccion()).status == 401  # the proxy itself
        assert running_server.get("/modelos", x_forwarded_for="10.1.2.3").status == 401


@pytest.mark.parametrize(
    "target", [b"?im=7", b"/modelos//rollback?im=7", b"/docs/?im=7", b"/?im=7"]
)
def test_no_other_spelling_of_an_address_is_sent_on_to_it(keyless: Server, target: bytes) -> None:
    """A redirection would carry the query of a debtor, and a route has one name."""
    for method in (b"GET", b"POST"):
        answer = keyless.raw(
            method + b" " + target + b" HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
        )
        found = STATUS(answer)
        assert found and int(found[1]) in (200, 400, 401, 404, 405), answer[:300]
        assert b"\r\nlocation:" not in answer.lower()


# Malformed requests, for every route


def _send(server: Server, request: Request) -> bytes:
    """Everything that comes back; half a request ends with the end of the stream."""
    with contextlib.closing(socket.create_connection(("127.0.0.1", server.port), 15)) as stream:
        parts = []
        with contextlib.suppress(ConnectionError):
            stream.sendall(request.data())
            if not request.whole:
                with contextlib.suppress(OSError):  # it was refused and closed already
                    stream.shutdown(socket.SHUT_WR)
            while part := stream.recv(65536):
                parts.append(part)
        return b"".join(parts)


def _storm(server: Server, shown: str, seed: int, of_each: int) -> None:
    wrong, count = [], Counter[str]()
    for route in ROUTES:
        for request in requests(route, shown, seed, of_each):
            try:
                answer = _send(server, request)
            except TimeoutError:
                wrong.append(f"no end: {request.data()[:300]!r}")
                continue
            found = STATUS(answer)
            status = int(found[1]) if found else 0
            count[f"{request.family} {status}"] += 1
            # The page that asks for a key brings a person back to what they asked for.
            comes_back = status == 401 and b"text/html" in answer
            leaked = status >= 300 and MARK.encode() in answer and not comes_back
            if status >= 500 or leaked or b"Traceback" in answer or (answer and not found):
                wrong.append(f"{route.method} {route.path} {request.family}: {answer[:150]!r}: "
                             f"{request.data()[:400]!r}")  # fmt: skip
    listed = "\n".join(wrong[:10])
    assert not wrong, f"{len(wrong)} of {sum(count.values())}:\n{listed}"
    families = {name.partition(" ")[0] for name in count}
    assert len(families) == 11 and sum(count.values()) == of_each * len(ROUTES)
    assert any(name.endswith(" 200") for name in count), "nothing was ever let in"


def _workers(server: Server, shown: dict[str, str]) -> set[int]:
    health = server.get("/health", x_api_key=shown["caller"]).json()
    told = {worker["pid"] for worker in health["trabajadores"]}
    return told & {process.pid for process in server.processes()}  # not those of servers before


def _nothing_left(server: Server, shown: dict[str, str], workers: set[int]) -> None:
    assert _workers(server, shown) >= workers, "a worker died"
    assert "Traceback" not in server.output() and "ERROR" not in server.output()
    assert MARK not in server.output()


@pytest.mark.parametrize("name", ["granian", "waitress"])
def test_malformed_requests_to_every_route_neither_fail_nor_tell(
    place: Place, shown: dict[str, str], name: str
) -> None:
    with running(place, partial(propensia_command, server=name), rate_limit="off") as server:
        workers = _workers(server, shown)
        _storm(server, shown["tester"], seed=1, of_each=33)
        _nothing_left(server, shown, workers)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "of_each"),
    [
        ("granian", steps(1_000, 10_000)),
        ("gunicorn", steps(200, 1_000)),
        ("waitress", steps(200, 1_000)),
    ],
)
def test_thousands_of_malformed_requests_to_every_route(
    place: Place, shown: dict[str, str], name: str, of_each: int
) -> None:
    """To the default server; the others get a part of them."""
    with running(place, partial(propensia_command, server=name), rate_limit="off") as server:
        workers = _workers(server, shown)
        _storm(server, shown["tester"], seed=2, of_each=of_each)
        _nothing_left(server, shown, workers)


# The document


def test_every_test_that_the_security_document_names_exists() -> None:
    text = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")
    named = re.findall(r"`(test_\w+)\.py::(\w+)`", text)
    files = {path.stem: path for path in (ROOT / "tests").rglob("test_*.py")}
    assert len(named) >= 30
    for module, function in named:
        assert module in files, module
        assert f"def {function}(" in files[module].read_text(encoding="utf-8"), function


def test_the_security_document_answers_every_item_of_owasp() -> None:
    text = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")
    assert [f"API{n}" for n in range(1, 11)] == re.findall(r"^### (API\d+)", text, re.MULTILINE)
    for part in re.split(r"^### ", text, flags=re.MULTILINE)[1:11]:
        assert "`test_" in part.partition("\n## ")[0], part[:60]


def test_nothing_starts_with_the_console_of_a_debugger(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FLASK_DEBUG", "1")
    chosen = settings.load({"PROPENSIA_STATE": str(tmp_path), "PROPENSIA_MODELS": str(tmp_path)})
    with pytest.raises(settings.SettingsError, match="FLASK_DEBUG"):
        create_app(chosen, background=False)

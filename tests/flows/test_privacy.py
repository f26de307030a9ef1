"""No value that is sent is kept or told: marked ones through every route, then a search for them.

Whatever is shown to the very person who sent it (the answer, the form that comes back filled in)
is no leak; a file, an output and a refusal of any other kind is. The journal and the store hold
the valid values of what was answered, for that is what they are for, and nothing else that was
sent.
"""

from __future__ import annotations

import json
import re
import shutil
import stat
import sys
import time
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from urllib.parse import quote, urlencode

import pytest
from guarded import a_key_of_every_role, copied
from malformed import content
from malformed_requests import path_of
from models_for_tests import EXAMPLE
from server import Place, Reply, Server, ask, propensia_command, running, wait_for

from propensia.journal.writer import FOLDER
from propensia.store.database import SQLITE
from propensia.web.routes import ROUTES, Route

# Valid values that turn up nowhere else, and texts that are none.
MARKED = {
    "cp": "43127",
    "fb": "204811",
    "cf": "613",
    "im": "417.685317",
    "dt": "1931.074733",
    "nl": "587",
}
VALUES = EXAMPLE | MARKED
LONG = [text for text in MARKED.values() if len(text) > 4]
SHORT = {name: text for name, text in MARKED.items() if len(text) <= 4}
WORD = "zq7marca"
FORMS = {"json": "application/json", "text": "text/plain", "html": "text/html"}
BAD = {"er": f"{WORD}er", "im": f"9{WORD}im", "cp": "99987", "nl": "-48731", "ref": f"{WORD}\nref"}
BAD_VALUES = ["99987", "48731"]
# Pages that give back to a person what that person typed.
FILLED_IN = {"/", "/prediccion"}
STRICT = {"default-src 'none'", "frame-ancestors 'none'", "base-uri 'none'"}


def query(values: Mapping[str, str]) -> str:
    """A query of values, a reference and an unknown parameter, all marked."""
    return urlencode({"ref": f"{WORD}-ref", **values, f"{WORD}_name": f"{WORD}-unknown"})


def bodies(route: Route, values: Mapping[str, str]) -> list[tuple[str, bytes]]:
    """Kind and bytes of what may be sent to a route: of its own shape, of another, of none."""
    row = dict(values)
    tensors = [
        {"name": name, "datatype": "BYTES", "shape": [1], "data": [text]}
        for name, text in values.items()
    ]
    shapes = {"row": row, "rows": {"filas": [row, row], "inputs": tensors, "id": f"{WORD}-id"}}
    whole = json.dumps(shapes.get(route.body, row)).encode()
    json_kind = "application/json"
    return [
        (json_kind, whole),
        (json_kind, whole[:-2]),
        (json_kind, json.dumps(list(values.items())).encode()),
        (f"text/{WORD}", whole),
        ("application/x-www-form-urlencoded", urlencode(values | {"clave": WORD}).encode()),
        (
            f"multipart/form-data; boundary={WORD}",
            f'--{WORD}\r\nContent-Disposition: form-data; name="modelo"; '
            f'filename="{WORD}.pkl"\r\n\r\n{values["im"]}\r\n--{WORD}--\r\n'.encode(),
        ),
    ]


@pytest.fixture(scope="module", params=["granian", "waitress", "gunicorn"])
def asked(
    request: pytest.FixtureRequest, admitted: Place, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Server, dict[str, str]]]:
    """A server with keys, started where somebody asked every library to say more."""
    if request.param == "gunicorn" and sys.platform == "win32":
        pytest.skip("gunicorn needs a POSIX system")
    place = copied(admitted, tmp_path_factory.mktemp("privado"))
    shown = a_key_of_every_role(place)
    command = partial(propensia_command, server=request.param)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GUNICORN_CMD_ARGS", "--access-logfile - --log-level debug")
        patch.setenv("GRANIAN_LOG_ACCESS_ENABLED", "true")
        patch.setenv("GRANIAN_LOG_LEVEL", "debug")
        patch.setenv("RUST_LOG", "trace")
        with running(place, command, rate_limit="off") as server:
            yield server, shown


def requests(route: Route, shown: str) -> Iterator[tuple[str, str, dict[str, str], bytes]]:
    """Method, address, headers and body of many ways to ask for a route."""
    marks = {
        "User-Agent": f"{WORD}-agent",
        "Referer": f"http://localhost/?{query(VALUES)}",
        "Cookie": f"session={WORD}-cookie; propensia={WORD}-cookie",
        "X-Request-Id": f"{WORD}-id",
        "X-Forwarded-For": f"10.0.0.1, {WORD}",
    }
    credentials = [
        {"X-API-Key": shown},
        {"Authorization": f"Bearer {shown}"},
        {"X-API-Key": f"ppk_0123abcd_{WORD}"},
        {"Authorization": f"Bearer {WORD}.{WORD}.{WORD}"},
        {"Authorization": f"Basic {WORD}"},
        {},
    ]
    number = 0
    for values in (VALUES, VALUES | BAD):
        sent = bodies(route, values) if route.method == "POST" else [("", b"")]
        for kind, body in sent:
            for form, accept in FORMS.items():
                number += 1
                head = marks | {"Accept": accept} | credentials[number % len(credentials)]
                if kind:
                    head["Content-Type"] = kind
                path = path_of(route, WORD if number % 2 else "base")
                prefix = f"/c/ppk_0123abcd_{WORD}" if number % 7 == 0 else ""
                address = f"{prefix}{path}?{query(values)}"
                if number % 3:
                    address += f"&formato={'texto' if form == 'text' else form}"
                method = [route.method, route.method, "HEAD", "PUT", "OPTIONS"][number % 5]
                yield method, address, head, body


def ask_all(server: Server, shown: dict[str, str]) -> Iterator[tuple[Route, str, str, Reply]]:
    """Ask for everything, and what came back."""
    connection = server.connection()
    for route in ROUTES:
        for role in ("tester", "caller"):
            for method, address, head, body in requests(route, shown[role]):
                try:
                    connection.request(method, address, body or None, head)
                    response = connection.getresponse()
                except ConnectionError:  # who is refused may be cut off: the body is not read
                    connection.close()
                    connection.request(method, address, body or None, head)
                    response = connection.getresponse()
                data = response.read()
                found = {name.lower(): value for name, value in response.getheaders()}
                assert len(found) == len(response.getheaders()), "a header twice"
                yield route, method, address, Reply(response.status, found, data)
    connection.close()


def leaks(data: bytes) -> list[str]:
    """Which marks are in some bytes."""
    text = data.decode("utf-8", "replace")
    found = [WORD] if WORD in text else []
    # Not within more hexadecimal digits: an id has 29 of them by chance.
    found += [n for n in BAD_VALUES if re.search(rf"(?<![0-9a-f]){n}(?![0-9a-f])", text)]
    found += [mark for mark in LONG if re.search(rf"(?<![\w.]){re.escape(mark)}(?!\w)", text)]
    found += [n for n, mark in SHORT.items() if re.search(rf"\b{n}\W{{1,6}}{mark}\b", text)]
    return found


def written(path: Path, data: bytes) -> list[str]:
    """Which marks are in a file that may not have them."""
    found = leaks(data)
    if path.parent.name == FOLDER or path.name.startswith(SQLITE):
        return [mark for mark in found if mark not in LONG and mark not in SHORT]
    return found


def test_the_search_finds_what_it_looks_for() -> None:
    assert leaks(query(VALUES | BAD).encode()) != []
    assert leaks(b'{"im":417.685317}') == ["417.685317"]
    assert leaks(b"nl=587") == ["nl"] and leaks(b'"nl": "587"') == ["nl"]
    assert leaks(b"cp=99987&") == ["99987"] and leaks(b'"-48731"') == ["48731"]
    assert leaks(b'{"id":"99987c0ffee0a48731"}') == []
    assert leaks(b'{"pid":587,"ms":4.613,"id":"a43127"}') == []


def _wrong_headers(route: Route, method: str, reply: Reply) -> list[str]:
    """What an answer lacks, or tells too much (OWASP Secure Headers Project)."""
    head, wrong = reply.headers, []
    cached = route.path in ("/static/{filename}", "/docs/{file}") and reply.status in (200, 304)
    wanted = {
        "x-content-type-options": ("nosniff",),
        "referrer-policy": ("no-referrer", "strict-origin"),
        "cross-origin-resource-policy": ("same-origin",),
        "server": ("Propensia", "gunicorn", ""),
    }
    if not cached:
        wanted["cache-control"] = ("no-store",)
    for name, values in wanted.items():
        if head.get(name, "") not in values:
            wrong.append(f"{name}: {head.get(name)}")
    wrong += [
        name for name in ("x-powered-by", "via", "access-control-allow-origin") if name in head
    ]
    if not re.fullmatch("[0-9a-f]{28,29}", head.get("x-propensia-id", "")):
        wrong.append(f"x-propensia-id: {head.get('x-propensia-id')}")
    if "set-cookie" in head and (method, route.path) not in (
        ("POST", "/entrar"),
        ("POST", "/salir"),
    ):
        wrong.append("set-cookie")
    if head.get("content-type", "").startswith("text/html"):
        policy = {part.strip() for part in head.get("content-security-policy", "").split(";")}
        unsafe = [p for p in policy if "unsafe" in p and not p.startswith("style-src")]
        inline = any("unsafe" in p for p in policy) and route.path not in ("/docs", "/panel")
        if not policy >= STRICT or unsafe or inline:
            wrong.append(f"content-security-policy: {policy}")
        if head.get("cross-origin-opener-policy") != "same-origin":
            wrong.append("cross-origin-opener-policy")
    return wrong


def _told(route: Route, reply: Reply) -> list[str]:
    """Marks in an answer that are not there by design."""
    page = reply.headers.get("content-type", "").startswith("text/html")
    if reply.status < 300 or (page and (route.path in FILLED_IN or reply.status == 401)):
        return []  # who is asked for a key is brought back to what was asked for
    heads = {k: v for k, v in reply.headers.items() if k != "location"}
    return leaks(reply.body + repr(heads).encode())


def test_no_value_is_written_down_and_no_refusal_tells_one(
    asked: tuple[Server, dict[str, str]],
) -> None:
    server, shown = asked
    before = {path: content(path) for path in _files(server.place)}
    wrong, statuses = [], set()
    for route, method, address, reply in ask_all(server, shown):
        statuses.add(reply.status)
        what = f"{method} {address[:90]}: {reply.status}"
        wrong += [f"{what} tells {mark}" for mark in _told(route, reply)]
        wrong += [f"{what}: {fault}" for fault in _wrong_headers(route, method, reply)]
        if reply.status >= 500:
            wrong.append(f"{what} {reply.text[:200]}")
    assert not wrong, f"{len(wrong)}:\n" + "\n".join(sorted(set(wrong))[:25])
    assert statuses >= {200, 400, 401, 403, 404, 405}, statuses
    _nothing_written(server, before, shown)


def _files(place: Place) -> list[Path]:
    return [path for path in place.base.rglob("*") if path.is_file()]


def _nothing_written(
    server: Server, before: Mapping[Path, bytes], shown: Mapping[str, str]
) -> None:
    searched = 0
    for path in _files(server.place):
        data = content(path)
        for role, text in shown.items():
            assert text.encode() not in data, f"the key of {role} is in {path.name}"
        if before.get(path) != data:
            searched += 1
            assert written(path, data.removeprefix(before.get(path, b""))) == [], path.name
        assert leaks(path.name.encode()) == [], path.name
    assert searched >= 2, "neither the request log nor a sign of life was written"
    journals = list((server.place.state / FOLDER).glob("*.journal"))
    told = b"".join(content(path) for path in journals)
    assert MARKED["im"].encode() in told and b'"kind":"refusal"' in told
    if sys.platform != "win32":
        assert {stat.S_IMODE(path.stat().st_mode) for path in journals} == {0o600}
    assert "ERROR" not in server.output() and "Traceback" not in server.output()


def test_the_request_log_says_the_route_and_never_the_address(
    asked: tuple[Server, dict[str, str]],
) -> None:
    server, shown = asked
    folder = server.place.state / "logs"

    def rows() -> list[dict[str, object]]:
        lines = [line for path in folder.iterdir() for line in path.read_text().splitlines()]
        return [row for row in map(json.loads, lines) if "id" in row]  # not the counts

    # Of those without a key only a few a second have a line, and the tests before sent many.
    second = int(time.time())
    wait_for(lambda: int(time.time()) > second, "another second")
    count = len(rows())
    asked_for = [
        (f"/prediccion?{query(VALUES)}", {"x_api_key": shown["caller"]}),
        (f"/modelos/{WORD}?{query(VALUES)}", {"x_api_key": shown["caller"]}),
        (f"/c/ppk_0123abcd_{WORD}/prediccion?{query(VALUES)}", {}),
        ("/modelos", {"x_api_key": shown["caller"]}),
    ]
    replies = [server.get(address, **head) for address, head in asked_for]
    wait_for(lambda: len(rows()) >= count + 4, "the lines of the request log")
    new = sorted(rows()[count:], key=lambda row: str(row["time"]))
    assert {row["id"] for row in new} == {reply.headers["x-propensia-id"] for reply in replies}
    by_id = {row["id"]: row for row in new}
    mine = [by_id[reply.headers["x-propensia-id"]] for reply in replies]
    assert [(row["route"], row["status"], row["caller"]) for row in mine] == [
        ("/prediccion", 200, "de caller"),
        ("", 404, "de caller"),
        ("/prediccion", 401, ""),
        ("/modelos", 403, "de caller"),
    ]
    assert mine[0]["version"] == replies[0].headers["x-propensia-version"]
    pids = {process.pid for process in server.processes()}
    assert {row["pid"] for row in new} <= pids


def test_logging_in_leaves_neither_key_nor_session_behind(
    asked: tuple[Server, dict[str, str]],
) -> None:
    server, shown = asked
    body = urlencode({"clave": shown["tester"], "volver": f"/?{query(VALUES)}"})
    connection = server.connection()
    kind = {"Content-Type": "application/x-www-form-urlencoded"}
    connection.request("POST", "/entrar", body, kind)
    reply = connection.getresponse()
    reply.read()
    assert reply.status == 303
    cookie = str(reply.getheader("Set-Cookie")).partition(";")[0]
    assert ask(connection, "/", cookie=cookie).status == 200
    connection.close()
    text = cookie.partition("=")[2].encode()
    for path in _files(server.place):
        data = content(path)
        assert text not in data and shown["tester"].encode() not in data, path.name
        assert quote(shown["tester"]).encode() not in data


# Servers that are not ours to set up


@pytest.mark.skipif(sys.platform == "win32", reason="gunicorn needs a POSIX system")
@pytest.mark.parametrize("name", ["gunicorn", "waitress-serve", "flask"])
def test_other_servers_write_no_value_either(
    admitted: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """Told to say all that they can, but for an access log, which is its owner's decision."""
    place = copied(admitted, tmp_path)
    programs = {
        "gunicorn": ["gunicorn", "--log-level", "debug", "-b", "127.0.0.1:{}"],
        "waitress-serve": ["waitress-serve", "--listen", "127.0.0.1:{}"],
        "flask": ["flask", "run", "--port", "{}"],
    }

    def command(port: int) -> list[str]:
        program, *rest = [part.format(port) for part in programs[name]]
        found = shutil.which(program, path=str(Path(sys.executable).parent))
        assert found, program
        if name == "flask":
            return [found, "--app", "deployment_flask", *rest]
        return [found, *rest, "deployment_flask:app"]

    monkeypatch.delenv("GUNICORN_CMD_ARGS", raising=False)
    with running(place, command, rate_limit="off", demonstration=False) as server:
        for values in (VALUES, VALUES | BAD):
            for path in ("/prediccion", "/", "/modelos", f"/{WORD}", f"/c/{WORD}/prediccion"):
                server.get(f"{path}?{query(values)}")
                server.get(f"{path}?{query(values)}", "POST")
                server.get(f"{path}?{query(values)}&formato=html", "BREW")
        server.raw(f"GET /?im={MARKED['im']} {WORD} HTTP/1.1\r\n\r\n".encode())
        server.raw(f"GET /?im={MARKED['im']} HTTP/9.9\r\nX: {WORD}\r\n\r\n".encode())
        for path in (server.log, *_files(place)):
            if path.is_relative_to(place.state / "versions"):
                continue
            assert written(path, content(path)) == [], path.name

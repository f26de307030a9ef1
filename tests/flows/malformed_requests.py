"""Malformed requests for any route: methods, addresses, headers and bodies, seeded, byte by byte.

Nothing here knows what the right answer is, but that a server must neither fail nor tell what it
was sent; every text that it must not repeat holds the mark.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from malformed import MARK
from server import query

from propensia.web.routes import Route

ANY_NAME = "0123456789ab"
LONG = (300, 2_500, 9_000, 30_000)


@dataclass(slots=True)
class Request:
    """A request as it will be written to the socket; ``whole`` says that no more is expected."""

    family: str
    method: bytes
    target: bytes
    headers: list[bytes] = field(default_factory=list)
    body: bytes = b""
    whole: bool = True

    def data(self) -> bytes:
        """The bytes of it."""
        lines = [self.method + b" " + self.target + b" HTTP/1.1", *self.headers]
        return b"\r\n".join([*lines, b"", b""]) + self.body


def path_of(route: Route, name: str = ANY_NAME) -> str:
    """A path that means the route, with ``name`` for what may vary."""
    return re.sub(r"\{\w+\}", name, route.path)


def good(route: Route, key: str) -> Request:
    """A request that the route takes, or whose body it refuses."""
    path = path_of(route) + (f"?{query()}" if route.path == "/prediccion" else "")
    made = Request("", route.method.encode(), path.encode())
    made.headers = [b"Host: localhost", b"Connection: close"]
    if key:
        made.headers.append(b"X-API-Key: " + key.encode())
    if route.method == "POST":
        made.body = b"{}"
        made.headers += [b"Content-Type: application/json", b"Content-Length: 2"]
    return made


def noise(r: random.Random, most: int = 40) -> bytes:
    """Random bytes of every kind, the mark among them."""
    return r.randbytes(r.randrange(1, most)) + MARK.encode() + r.randbytes(r.randrange(4))


def escaped(r: random.Random, most: int = 30) -> bytes:
    """The same, as an address may hold it."""
    data = noise(r, most)
    return b"".join(bytes([b]) if chr(b).isalnum() and b < 128 else b"%%%02X" % b for b in data)


def methods(r: random.Random, request: Request) -> None:
    """Methods that no route has, or that are none."""
    mark = MARK.encode()
    request.method = r.choice(
        [
            *(b"PUT", b"PATCH", b"DELETE", b"TRACE", b"CONNECT", b"OPTIONS", b"PROPFIND"),
            request.method.lower(),
            mark.upper(),
            b"G@T" + mark,
            b"GET\x00" + mark,
            b"X" * r.choice(LONG),
            b"",
            "GÉT".encode(),
        ]
    )


def paths(r: random.Random, request: Request) -> None:
    """Other spellings of a path, and what is none."""
    path, mark = request.target.partition(b"?")[0], MARK.encode()
    place = r.randrange(len(path) + 1)
    request.target = r.choice(
        [
            path + b"%00" + mark,
            path + b"/",
            b"/" + path,
            path.replace(b"/", b"//"),
            b"/%2e%2e" + path,
            b"/../.." + path,
            path + b"/../" + mark,
            path + b";" + mark + b"=1",
            path.replace(b"/", b"%2f"),
            path.upper(),
            path[:place] + b"%zz" + path[place:],
            path[:place] + b"%c0%af" + mark + path[place:],
            path[:place] + b"\\" + path[place:],
            path[:place] + r.randbytes(3) + path[place:],
            path + b"/" + escaped(r),
            path + b"/" + (mark * 6000)[: r.choice(LONG)],
            b"/c/" + mark + path,
            b"/c/" + escaped(r) + path,
            b"/c//c/" + mark + path,
            b"http://localhost" + path,
            b"http://" + mark + path,
            b"*",
            mark,
            b"",
            path + b" " + mark,
        ]
    )


def names(r: random.Random, request: Request) -> None:
    """Anything for the last part of a path."""
    head, _, _ = request.target.partition(b"?")[0].rpartition(b"/")
    request.target = head + b"/" + escaped(r, r.choice([4, 40, 400]))


def queries(r: random.Random, request: Request) -> None:
    """Anything after the question mark."""
    data = r.choice([escaped(r, 200), noise(r), b"formato=html&" + escaped(r), b"&" * 500])
    request.target = request.target.partition(b"?")[0] + b"?" + data


CREDENTIALS = (
    b"Authorization: ",
    b"Authorization: Bearer",
    b"Authorization: Bearer  ",
    b"Authorization: Basic %b",
    b"Authorization: bearer\t%b",
    b"Authorization: Bearer %b.%b.%b",
    b"Authorization: Digest username=%b",
    b"X-API-Key: ",
    b"X-API-Key: %b",
    b"X-Api-Key: ppk_01234567_%b",
    b"Cookie: propensia=%b",
    b"Cookie: ;;=;%b;=",
)
OTHERS = (
    b"Accept: %b;q=%b",
    b"Accept: text/html;q=1e999,*/*;q=nan",
    b"Accept: text/html",
    b"Accept-Language: %b;q=-1,en;q=",
    b"Content-Type: %b",
    b"Content-Type: multipart/form-data; boundary=%b",
    b"Content-Type: application/json; charset=%b",
    b"Content-Encoding: gzip",
    b"X-Forwarded-For: %b",
    b"X-Forwarded-For: 1.2.3.4, %b, ::1",
    b"X-Forwarded-Host: %b",
    b"Forwarded: for=%b",
    b"X-HTTP-Method-Override: DELETE",
    b"X-Original-URL: /modelos/%b",
    b"Origin: %b",
    b"Origin: null",
    b"Sec-Fetch-Site: %b",
    b"Referer: http://%b/",
    b"Range: bytes=%b",
    b"If-None-Match: %b",
    b"If-Modified-Since: %b",
    b"Expect: %b",
    b"Upgrade: h2c",
    b"Inference-Header-Content-Length: %b",
    b"X-%b: 1",
    b" %b: folded",
    b"%b",
    b": %b",
    b"Content-Length: %b",
    b"Content-Length: 5",
    b"Content-Length: -1",
    b"Transfer-Encoding: %b",
    b"Host: %b",
)


def _filled(r: random.Random, form: bytes) -> bytes:
    value = r.choice(
        [MARK.encode(), noise(r), b"9" * 400, (MARK * 6000)[: r.choice(LONG)].encode()]
    )
    return form.replace(b"%b", value)


def credentials(r: random.Random, request: Request) -> None:
    """Keys and cookies that are none, beside the good ones or instead."""
    if r.random() < 0.7:
        request.headers = [h for h in request.headers if not h.startswith(b"X-API-Key")]
    request.headers += [_filled(r, r.choice(CREDENTIALS)) for _ in range(r.randrange(1, 3))]


def headers(r: random.Random, request: Request) -> None:
    """Headers that say nothing sensible, or that contradict each other."""
    forms = [r.choice(OTHERS) for _ in range(r.randrange(1, 4))]
    request.headers += [_filled(r, form) for form in forms]
    if any(form.startswith((b"Content-Length", b"Transfer")) for form in forms):
        request.whole = False


def hosts(r: random.Random, request: Request) -> None:
    """Names that are none."""
    values = [b"", b"[", b"[]", b"[::1", b"a b", b":", b"localhost:x", b"%00", MARK.encode() * 900]
    request.headers[0] = b"Host: " + r.choice([*values, noise(r)])


def many(r: random.Random, request: Request) -> None:
    """More headers, or longer ones, than anybody needs."""
    count, size = r.choice([(150, 10), (20, 900), (1, 30_000), (1, 70_000)])
    name = r.choice([b"X-%d: ", b"Cookie: a%d=", b"Accept: a/%d;", b"Accept-Language: x%d;"])
    request.headers += [(name % n if b"%d" in name else name) + b"z" * size for n in range(count)]


def bodies(r: random.Random, request: Request) -> None:
    """A body of anything, also where none is wanted."""
    kept = (b"Host", b"Connection", b"X-API-Key")
    request.headers = [h for h in request.headers if h.startswith(kept)]
    request.body = r.choice(
        [noise(r, 400), MARK.encode(), b"", b"[" * 3000, b"\x1f\x8b" + noise(r)]
    )
    kind = r.choice(
        [b"application/json", b"application/octet-stream", b"text/plain", MARK.encode()]
    )
    request.headers += [b"Content-Type: " + kind, b"Content-Length: %d" % len(request.body)]


def torn(r: random.Random, request: Request) -> None:
    """A body that ends before its length is reached, or a head without an end."""
    bodies(r, request)
    request.headers[-1] = b"Content-Length: %d" % (len(request.body) + r.randrange(1, 5000))
    request.whole = False


def chunks(r: random.Random, request: Request) -> None:
    """Chunks that are none."""
    bodies(r, request)
    request.headers[-1] = b"Transfer-Encoding: chunked"
    request.body = r.choice(
        [b"zz\r\n", b"5\r\nab\r\n0\r\n\r\n", b"-1\r\n", b"0\r\n\r\n", noise(r)]
    )
    request.whole = False


FAMILIES: tuple[Callable[[random.Random, Request], None], ...] = (
    methods,
    paths,
    names,
    queries,
    credentials,
    headers,
    hosts,
    many,
    bodies,
    torn,
    chunks,
)


def requests(route: Route, key: str, seed: int, count: int) -> Iterator[Request]:
    """``count`` requests that begin as a good one for ``route``, of every family in turn; every
    third one shows no key."""
    chance = random.Random(f"{seed} {route.method} {route.path}")
    for number in range(count):
        family = FAMILIES[number % len(FAMILIES)]
        made = good(route, "" if chance.random() < 1 / 3 else key)
        made.family = family.__name__
        family(chance, made)
        if chance.random() < 0.2:
            chance.choice(FAMILIES[:6])(chance, made)
        yield made

"""A WSGI application of a few lines for the tests of the servers, and a way to start it.

It must never need anything of the product but the servers themselves and what reads bodies.
"""

import os
import signal
import sys
import time
from collections.abc import Iterable
from typing import Any

from propensia.web import routes
from propensia.web.door import ROUTE
from propensia.web.quotas import WHO
from propensia.web.routes import Bodies
from propensia.web.servers import Listen, ServerError, run
from propensia.web.whole_requests import WholeRequests

PARTS, PART = 256, b"x" * 65536
FILE = routes.find("POST", "/modelos")


def make() -> Any:
    """Return the application; its routes are the names of the tests' questions."""

    def app(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        path = environ["PATH_INFO"]
        if path == "/large":
            start_response("200 OK", [("Content-Length", str(PARTS * len(PART)))])
            return (PART for _ in range(PARTS))
        if path == "/pid":
            body = str(os.getpid()).encode()
        elif path == "/query":
            body = environ["QUERY_STRING"].encode("latin-1")
        elif path == "/modelos":
            body = str(len(environ["wsgi.input"].read())).encode()
        elif path == "/taken":
            names = ("wsgi.url_scheme", "REMOTE_ADDR", "SCRIPT_NAME")
            body = " ".join(environ[name] for name in names).encode()
        elif path == "/slow":
            time.sleep(1)
            body = b"slow"
        else:
            body = b"ok"
        start_response("200 OK", [("Content-Length", str(len(body)))])
        return [body]

    return behind_whole_requests(app)


def behind_whole_requests(app: Any) -> Any:
    """Return ``app`` behind what reads bodies, as the door would call it."""

    def refusing(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        start_response("400 Bad Request", [("Content-Length", "0")])
        return []

    whole = WholeRequests(app, refusing, Bodies())

    def door(environ: dict[str, Any], start_response: Any) -> Any:
        return whole(environ | {ROUTE: FILE, WHO: "somebody"}, start_response)

    return door


def broken() -> Any:
    """Fail, as an application without its settings does."""
    raise RuntimeError("nothing works")


def never() -> None:
    """Say that it began, and never be ready."""
    os.write(1, b"loading\n")  # at once: there may be several workers
    time.sleep(600)


if __name__ == "__main__":
    # A shell that starts a job in the background makes it deaf to Ctrl-C; here it must listen.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    server, factory, port, workers, header_s, body_s = sys.argv[1:]
    limits = Listen(
        "127.0.0.1",
        int(port),
        workers=int(workers),
        header_timeout_s=float(header_s),
        body_timeout_s=float(body_s),
    )
    try:
        run(server, f"tiny_wsgi:{factory}", limits)
    except ServerError as error:
        print(error, file=sys.stderr)
        sys.exit(3)

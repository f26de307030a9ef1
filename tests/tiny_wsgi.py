"""A WSGI application of a few lines for the tests of the servers, and a way to start it.

It must never need anything of the product but the servers themselves.
"""

import os
import signal
import sys
import time
from typing import Any

from propensia.web.servers import Listen, ServerError, run


def make() -> Any:
    """Return the application; its routes are the names of the tests' questions."""

    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        path = environ["PATH_INFO"]
        if path == "/pid":
            body = str(os.getpid()).encode()
        elif path == "/query":
            body = environ["QUERY_STRING"].encode("latin-1")
        elif path == "/body":
            body = str(len(environ["wsgi.input"].read())).encode()
        elif path == "/slow":
            time.sleep(1)
            body = b"slow"
        else:
            body = b"ok"
        start_response("200 OK", [("Content-Length", str(len(body)))])
        return [body]

    return app


def broken() -> Any:
    """Fail, as an application without its settings does."""
    raise RuntimeError("nothing works")


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

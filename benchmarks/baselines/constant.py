"""The cheapest possible server, to see how fast the client itself can go.

It must never parse what it is sent.
"""

import selectors
import socket
import sys

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 1\r\n\r\n0"


def serve(listener: socket.socket) -> None:
    """Answer the same bytes to whatever arrives, one answer for each read, until the process ends.

    A request has to arrive in one piece, which short requests on one machine do.
    """
    listener.setblocking(False)
    with selectors.DefaultSelector() as selector:
        selector.register(listener, selectors.EVENT_READ)
        while True:
            for key, _ in selector.select():
                ready = key.fileobj
                assert isinstance(ready, socket.socket)
                if ready is listener:
                    selector.register(ready.accept()[0], selectors.EVENT_READ)
                elif _closed(ready):
                    selector.unregister(ready)
                    ready.close()


def _closed(ready: socket.socket) -> bool:
    try:
        if not ready.recv(65536):
            return True
        ready.sendall(ANSWER)
    except ConnectionError:
        return True
    return False


if __name__ == "__main__":
    serve(socket.create_server(("127.0.0.1", int(sys.argv[1])), backlog=128))

"""Requests that are whole reach the application with their body; all others never reach it."""

from __future__ import annotations

from io import BytesIO
from typing import Any

import pytest

from propensia.web.listen import Listen
from propensia.web.whole_requests import WholeRequests

LIMIT = 8


def answer(body: bytes, **headers: str) -> tuple[str, bytes]:
    """Status and body of a POST to an application that says what it was given."""
    given: list[str] = []

    def app(environ: dict[str, Any], start: Any) -> list[bytes]:
        start("200 OK", [])
        return [environ["wsgi.input"].read()]

    def start(status: str, headers: list[tuple[str, str]]) -> None:
        given.append(status)

    whole = WholeRequests(app, Listen("", 0, body_limit_bytes=LIMIT), slots=1)
    environ = {"HTTP_HOST": "x", "SERVER_PROTOCOL": "HTTP/1.1", "wsgi.input": BytesIO(body)}
    parts = b"".join(whole(environ | headers, start))
    return given[0][:3], parts


def test_a_whole_body_is_handed_on() -> None:
    assert answer(b"abc", CONTENT_LENGTH="3") == ("200", b"abc")
    assert answer(b"abc", HTTP_TRANSFER_ENCODING="chunked") == ("200", b"abc")


@pytest.mark.parametrize("length", ["-1", "-3", "+3", " 3", "3_0", "0x3", "3.0", "x"])
def test_a_length_that_is_no_number_of_bytes_is_refused(length: str) -> None:
    """A read of less than nothing would read until the sender stops, past every limit."""
    status, body = answer(b"abc" * 1000, CONTENT_LENGTH=length)
    assert (status, b"peticion_incompleta" in body) == ("400", True)


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        (b"ab", {"CONTENT_LENGTH": "3"}, "400"),
        (b"", {"HTTP_TRANSFER_ENCODING": "chunked"}, "400"),
        (b"x" * 9, {"CONTENT_LENGTH": "9"}, "413"),
        (b"x" * 9, {"HTTP_TRANSFER_ENCODING": "chunked"}, "413"),
        (b"", {"HTTP_HOST": ""}, "400"),
        (b"", {"HTTP_HOST": "x,y"}, "400"),
    ],
)
def test_what_is_torn_or_too_large_never_reaches_the_application(
    body: bytes, headers: dict[str, str], status: str
) -> None:
    found, told = answer(body, **headers)
    assert (found, b"urn:propensia:" in told) == (status, True)

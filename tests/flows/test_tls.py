"""TLS without a proxy: real certificates, real handshakes, and every way to set it up wrong."""

from __future__ import annotations

import contextlib
import datetime
import http.client
import ipaddress
import json
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from ports import free_port
from server import Place, Reply, Server, ask, prediccion, propensia_command

NONE = serialization.NoEncryption()


def make_certificate(
    folder: Path, name: str, passphrase: bytes | None = None
) -> tuple[Path, Path]:
    """A certificate for this machine that vouches for itself, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "propensia")])
    now = datetime.datetime.now(datetime.UTC)
    local = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(minutes=5))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([local]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    locked = serialization.BestAvailableEncryption(passphrase) if passphrase else NONE
    pem = serialization.Encoding.PEM
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, locked)
    certificate, own = folder / f"{name}.crt", folder / f"{name}.key"
    certificate.write_bytes(made.public_bytes(pem))
    own.write_bytes(private)
    return certificate, own


class SecureServer(Server):
    """A server that is asked over TLS, and must prove who it is."""

    trusted: Path

    def connection(self, timeout_s: float = 15.0) -> http.client.HTTPConnection:
        context = ssl.create_default_context(cafile=str(self.trusted))
        return http.client.HTTPSConnection(
            "127.0.0.1", self.port, timeout=timeout_s, context=context
        )


@pytest.fixture(scope="module", params=["granian", "gunicorn"])
def secure(
    request: pytest.FixtureRequest, admitted: Place, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[SecureServer]:
    if request.param == "gunicorn" and sys.platform == "win32":
        pytest.skip("gunicorn needs a POSIX system")
    certificate, key = make_certificate(tmp_path_factory.mktemp("tls"), "own")
    port = free_port()
    server = SecureServer(
        admitted,
        propensia_command(port, request.param),
        port,
        tls_certificate=certificate,
        tls_key=key,
        header_timeout_s=2,
    )
    server.trusted = certificate
    try:
        yield server.wait_ready()
    finally:
        server.stop()


def test_a_score_comes_over_https(secure: SecureServer) -> None:
    reply = secure.get(prediccion())
    assert reply.status == 200 and 0 <= reply.json()["probabilidad"] <= 1
    assert f"https://127.0.0.1:{secure.port}/prediccion" in secure.output()
    assert "max-age" in secure.get("/").headers["strict-transport-security"]


def test_many_requests_use_one_connection(secure: SecureServer) -> None:
    with contextlib.closing(secure.connection()) as connection:
        replies = [ask(connection, prediccion({"nl": str(n)})) for n in range(20)]
        assert isinstance(connection.sock, ssl.SSLSocket)
        assert connection.sock.version() in ("TLSv1.2", "TLSv1.3")
    assert {reply.status for reply in replies} == {200}


def test_a_large_body_arrives_whole(secure: SecureServer) -> None:
    """Longer than one TLS record of 16 KiB."""
    rows = [json.loads(secure.get(prediccion()).text)["avisos"] for _ in range(1)]
    body = json.dumps({"filas": [{"er": "x" * 400, "n": rows} for _ in range(90)]}).encode()
    assert len(body) > 3 * 16_384
    with contextlib.closing(secure.connection()) as connection:
        connection.request(
            "POST", "/predict/batch", body, headers={"Content-Type": "application/json"}
        )
        response = connection.getresponse()
        reply = Reply(response.status, {}, response.read())
    assert reply.status == 200 and len(reply.json()["resultados"]) == 90


def test_old_versions_of_tls_are_refused(secure: SecureServer) -> None:
    context = ssl.create_default_context(cafile=str(secure.trusted))
    with pytest.warns(DeprecationWarning):
        context.minimum_version = ssl.TLSVersion.TLSv1
        context.maximum_version = ssl.TLSVersion.TLSv1_1
    context.set_ciphers("ALL:@SECLEVEL=0")
    with (
        socket.create_connection(("127.0.0.1", secure.port), timeout=10) as plain,
        pytest.raises(OSError),
    ):
        context.wrap_socket(plain, server_hostname="127.0.0.1")


def test_plain_http_on_that_port_gets_no_answer(secure: SecureServer) -> None:
    told = secure.raw(b"GET /prueba HTTP/1.1\r\nHost: x\r\n\r\n")
    assert b"Funcionando" not in told
    assert secure.get("/prueba").status == 200


@pytest.mark.slow
def test_a_connection_that_never_ends_its_handshake_is_closed(secure: SecureServer) -> None:
    """Forty of them, more than there are threads, and nobody else waits for them."""
    with contextlib.ExitStack() as stack:
        silent = [
            stack.enter_context(socket.create_connection(("127.0.0.1", secure.port), timeout=20))
            for _ in range(40)
        ]
        for one in silent[::2]:
            one.sendall(b"\x16\x03\x01\x02")  # the beginning of a first message
        assert secure.get(prediccion()).status == 200
        began = time.monotonic()
        for one in silent:
            with contextlib.suppress(ConnectionError):
                while one.recv(1000):
                    pass
        assert time.monotonic() - began < 15


# Set up wrong: the start is refused with a sentence and exit code 3


def serve(place: Place, server: str = "granian", **given: object) -> str:
    port = free_port()
    done = subprocess.run(
        propensia_command(port, server),
        env=place.environment(port=port, **given),
        capture_output=True,
        encoding="utf-8",
        timeout=60,
    )
    assert done.returncode == 3, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done.stderr


def test_a_certificate_without_its_key_is_refused(admitted: Place, tmp_path: Path) -> None:
    certificate, key = make_certificate(tmp_path, "own")
    assert "van juntos" in serve(admitted, tls_certificate=certificate)
    assert "van juntos" in serve(admitted, tls_key=key)


def test_what_is_no_pair_is_refused(admitted: Place, tmp_path: Path) -> None:
    certificate, _ = make_certificate(tmp_path, "one")
    _, other = make_certificate(tmp_path, "other")
    _, locked = make_certificate(tmp_path, "locked", passphrase=b"secret")
    (tmp_path / "no.key").write_bytes(b"hello")
    for key, why in (
        (other, "no son pareja"),
        (locked, "frase de paso"),
        (tmp_path / "no.key", "no son PEM"),
        (tmp_path / "none.key", "No such file"),
    ):
        assert why in serve(admitted, tls_certificate=certificate, tls_key=key)


def test_a_server_without_tls_is_refused(admitted: Place, tmp_path: Path) -> None:
    certificate, key = make_certificate(tmp_path, "own")
    told = serve(admitted, "waitress", tls_certificate=certificate, tls_key=key)
    assert "waitress no sabe TLS" in told

"""The sample for nginx as it is, but for ports and paths: real requests through a real nginx."""

from __future__ import annotations

import contextlib
import http.client
import json
import re
import shutil
import ssl
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from guarded import copied, key
from ports import free_port
from server import ROOT, Place, Reply, Server, ask, prediccion, running, wait_for
from test_tls import make_certificate

from propensia.access import networks

SAMPLE = ROOT / "deploy" / "nginx" / "propensia.conf"
MARKED = "73519.4062"  # an amount that occurs nowhere else, nor within an id
NGINX = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
pytestmark = pytest.mark.skipif(NGINX is None, reason="nginx is not installed")
MAIN = """
pid {folder}/nginx.pid;
error_log {folder}/main.log;
daemon off;
events {{ worker_connections 256; }}
http {{
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    include {folder}/propensia.conf;
}}
"""


@dataclass(frozen=True)
class Proxy:
    """A running nginx, and the service behind it."""

    folder: Path
    port: int
    certificate: Path
    behind: Server
    key: str

    def get(self, path: str, method: str = "GET", **headers: str) -> Reply:
        headers.setdefault("x_api_key", self.key)
        context = ssl.create_default_context(cafile=str(self.certificate))
        made = http.client.HTTPSConnection("127.0.0.1", self.port, timeout=15, context=context)
        with contextlib.closing(made) as connection:
            return ask(connection, path, method, **headers)

    def logged(self) -> str:
        """Everything that nginx wrote."""
        return "".join(path.read_text(encoding="utf-8") for path in self.folder.glob("*.log"))


def adapted(folder: Path, behind: int, port: int, certificate: Path, key: Path) -> str:
    """The sample with the places of this test; each of them is there once."""
    text = SAMPLE.read_text(encoding="utf-8")
    for old, new in (
        ("server 127.0.0.1:5000 ", f"server 127.0.0.1:{behind} "),
        ("listen 443 ssl;", f"listen 127.0.0.1:{port} ssl;"),
        ("/etc/nginx/tls/propensia.crt;", f"{certificate};"),
        ("/etc/nginx/tls/propensia.key;", f"{key};"),
        ("/var/log/nginx/propensia.log ", f"{folder}/access.log "),
        ("/var/log/nginx/propensia-error.log ", f"{folder}/error.log "),
        ("#add_header ", "add_header "),
    ):
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    return text


@pytest.fixture(scope="module")
def proxy(admitted: Place, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    assert NGINX is not None
    folder, port = tmp_path_factory.mktemp("nginx"), free_port()
    certificate, private = make_certificate(folder, "own")
    place = copied(admitted, tmp_path_factory.mktemp("behind"))
    shown = key(place, "de aquí", "admin", networks=networks.listed("127.0.0.1"))
    with running(place, ready="/prueba", workers=1, trusted_proxies="127.0.0.1") as behind:
        text = adapted(folder, behind.port, port, certificate, private)
        (folder / "propensia.conf").write_text(text, encoding="utf-8")
        (folder / "main.conf").write_text(MAIN.format(folder=folder), encoding="utf-8")
        line = [NGINX, "-p", str(folder), "-e", str(folder / "main.log")]
        line += ["-c", str(folder / "main.conf")]
        checked = subprocess.run([*line, "-t"], capture_output=True, text=True)
        assert checked.returncode == 0, checked.stderr
        assert "[warn]" not in checked.stderr.replace('[warn] the "user" directive', "")
        nginx = subprocess.Popen(line, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        made = Proxy(folder, port, certificate, behind, shown)

        def answers() -> bool:
            with contextlib.suppress(OSError):
                return made.get("/prueba").status == 200
            return False

        try:
            wait_for(answers, "nginx answers")
            yield made
        finally:
            nginx.terminate()
            nginx.wait(10)


def test_a_score_through_the_proxy_is_the_score(proxy: Proxy) -> None:
    direct = proxy.behind.get(prediccion(), x_api_key=proxy.key).json()
    through = proxy.get(prediccion()).json()
    assert {**through, "id": ""} == {**direct, "id": ""}


def test_browsers_stay_with_https_once_the_sample_says_so(proxy: Proxy) -> None:
    for path in ("/", "/nowhere"):
        assert proxy.get(path).headers["strict-transport-security"] == "max-age=31536000"
        assert "strict-transport-security" not in proxy.behind.get(path).headers


def test_the_log_names_the_request_and_no_debtor(proxy: Proxy) -> None:
    reply = proxy.get(
        prediccion({"im": MARKED}), referer=f"https://x/?im={MARKED}", user_agent=MARKED
    )
    assert reply.status == 200
    line = wait_for(
        lambda: next(
            (row for row in proxy.logged().splitlines() if reply.headers["x-propensia-id"] in row),
            "",
        ),
        "the line of the request",
    )
    told = json.loads(line)
    assert (told["path"], told["status"], told["method"]) == ("/prediccion", 200, "GET")
    assert MARKED not in proxy.logged()


def test_a_key_in_the_address_is_not_written_down(proxy: Proxy) -> None:
    proxy.get(f"/c/ppk_{MARKED}/prediccion?im={MARKED}")
    proxy.get(f"/c/ppk_{MARKED}")
    wait_for(lambda: "/c/-/prediccion" in proxy.logged(), "the line of the request")
    assert MARKED not in proxy.logged()


def test_what_a_client_says_of_itself_is_replaced(proxy: Proxy) -> None:
    """The proxy, which is on this machine, tells who really asks: a key for this machine is good,
    whatever is said, and one for another network is not."""
    there = key(proxy.behind.place, "de allí", "admin", networks=networks.listed("203.0.113.7"))
    wait_for(
        lambda: (
            proxy.behind.get(prediccion(), x_api_key=there, x_forwarded_for="203.0.113.7").status
            == 200
        ),
        "the key is known",
    )
    for name in ("x_forwarded_for", "forwarded", "x_real_ip", "x_forwarded_host"):
        assert proxy.get(prediccion(), **{name: "203.0.113.7"}).status == 200
        said = {name: "203.0.113.7", "x_api_key": there}
        assert proxy.get(prediccion(), **said).status == 401


def test_too_much_is_refused_by_the_proxy_or_behind_it(proxy: Proxy) -> None:
    assert proxy.get(prediccion({"po": "x" * 3000})).status == 414
    assert proxy.get("/prueba?" + "x" * 20_000).status == 414
    assert proxy.get("/prueba", **{f"x_{n}": "y" * 8000 for n in range(10)}).status == 400


def test_no_log_tells_the_query_of_what_goes_wrong_either(
    proxy: Proxy, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """nginx repeats the request line in each error: with nobody behind it, that is every one."""
    folder, port = tmp_path_factory.mktemp("alone"), free_port()
    certificate, private = make_certificate(folder, "own")
    assert NGINX is not None
    text = adapted(folder, free_port(), port, certificate, private)
    quiet, loud = text, re.sub(r"(error_log \S+) emerg;", r"\1 error;", text)
    for name, sample in (("quiet", quiet), ("loud", loud)):
        place = folder / name
        place.mkdir()
        sample = sample.replace(str(folder / "access.log"), str(place / "access.log"))
        sample = sample.replace(str(folder / "error.log"), str(place / "error.log"))
        (place / "propensia.conf").write_text(sample, encoding="utf-8")
        (place / "main.conf").write_text(MAIN.format(folder=place), encoding="utf-8")
        line = [NGINX, "-p", str(place), "-e", str(place / "main.log")]
        nginx = subprocess.Popen(
            [*line, "-c", str(place / "main.conf")],
            stdin=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        made = Proxy(place, port, certificate, proxy.behind, proxy.key)

        def refused(made: Proxy = made) -> bool:
            with contextlib.suppress(OSError):
                return made.get(prediccion({"im": MARKED})).status == 502
            return False

        try:
            wait_for(refused, "502")
            wait_for(lambda made=made: '"status":502' in made.logged(), "the line in the log")
            assert (MARKED in made.logged()) is (name == "loud")
        finally:
            nginx.terminate()
            nginx.wait(10)

"""Sessions of browsers: what the cookie is, what ends it, and what must not get past it."""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from http.cookies import SimpleCookie
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient
from signed_tokens import AUDIENCE, pem, private, token
from werkzeug.test import TestResponse

from propensia.access import keys
from propensia.access.keys import Key
from propensia.access.sessions import Sessions
from propensia.settings import Settings
from propensia.web.app import create_app
from propensia.web.door import COOKIE

PAGE = {"Accept": "text/html"}
FORM = "application/x-www-form-urlencoded"
posix = pytest.mark.skipif(os.name != "posix", reason="rights of files are POSIX's")


class Desk:
    """An installation with keys, and the application of one process of it."""

    def __init__(self, state: Path, **settings: Any) -> None:
        self.state = state
        self.folder = state / keys.FOLDER
        self.chosen = Settings(
            state=state, models=state / "models", rate_limit="off", request_log_days=0, **settings
        )
        self.shown = self.key("ana", "tester")
        self.admin = self.key("jefa", "admin")
        self.caller = self.key("carga", "caller")

    def key(self, name: str, role: str, **more: Any) -> str:
        shown, made = keys.new(name, role, time.time(), **more)
        keys.change(self.folder, lambda known: [*known, made])
        return shown

    def change(self, name: str, **more: Any) -> None:
        """Change what is kept of a key, as the commands do."""

        def changed(key: Key) -> Key:
            return replace(key, **more) if key.name == name else key

        keys.change(self.folder, lambda known: [changed(key) for key in known])

    def app(self) -> Browser:
        """A browser and the application that it asks, made anew: as another process is."""
        made = create_app(self.chosen, background=False)
        return Browser(made.test_client(use_cookies=False))

    @property
    def secret(self) -> bytes:
        return (self.folder / "secret").read_bytes()


@dataclass
class Browser:
    """What a person does; the cookie is kept by hand, so that tests may change it."""

    client: FlaskClient
    cookie: str = ""

    def ask(self, path: str, method: str = "GET", **more: Any) -> TestResponse:
        headers = PAGE | more.pop("headers", {})
        if self.cookie:
            headers |= {"Cookie": f"{COOKIE}={self.cookie}"}
        return self.client.open(path, method=method, headers=headers, **more)

    def enter(self, shown: str, **more: Any) -> TestResponse:
        form = {"clave": shown, "volver": more.pop("volver", "/")}
        reply = self.ask("/entrar", "POST", data=form, **more)
        if "Set-Cookie" in reply.headers:
            self.cookie = cookies(reply)[COOKIE].value
        return reply

    def token(self) -> str:
        """The random text that the pages of this session carry."""
        found = re.search(r'name="csrf" value="([^"]+)"', self.ask("/").text)
        assert found
        return found[1]


def cookies(reply: TestResponse) -> SimpleCookie:
    return SimpleCookie(reply.headers["Set-Cookie"])


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


@pytest.fixture
def browser(desk: Desk) -> Browser:
    """Somebody who has logged in as a tester."""
    made = desk.app()
    assert made.enter(desk.shown).status_code == 303
    assert made.ask("/").status_code == 200
    return made


def signed(secret: bytes, id: str, nonce: str, at: int) -> str:
    """A cookie, made without the library: HMAC-SHA-256 with a key for this use (RFC 2104)."""
    stamp = base64.urlsafe_b64encode(at.to_bytes(5, "big").lstrip(b"\0")).rstrip(b"=").decode()
    value = f"{id}.{nonce}.{stamp}"
    own = hmac.digest(secret, b"propensia.session", hashlib.sha256)
    made = hmac.digest(own, value.encode(), hashlib.sha256)
    return f"{value}.{base64.urlsafe_b64encode(made).rstrip(b'=').decode()}"


# Logging in


def test_a_page_that_needs_a_key_asks_for_it_at_its_own_address(desk: Desk) -> None:
    page = desk.app().ask("/prediccion?im=263.68&er=%22%3E%3Cb%3E&idioma=es")
    assert (page.status_code, page.mimetype) == (401, "text/html")
    assert "<h1>Entrar</h1>" in page.text and 'type="password"' in page.text
    back = 'name="volver" value="/prediccion?im=263.68&amp;er=%22%3E%3Cb%3E&amp;idioma=es"'
    assert back in page.text
    addresses = re.findall(r'(?:href|src|action)="([^"]*)"', page.text)
    # Only the link to the other language holds the query: it leads to this same address.
    assert [a for a in addresses if "263" in a] == [
        "?im=263.68&amp;er=%22%3E%3Cb%3E&amp;idioma=en"
    ]


@pytest.mark.parametrize(
    ("headers", "offered"),
    [
        ({"Sec-Fetch-Site": "cross-site"}, True),
        ({"Sec-Fetch-Site": "same-site"}, True),
        ({"Sec-Fetch-Site": "same-origin"}, False),
        ({"Sec-Fetch-Site": "none", "Referer": "https://correo.example/"}, False),
        ({"Referer": "https://correo.example/"}, True),
        ({"Referer": "http://localhost/docs"}, False),
        ({"Referer": "x"}, True),
        ({}, False),
    ],
)
def test_who_follows_a_link_of_another_site_may_have_logged_in_already(
    desk: Desk, headers: dict[str, str], offered: bool
) -> None:
    """Browsers leave the cookie out then; a link of this page, to this address, brings it."""
    link = {"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
    for path, address in {
        "/": "./",
        "/modelos": "./modelos",
        "/prediccion?im=263.68&er=%22": "./prediccion?im=263.68&amp;er=%22",
        "/docs/a:b": "./a%3Ab",
    }.items():
        page = desk.app().ask(path, headers=link | headers)
        assert page.status_code == 401
        assert (f'<a href="{address}">Continuar</a>' in page.text) is offered, page.text


def test_whoever_wants_no_page_gets_the_problem(desk: Desk) -> None:
    for accept in ("*/*", "application/json"):
        reply = desk.app().ask("/", headers={"Accept": accept})
        assert (reply.status_code, reply.mimetype) == (401, "application/problem+json")
        assert reply.headers["WWW-Authenticate"] == "Bearer"


@pytest.mark.parametrize(
    ("language", "title"), [("es-ES", "Entrar"), ("en-GB,en;q=0.9", "Log in"), ("fr", "Entrar")]
)
def test_the_page_speaks_the_language_of_the_browser(
    desk: Desk, language: str, title: str
) -> None:
    for path in ("/", "/entrar"):
        page = desk.app().ask(path, headers={"Accept-Language": language})
        assert f"<h1>{title}</h1>" in page.text


def test_a_good_key_opens_a_session_and_leads_back(desk: Desk) -> None:
    reply = desk.app().enter(desk.shown, volver="/prediccion?im=263.68&er=%22")
    assert (reply.status_code, reply.data) == (303, b"")
    assert reply.headers["Location"] == "./prediccion?im=263.68&er=%22"
    morsel = cookies(reply)[COOKIE]
    assert (morsel["path"], morsel["samesite"], morsel["max-age"]) == ("/", "Strict", "28800")
    assert morsel["httponly"] is True and morsel["secure"] == "" and morsel["domain"] == ""


def test_the_cookie_holds_an_id_a_random_text_and_a_time_and_nothing_else(
    desk: Desk, browser: Browser
) -> None:
    id, nonce, stamp, signature = browser.cookie.split(".")
    at = int.from_bytes(base64.urlsafe_b64decode(stamp + "=="), "big")
    assert id == desk.shown.split("_")[1] and len(nonce) == 32 and len(signature) == 43
    assert abs(at - time.time()) < 60
    assert browser.cookie == signed(desk.secret, id, nonce, at)
    again = desk.app()
    again.enter(desk.shown)
    assert again.cookie.split(".")[1] != nonce


@pytest.mark.parametrize("wrong", ["", "x", "ppk_00000000_" + "x" * 43, "ñ\n\0", "x" * 70_000])
def test_a_wrong_key_is_asked_for_again_and_loses_nothing(desk: Desk, wrong: str) -> None:
    reply = desk.app().enter(wrong, volver="/prediccion?im=263.68")
    assert reply.status_code in (401, 413)
    if reply.status_code == 401:
        assert "esa clave no vale" in reply.text and 'aria-invalid="true"' in reply.text
        assert 'name="volver" value="/prediccion?im=263.68"' in reply.text
        assert len(wrong) < 2 or wrong not in reply.text
    assert "Set-Cookie" not in reply.headers


def test_only_a_key_that_is_good_here_and_now_opens_a_session(tmp_path: Path) -> None:
    provider = private("ES256")
    (tmp_path / "k.pem").write_bytes(pem(provider))
    desk = Desk(tmp_path / "s", jwt_keys=str(tmp_path / "k.pem"), jwt_audience=AUDIENCE)
    from_elsewhere = keys.networks.listed("10.0.0.0/8")
    wrong = {
        "expired": desk.key("expired", "admin", expires=time.time() - 1),
        "revoked": desk.key("revoked", "admin", revoked=time.time()),
        "of another network": desk.key("net", "admin", networks=from_elsewhere),
        "of an address": desk.key("path", "caller", in_path=True),
        "a token": token(provider, role="admin"),
    }
    app = desk.app()
    assert app.enter(desk.shown).status_code == 303
    assert {name: app.enter(text).status_code for name, text in wrong.items()} == dict.fromkeys(
        wrong, 401
    )
    inside = app.enter(wrong["of another network"], environ_base={"REMOTE_ADDR": "10.1.2.3"})
    assert inside.status_code == 303


@pytest.mark.parametrize(
    "volver",
    [
        "https://evil.example/",
        "//evil.example/",
        "/\\evil.example/",
        "\\\\evil.example",
        "/%2f/evil.example",
        "/%5cevil.example",
        "javascript:alert(1)",
        "/\t/evil.example",
        "/prediccion?a=\r\nSet-Cookie: a=b",
        "/prediccion?a=ñ",
        "/prediccion?" + "x" * 9000,
        "/entrar",
        "/salir",
        "/static/propensia.css",
        "/nada",
        "prediccion",
        "",
        "/../../etc/passwd",
    ],
)
def test_nobody_is_led_to_another_place(desk: Desk, volver: str) -> None:
    assert desk.app().enter(desk.shown, volver=volver).headers["Location"] == "./"


@pytest.mark.parametrize("volver", ["/", "/modelos", "/?idioma=en", "/v2/models/x", "/docs"])
def test_every_page_can_be_come_back_to(desk: Desk, volver: str) -> None:
    assert desk.app().enter(desk.shown, volver=volver).headers["Location"] == f".{volver}"


@pytest.mark.parametrize(
    ("scheme", "proxies", "forwarded", "secure"),
    [
        ("https", "", None, True),
        ("http", "", None, False),
        ("http", "127.0.0.0/8", "https", True),
        ("http", "127.0.0.0/8", "http", False),
        ("http", "10.0.0.0/8", "https", False),
    ],
)
def test_over_tls_the_cookie_never_goes_without_it(
    tmp_path: Path, scheme: str, proxies: str, forwarded: str | None, secure: bool
) -> None:
    desk = Desk(tmp_path, trusted_proxies=proxies)
    headers = {} if forwarded is None else {"X-Forwarded-Proto": forwarded}
    reply = desk.app().enter(desk.shown, base_url=f"{scheme}://localhost/", headers=headers)
    assert bool(cookies(reply)[COOKIE]["secure"]) is secure


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "http://localhost"}, 303),
        ({"Sec-Fetch-Site": "same-origin", "Origin": "null"}, 303),
        # A proxy that gives the request another Host: the browser's own word decides.
        ({"Sec-Fetch-Site": "same-origin", "Origin": "https://casa.example"}, 303),
        ({}, 303),
    ],
)
def test_another_site_cannot_log_anybody_in(
    desk: Desk, headers: dict[str, str], status: int
) -> None:
    assert desk.app().enter(desk.shown, headers=headers).status_code == status


# What a session may do, and what ends it


def test_a_session_may_do_what_its_key_may(desk: Desk, browser: Browser) -> None:
    assert browser.ask("/modelos").status_code == 200
    assert browser.ask("/", "HEAD").status_code == 200
    page = browser.ask("/modelos/rollback", "POST", headers={"X-CSRF-Token": browser.token()})
    assert page.status_code == 403 and "Sin permiso" in page.text


def test_a_key_with_routes_of_its_own_keeps_to_them_in_a_session(desk: Desk) -> None:
    shown = desk.key("solo", "admin", routes=frozenset({"/modelos"}))
    browser = desk.app()
    browser.enter(shown)
    assert (browser.ask("/modelos").status_code, browser.ask("/").status_code) == (200, 403)


@pytest.mark.parametrize(
    "change",
    [
        {"revoked": 1.0},
        {"expires": 1.0},
        {"networks": keys.networks.listed("10.0.0.0/8")},
        {"id": "00000000"},
    ],
    ids=lambda change: next(iter(change)),
)
def test_whatever_ends_a_key_ends_its_sessions(
    desk: Desk, browser: Browser, change: dict[str, Any]
) -> None:
    desk.change("ana", **change)
    later = desk.app()
    later.cookie = browser.cookie
    page = later.ask("/")
    assert page.status_code == 401 and "Salir" not in page.text.partition("<main")[0]


def test_a_role_that_is_taken_away_is_gone_from_the_session_too(
    desk: Desk, browser: Browser
) -> None:
    desk.change("ana", role="caller")
    later = desk.app()
    later.cookie = browser.cookie
    assert later.ask("/").status_code == 403


def test_a_session_lasts_as_long_as_the_settings_say(tmp_path: Path) -> None:
    desk = Desk(tmp_path, session_hours=0.5)
    browser = desk.app()
    assert cookies(browser.enter(desk.shown))[COOKIE]["max-age"] == "1800"
    id, nonce, *_ = browser.cookie.split(".")
    for age_s, status in ((1740, 200), (1860, 401), (-120, 401)):
        browser.cookie = signed(desk.secret, id, nonce, int(time.time()) - age_s)
        assert browser.ask("/").status_code == status, age_s


def test_a_cookie_that_was_changed_is_none(desk: Desk, browser: Browser) -> None:
    id, nonce, stamp, signature = good = browser.cookie.split(".")
    admin = desk.admin.split("_")[1]
    now = int(time.time())
    texts = {
        "of another key": f"{admin}.{nonce}.{stamp}.{signature}",
        "with another random text": f"{id}.{nonce[::-1]}.{stamp}.{signature}",
        "with another time": f"{id}.{nonce}.{stamp[::-1]}.{signature}",
        "with another signature": f"{id}.{nonce}.{stamp}.{signature[::-1]}",
        "without a signature": f"{id}.{nonce}.{stamp}",
        "of another installation": signed(bytes(32), id, nonce, now),
        "of no secret": signed(b"", id, nonce, now),
        "of a key that is not": signed(desk.secret, "00000000", nonce, now),
        "the key itself": desk.shown,
        "empty": "",
        "long": ".".join(good) + "A" * 3000,
        "twice": f"{browser.cookie}; {COOKIE}={browser.cookie}",
        "with letters of others": "ñ\xff.é.í.ó",
    }
    app = desk.app()
    assert app.client.get("/", headers=PAGE | {"Cookie": f"{COOKIE}={browser.cookie}"}).status == (
        "200 OK"
    )
    for name, text in texts.items():
        head = PAGE | {"Cookie": f"{COOKIE}={text}"}
        assert app.client.get("/", headers=head).status_code == 401, name
    for other in ("session", "xpropensia_session", "PROPENSIA_SESSION"):
        head = PAGE | {"Cookie": f"{other}={browser.cookie}"}
        assert app.client.get("/", headers=head).status_code == 401, other


def test_a_session_that_is_none_leaves_an_open_network_open(tmp_path: Path) -> None:
    desk = Desk(tmp_path, open_networks="127.0.0.1")
    browser = desk.app()
    browser.cookie = "x"
    assert browser.ask("/prediccion", headers={"Accept": "text/plain"}).status_code == 400
    browser.enter(desk.shown)
    desk.change("ana", revoked=1.0)
    later = desk.app()
    later.cookie = browser.cookie
    assert later.ask("/prediccion", headers={"Accept": "text/plain"}).status_code == 400


# Logging out


def test_who_logs_out_is_out_even_with_a_copy_of_the_cookie(desk: Desk, browser: Browser) -> None:
    other = desk.app()
    other.enter(desk.shown)
    reply = browser.ask("/salir", "POST", data={"csrf": browser.token()})
    assert (reply.status_code, reply.headers["Location"]) == (303, "./entrar?idioma=es")
    morsel = cookies(reply)[COOKIE]
    assert (morsel.value, morsel["max-age"], morsel["path"]) == ("", "0", "/")
    assert browser.ask("/").status_code == 401
    elsewhere = desk.app()  # another process, which reads what was ended
    elsewhere.cookie = browser.cookie
    assert elsewhere.ask("/").status_code == 401
    assert other.ask("/").status_code == 200  # the other session of the same key goes on


def test_what_is_kept_of_an_ended_session_makes_no_session(desk: Desk, browser: Browser) -> None:
    browser.ask("/salir", "POST", data={"csrf": browser.token()})
    (kept,) = (desk.folder / "ended").iterdir()
    parts = browser.cookie.split(".")
    assert not any(part in kept.name for part in parts) and kept.read_bytes() == b""


def test_the_end_of_a_session_is_forgotten_when_no_session_lasts_so_long(
    desk: Desk, browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    browser.ask("/salir", "POST", data={"csrf": browser.token()})
    (kept,) = (desk.folder / "ended").iterdir()
    now = time.time()
    for days, left in ((6.9, True), (7.1, False), (8, False)):
        monkeypatch.setattr(time, "time", lambda at=now + days * 86400: at)
        Sessions(desk.folder, 8.0).refresh()
        assert kept.exists() is left
        assert len(list(kept.parent.iterdir())) == 1


def test_a_clock_that_was_wrong_for_a_while_brings_no_session_back(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was forgotten while the clock was ahead is not good again when it is right."""
    now = round(time.time())
    _, key = keys.new("ana", "tester", 0.0)

    def clock(at: float) -> None:
        monkeypatch.setattr(time, "time", lambda: at)

    here, elsewhere = Sessions(desk.folder, 8.0), Sessions(desk.folder, 8.0)
    texts = []
    for second in range(3):
        clock(now + second)
        here.refresh()
        texts.append(here.begin(key))
    held = here.read(texts[1])
    assert held is not None
    here.end(held)
    for at in (now + 3, now + 30 * 86400, now + 4):
        clock(at)
        for process in (elsewhere, here, Sessions(desk.folder, 8.0)):
            process.refresh()
            assert process.read(texts[1]) is None
    assert here.read(texts[2]) is not None
    (desk.folder / "secret").unlink()  # whoever begins anew is rid of all that
    here.refresh()
    assert list((desk.folder / "ended").iterdir()) == []


def test_who_logs_in_again_leaves_no_session_behind(desk: Desk, browser: Browser) -> None:
    before = browser.cookie
    browser.enter(desk.shown)
    assert browser.ask("/").status_code == 200
    browser.cookie = before
    assert browser.ask("/").status_code == 401


def test_out_is_out_for_who_was_not_in(desk: Desk) -> None:
    reply = desk.app().ask("/salir", "POST")
    assert reply.status_code == 303 and cookies(reply)[COOKIE]["max-age"] == "0"


# What another page could send


@pytest.fixture
def admin(desk: Desk) -> Browser:
    made = desk.app()
    made.enter(desk.admin)
    return made


def sends(admin: Browser, shown: str | None) -> Iterator[tuple[str, dict[str, Any]]]:
    """The ways in which a page sends something, each with what it shows of its session."""
    field = {} if shown is None else {"csrf": shown}
    yield "form", {"data": field, "content_type": FORM}
    yield "file", {"data": field, "content_type": "multipart/form-data"}
    header = {} if shown is None else {"X-CSRF-Token": shown}
    yield "script", {"data": "{}", "content_type": "application/json", "headers": header}
    yield "nothing", {"headers": header}


def test_what_a_session_sends_must_show_that_it_is_its_own(desk: Desk, admin: Browser) -> None:
    other = desk.app()
    other.enter(desk.shown)
    wrong = [None, "", "x", admin.token()[:-1], admin.token() + "x", other.token(), "ñ"]
    for path in ("/modelos/rollback", "/salir"):
        for shown in wrong:
            for way, more in sends(admin, shown):
                if shown == "ñ" and way not in ("form", "file"):
                    continue  # no header holds it
                reply = admin.ask(path, "POST", **more)
                assert reply.status_code == 403, (path, shown, way)
                assert "recargue y repita" in reply.text
    for way, more in sends(admin, admin.token()):
        path = "/modelos" if way in ("form", "file") else "/modelos/rollback"
        assert admin.ask(path, "POST", **more).status_code != 403, way
    assert admin.ask("/", "GET").status_code == 200  # and nothing of all that ended the session


@pytest.mark.parametrize("path", ["/predict", "/predict/batch", "/modelos/rollback"])
def test_a_form_shows_nothing_where_no_form_is_taken(path: str, admin: Browser) -> None:
    """Also of what is answered ahead of the pages, where nobody would look into the form."""
    form = {"csrf": admin.token()}
    assert admin.ask(path, "POST", data=form, content_type=FORM).status_code == 403


def test_a_form_of_plain_text_shows_nothing(admin: Browser) -> None:
    """The one kind of form whose body could look like anything."""
    body = f"csrf={admin.token()}"
    for kind in ("text/plain", "", "application/json"):
        reply = admin.ask("/modelos/rollback", "POST", data=body, content_type=kind)
        assert reply.status_code == 403


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_a_page_of_another_site_is_refused_whatever_it_shows(admin: Browser, site: str) -> None:
    head = {"X-CSRF-Token": admin.token(), "Sec-Fetch-Site": site}
    assert admin.ask("/modelos/rollback", "POST", headers=head).status_code == 403


def test_a_key_needs_no_page(desk: Desk, admin: Browser) -> None:
    head = {"X-API-Key": desk.admin}
    assert admin.ask("/modelos/rollback", "POST", headers=head).status_code not in (401, 403)


# What pages show


def test_a_page_says_who_is_logged_in_and_only_then(desk: Desk, browser: Browser) -> None:
    page = browser.ask("/").text
    assert "Ha entrado como" in page and "ana" in page and "(tester)" in page
    assert 'action="./salir?idioma=es"' in page
    assert "Logged in as" in browser.ask("/?idioma=en").text
    by_key = desk.app().ask("/", headers={"X-API-Key": desk.shown}).text
    for text in (by_key, desk.app().ask("/entrar").text):
        assert "Ha entrado" not in text and "salir" not in text and "csrf" not in text


def test_a_page_without_permission_says_so_in_words_and_offers_another_key(desk: Desk) -> None:
    browser = desk.app()
    browser.enter(desk.caller)
    page = browser.ask("/")
    assert page.status_code == 403
    assert "Sin permiso" in page.text and "Entrar con otra clave" in page.text
    assert "Ha entrado como" in page.text and "Traceback" not in page.text


@pytest.mark.parametrize("path", ["/v2/models/x", "/modelos/x/activar", "/a/b/c/d"])
def test_a_page_at_any_depth_finds_its_style_and_its_links(
    desk: Desk, browser: Browser, path: str
) -> None:
    up = "../" * (path.count("/") - 1)
    for page in (desk.app().ask(path).text, browser.ask(path).text):
        if "<html" in page:
            assert f'href="{up}static/propensia.css"' in page


def test_no_page_carries_script_or_style_of_its_own(desk: Desk, browser: Browser) -> None:
    for page in (desk.app().ask("/"), browser.ask("/"), desk.app().enter("x")):
        assert not re.search(r"<script(?! src)|<style|style=|javascript:|\son\w+=", page.text)
        assert "form-action 'self'" in page.headers["Content-Security-Policy"]
        assert page.headers["Cache-Control"] == "no-store"
        # "no-referrer" would make browsers send "Origin: null" with our own forms.
        assert page.headers["Referrer-Policy"] == "strict-origin"


# The secret


@posix
def test_the_secret_is_of_256_bits_and_for_this_account_only(desk: Desk) -> None:
    desk.app()
    assert len(desk.secret) == 32
    assert (desk.folder / "secret").stat().st_mode & 0o777 == 0o600
    assert desk.folder.stat().st_mode & 0o077 == 0


def test_processes_that_start_at_once_make_one_secret(tmp_path: Path) -> None:
    code = (
        "import sys, pathlib; from propensia.access.sessions import Sessions; "
        "f = pathlib.Path(sys.argv[1]); sys.stdin.read(1); Sessions(f, 8.0).refresh(); "
        "print((f / 'secret').read_bytes().hex())"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "access")]
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    started = [subprocess.Popen(command, **pipes) for _ in range(4)]
    for process in started:
        assert process.stdin
        process.stdin.write("x")
        process.stdin.flush()
    found = {process.communicate(timeout=300)[0] for process in started}
    assert len(found) == 1 and len(found.pop().strip()) == 64


@pytest.mark.parametrize("damage", [None, b"", b"short"])
def test_without_its_secret_all_sessions_end_and_new_ones_begin(
    desk: Desk, browser: Browser, damage: bytes | None
) -> None:
    if damage is None:
        (desk.folder / "secret").unlink()
    else:
        (desk.folder / "secret").write_bytes(damage)
    later = desk.app()
    later.cookie = browser.cookie
    assert later.ask("/").status_code == 401
    assert later.enter(desk.shown).status_code == 303
    assert later.ask("/").status_code == 200


def test_threads_that_end_sessions_lose_none(tmp_path: Path) -> None:
    sessions = Sessions(tmp_path, 8.0)
    sessions.refresh()
    _, key = keys.new("ana", "tester", 0.0)
    texts = [sessions.begin(key) for _ in range(40)]
    held = [sessions.read(text) for text in texts]

    def end(number: int) -> None:
        session = held[number]
        assert session is not None
        sessions.end(session)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(end, range(40)))
    for _ in ("at once", "after a look at the folder"):
        assert [text for text in texts if sessions.read(text) is not None] == []
        sessions.refresh()

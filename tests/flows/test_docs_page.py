"""The page of the documentation in a real headless browser, with keys and without."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import browsing
import pytest
from browsing import address, with_browser
from guarded import copied, key
from playwright.sync_api import Browser, Locator, Page
from server import Place, Server, prediccion, running

pytestmark = with_browser


@contextlib.contextmanager
def opened(browser: Browser, *expected: str) -> Iterator[Page]:
    """A page that keeps nothing in the browser."""
    with browsing.opened(browser, *expected) as page:
        yield page
        assert page.evaluate("localStorage.length + sessionStorage.length") == 0


def tried(page: Page, operation: str) -> Locator:
    """The answer that the page shows after its example of an operation was executed."""
    block = page.locator(f"#operations-Puntuar-{operation}")
    block.locator(".opblock-summary-control").click()
    block.get_by_role("button", name="Try it out").click()
    block.get_by_role("button", name="Execute").click()
    shown = block.locator(".live-responses-table .response")
    shown.wait_for()
    return shown


def test_the_page_opens_from_the_form_and_runs_an_example(
    caller_server: Server, chromium: Browser
) -> None:
    with opened(chromium) as page:
        page.goto(address(caller_server, "/"))
        page.get_by_role("link", name="Documentación para programas").click()
        assert page.locator("h1").first.inner_text() == "Documentación de la API"
        shown = tried(page, "puntuar").inner_text()
        answer = caller_server.get(prediccion()).json()
        assert shown.startswith("200")
        assert f'"probabilidad": {answer["probabilidad"]!r}' in shown
        assert tried(page, "puntuarObjeto").inner_text().startswith("200")


@pytest.fixture(scope="module")
def keyed(
    tmp_path_factory: pytest.TempPathFactory, admitted: Place
) -> Iterator[tuple[Server, str]]:
    """A server that asks for keys, and a key."""
    place = copied(admitted, tmp_path_factory.mktemp("docs"))
    shown = key(place, "pruebas", "tester")
    with running(place, workers=1) as server:
        yield server, shown


def log_in(page: Page, server: Server, shown: str) -> None:
    """Ask for the page, and give the key that it asks for."""
    page.goto(address(server, "/docs"))
    page.get_by_label("Clave").fill(shown)
    page.keyboard.press("Enter")
    page.wait_for_selector(".opblock")


@pytest.mark.slow
def test_with_keys_the_page_is_for_who_logs_in_and_their_session_is_enough_to_try(
    keyed: tuple[Server, str], chromium: Browser
) -> None:
    server, shown = keyed
    with opened(chromium, "status of 401") as page:
        log_in(page, server, shown)
        assert page.url.endswith("/docs")
        own = page.locator("#swagger-ui").get_attribute("data-csrf")
        sent: list[str | None] = []
        page.on("request", lambda r: sent.append(r.headers.get("x-csrf-token")))
        assert tried(page, "puntuarObjeto").inner_text().startswith("200")
        shown = page.locator(".curl-command").inner_text()
        assert own and sent == [own]
        assert "/predict" in shown and "csrf" not in shown.lower() and own not in shown


@pytest.mark.slow
def test_a_key_that_was_typed_in_is_sent_and_forgotten_with_the_page(
    keyed: tuple[Server, str], chromium: Browser
) -> None:
    server, shown = keyed
    with opened(chromium, "status of 401") as page:
        log_in(page, server, shown)
        sent: list[str | None] = []
        page.on("request", lambda r: sent.append(r.headers.get("x-api-key")))
        page.get_by_role("button", name="Authorize").first.click()
        field = page.get_by_label("Value:").first
        field.fill(shown)
        assert field.get_attribute("type") == "password"
        page.get_by_role("button", name="Apply credentials").first.click()
        page.get_by_role("button", name="Close", exact=True).first.click()
        assert tried(page, "puntuar").inner_text().startswith("200")
        assert sent == [shown]
        page.reload()
        assert tried(page, "puntuar").inner_text().startswith("200")
        assert set(sent[1:]) == {None}


def test_only_the_files_of_the_page_are_given_and_browsers_may_keep_them(
    caller_server: Server,
) -> None:
    for name, kind in (
        ("swagger-ui.css", "text/css"),
        ("swagger-ui-bundle.js", "text/javascript"),
    ):
        reply = caller_server.get(f"/docs/{name}")
        assert reply.status == 200
        assert reply.headers["content-type"].startswith(kind)
        assert "max-age=86400" in reply.headers["cache-control"]
    for name in (
        "index.html",
        "LICENSE",
        "swagger-ui.js",
        "..%2f__init__.py",
        "%2e%2e/__init__.py",
        "..%5c__init__.py",
        "swagger-ui.css%00",
        "swagger-ui.css/",
        "SWAGGER-UI.CSS",
    ):
        reply = caller_server.get(f"/docs/{name}")
        assert reply.status == 404, name
        assert reply.headers["cache-control"] == "no-store"


def test_the_page_may_run_no_script_of_its_own_and_talk_to_nobody_else(
    caller_server: Server,
) -> None:
    policy = caller_server.get("/docs").headers["content-security-policy"]
    assert "unsafe" not in policy
    assert "connect-src 'self'" in policy
    assert "connect-src" not in caller_server.get("/?").headers["content-security-policy"]

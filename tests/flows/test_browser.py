"""What a tester sees: the pages in a real headless browser, with the keyboard alone."""

from __future__ import annotations

import shutil
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, sync_playwright
from server import Server, prediccion

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]


def address(server: Server, path: str) -> str:
    return f"http://127.0.0.1:{server.port}{path}"


def is_local(url: str) -> bool:
    return url.startswith(("http://127.0.0.1:", "data:"))


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield started
        started.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A Spanish tester's page; anything the browser complains about fails the test."""
    context = browser.new_context(locale="es-ES", viewport={"width": 1200, "height": 900})
    opened = context.new_page()
    complaints: list[str] = []
    opened.on("console", lambda m: complaints.append(m.text) if m.type == "error" else None)
    opened.on("pageerror", lambda error: complaints.append(str(error)))
    opened.on(
        "request",
        lambda r: (
            None if "//127.0.0.1:" in r.url or r.url[:5] == "data:" else complaints.append(r.url)
        ),
    )
    yield opened
    context.close()
    allowed = "the server responded with a status of 400"
    assert [text for text in complaints if allowed not in text] == []


def test_the_form_is_filled_in_and_sent_with_the_keyboard_alone(
    caller_server: Server, page: Page
) -> None:
    page.goto(address(caller_server, "/"))
    assert page.locator("html").get_attribute("lang") == "es"
    page.get_by_label("Deuda total").focus()
    page.keyboard.press("Control+A")
    page.keyboard.type("12,5")
    page.keyboard.press("Enter")
    page.wait_for_url("**/prediccion?**")
    assert "agador" in page.locator("h1").inner_text()
    assert "coma decimal" in page.inner_text("main")
    assert "motivos" in page.url


def test_the_page_and_the_json_form_tell_the_same_probability(
    caller_server: Server, page: Page
) -> None:
    page.goto(address(caller_server, "/"))
    page.get_by_role("button").first.click()
    page.wait_for_url("**/prediccion?**")
    url = page.locator("#copia-url").input_value()
    answer = caller_server.get(url[url.index("/prediccion") :]).json()
    assert repr(answer["probabilidad"]) in page.inner_text("main")
    assert answer["version"] in page.inner_text("main")


def test_a_wrong_value_is_mended_in_place(caller_server: Server, page: Page) -> None:
    page.goto(address(caller_server, "/"))
    page.get_by_label("Importe de la factura").fill("1.234,50")
    page.keyboard.press("Enter")
    page.wait_for_url("**/prediccion?**")
    field = page.get_by_label("Importe de la factura")
    assert field.input_value() == "1.234,50"
    assert field.get_attribute("aria-invalid") == "true"
    field.fill("1234.50")
    page.keyboard.press("Enter")
    page.wait_for_selector("#copia-url")


def test_markup_in_a_value_stays_text(caller_server: Server, page: Page) -> None:
    page.goto(
        address(
            caller_server, "/prediccion?formato=html&er=%3Cimg%20src%3Dx%20onerror%3Dalert(1)%3E"
        )
    )
    assert page.locator("img[src=x]").count() == 0


@pytest.mark.parametrize("width", [1200, 390])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_page_needs_sideways_scrolling(
    caller_server: Server, browser: Browser, tmp_path: Path, width: int, scheme: str
) -> None:
    context = browser.new_context(
        locale="es-ES",
        viewport={"width": width, "height": 900},
        color_scheme="dark" if scheme == "dark" else "light",
    )
    page = context.new_page()
    for path in (
        "/",
        prediccion() + "&formato=html&motivos=5",
        "/prediccion?formato=html",
    ):
        page.goto(address(caller_server, path))
        wide = page.evaluate("document.documentElement.scrollWidth")
        assert wide <= width, f"{path} is {wide} wide"
    picture = tmp_path / "page.png"
    page.screenshot(path=picture)
    assert struct.unpack(">I", picture.read_bytes()[16:20])[0] == width
    context.close()

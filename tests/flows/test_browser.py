"""What a tester sees: the pages in a real headless browser, with the keyboard alone."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path

import pytest
from browsing import address, opened, with_browser
from playwright.sync_api import Browser, Page
from server import Server, prediccion

pytestmark = with_browser
WRONG = "the server responded with a status of 400"


@pytest.fixture
def page(chromium: Browser) -> Iterator[Page]:
    """A page on which a wrong value is no complaint."""
    with opened(chromium, WRONG) as page:
        yield page


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
    caller_server: Server, chromium: Browser, tmp_path: Path, width: int, scheme: str
) -> None:
    with opened(chromium, WRONG, width=width, scheme=scheme) as page:
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

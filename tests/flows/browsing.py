"""What a person sees in a real headless browser: its pages, and what it complains about.

It must never let a page fetch anything from elsewhere without failing the test.
"""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, sync_playwright
from server import PATIENCE_S, Server

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
with_browser = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")
_FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]


def address(server: Server, path: str) -> str:
    """The address of a path, as a person types it."""
    return f"http://127.0.0.1:{server.port}{path}"


@contextlib.contextmanager
def started() -> Iterator[Browser]:
    """Chromium, without a window."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM, args=_FLAGS, timeout=1000 * PATIENCE_S
        )
        yield browser
        browser.close()


@contextlib.contextmanager
def opened(
    browser: Browser, *expected: str, width: int = 1200, scheme: str = "light"
) -> Iterator[Page]:
    """The page of a Spanish person, with cookies of its own (``page.context``).

    Whatever the browser complains about, or fetches from elsewhere, fails the test, but for
    complaints with one of the ``expected`` texts.
    """
    context = browser.new_context(
        locale="es-ES",
        viewport={"width": width, "height": 900},
        color_scheme="dark" if scheme == "dark" else "light",
    )
    page = context.new_page()
    page.set_default_timeout(1000 * PATIENCE_S)
    complaints: list[str] = []
    page.on("console", lambda m: complaints.append(m.text) if m.type == "error" else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("request", lambda r: None if _is_local(r.url) else complaints.append(r.url))
    with contextlib.closing(context):
        yield page
    assert [text for text in complaints if not any(part in text for part in expected)] == []


def _is_local(url: str) -> bool:
    return url.startswith(("http://127.0.0.1:", "data:"))

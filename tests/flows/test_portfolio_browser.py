"""Uploading a portfolio in a real headless browser: seen, scored live, downloaded, deleted."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from browsing import address, opened, with_browser
from guarded import copied
from models_for_tests import EXAMPLE
from playwright.sync_api import Browser, FilePayload
from server import Place, Server, running

pytestmark = with_browser


@pytest.fixture(scope="module")
def server(admitted: Place, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running(copied(admitted, tmp_path_factory.mktemp("navegador"))) as made:
        yield made


@pytest.fixture
def portfolio() -> FilePayload:
    """A file whose name would be marked up text."""
    rows = [EXAMPLE] * 300
    rows[1] = EXAMPLE | {"im": "mucho"}
    lines = [";".join([*EXAMPLE, "nota"]), *(";".join([*row.values(), "=1+1"]) for row in rows)]
    data = "\n".join(lines).encode()
    return {"name": "Cartera <b>de marzo.csv", "mimeType": "text/csv", "buffer": data}


@pytest.mark.parametrize(("width", "scheme"), [(1200, "light"), (390, "dark")])
def test_a_person_uploads_sees_the_faults_scores_downloads_and_deletes(
    server: Server, chromium: Browser, portfolio: FilePayload, width: int, scheme: str
) -> None:
    """By keyboard. ``opened`` fails for every complaint of the console, a forbidden script or
    style too."""
    with opened(chromium, width=width, scheme=scheme) as page:
        page.goto(address(server, "/"))
        page.get_by_role("navigation").get_by_role("link", name="Cartera").press("Enter")
        page.get_by_label("Fichero de la cartera").set_input_files(portfolio)
        page.get_by_role("button", name="Subir y revisar").press("Enter")
        button = page.get_by_role("button", name="Puntuar 300 filas")
        button.wait_for(timeout=60_000)  # without loading the page again
        assert page.inner_text("h1") == "Cartera <b>de marzo.csv"
        bad = page.locator("td.bad")
        assert bad.count() == 1
        assert bad.inner_text().startswith("mucho") and "no es un número" in bad.inner_text()
        assert page.locator("th.known").count() == len(EXAMPLE)
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        button.press("Enter")
        link = page.get_by_role("link", name="Descargar el resultado")
        link.wait_for(timeout=60_000)
        with page.expect_download() as download:
            link.press("Enter")
        text = Path(download.value.path()).read_text(encoding="utf-8-sig")
        assert len(text.splitlines()) == 301
        assert page.evaluate("localStorage.length + sessionStorage.length") == 0
        page.get_by_role("button", name="Borrar la cartera").press("Enter")
        page.wait_for_url("**/cartera?*")
        assert page.get_by_role("link", name="marzo").count() == 0

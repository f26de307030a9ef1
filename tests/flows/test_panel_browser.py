"""The panel in a real headless browser: its charts, its renewal, its looks and its paper."""

from __future__ import annotations

import contextlib
import json
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import panel_samples as samples
import pytest
from browsing import address, opened, with_browser
from guarded import copied, key
from playwright.sync_api import Browser, Page
from server import Place, Server, prediccion, running, wait_for

from propensia import contract as contracts
from propensia import files, snapshot
from propensia.settings import Settings
from propensia.store import database

pytestmark = with_browser
CHARTS = ["hours", "days", "auc", "scores", "maturity", "deciles"]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, admitted: Place) -> Iterator[Server]:
    """A server that has answered for a month, as its store says."""
    place = copied(admitted, tmp_path_factory.mktemp("panel"))
    release = place.registry.current()
    assert release is not None
    version, contract = release.version, contracts.load("cobranza")
    manifest = place.registry.manifest(version) | {"told": samples.training()}
    files.write_json(place.registry.part(version, "manifest.json"), manifest)
    now = time.time_ns() // 1_000_000
    engine = database.open_store(Settings(state=place.state))
    with engine.begin() as connection:
        samples.traffic(connection, version, now)
        samples.troubles(connection, now, contract.parameters[0].name)
        samples.findings(connection, version, now, contract)
    engine.dispose()
    with running(place) as made:
        wait_for(lambda: snapshot.read(place.state), "a snapshot of the keeper")
        yield made


def data(server: Server) -> Any:
    return server.get("/panel/datos").json()["datos"]


def drawn(page: Page) -> None:
    """Wait until every chart of the page is there."""
    page.wait_for_function(
        "names => names.every(n => document.querySelector(`#grafico-${n} .main-svg`))", arg=CHARTS
    )


def series(page: Page, name: str) -> list[list[Any]]:
    """What a chart shows, as its library holds it: the values of each of its traces."""
    found: list[list[Any]] = page.evaluate(
        "name => document.getElementById(`grafico-${name}`).data.map(t => Array.from(t.y))", name
    )
    return found


def test_the_charts_show_the_figures_of_the_snapshot_and_nothing_is_complained_about(
    server: Server, chromium: Browser
) -> None:
    """``opened`` fails for every complaint of the console, a forbidden script or style too, and
    for whatever is fetched from elsewhere."""
    with opened(chromium) as page:
        page.goto(address(server, "/"))
        page.get_by_role("navigation").get_by_role("link", name="Panel").click()
        drawn(page)
        held = data(server)
        yes, no = series(page, "hours")
        assert yes == [row[2] for row in held["horas"]]
        assert no == [row[1] - row[2] for row in held["horas"]]
        counts = held["puntuaciones"]["cuentas"]
        shares = [100 * count / sum(counts) for count in counts]
        assert series(page, "scores")[0] == pytest.approx(shares, abs=1e-3)
        trained = [100 * share for share in held["puntuaciones"]["entrenamiento"]]
        assert series(page, "scores")[1] == pytest.approx(trained, abs=1e-3)
        auc = [one for one in held["evolucion"] if one["tema"] == "auc"]
        assert series(page, "auc")[0] == [o["valor"] for o in auc if o["clase"] == "estimated"]
        page.get_by_text("Ver en una tabla").first.click()
        assert page.locator("#tabla-hours tbody tr").count() == len(held["horas"])
        assert page.evaluate("localStorage.length + sessionStorage.length") == 0


@pytest.mark.slow
def test_it_renews_itself_without_loading_again_and_what_was_opened_stays_open(
    server: Server, chromium: Browser
) -> None:
    with opened(chromium) as page:
        page.goto(address(server, "/panel"))
        drawn(page)
        page.evaluate("window.same = document.querySelector('#grafico-hours .main-svg')")
        summary = page.locator("#ver-hours")
        summary.focus()
        page.keyboard.press("Enter")
        # The hours of the chart are the last 48: of another hour, the oldest is gone from the sum.
        wait_for(lambda: time.time() % 3600 < 3540, "the next hour", 90)
        before = sum(map(sum, series(page, "hours")))
        for _ in range(7):
            assert server.get(prediccion()).status == 200
        wait_for(lambda: sum(row[1] for row in data(server)["horas"]) >= before + 7, "shipped")
        page.wait_for_function(
            """least => document.getElementById('grafico-hours').data
               .flatMap(t => Array.from(t.y)).reduce((a, b) => a + b) >= least""",
            arg=before + 7,
            timeout=20_000,
        )
        assert page.evaluate("window.same === document.querySelector('#grafico-hours .main-svg')")
        assert page.locator("#tabla-hours").get_attribute("open") is not None
        assert page.evaluate("document.activeElement.id") == "ver-hours"


@pytest.mark.slow
def test_it_asks_for_nothing_while_nobody_looks(server: Server, chromium: Browser) -> None:
    with opened(chromium) as page:
        page.add_init_script(
            "Object.defineProperty(document, 'hidden', {get: () => window.away === true})"
        )
        page.goto(address(server, "/panel"))
        drawn(page)
        page.evaluate("window.away = true; document.dispatchEvent(new Event('visibilitychange'))")
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        page.wait_for_timeout(6_500)
        assert asked == []
        with page.expect_response(lambda reply: reply.url.endswith("/panel")):
            page.evaluate(
                "window.away = false; document.dispatchEvent(new Event('visibilitychange'))"
            )


@pytest.mark.slow
def test_a_service_that_is_gone_is_told_and_its_return_too(
    server: Server, chromium: Browser
) -> None:
    with opened(chromium, "net::ERR_FAILED") as page:
        page.goto(address(server, "/panel"))
        drawn(page)
        page.route("**/panel", lambda route: route.abort())
        page.wait_for_selector("#perdida:not([hidden])")
        assert "Sin conexión con el servicio desde las" in page.inner_text("#perdida")
        page.unroute("**/panel")
        page.wait_for_selector("#perdida", state="hidden")


@pytest.mark.parametrize("width", [1200, 390])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_every_screen_in_both_schemes(
    server: Server, chromium: Browser, width: int, scheme: str
) -> None:
    with opened(chromium, width=width, scheme=scheme) as page:
        page.goto(address(server, "/panel"))
        drawn(page)
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        wide = page.evaluate(
            """names => names.map(n => document.querySelector(`#grafico-${n} .main-svg`)
               .getBoundingClientRect().right)""",
            CHARTS,
        )
        assert max(wide) <= width
        colour = page.evaluate(
            "getComputedStyle(document.querySelector('#grafico-hours .xtick text')).fill"
        )
        ink = page.evaluate("getComputedStyle(document.body).color")
        assert re.findall(r"\d+", colour)[:3] == re.findall(r"\d+", ink)[:3]


def test_on_paper_it_is_black_on_white_with_whole_charts(
    server: Server, chromium: Browser, tmp_path: Path
) -> None:
    with opened(chromium, scheme="dark") as page:
        page.goto(address(server, "/panel"))
        drawn(page)
        page.evaluate(
            """() => window.addEventListener('beforeprint', () => {
                 window.printed = [...document.querySelectorAll('.plot')].map(p => [
                   p.querySelector('.main-svg').getBoundingClientRect().width,
                   getComputedStyle(p.querySelector('.ytick text')).fill]);
               })"""
        )
        paper = page.pdf(path=tmp_path / "panel.pdf", format="A4", print_background=True)
        assert paper.startswith(b"%PDF") and len(paper) > 30_000
        printed = page.evaluate("window.printed")
        assert len(printed) == len(CHARTS)
        # A4 without margins of 1 cm is 718 CSS pixels wide; a card takes some of it.
        assert all(one == [640, "rgb(0, 0, 0)"] for one in printed)
        page.emulate_media(media="print")
        back = page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert back == "rgb(255, 255, 255)"


def test_without_javascript_all_of_it_can_be_read(server: Server, chromium: Browser) -> None:
    context = chromium.new_context(java_script_enabled=False, locale="es-ES")
    with contextlib.closing(context):
        page = context.new_page()
        page.goto(address(server, "/panel"))
        text = page.inner_text("main")
        assert "Sin JavaScript no hay gráficos" in text
        assert "ha cambiado: revise el modelo" in text
        page.get_by_text("Ver en una tabla").first.click()
        assert page.locator("#tabla-hours tbody tr").first.is_visible()
        assert page.locator("#grafico-hours").is_hidden()


@pytest.mark.slow
def test_whoever_may_look_sees_it_and_a_caller_does_not(
    tmp_path_factory: pytest.TempPathFactory, admitted: Place, chromium: Browser
) -> None:
    place = copied(admitted, tmp_path_factory.mktemp("keyed"))
    tester, caller = key(place, "pruebas", "tester"), key(place, "crm", "caller")
    with running(place, workers=1) as server, opened(chromium, "status of 401") as page:
        for path in ("/panel", "/panel/datos", "/panel/plotly.min.js"):
            assert server.get(path).status == 401
            assert server.get(path, x_api_key=caller).status == 403
        page.goto(address(server, "/panel"))
        page.get_by_label("Clave").fill(tester)
        page.keyboard.press("Enter")
        page.wait_for_selector("#estado")
        assert json.loads(server.get("/panel/datos", x_api_key=tester).text)["salud"]

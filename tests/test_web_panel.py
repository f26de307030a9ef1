"""The page of the panel and its data: what they say, to whom, and how cheaply they are asked."""

from __future__ import annotations

import gzip
import itertools
import json
import re
import time
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import panel_samples as samples
import pytest
import tiny_models
from flask.testing import FlaskClient

from propensia import heartbeat, months, paneling, snapshot
from propensia.alerts import conditions
from propensia.contract import Contract
from propensia.registry import Registry
from propensia.settings import Settings
from propensia.store import database
from propensia.web import panel, panel_charts, panel_page
from propensia.web.app import create_app
from propensia.web.door import Seen
from propensia.web.panel import Pace, quantile_ms
from propensia.web.panel_texts import PANEL
from propensia.web.tally import BUCKETS_S, Tally
from tests.test_web_pages import Page

WEB = Path(panel.__file__).parent


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def app(settings: Settings) -> FlaskClient:
    return create_app(settings, background=False).test_client()


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(models=tmp_path / "models", state=tmp_path / "state", demonstration=False)


@pytest.fixture
def full(settings: Settings, contract: Contract) -> Settings:
    """An installation with a month behind it, whose keeper has just left a snapshot."""
    registry = Registry(settings.state)
    registry.prepare()
    told = samples.training()
    version = tiny_models.add(registry, contract, tiny_models.constant(0.5), [0.5], told=told)
    registry.publish(version, cause="prueba", who="ana")
    engine = database.open_store(settings)
    with engine.begin() as connection:
        samples.traffic(connection, version, now_ms())
        samples.troubles(connection, now_ms(), contract.parameters[0].name)
        samples.findings(connection, version, now_ms(), contract)
        samples.alert(connection, version, now_ms())
    paneling.write(engine, settings, contract, registry)
    engine.dispose()
    heartbeat.leave(settings.state / "keeper.json", {"pid": 1, "problemas": []})
    return settings


def shown(client: FlaskClient, path: str = "/panel") -> Page:
    reply = client.get(path)
    assert reply.status_code == 200, reply.text
    return Page(reply.text)


def words(page: Page) -> str:
    """The text of a page, its parts apart."""
    return " ".join(re.sub(r"<[^>]*>", " ", page.markup).split())


# --- what it says -----------------------------------------------------------------------


def test_the_page_says_the_figures_of_its_data(full: Settings) -> None:
    client = app(full)
    data = client.get("/panel/datos").json
    assert data is not None
    text = words(shown(client))
    today = sum(row[1] for row in data["datos"]["horas"][-24:])
    assert f"Respuestas, últimas 24 h {today} " in text
    assert "AUC estimada 0,7" in text
    assert "La puntuación 0,410 ha cambiado: revise el modelo" in text
    assert f"No se da: {samples.REASON}" in text
    assert "valor_supuesto \N{MULTIPLICATION SIGN}812" in text
    assert "Sensibilidad Estimado" in text and "Pagos recibidos Real" in text
    assert " 35 " in text, "refused requests"
    assert "El servicio funciona. Alertas abiertas: deriva." in text
    assert "Todo funciona." not in text
    assert f"publicado {data['datos']['modelo']['version']} ana" in text
    assert "La puntuación ha cambiado (PSI 0,41, límite 0,25)." in text


def test_a_month_is_named_and_its_points_stand_inside_of_it(full: Settings) -> None:
    client = app(full)
    data = client.get("/panel/datos").json
    assert data is not None
    version = data["datos"]["modelo"]["version"]
    (auc,) = (
        one
        for one in data["datos"]["vigilancia"]
        if (one["clase"], one["tema"]) == ("realised", "auc")
    )
    month = auc["detalle"]["cohort"]
    for language in ("es", "en"):
        reply = client.get(f"/panel?idioma={language}")
        named = months.named(month, language)
        text = words(Page(reply.text))
        assert f"AUC Real {named} {version} 0." in text.replace(",", "."), language
        assert f"{named} ({ {'es': 'versión', 'en': 'version'}[language] } {version})" in text
        charts = dict(re.findall(r'data-chart="(\w+)">(.*?)</script>', reply.text, re.DOTALL))
        assert json.loads(charts["auc"])["x"][1][-1] == f"{month}-15 12:00"
        names = json.loads(charts["maturity"])["names"]
        assert all(re.fullmatch(r"\w+ (de )?20\d\d", name) for name in names)


def test_new_categories_are_named_and_reasons_are_in_the_language(
    full: Settings, contract: Contract
) -> None:
    category = next(p for p in contract.parameters if p.is_category)
    client = app(full)
    text = words(shown(client))
    label = category.label["es"]
    assert f"{label} {category.name} : {category.values[1]}, {category.values[0]}" in text
    english = words(shown(client, "/panel?idioma=en"))
    assert f"Not given: {samples.REASON_EN}" in english and samples.REASON not in english


def test_of_two_versions_in_a_month_the_share_that_paid_is_that_of_all_answers() -> None:
    """Each with its own share: 0.2 of 300 and 0.6 of 100 are 0.3 of 400."""
    told = panel_charts.Words({key: es for key, (es, _) in PANEL.items()}, "es")
    course = [
        {"clase": "maturity", "tema": "30", "valor": share, "momento": 5, "version": version}
        | {"detalle": {"cohort": "2026-07", "rows": rows}}
        for version, share, rows in (("a", 0.2, 300), ("b", 0.6, 100))
    ]
    made = panel_charts.maturity(course, told)
    assert made is not None
    assert made["chart"]["series"] == [[0, pytest.approx(30.0)]]
    assert made["chart"]["names"] == ["julio de 2026"]


def test_one_is_told_in_the_singular() -> None:
    for place, language in enumerate(("es", "en")):
        told = panel_charts.Words({key: pair[place] for key, pair in PANEL.items()}, language)
        data = {"puntuaciones": {"cuentas": [1], "entrenamiento": None, "dias": 1}, "modelo": None}
        caption = (panel_charts.scores(data, told) or {})["title"]
        assert ("el último día (1 respuesta " if place == 0 else "last day (1 answer ") in caption
        pace = {"minutos": 1, "respuestas": 0, "fallos": 1, "p50_ms": None}
        empty, failed = panel_page._speed(pace, told)["more"]
        assert empty.endswith(("en el último minuto", "in the last minute"))
        assert failed.startswith(("1 fallo nuestro", "1 failure of"))


def test_every_number_of_a_chart_is_in_its_table(full: Settings) -> None:
    reply = app(full).get("/panel?idioma=en").text
    charts = dict(re.findall(r'data-chart="(\w+)">(.*?)</script>', reply, re.DOTALL))
    assert set(charts) == {"hours", "days", "auc", "scores", "maturity", "deciles"}
    for name, source in charts.items():
        chart = json.loads(source)
        table = re.search(rf'id="tabla-{name}".*?</details>', reply, re.DOTALL)
        assert table
        cells = re.findall(r"<(?:td|th scope=\"row\")>([^<]*)<", table[0])
        told = {re.sub(r"[^\d.]", "", cell) for cell in cells} | set(
            re.findall(r"[\d.]+", " ".join(cells))
        )
        for series in _flat(chart["series"]):
            if isinstance(series, int | float) and series:
                near = {f"{series:.{digits}f}" for digits in (0, 1, 3)}
                assert near & told or (series < 0.1 and "0.1" in told), (name, series)


def _flat(value: Any) -> list[Any]:
    if isinstance(value, list):
        return [item for part in value for item in _flat(part)]
    return [value]


def test_an_empty_installation_says_what_to_do(settings: Settings, contract: Contract) -> None:
    registry = Registry(settings.state)
    registry.prepare()
    text = words(shown(app(settings)))
    assert "Los datos se están reuniendo" in text and "No puede puntuar." in text
    engine = database.open_store(settings)
    paneling.write(engine, settings, contract, registry)
    engine.dispose()
    text = words(shown(app(settings)))
    for sentence in (
        "Deje un fichero .pkl en la carpeta de modelos.",
        "Aún no se ha respondido nada.",
        "Aún no hay resultados: envíelos con propensia outcomes FICHERO",
        "Aún no se ha calculado para esta versión. Se calcula sola a los pocos minutos de que "
        "empiece a responder, y después cada 6 h.",
        "Nadie ha llamado aún.",
        "Alertas abiertas Ninguna.",
    ):
        assert sentence in text


def test_data_that_nobody_renews_are_said_to_be_old(full: Settings) -> None:
    client = app(full)
    assert "no los renueva" not in words(shown(client))
    held = snapshot.read(full.state)
    assert held is not None
    snapshot.leave(full.state, held | {"momento": held["momento"] - 3 * 3_600_000})
    assert "(hace 3 h): el proceso que los reúne no los renueva" in words(shown(client))
    told = client.get("/panel/datos").json
    assert told is not None and told["salud"]["atrasado"] is True
    (full.state / "keeper.json").unlink()
    assert "el vigilante de la carpeta no da señales" in words(shown(client))


def test_names_of_callers_stay_text(full: Settings) -> None:
    reply = app(full).get("/panel")
    assert "crm &lt;b&gt;" in reply.text and "crm <b>" not in reply.text


@pytest.mark.parametrize("language", ["es", "en"])
def test_the_page_is_whole_in_both_languages(full: Settings, language: str) -> None:
    page = shown(app(full), f"/panel?idioma={language}")
    assert next(page.all("html"))["lang"] == language
    ids = [a["id"] for _, a in page.elements if "id" in a]
    assert len(ids) == len(set(ids))
    for tag, attributes in page.elements:
        assert "style" not in attributes and not [n for n in attributes if n.startswith("on")], tag
        assert set(attributes.get("aria-labelledby", "").split()) <= set(ids)
    tables = len(list(page.all("table")))
    assert len(list(page.all("caption"))) == tables > 8
    assert [a["src"] for a in page.all("script") if "src" in a] == [
        f"./panel/plotly.min.js?v={metadata.version('plotly')}",
        "./static/panel.js",
    ]
    assert not re.search(r"{\w+}", words(page))


def test_every_text_of_the_panel_has_both_languages_and_is_used() -> None:
    sources = [WEB / "templates" / "panel.html", Path(panel_page.__file__)]
    sources.append(WEB / "panel_charts.py")
    used = "".join(path.read_text(encoding="utf-8") for path in sources)
    for key, (spanish, english) in PANEL.items():
        blanks = [sorted(re.findall(r"{\w+}", text)) for text in (spanish, english)]
        assert spanish and english and blanks[0] == blanks[1], key
        known = key.startswith(("metric_", "verdict_", "alert_"))
        key = key.removesuffix("_one")
        assert known or re.search(rf'(t\.|"){key}\b', used), key


def test_every_kind_of_alert_has_a_name_on_the_panel() -> None:
    kinds = {value for name, value in vars(conditions).items() if name.isupper()}
    kinds = {kind for kind in kinds if isinstance(kind, str)}
    assert len(kinds) == 7
    assert {f"alert_{kind}" for kind in kinds} == {k for k in PANEL if k.startswith("alert_")}


# --- how it is asked --------------------------------------------------------------------


def test_what_did_not_change_is_not_sent_again(full: Settings) -> None:
    client = app(full)
    for path in ("/panel", "/panel/datos"):
        tag = client.get(path).headers["ETag"]
        again = client.get(path, headers={"If-None-Match": tag})
        assert (again.status_code, again.data) == (304, b""), path
    held = snapshot.read(full.state)
    assert held is not None
    snapshot.leave(full.state, held | {"momento": held["momento"] + 1})
    assert client.get("/panel/datos", headers={"If-None-Match": tag}).status_code == 304
    snapshot.leave(full.state, held | {"alertas": []})
    assert client.get("/panel/datos", headers={"If-None-Match": tag}).status_code == 200


def test_the_script_is_that_of_the_package_packed_or_not_and_may_be_kept(
    settings: Settings,
) -> None:
    client = app(settings)
    package = metadata.distribution("plotly")
    script = Path(str(package.locate_file("plotly/package_data/plotly.min.js"))).read_bytes()
    plain = client.get("/panel/plotly.min.js")
    assert plain.data == script and "Content-Encoding" not in plain.headers
    packed = client.get("/panel/plotly.min.js", headers={"Accept-Encoding": "br, gzip"})
    assert packed.headers["Content-Encoding"] == "gzip"
    assert gzip.decompress(packed.data) == script and len(packed.data) < len(script) / 2
    for reply in (plain, packed):
        assert reply.mimetype == "text/javascript"
        assert "max-age=86400" in reply.headers["Cache-Control"]
    tag = {"If-None-Match": packed.headers["ETag"], "Accept-Encoding": "gzip"}
    assert client.get("/panel/plotly.min.js", headers=tag).status_code == 304
    for name in ("widgetbundle.js", "plotly.min.js/", "..%2f__init__.py", "PLOTLY.MIN.JS"):
        assert client.get(f"/panel/{name}").status_code == 404, name


def test_no_script_but_ours_may_run_and_none_is_made_from_text(settings: Settings) -> None:
    client = app(settings)
    policy = client.get("/panel").headers["Content-Security-Policy"]
    parts = dict(part.strip().split(" ", 1) for part in policy.split(";"))
    assert parts["script-src"] == "'self'" and parts["default-src"] == "'none'"
    assert parts["connect-src"] == "'self'" and "unsafe-eval" not in policy
    assert parts["style-src"] == "'self' 'unsafe-inline'"
    assert "unsafe" not in client.get("/").headers["Content-Security-Policy"]


# --- how fast it was --------------------------------------------------------------------


def test_a_quantile_lies_in_the_range_of_the_true_one() -> None:
    random = np.random.default_rng(3)
    seconds = np.exp(random.normal(-6, 1.2, 5_000))
    bounds = np.array([0.0, *BUCKETS_S, np.inf])
    buckets = [
        float(((seconds > low) & (seconds <= high)).sum())
        for low, high in itertools.pairwise(bounds)
    ]
    for share in (0.5, 0.95, 0.99):
        true = float(np.quantile(seconds, share))
        place = int(np.searchsorted(bounds, true))
        found = quantile_ms(buckets, share)
        assert found is not None
        assert bounds[place - 1] <= found / 1000 <= bounds[place]


def test_a_quantile_divides_its_range_evenly() -> None:
    """Four answers between 1 and 2.5 ms: a half of them stayed below the middle of the range."""
    buckets = [0.0] * 2 + [4.0] + [0.0] * (len(BUCKETS_S) - 2)
    assert quantile_ms(buckets, 0.5) == pytest.approx(1.75)
    assert quantile_ms([0.0] * len(buckets), 0.5) is None
    assert quantile_ms([0.0] * len(BUCKETS_S) + [3.0], 0.5) == 1000 * BUCKETS_S[-1]


def test_the_pace_is_that_of_single_answers_since_the_first_sample(tmp_path: Path) -> None:
    tally = Tally(tmp_path)
    tally.open()
    tally.answer(Seen("GET", "/prediccion", 200, "id", "v", 5.0, "ana"))
    pace = Pace(tally)
    assert pace.told() is None
    pace.tick()
    for seconds, status in ((0.0004, 200), (0.0004, 200), (0.2, 503)):
        tally.answer(Seen("GET", "/prediccion", status, "id", "v", seconds, "ana"))
    tally.answer(Seen("POST", "/predict/batch", 200, "id", "v", 8.0, "ana"))
    told = pace.told()
    assert told is not None
    assert (told["respuestas"], told["fallos"]) == (3, 1)
    assert told["p50_ms"] <= 0.5 and 100 < told["p99_ms"] <= 250

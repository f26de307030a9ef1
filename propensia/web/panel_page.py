"""Turns the data of the panel into what its template shows, in Spanish and English.

Never reads a request, a file or a database, and never marks text as safe HTML.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from propensia.audit import EVENTS
from propensia.contract import Contract
from propensia.faults import TEXTS as FAULTS
from propensia.web import pages, panel_charts
from propensia.web.panel_charts import Words
from propensia.web.panel_texts import PANEL

Table = dict[str, Any]
CALM = 0.1
"""Below it a stability index is taken for none, by habit."""
SIGNIFICANT = 0.05


def page(told: Table, contract: Contract, language: str, now_ms: int) -> Table:
    """The context of ``panel.html``. ``told``: what ``/panel/datos`` says at ``now_ms``."""
    words = Words(_texts(language), language)
    frame = pages.frame(words["panel_title"], language, "panel", [])
    health, data = told["salud"], told["datos"]
    context = frame | {
        "t": frame["t"] | words.texts,
        "health": _health(health, data["alertas"] if data else [], words),
        "problems": [pages.visible(problem, 300) for problem in health["problemas"]],
        "here": "panel",
    }
    if data is None:
        return context | {"data": None, "note": words["none_yet"]}
    made = data["momento"]
    stale = words.fill("stale", at=words.moment(made), age=words.age(now_ms - made))
    names = _Names(contract, words)
    return context | {
        "note": stale if health["atrasado"] else None,
        "as_of": words.fill("as_of", at=words.clock(made)),
        "zone": words.fill("clock", zone=_zone(made)),
        "data": {
            "model": _model(data["modelo"], words, now_ms),
            "tiles": _tiles(told, contract, words),
            "answers": panel_charts.answers(data, contract, words),
            "scores": panel_charts.scores(data, words),
            "drift": _drift(data, names, words),
            "drift_none": _every("drift_none", data, words),
            "performance": _performance(data, words),
            "maturity": panel_charts.maturity(data["evolucion"], words),
            "deciles": panel_charts.deciles(data["vigilancia"], words),
            "callers": _callers(data["llamadores"], names, words),
            "alerts": _alerts(data["alertas"], words),
            "events": _events(data["sucesos"], words),
        },
    }


def _texts(language: str) -> dict[str, str]:
    column = ("es", "en").index(language)
    return {key: pair[column] for key, pair in PANEL.items()}


class _Names:
    """What parameters and codes are called."""

    def __init__(self, contract: Contract, words: Words) -> None:
        self._labels = {p.name: p.label[words.language] for p in contract.parameters}
        own = {code: says[words.language] for code, says in contract.own_faults.items()}
        column = ("es", "en").index(words.language)
        self._codes = {code: says[column] for code, says in FAULTS.items()} | own
        self._score = words["the_score"]

    def parameter(self, name: str) -> Table:
        """Its label, and its short name where it has one."""
        if name == "score":
            return {"label": self._score, "name": ""}
        label = self._labels.get(name)
        return {"label": label or pages.visible(name), "name": name if label else ""}


def _health(health: Table, alerts: Iterable[Table], words: Words) -> Table:
    """How it is in one line, which names the alerts that are open."""
    kinds: list[str] = sorted(
        {words.texts.get(f"alert_{one['clase']}", str(one["clase"])) for one in alerts}
    )
    told = words.fill("but_alerts", names=", ".join(kinds)) if kinds else ""
    if health["version"] is None:
        return {"word": words["down"], "level": "bad", "alerts": told}
    good = health["estado"] == "bien"
    word = words["good" if good and not kinds else "serving" if good else "bad"]
    return {"word": word, "level": "good" if good and not kinds else "warn", "alerts": told}


def _zone(made: int) -> str:
    return datetime.fromtimestamp(made / 1000, UTC).astimezone().tzname() or "UTC"


def _model(model: Table | None, words: Words, now_ms: int) -> Table | None:
    if model is None:
        return None

    def told(at: int | None) -> str:
        return "" if at is None else f"{words.on(at)} ({words.age(now_ms - at)})"

    return {
        "name": pages.visible(model["nombre"]),
        "version": model["version"],
        "release": model["publicacion"],
        "threshold": words.percent(model["umbral"], 1),
        "since": told(model["desde"]),
        "made": told(model["hecho"]),
        "demonstration": model["demostracion"],
    }


# --- the figures on top -----------------------------------------------------------------


def _tiles(told: Table, contract: Contract, words: Words) -> list[Table]:
    health, data = told["salud"], told["datos"]
    hours = data["horas"][-24:]
    count, positive = sum(row[1] for row in hours), sum(row[2] for row in hours)
    share = words.percent(positive / count, 1) if count else ""
    name = contract.positive_name[words.language]
    release = data["modelo"]["publicacion"] if data["modelo"] else None
    current = sum(worker["publicacion"] == release for worker in health["trabajadores"])
    answered = words.fill("of_them", share=share, name=name) if count else words["no_answers_24h"]
    return [
        {"name": words["answers_24h"], "value": words.count(count), "more": [answered]},
        _speed(told["ritmo"], words),
        _estimate(data["vigilancia"], words),
        {
            "name": words["workers"],
            "value": words.count(len(health["trabajadores"])),
            "more": [words.fill("workers_more", n=words.count(current))],
        },
    ]


def _speed(pace: Table | None, words: Words) -> Table:
    tile: Table = {"name": words["speed"], "value": "–", "more": []}  # noqa: RUF001 - a dash
    if pace is None:
        return tile
    within = words.counted("last_minutes", max(1, pace["minutos"]))
    if pace["respuestas"] and pace["p50_ms"] is not None:
        tile["value"] = words.milliseconds(pace["p50_ms"])
        rest = {name: words.milliseconds(pace[f"{name}_ms"]) for name in ("p95", "p99")}
        tile["more"].append(words.fill("speed_more", within=within, **rest))
    else:
        tile["more"].append(words.fill("speed_none", within=within))
    if pace["fallos"]:
        tile["more"].append(words.counted("failures", pace["fallos"]))
    return tile


def _estimate(found: Iterable[Table], words: Words) -> Table:
    """The AUC that is estimated now, or why there is none."""
    of = next((one for one in found if (one["clase"], one["tema"]) == ("estimated", "auc")), None)
    tile: Table = {"name": words["auc_now"], "value": "–", "more": []}  # noqa: RUF001 - a dash
    if of is None:
        tile["more"] = [words["auc_none"]]
    elif of["valor"] is None:
        tile["more"] = [_refused(of, words)]
    else:
        tile["value"] = words.number(of["valor"], 3)
        tile["more"] = [words.fill("interval", span=words.between(of))]
    return tile


def _every(key: str, data: Table, words: Words) -> str:
    """A sentence that says how often the answers are examined."""
    hours = words.fill("hours", n=f"{data['vigila_horas']:g}".replace(".", words["point"]))
    return words.fill(key, n=hours)


def _refused(one: Table, words: Words) -> str:
    return words.fill("refused", why=words.reason(one))


# --- drift and performance --------------------------------------------------------------


def _drift(data: Table, names: _Names, words: Words) -> Table | None:
    """One row for each parameter and the score, the most moved first."""
    found = data["vigilancia"]
    drifts = [one for one in found if one["clase"] == "drift"]
    if not drifts:
        return None
    missing = {one["tema"]: one["valor"] for one in found if one["clase"] == "missing"}
    limit = data["limites"]["deriva"]
    largest = max([limit * 1.2, *(one["valor"] or 0.0 for one in drifts)])
    rows = []
    for one in sorted(drifts, key=lambda one: -(one["valor"] or 0.0)):
        value, absent = one["valor"], missing.get(one["tema"])
        level = _level(value, limit, one["detalle"].get("p"))
        told = f"verdict_{level}" if level != "none" else ""
        rows.append(
            names.parameter(one["tema"])
            | {
                "level": level,
                "value": "" if value is None else words.number(value, 3),
                "width": f"{100 * max(0.0, value or 0.0) / largest:.2f}%",
                "verdict": words[told]
                if told
                else words.fill("verdict_none", why=words.reason(one)),
                "missing": "" if absent is None else words.percent(absent, 1),
            }
        )
    regions = [one["valor"] for one in found if one["clase"] == "region" and one["valor"]]
    return {
        "caption": words.fill("drift_caption", at=words.moment(drifts[0]["momento"])),
        "rows": rows,
        "limit": f"{100 * limit / largest:.2f}%",
        "region": [words.fill("region_more", share=words.percent(share, 1)) for share in regions],
        "news": [
            names.parameter(one["tema"]) | {"names": _new(one["detalle"])}
            for one in found
            if one["clase"] == "new_category" and one["valor"]
        ],
    }


def _level(value: float | None, limit: float, chance: float | None) -> str:
    """How far a parameter moved; what chance alone may bring is no move."""
    if value is None:
        return "none"
    if chance is not None and chance >= SIGNIFICANT:
        return "still"
    return "moved" if value >= limit else "moving" if value >= min(CALM, limit) else "still"


def _new(detail: Mapping[str, Any]) -> str:
    """The names of new categories, which are those of the contract."""
    return ", ".join(pages.visible(name) for name in detail.get("values", ()))


def _performance(data: Table, words: Words) -> Table:
    found = data["vigilancia"]
    kinds = {"estimated": "estimated", "realised": "realised", "hindsight": "estimate_was"}
    rows = [
        _figure(one, words[told], words)
        for kind, told in kinds.items()
        for one in found
        if one["clase"] == kind
    ]
    empty = []
    if not any(one["clase"] == "estimated" for one in found):
        empty.append(_every("performance_none", data, words))
    if not any(one["clase"] == "realised" for one in found):
        key = "realised_none" if data["resultados"] else "outcomes_none"
        empty.append(words.fill(key, n=words.counted("days", data["madura_dias"])))
    return {"rows": rows, "empty": empty, "chart": panel_charts.performance(data, words)}


def _figure(one: Table, kind: str, words: Words) -> Table:
    """One figure of the model, or why there is none. What came is of a month, and of the version
    that answered then."""
    known, subject = one["valor"] is not None, one["tema"]
    named = words.texts.get(f"metric_{subject}", pages.visible(subject))
    return {
        "kind": kind,
        "metric": words.texts.get(f"metric_{subject}_{one['clase']}", named),
        "value": words.figure(one["valor"]) if known else "",
        "interval": words.between(one) if known else "",
        "why": "" if known else _refused(one, words),
        "at": words.of(one),
        "version": "" if one["clase"] == "estimated" else one["version"],
    }


# --- callers, alerts, events ------------------------------------------------------------


def _callers(callers: Iterable[Table], names: _Names, words: Words) -> list[Table]:
    rows = []
    for one in callers:
        count, refused = one["respuestas"], one["rechazadas"]
        rows.append(
            {
                "name": pages.visible(one["llamador"]),
                "count": words.count(count),
                "assumed": words.percent(one["supuestas"] / count, 1) if count else "",
                "refused": words.count(refused) if refused else "",
                "worst": [_trouble(problem, names, words) for problem in one["problemas"]],
            }
        )
    return rows


def _trouble(problem: Table, names: _Names, words: Words) -> Table:
    parameter = names.parameter(problem["parametro"]) if problem["parametro"] else None
    first, last = words.moment(problem["desde"]), words.moment(problem["hasta"])
    return {
        "parameter": parameter,
        "code": problem["codigo"],
        "count": words.count(problem["veces"]),
        "since": words.fill("since_last", first=first, last=last),
    }


def _alerts(alerts: Iterable[Table], words: Words) -> list[Table]:
    return [
        {
            "text": pages.visible(one["texto"][words.language], 300),
            "since": f"{words['since']} {words.moment(one['desde'])}",
        }
        for one in alerts
    ]


def _events(events: Iterable[Table], words: Words) -> list[Table]:
    place = ("es", "en").index(words.language)
    rows = []
    for one in events:
        name = one["suceso"]
        rows.append(
            {
                "at": words.moment(one["momento"]) if one["momento"] else "",
                "event": EVENTS[name][place] if name in EVENTS else pages.visible(name),
                "often": f"\N{MULTIPLICATION SIGN}{often}" if (often := one["veces"]) > 1 else "",
                "version": one["version"],
                "who": pages.visible(one["quien"]),
            }
        )
    return rows

"""``NAME.html``: a page about one model for the analyst who made it and whoever answers for it.

It shows what training found; it fits nothing, and refers to nothing outside itself.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from itertools import pairwise
from pathlib import PureWindowsPath
from typing import Any

import numpy as np
import numpy.typing as npt
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from propensia import stats
from propensia.contract import Contract, Parameter
from propensia.distributions import divisor
from propensia.spanish import number, percent
from propensia.training import importance, plots, sidecars
from propensia.training.evaluation import EUROS
from propensia.training.importance import Dependence, Importance
from propensia.training.results import KINDS, Figure, Trained
from propensia.training.rows import Labels

Vector = npt.NDArray[np.float64]
REPEATS = 5
DEPENDENCES, DEPENDENCE_ROWS = 6, 400
BUDGET_S = 4.0  # of the model's own time, once for the importances and once for the dependences
FEWEST_IN_GROUP, MOST_GROUPS = 30, 30
REST, NO_DATA = "resto", "sin dato"
RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")

# How figures are written; those that are not named here are plain numbers.
WRITTEN = {
    **dict.fromkeys(("captura_20", "tasa", "seleccion", "precision"), "share"),
    **dict.fromkeys(("sensibilidad", "exactitud"), "share"),
    **dict.fromkeys(("ece", "ece_sin_sesgo"), "points"),
    "lift_10": "times",
    EUROS: "euros",
}
UNITS = {
    "points": ("", " puntos"),
    "times": ("\N{MULTIPLICATION SIGN}\u202f", ""),
    "euros": ("", "\N{NO-BREAK SPACE}€"),
}
HEADLINES = ("auc", "lift_10", "captura_20", "ece")
AT_THRESHOLD = ("seleccion", "precision", "sensibilidad", "exactitud", "f1", EUROS)
# What was asked for is shown where it is not this. Minutes and the rule are told elsewhere.
USUAL = {
    "families": sorted(KINDS),
    "balance": "none",
    "recovery": 1.0,
    "allow": [],
    "column": {},
    "date": None,
    "key": None,
}


def render(trained: Trained) -> str:
    """The page, self-contained HTML in Spanish, below 2 MB."""
    environment = Environment(
        loader=PackageLoader("propensia.training"), autoescape=True, undefined=StrictUndefined
    )
    environment.filters |= {"percent": percent, "number": number, "plain": _plain}
    evaluation, contract = trained.evaluation, trained.contract
    labels = trained.rows.labels[evaluation.places]
    figures = {name: _figure(name, one) for name, one in evaluation.figures.items()}
    rest = [name for name in figures if name not in (*HEADLINES, *AT_THRESHOLD)]
    return environment.get_template("card.html").render(
        trained=trained,
        contract=contract,
        evaluation=evaluation,
        positive=contract.positive_name["es"],
        source=_source(trained.data.source),
        width=len(sidecars.columns(trained)),
        asked=_asked(trained.options),
        rate=float(trained.rows.labels.mean()),
        headlines=[figures[name] for name in HEADLINES if name in figures],
        at_threshold=[figures[name] for name in AT_THRESHOLD if name in figures],
        figures=[figures[name] for name in rest],
        gains=stats.gains(labels, evaluation.chances),
        curves={name: Markup(svg) for name, svg in _curves(trained, labels).items()},
        attention=_attention(trained),
        segments=[_segment(trained, labels, name) for name in contract.training.segments],
    )


def _source(source: str) -> str:
    """The name of a file without its folders, or a database's address without its password."""
    if "://" in source:
        return re.sub(r"//.*@", "//", source)
    return PureWindowsPath(source).name  # which knows both kinds of strokes


def _figure(name: str, figure: Figure) -> dict[str, str]:
    kind = WRITTEN.get(name, "number")
    before, after = UNITS.get(kind, ("", ""))
    return {
        "name": name,
        "value": f"{before}{_written(figure.value, kind)}{after}",
        "range": f"{_written(figure.low, kind)} a {_written(figure.high, kind)}",
    }


def _written(value: float, kind: str) -> str:
    if not math.isfinite(value):
        return NO_DATA
    if kind == "share":
        return percent(value, 1)
    if kind == "points":
        return number(100 * value, 1)
    return number(value, 2 if kind in ("times", "euros") else 3)


def _plain(value: object) -> str:
    """A setting as a person writes it: 0,05; 3,2·10⁻⁸; 27, 64; sí."""
    if value is None:
        return "nada"
    if isinstance(value, bool):
        return "sí" if value else "no"
    if isinstance(value, list | tuple):
        return ", ".join(map(_plain, value))
    if isinstance(value, float) and 0 < abs(value) < 1e-4:
        mantissa, power = f"{value:.2e}".split("e")
        return f"{number(float(mantissa))}·10{str(int(power)).translate(RAISED)}"
    return number(value) if isinstance(value, int | float) else str(value)


def _asked(options: Mapping[str, Any]) -> list[str]:
    """The options of the command line that say something else than usual, as they are typed."""
    typed = []
    for name, usual in USUAL.items():
        value = options.get(name, usual)
        if (sorted(value) if name == "families" else value) == usual:
            continue
        if name == "families":
            value = ",".join(value)
        elif isinstance(value, Mapping):
            value = [f"{ours}={theirs}" for ours, theirs in value.items()]
        for one in value if isinstance(value, list) else [value]:
            text = _plain(one)
            typed.append(f"--{name} " + (text if text and " " not in text else f'"{text}"'))
    return typed


def _curves(trained: Trained, labels: Labels) -> dict[str, str]:
    """The plots of what was said of rows that were not learnt from, by name."""
    contract, chances = trained.contract, trained.evaluation.chances
    negative, positive = contract.negative_name["es"], contract.positive_name["es"]
    false_rates, true_rates, _ = stats.roc_curve(labels, chances)
    precisions, recalls, _ = stats.precision_recall_curve(labels, chances)
    table = stats.calibration_table(labels, chances)
    limits = stats.wilson(table.rate * table.count, table.count)
    gains = stats.gains(labels, chances)
    base = float(labels.mean())
    classes = {negative: chances[labels == 0], positive: chances[labels == 1]}
    return {
        "roc": plots.roc(false_rates, true_rates, (negative, positive)),
        "precision_recall": plots.precision_recall(recalls, precisions, base, positive),
        "calibration": plots.calibration(table.chance, table.rate, limits, positive),
        "histogram": plots.histogram(classes, trained.threshold.value),
        "gain": plots.gain(np.append(0.0, gains.captured), base, positive),
        "lift": plots.lift(gains.lift),
    }


def _attention(trained: Trained) -> dict[str, Any]:
    """What the model pays attention to: the plots, and on how many rows they were made."""
    contract, rows, seed = trained.contract, trained.rows, trained.seed
    names = {p.name: p.label["es"] for p in contract.parameters}
    count = importance.affordable(trained, len(names) * REPEATS, BUDGET_S)
    some = rows.take(importance.sample(rows.labels, count, seed))
    found = importance.permutation(trained, some, REPEATS, seed)
    asked = importance.affordable(trained, DEPENDENCES * importance.GRID, BUDGET_S)
    few = rows.take(importance.sample(rows.labels, min(asked, DEPENDENCE_ROWS), seed))
    first = [importance.dependence(trained, few, one.name) for one in found[:DEPENDENCES]]
    top = min(1.0, 1.15 * max(max(one.means) for one in first))
    return {
        "rows": len(some),
        "repeats": REPEATS,
        "plot": Markup(_importance(found, names)),
        "dependence_rows": len(few),
        "dependences": [Markup(_dependence(one, contract, top)) for one in first],
    }


def _importance(found: list[Importance], names: Mapping[str, str]) -> str:
    return plots.importance(
        [names[one.name] for one in found],
        np.array([one.drop for one in found]),
        np.array([one.spread for one in found]),
    )


def _dependence(found: Dependence, contract: Contract, top: float) -> str:
    parameter = contract.parameter(found.name)
    label, chances = parameter.label["es"], np.array(found.chances)
    if parameter.is_category or parameter.kind == "month":  # from 202312 to 202401 is one step
        texts = [_month(value) if isinstance(value, float) else value for value in found.values]
        return plots.dependence_steps(label, texts, chances, found.missing, top)
    numbers = np.array(found.values, dtype=np.float64)
    return plots.dependence_line(label, numbers, chances, found.missing, top)


def _month(value: float) -> str:
    return f"{value % 100:02.0f}/{value // 100:.0f}"


def _segment(trained: Trained, labels: Labels, name: str) -> dict[str, Any]:
    """A parameter's groups of judged rows: how many are chosen and wrong, drawn and listed."""
    contract, evaluation = trained.contract, trained.evaluation
    parameter = contract.parameter(name)
    chosen = evaluation.chances >= evaluation.thresholds
    wrong = chosen != (labels == 1)
    names = groups(contract, parameter, trained.rows.values[name][evaluation.places])
    order = pooled(names, parameter)
    counts = np.array([np.sum(places) for places in order.values()], dtype=np.float64)
    panels, columns = {}, {}
    for title, hit in {"Mal clasificados": wrong, "Elegidos": chosen}.items():
        hits = np.array([hit[places].sum() for places in order.values()], dtype=np.float64)
        panels[title] = (hits / counts, *stats.wilson(hits, counts), float(hit.mean()))
        columns[title] = hits / counts
    columns["De verdad"] = np.array([labels[places].mean() for places in order.values()])
    rows = [
        {"name": group, "count": int(count), "shares": [column[i] for column in columns.values()]}
        for i, (group, count) in enumerate(zip(order, counts, strict=True))
    ]
    return {
        "label": parameter.label["es"],
        "divisor": None if parameter.labels else divisor(contract, parameter),
        "plot": Markup(plots.segments(list(order), panels)),
        "rows": rows,
    }


def groups(
    contract: Contract, parameter: Parameter, values: npt.NDArray[Any]
) -> npt.NDArray[np.object_]:
    """The name of the group of each value ``(n,)``.

    A category by its text; a number with labels by the first one whose number is not below it;
    one whose column begins with a whole division by that quotient; any other by quarters.
    """
    if parameter.is_category:
        return np.array([NO_DATA if value is None else value for value in values], dtype=object)
    missing = np.isnan(values)
    known = np.where(missing, 0.0, values)
    whole = divisor(contract, parameter)
    if parameter.labels:
        bands = sorted(parameter.labels.items(), key=lambda item: item[1])
        limits = np.array([limit for _, limit in bands[:-1]])
        texts = np.array([text for text, _ in bands], dtype=object)
        names = texts[np.searchsorted(limits, known, side="left")]
    elif whole is not None:
        names = np.array([f"{quotient:.0f}" for quotient in known // whole], dtype=object)
    elif missing.all():
        names = np.full(len(values), NO_DATA, dtype=object)
    else:
        limits = np.unique(np.quantile(values[~missing], [0.25, 0.5, 0.75]))
        texts = np.array(_spans(limits), dtype=object)
        names = texts[np.searchsorted(limits, known, side="left")]
    return np.where(missing, NO_DATA, names).astype(object)


def _spans(limits: Vector) -> list[str]:
    texts = [number(float(limit)) for limit in limits]
    between = [f"{low} a {high}" for low, high in pairwise(texts)]
    return [f"hasta {texts[0]}", *between, f"más de {texts[-1]}"]


def pooled(
    names: npt.NDArray[np.object_], parameter: Parameter
) -> dict[str, npt.NDArray[np.bool_]]:
    """The rows of each group; small groups and all beyond the 30 largest are «resto», the last.

    Largest first, but texts and bands in the order of the contract.
    """
    found, counts = np.unique(names.astype(str), return_counts=True)
    order = [str(found[place]) for place in np.argsort(-counts, kind="stable")]
    large = {
        str(name) for name, count in zip(found, counts, strict=True) if count >= FEWEST_IN_GROUP
    }
    kept = [name for name in order if name in large][:MOST_GROUPS]
    own = [*parameter.texts, *parameter.labels]
    if own:
        kept.sort(key=lambda name: own.index(name) if name in own else len(own))
    places = {name: names == name for name in kept}
    others = ~np.isin(names.astype(str), kept)
    return {**places, REST: others} if others.any() else places

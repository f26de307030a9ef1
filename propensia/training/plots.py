"""The plots of a model card: plain arrays in, the text of an SVG picture out.

Nothing here knows a model or computes a figure, and no picture refers to anything outside it.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Sequence
from html import escape
from typing import Any

import matplotlib
import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from propensia.spanish import number, percent

Vector = npt.NDArray[np.float64]
# Blue and orange stay apart for every kind of colour blindness, and in grey by their darkness.
INK, SOFT, GRID, LINE = "#17252d", "#50626c", "#dfe6e9", "#9fb0b8"
BLUE, ORANGE, PALE = "#12667f", "#d1690f", "#b9d6df"
STYLE: Any = {
    "svg.fonttype": "none",  # letters stay letters: sharp, searchable, in the page's own font
    "svg.hashsalt": "propensia",  # the same arrays give the same text
    "text.parse_math": False,  # a label with two dollar signs is no formula
    "font.size": 9.5,
    "axes.labelsize": 9.5,
    "xtick.labelsize": 9,
    "ytick.labelsize": 9,
    "text.color": INK,
    "axes.labelcolor": SOFT,
    "axes.edgecolor": LINE,
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.grid": True,
    "grid.color": GRID,
    "grid.linewidth": 0.8,
    "xtick.color": SOFT,
    "ytick.color": SOFT,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
    "lines.linewidth": 2,
    "lines.solid_capstyle": "round",
    "legend.frameon": False,
    "figure.facecolor": "none",
    "axes.facecolor": "none",
}
DOTS: dict[str, Any] = {"fmt": "o", "markersize": 5.5, "elinewidth": 1.4, "ecolor": BLUE}
ACROSS: dict[str, Any] = {  # a word at the right end of a line across
    "xycoords": ("axes fraction", "data"),
    "textcoords": "offset points",
    "ha": "right",
}
SQUARE, SMALL = (4.6, 3.7), (3.3, 2.35)
# Of matplotlib's text: names of groups, which repeat from picture to picture, and what the page
# itself says once.
UNUSED = re.compile(
    r' id="[A-Za-z0-9.]+_[0-9]+"|\s*<metadata>.*?</metadata>|\s*<defs>\s*<style.*?</defs>'
    r"| font-family: [^;\"]*;",
    re.DOTALL,
)
POINTS = 300


def roc(false_rates: Vector, true_rates: Vector, names: tuple[str, str]) -> str:
    """The ROC curve from its points in [0, 1]; ``names`` of the two classes, negative first."""

    def draw(axes: Axes) -> None:
        axes.plot([0, 1], [0, 1], color=LINE, linewidth=1.2, dashes=(4, 3))
        axes.text(0.6, 0.54, "al azar", color=SOFT, va="top")
        axes.plot(*_thinned(false_rates, true_rates), color=BLUE)
        axes.set(xlabel=f"Elegidos entre los casos «{names[0]}»")
        axes.set(ylabel=f"Elegidos entre los casos «{names[1]}»")
        _shares(axes)

    return _picture(draw, SQUARE, "Curva ROC")


def precision_recall(recalls: Vector, precisions: Vector, base: float, positive: str) -> str:
    """Precision against recall from points in [0, 1]; ``base`` is the precision by lot."""

    def draw(axes: Axes) -> None:
        axes.axhline(base, color=LINE, linewidth=1.2, dashes=(4, 3))
        axes.text(0.0, base + 0.015, f"al azar: {percent(base)}", color=SOFT, va="bottom")
        axes.plot(*_thinned(recalls, precisions), color=BLUE)
        axes.set(xlabel=f"Sensibilidad: parte de los casos «{positive}» que se elige")
        axes.set(ylabel=f"Precisión: «{positive}» entre los elegidos")
        _shares(axes)

    return _picture(draw, SQUARE, "Curva de precisión y sensibilidad")


def calibration(
    chances: Vector, rates: Vector, limits: tuple[Vector, Vector], positive: str
) -> str:
    """Shares of positives against mean chances ``(k,)``, with their limits."""
    top = min(1.0, 1.08 * max(float(limits[1].max()), float(chances.max())))

    def draw(axes: Axes) -> None:
        axes.plot([0, top], [0, top], color=LINE, linewidth=1.2, dashes=(4, 3))
        axes.errorbar(
            chances, rates, yerr=[rates - limits[0], limits[1] - rates], color=BLUE, **DOTS
        )
        axes.set(xlabel="Probabilidad que da el modelo", ylabel=f"«{positive}» de verdad")
        _shares(axes, top)

    return _picture(draw, SQUARE, "Calibración: probabilidad dada y frecuencia real")


def gain(gains: Vector, base: float, positive: str) -> str:
    """The share of positives found ``(k + 1,)`` against the share of rows taken, best first.

    ``base`` is the share of positives: a perfect order would find them all by then.
    """
    taken = np.linspace(0.0, 1.0, len(gains))

    def draw(axes: Axes) -> None:
        axes.plot([0, 1], [0, 1], color=LINE, linewidth=1.2, dashes=(4, 3))
        axes.text(0.6, 0.54, "al azar", color=SOFT, va="top")
        axes.plot([0, base, 1], [0, 1, 1], color=LINE, linewidth=1.2)
        axes.plot(taken, gains, color=BLUE, marker="o", markersize=4.5)
        axes.set(xlabel="Parte de los casos, de más a menos probable")
        axes.set(ylabel=f"Parte de los casos «{positive}»")
        _shares(axes)

    return _picture(draw, SQUARE, "Ganancia acumulada")


def lift(lifts: Vector) -> str:
    """How many times more positives each tenth ``(k,)`` holds than one drawn by lot."""
    places = [*range(1, len(lifts) + 1)]

    def draw(axes: Axes) -> None:
        axes.axhline(1.0, color=SOFT, linewidth=1.2, dashes=(4, 3), zorder=0.8)
        axes.bar(places, lifts, width=0.72, color=BLUE)
        for place, value in zip(places, lifts, strict=True):
            text = axes.text(place, value, number(value, 1), ha="center", va="bottom", color=INK)
            text.set_bbox({"facecolor": "white", "edgecolor": "none", "pad": 0.6})
        axes.set(xlabel="Decila, de más a menos probable", ylabel="Veces sobre la media")
        axes.set(xticks=places, ylim=(0, 1.12 * max(float(lifts.max()), 1.0)))
        axes.grid(axis="x", visible=False)
        _commas(axes.yaxis)

    return _picture(draw, SQUARE, "Elevación por decila")


def histogram(groups: dict[str, Vector], threshold: float) -> str:
    """The chances of two groups of rows, each as shares of its own, and where yes begins."""
    steps = np.linspace(0.0, 1.0, 26)

    def draw(axes: Axes) -> None:
        for (name, chances), color in zip(groups.items(), (ORANGE, BLUE), strict=True):
            counts, _ = np.histogram(chances, bins=steps)
            parts = counts / max(len(chances), 1)
            axes.stairs(parts, steps, color=color, linewidth=1.8, label=name)
            axes.stairs(parts, steps, color=color, alpha=0.16, fill=True)
        axes.axvline(threshold, color=INK, linewidth=1.2, dashes=(4, 3))
        low = threshold < 0.7
        axes.annotate(
            f"umbral {percent(threshold, 1)}",
            (threshold, 1.0),
            (5 if low else -5, -2),
            xycoords=("data", "axes fraction"),
            textcoords="offset points",
            ha="left" if low else "right",
            va="top",
        )
        axes.legend(loc="lower left", bbox_to_anchor=(-0.02, 1.0), ncols=2, borderaxespad=0)
        axes.set(xlabel="Probabilidad que da el modelo", ylabel="Parte de cada clase", xlim=(0, 1))
        axes.set(ylim=(0, 1.1 * axes.get_ylim()[1]))  # room for the word at the top
        _hundredths(axes.xaxis, 6)
        _hundredths(axes.yaxis, 5)

    return _picture(draw, SQUARE, "Reparto de las probabilidades por clase")


def importance(names: Sequence[str], drops: Vector, spreads: Vector) -> str:
    """The loss of AUC by parameter ``(k,)``, the first at the top, with one spread each way."""
    places = np.arange(len(names))

    def draw(axes: Axes) -> None:
        axes.barh(places, np.maximum(drops, 0.0), height=0.62, color=BLUE)
        axes.errorbar(drops, places, xerr=spreads, fmt="none", ecolor=INK, elinewidth=1.1)
        axes.set(yticks=places, yticklabels=names, ylim=(len(names) - 0.4, -0.6))
        axes.set(xlabel="AUC que se pierde al barajar el dato", xlim=(min(0, drops.min()), None))
        axes.grid(axis="y", visible=False)
        axes.tick_params(axis="y", labelcolor=INK)
        axes.spines["left"].set_visible(False)
        _commas(axes.xaxis)

    return _picture(draw, (9.4, 0.6 + 0.27 * len(names)), "Importancia de cada dato")


def dependence_line(
    name: str, values: Vector, chances: Vector, missing: float | None, top: float
) -> str:
    """The mean chance along a number; without data as a line across."""

    def draw(axes: Axes) -> None:
        axes.plot(values, chances, color=BLUE, marker="o", markersize=3)
        if missing is not None:
            axes.axhline(missing, color=ORANGE, linewidth=1.4, dashes=(4, 3))
            axes.annotate("sin dato", (1.0, missing), (0, 3), **ACROSS, color=ORANGE)
        axes.set_title(name, fontsize=10, color=INK, loc="left", fontweight="bold")
        axes.set_ylim(0, top)
        _hundredths(axes.yaxis, 4)
        axes.xaxis.set_major_locator(MaxNLocator(4, integer=bool(np.all(values % 1 == 0))))
        _commas(axes.xaxis)

    return _picture(draw, SMALL, f"Efecto de {name}")


def dependence_steps(
    name: str, values: Sequence[str], chances: Vector, missing: float | None, top: float
) -> str:
    """The mean chance by text, in the order given, a line each; without data as the last one."""
    shown = [value if len(value) <= 16 else f"{value[:15]}…" for value in values]
    colors = [BLUE] * len(shown)
    if missing is not None:
        shown, colors = [*shown, "sin dato"], [*colors, ORANGE]
        chances = np.append(chances, missing)
    places = np.arange(len(shown))

    def draw(axes: Axes) -> None:
        axes.hlines(places, 0, chances, color=PALE, linewidth=2)
        axes.scatter(chances, places, s=34, c=colors, zorder=3)
        axes.set_title(name, fontsize=10, color=INK, loc="left", fontweight="bold")
        axes.set(xlim=(0, top), ylim=(max(len(shown), 4) - 0.4, -0.6), yticks=places)
        axes.set_yticklabels(shown, fontsize=9 if len(shown) < 10 else 7)
        axes.grid(axis="y", visible=False)
        _hundredths(axes.xaxis, 4)

    return _picture(draw, SMALL, f"Efecto de {name}")


def segments(names: Sequence[str], panels: dict[str, tuple[Vector, Vector, Vector, float]]) -> str:
    """Shares by group ``(k,)`` with their limits, a panel each, and the share of all as a line."""
    places = np.arange(len(names))

    def draw(*axes: Axes) -> None:
        for panel, title in zip(axes, panels, strict=True):
            shares, low, high, whole = panels[title]
            panel.axvline(whole, color=LINE, linewidth=1.2, dashes=(4, 3))
            limits = [shares - low, high - shares]
            panel.errorbar(shares, places, xerr=limits, color=BLUE, **DOTS)
            panel.set(xlabel=title, yticks=places, ylim=(len(names) - 0.4, -0.6))
            panel.set_xlim(max(0.0, float(low.min()) - 0.04), min(1.0, float(high.max()) + 0.04))
            _hundredths(panel.xaxis, 5)
            panel.grid(axis="y", visible=False)
            panel.tick_params(axis="y", labelcolor=INK)
            panel.spines["left"].set_visible(False)
        axes[0].set_yticklabels(names)

    size = (9.4, 0.65 + 0.25 * len(names))
    return _picture(draw, size, " y ".join(panels), panels=len(panels))


def _picture(
    draw: Callable[..., None], size: tuple[float, float], label: str, panels: int = 1
) -> str:
    """What ``draw`` puts on its axes, as an ``<svg>`` element that scales with the page."""
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=size)
        figure.set_layout_engine("constrained", wspace=0.08)
        axes = figure.subplots(1, panels, sharey=True, squeeze=False)[0]
        draw(*axes)
        out = io.StringIO()
        figure.savefig(out, format="svg", metadata={"Date": None})
    inside = UNUSED.sub("", out.getvalue().partition("<svg")[2].partition(">")[2])
    box = " ".join(f"{72 * length:g}" for length in size)
    return f'<svg role="img" aria-label="{escape(label)}" viewBox="0 0 {box}">{inside}'


def _shares(axes: Axes, top: float = 1.0) -> None:
    """Both axes from 0 to ``top``, in hundredths, square."""
    axes.set(xlim=(-0.02 * top, 1.02 * top), ylim=(-0.02 * top, 1.02 * top))
    for axis in (axes.xaxis, axes.yaxis):
        _hundredths(axis, 6)


def _hundredths(axis: Any, most: int) -> None:
    axis.set_major_locator(MaxNLocator(most, steps=[1, 2, 5, 10]))
    # A place on an axis is 0.30000000000000004, or minus nothing.
    axis.set_major_formatter(FuncFormatter(lambda value, _: percent(round(value, 8), None)))


def _commas(axis: Any) -> None:
    axis.set_major_formatter(FuncFormatter(lambda value, _: number(round(value, 8))))


def _thinned(x: Vector, y: Vector) -> tuple[Vector, Vector]:
    """At most 300 of the points, the ends among them: no eye tells more apart."""
    picked = np.linspace(0, len(x) - 1, min(len(x), POINTS)).round().astype(np.intp)
    return x[picked], y[picked]

"""The pictures of the notebooks: figures in, a PNG under a title that says the finding out.

Nothing here computes a figure or knows a model; colours and numbers are those of the card.
"""

from __future__ import annotations

import io
import textwrap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import matplotlib
import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from propensia.spanish import number, percent
from propensia.stats import Calibration, Gains, wilson
from propensia.training.exploring import Rates
from propensia.training.plots import (
    BLUE,
    DOTS,
    INK,
    LINE,
    ORANGE,
    PALE,
    SOFT,
    STYLE,
)

Vector = npt.NDArray[np.float64]
OWN: Any = {**STYLE, "figure.facecolor": "white", "font.family": "DejaVu Sans"}
WIDTH, HEIGHT, LETTERS = 7.6, 3.7, 72
ROW = 0.235
DOTS_PER_INCH, SHOWN_PER_INCH = 180, 96
DASHED: dict[str, Any] = {"linewidth": 1.2, "dashes": (4, 3)}
LEGEND: dict[str, Any] = {"loc": "lower left", "bbox_to_anchor": (-0.01, 1.0), "ncols": 3}
BOTH_WAYS = LinearSegmentedColormap.from_list("", [ORANGE, "white", BLUE])
FROM_PALE = LinearSegmentedColormap.from_list("", [PALE, BLUE, INK])


@dataclass(frozen=True, slots=True)
class Picture:
    """A PNG that a notebook shows; ``title`` is what a page without pictures says instead."""

    title: str
    png: bytes = field(repr=False)
    width: int = field(repr=False)

    def _repr_png_(self) -> tuple[bytes, dict[str, int]]:
        """IPython's: the picture, and its width on the page, so that it is sharp there."""
        return self.png, {"width": self.width}


def forest(
    title: str,
    blocks: Mapping[str, Rates],
    across: str,
    *,
    base: tuple[str, float] | None = None,
    rings: tuple[str, Mapping[str, Sequence[float]]] | None = None,
) -> Picture:
    """Shares by group with their limits, a block each under its name, all on one scale.

    ``base``: a line across and its name. ``rings``: what they stand for, and the share of each
    group by block.
    """
    starts = np.cumsum([0, *(1 + len(one.names) for one in blocks.values())])

    def draw(axes: Axes) -> None:
        if base is not None:
            axes.axvline(base[1], color=SOFT, label=base[0], zorder=1, **DASHED)
        for start, (block, one) in zip(starts, blocks.items(), strict=False):
            places = start + 1 + np.arange(len(one.names))
            limits = [one.shares - one.low, one.high - one.shares]
            axes.errorbar(one.shares, places, xerr=limits, color=BLUE, **DOTS)
            if rings is not None:
                label = rings[0] if start == 0 else None
                look: Any = {"s": 80, "facecolors": "none", "edgecolors": ORANGE}
                axes.scatter(rings[1][block], places, label=label, linewidths=1.8, **look)
        names = [name for block, one in blocks.items() for name in (block, *one.names)]
        axes.set(yticks=range(len(names)), yticklabels=names, ylim=(starts[-1] - 0.4, -0.6))
        _rows(axes)
        for start in starts[:-1]:
            axes.get_yticklabels()[start].set_fontweight("bold")
        ends = [base[1] if base else 0.0, *(one.high.max() for one in blocks.values())]
        ends += [max(shares) for shares in rings[1].values()] if rings else []
        axes.set(xlabel=across, xlim=(0, 1.05 * max(ends)))
        _hundredths(axes.xaxis)
        if base is not None or rings is not None:
            axes.legend(**LEGEND)

    return _picture(title, draw, 0.9 + ROW * int(starts[-1]))


def along(title: str, rates: Rates, across: str, upward: str, base: tuple[str, float]) -> Picture:
    """Shares with their limits in the order of their groups, from left to right."""
    places = np.arange(len(rates.names))

    def draw(axes: Axes) -> None:
        axes.axhline(base[1], color=SOFT, label=base[0], zorder=1, **DASHED)
        axes.plot(places, rates.shares, color=PALE, zorder=1.5)
        limits = [rates.shares - rates.low, rates.high - rates.shares]
        axes.errorbar(places, rates.shares, yerr=limits, color=BLUE, **DOTS)
        axes.set(xlabel=across, ylabel=upward, xticks=places, ylim=(0, None))
        axes.set_xticklabels([textwrap.fill(name, 8) for name in rates.names], fontsize=8)
        axes.grid(axis="x", visible=False)
        _hundredths(axes.yaxis)
        axes.legend(**LEGEND)

    return _picture(title, draw)


def heat(title: str, names: Sequence[str], matrix: Vector) -> Picture:
    """Correlations ``(k, k)`` below the diagonal, each as a number on its colour."""
    count = len(names)
    shown = np.where(np.tri(count, k=-1, dtype=bool), matrix, np.nan)[1:, :-1]

    def draw(axes: Axes) -> None:
        axes.imshow(shown, cmap=BOTH_WAYS, vmin=-1, vmax=1, aspect="auto")
        for (row, column), value in np.ndenumerate(shown):
            if value == value:
                text = number(float(value), 2)
                color = "white" if value > 0.6 or value < -0.85 else INK
                axes.text(column, row, text, ha="center", va="center", fontsize=7.5, color=color)
        axes.set_xticks(range(count - 1), names[:-1], rotation=38, ha="right")
        axes.set_yticks(range(count - 1), names[1:])
        axes.grid(visible=False)
        axes.spines[:].set_visible(False)
        axes.tick_params(labelcolor=INK)

    return _picture(title, draw, 1.6 + 0.32 * count)


def bars(
    title: str,
    names: Sequence[str],
    values: Sequence[float],
    across: str,
    *,
    ticks: tuple[str, Sequence[float]] | None = None,
    lines: Sequence[tuple[str, float]] = (),
    shares: bool = False,
) -> Picture:
    """A bar to the right for each name, the first at the top.

    ``ticks``: what a mark on each bar's row stands for, and where. ``lines``: named limits.
    ``shares`` in [0, 1] are written as hundredths, at the end of their bars where no mark is.
    """
    places = np.arange(len(names))

    def draw(axes: Axes) -> None:
        drawn = axes.barh(places, values, height=0.62, color=BLUE)
        if shares and ticks is None:
            words = [percent(value, 1) for value in values]
            axes.bar_label(drawn, words, padding=4, color=INK)
        if ticks is not None:
            look: Any = {"marker": "|", "s": 110, "color": ORANGE, "linewidths": 2.2}
            axes.scatter(ticks[1], places, label=ticks[0], zorder=3, **look)
            axes.legend(**LEGEND)
        ends = [*values, *(ticks[1] if ticks else ()), *(limit for _, limit in lines)]
        top = 1.12 * max([*ends, 1e-3])
        for name, limit in lines:
            axes.axvline(limit, color=SOFT, **DASHED)
            axes.annotate(name, (limit, 0), (4, 6), xycoords=("data", "axes fraction"),
                          textcoords="offset points", color=SOFT)  # fmt: skip
        axes.set(yticks=places, yticklabels=names, ylim=(len(names) - 0.4, -0.6))
        axes.set(xlabel=across, xlim=(0, top))
        _rows(axes)
        (_hundredths if shares else _numbers)(axes.xaxis)

    return _picture(title, draw, 0.95 + ROW * len(names))


def steps(title: str, parts: Mapping[str, Vector], edges: Vector, across: str) -> Picture:
    """Two distributions, each as shares of its own over ``edges``, one on the other."""

    def draw(axes: Axes) -> None:
        for (name, shares), color in zip(parts.items(), (ORANGE, BLUE), strict=False):
            axes.stairs(shares, edges, color=color, linewidth=1.8, label=name)
            axes.stairs(shares, edges, color=color, alpha=0.16, fill=True)
        axes.set(xlabel=across, ylabel="Parte de las filas", xlim=(edges[0], edges[-1]))
        _hundredths(axes.xaxis)
        _hundredths(axes.yaxis)
        axes.legend(**LEGEND)

    return _picture(title, draw)


def calibration(title: str, tables: Mapping[str, Calibration], upward: str) -> Picture:
    """What was said against what came, of one or two tables, with 95 % limits."""

    def draw(axes: Axes) -> None:
        top = 0.0
        for (name, one), color in zip(tables.items(), (BLUE, ORANGE), strict=False):
            low, high = wilson(one.rate * one.count, one.count)
            limits = [one.rate - low, high - one.rate]
            look = {**DOTS, "ecolor": color, "label": name}
            axes.errorbar(one.chance, one.rate, yerr=limits, color=color, **look)
            top = max(top, float(high.max()), float(one.chance.max()))
        axes.plot([0, 1], [0, 1], color=SOFT, label="exacta", zorder=1, **DASHED)
        axes.set(xlabel="Probabilidad que da el modelo", ylabel=upward)
        axes.set(xlim=(0, 1.04 * top), ylim=(0, 1.04 * top))
        _hundredths(axes.xaxis)
        _hundredths(axes.yaxis)
        axes.legend(**LEGEND)

    return _picture(title, draw, 4.3)


def deciles(title: str, gains: Gains, base: tuple[str, float], upward: str) -> Picture:
    """The share of positives of each part, best first, and what is found up to it."""
    places = np.arange(1, len(gains.rate) + 1)

    def draw(axes: Axes) -> None:
        axes.axhline(base[1], color=SOFT, label=base[0], zorder=1.5, **DASHED)
        drawn = axes.bar(places, gains.rate, width=0.72, color=BLUE)
        words = [percent(float(found)) for found in gains.captured]
        behind = {"facecolor": "white", "edgecolor": "none", "pad": 0.6}
        axes.bar_label(drawn, words, padding=3, color=INK, bbox=behind)
        axes.set(xlabel="Decila, de más a menos probable", ylabel=upward, xticks=places)
        axes.set(ylim=(0, 1.14 * float(gains.rate.max())))
        axes.grid(axis="x", visible=False)
        _hundredths(axes.yaxis)
        axes.legend(**LEGEND)

    return _picture(title, draw)


def curve(
    title: str, x: Vector, y: Vector, mark: tuple[str, float], across: str, upward: str
) -> Picture:
    """A line over shares ``x``, and a named place on it."""

    def draw(axes: Axes) -> None:
        axes.axhline(0, color=LINE, linewidth=1)
        axes.plot(x, y, color=BLUE)
        axes.axvline(mark[1], color=ORANGE, label=mark[0], **DASHED)
        axes.set(xlabel=across, ylabel=upward, xlim=(x[0], x[-1]))
        _hundredths(axes.xaxis)
        _numbers(axes.yaxis)
        axes.legend(**LEGEND)

    return _picture(title, draw)


def cloud(title: str, x: Vector, y: Vector, across: str, upward: str) -> Picture:
    """Pairs of shares as a map of how many there are; on the line both are the same."""
    top = 1.02 * float(max(x.max(), y.max()))

    def draw(axes: Axes) -> None:
        look: Any = {"gridsize": 46, "cmap": FROM_PALE, "bins": "log", "linewidths": 0.2}
        axes.hexbin(x, y, mincnt=1, extent=(0, top, 0, top), **look)
        axes.plot([0, top], [0, top], color=ORANGE, label="iguales", **DASHED)
        axes.set(xlabel=across, ylabel=upward, xlim=(0, top), ylim=(0, top))
        _hundredths(axes.xaxis)
        _hundredths(axes.yaxis)
        axes.legend(**LEGEND)

    return _picture(title, draw, 4.3)


def _picture(title: str, draw: Callable[[Axes], None], height: float = HEIGHT) -> Picture:
    """What ``draw`` puts on its axes, under the title."""
    lines = textwrap.wrap(title, LETTERS)
    room = 0.24 * (len(lines) + 1)
    out = io.BytesIO()
    with matplotlib.rc_context(OWN):
        figure = Figure(figsize=(WIDTH, height + room))
        figure.set_layout_engine("constrained", rect=(0, 0, 0.985, 1))
        figure.suptitle("\n".join(lines), x=0.012, ha="left", fontsize=11.5, fontweight="bold")
        draw(figure.add_subplot())
        figure.savefig(out, format="png", dpi=DOTS_PER_INCH)
    return Picture(title, out.getvalue(), round(WIDTH * SHOWN_PER_INCH))


def _rows(axes: Axes) -> None:
    """Names at the left of rows, without lines that lead nowhere."""
    axes.grid(axis="y", visible=False)
    axes.tick_params(axis="y", labelcolor=INK)
    axes.spines["left"].set_visible(False)


def _hundredths(axis: Axis) -> None:
    axis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))
    axis.set_major_formatter(FuncFormatter(lambda value, _: percent(round(value, 8), None)))


def _numbers(axis: Axis) -> None:
    axis.set_major_formatter(FuncFormatter(lambda value, _: number(round(value, 8))))

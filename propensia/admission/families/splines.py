"""Splines: each number as its place on a few overlapping hills, so that a line can bend.

Between two knots each hill is one polynomial, which is worked out here; nothing of scipy is
loaded.

Source: ``SplineTransformer.transform`` in ``sklearn/preprocessing/_polynomial.py`` (what is
beyond the knots); the recursion of de Boor 1972 and Cox 1972, where a knot that is there twice
adds nothing; a number on a knot belongs to the interval above it, as in scipy's ``BSpline``.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from propensia.admission.families.attributes import (
    bad_weights,
    fitted,
    flag,
    numbers,
    pair_of,
    short_name,
    whole,
    word,
)
from propensia.admission.families.lookup import counted
from propensia.admission.families.parts import Column, Flow, Workshop, check_complete
from propensia.admission.nodes import Node
from propensia.admission.refusal import Refusal

CURVE = ("scipy.interpolate._bsplines", "BSpline")
_HIGHEST = 20
# Of all polynomials of a transformer together.
_MOST_CELLS = 1 << 22
# What beyond the knots is a piece of its own: a constant or a straight line.
_ENDS = {"constant": 0, "linear": 1}


@dataclass(frozen=True, slots=True)
class Curve:
    """The hills of one column, which begin and end at ``knots``, ascending and finite."""

    knots: np.ndarray
    degree: int

    @property
    def hills(self) -> int:
        """How many hills there are."""
        return len(self.knots) - self.degree - 1

    @property
    def starts(self) -> np.ndarray:
        """Where the intervals begin between which it is defined, (intervals,)."""
        return self.knots[self.degree : self.hills]

    @property
    def ends(self) -> tuple[float, float]:
        """The first and the last number for which it is defined."""
        return float(self.knots[self.degree]), float(self.knots[self.hills])

    @property
    def width(self) -> float:
        """The mean width of its intervals, the unit of distance in ``pieces``."""
        low, high = self.ends
        return (high - low) / len(self.starts) or 1.0

    def pieces(self) -> np.ndarray:
        """The hills as polynomials in the distance from the start of each interval, (degree + 1,
        intervals, hills), by rising power; not finite where knots are next to each other."""
        knots, starts = self.knots / self.width, self.starts / self.width
        interval = np.arange(self.degree, self.hills)
        # Of each interval the hills above it, from left to right; a hill of degree 0 is flat.
        near = np.zeros((self.degree + 1, len(interval), 1))
        near[0] = 1.0
        for degree in range(1, self.degree + 1):
            before, near = near, np.zeros((self.degree + 1, len(interval), degree + 1))
            for place in range(degree + 1):
                hill = interval - degree + place
                if place > 0:
                    slope = _inverse(knots[hill + degree] - knots[hill])
                    rising = before[:, :, place - 1] * slope
                    near[:, :, place] += rising * (starts - knots[hill])
                    near[1:, :, place] += rising[:-1]
                if place < degree:
                    slope = _inverse(knots[hill + degree + 1] - knots[hill + 1])
                    falling = before[:, :, place] * slope
                    near[:, :, place] += falling * (knots[hill + degree + 1] - starts)
                    near[1:, :, place] -= falling[:-1]
        made = np.zeros((self.degree + 1, len(interval), self.hills))
        rows = np.arange(len(interval))
        for place in range(self.degree + 1):
            made[:, rows, interval - self.degree + place] = near[:, :, place]
        return made


def _inverse(width: np.ndarray) -> np.ndarray:
    """One over each, and 0 where two knots are one."""
    return np.asarray(np.divide(1.0, width, out=np.zeros_like(width), where=width > 0))


def splines(node: Node, flow: Flow, shop: Workshop) -> Flow:
    """The hills of each column beside each other, without the last of each if there is no bias."""
    beyond, sparse = word(node, "extrapolation"), flag(node, "sparse_output", False)
    if beyond in ("periodic", "error"):  # the latter has no answer for a number beyond
        raise _unknown(node, f"extrapolation={beyond!r}")
    if beyond not in ("continue", *_ENDS):
        raise bad_weights(node, "extrapolation")
    degree = whole(node, "degree")
    if not 1 <= degree <= _HIGHEST:
        raise _unknown(node, f"degree={degree}")
    if beyond == "linear" and degree == 1:
        # Every version since 1.0 takes its columns after the first for such of degree 2.
        raise _unknown(node, f"{degree=}, extrapolation='linear'")
    if flow.missing and word(node, "handle_missing") == "zeros":
        raise _unknown(node, "handle_missing='zeros'")
    check_complete(short_name(node), flow.columns)
    curves = _curves(node, flow.width)
    hills = curves[0].hills
    kept = hills if flag(node, "include_bias", True) else hills - 1
    if whole(node, "n_features_out_") != kept * flow.width:
        raise bad_weights(node, "n_features_out_")
    made = _heights(node, curves, flow.tensor, shop)
    graph = shop.graph
    if kept < hills:
        made = graph.add("Gather", made, graph.constant(np.arange(kept)), axis=2)
    flat = graph.add("Reshape", made, graph.constant(np.array([-1, kept * flow.width])))
    columns = (Column(inexact=True),) * (kept * flow.width)
    # Where a hill ends on a knot, scipy's sparse matrix stores its zero.
    return Flow(flat, columns, short_name(node), sparse, sparse)


def curve(node: object, owner: Node) -> Curve:
    """The checked curve of one column; ``pesos_imposibles`` for what no fitting leaves behind."""
    if not isinstance(node, Node) or pair_of(node) != CURVE:
        raise bad_weights(owner, "bsplines_")
    told = node.attributes()  # scipy has put a line before both names since 1.15
    degree = whole(node, "k")
    names = [f"_{name}" if f"_{name}" in told else name for name in ("t", "c")]
    knots, weights = (_shape(told.get(name)) for name in names)
    hills = knots[0] - degree - 1 if len(knots) == 1 else 0
    if not 1 <= degree <= _HIGHEST or hills <= degree or weights != (hills, hills):
        raise bad_weights(owner, "bsplines_")
    # Before anything is copied: a file may hold one array and mention it a thousand times.
    if (degree + 1) * hills * hills > _MOST_CELLS:
        raise _large(owner, hills)
    # Each hill for itself, but where they come round again.
    values = numbers(node, names[0], knots)
    if not np.array_equal(np.asarray(told[names[1]]), np.eye(hills)):
        raise bad_weights(owner, "bsplines_")
    falls = (values[1:] < values[:-1]).any()
    if falls or not np.isfinite(float(values[-1]) - float(values[0])):
        raise bad_weights(owner, "bsplines_")
    return Curve(values, degree)


def _curves(node: Node, width: int) -> list[Curve]:
    """One curve per column, all of the same degree and number of hills."""
    listed = fitted(node, "bsplines_")
    if not isinstance(listed, list) or len(listed) != width or not width:
        raise bad_weights(node, "bsplines_")
    first = curve(listed[0], node)
    if (first.degree + 1) * width * first.hills**2 > _MOST_CELLS:
        raise _large(node, width * first.hills)
    curves = [curve(one, node) for one in listed]
    alike = all((one.degree, one.hills) == (first.degree, first.hills) for one in curves)
    if not alike or first.degree != whole(node, "degree") or first.hills < 2:
        raise bad_weights(node, "bsplines_")
    goes_on = word(node, "extrapolation") == "continue"
    for one in listed:
        if not isinstance(one, Node) or flag(one, "extrapolate", goes_on) != goes_on:
            raise bad_weights(node, "bsplines_")
    return curves


def _shape(value: object) -> tuple[int, ...]:
    return value.shape if isinstance(value, np.ndarray) and value.dtype.kind == "f" else ()


def _unknown(node: Node, setting: str) -> Refusal:
    return Refusal("familia_desconocida", f"{short_name(node)} ({setting})")


def _large(node: Node, hills: int) -> Refusal:
    name = short_name(node)
    return Refusal("demasiado_grande", f"{name}: {hills} tramos", f"{name}: {hills} pieces")


def _heights(node: Node, curves: list[Curve], x: str, shop: Workshop) -> str:
    """The height of each hill at each number of ``x`` (n, columns): double (n, columns, hills)."""
    graph, beyond = shop.graph, word(node, "extrapolation")
    place = counted(x, [one.starts[1:] for one in curves], shop, equal=True)
    points = [one.starts for one in curves]
    with np.errstate(over="ignore", invalid="ignore", under="ignore"):
        pieces = [one.pieces() for one in curves]
        if beyond in _ENDS:
            both = zip(curves, pieces, strict=True)
            pieces = [_with_ends(one, inner, _ENDS[beyond]) for one, inner in both]
    factors = np.concatenate(pieces, axis=1)
    if not np.isfinite(factors).all():
        raise bad_weights(node, "bsplines_")
    if beyond in _ENDS:
        low, high = (np.array([one.ends[end] for one in curves]) for end in (0, 1))
        below = graph.add("Less", x, graph.constant(low))
        above = graph.add("Greater", x, graph.constant(high))
        last = np.array([len(starts) + 1 for starts in points])
        place = graph.add("Add", place, graph.constant(np.ones(1, np.int64)))
        place = graph.add("Where", below, graph.constant(np.zeros(1, np.int64)), place)
        place = graph.add("Where", above, graph.constant(last), place)
        points = [np.array([one.ends[0], *one.starts, one.ends[1]]) for one in curves]
    # All columns one behind the other; each begins where the one before it has ended.
    begins = np.cumsum([0, *map(len, points)])[:-1]
    place = graph.add("Add", place, graph.constant(begins))
    start = graph.add("Gather", graph.constant(np.concatenate(points)), place, axis=0)
    unit = graph.constant(np.array([one.width for one in curves]))
    distance = graph.add("Div", graph.add("Sub", x, start), unit)
    distance = graph.add("Unsqueeze", distance, graph.constant(np.array([2])))
    height = ""
    for power in factors[::-1]:
        factor = graph.add("Gather", graph.constant(power), place, axis=0)
        if height:
            factor = graph.add("Add", graph.add("Mul", height, distance), factor)
        height = factor
    return height


def _with_ends(one: Curve, pieces: np.ndarray, power: int) -> np.ndarray:
    """The pieces of a curve, and one before and one behind them that go on as at its ends.

    The library lets only the hills next to an end go on, for all others are zero there; a knot
    that is there twice moves them inwards, and then what it lets go on is not all there is.
    """
    # Horner's rule once for the value, once for its slope, at the last knot.
    length = (one.ends[1] - one.starts[-1]) / one.width
    last, slope = np.zeros_like(pieces[0, -1]), np.zeros_like(pieces[0, -1])
    for factor in pieces[::-1, -1]:
        last, slope = last * length + factor, slope * length + last
    # The first knot may be there more than once; the number on it is in the last of its intervals.
    begin = int(np.searchsorted(one.starts, one.ends[0], side="right")) - 1
    outer, near = np.zeros((len(pieces), 2, pieces.shape[2])), one.degree
    outer[0, 0, :near], outer[0, 1, -near:] = pieces[0, begin, :near], last[-near:]
    if power:
        outer[1, 0, :near], outer[1, 1, -near:] = pieces[1, begin, :near], slope[-near:]
    return np.concatenate([outer[:, :1], pieces, outer[:, 1:]], axis=1)


TRANSFORMERS = {("sklearn.preprocessing._polynomial", "SplineTransformer"): splines}
# A curve keeps the function that made arrays of what it was given; nothing ever calls it here.
_ARRAYS = (
    "numpy",
    "scipy._lib.array_api_compat.numpy",
    "scipy._lib.array_api_compat.numpy._aliases",
)
HELPERS = frozenset({CURVE, *((module, "asarray") for module in _ARRAYS)})

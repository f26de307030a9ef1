"""What the text of a LightGBM booster says, every line of it known: no tree is looked into here.

It must never trust a count, a name or a number of the text.

The text is what ``Booster.__getstate__`` keeps (``GBDT::SaveModelToString`` in
``src/boosting/gbdt_model_text.cpp``): a header, a block for each tree, ``end of trees``, then
importances and parameters. Versions 2.1 to 3.3 call it ``v2`` or ``v3``, 4.x ``v4``.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from propensia.admission.families.ensemble import MOST_TREES
from propensia.admission.families.parts import MOST_COLUMNS
from propensia.admission.nodes import Node
from propensia.admission.refusal import Refusal, shown

_VERSIONS = ("v3", "v4")
_HEADER = frozenset(
    {
        "version",
        "num_class",
        "num_tree_per_iteration",
        "label_index",
        "max_feature_idx",
        "objective",
        "average_output",
        "feature_names",
        "monotone_constraints",
        "feature_infos",
        "tree_sizes",
    }
)
_TREE = frozenset(
    {
        "num_leaves",
        "num_cat",
        "split_feature",
        "split_gain",
        "threshold",
        "decision_type",
        "left_child",
        "right_child",
        "leaf_value",
        "leaf_weight",
        "leaf_count",
        "internal_value",
        "internal_weight",
        "internal_count",
        "cat_boundaries",
        "cat_threshold",
        "is_linear",
        "shrinkage",
        "leaf_const",
        "num_features",
        "leaf_features",
        "leaf_coeff",
    }
)
_END = "end of trees\n"
_CATEGORICAL = re.compile(r"^\[categorical_feature: ([0-9,]{0,100000})\]$", re.MULTILINE)
_WHOLE = re.compile("-?[0-9]{1,10}").fullmatch
_DECIMAL = re.compile(r"[-+]?(?:inf|[0-9.]{1,40}(?:[eE][-+]?[0-9]{1,4})?)").fullmatch


@dataclass(frozen=True, slots=True)
class Model:
    """A checked header, and the lines of each tree by their names.

    ``objective`` is its line; ``classes`` is 1 for a booster of one sum and 2 for a softmax of
    two; ``slope`` is what the sum is multiplied by before the logistic function; ``names`` are
    those of the columns, ``Column_0`` … where the training had none; ``categorical`` the columns
    of categories, ``None`` where the text does not tell; ``mean`` says that trees are averaged.
    """

    version: str
    objective: str
    classes: int
    slope: float
    width: int
    names: tuple[str, ...]
    mean: bool
    categorical: tuple[int, ...] | None
    trees: list[dict[str, str]]


def read(node: Node) -> Model:
    """The booster that a node describes. Raises ``Refusal``."""
    text = _text(node)
    start = text.find("\n\n")
    header = _named(text[: max(start, 0)].split("\n", len(_HEADER) + 1), "tree", _HEADER)
    version = header.get("version", "")
    if version not in _VERSIONS:
        raise Refusal(
            "familia_desconocida",
            f"LightGBM con el formato {shown(version)}",
            f"LightGBM in the format {shown(version)}",
        )
    classes, slope = _objective(header)
    width = whole(header, "max_feature_idx") + 1
    if not 0 < width <= MOST_COLUMNS:
        raise Refusal("demasiado_grande", f"{width} columnas", f"{width} columns")
    trees, end = _blocks(text, header, start + 2)
    if len(trees) % classes:
        raise impossible("num_tree_per_iteration")
    return Model(
        version=version,
        objective=header["objective"],
        classes=classes,
        slope=slope,
        width=width,
        names=_names(header, width),
        mean="average_output" in header,
        categorical=_categorical(text[end:], width),
        trees=trees,
    )


def whole(lines: dict[str, str], name: str) -> int:
    """A whole number, not negative, of a header or tree."""
    value = lines.get(name, "")
    if not re.fullmatch("[0-9]{1,9}", value):
        raise impossible(name)
    return int(value)


def wholes(lines: dict[str, str], name: str, size: int) -> np.ndarray:
    """So many whole numbers, (size,) int64."""
    return np.array([int(token) for token in _tokens(lines, name, size, _WHOLE)], np.int64)


def decimals(lines: dict[str, str], name: str, size: int) -> np.ndarray:
    """So many numbers, (size,) double; one may be infinite."""
    tokens = _tokens(lines, name, size, _DECIMAL)
    try:
        return np.array([float(token) for token in tokens], np.float64)
    except ValueError:  # two points in one
        raise impossible(name) from None


def impossible(what: str) -> Refusal:
    """The refusal of a line that is not what LightGBM writes there."""
    return Refusal("pesos_imposibles", f"{what} de LightGBM", f"{what} of LightGBM")


def _text(node: Node) -> str:
    state = node.attributes()
    text = state.get("_handle", state.get("handle"))  # with and without: before 4.0 and since
    if text is None:
        raise Refusal("no_entrenado", "Booster vacío", "an empty Booster")
    if not isinstance(text, str):
        raise impossible("handle")
    return text


def _named(lines: list[str], first: str, known: frozenset[str]) -> dict[str, str]:
    """The lines of a block by their names, each once; the first says what it is."""
    if lines[0] != first:
        raise impossible(first)
    named: dict[str, str] = {}
    for line in lines[1:]:
        name, _, value = line.partition("=")
        if name not in known or name in named:
            raise impossible(f"«{shown(name)}»")
        named[name] = value
    return named


def _objective(header: dict[str, str]) -> tuple[int, float]:
    """How many sums there are, and the slope of the logistic function."""
    told = header.get("objective", "")
    classes = whole(header, "num_tree_per_iteration")
    slope = 1.0
    if told.startswith("binary sigmoid:"):
        slope = float(decimals({"sigmoid": told.partition(":")[2]}, "sigmoid", 1)[0])
        wanted = 1
    else:
        wanted = {"cross_entropy": 1, "multiclass num_class:2": 2}.get(told, 0)
    if classes != wanted or whole(header, "num_class") != classes:
        name = told.partition(" ")[0]
        raise Refusal(
            "no_es_clasificador_binario",
            f"LightGBM con el objetivo {shown(name) or 'propio'} y {classes} salidas",
            f"LightGBM with the objective {shown(name) or 'of its own'} and {classes} outputs",
        )
    if not 0 < slope < math.inf:
        raise impossible("sigmoid")
    return classes, slope


def _blocks(text: str, header: dict[str, str], start: int) -> tuple[list[dict[str, str]], int]:
    """The lines of each tree, and the place behind the last; blocks are as long as they say."""
    listed = header.get("tree_sizes", "")
    count = listed.count(" ") + 1
    if not listed:
        raise Refusal("no_entrenado", "LightGBM sin árboles", "LightGBM without trees")
    if count > MOST_TREES:
        raise Refusal("demasiado_grande", f"{count} árboles", f"{count} trees")
    trees, at = [], start
    for number, size in enumerate(wholes(header, "tree_sizes", count).tolist()):
        block = text[at : at + size]
        if size <= 0 or not block.isascii() or not block.endswith("\n\n"):
            raise impossible(f"Tree={number}")
        lines = block.rstrip("\n").split("\n", len(_TREE) + 1)
        trees.append(_named(lines, f"Tree={number}", _TREE))
        at += size
    if not text.startswith(_END, at):
        raise impossible(_END.strip())
    return trees, at


def _tokens(
    lines: dict[str, str], name: str, size: int, looks_right: Callable[[str], object]
) -> list[str]:
    line = lines.get(name, "")
    if not line and not size:
        return []
    if line.count(" ") != size - 1:
        raise impossible(name)
    tokens = line.split(" ")
    if not all(map(looks_right, tokens)):
        raise impossible(name)
    return tokens


def _names(header: dict[str, str], width: int) -> tuple[str, ...]:
    """The names of the columns; ``Column_0``, ``Column_1`` … where the training had none."""
    line = header.get("feature_names", "")
    if line.count(" ") != width - 1:
        raise impossible("feature_names")
    return tuple(line.split(" "))


def _categorical(rest: str, width: int) -> tuple[int, ...] | None:
    """The columns of categories that the parameters at the end list."""
    found = _CATEGORICAL.search(rest)
    if found is None:
        return None
    places = [int(place) for place in found[1].split(",") if len(place) in range(1, 10)]
    if any(place >= width for place in places) or len(set(places)) != len(places):
        raise impossible("categorical_feature")
    return tuple(sorted(places))

"""What the buffer of an XGBoost booster says, every part of it checked: no graph is written here.

It must never trust a count, a name or a number of the buffer.

The buffer is what ``Booster.__getstate__`` keeps (``XGBoosterSerializeToBuffer``): UBJSON with a
``Config``, which no answer depends on, and a ``Model``, whose fields are those of
``doc/model.schema`` in XGBoost, alike from 1.6 to 3.2.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from propensia.admission.families import ubjson
from propensia.admission.families.ensemble import MOST_TREES
from propensia.admission.families.parts import MOST_COLUMNS
from propensia.admission.families.ubjson import Value
from propensia.admission.nodes import Node
from propensia.admission.refusal import Refusal, shown

LOGISTIC, SOFTMAX = ("binary:logistic", "reg:logistic"), ("multi:softprob", "multi:softmax")
# Versions up to 1.5 wrote this or JSON text; both are older than what is read here.
_OLD = (b"CONFIG-offset:", b'{"')
_OLDEST = (1, 6)
_NUMBER = re.compile(r"[-+]?[0-9]{1,20}(?:\.[0-9]{1,40})?(?:[eE][-+]?[0-9]{1,4})?")


@dataclass(frozen=True, slots=True)
class Forest:
    """Trees as the buffer lists them, not yet looked into.

    ``groups`` (t,) says for each the class that it speaks for, ``weights`` (t,) float32 what its
    leaves are multiplied by (1 but for DART), ``ends`` (rounds,) how many trees there are after
    each round of boosting.
    """

    trees: list[dict[str, Value]]
    groups: np.ndarray
    weights: np.ndarray
    ends: np.ndarray
    dart: bool


@dataclass(frozen=True, slots=True)
class Booster:
    """A checked booster of two classes.

    ``margins`` (1 or 2,) float32 are what the leaves of a row are added to, for the second class
    or for both; ``width`` is how many columns it reads, ``names`` their names, empty where it
    has none; ``categorical`` the places of columns that hold categories, ``coded`` the
    categories behind the codes 0, 1, … of such a column where the buffer keeps them. ``best`` is
    the best round of early stopping, from 0. ``body``: trees, or linear weights (``width`` + 1,
    classes) float32, the bias last.
    """

    version: tuple[int, int, int]
    objective: str
    margins: np.ndarray
    width: int
    names: tuple[str, ...]
    categorical: tuple[int, ...]
    coded: Mapping[int, tuple[str | float, ...]]
    best: int | None
    body: Forest | np.ndarray


def read(node: Node) -> Booster:
    """The booster that a node describes. Raises ``Refusal``."""
    document = ubjson.parse(buffer(node))
    model = member(member(document, "Model"), "learner")
    version = numbers(member(document, "Model"), "version", "i", 3)
    if (version < 0).any() or (version >= 1000).any() or tuple(version[:2]) < _OLDEST:
        raise impossible("version")
    parameters = member(model, "learner_model_param")
    objective = text(member(model, "objective"), "name")
    if objective not in LOGISTIC + SOFTMAX:
        raise _not_binary(
            f"XGBoost con el objetivo {shown(objective)}",
            f"XGBoost with the objective {shown(objective)}",
        )
    classes, targets = counted(parameters, "num_class"), counted(parameters, "num_target", 1)
    if targets > 1 or classes != (2 if objective in SOFTMAX else 0):
        classes = max(classes, targets)
        raise _not_binary(f"XGBoost de {classes} salidas", f"XGBoost of {classes} outputs")
    width = counted(parameters, "num_feature")
    if not 0 < width <= MOST_COLUMNS:
        raise Refusal("demasiado_grande", f"{width} columnas", f"{width} columns")
    booster = member(model, "gradient_booster")
    types = texts(model, "feature_types", width)
    return Booster(
        version=(int(version[0]), int(version[1]), int(version[2])),
        objective=objective,
        margins=_margins(text(parameters, "base_score"), objective),
        width=width,
        names=texts(model, "feature_names", width),
        categorical=tuple(place for place, kind in enumerate(types) if kind == "c"),
        coded=_coded(booster, width),
        best=_best(node, model),
        body=_body(booster, max(classes, 1), width),
    )


def buffer(node: Node) -> bytes:
    """The bytes of a booster's own format, of a version that is read here."""
    handle = node.attributes().get("handle")
    if handle is None:
        raise Refusal("no_entrenado", "Booster vacío", "an empty Booster")
    if not isinstance(handle, bytes):
        raise impossible("handle")
    if handle.startswith(_OLD):
        raise Refusal(
            "familia_desconocida",
            "un modelo de XGBoost anterior a la versión 1.6",
            "a model of XGBoost before version 1.6",
        )
    return handle


def member(document: Value, key: str) -> dict[str, Value]:
    """An object inside an object."""
    inside = document.get(key) if isinstance(document, dict) else None
    if not isinstance(inside, dict):
        raise impossible(key)
    return inside


def text(document: dict[str, Value], key: str) -> str:
    """A text inside an object."""
    value = document.get(key)
    if not isinstance(value, str):
        raise impossible(key)
    return value


def counted(document: dict[str, Value], key: str, default: int = 0) -> int:
    """A number that XGBoost writes as text, such as ``"12"``."""
    value = document.get(key, str(default))
    if not isinstance(value, str) or not re.fullmatch("[0-9]{1,9}", value):
        raise impossible(key)
    return int(value)


def numbers(document: dict[str, Value], key: str, kinds: str, size: int) -> np.ndarray:
    """A list of so many numbers of one of these numpy kinds (``i`` with ``u``), (size,)."""
    value = document.get(key)
    if isinstance(value, list) and set(map(type, value)) <= {int, float}:
        value = np.array(value) if value else np.zeros(0, np.int64)
    if not isinstance(value, np.ndarray) or value.shape != (size,):
        raise impossible(key)
    if value.dtype.kind not in kinds.replace("i", "iu"):
        raise impossible(key)
    return value


def texts(document: dict[str, Value], key: str, size: int) -> tuple[str, ...]:
    """A list of so many texts, or of none."""
    value = document.get(key, [])
    if not isinstance(value, list) or len(value) not in (0, size):
        raise impossible(key)
    if not all(isinstance(item, str) for item in value):
        raise impossible(key)
    return tuple(str(item) for item in value)


def impossible(what: str) -> Refusal:
    """The refusal of a part of the buffer that is not what XGBoost writes there."""
    return Refusal("pesos_imposibles", f"{what} de XGBoost", f"{what} of XGBoost")


def _not_binary(spanish: str, english: str) -> Refusal:
    return Refusal("no_es_clasificador_binario", spanish, english)


def _margins(told: str, objective: str) -> np.ndarray:
    """The base score as margins, (classes,), as ``ProbToMargin`` in ``src/objective`` does it.

    A probability for the logistic objectives, float32; 3.1 and later write a list of one. For
    the softmax they are margins, one for each class or one for all.
    """
    listed = told[1:-1].split(",") if told.startswith("[") and told.endswith("]") else [told]
    if len(listed) > 2 or not all(_NUMBER.fullmatch(number) for number in listed):
        raise impossible("base_score")
    with np.errstate(over="ignore"):
        scores = np.array([float(number) for number in listed]).astype(np.float32)
    if objective in SOFTMAX:
        scores = np.broadcast_to(scores, (2,))
    elif len(scores) != 1 or not 0 < scores[0] < 1:
        raise impossible("base_score")
    else:
        odds = np.float32(1) / scores - np.float32(1)
        scores = (-np.log(odds.astype(np.float64))).astype(np.float32)
    if not np.isfinite(scores).all():
        raise impossible("base_score")
    return scores


def _best(node: Node, model: dict[str, Value]) -> int | None:
    """The best round: up to 1.7 an attribute of the Python object, since 2.0 one of the model."""
    told = node.attributes().get("best_iteration")
    if told is None:
        told = member(model, "attributes").get("best_iteration")
        if told is None:
            return None
        if not isinstance(told, str) or not re.fullmatch("[0-9]{1,9}", told):
            raise impossible("best_iteration")
    if isinstance(told, bool) or not isinstance(told, int | str):
        raise impossible("best_iteration")
    return int(told)


def _coded(booster: dict[str, Value], width: int) -> dict[int, tuple[str | float, ...]]:
    """The categories of data frames that 3.1 and later remember, by column."""
    model = member(booster, "gbtree" if "gbtree" in booster else "model")
    if "gbtree" in booster:
        model = member(model, "model")
    listed = model.get("cats")
    encodings = listed.get("enc") if isinstance(listed, dict) else []
    if not isinstance(encodings, list) or len(encodings) not in (0, width):
        raise impossible("cats")
    found = {place: _categories(each) for place, each in enumerate(encodings)}
    return {place: each for place, each in found.items() if each}


def _categories(encoding: Value) -> tuple[str | float, ...]:
    if not isinstance(encoding, dict):
        raise impossible("cats")
    values = encoding.get("values")
    if not isinstance(values, np.ndarray) or values.size > MOST_COLUMNS * 100:
        raise impossible("cats")
    if "offsets" not in encoding:
        if not np.isfinite(values).all():
            raise impossible("cats")
        return tuple(values.tolist())
    offsets = encoding["offsets"]
    if not isinstance(offsets, np.ndarray) or offsets.dtype.kind != "i" or values.itemsize != 1:
        raise impossible("cats")
    if offsets.size == 0:
        return ()
    if offsets[0] != 0 or offsets[-1] != values.size or (np.diff(offsets) < 0).any():
        raise impossible("cats")
    raw = values.tobytes()
    try:
        ends = offsets.tolist()
        return tuple(raw[start:end].decode("utf-8") for start, end in pairwise(ends))
    except UnicodeDecodeError:  # 3.1 and 3.2 cut texts off that are not plain ASCII
        raise impossible("cats") from None


def _body(booster: dict[str, Value], classes: int, width: int) -> Forest | np.ndarray:
    name = text(booster, "name")
    if name == "gblinear":
        flat = numbers(member(booster, "model"), "weights", "f", (width + 1) * classes)
        if not np.isfinite(flat).all():
            raise impossible("weights")
        return flat.astype(np.float32).reshape(width + 1, classes)
    if name not in ("gbtree", "dart"):
        raise Refusal("familia_desconocida", f"XGBoost {shown(name)}")
    inside = member(booster, "gbtree") if name == "dart" else booster
    model = member(inside, "model")
    trees = model.get("trees")
    if not isinstance(trees, list) or not all(isinstance(tree, dict) for tree in trees):
        raise impossible("trees")
    count, parameters = len(trees), member(model, "gbtree_model_param")
    if count > MOST_TREES:
        raise Refusal("demasiado_grande", f"{count} árboles", f"{count} trees")
    if counted(parameters, "num_trees") != count:
        raise impossible("num_trees")
    groups = numbers(model, "tree_info", "i", count)
    if ((groups < 0) | (groups >= classes)).any():
        raise impossible("tree_info")
    weights = np.ones(count, np.float32)
    if name == "dart":
        weights = numbers(booster, "weight_drop", "fi", count).astype(np.float32)
        if not np.isfinite(weights).all():
            raise impossible("weight_drop")
    ends = _ends(model, count, classes, max(counted(parameters, "num_parallel_tree", 1), 1))
    return Forest(
        [tree for tree in trees if isinstance(tree, dict)], groups, weights, ends, name == "dart"
    )


def _ends(model: dict[str, Value], count: int, classes: int, parallel: int) -> np.ndarray:
    """How many trees there are after each round; since 2.0 the model says it itself."""
    listed, each = model.get("iteration_indptr"), classes * parallel
    if listed is None:
        return np.arange(each, count + 1, each)
    size = len(listed) if isinstance(listed, list | np.ndarray) else 0
    starts = numbers(model, "iteration_indptr", "i", size).astype(np.int64)
    odd = size < 1 or starts[0] != 0 or starts[-1] != count or (np.diff(starts) <= 0).any()
    if odd or (np.diff(starts) % classes).any():
        raise impossible("iteration_indptr")
    return starts[1:]

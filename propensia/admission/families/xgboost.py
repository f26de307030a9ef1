"""XGBoost classifiers: their own buffer inside the PKL, read as data.

It never gives a buffer to the library, and looks up no callback, metric or objective.

Conventions of XGBoost (``python-package/xgboost/sklearn.py``, ``src/learner.cc``,
``src/predictor/cpu_predictor.cc``, ``src/gbm/gbtree.cc`` and ``gblinear.cc``):

- rows are rounded to float32; NaN is missing, and so is what equals ``missing``, once rounded;
- a zero that a sparse matrix does not store is missing too, one that it stores is a zero;
- the margin is the base score's plus the leaves, and the probability its logistic function; a
  softmax of two classes is the logistic function of the difference of their margins;
- the wrappers use the rounds up to the best one where training stopped early, a bare booster all;
- DART adds the base margin to a leaf, takes it off again, and multiplies by the tree's weight,
  all in float32;
- a linear booster skips missing values.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from propensia.admission.families import ensemble, xgboost_model, xgboost_trees
from propensia.admission.families.attributes import binary_classes, fitted, short_name, whole
from propensia.admission.families.codes import coded
from propensia.admission.families.ensemble import Trees
from propensia.admission.families.parts import Chance, Flow, Workshop, check_width
from propensia.admission.families.xgboost_model import Booster, Forest, impossible
from propensia.admission.graph import DOUBLE, FLOAT
from propensia.admission.nodes import Global, Node
from propensia.admission.refusal import Refusal

_BOOSTER = Global("xgboost.core", "Booster")
_CODED_SINCE = (3, 1)
# The rows of so many trees at once are held in memory, one float for each tree.
_AT_ONCE = 250
# Of the exponential inside the logistic function (``src/common/math.h``).
_LARGEST_POWER = np.float32(88.7)
_LARGEST = float(np.finfo(np.float32).max)


def classifier(node: Node, flow: Flow, shop: Workshop) -> Chance:
    """An ``XGBClassifier`` or ``XGBRFClassifier``."""
    inner = booster_of(node)
    objective = node.attributes().get("objective")
    if objective is not None and not isinstance(objective, str):
        raise Refusal(
            "familia_desconocida",
            f"{short_name(node)} con un objetivo propio",
            f"{short_name(node)} with an objective of its own",
        )
    # Labels have been the whole numbers from 0 on since 2.0, which keeps but how many there are.
    classes = ("0", "1")
    if node.attributes().get("classes_") is not None:
        classes = binary_classes(node)
    elif whole(node, "n_classes_") != 2:
        number = whole(node, "n_classes_")
        raise Refusal(
            "no_es_clasificador_binario",
            f"{short_name(node)} tiene {number} clases",
            f"{short_name(node)} has {number} classes",
        )
    model = xgboost_model.read(inner)
    return Chance(_chance(node, model, flow, shop), classes, short_name(node))


def bare(node: Node, flow: Flow, shop: Workshop) -> Chance:
    """A ``Booster`` on its own, which knows no labels: the second class is the positive one."""
    model = xgboost_model.read(node)
    return Chance(_chance(node, model, flow, shop), None, "XGBoost Booster")


def booster_of(node: Node) -> Node:
    """The booster inside a wrapper, or the node itself where it is one."""
    if node.made_by == _BOOSTER:
        return node
    inner = fitted(node, "_Booster")
    if not isinstance(inner, Node) or inner.made_by != _BOOSTER:
        raise impossible("_Booster")
    return inner


def rounds_of(node: Node, model: Booster) -> int:
    """How many rounds of boosting it answers with: a wrapper up to the best one, if there is."""
    rounds = len(model.body.ends) if isinstance(model.body, Forest) else 0
    if node.made_by == _BOOSTER or model.best is None or not rounds:
        return rounds
    if not 0 <= model.best < rounds:
        raise impossible("best_iteration")
    return model.best + 1


def missing_value(node: Node) -> float:
    """The value that a wrapper takes for a missing one beside NaN, float32; NaN for none."""
    value = node.attributes().get("missing")
    if value is None:
        return math.nan
    if isinstance(value, bool) or not isinstance(value, int | float) or abs(value) > _LARGEST:
        raise impossible("missing")
    return float(np.float32(value))


def known_categories(node: Node, model: Booster) -> Mapping[int, Sequence[object]]:
    """The categories behind the codes of each column of categories; none where it holds codes.

    Since 3.1 the buffer keeps them. A wrapper with ``feature_types`` was given codes; without,
    an older version had them from a data frame, and forgot what they stand for.
    """
    told = node.attributes().get("feature_types") is not None
    if model.categorical and model.version < _CODED_SINCE and not told:
        raise Refusal(
            "valores_distintos",
            f"XGBoost {version_text(model)} no guarda qué categorías aprendió; "
            "entrene con la versión 3.1 o posterior, o con números",
            f"XGBoost {version_text(model)} does not keep the categories that it learnt; "
            "train with version 3.1 or later, or on numbers",
        )
    return model.coded


def version_text(model: Booster) -> str:
    """The version that wrote the buffer, such as ``3.2.0``."""
    return ".".join(map(str, model.version))


def _chance(node: Node, model: Booster, flow: Flow, shop: Workshop) -> str:
    """The probability of the second class, double (n, 1)."""
    shop.libraries["xgboost"] = version_text(model)
    if model.names and flow.names is not None:
        flow = shop.reordered(flow, model.names)
    check_width(short_name(node), model.width, flow.width)
    shop.matched = True
    if flow.zeros:
        raise Refusal(
            "familia_desconocida",
            f"{short_name(node)} sobre una matriz dispersa que guarda ceros",
            f"{short_name(node)} on a sparse matrix that stores zeros",
        )
    flow = coded(flow, known_categories(node, model), shop)
    flow = _rounded(flow, missing_value(node), shop)
    if isinstance(model.body, Forest):
        # A bare booster predicts in a way that does not shift the leaves of DART.
        shifted = model.body.dart and node.made_by != _BOOSTER
        rounds = rounds_of(node, model)
        margins = _forests(model, model.body, rounds, shifted, flow, shop)
    else:
        margins = _linear(model, model.body, flow, shop)
    return shop.graph.cast(_share(margins, shop), DOUBLE)


def _share(margins: list[str], shop: Workshop) -> str:
    """The logistic function, or the softmax of two, in float32 as the library computes it.

    The exponential itself is computed in double and then rounded, which the C library's comes to.
    """
    graph = shop.graph
    if len(margins) == 1:
        one = graph.constant(np.ones(1, np.float32))
        most = graph.constant(np.array([_LARGEST_POWER]))
        power = graph.add("Min", graph.add("Neg", margins[0]), most)
        return graph.add("Div", one, graph.add("Add", _exponential(power, shop), one))
    largest = graph.add("Max", *margins)
    powers = [graph.add("Sub", margin, largest) for margin in margins]
    first, second = (_exponential(power, shop) for power in powers)
    return graph.add("Div", second, graph.add("Add", first, second))


def _exponential(power: str, shop: Workshop) -> str:
    graph = shop.graph
    return graph.cast(graph.add("Exp", graph.cast(power, DOUBLE)), FLOAT)


def _rounded(flow: Flow, missing: float, shop: Workshop) -> Flow:
    """The rows in float32, as doubles, with NaN where a value counts as missing."""
    graph = shop.graph
    rows = graph.cast(graph.cast(flow.tensor, FLOAT), DOUBLE)
    absent = []
    if not math.isnan(missing):
        absent.append(graph.add("Equal", rows, graph.constant(np.array([missing]))))
    if flow.sparse:
        absent.append(graph.add("Equal", flow.tensor, graph.constant(np.zeros(1))))
    for places in absent:
        rows = graph.add("Where", places, graph.constant(np.array([math.nan])), rows)
    columns = tuple(replace(one, missing=one.missing or bool(absent)) for one in flow.columns)
    return Flow(rows, columns, flow.label)


def _forests(
    model: Booster, body: Forest, rounds: int, shifted: bool, flow: Flow, shop: Workshop
) -> list[str]:
    """The margin of each class, or of the second alone: float32 (n, 1)."""
    end = int(body.ends[rounds - 1]) if rounds else 0
    if not end:
        raise Refusal("no_entrenado", "XGBoost sin árboles", "XGBoost without trees")
    margins = []
    for group, start in enumerate(model.margins):
        total = _constant(start, flow, shop)
        places = np.flatnonzero(body.groups[:end] == group)
        for some in np.split(places, range(_AT_ONCE, len(places), _AT_ONCE)):
            trees = xgboost_trees.checked(
                [body.trees[place] for place in some.tolist()],
                model.width,
                model.version,
                factors=body.weights[some],
                shift=start if shifted else np.float32(0),
            )
            total = _added(total, _leaves(trees, flow, shop), shop)
        margins.append(total)
    return margins


def _leaves(trees: Trees, flow: Flow, shop: Workshop) -> str:
    """The leaf of each tree that a row reaches: float32 (n, trees)."""
    flow = _whole_codes(flow, np.unique(trees.feature[list(trees.categories)]), shop)
    leaves = ensemble.written(trees, flow, shop, rounded=False, mean=False, apart=True)
    return shop.graph.cast(leaves, FLOAT)


def _constant(value: np.float32, flow: Flow, shop: Workshop) -> str:
    """A float32 column of one number, as long as the rows."""
    graph, number = shop.graph, shop.graph.constant(np.array([value]))
    return graph.add("Where", graph.add("IsNaN", graph.picked(flow.codes, [0])), number, number)


def _added(total: str, terms: str, shop: Workshop) -> str:
    """The total (n, 1) and the terms (n, k), added one after the other in float32.

    In double the sum would be truer, and up to 1e-5 from the one that the library answers with.
    """
    graph = shop.graph
    both = graph.add("Concat", total, terms, axis=1)
    sums = graph.add("CumSum", both, graph.constant(np.array(1)))
    return graph.picked(sums, [-1])


def _whole_codes(flow: Flow, places: np.ndarray, shop: Workshop) -> Flow:
    """The flow with -1 for every number below 0 in columns of categories: none of them.

    The trees would cut -0.5 off to 0, which is one.
    """
    if not places.size:
        return flow
    graph = shop.graph
    category = np.isin(np.arange(flow.width), places)
    zero, none = graph.constant(np.zeros(1)), graph.constant(np.array([-1.0]))
    below = graph.add("And", graph.add("Less", flow.tensor, zero), graph.constant(category[None]))
    return replace(flow, codes=graph.add("Where", below, none, flow.tensor))


def _linear(model: Booster, weights: np.ndarray, flow: Flow, shop: Workshop) -> list[str]:
    """The margin of each class, or of the second alone: float32 (n, 1)."""
    graph = shop.graph
    rows = graph.cast(flow.tensor, FLOAT)
    known = graph.add("Not", graph.add("IsNaN", rows))
    shop.count("parameters", weights.size)
    margins = []
    for column in weights.T:
        terms = graph.add("Mul", rows, graph.constant(column[None, :-1]))
        terms = graph.add("Where", known, terms, graph.constant(np.zeros(1, np.float32)))
        # Every class gets the base score of the first.
        start = _constant(column[-1] + model.margins[0], flow, shop)
        margins.append(_added(start, terms, shop))
    return margins


CLASSIFIERS = {
    ("xgboost.sklearn", "XGBClassifier"): classifier,
    ("xgboost.sklearn", "XGBRFClassifier"): classifier,
    (_BOOSTER.module, _BOOSTER.name): bare,
}
TRAINING_ONLY = {
    (module, name): ("eval_metric",) for module, name in CLASSIFIERS if module == "xgboost.sklearn"
}
# What early stopping and watching leave behind in a wrapper; none of it is asked when predicting.
HELPERS = frozenset(
    ("xgboost.callback", name)
    for name in ("EarlyStopping", "EvaluationMonitor", "TrainingCheckPoint")
)

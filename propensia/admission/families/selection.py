"""Feature selection: which columns are kept, worked out again from what was fitted.

Nothing is scored here: scores, weights and trees come out of the file.

Conventions of scikit-learn (``_get_support_mask`` of each class in ``sklearn/feature_selection``):
of equal scores ``SelectKBest`` keeps the last columns, ``SelectPercentile`` the first; a score
that is NaN is the lowest; ``SelectFromModel`` keeps what is not below its threshold, 1e-5 after
an l1 penalty and the mean otherwise.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from propensia.admission.families.attributes import (
    bad_weights,
    finite,
    fitted,
    short_name,
    version_of,
    word,
)
from propensia.admission.families.importances import importances
from propensia.admission.families.parts import Flow, Workshop, check_complete
from propensia.admission.nodes import Node
from propensia.admission.refusal import Refusal

_AFTER_L1 = 1e-5
# Since then the l1 ratio of a logistic regression counts as a penalty too.
_RATIO_SINCE = (1, 8)

Support = Callable[[Node, int], np.ndarray]


def selected(support: Support, missing: bool) -> Callable[[Node, Flow, Workshop], Flow]:
    """The transformer that keeps the columns which ``support`` says of a node and a width.

    ``missing``: whether the library lets values be missing.
    """

    def transform(node: Node, flow: Flow, shop: Workshop) -> Flow:
        if not missing:
            check_complete(short_name(node), flow.columns)
        places = [int(place) for place in np.flatnonzero(support(node, flow.width))]
        if not places:
            raise Refusal(
                "columnas_distintas",
                f"{short_name(node)} no deja ninguna columna",
                f"{short_name(node)} leaves no column",
            )
        return replace(shop.picked(flow, places), label=short_name(node))

    return transform


def _variance(node: Node, width: int) -> np.ndarray:
    return _scores(node, "variances_", width) > _number(node, "threshold")


def _best(node: Node, width: int) -> np.ndarray:
    return _k_best(node, width, "k")


def _percentile(node: Node, width: int) -> np.ndarray:
    return _by_percentile(node, width, "percentile")


def _false_positive(node: Node, width: int) -> np.ndarray:
    return _below(node, width, "alpha")


def _false_discovery(node: Node, width: int) -> np.ndarray:
    return _benjamini_hochberg(node, width, "alpha")


def _family_wise(node: Node, width: int) -> np.ndarray:
    return _below(node, width, "alpha", width)


def _generic(node: Node, width: int) -> np.ndarray:
    mode = word(node, "mode")
    if mode == "k_best":
        return _k_best(node, width, "param")
    if mode == "percentile":
        return _by_percentile(node, width, "param")
    if mode == "fdr":
        return _benjamini_hochberg(node, width, "param")
    if mode not in ("fpr", "fwe"):
        raise bad_weights(node, "mode")
    return _below(node, width, "param", width if mode == "fwe" else 1)


def _stored(node: Node, width: int) -> np.ndarray:
    support = fitted(node, "support_")
    known = isinstance(support, np.ndarray) and support.dtype.kind == "b"
    if not known or not isinstance(support, np.ndarray) or support.shape != (width,):
        raise bad_weights(node, "support_")
    return support


def _k_best(node: Node, width: int, attribute: str) -> np.ndarray:
    k = node.attributes().get(attribute)
    if isinstance(k, str) and k == "all":
        return np.ones(width, dtype=bool)
    if isinstance(k, float) and k.is_integer():
        k = int(k)
    if isinstance(k, bool) or not isinstance(k, int) or k < 0:
        raise bad_weights(node, attribute)
    mask = np.zeros(width, dtype=bool)
    if k:
        order = np.argsort(_cleaned(node, width), kind="stable")
        mask[order[-k:]] = True
    return mask


def _by_percentile(node: Node, width: int, attribute: str) -> np.ndarray:
    percentile = _number(node, attribute)
    if not 0 <= percentile <= 100:
        raise bad_weights(node, attribute)
    if percentile in (0, 100):
        return np.full(width, percentile == 100)
    scores = _cleaned(node, width)
    with np.errstate(over="ignore", invalid="ignore"):
        threshold = np.percentile(scores, 100 - percentile)
    mask = np.asarray(scores > threshold)
    ties = np.flatnonzero(scores == threshold)
    mask[ties[: int(width * percentile / 100) - int(mask.sum())]] = True
    return mask


def _below(node: Node, width: int, attribute: str, tests: int = 1) -> np.ndarray:
    return _scores(node, "pvalues_", width) < _number(node, attribute) / tests


def _benjamini_hochberg(node: Node, width: int, attribute: str) -> np.ndarray:
    values = _scores(node, "pvalues_", width)
    ordered = np.sort(values)
    passed = ordered[ordered <= _number(node, attribute) / width * np.arange(1, width + 1)]
    return values <= passed.max() if passed.size else np.zeros(width, dtype=bool)


def _from_model(node: Node, width: int) -> np.ndarray:
    kept = node.attributes()
    estimator = kept.get("estimator_", kept.get("estimator"))
    if not isinstance(estimator, Node):
        raise bad_weights(node, "estimator_")
    if word(node, "importance_getter") not in ("auto", "coef_", "feature_importances_", ""):
        raise Refusal("familia_desconocida", f"{short_name(node)}.importance_getter")
    if not isinstance(kept.get("importance_getter", "auto"), str):
        raise Refusal("familia_desconocida", f"{short_name(node)}.importance_getter")
    scores = importances(estimator, width, _norm(node))
    mask = np.ones(width, dtype=bool)
    if kept.get("max_features") is not None:
        most = kept.get("max_features_", kept["max_features"])
        if isinstance(most, bool) or not isinstance(most, int) or most < 0:
            raise bad_weights(node, "max_features")
        mask[:] = False
        mask[np.argsort(-scores, kind="stable")[:most]] = True
    mask[scores < _threshold(node, estimator, scores)] = False
    return mask


def _threshold(node: Node, estimator: Node, scores: np.ndarray) -> float:
    told = node.attributes().get("threshold")
    if told is None:
        return _AFTER_L1 if _is_l1(estimator) else float(np.mean(scores))
    if isinstance(told, float) and np.isinf(told):
        return told  # all columns, or none: only their number is limited
    if not isinstance(told, str):
        return _number(node, "threshold")
    scale, _, name = told.rpartition("*")
    if name.strip() not in ("mean", "median") or len(scale) > 40:
        raise bad_weights(node, "threshold")
    reference = float(np.mean(scores) if name.strip() == "mean" else np.median(scores))
    try:
        return float(scale) * reference if scale else reference
    except ValueError:
        raise bad_weights(node, "threshold") from None


def _is_l1(estimator: Node) -> bool:
    name = short_name(estimator)
    if word(estimator, "penalty") == "l1" or "Lasso" in name:
        return True
    ratio = {"ElasticNet": "l1_ratio", "ElasticNetCV": "l1_ratio_"}.get(name)
    version = version_of(estimator)
    if version is None or version >= _RATIO_SINCE:
        logistic = {"LogisticRegression": "l1_ratio", "LogisticRegressionCV": "l1_ratio_"}
        ratio = ratio or logistic.get(name)
    value = estimator.attributes().get(ratio) if ratio else None
    if not isinstance(value, int | float | np.ndarray):
        return False
    ratios = np.asarray(value)
    return ratios.dtype.kind in "fi" and bool(np.isclose(ratios, 1.0).all())


def _norm(node: Node) -> float:
    order = node.attributes().get("norm_order", 1)
    if isinstance(order, float) and np.isinf(order):
        return order
    number = finite(node, "norm_order", order)
    if abs(number) < 1:
        raise bad_weights(node, "norm_order")
    return number


def _cleaned(node: Node, width: int) -> np.ndarray:
    scores = _scores(node, "scores_", width)
    return np.where(np.isnan(scores), np.finfo(np.float64).min, scores)


def _scores(node: Node, attribute: str, width: int) -> np.ndarray:
    """One number per column, which may be NaN: of a constant column, for example."""
    values = fitted(node, attribute)
    known = isinstance(values, np.ndarray) and values.dtype.kind in "fiu"
    if not known or not isinstance(values, np.ndarray) or values.shape != (width,):
        raise bad_weights(node, attribute)
    return values.astype(np.float64)


def _number(node: Node, attribute: str) -> float:
    return finite(node, attribute, node.attributes().get(attribute))


_UNIVARIATE = "sklearn.feature_selection._univariate_selection"
TRANSFORMERS = {
    ("sklearn.feature_selection._variance_threshold", "VarianceThreshold"): selected(
        _variance, True
    ),
    (_UNIVARIATE, "SelectKBest"): selected(_best, False),
    (_UNIVARIATE, "SelectPercentile"): selected(_percentile, False),
    (_UNIVARIATE, "SelectFpr"): selected(_false_positive, False),
    (_UNIVARIATE, "SelectFdr"): selected(_false_discovery, False),
    (_UNIVARIATE, "SelectFwe"): selected(_family_wise, False),
    (_UNIVARIATE, "GenericUnivariateSelect"): selected(_generic, False),
    ("sklearn.feature_selection._from_model", "SelectFromModel"): selected(_from_model, True),
    ("sklearn.feature_selection._rfe", "RFE"): selected(_stored, True),
    ("sklearn.feature_selection._rfe", "RFECV"): selected(_stored, True),
    ("sklearn.feature_selection._sequential", "SequentialFeatureSelector"): selected(
        _stored, True
    ),
}
_SCORES = "chi2 f_classif f_oneway f_regression r_regression"
# What gave the scores, which are in the file.
HELPERS = frozenset(
    {(_UNIVARIATE, name) for name in _SCORES.split()}
    | {
        ("sklearn.feature_selection._mutual_info", name)
        for name in ("mutual_info_classif", "mutual_info_regression")
    }
)
# Models that choose columns and never classify; their weights choose.
_LINEAR = "sklearn.linear_model"
PARTS = frozenset(
    {
        (f"{_LINEAR}._coordinate_descent", "ElasticNet"),
        (f"{_LINEAR}._coordinate_descent", "ElasticNetCV"),
        (f"{_LINEAR}._coordinate_descent", "Lasso"),
        (f"{_LINEAR}._coordinate_descent", "LassoCV"),
        (f"{_LINEAR}._base", "LinearRegression"),
        (f"{_LINEAR}._ridge", "Ridge"),
        ("sklearn.svm._classes", "LinearSVC"),
    }
)

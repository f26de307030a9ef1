"""Real estimators of families that nothing here compiles, from an exact list of classes.

Nothing is unpickled: objects are built from what the inert reader read. No name outside the
table is ever imported, and it must only be used in a process that is confined and ends soon.
"""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np

from propensia.admission.families import INSIDE
from propensia.admission.families.attributes import Pair, maker, pair_of, short_name, version_of
from propensia.admission.families.remembered import NAMES as REMEMBERED
from propensia.admission.nodes import Global, Node, walk
from propensia.admission.parity.asked import installed, minor
from propensia.admission.refusal import Refusal, shown

# The classes that are built, by module: classifiers, steps before them, and their parts.
_CLASSES = {
    "sklearn.calibration": "CalibratedClassifierCV _CalibratedClassifier _SigmoidCalibration",
    "sklearn.decomposition._incremental_pca": "IncrementalPCA",
    "sklearn.decomposition._pca": "PCA",
    "sklearn.decomposition._truncated_svd": "TruncatedSVD",
    "sklearn.discriminant_analysis": "QuadraticDiscriminantAnalysis",
    "sklearn.ensemble._bagging": "BaggingClassifier",
    "sklearn.ensemble._voting": "VotingClassifier",
    "sklearn.feature_selection._univariate_selection": "SelectKBest SelectPercentile",
    "sklearn.feature_selection._variance_threshold": "VarianceThreshold",
    "sklearn.impute._base": "SimpleImputer",
    "sklearn.linear_model._logistic": "LogisticRegression LogisticRegressionCV",
    "sklearn.linear_model._stochastic_gradient": "SGDClassifier",
    "sklearn.naive_bayes": "BernoulliNB CategoricalNB ComplementNB GaussianNB MultinomialNB",
    "sklearn.neighbors._classification": "KNeighborsClassifier RadiusNeighborsClassifier",
    "sklearn.neighbors._nca": "NeighborhoodComponentsAnalysis",
    "sklearn.pipeline": "FeatureUnion Pipeline",
    "sklearn.preprocessing._data": """Binarizer MaxAbsScaler MinMaxScaler Normalizer
        PowerTransformer RobustScaler StandardScaler""",
    "sklearn.preprocessing._discretization": "KBinsDiscretizer",
    "sklearn.preprocessing._encoders": "OneHotEncoder OrdinalEncoder",
    "sklearn.preprocessing._label": "LabelBinarizer LabelEncoder",
    "sklearn.preprocessing._polynomial": "PolynomialFeatures",
    "sklearn.random_projection": "GaussianRandomProjection",
    "sklearn.svm._classes": "NuSVC SVC",
}
# What good files hold besides: left out, for no answer depends on it, or it is made anew.
_LEFT_OUT = {
    "sklearn._loss._loss": "CyHalfBinomialLoss",
    "sklearn.feature_selection._univariate_selection": "chi2 f_classif",
    "sklearn.linear_model._sgd_fast": "Hinge Log ModifiedHuber SquaredHinge",
    "sklearn.metrics._dist_metrics": """ChebyshevDistance ChebyshevDistance64 EuclideanDistance
        EuclideanDistance64 ManhattanDistance ManhattanDistance64 MinkowskiDistance
        MinkowskiDistance64 newObj""",
    "sklearn.neighbors._ball_tree": "BallTree BallTree64 newObj",
    "sklearn.neighbors._kd_tree": "KDTree KDTree64 newObj",
    "sklearn.utils._bunch": "Bunch",
}
_NUMBER_TYPES = {"float64", "float32", "int64", "int32", "uint8", "bool"}
# Names would only be in the way of rows that come as arrays; threads and caches are not wanted.
_WITHOUT = {"feature_names_in_", "_sklearn_output_config", "_sklearn_version"}
_REPLACED: dict[str, object] = {"n_jobs": None, "verbose": 0, "memory": None}
_DEEPEST = 30
_TREES = {
    "kd_tree": ("sklearn.neighbors._kd_tree", "KDTree"),
    "ball_tree": ("sklearn.neighbors._ball_tree", "BallTree"),
}


def _pairs(table: dict[str, str]) -> frozenset[Pair]:
    return frozenset((module, name) for module in table for name in table[module].split())


CLASSES = _pairs(_CLASSES)
NUMBERS = frozenset(("numpy", name) for name in _NUMBER_TYPES)
NAMES = CLASSES | _pairs(_LEFT_OUT) | NUMBERS | REMEMBERED | frozenset(INSIDE)


def check_names(root: object) -> None:
    """Refuses a file that mentions any name outside the list (``familia_desconocida``)."""
    for value in walk(root):
        if isinstance(value, Global) and (value.module, value.name) not in NAMES:
            raise Refusal("familia_desconocida", f"`{shown(str(value))}`")


def load(root: object) -> Any:
    """The real estimator that nodes describe.

    Raises ``Refusal`` for another class, another version of scikit-learn than the installed one,
    and what no pickled estimator looks like. Whatever scikit-learn itself raises comes through.
    """
    return _Builder().estimator(root)


class _Builder:
    """Builds the objects of one file, each shared one once."""

    def __init__(self) -> None:
        self._made: dict[int, Any] = {}
        self._open: set[int] = set()

    def estimator(self, node: object) -> Any:
        name = maker(node)
        if not isinstance(node, Node) or name is None:
            raise Refusal("no_es_un_modelo", type(node).__name__)
        if (name.module, name.name) not in CLASSES:
            raise Refusal("familia_desconocida", f"`{shown(str(name))}`")
        return self.value(node)

    def value(self, value: object) -> Any:
        """Plain data as they are, arrays as copies, known objects built, and nothing else."""
        if isinstance(value, np.ndarray):
            return value.copy()  # the reader's are read-only
        if isinstance(value, Global):
            # By exact name, from a list of plain number types.
            known = value.module == "numpy" and value.name in _NUMBER_TYPES
            return getattr(np, value.name) if known else None
        if not isinstance(value, Node | list | tuple | dict | set | frozenset):
            return value
        if id(value) not in self._made:
            if id(value) in self._open or len(self._open) > _DEEPEST:
                raise Refusal("no_es_un_modelo", "anidado sin fin", "nested without end")
            self._open.add(id(value))
            self._made[id(value)] = self._built(value)
            self._open.discard(id(value))
        return self._made[id(value)]

    def _built(self, value: Any) -> Any:
        if isinstance(value, Node):
            return self._node(value)
        if isinstance(value, dict):
            return {self.value(key): self.value(item) for key, item in value.items()}
        return type(value)(self.value(item) for item in value)

    def _node(self, node: Node) -> Any:
        pair = pair_of(node)
        if pair == ("numpy", "ndarray"):
            return self._objects(node)
        if pair not in CLASSES:
            return None
        if node.args or node.items or node.entries or not isinstance(node.state, dict):
            raise Refusal("no_es_un_modelo", shown(short_name(node)))
        _check_version(node)
        given = {
            key: _REPLACED[key] if key in _REPLACED else self.value(item)
            for key, item in node.attributes().items()
            if key not in _WITHOUT
        }
        return _made(pair, given)

    def _objects(self, node: Node) -> np.ndarray:
        (shape,) = node.args
        array = np.empty(len(node.items), dtype=object)
        array[:] = [self.value(item) for item in node.items]
        return array.reshape(shape)  # type: ignore[call-overload, no-any-return]


def _made(pair: Pair, attributes: dict[str, Any]) -> Any:
    cls = _imported(pair)
    hidden = [name for name in attributes if callable(getattr(cls, name, None))]
    if hidden:  # an attribute in place of a method
        raise Refusal("contenido_no_permitido", f"`{shown(f'{pair[1]}.{hidden[0]}')}`")
    made = cls.__new__(cls)
    vars(made).update(attributes)
    method = attributes.get("_fit_method")
    if method in _TREES:  # made anew of its rows: the file's own goes to native code unchecked
        metric, more = made.effective_metric_, made.effective_metric_params_ or {}
        tree = _imported(_TREES[method])
        made._tree = tree(made._fit_X, made.leaf_size, metric=metric, **more)
    return made


def _imported(pair: Pair) -> Any:
    return getattr(importlib.import_module(pair[0]), pair[1])


def _check_version(node: Node) -> None:
    """Only what the installed scikit-learn wrote has the attributes that it expects."""
    told, here = version_of(node), installed("scikit-learn")
    if told is not None and told != minor(here):
        written = ".".join(map(str, told))
        raise Refusal(
            "familia_desconocida",
            f"{short_name(node)} de scikit-learn {written} (aquí está la {here})",
            f"{short_name(node)} of scikit-learn {written} (here it is {here})",
        )

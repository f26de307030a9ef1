"""Linear classifiers: one matrix product, and the link that each of them puts behind it.

It never solves or fits anything.

Conventions of scikit-learn, all in double, also where the weights are float32:

- the decision of two classes is ``x · coef + intercept`` (``sklearn/linear_model/_base.py``);
- logistic regression and linear discriminant analysis answer with its logistic function; up to
  1.7, ``multi_class="multinomial"`` answers with the softmax of (-d, d), which is the logistic
  function of 2 d (``sklearn/linear_model/_logistic.py``, ``sklearn/discriminant_analysis.py``);
- stochastic gradient descent does so for ``log_loss`` (``log`` up to 1.2), and for
  ``modified_huber`` answers with (clip(d, -1, 1) + 1) / 2; for any other loss it only decides
  (``sklearn/linear_model/_stochastic_gradient.py``), as the rest of these classes always do.
"""

from __future__ import annotations

import numpy as np

from propensia.admission.families.attributes import (
    Pair,
    bad_weights,
    binary_classes,
    fitted,
    numbers,
    pair_of,
    short_name,
    word,
)
from propensia.admission.families.parts import (
    MOST_COLUMNS,
    Chance,
    Classify,
    Flow,
    Workshop,
    check_complete,
    check_width,
)
from propensia.admission.nodes import Node

# What ``sparsify`` makes of the weights, by where versions of scipy keep it.
SPARSE = frozenset({("scipy.sparse._csr", "csr_matrix"), ("scipy.sparse.csr", "csr_matrix")})
_SPARSE_ARRAYS = ("indptr", "indices", "data")


def logistic(node: Node, flow: Flow, shop: Workshop) -> Chance:
    """A logistic regression or a linear discriminant analysis of two classes."""
    decided = decides(node, flow, shop)
    assert decided.decision is not None
    link = decided.decision
    if word(node, "multi_class") == "multinomial":
        link = shop.graph.add("Add", link, link)
    return Chance(
        shop.graph.add("Sigmoid", link), decided.classes, decided.label, decided.decision
    )


def gradient_descent(node: Node, flow: Flow, shop: Workshop) -> Chance:
    """Stochastic gradient descent: the loss that it was trained on chooses the link."""
    loss = word(node, "loss")
    if loss in ("log_loss", "log"):
        return logistic(node, flow, shop)
    decided = decides(node, flow, shop)
    if loss != "modified_huber":
        return decided
    assert decided.decision is not None
    graph = shop.graph
    ends = [graph.constant(np.array(end)) for end in (-1.0, 1.0)]
    cut = graph.add("Clip", decided.decision, *ends)
    share = graph.add("Div", graph.add("Add", cut, ends[1]), graph.constant(np.array(2.0)))
    return Chance(share, decided.classes, decided.label, decided.decision)


def decides(node: Node, flow: Flow, shop: Workshop) -> Chance:
    """A linear classifier that has a decision and no probability."""
    classes = binary_classes(node)
    weights = _weights(node, flow.width)
    check_complete(short_name(node), flow.columns)
    # An array of one number, or the number itself where no intercept was fitted.
    listed = isinstance(node.attributes().get("intercept_"), np.ndarray)
    bias = numbers(node, "intercept_", (1,) if listed else ())
    graph = shop.graph
    product = graph.add("MatMul", flow.tensor, graph.constant(weights.T))
    decision = graph.add("Add", product, graph.constant(bias.reshape(1)))
    shop.count("parameters", weights.size + 1)
    return Chance(None, classes, short_name(node), decision)


def ridge(node: Node, flow: Flow, shop: Workshop) -> Chance:
    """A ridge classifier, which keeps its classes in the encoder of its labels."""
    encoder = fitted(node, "_label_binarizer")
    if not isinstance(encoder, Node):
        raise bad_weights(node, "_label_binarizer")
    state = {**node.attributes(), "classes_": fitted(encoder, "classes_")}
    return decides(Node(node.made_by, state=state), flow, shop)


def dense(value: Node) -> np.ndarray:
    """The one row that a sparse matrix of weights holds, (1, k) double; else a refusal."""
    state = value.attributes()
    shape, arrays = state.get("_shape"), [state.get(name) for name in _SPARSE_ARRAYS]
    if not isinstance(shape, tuple) or not all(isinstance(side, int) for side in shape):
        raise bad_weights(value, "shape")
    ends, places, given = (
        item if isinstance(item, np.ndarray) else np.empty((0, 0)) for item in arrays
    )
    sound = (
        len(shape) == 2
        and shape[0] == 1
        and 0 < shape[1] <= MOST_COLUMNS
        and (ends.dtype.kind, places.dtype.kind, given.dtype.kind) == ("i", "i", "f")
        and (ends.shape, places.shape) == ((2,), given.shape)
        and ends.tolist() == [0, given.size]
        and given.ndim == 1
        and bool(((places >= 0) & (places < shape[1])).all())
        and len(np.unique(places)) == given.size
    )
    if not sound:
        raise bad_weights(value, "indices")
    row = np.zeros((1, shape[1]))
    row[0, places] = given
    return row


def _weights(node: Node, width: int) -> np.ndarray:
    """The weights of a decision of two classes, (1, ``width``) double."""
    given = fitted(node, "coef_")
    if isinstance(given, Node) and pair_of(given) in SPARSE:
        given = dense(given)
    # Ridge keeps one row as such since 1.6.
    if not isinstance(given, np.ndarray) or given.ndim not in (1, 2):
        raise bad_weights(node, "coef_")
    check_width(short_name(node), given.shape[-1], width)
    row = Node(node.made_by, state={"coef_": given})
    return numbers(row, "coef_", (width,) if given.ndim == 1 else (1, width)).reshape(1, width)


_BY_NAME: dict[str, tuple[Classify, str]] = {
    "LogisticRegression": (logistic, "_logistic logistic"),
    "LogisticRegressionCV": (logistic, "_logistic logistic"),
    "SGDClassifier": (gradient_descent, "_stochastic_gradient stochastic_gradient"),
    "Perceptron": (decides, "_perceptron perceptron"),
    "PassiveAggressiveClassifier": (decides, "_passive_aggressive passive_aggressive"),
    "RidgeClassifier": (ridge, "_ridge ridge"),
    "RidgeClassifierCV": (ridge, "_ridge ridge"),
}
CLASSIFIERS: dict[Pair, Classify] = {
    **{
        (f"sklearn.linear_model.{module}", name): classify
        for name, (classify, modules) in _BY_NAME.items()
        for module in modules.split()
    },
    ("sklearn.svm._classes", "LinearSVC"): decides,
    ("sklearn.svm.classes", "LinearSVC"): decides,
    ("sklearn.discriminant_analysis", "LinearDiscriminantAnalysis"): logistic,
}
TRAINING_ONLY = {("sklearn.linear_model._logistic", "LogisticRegressionCV"): ("scoring",)}
PARTS = frozenset(
    {
        ("sklearn.preprocessing._label", "LabelBinarizer"),
        ("sklearn.preprocessing.label", "LabelBinarizer"),
    }
)
HELPERS = SPARSE

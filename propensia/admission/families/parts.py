"""What every family shares: the workshop that joins pieces, and strict access to attributes.

Nothing here knows a particular estimator, and nothing looks a name up outside the given tables.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from propensia.admission.graph import INPUT, Graph
from propensia.admission.nodes import Global, Node
from propensia.admission.refusal import Refusal, shown

Pair: TypeAlias = tuple[str, str]

# A good model is made of few estimators; a file may repeat one of them without end.
_MOST_PARTS = 256
_DEEPEST = 20
_NAMES_SHOWN = 20
_MOST_TEXTS = 10_000


@dataclass(frozen=True, slots=True)
class Flow:
    """Rows inside the graph: a double tensor (n, ``width``).

    ``names`` are the columns while they are still those of the contract, else ``None``;
    ``label`` says what made the flow, for the report.
    """

    tensor: str
    width: int
    names: tuple[str, ...] | None = None
    label: str = ""


@dataclass(frozen=True, slots=True)
class Chance:
    """The probability of the *second* class: a double tensor (n, 1).

    ``classes`` are both labels as text, in the order of the file; ``None`` when the library
    stores none (a network), where the second class is the positive one by convention.
    """

    tensor: str
    classes: tuple[str, str] | None
    label: str


class Workshop:
    """One compilation: the graph under construction and what was learnt on the way.

    ``may_be_missing``: whether the rows may hold NaN.
    """

    def __init__(
        self,
        columns: tuple[str, ...],
        classifiers: Mapping[Pair, Callable[[Node, Flow, Workshop], Chance]],
        transformers: Mapping[Pair, Callable[[Node, Flow, Workshop], Flow]],
        may_be_missing: bool = False,
    ) -> None:
        self.may_be_missing = may_be_missing
        self.graph = Graph(len(columns))
        self.rows = Flow(INPUT, len(columns), columns)
        self.order = tuple(range(len(columns)))
        self.named = False
        self.libraries: dict[str, str] = {}
        self.facts: dict[str, object] = {}
        self._classifiers = classifiers
        self._transformers = transformers
        self._parts = self._depth = 0

    def classifier(self, value: object, flow: Flow) -> Chance:
        """The chance that the classifier described by ``value`` gives to the rows of a flow."""
        node, pair = self._open(value)
        if pair not in self._classifiers:
            raise Refusal(
                "no_es_clasificador_binario",
                f"{pair[1]} no clasifica",
                f"{pair[1]} does not classify",
            )
        self._depth += 1
        chance = self._classifiers[pair](node, self._arranged(node, flow), self)
        self._depth -= 1
        return chance

    def transformer(self, value: object, flow: Flow) -> Flow:
        """The rows of a flow after the transformer described by ``value``."""
        node, pair = self._open(value)
        if pair not in self._transformers:
            raise Refusal(
                "familia_desconocida", f"{pair[1]} (no transforma)", f"{pair[1]} (no transformer)"
            )
        return self._transformers[pair](node, self._arranged(node, flow), self)

    def count(self, fact: str, number: int) -> None:
        """Adds to a number of the report."""
        before = self.facts.get(fact, 0)
        self.facts[fact] = number + (before if isinstance(before, int) else 0)

    def _open(self, value: object) -> tuple[Node, Pair]:
        self._parts += 1
        if self._parts > _MOST_PARTS or self._depth > _DEEPEST:
            raise Refusal(
                "familia_desconocida",
                f"un modelo de más de {_MOST_PARTS} partes o {_DEEPEST} niveles",
                f"a model of more than {_MOST_PARTS} parts or {_DEEPEST} levels",
            )
        name = maker(value)
        if not isinstance(value, Node) or name is None:
            kind = type(value).__name__
            raise Refusal(
                "no_es_un_modelo",
                f"contiene un objeto {kind} donde se espera un estimador",
                f"it holds a {kind} where an estimator is expected",
            )
        version = value.attributes().get("_sklearn_version")
        if isinstance(version, str):
            self.libraries.setdefault("scikit-learn", shown(version))
        return value, (name.module, name.name)

    def _arranged(self, node: Node, flow: Flow) -> Flow:
        """The flow with its columns as the estimator was trained on them."""
        names = node.attributes().get("feature_names_in_")
        if names is not None and flow.names is not None:
            flow = self._reordered(flow, flow.names, texts(node, "feature_names_in_"))
        width = node.attributes().get("n_features_in_")
        if width is not None:
            check_width(short_name(node), whole(node, "n_features_in_"), flow)
        return flow

    def _reordered(self, flow: Flow, given: tuple[str, ...], wanted: tuple[str, ...]) -> Flow:
        self.named = True
        if wanted == given:
            return flow
        if sorted(wanted) != sorted(given):
            raise _different_columns(given, wanted)
        places = [given.index(name) for name in wanted]
        self.order = tuple(self.order[place] for place in places)
        index = self.graph.constant(np.array(places, np.int64))
        tensor = self.graph.add("Gather", flow.tensor, index, axis=1)
        return Flow(tensor, flow.width, wanted, flow.label)


def maker(value: object) -> Global | None:
    """The name that made a node; ``getattr(Class, "method")`` reads as ``Class.method``.

    So the one shape in which Keras pickles its loader, and the bound methods inside scipy's
    distributions, are names like any other, to be found in an exact list or not at all.
    """
    if not isinstance(value, Node):
        return None
    if isinstance(value.made_by, Global):
        return value.made_by
    return attribute_of(value.made_by)


def attribute_of(node: Node) -> Global | None:
    """``Class.method`` for a node that is ``getattr(Class or object, "method")``, else None."""
    if node.made_by != Global("builtins", "getattr") or len(node.args) != 2:
        return None
    owner, attribute = node.args
    if isinstance(owner, Node):
        owner = owner.made_by
    if not isinstance(owner, Global) or not isinstance(attribute, str):
        return None
    return Global(owner.module, f"{owner.name}.{attribute}")


def fitted(node: Node, attribute: str) -> object:
    """An attribute that only a fitted estimator has; ``no_entrenado`` without it."""
    value = node.attributes().get(attribute)
    if value is None:
        raise Refusal(
            "no_entrenado",
            f"{short_name(node)} sin {attribute}",
            f"{short_name(node)} without {attribute}",
        )
    return value


def numbers(node: Node, attribute: str, shape: tuple[int, ...]) -> np.ndarray:
    """A fitted array of finite numbers as double, of that shape; else ``pesos_imposibles``."""
    value = fitted(node, attribute)
    if not isinstance(value, np.ndarray | np.number | int | float):
        raise bad_weights(node, attribute)
    array = np.asarray(value)
    if array.dtype.kind not in "fiub" or array.shape != shape:
        raise bad_weights(node, attribute)
    array = array.astype(np.float64)
    if not np.isfinite(array).all():
        raise bad_weights(node, attribute)
    return array


def bad_weights(node: Node, attribute: str) -> Refusal:
    """The refusal of numbers that no fitting leaves behind."""
    return Refusal(
        "pesos_imposibles",
        f"{attribute} de {short_name(node)}",
        f"{attribute} of {short_name(node)}",
    )


def whole(node: Node, attribute: str) -> int:
    """A fitted whole number, of a size that can be written out."""
    value = fitted(node, attribute)
    if isinstance(value, np.ndarray) and value.size == 1:
        value = value.reshape(-1)[0]
    if isinstance(value, bool) or not isinstance(value, int | np.integer):
        raise bad_weights(node, attribute)
    if abs(int(value)) >= 1 << 63:
        raise bad_weights(node, attribute)
    return int(value)


def flag(node: Node, attribute: str, default: bool) -> bool:
    """A yes-or-no setting of an estimator."""
    value = node.attributes().get(attribute, default)
    if not isinstance(value, bool | np.bool_):
        raise bad_weights(node, attribute)
    return bool(value)


def texts(node: Node, attribute: str) -> tuple[str, ...]:
    """A fitted list of labels, each as text: 1 and 1.0 are both ``"1"``."""
    value = fitted(node, attribute)
    if isinstance(value, np.ndarray) and value.size <= _MOST_TEXTS:
        value = value.tolist()
    if not isinstance(value, list | tuple) or len(value) > _MOST_TEXTS:
        raise bad_weights(node, attribute)
    return tuple(_text(item) for item in value)


def binary_classes(node: Node) -> tuple[str, str]:
    """The two labels of a classifier with one output, in its own order."""
    labels = texts(node, "classes_")
    if len(labels) != 2:
        raise Refusal(
            "no_es_clasificador_binario",
            f"{short_name(node)} tiene {len(labels)} clases",
            f"{short_name(node)} has {len(labels)} classes",
        )
    return labels[0], labels[1]


def check_width(label: str, width: int, flow: Flow) -> None:
    """Refuses an estimator that was trained on another number of columns than it gets."""
    if width != flow.width:
        raise Refusal(
            "columnas_distintas",
            f"{label} espera {width} columnas y recibe {flow.width}",
            f"{label} expects {width} columns and gets {flow.width}",
        )


def version_of(node: Node) -> tuple[int, int] | None:
    """Major and minor scikit-learn version that wrote an estimator, when the file says so."""
    told = node.attributes().get("_sklearn_version")
    found = re.match(r"(\d{1,4})\.(\d{1,4})", told) if isinstance(told, str) else None
    return (int(found[1]), int(found[2])) if found else None


def short_name(node: Node) -> str:
    """The class alone, for labels."""
    return node.name.rpartition(".")[2]


def _text(value: object) -> str:
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    # Python refuses to write out a whole number of thousands of digits.
    small = isinstance(value, int) and abs(value) < 1 << 64
    return str(value) if small or isinstance(value, str | float) else type(value).__name__


def _different_columns(given: tuple[str, ...], wanted: tuple[str, ...]) -> Refusal:
    expected, found = set(given), set(wanted)
    missing = _listed([name for name in given if name not in found])
    surplus = _listed([name for name in wanted if name not in expected])
    if not missing and not surplus:
        surplus = _listed([name for name in given if wanted.count(name) > 1])
    spanish = [f"faltan {missing}"] * bool(missing) + [f"sobran {surplus}"] * bool(surplus)
    english = [f"missing {missing}"] * bool(missing) + [f"not expected {surplus}"] * bool(surplus)
    return Refusal("columnas_distintas", "; ".join(spanish), "; ".join(english))


def _listed(names: list[str]) -> str:
    more = f" … (+{len(names) - _NAMES_SHOWN})" if len(names) > _NAMES_SHOWN else ""
    return ", ".join(shown(name) for name in names[:_NAMES_SHOWN]) + more

"""What every family shares: flows of columns, chances, and the workshop that joins the pieces.

Nothing here knows a particular estimator, and nothing looks a name up outside the given tables.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np

from propensia.admission.families.attributes import Pair, pair_of, short_name, texts, whole
from propensia.admission.families.wording import different_columns, listed
from propensia.admission.graph import DOUBLE, INPUT, Graph
from propensia.admission.nodes import Node
from propensia.admission.refusal import Refusal, shown

# A good model is made of few estimators; a file may repeat one of them without end.
_MOST_PARTS = 4_096
_DEEPEST = 20
MOST_COLUMNS = 10_000
# scikit-learn, LightGBM, and a data frame made of an array.
_NUMBERED = re.compile(r"(?:x|Column_)?[0-9]{1,5}").fullmatch


@dataclass(frozen=True, slots=True)
class Column:
    """What is known of one column of a flow.

    ``name``: as a file may call it, empty once a transformer has made it; ``texts``: for a
    category, the text that each of its numbers 0, 1, … stands for, ``None`` for a number;
    ``missing``: whether it may be NaN; ``inexact``: whether its last digits may be others than
    the library's.
    """

    name: str = ""
    texts: tuple[str, ...] | None = None
    missing: bool = False
    inexact: bool = False


def plain(names: Sequence[str]) -> tuple[Column, ...]:
    """Columns of numbers that are always there."""
    return tuple(Column(name) for name in names)


@dataclass(frozen=True, slots=True)
class Flow:
    """Rows inside the graph: a double tensor (n, ``width``), whose columns are described.

    ``codes`` is the tensor whatever its columns hold; what computes with the numbers takes
    ``tensor`` instead, which refuses texts. ``label`` says what made the flow, for the report.
    ``sparse``: whether the library has a sparse matrix here, whose zeros are not stored;
    ``zeros``: whether that matrix may store some of them all the same.
    """

    codes: str
    columns: tuple[Column, ...]
    label: str = ""
    sparse: bool = False
    zeros: bool = False

    @property
    def width(self) -> int:
        """How many columns there are."""
        return len(self.columns)

    @property
    def tensor(self) -> str:
        """The tensor of a flow of numbers; refuses a column of texts that nothing has encoded."""
        for column in self.columns:
            if column.texts is not None:
                name = shown(column.name or "?")
                raise Refusal(
                    "valores_distintos",
                    f"la columna de texto {name} llega sin codificar a un paso que calcula",
                    f"the text column {name} reaches a step that computes without being encoded",
                )
        return self.codes

    @property
    def names(self) -> tuple[str, ...] | None:
        """The names of the columns while all have one."""
        names = tuple(column.name for column in self.columns)
        return names if all(names) else None

    @property
    def missing(self) -> bool:
        """Whether any value may be NaN."""
        return any(column.missing for column in self.columns)


@dataclass(frozen=True, slots=True)
class Chance:
    """What a classifier says of the *second* of its two classes: double tensors (n, 1).

    ``probability`` is ``None`` for one that only decides; ``decision`` is its decision function,
    ``None`` for one that has none (as its library defines it: wrappers ask for it first).
    ``classes`` are both labels as text, in the order of the file; ``None`` when the library
    stores none (a network), where the second class is the positive one by convention.
    ``threshold`` is the probability of the second class from which on the model itself says it,
    where the file holds one.
    """

    probability: str | None
    classes: tuple[str, str] | None
    label: str
    decision: str | None = None
    threshold: float | None = None

    @property
    def tensor(self) -> str:
        """The probabilities; refuses a classifier that gives none."""
        if self.probability is None:
            raise Refusal(
                "no_es_clasificador_binario",
                f"{self.label} no da probabilidades; envuélvalo en CalibratedClassifierCV",
                f"{self.label} gives no probabilities; wrap it in CalibratedClassifierCV",
            )
        return self.probability


Classify: TypeAlias = "Callable[[Node, Flow, Workshop], Chance]"
Transform: TypeAlias = "Callable[[Node, Flow, Workshop], Flow]"


class Workshop:
    """One compilation: the graph under construction and what was learnt on the way.

    ``rows`` are the rows that the graph begins with; ``order`` the places among them of the
    columns that the model was trained on, in its order; ``named`` whether the file named them;
    ``matched`` whether any part of the file has turned out to fit them.
    """

    def __init__(
        self,
        inputs: tuple[Column, ...],
        classifiers: Mapping[Pair, Classify],
        transformers: Mapping[Pair, Transform],
    ) -> None:
        self.graph = Graph(len(inputs))
        self.rows = Flow(INPUT, inputs)
        self.order = tuple(range(len(inputs)))
        self.named = self.matched = False
        self.libraries: dict[str, str] = {}
        self.facts: dict[str, object] = {}
        self.notes: list[str] = []
        self._classifiers = classifiers
        self._transformers = transformers
        self._parts = self._depth = 0
        self._unanswered: list[str] = []
        self._said: dict[tuple[int, Flow], Chance] = {}

    def classifier(self, value: object, flow: Flow) -> Chance:
        """What the classifier described by ``value`` says of the rows of a flow.

        The same one on the same flow is written once, however often a file repeats it.
        """
        node, pair = self._open(value)
        if pair not in self._classifiers:
            if pair not in self._transformers:  # a name that files hold without being the model
                raise Refusal("familia_desconocida", f"`{shown('.'.join(pair))}`")
            raise Refusal(
                "no_es_clasificador_binario",
                f"{pair[1]} no clasifica",
                f"{pair[1]} does not classify",
            )
        known = self._said.get((id(node), flow))
        if known is not None:
            return known
        self._depth += 1
        chance = self._classifiers[pair](node, self._arranged(node, flow), self)
        self._depth -= 1
        self._said[id(node), flow] = chance
        return chance if self._depth else self._without_unanswered(chance)

    def transformer(self, value: object, flow: Flow) -> Flow:
        """The rows of a flow after the transformer described by ``value``."""
        node, pair = self._open(value)
        if pair not in self._transformers:
            raise Refusal(
                "familia_desconocida", f"{pair[1]} (no transforma)", f"{pair[1]} (no transformer)"
            )
        self._depth += 1
        changed = self._transformers[pair](node, self._arranged(node, flow), self)
        self._depth -= 1
        if changed.width > MOST_COLUMNS:
            raise Refusal(
                "demasiado_grande", f"{changed.width} columnas", f"{changed.width} columns"
            )
        return changed

    def unanswered(self, rows: str) -> None:
        """Notes rows, bool (n, 1), for which the library itself would fail: they get NaN."""
        self._unanswered.append(rows)

    def second(self, chance: Chance) -> str:
        """Whether a classifier says the second class, as 0 or 1: double (n, 1).

        By its probability where it has one, as bags do whose mean decision says otherwise; of two
        equal shares the first class has it.
        """
        if chance.threshold is not None:
            line = self.graph.constant(np.array([chance.threshold]))
            second = self.graph.add("GreaterOrEqual", chance.tensor, line)
        elif chance.probability is None and chance.decision is not None:
            second = self.graph.add("Greater", chance.decision, self.graph.constant(np.zeros(1)))
        else:
            second = self.graph.add("Greater", chance.tensor, self.graph.constant(np.full(1, 0.5)))
        return self.graph.cast(second, DOUBLE)

    def heard(self, column: Column, learnt: Collection[str]) -> None:
        """Compares the texts of a column with those that a model learnt of it.

        Refuses where it learnt none of them, for then it was trained on other spellings; notes
        those that only one of the two knows.
        """
        texts = column.texts or ()
        known = [text for text in texts if text in learnt]
        name = shown(column.name or "?")
        if not known:
            spanish, english = listed(sorted(learnt)), listed(list(texts))
            raise Refusal(
                "valores_distintos",
                f"de {name} aprendió {spanish}, y el contrato da {english}",
                f"of {name} it learnt {spanish}, and the contract gives {english}",
            )
        unseen = listed([text for text in texts if text not in learnt])
        surplus = listed(sorted(set(learnt) - set(texts)))
        if unseen:
            self.notes.append(f"De {name} no vio {unseen} al entrenar.")
        if surplus:
            self.notes.append(f"De {name} aprendió {surplus}, que el contrato nunca da.")

    def classifies(self, value: object) -> bool:
        """Whether ``value`` describes a known classifier."""
        return pair_of(value) in self._classifiers

    def count(self, fact: str, number: int) -> None:
        """Adds to a number of the report."""
        before = self.facts.get(fact, 0)
        self.facts[fact] = number + (before if isinstance(before, int) else 0)

    def picked(self, flow: Flow, places: Sequence[int]) -> Flow:
        """The columns of a flow at these places, which must exist, in this order."""
        if list(places) == list(range(flow.width)):
            return flow
        columns = tuple(flow.columns[place] for place in places)
        return replace(flow, codes=self.graph.picked(flow.codes, places), columns=columns)

    def joined(self, flows: Sequence[Flow], label: str) -> Flow:
        """The columns of several flows beside each other."""
        columns = tuple(column for flow in flows for column in flow.columns)
        tensors = [flow.codes for flow in flows if flow.width]
        codes = tensors[0] if len(tensors) == 1 else self.graph.add("Concat", *tensors, axis=1)
        sparse, zeros = (any(flow.sparse for flow in flows), any(flow.zeros for flow in flows))
        return Flow(codes, columns, label, sparse, zeros)

    def _without_unanswered(self, chance: Chance) -> Chance:
        probability = chance.probability
        if probability is None:
            return chance
        for rows in self._unanswered:
            nothing = self.graph.constant(np.full(1, np.nan))
            probability = self.graph.add("Where", rows, nothing, probability)
        return replace(chance, probability=probability)

    def _open(self, value: object) -> tuple[Node, Pair]:
        self._parts += 1
        if self._parts > _MOST_PARTS or self._depth > _DEEPEST:
            raise Refusal(
                "familia_desconocida",
                f"un modelo de más de {_MOST_PARTS} partes o {_DEEPEST} niveles",
                f"a model of more than {_MOST_PARTS} parts or {_DEEPEST} levels",
            )
        pair = pair_of(value)
        if not isinstance(value, Node) or not pair[1]:
            kind = type(value).__name__
            raise Refusal(
                "no_es_un_modelo",
                f"contiene un objeto {kind} donde se espera un estimador",
                f"it holds a {kind} where an estimator is expected",
            )
        version = value.attributes().get("_sklearn_version")
        if isinstance(version, str):
            self.libraries.setdefault("scikit-learn", shown(version))
        return value, pair

    def _arranged(self, node: Node, flow: Flow) -> Flow:
        """The flow with its columns as the estimator was trained on them."""
        names = node.attributes().get("feature_names_in_")
        if names is not None and flow.names is not None:
            flow = self.reordered(flow, texts(node, "feature_names_in_"))
        width = node.attributes().get("n_features_in_")
        if width is not None:
            check_width(short_name(node), whole(node, "n_features_in_"), flow.width)
            self.matched = True
        return flow

    def reordered(self, flow: Flow, wanted: tuple[str, ...]) -> Flow:
        """The flow with its columns, which all have names, as an estimator was trained on them."""
        given = tuple(column.name for column in flow.columns)
        # Libraries number columns that have no name, and what stands behind takes that over.
        if wanted != given and len(wanted) == len(given) and all(map(_NUMBERED, wanted)):
            return flow
        if wanted != given:
            if sorted(wanted) != sorted(given):
                raise different_columns(given, wanted)
            places = [given.index(name) for name in wanted]
            if flow.codes == INPUT:
                self.order = tuple(places)
            flow = self.picked(flow, places)
        self.named = self.matched = True
        return flow


def renamed(flow: Flow, names: Sequence[str]) -> Flow:
    """The flow with other names for its columns."""
    columns = zip(flow.columns, names, strict=True)
    return replace(flow, columns=tuple(replace(column, name=name) for column, name in columns))


def check_width(label: str, trained: int, width: int) -> None:
    """Refuses an estimator that was trained on another number of columns than it gets."""
    if trained != width:
        raise Refusal(
            "columnas_distintas",
            f"{label} espera {trained} columnas y recibe {width}",
            f"{label} expects {trained} columns and gets {width}",
        )


def check_complete(label: str, columns: Sequence[Column]) -> None:
    """Refuses a column that may be missing, for a step that fails without a value."""
    for column in columns:
        if column.missing:
            name = shown(column.name or "una columna")
            raise Refusal(
                "valores_distintos",
                f"{name} puede faltar, y {label} no lo admite",
                f"{name} may be missing, and {label} refuses that",
            )

"""From the inert nodes of a model file to the ONNX graph that answers as its library would.

No name in the file is imported or called: what is not in the tables of ``families`` is refused.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from propensia.admission.families import CLASSIFIERS, HELPERS, TRAINING_ONLY, TRANSFORMERS
from propensia.admission.families.attributes import attribute_of
from propensia.admission.families.parts import MOST_COLUMNS, Chance, Column, Workshop, plain
from propensia.admission.nodes import Global, Node, children, walk
from propensia.admission.refusal import Refusal, shown

# Packages of models: a name of theirs that is not in the tables is a family not known here.
_LIBRARIES = {
    *("sklearn", "keras", "xgboost", "lightgbm", "imblearn", "catboost", "__main__"),
    *("category_encoders", "feature_engine", "mlxtend", "skorch", "statsmodels", "torch"),
}
_NO_CLASSIFIERS = {
    "LinearRegression",
    "Ridge",
    "Lasso",
    "ElasticNet",
    "SVR",
    "LinearSVR",
    "KMeans",
}


@dataclass(frozen=True, slots=True)
class Compiled:
    """A model as an ONNX graph: ``x`` double (n, inputs) to ``p`` double (n, 1).

    ``p`` is the probability of the positive class. ``inputs`` are the columns of ``x``; ``kind``
    is ``sklearn`` or ``keras``; ``libraries`` the versions that the file names; ``named_columns``
    whether it named its columns; ``order`` the input behind each of its columns; ``positive`` the
    place of the positive class among its two; ``threshold`` the probability of the positive class
    from which on the model itself says it, where it holds one; ``facts`` counts for the report
    (trees, nodes, depth, layers, parameters); ``notes`` sentences in Spanish about the values of
    the contract that the model knows in part.
    """

    onnx: bytes
    inputs: tuple[Column, ...]
    family: str
    kind: str
    libraries: dict[str, str]
    named_columns: bool
    order: tuple[int, ...]
    positive: int
    threshold: float | None
    facts: dict[str, object]
    notes: tuple[str, ...] = ()

    @property
    def width(self) -> int:
        """How many columns ``x`` has."""
        return len(self.inputs)


def compile_model(
    root: object,
    columns: tuple[str, ...],
    positive: frozenset[str],
    negative: frozenset[str],
    raw: tuple[Column, ...] = (),
) -> Compiled:
    """The ONNX graph of the binary classifier that a file describes.

    ``root`` is what the reader gave; ``columns`` the model columns of the contract in order,
    ``raw`` its values before they become columns: the graph begins with those of the two that
    the model was trained on. ``positive`` and ``negative`` are the spellings of the two class
    labels. Raises ``Refusal``.
    """
    _check_names(root)
    shop = Workshop(plain(columns), CLASSIFIERS, TRANSFORMERS)
    try:
        return _compiled(root, shop, positive, negative)
    except Refusal as refusal:
        if refusal.code != "columnas_distintas" or shop.matched or not raw:
            raise
        shop = Workshop(raw, CLASSIFIERS, TRANSFORMERS)
        try:
            return _compiled(root, shop, positive, negative)
        except Refusal as other:
            # The one that tells of the rows that the model was trained on, or nearly so.
            nearer = shop.matched or _nearer(root, columns, [column.name for column in raw])
            raise other if nearer else refusal from None


def compile_on(
    root: object, inputs: tuple[Column, ...], positive: frozenset[str], negative: frozenset[str]
) -> Compiled:
    """The ONNX graph of the classifier on rows of ``inputs``; raises ``Refusal``."""
    _check_names(root)
    return _compiled(root, Workshop(inputs, CLASSIFIERS, TRANSFORMERS), positive, negative)


def _compiled(
    root: object, shop: Workshop, positive: frozenset[str], negative: frozenset[str]
) -> Compiled:
    chance = shop.classifier(root, shop.rows)
    place = _place_of_positive(chance, positive, negative)
    tensor, threshold = chance.tensor, chance.threshold
    if place == 0:
        tensor = shop.graph.complement(tensor)
        if threshold is not None:  # at least that much of the other class is at most the rest
            threshold = math.nextafter(1 - threshold, 2)
    return Compiled(
        onnx=shop.graph.to_bytes(tensor),
        inputs=shop.rows.columns,
        family=chance.label,
        kind="keras" if "keras" in shop.libraries else "sklearn",
        libraries=dict(shop.libraries),
        named_columns=shop.named,
        order=shop.order,
        positive=place,
        threshold=threshold,
        facts=dict(shop.facts),
        notes=tuple(dict.fromkeys(shop.notes)),
    )


def allowed_globals() -> frozenset[tuple[str, str]]:
    """Every (module, name) that a file may mention; a method reads as ``Class.method``."""
    return frozenset(CLASSIFIERS) | frozenset(TRANSFORMERS) | HELPERS


def strangers(root: object) -> list[Global]:
    """The names in a value that no model of a known family mentions, from the outside in."""
    allowed = allowed_globals()
    return [name for name in _mentioned(root) if (name.module, name.name) not in allowed]


def _check_names(root: object) -> None:
    """Refuses a file that mentions a name outside the tables, the most suspicious name first."""
    unknown = strangers(root)
    if not unknown:
        return
    for name in unknown:
        if name.module.partition(".")[0] not in _LIBRARIES:
            raise Refusal("contenido_no_permitido", f"`{shown(str(name))}`")
    outermost = unknown[0]
    if outermost.name.endswith("Regressor") or outermost.name in _NO_CLASSIFIERS:
        raise Refusal("no_es_clasificador_binario", f"`{shown(str(outermost))}`")
    raise Refusal("familia_desconocida", f"`{shown(str(outermost))}`")


def _mentioned(root: object) -> Iterator[Global]:
    """Every name in a value, from the outside in; ``getattr(Class, "x")`` as ``Class.x``.

    But for a function of the analyst's own (``__main__``) that a listed attribute names, and that
    only training would call.
    """
    seen: set[int] = set()
    waiting = deque([root])
    while waiting:
        value = waiting.popleft()
        if isinstance(value, Global):
            yield value
        elif id(value) not in seen and isinstance(
            value, Node | dict | list | tuple | set | frozenset
        ):
            seen.add(id(value))
            if isinstance(value, Node):
                value = _without_own_functions(value)
            method = attribute_of(value) if isinstance(value, Node) else None
            if method is not None and isinstance(value, Node):
                yield method
                # Its owner still counts where it is an object, not a name, and so does what
                # stands behind the name that made it and its two arguments.
                waiting.extend(arg for arg in value.args if isinstance(arg, Node))
                waiting.extend(list(children(value))[1 + len(value.args) :])
            else:
                waiting.extend(children(value))


def _without_own_functions(node: Node) -> Node:
    maker = node.made_by
    pair = (maker.module, maker.name) if isinstance(maker, Global) else ("", "")
    given = node.attributes()
    functions = {name: given.get(name) for name in TRAINING_ONLY.get(pair, ())}
    own = [
        name
        for name, function in functions.items()
        if isinstance(function, Global) and function.module == "__main__"
    ]
    if not own or not isinstance(node.state, dict):
        return node
    kept = {name: value for name, value in node.state.items() if name not in own}
    return Node(node.made_by, node.args, kept, node.items, node.entries)


def _nearer(root: object, columns: Sequence[str], raw: Sequence[str]) -> bool:
    """Whether the names in a file, the first that there are, differ less from ``raw``."""
    for value in walk(root):
        names = value.attributes().get("feature_names_in_") if isinstance(value, Node) else None
        if isinstance(names, np.ndarray) and names.size <= MOST_COLUMNS:
            told = {name for name in names.reshape(-1).tolist() if isinstance(name, str)}
            return len(told ^ set(raw)) < len(told ^ set(columns))
    return False


def _place_of_positive(chance: Chance, positive: frozenset[str], negative: frozenset[str]) -> int:
    """0 or 1: which of the two classes is the positive one."""
    if chance.classes is None:
        return 1
    first, second = chance.classes
    if first in negative and second in positive:
        return 1
    if first in positive and second in negative:
        return 0
    raise Refusal("clases_distintas", f"{shown(first)}, {shown(second)}")

"""Strict access to what a file says about an estimator: a checked value, or a refusal.

Nothing here knows a particular estimator, and nothing is looked up by a name of the file.
"""

from __future__ import annotations

import re
from typing import TypeAlias

import numpy as np

from propensia.admission.nodes import Global, Node
from propensia.admission.refusal import Refusal

Pair: TypeAlias = tuple[str, str]

_MOST_TEXTS = 10_000
_LARGEST = int(np.finfo(np.float64).max)
_NUMBER_TYPES = {
    "bool": np.dtype(np.bool_),
    "bool_": np.dtype(np.bool_),
    "int": np.dtype(np.int64),
    "float": np.dtype(np.float64),
    **{f"int{bits}": np.dtype(f"int{bits}") for bits in (8, 16, 32, 64)},
    **{f"uint{bits}": np.dtype(f"uint{bits}") for bits in (8, 16, 32, 64)},
    **{f"float{bits}": np.dtype(f"float{bits}") for bits in (16, 32, 64)},
}


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


def pair_of(value: object) -> Pair:
    """The module and name of what made a node; two empty texts where there is none."""
    name = maker(value)
    return ("", "") if name is None else (name.module, name.name)


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


def finite(node: Node, attribute: str, value: object) -> float:
    """A setting as a finite number; ``pesos_imposibles`` for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise bad_weights(node, attribute)
    # Whole numbers of any size may come: only these become a double.
    if not abs(value) <= _LARGEST:
        raise bad_weights(node, attribute)
    return float(value)


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


def word(node: Node, attribute: str) -> str:
    """A setting that is a word, such as a method; empty where it is none."""
    value = node.attributes().get(attribute)
    return value if isinstance(value, str) else ""


def number_type(node: Node, attribute: str) -> np.dtype:
    """A setting that is a type of numbers, double where it is ``None``; never looked up."""
    value = node.attributes().get(attribute)
    if isinstance(value, Global) and value.module in ("numpy", "builtins"):
        value = _NUMBER_TYPES.get(value.name)
    elif isinstance(value, str):
        value = _NUMBER_TYPES.get(value)
    elif value is None:
        value = np.dtype(np.float64)
    if not isinstance(value, np.dtype) or value.kind not in "fiub" or value.itemsize > 8:
        raise bad_weights(node, attribute)
    return value


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

"""The categories that an encoder learnt, found again among the values of its columns.

It never compares texts inside a graph: what a text becomes is settled when a model is compiled.

Conventions of scikit-learn (``sklearn/preprocessing/_encoders.py``, ``sklearn/utils/_encode.py``):
categories are compared as numbers where they are numbers; NaN is a category of its own where
the encoder saw it, and so is ``None``. A value that is not there is NaN where NaN was seen, else
``None``.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from propensia.admission.families.attributes import bad_weights, fitted, short_name
from propensia.admission.families.parts import Column, Flow, Workshop, check_complete
from propensia.admission.nodes import Node
from propensia.admission.refusal import Refusal, shown

_MOST = 100_000


@dataclass(frozen=True, slots=True)
class Found:
    """Which category each value of one column is.

    ``keys`` are the numbers that a value may be, ascending (for texts: their codes, all of them);
    ``places`` (k,) the category of each, -1 for a text that is none; ``missing`` the category of
    a value that is not there, -1 for none; ``size`` how many categories there are; ``nan`` the
    place of the category NaN, -1 for none.
    """

    keys: np.ndarray
    places: np.ndarray
    missing: int
    size: int
    nan: int


def categories(node: Node, flow: Flow, shop: Workshop) -> list[Found]:
    """The categories of an encoder for each column of a flow; ``pesos_imposibles`` if none."""
    listed = fitted(node, "categories_")
    if not isinstance(listed, list | tuple) or len(listed) != flow.width:
        raise bad_weights(node, "categories_")
    arrays = [_values(node, values) for values in listed]
    total = sum(map(len, arrays))
    if total > _MOST:
        raise Refusal("demasiado_grande", f"{total} categorías", f"{total} categories")
    pairs = zip(arrays, flow.columns, strict=True)
    return [_found(node, values.tolist(), column, shop) for values, column in pairs]


def refuse_unknown(node: Node, found: list[Found], flow: Flow) -> None:
    """Refuses texts, and values that are not there, which the encoder itself would refuse."""
    label = short_name(node)
    for categories, column in zip(found, flow.columns, strict=True):
        name = shown(column.name or "?")
        if column.texts is not None and (categories.places < 0).any():
            text = shown(column.texts[int(np.argmax(categories.places < 0))])
            raise Refusal(
                "valores_distintos",
                f"{label} no vio «{text}» en {name} y no admite lo que no vio",
                f"{label} never saw “{text}” in {name} and refuses what it has not seen",
            )
        if categories.missing < 0:
            check_complete(label, [column])


def _values(node: Node, values: object) -> np.ndarray:
    known = isinstance(values, np.ndarray) and values.ndim == 1 and values.dtype.kind in "OUfiub"
    if not known or not isinstance(values, np.ndarray) or not len(values):
        raise bad_weights(node, "categories_")
    return values


def _found(node: Node, values: list[object], column: Column, shop: Workshop) -> Found:
    missing = [place for place, value in enumerate(values) if _is_nan(value)]
    nothing = [place for place, value in enumerate(values) if value is None]
    given = {
        place: value
        for place, value in enumerate(values)
        if not _is_nan(value) and value is not None
    }
    if len(nothing) > 1 or (missing and missing != [len(values) - 1]):
        raise bad_weights(node, "categories_")
    if column.texts is None:
        keys, places = _numbers(node, given, column)
    else:
        keys, places = _texts(node, given, column, column.texts)
        shop.heard(column, {text for text in given.values() if isinstance(text, str)})
    place = [*missing, *nothing, -1][0]
    return Found(keys, places, place, len(values), [*missing, -1][0])


def _numbers(
    node: Node, given: dict[int, object], column: Column
) -> tuple[np.ndarray, np.ndarray]:
    numbers = []
    for value in given.values():
        if isinstance(value, str):
            raise _other_kind(node, column, "textos", "un número", "texts", "a number")
        if not isinstance(value, int | float) or not abs(value) < 1 << 63:
            raise bad_weights(node, "categories_")
        numbers.append(float(value))
    keys = np.array(numbers, np.float64)
    order = np.argsort(keys)
    keys, places = keys[order], np.array(list(given), np.int64)[order]
    if (keys[1:] <= keys[:-1]).any():
        raise bad_weights(node, "categories_")
    return keys, places


def _texts(
    node: Node, given: dict[int, object], column: Column, texts: tuple[str, ...]
) -> tuple[np.ndarray, np.ndarray]:
    if any(isinstance(value, int | float) for value in given.values()):
        raise _other_kind(node, column, "números", "un texto", "numbers", "a text")
    known = {value: place for place, value in given.items() if isinstance(value, str)}
    if len(known) != len(given):
        raise bad_weights(node, "categories_")
    places = np.array([known.get(text, -1) for text in texts], np.int64)
    return np.arange(len(texts), dtype=np.float64), places


def _is_nan(value: object) -> bool:
    return isinstance(value, float) and value != value


def _other_kind(
    node: Node, column: Column, trained: str, given: str, trained_en: str, given_en: str
) -> Refusal:
    label, name = short_name(node), shown(column.name or "?")
    return Refusal(
        "valores_distintos",
        f"{label} aprendió {trained} en {name}, que es {given}",
        f"{label} learnt {trained_en} in {name}, which is {given_en}",
    )

"""Splits by category go where a walk over the same tree goes, odd values and missing ones too."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import onnx
import pytest
from compiled_models import COLUMNS, answers

from propensia.admission import graph
from propensia.admission.families import ensemble
from propensia.admission.families.ensemble import Places, Trees
from propensia.admission.families.parts import Column, Flow, Workshop
from propensia.admission.refusal import Refusal

ODD = [-np.inf, -1e300, -2.0, -1.0, np.nextafter(-1.0, 0), -0.5, -0.0, 0.0, 0.5, 0.999, 1.0, 1.5]
ODD += [2.0, 5.0, 5.9, 6.0, 63.0, 63.5, 64.0, 65.0, 254.0, 255.0, 256.0, 1000.0, 65535.0]
ODD += [65534.0, 65536.0, 65537.0, 2.0**31, 2.0**53, 1e300, np.inf]


def grown(random: np.random.Generator, most: int, splits: int = 25) -> dict[str, Any]:
    """The arrays of one random tree, half of whose splits are by category."""
    size = 2 * splits + 1
    left, right = np.full(size, -1), np.full(size, -1)
    leaves, made = [0], 1
    for _ in range(splits):
        node = leaves.pop(int(random.integers(len(leaves))))
        left[node], right[node] = made, made + 1
        leaves += [made, made + 1]
        made += 2
    inner = np.flatnonzero(left >= 0)
    chosen = inner[random.random(len(inner)) < 0.5]
    return {
        "left": left,
        "right": right,
        "feature": random.integers(0, len(COLUMNS), size),
        "threshold": random.choice([0.0, 1.0, 3.5, 64.0], size),
        "value": random.normal(size=size),
        "missing_left": random.random(size) < 0.5,
        "weight": random.integers(1, 9, size).astype(float),
        "categories": {
            int(node): np.unique(random.integers(0, most, random.integers(0, most)))
            for node in chosen
        },
    }


def many(most: int, count: int = 12, seed: int = 5) -> Trees:
    random = np.random.default_rng(seed)
    trees = [grown(random, most) for _ in range(count)]
    places = Places.of([len(tree["left"]) for tree in trees])
    categories = {
        int(root) + node: codes
        for root, tree in zip(places.roots, trees, strict=True)
        for node, codes in tree.pop("categories").items()
    }
    arrays = {name: np.concatenate([tree[name] for tree in trees]) for name in trees[0]}
    return ensemble.checked(places, width=len(COLUMNS), categories=categories, **arrays)


def walked(trees: Trees, row: np.ndarray) -> float:
    """The sum of the leaves by a walk, one node after the other."""
    total = 0.0
    for root in trees.roots:
        node = int(root)
        while trees.left[node] >= 0:
            value = row[trees.feature[node]]
            if np.isnan(value):
                goes_left = bool(trees.missing_left[node])
            elif node in trees.categories:
                goes_left = np.isfinite(value) and int(value) in trees.categories[node].tolist()
            else:
                goes_left = bool(value <= trees.threshold[node])
            node = int(trees.left[node] if goes_left else trees.right[node])
        total += trees.value[node]
    return total


def sums(onnx_bytes: bytes, rows: np.ndarray) -> np.ndarray:
    return answers(SimpleNamespace(onnx=onnx_bytes), rows)  # type: ignore[arg-type]


def compiled(trees: Trees, missing: bool) -> bytes:
    shop = Workshop(tuple(Column(name, missing=missing) for name in COLUMNS), {}, {})
    total = ensemble.written(trees, shop.rows, shop, rounded=False, mean=False)
    return shop.graph.to_bytes(total)


@pytest.mark.parametrize("missing", [False, True])
@pytest.mark.parametrize("most", [2, 6, 64, 66, 300])
def test_rows_go_where_the_sets_say(most: int, missing: bool) -> None:
    trees = many(most)
    random = np.random.default_rng(most)
    values = np.array([*ODD, *range(most)] + [np.nan] * 20 * missing)
    rows = random.choice(values, (1500, len(COLUMNS)))
    onnx_bytes = compiled(trees, missing)
    graph.check(onnx_bytes, len(COLUMNS))
    expected = [walked(trees, row) for row in rows]
    assert np.abs(sums(onnx_bytes, rows) - expected).max() <= 1e-12


def test_one_column_may_be_split_by_category_and_by_threshold() -> None:
    trees = many(6, count=30)
    category = np.zeros(len(trees.left), bool)
    category[list(trees.categories)] = True
    inner = trees.left >= 0
    both = set(trees.feature[category & inner]) & set(trees.feature[~category & inner])
    assert both == set(range(len(COLUMNS)))


def test_trees_without_categories_are_written_without_sets() -> None:
    """Sets cost time at every split, so plain forests must not have them."""
    trees = many(1)
    plain = ensemble.checked(
        Places(trees.roots, np.full(len(trees.roots), 51)),
        width=len(COLUMNS),
        **{name: getattr(trees, name) for name in ("feature", "threshold", "value")},
        **{
            side: np.where(getattr(trees, side) < 0, -1, getattr(trees, side) - offset)
            for side in ("left", "right")
            for offset in [np.repeat(trees.roots, 51)]
        },
    )
    model = onnx.load_from_string(compiled(plain, False))
    assert [node.op_type for node in model.graph.node] == ["Neg", "Concat", "TreeEnsemble"]
    assert b"membership_values" not in compiled(plain, False)


@pytest.mark.parametrize(
    "codes",
    [
        np.array([-1, 2]),
        np.array([2, 65_536]),
        np.array([2, 2]),
        np.array([3, 2]),
        np.array([1.0, 2.0]),
        np.array([[1, 2]]),
        np.array(["1"]),
    ],
)
def test_impossible_sets_are_refused(codes: np.ndarray) -> None:
    with pytest.raises(Refusal) as refusal:
        stump({0: codes})
    assert refusal.value.code == "arbol_imposible"


@pytest.mark.parametrize("node", [-1, 1, 3])
def test_sets_of_leaves_and_of_nobody_are_refused(node: int) -> None:
    with pytest.raises(Refusal) as refusal:
        stump({node: np.array([1])})
    assert refusal.value.code == "arbol_imposible"


def test_too_many_codes_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ensemble, "MOST_CODES", 5)
    stump({0: np.arange(5)})
    with pytest.raises(Refusal) as refusal:
        stump({0: np.arange(6)})
    assert refusal.value.code == "demasiado_grande"


def test_the_threshold_of_a_split_by_category_does_not_count() -> None:
    trees = stump({0: np.array([1])}, threshold=np.nan)
    assert walked(trees, np.ones(6)) == 1.0


def stump(categories: dict[int, np.ndarray], threshold: float = 0.5) -> Trees:
    return ensemble.checked(
        Places.of([3]),
        width=len(COLUMNS),
        left=np.array([1, -1, -1]),
        right=np.array([2, -1, -1]),
        feature=np.zeros(3, int),
        threshold=np.array([threshold, 0.0, 0.0]),
        value=np.array([0.0, 1.0, 2.0]),
        categories=categories,
    )


def damage(onnx_bytes: bytes, name: str) -> bytes:
    """The same graph with something wrong about its sets."""
    model = onnx.load_from_string(onnx_bytes)
    node = next(node for node in model.graph.node if node.op_type == "TreeEnsemble")
    given = {item.name: item for item in node.attribute}
    sets, modes = given["membership_values"].t, given["nodes_modes"].t
    codes = np.frombuffer(sets.raw_data, np.float64)
    fewer = codes[: int(np.flatnonzero(np.isnan(codes))[-2]) + 1]
    if name == "a set too few":
        codes = fewer
    elif name == "a set without an end":
        codes = codes[:-1]
    elif name == "an empty set":
        codes = np.append(fewer, np.nan)
    elif name == "no set":
        node.attribute.remove(given["membership_values"])
    elif name == "another mode":
        modes.raw_data = modes.raw_data.replace(b"\x06", b"\x05")
    if name not in ("no set", "another mode"):
        sets.raw_data = codes.tobytes()
        sets.dims[:] = [len(codes)]
    return bytes(model.SerializeToString())


@pytest.mark.parametrize(
    "name",
    ["a set too few", "a set without an end", "an empty set", "no set", "another mode"],
)
def test_a_graph_whose_sets_are_not_whole_is_refused(name: str) -> None:
    onnx_bytes = compiled(many(6), False)
    graph.check(onnx_bytes, len(COLUMNS))
    with pytest.raises(Refusal) as refusal:
        graph.check(damage(onnx_bytes, name), len(COLUMNS))
    assert refusal.value.code == "contenido_no_permitido"


def test_missing_values_in_a_flow_that_has_none_do_not_cost_anything() -> None:
    assert b"missing" not in compiled(many(6), False)
    assert b"missing" in compiled(many(6), True)


def test_the_rows_may_be_rounded_before_codes_are_read() -> None:
    """2**24 + 1 is 2**24 in float32; a code just below a whole number becomes that number."""
    trees = stump({0: np.array([1])})
    shop = Workshop(tuple(Column(name) for name in COLUMNS), {}, {})
    flow: Flow = shop.rows
    total = ensemble.written(trees, flow, shop, rounded=True, mean=False)
    rows = np.zeros((1, len(COLUMNS)))
    rows[0, 0] = np.nextafter(1.0, 0.0)
    assert sums(shop.graph.to_bytes(total), rows)[0] == 1.0

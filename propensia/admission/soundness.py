"""Whether the trees in an ONNX file are trees, whoever wrote them.

It only looks: nothing is run, and nothing of a dropped file gets here.
"""

from __future__ import annotations

import numpy as np
from onnx import AttributeProto, NodeProto, TensorProto

# No ensemble has more columns, with their negatives and codes (see ``families.ensemble``).
WIDEST = 30_000
# As deep as the compiler lets them be: ONNX Runtime follows a chain on its stack.
DEEPEST = 1_000
# The mode of a split by membership in a set, as the operator numbers them.
MEMBER = 6


def sound(node: NodeProto) -> bool:
    """Whether a ``TreeEnsemble`` has every index in range, and no way round, twice or too deep.

    Which columns there are is not known here; ONNX Runtime looks at that before it runs.
    """
    given = {item.name: item for item in node.attribute}
    lists = {name: np.array(item.ints, np.int64) for name, item in given.items()}
    splits, leaves = len(lists["nodes_featureids"]), len(lists["leaf_targetids"])
    lengths = {
        name: [*item.t.dims] if item.HasField("t") else [len(item.ints)]
        for name, item in given.items()
    }
    roots, own = lists["tree_roots"], np.arange(splits)
    checks = [
        all(found == [splits] for name, found in lengths.items() if name.startswith("nodes_")),
        lengths["leaf_weights"] == [leaves] and _modes_are_known(given),
        0 < given["n_targets"].i <= max(len(roots), 1),
        _within(lists["leaf_targetids"], given["n_targets"].i),
        _within(roots, splits) and _within(lists["nodes_featureids"], WIDEST),
        len(np.unique(roots)) == len(roots),
    ]
    sides = []
    for side in ("true", "false") if all(checks) else ():
        child, is_leaf = lists[f"nodes_{side}nodeids"], lists[f"nodes_{side}leafs"] != 0
        checks.append(_within(child[is_leaf], leaves) and _within(child[~is_leaf], splits))
        checks.append(bool((child > own)[~is_leaf].all()))
        sides.append(np.where(is_leaf, -1, child))
    return all(checks) and _is_shallow(roots, sides)


def _is_shallow(roots: np.ndarray, sides: list[np.ndarray]) -> bool:
    """Whether no leaf is further than ``DEEPEST`` from its root, level by level."""
    level = roots
    for _ in range(DEEPEST):
        level = np.unique(np.concatenate([side[level] for side in sides]))
        level = level[level >= 0]
        if not len(level):
            return True
    return False


def _modes_are_known(given: dict[str, AttributeProto]) -> bool:
    """Whether every split is a threshold, or has a set of its own of at least one code."""
    modes = np.frombuffer(given["nodes_modes"].t.raw_data, np.uint8)
    member, codes = modes == MEMBER, np.zeros(0)
    if "membership_values" in given:
        tensor = given["membership_values"].t
        double = tensor.data_type == int(TensorProto.DOUBLE)
        codes = np.frombuffer(tensor.raw_data) if double else codes
    ends = np.flatnonzero(np.isnan(codes))
    whole = len(ends) == member.sum() and len(codes) == (ends[-1] + 1 if len(ends) else 0)
    return bool(whole and (np.diff(ends, prepend=-1) > 1).all() and not modes[~member].any())


def _within(places: np.ndarray, end: int) -> bool:
    return bool(((places >= 0) & (places < end)).all())

"""Models of one line, as ONNX, and versions made of them: what the tests of serving publish.

It must never go through admission: a test may need a version that admission would refuse.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from propensia import files
from propensia.admission.graph import Graph
from propensia.contract import Contract
from propensia.registry import Registry

WIDTH = 16


def linear(weights: Sequence[float], bias: float = 0.0) -> bytes:
    """``p = x . weights + bias``: not a probability for every row."""
    graph = Graph(len(weights))
    return graph.to_bytes(_line(graph, weights, bias))


def logistic(weights: Sequence[float], bias: float = 0.0) -> bytes:
    """``p = 1 / (1 + exp(-(x . weights + bias)))``."""
    graph = Graph(len(weights))
    return graph.to_bytes(graph.add("Sigmoid", _line(graph, weights, bias)))


def unsteady(weights: Sequence[float], bias: float = 0.0) -> bytes:
    """The same with other bits for some rows alone than among others: as ONNX Runtime computes
    what nobody has arranged for it."""
    double, info = TensorProto.DOUBLE, helper.make_tensor_value_info
    column = np.array(weights, dtype=np.float64).reshape(-1, 1)
    graph = helper.make_graph(
        [
            helper.make_node("MatMul", ["x", "w"], ["s"]),
            helper.make_node("Add", ["s", "b"], ["z"]),
            helper.make_node("Sigmoid", ["z"], ["p"]),
        ],
        "unsteady",
        [info("x", double, [None, len(weights)])],
        [info("p", double, [None, 1])],
        [numpy_helper.from_array(column, "w"), numpy_helper.from_array(np.array([bias]), "b")],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    whole: bytes = made.SerializeToString()
    return whole


def constant(probability: float, width: int = WIDTH) -> bytes:
    """The same number for every row."""
    return linear([0.0] * width, probability)


def _line(graph: Graph, weights: Sequence[float], bias: float) -> str:
    column = graph.constant(np.array(weights, dtype=np.float64).reshape(-1, 1))
    return graph.add("Add", graph.add("MatMul", "x", column), graph.constant(np.array([bias])))


def add(
    registry: Registry,
    contract: Contract,
    onnx: bytes,
    of_zeros: Sequence[float] = (),
    **changes: Any,
) -> str:
    """Add a version that holds ``onnx``; ``of_zeros`` are the answers of as many rows of zeros."""
    version = files.sha256(onnx)[:12]
    manifest: dict[str, Any] = {
        "version": version,
        "model": "modelo",
        "sha256": files.sha256(onnx),
        "onnx_sha256": files.sha256(onnx),
        "admitted": "2026-01-01T00:00:00+00:00",
        "contract": contract.name,
        "contract_fingerprint": contract.fingerprint,
        "columns": list(contract.column_names),
        "kind": "forest",
        "parity": {},
        "threshold": None,
        "training_rate": None,
        "real_rate": None,
        "golden": {
            "rows": [[0.0] * len(contract.columns)] * len(of_zeros),
            "probabilities": list(of_zeros),
        },
    }
    registry.add_version(version, manifest | changes, {"model.onnx": onnx})
    return version

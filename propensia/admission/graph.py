"""Builds the ONNX graph of a model, operator by operator, in the number types asked for.

It never reads a model file and never runs a graph; no other module touches the onnx package.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from onnx import NodeProto, TensorProto, helper, numpy_helper

DOUBLE = int(TensorProto.DOUBLE)
FLOAT = int(TensorProto.FLOAT)
INPUT, OUTPUT = "x", "p"
ML = "ai.onnx.ml"

_IR_VERSION, _OPSET, _ML_OPSET = 10, 21, 5


class Graph:
    """A graph from the input ``x``, double (n, columns), to the output ``p``, double (n, 1).

    Tensors are known by their names; each method returns the name of what it made.
    Not thread-safe: one graph belongs to one compilation.
    """

    def __init__(self, columns: int) -> None:
        self._columns = columns
        self._nodes: list[NodeProto] = []
        self._constants: list[TensorProto] = []

    def constant(self, values: np.ndarray) -> str:
        """A constant tensor with the shape and number type of ``values``."""
        name = f"c{len(self._constants)}"
        self._constants.append(numpy_helper.from_array(np.ascontiguousarray(values), name))
        return name

    def add(self, operator: str, *inputs: str, domain: str = "", **attributes: Any) -> str:
        """The one output of an operator; an array as attribute becomes a tensor."""
        name = f"t{len(self._nodes)}"
        plain = {
            key: numpy_helper.from_array(value) if isinstance(value, np.ndarray) else value
            for key, value in attributes.items()
        }
        self._nodes.append(helper.make_node(operator, inputs, [name], domain=domain, **plain))
        return name

    def cast(self, tensor: str, to: int) -> str:
        """The tensor as ``DOUBLE`` or ``FLOAT``."""
        return self.add("Cast", tensor, to=to)

    def complement(self, chance: str) -> str:
        """One minus a probability, in double."""
        return self.add("Sub", self.constant(np.ones(1)), chance)

    def to_bytes(self, tensor: str) -> bytes:
        """The finished ONNX model, whose output ``p`` is ``tensor``; call it once, last."""
        for node in self._nodes:
            node.input[:] = [OUTPUT if name == tensor else name for name in node.input]
            node.output[:] = [OUTPUT if name == tensor else name for name in node.output]
        graph = helper.make_graph(
            self._nodes,
            "propensia",
            [helper.make_tensor_value_info(INPUT, DOUBLE, [None, self._columns])],
            [helper.make_tensor_value_info(OUTPUT, DOUBLE, [None, 1])],
            self._constants,
        )
        versions = [helper.make_opsetid("", _OPSET), helper.make_opsetid(ML, _ML_OPSET)]
        model = helper.make_model(
            graph, opset_imports=versions, ir_version=_IR_VERSION, producer_name="propensia"
        )
        return bytes(model.SerializeToString())

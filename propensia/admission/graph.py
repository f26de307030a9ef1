"""Builds the ONNX graph of a model, operator by operator, and knows one that it could have built.

It never reads a model file and never runs a graph; only ``converted`` and ``steady`` touch onnx
besides.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from onnx import (
    GraphProto,
    ModelProto,
    NodeProto,
    OperatorSetIdProto,
    TensorProto,
    ValueInfoProto,
    helper,
    numpy_helper,
)

from propensia.admission import soundness
from propensia.admission.refusal import Refusal, shown
from propensia.admission.steady import steady

DOUBLE = int(TensorProto.DOUBLE)
FLOAT = int(TensorProto.FLOAT)
INT64 = int(TensorProto.INT64)
BOOL = int(TensorProto.BOOL)
INPUT, OUTPUT = "x", "p"
ML = "ai.onnx.ml"

IR_VERSION, _OPSET, _ML_OPSET = 10, 21, 5
_TREES = "TreeEnsemble"
_PLAIN: frozenset[str] = frozenset()
_AXIS = frozenset({"axis"})
# Every operator that a family writes, by domain and name, with its attributes. ``check`` refuses
# any other, so a family that needs one more lists it here.
OPERATORS = {
    ("", "Abs"): _PLAIN,
    ("", "Add"): _PLAIN,
    ("", "And"): _PLAIN,
    ("", "Cast"): frozenset({"to"}),
    ("", "Clip"): _PLAIN,
    ("", "Concat"): _AXIS,
    ("", "CumSum"): _PLAIN,
    ("", "Div"): _PLAIN,
    ("", "Elu"): frozenset({"alpha"}),
    ("", "Equal"): _PLAIN,
    ("", "Exp"): _PLAIN,
    ("", "Floor"): _PLAIN,
    ("", "Gather"): _AXIS,
    ("", "Gelu"): _PLAIN,
    ("", "Gemm"): _PLAIN,
    ("", "Greater"): _PLAIN,
    ("", "GreaterOrEqual"): _PLAIN,
    ("", "IsNaN"): _PLAIN,
    ("", "LeakyRelu"): frozenset({"alpha"}),
    ("", "Less"): _PLAIN,
    ("", "LessOrEqual"): _PLAIN,
    ("", "Log"): _PLAIN,
    ("", "MatMul"): _PLAIN,
    ("", "Max"): _PLAIN,
    ("", "Min"): _PLAIN,
    ("", "Mul"): _PLAIN,
    ("", "Neg"): _PLAIN,
    ("", "Not"): _PLAIN,
    ("", "Or"): _PLAIN,
    ("", "Pow"): _PLAIN,
    ("", "ReduceMax"): frozenset({"keepdims"}),
    ("", "ReduceMean"): frozenset({"keepdims"}),
    ("", "ReduceSum"): frozenset({"keepdims"}),
    ("", "Relu"): _PLAIN,
    ("", "Reshape"): _PLAIN,
    ("", "Selu"): _PLAIN,
    ("", "Sigmoid"): _PLAIN,
    ("", "Sign"): _PLAIN,
    ("", "Softmax"): _AXIS,
    ("", "Softplus"): _PLAIN,
    ("", "Softsign"): _PLAIN,
    ("", "Sqrt"): _PLAIN,
    ("", "Sub"): _PLAIN,
    ("", "Tanh"): _PLAIN,
    ("", "Unsqueeze"): _PLAIN,
    ("", "Where"): _PLAIN,
    (ML, _TREES): frozenset(
        {
            "tree_roots",
            "nodes_featureids",
            "nodes_splits",
            "nodes_modes",
            "nodes_truenodeids",
            "nodes_trueleafs",
            "nodes_falsenodeids",
            "nodes_falseleafs",
            "nodes_missing_value_tracks_true",
            "membership_values",
            "leaf_targetids",
            "leaf_weights",
            "n_targets",
            "aggregate_function",
            "post_transform",
        }
    ),
}
# The widest network and the longest pipeline stay far below.
_MOST_OPERATORS = 20_000
# What shapes their result must not depend on a row, or one row could ask for all memory.
_SHAPED = {"Reshape", "Unsqueeze", "CumSum", "ReduceMax", "ReduceMean", "ReduceSum"}
_MOST_DIMENSIONS = 3
_VALUES, _WORDED = {"name", "type", "i", "f", "ints", "t"}, {"s", "floats"}
_ITEM_BYTES = {
    DOUBLE: 8,
    FLOAT: 4,
    INT64: 8,
    BOOL: 1,
    int(TensorProto.UINT8): 1,
}


@dataclass(frozen=True, slots=True)
class Rules:
    """What a graph may be made of: operators by domain and name, with their attributes; the
    versions of both; the bytes of a number of each type; what an attribute may say in words."""

    operators: Mapping[tuple[str, str], frozenset[str]]
    opsets: tuple[OperatorSetIdProto, ...]
    item_bytes: Mapping[int, int]
    words: frozenset[bytes] = frozenset()


_OPSETS = (helper.make_opsetid("", _OPSET), helper.make_opsetid(ML, _ML_OPSET))
OWN = Rules(OPERATORS, _OPSETS, _ITEM_BYTES)


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

    def operator(self, tensor: str) -> tuple[str, ...]:
        """The operator that made a tensor of this graph, and what it was given; not an input."""
        made = self._nodes[int(tensor.removeprefix("t"))]
        return (made.op_type, *made.input)

    def cast(self, tensor: str, to: int) -> str:
        """The tensor as ``DOUBLE``, ``FLOAT``, ``INT64`` or ``BOOL``."""
        return self.add("Cast", tensor, to=to)

    def picked(self, tensor: str, places: Sequence[int]) -> str:
        """The columns of a tensor (n, k) at these places, in this order."""
        return self.add("Gather", tensor, self.constant(np.array(places, np.int64)), axis=1)

    def complement(self, chance: str) -> str:
        """One minus a probability, in double."""
        return self.add("Sub", self.constant(np.ones(1)), chance)

    def to_bytes(self, tensor: str) -> bytes:
        """The finished ONNX model, whose output ``p`` is ``tensor``; call it once, last.

        What the output does not depend on is left out, and the rest made ``steady``.
        """
        self._prune(tensor)
        for node in self._nodes:
            node.input[:] = [OUTPUT if name == tensor else name for name in node.input]
            node.output[:] = [OUTPUT if name == tensor else name for name in node.output]
        given = _rows(INPUT, self._columns)
        nodes, constants = steady(self._nodes, self._constants, given, _OPSETS)
        graph = helper.make_graph(nodes, "propensia", [given], [_rows(OUTPUT, 1)], constants)
        model = helper.make_model(
            graph, opset_imports=_OPSETS, ir_version=IR_VERSION, producer_name="propensia"
        )
        return bytes(model.SerializeToString())

    def _prune(self, tensor: str) -> None:
        needed, kept = {tensor}, []
        for node in reversed(self._nodes):
            if node.output[0] in needed:
                needed.update(node.input)
                kept.append(node)
        self._nodes = kept[::-1]
        self._constants = [constant for constant in self._constants if constant.name in needed]


def check(onnx_bytes: bytes, columns: int, rules: Rules = OWN) -> None:
    """Refuses what is not a model for so many columns by the rules: those of ``Graph``, or others.

    That is: known operators and attributes only, one input ``x`` and one output ``p``, constants
    inside the file, trees without a way round, and no field that this program never sets (as
    subgraphs, functions, or data in other files are). Raises ``Refusal``
    (``contenido_no_permitido`` or ``demasiado_grande``). The model is parsed, never run.
    """
    try:
        model = ModelProto.FromString(onnx_bytes)
        # What the parser skipped or would write otherwise, another parser could read.
        model.DiscardUnknownFields()
        whole = model.ByteSize() == len(onnx_bytes)
        _only(model, {"ir_version", "producer_name", "opset_import", "graph"})
        _only(model.graph, {"name", "node", "initializer", "input", "output"})
        fits = (model.ir_version, *model.opset_import) == (IR_VERSION, *rules.opsets)
        _check_graph(model.graph, columns, rules)
    except (Refusal, MemoryError):
        raise
    except Exception as error:  # protobuf's own errors, text that is none, a tree without a list
        raise _foreign(f"bytes ({type(error).__name__})") from error
    if not whole or not fits:
        raise _foreign("bytes")


def _check_graph(graph: GraphProto, columns: int, rules: Rules) -> None:
    if list(graph.input) != [_rows(INPUT, columns)] or list(graph.output) != [_rows(OUTPUT, 1)]:
        raise _foreign("input/output")
    if len(graph.node) > _MOST_OPERATORS:
        number = len(graph.node)
        raise Refusal("demasiado_grande", f"{number} operaciones", f"{number} operators")
    for tensor in graph.initializer:
        _check_tensor(tensor, rules)
    constants = {tensor.name for tensor in graph.initializer}
    for node in graph.node:
        _only(node, {"input", "output", "op_type", "domain", "attribute"})
        known = rules.operators.get((node.domain, node.op_type))
        if known is None:
            raise _foreign(f"{node.domain}.{node.op_type}".lstrip("."))
        if node.op_type in _SHAPED and not constants.issuperset(node.input[1:]):
            raise _foreign(node.op_type)
        names = [attribute.name for attribute in node.attribute]
        for attribute in node.attribute:
            _only(attribute, _VALUES | _WORDED if rules.words else _VALUES)
            values = len(attribute.ListFields()) - 2  # beside its name and type
            if attribute.name not in known or names.count(attribute.name) > 1 or values > 1:
                raise _foreign(f"{node.op_type}.{attribute.name}")
            if attribute.HasField("s") and attribute.s not in rules.words:
                raise _foreign(f"{node.op_type}.{attribute.name}")
            if attribute.HasField("t"):
                _check_tensor(attribute.t, rules)
        if node.op_type == _TREES and not soundness.sound(node):
            raise _foreign(_TREES)


def _check_tensor(tensor: TensorProto, rules: Rules) -> None:
    """Refuses numbers that are not all in the file itself."""
    _only(tensor, {"name", "dims", "data_type", "raw_data"})
    size = rules.item_bytes.get(tensor.data_type, 0)
    dims = list(tensor.dims)
    if not size or len(dims) > _MOST_DIMENSIONS or min(dims, default=0) < 0:
        raise _foreign("tensor")
    if math.prod(dims) * size != len(tensor.raw_data):
        raise _foreign("tensor")


def _only(message: Any, fields: set[str]) -> None:
    """Refuses a part of an ONNX file that has any other field set."""
    for field, _ in message.ListFields():
        if field.name not in fields:
            raise _foreign(f"{field.containing_type.name}.{field.name}")


def _foreign(what: str) -> Refusal:
    text = shown(what)
    return Refusal(
        "contenido_no_permitido",
        f"{text} en la traducción a ONNX",
        f"{text} in the translation to ONNX",
    )


def _rows(name: str, width: int) -> ValueInfoProto:
    """An input or output of doubles, any number of rows of that width."""
    return helper.make_tensor_value_info(name, DOUBLE, [None, width])

"""Makes a finished graph steady: a row gets the same bits alone and among any number of rows.

It never changes what a family computes, only how ONNX Runtime is asked for it.

ONNX Runtime takes a curve such as ``Sigmoid`` of doubles several numbers at a time, and what is
left over at the end of the tensor one by one, by another routine: the two differ in the last
place. A sum along rows begins where a whole vector begins in memory, which is another place in
each row. So curves get rows of whole vectors, and sums become products, which add in one order.
Found by measuring every operator of ``graph.OPERATORS`` alone, ONNX Runtime 1.31; the others,
float32 ``Sigmoid``, ``Exp`` and ``Tanh`` among them, are steady as they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
from onnx import (
    NodeProto,
    OperatorSetIdProto,
    TensorProto,
    ValueInfoProto,
    helper,
    numpy_helper,
    shape_inference,
)

_Number: TypeAlias = type[np.float64] | type[np.float32]
_NUMBERS: dict[int, _Number] = {
    int(TensorProto.DOUBLE): np.float64,
    int(TensorProto.FLOAT): np.float32,
}
_CURVES = {
    int(TensorProto.DOUBLE): {"Exp", "Log", "Sigmoid", "Tanh"},
    int(TensorProto.FLOAT): {"Elu", "Log", "Selu", "Softplus"},
}
_SUMS = {"ReduceMean", "ReduceSum"}
_CHANGED = _SUMS.union(*_CURVES.values())
# The widest vector that a build of ONNX Runtime takes here at once; most take half of it.
_VECTOR_BYTES = 32


def steady(
    nodes: list[NodeProto],
    constants: list[TensorProto],
    given: ValueInfoProto,
    opsets: Sequence[OperatorSetIdProto],
) -> tuple[list[NodeProto], list[TensorProto]]:
    """The nodes and constants of a graph, none of whose bits depend on how many rows there are.

    ``given`` is its input. An operator whose width cannot be inferred stays as it is: the check
    of admission that compares single rows with batches tells of it.
    """
    if _CHANGED.isdisjoint(node.op_type for node in nodes):
        return nodes, constants
    rewriting = _Rewriting(constants, _types(nodes, constants, given, opsets))
    changed = [made for node in nodes for made in rewriting.nodes(node)]
    return changed, [*constants, *rewriting.added.values()]


class _Rewriting:
    """The rewriting of one graph: the types of its tensors, and the constants ``added`` to it."""

    def __init__(self, constants: list[TensorProto], types: dict[str, Any]) -> None:
        self.added: dict[str, TensorProto] = {}
        self._constants = {tensor.name: tensor for tensor in constants}
        self._types = types

    def nodes(self, node: NodeProto) -> list[NodeProto]:
        """The operators in the place of one: itself, or those that make the same steadily."""
        kind = self._types.get(node.input[0])
        if node.op_type not in _CHANGED or kind is None or kind.elem_type not in _NUMBERS:
            return [node]
        number, dims = _NUMBERS[kind.elem_type], kind.shape.dim
        vector = _VECTOR_BYTES // np.dtype(number).itemsize
        width = dims[-1].dim_value if len(dims) > 1 else 0  # 0 where it is not known
        if width % vector == 0:
            return [node]
        if node.op_type in _CURVES[kind.elem_type]:
            return self._filled(node, width, -(-width // vector) * vector)
        if node.op_type in _SUMS and self._along_rows(node, len(dims)):
            return self._multiplied(node, width, number)
        return [node]

    def _filled(self, node: NodeProto, width: int, wide: int) -> list[NodeProto]:
        """The same operator on rows that are filled up with copies, which are then left out."""
        (result,) = node.output
        filled, curve = f"{result}_filled", f"{result}_curve"
        more, fewer = (
            self._constant(f"columns_{width}_{size}", np.resize(np.arange(width), size))
            for size in (wide, width)
        )
        asked = NodeProto()
        asked.CopyFrom(node)
        asked.input[:], asked.output[:] = [filled], [curve]
        return [
            helper.make_node("Gather", [node.input[0], more], [filled], axis=-1),
            asked,
            helper.make_node("Gather", [curve, fewer], [result], axis=-1),
        ]

    def _along_rows(self, node: NodeProto, rank: int) -> bool:
        """Whether a sum is over the last axis, and keeps it; the others only count."""
        axes = numpy_helper.to_array(self._constants[node.input[1]]).tolist()
        keeps = any(option.name == "keepdims" and option.i for option in node.attribute)
        return keeps and axes in ([-1], [rank - 1])

    def _multiplied(self, node: NodeProto, width: int, number: _Number) -> list[NodeProto]:
        """The sum of rows as their product with ones; their mean, with one over the width.

        The sum never by ``MatMul``: ONNX Runtime 1.31 takes a division behind it as a factor of
        it, in float32 even for doubles. A mean, which may have three dimensions, never by
        ``Gemm``, which takes two.
        """
        operator, share = ("Gemm", 1.0) if node.op_type == "ReduceSum" else ("MatMul", 1 / width)
        name = f"{operator}_{width}_{number.__name__}"
        shares = self._constant(name, np.full((width, 1), share, number))
        return [helper.make_node(operator, [node.input[0], shares], list(node.output))]

    def _constant(self, name: str, values: np.ndarray) -> str:
        self.added.setdefault(name, numpy_helper.from_array(values, name))
        return name


def _types(
    nodes: list[NodeProto],
    constants: list[TensorProto],
    given: ValueInfoProto,
    opsets: Sequence[OperatorSetIdProto],
) -> dict[str, Any]:
    """The type of every tensor, with its dimensions as far as they are known, by name.

    Inferred without weights and trees, which are large and of which only the type counts.
    """
    known, asked, whole = [given], [], []
    for tensor in constants:
        if tensor.data_type == TensorProto.INT64:  # axes, places, shapes
            whole.append(tensor)
        else:
            dims = list(tensor.dims)
            known.append(helper.make_tensor_value_info(tensor.name, tensor.data_type, dims))
    for node in nodes:
        told = {attribute.name: attribute for attribute in node.attribute}
        if "nodes_splits" in told:
            kind, targets = told["nodes_splits"].t.data_type, told["n_targets"].i
            known.append(helper.make_tensor_value_info(node.output[0], kind, [None, targets]))
        else:
            asked.append(node)
    graph = helper.make_graph(asked, "types", known, [], whole)
    model = shape_inference.infer_shapes(helper.make_model(graph, opset_imports=opsets))
    values = (*known, *model.graph.value_info)
    return {value.name: value.type.tensor_type for value in values}

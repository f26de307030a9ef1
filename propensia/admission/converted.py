"""ONNX files of the usual converter: brought into the shape of ours, and checked as strictly.

It never runs one, and never lets through an operator that is not in its fixed list.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from propensia.admission import graph
from propensia.admission.graph import DOUBLE, FLOAT, INPUT, IR_VERSION, ML, OUTPUT, Rules
from propensia.admission.refusal import Refusal

MICROSOFT = "com.microsoft"
OPSETS = {"": 21, ML: 1, MICROSOFT: 1}
_LABELS = "classlabels_ints"
_PLAIN = """Abs Add Clip CumSum Div Equal Exp Greater GreaterOrEqual Identity IsNaN Less
    LessOrEqual Log MatMul Max Min Mul Neg Not Or Pow Reciprocal Shape Sigmoid Sign Sqrt Sub Sum
    Where"""
# What the converter writes for the classes of ``loading``: operators, with their attributes.
_OPERATORS: dict[tuple[str, str], str] = {
    **{("", name): "" for name in _PLAIN.split()},
    ("", "ArgMax"): "axis keepdims select_last_index",
    ("", "ArgMin"): "axis keepdims select_last_index",
    ("", "Cast"): "to",
    ("", "Concat"): "axis",
    ("", "ConstantOfShape"): "value",
    ("", "Flatten"): "axis",
    ("", "Gather"): "axis",
    ("", "Gemm"): "alpha beta transA transB",
    ("", "OneHot"): "axis",
    ("", "ReduceLogSumExp"): "keepdims",
    ("", "ReduceMax"): "keepdims",
    ("", "ReduceMean"): "keepdims",
    ("", "ReduceProd"): "keepdims",
    ("", "ReduceSum"): "keepdims",
    ("", "ReduceSumSquare"): "keepdims",
    ("", "Reshape"): "allowzero",
    ("", "Softmax"): "axis",
    ("", "TopK"): "axis largest sorted",
    ("", "Transpose"): "perm",
    (ML, "ArrayFeatureExtractor"): "",
    (ML, "Binarizer"): "threshold",
    (ML, "Imputer"): "imputed_value_floats replaced_value_float",
    (ML, "LinearClassifier"): f"{_LABELS} coefficients intercepts multi_class post_transform",
    (ML, "Normalizer"): "norm",
    (ML, "SVMClassifier"): f"""{_LABELS} coefficients kernel_params kernel_type post_transform
        prob_a prob_b rho support_vectors vectors_per_class""",
    (ML, "Scaler"): "offset scale",
    (MICROSOFT, "CDist"): "metric",
}
RULES = Rules(
    operators={name: frozenset(given.split()) for name, given in _OPERATORS.items()},
    opsets=tuple(helper.make_opsetid(domain, number) for domain, number in OPSETS.items()),
    item_bytes={
        DOUBLE: 8,
        FLOAT: 4,
        int(TensorProto.INT64): 8,
        int(TensorProto.INT32): 4,
        int(TensorProto.BOOL): 1,
    },
    words=frozenset(
        b"NONE SOFTMAX LOGISTIC LINEAR POLY RBF SIGMOID L1 L2 MAX euclidean sqeuclidean".split()
    ),
)


def check(onnx_bytes: bytes, columns: int) -> None:
    """Refuses what ``wrapped`` could not have made for so many columns; as ``graph.check``."""
    graph.check(onnx_bytes, columns, RULES)


def wrapped(converted: ModelProto, columns: int, order: Sequence[int], place: int) -> bytes:
    """A converted classifier as an ONNX file like ours: ``x`` double (n, columns) to ``p``.

    ``order`` is the place among our columns of each of the model's, ``place`` that of the
    positive class among its two. Labels, names of operators and notes are left out. Raises
    ``Refusal`` where the converter used other versions of the operators than expected.
    """
    versions = {opset.domain: opset.version for opset in converted.opset_import}
    if not versions.items() <= OPSETS.items():
        raise Refusal("familia_desconocida", "opset")
    source = converted.graph.input[0]
    wanted = converted.graph.output[1].name
    kept, needed = [], {wanted}
    for node in reversed(converted.graph.node):
        if needed & set(node.output):
            needed.update(node.input)
            kept.append(_stripped(node))
    weights = [
        numpy_helper.from_array(np.ascontiguousarray(numpy_helper.to_array(tensor)), tensor.name)
        for tensor in converted.graph.initializer
        if tensor.name in needed
    ]
    inside = _Names(source.name)
    for node in kept:
        node.input[:] = map(inside, node.input)
        node.output[:] = map(inside, node.output)
    for tensor in weights:
        tensor.name = inside(tensor.name)
    type_in = source.type.tensor_type.elem_type
    before, after = _around(inside(source.name), inside(wanted), type_in)
    own = [
        numpy_helper.from_array(np.array(order, np.int64), "order"),
        numpy_helper.from_array(np.array([place], np.int64), "place"),
    ]
    body = helper.make_graph(
        [*before, *kept[::-1], *after],
        "propensia",
        [helper.make_tensor_value_info(INPUT, DOUBLE, [None, columns])],
        [helper.make_tensor_value_info(OUTPUT, DOUBLE, [None, 1])],
        [*own, *weights],
    )
    model = helper.make_model(
        body, opset_imports=RULES.opsets, ir_version=IR_VERSION, producer_name="propensia"
    )
    return bytes(model.SerializeToString())


def _around(first: str, last: str, type_in: int) -> tuple[list[NodeProto], list[NodeProto]]:
    """What makes the converter's input out of ours, and our output out of its one."""
    before = [
        helper.make_node("Gather", [INPUT, "order"], ["ordered"], axis=1),
        helper.make_node("Cast", ["ordered"], [first], to=type_in),
    ]
    after = [
        helper.make_node("Gather", [last, "place"], ["chosen"], axis=1),
        helper.make_node("Cast", ["chosen"], [OUTPUT], to=DOUBLE),
    ]
    return before, after


class _Names:
    """Short names of our own for the converter's tensors; a result left out has none."""

    def __init__(self, first: str) -> None:
        self._given = {"": "", first: "t0"}

    def __call__(self, name: str) -> str:
        return self._given.setdefault(name, f"t{len(self._given) - 1}")


def _stripped(node: NodeProto) -> NodeProto:
    """An operator without its name, with the numbers of its tensors where ours are."""
    made = helper.make_node(node.op_type, list(node.input), list(node.output), domain=node.domain)
    if made.domain == "":
        made.ClearField("domain")
    for attribute in node.attribute:
        value: Any = helper.get_attribute_value(attribute)
        if isinstance(value, TensorProto):
            value = numpy_helper.from_array(numpy_helper.to_array(value))
        made.attribute.append(helper.make_attribute(attribute.name, value))
    return made

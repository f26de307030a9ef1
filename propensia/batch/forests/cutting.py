"""Cuts the graph of a model at its trees: what ONNX Runtime does before them, and what after.

It changes no operator and makes none: each piece is made of nodes of the admitted file, so that
ONNX Runtime computes in it what it would compute in the whole.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from onnx import GraphProto, ModelProto, NodeProto, TensorProto, ValueInfoProto, helper

from propensia.scorer import INPUT, OUTPUT

TREES = "TreeEnsemble"

Part: TypeAlias = tuple[str, bool]


@dataclass(frozen=True, slots=True)
class Forest:
    """A ``TreeEnsemble`` that reads what no other made.

    ``parts``: the tensors that side by side are its input, each with whether it is there as its
    negative.
    """

    node: NodeProto
    parts: tuple[Part, ...]


@dataclass(frozen=True, slots=True)
class Cut:
    """A model in pieces: ``head`` makes ``sources``, the columns that trees read, from the rows;
    ``tail`` makes the probability from what the trees answer and, where ``needs_rows``, the rows.

    A piece that has nothing to do is ``None``. All sources are double matrices.
    """

    forests: tuple[Forest, ...]
    sources: tuple[str, ...]
    head: bytes | None
    tail: bytes | None
    needs_rows: bool


def cut(model: bytes) -> Cut | None:
    """The pieces of a model of an admitted file; ``None`` if no tree reads what others made."""
    whole = ModelProto.FromString(model)
    made = {name: node for node in whole.graph.node for name in node.output}
    forests = tuple(
        Forest(node, _parts(node.input[0], made))
        for node in whole.graph.node
        if node.op_type == TREES and not _trees_before(node, made)
    )
    if not forests:
        return None
    sources = tuple(dict.fromkeys(name for one in forests for name, _ in one.parts))
    asked = [name for name in sources if name != INPUT]
    answers = [one.node.output[0] for one in forests]
    tail = _before([OUTPUT], made, stop=answers)
    read = {name for node in tail for name in node.input}
    needs_rows = INPUT in read
    given = [name for name in answers if name in read] + [INPUT] * needs_rows
    return Cut(
        forests=forests,
        sources=sources,
        head=_piece(whole, _before(asked, made), [INPUT], asked) if asked else None,
        tail=_piece(whole, tail, given, [OUTPUT]) if tail else None,
        needs_rows=needs_rows,
    )


def _parts(name: str, made: dict[str, NodeProto]) -> tuple[Part, ...]:
    """The tensors that are joined to one, and which of them stand there as their negatives."""
    node = made.get(name)
    if node is None or node.op_type != "Concat":
        return ((name, False),)
    parts: list[Part] = []
    for item in node.input:
        above = made.get(item)
        negative = above is not None and above.op_type == "Neg"
        parts.append((above.input[0], True) if above is not None and negative else (item, False))
    return tuple(parts)


def _trees_before(node: NodeProto, made: dict[str, NodeProto]) -> bool:
    return any(one.op_type == TREES for one in _before(node.input, made))


def _before(
    names: Iterable[str], made: dict[str, NodeProto], stop: Sequence[str] = ()
) -> list[NodeProto]:
    """The nodes that these tensors depend on, as far as those where it stops."""
    seen, found, waiting = set(stop), [], list(names)
    while waiting:
        name = waiting.pop()
        if name in seen or name not in made:
            continue
        seen.update(made[name].output)
        found.append(made[name])
        waiting.extend(made[name].input)
    return found


def _piece(
    whole: ModelProto, nodes: list[NodeProto], takes: Sequence[str], gives: Sequence[str]
) -> bytes:
    """A model of some of the nodes, in their order, from and to matrices of doubles."""
    kept = {name for node in nodes for name in node.output}
    needed = {name for node in nodes for name in node.input}
    known = {item.name: item for item in [*whole.graph.input, *whole.graph.output]}
    piece = ModelProto(ir_version=whole.ir_version, opset_import=whole.opset_import)
    piece.graph.CopyFrom(
        GraphProto(
            name=whole.graph.name,
            node=[node for node in whole.graph.node if kept.intersection(node.output)],
            initializer=[item for item in whole.graph.initializer if item.name in needed],
            input=[known.get(name, _matrix(name)) for name in takes],
            output=[known.get(name, _matrix(name)) for name in gives],
        )
    )
    return bytes(piece.SerializeToString())


def _matrix(name: str) -> ValueInfoProto:
    """A matrix of doubles, of any size."""
    return helper.make_tensor_value_info(name, int(TensorProto.DOUBLE), [None, None])

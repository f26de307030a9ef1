"""Decide what a call and a state in the stream come to: a plain value, an array, or a node.

It must never call anything that the file names.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from propensia.admission import arrays, plain
from propensia.admission.arrays import Unfilled
from propensia.admission.machine import Machine, broken, forbidden
from propensia.admission.nodes import Global, Node
from propensia.admission.refusal import Refusal, shown

Args = tuple[object, ...]

_JOBLIB = ("joblib.numpy_pickle", "sklearn.externals.joblib.numpy_pickle")
_JOBLIB_OLD = ("joblib.numpy_pickle_compat", "sklearn.externals.joblib.numpy_pickle_compat")
_WRAPPERS = frozenset((module, "NumpyArrayWrapper") for module in _JOBLIB)
_OLD_WRAPPERS = frozenset(
    (module, name)
    for module in _JOBLIB + _JOBLIB_OLD
    for name in ("NDArrayWrapper", "ZNDArrayWrapper")
)
_WRAPPER_STATE = frozenset(
    {"subclass", "shape", "order", "dtype", "allow_mmap", "numpy_array_alignment_bytes"}
)
_ARRAY_CLASSES = frozenset(
    {
        ("numpy", "ndarray"),
        ("numpy", "memmap"),
        ("numpy", "matrix"),
        ("numpy.core.memmap", "memmap"),
        ("numpy.matrixlib.defmatrix", "matrix"),
    }
)
_PADDING = b"\xff"
# What CPython takes for them.
_NODE_BYTES, _TUPLE_BYTES, _PLACE_BYTES = 260, 64, 8


def call(machine: Machine, maker: object, args: object) -> object:
    """What ``maker(*args)`` stands for; a node, but for the few helpers of plain data."""
    if type(args) is not tuple:
        raise broken("una llamada sin argumentos", "a call without arguments")
    if type(maker) is Global:
        helper = _HELPERS.get((maker.module, maker.name))
        return node_of(machine, maker, args) if helper is None else helper(machine, args)
    if type(maker) is Node:
        # Keras calls a method that getattr gave; nothing calls what such a call gives.
        if type(maker.made_by) is Node:
            raise forbidden("una llamada de una llamada de otra", "a call of a call of a call")
        return node_of(machine, maker, args)
    raise forbidden("una llamada a un dato", "a call of a value")


def node_of(machine: Machine, maker: Global | Node, args: Args) -> Node:
    """A new node, paid for."""
    machine.budget.hold(_NODE_BYTES)
    return Node(maker, args)


def instance(machine: Machine, cls: object, args: object, kwargs: object = None) -> Node:
    """The node for ``cls.__new__(cls, *args, **kwargs)``; keyword arguments, if any, come last."""
    if type(cls) is not Global:
        raise forbidden("un objeto sin clase", "an object without a class")
    if type(args) is not tuple or not (kwargs is None or type(kwargs) is dict):
        raise broken("un objeto sin argumentos", "an object without arguments")
    if cls == arrays.NDARRAY:
        raise _bare_array()
    if kwargs:
        # A copy of a tuple that the file may give many times.
        machine.budget.hold(_PLACE_BYTES * len(args))
        args = (*args, kwargs)
    return node_of(machine, cls, args)


def changeable(target: object) -> Node:
    """``target`` if the file may add to it: an object it made, not a name, nor what getattr gave.

    Adding to a class would change it for the whole process of whoever loads the file. An array
    that holds objects (``arrays.objects_from``) has all its items from the start.
    """
    if type(target) is Node and type(target.made_by) is Global:
        if target.made_by.module != "builtins" and target.made_by != arrays.NDARRAY:
            return target
        raise Refusal("contenido_no_permitido", f"`{shown(target.name)}`")
    if type(target) is Global:
        name = shown(str(target))
        raise forbidden(f"un cambio de `{name}`", f"a change of `{name}`")
    kind = type(target).__name__
    raise forbidden(f"un cambio de un dato {kind}", f"a change of a value of type {kind}")


def build(machine: Machine, state: object) -> None:
    """Give ``state`` to the topmost value, as ``__setstate__`` would get it."""
    target = machine.top()
    if type(target) is Unfilled:
        budget = machine.budget
        if target.spec:
            machine.fill(arrays.dtype_from(target.spec, state, budget))
        else:
            machine.fill(arrays.array_from_state(state, budget))
        return
    node = changeable(target)
    if node.state is not None or state is None:
        raise forbidden("un objeto con dos estados", "an object with two states")
    node.state = state
    maker = node.made_by
    assert isinstance(maker, Global)
    if (maker.module, maker.name) in _WRAPPERS:
        machine.stack[-1] = _stored_array(machine, node)
    elif (maker.module, maker.name) in _OLD_WRAPPERS:
        raise Refusal(
            "formato_no_admitido",
            "sus matrices están en ficheros .npy aparte (joblib anterior a 0.10)",
            "its arrays are in .npy files beside it (joblib older than 0.10)",
        )


def _stored_array(machine: Machine, node: Node) -> object:
    """The array whose bytes joblib has put into the stream behind the wrapper ``node``."""
    state = node.state
    if type(state) is not dict or not _WRAPPER_STATE.issuperset(state):
        raise broken("una matriz de joblib sin descripción", "a joblib array not described")
    if machine.nested:
        raise forbidden("una matriz guardada dentro de otra", "an array stored within another")
    if machine.framed and machine.pos != machine.end:
        raise broken("una matriz dentro de un marco", "an array inside a frame")
    _check_class(state.get("subclass"))
    dtype, shape = state.get("dtype"), state.get("shape")
    size = arrays.size_of(dtype, shape)
    machine.framed, machine.end = False, len(machine.data)
    if isinstance(dtype, np.dtype) and dtype.kind == "O":
        value = machine.nested_value()
        if _shape(value) != shape:
            raise Refusal(
                "matriz_imposible",
                "su forma y sus objetos no cuadran",
                "its shape and objects disagree",
            )
        return value
    if state.get("numpy_array_alignment_bytes") is not None:
        length = machine.number(1)
        padding = machine.take(length)
        if padding != _PADDING * length:
            raise broken("el relleno de una matriz está dañado", "an array's padding is damaged")
    start = machine.pos
    if start + size > len(machine.data):
        raise machine.short(size)
    machine.pos = start + size
    # A view: the array's bytes are not copied.
    raw = memoryview(machine.data)[start : machine.pos]
    return arrays.array_from_bytes(raw, dtype, shape, state.get("order"), machine.budget)


def _shape(value: object) -> object:
    if isinstance(value, np.ndarray) and value.dtype.kind == "O":
        return value.shape
    if isinstance(value, Node) and value.made_by == arrays.NDARRAY:
        return value.args[0]
    return None


def _check_class(cls: object) -> None:
    if type(cls) is not Global or (cls.module, cls.name) not in _ARRAY_CLASSES:
        name = str(cls) if type(cls) is Global else type(cls).__name__
        raise Refusal("contenido_no_permitido", f"`{shown(name)}` (numpy)")


def _bare_array() -> Refusal:
    # No pickler makes one so, and a node of that name must have the items its shape says.
    return forbidden("una matriz `numpy.ndarray` sin datos", "a `numpy.ndarray` without data")


# The helpers of plain data, by the name that the file gives


def _ndarray(machine: Machine, args: Args) -> object:
    raise _bare_array()


def _array(machine: Machine, args: Args) -> object:
    _check_class(args[0] if args else None)
    machine.unfilled += 1
    return Unfilled()


def _dtype(machine: Machine, args: Args) -> object:
    announced = arrays.unfilled_dtype(args[0] if args else None)
    machine.unfilled += 1
    return announced


def _frombuffer(machine: Machine, args: Args) -> object:
    return arrays.array_from_buffer(args, machine.budget)


def _scalar(machine: Machine, args: Args) -> object:
    return arrays.scalar_from(args, machine.budget)


def _reconstructor(machine: Machine, args: Args) -> object:
    """``copyreg._reconstructor(cls, base, state)``, how protocols 0 and 1 make any object."""
    if len(args) != 3 or type(args[1]) is not Global or args[1].module != "builtins":
        raise broken("un objeto sin clase", "an object without a class")
    (cls, _, state), base = args, args[1]
    if base.name == "object":
        return instance(machine, cls, ())
    if base.name == "list" and type(state) is list:
        machine.budget.charge(len(state))
        machine.budget.hold(2 * _TUPLE_BYTES * len(state))
        node = instance(machine, cls, ())
        node.items = list(state)
        return node
    if base.name == "dict" and type(state) is dict:
        machine.budget.charge(len(state))
        machine.budget.hold(2 * _TUPLE_BYTES * len(state))
        node = instance(machine, cls, ())
        node.entries = list(state.items())
        return node
    return instance(machine, cls, (state,))


def _newobj(machine: Machine, args: Args) -> object:
    machine.budget.hold(_PLACE_BYTES * len(args))
    return instance(machine, args[0] if args else None, args[1:])


def _newobj_ex(machine: Machine, args: Args) -> object:
    if len(args) != 3:
        raise broken("un objeto sin argumentos", "an object without arguments")
    return instance(machine, *args)


_Helper = Callable[[Machine, Args], object]
_HELPERS: dict[tuple[str, str], _Helper] = {
    **plain.HELPERS,
    ("numpy", "dtype"): _dtype,
    ("numpy", "ndarray"): _ndarray,
    ("copyreg", "_reconstructor"): _reconstructor,
    ("copyreg", "__newobj__"): _newobj,
    ("copyreg", "__newobj_ex__"): _newobj_ex,
}
for _package in ("numpy.core", "numpy._core"):
    _HELPERS[f"{_package}.multiarray", "_reconstruct"] = _array
    _HELPERS[f"{_package}.multiarray", "scalar"] = _scalar
    _HELPERS[f"{_package}.numeric", "_frombuffer"] = _frombuffer

# Names that the machine itself understands, and that leave nothing of themselves in the value.
UNDERSTOOD = (
    frozenset(_HELPERS)
    | _WRAPPERS
    | _ARRAY_CLASSES
    | plain.CLASSES
    | {("builtins", name) for name in ("object", "list", "tuple", "int", "float", "str")}
)

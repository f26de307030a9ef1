"""Read a model file as data: one value made of the vocabulary of ``nodes``.

Nothing that the file names is ever imported, looked up or called.
"""

from __future__ import annotations

from propensia.admission.budget import Budget
from propensia.admission.calls import UNDERSTOOD
from propensia.admission.container import LIMIT_BYTES, RATIO, unpack
from propensia.admission.machine import Machine, broken
from propensia.admission.nodes import Global, walk
from propensia.admission.opcodes import TABLE
from propensia.admission.refusal import Refusal, shown


def read(data: bytes, *, limit_bytes: int = LIMIT_BYTES, ratio: int = RATIO) -> object:
    """What the file holds, as plain values, numpy arrays, number types and nodes.

    ``data`` is the whole file, compressed or not, by pickle (protocols 0 to 5) or joblib. Arrays
    are read-only, most of them views of the file's own bytes. Numpy's scalars come as Python's,
    ``bytearray`` as ``bytes``, ``OrderedDict`` and ``defaultdict`` as ``dict``, the labels of a
    pandas index as an array; an array that holds objects as a node (``arrays.objects_from``).
    Every name that the file mentions is somewhere in the value, so
    that ``nodes.walk`` finds it, but for the helpers of plain data.

    Errors: a ``Refusal``, and nothing else, whatever the bytes. Time is linear in the unpacked
    size; memory is at most three times that, and 192 MiB more where a file is made of small
    values (``budget``). Nesting of any depth is harmless here (the caller must not recurse).
    """
    raw = unpack(data, limit_bytes=limit_bytes, ratio=ratio)
    try:
        return _value(raw)
    except Refusal as refusal:
        # Every pickle ends in a STOP: zeros are the part of a file that a copy has reserved.
        if raw.endswith(b"\0") and refusal.code != "fichero_incompleto":
            raise Refusal("fichero_incompleto", "acaba en ceros", "it ends in zeros") from refusal
        raise


def _value(raw: bytes) -> object:
    budget = Budget.for_file(len(raw))
    machine = Machine(raw, TABLE, budget)
    value = machine.run()
    if machine.pos != len(raw):
        raise broken("sobran bytes tras el final", "bytes follow the end")
    _check_names(budget, value)
    return value


def _check_names(budget: Budget, value: object) -> None:
    """Refuse a name that the file mentions, and that a loader would import, but does not keep.

    So could a call hide whose result is thrown away.
    """
    hidden = {pair for pair in budget.names if pair not in UNDERSTOOD}
    if not hidden:
        return
    for item in walk(value):
        if type(item) is Global:
            hidden.discard((item.module, item.name))
    if hidden:
        raise Refusal("contenido_no_permitido", f"`{shown('.'.join(min(hidden)))}`")

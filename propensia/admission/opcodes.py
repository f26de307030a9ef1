"""The table of pickle's opcodes, protocols 0 to 5, each a few lines on a machine.

It must never accept an opcode that reaches outside the file: persistent ids, extension codes
and buffers are refused.
"""

from __future__ import annotations

import re

from propensia.admission.calls import build, call, changeable, instance
from propensia.admission.literals import LITERALS
from propensia.admission.machine import Handler, Machine, broken, forbidden
from propensia.admission.refusal import Refusal

_HIGHEST_PROTOCOL = 5
_LIST_BYTES, _TUPLE_BYTES, _PLACE_BYTES = 80, 64, 9
_DICT_BYTES, _FIRST_ENTRY_BYTES, _ENTRY_BYTES = 88, 160, 80
_SET_BYTES, _MEMBER_BYTES = 240, 64
_PLACE = re.compile(rb"[0-9]{1,9}")


def _unknown(machine: Machine) -> None:
    raise machine.unknown()


# Structure of the stream


def _proto(machine: Machine) -> None:
    first = machine.pos == machine.start + 1
    machine.protocol = machine.number(1)
    if machine.protocol > _HIGHEST_PROTOCOL:
        raise Refusal(
            "formato_no_admitido",
            f"protocolo {machine.protocol} de pickle",
            f"pickle protocol {machine.protocol}",
        )
    if not first:
        raise broken("anuncia su protocolo dos veces", "it announces its protocol twice")


def _frame(machine: Machine) -> None:
    if machine.framed:
        raise broken("un marco dentro de otro", "a frame inside another")
    length = machine.number(8)
    if length > machine.end - machine.pos:
        raise machine.short(length)
    machine.end = machine.pos + length
    machine.framed = True


def _mark(machine: Machine) -> None:
    machine.mark()


def _pop(machine: Machine) -> None:
    if machine.stack:
        machine.stack.pop()
    else:
        machine.pop_mark()


def _pop_mark(machine: Machine) -> None:
    machine.pop_mark()


# Containers: what CPython takes for an empty one, and for each of its members


def _tuple_of(machine: Machine, values: list[object]) -> None:
    machine.push(tuple(values), _TUPLE_BYTES + _PLACE_BYTES * len(values))


def _tuple(machine: Machine) -> None:
    _tuple_of(machine, machine.pop_mark())


def _tuple1(machine: Machine) -> None:
    _tuple_of(machine, [machine.pop()])


def _tuple2(machine: Machine) -> None:
    second, first = machine.pop(), machine.pop()
    _tuple_of(machine, [first, second])


def _tuple3(machine: Machine) -> None:
    third, second, first = machine.pop(), machine.pop(), machine.pop()
    _tuple_of(machine, [first, second, third])


def _empty_list(machine: Machine) -> None:
    machine.push([], _LIST_BYTES)


def _list(machine: Machine) -> None:
    values = machine.pop_mark()
    machine.push(values, _LIST_BYTES + _PLACE_BYTES * len(values))


def _append(machine: Machine) -> None:
    _extend(machine, [machine.pop()])


def _appends(machine: Machine) -> None:
    _extend(machine, machine.pop_mark())


def _extend(machine: Machine, values: list[object]) -> None:
    target = machine.top()
    machine.budget.hold(_PLACE_BYTES * len(values))
    if type(target) is list:
        target.extend(values)
    else:
        changeable(target).items.extend(values)


def _empty_dict(machine: Machine) -> None:
    machine.push({}, _DICT_BYTES)


def _dict(machine: Machine) -> None:
    values = machine.pop_mark()
    _empty_dict(machine)
    _update(machine, values)


def _setitem(machine: Machine) -> None:
    value, key = machine.pop(), machine.pop()
    _update(machine, [key, value])


def _setitems(machine: Machine) -> None:
    _update(machine, machine.pop_mark())


def _update(machine: Machine, values: list[object]) -> None:
    target = machine.top()
    if len(values) % 2:
        raise broken("una clave sin valor", "a key without a value")
    machine.budget.hold(_ENTRY_BYTES * (len(values) // 2))
    pairs = zip(values[::2], values[1::2], strict=True)
    if type(target) is dict:
        if not target:
            machine.budget.hold(_FIRST_ENTRY_BYTES)
        for key, value in pairs:
            target[machine.key(key)] = value
    else:
        changeable(target).entries.extend(pairs)


def _empty_set(machine: Machine) -> None:
    machine.push(set(), _SET_BYTES)


def _additems(machine: Machine) -> None:
    values = machine.pop_mark()
    target = machine.top()
    machine.budget.hold(_MEMBER_BYTES * len(values))
    if type(target) is set:
        target.update([machine.key(value) for value in values])
    else:
        changeable(target).items.extend(values)


def _frozenset(machine: Machine) -> None:
    values = machine.pop_mark()
    size = _SET_BYTES + _MEMBER_BYTES * len(values)
    machine.push(frozenset([machine.key(value) for value in values]), size)


# Memo


def _place(machine: Machine) -> int:
    text = machine.line()
    if not _PLACE.fullmatch(text):
        raise broken("un número mal escrito", "a number badly written")
    return int(text)


def _put(machine: Machine) -> None:
    machine.remember(_place(machine))


def _binput(machine: Machine) -> None:
    machine.remember(machine.number(1))


def _long_binput(machine: Machine) -> None:
    machine.remember(machine.number(4))


def _memoize(machine: Machine) -> None:
    machine.memoize()


def _get(machine: Machine) -> None:
    machine.recall(_place(machine))


def _binget(machine: Machine) -> None:
    machine.recall(machine.number(1))


def _long_binget(machine: Machine) -> None:
    machine.recall(machine.number(4))


def _dup(machine: Machine) -> None:
    machine.again(machine.top())


# Names and objects


def _name_line(machine: Machine) -> str:
    try:
        return machine.line().decode("utf-8")
    except UnicodeDecodeError:
        raise forbidden("un nombre que no es texto", "a name that is not text") from None


def _global(machine: Machine) -> None:
    module = _name_line(machine)
    machine.push(machine.name(module, _name_line(machine)))


def _stack_global(machine: Machine) -> None:
    name, module = machine.pop(), machine.pop()
    machine.push(machine.name(module, name))


def _reduce(machine: Machine) -> None:
    args, maker = machine.pop(), machine.pop()
    machine.push(call(machine, maker, args))


def _build(machine: Machine) -> None:
    build(machine, machine.pop())


def _inst(machine: Machine) -> None:
    module = _name_line(machine)
    cls = machine.name(module, _name_line(machine))
    machine.push(call(machine, cls, tuple(machine.pop_mark())))


def _obj(machine: Machine) -> None:
    values = machine.pop_mark()
    if not values:
        raise forbidden("un objeto sin clase", "an object without a class")
    machine.push(call(machine, values[0], tuple(values[1:])))


def _newobj(machine: Machine) -> None:
    args, cls = machine.pop(), machine.pop()
    machine.push(instance(machine, cls, args))


def _newobj_ex(machine: Machine) -> None:
    kwargs, args, cls = machine.pop(), machine.pop(), machine.pop()
    machine.push(instance(machine, cls, args, kwargs))


def _outside(name: str) -> Handler:
    def refuse(machine: Machine) -> None:
        raise forbidden(
            f"una referencia fuera del fichero ({name})", f"a reference outside the file ({name})"
        )

    return refuse


# STOP is not here: the machine's own loop ends at it.
_OPCODES: dict[bytes, Handler] = LITERALS | {
    b"\x80": _proto,
    b"\x95": _frame,
    b"(": _mark,
    b"0": _pop,
    b"1": _pop_mark,
    b"2": _dup,
    b"t": _tuple,
    b"\x85": _tuple1,
    b"\x86": _tuple2,
    b"\x87": _tuple3,
    b"]": _empty_list,
    b"l": _list,
    b"a": _append,
    b"e": _appends,
    b"}": _empty_dict,
    b"d": _dict,
    b"s": _setitem,
    b"u": _setitems,
    b"\x8f": _empty_set,
    b"\x90": _additems,
    b"\x91": _frozenset,
    b"p": _put,
    b"q": _binput,
    b"r": _long_binput,
    b"\x94": _memoize,
    b"g": _get,
    b"h": _binget,
    b"j": _long_binget,
    b"c": _global,
    b"\x93": _stack_global,
    b"R": _reduce,
    b"b": _build,
    b"i": _inst,
    b"o": _obj,
    b"\x81": _newobj,
    b"\x92": _newobj_ex,
    b"P": _outside("PERSID"),
    b"Q": _outside("BINPERSID"),
    b"\x82": _outside("EXT1"),
    b"\x83": _outside("EXT2"),
    b"\x84": _outside("EXT4"),
    b"\x97": _outside("NEXT_BUFFER"),
    b"\x98": _outside("READONLY_BUFFER"),
}
TABLE: list[Handler] = [_OPCODES.get(bytes([code]), _unknown) for code in range(256)]

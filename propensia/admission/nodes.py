"""What a model file says, as plain values: the vocabulary between the reader and the compiler.

Nothing here ever imports, builds or calls what a file names.

A file read as data is made of ``None``, ``bool``, ``int``, ``float``, ``str``, ``bytes``,
``list``, ``tuple``, ``dict``, ``set``, numpy arrays of plain numbers or text, and the two
classes below.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Global:
    """A name that the file mentions, ``module`` and ``name``; it is never looked up."""

    module: str
    name: str

    def __str__(self) -> str:
        return f"{self.module}.{self.name}"


@dataclass(slots=True, eq=False)
class Node:
    """An object that the file describes and that was never made.

    ``made_by`` is the class or function named by the file (or, for a call of the result of a
    call, another node); ``args`` what it would have been called with; ``state`` what would have
    been given to ``__setstate__`` (``None`` when there was none); ``items`` what would have been
    appended; ``entries`` what would have been set by key.

    Invariant: ``state`` is a plain value. Nothing in it was, or may be, executed.
    """

    made_by: Global | Node
    args: tuple[object, ...] = ()
    state: object = None
    items: list[object] = field(default_factory=list)
    entries: list[tuple[object, object]] = field(default_factory=list)

    @property
    def name(self) -> str:
        """``module.name`` of what made it; a call of a call gives the innermost name."""
        maker = self.made_by
        while isinstance(maker, Node):
            maker = maker.made_by
        return str(maker)

    def attributes(self) -> dict[str, object]:
        """The instance attributes that the file gives, by name; empty when there are none."""
        if isinstance(self.state, dict):
            return {key: value for key, value in self.state.items() if isinstance(key, str)}
        return {}


def children(value: object) -> Iterator[object]:
    """The values directly inside a value, in file order."""
    if isinstance(value, Node):
        yield value.made_by
        yield from value.args
        yield value.state
        yield from value.items
        for key, item in value.entries:
            yield key
            yield item
    elif isinstance(value, dict):
        for key, item in value.items():
            yield key
            yield item
    elif isinstance(value, list | tuple | set | frozenset):
        yield from value


def walk(root: object) -> Iterator[object]:
    """Every value reachable from ``root``, each shared object once, without recursion."""
    seen: set[int] = set()
    stack = [root]
    while stack:
        value = stack.pop()
        if isinstance(value, Node | dict | list | tuple | set | frozenset):
            if id(value) in seen:
                continue
            seen.add(id(value))
            stack.extend(children(value))
        yield value

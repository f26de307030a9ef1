"""Runs a command under the calls that a systemd unit leaves to it, where no systemd runs.

``python under_unit.py UNIT COMMAND…``. It reads the unit and asks ``systemd-analyze`` what its
groups of calls hold; it must never be laxer than systemd would be.
"""

from __future__ import annotations

import ctypes
import errno
import os
import re
import socket
import struct
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

NUMBERS = Path("/usr/include/x86_64-linux-gnu/asm/unistd_64.h")
MAP_WRITE, MAP_EXEC = 2, 4
NAMESPACES = {"user": 0x10000000, "net": 0x40000000, "mnt": 0x20000, "pid": 0x20000000}
NAMESPACES |= {"uts": 0x4000000, "ipc": 0x8000000, "cgroup": 0x2000000}
LOAD, EQUAL, ANY_BIT, RETURN = 0x20, 0x15, 0x45, 0x06
ALLOW, REFUSE, ABSENT = 0x7FFF0000, 0x00050000 | errno.EPERM, 0x00050000 | errno.ENOSYS
Step = tuple[int, int, int, int]


def words(unit: str, key: str) -> list[list[str]]:
    """The values of each line of that key."""
    return [line.split() for line in re.findall(rf"^{key}=(.*)$", unit, re.MULTILINE)]


def allowed(unit: str) -> set[str]:
    """The names of the calls that the lines of ``SystemCallFilter`` leave, one after the other."""
    names: set[str] = set()
    for first, *rest in words(unit, "SystemCallFilter"):
        listed = {name for word in (first.lstrip("~"), *rest) for name in _expanded(word)}
        names = names - listed if first.startswith("~") else names | listed
    return names | set(_expanded("@default"))


def _expanded(word: str) -> Iterable[str]:
    if not word.startswith("@"):
        return [word]
    line = ["systemd-analyze", "--no-pager", "syscall-filter", word]
    text = subprocess.run(line, capture_output=True, text=True, check=True).stdout
    found = (part.strip() for part in text.splitlines()[1:])
    return [n for part in found if part and part[0] != "#" for n in _expanded(part)]


def program(unit: str) -> list[Step]:
    """The filter, as the kernel runs it."""
    table = dict(re.findall(r"^#define __NR_(\w+)\s+(\d+)$", NUMBERS.read_text(), re.MULTILINE))
    numbers = {name: int(table[name]) for name in allowed(unit) if name in table}
    steps: list[Step] = [(LOAD, 0, 0, 0)]
    # clone3 hides its flags behind a pointer: systemd refuses it wherever it restricts them.
    steps += [(EQUAL, 0, 1, numbers.pop("clone3")), (RETURN, 0, 0, ABSENT)]
    ((*namespaces,),) = words(unit, "RestrictNamespaces")
    forbidden = sum(flag for name, flag in NAMESPACES.items() if name not in namespaces)
    for name in ("unshare", "clone"):
        steps += _unless(numbers[name], 0, [(ANY_BIT, 0, 1, forbidden)])
    ((*families,),) = words(unit, "RestrictAddressFamilies")
    known = [int(getattr(socket, family)) for family in families]
    tests: list[Step] = [(EQUAL, len(known) - i, 0, number) for i, number in enumerate(known)]
    steps += _unless(numbers.pop("socket"), 0, tests, allow=True)
    if words(unit, "MemoryDenyWriteExecute") == [["yes"]]:
        steps += _unless(numbers["mprotect"], 2, [(ANY_BIT, 0, 1, MAP_EXEC)])
        both = [(ANY_BIT, 0, 2, MAP_EXEC), (ANY_BIT, 0, 1, MAP_WRITE)]
        steps += _unless(numbers["mmap"], 2, both)
    for number in sorted(numbers.values()):
        steps += [(EQUAL, 0, 1, number), (RETURN, 0, 0, ALLOW)]
    return [*steps, (RETURN, 0, 0, REFUSE)]


def _unless(call: int, argument: int, tests: list[Step], allow: bool = False) -> list[Step]:
    """For one call: load an argument; the tests go on to a refusal, or jump one further. With
    ``allow`` a test that holds jumps over the refusal to a permission."""
    steps = [(LOAD, 0, 0, 16 + 8 * argument), *tests, (RETURN, 0, 0, REFUSE)]
    steps += [(RETURN, 0, 0, ALLOW)] if allow else []
    return [(EQUAL, 0, len(steps) + 1, call), *steps, (LOAD, 0, 0, 0)]


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("steps", ctypes.c_char_p))


def main(unit: Path, command: list[str]) -> None:
    """Put the filter on and become the command."""
    code = [struct.pack("=HBBI", *step) for step in program(unit.read_text(encoding="utf-8"))]
    whole = _Program(len(code), b"".join(code))
    library = ctypes.CDLL(None, use_errno=True)
    if library.prctl(38, 1, 0, 0, 0) or library.prctl(22, 2, ctypes.byref(whole)):
        sys.exit(f"no filter: {os.strerror(ctypes.get_errno())}")
    os.execvp(command[0], command)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])

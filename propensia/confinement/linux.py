"""The kernel calls of Linux that Python has no name for, made through the C library.

Each gives whether it took effect; none raises where the kernel lacks or refuses something.
"""

from __future__ import annotations

import ctypes
import os
import platform
from pathlib import Path
from typing import Any

# The machines that are known here; a table of call numbers has a column for each, in this order.
MACHINES = ("x86_64", "aarch64")

_CLONE_NEWUSER, _CLONE_NEWNET = 0x10000000, 0x40000000
_PR_SET_NO_NEW_PRIVS = 38
_CAPGET, _CAPSET = (125, 90), (126, 91)
_CAPABILITY_VERSION = 0x20080522
# So that root still reads a Python installation of another account; Landlock draws the line.
_DAC_OVERRIDE = 1 << 1


def column() -> int | None:
    """Which column of a table of call numbers is this machine's; ``None`` for another machine."""
    # A 32-bit Python has the numbers of a 32-bit kernel.
    known = platform.machine() in MACHINES and ctypes.sizeof(ctypes.c_void_p) == 8
    return MACHINES.index(platform.machine()) if known else None


def call(number: int, *arguments: Any) -> int:
    """What a system call returns, -1 where it fails; whole numbers are handed over in full."""
    library = ctypes.CDLL(None, use_errno=True)
    wide = [ctypes.c_long(a) if isinstance(a, int) else a for a in arguments]
    return int(library.syscall(ctypes.c_long(number), *wide))


def threads() -> int:
    """How many threads this process has; 0 where the kernel does not say."""
    try:
        return len(list(Path("/proc/self/task").iterdir()))
    except OSError:
        return 0


def leave_network() -> bool:
    """Put this thread into a network of its own without any device."""
    flags = _CLONE_NEWNET if os.geteuid() == 0 else _CLONE_NEWNET | _CLONE_NEWUSER
    return bool(ctypes.CDLL(None, use_errno=True).unshare(flags) == 0)


def forbid_new_privileges() -> bool:
    """No program that this process might become gets more rights; what other layers need."""
    zeros = [ctypes.c_ulong(0)] * 3
    library = ctypes.CDLL(None, use_errno=True)
    return bool(library.prctl(_PR_SET_NO_NEW_PRIVS, ctypes.c_ulong(1), *zeros) == 0)


def drop_privileges() -> bool:
    """Give up the capabilities of this thread, root's too, and the way to new ones."""
    place = column()
    if place is None:
        return forbid_new_privileges()
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION, 0)
    # Twice (for the lower and the upper 32): effective, permitted, inheritable.
    held = (ctypes.c_uint32 * 6)()
    if call(_CAPGET[place], header, held) != 0:
        return False
    kept = held[1] & _DAC_OVERRIDE if os.geteuid() == 0 else 0
    wanted = (ctypes.c_uint32 * 6)(kept, kept, 0, 0, 0, 0)
    return call(_CAPSET[place], header, wanted) == 0 and forbid_new_privileges()

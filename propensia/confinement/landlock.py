"""Landlock: the files that this process may still open, by a rule of the Linux kernel.

It never widens anything, and knows nothing of what the files are for. Numbers and structures
are those of ``include/uapi/linux/landlock.h``; see also ``landlock(7)``.
"""

from __future__ import annotations

import ctypes
import os
import stat
import struct
from collections.abc import Sequence
from pathlib import Path

from propensia.confinement import linux

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446  # the same on every machine
_VERSION_ONLY = 1
_PATH_BENEATH = 1
_WRITE_FILE, _READ_FILE, _READ_DIR = 1 << 1, 1 << 2, 1 << 3
_REMOVE_DIR, _REMOVE_FILE, _MAKE_DIR, _MAKE_REG = 1 << 4, 1 << 5, 1 << 7, 1 << 8
_TRUNCATE = 1 << 14
_READ = _READ_FILE | _READ_DIR
_OWN = _READ | _WRITE_FILE | _REMOVE_DIR | _REMOVE_FILE | _MAKE_DIR | _MAKE_REG | _TRUNCATE
_ON_A_FILE = _READ_FILE | _WRITE_FILE | _TRUNCATE
# How many kinds of access to files each version of the interface knows, from version 1 on.
_FILE_RIGHTS = (13, 14, 15, 15, 16)
_BOTH_TCP_RIGHTS = 3  # to bind and to connect
_BOTH_SCOPES = 3  # abstract sockets and signals
_NETWORK_SINCE, _SCOPES_SINCE = 4, 6


def version() -> int:
    """The version of the interface that the kernel offers; 0 for none."""
    return max(0, linux.call(_CREATE_RULESET, None, 0, _VERSION_ONLY))


def restrict(readable: Sequence[str], folder: Path | None) -> bool:
    """Leave this thread, and those that it starts, with what lies below these paths.

    ``readable`` may be read, not run; in ``folder`` files may also be made, written and removed;
    ``/dev/null`` may be written. Everything else cannot be opened, TCP ports cannot be used and
    no process outside can be signalled, as far as the kernel's version goes. A path that does
    not exist is left out. Returns whether it is on; ``no_new_privs`` is set for it.
    """
    offered = version()
    if not offered or not linux.forbid_new_privileges():
        return False
    files = (1 << _FILE_RIGHTS[min(offered, len(_FILE_RIGHTS)) - 1]) - 1
    parts = [files]
    if offered >= _NETWORK_SINCE:
        parts.append(_BOTH_TCP_RIGHTS)
    if offered >= _SCOPES_SINCE:
        parts.append(_BOTH_SCOPES)
    attributes = struct.pack(f"={len(parts)}Q", *parts)
    ruleset = linux.call(_CREATE_RULESET, ctypes.c_char_p(attributes), len(attributes), 0)
    if ruleset < 0:
        return False
    try:
        for path in readable:
            _allow(ruleset, path, _READ & files)
        _allow(ruleset, os.devnull, (_READ_FILE | _WRITE_FILE) & files)
        if folder is not None:
            _allow(ruleset, str(folder), _OWN & files)
        return linux.call(_RESTRICT_SELF, ruleset, 0) == 0
    finally:
        os.close(ruleset)


def _allow(ruleset: int, path: str, access: int) -> None:
    try:
        place = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return
    try:
        if not stat.S_ISDIR(os.fstat(place).st_mode):
            access &= _ON_A_FILE
        rule = struct.pack("=Qi", access, place)
        linux.call(_ADD_RULE, ruleset, _PATH_BENEATH, ctypes.c_char_p(rule), 0)
    finally:
        os.close(place)

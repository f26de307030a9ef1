"""A first child of an admission that dies as the dropped file says, for tests of its parent."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from pathlib import Path

how = (Path(sys.argv[1]) / "model.pkl").read_text(encoding="ascii")
if how == "SIGSEGV":
    ctypes.string_at(0)
elif how == "SIGXCPU":
    while True:
        pass
elif how == "memory":
    bytearray(1 << 30)
elif how == "exit":
    sys.exit(3)
elif how != "silence":
    os.kill(os.getpid(), signal.Signals[how])

"""Processes that misbehave, to test what bounds them: ``python -m tests.children HOW``."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path


def main(how: str, *rest: str) -> None:
    """Misbehave as asked."""
    if how == "sleep":
        time.sleep(600)
    elif how == "shout":
        sys.stderr.write("x" * 5_000_000 + "end")
        raise SystemExit(3)
    elif how == "grandchild":  # it holds our error output, and outlives us
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
        Path(rest[0]).write_text(str(child.pid), encoding="utf-8")
        if rest[1] == "wait":
            time.sleep(600)
    else:
        from propensia.confinement import confine

        folder = Path(rest[0]).parent if rest else None
        layers = confine(memory_mb=512, cpu_s=1 if how == "spin" else 60, file_mb=1, folder=folder)
        print(layers, file=sys.stderr)
        if how == "spin":
            while True:
                pass
        elif how == "memory":
            sys.stdout.write(str(len(bytearray(2 << 30))))
        elif how == "file":
            Path(rest[0]).write_bytes(b"x" * (4 << 20))


if __name__ == "__main__":
    main(*sys.argv[1:])

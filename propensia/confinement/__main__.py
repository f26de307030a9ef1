"""Starts a module of the package shut in: ``python -m propensia.confinement MODULE FOLDER``.

The module itself is imported, and reads its first byte, only once every layer is on: a library
that starts threads of its own would keep them outside.
"""

from __future__ import annotations

import json
import runpy
import sys
from pathlib import Path

from propensia.confinement import confine


def main(module: str, folder: Path) -> None:
    """Confine this process to the folder by the ``limits`` in its ``request.json`` and to the
    ``readable`` files there, and run the module as the main one; its arguments are the folder
    and the names of the layers."""
    request = json.loads((folder / "request.json").read_text(encoding="utf-8"))
    limits, readable = request["limits"], request["readable"]
    layers = confine(**limits, readable=readable, folder=folder)
    sys.argv = [module, str(folder), *layers]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))

"""Environments with old library versions, made by uv, and the files that they wrote.

The files are kept between runs in the user's cache folder.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

COLUMNS = tuple(f"C{number:02}" for number in range(16))
# The beginning of every script: the folder to write to, 4,000 rows and their labels.
ROWS_PY = """
import sys, warnings
from pathlib import Path
import joblib, numpy as np
warnings.simplefilter("ignore")
out = Path(sys.argv[1])
random = np.random.default_rng(11)
rows = np.column_stack([random.lognormal(4, 1, (4000, 4)).round(2),
                        random.integers(0, 10, (4000, 12))]).astype(float)
labels = (np.log(rows[:, 0] + 1) + rows[:, 5] / 3 + random.normal(size=4000) > 5.7).astype(int)
"""


def cache_folder() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or os.environ.get("LOCALAPPDATA")
    return (Path(base) if base else Path.home() / ".cache") / "propensia-tests"


def run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, encoding="utf-8", check=False)
    assert done.returncode == 0, done.stderr[-3000:]


def files_of(requirements: list[str], script: str) -> Path:
    """The folder with the files that a script wrote in an environment of its own."""
    return folders_of(requirements, {"files": script}) / "files"


def folders_of(requirements: list[str], scripts: Mapping[str, str]) -> Path:
    """The folder in which several scripts wrote files, each into the folder of its name."""
    parts = [*requirements, *(part for script in scripts.items() for part in script)]
    key = hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]
    folder = cache_folder() / key
    if folder.is_dir():
        return folder
    uv = shutil.which("uv")
    if uv is None:
        pytest.skip("uv is not on the path: no environment with an old library can be made")
    work = folder.with_name(f"{key}.{os.getpid()}")
    python = work / "env" / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
    try:
        run([uv, "venv", "--quiet", "--python", "3.11", str(work / "env")])
        run([uv, "pip", "install", "--quiet", "--python", str(python), *requirements])
        for name, script in scripts.items():
            (work / "files" / name).mkdir(parents=True)
            (work / f"{name}.py").write_text(script, encoding="utf-8")
            run([str(python), str(work / f"{name}.py"), str(work / "files" / name)])
        (work / "files").rename(folder)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return folder

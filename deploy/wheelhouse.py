# /// script
# requires-python = ">=3.11"
# dependencies = ["packaging>=24", "pip>=25"]
# ///
"""Builds a folder of wheels from which Propensia is installed without internet.

    uv run --script deploy/wheelhouse.py OUT [--platform linux|windows] [--python 3.11|3.12|3.13]

It takes exactly what ``uv.lock`` names, checked by its hashes, and never builds from source code
of others. With the wheels go the scripts that install them and the pages that say how. Run it
where there is internet; carry OUT to the site.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from packaging.markers import Marker

ROOT = Path(__file__).resolve().parent.parent
# Of glibc 2.28 (RHEL 8, Debian 10) at most; pip takes only the tags that it is told.
PLATFORMS = {
    "linux": [f"manylinux_2_{n}_x86_64" for n in range(28, 4, -1)]
    + ["manylinux2014_x86_64", "manylinux2010_x86_64", "manylinux1_x86_64"],
    "windows": ["win_amd64"],
}
PYTHONS = ("3.11", "3.12", "3.13")
# What markers ask about a machine (PEP 508), as it is there and not here.
MACHINES = {
    "linux": {"sys_platform": "linux", "platform_system": "Linux", "os_name": "posix"}
    | {"platform_machine": "x86_64"},
    "windows": {"sys_platform": "win32", "platform_system": "Windows", "os_name": "nt"}
    | {"platform_machine": "AMD64"},
}
LIST = "SHA256SUMS"
CARRIED = ("deploy", "docs", "CHANGELOG.md", "LICENSE", "NOTICE", "README.md", "SECURITY.md")
SBOM = ("--no-default-groups", "--format", "cyclonedx1.5")  # what is in it, for auditors


def main(arguments: Sequence[str] | None = None) -> None:
    """Build the folder that was asked for; ends with what a failing tool ended with."""
    asked = _parsed(arguments)
    out: Path = asked.out.resolve()
    out.mkdir(parents=True, exist_ok=True)
    export = ["uv", "export", "--locked", "--quiet", "--no-header", "--no-emit-project"]
    _run(*export, "--no-default-groups", "--output-file", str(out / "requirements.txt"))
    locked = (out / "requirements.txt").read_text(encoding="utf-8")
    for platform in asked.platform or PLATFORMS:
        for python in asked.python or PYTHONS:
            _download(out, requirements(locked, platform, python), platform, python)
    _run(*export[:4], *SBOM, "--output-file", str(out / "propensia.cdx.json"))
    _run("uv", "build", "--quiet", "--wheel", "--out-dir", str(out))
    (out / ".gitignore").unlink(missing_ok=True)  # which uv leaves there
    carry(out)
    names = write_list(out)
    print(f"{len(names)} ficheros en {out}; compruebe allí: sha256sum -c {LIST}")


def _parsed(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("out", type=Path, metavar="OUT", help="folder to fill")
    parser.add_argument("--platform", action="append", choices=list(PLATFORMS), help="[all]")
    parser.add_argument("--python", action="append", choices=PYTHONS, help="[all]")
    return parser.parse_args(arguments)


def requirements(locked: str, platform: str, python: str) -> str:
    """The lines of an export that hold on that platform and Python, without their markers: pip
    would ask them of the machine that it runs on."""
    asked: Mapping[str, str] = MACHINES[platform] | {
        "python_version": python,
        "python_full_version": f"{python}.0",
        "implementation_name": "cpython",
        "platform_python_implementation": "CPython",
        "extra": "",
    }
    kept = []
    for block in re.split(r"\n(?=[A-Za-z0-9])", locked):
        block = re.sub(r"^\s*#.*\n?", "", block, flags=re.MULTILINE)
        first, _, hashes = block.partition("\\\n")
        name, _, marker = first.partition(";")
        if name.strip() and (not marker.strip() or Marker(marker.strip()).evaluate(dict(asked))):
            kept.append(f"{name.strip()} \\\n{hashes.rstrip()}\n")
    return "".join(kept)


def _download(out: Path, wanted: str, platform: str, python: str) -> None:
    print(f"{platform}, Python {python}…", flush=True)
    file = out / f"requirements-{platform}-{python}.txt"
    file.write_text(wanted, encoding="utf-8", newline="\n")
    try:
        _run(
            *(sys.executable, "-m", "pip", "download", "--quiet", "--dest", str(out)),
            *("--no-deps", "--only-binary", ":all:", "--require-hashes", "-r", str(file)),
            *("--python-version", python, "--implementation", "cp"),
            *(word for tag in PLATFORMS[platform] for word in ("--platform", tag)),
        )
    finally:
        file.unlink()


def carry(out: Path) -> None:
    """Copy what a site needs beside the wheels: scripts, samples, pages, licence."""
    for name in CARRIED:
        source, target = ROOT / name, out / name
        if source.is_dir():
            unmade = shutil.ignore_patterns("__pycache__")
            shutil.copytree(source, target, ignore=unmade, dirs_exist_ok=True)
        else:
            shutil.copy2(source, target)


def write_list(out: Path) -> list[str]:
    """Write the list of digests, as ``sha256sum`` reads it; the names in it."""
    found = (path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file())
    names = sorted(name for name in found if name != LIST)
    lines = [f"{_digest(out / name)}  {name}\n" for name in names]
    (out / LIST).write_text("".join(lines), encoding="utf-8", newline="\n")
    return names


def _digest(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _run(*command: str) -> None:
    done = subprocess.run(command, cwd=ROOT, env=dict(os.environ), check=False)
    if done.returncode:
        sys.exit(done.returncode)


if __name__ == "__main__":
    main()

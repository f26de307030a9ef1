"""What is installed to run the service may be used by anybody: licences, one by one.

It reads the metadata of the packages that are installed here, never the network.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from importlib.metadata import distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement

PROJECT = Path(__file__).resolve().parent.parent / "pyproject.toml"

# As SPDX expressions name them.
ALLOWED = {"MIT", "BSD-2-Clause", "BSD-3-Clause", "Apache-2.0", "PSF-2.0", "MPL-2.0"}
# As older packages write them in ``License`` or in their classifiers.
OLD_NAMES = {
    "MIT License": "MIT",
    "BSD License": "BSD-3-Clause",
    "3-Clause BSD License": "BSD-3-Clause",
    "Apache 2.0": "Apache-2.0",
    "Apache Software License": "Apache-2.0",
    "Python Software Foundation License": "PSF-2.0",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
}
BY_NAME = {
    # MIT without even the duty to keep the notice.
    "cffi": {"MIT-0"},
    # Permissive as the BSD licences, approved by the OSI; it only asks to keep the notice.
    "waitress": {"Zope Public License"},
    # Parts of its C code: as permissive, or free of any condition.
    "numpy": {"0BSD", "Zlib", "CC0-1.0"},
}


def runtime() -> dict[str, Mapping[str, list[str]]]:
    """The metadata of every package that ``pip install propensia`` brings to this system."""
    declared = tomllib.loads(PROJECT.read_text(encoding="utf-8"))["project"]["dependencies"]
    waiting = [(Requirement(text), "") for text in declared]
    found: dict[str, Mapping[str, list[str]]] = {}
    extras: set[tuple[str, str]] = set()
    while waiting:
        needed, extra = waiting.pop()
        name = re.sub(r"[-_.]+", "-", needed.name).lower()
        wanted = {(name, asked) for asked in ("", *needed.extras)} - extras
        if (needed.marker and not needed.marker.evaluate({"extra": extra})) or not wanted:
            continue
        extras |= wanted
        package = distribution(name)
        fields = ("License-Expression", "License", "Classifier")
        found[name] = {field: package.metadata.get_all(field) or [] for field in fields}
        for _, asked in wanted:
            waiting += [(Requirement(text), asked) for text in package.requires or []]
    return found


def licences(metadata: Mapping[str, list[str]]) -> set[str]:
    """Every licence that a package names: its expression, else its classifiers, else its text."""
    if metadata["License-Expression"]:
        return set(re.findall(r"[\w.+-]+", metadata["License-Expression"][0])) - {"AND", "OR"}
    kinds = [text for text in metadata["Classifier"] if text.startswith("License :: ")]
    names = [text.rpartition(" :: ")[2] for text in kinds] or metadata["License"][:1]
    return {OLD_NAMES.get(name, name) for name in names}


RUNTIME = runtime()


@pytest.mark.parametrize("name", sorted(RUNTIME))
def test_a_package_that_the_service_needs_has_a_licence_that_is_allowed(name: str) -> None:
    found = licences(RUNTIME[name])
    assert found, f"{name} names no licence"
    assert found <= ALLOWED | BY_NAME.get(name, set()), f"{name}: {found - ALLOWED}"


def test_the_packages_of_packages_are_looked_at_too() -> None:
    """``protobuf`` comes with ``onnx``, ``scipy`` with scikit-learn; extras and tests do not."""
    assert {"flask", "onnx", "protobuf", "scipy", "numpy", "markupsafe"} <= set(RUNTIME)
    assert not {"pytest", "hypothesis", "sphinx", "tensorflow"} & set(RUNTIME)


def test_every_exception_is_still_needed() -> None:
    for name, allowed in BY_NAME.items():
        assert allowed == licences(RUNTIME[name]) - ALLOWED


@pytest.mark.parametrize(
    ("metadata", "wanted"),
    [
        ({"License-Expression": ["MIT AND (GPL-3.0-only OR MIT)"]}, {"GPL-3.0-only"}),
        ({"License-Expression": ["Apache-2.0 WITH LLVM-exception"]}, {"WITH", "LLVM-exception"}),
        ({"Classifier": ["License :: OSI Approved :: GNU Affero GPL"]}, {"GNU Affero GPL"}),
        ({"License": ["Proprietary"]}, {"Proprietary"}),
    ],
)
def test_a_licence_that_is_not_allowed_is_noticed(
    metadata: dict[str, list[str]], wanted: set[str]
) -> None:
    empty: dict[str, list[str]] = {"License-Expression": [], "License": [], "Classifier": []}
    assert licences(empty | metadata) - ALLOWED == wanted

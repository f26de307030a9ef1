"""Turns measured ratios into a Markdown table with machine and versions.

It must never name a host or a path.
"""

import importlib.metadata
import os
import platform
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil  # type: ignore[import-untyped]  # psutil ships no types

_PACKAGES = (
    "propensia",
    "flask",
    "granian",
    "gunicorn",
    "onnxruntime",
    "numpy",
    "fastapi",
    "uvicorn",
    "joblib",
    "pandas",
    "scikit-learn",
    "keras",
    "tensorflow",
    "skl2onnx",
    "lightgbm",
    "xgboost-cpu",
    "optuna",
)


@dataclass(frozen=True, slots=True)
class Target:
    """What a figure must reach: `at_least` the bound, or else at most it."""

    bound: float
    at_least: bool
    unit: str = ""

    def __str__(self) -> str:
        return f"{'≥' if self.at_least else '≤'} {self.bound:g}{self.unit}"

    def met_by(self, value: float) -> bool:
        """Whether the value reaches the target."""
        return value >= self.bound if self.at_least else value <= self.bound


@dataclass(frozen=True, slots=True)
class Row:
    """One figure; when it could not be measured, `values` is empty and `detail` says why."""

    title: str
    target: Target
    values: Sequence[float]
    detail: str

    @property
    def met(self) -> bool:
        """Whether the median reaches the target. What could not be measured does not."""
        return bool(self.values) and self.target.met_by(statistics.median(self.values))

    @property
    def measured(self) -> str:
        """Median, smallest and largest, as text."""
        if not self.values:
            return "failed"
        middle, low, high = statistics.median(self.values), min(self.values), max(self.values)
        return f"{middle:.3g}{self.target.unit} [{low:.3g} .. {high:.3g}]"


def table(rows: Sequence[Row]) -> str:
    """The rows as a Markdown table."""
    lines = [
        "| figure | target | median [min .. max] | met | in detail |",
        "|---|---|---|---|---|",
    ]
    for row in rows:
        cells = (row.title, str(row.target), row.measured, "yes" if row.met else "**no**")
        lines.append("| " + " | ".join(_cell(text) for text in (*cells, row.detail)) + " |")
    return "\n".join(lines)


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "\\|").split())


def document(rows: Sequence[Row], client: str) -> str:
    """The whole results file: the table, what the client could do, the machine."""
    return (
        "# Measured ratios\n\n"
        "Written by `python -m benchmarks`; how each figure is taken is in `README.md`.\n\n"
        f"{table(rows)}\n\n{client}\n\n{facts()}"
    )


def facts() -> str:
    """The machine as a Markdown table."""
    lines = (f"| {name} | {_cell(text)} |" for name, text in machine().items())
    return "\n".join(["| machine | |", "|---|---|", *lines, ""])


def machine() -> dict[str, str]:
    """What the figures were measured on."""
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {
        "cores": str(usable),
        "processor": _processor(),
        "memory": f"{psutil.virtual_memory().total / 2**30:.0f} GiB",
        "system": _system(),
        "Python": platform.python_version(),
        "libraries": ", ".join(f"{name} {_version(name)}" for name in _PACKAGES),
    }


def _processor() -> str:
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return platform.processor()
    names = [line.partition(":")[2] for line in text.splitlines() if line.startswith("model name")]
    return names[0].strip() if names else platform.machine()


def _system() -> str:
    try:
        return platform.freedesktop_os_release()["PRETTY_NAME"]
    except (OSError, KeyError):
        return f"{platform.system()} {platform.release()}"


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "absent"

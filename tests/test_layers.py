"""The layer table of the design, held by reading the imports of every module."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

import propensia
from propensia.admission import graph

PACKAGE = Path(propensia.__file__).parent

# From the bottom up: a module imports from earlier rows only, never from its own. There are no
# more rows than the longest chain of imports needs.
LAYERS = (
    (
        "settings",
        "files",
        "processes",
        "confinement",
        "locks",
        "stats",
        "faults",
        "logs",
        "spanish",
        "likeness",
        "mixing",
        "ages",
        "months",
        "steps",
        "columnar",
    ),
    (
        "contract",
        "heartbeat",
        "jobs",
        "signing",
        "delimited",
        "synthetic",
        "journal",
        "audit",
        "snapshot",
    ),
    (
        "features",
        "decision",
        "distributions",
        "reasons",
        "access",
        "queries",
        "store",
        "rules",
        "outcomes",
    ),
    ("scorer", "registry", "sampling", "inbox", "skewing", "telling", "tables"),
    (
        "serving",
        "listings",
        "admission",
        "training",
        "terminal",
        "remembering",
        "standing",
        "reconciling",
        "rights",
        "paneling",
        "monitoring",
        "batch",
    ),
    ("publishing", "recording", "replaying", "examining", "alerts", "delivery"),
    ("reception", "clerk"),
    (
        "keeper",
        "answering",
        "auditing",
        "backups",
        "commands",
        "comparing",
        "doctor",
        "keys",
        "looking",
        "monitor",
        "score",
        "sign",
        "skew",
        "synth",
        "train",
        "web",
    ),
    ("cli", "portfolio"),
    ("__main__",),
)
LAYER = {name: number for number, row in enumerate(LAYERS) for name in row}

# Only here: library -> the parts of the package that may import it.
ONLY_IN = {
    "csv": {"batch", "delimited"},
    "flask": {"web"},
    "jinja2": {"admission", "training", "web"},
    "werkzeug": {"web"},
    "granian": {"web"},
    "gunicorn": {"web"},
    "waitress": {"web"},
    "onnxruntime": {"scorer"},
    "onnx": {"admission", "batch"},
    "llvmlite": {"batch"},
    "h5py": {"admission"},
    "pickle": {"admission"},
    "subprocess": {"processes"},
    "alembic": {"store"},
    "plotly": {"web"},
    "sklearn": {"training"},
    "imblearn": {"training"},
    "lightgbm": {"training"},
    "xgboost": {"training"},
    "joblib": {"training"},
    "pandas": {"training"},
    "tensorflow": {"training"},
    "keras": {"training"},
    "keras_tuner": {"training"},
    "optuna": {"training"},
    "mlflow": {"training"},
    "matplotlib": {"training"},
    "pyarrow": {"batch", "columnar", "tables"},
    "openpyxl": {"batch"},
    "distributed": {"batch"},
    "sqlalchemy": {
        "alerts",
        "answering",
        "batch",
        "clerk",
        "monitor",
        "monitoring",
        "paneling",
        "queries",
        "rights",
        "store",
    },
    "cryptography": {"access", "signing"},
    "itsdangerous": {"access"},
    "jwt": {"access"},
    "redis": {"access"},
    "prometheus_client": {"web"},
    "click": {
        "__main__",
        "answering",
        "auditing",
        "cli",
        "commands",
        "comparing",
        "doctor",
        "keys",
        "monitor",
        "sign",
        "skew",
        "synth",
        "train",
        "web",
    },
}


@dataclass(frozen=True)
class Import:
    """One imported module, as its full name, and where."""

    name: str
    line: int
    in_function: bool


def imports(source: str) -> Iterator[Import]:
    def walk(node: ast.AST, in_function: bool) -> Iterator[Import]:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.Import):
                for alias in child.names:
                    yield Import(alias.name, child.lineno, in_function)
            elif isinstance(child, ast.ImportFrom):
                assert child.level == 0 and child.module, "a relative import"
                for alias in child.names:
                    name = child.module
                    if name == "propensia" or name.startswith("propensia."):
                        name = f"{name}.{alias.name}"
                    yield Import(name, child.lineno, in_function)
            inside = in_function or isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef)
            yield from walk(child, inside)

    yield from walk(ast.parse(source), False)


def part(path: Path) -> str:
    """The row's name of a module: the first step below the package."""
    first = path.relative_to(PACKAGE).parts[0]
    return first.removesuffix(".py")


MODULES = [path for path in sorted(PACKAGE.rglob("*.py")) if part(path) != "__init__"]
by_module = pytest.mark.parametrize(
    "path", MODULES, ids=lambda path: path.relative_to(PACKAGE).as_posix()
)


def wrong_layers(own: str, source: str) -> list[str]:
    """The imports of a module of part ``own`` that the table forbids."""
    wrong = []
    for found in imports(source):
        steps = found.name.split(".")
        if steps[0] != "propensia" or steps[1] == "__version__" or steps[1] == own:
            continue
        if LAYER[steps[1]] >= LAYER[own]:
            wrong.append(f"line {found.line}: {own} may not import {found.name}")
    return wrong


def misplaced_libraries(own: str, source: str) -> list[str]:
    """The imports of libraries that belong to another part."""
    return [
        f"line {found.line}: {found.name}"
        for found in imports(source)
        if own not in ONLY_IN.get(found.name.split(".")[0], {own})
    ]


@by_module
def test_a_module_imports_from_lower_layers_only(path: Path) -> None:
    assert part(path) in LAYER, "a new module: give it its place in the table"
    assert wrong_layers(part(path), path.read_text(encoding="utf-8")) == []


@by_module
def test_a_library_is_imported_only_where_it_belongs(path: Path) -> None:
    assert misplaced_libraries(part(path), path.read_text(encoding="utf-8")) == []


@by_module
def test_an_import_inside_a_function_says_why(path: Path) -> None:
    if part(path) in ("__main__", "cli"):
        return
    lines = path.read_text(encoding="utf-8").splitlines()
    silent = [
        found
        for found in imports("\n".join(lines))
        if found.in_function and "#" not in lines[found.line - 1] + lines[found.line - 2]
    ]
    assert silent == []


@by_module
def test_the_environment_is_read_in_settings_only(path: Path) -> None:
    """``processes`` builds the environment of children; the console hands settings to workers."""
    name = path.relative_to(PACKAGE).as_posix()
    if name in ("settings.py", "processes.py"):
        return
    source = path.read_text(encoding="utf-8")
    tree = ast.parse(source)
    uses = [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and node.attr in ("environ", "environb", "getenv")
        and isinstance(node.value, ast.Name)
        and node.value.id == "os"
    ]
    written = [
        node.func.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr == "update"
    ]
    allowed = written if name == "web/console.py" else []
    assert [use.lineno for use in uses if use not in allowed] == []
    assert "from os import" not in source


@pytest.mark.parametrize(
    ("own", "source"),
    [
        ("files", "from propensia import settings"),
        ("scorer", "from propensia.registry import Registry"),
        ("features", "from propensia import serving"),
        ("registry", "def f():\n    import propensia.keeper"),
    ],
)
def test_the_table_notices_an_import_that_goes_sideways_or_up(own: str, source: str) -> None:
    assert len(wrong_layers(own, source)) == 1


@pytest.mark.parametrize(
    ("own", "source"),
    [
        ("serving", "import flask"),
        ("web", "def f():\n    from onnxruntime.capi import x"),
        ("registry", "import subprocess as s"),
    ],
)
def test_the_table_notices_a_library_in_the_wrong_place(own: str, source: str) -> None:
    assert len(misplaced_libraries(own, source)) == 1


def test_every_row_of_the_table_exists() -> None:
    """A row for a module that is gone would hide a new one of that name."""
    assert {part(path) for path in MODULES} >= set(LAYER)


def test_there_is_no_row_too_many() -> None:
    needs = {part(path): set[str]() for path in MODULES}
    for path in MODULES:
        for found in imports(path.read_text(encoding="utf-8")):
            steps = found.name.split(".")
            if steps[0] == "propensia" and steps[1] in LAYER.keys() - {part(path)}:
                needs[part(path)].add(steps[1])

    def chain(name: str) -> int:
        return 1 + max((chain(needed) for needed in needs[name]), default=0)

    assert max(chain(name) for name in needs) == len(LAYERS)


def test_the_web_process_imports_no_training_library() -> None:
    """In a fresh interpreter: another test may have imported them here."""
    heavy = ("sklearn", "pandas", "joblib", "tensorflow", "keras", "onnx", "h5py", "scipy")
    code = (
        "import sys, propensia.web.app, propensia.web.console, propensia.keeper; "
        f"print([name for name in {heavy!r} if name in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"


def test_the_process_that_supervises_workers_loads_nothing_that_answers() -> None:
    """It lives as long as they do, and its memory is one more cost of the service."""
    heavy = ("flask", "werkzeug", "numpy", "onnxruntime", "jinja2")
    code = (
        "import sys, propensia.web.console; "
        f"print([name for name in {heavy!r} if name in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"


# Longer than a function should be, each a list that reads best in one piece.
LONG_FUNCTIONS = {"_reader", "add_routes", "upgrade"}


@by_module
def test_a_module_is_no_longer_than_a_person_reads_at_once(path: Path) -> None:
    source = path.read_text(encoding="utf-8")
    assert len(source.splitlines()) <= 350
    functions = [n for n in ast.walk(ast.parse(source)) if isinstance(n, ast.FunctionDef)]
    long = {f.name for f in functions if (f.end_lineno or 0) - f.lineno >= 50}
    assert long <= LONG_FUNCTIONS


def test_the_graph_lets_no_operator_through_that_no_family_writes() -> None:
    """Each is one more that a file could misuse."""
    named = {
        node.value
        for path in (PACKAGE / "admission" / "families").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant)
    }
    own = {"Cast", "Gather", "Sub"}  # which the graph's own methods write
    assert {operator for _, operator in graph.OPERATORS} - own <= named

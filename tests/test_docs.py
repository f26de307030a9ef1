"""The pages say what the program does: tables are pinned to the code, and examples are run.

How an example is marked is told in ``docs/development.md``.
"""

from __future__ import annotations

import ast
import doctest
import html
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import get_args
from xml.etree import ElementTree

import click
import joblib  # type: ignore[import-untyped]  # ships no types
import noted
import numpy as np
import pytest
from click.testing import CliRunner
from prometheus_client.parser import text_string_to_metric_families
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC
from test_layers import LAYERS, ONLY_IN

from propensia import contract as contracts
from propensia import faults, heartbeat, keeper, publishing, reception, settings
from propensia.__main__ import cli
from propensia.access import Cause
from propensia.access.limits import ENTERING, FAILED, KEYLESS
from propensia.access.roles import PERMISSIONS
from propensia.admission import families, refusal, sidecar
from propensia.batch import row_faults
from propensia.contract import Contract, Parameter
from propensia.inbox import REPORT_SUFFIX, STATE_SUFFIX
from propensia.training.demonstration import table as synthetic
from propensia.training.results import Finding
from propensia.training.running import Refused
from propensia.web import (
    granian_server,
    models,
    openapi_shapes,
    query,
    refused,
    request_log,
    waitress_server,
)
from propensia.web.app import create_app
from propensia.web.door import Seen
from propensia.web.listen import HEAD_LIMIT_BYTES, Listen
from propensia.web.routes import FORM_BYTES, ROUTES, ROW_BYTES, ROW_OF_MANY_BYTES, ROWS_BYTES
from propensia.web.texts import TEXTS
from propensia.web.waiting import HEAVY, RUNNING
from propensia.web.whole_requests import BODIES

ROOT = Path(__file__).resolve().parent.parent
PAGES = sorted(
    [
        *(ROOT / name for name in ("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md")),
        *(ROOT / "docs").rglob("*.md"),
    ]
)
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE).findall
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)").findall
CODE = re.compile(r"`([^`]+)`").findall
SERVED = "cobros_2026-09.pkl"
ADDRESS = "http://127.0.0.1:5000"


def page(name: str) -> str:
    """The text of a page in docs."""
    return (ROOT / "docs" / name).read_text(encoding="utf-8")


def rows(name: str, heading: str) -> list[list[str]]:
    """The cells of the table of a page whose first heading is that one; exactly one has it."""
    tables = re.findall(r"(?:^\|.*\|\n)+", page(name), re.MULTILINE)
    found = [lines.splitlines() for lines in tables if lines.startswith(f"| {heading} |")]
    assert len(found) == 1, f"{name}: tables that begin with {heading!r}: {len(found)}"
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in found[0][2:]]


def named(name: str, heading: str) -> list[str]:
    """What stands between backticks in the first column of a table, in order."""
    return [code for row in rows(name, heading) for code in CODE(row[0])]


def blocks(text: str, kind: str) -> list[str]:
    """The contents of the fenced blocks of that kind."""
    return [content for found, content in FENCE(text) if found == kind]


# Every page


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_every_page_says_first_who_reads_it(path: Path) -> None:
    title, first = [line for line in path.read_text(encoding="utf-8").splitlines() if line][:2]
    assert title.startswith("# ")
    assert first.startswith(("*For ", "*Para "))


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_every_link_inside_the_repository_leads_somewhere(path: Path) -> None:
    for link in LINK(path.read_text(encoding="utf-8")):
        if "://" in link:
            continue
        target, _, anchor = link.partition("#")
        file = (path.parent / target).resolve() if target else path
        assert file.exists(), link
        assert not anchor or anchor in _anchors(file), link


def _anchors(file: Path) -> set[str]:
    """The names that the headings of a page get on the usual hosts."""
    headings = re.findall(r"^#+ (.+)$", file.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-") for text in headings}


def test_the_index_leads_to_every_page() -> None:
    linked = {link.partition("#")[0] for link in LINK(page("index.md"))}
    assert linked >= {path.name for path in (ROOT / "docs").glob("*.md")} - {"index.md"}


# README


def test_the_readme_gives_the_two_commands_of_the_design_and_no_others() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    commands = [block.strip() for block in blocks(text, "sh") if "uv" in block]
    assert commands == [
        "pip install uv && uv run --no-dev propensia serve",
        "pip install uv && uv run pytest",
    ]


def test_the_readme_asks_the_example_of_the_contract(contract: Contract) -> None:
    asked = "&".join(f"{name}={text}" for name, text in contract.example().items())
    address = f'curl "{ADDRESS}/prediccion?{asked}"\n'
    assert address in blocks((ROOT / "README.md").read_text(encoding="utf-8"), "sh")


def test_the_picture_says_what_the_result_page_says(contract: Contract) -> None:
    picture = ElementTree.parse(ROOT / "docs" / "images" / "resultado.svg")
    shown = [text.text or "" for text in picture.iter("{http://www.w3.org/2000/svg}text")]
    for key in ("class", "probability", "reasons_heading", "notices_heading"):
        assert TEXTS[key][0] in shown, "run docs/images/make_picture.py"
    labels = {f"{p.label['es']} ({p.name})" for p in contract.parameters}
    named_in_parentheses = {text for text in shown if text.endswith(")")}
    assert len(named_in_parentheses) >= 5 and named_in_parentheses <= labels


# Tables against the code


def test_every_setting_is_documented_with_its_variable_and_default() -> None:
    documented = {
        tuple(CODE(cell)[0].replace("''", "") for cell in row[:3])
        for row in rows("operations.md", "setting")
    }
    assert documented == {
        (row.name, f"{settings.PREFIX}{row.name.upper()}", str(row.default))
        for row in fields(settings.Settings)
    }


def test_the_limits_of_the_servers_are_those_of_the_code() -> None:
    table = {row[0]: row[1:] for row in rows("operations.md", "server")}
    threads = [str(server.THREADS) for server in (granian_server, waitress_server)]
    assert [table["threads a process"][place] for place in (0, 2)] == threads
    slots = f"{BODIES} threads a process wait for them at most, {BODIES // 2} of them for one"
    assert table["bodies that drip"][0].startswith(slots)
    running = f"{RUNNING} a process at a time, {HEAVY} of them long ones"
    assert table["requests that run"][0].startswith(running)
    bodies = (
        f"{FORM_BYTES >> 10} KiB a form, {ROW_BYTES >> 10} KiB a row, {ROWS_BYTES >> 20} MiB a "
        f"batch or {ROW_OF_MANY_BYTES >> 10} KiB for each row of the longest"
    )
    assert table["longest body"][0].startswith(bodies)
    for cell in table["connections a process"]:
        assert cell.split(";")[0] == str(Listen("", 0).connections)
    for cell in table["longest request head"]:
        assert cell.startswith(f"{HEAD_LIMIT_BYTES >> 10} KiB")
    assert f"may have {query.LONGEST_QUERY} characters" in page("operations.md")


def test_the_limits_against_guessing_are_those_of_the_code() -> None:
    told = page("operations.md").replace("\n", " ")
    assert f"{FAILED.count} keys a minute that are not good" in told
    assert f"{KEYLESS.count} requests without one" in told
    assert f"{ENTERING.count} log-in forms" in told
    assert FAILED.window_s == KEYLESS.window_s == ENTERING.window_s == 60


@pytest.mark.skipif(os.name != "posix", reason="gunicorn needs a POSIX system")
def test_the_limits_of_gunicorn_are_those_of_the_code() -> None:
    from propensia.web import gunicorn_server

    table = {row[0]: row[2] for row in rows("operations.md", "server")}
    assert table["threads a process"] == str(gunicorn_server.THREADS)


def test_every_command_and_its_options_are_documented() -> None:
    documented = {
        CODE(row[0])[0].split()[1]: " ".join(row) for row in rows("analista.md", "orden")
    }
    assert documented.keys() == cli.commands.keys()
    for name, command in cli.commands.items():
        options = {
            option
            for parameter in command.params
            if isinstance(parameter, click.Option)
            for option in parameter.opts
        }
        assert set(re.findall(r"--[a-z][a-z-]+", documented[name])) == options, name


def test_every_fault_and_notice_is_documented_with_its_sentences(contract: Contract) -> None:
    headings = ("código de un fallo", "código de un cuerpo", "código")
    table = [row for heading in headings for row in rows("errores.md", heading)]
    documented = [(CODE(code)[0], spanish, english) for code, _, spanish, english in table]
    own = {code: (texts["es"], texts["en"]) for code, texts in contract.own_faults.items()}
    expected = [(code, *texts) for code, texts in (faults.TEXTS | own).items()]
    assert sorted(documented) == sorted(expected)


def test_every_code_of_a_row_of_a_portfolio_is_documented_with_its_sentences() -> None:
    table = rows("carteras.md", "código de una fila")
    documented = {CODE(row[0])[0]: (row[2], row[3]) for row in table}
    assert documented == row_faults.TEXTS


@pytest.mark.parametrize("name", sorted(set(contracts.shipped()) - {"cobranza"}))
def test_the_faults_of_other_contracts_are_documented(name: str) -> None:
    own = set(contracts.load(name).own_faults)
    known = set(named("compat.md", "fault")) | set(named("errores.md", "código de un fallo"))
    assert own <= known


def test_every_problem_is_documented_with_its_status_and_sentences() -> None:
    table = rows("errores.md", "`type`")
    assert all(row[4] for row in table), "what to do"
    documented = [(CODE(row[0])[0], int(row[1]), row[2], row[3]) for row in table]
    expected = [
        (f"urn:propensia:{code}", status, ". ".join(spanish), ". ".join(english))
        for code, (status, spanish, english, _) in refused.KINDS.items()
    ]
    assert sorted(documented) == sorted(expected)


def test_every_more_exact_detail_is_documented_with_its_code() -> None:
    table = rows("errores.md", "código con otro detalle")
    documented = [(CODE(row[0])[0], row[1], row[2]) for row in table]
    assert sorted(documented) == sorted(refused.DETAILS.values())


def test_every_option_and_form_is_documented() -> None:
    documented = {CODE(row[0])[0]: row[2] for row in rows("llamador.md", "opción")}
    assert documented.keys() == query.OPTIONS
    assert documented["formato"].split(", ") == list(query.FORMS)


def test_every_parameter_is_documented_with_what_no_data_means(contract: Contract) -> None:
    documented = [(CODE(row[0])[0], row[1], row[4]) for row in rows("llamador.md", "corto")]
    assert [row[:2] for row in documented] == [(p.name, p.feature) for p in contract.parameters]
    for parameter, (_, _, without) in zip(contract.parameters, documented, strict=True):
        assert without.split(" (")[0] == _without_data(parameter), parameter.name


def _without_data(parameter: Parameter) -> str:
    if parameter.optional:
        return "sin baja prevista"
    if parameter.fill is None:
        return "error"
    return parameter.fill_shown or str(parameter.fill)


def test_every_refusal_is_documented_to_analysts() -> None:
    documented = {CODE(row[0])[0] for row in rows("analista.md", "código")}
    assert documented == refusal.TEXTS.keys()


def test_every_accepted_class_is_documented_and_no_other() -> None:
    accepted = {name for _, name in {**families.CLASSIFIERS, **families.TRANSFORMERS}}
    # In a file the method that opens a network stands for its class.
    loaders = {name for _, name in families.keras.network.CLASSIFIERS}
    expected = accepted - loaders | {"Sequential", "Functional"}
    assert set(named("analista.md", "clase")) == expected
    described = {code for row in rows("families.md", "family") for code in CODE(row[1])}
    assert described == expected


def test_the_ways_to_decide_are_documented_with_the_roles_that_may() -> None:
    documented = {
        CODE(address)[0]: set(CODE(roles)) for _, address, roles in rows("publicar.md", "quiero")
    }
    expected = {
        f"{route.method} {route.path}": PERMISSIONS[route.permission]
        for route in ROUTES
        if route.path.startswith("/modelos") and route.permission is not None
    }
    assert documented == expected


def test_every_decision_that_cannot_be_carried_out_is_documented_with_its_status() -> None:
    table = rows("publicar.md", "código de una decisión")
    documented = [(CODE(row[0])[0], int(row[1])) for row in table]
    expected = [
        (code, refused.KINDS[models.STATUS.get(code, "conflicto")][0]) for code in publishing.TEXTS
    ]
    assert sorted(documented) == sorted(expected)


def test_every_key_of_the_list_of_versions_is_documented() -> None:
    listed = openapi_shapes.FIXED["Modelos"]["properties"]
    assert named("publicar.md", "clave de `/modelos`") == list(listed)
    row = listed["modelos"]["items"]["properties"]
    keys = [code for row in rows("publicar.md", "clave de una fila") for code in CODE(row[0])]
    assert sorted(keys) == sorted(row)


def test_every_reason_for_a_503_is_told_to_who_runs_the_service() -> None:
    told = page("operations.md").partition("Callers get 503 ")[2].partition("\n\n")[0]
    assert set(CODE(told)) >= {code for code, kind in refused.KINDS.items() if kind[0] == 503}


def test_every_metric_is_documented_with_its_labels(
    place: settings.Settings, contract: Contract
) -> None:
    client = create_app(place, background=False).test_client()
    client.get("/prediccion", query_string=contract.example())
    client.get("/prediccion")
    noted.leave(place.state)  # last, as a note is good for seconds only
    told = {
        family.name + "_total" * (family.type == "counter"): {
            label for sample in family.samples for label in sample.labels if label != "le"
        }
        for family in text_string_to_metric_families(client.get("/metrics").text)
    }
    documented = {CODE(row[0])[0]: set(CODE(row[1])) for row in rows("operations.md", "metric")}
    assert documented == told
    (workers,) = (row[2] for row in rows("operations.md", "metric") if "_workers" in row[0])
    assert f"{heartbeat.FRESH_S:.0f} s" in workers


def test_every_field_of_the_request_log_is_documented() -> None:
    seen = Seen("GET", "/prediccion", 401, "", "", 0.0, "", "clave_no_valida", "caducada")
    fields = {
        *json.loads(request_log.line(seen, 0.0, 1)),
        *json.loads(request_log.count_line(1, 0.0, 1)),
    }
    documented = [code for row in rows("security.md", "field") for code in CODE(row[0])]
    assert sorted(documented) == sorted(fields)
    assert named("security.md", "`causa`") == [cause for cause in get_args(Cause) if cause]
    text = page("security.md")
    assert f"get {request_log.FEW} lines a second" in text
    assert f"{request_log.DAY_BYTES >> 20} MiB" in text


def test_every_sidecar_key_is_documented() -> None:
    assert set(named("analista.md", "clave")) == sidecar.KEYS


def test_every_code_that_training_may_tell_is_documented_and_which_may_be_accepted() -> None:
    documented = {CODE(cell)[0]: cell.endswith("*") for cell in _cells_of_findings()}
    assert documented == _findings_of_training()


def test_a_line_of_training_ends_with_the_code_that_the_page_explains() -> None:
    told = str(Refused([Finding("fuga", "EDAD", "Algo pasa con EDAD", fatal=True)]))
    assert told == "✗ Algo pasa con EDAD. [fuga]"
    assert "acaba con su código, como `[fuga]`" in page("entrenamiento.md")


def _cells_of_findings() -> Iterator[str]:
    for cell, *_ in rows("entrenamiento.md", "código"):
        yield from cell.split(", ")


def _findings_of_training() -> dict[str, bool]:
    """The codes that the modules of training write, and whether ``--allow`` takes them."""
    found = {}
    for path in (ROOT / "propensia" / "training").glob("*.py"):
        nodes = list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
        texts = {
            ast.unparse(node.targets[0]): node.value
            for node in nodes
            if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant)
        }
        for node in nodes:
            if not isinstance(node, ast.Call) or not node.args:
                continue
            if ast.unparse(node.func) not in ("Finding", "_Lack", "self._add"):
                continue
            code = texts.get(ast.unparse(node.args[0]), node.args[0])
            if isinstance(code, ast.Constant):
                allowable = any(one.arg == "allowable" for one in node.keywords)
                found[str(code.value)] = allowable
    return found


def test_the_words_of_the_state_file_are_those_that_are_written() -> None:
    source = Path(reception.__file__).read_text(encoding="utf-8")
    written = set(re.findall(r'_tell\(\s*\w+,\s*"([A-Z]+)"', source))
    assert set(named("analista.md", "palabra")) == written
    text = page("analista.md")
    assert STATE_SUFFIX in text and REPORT_SUFFIX in text


def test_every_kind_step_and_key_of_a_contract_is_documented() -> None:
    assert tuple(named("contract.md", "kind")) == contracts.KINDS
    assert set(named("contract.md", "step")) == set(contracts.STEPS)
    described = re.findall(r"^\| `(\w+)` \| [^|]+ \|$", page("contract.md"), re.MULTILINE)
    assert {row.name for row in fields(Parameter)} <= set(described)
    assert set(named("contract.md", "shipped")) == set(contracts.shipped())


def test_every_module_of_the_layer_table_is_documented_in_its_row() -> None:
    documented = {int(row[0]): set(CODE(row[1])) for row in rows("development.md", "row")}
    assert documented == {number: set(names) for number, names in enumerate(LAYERS)}


def test_where_a_library_may_be_imported_is_documented() -> None:
    """But for those that go together: models in admission, training, and the command line."""
    listed = page("development.md").partition("\nOnly here: ")[2].partition(". The web")[0]
    documented = {
        library: set(CODE(item))
        for item in listed.split("·")
        for library in re.findall(r"\w+", item.partition("`")[0])
        if library in ONLY_IN
    }
    together = {"admission", "training", "cli"}
    expected = {name: homes for name, homes in ONLY_IN.items() if not homes & together}
    servers = {"granian", "gunicorn", "waitress"}
    assert documented == {name: expected[name] for name in expected.keys() - servers}


# Examples, and what a running application says


@pytest.fixture(scope="module")
def first_state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A working folder with a published model, another good file and one that is refused."""
    folder = tmp_path_factory.mktemp("docs")
    columns, labels = synthetic(contracts.load("cobranza"), 1_500, seed=5)
    target = labels.astype(np.int64)
    forest = RandomForestClassifier(n_estimators=10, max_depth=5, random_state=1)
    pipeline = make_pipeline(StandardScaler(), LogisticRegression())
    for name, model in (
        (SERVED, forest),
        ("cobros_2026-10.pkl", pipeline),
        ("maquina.pkl", SVC()),
    ):
        joblib.dump(model.fit(columns, target), folder / name)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        (folder / "models").mkdir()
        done = CliRunner().invoke(cli, ["admit", SERVED])
    assert done.exit_code == 0, done.output
    return folder


@pytest.fixture
def place(
    first_state: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[settings.Settings]:
    """A copy of that folder as the working folder; no keeper starts while it is used."""
    folder = tmp_path / "place"
    shutil.copytree(first_state, folder)
    monkeypatch.chdir(folder)
    chosen = settings.load({})
    lock = keeper.acquire(chosen)
    assert lock is not None
    with lock:
        yield chosen


WITH_EXAMPLES = [path for path in PAGES if blocks(path.read_text(encoding="utf-8"), "console")]


@pytest.mark.parametrize("path", WITH_EXAMPLES, ids=lambda path: path.name)
def test_the_examples_print_what_the_page_shows(path: Path, place: settings.Settings) -> None:
    for block in blocks(path.read_text(encoding="utf-8"), "console"):
        for example in block.split("$ ")[1:]:
            line, _, wanted = example.partition("\n")
            name, *arguments = shlex.split(line)
            if name == "curl":
                (address,) = arguments
                client = create_app(place, background=False).test_client()
                printed, code = client.get(address.removeprefix(ADDRESS)).text, 0
            else:
                assert name == "propensia", line
                printed, code = _command(arguments)
            assert code == (1 if wanted.startswith("RECHAZADO") else 0), printed
            _compare(wanted, printed)


def _command(arguments: list[str]) -> tuple[str, int]:
    """What a command prints, and its exit code."""
    if "--list" in arguments:  # it confines the process it runs in, for good
        line = [sys.executable, "-m", "propensia", *arguments]
        done = subprocess.run(line, capture_output=True, encoding="utf-8")
        return done.stdout + done.stderr, done.returncode
    result = CliRunner().invoke(cli, arguments, prog_name="propensia")
    return result.output, result.exit_code


def _compare(wanted: str, printed: str) -> None:
    """Equal, but for ``…`` in what is wanted, which stands for any text."""
    pieces = [re.escape(piece) for piece in wanted.strip().split("…")]
    assert re.fullmatch(".*".join(pieces), printed.strip(), re.DOTALL), printed


@pytest.mark.parametrize(
    "path",
    [path for path in PAGES if blocks(path.read_text(encoding="utf-8"), "pycon")],
    ids=lambda path: path.name,
)
def test_the_sessions_give_what_the_page_shows(path: Path) -> None:
    runner = doctest.DocTestRunner(verbose=False)
    parser = doctest.DocTestParser()
    for number, block in enumerate(blocks(path.read_text(encoding="utf-8"), "pycon")):
        session = parser.get_doctest(block, {"__name__": "docs"}, f"{path.name}:{number}", None, 0)
        said: list[str] = []
        assert session.examples
        assert not runner.run(session, out=said.append).failed, "".join(said)


def test_every_route_is_documented(place: settings.Settings) -> None:
    app = create_app(place, background=False)
    routes = {
        f"{method} {rule.rule}"
        for rule in app.url_map.iter_rules()
        if rule.endpoint != "static"
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    }
    assert set(named("llamador.md", "dirección")) == routes


def test_the_page_of_the_documentation_lists_every_code(
    place: settings.Settings, contract: Contract
) -> None:
    """An installation has no other place where a caller can look one up."""
    client = create_app(place, background=False).test_client()
    for column, language in enumerate(("es", "en")):
        shown = html.unescape(client.get(f"/docs?idioma={language}").text)
        listed = dict(re.findall(r'<tr id="(\w+)">(.*?)</tr>', shown, re.DOTALL))
        assert listed.keys() == {*refused.KINDS, *faults.TEXTS, *contract.own_faults}
        for code, (status, *texts, _) in refused.KINDS.items():
            details = [exact[column] for own, *exact in refused.DETAILS.values() if own == code]
            assert f"<td>{status}</td>" in listed[code]
            for text in (*texts[column], *details):
                assert text.partition("{")[0] in listed[code]
        assert not [code for code, row in listed.items() if "{" in row]


def test_every_key_that_callers_see_is_in_the_glossary(
    place: settings.Settings, contract: Contract
) -> None:
    client = create_app(place, background=False).test_client()
    asked = "&".join(f"{name}={text}" for name, text in contract.example().items())
    words = {
        word for line in page("glossary.md").splitlines() for word in CODE(line.split(" | ")[0])
    }
    answers = [
        client.get(f"/prediccion?{asked}&motivos=2&ref=a"),
        client.get("/prediccion"),
        client.get("/modelos"),
        client.get("/health"),
    ]
    for answer in answers:
        assert set(_keys(json.loads(answer.text))) <= words
    top = list(json.loads(answers[0].text))
    assert sorted(top) == sorted(named("llamador.md", "clave"))


def _keys(value: object) -> Iterator[str]:
    if isinstance(value, dict):
        for key, item in value.items():
            yield key
            yield from _keys(item)
    elif isinstance(value, list):
        for item in value:
            yield from _keys(item)

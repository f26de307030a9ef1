"""The notebooks, executed from start to end on both tables, and what each of them promises."""

from __future__ import annotations

import base64
import csv
import io
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jupytext
import matplotlib.image
import pytest
from jupytext.cli import jupytext as convert
from nbclient import NotebookClient

from propensia import contract as contracts

NOTEBOOKS = Path(__file__).resolve().parents[1] / "notebooks"
CHURN = Path(__file__).resolve().parents[2] / "shared" / "data" / "ibm_telco_churn.csv"
NAMES = ("01_datos_sinteticos", "02_eda", "03_entrenamiento", "04_monitorizacion")
MOST_LINES = 150
# How little is enough to see that each runs, and that the later month is another one.
ROWS, MINUTES = 3_000, 0.05

PARAMETERS = {
    "cobranza": {
        NAMES[0]: {"FILAS": ROWS},
        NAMES[1]: {},
        NAMES[2]: {"MINUTOS": MINUTES},
        NAMES[3]: {},
    },
    "telco_churn": {
        NAMES[1]: {"CONTRATO": "telco_churn", "DATOS": Path("datos", "clientes.csv")},
        NAMES[2]: {
            "CONTRATO": "telco_churn",
            "DATOS": Path("datos", "clientes.csv"),
            "MINUTOS": MINUTES,
            "COSTE": 20.0,
            "PARTE": 1.0,
        },
        NAMES[3]: {
            "CONTRATO": "telco_churn",
            "MES": Path("datos", "nuevos.csv"),
            "MOVER": 1.0,
        },
    },
}


def text_of(name: str) -> str:
    return (NOTEBOOKS / f"{name}.py").read_text(encoding="utf-8")


def parameters_cell(notebook: Any) -> Any:
    (cell,) = [c for c in notebook.cells if "parameters" in c.metadata.get("tags", ())]
    return cell


def executed(name: str, folder: Path, given: dict[str, object]) -> Any:
    """The notebook after its last cell, run in ``folder`` with other values of its parameters."""
    notebook = jupytext.read(NOTEBOOKS / f"{name}.py")
    cell = parameters_cell(notebook)
    for parameter, value in given.items():
        shown = f"Path({value.as_posix()!r})" if isinstance(value, Path) else repr(value)
        line = rf"^{parameter} = .*$"
        assert re.search(line, cell.source, re.MULTILINE), parameter
        cell.source = re.sub(line, f"{parameter} = {shown}", cell.source, flags=re.MULTILINE)
    where = {"metadata": {"path": str(folder)}}
    NotebookClient(notebook, timeout=1800, startup_timeout=600, resources=where).execute()
    return notebook


def prepared(folder: Path, table: str) -> None:
    """The folder as the first notebook to run finds it: of churn, two files of other rows."""
    (folder / "datos").mkdir()
    if table != "telco_churn":
        return
    with CHURN.open(encoding="utf-8", newline="") as stream:
        heading, *rows = csv.reader(stream)
    for name, part in (("clientes", rows[:ROWS]), ("nuevos", rows[ROWS : 2 * ROWS])):
        with (folder / "datos" / f"{name}.csv").open("w", encoding="utf-8", newline="") as stream:
            csv.writer(stream).writerows([heading, *part])


@pytest.fixture(
    scope="module",
    params=[pytest.param(table, marks=pytest.mark.slow) for table in ("cobranza", "telco_churn")],
)
def run(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """All notebooks of a table after their run, by name, and the folder they ran in."""
    if request.param == "telco_churn" and not CHURN.exists():
        pytest.skip("the public churn table is not here")
    folder = tmp_path_factory.mktemp("notebooks")
    prepared(folder, request.param)
    with pytest.MonkeyPatch.context() as patch:  # nothing of a person's own settings
        patch.setenv("IPYTHONDIR", str(folder / "ipython"))
        patch.setenv("JUPYTER_CONFIG_DIR", str(folder / "jupyter"))
        yield (
            {n: executed(n, folder, given) for n, given in PARAMETERS[request.param].items()},
            folder,
        )


def outputs(notebook: Any) -> Iterator[Any]:
    for cell in notebook.cells:
        yield from cell.get("outputs", ())


def pictures(notebook: Any) -> Iterator[tuple[str, bytes]]:
    """The title of each picture, as a page without pictures shows it, and the PNG."""
    for output in outputs(notebook):
        data = output.get("data", {})
        if "image/png" in data:
            title = re.fullmatch(r"Picture\(title=(['\"])(.+)\1\)", data["text/plain"])
            assert title, data["text/plain"]
            yield title[2], base64.b64decode(data["image/png"])


def test_all_run_from_start_to_end_without_an_error_or_a_warning(run: Any) -> None:
    for name, notebook in run[0].items():
        found = list(outputs(notebook))
        assert not [output for output in found if output.output_type == "error"], name
        noise = [output.text for output in found if output.get("name") == "stderr"]
        assert not noise, (name, noise)


def test_every_picture_has_a_finding_as_its_title_and_something_on_it(run: Any) -> None:
    for name, notebook in run[0].items():
        shown = list(pictures(notebook))
        assert len(shown) >= 3, name
        titles = [title for title, _ in shown]
        assert len(set(titles)) == len(titles)
        for title, png in shown:
            assert "nan" not in title.split(), title
            pixels = matplotlib.image.imread(io.BytesIO(png), format="png")
            assert pixels.shape[1] > 1_000  # sharp at twice its width on the page
            assert (pixels[..., :3] < 0.5).any()


def test_what_is_left_is_a_candidate_with_its_sidecar_and_card(run: Any) -> None:
    left = {path.name for path in (run[1] / "datos").iterdir()}
    assert left >= {"candidato.pkl", "candidato.json", "candidato.html"}


def test_the_last_one_sees_that_the_later_month_pays_less_than_was_said(run: Any) -> None:
    """Both later months were made so: true chances moved down, or positives drawn less often."""
    shown = [o.get("data", {}).get("text/markdown") for o in outputs(run[0][NAMES[3]])]
    verdict = [text for text in shown if text is not None][-1]
    assert re.search(r"\*\*Reentrenar: .*nivel", verdict), verdict


@pytest.mark.parametrize("name", NAMES)
def test_each_is_short_has_a_title_and_ends_with_what_to_conclude(name: str) -> None:
    text = text_of(name)
    assert len(text.splitlines()) <= MOST_LINES
    headings = re.findall(r"^# (#+ .+)$", text, re.MULTILINE)
    assert headings[0].startswith(f"# {int(name[:2])}. ")
    assert headings[-1] == "## Qué concluir"


@pytest.mark.parametrize("name", NAMES[1:])
def test_only_the_parameters_of_these_know_a_table(name: str) -> None:
    notebook = jupytext.reads(text_of(name), "py:percent")
    known = parameters_cell(notebook)
    rest = "\n".join(cell.source for cell in notebook.cells if cell is not known)
    for contract in map(contracts.load, ("cobranza", "telco_churn")):
        named = {p.feature for p in contract.parameters} | {contract.label_column}
        named |= {column.name for column in contract.columns}
        assert not {word for word in named if re.search(rf"\b{re.escape(word)}\b", rest)}
        short = {p.name for p in contract.parameters}
        assert not short & set(re.findall(r"""["'](\w\w)["']""", rest))


def test_the_first_command_of_the_readme_makes_notebooks_and_changes_no_text(
    tmp_path: Path,
) -> None:
    assert "uv run jupytext --sync notebooks/*.py" in (NOTEBOOKS / "README.md").read_text("utf-8")
    for path in (*NOTEBOOKS.glob("*.py"), NOTEBOOKS / "jupytext.toml"):
        shutil.copy(path, tmp_path)
    before = {path.name: path.read_text("utf-8") for path in tmp_path.glob("*.py")}
    convert(["--quiet", "--sync", *map(str, tmp_path.glob("*.py"))])
    assert {path.name: path.read_text("utf-8") for path in tmp_path.glob("*.py")} == before
    assert {path.stem for path in tmp_path.glob("*.ipynb")} == set(NAMES)

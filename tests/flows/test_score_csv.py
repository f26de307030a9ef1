"""``propensia score`` on CSV as analysts' machines write it: real command lines and files."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from models_for_tests import EXAMPLE
from server import Place

CARRIAGE = "\r\n"


def rows_of(path: Path, delimiter: str) -> list[dict[str, str]]:
    with path.open(encoding="utf-8-sig", newline="") as stream:
        return list(csv.DictReader(stream, delimiter=delimiter))


def line(delimiter: str = ";", **changes: str) -> str:
    return delimiter.join((EXAMPLE | changes).values())


def test_the_same_rows_have_the_same_scores_whatever_program_wrote_them(
    admitted: Place, tmp_path: Path
) -> None:
    """Plain UTF-8 with points; and as Excel in Spain saves a book, with commas and names of its
    own, among them a formula and a row with a column too many."""
    plain = tmp_path / "limpia.csv"
    heading = ",".join(EXAMPLE)
    plain.write_text(f"{heading}\n{line(',')}\n{line(',', im='1234.5')}\n", encoding="utf-8")
    excel = tmp_path / "de excel.csv"
    names = [{"im": "Importe (€)"}.get(name, name) for name in EXAMPLE]
    comma = EXAMPLE["dt"].replace(".", ",")
    lines = [
        "sep=;",
        ";".join([*names, "Año", ""]),
        line(dt=comma, im="263,68") + ";José =1;",
        line(dt=comma, im="1234,5") + ";=1+1;",
        line() + ";x;y;z",
        ";;;",
    ]
    excel.write_bytes(CARRIAGE.join(lines).encode("cp1252"))
    (tmp_path / "nombres.csv").write_text("im;Importe (€)\n", encoding="utf-8")

    done = admitted.run("score", str(plain), str(tmp_path / "a.csv"))
    assert done.returncode == 0, done.stderr
    mapping = ("--columns", str(tmp_path / "nombres.csv"))
    done = admitted.run("score", str(excel), str(tmp_path / "b.csv"), *mapping)
    assert done.returncode == 0, done.stderr

    first, second = rows_of(tmp_path / "a.csv", ","), rows_of(tmp_path / "b.csv", ";")
    chances = [row["probabilidad"].replace(",", ".") for row in second]
    assert chances == [*(row["probabilidad"] for row in first), ""] and chances[0] != chances[1]
    assert "," in second[0]["probabilidad"]
    assert second[0]["avisos"].split()[-2:] == ["im:coma_decimal", "dt:coma_decimal"]
    assert [row["Año"] for row in second] == ["José =1", "'=1+1", "x"]
    assert [row["error"] for row in second] == ["", "", "fila:columnas_de_mas"]
    content = (tmp_path / "b.csv").read_bytes()
    assert content.startswith(b"\xef\xbb\xbf") and content.endswith(b"\r\n")
    faults = (tmp_path / "b.csv.errores.csv").read_text(encoding="utf-8-sig").splitlines()
    assert faults == ["linea;fila;error", "5;3;fila:columnas_de_mas"]


def test_a_heading_alone_gives_a_heading_alone(admitted: Place, tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(";".join(EXAMPLE) + "\n", encoding="utf-8")
    done = admitted.run("score", str(tmp_path / "t.csv"), str(tmp_path / "out.csv"))
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out.csv").read_text(encoding="utf-8").count("\n") == 1


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("", "t.csv está vacío: no tiene ni cabecera"),
        (";".join([*EXAMPLE, "im"]) + "\n" + line() + ";1\n", "dos columnas con el nombre im"),
        (";".join([*EXAMPLE, "probabilidad"]) + "\n", "puntúe el fichero original"),
        (";".join(["x", *list(EXAMPLE)[1:]]) + "\n", "falta ESCENARIO_RECOBRO o er"),
    ],
)
def test_a_table_that_cannot_be_scored_is_refused_before_anything_is_written(
    content: str, told: str, admitted: Place, tmp_path: Path
) -> None:
    (tmp_path / "t.csv").write_text(content, encoding="utf-8")
    done = admitted.run("score", str(tmp_path / "t.csv"), str(tmp_path / "out.csv"))
    assert done.returncode == 1 and told in done.stderr, done.stdout + done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["t.csv"]

"""``propensia synth``: what it writes, refuses and says."""

from __future__ import annotations

import csv
import re
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from propensia.__main__ import cli
from propensia.terminal import Exit


def synth(*arguments: object) -> Result:
    return CliRunner().invoke(cli, ["synth", *map(str, arguments)])


def table(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream, delimiter=";"))


def test_it_writes_the_published_number_of_rows_and_sums_up(tmp_path: Path) -> None:
    path = tmp_path / "cobros.csv"
    result = synth(path)
    assert result.exit_code == Exit.DONE
    rows = table(path)
    assert len(rows) == 7_339 and len(rows[0]) == 25
    paid = 100 * sum(row["TARGET"] == "SI" for row in rows) / len(rows)
    assert "7339 filas, semilla 1" in result.output
    assert f"Paga el {paid:.2f}\u202f%".replace(".", ",") in result.output
    assert re.search(r"con AUC 0,7\d\d\. Ninguna fila es de una persona real\.", result.output)


def test_rows_of_one_class_have_no_auc_to_tell(tmp_path: Path) -> None:
    result = synth(tmp_path / "una.csv", "--rows", 1)
    assert result.exit_code == Exit.DONE
    assert re.search(r"la verdad espera el \d+,\d\d\s%\. Ninguna fila", result.output)


def test_the_same_seed_writes_the_same_bytes(tmp_path: Path) -> None:
    names = ("a.csv", "b.csv", "c.csv")
    for name, seed in zip(names, (7, 7, 8), strict=True):
        synth(tmp_path / name, "--rows", 300, "--seed", seed, "--truth", "--payments")
    first, again, other = ((tmp_path / name).read_bytes() for name in names)
    assert first == again != other


def test_extra_columns_come_last_and_change_no_other(tmp_path: Path) -> None:
    plain, full = tmp_path / "plain.csv", tmp_path / "full.csv"
    synth(plain, "--rows", 300)
    synth(full, "--rows", 300, "--truth", "--payments")
    extra = ["PROBABILIDAD_REAL", "FECHA_PAGO", "IMPORTE_PAGO"]
    assert list(table(full)[0])[25:] == extra
    assert [{k: v for k, v in row.items() if k not in extra} for row in table(full)] == table(
        plain
    )
    for row in table(full):
        assert 0 < float(row["PROBABILIDAD_REAL"]) < 1
        assert bool(row["FECHA_PAGO"]) == bool(row["IMPORTE_PAGO"]) == (row["TARGET"] == "SI")


def test_it_overwrites_only_when_told_to(tmp_path: Path) -> None:
    path = tmp_path / "cobros.csv"
    path.write_text("mío", encoding="utf-8")
    result = synth(path, "--rows", 10)
    assert result.exit_code == Exit.REFUSED
    assert "ya existe; con --force se sobrescribe" in result.output
    assert path.read_text(encoding="utf-8") == "mío"
    assert synth(path, "--rows", 10, "--force").exit_code == Exit.DONE
    assert len(table(path)) == 10


def test_it_may_begin_on_another_day_and_drift(tmp_path: Path) -> None:
    path = tmp_path / "marzo.csv"
    result = synth(path, "--rows", 200, "--from", "2026-03-01", "--days", 31, "--drift", 0.5)
    assert result.exit_code == Exit.DONE
    assert {row["FECHA_ENVIO"][3:] for row in table(path)} == {"03/2026"}


@pytest.mark.parametrize(
    "arguments",
    [
        ("--rows", "0"),
        ("--rows", "muchas"),
        ("--seed", "-1"),
        ("--drift", "2"),
        ("--drift", "nan"),
        ("--days", "0"),
        ("--from", "ayer"),
        ("--from", "1815-06-18"),
    ],
)
def test_wrong_use_is_refused_and_writes_nothing(
    arguments: tuple[str, str], tmp_path: Path
) -> None:
    result = synth(tmp_path / "cobros.csv", *arguments)
    assert result.exit_code == Exit.WRONG_USE
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    result = synth(tmp_path / "nada" / "cobros.csv", "--rows", 10)
    assert result.exit_code == Exit.ENVIRONMENT
    assert f"no existe la carpeta {tmp_path / 'nada'}" in result.output

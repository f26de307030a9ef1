"""The command gives each row of a portfolio what the route answers to it, bit for bit."""

from __future__ import annotations

import contextlib
import csv
import json
from pathlib import Path
from typing import Any

import hostile_texts
import pytest
from guarded import copied
from models_for_tests import EXAMPLE, dumped, forest
from server import Place, prediccion, running

from propensia import contract as contracts

# The rows of the data set that were printed, and the spellings of "no data" in them.
PRINTED = """3 263.68 EMP 1000.82 NO _ S 202310 8029 12 A N N
3 3.93 EMP 23.79 NO _ N _ 8039 1 A N N
3 178.74 EMP 477.83 NO _ N 202310 43850 7 A N N
3 96.32 EMP 347.94 NO _ S 202310 3340 4 A N S
2 55.19 PER 131.77 NO 31-50 N _ 48991 2 A N N"""
ORDER = ("cf", "im", "er", "dt", "po", "ed", "vt", "fb", "cp", "nl", "ec", "vf", "vb")
AT_A_TIME = 5000
BY_ADDRESS = 150


def portfolio() -> list[dict[str, str]]:
    """The golden rows, and 10,000 that are typical, at the limits, or broken."""
    contract = contracts.load("cobranza")
    golden = [
        dict(zip(ORDER, line.replace("_", blank).split(" "), strict=True))
        for line in PRINTED.splitlines()
        for blank in ("", "NaN", "null")
    ]
    drawn: list[dict[str, str]] = []
    for seed, odd in enumerate((0.0, 0.01, 0.3)):
        made = hostile_texts.rows(contract, 3334, seed, odd)
        drawn += [dict(zip(made, row, strict=True)) for row in zip(*made.values(), strict=True)]
    return [EXAMPLE, *golden, *drawn]


def scored(place: Place, rows: list[dict[str, str]]) -> list[dict[str, str]]:
    """What the command makes of the rows."""
    source, target = place.base / "cartera.csv", place.base / "puntuada.csv"
    with source.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, list(EXAMPLE))
        writer.writeheader()
        writer.writerows(rows)
    done = place.run("score", str(source), str(target), "--motivos", "3", "--workers", "2")
    assert done.returncode == 0, done.stdout + done.stderr
    with target.open(encoding="utf-8-sig", newline="") as stream:
        return list(csv.DictReader(stream))


def told(items: list[dict[str, str]]) -> str:
    return " ".join(f"{item['parametro']}:{item['codigo']}" for item in items)


def agree(found: dict[str, str], answer: dict[str, Any]) -> None:
    """A row of the result and the route's answer to it."""
    if "errores" in answer:
        assert told(answer["errores"]) == found["error"]
        assert (found["probabilidad"], found["clasificacion"], found["avisos"]) == ("", "", "")
        return
    chance = float(found["probabilidad"].replace(",", "."))
    assert chance == answer["probabilidad"]
    assert found["clasificacion"] == answer["clasificacion"]
    assert found["version"] == answer["version"]
    assert found["avisos"] == told(answer["avisos"])
    assert found["error"] == ""


@pytest.fixture(params=["logistic", pytest.param("forest", marks=pytest.mark.slow)])
def place(request: pytest.FixtureRequest, admitted: Place, tmp_path: Path) -> Place:
    """An installation of its own with that model."""
    here = copied(admitted, tmp_path)
    if request.param == "forest":
        path = here.base / "bosque.pkl"
        path.write_bytes(dumped(forest(5, trees=60)))
        done = here.run("admit", str(path))
        assert done.returncode == 0, done.stdout + done.stderr
    return here


def test_every_row_gets_the_score_the_notes_and_the_faults_of_the_route(place: Place) -> None:
    rows = portfolio()
    found = scored(place, rows)
    assert len(found) == len(rows) > 10_000
    good = sum(not row["error"] for row in found)
    assert 4000 < good < 8000, "the portfolio must hold enough of both"
    with running(place, rate_limit="off", max_batch_size=AT_A_TIME) as server:
        for start in range(0, len(rows), AT_A_TIME):
            part = rows[start : start + AT_A_TIME]
            with contextlib.closing(server.connection()) as connection:
                connection.request(
                    "POST",
                    "/predict/batch",
                    body=json.dumps(part).encode(),
                    headers={"Content-Type": "application/json"},
                )
                answers = json.loads(connection.getresponse().read())["resultados"]
            assert len(answers) == len(part)
            for row, answer in zip(found[start:], answers, strict=False):
                agree(row, answer)
        for row, sent in list(zip(found, rows, strict=True))[:BY_ADDRESS]:
            answer = server.get(f"{prediccion(sent)}&motivos=3").json()
            agree(row, answer)
            if "errores" not in answer:
                wanted = [f"{m['parametro']}:{m['efecto']:+.3f}" for m in answer["motivos"]]
                assert row["motivos"] == " ".join(wanted)

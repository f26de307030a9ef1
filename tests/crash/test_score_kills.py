"""``propensia score`` killed again and again at random moments, and gone on with each time."""

from __future__ import annotations

import contextlib
import json
import random
import subprocess
import sys
import time
from pathlib import Path

import psutil  # type: ignore[import-untyped]  # ships no types
import pytest
from lengths import steps
from models_for_tests import EXAMPLE, dumped, logistic
from server import ROOT, Place

from propensia.terminal import Exit

pytestmark = pytest.mark.slow

ROWS = 40_000
KILLS = steps(4, 6)
FEWEST = 2
"""Kills that must find something done: else nothing was gone on with."""
DRAWS = 4 * KILLS
GOOD = ";".join(EXAMPLE.values())
BAD = ";".join((EXAMPLE | {"im": "doce"}).values())


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    """An installation with one model."""
    made = Place(tmp_path_factory.mktemp("place"))
    path = made.base / "base.pkl"
    path.write_bytes(dumped(logistic()))
    assert made.run("admit", str(path)).returncode == 0
    return made


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Some tens of blocks."""
    path = tmp_path_factory.mktemp("source") / "cartera.csv"
    with path.open("w", encoding="utf-8") as stream:
        stream.write(f"{';'.join(EXAMPLE)};nota\n")
        for number in range(ROWS):
            stream.write(f"{BAD if number % 97 == 0 else GOOD};{number:01000d}\n")
    return path


def results(out: Path) -> dict[str, bytes]:
    """What a run left, but for times."""
    found = {path.name: path.read_bytes() for path in out.parent.iterdir()}
    summary = json.loads(found.pop(f"{out.name}.resumen.json"))
    for name in ("empezada", "segundos", "filas_por_segundo", "reanudada"):
        del summary[name]
    return found | {"resumen": json.dumps(summary).encode()}


def blocks(out: Path) -> int:
    """How many are noted down as done."""
    with contextlib.suppress(OSError, ValueError):
        note = json.loads(out.with_name(f"{out.name}.part.json").read_text(encoding="utf-8"))
        return int(note["blocks"])
    return 0


def stopped(place: Place, source: Path, out: Path, chance: random.Random, *more: str) -> int:
    """Start or go on, and kill the command or one of its workers some blocks later; its exit
    code, which is 0 where it was over before."""
    command = [sys.executable, "-m", "propensia", "score", str(source), str(out), "--resume"]
    with subprocess.Popen(
        [*command, "--workers", "2", *more],
        cwd=ROOT,
        env=place.environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as popen:
        family = [psutil.Process(popen.pid)]
        before, wanted = blocks(out), chance.randint(0, 4)
        while popen.poll() is None and blocks(out) < before + wanted:
            time.sleep(0.005)
        time.sleep(chance.uniform(0, 0.05 if wanted else 1.5))
        with contextlib.suppress(psutil.Error):
            family += family[0].children(recursive=True)
        victim = chance.choice(family) if chance.random() < 0.5 else family[0]
        with contextlib.suppress(psutil.Error):
            victim.kill()
        code = popen.wait(timeout=600)
    _, alive = psutil.wait_procs(family, timeout=20)
    assert not alive, "a worker outlives its command"
    return code


@pytest.mark.parametrize(
    ("name", "more"),
    [("out.csv", ()), ("out.parquet", ()), ("out.csv", ("--deciles", "run"))],
)
def test_a_run_that_is_killed_again_and_again_gives_the_result_of_one_that_is_not(
    place: Place, source: Path, tmp_path: Path, name: str, more: tuple[str, ...]
) -> None:
    whole, out = tmp_path / "whole" / name, tmp_path / "killed" / name
    for path in (whole, out):
        path.parent.mkdir()
    done = place.run("score", str(source), str(whole), *more)
    assert done.returncode == 0, done.stderr
    chance = random.Random(f"{name} {more}")
    struck = 0
    for _ in range(DRAWS):
        code = stopped(place, source, out, chance, *more)
        seen = out.exists()
        assert not seen or results(out) == results(whole), "nothing is seen before it is whole"
        over = code == 0 or seen  # a kill may strike between the last step and the end
        if over and struck >= FEWEST:
            break
        if over:  # too quick for the kills that were drawn: once more from the start
            struck = 0
            for path in out.parent.iterdir():
                path.unlink()
            continue
        assert code != Exit.REFUSED, "it went on"
        struck += blocks(out) > 0
        if struck == KILLS:
            break
    assert struck >= FEWEST
    if not out.exists():
        done = place.run("score", str(source), str(out), "--resume", *more)
        assert done.returncode == 0, done.stderr
    assert results(out) == results(whole)

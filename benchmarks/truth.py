"""`python -m benchmarks truth`: how near a trained model comes to the true probabilities.

All rows are generated, so that the truth is known; training must never be given it.
"""

import argparse
import shutil
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sklearn.metrics import roc_auc_score

from benchmarks import report, training, verdicts
from benchmarks.services import ROOT
from propensia import contract as contracts
from propensia import synthetic

NEAR = 0.005
QUICK_S = 120.0
PUBLISHED = 7_339
"""Rows of the real table."""
LARGER = 30_000
_FURTHER = 100_000
"""Rows that models are judged on, of another seed; the AUC of so many is known to 0.002."""


@dataclass(frozen=True, slots=True)
class Compared:
    """A model trained on so many rows of that seed: its AUC, that of the truth, its seconds."""

    rows: int
    seed: int
    auc: float
    best: float
    seconds: float

    @property
    def below(self) -> float:
        """How far the model's AUC is below the one that cannot be passed."""
        return self.best - self.auc


def main(arguments: Sequence[str]) -> int:
    """Measure, print, write; 1 if a target is missed, else 0."""
    asked = _arguments(arguments)
    training.keep_to(asked.cores)
    found = []
    for rows in asked.rows:
        for seed in range(asked.first_seed, asked.first_seed + asked.repeats):
            one = compare(rows, seed, asked.minutes, asked.folder)
            found.append(one)
            said = f"{one.below:.4f} below; {one.seconds:.0f} s"
            print(f"{rows} rows, seed {seed}: {said}", flush=True)
    text = document(found, asked.minutes, asked.cores)
    print(f"\n{text}")
    if asked.out:
        asked.out.write_text(text, encoding="utf-8", newline="\n")
    return 1 if any(met is False for _, met in targets(found, asked.minutes)) else 0


def compare(rows: int, seed: int, minutes: float | None, folder: Path) -> Compared:
    """Train on a generated table of that seed and judge on rows of another; files in `folder`.

    Raises `training.TrainingFailed`.
    """
    folder = folder / f"{rows}-{seed}"
    shutil.rmtree(folder, ignore_errors=True)  # or a search would go on where one was stopped
    folder.mkdir(parents=True)
    synthetic.write(folder / "cobros.csv", rows, seed)
    further = synthetic.generate(_FURTHER, seed + 1_000_000)
    made = training.train(folder / "cobros.csv", "cobranza", minutes, seed, folder)
    said = training.score(made.model, contracts.load("cobranza"), synthetic.texts(further))
    return Compared(
        rows,
        seed,
        float(roc_auc_score(further.paid, said)),
        float(roc_auc_score(further.paid, further.truth)),
        made.seconds,
    )


def targets(found: Sequence[Compared], minutes: float | None) -> list[tuple[str, bool | None]]:
    """Each target in words with what was found, and whether it is met; `None`: not measured."""
    listed: list[tuple[str, bool | None]] = []
    for rows in sorted({one.rows for one in found}):
        below = [one.below for one in found if one.rows == rows]
        mean = statistics.fmean(below)
        said = (
            f"{rows:,} rows: AUC at most {NEAR} below that of the true probabilities, on average: "
            f"{mean:.4f} ± {verdicts.standard_error(below)} (s.e.)"
        )
        listed.append((said, mean <= NEAR))
    quick = [one.seconds for one in found if one.rows == PUBLISHED and minutes is None]
    said = f"{PUBLISHED:,} rows: the command without --minutes takes at most {QUICK_S:.0f} s"
    if quick:
        return [*listed, (f"{said}: the longest took {max(quick):.0f} s", max(quick) <= QUICK_S)]
    return [*listed, (said, None)]


def document(found: Sequence[Compared], minutes: float | None, cores: int) -> str:
    """The whole results file: what was asked, each table, the targets, the machine."""
    options = "" if minutes is None else f" --minutes {minutes:g}"
    lines = [
        "# Training, against the true probabilities",
        "",
        "Written by `python -m benchmarks truth`; how it is taken is in `README.md`.",
        "",
        f"`propensia train{options}` on generated tables, {cores} cores; judged on {_FURTHER:,} "
        "further rows. Start of the process and model card are part of its seconds.",
        "",
        "| rows | seed | AUC | of the true probabilities | below | seconds |",
        f"|{'---|' * 6}",
        *(
            f"| {one.rows:,} | {one.seed} | {one.auc:.4f} | {one.best:.4f} | {one.below:.4f} "
            f"| {one.seconds:.0f} |"
            for one in found
        ),
        "",
        *verdicts.listed(targets(found, minutes)),
        "",
        report.facts(),
    ]
    return "\n".join(lines)


def _arguments(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks truth", description=__doc__)
    parser.add_argument(
        "--rows",
        type=int,
        action="append",
        help=f"rows of each training table; may be repeated [{PUBLISHED} and {LARGER}]",
    )
    parser.add_argument("--repeats", type=int, default=5, help="tables, each of another seed")
    parser.add_argument("--first-seed", type=int, default=1)
    parser.add_argument("--minutes", type=float, help="search time [the command's default]")
    parser.add_argument("--cores", type=int, default=2)
    parser.add_argument(
        "--folder", type=Path, default=ROOT / "var" / "benchmarks" / "truth", help="for its files"
    )
    parser.add_argument("--out", type=Path, help="Markdown file to write")
    asked = parser.parse_args(arguments)
    asked.rows = asked.rows or [PUBLISHED, LARGER]
    asked.folder = asked.folder.resolve()
    return asked

"""The command line of the benchmarks.

It must never write results that it did not measure in this run.
"""

import argparse
import sys
from pathlib import Path

from benchmarks import (
    batch,
    cluster,
    forests,
    journal,
    monitoring,
    panel,
    report,
    seed_project,
    shipping,
    surface,
    training,
    truth,
)
from benchmarks.contenders import Bench
from benchmarks.figures import FIGURES, client_ceiling
from benchmarks.services import ROOT

OTHERS = {
    "batch": batch.main,
    "cluster": cluster.main,
    "forests": forests.main,
    "journal": journal.main,
    "monitoring": monitoring.main,
    "panel": panel.main,
    "seed": seed_project.main,
    "shipping": shipping.main,
    "surface": surface.main,
    "training": training.main,
    "truth": truth.main,
}
"""What is measured by commands of their own, with options of their own."""


def main() -> int:
    """Measure, print, write. Returns 0 if every target was met, 1 if not."""
    if sys.argv[1:2] and sys.argv[1] in OTHERS:
        return OTHERS[sys.argv[1]](sys.argv[2:])
    asked = _arguments()
    work = ROOT / "var" / "benchmarks"
    bench = Bench(work / "models", work / "scratch", asked.seconds, asked.rounds)
    ceiling = client_ceiling(bench)
    print(f"client ceiling: {ceiling:,.0f} answers a second", flush=True)
    rows = []
    for name in asked.only or FIGURES:
        row = FIGURES[name].row(bench)
        rows.append(row)
        verdict = "met" if row.met else "NOT MET"
        print(f"{name}: {row.measured}, target {row.target}, {verdict}. {row.detail}", flush=True)
    client = (
        f"The client took {ceiling:,.0f} answers a second from a server that does nothing, and "
        f"in no round was busy for more than {bench.busiest:.0%} of its core. "
        f"Rounds of {bench.seconds:g} s."
    )
    text = report.document(rows, client)
    print(text)
    if asked.out:
        asked.out.write_text(text, encoding="utf-8", newline="\n")
    return 0 if all(row.met for row in rows) else 1


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "--only", action="append", choices=list(FIGURES), help="one figure; may be repeated"
    )
    parser.add_argument("--seconds", type=float, default=4.0, help="length of a round")
    parser.add_argument("--rounds", type=int, default=5, help="pairs of rounds for a ratio")
    parser.add_argument(
        "--out",
        type=Path,
        help="Markdown file to write; without --only the default is benchmarks/RESULTS.md",
    )
    asked = parser.parse_args()
    if asked.out is None and not asked.only:
        asked.out = ROOT / "benchmarks" / "RESULTS.md"
    return asked


if __name__ == "__main__":
    sys.exit(main())

"""How good chances were on a hold-out, kept as JSON lines, and the table of all of them.

Nothing here knows how the chances came about, and no figure is taken from who is judged.
"""

import json
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from sklearn.metrics import (
    brier_score_loss,
    log_loss,
    roc_auc_score,
)

from propensia import stats

BASELINE = "lightgbm"
LOSS = 0.002
CALIBRATION = 0.02
COVERED = 0.9
MINUTES, REPEATS = 10.0, 10
"""What the targets are stated for: the search time of each side, and the splits of each table."""
MARKS = {True: "met", False: "**not met**", None: "not measured"}
_DRAWS = 200

Labels = npt.NDArray[np.int64]
Chances = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Run:
    """What is asked of one side on one split of one table; equal runs are done once."""

    side: str
    table: str
    seed: int
    minutes: float
    hold_out: float


@dataclass(frozen=True, slots=True)
class Verdict:
    """One run on its hold-out of `rows` rows.

    `square`: `stats.calibration_square` of the chances; `chance_squares`: the same of labels
    drawn from these very chances, time after time, as if every one were true. `low` and `high`:
    the 95 % interval that the side itself stated for the AUC of a further table, if it did;
    `None` where it stated none.
    """

    run: Run
    rows: int
    columns: int
    auc: float
    log_loss: float
    brier: float
    square: float
    chance_squares: list[float]
    seconds: float
    detail: str
    low: float | None = None
    high: float | None = None

    @property
    def covered(self) -> bool | None:
        """Whether the stated interval holds the AUC; `None` where none was stated."""
        if self.low is None or self.high is None:
            return None
        return self.low <= self.auc <= self.high


def judge(
    run: Run,
    columns: int,
    labels: Labels,
    chances: Chances,
    seconds: float,
    detail: str,
    stated: tuple[float, float] | None = None,
) -> Verdict:
    """The verdict on the chances `(n,)` of a hold-out with those labels 0 and 1."""
    low, high = stated or (None, None)
    return Verdict(
        run,
        len(labels),
        columns,
        float(roc_auc_score(labels, chances)),
        float(log_loss(labels, np.clip(chances, 1e-15, 1 - 1e-15))),
        float(brier_score_loss(labels, chances)),
        stats.calibration_square(labels, chances),
        squares_by_chance(chances, run.seed),
        seconds,
        detail,
        low,
        high,
    )


def squares_by_chance(chances: Chances, seed: int) -> list[float]:
    """`stats.calibration_square` of 200 draws of labels, each row's from its own chance."""
    random = np.random.default_rng(seed)
    drawn = (random.random(len(chances)) < chances for _ in range(_DRAWS))
    return [stats.calibration_square(labels.astype(np.int64), chances) for labels in drawn]


def read(path: Path) -> list[Verdict]:
    """The verdicts of a file of JSON lines; a last line cut short by a crash is left out."""
    if not path.exists():
        return []
    verdicts = []
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            item = json.loads(line)
        except json.JSONDecodeError:
            continue
        verdicts.append(Verdict(**{**item, "run": Run(**item["run"])}))
    return verdicts


def append(path: Path, verdict: Verdict) -> None:
    """Add one line to the file, which is made where it is not there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8", newline="\n") as stream:
        stream.write(json.dumps(asdict(verdict)) + "\n")


@dataclass(frozen=True, slots=True)
class Row:
    """Both sides on one table, over the seeds that both have done."""

    table: str
    ours: Sequence[Verdict]
    theirs: Sequence[Verdict]

    @property
    def differences(self) -> list[float]:
        """AUC of ours less theirs, split by split."""
        return [a.auc - b.auc for a, b in zip(self.ours, self.theirs, strict=True)]

    @property
    def difference(self) -> float:
        """The mean of the differences."""
        return statistics.fmean(self.differences)

    @property
    def error(self) -> float:
        """The root mean square gap of chance and rate, without the noise of the labels.

        Each split is judged by itself, or gaps of different models would cancel. It is never
        below the expected calibration error that the bins truly have (Jensen).
        """
        return _root([verdict.square for verdict in self.ours])

    @property
    def errors_by_chance(self) -> list[float]:
        """`error` as true probabilities would show it on these rows, draw after draw.

        Hold-outs that share rows are drawn as if they shared none, so it is a little narrow.
        """
        draws = zip(*(verdict.chance_squares for verdict in self.ours), strict=True)
        return [_root(squares) for squares in draws]

    @property
    def limit(self) -> float:
        """The largest `error` that passes: the target, or what 19 of 20 draws stay below.

        Where rows are few the second is larger, and no figure of theirs could tell.
        """
        return max(CALIBRATION, float(np.quantile(self.errors_by_chance, 0.95)))

    @property
    def covered(self) -> int:
        """How many stated intervals hold the AUC of their hold-out."""
        return sum(verdict.covered is True for verdict in self.ours)


def _root(squares: Sequence[float]) -> float:
    """The root of their mean, 0 where noise made that negative."""
    return float(np.sqrt(max(statistics.fmean(squares), 0.0)))


def paired(verdicts: Iterable[Verdict], name: str) -> list[Row]:
    """A row for each table on which both the side `name` and the baseline were judged."""
    known: dict[str, dict[str, dict[int, Verdict]]] = {}
    for verdict in verdicts:
        sides = known.setdefault(verdict.run.table, {})
        sides.setdefault(verdict.run.side, {})[verdict.run.seed] = verdict
    rows = []
    for table, sides in known.items():
        ours, theirs = sides.get(name, {}), sides.get(BASELINE, {})
        seeds = sorted(ours.keys() & theirs.keys())
        if seeds:
            rows.append(Row(table, [ours[s] for s in seeds], [theirs[s] for s in seeds]))
    return rows


def targets(rows: Sequence[Row]) -> list[tuple[str, bool | None]]:
    """Each target in words with what was found, and whether it is met; `None`: too few repeats."""
    worst = min(rows, key=lambda row: row.difference)
    above = sum(row.difference > 0 for row in rows)
    widest = max(rows, key=lambda row: row.error - row.limit)
    blurred = [row.table for row in rows if row.limit > CALIBRATION]
    least = min(rows, key=lambda row: row.covered / len(row.ours))
    often = min(len(row.ours) for row in rows) >= REPEATS
    return [
        (
            f"AUC at most {LOSS} below LightGBM's on any table: the worst is "
            f"{worst.difference:+.4f} ({worst.table})",
            worst.difference >= -LOSS,
        ),
        (f"above it on most: on {above} of {len(rows)}", above > len(rows) / 2),
        (
            f"calibration error ≤ {CALIBRATION}, or no more than chance may show where that is "
            f"more ({', '.join(blurred) or 'nowhere'}): the worst is {widest.error:.4f}, "
            f"limit {widest.limit:.4f} ({widest.table})",
            widest.error <= widest.limit,
        ),
        (
            f"the stated interval covers the AUC in {COVERED:.0%} of the repeats (needs {REPEATS} "
            f"of each table): the fewest are {least.covered} of {len(least.ours)} ({least.table})",
            least.covered >= COVERED * len(least.ours) if often else None,
        ),
    ]


def document(rows: Sequence[Row]) -> str:
    """The rows and the targets in Markdown."""
    lines = [
        "| table | rows, columns | repeats | AUC | LightGBM | difference ± s.e. | log loss | "
        "LightGBM | calibration error (by chance, limit) | covered | seconds | LightGBM |",
        f"|{'---|' * 12}",
        *(_line(row) for row in rows),
        "",
        f"The targets are stated for {MINUTES:g} minutes a side and {REPEATS} repeats of each "
        f"table{_less(rows)}.",
        "",
        *listed(targets(rows)),
    ]
    return "\n".join(lines) + "\n"


def listed(found: Iterable[tuple[str, bool | None]]) -> list[str]:
    """Targets as the lines of a list in Markdown, each with its mark."""
    return [f"- {MARKS[met]}: {text}" for text, met in found]


def _less(rows: Sequence[Row]) -> str:
    """What to say where that is more than was done."""
    minutes = min(verdict.run.minutes for row in rows for verdict in row.ours)
    repeats = min(len(row.ours) for row in rows)
    if minutes >= MINUTES and repeats >= REPEATS:
        return ""
    return f"; here the least are {minutes:g} and {repeats}, and what follows is a first sign"


def _line(row: Row) -> str:
    first = row.ours[0]
    whole = round(first.rows / first.run.hold_out)
    cells = (
        row.table,
        f"{whole:,}, {first.columns}",
        str(len(row.ours)),
        _mean(verdict.auc for verdict in row.ours),
        _mean(verdict.auc for verdict in row.theirs),
        f"{row.difference:+.4f} ± {standard_error(row.differences)}",
        _mean(verdict.log_loss for verdict in row.ours),
        _mean(verdict.log_loss for verdict in row.theirs),
        f"{row.error:.4f} ({statistics.fmean(row.errors_by_chance):.4f}, {row.limit:.4f})",
        f"{row.covered} of {len(row.ours)}",
        f"{statistics.fmean(verdict.seconds for verdict in row.ours):.0f}",
        f"{statistics.fmean(verdict.seconds for verdict in row.theirs):.0f}",
    )
    return "| " + " | ".join(cells) + " |"


def standard_error(values: Sequence[float]) -> str:
    """That of their mean, as text; a dash where there is only one."""
    if len(values) < 2:
        return "—"
    return f"{statistics.stdev(values) / len(values) ** 0.5:.4f}"


def _mean(values: Iterable[float]) -> str:
    return f"{statistics.fmean(values):.4f}"

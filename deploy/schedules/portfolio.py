"""Scores the portfolio of the day, or of the month, once: what every scheduler here starts.

It must never write a value of a row, overwrite a result, or run twice at the same time.

    python portfolio.py ENTRADA CARPETA [--name cartera] [--period day] [-- options of the command]

The result is CARPETA/cartera-20260131.csv. Started again, it goes on with one that was stopped,
and does nothing once that of this day or month is there: so start it as often as you like. What
the command says is in CARPETA/cartera-20260131.log; here something is said only if it fails,
which cron then mails. It ends as the command: 0 done, 1 refused, 2 wrong use, 3 the machine (disk
full, no database, no cluster), where the next start goes on. Other than 0 also starts --alert.

It needs the Python of Propensia, in the folder with its propensia.toml.
"""

from __future__ import annotations

import argparse
import re
import shlex
import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, date, datetime
from pathlib import Path

from propensia.locks import Busy, Lock

PERIODS = {"day": "%Y%m%d", "month": "%Y%m"}
UNFINISHED = ".part.json"
SAID = 20
"""Lines of the log that are repeated after a failure."""


def main(arguments: Sequence[str]) -> int:
    """See above."""
    asked = _asked(arguments)
    if not asked.folder.is_dir():
        print(f"{asked.folder} is no folder", file=sys.stderr)
        return 3
    try:
        with Lock(asked.folder / f"{asked.name}.lock"):
            return _score(asked)
    except Busy:
        print("another start is at it", file=sys.stderr)
        return 0


def _score(asked: argparse.Namespace) -> int:
    target = _target(asked)
    if target is None:
        return 0
    command = [
        *(sys.executable, "-X", "utf8", "-m", "propensia", "score", asked.source, str(target)),
        *("--resume", *asked.options),
    ]
    log = target.with_suffix(".log")
    with log.open("ab") as out:
        out.write(_line("start"))
        out.flush()
        code = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=out, stderr=out).returncode
        out.write(_line(f"end, exit code {code}"))
    if code != 0:
        said = log.read_text(encoding="utf-8", errors="replace").splitlines()[-SAID:]
        print(f"{target.name}: exit code {code}; {log}", *said, sep="\n", file=sys.stderr)
        if asked.alert:
            _tell([*shlex.split(asked.alert), target.name, str(code)])
    return code


def _tell(command: list[str]) -> None:
    try:
        subprocess.run(command, stdin=subprocess.DEVNULL, check=False)
    except OSError as error:
        print(f"--alert: {error.strerror}", file=sys.stderr)


def _target(asked: argparse.Namespace) -> Path | None:
    """The oldest that was stopped, or else that of this period; ``None`` where that is there."""
    named = re.compile(rf"{re.escape(asked.name)}-[0-9]{{6,8}}\.{asked.kind}").fullmatch
    stopped = [path.name.removesuffix(UNFINISHED) for path in asked.folder.glob(f"*{UNFINISHED}")]
    for name in sorted(filter(named, stopped)):
        return asked.folder / name
    stamp = asked.date.strftime(PERIODS[asked.period])
    target = asked.folder / f"{asked.name}-{stamp}.{asked.kind}"
    return None if target.exists() else target


def _line(text: str) -> bytes:
    return f"--- {datetime.now(UTC).isoformat(timespec='seconds')} {text}\n".encode()


def _asked(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="portfolio.py", usage=__doc__)
    parser.add_argument("source", help="file or database, as of propensia score")
    parser.add_argument("folder", type=Path, help="where results go")
    parser.add_argument("--name", default="cartera", help="what results are called")
    parser.add_argument("--kind", choices=["csv", "parquet", "xlsx"], default="csv")
    parser.add_argument("--period", choices=PERIODS, default="day")
    parser.add_argument("--date", type=date.fromisoformat, default=date.today())
    parser.add_argument("--alert", help="command that is told the name and the exit code")
    split = arguments.index("--") if "--" in arguments else len(arguments)
    asked = parser.parse_args(arguments[:split])
    asked.options = arguments[split + 1 :]
    if not re.fullmatch(r"[A-Za-z0-9_-]+", asked.name):
        parser.error("--name: letters, digits, - and _")
    return asked


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""Scores the portfolio of the day, or of the month, once: what every scheduler here starts.

It must never write a value of a row, overwrite a result, or run twice at the same time.

    python portfolio.py ENTRADA CARPETA [--name cartera] [--period day] [-- options of the command]

The result is CARPETA/cartera-20260131.csv. A start goes on with whatever was stopped, then scores
what is asked for, and does nothing once that of this day or month is there: so start it as often
as you like. ENTRADA may hold {period}, as in cartera-{period}.csv, for the 20260131 of the result.
A file of always the same name has to be newer than the last result, or it is that of another day
or month; --any-age takes it all the same. What is not there yet ends with 3. What the command
says is in CARPETA/cartera-20260131.log; here something is said only if it fails, which cron then
mails. It ends as the command: 0 done, 1 refused, 2 wrong use, 3 the machine (disk full, no
database, no cluster, a process that died), a file to wait for or another start that is at it,
where the next start goes on; of several results, with the highest. Other than 0 also starts
--alert, but for another start. Who ends it ends the command with it.

It needs the Python of Propensia, in the folder with its propensia.toml.
"""

from __future__ import annotations

import argparse
import errno
import os
import re
import shlex
import signal
import subprocess
import sys
from collections import deque
from collections.abc import Sequence
from datetime import UTC, date, datetime
from pathlib import Path

from propensia.locks import Busy, Lock, is_free

PERIODS = {"day": "%Y%m%d", "month": "%Y%m"}
PERIOD = "{period}"
"""In the name of the source: the stamp of the result."""
NO_FILE = r"(?:env:|[A-Za-z0-9+.-]+://)"
SUMMARY = ".resumen.json"
UNFINISHED = ".part.json"
HELD = ".part.lock"
MACHINE = 3
CODES = (0, 1, 2, MACHINE)
SAID = 20
"""Lines of the log that are repeated after a failure."""


def main(arguments: Sequence[str]) -> int:
    """See above."""
    asked = _asked(arguments)
    try:
        if not asked.folder.is_dir():
            raise NotADirectoryError(errno.ENOTDIR, "is no folder")
        with Lock(asked.folder / f"{asked.name}.lock"):
            return max((_score(asked, target) for target in _targets(asked)), default=0)
    except Busy:
        return 0 if _wanted(asked).exists() else _busy()
    except OSError as error:  # a folder that is away, or that takes no file
        print(f"{asked.folder}: {error.strerror}", file=sys.stderr)
        _tell(asked, asked.name, MACHINE)
        return MACHINE


def _score(asked: argparse.Namespace, target: Path) -> int:
    held = target.with_name(f"{target.name}{HELD}")
    if held.exists() and not is_free(held):  # a command whose own start was killed
        return _busy()
    source = asked.source.replace(PERIOD, target.stem.rpartition("-")[2])
    command = [
        *(sys.executable, "-X", "utf8", "-m", "propensia", "score", source, str(target)),
        *("--resume", *asked.options),
    ]
    log = _Log(target.with_suffix(".log"))
    waiting = _waiting(asked, source, target)
    if waiting is None:
        log.note("start")
        code, said = _run(command, log)
    else:
        code, said = MACHINE, [waiting]
        log.note(waiting)
    log.note(f"end, exit code {code}")
    if log.fault:
        print(f"{log.path}: {log.fault}", file=sys.stderr)
    if code != 0:
        print(f"{target.name}: exit code {code}; {log.path}", *said, sep="\n", file=sys.stderr)
        _tell(asked, target.name, code)
    return code


def _waiting(asked: argparse.Namespace, source: str, target: Path) -> str | None:
    """Why there is nothing to be scored yet, if so; of a database nobody knows."""
    if re.match(NO_FILE, source):
        return None
    try:
        written = os.stat(source).st_mtime_ns
    except OSError as error:
        return f"{source} is not there yet: {error.strerror}"
    begun = target.with_name(f"{target.name}{UNFINISHED}").exists()  # the command knows its source
    if begun or asked.any_age or PERIOD in asked.source:
        return None
    # Of other days or of other months; by the summaries, as a person may have saved a result.
    stamp = "[0-9]" * len(target.stem.rpartition("-")[2])
    scored = set(asked.folder.glob(f"{asked.name}-{stamp}.{asked.kind}{SUMMARY}"))
    scored.discard(target.with_name(f"{target.name}{SUMMARY}"))
    if all(path.stat().st_mtime_ns < written for path in scored):
        return None
    return f"{source} is not newer than the last result: waiting for another one, or --any-age"


def _run(command: list[str], log: _Log) -> tuple[int, list[str]]:
    """The exit code of a command, and the last lines that it said. It never outlives this."""
    said: deque[bytes] = deque(maxlen=SAID)
    with subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as process:
        try:
            for line in process.stdout or ():
                said.append(line)
                log.write(line)
            code = process.wait()
        except BaseException:
            process.kill()  # what it did is kept; its workers end with it
            raise
    lines = [line.decode("utf-8", "replace").rstrip() for line in said]
    return (code if code in CODES else MACHINE), lines


class _Log:
    """A log that may fail: a disk that takes no line of it changes nothing of what is done."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.fault: str | None = None

    def note(self, text: str) -> None:
        """A line of one's own, with the time."""
        self.write(f"--- {datetime.now(UTC).isoformat(timespec='seconds')} {text}\n".encode())

    def write(self, line: bytes) -> None:
        """One more line; ``fault`` says what was wrong with the last one that failed."""
        try:
            with self.path.open("ab") as out:
                out.write(line)
        except OSError as error:
            self.fault = error.strerror


def _busy() -> int:
    print("another start is at it", file=sys.stderr)
    return MACHINE


def _tell(asked: argparse.Namespace, name: str, code: int) -> None:
    if not asked.alert:
        return
    command = [*shlex.split(asked.alert), name, str(code)]
    try:
        subprocess.run(command, stdin=subprocess.DEVNULL, check=False)
    except OSError as error:
        print(f"--alert: {error.strerror}", file=sys.stderr)


def _targets(asked: argparse.Namespace) -> list[Path]:
    """Those that were stopped, the oldest first; and that of this period, unless it is there."""
    named = re.compile(rf"{re.escape(asked.name)}-[0-9]{{6,8}}\.{asked.kind}").fullmatch
    stopped = [path.name.removesuffix(UNFINISHED) for path in asked.folder.glob(f"*{UNFINISHED}")]
    found = [asked.folder / name for name in sorted(filter(named, stopped))]
    wanted = _wanted(asked)
    return found if wanted in found or wanted.exists() else [*found, wanted]


def _wanted(asked: argparse.Namespace) -> Path:
    stamp = asked.date.strftime(PERIODS[asked.period])
    return Path(asked.folder / f"{asked.name}-{stamp}.{asked.kind}")


def _asked(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="portfolio.py", usage=__doc__)
    parser.add_argument("source", help=f"file, also with {PERIOD}; or database")
    parser.add_argument("folder", type=Path, help="where results go")
    parser.add_argument("--name", default="cartera", help="what results are called")
    parser.add_argument("--kind", choices=["csv", "parquet", "xlsx"], default="csv")
    parser.add_argument("--period", choices=PERIODS, default="day")
    parser.add_argument("--date", type=date.fromisoformat, default=date.today())
    parser.add_argument("--any-age", action="store_true", help="of a file that was scored too")
    parser.add_argument("--alert", help="command that is told the name and the exit code")
    split = arguments.index("--") if "--" in arguments else len(arguments)
    asked = parser.parse_args(arguments[:split])
    asked.options = arguments[split + 1 :]
    if not re.fullmatch(r"[A-Za-z0-9_-]+", asked.name):
        parser.error("--name: letters, digits, - and _")
    if re.match(r"(?!sqlite)[A-Za-z0-9+.-]+://", asked.source):
        parser.error("ENTRADA: env:NAME, a variable that holds it; what is typed, all may read")
    return asked


def _stop(number: int, frame: object) -> None:
    raise SystemExit(MACHINE)


if __name__ == "__main__":
    if os.name == "posix":
        os.umask(0o027)  # a portfolio is for its account and its group
        signal.signal(signal.SIGTERM, _stop)
    sys.exit(main(sys.argv[1:]))

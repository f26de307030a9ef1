"""`python -m benchmarks shipping`: how fast the journal gets into the database, and what it takes.

It must never count a round after which a record was missing from the database.
"""

import argparse
import contextlib
import json
import os
import random
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

from benchmarks import report
from benchmarks.contenders import PATHS
from benchmarks.report import Row, Target
from benchmarks.services import ROOT
from propensia.journal import records
from propensia.journal.lines import line
from propensia.journal.writer import FOLDER

_RULES = records.Rules("abcdef012345", 7, "modelo de marzo", "0123456789abcdef", 0.5).written()
_START_MS = 1_790_000_000_000
_FILE = 64 << 20
_RATES = {"sqlite": 20_000.0, "postgresql": 10_000.0}
_MOST_MIB = 200.0


def main(arguments: Sequence[str]) -> int:
    """Measure, print and write; 0 if every target was met, else 1."""
    asked = _arguments(arguments)
    rows = []
    with _servers() as fresh:
        for name, rate in _RATES.items():
            found = [_round(fresh(name), asked.records) for _ in range(asked.rounds)]
            bytes_each = found[-1]["journal_bytes"] / asked.records
            detail = (
                f"{asked.records:,} records of {bytes_each:.0f} bytes; the shipper's processor "
                f"was busy for {found[-1]['busy']:.0%} of the time"
            )
            if name == "sqlite":
                detail += f"; {found[-1]['stored_bytes'] / asked.records:.0f} bytes each stored"
            rates = [one["rate"] for one in found]
            rows.append(Row(f"records a second into {name}", Target(rate, True), rates, detail))
            memory = [one["mib"] for one in found]
            target = Target(_MOST_MIB, False, " MiB")
            detail = "peak of the process, Python and libraries included"
            rows.append(Row(f"memory while shipping into {name}", target, memory, detail))
            for row in rows[-2:]:
                print(
                    f"{row.title}: {row.measured}, target {row.target}. {row.detail}", flush=True
                )
    if asked.out:
        asked.out.write_text(_document(rows, asked), encoding="utf-8", newline="\n")
    return 0 if all(row.met for row in rows) else 1


def _arguments(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks shipping", description=__doc__)
    parser.add_argument("--records", type=int, default=300_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "SHIPPING.md")
    return parser.parse_args(arguments)


def _document(rows: Sequence[Row], asked: argparse.Namespace) -> str:
    machine = ", ".join(f"{name} {text}" for name, text in report.machine().items())
    return "\n".join(
        [
            "# Shipping: from the journal into the database",
            "",
            "Written by `python -m benchmarks shipping "
            f"--records {asked.records} --rounds {asked.rounds}`.",
            "Each round ships a whole journal into an empty database, in a process of its own; "
            "PostgreSQL runs on the same machine, and waits for no disk.",
            "Every tenth record is a refusal; half of the answers have a reference, a fifth a "
            "note. Rows, sums and outcomes that may wait are all looked at.",
            "",
            report.table(rows),
            "",
            f"Machine: {machine}.",
            "",
        ]
    )


@contextlib.contextmanager
def _servers() -> Iterator[Callable[[str], str]]:
    """Gives the URL of a new database of a kind; empty for SQLite."""
    sys.path.insert(0, str(ROOT / "tests"))  # the server that the tests start
    from stores import postgresql

    with postgresql() as server:
        yield lambda name: server.fresh() if name == "postgresql" else ""


def _round(url: str, count: int) -> dict[str, float]:
    with tempfile.TemporaryDirectory(dir=ROOT / "var") as folder:
        state = Path(folder)
        size = _fill(state / FOLDER, count)
        environment = os.environ | {"PROPENSIA_STATE": folder, "PROPENSIA_DATABASE_URL": url}
        command = [sys.executable, "-m", "benchmarks.shipping_once"]
        done = subprocess.run(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE)
        done.check_returncode()
        found: dict[str, float] = json.loads(done.stdout)
        if found["records"] != count:
            raise SystemExit(f"{found['records']} of {count} records are in the database")
        stored = sum(path.stat().st_size for path in state.glob("store.db*"))
        return found | {"journal_bytes": size, "stored_bytes": stored}


def _fill(folder: Path, count: int) -> int:
    """Write a journal, as two processes would; its bytes."""
    folder.mkdir(parents=True)
    chance, size = random.Random(count), 0
    texts = [[value for _, value in parse_qsl(urlsplit(path).query)] for path in PATHS]
    for owner in range(2):
        number, room = 0, 0
        with contextlib.ExitStack() as files:
            for place in range(owner, count, 2):
                if room <= 0:
                    number, room = number + 1, _FILE
                    path = folder / f"{owner:016x}-{number:06d}.journal"
                    stream = files.enter_context(path.open("wb"))
                written = stream.write(line(_record(place, owner, texts, chance)))
                size, room = size + written, room - written
    return size


def _record(place: int, owner: int, texts: list[list[str]], chance: random.Random) -> bytes:
    id = f"{_START_MS + 2 * place:011x}{owner:08x}{place:010x}"
    if place % 10 == 9:
        return records.refusal(id, "sistema-1", [("er", "no_es_numero")])
    reference = f"{chance.getrandbits(128):032x}" if place % 2 else None
    notes = (
        [("er", "valor_supuesto", "NAN"), ("im", "coma_decimal", 17.5)] if place % 5 == 0 else []
    )
    score = chance.random()
    sent = texts[place % len(texts)]
    caller = f"sistema-{place % 4}"
    return records.answer(id, _RULES, caller, reference, score, score >= 0.5, sent, notes)

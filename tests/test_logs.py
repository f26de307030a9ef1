"""Log lines: each event begins a line of its own, and nothing that was named can begin another."""

from __future__ import annotations

import subprocess
import sys

import pytest

PROGRAM = """
import logging, sys
from propensia import logs
logs.to_stderr(logging.WARNING, "%(levelname)s %(name)s: %(message)s")
log = logging.getLogger("x")
log.info("below the level")
log.warning("named %s", {text!r})
try:
    raise ValueError({text!r})
except ValueError:
    log.exception("failed")
"""


def lines(text: str) -> list[str]:
    """What a program of its own writes to standard error for a name and for an exception."""
    run = subprocess.run(
        [sys.executable, "-X", "utf8", "-c", PROGRAM.format(text=text)],
        capture_output=True,
        check=True,
    )
    return run.stderr.decode("utf-8").split("\n")


@pytest.mark.parametrize("end", ["\n", "\r", "\r\n", "\x0b", "\x1c", "\x85", "\u2028"])
def test_a_name_cannot_forge_an_event(end: str) -> None:
    found = lines(f"a{end}ERROR x: forged")
    assert found[0] == "WARNING x: named a"
    assert [line for line in found if line[:1] not in ("", " ")] == [
        "WARNING x: named a",
        "ERROR x: failed",
    ]


@pytest.mark.parametrize("text", ["\x1b[2J", "\x1b]0;t\x07", "\u202egnp", "\x00", "\x08\x08"])
def test_nothing_steers_the_terminal_that_shows_it(text: str) -> None:
    shown = "\n".join(lines(f"a{text}b"))
    assert shown.replace("\n", "").isprintable()
    assert "\N{REPLACEMENT CHARACTER}" in shown


def test_an_ordinary_event_is_left_as_it_is() -> None:
    assert lines("año 2026 · 3 €")[0] == "WARNING x: named año 2026 · 3 €"


def test_who_runs_us_and_logs_elsewhere_goes_on_doing_so() -> None:
    code = (
        "import logging, sys; logging.basicConfig(stream=sys.stdout, format='own %(message)s');"
        "from propensia import logs; logs.to_stderr(logging.WARNING, 'ours %(message)s');"
        "logging.warning('x')"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    assert (run.stdout, run.stderr) == ("own x\n", "")

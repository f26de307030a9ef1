"""The rim of the command line: what a person reads when something beyond the command fails."""

from __future__ import annotations

import os
import subprocess
import sys

from desk import Desk, desk

from propensia.terminal import Exit
from tests import tiny_models

__all__ = ["desk"]


def test_a_comparison_with_a_damaged_model_is_refused_with_a_sentence(desk: Desk) -> None:
    good, bad = desk.publish(0.3), desk.publish(0.6)
    desk.registry.part(bad, "model.onnx").write_bytes(b"damaged")
    text = desk.run("compare", good, bad, code=Exit.REFUSED)
    assert "está dañado" in text
    assert good in text and bad in text
    assert "Traceback" not in text


def test_a_comparison_with_a_model_that_gives_no_probability_is_refused(desk: Desk) -> None:
    good = desk.publish(0.3)
    bad = desk.add(tiny_models.constant(7.0))
    assert "no funciona" in desk.run("compare", good, bad, code=Exit.REFUSED)


def test_a_reader_that_goes_away_ends_a_command_without_a_word(desk: Desk) -> None:
    """As in ``propensia models | head -1``: the other end of the pipe is closed already."""
    desk.publish(0.3)
    reading, writing = os.pipe()
    os.close(reading)
    try:
        done = subprocess.run(
            [sys.executable, "-m", "propensia", "models"],
            stdin=subprocess.DEVNULL,
            stdout=writing,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            timeout=60,
            check=False,
        )
    finally:
        os.close(writing)
    assert (done.returncode, done.stderr) == (1, "")

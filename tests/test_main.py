"""The rim of the command line: what a person reads when something beyond the command fails."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import click
import pytest
from desk import Desk, desk

from propensia.__main__ import cli
from propensia.cli.words import SpanishCommand, who
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


@pytest.mark.skipif(os.name != "posix", reason="Windows tells the account by a variable only")
def test_no_variable_says_who_is_at_the_keyboard(monkeypatch: pytest.MonkeyPatch) -> None:
    own = subprocess.run(["id", "-un"], capture_output=True, encoding="utf-8", check=True).stdout
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.setenv(name, "eva")
    monkeypatch.delenv("SUDO_USER", raising=False)
    assert (who().name, who().also, who().shown) == (own.strip(), "", own.strip())
    monkeypatch.setenv("SUDO_USER", "eva")
    assert (who().name, who().also) == (own.strip(), "eva"), "one more, not in its place"


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ("serve --insecur", "no existe la opción --insecur. ¿Quería decir '--insecure'?"),
        ("serve --wxyz 1", "no existe la opción --wxyz."),
        ("serv", "no existe la orden «serv». ¿Quería decir 'serve'?"),
        ("serve extra otro", "sobra: extra otro."),
        ("serve --port", "la opción --port necesita un valor."),
        ("serve --insecure=si", "la opción --insecure no lleva valor."),
        ("serve --port x", "--port: 'x' no es un número entero."),
        ("serve --port 70000", "--port: 70000 no vale: de 0 a 65535."),
        ("synth x.csv --seed -1", "--seed: -1 no vale: de 0 en adelante."),
        (
            "serve --server iis",
            "--server: 'iis' no es ninguno de 'granian', 'gunicorn', 'waitress'.",
        ),
        ("keys create", "falta NOMBRE."),
        ("keys create ana", "falta la opción --role."),
        ("keys wxyz", "no existe la orden «wxyz»."),
        ("keys list de", "sobra: de."),
        ("threshold x --why y", "VALOR: 'x' no es un número."),
        ("check no-hay.pkl", "FICHERO: no existe 'no-hay.pkl'."),
        ("backup .", "COPIA.zip: '.' es una carpeta."),
    ],
)
def test_what_is_mistyped_is_told_in_spanish(words: str, sentence: str, desk: Desk) -> None:
    text = desk.run(*words.split(), code=Exit.WRONG_USE)
    usage, error = text.splitlines()[:-1], text.splitlines()[-1]
    assert error == f"Error: {sentence}"
    if usage:  # click does not know the command where a value is missing
        assert usage[0].startswith("Uso: cli ") and usage[1].endswith(" --help» lo explica.")
    assert not re.search("Usage|OPTIONS|Try|Invalid|Missing|No such|not ", text)


def test_a_group_without_a_command_shows_its_help(desk: Desk) -> None:
    for words in ((), ("keys",)):
        text = desk.run(*words, code=Exit.WRONG_USE)
        assert text.startswith("Uso: cli ") and "Órdenes:" in text and "Error" not in text


def test_every_command_speaks_spanish() -> None:
    """Else what is mistyped there is told in English."""
    groups = [command for command in cli.commands.values() if isinstance(command, click.Group)]
    for command in [cli, *cli.commands.values(), *groups[0].commands.values()]:
        assert isinstance(command, SpanishCommand), command.name

"""Every setting is typed, bounded and known, from the file and from the environment."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import click
import pytest

from propensia import settings
from propensia.__main__ import cli
from propensia.settings import Settings, SettingsError
from propensia.web import servers


def load(tmp_path: Path, toml: str = "", **environment: str) -> Settings:
    file = tmp_path / "propensia.toml"
    file.write_text(toml, encoding="utf-8")
    return settings.load({f"PROPENSIA_{k.upper()}": v for k, v in environment.items()}, file)


def test_without_a_file_and_an_environment_the_defaults_hold(tmp_path: Path) -> None:
    loaded = settings.load({}, tmp_path / "absent.toml")
    assert (loaded.host, loaded.port, loaded.server) == ("127.0.0.1", 5000, "granian")
    assert loaded.contract == "cobranza"
    assert loaded.models == Path("models").absolute()
    assert loaded.state == Path("var").absolute()


def test_the_environment_wins_over_the_file(tmp_path: Path) -> None:
    loaded = load(tmp_path, "port = 1\nworkers = 2", port="3")
    assert (loaded.port, loaded.workers) == (3, 2)


def test_other_variables_are_none_of_our_business(tmp_path: Path) -> None:
    environment = {"PATH": "/bin", "PORT": "x", "XPROPENSIA_PORT": "y"}
    assert settings.load(environment, tmp_path / "absent.toml").port == 5000


@pytest.mark.parametrize(
    ("wrong", "nearest"),
    [("prot", "port"), ("model", "models"), ("keep_version", "keep_versions"), ("x", "")],
)
def test_an_unknown_key_is_an_error_that_names_the_nearest(
    wrong: str, nearest: str, tmp_path: Path
) -> None:
    with pytest.raises(SettingsError, match=rf"{wrong}.*quería decir '{nearest}"):
        load(tmp_path, f"{wrong} = 1")
    with pytest.raises(SettingsError, match=rf"{wrong}.*quería decir '{nearest}"):
        load(tmp_path, **{wrong: "1"})


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("port", "abc"),
        ("port", ""),
        ("port", "-1"),
        ("port", "5000.5"),
        ("port", "65536"),
        ("workers", "9" * 400),
        ("workers", "-1"),
        ("stable_polls", "0"),
        ("admission_memory_mb", "255"),
        ("poll_seconds", "nan"),
        ("poll_seconds", "inf"),
        ("poll_seconds", "-0.5"),
        ("header_timeout_s", "0"),
        ("header_timeout_s", "inf"),
        ("demonstration", "quizá"),
        ("server", "apache"),
        ("models", ""),
        ("state", ""),
    ],
)
def test_a_wrong_text_in_the_environment_is_an_error_that_names_the_setting(
    name: str, text: str, tmp_path: Path
) -> None:
    with pytest.raises(SettingsError, match=name):
        load(tmp_path, **{name: text})


@pytest.mark.parametrize(
    "line",
    [
        "port = 5000.5",
        "port = true",
        "workers = 1979-05-27",
        "stable_polls = 3.7",
        "models = 5",
        "host = 5",
        "contract = ['cobranza']",
        "demonstration = 2",
        "poll_seconds = nan",
        "port = [1]",
    ],
)
def test_a_wrong_type_in_the_file_is_an_error_that_names_the_setting(
    line: str, tmp_path: Path
) -> None:
    with pytest.raises(SettingsError, match=line.split()[0]):
        load(tmp_path, line)


@pytest.mark.parametrize("text", ["port 5", "a = ", "\x00"])
def test_a_file_that_is_not_toml_is_an_error_that_names_the_file(
    text: str, tmp_path: Path
) -> None:
    with pytest.raises(SettingsError, match=r"propensia\.toml"):
        load(tmp_path, text)


def test_a_file_that_is_not_utf8_is_an_error_that_names_the_file(tmp_path: Path) -> None:
    (tmp_path / "propensia.toml").write_bytes("host = 'ñ'".encode("latin-1"))
    with pytest.raises(SettingsError, match=r"propensia\.toml"):
        settings.load({}, tmp_path / "propensia.toml")


def test_the_mark_that_notepad_puts_at_the_start_is_forgiven(tmp_path: Path) -> None:
    assert load(tmp_path, "\ufeffport = 8").port == 8


@pytest.mark.parametrize(
    ("text", "wanted"),
    [("1", True), ("Sí", True), (" true ", True), ("YES", True), ("no", False), ("0", False)],
)
def test_yes_and_no_are_read_in_both_languages(text: str, wanted: bool, tmp_path: Path) -> None:
    assert load(tmp_path, demonstration=text).demonstration is wanted


@pytest.mark.parametrize("text", [" 7 ", "7"])
def test_blanks_around_a_number_are_forgiven(text: str, tmp_path: Path) -> None:
    assert load(tmp_path, port=text).port == 7


@pytest.mark.parametrize(
    ("text", "limits"),
    [("0.25,0.5,0.75", (0.25, 0.5, 0.75)), (" 0.9 ", (0.9,)), ("0.1, 0.6", (0.1, 0.6))],
)
def test_the_limits_of_the_bands_are_read(
    text: str, limits: tuple[float, ...], tmp_path: Path
) -> None:
    assert settings.score_bands(load(tmp_path, score_bands=text)) == limits


@pytest.mark.parametrize(
    "text", ["a", "0.5,", "0.5,0.5", "0.7,0.3", "0,0.5", "0.5,1", "nan", "0.5;0.7", "-0.1,0.2"]
)
def test_limits_that_make_no_bands_are_refused_with_an_example(text: str, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"score_bands.*0\.25,0\.5,0\.75"):
        load(tmp_path, score_bands=text)


def test_there_are_as_many_bands_as_letters(tmp_path: Path) -> None:
    limits = [str(place / 30) for place in range(1, 27)]
    assert len(settings.score_bands(load(tmp_path, score_bands=",".join(limits[:25])))) == 25
    with pytest.raises(SettingsError, match="entre 1 y 25"):
        load(tmp_path, score_bands=",".join(limits))


def test_the_servers_are_those_that_can_be_run(tmp_path: Path) -> None:
    assert settings.SERVERS == servers.SERVERS
    assert all(load(tmp_path, server=name).server == name for name in settings.SERVERS)
    option = next(option for option in cli.commands["serve"].params if option.name == "server")
    assert isinstance(option.type, click.Choice)
    assert tuple(option.type.choices) == settings.SERVERS


def test_relative_folders_are_made_absolute(tmp_path: Path) -> None:
    loaded = load(tmp_path, "state = 'datos'", models=str(tmp_path))
    assert loaded.state == Path.cwd() / "datos"
    assert loaded.models == tmp_path


def test_another_process_gets_the_very_same_settings(tmp_path: Path) -> None:
    changed: dict[str, Any] = {
        "models": tmp_path / "con ñ",
        "state": tmp_path / "var",
        "contract": "telco",
        "host": "::1",
        "port": 0,
        "server": "waitress",
        "workers": 7,
        "poll_seconds": 0.1,
        "header_timeout_s": 2.5,
        "demonstration": False,
    }
    before = replace(settings.load({}, tmp_path / "absent.toml"), **changed)
    after = settings.load(settings.as_environment(before), tmp_path / "absent.toml")
    assert after == before
    assert len(settings.as_environment(before)) == len(fields(Settings))


@pytest.mark.parametrize(
    ("models", "poll", "wanted"),
    [
        ("/srv/models", 0.0, 1.0),
        ("//nas/models", 0.0, 5.0),
        (r"\\nas\models", 0.0, 5.0),
        (r"\\nas\models", 0.25, 0.25),
    ],
)
def test_a_share_is_looked_at_less_often(models: str, poll: float, wanted: float) -> None:
    chosen = replace(Settings(), models=_AsWritten(models), poll_seconds=poll)
    assert settings.poll_interval(chosen) == wanted


class _AsWritten(type(Path())):  # type: ignore[misc]
    """A path that reads as on the system it is from; POSIX keeps two slashes at the start."""


def test_every_setting_has_a_help_text() -> None:
    assert all(row.metadata["help"] for row in fields(Settings))


# Where alerts go


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("alert_webhook", "ftp://empresa.example/x"),
        ("alert_webhook", "file:///etc/passwd"),
        ("alert_webhook", "empresa.example/x"),
        ("alert_webhook", "http:///x"),
        ("alert_webhook", "http://empresa.example:99999/"),
        ("alert_webhook", "http://[::1/"),
        ("alert_webhook", "https://ana:c1ave@empresa.example/"),
        ("smtp_url", "http://empresa.example"),
        ("smtp_url", "smtp://ana:c1ave@"),
        ("smtp_url", "smtp://ana:c1ave@empresa.example:x"),
    ],
)
def test_an_address_for_alerts_that_is_none_stops_the_start_and_shows_no_password(
    name: str, text: str, tmp_path: Path
) -> None:
    with pytest.raises(SettingsError, match=name) as caught:
        load(tmp_path, **{name: text})
    assert "c1ave" not in str(caught.value)


def test_email_needs_a_server_that_sends_it(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="smtp_url"):
        load(tmp_path, alert_email="ana@empresa.example")
    server = {"smtp_url": "smtps://ana%40x:c%3A@correo.empresa.example"}
    assert load(tmp_path, alert_email="ana@empresa.example", **server).alert_email
    for good in ("http://127.0.0.1:9000/a?b=c", "https://[::1]:9/", "https://empresa.example"):
        assert load(tmp_path, alert_webhook=good).alert_webhook == good

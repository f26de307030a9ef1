"""The commands as they are typed: what they print, what they publish, and how they end."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import joblib
import numpy as np
import pytest
import tiny_models
from desk import Desk, desk

from propensia import commands, inbox, reception, settings
from propensia.__main__ import cli
from propensia.admission import sidecar
from propensia.terminal import Exit, table

__all__ = ["desk"]
posix = pytest.mark.skipif(os.name != "posix", reason="POSIX limits and files")


# Help


def test_the_commands_are_listed_in_the_order_in_which_they_are_used(desk: Desk) -> None:
    listed = re.findall(r"^  ([a-z]+)  ", desk.run("--help").partition("Órdenes:")[2], re.M)
    wanted = "serve check admit sign models activate rollback pin threshold compare score "
    wanted += "answers replay export erase outcomes monitor synth train skew keys audit backup "
    wanted += "restore doctor"
    assert listed == wanted.split()


@pytest.mark.parametrize("name", [None, *cli.commands])
def test_every_page_of_help_is_in_spanish(name: str | None, desk: Desk) -> None:
    text = desk.run(*([name] if name else []), "--help")
    assert text.startswith("Uso: ") and "\nOpciones:\n" in text
    english = r"Usage|Options|Commands|OPTIONS|COMMAND|ARGS|Show|required|FILE|TEXT|VALUE|VERSION"
    assert not re.search(rf"\b({english})\b", text) and "=x" not in text and "x>" not in text


def test_exit_codes_are_the_documented_ones() -> None:
    assert {code.name: int(code) for code in Exit} == {
        "DONE": 0,
        "REFUSED": 1,
        "WRONG_USE": 2,
        "ENVIRONMENT": 3,
    }


def test_a_wrong_setting_and_a_wrong_contract_are_of_the_environment(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PROPENSIA_CONTRACT", "ninguno")
    assert "ninguno" in desk.run("models", code=Exit.ENVIRONMENT)
    (desk.folder / "propensia.toml").write_text("prot = 1", encoding="utf-8")
    assert "'port'" in desk.run("models", code=Exit.ENVIRONMENT)


def test_a_state_folder_that_cannot_be_made_is_of_the_environment(desk: Desk) -> None:
    desk.state.write_text("a file", encoding="utf-8")
    assert "var" in desk.run("models", code=Exit.ENVIRONMENT)


# Which bytes are read


@pytest.mark.parametrize("sidecar", ["modelo.json", "MODELO.JSON", "Modelo.Json"])
@pytest.mark.parametrize("name", ["modelo.pkl", "MODELO.PKL"])
def test_the_command_line_and_the_keeper_give_a_file_one_version(
    name: str, sidecar: str, desk: Desk
) -> None:
    (desk.models / name).write_bytes(b"modelo")
    (desk.models / sidecar).write_bytes(b'{"umbral": 0.4}')
    chosen = settings.load({})
    (seen,) = inbox.look(desk.models)
    by_keeper = reception.read_dropped(seen, chosen)
    assert by_keeper.sidecar == b'{"umbral": 0.4}'
    assert commands.read(desk.models / name, chosen) == by_keeper


def test_a_file_of_any_name_is_read(desk: Desk) -> None:
    path = desk.folder / "modelo.sav"
    path.write_bytes(b"modelo")
    dropped = commands.read(path, settings.load({}))
    assert (dropped.model, dropped.data, dropped.sidecar) == ("modelo", b"modelo", None)


def _link(desk: Desk) -> Path:
    real, link = desk.folder / "real.pkl", desk.folder / "enlace.pkl"
    real.write_bytes(b"modelo")
    link.symlink_to(real)
    return link


def _pipe(desk: Desk) -> Path:
    os.mkfifo(desk.folder / "tubo.pkl")
    return desk.folder / "tubo.pkl"


def _sidecar_link(desk: Desk) -> Path:
    link = _link(desk)
    link.rename(desk.folder / "real.json")
    return desk.folder / "real.pkl"


@posix
@pytest.mark.parametrize("made", [_link, _pipe, _sidecar_link])
@pytest.mark.parametrize("command", ["check", "admit"])
def test_what_is_no_regular_file_is_refused_as_in_the_folder(
    made: object, command: str, desk: Desk
) -> None:
    path = made(desk)  # type: ignore[operator]
    text = desk.run(command, path, code=Exit.REFUSED)
    assert text.startswith(f"RECHAZADO {path.name}: No es un fichero normal: ")


def test_a_folder_is_refused_as_in_the_folder(desk: Desk) -> None:
    assert "es una carpeta" in desk.run("check", desk.models, code=Exit.REFUSED)


def test_a_file_that_is_not_there_is_wrong_use(desk: Desk) -> None:
    desk.run("check", "nada.pkl", code=Exit.WRONG_USE)
    desk.run("check", code=Exit.WRONG_USE)


@pytest.mark.parametrize(
    ("large", "limit"),
    [("modelo.pkl", 3), ("modelo.json", sidecar.LIMIT_BYTES >> 20)],
)
def test_a_file_or_sidecar_that_is_too_large_is_refused_with_its_limit(
    large: str, limit: int, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PROPENSIA_MAX_FILE_MB", "3")
    (desk.folder / "modelo.pkl").write_bytes(b"modelo")
    with (desk.folder / large).open("wb") as stream:
        stream.truncate(17 << 20)
    text = desk.run("check", "modelo.pkl", code=Exit.REFUSED)
    assert "demasiado grande" in text and f"{large}, más de {limit} MB" in text


def test_check_refuses_what_is_no_model_under_any_name_and_publishes_nothing(desk: Desk) -> None:
    """The whole way, with the processes of an admission."""
    (desk.folder / "modelo.sav").write_bytes(b"nada de nada")
    text = desk.run("check", "modelo.sav", "--report", "informe.html", code=Exit.REFUSED)
    assert text.startswith("RECHAZADO modelo.sav  versión ")
    assert (desk.folder / "informe.html").exists()
    assert desk.registry.current() is None and desk.registry.verdicts() == []


# check --list, which confines the process it runs in: always in a process of its own


def _list(path: Path, after: str = "", **changes: int) -> subprocess.CompletedProcess[str]:
    chosen = settings.as_environment(replace(settings.load({}), **changes))
    code = f"""
from pathlib import Path
from propensia import commands, settings
code = commands.listing(settings.load(), Path({str(path)!r}))
{after}
raise SystemExit(code)
"""
    return subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        encoding="utf-8",
        env=dict(os.environ) | chosen | {"OPENBLAS_NUM_THREADS": "1", "PYTHONUTF8": "1"},
    )


@posix
def test_a_listing_confines_itself_as_an_admission_does(desk: Desk) -> None:
    joblib.dump({"uno": np.arange(3)}, desk.folder / "lista.sav")
    limits = (
        "import resource as r; print(r.getrlimit(r.RLIMIT_AS)[0], r.getrlimit(r.RLIMIT_CPU)[0])"
    )
    done = _list(desk.folder / "lista.sav", limits, admission_memory_mb=3000, admission_seconds=70)
    assert done.returncode == Exit.DONE, done.stderr
    assert done.stdout.startswith("diccionario de 1\n  uno: matriz int64 (3): 0, 1, 2")
    assert done.stdout.endswith(f"{3000 << 20} 70\n")


def test_a_listing_names_what_no_model_holds(desk: Desk) -> None:
    (desk.folder / "malo.pkl").write_bytes(b"cposix\nsystem\n(S'true'\ntR.")
    done = _list(desk.folder / "malo.pkl")
    assert (done.returncode, done.stderr) == (Exit.DONE, "")
    assert done.stdout.endswith("\nNo es parte de un modelo admitido: posix.system\n")


@posix
def test_a_listing_that_needs_too_much_memory_is_refused_with_a_sentence(desk: Desk) -> None:
    with (desk.folder / "ceros.pkl").open("wb") as stream:
        stream.truncate(1 << 30)
    done = _list(desk.folder / "ceros.pkl", admission_memory_mb=1024, max_file_mb=1024)
    assert (done.returncode, done.stderr) == (Exit.REFUSED, "")
    assert done.stdout.startswith("RECHAZADO ceros.pkl: El modelo necesita demasiada memoria")


def test_a_listing_of_what_is_no_model_is_refused_with_a_sentence(desk: Desk) -> None:
    (desk.folder / "nada.pkl").write_bytes(b"nada de nada")
    done = _list(desk.folder / "nada.pkl")
    assert (done.returncode, done.stderr) == (Exit.REFUSED, "")
    assert done.stdout.startswith("RECHAZADO nada.pkl: ")


# models


def test_models_says_so_when_there_is_none(desk: Desk) -> None:
    assert desk.run("models") == f"Aún no hay modelo publicado. Deje un PKL en {desk.models}\n"


def test_models_shows_the_only_one_and_its_release(desk: Desk) -> None:
    version = desk.publish(0.25, "uno", why="el primero", who="Ana")
    lines = desk.run("models").splitlines()
    assert lines[0].split() == ["VERSIÓN", "ESTADO", "MODELO", "FAMILIA", "COMPROBADO"]
    assert lines[1].split()[:3] == [version, "activa", "uno"]
    assert lines[3].startswith("Publicación 1 (prueba, Ana, ")
    assert lines[4] == "Umbral 0.5. el primero"


def test_models_shows_the_part_that_each_version_plays(desk: Desk) -> None:
    first, second = desk.publish(0.25, "uno"), desk.publish(0.75, "dos", pinned=True)
    third = desk.add(b"", model="tres")
    text = desk.run("models")
    assert re.search(rf"^{first}  anterior +uno", text, re.M)
    assert re.search(rf"^{second}  activa, fijada +dos", text, re.M)
    assert re.search(rf"^{third}  candidata +tres", text, re.M)


@pytest.mark.parametrize("published", [False, True])
def test_models_shows_what_was_refused_and_why(published: bool, desk: Desk) -> None:
    desk.registry.prepare()
    if published:
        desk.publish(0.25)
    verdict = {"accepted": False, "model": "malo", "at": "2026-01-02", "why": "Está roto."}
    desk.registry.record_verdict(
        "f" * 64,
        verdict | {"contract": desk.contract.fingerprint, "program": "1", "sha256": "f" * 64},
    )
    assert "\nrechazada  malo  (2026-01-02): Está roto.\n" in desk.run("models")


def test_a_table_has_columns_of_equal_width_and_no_blanks_at_the_end() -> None:
    rows = [("A", "BB", "C"), ("aaa", "b", ""), ("a", "bbbb", "c")]
    assert table(rows) == "A    BB    C\naaa  b\na    bbbb  c"


# activate, rollback, pin, threshold


def test_activate_publishes_a_version_that_waits_whatever_is_pinned(desk: Desk) -> None:
    desk.publish(0.25, pinned=True)
    waiting = desk.add(tiny_models.constant(0.75), model="octubre")
    text = desk.run("activate", waiting[:6].upper(), "--why", "visto")
    assert text.startswith(f"Publicada la versión {waiting} (octubre), publicación 2.")
    now = desk.registry.current()
    assert now is not None
    assert (now.version, now.cause, now.why, now.pinned) == (waiting, "activar", "visto", True)
    assert "nada cambia" in desk.run("activate", waiting)
    assert "ninguna versión" in desk.run("activate", "zz", code=Exit.REFUSED)
    desk.run("activate", code=Exit.WRONG_USE)


def test_rollback_goes_back_and_keeps_the_threshold_that_the_version_had(desk: Desk) -> None:
    first = desk.publish(0.25, threshold=0.1)
    desk.publish(0.75)
    text = desk.run("rollback", "--why", "la de antes")
    assert text.startswith(f"Publicada la versión {first} ")
    now = desk.registry.current()
    assert now is not None
    assert (now.number, now.version, now.threshold, now.cause) == (3, first, 0.1, "rollback")
    assert now.why == "la de antes" and now.who


def test_rollback_to_the_beginning_of_a_version(desk: Desk) -> None:
    first = desk.publish(0.25)
    desk.publish(0.75)
    desk.publish(0.5)
    desk.run("rollback", first[:5].upper())
    assert desk.registry.current().version == first  # type: ignore[union-attr]


def test_rollback_to_the_active_version_changes_nothing(desk: Desk) -> None:
    version = desk.publish(0.25)
    assert "nada cambia" in desk.run("rollback", version)
    assert desk.registry.current_number() == 1


def test_rollback_without_a_version_before_is_refused(desk: Desk) -> None:
    assert "aún no hay modelo" in desk.run("rollback", code=Exit.REFUSED)
    desk.publish(0.25)
    assert "no hay una versión anterior" in desk.run("rollback", code=Exit.REFUSED)
    assert desk.registry.current_number() == 1


@pytest.mark.parametrize("prefix", ["zzzz", "../..", "ffffffffffffffff"])
def test_rollback_to_an_unknown_version_is_refused(prefix: str, desk: Desk) -> None:
    desk.publish(0.25)
    desk.publish(0.75)
    text = desk.run("rollback", prefix, code=Exit.REFUSED)
    assert "ninguna versión empieza" in text and "propensia models" in text
    assert desk.registry.current_number() == 2


def test_a_beginning_that_two_versions_share_is_refused(desk: Desk) -> None:
    desk.publish(0.25)
    desk.publish(0.75)
    assert "varias versiones empiezan" in desk.run("rollback", "", code=Exit.REFUSED)


def test_a_pin_and_its_release_are_published_once_each(desk: Desk) -> None:
    desk.publish(0.25, threshold=0.3)
    steps = [
        (["pin", "--why", "auditoría"], 2, True, "queda fijada"),
        (["pin"], 2, True, "ya está fijada"),
        (["pin", "--off"], 3, False, "queda suelta"),
        (["pin", "--off"], 3, False, "ya está suelta"),
    ]
    for arguments, number, pinned, told in steps:
        assert told in desk.run(*arguments)
        now = desk.registry.current()
        assert now is not None
        assert (now.number, now.pinned, now.threshold) == (number, pinned, 0.3)


def test_what_needs_a_published_model_is_refused_without_one(desk: Desk) -> None:
    for arguments in (["pin"], ["pin", "--off"], ["threshold", "0.5", "--why", "x"]):
        assert "aún no hay modelo" in desk.run(*arguments, code=Exit.REFUSED)


@pytest.mark.parametrize("value", ["0", "1", "0.42"])
def test_a_threshold_is_a_new_release_of_the_same_version(value: str, desk: Desk) -> None:
    version = desk.publish(0.25, pinned=True)
    assert desk.run("threshold", value, "--why", "campaña").startswith(f"Umbral {value} ")
    now = desk.registry.current()
    assert now is not None
    assert (now.version, now.threshold, now.pinned) == (version, float(value), True)


@pytest.mark.parametrize("value", ["1.0001", "-0.1", "nan", "medio", "0,5"])
def test_a_threshold_that_is_no_probability_is_wrong_use(value: str, desk: Desk) -> None:
    desk.publish(0.25)
    desk.run("threshold", "--why", "x", "--", value, code=Exit.WRONG_USE)
    assert desk.registry.current_number() == 1


def test_a_threshold_without_a_reason_is_wrong_use(desk: Desk) -> None:
    desk.publish(0.25)
    desk.run("threshold", "0.5", code=Exit.WRONG_USE)


@posix
@pytest.mark.parametrize("command", ["check", "admit"])
@pytest.mark.parametrize("kind", ["pipe", "text"])
def test_a_file_name_forges_no_line_on_the_console(command: str, kind: str, desk: Desk) -> None:
    path = desk.models / "m\nACEPTADO \x1b[2J.pkl"
    os.mkfifo(path) if kind == "pipe" else path.write_bytes(b"x")
    output = desk.run(command, path, *(["--why", "x"] * (command == "admit")), code=Exit.REFUSED)
    assert "\x1b" not in output and "\nACEPTADO" not in output

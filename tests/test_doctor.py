"""The doctor looks at an installation in any state, tells what is wrong, and changes nothing."""

from __future__ import annotations

import json
import os
import tempfile
import time
from dataclasses import fields, replace
from pathlib import Path

import pytest
from desk import Desk, desk
from ports import free_port
from test_access_limits import PATIENT_S, redis_server, with_redis

from propensia import heartbeat, settings
from propensia.terminal import Exit
from propensia.web.ticker import TOLD

__all__ = ["desk"]


def findings(desk: Desk, code: int = Exit.DONE) -> dict[str, str]:
    """The mark of every sentence that the doctor prints."""
    lines = [line.split(maxsplit=1) for line in desk.run("doctor", code=code).splitlines()]
    return {sentence: mark for mark, sentence in lines}


def mark(found: dict[str, str], beginning: str) -> str:
    """The mark of the one sentence that begins so."""
    (sentence,) = [sentence for sentence in found if sentence.startswith(beginning)]
    return found[sentence]


def note(desk: Desk, name: str, age_s: float = 0.0, **content: object) -> None:
    """A note as a living process leaves it, ``age_s`` seconds ago."""
    path = desk.state / name
    heartbeat.leave(path, content)
    stamped = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps(stamped | {"latido": stamped["latido"] - age_s}), encoding="utf-8")


def worker(desk: Desk, pid: int, version: str | None, age_s: float = 0.0, **more: object) -> None:
    note(desk, f"workers/{pid}.json", age_s, pid=pid, version=version, problema=None, **more)


# Before the first start


def test_a_state_folder_that_is_missing_is_told_and_not_made(desk: Desk) -> None:
    found = findings(desk)
    assert mark(found, f"no existe la carpeta de estado {desk.state}") == "aviso"
    assert mark(found, "aún no hay modelo publicado") == "aviso"
    assert mark(found, "el servidor no está en marcha") == "aviso"
    assert sorted(os.listdir(desk.folder)) == ["models"]


def test_a_state_folder_that_could_not_be_made_is_a_fault(desk: Desk) -> None:
    desk.state.write_text("a file", encoding="utf-8")
    assert (
        mark(findings(desk, Exit.REFUSED), "no se puede escribir en la carpeta de est") == "fallo"
    )


def test_a_state_folder_on_a_disk_that_is_not_there_is_a_fault(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a drive letter of Windows that nothing is behind."""
    monkeypatch.setattr(os.path, "exists", lambda path: False)
    told = f"no se encuentra el disco de la carpeta de estado {desk.state}"
    assert mark(findings(desk, Exit.REFUSED), told) == "fallo"


@pytest.mark.skipif(os.name != "posix", reason="a real share would be asked for on Windows")
def test_a_state_folder_on_another_machine_is_a_fault(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PROPENSIA_STATE", "//nas/propensia")
    assert mark(findings(desk, Exit.REFUSED), "//nas/propensia está en red") == "fallo"


# What keeps other commands from running


def test_wrong_settings_are_a_finding(desk: Desk) -> None:
    (desk.folder / "propensia.toml").write_text("prot = 1", encoding="utf-8")
    found = findings(desk, Exit.REFUSED)
    assert mark(found, "Python ") == "bien"
    assert mark(found, "ajustes: propensia.toml: no existe el ajuste 'prot'") == "fallo"


def test_a_broken_contract_is_a_finding_and_the_rest_is_looked_at(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.publish(0.25, "uno")
    (desk.folder / "roto.toml").write_text("name = 'roto'", encoding="utf-8")
    monkeypatch.setenv("PROPENSIA_CONTRACT", "roto.toml")
    found = findings(desk, Exit.REFUSED)
    assert mark(found, "contrato: falta title, reading.no_data") == "fallo"
    assert mark(found, "activa: uno") == "bien"


def test_the_contract_is_named_with_its_shape(desk: Desk) -> None:
    told = f"contrato cobranza: 13 parámetros, 16 columnas, huella {desk.contract.fingerprint}"
    assert mark(findings(desk), told) == "bien"


@pytest.mark.parametrize("damaged", ["releases/000002.json", "versions/{version}/manifest.json"])
def test_a_damaged_state_is_a_finding(damaged: str, desk: Desk) -> None:
    desk.publish(0.25)
    version = desk.publish(0.75)
    (desk.state / damaged.format(version=version)).write_text("{", encoding="utf-8")
    assert mark(findings(desk, Exit.REFUSED), "no se puede leer lo publicado: ") == "fallo"


# Folders


def _refuse_to_write(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Permissions do not bind an administrator, so the system's answer is made here."""
    real = tempfile.NamedTemporaryFile

    def make(*arguments: object, **options: object) -> object:
        if options.get("dir") == folder:
            raise PermissionError(13, "Permission denied")
        return real(*arguments, **options)  # type: ignore[call-overload]

    monkeypatch.setattr(tempfile, "NamedTemporaryFile", make)


def test_a_state_folder_that_cannot_be_written_is_a_fault(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.publish(0.25)
    assert (
        mark(findings(desk), f"se puede escribir en la carpeta de estado {desk.state}") == "bien"
    )
    _refuse_to_write(desk.state, monkeypatch)
    told = "no se puede escribir en la carpeta de estado (Permission denied)"
    assert mark(findings(desk, Exit.REFUSED), told) == "fallo"


def test_a_models_folder_that_cannot_be_written_is_a_warning(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    _refuse_to_write(desk.models, monkeypatch)
    told = "no se puede escribir en la carpeta de modelos (Permission denied); el texto y"
    assert mark(findings(desk), told) == "aviso"


def test_a_models_folder_that_is_missing_is_a_fault(desk: Desk) -> None:
    desk.models.rmdir()
    found = findings(desk, Exit.REFUSED)
    assert mark(found, f"no se puede leer la carpeta de modelos {desk.models}") == "fallo"


@pytest.mark.skipif(os.name != "posix", reason="POSIX rights")
def test_a_models_folder_that_anyone_may_write_is_a_warning(desk: Desk) -> None:
    desk.models.chmod(0o777)
    assert mark(findings(desk), f"cualquiera puede escribir en {desk.models}") == "aviso"


# What is served


def test_the_active_and_the_previous_version_are_told(desk: Desk) -> None:
    first, second = desk.publish(0.25, "uno"), desk.publish(0.75, "dos", pinned=True)
    found = findings(desk)
    assert mark(found, f"activa: dos ({second}, fijada), de prueba") == "bien"
    assert mark(found, f"anterior: uno ({first})") == "bien"


def test_a_demonstration_model_that_answers_is_a_warning(desk: Desk) -> None:
    desk.registry.prepare()
    version = desk.add(b"", model="demostracion", demonstration=True)
    desk.registry.publish(version, cause="demostración", who="propensia")
    assert mark(findings(desk), "el modelo activo es el de demostración") == "aviso"
    desk.publish(0.25)
    assert not any("demostración" in sentence for sentence in findings(desk))


# Who runs


def test_workers_and_keeper_that_live_are_well(desk: Desk) -> None:
    worker(desk, 1, "abc")
    worker(desk, 2, "abc")
    note(desk, "keeper.json", problemas=[])
    found = findings(desk)
    assert mark(found, "2 procesos responden con la versión abc") == "bien"
    assert mark(found, "vigilante: sin problemas") == "bien"


def test_workers_that_disagree_are_a_warning(desk: Desk) -> None:
    worker(desk, 1, "abc")
    worker(desk, 2, None)
    note(desk, "keeper.json", problemas=[])
    found = findings(desk)
    assert mark(found, "2 procesos responden con la versión (ninguna), abc") == "aviso"


def test_a_keeper_without_a_sign_of_life_is_a_fault_while_workers_answer(desk: Desk) -> None:
    worker(desk, 1, "abc")
    note(desk, "keeper.json", age_s=31.0, problemas=[])
    told = "el vigilante de la carpeta no da señales"
    assert mark(findings(desk, Exit.REFUSED), told) == "fallo"


def test_a_keeper_without_workers_is_a_warning(desk: Desk) -> None:
    worker(desk, 1, "abc", age_s=heartbeat.FRESH_S + 1)
    note(desk, "keeper.json", problemas=["x.pkl: disco lleno"])
    found = findings(desk)
    assert mark(found, "ningún proceso responde") == "aviso"
    assert mark(found, "vigilante: x.pkl: disco lleno") == "aviso"


def test_notes_of_processes_that_are_gone_count_for_nothing(desk: Desk) -> None:
    worker(desk, 1, "abc", age_s=heartbeat.FRESH_S + 1)
    note(desk, "keeper.json", age_s=31.0, problemas=[])
    assert mark(findings(desk), "el servidor no está en marcha") == "aviso"
    # A clock reading that lies ahead is from before the machine started.
    path = desk.state / "keeper.json"
    path.write_text(json.dumps({"latido": time.monotonic() + 99, "problemas": []}), "utf-8")
    assert mark(findings(desk), "el servidor no está en marcha") == "aviso"


# What runs may be otherwise than the settings say


def started(**changes: object) -> dict[str, object]:
    """What a worker tells of the settings that it was started with."""
    chosen = settings.load()
    return {name: getattr(chosen, name) for name in TOLD} | changes


def test_a_server_started_with_other_settings_is_told_of(desk: Desk) -> None:
    """``propensia serve --host 0.0.0.0 --insecure`` is in no file."""
    assert mark(findings(desk), "no se piden claves, y solo llaman programas de esta") == "bien"
    note(desk, "keeper.json", problemas=[])
    for pid in (1, 2):
        worker(desk, pid, "abc", ajustes=started(host="0.0.0.0", insecure=True))
    found = findings(desk)
    told = "arrancó con otros ajustes que los de aquí: host = '0.0.0.0', insecure = True"
    assert [text for text in found if text.startswith("arrancó")] == [told]
    assert found[told] == "aviso"
    assert mark(found, "0.0.0.0 se alcanza desde otras máquinas y no se piden claves") == "aviso"
    assert not [text for text in found if "solo llaman programas de esta" in text]


def test_no_secret_is_shown_whatever_a_server_was_started_with(desk: Desk) -> None:
    """A webhook may carry its token in the path, a database its password in the query."""
    secret = [row.name for row in fields(settings.Settings) if row.metadata["secret"]]
    assert {"alert_webhook", "database_url", "smtp_url", "redis_url", "tls_key"} <= set(secret)
    assert not set(secret) & set(TOLD)
    values = dict.fromkeys(secret, "https://empresa.example/T0KEN?password=T0KEN")
    assert "T0KEN" not in repr(replace(settings.load(), **values))
    note(desk, "keeper.json", problemas=[])
    webhook = {"alert_webhook": values["alert_webhook"]}
    worker(desk, 1, "abc", ajustes=started() | webhook)
    told = desk.run("doctor")
    assert "alert_webhook = (secreto)" in told and "T0KEN" not in told


def test_nothing_is_said_of_a_server_with_the_settings_of_here(desk: Desk) -> None:
    note(desk, "keeper.json", problemas=[])
    worker(desk, 1, "abc", ajustes=started())
    worker(desk, 2, "abc")  # of a program that does not tell yet
    found = findings(desk)
    assert mark(found, "no se piden claves, y solo llaman programas de esta") == "bien"
    assert not [text for text in found if "otros ajustes" in text]


def test_servers_of_one_state_folder_are_told_of_one_by_one(desk: Desk) -> None:
    note(desk, "keeper.json", problemas=[])
    worker(desk, 1, "abc", ajustes=started())
    worker(desk, 2, "abc", ajustes=started(host="10.1.0.7", insecure=True))
    found = findings(desk)
    assert mark(found, "no se piden claves, y solo llaman programas de esta") == "bien"
    assert mark(found, "10.1.0.7 se alcanza desde otras máquinas y no se piden") == "aviso"
    assert mark(found, "arrancó con otros ajustes que los de aquí: host = '10.1.0.7'") == "aviso"


def test_a_redis_that_is_away_is_a_warning_and_its_password_is_not_told(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PROPENSIA_REDIS_URL", f"redis://:s3cr3t@127.0.0.1:{free_port()}/0")
    found = findings(desk)
    assert mark(found, "límites: Redis no responde") == "aviso"
    assert "s3cr3t" not in str(found)
    monkeypatch.setenv("PROPENSIA_REDIS_URL", "servidor:6379")
    assert mark(findings(desk, Exit.REFUSED), "límites: el ajuste 'redis_url'") == "fallo"


@with_redis
def test_a_redis_that_answers_is_well(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("propensia.access.redis_limits.TIMEOUT_S", PATIENT_S)
    port = free_port()
    monkeypatch.setenv("PROPENSIA_REDIS_URL", f"redis://127.0.0.1:{port}/0")
    with redis_server(port, tmp_path):
        assert mark(findings(desk), "límites: Redis responde") == "bien"

"""Copies and the way back: what is in them, and every zip that is refused before it is written."""

from __future__ import annotations

import itertools
import json
import os
import re
import shutil
import stat
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from zipfile import ZipFile, ZipInfo

import pytest
from desk import Desk, desk
from journals import answers, holds_exactly, write

from propensia import backups, files, heartbeat, settings
from propensia.access import keys
from propensia.access.keys import Key
from propensia.backups import BackupError, Manifest, copying, manifest
from propensia.journal.references import References
from propensia.locks import Lock
from propensia.registry import Registry
from propensia.settings import Settings
from propensia.store import database
from propensia.store.shipping import Shipper
from propensia.terminal import Exit
from tests import tiny_models

__all__ = ["desk"]
posix = pytest.mark.skipif(os.name != "posix", reason="rights of POSIX")
OWN = {
    "access/keys.json": b'{"keys": []}',
    "access/secret": b"thirty-two bytes of a secret ....",
    "access/ended/0123": b"",
    "access.txt": b"keys were made here",
    "handed/abcd.01.json": b"{}",
    "keys/ana.pub": b"-----BEGIN PUBLIC KEY-----",
    "inbox.json": b'{"folder": "1:2", "folders": {}, "pending": {}}',
}
NOT_COPIED = (
    "audit/audit.jsonl.lock",
    "keeper.lock",
    "releases.lock",
    "keeper.json",
    "workers/12.json",
    "work/ab/model.pkl",
    "training/x/trial.json",
    "access/keys.lock",
    "access/limits.bin",
    "access/reserve",
    "access/used/01",
    "logs/requests-2026-01-01.jsonl",
    "metrics/0.values",
    "releases/.000009.json.abcd.tmp",
    "versions/.aaaaaaaaaaaa.abcd.tmp/model.onnx",
    "demostracion.pkl",
    "demostracion.json",
)


@pytest.fixture
def full(desk: Desk) -> Desk:
    """An installation with two published models and something of every kind that it may hold."""
    desk.publish(0.25, "enero")
    desk.publish(0.75, "febrero")
    for name, data in OWN.items():
        put(desk.state / name, data)
    for name in NOT_COPIED:
        put(desk.state / name, b"{}")
    desk.registry.record_verdict("ab" * 32, {"accepted": False, "at": "2026-01-01"})
    put(desk.folder / "propensia.toml", b"port = 5001\n")
    put(desk.models / "enero.pkl", b"a pickle")
    put(desk.models / "enero.json", b"{}")
    put(desk.models / "enero.pkl.estado.txt", b"ACEPTADO")
    return desk


def put(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def tree(folder: Path) -> dict[str, bytes]:
    """Every file below a folder."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def without_log(files: dict[str, bytes]) -> dict[str, bytes]:
    """All but the audit log, which goes on: a restore is told in it."""
    return {name: data for name, data in files.items() if not name.startswith("audit/")}


def owned(state: Path) -> dict[str, bytes]:
    """What of a state belongs into a copy, told apart by other means than the program's."""
    return {name: data for name, data in tree(state).items() if name not in NOT_COPIED}


# What is copied, and comes back


def test_what_comes_back_is_what_was_there_and_nothing_else(full: Desk) -> None:
    told = full.run("backup", "copia.zip")
    wanted = owned(full.state)
    # Two releases and versions, a verdict, and the audit log with its head.
    assert len(wanted) == len(OWN) + 2 + 2 * 2 + 1 + 2
    assert f"{len(wanted) + 1} ficheros" in told and "publicación 2" in told
    full.run("restore", "copia.zip", "--into", "otra")
    found = tree(full.folder / "otra")
    assert found.pop("restored/propensia.toml") == b"port = 5001\n"
    assert without_log(found) == without_log(wanted)
    assert found["audit/audit.jsonl"].startswith(wanted["audit/audit.jsonl"])
    restored = Registry(full.folder / "otra").current()
    assert restored == full.registry.current()


def test_model_files_come_along_only_if_asked_for(full: Desk) -> None:
    full.run("backup", "sin.zip")
    full.run("backup", "con.zip", "--with-models")
    models = {"models/enero.pkl", "models/enero.json"}
    assert set(ZipFile("con.zip").namelist()) - set(ZipFile("sin.zip").namelist()) == models
    full.run("restore", "con.zip", "--into", "otra")
    assert (full.folder / "otra/restored/models/enero.pkl").read_bytes() == b"a pickle"


def test_the_manifest_names_the_program_the_contract_and_every_digest(full: Desk) -> None:
    full.run("backup", "copia.zip")
    with ZipFile("copia.zip") as archive:
        said = json.loads(archive.read("manifest.json"))
        for name, part in said["parts"].items():
            data = archive.read(name)
            assert part == {"sha256": files.sha256(data), "size": len(data)}
        assert {*said["parts"], "manifest.json"} == set(archive.namelist())
    assert said["program"] == full.run("--version").split()[-1]
    assert said["fingerprint"] == full.contract.fingerprint
    assert (said["format"], said["release"]) == (2, 2)


def test_a_new_installation_can_be_copied_too(desk: Desk) -> None:
    desk.registry.prepare()
    assert "sin modelo" in desk.run("backup", "copia.zip")
    desk.run("restore", "copia.zip", "--into", "otra")
    assert Registry(desk.folder / "otra").current() is None


@posix
def test_a_copy_and_what_comes_out_of_it_are_private(full: Desk) -> None:
    old = os.umask(0o000)
    try:
        full.run("backup", "copia.zip")
        full.run("restore", "copia.zip", "--into", "otra")
    finally:
        os.umask(old)
    assert stat.S_IMODE(Path("copia.zip").stat().st_mode) == 0o600
    assert stat.S_IMODE(Path("otra").stat().st_mode) == 0o700
    made = [p for p in Path("otra").rglob("*") if p.is_file() and p.suffix != ".lock"]
    assert {stat.S_IMODE(path.stat().st_mode) for path in made} == {0o600}


def test_a_copy_never_replaces_a_file(full: Desk) -> None:
    Path("copia.zip").write_bytes(b"older")
    assert "ya existe" in full.run("backup", "copia.zip", code=Exit.REFUSED)
    assert Path("copia.zip").read_bytes() == b"older"


def test_a_copy_that_fails_leaves_no_file(full: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    def full_disk(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    before = set(full.folder.iterdir())
    monkeypatch.setattr(os, "fsync", full_disk)
    full.run("backup", "copia.zip", code=Exit.ENVIRONMENT)
    assert set(full.folder.iterdir()) == before


def test_a_copy_that_could_not_answer_is_not_made(full: Desk) -> None:
    current = full.registry.current()
    assert current is not None
    full.registry.part(current.version, "model.onnx").write_bytes(b"other bytes")
    assert "está dañada" in full.run("backup", "copia.zip", code=Exit.REFUSED)
    assert not Path("copia.zip").exists()


def test_without_a_state_folder_there_is_nothing_to_copy(desk: Desk) -> None:
    assert "no existe la carpeta" in desk.run("backup", "copia.zip", code=Exit.REFUSED)


def test_a_name_that_windows_cannot_hold_is_left_out_and_told(full: Desk) -> None:
    put(full.state / "keys" / "ana:1.pub", b"x") if os.name == "posix" else pytest.skip("no such")
    assert "se deja fuera ana:1.pub" in full.run("backup", "copia.zip")
    full.run("restore", "copia.zip", "--into", "otra")


def test_every_copy_of_a_busy_installation_is_of_one_moment(full: Desk) -> None:
    """Publications, prunings and keys go on while copies are made: in each copy the newest
    release has its version, whole, and accepted contents have theirs."""
    stop, begun = threading.Event(), threading.Event()
    chosen = settings.load({})

    def publish() -> None:
        for turn in itertools.count(1):
            onnx = tiny_models.constant(turn / 1e6)
            version = full.add(onnx)
            full.registry.record_verdict(files.sha256(onnx), {"accepted": True, "at": "x"})
            full.registry.publish(version, cause="prueba", who="prueba")
            full.registry.prune(2)
            files.write(full.state / "access/keys.json", json.dumps({"keys": [turn]}).encode())
            begun.set()
            if stop.wait(0.01):
                return

    def copied(path: Path, tries: int = 5) -> Manifest:
        """A copy; tried again, as is asked for, where its release was pruned meanwhile."""
        try:
            return backups.backup(path, chosen, full.contract, False, print)
        except BackupError as error:
            if tries == 1 or "se publica mientras se copia" not in str(error):
                raise
        return copied(path, tries - 1)

    publisher = threading.Thread(target=publish)
    publisher.start()
    assert begun.wait(10)
    try:
        for turn in range(8):
            into = full.folder / f"otra{turn}"
            made = copied(Path(f"{turn}.zip"))
            done = backups.restore(Path(f"{turn}.zip"), into, False, print)
            registry = Registry(into)
            current = registry.current()
            assert current is not None and current.number == made.release == done.manifest.release
            assert registry.fits(current.version, full.contract) is None
            accepted = [p.stem[:12] for p in (into / "verdicts").iterdir() if p.stem[:4] != "abab"]
            assert set(accepted) <= set(registry.versions())
            assert json.loads((into / "access/keys.json").read_bytes())["keys"]
    finally:
        stop.set()
        publisher.join()


@pytest.mark.parametrize("comes_back", [False, True])
def test_a_version_that_is_pruned_during_a_copy_takes_its_verdict_along(
    full: Desk, monkeypatch: pytest.MonkeyPatch, comes_back: bool
) -> None:
    """Accepted and without a version, its file would be published from nothing when it returns;
    also if that file came back before the verdicts were copied."""
    onnx = tiny_models.constant(0.5)
    version, sha256 = full.add(onnx), files.sha256(onnx)
    full.registry.record_verdict(sha256, {"accepted": True, "at": "x"})
    locked, turns = copying._nothing_published, itertools.count(1)

    @contextmanager
    def prunes_in_between(state: Path) -> Iterator[None]:
        turn = next(turns)
        if turn == 2:  # once everything is listed
            assert full.registry.prune(0) == [version]
        with locked(state):
            yield
        if turn == 4 and comes_back:  # after the last of the three folders
            full.add(onnx)
            full.registry.record_verdict(sha256, {"accepted": True, "at": "x"})

    monkeypatch.setattr(copying, "_nothing_published", prunes_in_between)
    full.run("backup", "copia.zip")
    assert next(turns) == 5
    full.run("restore", "copia.zip", "--into", "otra")
    restored = Registry(full.folder / "otra")
    assert restored.verdict(sha256) is None
    assert len(restored.versions()) == 2 and len(restored.verdicts()) == 1


def test_a_copy_whose_active_version_is_pruned_meanwhile_is_not_made(
    full: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two publications during the copy, where hardly any version is kept."""
    locked, turns = copying._nothing_published, itertools.count(1)
    current = full.registry.current()
    assert current is not None

    def publishes_in_between(state: Path) -> Any:
        if next(turns) == 2:
            full.publish(0.3, "marzo")
            full.publish(0.6, "abril")
            assert current.version in full.registry.prune(0)
        return locked(state)

    monkeypatch.setattr(copying, "_nothing_published", publishes_in_between)
    before = {path.name for path in full.folder.iterdir()}
    assert "inténtelo de nuevo" in full.run("backup", "copia.zip", code=Exit.REFUSED)
    assert {path.name for path in full.folder.iterdir()} == before


def test_long_copies_say_how_far_they_are(full: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(manifest, "_SAY_EVERY_S", 0.0)
    assert "MB copiados…" in full.run("backup", "copia.zip")
    told = full.run("restore", "copia.zip", "--into", "otra")
    assert "MB comprobados…" in told and "MB restaurados…" in told


# Where a copy is restored


def test_a_state_that_is_there_is_kept_aside_only_when_forced(full: Desk) -> None:
    full.run("backup", "copia.zip")
    full.publish(0.5, "marzo")
    for path in (full.state / "keeper.json", full.state / "workers"):
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    before = tree(full.state)
    assert "--force" in full.run("restore", "copia.zip", code=Exit.REFUSED)
    assert tree(full.state) == before
    told = full.run("restore", "copia.zip", "--force")
    (aside,) = full.folder.glob("var.antes-*")
    assert str(aside) in told and tree(aside) == before
    current = full.registry.current()
    assert current is not None and current.number == 2


def test_what_waited_in_the_journal_comes_into_the_restored_state(full: Desk) -> None:
    """It was answered, and is in no database: nobody would ship it where it lies aside."""
    folder, told = full.state / "journal", answers(9)
    References(full.state)
    shipped = write(folder, told[:2], owner=1)
    engine = database.open_store(Settings(state=full.state))
    Shipper(engine, folder, 90).turn()
    assert not shipped.exists()
    grows = write(folder, told[2:4], owner=2)
    full.run("backup", "copia.zip")
    write(folder, told[2:6], owner=2)
    write(folder, told[6:], owner=3)
    engine.dispose()
    for path in (full.state / "keeper.json", full.state / "workers"):
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    assert "Su diario (2 ficheros)" in full.run("restore", "copia.zip", "--force")
    (aside,) = full.folder.glob("var.antes-*")
    assert (aside / "journal" / grows.name).exists()
    engine = database.open_store(Settings(state=full.state))
    assert Shipper(engine, folder, 90).turn() == 7
    holds_exactly(engine, told)
    engine.dispose()


def test_a_journal_of_another_installation_stays_aside_and_that_is_told(full: Desk) -> None:
    References(full.state)
    full.run("backup", "copia.zip")
    (full.state / "reference.key").unlink()
    References(full.state)
    write(full.state / "journal", answers(2))
    for path in (full.state / "keeper.json", full.state / "workers"):
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    told = full.run("restore", "copia.zip", "--force")
    assert "1 ficheros de su diario se quedan allí" in told
    assert not list(full.state.glob("journal/*.journal"))
    (aside,) = full.folder.glob("var.antes-*")
    assert len(list(aside.glob("journal/*.journal"))) == 1


def stored_key(desk: Desk, name: str, **more: Any) -> Key:
    _, made = keys.new(name, "caller", 1.0, **more)
    keys.change(desk.state / keys.FOLDER, lambda known: [*known, made])
    return made


def change_key(desk: Desk, key: Key, **changes: Any) -> None:
    keys.change(
        desk.state / keys.FOLDER,
        lambda known: [replace(k, **changes) if k.id == key.id else k for k in known],
    )


def test_keys_that_were_revoked_since_the_copy_are_named_when_they_come_back(full: Desk) -> None:
    same, revoked, cut, gone, ended = (
        stored_key(full, name) for name in ("igual", "revocada", "acortada", "borrada", "acabada")
    )
    change_key(full, ended, revoked=2.0)
    full.run("backup", "copia.zip")
    change_key(full, revoked, revoked=3.0)
    change_key(full, cut, expires=time.time() + 3600)
    keys.change(full.state / keys.FOLDER, lambda known: [k for k in known if k.id != gone.id])
    stored_key(full, "nueva")
    shutil.rmtree(full.state / "workers")
    (full.state / "keeper.json").unlink()
    told = full.run("restore", "copia.zip", "--force")
    assert "propensia keys revoke" in told
    named = {key.id: key.name for key in (revoked, cut, gone)}
    assert dict(re.findall(r"^  ([0-9a-f]{8})  (\w+)  caller$", told, re.MULTILINE)) == named
    full.run("keys", "revoke", revoked.id)  # as it says
    assert not next(k for k in _stored(full) if k.id == revoked.id).is_good(time.time())
    assert next(k for k in _stored(full) if k.id == same.id).is_good(time.time())


def _stored(desk: Desk) -> list[Key]:
    return keys.stored(desk.state / keys.FOLDER)


def test_without_a_state_of_before_every_good_key_is_named(full: Desk) -> None:
    """On a new machine nobody remembers what was revoked meanwhile."""
    good, ended = stored_key(full, "buena"), stored_key(full, "acabada", expires=2.0)
    full.run("backup", "copia.zip")
    told = full.run("restore", "copia.zip", "--into", "otra")
    assert good.id in told and ended.id not in told and ended.name not in told


def test_a_damaged_file_of_keys_is_no_reason_to_fail_after_a_restore(full: Desk) -> None:
    put(full.state / "access/keys.json", b"{")
    full.run("backup", "copia.zip")
    assert "claves" not in full.run("restore", "copia.zip", "--into", "otra")


def test_an_empty_folder_needs_no_force(full: Desk) -> None:
    full.run("backup", "copia.zip")
    Registry(full.folder / "otra").prepare()
    full.run("restore", "copia.zip", "--into", "otra")
    assert not list(full.folder.glob("otra.antes-*"))


@pytest.mark.parametrize("sign", ["keeper", "worker", "lock"])
def test_a_folder_that_somebody_serves_from_is_left_alone(full: Desk, sign: str) -> None:
    full.run("backup", "copia.zip")
    other = full.folder / "otra"
    other.mkdir()
    lock = Lock(other / "keeper.lock")
    if sign == "keeper":
        heartbeat.leave(other / "keeper.json", {"pid": 1})
    elif sign == "worker":
        heartbeat.leave(other / "workers" / "1.json", {"pid": 1})
    else:
        assert lock.acquire()
    put(other / "inbox.json", b"theirs")
    before = tree(other)
    for force in ((), ("--force",)):  # not "use --force" first, to be refused then
        told = full.run("restore", "copia.zip", "--into", "otra", *force, code=Exit.REFUSED)
        assert "hay un servicio en marcha" in told and "--force" not in told
    lock.release()
    assert tree(other) == before


def test_a_service_that_starts_while_a_copy_is_checked_is_left_alone(
    full: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(manifest, "_SAY_EVERY_S", 0.0)
    full.run("backup", "copia.zip")
    other = full.folder / "otra"
    put(other / "inbox.json", b"theirs")
    before = {path.name for path in full.folder.iterdir()}

    def say(text: str) -> None:
        if "restaurados" in text:  # once all is checked
            heartbeat.leave(other / "keeper.json", {"pid": 1})

    with pytest.raises(BackupError, match="hay un servicio en marcha"):
        backups.restore(Path("copia.zip"), other, True, say)
    assert set(tree(other)) == {"inbox.json", "keeper.json"}
    assert {path.name for path in full.folder.iterdir()} == before


def test_a_restore_that_fails_half_way_changes_nothing(
    full: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    full.run("backup", "copia.zip")
    other = full.folder / "otra"
    put(other / "inbox.json", b"mine")
    before, rename = tree(full.folder), Path.rename

    def refuses(self: Path, target: Path) -> Path:
        if target == other and self.suffix == ".tmp":
            raise OSError(5, "Input/output error")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", refuses)
    full.run("restore", "copia.zip", "--into", "otra", "--force", code=Exit.ENVIRONMENT)
    assert tree(full.folder) == before


def test_a_copy_for_which_there_is_no_room_is_refused_first(
    full: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    full.run("backup", "copia.zip")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10, 9, 1))
    assert "hacen falta" in full.run("restore", "copia.zip", "--into", "otra", code=Exit.REFUSED)
    assert not Path("otra").exists()


def test_another_contract_is_told(full: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    full.run("backup", "copia.zip")
    monkeypatch.setenv("PROPENSIA_CONTRACT", "telco_churn")
    told = full.run("restore", "copia.zip", "--into", "otra")
    assert "otro contrato (cobranza)" in told


# Zips that are no copies. Each is refused with exit code 1, and nothing is written.


@contextmanager
def rebuilt(change: Callable[[dict[str, tuple[ZipInfo, bytes]]], None]) -> Iterator[Path]:
    """``copia.zip`` once more, its entries changed by hand."""
    with ZipFile("copia.zip") as archive:
        entries = {info.filename: (info, archive.read(info)) for info in archive.infolist()}
    change(entries)
    with ZipFile("otra.zip", "w") as archive:
        for info, data in entries.values():
            archive.writestr(info, data)
    yield Path("otra.zip")


def refused(desk: Desk, path: Path, word: str) -> None:
    before = {p.name for p in desk.folder.iterdir()}
    told = desk.run("restore", path, "--into", "nueva", code=Exit.REFUSED)
    assert word in told and " / " in told
    assert "Traceback" not in told
    assert {p.name for p in desk.folder.iterdir()} == before


def listed(entries: dict[str, tuple[ZipInfo, bytes]], name: str, data: bytes) -> None:
    """Add a file, and have the manifest vouch for it."""
    info = ZipInfo(name)
    said = json.loads(entries["manifest.json"][1])
    said["parts"][name] = {"sha256": files.sha256(data), "size": len(data)}
    entries["manifest.json"] = (entries["manifest.json"][0], json.dumps(said).encode())
    entries[name] = (info, data)


@pytest.mark.parametrize(
    "name",
    [
        "/etc/cron.d/x",
        "../x",
        "state/../../x",
        "state/keys/../../../x",
        "C:/x",
        "C:x",
        "state/keys/C:x",
        "state\\keys\\x",
        "state/keys/nul",
        "state/keys/COM1.txt",
        "state/keys/ana.pub.",
        "state/keys/ana.pub ",
        "state/keys/a\nb",
        "state//access/x",
        "state/keys/",
        "state/keeper.lock",
        "state/logs/x",
        "state/keys/deeper/x",
        "models/deeper/x",
        "propensia/__init__.py",
        "x",
    ],
)
def test_a_name_that_belongs_to_no_copy_is_refused(full: Desk, name: str) -> None:
    full.run("backup", "copia.zip")
    with rebuilt(lambda entries: listed(entries, name, b"x")) as path:
        refused(full, path, "no es una copia")


def test_a_link_in_a_copy_is_refused(full: Desk) -> None:
    full.run("backup", "copia.zip")

    def link(entries: dict[str, tuple[ZipInfo, bytes]]) -> None:
        listed(entries, "state/keys/x", b"/etc/passwd")
        entries["state/keys/x"][0].external_attr = (stat.S_IFLNK | 0o777) << 16

    with rebuilt(link) as path:
        refused(full, path, "no es una copia")


def test_a_zip_bomb_is_refused_unread(full: Desk) -> None:
    full.run("backup", "copia.zip")

    def bomb(entries: dict[str, tuple[ZipInfo, bytes]]) -> None:
        listed(entries, "state/keys/x", bytes(64 << 20))
        entries["state/keys/x"][0].compress_type = zipfile.ZIP_DEFLATED

    with rebuilt(bomb) as path:
        assert path.stat().st_size < 1 << 20
        refused(full, path, "comprimido")


def test_a_manifest_that_is_a_bomb_is_refused_unread(full: Desk) -> None:
    with ZipFile("otra.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("manifest.json", b" " * (32 << 20))
    refused(full, Path("otra.zip"), "comprimido")


def test_two_files_in_the_same_bytes_are_refused(full: Desk) -> None:
    """Many entries that point at one piece of data make a small zip large."""
    full.run("backup", "copia.zip")
    with rebuilt(lambda entries: listed(entries, "state/keys/x", b"x" * 5000)) as path:
        data = path.read_bytes()
        pointed = data.rindex(b"PK\x01\x02")  # the last of the directory: the new entry
        first = data.index(b"PK\x01\x02")
        assert first < pointed
        changed = data[: pointed + 42] + data[first + 42 : first + 46] + data[pointed + 46 :]
        path.write_bytes(changed)
        refused(full, path, "otra.zip")


def test_a_file_that_says_it_holds_the_others_is_refused_unread(full: Desk) -> None:
    """Each of many could hold all that follow it: nothing is compressed, and yet it grows. Not
    every Python 3.11 notices (CVE-2024-0450)."""
    put(full.state / "keys/eva.pub", bytes(1 << 16))
    full.run("backup", "copia.zip")
    with ZipFile("copia.zip") as archive:
        start = archive.infolist()[0].header_offset
        name = archive.infolist()[0].filename
        end = archive.getinfo("manifest.json").header_offset
        parts = json.loads(archive.read("manifest.json"))["parts"]
    size = end - start - 30 - len(name)
    assert size > (1 << 16) > parts[name]["size"]

    def claim(entries: dict[str, tuple[ZipInfo, bytes]]) -> None:
        said = json.loads(entries["manifest.json"][1])
        said["parts"][name]["size"] = size
        entries["manifest.json"] = (entries["manifest.json"][0], json.dumps(said).encode())

    with rebuilt(claim) as path:
        data = bytearray(path.read_bytes())
        for mark, place in ((b"PK\x03\x04", 18), (b"PK\x01\x02", 20)):
            at = data.index(mark) + place
            data[at : at + 8] = size.to_bytes(4, "little") * 2
        path.write_bytes(data)
        refused(full, path, "ocuparía más")


@pytest.mark.parametrize("name", ["state/access/keys.json", "state/inbox.json"])
def test_a_file_that_was_edited_is_refused_by_name(full: Desk, name: str) -> None:
    full.run("backup", "copia.zip")

    def edit(entries: dict[str, tuple[ZipInfo, bytes]]) -> None:
        info, data = entries[name]
        entries[name] = (info, data[:-1] + b"!")

    with rebuilt(edit) as path:
        refused(full, path, f"{name} no es el que se copió")


@pytest.mark.parametrize("name", ["state/access/keys.json", "manifest.json"])
def test_a_file_that_is_missing_is_refused(full: Desk, name: str) -> None:
    full.run("backup", "copia.zip")
    with rebuilt(lambda entries: entries.pop(name) and None) as path:
        refused(full, path, "no es una copia")


def test_a_file_that_the_manifest_does_not_know_is_refused(full: Desk) -> None:
    full.run("backup", "copia.zip")

    def smuggle(entries: dict[str, tuple[ZipInfo, bytes]]) -> None:
        entries["state/keys/x"] = (ZipInfo("state/keys/x"), b"x")

    with rebuilt(smuggle) as path:
        refused(full, path, "no es una copia")


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"[]",
        b"{}",
        b'{"format": 1}',
        b'{"format": "x"}',
        b'{"format": 1, "parts": {"state/inbox.json": {"sha256": "..", "size": 1}}}',
        b'{"format": 1, "parts": {"state/inbox.json": {"sha256": "' + b"a" * 64 + b'"}}}',
        b"[" * 100_000,
        b"\xff",
    ],
)
def test_a_manifest_that_is_none_is_refused(full: Desk, text: bytes) -> None:
    full.run("backup", "copia.zip")

    def replace(entries: dict[str, tuple[ZipInfo, bytes]]) -> None:
        entries["manifest.json"] = (entries["manifest.json"][0], text)

    with rebuilt(replace) as path:
        refused(full, path, "manifiesto")


def test_a_copy_of_a_later_program_is_refused_with_that_reason(full: Desk) -> None:
    full.run("backup", "copia.zip")

    def later(entries: dict[str, tuple[ZipInfo, bytes]]) -> None:
        info, data = entries["manifest.json"]
        entries["manifest.json"] = (info, data.replace(b'"format": 2', b'"format": 3'))

    with rebuilt(later) as path:
        refused(full, path, "versión posterior")


def test_a_torn_copy_is_refused_wherever_it_was_torn(full: Desk) -> None:
    full.run("backup", "copia.zip")
    data = Path("copia.zip").read_bytes()
    for length in (0, 1, 4, len(data) // 3, len(data) // 2, len(data) - 30, len(data) - 1):
        Path("otra.zip").write_bytes(data[:length])
        refused(full, Path("otra.zip"), "está dañada")


def test_a_copy_with_one_byte_changed_never_restores_something_else(full: Desk) -> None:
    """Every byte in turn would take long; every 97th meets headers, contents and directory. A
    change of what does not count (a time, a comment) may pass, with every content as it was."""
    full.run("backup", "copia.zip")
    full.run("restore", "copia.zip", "--into", "buena")
    wanted, data = tree(full.folder / "buena"), bytearray(Path("copia.zip").read_bytes())
    wanted["audit/audit.jsonl"] = (full.state / "audit/audit.jsonl").read_bytes()
    passed = 0
    for place in range(0, len(data), 97):
        data[place] ^= 0x55
        Path("otra.zip").write_bytes(data)
        data[place] ^= 0x55
        into = full.folder / "nueva"
        try:
            backups.restore(Path("otra.zip"), into, False, lambda _: None)
        except BackupError:
            assert not into.exists()
            continue
        passed += 1
        found = tree(into)
        assert without_log(found) == without_log(wanted)
        assert found["audit/audit.jsonl"].startswith(wanted["audit/audit.jsonl"])
        shutil.rmtree(into)
    assert passed < len(data) // 97 // 4


@pytest.mark.parametrize("data", [b"", b"hello", b"PK\x03\x04", bytes(1000)])
def test_a_file_that_is_no_zip_is_refused(full: Desk, data: bytes) -> None:
    Path("otra.zip").write_bytes(data)
    refused(full, Path("otra.zip"), "está dañada")


def test_a_foreign_zip_is_refused(full: Desk) -> None:
    with ZipFile("otra.zip", "w") as archive:
        archive.writestr("hello.txt", "hello")
    refused(full, Path("otra.zip"), "no tiene manifiesto")


def test_an_encrypted_copy_is_refused(full: Desk) -> None:
    full.run("backup", "copia.zip")
    data = bytearray(Path("copia.zip").read_bytes())
    for mark, place in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        at = data.index(mark)
        data[at + place] |= 1
    Path("otra.zip").write_bytes(data)
    refused(full, Path("otra.zip"), "está dañada")


def test_help_and_refusals_have_the_documented_exit_codes(full: Desk) -> None:
    """In processes of their own, as a script sees them."""

    def code(*words: str) -> int:
        line = [sys.executable, "-m", "propensia", *words]
        root = Path(backups.__file__).parents[2]
        kept = {k: v for k, v in os.environ.items() if not k.startswith("PROPENSIA_")}
        env = kept | {"PYTHONPATH": str(root)}
        return subprocess.run(line, cwd=full.folder, env=env, capture_output=True).returncode

    assert code("backup", "copia.zip") == Exit.DONE
    assert code("backup", "copia.zip") == Exit.REFUSED
    assert code("restore") == code("restore", "ninguna.zip") == Exit.WRONG_USE
    assert code("backup", "no/such/copia.zip") == Exit.ENVIRONMENT
    assert code("restore", "copia.zip", "--into", "otra") == Exit.DONE

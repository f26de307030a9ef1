"""What changed past the audit log is found, told once, and told again by whoever verifies it."""

from __future__ import annotations

import contextlib
import json
import os
import threading
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner
from desk import Desk, desk
from lengths import steps

from propensia import audit as audits
from propensia import files, locks, reconciling
from propensia.__main__ import cli
from propensia.access import keys
from propensia.audit import Audit, Record
from propensia.journal.writer import Journal, JournalError
from propensia.locks import Lock
from propensia.registry import Registry, RegistryError
from propensia.settings import load
from propensia.terminal import Exit
from tests import tiny_models

__all__ = ["desk"]


def log(desk: Desk) -> list[Record]:
    return list(Audit(desk.state).all())


def reconcile(desk: Desk, **environment: str) -> int:
    chosen = load({f"PROPENSIA_{name.upper()}": text for name, text in environment.items()})
    return reconciling.reconcile(chosen, desk.registry)


@pytest.fixture
def told(desk: Desk) -> Desk:
    """An installation with two releases and a key, and a log that tells all of it."""
    desk.publish(0.25, "enero")
    desk.publish(0.75, "febrero")
    desk.run("keys", "create", "ana", "--role", "admin")
    reconcile(desk)
    return desk


# Commands


def test_every_command_that_changes_something_leaves_one_line(desk: Desk) -> None:
    first = desk.publish(0.25, "enero")
    second = desk.publish(0.75, "febrero")
    desk.run("rollback", "--why", "mal mes")
    desk.run("pin", "--why", "hasta revisar")
    desk.run("pin", "--off")
    desk.run("threshold", "0.42", "--why", "campaña")
    desk.run("activate", second)
    desk.run("keys", "create", "ana", "--role", "admin")
    desk.run("keys", "rotate", "ana", "--overlap", "0")
    desk.run("keys", "revoke", "ana")
    desk.run("backup", "copia.zip")
    shown = [
        (record.event, record.facts.get("cause") or record.facts.get("name"), record.why)
        for record in log(desk)
    ]
    assert shown == [
        ("published", "prueba", ""),
        ("published", "prueba", ""),
        ("published", "rollback", "mal mes"),
        ("published", "pin", "hasta revisar"),
        ("published", "unpin", ""),
        ("published", "threshold", "campaña"),
        ("published", "activar", ""),
        ("keys.created", "ana", ""),
        ("keys.rotated", "ana", ""),
        ("keys.revoked", "ana", ""),
        ("backup", None, ""),
    ]
    account = log(desk)[2].who
    assert account and {record.who for record in log(desk)[2:]} == {account}
    assert [record.facts["version"] for record in log(desk)[:3]] == [first, second, first]
    assert log(desk)[5].facts["threshold"] == 0.42
    assert reconciling.changes(desk.registry) == []  # and all of it is told


def test_what_changes_nothing_leaves_no_line(told: Desk) -> None:
    count = len(log(told))
    told.run("pin", "--off")
    told.run("models")
    told.run("audit", "verify")
    told.run("keys", "revoke", "nadie", code=1)
    told.run("keys", "create", "ana", "--role", "admin", code=1)
    assert len(log(told)) == count
    assert reconcile(told) == 0


def test_no_line_holds_a_key(told: Desk) -> None:
    made = CliRunner().invoke(cli, ["keys", "create", "eva", "--role", "caller"]).stdout.strip()
    data = Audit(told.state).path.read_bytes()
    assert made.startswith("ppk_") and made.encode() not in data
    assert made.rpartition("_")[2].encode() not in data
    assert keys.stored(told.state / "access")[-1].sha256.encode() not in data


def test_a_file_of_outcomes_that_breaks_off_is_told_as_far_as_it_came(
    told: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What came before stays in the journal."""
    row = f"{'0' * 29};sí;2026-01-31"
    rows = ["id;pagado;fecha", *[row] * 1500, "x", *[row] * 1000]
    (told.folder / "pagos.csv").write_text("\n".join(rows), encoding="utf-8")
    real, calls = Journal.append, list[int]()

    def append(journal: Journal, *records: bytes) -> None:
        calls.append(len(records))
        if len(calls) == 3:
            raise JournalError("No space left on device")
        real(journal, *records)

    monkeypatch.setattr(Journal, "append", append)
    told.run("outcomes", "pagos.csv", code=Exit.ENVIRONMENT)
    last = log(told)[-1]
    assert (last.event, calls) == ("outcomes.loaded", [1000, 1000, 500])
    facts = {"accepted": 2000, "refused": 1, "file": "pagos.csv", "incomplete": True}
    assert last.facts == facts
    monkeypatch.undo()


def test_a_file_of_which_nothing_is_taken_leaves_a_line_only_where_it_was_read(told: Desk) -> None:
    before = len(log(told))
    (told.folder / "otra.csv").write_text("a;b\n1;2\n", encoding="utf-8")
    told.run("outcomes", "otra.csv", code=Exit.REFUSED)
    assert len(log(told)) == before


# A log that cannot be written


def _unwritable(desk: Desk) -> None:
    """Also for root, whom no right binds: a folder stands where the file should."""
    log = desk.state / "audit" / "audit.jsonl"
    log.rename(log.with_name("kept"))
    log.mkdir()


def _writable(desk: Desk) -> None:
    log = desk.state / "audit" / "audit.jsonl"
    log.rmdir()
    log.with_name("kept").rename(log)


def test_nothing_is_published_that_cannot_be_told(told: Desk) -> None:
    _unwritable(told)
    done = told.run("rollback", code=Exit.ENVIRONMENT)
    assert "audit.jsonl" in done
    assert told.registry.current_number() == 2
    told.run("keys", "create", "eva", "--role", "caller", code=Exit.ENVIRONMENT)
    assert len(keys.stored(told.state / "access")) == 1


def test_a_key_that_must_go_goes_untold_and_is_found_later(told: Desk) -> None:
    (key,) = keys.stored(told.state / "access")
    _unwritable(told)
    assert "No se puede escribir en el registro" in told.run("keys", "revoke", "ana")
    assert keys.stored(told.state / "access")[0].revoked is not None
    _writable(told)
    assert reconcile(told) == 1
    last = log(told)[-1]
    assert (last.event, last.who) == ("found", "propensia")
    assert (last.facts["key"], last.facts["name"]) == (key.id, "ana")
    assert last.facts["changed"] == {"revoked": {"from": False, "to": True}}


def test_a_release_that_did_not_come_to_be_is_told_as_missing(
    told: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The disk took the record and not the release, or the power went in between."""
    real = files.write_json

    def fails(path: Path, *rest: object, **more: bool) -> None:
        if path.parent.name == "releases":
            raise OSError(28, "No space left on device", str(path))
        real(path, *rest, **more)

    with monkeypatch.context() as patched:
        patched.setattr(files, "write_json", fails)
        told.run("rollback", code=Exit.ENVIRONMENT)
    assert told.registry.current_number() == 2
    assert "No consta: la publicación 3, que ya no está" in told.run("audit", "verify", code=1)
    assert reconcile(told) == 1
    assert (log(told)[-1].event, log(told)[-1].facts["release"]) == ("missing", 3)
    told.run("rollback")
    assert told.registry.current_number() == 3
    assert "íntegra" in told.run("audit", "verify")


# What was done past the log


def test_a_release_by_hand_is_found_and_named(told: Desk) -> None:
    table = json.loads((told.state / "releases/000001.json").read_bytes())
    by_hand = table | {"number": 3, "who": "nadie", "threshold": 0.1}
    (told.state / "releases/000003.json").write_text(json.dumps(by_hand), encoding="utf-8")
    told_now = told.run("audit", "verify", code=Exit.REFUSED)
    assert f"No consta: la publicación 3 ({table['version']})" in told_now
    assert reconcile(told) == 1
    facts = log(told)[-1].facts
    assert (facts["release"], facts["by"], facts["threshold"]) == (3, "nadie", 0.1)
    assert reconcile(told) == 0
    told.run("audit", "verify")


def test_a_release_that_is_changed_or_taken_away_is_found(told: Desk) -> None:
    path = told.state / "releases/000002.json"
    path.write_text(path.read_text("utf-8").replace('"pinned": false', '"pinned": true'), "utf-8")
    (told.state / "releases/000001.json").unlink()
    assert reconcile(told) == 2
    found = {(record.event, record.facts["release"]) for record in log(told)[-2:]}
    assert found == {("found", 2), ("missing", 1)}


def test_a_key_by_hand_is_found_and_a_lost_one_is_missing(told: Desk) -> None:
    _, stranger = keys.new("eva", "admin", 1.0)
    keys.change(told.state / "access", lambda known: [stranger])
    assert reconcile(told) == 2
    assert [record.event for record in log(told)[-2:]] == ["found", "missing"]
    assert log(told)[-2].facts["name"] == "eva"


BY_HAND = {
    "role": "caller",
    "expires": 4_000_000_000.5,
    "networks": ["10.0.0.0/8"],
    "routes": ["/prediccion"],
    "in_path": True,
    "name": "otra",
    "sha256": "0" * 64,
}


@pytest.mark.parametrize("name", BY_HAND)
def test_what_is_changed_of_a_key_by_hand_is_found_by_name(name: str, told: Desk) -> None:
    path = told.state / "access/keys.json"
    table = json.loads(path.read_bytes())
    table["keys"][0][name] = BY_HAND[name]
    path.write_text(json.dumps(table), encoding="utf-8")
    assert "cambiada" in told.run("audit", "verify", code=Exit.REFUSED)
    assert reconcile(told) == 1
    facts = log(told)[-1].facts
    assert list(facts["changed"]) == ["mark" if name == "sha256" else name]
    assert facts["key"] == table["keys"][0]["id"]
    assert "0" * 64 not in Audit(told.state).path.read_text("ascii").replace(audits.FIRST, "", 1)
    assert f"{next(iter(facts['changed']))}: " in told.run("audit", "list", "--event", "found")
    assert reconcile(told) == 0


def test_keys_that_commands_change_are_found_as_the_log_tells_them(told: Desk) -> None:
    told.run("keys", "create", "eva", "--role", "caller", "--expires", "90d")
    told.run("keys", "create", "leo", "--role", "caller", "--networks", "10.0.0.0/8,10.1.0.7")
    told.run("keys", "rotate", "eva", "--overlap", "3d")
    told.run("keys", "rotate", "ana", "--overlap", "0")
    told.run("keys", "revoke", "leo")
    assert reconcile(told) == 0


def test_a_state_of_before_the_log_is_told_once(told: Desk) -> None:
    """As after an upgrade."""
    for path in (told.state / "audit").iterdir():
        path.unlink()
    assert "No consta" in told.run("audit", "verify", code=Exit.REFUSED)
    assert reconcile(told) == 3 + 1  # two releases, a key, and the settings
    assert [record.facts.get("release") for record in log(told)[:2]] == [1, 2]
    told.run("audit", "verify")


def test_a_key_that_is_being_made_is_neither_lost_nor_found(
    told: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The log tells it first, and then the file: the keeper looks in between, and waits."""
    between, looked = threading.Event(), threading.Event()
    found: list[int] = []
    real = keys.stored

    def second(folder: Path) -> list[keys.Key]:
        looked.set()
        return real(folder)

    def keeper() -> None:
        between.wait(30)
        monkeypatch.setattr(keys, "stored", second)
        found.append(reconcile(told))

    def decide(known: list[keys.Key]) -> list[keys.Key]:
        _, made = keys.new("eva", "admin", 1.0)
        Audit(told.state).record("keys.created", who="ana", key=made.id, name="eva", role="admin")
        between.set()
        assert looked.wait(30), "the keeper looks while the key is not in the file"
        return [*known, made]

    thread = threading.Thread(target=keeper)
    thread.start()
    keys.change(told.state / "access", decide)
    thread.join()
    assert found == [0]
    assert log(told)[-1].event == "keys.created"


def test_somebody_who_holds_the_keys_for_long_is_told_and_nothing_is_recorded(
    told: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keys, "PATIENCE_S", 0.0)
    _, stranger = keys.new("eva", "admin", 1.0)
    keys.change(told.state / "access", lambda known: [*known, stranger])
    count = len(log(told))
    with Lock(told.state / "access" / keys.LOCK), pytest.raises(OSError, match="busy"):
        reconcile(told)
    assert len(log(told)) == count
    assert reconcile(told) == 1


def test_the_log_is_read_once_and_not_while_others_wait(
    told: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However long it is, nobody who publishes waits for that."""
    lines = Audit(told.state).path.read_bytes().splitlines(keepends=True)
    read: list[bytes] = []
    real = reconciling.read

    def noted(line: bytes) -> Record | None:
        if len(read) < len(lines):
            assert locks.is_free(told.state / "releases.lock")
        read.append(line)
        return real(line)

    monkeypatch.setattr(reconciling, "read", noted)
    assert reconcile(told) == 0
    assert read == lines


def test_a_damaged_file_of_keys_stops_nothing(told: Desk) -> None:
    (told.state / "access/keys.json").write_text("{", encoding="utf-8")
    assert reconcile(told) == 0


# Settings


def test_settings_that_changed_are_named_with_what_they_were(told: Desk) -> None:
    assert reconcile(told, four_eyes="yes", rate_limit="5/s") == 1
    last = log(told)[-1]
    assert last.event == "settings.changed"
    assert last.facts["changed"] == {
        "four_eyes": {"from": False, "to": True},
        "rate_limit": {"from": "100/s", "to": "5/s"},
    }
    assert reconcile(told, four_eyes="yes", rate_limit="5/s") == 0
    assert reconcile(told, four_eyes="yes") == 1
    assert log(told)[-1].facts["changed"] == {"rate_limit": {"from": "5/s", "to": "100/s"}}
    shown = told.run("audit", "list", "--event", "settings.changed")
    assert "four_eyes: false → true, rate_limit: 100/s → 5/s" in shown


SECRETS = {
    "database_url": "postgresql://yo:secreta@host/base",
    "redis_url": "redis://:secreta@host",
    "alert_webhook": "https://host/secreta",
    "alert_secret": "secreta",
    "alert_email": "secreta@example.org",
    "smtp_url": "smtp://yo:secreta@host",
    "tls_key": "/secreta.pem",
}


@pytest.mark.parametrize("name", SECRETS)
def test_of_a_secret_setting_only_that_it_changed_is_told(name: str, told: Desk) -> None:
    needed = {"smtp_url": SECRETS["smtp_url"]} if name == "alert_email" else {}
    reconcile(told, **needed)
    for value in (SECRETS[name], SECRETS[name] + "2"):
        assert reconcile(told, **needed | {name: value}) == 1
        assert reconcile(told, **needed | {name: value}) == 0
    assert list(log(told)[-1].facts["changed"]) == [name]
    assert b"secreta" not in Audit(told.state).path.read_bytes()
    assert f"{name}: otro secreto" in told.run("audit", "list")
    assert reconcile(told) == 1
    assert f"{name}: sin secreto" in told.run("audit", "list")


# Restores


def restored(desk: Desk) -> Record:
    return next(record for record in reversed(log(desk)) if record.event == "restored")


def test_a_restore_takes_no_record_away(told: Desk) -> None:
    told.run("backup", "copia.zip")
    told.run("rollback", "--why", "después de la copia")
    told.run("keys", "revoke", "ana")
    before = Audit(told.state).path.read_bytes()
    noted = Audit(told.state).tail(1)[0].hash
    told.run("restore", "copia.zip", "--force")
    assert Audit(told.state).path.read_bytes().startswith(before)
    assert (restored(told).who, restored(told).facts["release"]) == (log(told)[2].who, 2)
    assert "sigue ahí" in told.run("audit", "verify", "--head", noted, code=Exit.REFUSED)
    assert reconcile(told) == 1  # the key is good again: an officer wants to know
    assert log(told)[-1].facts["revoked"] is False
    told.run("rollback")
    assert told.registry.current_number() == 3
    assert "íntegra" in told.run("audit", "verify")


def test_a_restore_elsewhere_goes_on_with_the_log_of_the_copy(told: Desk) -> None:
    told.run("backup", "copia.zip")
    told.run("restore", "copia.zip", "--into", "otra")
    other = Audit(told.folder / "otra")
    assert [record.event for record in other.tail(2)] == ["restored", "backup"]
    assert audits.verify(other).wrong is None
    assert reconciling.changes(Registry(told.folder / "otra")) == []


def test_a_log_that_was_tampered_with_stays_with_the_state_of_before(told: Desk) -> None:
    told.run("backup", "copia.zip")
    told.run("rollback")
    path = Audit(told.state).path
    path.write_bytes(path.read_bytes().replace(b"febrero", b"marzo..", 1))
    told.run("restore", "copia.zip", "--force")
    assert "íntegra" in told.run("audit", "verify")
    assert all(record.facts.get("release") != 3 for record in log(told))
    (aside,) = told.folder.glob("var.antes-*")
    assert b"marzo.." in Audit(aside).path.read_bytes()


def test_people_that_were_erased_since_the_copy_are_told(told: Desk) -> None:
    told.run("backup", "copia.zip")
    Audit(told.state).record("erased", who="ana", why="lo pidió", answers=3)
    done = told.run("restore", "copia.zip", "--force")
    assert "se borraron datos de personas 1 veces" in done


# Many at once


def hammer(desk: Desk, threads: int, turns: int) -> None:
    """M2: publish and roll back the same model from everywhere; one line per command."""
    versions = [desk.add(tiny_models.constant(value)) for value in (0.2, 0.8)]
    done: list[int] = []

    def work(number: int) -> None:
        registry, left = Registry(desk.state), turns
        while left:
            order = {"cause": "prueba", "who": str(number), "threshold": 0.5}
            with contextlib.suppress(RegistryError):  # others were faster for half a minute
                done.append(registry.publish(versions[left % 2], **order).number)
                left -= 1

    workers = [threading.Thread(target=work, args=(number,)) for number in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    published = [record.facts["release"] for record in log(desk) if record.event == "published"]
    assert published == sorted(done) == list(range(1, threads * turns + 1))
    current = desk.registry.current()
    assert current is not None
    assert (current.version, current.who) == (log(desk)[-1].facts["version"], log(desk)[-1].who)
    assert audits.verify(Audit(desk.state)).wrong is None
    assert reconciling.changes(desk.registry) == []


def test_eight_threads_leave_one_line_per_command(desk: Desk) -> None:
    hammer(desk, 8, 6)


@pytest.mark.slow
def test_eight_threads_leave_one_line_per_command_at_length(desk: Desk) -> None:
    hammer(desk, 8, steps(60, 250))


# The keeper


def test_the_keeper_tells_what_keeps_it_from_writing(
    told: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    auditor = reconciling.Auditor(replace(load({}), four_eyes=True), told.registry)
    _unwritable(told)
    auditor.turn()
    assert auditor.problem is not None and "auditoría" in auditor.problem
    _writable(told)
    monkeypatch.setattr(auditor, "_next", 0.0)
    auditor.turn()
    assert auditor.problem is None
    assert log(told)[-1].facts["changed"] == {"four_eyes": {"from": False, "to": True}}


def test_the_keeper_tells_the_head_to_the_log_of_the_system(
    told: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    """Where the account of the service cannot change it."""
    auditor = reconciling.Auditor(load({}), told.registry)
    with caplog.at_level("INFO"):
        auditor.turn()
        auditor.turn()
    assert [r.getMessage() for r in caplog.records if "audit log ends" in r.getMessage()] == [
        f"the audit log ends with {log(told)[-1].number} {log(told)[-1].hash}"
    ]


def test_a_registry_that_is_busy_is_told_and_tried_again(
    told: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    def busy(*_: object) -> None:
        raise RegistryError("otro programa está publicando")

    auditor = reconciling.Auditor(load({}), told.registry)
    with monkeypatch.context() as patched:
        patched.setattr(reconciling, "reconcile", busy)
        auditor.turn()
    assert auditor.problem is not None and os.linesep not in auditor.problem

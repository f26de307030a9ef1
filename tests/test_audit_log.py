"""The audit log: chained, whole after every accident, and every tampering named."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import propensia
from propensia import audit as audits
from propensia import files
from propensia.audit import Audit
from propensia.audit import log as audit_log

ROOT = Path(propensia.__file__).parent.parent


@pytest.fixture
def audit(tmp_path: Path) -> Audit:
    """A log with nine records."""
    made = Audit(tmp_path)
    for number in range(1, 10):
        made.record("published", who="ana", why="más señales ñ", release=number)
    return made


def lines(audit: Audit) -> list[bytes]:
    return audit.path.read_bytes().splitlines(keepends=True)


def write(audit: Audit, changed: list[bytes]) -> None:
    audit.path.write_bytes(b"".join(changed))


# What is written


def test_a_record_says_who_did_what_and_why(audit: Audit) -> None:
    (last,) = audit.tail(1)
    assert (last.number, last.event, last.who, last.why) == (
        9,
        "published",
        "ana",
        "más señales ñ",
    )
    assert last.facts == {"release": 9}


def test_the_chain_can_be_checked_with_nothing_but_sha256(audit: Audit) -> None:
    """As an officer would, without a line of the program."""
    before = "0" * 64
    for number, line in enumerate(lines(audit), 1):
        said, _, rest = line.partition(b',"hash":"')
        assert rest == hashlib.sha256(said).hexdigest().encode() + b'"}\n'
        row = json.loads(line)
        assert (row["number"], row["before"]) == (number, before)
        before = row["hash"]
    assert json.loads((audit.folder / "head.json").read_bytes()) == {"number": 9, "hash": before}


def test_an_event_that_nobody_has_named_is_refused(audit: Audit) -> None:
    with pytest.raises(ValueError, match="kidnapped"):
        audit.record("kidnapped", who="ana")
    assert len(lines(audit)) == 9


def test_what_cannot_be_shown_in_a_file_name_can_be_recorded(audit: Audit) -> None:
    """The owner of a file on Linux may have a name of any bytes."""
    audit.record("refused", who="a\udcff\n\x1b[2J", why="b")
    assert audit.tail(1)[0].who == "a\udcff\n\x1b[2J"
    assert audits.verify(audit).wrong is None


def test_adding_reads_only_the_end(audit: Audit, monkeypatch: pytest.MonkeyPatch) -> None:
    audit.record("refused", who="ana", why="x" * 300_000)  # longer than a block
    audit.record("published", who="ana", release=11)
    read: list[int] = []
    real = audit_log._last_lines

    def counting(stream: Any, count: int) -> Any:
        found = real(stream, count)
        read.append(sum(map(len, found[0])))
        return found

    monkeypatch.setattr(audit_log, "_last_lines", counting)
    audit.record("published", who="ana", release=12)
    assert read == [len(lines(audit)[-2]) - 1]
    assert audits.verify(audit).count == 12


def test_the_last_records_come_newest_first(audit: Audit) -> None:
    assert [record.number for record in audit.tail(3)] == [9, 8, 7]
    assert len(audit.tail(100)) == 9
    assert Audit(audit.folder).tail(3) == []


def test_threads_and_processes_write_one_chain(audit: Audit) -> None:
    code = (
        "import sys; from pathlib import Path; from propensia.audit import Audit\n"
        "for n in range(10): Audit(Path(sys.argv[1])).record('admitted', who=sys.argv[2], n=n)"
    )
    state = str(audit.folder.parent)
    others = [
        subprocess.Popen([sys.executable, "-c", code, state, name], cwd=ROOT) for name in "ab"
    ]

    def work(name: str) -> None:
        for n in range(10):
            audit.record("admitted", who=name, n=n)

    threads = [threading.Thread(target=work, args=(name,)) for name in "cdef"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [other.wait(300) for other in others] == [0, 0]
    found = audits.verify(audit)
    assert (found.wrong, found.count) == (None, 9 + 60)
    for name in "abcdef":
        order = [record.facts["n"] for record in audit.all() if record.who == name]
        assert order == list(range(10))


# Who tampers


def deleted(found: list[bytes], at: int) -> list[bytes]:
    return found[: at - 1] + found[at:]


def changed(found: list[bytes], at: int) -> list[bytes]:
    return [*found[: at - 1], found[at - 1].replace(b"ana", b"eva"), *found[at:]]


def reordered(found: list[bytes], at: int) -> list[bytes]:
    return [*found[: at - 1], found[at], found[at - 1], *found[at + 1 :]]


def cut(found: list[bytes], at: int) -> list[bytes]:
    return [*found[: at - 1], found[at - 1][:40] + b"\n", *found[at:]]


def doubled(found: list[bytes], at: int) -> list[bytes]:
    return [*found[: at - 1], found[at - 2], *found[at - 1 :]]


def rehashed(found: list[bytes], at: int) -> list[bytes]:
    """Changed, with a hash that fits: the line itself is good, and the next one tells."""
    said = found[at - 2].replace(b"ana", b"eva").partition(b',"hash":"')[0]
    new = said + b',"hash":"' + hashlib.sha256(said).hexdigest().encode() + b'"}\n'
    return [*found[: at - 2], new, *found[at - 1 :]]


@pytest.mark.parametrize("at", [2, 5, 8])
@pytest.mark.parametrize("how", [deleted, changed, reordered, cut, doubled, rehashed])
def test_the_first_bad_line_is_named(
    how: Callable[[list[bytes], int], list[bytes]], at: int, audit: Audit
) -> None:
    write(audit, how(lines(audit), at))
    found = audits.verify(audit)
    assert found.line == at and f"línea {at} " in (found.wrong or "")
    assert found.count == at - 1


def test_no_byte_can_be_changed(audit: Audit) -> None:
    data = audit.path.read_bytes()
    ends = [place for place, byte in enumerate(data) if byte == 10]
    for place in range(0, len(data), 7):
        spoiled = bytearray(data)
        spoiled[place] ^= 1
        audit.path.write_bytes(spoiled)
        line = sum(end < place for end in ends) + 1
        assert audits.verify(audit).line == line, place


@pytest.mark.parametrize("left", [0, 1, 6, 8])
def test_a_cut_end_is_noticed_at_once_and_for_ever(left: int, audit: Audit) -> None:
    write(audit, lines(audit)[:left])
    found = audits.verify(audit)
    assert found.line == left + 1 and "faltan líneas" in (found.wrong or "")
    audit.record("published", who="eva", release=10)  # the service goes on
    found = audits.verify(audit)
    assert found.line == left + 1 and "lleva el número 10" in (found.wrong or "")


def test_a_cut_in_the_middle_of_the_last_line_is_no_accident(audit: Audit) -> None:
    whole = lines(audit)
    write(audit, [*whole[:-1], whole[-1][:50]])
    assert audits.verify(audit).line == 9


def test_a_last_line_that_is_written_anew_is_noticed(audit: Audit) -> None:
    write(audit, rehashed(lines(audit), 10))
    found = audits.verify(audit)
    assert found.line == 9 and "head.json" in (found.wrong or "")


def test_a_lost_note_of_the_head_is_noticed_and_stays_on_record(audit: Audit) -> None:
    (audit.folder / "head.json").unlink()
    assert "falta head.json" in (audits.verify(audit).wrong or "")
    audit.record("published", who="eva", release=10)
    assert [record.event for record in audit.tail(2)] == ["published", "mended"]
    assert audit.tail(2)[1].facts == {"head": "missing"}
    assert audits.verify(audit).wrong is None


def test_only_a_noted_head_shows_that_all_was_written_anew(audit: Audit, tmp_path: Path) -> None:
    """Whoever may write the files can forge a whole chain; we say so, and this is what helps."""
    noted = audit.tail(3)[-1].hash
    assert audits.verify(audit, noted).noted == 7
    assert audits.verify(audit, noted[:16]).noted == 7
    forged = Audit(tmp_path / "forged")
    for number in range(1, 10):
        forged.record("published", who="nobody", release=number)
    assert audits.verify(forged).wrong is None
    assert "no está en el registro" in (audits.verify(forged, noted).wrong or "")


# Accidents


@pytest.mark.parametrize("size", [1, 50, 300])
def test_half_a_line_after_a_crash_is_set_aside_and_told(size: int, audit: Audit) -> None:
    half = (lines(audit)[-1] * 2)[:size].replace(b"\n", b"")
    with audit.path.open("ab") as stream:
        stream.write(half)
    found = audits.verify(audit)
    assert (found.wrong, found.torn, found.count) == (None, len(half), 9)
    audit.record("published", who="ana", release=10)
    last, mended = audit.tail(2)
    assert (last.facts["release"], mended.event) == (10, "mended")
    assert mended.facts == {"bytes": len(half), "sha256": files.sha256(half)}
    (aside,) = audit.folder.glob("torn-*")
    assert aside.read_bytes() == half
    found = audits.verify(audit)
    assert (found.wrong, found.torn, found.count) == (None, 0, 11)


def test_a_crash_between_the_line_and_the_note_of_its_head_is_no_harm(audit: Audit) -> None:
    old = (audit.folder / "head.json").read_bytes()
    audit.record("published", who="ana", release=10)
    (audit.folder / "head.json").write_bytes(old)
    assert audits.verify(audit).wrong is None
    audit.record("published", who="ana", release=11)
    assert (audits.verify(audit).wrong, audits.verify(audit).count) == (None, 11)


@pytest.mark.parametrize("call", ["write", "fsync", "open"])
def test_what_cannot_be_written_is_an_error_and_leaves_nothing(
    call: str, audit: Audit, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*arguments: Any) -> Any:
        raise OSError(errno.ENOSPC, "No space left on device")

    before = audit.path.read_bytes()
    with monkeypatch.context() as patched:
        patched.setattr(audit_log.os, call, full)
        with pytest.raises(OSError, match="No space"):
            audit.record("published", who="ana", release=10)
    assert audit.path.read_bytes() == before
    assert audit.record("published", who="ana", release=10).number == 10
    assert audits.verify(audit).wrong is None


def test_a_line_that_went_only_half_to_a_full_disk_is_taken_back(
    audit: Audit, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, real = audit.path.read_bytes(), os.write
    with monkeypatch.context() as patched:
        patched.setattr(audit_log.os, "write", lambda handle, data: real(handle, data[:30]))
        with pytest.raises(OSError):
            audit.record("published", who="ana", release=10)
    assert audit.path.read_bytes() == before


def test_a_log_that_another_process_holds_is_an_error_in_the_end(
    audit: Audit, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit_log, "PATIENCE_S", 0.0)
    with audits.log.Lock(audit.folder / "audit.jsonl.lock"), pytest.raises(OSError) as told:
        audit.record("published", who="ana")
    assert told.value.errno == errno.EBUSY


@pytest.mark.skipif(os.name != "posix", reason="rights of POSIX")
def test_only_the_service_may_read_the_log(audit: Audit) -> None:
    assert {path.stat().st_mode & 0o77 for path in (audit.path, audit.folder / "head.json")} == {0}


def test_every_event_is_documented() -> None:
    page = (ROOT / "docs" / "memoria.md").read_text(encoding="utf-8")
    table = page.partition("| suceso |")[2].partition("\n\n")[0]
    rows = [line.split("|")[1] for line in table.splitlines()[2:]]
    assert {name for row in rows for name in re.findall("`(.+?)`", row)} == set(audits.EVENTS)


def test_the_command_of_the_page_gives_the_hash_of_a_line(audit: Audit) -> None:
    """Whoever does not believe the program checks the chain without it."""
    page = (ROOT / "docs" / "memoria.md").read_text(encoding="utf-8")
    (command,) = re.findall(r"`(head -n 1 audit\.jsonl [^`]+)`", page)
    if shutil.which("sh") is None or shutil.which("sha256sum") is None:
        pytest.skip("no shell here")
    done = subprocess.run(
        ["sh", "-c", command], cwd=audit.folder, capture_output=True, text=True, check=True
    )
    assert done.stdout.split()[0] == next(audit.all()).hash

"""What is known of a person is given in full, and erased so that nothing of it comes back."""

from __future__ import annotations

import json
import shutil
import threading
import time
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from answered import Desk, apart
from sqlalchemy import Engine, event, func, select
from sqlalchemy.exc import OperationalError

from propensia import rights
from propensia.audit import Audit, verify
from propensia.contract import Contract
from propensia.journal import records, references
from propensia.journal.writer import FOLDER
from propensia.outcomes import checking
from propensia.outcomes.checking import Outcome
from propensia.settings import Settings
from propensia.store import database, people, retention, schema
from propensia.store.database import StoreError
from propensia.store.people import Person

SUMS = (schema.windows, schema.scores, schema.quality)


@pytest.fixture
def desk(store_settings: Settings, contract: Contract, engine: Engine) -> Desk:
    """On SQLite and on PostgreSQL, with a model."""
    made = Desk(store_settings, contract, engine)
    made.publish()
    return made


def pay(desk: Desk, answer: str | None, reference: str | None, days: int = 0) -> None:
    """Tell an outcome of so many days after today, as the route and the command do."""
    hashed = None if reference is None else desk.recorder.hashed(reference)
    now_ms = time.time_ns() // 1_000_000
    day = checking.day_of(now_ms) + timedelta(days)
    outcome = Outcome(answer, reference, True, 1234, day)
    desk.recorder.keep(checking.record(outcome, "marcador", hashed, now_ms))


def asked(desk: Desk, id: str | None = None, reference: str | None = None) -> Person:
    found = rights.person(desk.settings, id, reference)
    assert found is not None
    return found


def erase(desk: Desk, person: Person) -> dict[str, int]:
    return rights.erase(desk.engine, Audit(desk.settings.state), person, "ana", "solicitud 14")


def rows(desk: Desk) -> dict[str, list[dict[str, Any]]]:
    """The whole store."""
    with desk.engine.connect() as connection:
        return {
            table.name: [dict(row._mapping) for row in connection.execute(select(table))]
            for table in schema.METADATA.sorted_tables
        }


def sums(desk: Desk) -> dict[str, list[dict[str, Any]]]:
    whole = rows(desk)
    return {table.name: whole[table.name] for table in SUMS}


def test_all_that_is_known_under_a_reference_is_given_and_nothing_of_others(desk: Desk) -> None:
    first = desk.answer({"im": "11"}, "EXP-1")
    other = desk.answer({"im": "12"}, "EXP-2")
    second = desk.answer({"im": "13"}, "EXP-1")
    pay(desk, None, "EXP-1")
    pay(desk, first.id, None)
    pay(desk, other.id, None)
    desk.ship()
    audit = Audit(desk.settings.state)
    person = asked(desk, reference="EXP-1")
    found = rights.export(desk.engine, desk.rules(), audit, person, "ana")
    assert [row["id"] for row in found["respuestas"]] == [first.id, second.id]
    assert [row["valores"]["im"] for row in found["respuestas"]] == ["11", "13"]
    assert {row["respuesta"] for row in found["resultados"]} == {first.id, second.id}
    assert {row["importe"] for row in found["resultados"]} == {12.34}
    assert [row["estado"] for row in found["comunicaciones"]] == ["unido", "unido"]
    assert other.id not in json.dumps(found)
    (told,) = audit.tail(1)
    assert (told.event, told.who) == ("exported", "ana")
    counts = {"answers": 2, "inputs": 2, "refusals": 0, "outcomes": 2, "events": 2}
    assert told.facts == {"reference": person.reference} | counts


def test_all_that_is_known_under_an_id_is_that_answer_and_what_came_of_it(desk: Desk) -> None:
    first = desk.answer({"im": "11"}, "EXP-1")
    desk.answer({"im": "13"}, "EXP-1")
    pay(desk, first.id, None)
    desk.ship()
    found = rights.known(desk.engine, asked(desk, id=first.id))
    assert found.counts() == {"answers": 1, "inputs": 1, "refusals": 0, "outcomes": 1, "events": 1}
    assert found.answers[0].id == first.id


@pytest.mark.parametrize("by", ["id", "reference"])
def test_nothing_of_an_erased_person_is_left_and_all_of_the_others(desk: Desk, by: str) -> None:
    """The sums too: they tell of nobody."""
    theirs = desk.answer({"im": "111111.75"}, "EXP-1")
    desk.answer({"im": "222222"}, "EXP-2")
    pay(desk, theirs.id, None)
    pay(desk, None, "EXP-2")
    desk.ship()
    before, whole = sums(desk), rows(desk)
    person = asked(desk, **{by: theirs.id if by == "id" else "EXP-1"})
    counts = erase(desk, person)
    assert counts == {"answers": 1, "inputs": 1, "refusals": 0, "outcomes": 1, "events": 1}
    assert sums(desk) == before
    left = rows(desk)
    marks = {row["key"] for row in left.pop("erased")}
    assert marks >= {person.key, theirs.id} and len(marks) == (2 if by == "id" else 3)
    text = repr(left)
    hashed = desk.recorder.hashed("EXP-1")
    for gone in (theirs.id, hashed, "111111.75"):
        assert gone in repr(whole) and gone not in text
    for name in ("answers", "inputs", "outcomes", "outcome_events"):
        assert len(left[name]) == 1 == len(whole[name]) - 1
    assert rights.known(desk.engine, person).counts() == dict.fromkeys(counts, 0)


@pytest.mark.parametrize("by", ["id", "reference"])
def test_what_the_journal_still_holds_does_not_come_back(desk: Desk, by: str) -> None:
    theirs = desk.answer({"im": "11"}, "EXP-1")
    pay(desk, theirs.id, "EXP-1")
    apart()
    erase(desk, asked(desk, **{by: theirs.id if by == "id" else "EXP-1"}))
    apart()
    later = desk.answer({"im": "12"}, "EXP-1")
    desk.ship()
    whole = rows(desk)
    assert [row["id"] for row in whole["answers"]] == [later.id]
    assert [row["id"] for row in whole["inputs"]] == [later.id]
    assert whole["outcomes"] == whole["outcome_events"] == []
    assert list((desk.settings.state / FOLDER).glob("*.journal")) != []
    desk.recorder.open()  # lets its file go, as the end of a process does
    desk.ship()
    assert list((desk.settings.state / FOLDER).glob("*.journal")) == []


def test_of_outcomes_it_counts_when_they_were_told_and_not_their_day(desk: Desk) -> None:
    pay(desk, None, "EXP-1", days=1)  # a day may be that of tomorrow, where it has begun
    apart()
    erase(desk, asked(desk, reference="EXP-1"))
    apart()
    pay(desk, None, "EXP-1", days=-3)
    desk.ship()
    (event,) = rows(desk)["outcome_events"]
    assert event["date"] == str(checking.day_of(event["told"]) - timedelta(3))


@pytest.mark.parametrize("is_shipped", [True, False])
def test_an_outcome_in_the_journal_that_names_an_erased_answer_does_not_come_back(
    desk: Desk, is_shipped: bool
) -> None:
    """It names the answer alone, and the person was erased by the reference."""
    theirs = desk.answer({"im": "11"}, "EXP-1")
    if is_shipped:
        desk.ship()
    pay(desk, theirs.id, None)
    apart()
    erase(desk, asked(desk, reference="EXP-1"))
    desk.ship()
    apart()
    pay(desk, theirs.id, None, days=-1)
    pay(desk, None, "EXP-1")
    desk.ship()
    whole = rows(desk)
    assert whole["answers"] == whole["outcomes"] == []
    assert [row["answer"] for row in whole["outcome_events"]] == [None], "new, and of nobody yet"


@pytest.mark.parametrize("is_told_first", [True, False])
def test_an_outcome_does_not_wait_for_an_answer_of_somebody_who_was_erased(
    desk: Desk, tmp_path: Path, is_told_first: bool
) -> None:
    """The answer is in the journal of another machine when its outcome comes, which names it
    alone, and when the person is erased by the reference."""
    state = tmp_path / "other"
    state.mkdir()
    shutil.copy(desk.settings.state / references.NAME, state)
    other = Desk(replace(desk.settings, state=state), desk.contract, desk.engine)
    other.publish()
    theirs, another = other.answer({"im": "11"}, "EXP-1"), other.answer({"im": "12"}, "EXP-2")
    if is_told_first:
        pay(desk, theirs.id, None)
        pay(desk, another.id, None)
        desk.ship()
        assert len(rows(desk)["outcome_events"]) == 2
    apart()
    erase(desk, asked(desk, reference="EXP-1"))
    if not is_told_first:
        pay(desk, theirs.id, None)
        pay(desk, another.id, None)
        desk.ship()
    other.ship()
    whole = rows(desk)
    left = ("answers", "id"), ("outcomes", "answer"), ("outcome_events", "answer")
    for table, column in left:
        assert [row[column] for row in whole[table]] == [another.id]
    pay(desk, theirs.id, None, days=-1)
    desk.ship()
    assert len(rows(desk)["outcome_events"]) == 1


def test_what_was_told_and_erased_may_be_told_anew(desk: Desk) -> None:
    """The same outcome has the same id."""
    pay(desk, None, "EXP-1")
    desk.ship()
    apart()
    erase(desk, asked(desk, reference="EXP-1"))
    assert rows(desk)["outcome_events"] == []
    apart()
    pay(desk, None, "EXP-1")
    desk.ship()
    assert len(rows(desk)["outcome_events"]) == 1


def test_who_is_erased_while_the_keeper_ships_does_not_come_back(desk: Desk) -> None:
    """The keeper has looked who is erased, and has not written yet: whoever erases has to wait."""
    theirs = desk.answer({"im": "11"}, "EXP-1")
    shipping, erased = threading.Event(), threading.Event()
    keeper = database.open_store(desk.settings)

    def wait(*_: Any) -> None:
        if threading.current_thread() is not helper or shipping.is_set():
            return
        shipping.set()
        erased.wait(1.0)  # nothing comes: that one waits for us

    @event.listens_for(keeper, "before_cursor_execute")
    def before(_1: Any, _2: Any, statement: str, *_: Any) -> None:
        if statement.startswith("INSERT"):
            wait()

    own = desk.engine
    desk.engine = keeper
    helper = threading.Thread(target=desk.ship)
    helper.start()
    assert shipping.wait(60.0)
    desk.engine = own
    counts = erase(desk, asked(desk, reference="EXP-1"))
    erased.set()
    helper.join(60.0)
    keeper.dispose()
    assert counts["answers"] == 1, "it was in the store before it was erased"
    assert rights.known(desk.engine, asked(desk, id=theirs.id)).counts()["answers"] == 0


def test_the_audit_log_tells_who_erased_how_much_and_never_whom(desk: Desk) -> None:
    desk.answer({"im": "11"}, "EXP-1")
    desk.ship()
    erase(desk, asked(desk, reference="EXP-1"))
    erase(desk, asked(desk, reference="EXP-1"))
    audit = Audit(desk.settings.state)
    assert verify(audit).wrong is None
    second, first = audit.tail(2)
    assert (first.event, first.who, first.why) == ("erased", "ana", "solicitud 14")
    assert (first.facts["answers"], second.facts["answers"]) == (1, 0)
    assert b"EXP-1" not in audit.path.read_bytes()


def test_what_the_audit_log_cannot_tell_is_not_erased(desk: Desk) -> None:
    desk.answer({"im": "11"}, "EXP-1")
    desk.ship()
    shutil.rmtree(desk.settings.state / "audit")
    (desk.settings.state / "audit").write_text("in the way of the folder", encoding="utf-8")
    before = rows(desk)
    with pytest.raises(OSError):
        erase(desk, asked(desk, reference="EXP-1"))
    assert rows(desk) == before


def test_an_erasure_that_is_not_committed_is_not_told_as_done(desk: Desk) -> None:
    """The log is told first; when the database then fails, it is told that too."""
    desk.answer({"im": "11"}, "EXP-1")
    desk.ship()
    person = asked(desk, reference="EXP-1")

    def fails(_: Any) -> None:
        raise OperationalError("COMMIT", {}, Exception("the disk is full"))

    event.listen(desk.engine, "commit", fails)
    with pytest.raises(OperationalError):
        erase(desk, person)
    event.remove(desk.engine, "commit", fails)
    assert rights.known(desk.engine, person).counts()["answers"] == 1
    second, first = Audit(desk.settings.state).tail(2)
    assert (first.event, second.event) == ("erased", "erased")
    assert second.facts == first.facts | {"unsure": True}
    erase(desk, person)
    assert "unsure" not in Audit(desk.settings.state).tail(1)[0].facts


def test_an_erasure_by_a_fast_clock_swallows_no_answer_of_later(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    desk.answer({"im": "11"}, "EXP-1")
    waiting = desk.answer({"im": "12"}, "EXP-1")
    person = asked(desk, reference="EXP-1")
    now_ns = time.time_ns()
    monkeypatch.setattr(time, "time_ns", lambda: now_ns + 86_400 * 10**9)
    erase(desk, person)
    monkeypatch.undo()
    desk.ship()
    assert rights.known(desk.engine, person).counts()["answers"] == 0
    assert "2 records of the journal were of erased people" in caplog.text
    later_ms = now_ns // 10**6 + people.AHEAD_MS + 60_000
    row = {"id": f"{later_ms:011x}{waiting.id[11:]}", "reference": person.reference}
    with desk.engine.begin() as connection:
        assert people.spared(connection, [row]) == [row]


def test_who_was_erased_is_forgotten_too_when_nothing_could_come_back(desk: Desk) -> None:
    desk.answer({"im": "11"}, "EXP-1")
    desk.ship()
    erase(desk, asked(desk, reference="EXP-1"))
    mark, _ = rows(desk)["erased"]  # the reference, and the answer
    kept_ms = desk.settings.keep_answers_days * records.DAY_MS
    assert "erased" not in retention.purge(desk.engine, desk.settings, mark["at"] + kept_ms)
    gone = retention.purge(desk.engine, desk.settings, mark["at"] + kept_ms + 1)
    assert gone["erased"] == 2
    assert rows(desk)["erased"] == []


def test_no_byte_of_it_is_left_in_the_files_of_sqlite(tmp_path: Path, contract: Contract) -> None:
    """What SQLite deletes it only marks as free, unless it is told otherwise."""
    chosen = Settings(models=tmp_path / "models", state=tmp_path / "state")
    chosen.state.mkdir()
    desk = Desk(chosen, contract, database.open_store(chosen))
    desk.publish()
    # Long: six digits stand in one of 3,000 such stores by chance, within a digest of a reference.
    desk.answer({"im": "0.918273645546"}, "EXP-1")
    for number in range(200):
        desk.answer({"im": str(number)}, f"OTRO-{number}")
    desk.ship()

    def holds() -> bool:
        return any(b"918273645546" in path.read_bytes() for path in chosen.state.glob("store.db*"))

    assert holds()
    erase(desk, asked(desk, reference="EXP-1"))
    assert not holds()


def test_a_person_of_whom_nothing_can_be_known_is_nobody(desk: Desk) -> None:
    for wrong in ("", "EXP-1", "A" * 29, "0" * 28, "'; DROP TABLE answers"):
        assert rights.person(desk.settings, wrong, None) is None
    (desk.settings.state / references.NAME).unlink(missing_ok=True)
    assert rights.person(desk.settings, None, "EXP-1") is None
    assert not (desk.settings.state / references.NAME).exists()


def test_a_damaged_key_of_references_is_told_without_it(desk: Desk) -> None:
    (desk.settings.state / references.NAME).write_bytes(b"\xff00ab")
    with pytest.raises(StoreError) as error:
        rights.person(desk.settings, None, "EXP-1")
    assert "reference.key" in str(error.value) and "ff" not in str(error.value)


def test_a_record_without_a_reference_is_of_nobody_who_was_erased(desk: Desk) -> None:
    desk.answer({"im": "11"}, "EXP-1")
    desk.ship()
    erase(desk, asked(desk, reference="EXP-1"))
    told: list[dict[str, Any]] = [
        {"id": desk.serving.new_id(), "reference": None},
        {"id": desk.serving.new_id()},
    ]
    with desk.engine.begin() as connection:
        assert people.spared(connection, told) == told
        assert connection.execute(select(func.count()).select_from(schema.erased)).scalar() == 2

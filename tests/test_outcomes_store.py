"""Outcomes in real databases: what is known in the end follows from what was told alone."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st
from sqlalchemy import Connection, Engine, delete, select

from propensia import telling
from propensia.cli import reporting
from propensia.journal import records
from propensia.outcomes import checking
from propensia.outcomes.checking import Outcome
from propensia.settings import Settings
from propensia.store import database, outcomes, rows, schema
from propensia.store.outcomes import Told
from propensia.store.upserts import insert_new

HORIZON = 90
NOON = datetime(2024, 3, 1, 12, tzinfo=UTC)
DAY = NOON.date()
NOBODY = records.first_id(0) + "f" * 18


def answer_id(days: int, serial: int = 0) -> str:
    """An id of an answer that was given at noon, so many days after the first."""
    moment = int((NOON + timedelta(days)).timestamp() * 1000)
    return f"{records.first_id(moment)}{serial:018x}"


def answer(days: int, reference: str | None = None, serial: int = 0) -> dict[str, Any]:
    """A row of ``answers``."""
    return {
        "id": answer_id(days, serial),
        "version": "v" * 12,
        "publication": 1,
        "model": "m",
        "rules": "r" * 16,
        "caller": "c",
        "reference": reference,
        "probability": 0.5,
        "threshold": 0.5,
        "positive": True,
        "notes": "[]",
    }


def told(
    days: int,
    *,
    id: str | None = None,
    ref: str | None = None,
    paid: bool = True,
    cents: int | None = None,
    source: str = "s",
    at: int = 0,
) -> dict[str, Any]:
    """An outcome as shipping hands it over, made as both ways in make it."""
    outcome = Outcome(id, ref, paid, cents, DAY + timedelta(days))
    batch = rows.read([checking.record(outcome, source, ref, at)])
    assert not batch.unfit
    return batch.outcomes[0]


@pytest.fixture
def store(engine: Engine) -> Iterator[Connection]:
    """One transaction for all of a test, which is much faster on a machine with slow disks."""
    with engine.connect() as connection:
        yield connection


def take(
    connection: Connection,
    answers: Sequence[dict[str, Any]],
    events: Sequence[dict[str, Any]],
    most: int = outcomes.MOST_TOLD,
) -> None:
    """Ship one batch."""
    new = insert_new(connection, schema.answers, answers)
    outcomes.take(connection, new, events, HORIZON, most)


def known(connection: Connection) -> dict[str, tuple[Any, ...]]:
    """The table of outcomes, by answer."""
    found = connection.execute(select(schema.outcomes)).all()
    return {row.answer: (row.paid, row.cents, row.date, row.source, row.event) for row in found}


def first_payments(connection: Connection) -> dict[str, str | None]:
    """The day of the first payment, by answer."""
    return {row.answer: row.first_paid for row in connection.execute(select(schema.outcomes))}


def states(connection: Connection) -> dict[str, str]:
    """The state of each outcome that was told, by its id."""
    return {row.id: row.state for row in connection.execute(select(schema.events))}


def empty(connection: Connection) -> None:
    """Forget everything."""
    for table in (schema.answers, schema.events, schema.outcomes):
        connection.execute(delete(table))


def test_an_outcome_is_about_the_answer_of_its_id(store: Connection) -> None:
    take(store, [answer(0), answer(1)], [])
    event = told(9, id=answer_id(0), cents=12_050)
    take(store, [], [event])
    assert known(store) == {answer_id(0): (True, 12_050, "2024-03-10", "s", event["id"])}
    assert states(store) == {event["id"]: "matched"}


def test_by_reference_it_is_about_the_last_answer_of_its_day_or_before(store: Connection) -> None:
    take(store, [answer(days, "r") for days in (0, 5, 9)] + [answer(6, "other")], [])
    same_day, between = told(5, ref="r"), told(7, ref="r", paid=False)
    take(store, [], [same_day, between])
    assert known(store).keys() == {answer_id(5)}
    assert states(store) == {same_day["id"]: "superseded", between["id"]: "matched"}


def test_what_is_told_before_its_answer_waits_for_it(store: Connection) -> None:
    by_id, by_reference = told(3, id=answer_id(0)), told(3, ref="r")
    take(store, [], [by_id, by_reference])
    assert set(states(store).values()) == {"unknown"} and not known(store)
    take(store, [answer(0)], [])
    take(store, [answer(1, "r")], [])
    assert known(store).keys() == {answer_id(0), answer_id(1)}


def test_a_later_answer_of_that_day_takes_the_outcome_over(store: Connection) -> None:
    """Each process has a journal of its own, and one may be shipped long after another."""
    take(store, [answer(0, "r")], [told(3, ref="r")])
    assert known(store).keys() == {answer_id(0)}
    take(store, [answer(2, "r")], [])
    assert known(store).keys() == {answer_id(2)}


def test_what_is_told_again_counts_and_changes_nothing(store: Connection) -> None:
    event = told(3, id=answer_id(0), cents=100)
    take(store, [answer(0)], [event])
    before = known(store), states(store)
    take(store, [], [event, event])
    assert (known(store), states(store)) == before
    counts = outcomes.counted(store)
    assert counts["matched"] == 1 and counts["again"] == 2


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ({"days": 3, "paid": False}, {"days": 9, "cents": 5}, ("superseded", "matched")),
        ({"days": 9}, {"days": 3, "paid": False}, ("matched", "superseded")),
        ({"days": 3, "cents": 5}, {"days": 3, "cents": 5, "source": "t"}, None),
        ({"days": 3}, {"days": 3, "cents": 5}, ("repeated", "matched")),
        ({"days": 3, "cents": 4}, {"days": 3, "cents": 5}, ("contradictory", "matched")),
        ({"days": 3, "paid": False}, {"days": 3, "cents": 5}, ("contradictory", "matched")),
        ({"days": 3}, {"days": -1}, ("matched", "before")),
        ({"days": 3}, {"days": HORIZON}, ("superseded", "matched")),
        ({"days": 3}, {"days": HORIZON + 1}, ("matched", "late")),
        ({"days": 3}, {"days": 4, "ref": "another"}, ("matched", "mismatched")),
        ({"days": 3}, {"days": 4, "ref": "r"}, ("superseded", "matched")),
        ({"days": 3}, {"days": 4, "id": NOBODY}, ("matched", "unknown")),
    ],
)
def test_two_outcomes_of_one_answer_have_these_states(
    first: dict[str, Any],
    second: dict[str, Any],
    expected: tuple[str, str] | None,
    store: Connection,
) -> None:
    own = {"id": answer_id(0)}
    events = [told(**(own | first)), told(**(own | second))]
    for order in (events, events[::-1]):
        empty(store)
        take(store, [answer(0, "r")], [])
        for event in order:
            take(store, [], [event])
        found = tuple(states(store)[event["id"]] for event in events)
        if expected is None:  # which of the two counts is for their hashes to say
            assert sorted(found) == ["matched", "repeated"]
        else:
            assert found == expected


@pytest.mark.parametrize(
    ("events", "expected"),
    [
        ([{"days": 10, "cents": 5_000}, {"days": 75, "cents": 9_000}], 10),
        ([{"days": 5, "paid": False}, {"days": 10}, {"days": 75}], 10),
        ([{"days": 10}, {"days": 30, "paid": False}, {"days": 75}], 75),
        ([{"days": 10}, {"days": 10, "paid": False}, {"days": 75}], 10),
        ([{"days": 10}, {"days": 75, "paid": False}], None),
        ([{"days": -1}, {"days": 75}, {"days": HORIZON + 1}], 75),
    ],
)
def test_the_first_payment_is_kept_beside_what_is_known_now(
    events: list[dict[str, Any]], expected: int | None, store: Connection
) -> None:
    take(store, [answer(0)], [])
    for event in reversed(events):
        take(store, [], [told(**event, id=answer_id(0))])
    day = None if expected is None else str(DAY + timedelta(expected))
    assert first_payments(store) == {answer_id(0): day}


def test_what_is_before_all_answers_of_its_reference_does_not_wait_for_ever(
    store: Connection,
) -> None:
    event = told(3, ref="r")
    take(store, [], [event])
    assert states(store) == {event["id"]: "unknown"}
    take(store, [answer(5, "r")], [])
    assert states(store) == {event["id"]: "before"}
    another = told(4, ref="r")
    take(store, [], [another])
    assert states(store) == dict.fromkeys((event["id"], another["id"]), "before")
    take(store, [answer(2, "r")], [])  # of a journal that was shipped late
    assert set(states(store).values()) == {"superseded", "matched"}


@pytest.mark.parametrize("name", [{"ref": "r"}, {"id": answer_id(0)}])
def test_of_many_outcomes_of_one_name_only_the_last_are_looked_at(
    store: Connection, name: dict[str, Any]
) -> None:
    """Whoever told thousands of one reference would slow down each answer that follows with it."""
    told_all = [told(days, **name) for days in (1, 2, 3, 4)]
    older = told(2, **name, paid=False)
    for arriving in ([told_all, [older]], [[older], *([one] for one in reversed(told_all))]):
        empty(store)
        take(store, [answer(0, "r")], [], 3)
        for batch in arriving:
            take(store, [], batch, 3)
        take(store, [], told_all[:1], 3)  # again, and of no more use
        found = states(store)
        assert [found[one["id"]] for one in told_all] == ["excess", *["superseded"] * 2, "matched"]
        assert found[older["id"]] == "excess"
        counts = outcomes.counted(store)
        assert (counts["excess"], counts["again"]) == (2, 1), "they are kept, and counted"
        take(store, [answer(1, "r", 1)], [], 3)
        assert list(states(store).values()).count("excess") == 2


def test_an_outcome_that_is_not_looked_at_is_of_no_answer_any_more(store: Connection) -> None:
    first, later = told(3, ref="r"), [told(days, ref="r") for days in (6, 7, 8)]
    others = [told(3, ref="another"), told(4, ref="r", id=answer_id(0))]
    for arriving in ([[first], later, others], [others, later, [first]]):
        empty(store)
        take(store, [answer(0, "r"), answer(5, "r")], [], 3)
        for batch in arriving:
            take(store, [], batch, 3)
        assert states(store)[first["id"]] == "excess"
        assert {id: row[4] for id, row in known(store).items()} == {
            answer_id(0): others[1]["id"],
            answer_id(5): later[-1]["id"],
        }
        take(store, [], [told(9, ref="r")], 3)
        assert known(store).keys() == {answer_id(0), answer_id(5)}
    empty(store)
    take(store, [answer(0, "r"), answer(5, "r")], [first], 3)
    assert known(store).keys() == {answer_id(0)}
    take(store, [], later, 3)
    assert known(store).keys() == {answer_id(5)}


def test_every_state_has_a_word_for_people() -> None:
    assert list(telling.OUTCOME_STATES) == list(outcomes.STATES)
    assert list(reporting.STATES) == list(telling.OUTCOME_STATES.values())
    assert str(outcomes.MOST_TOLD) in reporting.STATES["sobrante"]


def test_those_of_one_state_are_listed_with_who_told_them_and_when(
    store_settings: Settings, engine: Engine
) -> None:
    named = told(3, id=NOBODY, source="caja", at=1_000)
    by_reference = told(4, ref="a" * 32, source="banco", at=2_000)
    # What is told again counts as of its first time, however it comes.
    again = [by_reference | {"told": 9_000}, by_reference, by_reference | {"told": 9_500}]
    with engine.begin() as connection:
        take(connection, [answer(0)], [*again, named | {"told": 8_000}, told(5, id=answer_id(0))])
        take(connection, [], [named])
        take(connection, [], [named | {"told": 9_000}])
    found = outcomes.listed(store_settings, "unknown")
    assert found.count == 2
    assert found.told == [
        Told(2_000, "banco", "2024-03-05", None, "a" * 32),
        Told(1_000, "caja", "2024-03-04", NOBODY, None),
    ]
    assert outcomes.listed(store_settings, "late").told == []


@pytest.mark.parametrize(
    ("before", "first", "second"),
    [
        ([], [answer(0, "r")], [told(5, ref="r")]),
        ([], [told(5, ref="r")], [answer(0, "r")]),
        ([answer(0, "r")], [told(9, ref="r")], [told(5, ref="r", paid=False)]),
    ],
)
def test_keepers_of_two_machines_at_once_miss_nothing_of_each_other(
    before: list[dict[str, Any]],
    first: list[dict[str, Any]],
    second: list[dict[str, Any]],
    postgresql_url: str,
    tmp_path: Path,
) -> None:
    """The second one begins while the transaction of the first is open."""
    engine = database.open_store(Settings(state=tmp_path, database_url=postgresql_url))
    begun, ended = threading.Event(), threading.Event()

    def ship(batch: list[dict[str, Any]], held_s: float = 0.0) -> None:
        with engine.begin() as connection:
            given = [row for row in batch if "probability" in row]
            take(connection, given, [row for row in batch if "paid" in row])
            begun.set()
            ended.wait(held_s)  # nothing comes: the other one waits for us

    ship(before)
    begun.clear()
    one = threading.Thread(target=ship, args=(first, 0.5))
    one.start()
    assert begun.wait(60.0)
    ship(second)
    ended.set()
    one.join(60.0)
    with engine.connect() as connection:
        assert sorted(states(connection).values()) in (["matched"], ["matched", "superseded"])
        assert {row[:1] for row in known(connection).values()} == {(True,)}
    engine.dispose()


def test_many_of_one_batch_find_their_answers(store: Connection) -> None:
    """More than one statement takes."""
    size = outcomes.CHUNK + 7
    answers = [answer(0, f"{n:032x}" if n % 2 else None, n) for n in range(size)]
    events = [
        told(3, ref=row["reference"]) if row["reference"] else told(3, id=row["id"])
        for row in answers
    ]
    take(store, answers[: size // 2], events)
    take(store, answers[size // 2 :], [])
    assert known(store).keys() == {row["id"] for row in answers}


# What anybody may have told of a few answers, so near each other that they meet.
ANSWERS = [answer(0, "a"), answer(2, "a"), answer(2, "b"), answer(3, None), answer(4, "a")]
for serial, row in zip(count(), ANSWERS, strict=False):
    row["id"] = row["id"][:-1] + str(serial)
IDS = [row["id"] for row in ANSWERS]
TOLD = st.builds(
    told,
    st.sampled_from([-1, 0, 1, 2, 3, 4, 5, HORIZON, HORIZON + 1, HORIZON + 3]),
    id=st.sampled_from([None, *IDS, NOBODY]),
    ref=st.sampled_from(["a", "b", "z"]),
    paid=st.booleans(),
    cents=st.sampled_from([None, 5, 7]),
    source=st.sampled_from(["s", "t"]),
)


def by_rank(event: dict[str, Any]) -> tuple[Any, ...]:
    """Which of two is the one that counts: the greater."""
    cents = event["cents"] if event["cents"] is not None else -1
    return event["date"], event["paid"], cents, event["id"]


def by_hand(answers: Iterable[dict[str, Any]], events: Iterable[dict[str, Any]], most: int) -> Any:
    """What has to be known at the end: read off the rules, one outcome at a time, without SQL."""
    best: dict[str, tuple[Any, ...]] = {}
    days: dict[str, dict[str, bool]] = {}
    counts = {"unknown": 0, "before": 0, "late": 0, "mismatched": 0, "excess": 0}
    by_id = {row["id"]: row for row in answers}
    told_of: Counter[str] = Counter()
    for event in sorted({row["id"]: row for row in events}.values(), key=by_rank, reverse=True):
        day = date.fromisoformat(event["date"])
        name = event["answer"] or event["reference"]
        told_of[name] += 1
        if told_of[name] > most:
            counts["excess"] += 1
            continue
        if event["answer"]:
            found = by_id.get(event["answer"])
        else:
            same = [row for row in by_id.values() if row["reference"] == event["reference"]]
            given = [row for row in same if records.day(row["id"]) <= day]
            found = max(given, key=lambda row: row["id"], default=None)
        if found is None:
            known = not event["answer"] and same
            counts["before" if known else "unknown"] += 1
        elif event["answer"] and event["reference"] not in (None, found["reference"]):
            counts["mismatched"] += 1
        elif day < records.day(found["id"]):
            counts["before"] += 1
        elif (day - records.day(found["id"])).days > HORIZON:
            counts["late"] += 1
        else:
            rank = by_rank(event)
            best[found["id"]] = max(best.get(found["id"], rank), rank)
            paid = days.setdefault(found["id"], {})
            paid[event["date"]] = paid.get(event["date"], False) or event["paid"]
    firsts: dict[str, str | None] = dict.fromkeys(days)
    for id, paid in days.items():
        for date_, one in sorted(paid.items()):
            firsts[id] = (firsts[id] or date_) if one else None
    known_now = {id: (rank[1], rank[0], rank[3]) for id, rank in best.items()}
    return known_now, firsts, counts


@examples(
    max_examples=20,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(data=st.data())
def test_every_order_of_arrival_gives_the_same_in_the_end(data: Any, store: Connection) -> None:
    """Shuffled, told twice and split into batches, answers and outcomes alike."""
    events = data.draw(st.lists(TOLD, min_size=1, max_size=12))
    most = data.draw(st.sampled_from([1, 2, outcomes.MOST_TOLD]))
    expected, firsts, counts = by_hand(ANSWERS, events, most)
    seen = []
    for _ in range(2):
        empty(store)
        twice = data.draw(st.lists(st.sampled_from(events), max_size=4))
        arriving = data.draw(st.permutations([*ANSWERS, *events, *twice]))
        for batch in _split(arriving, data.draw(st.integers(1, 5))):
            given = [row for row in batch if "probability" in row]
            take(store, given, [row for row in batch if "paid" in row], most)
        found = {id: (row[0], row[2], row[4]) for id, row in known(store).items()}
        assert found == expected
        assert first_payments(store) == firsts
        now = states(store)
        assert {state: list(now.values()).count(state) for state in counts} == counts
        assert list(now.values()).count("matched") == len(expected)
        seen.append((known(store), now))
    assert seen[0] == seen[1]


def _split(items: list[dict[str, Any]], size: int) -> list[list[dict[str, Any]]]:
    return [items[start : start + size] for start in range(0, len(items), size)]

"""The alert list: who enters, who leaves, nobody twice, and nobody for a trifle."""

from __future__ import annotations

import random
from typing import Any

import batch_databases
import pytest
from batch_databases import ask, clients, do, opened, render, run, sink

from propensia.batch.databases.alert_list import Changes, Limits, limits

shared_postgresql = batch_databases.shared_postgresql
postgresql_url = batch_databases.postgresql_url
url, small_blocks = batch_databases.url, batch_databases.small_blocks  # the latter: of 7 rows

ABOVE = Limits(False, 0.8, 0.7)
TOP = Limits(True, 0.1, 0.12)


def scored(url: str, chances: list[float | None], wanted: Limits, **more: Any) -> Changes | None:
    clients(url, chances)
    target = sink(url, limits=wanted, **more)
    run(opened(url), target)
    return target.changes


def events(url: str) -> list[tuple[str, str]]:
    return [tuple(row) for row in ask(url, "SELECT event, row FROM scores_alerts ORDER BY id")]


def listed(url: str) -> set[int]:
    return {int(row) for (row,) in ask(url, "SELECT row FROM scores_listed")}


@pytest.mark.parametrize(
    ("text", "leave", "found"),
    [
        ("top=5%", None, (True, 0.05, 0.06)),
        ("top = 2,5 %", "top=4%", (True, 0.025, 0.04)),
        ("top=90%", None, (True, 0.9, 1.0)),
        ("0.8", None, (False, 0.8, 0.72)),
        ("0,8", "0.5", (False, 0.8, 0.5)),
        ("0.9", None, (False, 0.9, 0.81)),
    ],
)
def test_a_limit_is_a_share_or_a_chance(
    text: str, leave: str | None, found: tuple[bool, float, float]
) -> None:
    told = limits(text, leave)
    assert (told.is_share, told.enter, told.leave) == found


@pytest.mark.parametrize(
    ("text", "leave", "told"),
    [
        ("5%", None, "ha de ser una parte"),
        ("top=0%", None, "fuera de rango"),
        ("top=101%", None, "fuera de rango"),
        ("1.01", None, "fuera de rango"),
        ("nan", None, "ha de ser una parte"),
        ("top=5%", "0.5", "de la misma clase"),
        ("0.8", "0.9", "por debajo"),
        ("top=5%", "top=4%", "por debajo"),
    ],
)
def test_other_limits_are_refused(text: str, leave: str | None, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        limits(text, leave)


def test_a_row_enters_at_the_limit_and_leaves_only_below_the_lower_one(url: str) -> None:
    assert scored(url, [0.8, 0.79, 0.95], ABOVE) == Changes(2, 0)
    assert events(url) == [("entra", "3"), ("entra", "1")]  # the highest first
    assert scored(url, [0.7, 0.79, 0.75], ABOVE) == Changes(0, 0)
    assert scored(url, [0.69, 0.81, 0.9], ABOVE) == Changes(1, 1)
    assert sorted(events(url)[2:]) == [("entra", "2"), ("sale", "1")]
    assert listed(url) == {2, 3}


def test_nobody_flickers_whose_chance_goes_up_and_down_between_the_limits(url: str) -> None:
    for step in range(4):
        scored(url, [0.81 - 0.05 * (step % 2), 0.79 - 0.05 * (step % 2)], ABOVE)
    assert events(url) == [("entra", "1")]


def test_an_event_tells_what_a_program_needs_and_waits_to_be_delivered(url: str) -> None:
    scored(url, [0.9], ABOVE, name="enero")
    wanted = "run, row, event, probabilidad, banda, version, delivered"
    assert ask(url, f"SELECT {wanted} FROM scores_alerts") == [
        ("enero", "1", "entra", 0.9, "A", batch_databases.VERSION, None)
    ]
    told = "SELECT a.momento = r.started FROM scores_alerts a, scores_runs r"
    assert [bool(same) for (same,) in ask(url, told)] == [True]


def test_the_list_outlives_events_that_were_delivered_and_removed(url: str) -> None:
    scored(url, [0.9], ABOVE)
    last = ask(url, "SELECT max(id) FROM scores_alerts")[0][0]
    do(url, "DELETE FROM scores_alerts")
    assert scored(url, [0.9], ABOVE) == Changes(0, 0)
    assert scored(url, [0.1], ABOVE) == Changes(0, 1)
    assert ask(url, "SELECT min(id) FROM scores_alerts")[0][0] > last


def test_of_a_share_exactly_so_many_enter_also_among_equals(url: str) -> None:
    assert scored(url, [0.5] * 100, TOP) == Changes(10, 0)
    assert scored(url, [0.5] * 100, TOP) == Changes(0, 0)


def test_a_share_is_of_the_rows_that_have_a_score(url: str) -> None:
    chances: list[float | None] = [n / 200 for n in range(100)]
    assert scored(url, [*chances, *[None] * 100], TOP) == Changes(10, 0)
    assert listed(url) == set(range(91, 101))


def test_a_share_has_its_lower_limit_too(url: str) -> None:
    chances: list[float | None] = [n / 200 for n in range(100)]
    scored(url, chances, TOP)
    moved = chances.copy()
    moved[0] = 0.999  # all others are one place lower
    assert scored(url, moved, TOP) == Changes(1, 0)
    moved[1] = moved[2] = 0.998  # three places: row 91 is the 13th now
    assert scored(url, moved, TOP) == Changes(2, 1)
    assert listed(url) == {1, 2, 3, *range(92, 101)}


def test_who_could_not_be_scored_stays_and_who_is_gone_leaves(url: str) -> None:
    scored(url, [0.9, 0.9, 0.9], ABOVE)
    assert scored(url, [0.9, None], ABOVE) == Changes(0, 1)
    assert events(url)[-1] == ("sale", "3")
    assert ask(url, "SELECT probabilidad FROM scores_alerts WHERE event = 'sale'") == [(None,)]
    assert listed(url) == {1, 2}


def test_in_a_run_over_what_changed_nobody_leaves_for_not_being_there(url: str) -> None:
    scored(url, [0.9, 0.9, 0.9], ABOVE)
    assert scored(url, [0.9, 0.1], ABOVE, is_whole=False) == Changes(0, 1)
    assert listed(url) == {1, 3}


@pytest.mark.usefixtures("small_blocks")
def test_nothing_is_told_of_half_a_run_and_nothing_twice_of_a_whole_one(url: str) -> None:
    clients(url, [0.9] * 20)
    source, target = opened(url), sink(url, limits=ABOVE, name="enero")
    target.start(None)
    for block in source.blocks():
        assert events(url) == [] if block.number else True
        place = target.keep(render(source, target, block))
    target.finish()
    assert target.changes == Changes(20, 0)
    again = sink(url, limits=ABOVE, name="enero")  # it was killed before it could note the end
    again.start(place)
    again.finish()
    assert len(events(url)) == 20
    run(opened(url), sink(url, limits=ABOVE, name="enero"))  # and a whole run once more
    assert len(events(url)) == 20


def test_random_runs_agree_with_the_rule_told_row_by_row(url: str) -> None:
    """Entering and leaving as the page says, worked out here in plain Python."""
    drawn = random.Random(7)
    expected: set[int] = set()
    for _ in range(6):
        chances = [round(drawn.random(), 2) if drawn.random() > 0.1 else None for _ in range(60)]
        scored(url, chances, TOP)
        known = {n: p for n, p in enumerate(chances, 1) if p is not None}
        ranked = sorted(known, key=lambda n: (-known[n], str(n)))
        enters = ranked[: -(-len(ranked) // 10)]
        stays = ranked[: -(-12 * len(ranked) // 100)]
        missing = {n for n in expected if n not in known}
        expected = {n for n in expected if n in stays} | missing | set(enters)
        assert listed(url) == expected
        told = [row for row in events(url)]
        assert all(
            [e for e, row in told if row == one][-1] == "entra" for one in map(str, expected)
        )

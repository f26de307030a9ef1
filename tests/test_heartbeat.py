"""Notes of living processes: fresh ones are seen, everything else is as if it were not there."""

from __future__ import annotations

import json
import math
import os
import time
from pathlib import Path
from typing import Any

import pytest

from propensia import heartbeat


def leave_aged(path: Path, age_s: float) -> None:
    path.write_text(json.dumps({"pid": 1, "latido": time.monotonic() - age_s}), encoding="utf-8")


def test_a_note_is_seen_while_it_is_fresh(tmp_path: Path) -> None:
    path = tmp_path / "workers" / "7.json"
    heartbeat.leave(path, {"pid": 7, "problema": None})
    seen = heartbeat.look(path)
    assert seen is not None
    assert (seen["pid"], seen["problema"]) == (7, None)
    assert os.listdir(path.parent) == ["7.json"]


def test_a_note_that_is_left_again_replaces_the_one_before(tmp_path: Path) -> None:
    for version in ("a", "b"):
        heartbeat.leave(tmp_path / "7.json", {"version": version})
    assert [note["version"] for note in heartbeat.look_all(tmp_path)] == ["b"]


@pytest.mark.parametrize("age_s", [8.5, 1e6])
def test_a_stale_note_is_not_seen(age_s: float, tmp_path: Path) -> None:
    leave_aged(tmp_path / "7.json", age_s)
    assert heartbeat.look(tmp_path / "7.json", fresh_s=8.0) is None
    assert heartbeat.look(tmp_path / "7.json", fresh_s=math.inf) is not None


def test_a_note_from_before_the_machine_started_is_not_seen(tmp_path: Path) -> None:
    """The forward-running clock starts anew with the machine: its readings lie ahead then."""
    leave_aged(tmp_path / "7.json", -100.0)
    assert heartbeat.look(tmp_path / "7.json") is None


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b'{"latido": 1',
        b"[]",
        b"3",
        b"{}",
        b'{"latido": "x"}',
        b'{"latido": NaN}',
        b"\xff\xfe",
    ],
)
def test_a_torn_or_strange_note_is_not_seen(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "7.json").write_bytes(content)
    assert heartbeat.look(tmp_path / "7.json") is None
    assert heartbeat.look_all(tmp_path) == []


def test_no_note_and_no_folder_are_no_error(tmp_path: Path) -> None:
    assert heartbeat.look(tmp_path / "7.json") is None
    assert heartbeat.look_all(tmp_path / "absent") == []
    heartbeat.sweep(tmp_path / "absent")


def test_sweeping_removes_the_notes_of_the_dead_and_keeps_the_living(tmp_path: Path) -> None:
    leave_aged(tmp_path / "dead.json", 81.0)
    leave_aged(tmp_path / "slow.json", 40.0)
    heartbeat.leave(tmp_path / "living.json", {"pid": 1})
    (tmp_path / "torn.json").write_bytes(b"{")
    heartbeat.sweep(tmp_path)
    assert sorted(os.listdir(tmp_path)) == ["living.json", "slow.json"]


def test_a_note_keeps_what_it_was_given(tmp_path: Path) -> None:
    note: dict[str, Any] = {"problemas": ["ñ.pkl: «roto»"], "pid": 1}
    heartbeat.leave(tmp_path / "keeper.json", note)
    seen = heartbeat.look(tmp_path / "keeper.json") or {}
    assert {name: seen[name] for name in note} == note

"""From the journal into real databases: every record once, whatever is killed, damaged or odd."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from journals import START_MS, answers, holds_exactly, refusals, table, write
from lengths import steps
from sqlalchemy import Engine, event
from stores import Postgresql

from propensia.journal import reader, records
from propensia.journal.lines import line
from propensia.locks import Lock
from propensia.settings import Settings, as_environment
from propensia.store import aside, database, schema, shipping
from propensia.store.shipping import Shipper

# pg8000 leaves the socket of a connection that failed to the garbage collector.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")


def shipper(engine: Engine, folder: Path) -> Shipper:
    return Shipper(engine, folder, horizon_days=90)


def test_every_record_is_in_the_store_with_all_that_it_says(
    engine: Engine, tmp_path: Path
) -> None:
    told = answers(300) + refusals(40)
    write(tmp_path, told)
    assert shipper(engine, tmp_path).turn() == 340
    holds_exactly(engine, told)


def test_a_record_that_was_written_again_counts_once(engine: Engine, tmp_path: Path) -> None:
    told, refused = answers(50), refusals(20)
    write(tmp_path, told + told[10:20] + refused + refused[:5])
    write(tmp_path, told[40:] + refused[15:] + answers(5, seed=2), number=2)
    shipper(engine, tmp_path).turn()
    holds_exactly(engine, told + refused + answers(5, seed=2))


def test_a_file_goes_when_nobody_writes_it_and_all_of_it_is_in_the_store(
    engine: Engine, tmp_path: Path
) -> None:
    first = write(tmp_path, answers(5), owner=7, number=1)
    second = write(tmp_path, answers(5, seed=1), owner=7, number=2)
    with Lock(tmp_path / f"{7:016x}.lock"):
        living = shipper(engine, tmp_path)
        living.turn()
        assert not first.exists() and second.exists()
        assert [row["file"] for row in table(engine, schema.positions)] == [second.name]
        with second.open("ab") as stream:
            stream.write(line(answers(6, seed=1)[5]))
        assert living.turn() == 1
    living.turn()
    assert not second.exists()
    assert table(engine, schema.positions) == []
    holds_exactly(engine, answers(5) + answers(6, seed=1))


def held(monkeypatch: pytest.MonkeyPatch, times: int) -> list[Path]:
    """As on Windows, where a file that another thread reads cannot be removed."""
    refused: list[Path] = []
    real = Path.unlink

    def unlink(path: Path, missing_ok: bool = False) -> None:
        if len(refused) < times:
            refused.append(path)
            raise PermissionError(13, "it is in use by another process", str(path))
        real(path, missing_ok=missing_ok)

    monkeypatch.setattr(Path, "unlink", unlink)
    return refused


def test_a_file_that_is_read_at_this_moment_goes_a_moment_later(
    engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path, answers(5))
    refused = held(monkeypatch, 2)
    assert shipper(engine, tmp_path).turn() == 5
    assert refused == [path, path]
    assert not path.exists()
    assert table(engine, schema.positions) == []


def test_a_file_of_what_was_set_aside_goes_a_moment_later_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    aside.keep(tmp_path, [b"1", b"2"])
    (path,) = tmp_path.glob("*.rejected")
    os.utime(path, (0, 0))
    refused = held(monkeypatch, 2)
    assert aside.forget(tmp_path, 1) == 2
    assert refused == [path, path]
    assert not path.exists()


def test_what_nobody_may_open_at_this_moment_stops_no_look_at_what_waits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Windows says so of a file that is being removed."""
    going = write(tmp_path, answers(5), owner=1)
    staying = write(tmp_path, answers(5), owner=2)
    size, real = staying.stat().st_size, Path.stat

    def stat(path: Path, **more: bool) -> os.stat_result:
        if path == going:
            raise PermissionError(13, "it is being removed", str(going))
        return real(path, **more)

    monkeypatch.setattr(Path, "stat", stat)
    found = shipping.waiting(tmp_path, {}, START_MS + 60_000)
    assert found == shipping.Waiting(size, 60.0)


def test_to_say_what_waits_one_record_of_each_process_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is asked every second, and most of all while the database is away."""
    told = answers(400)
    for number in range(20):
        for owner in (1, 2):
            write(tmp_path, told[20 * number : 20 * number + 20], owner, number + 1)
    torn = write(tmp_path, [], owner=3)
    torn.write_bytes(line(told[0])[:-9])
    read: list[tuple[str, int]] = []
    real = reader.first

    def first(segment: reader.Segment, start: int) -> bytes | None:
        read.append((segment.path.name, start))
        return real(segment, start)

    monkeypatch.setattr(reader, "first", first)
    sizes = {path.name: path.stat().st_size for path in tmp_path.glob("*.journal")}
    done = f"{1:016x}-000001.journal"
    places = {done: sizes[done], f"{1:016x}-000002.journal": len(line(told[20]))}
    found = shipping.waiting(tmp_path, places, START_MS + 60_000)
    assert read == [
        (f"{1:016x}-000002.journal", len(line(told[20]))),
        (f"{2:016x}-000001.journal", 0),
        (torn.name, 0),
    ]
    assert found.seconds == 60.0  # of the first record of the second process
    assert found.bytes == sum(sizes.values()) - sum(places.values()) - sizes[torn.name]


def test_a_torn_end_is_counted_and_does_not_keep_a_file_for_ever(
    engine: Engine, tmp_path: Path
) -> None:
    told = answers(4)
    path = write(tmp_path, told[:3])
    with path.open("ab") as stream:
        stream.write(line(told[3])[:-20])
    one = shipper(engine, tmp_path)
    one.turn()
    assert not path.exists()
    assert one.damaged == 1
    holds_exactly(engine, told[:3])


def changed(record: bytes, **values: object) -> bytes:
    return json.dumps(json.loads(record) | values, separators=(",", ":")).encode()


def odd_records() -> list[bytes]:
    some = answers(12, seed=9)
    return [
        b'{"kind":"of a later program","id":"x"}',
        b"[1,2]",
        b"no JSON",
        b"[" * 5_000,
        changed(some[0], kind="answer", probability=None),
        changed(some[1], publication=2**40),
        changed(some[2], publication=True),
        changed(some[3], caller="x" * 256),
        changed(some[4], caller="\ud800"),
        changed(some[5], id="not a time at all"),
        changed(some[6], notes=[["er"]]),
        changed(some[7], texts="er"),
        some[8].replace(b'"probability":', b'"probability":NaN,"was":'),
        changed(refusals(1)[0], faults=[["er", 3]]),
        records.outcome("f" * 20, "yo", None, None, True, 2**70, "2026-01-31", 0),
        records.outcome("e" * 20, "yo", "a" * 12, None, True, 1, "31/01/2026", 0),
    ]


def test_what_no_table_holds_is_set_aside_and_stops_nothing(
    engine: Engine, tmp_path: Path
) -> None:
    told, odd = answers(40) + refusals(10), odd_records()
    mixed = [record for pair in zip(told, odd, strict=False) for record in pair]
    path = write(tmp_path, mixed + told[len(odd) :])
    shipper(engine, tmp_path).turn()
    holds_exactly(engine, told)
    assert not path.exists()
    (kept,) = tmp_path.glob("*.rejected")
    assert kept.read_bytes() == b"".join(map(line, odd)) or sorted(
        kept.read_bytes().splitlines(keepends=True)
    ) == sorted(map(line, odd))
    assert aside.count(tmp_path) == len(odd)
    write(tmp_path, odd, number=2)  # as after a commit that failed: tried again
    shipper(engine, tmp_path).turn()
    assert aside.count(tmp_path) == len(odd)


def test_a_value_that_only_the_database_refuses_is_set_aside_alone(
    postgresql_url: str, tmp_path: Path
) -> None:
    """PostgreSQL takes no NUL in a text."""
    engine = database.open_store(Settings(state=tmp_path, database_url=postgresql_url))
    told = answers(64) + refusals(9)
    nul = changed(answers(1, seed=5)[0], caller="a\x00b")
    write(
        tmp_path / "journal",
        [*told[:30], nul, *told[30:], changed(told[-1], id="f" * 11 + "00", caller="\x00")],
    )
    shipper(engine, tmp_path / "journal").turn()
    holds_exactly(engine, told)
    assert aside.count(tmp_path / "journal") == 2
    engine.dispose()


def test_two_that_ship_the_same_files_count_nothing_twice(engine: Engine, tmp_path: Path) -> None:
    """As when a keeper was thought dead, and its last transaction was not."""
    told = answers(800) + refusals(200)
    for number in range(10):
        write(tmp_path, told[number::10], number=number + 1)
    errors: list[BaseException] = []

    def ship() -> None:
        try:
            shipper(engine, tmp_path).turn()
        except FileNotFoundError:
            pass  # the other was done with that file, and removed it
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=ship) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    shipper(engine, tmp_path).turn()
    holds_exactly(engine, told)


def test_a_transaction_that_a_dead_keeper_left_behind_is_waited_for(
    engine: Engine, store_settings: Settings, tmp_path: Path
) -> None:
    """The server may still commit it; an outcome that is told again would be counted again."""
    told = [
        records.outcome(f"{n:032x}", "yo", "f" * 40, None, True, 100, "2026-01-31", 0)
        for n in range(20)
    ]
    folder = tmp_path / "diario"
    write(folder, told)
    left = database.open_store(store_settings)
    committing, released, shipped = threading.Event(), threading.Event(), list[int]()

    def hold(_: object) -> None:
        committing.set()
        assert released.wait(30)

    event.listen(left, "commit", hold)
    dead = threading.Thread(target=lambda: shipper(left, folder).turn())
    next_one = threading.Thread(target=lambda: shipped.append(shipper(engine, folder).turn()))
    with Lock(folder / f"{1:016x}.lock"):
        dead.start()
        assert committing.wait(30)
        next_one.start()
        next_one.join(0.5)
        assert next_one.is_alive()
        released.set()
        dead.join()
        next_one.join()
    assert shipped == [0]
    assert [row["times"] for row in table(engine, schema.events)] == [1] * 20
    left.dispose()


KILLED = """
import os, sys
from pathlib import Path
from sqlalchemy import event
from propensia import settings
from propensia.store import database
from propensia.store.shipping import Shipper
chosen = settings.load()
engine = database.open_store(chosen)
if sys.argv[1] == "before the commit":
    event.listen(engine, "commit", lambda connection: os._exit(9))
else:
    Path.unlink = lambda *_, **__: os._exit(9)
Shipper(engine, chosen.state / "journal", 90).turn()
"""


@pytest.mark.parametrize("when", ["before the commit", "after the commit"])
def test_killed_at_the_worst_moment_loses_and_doubles_nothing(
    engine: Engine, store_settings: Settings, when: str
) -> None:
    told = answers(100) + refusals(20)
    folder = store_settings.state / "journal"
    write(folder, told)
    environment = as_environment(store_settings)
    ended = subprocess.run([sys.executable, "-c", KILLED, when], env=environment, timeout=60)
    assert ended.returncode == 9
    assert len(table(engine, schema.answers)) == (0 if when == "before the commit" else 100)
    shipper(engine, folder).turn()
    holds_exactly(engine, told)
    assert list(folder.glob("*.journal")) == []


def test_how_far_it_is_behind_is_told_in_bytes_and_seconds(engine: Engine, tmp_path: Path) -> None:
    path = write(tmp_path, answers(10, apart_ms=1000))
    size, now = path.stat().st_size, START_MS + 60_000
    with Lock(tmp_path / f"{1:016x}.lock"):
        behind = shipping.waiting(tmp_path, {}, now)
        assert (behind.bytes, behind.seconds) == (size, 60.0)
        one = shipper(engine, tmp_path)
        one.turn()
        assert shipping.places(engine) == one.places == {path.name: size}
        assert shipping.waiting(tmp_path, one.places, now) == shipping.Waiting(0, 0.0)
        with path.open("ab") as stream:
            stream.write(line(answers(11, apart_ms=1000)[10]))
        assert shipping.waiting(tmp_path, one.places, now).seconds == 50.0


def test_a_database_killed_in_the_middle_of_a_batch_takes_it_whole_afterwards(
    own_postgresql: Postgresql, tmp_path: Path
) -> None:
    url = own_postgresql.fresh()
    engine = database.open_store(Settings(state=tmp_path, database_url=url))
    folder = tmp_path / "journal"
    told = answers(3000, apart_ms=1000)
    write(folder, told)
    killed = threading.Event()

    def kill(connection: object, cursor: object, statement: str, *_: object) -> None:
        if statement.startswith("INSERT INTO inputs (") and not killed.is_set():
            killed.set()
            own_postgresql.kill()

    event.listen(engine, "before_cursor_execute", kill)
    with pytest.raises(Exception) as failed:
        shipper(engine, folder).turn()
    assert killed.is_set()
    assert database.reason(failed.value)
    own_postgresql.start()
    shipper(engine, folder).turn()
    holds_exactly(engine, told)
    engine.dispose()


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads the peak from /proc")
def test_a_long_backlog_is_shipped_in_bounded_memory(store_settings: Settings) -> None:
    count = steps(150_000, 300_000)
    told = answers(count, apart_ms=1)
    write(store_settings.state / "journal", told[::2], number=1)
    write(store_settings.state / "journal", told[1::2], number=2)
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.shipping_once"],
        cwd=Path(__file__).parents[1],
        env=as_environment(store_settings),
        stdout=subprocess.PIPE,
        check=True,
    )
    found = json.loads(done.stdout)
    assert found["records"] == count
    assert found["mib"] < 200


@pytest.mark.skipif(sys.platform == "win32", reason="pipes, and links need rights there")
@pytest.mark.parametrize("kind", ["folder", "pipe", "link", "lock"])
def test_what_cannot_be_read_is_named_and_keeps_no_other_waiting(
    tmp_path: Path, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    engine = database.open_store(Settings(state=tmp_path))
    folder, told = tmp_path / "journal", answers(6)
    path = write(folder, told, owner=5)
    bad = folder / f"{0:016x}-000001.journal"
    if kind == "folder":
        bad.mkdir()
    elif kind == "pipe":
        os.mkfifo(bad)
    elif kind == "link":
        bad.symlink_to(tmp_path / "nothing")
    else:
        bad = write(folder, answers(3, seed=8), owner=0)
        told += answers(3, seed=8)
        bad.with_name(f"{0:016x}.lock").unlink()
        bad.with_name(f"{0:016x}.lock").mkdir()
    one = shipper(engine, folder)
    for _ in range(2):
        one.turn()
    holds_exactly(engine, told)
    assert not path.exists() and os.path.lexists(bad)
    assert [text.partition(":")[0] for text in one.wrong] == [
        f"{0:016x}.lock" if kind == "lock" else bad.name
    ]
    assert caplog.text.count("is left out") == 1
    assert shipping.waiting(folder, one.places, START_MS) == shipping.Waiting(0, 0.0)
    engine.dispose()


def test_a_file_goes_only_when_the_database_says_so(engine: Engine, tmp_path: Path) -> None:
    """It may be an older one by now, from a copy: what that one lacks is shipped again."""
    path, told = write(tmp_path, answers(30)), answers(30)
    one = shipper(engine, tmp_path)
    with Lock(tmp_path / f"{1:016x}.lock"):
        one.turn()
    with engine.begin() as connection:
        for of in (schema.positions, *schema.METADATA.sorted_tables):
            connection.execute(of.delete())
    one.turn()
    assert path.exists()
    one.turn()
    assert not path.exists()
    holds_exactly(engine, told)
    assert table(engine, schema.positions) == []


@pytest.mark.skipif(sys.platform == "win32", reason="Windows removes no file that is open")
@pytest.mark.parametrize("how", ["removed", "replaced"])
def test_into_a_file_that_is_not_there_any_more_nothing_is_shipped(
    tmp_path: Path, how: str
) -> None:
    chosen = Settings(state=tmp_path)
    engine = database.open_store(chosen)
    folder = tmp_path / "journal"
    write(folder, answers(3), number=1)
    one = shipper(engine, folder)
    one.turn()
    for path in tmp_path.glob("store.db*"):
        path.rename(path.with_name(f"old-{path.name}"))
    if how == "replaced":
        database.open_store(chosen).dispose()
    path = write(folder, answers(9), number=2)
    with pytest.raises(database.Replaced):
        one.turn()
    engine.dispose()
    assert path.exists()
    assert (tmp_path / "store.db").exists() == (how == "replaced"), "made by who opens a store"
    again = database.open_store(chosen)
    shipper(again, folder).turn()
    holds_exactly(again, answers(9))
    again.dispose()

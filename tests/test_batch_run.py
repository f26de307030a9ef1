"""A run: what it notes down, and that whatever stops it, it goes on as if nothing had."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from propensia.batch import notes
from propensia.batch import run as runs
from propensia.batch.beside import Beside
from propensia.batch.blocks import Block, Piece, Place, Tally
from propensia.batch.faulty import FaultFile
from propensia.batch.notes import Note, NoteError, Terms
from propensia.batch.progress import Now, Pace, duration
from propensia.batch.run import Listener, NothingScored
from propensia.delimited import TableError
from propensia.locks import Busy

ROWS = 23
PER_BLOCK = 4
TERMS = Terms("1.0", "print", "0123456789ab", 7, {"size": 5}, {"--motivos": 3})
BEGAN = "2026-01-31T10:00:00+00:00"


@dataclass
class Numbers:
    """A source of so many rows, whose texts are their numbers."""

    rows: int = ROWS
    changed_at: int | None = None
    name: str = "numbers"
    heading: tuple[str, ...] = ("n",)
    reader: Any = None
    identity: Mapping[str, Any] = field(default_factory=dict)
    goes_on: bool = True
    given: int = 0

    def blocks(self, after: Place | None = None) -> Iterator[Block]:
        start = 0 if after is None else after["row"]
        for first in range(start, self.rows, PER_BLOCK):
            end = min(first + PER_BLOCK, self.rows)
            self.given += 1
            content = ",".join(str(n) for n in range(first, end)).encode()
            place = {"row": end}
            yield Block(first // PER_BLOCK, first + 1, content, place, end / self.rows)

    def check(self) -> None:
        if self.changed_at is not None and self.given >= self.changed_at:
            raise TableError("numbers ha cambiado")


@dataclass
class Lines:
    """A sink that writes a file."""

    path: Path
    name: str = "lines"
    writer: Any = None
    abandoned: list[Place | None] = field(default_factory=list)

    @property
    def part(self) -> Path:
        return self.path.with_name(self.path.name + ".part")

    def start(self, place: Place | None) -> None:
        if place is None:
            self.part.write_bytes(b"n\n")
        else:
            os.truncate(self.part, place["offset"])

    def keep(self, content: bytes) -> Place:
        with self.part.open("ab") as stream:
            stream.write(content[:3])
            stream.flush()
            os.fsync(stream.fileno())
            stream.write(content[3:])
            stream.flush()
            os.fsync(stream.fileno())
            return {"offset": stream.tell()}

    def abandon(self, place: Place | None) -> None:
        self.abandoned.append(place)

    def finish(self) -> None:
        os.replace(self.part, self.path)


def piece(block: Block) -> Piece:
    """Every fifth row is bad; row 13 has two faults."""
    values = [int(text) for text in block.content.split(b",")]
    bad = [n for n in values if n % 5 == 3]
    said = {n: "a:mala b:peor" if n == 13 else "a:mala" for n in bad}
    tally = Tally(
        rows=len(values),
        scored=len(values) - len(bad),
        faults=Counter(item for text in said.values() for item in text.split()),
        bands=Counter("A" for n in values if n not in bad),
        euros=sum(n / 7 for n in values if n not in bad),
        valued=len(values) - len(bad),
    )
    content = "".join(f"{n};{n / 7!r}\n" for n in values).encode()
    faulty = tuple((n + 1, 1 + values.index(n), said[n]) for n in bad)
    return Piece(block.number, content, tally, faulty)


def pieces(blocks: Iterable[Block]) -> Generator[tuple[Block, Piece], None, None]:
    yield from ((block, piece(block)) for block in blocks)


def none_good(blocks: Iterable[Block]) -> Generator[tuple[Block, Piece], None, None]:
    for block, made in pieces(blocks):
        yield block, replace(made, tally=Tally(rows=made.tally.rows), faulty=((1, 1, "a:mala"),))


def once(folder: Path, source: Numbers | None = None, **more: Any) -> Note:
    """Run into ``folder``, going on with what is there; the note at the end."""
    beside = Beside.of_file(folder / "out.csv")
    sink = more.get("sink") or Lines(folder / "out.csv")
    note = notes.read(beside.note) or Note(TERMS, BEGAN)
    listener = Listener(more.get("progress", lambda now: None), more.get("over", lambda n: None))
    with beside.locked():
        made = more.get("pieces", pieces)
        runs.run(source or Numbers(), sink, beside, note, made, listener)
    return note


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def expected() -> dict[str, bytes]:
    lines = "".join(f"{n};{n / 7!r}\n" for n in range(ROWS))
    bad = [(n, "a:mala b:peor" if n == 13 else "a:mala") for n in range(3, ROWS, 5)]
    faults = "\ufefflinea;fila;error\r\n"
    faults += "".join(f"{n + 1};{n + 1};{text}\r\n" for n, text in bad)
    return {"out.csv": f"n\n{lines}".encode(), "out.csv.errores.csv": faults.encode()}


def test_a_run_leaves_the_result_and_its_faults_and_nothing_else(tmp_path: Path) -> None:
    note = once(tmp_path)
    assert content(tmp_path) == expected()
    assert (note.tally.rows, note.tally.scored, note.blocks) == (23, 19, 6)
    assert note.tally.faults == {"a:mala": 4, "b:peor": 1}
    assert note.first == [(4, "a:mala"), (9, "a:mala"), (14, "a:mala b:peor"), (19, "a:mala")]
    assert note.tally.euros == pytest.approx(sum(n / 7 for n in range(ROWS) if n % 5 != 3))


def test_a_run_without_rows_leaves_a_heading(tmp_path: Path) -> None:
    assert once(tmp_path, Numbers(rows=0)).tally.rows == 0
    assert content(tmp_path) == {"out.csv": b"n\n"}


def test_the_result_is_seen_last(tmp_path: Path) -> None:
    seen = []
    once(tmp_path, over=lambda note: seen.append((sorted(content(tmp_path)), note.tally.rows)))
    names = ["out.csv.errores.csv.part", "out.csv.part", "out.csv.part.json", "out.csv.part.lock"]
    assert seen == [(names, ROWS)]


def snapshots(folder: Path, into: Path, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """What lies in ``folder`` before every step of a run that the disk sees."""
    taken: list[Path] = []

    def seen(step: Callable[..., Any]) -> Callable[..., Any]:
        def stepped(*given: Any, **more: Any) -> Any:
            copy = into / f"{len(taken):03}"
            shutil.copytree(folder, copy)
            taken.append(copy)
            return step(*given, **more)

        return stepped

    with monkeypatch.context() as patch:
        for name in ("replace", "fsync", "unlink", "truncate"):
            patch.setattr(os, name, seen(getattr(os, name)))
        once(folder)
    return taken


def test_a_run_that_is_killed_at_any_step_goes_on_to_the_very_same_result(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What lies on the disk at a step is what a kill at that moment leaves."""
    folder, into = tmp_path / "run", tmp_path / "killed"
    folder.mkdir()
    killed = snapshots(folder, into, monkeypatch)
    assert len(killed) > 40
    (tmp_path / "undisturbed").mkdir()
    whole = once(tmp_path / "undisturbed")
    for left in killed:
        begun, source = notes.read(left / "out.csv.part.json"), Numbers()
        if begun is None and (left / "out.csv").exists():  # when all was done
            assert content(left) == expected() | {"out.csv.part.lock": b""}
            continue
        note = once(left, source)
        assert content(left) == expected(), left.name
        assert (note.tally, note.first, note.blocks) == (whole.tally, whole.first, whole.blocks)
        kept = 0 if begun is None else begun.blocks
        assert source.given == 6 - kept, "no block that was kept is read again"


def test_after_a_kill_at_most_one_block_was_done_in_vain(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, into = tmp_path / "run", tmp_path / "killed"
    folder.mkdir()
    for left in snapshots(folder, into, monkeypatch):
        begun = notes.read(left / "out.csv.part.json")
        part = left / "out.csv.part"
        if begun is not None and begun.sink is not None and part.exists():
            beyond = part.read_bytes()[begun.sink["offset"] :]
            assert beyond.count(b"\n") <= PER_BLOCK


def test_a_file_that_another_program_holds_for_a_moment_stops_no_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As antivirus and indexers do on Windows."""
    held = [tmp_path / "f.csv", tmp_path / "f.csv.part"]
    file, asked, unlink = FaultFile(*held), list[Path](), Path.unlink

    def busy(path: Path, missing_ok: bool = False) -> None:
        asked.append(path)
        if asked.count(path) == 1:
            raise PermissionError(13, "in use")
        unlink(path, missing_ok)

    for path in held:
        path.write_bytes(b"old")
    monkeypatch.setattr(Path, "unlink", busy)
    file.start(0)
    file.finish(0)
    assert content(tmp_path) == {}


def test_an_older_file_of_faults_does_not_outlive_a_run_without_any(tmp_path: Path) -> None:
    (tmp_path / "out.csv.errores.csv").write_text("old", encoding="utf-8")
    once(tmp_path, Numbers(rows=3))
    assert content(tmp_path).keys() == {"out.csv"}


def test_where_no_row_is_scored_there_is_no_result_but_its_faults(tmp_path: Path) -> None:
    with pytest.raises(NothingScored):
        once(tmp_path, pieces=none_good)
    assert content(tmp_path).keys() == {"out.csv.errores.csv"}


def test_where_no_row_is_scored_an_earlier_result_keeps_what_belongs_to_it(
    tmp_path: Path,
) -> None:
    once(tmp_path)
    (tmp_path / "out.csv.resumen.json").write_text("{}", encoding="utf-8")
    before = content(tmp_path)
    with pytest.raises(NothingScored):
        once(tmp_path, pieces=none_good)
    assert content(tmp_path) == before


def test_a_source_that_changes_while_it_is_read_leaves_nothing(tmp_path: Path) -> None:
    for changed_at in (1, 4, 6):
        with pytest.raises(TableError, match="ha cambiado"):
            once(tmp_path, Numbers(changed_at=changed_at))
        assert content(tmp_path) == {}


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError])
def test_what_stops_a_run_before_its_first_block_leaves_nothing(
    tmp_path: Path, error: type[BaseException]
) -> None:
    def broken(blocks: Iterable[Block]) -> Generator[tuple[Block, Piece], None, None]:
        raise error
        yield

    with pytest.raises(error):
        once(tmp_path, pieces=broken)
    assert content(tmp_path) == {}


def test_a_sink_is_told_of_a_run_that_will_not_go_on_and_of_no_other(tmp_path: Path) -> None:
    """It may keep rows elsewhere, where nobody else would find them; the note tells of them for
    as long as they are there."""

    def stop(now: Now) -> None:
        raise KeyboardInterrupt

    first = {"offset": len("n\n" + "".join(f"{n};{n / 7!r}\n" for n in range(PER_BLOCK)))}
    stopped = [
        (Numbers(), {"progress": stop}, KeyboardInterrupt, []),
        (Numbers(goes_on=False), {"progress": stop}, KeyboardInterrupt, [first]),
        (Numbers(changed_at=2), {}, TableError, [first]),
        (Numbers(rows=4), {"pieces": none_good}, NothingScored, [first]),
    ]
    for at, (source, more, error, expected) in enumerate(stopped):
        folder = tmp_path / str(at)
        folder.mkdir()
        sink = Lines(folder / "out.csv")
        with pytest.raises(error):
            once(folder, source, sink=sink, **more)
        assert sink.abandoned == expected
        assert (notes.read(Beside.of_file(sink.path).note) is None) == bool(expected)


def test_the_note_is_kept_for_as_long_as_the_rows_cannot_be_removed(tmp_path: Path) -> None:
    class Away(Lines):
        def abandon(self, place: Place | None) -> None:
            raise OSError("no responde")

    sink = Away(tmp_path / "out.csv")
    with pytest.raises(OSError, match="no responde"):
        once(tmp_path, Numbers(changed_at=2), sink=sink)
    assert notes.read(Beside.of_file(sink.path).note) is not None


def test_the_workers_are_told_when_a_run_stops(tmp_path: Path) -> None:
    ended = []

    def watched(blocks: Iterable[Block]) -> Generator[tuple[Block, Piece], None, None]:
        try:
            yield from pieces(blocks)
        finally:
            ended.append(True)

    def stop(now: Now) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        once(tmp_path, pieces=watched, progress=stop)
    assert ended == [True]
    assert content(tmp_path).keys() == {
        "out.csv.errores.csv.part",
        "out.csv.part",
        "out.csv.part.json",
    }
    once(tmp_path)
    assert content(tmp_path) == expected()


def test_time_adds_up_over_the_parts_of_a_run(tmp_path: Path) -> None:
    def stop(now: Now) -> None:
        time.sleep(0.02)
        if now.rows == 12:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        once(tmp_path, progress=stop)
    begun = notes.read(tmp_path / "out.csv.part.json")
    assert begun is not None and begun.done == pytest.approx(12 / 23) and begun.seconds >= 0.04
    assert once(tmp_path).seconds > begun.seconds


@pytest.mark.parametrize("step", ["start", "finish"])
def test_a_sink_that_refuses_the_rows_in_the_end_leaves_nothing_to_go_on_with(
    step: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it refuses as it begins to finish is not told as done."""
    told: list[Note] = []
    begin = Lines.start

    def refused(sink: Lines, place: Place | None = None) -> None:
        if step == "finish" or place is not None:
            raise TableError("hay dos con la misma clave")
        begin(sink, place)

    monkeypatch.setattr(Lines, step, refused)
    with pytest.raises(TableError, match="la misma clave"):
        once(tmp_path, over=told.append)
    assert len(told) == (step == "finish")
    assert not (tmp_path / "out.csv").exists()
    assert notes.read(tmp_path / "out.csv.part.json") is None


def test_two_runs_to_one_result_exclude_each_other(tmp_path: Path) -> None:
    beside = Beside.of_file(tmp_path / "out.csv")
    with beside.locked(), pytest.raises(Busy), Beside.of_file(tmp_path / "out.csv").locked():
        pass
    with beside.locked():
        pass
    assert content(tmp_path) == {}


def test_a_result_in_a_database_has_its_note_in_the_state_folder(tmp_path: Path) -> None:
    one = Beside.of_table(tmp_path, "postgresql://ana:secreto@host/base scores")
    other = Beside.of_table(tmp_path, "postgresql://ana:secreto@host/base others")
    assert one.note.parent == tmp_path / "runs" and one.note != other.note
    assert "secreto" not in str(one) and one.overwritten() == [one.note]
    one.note.write_text("{}", encoding="utf-8")
    one.discard()
    assert content(tmp_path / "runs") == {}


def test_discarding_removes_what_is_unfinished_and_nothing_else(tmp_path: Path) -> None:
    folder = tmp_path / "out.csv.part"
    folder.mkdir()
    (folder / "spool").write_bytes(b"x")
    for name in ("out.csv", "out.csv.part.json", "out.csv.errores.csv", "out.csv.resumen.json"):
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "out.csv.errores.csv.part").write_bytes(b"x")
    Beside.of_file(tmp_path / "out.csv").discard()
    left = {"out.csv", "out.csv.errores.csv", "out.csv.resumen.json"}
    assert {path.name for path in tmp_path.iterdir()} == left


# The note


def test_a_note_reads_back_as_it_was_written(tmp_path: Path) -> None:
    note = Note(TERMS, BEGAN)
    note.add(next(Numbers().blocks()), piece(next(Numbers().blocks())), {"offset": 9}, 30)
    note.write(tmp_path / "note")
    assert notes.read(tmp_path / "note") == note
    assert notes.read(tmp_path / "other") is None


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "null", '{"form": 1}', '{"form": 1, "about": {}, "tally": {}}']
)
def test_a_damaged_note_is_told(tmp_path: Path, text: str) -> None:
    path = tmp_path / "out.csv.part.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(NoteError, match=r"out\.csv\.part\.json está dañado; con --force"):
        notes.read(path)


def test_a_note_of_another_form_is_told(tmp_path: Path) -> None:
    Note(TERMS, BEGAN).write(tmp_path / "note")
    table = json.loads((tmp_path / "note").read_text(encoding="utf-8"))
    (tmp_path / "note").write_text(json.dumps(table | {"form": 2}), encoding="utf-8")
    with pytest.raises(NoteError, match="otra versión de Propensia; con --force"):
        notes.read(tmp_path / "note")


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"program": "2.0"}, "otra versión de Propensia"),
        ({"contract": "other"}, "otro contrato"),
        ({"version": "ba9876543210"}, "otra versión del modelo"),
        ({"release": 8}, "otra publicación"),
        ({"entry": {"size": 6}}, "la entrada es otra, o ha cambiado"),
        ({"options": {"--motivos": 2}}, "otros valores de --motivos"),
        ({"options": {}}, "otros valores de --motivos"),
        ({"options": {"--motivos": 3, "--deciles": "run"}}, "otros valores de --deciles"),
    ],
)
def test_a_run_does_not_go_on_as_another(change: dict[str, Any], told: str) -> None:
    notes.refuse_another(TERMS, replace(TERMS))
    with pytest.raises(NoteError, match=told):
        notes.refuse_another(TERMS, replace(TERMS, **change))


def test_what_json_does_not_tell_apart_is_no_difference() -> None:
    begun = replace(TERMS, options={"bandas": [0.5, 0.7]})
    notes.refuse_another(begun, replace(TERMS, options={"bandas": (0.5, 0.7)}))


# How fast


def test_the_time_left_goes_by_the_share_since_the_run_went_on() -> None:
    clock = iter([100.0, 110.0]).__next__
    now = Pace(0.4, 4_000, clock).now(0.6, 6_000)
    assert (now.per_second, now.left_s) == (200.0, pytest.approx(20.0))
    assert now.line() == "60\u202f%: 6.000 filas, 200 filas/s, quedan 20 s"


def test_where_nobody_knows_the_share_no_time_is_told() -> None:
    clock = iter([0.0, 2.0]).__next__
    assert Pace(0.0, 0, clock).now(0.0, 500).line() == "500 filas, 250 filas/s"


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0.4, "0 s"), (99, "99 s"), (100, "2 min"), (5_900, "98 min"), (6_000, "1 h 40 min")],
)
def test_a_time_is_told_as_people_do(seconds: float, said: str) -> None:
    assert duration(seconds) == said

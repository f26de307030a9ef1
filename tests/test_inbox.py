"""The folder seen from outside: what counts as a file, when it stood still, what it asks for."""

from __future__ import annotations

import json
import os
import re
import time
from dataclasses import asdict
from pathlib import Path

import pytest

from propensia import inbox
from propensia.inbox import Known, Memory, Watch

RULES = ("contract", "1.0")


# Names


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("modelo_2026-10.pkl", 202610),
        ("modelo_202610.pkl", 202610),
        ("2026_10 final.pkl", 202610),
        ("2026.01.pkl", 202601),
        ("2026-10-15 rf.pkl", 202610),
        ("rf 20261015.pkl", 202610),
        ("Octubre 2026.pkl", 202610),
        ("modelo_OCTUBRE_2026.PKL", 202610),
        ("octubre-de-2026", 202610),
        ("modelo octubre de 2026.pkl", 202610),
        ("modelo octubre del 2026.pkl", 202610),
        ("2026 octubre", 202610),
        ("2026-ene.pkl", 202601),
        ("setiembre2026", 202609),
        ("sept_2026.pkl", 202609),
        ("sep 2026", 202609),
        ("mayo2026v2", 202605),
        ("dic.2025.joblib", 202512),
        ("modelo.pkl", None),
        ("modelo_2026.pkl", None),
        ("modelo_202613.pkl", None),
        ("modelo_202600.pkl", None),
        ("modelo_1202610.pkl", None),
        ("modelo_2026101.pkl", None),
        ("mayores 2026.pkl", None),
        ("2026 marca.pkl", None),
        ("tomar 2026.pkl", None),
        ("octubre.pkl", None),
        ("octubre 20267.pkl", None),
        ("", None),
    ],
)
def test_the_month_in_a_file_name(name: str, wanted: int | None) -> None:
    assert inbox.period(name) == wanted


MONTHS = "enero febrero marzo abril mayo junio julio agosto septiembre octubre noviembre diciembre"


@pytest.mark.parametrize(("month", "name"), [*enumerate(re.findall(r"\w+", MONTHS), start=1)])
def test_every_month_is_known_by_its_name_and_its_first_letters(month: int, name: str) -> None:
    assert inbox.period(f"rf_{name}_2026.pkl") == 202600 + month
    assert inbox.period(f"rf_{name[:3]}_2026.pkl") == 202600 + month


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("a.pkl", True),
        ("A.PKL", True),
        ("a.b.joblib", True),
        ("con espacios y ñ.pkl", True),
        (".a.pkl", False),
        ("~$a.pkl", False),
        ("a.pkl.tmp", False),
        ("a.pkl.part", False),
        ("a.pkl.crdownload", False),
        ("a.pkl.estado.txt", False),
        ("a.pkl.informe.html", False),
        ("a.json", False),
        ("a.pickle", False),
        ("pkl", False),
    ],
)
def test_which_names_are_meant_for_us(name: str, wanted: bool) -> None:
    assert inbox.is_model_name(name) is wanted


# A look


def test_a_look_finds_models_oldest_month_first_then_by_name(tmp_path: Path) -> None:
    for name in ("b.pkl", "2026-11.pkl", "2026-02.pkl", "a.joblib", "notes.txt", "x.pkl.tmp"):
        (tmp_path / name).write_bytes(b"x")
    found = [seen.name for seen in inbox.look(tmp_path)]
    assert found == ["a.joblib", "b.pkl", "2026-02.pkl", "2026-11.pkl"]


def test_a_sidecar_belongs_to_the_file_of_the_same_stem(tmp_path: Path) -> None:
    for name in ("a.pkl", "A.JSON", "b.pkl", "c.json"):
        (tmp_path / name).write_bytes(b"{}")
    first, second = inbox.look(tmp_path)
    assert first.sidecar == tmp_path / "A.JSON"
    assert second.sidecar is None


def test_subfolders_are_not_looked_into(tmp_path: Path) -> None:
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "a.pkl").write_bytes(b"x")
    assert inbox.look(tmp_path) == []


def test_a_folder_of_that_name_is_seen_for_what_it_is(tmp_path: Path) -> None:
    (tmp_path / "a.pkl").mkdir()
    (seen,) = inbox.look(tmp_path)
    assert seen.irregular == "es una carpeta"


@pytest.mark.skipif(os.name == "nt", reason="links and pipes are made otherwise on Windows")
def test_links_and_pipes_are_seen_for_what_they_are(tmp_path: Path) -> None:
    (tmp_path / "real.bin").write_bytes(b"x")
    (tmp_path / "a_link.pkl").symlink_to(tmp_path / "real.bin")
    (tmp_path / "b_dangling.pkl").symlink_to(tmp_path / "nowhere")
    (tmp_path / "c_loop.pkl").symlink_to(tmp_path / "c_loop.pkl")
    os.mkfifo(tmp_path / "d_pipe.pkl")
    (tmp_path / "e_good.pkl").write_bytes(b"x")
    told = [seen.irregular for seen in inbox.look(tmp_path)]
    assert told == ["es un enlace"] * 3 + ["es una tubería o un dispositivo", None]


@pytest.mark.skipif(os.name == "nt", reason="links are made otherwise on Windows")
@pytest.mark.parametrize("target", ["nowhere", "a.json", "other.txt"])
def test_a_sidecar_that_is_a_link_is_told_and_hides_no_model(target: str, tmp_path: Path) -> None:
    """A link that leads nowhere, to itself, or to a file whose changes nobody would notice."""
    (tmp_path / "other.txt").write_bytes(b"{}")
    (tmp_path / "a.pkl").write_bytes(b"x")
    (tmp_path / "b.pkl").write_bytes(b"x")
    (tmp_path / "a.json").symlink_to(tmp_path / target)
    first, second = inbox.look(tmp_path)
    assert first.irregular == "su ficha a.json es un enlace"
    assert second.irregular is None


def test_a_sidecar_that_is_a_folder_is_told(tmp_path: Path) -> None:
    (tmp_path / "a.pkl").write_bytes(b"x")
    (tmp_path / "a.json").mkdir()
    (seen,) = inbox.look(tmp_path)
    assert seen.irregular == "su ficha a.json es una carpeta"


ODD_NAMES = ["con\nsalto.pkl", "\u202egnp.pkl", "CON.pkl", "x" * 251 + ".pkl", "ñ😀.pkl", " .pkl"]


@pytest.mark.skipif(os.name == "nt", reason="Windows does not let such names exist")
@pytest.mark.parametrize("name", [*ODD_NAMES, os.fsdecode(b"\xff\xfe.pkl")])
def test_any_name_that_a_system_permits_is_seen(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(b"x")
    (seen,) = inbox.look(tmp_path)
    assert (seen.name, seen.irregular) == (name, None)


def test_a_folder_that_is_gone_is_an_error_not_an_empty_folder(tmp_path: Path) -> None:
    with pytest.raises(OSError):
        inbox.look(tmp_path / "gone")


def test_a_second_look_notices_every_change(tmp_path: Path) -> None:
    path, sidecar = tmp_path / "a.pkl", tmp_path / "a.json"
    path.write_bytes(b"one")
    sidecar.write_bytes(b"{}")
    (seen,) = inbox.look(tmp_path)
    assert inbox.look_again(seen) == seen.marks
    stamp = path.stat()
    time.sleep(0.05)  # of two moments in one tick of its clock a file system tells one
    path.write_bytes(b"two")  # as long as before, and with the old time stamp put back
    os.utime(path, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    assert inbox.look_again(seen) != seen.marks
    (seen,) = inbox.look(tmp_path)
    sidecar.write_bytes(b'{"umbral": 0.4}')
    assert inbox.look_again(seen) != seen.marks
    path.unlink()
    assert inbox.look_again(seen) is None


# Standing still


def test_looks_are_counted_while_a_file_stands_still(tmp_path: Path) -> None:
    watches: dict[str, Watch] = {}
    (tmp_path / "a.pkl").write_bytes(b"1")
    for now in (10.0, 11.0, 12.0):
        inbox.watch(watches, inbox.look(tmp_path), now)
    assert (watches["a.pkl"].looks, watches["a.pkl"].first) == (3, 10.0)
    watches["a.pkl"].told = "final"
    (tmp_path / "a.pkl").write_bytes(b"12")
    inbox.watch(watches, inbox.look(tmp_path), 13.0)
    held = watches["a.pkl"]
    assert (held.looks, held.first, held.told) == (1, 13.0, None)


def test_a_file_that_went_is_watched_anew_when_it_returns(tmp_path: Path) -> None:
    watches: dict[str, Watch] = {}
    (tmp_path / "a.pkl").write_bytes(b"1")
    seen = inbox.look(tmp_path)
    inbox.watch(watches, seen, 1.0)
    inbox.watch(watches, [], 2.0)
    assert watches == {}
    inbox.watch(watches, seen, 3.0)
    assert watches["a.pkl"].looks == 1


# What survives


SHARE, BARE_MOUNT, REMOUNTED = "1:100", "2:200", "3:100"


def known(sha256: str, here: bool = True) -> Known:
    return Known(sha256, sha256, (1,), here=here)


def remembered() -> Memory:
    return Memory(SHARE, {SHARE: {"a.pkl": known("aa"), "b.pkl": known("bb")}})


def test_a_deleted_file_is_forgotten_so_that_it_may_come_back() -> None:
    memory = remembered()
    inbox.enter(memory, SHARE, {"b.pkl"})
    assert memory.names == {"b.pkl": known("bb")}
    inbox.enter(memory, SHARE, set())
    assert memory.names == {}


@pytest.mark.parametrize("looks_without_it", [1, 2, 50])
@pytest.mark.parametrize("dropped_meanwhile", [set(), {"new.pkl"}])
@pytest.mark.parametrize("returns_as", [SHARE, REMOUNTED])
def test_files_of_a_share_that_goes_away_and_returns_are_not_new(
    looks_without_it: int, dropped_meanwhile: set[str], returns_as: str
) -> None:
    """Else every file of the share would be promoted again, over a rollback made meanwhile."""
    memory = remembered()
    for _ in range(looks_without_it):
        inbox.enter(memory, BARE_MOUNT, dropped_meanwhile)
        for name in dropped_meanwhile:
            memory.names[name] = known("nn")
    inbox.enter(memory, returns_as, {"a.pkl", "b.pkl"})
    assert memory.names["a.pkl"] == known("aa")
    assert memory.names["b.pkl"] == known("bb")
    inbox.enter(memory, returns_as, {"b.pkl"})
    assert "a.pkl" not in memory.names


def test_a_folder_with_none_of_the_known_files_is_foreign() -> None:
    memory = remembered()
    inbox.enter(memory, SHARE, {"a.pkl", "b.pkl"})
    assert not inbox.is_foreign(memory)
    inbox.enter(memory, BARE_MOUNT, set())
    assert inbox.is_foreign(memory)
    inbox.enter(memory, SHARE, set())  # deleted by a person: the same folder, and nothing known
    assert not inbox.is_foreign(memory)


def test_only_the_last_folders_are_remembered() -> None:
    memory = remembered()
    for i in range(50):
        inbox.enter(memory, f"9:{i}", set())
    assert len(memory.folders) == inbox.MOST_FOLDERS
    assert set(memory.names) == {"a.pkl", "b.pkl"}


def test_the_first_folder_is_taken_as_it_is() -> None:
    memory = Memory()
    inbox.enter(memory, SHARE, {"a.pkl"})
    assert (memory.folder, memory.names) == (SHARE, {})
    assert not inbox.is_foreign(memory)


def test_a_memory_survives_being_written() -> None:
    memory = remembered()
    memory.pending["a.pkl"] = ("aa", 3)
    memory.names["a.pkl"].text = "Es la versión activa"
    assert inbox.recalled(json.loads(json.dumps(asdict(memory)))) == memory


@pytest.mark.parametrize("table", [{}, {"folder": "", "folders": {"x": {"a": {}}}, "pending": {}}])
def test_a_memory_that_is_not_one_is_an_error(table: dict[str, object]) -> None:
    with pytest.raises((KeyError, TypeError, ValueError)):
        inbox.recalled(table)


def test_another_folder_under_the_same_name_is_another_identity(tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    before = inbox.identity(tmp_path / "models")
    assert inbox.identity(tmp_path / "models") == before
    (tmp_path / "models").rename(tmp_path / "away")
    (tmp_path / "models").mkdir()
    assert inbox.identity(tmp_path / "models") != before
    assert inbox.identity(tmp_path / "away") == before


# What a file asks for


def verdict(accepted: bool, contract: str = "contract", program: str = "1.0") -> dict[str, object]:
    return {"accepted": accepted, "contract": contract, "program": program}


@pytest.mark.parametrize(
    ("told", "active", "name_brought", "action"),
    [
        (None, None, None, "judge"),
        (None, "other", "other", "judge"),
        (None, "this", None, "keep"),
        (verdict(True), "this", None, "keep"),
        (verdict(True), "other", "this", "keep"),
        (verdict(True), "other", "other", "promote"),
        (verdict(True), "other", None, "promote"),
        (verdict(True), None, None, "promote"),
        (verdict(True, contract="older"), "other", None, "judge"),
        (verdict(True, program="0.9"), "other", None, "promote"),
        (verdict(False), "other", None, "refuse"),
        (verdict(False), "other", "this", "keep"),
        (verdict(False, contract="older"), "other", None, "judge"),
        (verdict(False, program="0.9"), "other", None, "judge"),
    ],
)
def test_what_a_file_that_stood_still_asks_for(
    told: dict[str, object] | None, active: str | None, name_brought: str | None, action: str
) -> None:
    assert inbox.fate("this", told, active, name_brought, RULES) == action


@pytest.mark.parametrize(
    ("name", "active", "pinned", "may"),
    [
        ("2026-10.pkl", "2026-09", False, True),
        ("2026-10.pkl", "2026-10", False, True),
        ("2026-09.pkl", "2026-10", False, False),
        ("dic 2025.pkl", "enero 2026", False, False),
        ("modelo.pkl", "2026-10", False, True),
        ("2026-10.pkl", "modelo", False, True),
        ("modelo.pkl", None, False, True),
        ("2026-11.pkl", "2026-10", True, False),
        ("modelo.pkl", "modelo", True, False),
    ],
)
def test_what_may_be_published_by_itself(
    name: str, active: str | None, pinned: bool, may: bool
) -> None:
    assert (inbox.may_promote(name, active, pinned, served_before=False) is None) is may
    assert (inbox.may_promote(name, active, pinned, served_before=True) is None) is not pinned


# One file by its path


@pytest.mark.parametrize("sidecar", ["modelo.json", "MODELO.JSON", "Modelo.Json"])
def test_a_look_at_one_file_finds_the_sidecar_that_a_look_at_the_folder_finds(
    sidecar: str, tmp_path: Path
) -> None:
    for name in ("Modelo.pkl", sidecar):
        (tmp_path / name).write_bytes(b"x")
    assert [inbox.look_at(tmp_path / "Modelo.pkl")] == inbox.look(tmp_path)
    assert inbox.look_at(tmp_path / "Modelo.pkl").sidecar == tmp_path / sidecar


def test_a_look_at_one_file_takes_any_name_and_never_takes_it_for_its_own_sidecar(
    tmp_path: Path,
) -> None:
    for name in ("modelo.sav", "solo.json"):
        (tmp_path / name).write_bytes(b"x")
        seen = inbox.look_at(tmp_path / name)
        assert (seen.name, seen.sidecar, seen.irregular) == (name, None, None)


def test_names_that_differ_in_case_only_are_two_files(tmp_path: Path) -> None:
    for name in ("a.pkl", "A.pkl"):
        (tmp_path / name).write_bytes(b"x")
    assert {seen.name for seen in inbox.look(tmp_path)} == set(os.listdir(tmp_path))


def test_a_look_at_what_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        inbox.look_at(tmp_path / "nada.pkl")


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such names")
def test_the_name_of_a_sidecar_forges_no_line(tmp_path: Path) -> None:
    (tmp_path / "a\n\x1b.pkl").write_bytes(b"x")
    (tmp_path / "a\n\x1b.json").mkdir()
    (seen,) = inbox.look(tmp_path)
    assert seen.irregular is not None and seen.irregular.isprintable()

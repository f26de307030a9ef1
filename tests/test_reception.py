"""What happens to dropped files, look by look; the admission itself is a fake that accepts."""

from __future__ import annotations

import json
import os
import shutil
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import tiny_models

from propensia import admission, contract, files, keeper, reception, remembering, settings
from propensia.admission import Dropped, Outcome, Refusal
from propensia.contract import Contract
from propensia.reception import Reception
from propensia.registry import Registry, Release
from propensia.settings import Settings

REFUSED = b"bad"


def accepting(
    dropped: Dropped, settings: Settings, contract: Contract, registry: Registry, who: str = ""
) -> tuple[Mapping[str, Any], Outcome]:
    """Accept everything but ``REFUSED``, with a model of its own for each content."""
    refusal = Refusal("no_entrenado", "de prueba") if dropped.data == REFUSED else None
    if refusal is None:
        manifest = {
            "version": dropped.version,
            "model": dropped.model,
            "sha256": dropped.sha256,
            "onnx_sha256": tiny_models.files.sha256(dropped.data),
            "admitted": "2026-01-01T00:00:00+00:00",
            "contract": contract.name,
            "contract_fingerprint": contract.fingerprint,
            "columns": list(contract.column_names),
        } | dict.fromkeys(("threshold", "training_rate", "real_rate"))
        registry.add_version(dropped.version, manifest, {"model.onnx": dropped.data})
    verdict = {
        "accepted": refusal is None,
        "why": refusal.text("es") if refusal else "",
        "code": refusal.code if refusal else None,
        "contract": contract.fingerprint,
        "program": reception.__version__,
        "at": "2026-01-01T00:00:00+00:00",
    }
    registry.record_verdict(dropped.sha256, verdict)
    return verdict, Outcome(refusal, [], {}, {}, "informe")


class Inbox:
    """One installation: a folder to drop into, and a reception that looks at it."""

    def __init__(self, root: Path) -> None:
        self.models = root / "models"
        self.models.mkdir()
        self.settings = settings.load(
            {
                "PROPENSIA_STATE": str(root / "state"),
                "PROPENSIA_MODELS": str(self.models),
                "PROPENSIA_STABLE_POLLS": "2",
            }
        )
        self.registry = Registry(self.settings.state)
        self.registry.prepare()
        self.restart()

    def restart(self) -> None:
        """A new process, with only what was written."""
        loaded = contract.load("cobranza")
        self.reception = Reception(self.settings, loaded, self.registry, say=lambda text: None)

    def drop(self, name: str, data: bytes) -> None:
        (self.models / name).write_bytes(data)

    def look(self, times: int = 4) -> Release | None:
        """Look some times; the release that is current then."""
        for _ in range(times):
            self.reception.turn()
        return self.registry.current()

    def served(self) -> tuple[str, int]:
        """The model that is served, and the number of releases so far."""
        current = self.look()
        assert current is not None
        return current.model, current.number

    def text(self, name: str) -> str:
        return (self.models / f"{name}.estado.txt").read_text(encoding="utf-8")

    def rollback(self) -> None:
        previous = self.registry.previous()
        assert previous is not None
        self.registry.publish(previous.version, cause="rollback", who="yo")


@pytest.fixture
def inbox(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Inbox:
    monkeypatch.setattr(admission, "admit", accepting)
    return Inbox(tmp_path)


def test_a_folder_that_is_swapped_and_comes_back_publishes_nothing_again(inbox: Inbox) -> None:
    for name in "abc":
        inbox.drop(f"{name}.pkl", name.encode())
        inbox.look()
    inbox.rollback()
    assert inbox.served() == ("b", 4)
    away = inbox.models.with_name("share")
    inbox.models.rename(away)
    inbox.models.mkdir()
    assert inbox.served() == ("b", 4)
    assert "no es la de antes" in " ".join(inbox.reception.problems)
    inbox.drop("nuevo.pkl", b"n")
    assert inbox.served() == ("nuevo", 5)
    shutil.rmtree(inbox.models)
    away.rename(inbox.models)
    assert inbox.served() == ("nuevo", 5)
    inbox.restart()
    assert inbox.served() == ("nuevo", 5)
    assert inbox.reception.problems == []


class Killed(BaseException):
    """The process ends here."""


def killed(*arguments: Any, **options: Any) -> None:
    raise Killed


def test_an_end_right_after_publishing_does_not_publish_again(
    inbox: Inbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    inbox.drop("base.pkl", b"0")
    inbox.look()
    publish = inbox.registry.publish

    def publish_and_end(*arguments: Any, **options: Any) -> Release:
        publish(*arguments, **options)
        raise Killed

    monkeypatch.setattr(inbox.registry, "publish", publish_and_end)
    inbox.drop("m1.pkl", b"1")
    with pytest.raises(Killed):
        inbox.look()
    monkeypatch.undo()
    monkeypatch.setattr(admission, "admit", accepting)
    inbox.rollback()
    inbox.restart()
    assert inbox.served() == ("base", 3)


def test_an_end_right_before_publishing_publishes_after_the_restart(
    inbox: Inbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    inbox.drop("base.pkl", b"0")
    inbox.look()
    monkeypatch.setattr(inbox.registry, "publish", killed)
    inbox.drop("m1.pkl", b"1")
    with pytest.raises(Killed):
        inbox.look()
    monkeypatch.undo()
    monkeypatch.setattr(admission, "admit", accepting)
    inbox.restart()
    assert inbox.served() == ("m1", 2)


def test_a_deleted_sidecar_changes_nothing(inbox: Inbox) -> None:
    inbox.drop("oct.json", b"{}")
    inbox.drop("oct.pkl", b"1")
    before = inbox.served()
    (inbox.models / "oct.json").unlink()
    assert inbox.served() == before
    assert "La ficha ya no está" in inbox.text("oct.pkl")
    inbox.drop("oct.json", b'{"umbral": 0.3}')
    assert inbox.served()[1] == before[1] + 1


@pytest.mark.parametrize(("data", "word"), [(b"1", "ACEPTADO"), (REFUSED, "RECHAZADO")])
@pytest.mark.parametrize("again", ["touch", "copy", "restart"])
def test_the_same_bytes_again_leave_the_same_word(
    inbox: Inbox, data: bytes, word: str, again: str
) -> None:
    inbox.drop("m.pkl", data)
    inbox.look()
    told = inbox.text("m.pkl").splitlines()[:3]
    assert told[0] == word
    path = inbox.models / "m.pkl"
    if again == "copy":
        path.unlink()
        inbox.drop("m.pkl", data)
    os.utime(path, (1e9, 1e9))
    inbox.look(1)
    if again == "restart":
        inbox.restart()
    inbox.look()
    assert inbox.text("m.pkl").splitlines()[:3] == told


def test_last_months_file_dropped_again_is_a_way_back_with_its_threshold(inbox: Inbox) -> None:
    inbox.drop("m_2026-09.pkl", b"9")
    first = inbox.look()
    assert first is not None
    inbox.registry.publish(first.version, cause="threshold", who="yo", threshold=0.2)
    inbox.drop("m_2026-10.pkl", b"10")
    inbox.look()
    (inbox.models / "m_2026-09.pkl").unlink()
    inbox.look()
    inbox.drop("m_2026-09.pkl", b"9")
    back = inbox.look()
    assert back is not None
    assert (back.model, back.cause, back.threshold) == ("m_2026-09", "vuelta", 0.2)


def test_a_month_that_was_never_served_waits_for_a_person(inbox: Inbox) -> None:
    inbox.drop("m_2026-10.pkl", b"10")
    before = inbox.served()
    inbox.drop("m_2026-09.pkl", b"9")
    assert inbox.served() == before
    text = inbox.text("m_2026-09.pkl")
    assert "candidata" in text
    assert f'propensia admit "{inbox.models / "m_2026-09.pkl"}"' in text


def test_files_that_a_person_admitted_before_the_first_look_do_not_appear(inbox: Inbox) -> None:
    """Else a file dropped right after the start would be taken back by the one that lay there."""
    inbox.drop("a.pkl", b"a")
    inbox.look()
    (inbox.settings.state / "inbox.json").unlink()
    inbox.restart()
    inbox.drop("0.pkl", b"0")
    assert inbox.served() == ("0", 2)


def test_the_text_follows_what_a_person_publishes(inbox: Inbox) -> None:
    inbox.drop("a.pkl", b"a")
    inbox.look()
    inbox.drop("b.pkl", b"b")
    inbox.look()
    assert "activa" in inbox.text("b.pkl") and "estuvo" in inbox.text("a.pkl")
    inbox.rollback()
    inbox.look()
    assert "Es la versión activa" in inbox.text("a.pkl") and "estuvo" in inbox.text("b.pkl")


def test_one_file_that_makes_trouble_does_not_keep_the_others(
    inbox: Inbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fragile(dropped: Dropped, *rest: Any, **more: Any) -> Any:
        if dropped.model == "a":
            raise RuntimeError("broken")
        return accepting(dropped, *rest)

    monkeypatch.setattr(admission, "admit", fragile)
    inbox.drop("a.pkl", b"a")
    inbox.drop("b.pkl", b"b")
    assert inbox.served()[0] == "b"
    assert inbox.reception.problems == ["a.pkl: fallo interno (RuntimeError)"]
    assert "Fallo de la máquina" in inbox.text("a.pkl")
    (inbox.models / "a.pkl").unlink()
    inbox.look()
    assert inbox.reception.problems == []


def test_a_folder_that_cannot_be_written_is_told_and_the_model_served(inbox: Inbox) -> None:
    (inbox.models / "m.pkl.estado.txt").mkdir()
    inbox.drop("m.pkl", b"1")
    assert inbox.served()[0] == "m"
    assert "no se puede escribir en la carpeta de modelos" in inbox.reception.problems[0]


def test_a_file_that_changes_without_a_sign_is_not_judged_half(
    inbox: Inbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a share sizes and times may lag: the content itself must stand still, too."""
    reads: list[bytes] = [b"half", b"whole", b"whole", b"whole"]
    real: Callable[..., Dropped] = reception.read_dropped
    judged: list[bytes] = []

    def lagging(seen: Any, settings: Settings) -> Dropped:
        dropped = real(seen, settings)
        return Dropped(dropped.model, reads.pop(0) if reads else b"whole")

    def noting(dropped: Dropped, *rest: Any, **more: Any) -> Any:
        judged.append(dropped.data)
        return accepting(dropped, *rest)

    monkeypatch.setattr(reception, "read_dropped", lagging)
    monkeypatch.setattr(admission, "admit", noting)
    inbox.drop("m.pkl", b"12345")
    inbox.look(8)
    assert judged == [b"whole"]


# Folders that somebody filled to do harm


def test_a_memory_that_is_too_large_to_read_publishes_nothing_and_stops_nothing(
    inbox: Inbox,
) -> None:
    for name in "ab":
        inbox.drop(f"{name}.pkl", name.encode())
        inbox.look()
    inbox.rollback()
    with (inbox.settings.state / "inbox.json").open("wb") as stream:
        stream.truncate((16 << 20) + 1)
    inbox.restart()
    assert inbox.served() == ("a", 3)
    inbox.drop("c.pkl", b"c")
    assert inbox.served() == ("c", 4)


def test_no_more_names_are_remembered_than_can_be_read_back(
    inbox: Inbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remembering, "MOST_NAMES", 3)
    for name in "abc":
        inbox.drop(f"{name}.pkl", name.encode())
        inbox.look()
    inbox.drop("d.pkl", b"d")
    assert inbox.served() == ("c", 3)
    assert inbox.reception.problems == [
        "hay 3 ficheros en la carpeta de modelos: no se admiten más"
    ]
    (inbox.models / "a.pkl").unlink()
    assert inbox.served() == ("d", 4)
    assert len(json.loads((inbox.settings.state / "inbox.json").read_bytes())["folders"]) == 1
    inbox.restart()
    assert inbox.served() == ("d", 4)


def test_names_of_other_folders_are_forgotten_first() -> None:
    def known(here: bool) -> reception.inbox.Known:
        return reception.inbox.Known("s", "d", (1,), here=here)

    memory = reception.inbox.Memory(
        "now", {"old": {"a": known(True)}, "now": {"b": known(True), "c": known(False)}}
    )
    remembering.trim(memory, 2)
    assert list(memory.folders) == ["now"] and set(memory.names) == {"b", "c"}
    remembering.trim(memory, 1)
    assert set(memory.names) == {"b"}


def test_the_longest_names_and_texts_can_be_read_back(tmp_path: Path) -> None:
    table = {
        f"{number:04}{chr(1) * 250}": reception.inbox.Known(
            "a" * 64, "b" * 64, (2**63,) * 12, "\N{PILE OF POO}" * 1_200
        )
        for number in range(remembering.MOST_NAMES + 5)
    }
    notebook = remembering.Notebook(tmp_path / "inbox.json")
    notebook.write(reception.inbox.Memory("1:1", {"1:1": table}))
    read = notebook.read()
    assert read is not None and len(read.names) == remembering.MOST_NAMES


def test_the_memory_is_not_written_for_every_refused_file(
    inbox: Inbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    writes: list[Path] = []
    real = files.write_json

    def noting(path: Path, value: object, **options: Any) -> None:
        writes.append(path)
        real(path, value, **options)

    monkeypatch.setattr(files, "write_json", noting)
    for number in range(30):
        inbox.drop(f"{number}.pkl", REFUSED)
    inbox.look()
    assert "RECHAZADO" in inbox.text("29.pkl")
    assert 1 <= sum(path.name == "inbox.json" for path in writes) <= 4


def unfinished(judged: list[str]) -> Callable[..., Any]:
    def admit(dropped: Dropped, *rest: Any, **more: Any) -> Any:
        judged.append(dropped.model)
        refusal = Refusal("fichero_incompleto", "de prueba")
        verdict = {"accepted": False, "why": refusal.text("es"), "code": refusal.code}
        return verdict, Outcome(refusal, [], {}, {}, "informe")

    return admit


def test_one_unfinished_content_is_judged_once_a_turn_whatever_its_names(
    inbox: Inbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    judged: list[str] = []
    monkeypatch.setattr(admission, "admit", unfinished(judged))
    for number in range(9):
        inbox.drop(f"{number}.pkl", b"x")
    inbox.look()
    assert judged == ["0"]
    assert all("Se espera a que se complete" in inbox.text(f"{n}.pkl") for n in range(9))


def test_a_turn_ends_in_time_and_the_next_goes_on_with_the_files_left(
    inbox: Inbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [0.0]
    judged: list[str] = []

    def slow(dropped: Dropped, *rest: Any, **more: Any) -> Any:
        judged.append(dropped.model)
        now[0] += reception.TURN_S * 0.6
        return accepting(dropped, *rest)

    monkeypatch.setattr(reception.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(admission, "admit", slow)
    for number in range(1, 6):
        inbox.drop(f"{number}.pkl", str(number).encode())
    inbox.look(2)
    assert judged == ["1", "2"]
    inbox.drop("0.pkl", b"0")
    inbox.look(1)
    assert judged == ["1", "2", "3", "4"]
    assert "RECIBIDO" in inbox.text("0.pkl")
    inbox.look(2)
    assert sorted(judged) == ["0", "1", "2", "3", "4", "5"]


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such names")
@pytest.mark.parametrize("odd", ['";id;"', "$(id)", "`id`", "a\nb", "\x1b[2J", "a\\"])
def test_no_command_is_suggested_that_a_file_name_changes(inbox: Inbox, odd: str) -> None:
    inbox.drop("m_2026-10.pkl", b"10")
    inbox.look()
    name = f"{odd}_2026-09.pkl"
    inbox.drop(name, b"9")
    inbox.look()
    text = inbox.text(name)
    version = Dropped("", b"9").version
    assert f"Para publicarla: propensia activate {version}\n" in text
    assert odd not in text


def test_the_keeper_starts_whatever_lies_in_its_folders(
    inbox: Inbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A first fault is told and tried again, not the end."""
    faults = [OSError("disk")]
    ended = threading.Event()
    turned: list[Reception] = []

    def sweep(state: Path) -> None:
        if faults:
            raise faults.pop()

    def turn(self: Reception) -> None:
        turned.append(self)
        ended.set()

    monkeypatch.setattr(keeper, "sweep", sweep)
    monkeypatch.setattr(keeper, "prepare", lambda *parts: None)
    monkeypatch.setattr(keeper.settings_table, "poll_interval", lambda settings: 0.01)
    monkeypatch.setattr(Reception, "turn", turn)
    keeper._watch(inbox.settings, contract.load("cobranza"), inbox.registry, ended)
    assert len(turned) == 1


def test_the_sweep_removes_folders_of_any_depth(tmp_path: Path) -> None:
    from test_files import nest

    left = tmp_path / "work" / "a"
    left.mkdir(parents=True)
    nest(left, 3_000)
    keeper.sweep(tmp_path)
    assert os.listdir(tmp_path / "work") == []

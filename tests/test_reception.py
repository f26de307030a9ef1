"""What happens to dropped files, look by look; the admission itself is a fake that accepts."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import tiny_models

from propensia import admission, contract, reception, settings
from propensia.admission import Dropped, Outcome, Refusal
from propensia.contract import Contract
from propensia.reception import Reception
from propensia.registry import Registry, Release
from propensia.settings import Settings

REFUSED = b"bad"


def accepting(
    dropped: Dropped, settings: Settings, contract: Contract, registry: Registry
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
        }
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
    def fragile(dropped: Dropped, *rest: Any) -> Any:
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

    def noting(dropped: Dropped, *rest: Any) -> Any:
        judged.append(dropped.data)
        return accepting(dropped, *rest)

    monkeypatch.setattr(reception, "read_dropped", lagging)
    monkeypatch.setattr(admission, "admit", noting)
    inbox.drop("m.pkl", b"12345")
    inbox.look(8)
    assert judged == [b"whole"]

"""A dropped file and its signature: nothing comes before the check, and it may come later."""

from __future__ import annotations

import logging
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import admission_files
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from models_for_tests import dumped, logistic
from signed_files import AT, SIDECAR, Keys, signed
from test_reception import Inbox, accepting

from propensia import admission, inbox, processes, reception, settings, signing
from propensia.admission import Dropped
from propensia.admission.dropped import check_signature
from propensia.contract import Contract
from propensia.registry import Registry
from propensia.settings import Settings


# Before anything else in an admission
class Desks:
    """An installation that asks for signatures."""

    def __init__(self, root: Path, contract: Contract, signatures: str = "required") -> None:
        environment = {
            "PROPENSIA_STATE": str(root / "state"),
            "PROPENSIA_MODELS": str(root / "models"),
            "PROPENSIA_SIGNATURES": signatures,
        }
        self.settings = settings.load(environment)
        self.contract = contract
        self.registry = Registry(self.settings.state)
        self.registry.prepare()
        self.keys = Keys(self.settings.signature_keys)

    def admit(self, dropped: Dropped, **more: bool) -> tuple[dict[str, Any], admission.Outcome]:
        return admission.admit(dropped, self.settings, self.contract, self.registry, **more)


@pytest.fixture
def asking(tmp_path: Path, contract: Contract) -> Desks:
    return Desks(tmp_path, contract)


SECRET = "huella"  # what the file would leave, and so a word that only its content holds


def hostile(folder: Path) -> bytes:
    """A pickle that would call ``os.system``, were it loaded."""
    return admission_files.HOSTILE[0].build(folder / SECRET)


def nothing_runs(*arguments: Any, **more: Any) -> Any:
    raise AssertionError("a child was started")


@pytest.mark.parametrize("case", ["absent", "stranger", "other", "garbage", "huge"])
@pytest.mark.parametrize("beside", [None, b"\xff no JSON"])
def test_a_file_without_a_good_signature_is_refused_before_anything_is_read(
    case: str,
    beside: bytes | None,
    asking: Desks,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The file is hostile and its sidecar is no JSON: neither is looked at."""
    monkeypatch.setattr(processes, "run", nothing_runs)
    caplog.set_level(logging.INFO)
    malign = hostile(asking.settings.state)
    key = asking.keys.trust()
    signature = {
        "absent": None,
        "stranger": signed(Ed25519PrivateKey.generate(), malign, beside),
        "other": signed(key, b"another", beside),
        "garbage": b"garbage",
        "huge": b"x" * (signing.LIMIT_BYTES + 1),
    }[case]
    dropped = Dropped("malo", malign, beside, signature)
    verdict, outcome = asking.admit(dropped)
    code = "firma_ausente" if case == "absent" else "firma_no_valida"
    assert (verdict["accepted"], verdict["code"], verdict["signed_by"]) == (False, code, None)
    assert [(check.name, check.outcome) for check in outcome.checks] == [("firma", "fallo")]
    assert "RECHAZADO" in outcome.report and SECRET not in outcome.report
    assert not (asking.settings.state / "work").exists()
    assert asking.registry.verdict(dropped.sha256) is None, "it is not final"
    assert re.search(rf"signature (missing|refused): version {dropped.version}", caplog.text)
    assert SECRET not in caplog.text and not (asking.settings.state / SECRET).exists()


def test_a_signed_model_tells_who_signed_it_everywhere(
    asking: Desks, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    key = asking.keys.trust("ana.pub")
    own = signing.key_id(key.public_key().public_bytes_raw())
    data = dumped(logistic())
    dropped = Dropped("modelo", data, SIDECAR, signed(key, data, why="octubre"))
    verdict, outcome = asking.admit(dropped)
    assert verdict["accepted"], verdict["why"]
    wanted = {"key": own, "file": "ana.pub", "signed": AT, "why": "octubre"}
    assert verdict["signed_by"] == wanted
    assert asking.registry.verdict(dropped.sha256) == verdict
    assert asking.registry.manifest(dropped.version)["signed_by"] == wanted
    first = outcome.checks[0]
    assert (first.name, first.outcome) == ("firma", "bien")
    assert own in first.sentence and "ana.pub" in first.sentence
    assert first.sentence in outcome.report
    line = f"signature verified: version {dropped.version}, key {own} (ana.pub)"
    assert [record.getMessage() for record in caplog.records].count(line) == 1
    assert dropped.version == Dropped("modelo", data, SIDECAR).version


def test_a_signature_makes_no_hostile_file_good(asking: Desks) -> None:
    malign = hostile(asking.settings.state)
    verdict, outcome = asking.admit(
        Dropped("malo", malign, None, signed(asking.keys.trust(), malign, None))
    )
    assert verdict["code"] == "contenido_no_permitido"
    assert outcome.checks[0].name == "firma"
    assert verdict["signed_by"]["file"] == "ana.pub"


def test_the_demonstration_needs_no_signature(asking: Desks) -> None:
    verdict, _ = asking.admit(Dropped("demostracion", dumped(logistic())), demonstration=True)
    assert (verdict["accepted"], verdict["signed_by"]) == (True, None)


def test_without_the_setting_a_signature_beside_a_file_is_not_even_read(
    tmp_path: Path, contract: Contract
) -> None:
    """In a fresh interpreter: the library of the keys is not loaded either."""
    path = tmp_path / "m.pkl"
    path.write_bytes(b"no model")
    (tmp_path / "m.pkl.sig").write_bytes(b"garbage")
    code = (
        "import sys\n"
        "from pathlib import Path\n"
        "import propensia.web.app, propensia.keeper\n"
        "from propensia import admission, contract, inbox, reception, settings\n"
        "from propensia.registry import Registry\n"
        "chosen = settings.load({'PROPENSIA_STATE': sys.argv[1]})\n"
        "registry = Registry(chosen.state)\n"
        "registry.prepare()\n"
        "dropped = reception.read_dropped(inbox.look_at(Path(sys.argv[2])), chosen)\n"
        "loaded = contract.load('cobranza')\n"
        "verdict, outcome = admission.admit(dropped, chosen, loaded, registry)\n"
        "print(verdict['code'], dropped.signature, outcome.checks[0].name)\n"
        "print([name for name in sys.modules if name.startswith('cryptography')])\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "state"), str(path)],
        capture_output=True,
        encoding="utf-8",
        check=True,
    )
    assert run.stdout.splitlines() == ["no_es_un_modelo None entero", "[]"]


# In the folder


def checking(
    dropped: Dropped, chosen: Settings, contract: Contract, registry: Registry, who: str = ""
) -> tuple[dict[str, Any], admission.Outcome]:
    """The check of the signature as it is, and then a fake that accepts."""
    try:
        check_signature(dropped, chosen)
    except admission.Refusal as refusal:
        outcome = admission.Outcome(refusal, [], {}, {}, "informe")
        return {"accepted": False, "code": refusal.code, "why": refusal.text("es")}, outcome
    verdict, outcome = accepting(dropped, chosen, contract, registry)
    return dict(verdict), outcome


class SignedInbox(Inbox):
    """A folder of models where signatures are asked for."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.ask()
        self.keys = Keys(self.settings.signature_keys)

    def ask(self, signatures: str = "required") -> None:
        self.settings = replace(self.settings, signatures=signatures)
        self.restart()

    def word(self, name: str) -> str:
        return self.text(name).split()[0]

    def number(self) -> int:
        """How many releases there are, after some looks."""
        self.look()
        return self.registry.current_number()


@pytest.fixture
def box(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SignedInbox:
    monkeypatch.setattr(admission, "admit", checking)
    return SignedInbox(tmp_path)


def test_a_signature_that_comes_later_makes_the_refused_file_good(box: SignedInbox) -> None:
    key = box.keys.trust()
    box.drop("m.pkl", b"1")
    assert box.number() == 0
    assert box.word("m.pkl") == "RECHAZADO" and "propensia sign" in box.text("m.pkl")
    told = box.text("m.pkl")
    assert box.number() == 0 and box.text("m.pkl") == told, "told once"
    box.drop("m.pkl.sig", signed(key, b"1", None))
    assert box.number() == 1
    assert box.word("m.pkl") == "ACEPTADO"


def test_a_bad_signature_can_be_replaced(box: SignedInbox) -> None:
    key = box.keys.trust()
    box.drop("m.pkl", b"1")
    box.drop("m.pkl.sig", signed(key, b"2", None))
    assert box.number() == 0
    assert box.word("m.pkl") == "RECHAZADO" and "otro contenido" in box.text("m.pkl")
    box.drop("M.PKL.SIG", signed(key, b"1", None))
    (box.models / "m.pkl.sig").unlink()
    assert box.number() == 1


def test_a_half_copied_signature_is_not_the_last_word(box: SignedInbox) -> None:
    file = signed(box.keys.trust(), b"1", None)
    box.drop("m.pkl.sig", file[:100])
    box.drop("m.pkl", b"1")
    assert box.number() == 0
    box.drop("m.pkl.sig", file)
    assert box.number() == 1


def test_a_signature_that_changes_without_a_sign_is_not_judged_half(
    box: SignedInbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a share sizes and times may lag behind the content."""
    file = signed(box.keys.trust(), b"1", None)
    really, reads = reception.read_dropped, [b"", file[:80], file]

    def lagging(seen: Any, chosen: Settings) -> Dropped:
        now = reads.pop(0) if len(reads) > 1 else reads[0]
        return replace(really(seen, chosen), signature=now)

    monkeypatch.setattr(reception, "read_dropped", lagging)
    box.drop("m.pkl", b"1")
    box.drop("m.pkl.sig", file)
    box.look(8)
    assert box.word("m.pkl") == "ACEPTADO"


def test_a_signature_for_what_is_served_changes_nothing(box: SignedInbox) -> None:
    key = box.keys.trust()
    box.drop("m.pkl.sig", signed(key, b"1", None))
    box.drop("m.pkl", b"1")
    assert box.number() == 1
    box.drop("m.pkl.sig", signed(key, b"1", None, why="otra vez"))
    assert box.number() == 1 and box.word("m.pkl") == "ACEPTADO"
    (box.models / "m.pkl.sig").unlink()
    assert box.number() == 1 and box.word("m.pkl") == "ACEPTADO"
    box.restart()
    assert box.number() == 1 and box.word("m.pkl") == "ACEPTADO"


def test_what_was_admitted_before_stays_served_but_does_not_come_back_unsigned(
    box: SignedInbox,
) -> None:
    box.ask("off")
    for name in ("a.pkl", "b.pkl"):
        box.drop(name, name.encode())
        box.look()
    box.ask()
    assert box.served() == ("b", 2)
    (box.models / "a.pkl").unlink()
    box.look()
    box.drop("a.pkl", b"a.pkl")
    assert box.served() == ("b", 2)
    assert box.word("a.pkl") == "RECHAZADO"
    box.drop("a.pkl.sig", signed(box.keys.trust(), b"a.pkl", None))
    assert box.served() == ("a", 3)
    release = box.registry.current()
    assert release is not None and release.cause == "vuelta"


def test_a_version_signed_under_a_key_retired_since_does_not_come_back(box: SignedInbox) -> None:
    old, new = box.keys.trust("2025.pub"), box.keys.trust("2026.pub")
    for name, key in (("a.pkl", old), ("b.pkl", new)):
        box.drop(f"{name}.sig", signed(key, name.encode(), None))
        box.drop(name, name.encode())
        box.look()
    assert box.served() == ("b", 2)
    (box.keys.folder / "2025.pub").rename(box.keys.folder / "2025.retired")
    (box.models / "a.pkl").rename(box.models / "c.pkl")
    (box.models / "a.pkl.sig").rename(box.models / "c.pkl.sig")
    assert box.served() == ("b", 2)
    assert box.word("c.pkl") == "RECHAZADO" and "retirada" in box.text("c.pkl")


def test_an_unsigned_file_is_refused_again_after_a_restart(box: SignedInbox) -> None:
    box.drop("m.pkl", b"1")
    box.look()
    box.restart()
    assert box.number() == 0 and box.word("m.pkl") == "RECHAZADO"
    box.ask("off")
    assert box.number() == 1 and box.word("m.pkl") == "ACEPTADO"


def test_keys_that_cannot_be_read_are_a_fault_of_the_machine(
    box: SignedInbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reception, "BACK_OFF_S", (0.0,))
    file = signed(box.keys.trust(), b"1", None)
    box.keys.folder.rename(box.keys.folder.with_name("away"))
    box.keys.folder.write_text("no folder", encoding="utf-8")
    box.drop("m.pkl.sig", file)
    box.drop("m.pkl", b"1")
    assert box.number() == 0
    assert box.word("m.pkl") == "RECIBIDO" and "se intenta otra vez" in box.text("m.pkl")
    assert len(box.reception.problems) == 1
    box.keys.folder.unlink()  # the folder is away for good, and the machine well again
    assert box.number() == 0
    assert box.word("m.pkl") == "RECHAZADO" and box.reception.problems == []


@pytest.mark.parametrize("name", ["m.pkl", "M.PKL", "m.joblib", "raro.sav"])
def test_a_signature_is_found_in_whatever_case(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(b"x")
    assert inbox.look_at(tmp_path / name).signature is None
    (tmp_path / f"{name}.SIG").write_bytes(b"y")
    assert inbox.look_at(tmp_path / name).signature == tmp_path / f"{name}.SIG"
    assert not inbox.is_model_name(f"{name}.sig")

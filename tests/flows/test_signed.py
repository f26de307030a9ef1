"""A server that asks for signatures, the analyst's key, and a folder that anybody can write to."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from guarded import copied
from models_for_tests import dumped, new_logistic
from server import Place, Server, running, wait_for

PHRASE = "una frase de paso larga"


@pytest.fixture
def asking(admitted: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """A server that asks for signatures, in front of a model that was admitted before it did."""
    monkeypatch.setenv("FRASE", PHRASE)
    place = copied(admitted, tmp_path)
    with running(place, workers=1, signatures="required") as server:
        server.keeper_pid()
        yield server


def sign(place: Place, *arguments: str) -> str:
    """What ``propensia sign`` prints, its passphrase being in a variable."""
    done = place.run("sign", *arguments, "--passphrase", "FRASE")
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_a_model_is_served_once_its_signature_under_a_trusted_key_arrives(asking: Server) -> None:
    place, before = asking.place, asking.active()
    key = place.base / "ana.pem"
    own = sign(place, "--new", "--key", str(key)).split()[1]
    (place.state / "keys").mkdir()
    shutil.copy(key.with_suffix(".pub"), place.state / "keys")
    data = dumped(new_logistic())
    at_home = place.base / "mes.pkl"
    at_home.write_bytes(data)
    sign(place, str(at_home), "--key", str(key), "--why", "campaña de octubre")
    signature = at_home.with_name("mes.pkl.sig").read_bytes()

    place.drop("mes.pkl", data)
    assert "no está firmado" in place.wait_word("mes.pkl", "RECHAZADO")
    place.drop("mes.pkl.sig", signature.replace(b"octubre", b"agosto!"))
    wait_for(lambda: "se ha cambiado" in place.state_text("mes.pkl"), "the forged one is refused")
    assert asking.active() == before and place.registry.current_number() == 1
    assert not list((place.state / "verdicts").glob(f"{_sha256(data)}*"))

    place.drop("mes.pkl.sig", signature)
    place.wait_word("mes.pkl", "ACEPTADO")
    asking.settle()
    assert asking.active() != before
    verdict = json.loads((place.state / "verdicts" / f"{_sha256(data)}.json").read_bytes())
    assert verdict["signed_by"]["key"] == own
    assert verdict["signed_by"]["why"] == "campaña de octubre"
    report = (place.models / "mes.pkl.informe.html").read_text(encoding="utf-8")
    assert own in report and "ana.pub" in report
    assert f"key {own} (ana.pub)" in asking.output()
    text = place.run("doctor", signatures="required").stdout
    assert "se exige firma: 1 claves de confianza" in text


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()

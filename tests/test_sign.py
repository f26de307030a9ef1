"""``propensia sign`` as it is typed, and the commands that ask for what it leaves."""

from __future__ import annotations

import os
import re
import shlex
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from desk import Desk, desk
from models_for_tests import dumped, logistic
from signed_files import PHRASE, SIDECAR, Keys, public_pem

from propensia import signing
from propensia.terminal import Exit

__all__ = ["desk"]


def make_key(desk: Desk, name: str = "ana", phrase: str = PHRASE) -> str:
    """A key pair in the working folder, made by hand; its id."""
    desk.run("sign", "--new", "--key", f"{name}.pem", typed=f"{phrase}\n{phrase}\n")
    raw = signing.trusted(desk.folder)[0]
    return next(id for id, key in raw.items() if key.file == f"{name}.pub")


def test_a_key_is_made_and_a_file_signed_with_it(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = desk.run("sign", "--new", "--key", "ana.pem", typed=f"{PHRASE}\n{PHRASE}\n")
    own = text.partition("Clave ")[2][:16]
    assert f"Pública: ana.pub; cópiela en el servidor, en {desk.state / 'keys'}" in text
    assert "Privada: ana.pem, cifrada" in text and PHRASE not in text
    (desk.folder / "m.pkl").write_bytes(b"no model")
    (desk.folder / "m.json").write_bytes(SIDECAR)
    text = desk.run("sign", "m.pkl", "--key", "ana.pem", "--why", "octubre", typed=f"{PHRASE}\n")
    assert f"Firmado m.pkl, con su ficha; clave {own}" in text and "en lugar" not in text
    signer = signing.verify(
        (desk.folder / "m.pkl.sig").read_bytes(), b"no model", SIDECAR, desk.folder
    )
    assert (signer.key, signer.why) == (own, "octubre")
    text = desk.run("sign", "m.pkl", "--key", "ana.pem", typed=f"{PHRASE}\n")
    assert "Firma: m.pkl.sig, en lugar de la anterior" in text
    assert b"\nwhy: m.pkl\n" in (desk.folder / "m.pkl.sig").read_bytes()


def test_the_passphrase_may_come_from_a_variable(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FRASE", PHRASE)
    desk.run("sign", "--new", "--key", "ana.pem", "--passphrase", "FRASE")
    assert signing.is_encrypted((desk.folder / "ana.pem").read_bytes())
    (desk.folder / "m.pkl").write_bytes(b"1")
    desk.run("sign", "m.pkl", "--key", "ana.pem", "--passphrase", "FRASE")
    monkeypatch.setenv("FRASE", "otra frase de paso")
    text = desk.run("sign", "m.pkl", "--key", "ana.pem", "--passphrase", "FRASE", code=1)
    assert "la frase de paso no es esa" in text
    text = desk.run("sign", "m.pkl", "--key", "ana.pem", "--passphrase", "NADA", code=3)
    assert "no existe la variable de entorno NADA" in text


def test_a_key_without_a_passphrase_asks_for_none(desk: Desk) -> None:
    assert "sin cifrar" in desk.run("sign", "--new", typed="\n\n")
    (desk.folder / "m.pkl").write_bytes(b"1")
    assert "Firmado m.pkl, sin ficha" in desk.run("sign", "m.pkl")


def test_the_guide_shows_what_is_asked_and_printed(desk: Desk) -> None:
    """Its examples ask for a passphrase, so ``tests/test_docs.py`` cannot run them."""
    page = Path(signing.__file__).parents[1] / "docs" / "analista.md"
    blocks = re.findall(r"^```text\n(.*?)^```$", page.read_text(encoding="utf-8"), re.M | re.S)
    (desk.folder / "cobros_2026-10.pkl").write_bytes(b"1")
    for block, typed in zip(blocks, (f"{PHRASE}\n" * 2, f"{PHRASE}\n"), strict=True):
        line, _, wanted = block.partition("\n")
        printed = desk.run(*shlex.split(line)[2:], typed=typed)
        printed = "\n".join(text.rstrip() for text in printed.splitlines())
        pattern = ".*".join(re.escape(piece) for piece in wanted.strip().split("…"))
        assert re.fullmatch(pattern, printed), printed


@pytest.mark.parametrize(
    ("typed", "words", "code", "because"),
    [
        ("", "sign", Exit.WRONG_USE, "FICHERO que firmar, o --new"),
        ("", "sign m.pkl --new", Exit.WRONG_USE, "FICHERO que firmar, o --new"),
        ("", "sign m.pkl", Exit.ENVIRONMENT, "firma.pem"),
        ("", "sign m.pkl --key m.pkl", Exit.REFUSED, "no es una privada Ed25519"),
        ("", "sign m.pkl --key ana.pem", Exit.REFUSED, "falta la frase de paso"),
        ("no\n", "sign m.pkl --key ana.pem", Exit.REFUSED, "la frase de paso no es esa"),
        (f"{PHRASE}\n", "sign pgp.pkl --key ana.pem", Exit.REFUSED, "no es una firma de Prop"),
        ("", "sign folder --key ana.pem", Exit.REFUSED, "No es un fichero normal"),
        ("", "sign --new --key ana.pem", Exit.REFUSED, "ana.pem ya existe"),
        ("", "sign --new --key ana.key", Exit.REFUSED, "debe acabar en .pem"),
        ("", "sign --new --key otra.pem", Exit.REFUSED, "falta la frase de paso"),
        (f"{PHRASE}\nno\n", "sign --new --key otra.pem", Exit.REFUSED, "no son iguales"),
        ("corta\ncorta\n", "sign --new --key otra.pem", Exit.REFUSED, "de 12 a 255 letras"),
        ("\n\n", "sign --new --key no/hay.pem", Exit.ENVIRONMENT, "hay.pub"),
    ],
)
def test_what_cannot_be_signed_is_told_and_nothing_is_written(
    typed: str, words: str, code: Exit, because: str, desk: Desk
) -> None:
    make_key(desk)
    (desk.folder / "m.pkl").write_bytes(b"1")
    (desk.folder / "pgp.pkl").write_bytes(b"1")
    (desk.folder / "pgp.pkl.sig").write_bytes(b"-----BEGIN PGP SIGNATURE-----\n")
    (desk.folder / "folder").mkdir()

    def lies_there() -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in desk.folder.iterdir() if path.is_file()}

    before = lies_there()
    text = desk.run(*words.split(), typed=typed, code=code)
    assert because in text and "Traceback" not in text
    assert lies_there() == before


@pytest.mark.slow
def test_check_and_admit_ask_for_the_signature_beside_the_file(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = make_key(desk)
    (desk.folder / "m.pkl").write_bytes(dumped(logistic()))
    desk.run("admit", "m.pkl")
    monkeypatch.setenv("PROPENSIA_SIGNATURES", "required")
    for command in ("check", "admit"):  # though its content was accepted before
        text = desk.run(command, "m.pkl", code=Exit.REFUSED)
        assert "✗ firma: El fichero no está firmado" in text
    desk.run("sign", "m.pkl", "--key", "ana.pem", typed=f"{PHRASE}\n")
    assert f"la clave {own} no está entre" in desk.run("admit", "m.pkl", code=Exit.REFUSED)
    (desk.state / "keys").mkdir()
    (desk.folder / "ana.pub").rename(desk.state / "keys" / "ana.pub")
    text = desk.run("admit", "m.pkl")
    assert f"✓ firma: Firmado con la clave {own} (ana.pub)" in text
    (verdict,) = desk.registry.verdicts()
    assert verdict["signed_by"]["key"] == own
    desk.run("check", "m.pkl")


def test_doctor_looks_at_the_keys(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "firma" not in desk.run("doctor", code=Exit.DONE)
    monkeypatch.setenv("PROPENSIA_SIGNATURES", "required")
    folder = desk.state / "keys"
    assert "fallo  se exige firma: 0 claves" in desk.run("doctor", code=Exit.REFUSED)
    keys = Keys(folder)
    keys.trust()
    (folder / "old.retired").write_bytes(public_pem(Ed25519PrivateKey.generate()))
    (folder / "bad.pub").write_bytes(b"")
    text = desk.run("doctor")
    assert f"bien   se exige firma: 1 claves de confianza en {folder}" in text
    assert "no son claves públicas Ed25519: bad.pub" in text
    if os.name == "posix":
        folder.chmod(0o777)
        assert f"cualquiera puede escribir en {folder}" in desk.run("doctor", code=Exit.REFUSED)

"""Signatures: what is signed, what is believed, and under which keys."""

from __future__ import annotations

import base64
import hashlib
import os
import re
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization as pem
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st
from signed_files import AT, MODEL, PHRASE, SIDECAR, Keys, public_pem, signed

from propensia import settings, signing
from propensia.signing import SignatureError

# RFC 8032, section 7.1, test 1: a seed, and the public key that belongs to it.
SEED = bytes.fromhex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60")
PUBLIC = bytes.fromhex("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a")


@pytest.fixture
def keys(tmp_path: Path) -> Keys:
    return Keys(tmp_path / "keys")


# What is signed


def test_the_file_and_what_is_signed_are_these_very_bytes(keys: Keys) -> None:
    """Written out by hand, and verified with the library alone: others may write such files."""
    key = Ed25519PrivateKey.from_private_bytes(SEED)
    own = hashlib.sha256(PUBLIC).hexdigest()[:16]
    message = (
        "propensia-signature: 1\n"
        f"model: {hashlib.sha256(MODEL).hexdigest()}\n"
        f"sidecar: {hashlib.sha256(SIDECAR).hexdigest()}\n"
        f"key: {own}\n"
        "signed: 2026-10-05T09:12:33+00:00\n"
        "why: modelo de octubre, con ñ\n"
    ).encode()
    file = signed(key, why="modelo de octubre, con ñ")
    assert file.startswith(message)
    label, _, text = file[len(message) :].decode("ascii").partition(": ")
    assert label == "signature" and text.endswith("==\n")
    key.public_key().verify(base64.b64decode(text), message)
    (keys.folder / "rfc.pub").write_bytes(public_pem(key))
    assert keys.verify(file) == signing.Signer(own, "rfc.pub", AT, "modelo de octubre, con ñ")


def test_a_model_without_a_sidecar_is_signed_as_such(keys: Keys) -> None:
    file = signed(keys.trust(), sidecar=None)
    assert b"\nsidecar: none\n" in file
    assert keys.verify(file, sidecar=None).file == "ana.pub"


def test_a_signature_made_under_the_same_key_for_something_else_does_not_count(keys: Keys) -> None:
    key = keys.trust()
    file = signed(key)
    message = file[: file.index(b"\nsignature: ") + 1]
    for other in (message[:-1], message.partition(b"\n")[2], message.replace(b": 1\n", b": 2\n")):
        forged = message + b"signature: " + base64.b64encode(key.sign(other)) + b"\n"
        assert "se ha cambiado" in keys.why_not(forged)


@pytest.mark.parametrize("why", ["", " mes", "mes ", "a\nb", "a\x00b", "\u202eb", "x" * 201])
def test_a_reason_is_one_line_of_printable_text(why: str, keys: Keys) -> None:
    with pytest.raises(SignatureError, match="reason"):
        signed(keys.trust(), why=why)


# What is not believed


@pytest.mark.parametrize(
    ("model", "sidecar", "because"),
    [
        (MODEL[:-1] + bytes([MODEL[-1] ^ 1]), SIDECAR, "es de otro contenido"),
        (MODEL + b"\0", SIDECAR, "es de otro contenido"),
        (b"", SIDECAR, "es de otro contenido"),
        (MODEL, b'{"umbral": 0.43}', "es de otra ficha"),
        (MODEL, b"", "es de otra ficha"),
        (MODEL, None, "se firmó con una ficha que no está al lado"),
        (SIDECAR, MODEL, "es de otro contenido"),
    ],
)
def test_another_model_or_another_sidecar_is_refused(
    model: bytes, sidecar: bytes | None, because: str, keys: Keys
) -> None:
    assert keys.why_not(signed(keys.trust()), model, sidecar) == because


def test_a_sidecar_that_came_after_the_signature_is_refused(keys: Keys) -> None:
    assert keys.why_not(signed(keys.trust(), sidecar=None)) == "se firmó sin la ficha"


def test_the_signature_of_another_file_is_refused(keys: Keys) -> None:
    assert keys.why_not(signed(keys.trust(), b"another", None)) == "es de otro contenido"


def test_every_flipped_bit_of_a_signature_file_is_refused(keys: Keys) -> None:
    file = signed(keys.trust())
    for place in range(len(file)):
        for bit in range(8):
            damaged = bytearray(file)
            damaged[place] ^= 1 << bit
            keys.why_not(bytes(damaged))


def test_every_truncated_signature_file_is_refused(keys: Keys) -> None:
    file = signed(keys.trust())
    for length in range(len(file)):
        keys.why_not(file[:length])


def changed(old: str, new: str) -> Callable[[bytes], bytes]:
    return lambda file: re.sub(old.encode(), new.encode(), file, count=1)


@pytest.mark.parametrize(
    ("change", "because"),
    [
        (lambda file: b"", "primera línea"),
        (lambda file: bytes(range(256)), "primera línea"),
        (lambda file: b"\xef\xbb\xbf" + file, "primera línea"),
        (lambda file: file.replace(b"\n", b"\r\n"), "primera línea"),
        (lambda file: file.decode().encode("utf-16"), "primera línea"),
        (lambda file: b"-----BEGIN PGP SIGNATURE-----\n", "primera línea"),
        (changed("signature: 1", "signature: 2"), "primera línea"),
        (lambda file: file + b"x", "7 líneas"),
        (lambda file: file + b"\n", "7 líneas"),
        (lambda file: file + b"more: x\n", "7 líneas"),
        (lambda file: b"\n".join(file.split(b"\n")[:3]) + b"\n", "7 líneas"),
        (lambda file: file + b" " * signing.LIMIT_BYTES, "más de 4096 bytes"),
        (changed("model: ", "model:"), "«model»"),
        (changed("model: .", "model: A"), "«model»"),
        (changed("model", "Model"), "«model»"),
        (changed("sidecar: [0-9a-f]{64}", "sidecar: None"), "«sidecar»"),
        (changed("key: ", "key:  "), "«key»"),
        (changed("key: ....", "key: ../."), "«key»"),
        (changed("key: .", "key: \u0661"), "«key»"),
        (changed("2026-10-05", "2026-13-05"), "«signed»"),
        (changed("2026-10-05", "20261005"), "«signed»"),
        (changed(r"\+00:00", "+02:00"), "«signed»"),
        (changed("why: mes", "why: "), "«why»"),
        (changed("why: mes", "why: \u202emes"), "«why»"),
        (changed("why: mes", "why: " + "x" * 201), "«why»"),
        (changed("==\n", "=\n"), "«signature»"),
        (changed("==\n", "==x\n"), "«signature»"),
        (changed("signature: .{4}", "signature: "), "«signature»"),
        (changed("signature: ....", "signature: ...."), "«signature»"),
    ],
)
def test_whatever_we_would_not_have_written_is_refused_and_the_line_named(
    change: Callable[[bytes], bytes], because: str, keys: Keys
) -> None:
    assert because in keys.why_not(change(signed(keys.trust())))


def test_a_second_spelling_of_the_same_signature_is_refused(keys: Keys) -> None:
    """The last letter of the Base64 has four bits that mean nothing."""
    file = signed(keys.trust())
    last = chr(file[-4])
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    other = letters[letters.index(last) ^ 1]
    assert base64.b64decode(file[-5:-1]) == base64.b64decode(file[-5:-4] + other.encode() + b"==")
    assert "«signature»" in keys.why_not(file[:-4] + other.encode() + file[-3:])


@given(st.binary(max_size=600) | st.text(max_size=300).map(lambda text: text.encode()))
def test_no_bytes_make_the_parser_fail_otherwise(data: bytes) -> None:
    for file in (data, signing.FIRST_LINE.encode() + b"\n" + data):
        with pytest.raises(SignatureError):
            signing.parse(file)


def test_of_a_huge_signature_file_only_the_beginning_is_read(tmp_path: Path) -> None:
    path = tmp_path / "m.pkl.sig"
    with path.open("wb") as stream:
        stream.truncate(1 << 40)
    assert len(signing.read(path)) == signing.LIMIT_BYTES + 1


@pytest.mark.skipif(os.name != "posix", reason="POSIX files")
def test_a_signature_that_is_no_regular_file_is_read_as_nothing(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.sig")
    (tmp_path / "folder.sig").mkdir()
    (tmp_path / "good").write_bytes(b"x")
    (tmp_path / "link.sig").symlink_to(tmp_path / "good")
    for name in ("pipe.sig", "folder.sig", "link.sig"):
        assert signing.read(tmp_path / name) == b""


# Keys


def test_a_key_that_is_not_trusted_is_refused_and_named(keys: Keys, tmp_path: Path) -> None:
    stranger = Keys(tmp_path / "others").trust()
    file = signed(stranger)
    own = signing.key_id(stranger.public_key().public_bytes_raw())
    wanted = f"la clave {own} no está entre las de confianza"
    assert keys.why_not(file) == wanted
    keys.trust()
    assert keys.why_not(file) == wanted
    with pytest.raises(SignatureError, match="not a trusted one"):
        signing.verify(file, MODEL, SIDECAR, tmp_path / "absent")


def test_the_name_of_a_trusted_key_is_not_enough(keys: Keys) -> None:
    """A stranger's signature that claims the id of a key that is trusted."""
    own = signing.key_id(keys.trust().public_key().public_bytes_raw())
    stranger = Ed25519PrivateKey.generate()
    digests = (hashlib.sha256(MODEL).hexdigest(), hashlib.sha256(SIDECAR).hexdigest())
    message = signing.Statement(*digests, own, AT, "mes").message()
    signature = base64.b64encode(stranger.sign(message))
    assert "se ha cambiado" in keys.why_not(message + b"signature: " + signature + b"\n")


def test_keys_take_turns(keys: Keys) -> None:
    """Rotation: the new key is added, both hold for a while, the old one is retired."""
    old = keys.trust("2025.pub")
    first = signed(old)
    second = signed(keys.trust("2026.pub"))
    assert keys.verify(first).file == "2025.pub"
    assert keys.verify(second).file == "2026.pub"
    (keys.folder / "2025.pub").rename(keys.folder / "2025.retired")
    assert "está retirada (2025.retired)" in keys.why_not(first)
    assert keys.verify(second).file == "2026.pub"
    (keys.folder / "2025.retired").unlink()
    assert "no está entre las de confianza" in keys.why_not(first)
    assert keys.verify(second).file == "2026.pub"


@pytest.mark.parametrize("copy", ["a.pub", "z.pub"])
@pytest.mark.parametrize("name", ["m.retired", "m.RETIRED", "m.retired.pub", "m.pub.retired.txt"])
def test_a_retired_key_stays_retired_whatever_copy_is_left(
    copy: str, name: str, keys: Keys
) -> None:
    """Explorer hides endings: who renames ``m.pub`` to ``m.retired`` there gets the third."""
    file = signed(keys.trust(copy))
    (keys.folder / name).write_bytes((keys.folder / copy).read_bytes())
    assert f"retirada ({name})" in keys.why_not(file)


def test_what_holds_no_such_public_key_is_left_out_and_named(
    keys: Keys, caplog: pytest.LogCaptureFixture
) -> None:
    key = keys.trust()
    private = key.private_bytes(pem.Encoding.PEM, pem.PrivateFormat.PKCS8, pem.NoEncryption())
    (keys.folder / "private.pub").write_bytes(private)
    (keys.folder / "curve.pub").write_bytes(public_pem(ec.generate_private_key(ec.SECP256R1())))
    (keys.folder / "empty.pub").write_bytes(b"")
    (keys.folder / "large.pub").write_bytes(public_pem(key) + b"\n" * signing.KEY_LIMIT_BYTES)
    (keys.folder / "folder.pub").mkdir()
    (keys.folder / "notes.txt").write_text("no key", encoding="utf-8")
    found, damaged = signing.trusted(keys.folder)
    assert [(one.file, one.retired) for one in found.values()] == [("ana.pub", False)]
    assert damaged == ["curve.pub", "empty.pub", "large.pub", "private.pub"]
    assert keys.verify(signed(key)).file == "ana.pub"
    assert "curve.pub, empty.pub" in caplog.text


def test_a_new_key_signs_once_its_public_half_is_trusted(keys: Keys, tmp_path: Path) -> None:
    private, public = tmp_path / "ana.pem", tmp_path / "ana.pub"
    own = signing.new_key(private, public, PHRASE)
    data = private.read_bytes()
    assert signing.is_encrypted(data) and b"BEGIN ENCRYPTED PRIVATE KEY" in data
    file = signed(signing.private_key(data, PHRASE))
    public.rename(keys.folder / "ana.pub")
    assert keys.verify(file).key == own


@pytest.mark.skipif(os.name != "posix", reason="Windows has no such modes")
def test_only_its_owner_may_read_a_private_key(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        signing.new_key(tmp_path / "a.pem", tmp_path / "a.pub", "")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "a.pem").stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "a.pub").stat().st_mode) == 0o644


@pytest.mark.parametrize("there", ["a.pem", "a.pub"])
def test_a_new_key_overwrites_nothing_and_leaves_no_half_pair(there: str, tmp_path: Path) -> None:
    (tmp_path / there).write_bytes(b"precious")
    with pytest.raises(FileExistsError):
        signing.new_key(tmp_path / "a.pem", tmp_path / "a.pub", "")
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [
        (there, b"precious")
    ]


@pytest.mark.parametrize("phrase", ["x", "12345678901", "x" * 256])
def test_a_passphrase_that_protects_nothing_makes_no_key(phrase: str, tmp_path: Path) -> None:
    with pytest.raises(SignatureError, match="12 to 255"):
        signing.new_key(tmp_path / "a.pem", tmp_path / "a.pub", phrase)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("phrase", ["", "otra frase de paso", PHRASE + " ", "x" * 5000])
def test_a_wrong_passphrase_opens_no_key(phrase: str, tmp_path: Path) -> None:
    signing.new_key(tmp_path / "a.pem", tmp_path / "a.pub", PHRASE)
    with pytest.raises(SignatureError, match="passphrase is wrong"):
        signing.private_key((tmp_path / "a.pem").read_bytes(), phrase)


def test_other_keys_do_not_sign(tmp_path: Path) -> None:
    curve = ec.generate_private_key(ec.SECP256R1()).private_bytes(
        pem.Encoding.PEM, pem.PrivateFormat.PKCS8, pem.NoEncryption()
    )
    for data in (b"", b"junk", curve, public_pem(Ed25519PrivateKey.generate())):
        with pytest.raises(SignatureError, match="no Ed25519 private one"):
            signing.private_key(data, "")


# Settings


def test_the_keys_lie_in_the_state_folder_unless_told_otherwise(tmp_path: Path) -> None:
    def folder(**more: str) -> Path:
        environment = {f"PROPENSIA_{name}": text for name, text in more.items()}
        return settings.load(environment, tmp_path / "absent.toml").signature_keys

    assert folder(STATE=str(tmp_path)) == tmp_path / "keys"
    assert folder(STATE=str(tmp_path), SIGNATURE_KEYS="claves") == tmp_path / "claves"
    assert folder(SIGNATURE_KEYS=str(tmp_path / "x")) == tmp_path / "x"


def test_only_the_known_ways_to_ask_for_signatures_are_taken(tmp_path: Path) -> None:
    with pytest.raises(settings.SettingsError, match=r"'signatures'.*off, required"):
        settings.load({"PROPENSIA_SIGNATURES": "yes"}, tmp_path / "absent.toml")

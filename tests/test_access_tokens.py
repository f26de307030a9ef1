"""Tokens of an identity provider, against tokens that were made without the library."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed448, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from hypothesis import given
from hypothesis import strategies as st
from signed_tokens import AUDIENCE, claims, forgeries, jwk, pem, private, token, write_set

from propensia import files, settings
from propensia.access import typed
from propensia.access.provider import LEEWAY_S, Provider
from propensia.access.roles import ROLES, Caller
from propensia.access.tokens import ALGORITHMS, MOST_KNOWN, Known, Tokens
from propensia.settings import Settings, SettingsError

by_algorithm = pytest.mark.parametrize("algorithm", ALGORITHMS)


def tokens(path: Path, data: bytes | None = None, **settings: Any) -> Tokens:
    """The reader of a file of keys, which holds ``data``."""
    if data is not None:
        path.write_bytes(data)
    chosen = Settings(jwt_keys=str(path), jwt_audience=AUDIENCE, **settings)
    made = Tokens.of(chosen)
    assert made is not None
    made.refresh()
    return made


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Tokens:
    """The reader of one key for ES256."""
    return tokens(tmp_path_factory.mktemp("alone") / "k.pem", pem(private("ES256")))


def role(reader: Tokens, text: str) -> str | None:
    caller = reader.caller(text)
    return None if caller is None else caller.role


# Good tokens


@by_algorithm
def test_a_token_that_the_key_signed_says_who_calls(tmp_path: Path, algorithm: str) -> None:
    key = private(algorithm)
    caller = tokens(tmp_path / "k.pem", pem(key)).caller(token(key, role="analyst"))
    assert caller is not None
    who = (caller.name, caller.role, caller.means, caller.key)
    assert who == ("jwt:ana", "analyst", "token", "")


@by_algorithm
def test_a_token_of_the_original_library_is_good_too(tmp_path: Path, algorithm: str) -> None:
    key = private(algorithm)
    text = jwt.encode(claims(), key, algorithm=algorithm, headers={"kid": "7"})
    assert role(tokens(tmp_path / "k.pem", pem(key)), text) == "tester"


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({"role": "admin"}, "admin"),
        ({"role": ["caller", "approver", "nobody"]}, "approver"),
        ({"role": list(ROLES)}, "admin"),
        ({"role": ["tester", 7, None, {}]}, "tester"),
        ({"aud": [AUDIENCE, "otra"]}, "tester"),
        ({"exp": -LEEWAY_S + 15}, "tester"),
        ({"nbf": LEEWAY_S - 15}, "tester"),
        ({"iat": None}, "tester"),
    ],
)
def test_what_a_good_token_may_say(tmp_path: Path, changes: dict[str, Any], found: str) -> None:
    """Times in seconds from now, which is not when these lines were collected."""
    key, now = private("ES256"), int(time.time())
    changes = {k: v + now if k in ("exp", "nbf") else v for k, v in changes.items()}
    assert role(tokens(tmp_path / "k.pem", pem(key)), token(key, **changes)) == found


@pytest.mark.parametrize(
    ("subject", "name"),
    [
        ("a\nb", "jwt:a\N{REPLACEMENT CHARACTER}b"),
        ("x" * 99, f"jwt:{'x' * 35}…{'x' * 40}"),
        ("1", "jwt:1"),
    ],
)
def test_the_name_of_a_caller_fits_in_one_line_and_is_no_key_s(
    tmp_path: Path, subject: str, name: str
) -> None:
    key = private("ES256")
    caller = tokens(tmp_path / "k.pem", pem(key)).caller(token(key, sub=subject))
    assert caller is not None and caller.name == name and len(name) <= 80
    assert ":" in name and ":" not in typed.SIGNS


@pytest.mark.parametrize("subject", [None, "", " ", "\t\n", 7, ["ana"], {}])
def test_a_token_of_nobody_lets_nobody_in(tmp_path: Path, subject: Any) -> None:
    key = private("ES256")
    assert tokens(tmp_path / "k.pem", pem(key)).caller(token(key, sub=subject)) is None


def test_the_role_stands_under_the_name_that_the_settings_say(tmp_path: Path) -> None:
    key, name = private("ES256"), "https://casa.example/papeles"
    reader = tokens(tmp_path / "k.pem", pem(key), jwt_role=name)
    assert role(reader, token(key, **{name: ["analyst"]})) == "analyst"
    assert reader.caller(token(key, role="admin")) is None


def test_the_issuer_counts_where_the_settings_name_one(tmp_path: Path) -> None:
    key, own = private("ES256"), "https://id.casa.example"
    reader = tokens(tmp_path / "k.pem", pem(key), jwt_issuer=own)
    assert role(reader, token(key, iss=own)) == "tester"
    for other in (None, "https://id.otra.example", own + "/", [own]):
        assert reader.caller(token(key, iss=other)) is None


# Tokens that must not be let in


@by_algorithm
@pytest.mark.parametrize("named", [True, False], ids=["set", "pem"])
def test_no_forgery_is_let_in(tmp_path: Path, algorithm: str, named: bool) -> None:
    key, path = private(algorithm), tmp_path / "keys"
    kid = "uno" if named else None
    if named:
        write_set(path, jwk(key, kid=kid), jwk(private("ES256", 5), kid="dos"))
    else:
        path.write_bytes(pem(key))
    reader = tokens(path)
    head = {"kid": kid} if named else {}
    assert role(reader, token(key, head, role="admin")) == "admin"
    let_in = [idea for idea, text in forgeries(key, kid).items() if reader.caller(text)]
    assert let_in == []


def test_the_header_cannot_choose_another_algorithm_of_the_list(tmp_path: Path) -> None:
    """All three are allowed, and each key is for one of them only."""
    write_set(tmp_path / "k", *(jwk(private(name), kid=name) for name in ALGORITHMS))
    reader = tokens(tmp_path / "k")
    for own in ALGORITHMS:
        for said in ALGORITHMS:
            text = token(private(own), {"alg": said, "kid": own})
            assert (reader.caller(text) is not None) == (own == said)


@given(st.text(max_size=300) | st.builds(".".join, st.lists(st.text(max_size=90), max_size=4)))
def test_any_text_is_refused_without_an_error(alone: Tokens, text: str) -> None:
    assert alone.caller(text) is None


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.integers() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
        max_leaves=5,
    ),
    st.sampled_from(["alg", "kid", "crit", "typ", "exp", "nbf", "iat", "aud", "sub", "role"]),
)
def test_any_value_in_any_place_is_no_error(alone: Tokens, value: Any, name: str) -> None:
    """Signed by the provider itself, whose mistakes must not become ours."""
    in_header = name in ("alg", "kid", "crit", "typ")
    header, said = ({name: value}, {}) if in_header else ({}, {name: value})
    caller = alone.caller(token(private("ES256"), header, **said))
    assert caller is None or caller.role in ROLES


# Files of keys


def test_a_kid_selects_inside_the_set_and_nowhere_else(tmp_path: Path) -> None:
    one, two = private("RS256"), private("RS256", 2)
    write_set(tmp_path / "k", jwk(one, kid="1"), jwk(two, kid="2", use="sig", alg="RS256"))
    reader = tokens(tmp_path / "k")
    assert role(reader, token(one, {"kid": "1"})) == "tester"
    assert role(reader, token(two, {"kid": "2"})) == "tester"
    for head in ({"kid": "2"}, {"kid": "3"}, {}):
        assert reader.caller(token(one, head)) is None


@pytest.mark.parametrize(
    ("in_set", "in_token", "good"),
    [
        (None, None, True),
        (None, "x", True),
        ("x", None, True),
        ("x", "x", True),
        ("x", "y", False),
    ],
)
def test_a_key_that_is_alone_needs_no_name(
    tmp_path: Path, in_set: str | None, in_token: str | None, good: bool
) -> None:
    key = private("EdDSA")
    write_set(tmp_path / "k", jwk(key, **({} if in_set is None else {"kid": in_set})))
    head = {} if in_token is None else {"kid": in_token}
    assert (tokens(tmp_path / "k").caller(token(key, head)) is not None) == good


def test_keys_that_are_not_for_signatures_of_ours_are_left_aside(tmp_path: Path) -> None:
    """A provider's set holds what other programs need, too (RFC 7517, 5)."""
    key, others = private("RS256"), private("RS256", 2)
    write_set(
        tmp_path / "k",
        jwk(others, kid="enc", use="enc"),
        jwk(others, kid="ops", key_ops=["encrypt"]),
        jwk(others, kid="alg", alg="RSA-OAEP"),
        jwk(others, kid="512", alg="RS512"),
        jwk(ec.generate_private_key(ec.SECP384R1()), kid="384"),
        {"kty": "nuevo", "kid": "nuevo"},
        jwk(key, kid="sig", use="sig", key_ops=["verify"], alg="RS256"),
    )
    reader = tokens(tmp_path / "k")
    assert role(reader, token(key, {"kid": "sig"})) == "tester"
    for kid in ("enc", "ops", "alg", "512"):
        assert reader.caller(token(others, {"kid": kid})) is None


def test_an_algorithm_that_the_settings_leave_out_is_not_taken(tmp_path: Path) -> None:
    write_set(tmp_path / "k", jwk(private("RS256"), kid="1"), jwk(private("ES256"), kid="2"))
    reader = tokens(tmp_path / "k", jwt_algorithms="ES256, EdDSA")
    assert role(reader, token(private("ES256"), {"kid": "2"})) == "tester"
    assert reader.caller(token(private("RS256"), {"kid": "1"})) is None


def private_pem() -> bytes:
    return private("ES256").private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def set_of(*rows: Any) -> bytes:
    return json.dumps({"keys": list(rows)}).encode()


SHORT = rsa.generate_private_key(65537, 1024)
BAD_FILES = {
    "empty": (b"", "ni un PEM"),
    "half a PEM": (pem(private("RS256"))[:200] + b"\n-----END PUBLIC KEY-----", "dañada"),
    "two PEM": (pem(private("RS256")) * 2, "una sola clave"),
    "a certificate": (
        b"-----BEGIN CERTIFICATE-----\nMIIB\n-----END",
        "ni un PEM",
    ),
    "a private key": (private_pem(), "privada"),
    "a short RSA key": (pem(SHORT), "2048"),
    "another curve": (pem(ec.generate_private_key(ec.SECP384R1())), "P-256"),
    "Ed448": (pem(ed448.Ed448PrivateKey.generate()), "Ed25519"),
    "half a set": (set_of(jwk(private("RS256")))[:-9], "JWKS"),
    "no list": (b'{"keys": 7}', "JWKS"),
    "no keys": (b'{"otra": []}', "JWKS"),
    "an empty set": (set_of(), "ninguna clave"),
    "a set of texts": (set_of("RSA"), "JWKS"),
    "a set without end": (b'{"keys": ' + b"[" * 100_000, "JWKS"),
    "a shared secret": (set_of({"kty": "oct", "k": "c2VjcmV0bw"}), "secreta"),
    "a private JWK": (set_of(jwk(private("ES256"), d="c2VjcmV0bw")), "secreta"),
    "a JWK without its number": (set_of({"kty": "RSA", "e": "AQAB"}), "dañada"),
    "a JWK of other letters": (set_of({"kty": "RSA", "e": "AQAB", "n": "!!"}), "dañada"),
    "a point off the curve": (set_of(jwk(private("ES256"), x="AAAA")), "dañada"),
    "a short RSA JWK": (set_of(jwk(SHORT)), "2048"),
    "a kid that is no text": (set_of(jwk(private("ES256"), kid=7)), "JWKS"),
    "one name twice": (
        set_of(jwk(private("ES256"), kid="a"), jwk(private("ES256", 2), kid="a")),
        "su propio",
    ),
    "two without a name": (set_of(jwk(private("ES256")), jwk(private("ES256", 2))), "su propio"),
    "too large": (b"{" + b" " * (1 << 20), "FileTooLarge"),
}


@pytest.mark.parametrize("case", BAD_FILES)
def test_a_file_of_keys_that_cannot_be_used_stops_the_start_and_says_why(
    tmp_path: Path, case: str
) -> None:
    data, why = BAD_FILES[case]
    with pytest.raises(SettingsError) as caught:
        tokens(tmp_path / "claves.json", data)
    text = str(caught.value)
    assert "jwt_keys" in text and "claves.json" in text and why in text
    assert not any(part in text for part in ("c2VjcmV0bw", "AQAB", "MIIB", "!!"))


def test_a_file_of_keys_that_is_not_there_stops_the_start(tmp_path: Path) -> None:
    for path in (tmp_path / "nada.pem", tmp_path):
        with pytest.raises(SettingsError, match="no se puede leer"):
            tokens(path)


# Replaced keys


def test_replaced_keys_count_at_once_and_what_the_old_ones_signed_does_not(
    tmp_path: Path,
) -> None:
    old, new, path = private("ES256"), private("ES256", 2), tmp_path / "k.pem"
    reader = tokens(path, pem(old))
    first, second = token(old), token(new)
    assert (role(reader, first), role(reader, second)) == ("tester", None)
    time.sleep(0.05)  # of two moments in one tick of its clock a file system tells one
    path.write_bytes(pem(new))
    reader.refresh()
    assert (role(reader, first), role(reader, second)) == (None, "tester")


@pytest.mark.parametrize("damage", ["half", "gone"])
def test_damaged_keys_change_nothing_while_running_and_are_told(
    tmp_path: Path, damage: str
) -> None:
    key, path = private("ES256"), tmp_path / "k.pem"
    reader = tokens(path, pem(key))
    assert reader.problem is None
    if damage == "half":
        path.write_bytes(pem(key)[:50])
    else:
        path.unlink()
    reader.refresh()
    assert reader.problem is not None and "k.pem" in reader.problem
    assert role(reader, token(key)) == "tester"
    path.write_bytes(pem(private("ES256", 2)))
    reader.refresh()
    assert reader.problem is None
    assert reader.caller(token(key)) is None


@pytest.mark.parametrize("touched", [False, True])
def test_keys_that_could_not_be_read_for_a_moment_are_taken_in_when_they_can(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, touched: bool
) -> None:
    """A scanner that holds the file open, a right that comes a second later: nothing of that
    changes the file, by which a new one is known."""
    old, new, path = private("ES256"), private("ES256", 2), tmp_path / "k.pem"
    reader = tokens(path, pem(old))
    if touched:
        path.write_bytes(pem(new))
    else:
        path.rename(tmp_path / "aside")
    with monkeypatch.context() as closed:
        closed.setattr(files, "read", failing)
        reader.refresh()
    assert reader.problem is not None and "no se puede leer" in reader.problem
    assert role(reader, token(old)) == "tester"
    if not touched:
        (tmp_path / "aside").rename(path)
    reader.refresh()
    assert reader.problem is None
    good, bad = (new, old) if touched else (old, new)
    assert (role(reader, token(good)), role(reader, token(bad))) == ("tester", None)


def failing(path: Path, limit: int) -> bytes:
    raise PermissionError(13, "Permission denied", str(path))


# What was verified before


def test_a_token_is_verified_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    key = private("RS256")
    reader = tokens(tmp_path / "k.pem", pem(key))
    asked: list[str] = []
    real = Provider.claims

    def counted(self: Provider, text: str) -> dict[str, Any] | None:
        asked.append(text)
        return real(self, text)

    monkeypatch.setattr(Provider, "claims", counted)
    one, two = token(key), token(key, role="admin")
    found = [role(reader, text) for text in (one, two, one, two, one)]
    assert found == ["tester", "admin", "tester", "admin", "tester"]
    assert asked == [one, two]


def test_a_token_that_was_good_ends_when_it_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key, path = private("ES256"), tmp_path / "k.pem"
    path.write_bytes(pem(key))
    ends = int(time.time()) + 60
    clock = iter([ends, ends + LEEWAY_S - 0.1, ends + LEEWAY_S])
    chosen = Settings(jwt_keys=str(path), jwt_audience=AUDIENCE)
    reader = Tokens(chosen, lambda: next(clock))
    reader.refresh()
    text = token(key, exp=ends)
    assert role(reader, text) == "tester"
    monkeypatch.setattr(Provider, "claims", lambda self, text: None)  # from now on, by memory
    assert [role(reader, text) for _ in range(3)] == ["tester", "tester", None]


def test_no_more_tokens_are_remembered_than_fit_and_the_oldest_goes_first() -> None:
    known = Known(Provider([], AUDIENCE, ""))
    caller = Caller("ana", "tester", "token")
    later = time.time() + 60
    for number in range(MOST_KNOWN):
        known.put(number.to_bytes(4, "big"), caller, later)
    assert known.get(bytes(4)) is caller  # asked for again: the next one is the oldest now
    known.put(b"new", caller, later)
    assert known.get(bytes(4)) is caller and known.get(b"new") is caller
    assert known.get((1).to_bytes(4, "big")) is None
    assert known.get((2).to_bytes(4, "big")) is caller


# Settings


def test_the_example_of_the_page_is_let_in(tmp_path: Path) -> None:
    text = (Path(__file__).parents[1] / "docs" / "identidad.md").read_text(encoding="utf-8")
    (chosen,) = re.findall(r"```toml\n(.*?)```", text, re.DOTALL)
    (said,) = re.findall(r"```json\n(.*?)```", text, re.DOTALL)
    key, file = private("RS256"), tmp_path / "jwks.json"
    write_set(file, jwk(key, kid="1"))
    lines = [line for line in chosen.splitlines() if not line.startswith("jwt_keys")]
    lines.append(f"jwt_keys = {json.dumps(str(file))}")
    (tmp_path / "propensia.toml").write_text("\n".join(lines), encoding="utf-8")
    reader = Tokens.of(settings.load({}, tmp_path / "propensia.toml"))
    assert reader is not None
    reader.refresh()
    told = {"role": None, "iat": None} | json.loads(said)
    assert role(reader, token(key, {"kid": "1"}, **told)) == "approver"
    for wrong in ({"iss": "https://otra.example"}, {"roles": ["otro"]}, {"aud": "otra"}):
        assert reader.caller(token(key, {"kid": "1"}, **told | wrong)) is None


@pytest.mark.parametrize("named", ["HS256", "none", "RS256,HS256", "rs256", "", "RS256,", "PS256"])
def test_only_signatures_are_algorithms(named: str) -> None:
    with pytest.raises(SettingsError, match="jwt_algorithms"):
        Tokens.of(Settings(jwt_algorithms=named))


def test_a_provider_needs_an_audience(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="jwt_audience"):
        Tokens.of(Settings(jwt_keys=str(tmp_path / "k.pem")))


def test_without_a_provider_there_are_no_tokens() -> None:
    assert Tokens.of(Settings()) is None


def test_no_token_is_good_before_the_keys_were_read(tmp_path: Path) -> None:
    path = tmp_path / "k.pem"
    path.write_bytes(pem(private("ES256")))
    reader = Tokens.of(Settings(jwt_keys=str(path), jwt_audience=AUDIENCE))
    assert reader is not None and reader.caller(token(private("ES256"))) is None


def test_a_process_without_a_provider_pays_for_none(tmp_path: Path) -> None:
    """In a fresh interpreter; and the supervisor of one with a provider does not, either."""
    code = (
        "import sys; from propensia import settings; from propensia.access import Access; "
        "from propensia.web import console; from propensia.web.app import create_app; "
        "create_app(settings.load({'PROPENSIA_STATE': sys.argv[1]}), background=False); "
        "Access(settings.load({'PROPENSIA_JWT_KEYS': 'x', 'PROPENSIA_JWT_AUDIENCE': 'y'})); "
        "print([name for name in ('jwt', 'cryptography') if name in sys.modules])"
    )
    run = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert run.stdout.strip() == "[]"

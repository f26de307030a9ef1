"""Addresses: where a request really comes from, whatever its headers say."""

from __future__ import annotations

from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from propensia.access import networks
from propensia.access.networks import NetworkError, listed, place, sender

PROXIES = listed("10.9.0.0/16, 2001:db8:9::/48, 127.0.0.1")


@pytest.mark.parametrize(
    ("remote", "forwarded", "expected"),
    [
        ("10.9.0.1", "10.1.0.7", "10.1.0.7"),
        ("10.9.0.1", "8.8.8.8, 10.1.0.7", "10.1.0.7"),
        ("10.9.0.1", "10.1.0.7,10.9.0.2", "10.1.0.7"),
        ("10.9.0.1", " 10.1.0.7 , 10.9.0.2 ", "10.1.0.7"),
        ("10.9.0.1", "10.9.0.3", "10.9.0.3"),
        ("127.0.0.1", "2001:db8::7", "2001:db8::7"),
        ("2001:db8:9::1", "10.1.0.7", "10.1.0.7"),
        ("::ffff:10.9.0.1", "::ffff:10.1.0.7", "10.1.0.7"),
        ("10.9.0.1", "10.1.0.7:51234", "10.1.0.7"),
        ("10.9.0.1", "[2001:db8::7]:51234", "2001:db8::7"),
        ("10.9.0.1", "[2001:db8::7]", "2001:db8::7"),
        ("10.9.0.1", "fe80::1%eth0", "fe80::1"),
        # A proxy that nobody trusts, or what is no address
        ("10.1.0.7", "127.0.0.1", None),
        ("10.1.0.7", "", None),
        ("10.9.0.1", "", None),
        ("10.9.0.1", "unknown", None),
        ("10.9.0.1", "10.1.0.7, ", None),
        ("10.9.0.1", "10.1.0.7, x, 10.9.0.2", None),
        ("10.9.0.1", "10.1.0.07", None),
        ("10.9.0.1", "\u0661\u0660.1.0.7", None),
        ("10.9.0.1", "2130706433", None),
        ("10.9.0.1", "0x7f.1", None),
        ("", "10.1.0.7", None),
    ],
)
def test_the_sender_is_the_last_who_is_no_proxy_of_ours(
    remote: str, forwarded: str, expected: str | None
) -> None:
    found = sender(remote, forwarded, PROXIES)
    assert found == (None if expected is None else ip_address(expected))


@pytest.mark.parametrize(
    ("remote", "expected", "is_near"),
    [
        ("127.0.0.1", "127.0.0.1", True),
        ("127.8.9.10", "127.8.9.10", True),
        ("::1", "::1", True),
        ("::ffff:127.0.0.1", "127.0.0.1", True),
        ("10.1.0.7", "10.1.0.7", False),
        ("::ffff:10.1.0.7", "10.1.0.7", False),
        ("fe80::1%eth0", "fe80::1", False),
        ("", None, False),
        ("unix:", None, False),
        ("localhost", None, False),
        ("2130706433", None, False),
    ],
)
def test_a_connection_comes_from_its_other_end(
    remote: str, expected: str | None, is_near: bool
) -> None:
    address = None if expected is None else ip_address(expected)
    assert place(remote) == (address, is_near)


ADDRESSES = st.one_of(st.ip_addresses(v=4), st.ip_addresses(v=6)).map(str)


@given(forged=st.lists(st.one_of(ADDRESSES, st.text(max_size=20)), max_size=4), real=ADDRESSES)
def test_nothing_that_a_client_writes_moves_the_address_that_a_proxy_adds(
    forged: list[str], real: str
) -> None:
    """A proxy of ours appends the other end of its connection."""
    alone = sender("10.9.0.1", real, PROXIES)
    if networks.holds(PROXIES, ip_address(real)):
        return
    assert sender("10.9.0.1", ",".join([*forged, real]), PROXIES) == alone


@given(st.text(max_size=80), st.text(max_size=200))
def test_no_text_is_an_error(remote: str, forwarded: str) -> None:
    found = sender(remote, forwarded, PROXIES)
    assert found is None or networks.holds(PROXIES, ip_address(remote))


def test_long_texts_are_not_kept() -> None:
    before = networks._place.cache_info(), networks._is_local_name.cache_info()
    for number in range(50):
        assert place(f"{number}" + "9" * 5000) == (None, False)
        assert not networks.is_local_name(f"{number}" + "a" * 5000, "127.0.0.1")
    assert (networks._place.cache_info(), networks._is_local_name.cache_info()) == before


@pytest.mark.parametrize(
    ("host", "name"),
    [
        ("localhost", "localhost"),
        ("localhost:5000", "localhost"),
        ("127.0.0.1:5000", "127.0.0.1"),
        ("[::1]:5000", "::1"),
        ("[::1]", "::1"),
        ("LocalHost:5000", "localhost"),
        ("localhost.", "localhost"),
        ("localhost.:5000", "localhost"),
        ("localhost:", "localhost"),
        ("Casa.Example", "casa.example"),
        ("", ""),
    ],
)
def test_the_name_of_a_host_is_in_small_letters_and_without_its_port(host: str, name: str) -> None:
    assert networks.host_name(host) == name
    assert networks.is_local_name(host, "casa.Example")


@pytest.mark.parametrize(
    "host",
    [
        "[",
        "[]",
        "[]:5000",
        "[::1",
        "[::1]x",
        "[::1]evil.example:1",
        ":",
        ":5000",
        "[[::1]]",
        "::1",
        ".",
        "localhost..",
        ".localhost",
        "localhost:5000:5000",
        "localhost:x",
        "localhost:-1",
        "localhost:\N{SUPERSCRIPT ONE}",
        "localhost ",
        "localhost\n",
        "localhost,localhost",
        "localhost@evil.example",
        "evil.example/localhost",
        "127.1",
    ],
)
def test_what_is_no_host_is_no_name_of_this_machine(host: str) -> None:
    assert not networks.is_local_name(host, "127.0.0.1")


def test_an_address_is_told_by_the_network_that_was_listed() -> None:
    found = listed("10.1.0.0/16, 10.0.0.0/8, 192.168.1.7")
    assert networks.holder(found, ip_address("10.1.2.3")) == "10.1.0.0/16"
    assert networks.holder(found, ip_address("10.2.0.1")) == "10.0.0.0/8"
    assert networks.holder(found, ip_address("192.168.1.7")) == "192.168.1.7/32"
    assert networks.holder(found, ip_address("11.0.0.1")) is None
    assert networks.holder(found, None) is None


@pytest.mark.parametrize(
    "text", ["10.1.0", "10.1.0.0/33", "x", "10.1.0.0/16;10.2.0.0/16", "300.1.1.1"]
)
def test_a_list_that_is_none_is_an_error_that_names_the_part(text: str) -> None:
    with pytest.raises(NetworkError, match="no es una red"):
        listed(f"10.0.0.0/8, {text}")

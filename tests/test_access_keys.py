"""The file of the keys and what workers know of it: nothing that happens to it opens a door."""

from __future__ import annotations

import dataclasses
import hashlib
import ipaddress
import json
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from propensia import files, settings
from propensia.access import Access, Asking, Denied, keys, networks
from propensia.access.keys import AccessError, Key, Keys
from propensia.locks import Busy, Lock
from propensia.settings import SettingsError

HERE = ipaddress.ip_address("127.0.0.1")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where the keys of this test are; not made yet."""
    return tmp_path / keys.FOLDER


def add(folder: Path, name: str = "marcador", role: str = "caller", **more: Any) -> str:
    """Make a key as the command does; its text."""
    shown, made = keys.new(name, role, time.time(), **more)
    keys.change(folder, lambda known: [*known, made], anew=True)
    return shown


def replaced(folder: Path, **changes: Any) -> None:
    """Change every key in the file."""
    keys.change(folder, lambda known: [dataclasses.replace(key, **changes) for key in known])


def access(folder: Path, **chosen: Any) -> Access:
    return Access(dataclasses.replace(settings.load({}), state=folder.parent, **chosen))


def asking(key: str | None = None, **more: Any) -> Asking:
    return Asking(**{"address": HERE, "host": "127.0.0.1", "key": key} | more)


def refusal(found: Access, asked: Asking, route: str = "/prediccion") -> str:
    with pytest.raises(Denied) as denied:
        found.caller(asked, route)
    return denied.value.code


# Looking up


def test_a_key_is_found_by_its_whole_text_and_kept_as_its_sha256(folder: Path) -> None:
    shown = add(folder)
    found = Keys(folder).find(shown)
    assert found is not None and found.name == "marcador"
    for other in (shown[:-1], shown + "0", shown.upper(), f" {shown}", "", found.sha256):
        assert Keys(folder).find(other) is None
    (row,) = json.loads((folder / keys.FILE).read_bytes())["keys"]
    assert row["sha256"] == hashlib.sha256(shown.encode("ascii")).hexdigest()


def test_no_file_holds_the_key_and_no_text_of_it_shows_its_hash(folder: Path) -> None:
    shown = add(folder)
    secret = shown.removeprefix("ppk_")[9:]
    everything = b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())
    assert secret.encode() not in everything
    found = Keys(folder).find(shown)
    assert (
        found is not None and found.sha256 not in repr(found) and found.sha256 in str(everything)
    )


class Recorded(dict[str, Key]):
    """A table that remembers what it was asked for."""

    def __init__(self, table: Any) -> None:
        super().__init__(table)
        self.asked: list[str] = []

    def get(self, wanted: str, default: Any = None) -> Any:
        self.asked.append(wanted)
        return super().get(wanted, default)


def test_a_wrong_key_is_compared_by_its_hash_alone_however_much_of_it_is_right(
    folder: Path,
) -> None:
    """So there is nothing to time: one look-up each, of a text in which no letter of the key
    stands, and which changes wholly with any letter of it."""
    shown = add(folder)
    known = Keys(folder)
    known._by_hash = table = Recorded(known._by_hash)
    wrong = ["x" * len(shown), *(shown[:n] + "x" * (len(shown) - n) for n in (8, 31))]
    wrong.append(shown[:-1] + ("A" if shown[-1] != "A" else "B"))
    assert [known.find(text) for text in wrong] == [None] * len(wrong)
    assert table.asked == [hashlib.sha256(text.encode()).hexdigest() for text in wrong]
    right = hashlib.sha256(shown.encode()).hexdigest()
    assert not any(asked.startswith(right[:8]) for asked in table.asked)  # chance: 1 in 2**32


def test_a_key_that_is_no_text_is_no_key(folder: Path) -> None:
    add(folder)
    for text in ("\udcff", "ñ" * 50, "\0", "x" * 100_000):
        assert Keys(folder).find(text) is None


# What a key is good for


def test_an_expired_or_revoked_key_is_refused_like_an_unknown_one(folder: Path) -> None:
    now = time.time()
    old, gone, good = (
        add(folder, name="a", expires=now - 1),
        add(folder, name="b", revoked=now - 1),
        add(folder, name="c", expires=now + 99),
    )
    found = access(folder)
    assert found.caller(asking(good), "/prediccion").name == "c"
    for shown in (old, gone, "ppk_00000000_unknown", ""):
        assert refusal(found, asking(shown)) == "clave_no_valida"
    assert refusal(found, asking()) == "clave_no_valida"


def test_a_key_holds_only_in_its_networks_and_for_its_routes(folder: Path) -> None:
    nets = networks.listed("10.1.0.0/16, 2001:db8::/32")
    shown = add(folder, networks=nets, routes=frozenset({"/prediccion"}))
    found = access(folder)
    for inside in ("10.1.2.3", "2001:db8::7"):
        asked = asking(shown, address=ipaddress.ip_address(inside))
        assert found.caller(asked, "/prediccion").key
        assert refusal(found, asked, "/predict") == "sin_permiso"
    for outside in (HERE, ipaddress.ip_address("10.2.0.1"), None):
        assert refusal(found, asking(shown, address=outside)) == "clave_no_valida"


def test_a_key_for_the_address_is_none_for_a_header_and_the_other_way_round(folder: Path) -> None:
    in_path, in_header = add(folder, name="a", in_path=True), add(folder, name="b")
    found = access(folder)
    assert found.caller(asking(path_key=in_path), "/prediccion").name == "a"
    assert refusal(found, asking(in_path)) == "clave_no_valida"
    assert refusal(found, asking(path_key=in_header)) == "clave_no_valida"


def test_a_list_of_networks_that_is_none_is_a_wrong_setting(folder: Path) -> None:
    for name in ("open_networks", "trusted_proxies"):
        with pytest.raises(SettingsError, match=rf"'{name}'.*10\.0\.0/8"):
            access(folder, **{name: "10.0.0/8"})


# The file changes


def test_what_changes_in_the_file_is_taken_in_at_the_next_look(folder: Path) -> None:
    known = Keys(folder)
    assert not known
    shown = add(folder)
    known.refresh()
    found = known.find(shown)
    assert known and found is not None and known.by_id(found.id) is found
    assert known.count_good(time.time()) == 1
    replaced(folder, revoked=time.time())
    known.refresh()
    found = known.find(shown)
    assert found is not None and not found.is_good(time.time())
    assert known and known.count_good(time.time()) == 0, "without a good key it is still closed"


def test_a_file_that_did_not_change_is_not_read_again(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add(folder)
    known = Keys(folder)
    monkeypatch.setattr(files, "read_json", lambda path: pytest.fail("read again"))
    known.refresh()


def test_everything_about_a_key_survives_the_file(folder: Path) -> None:
    nets = networks.listed("10.1.0.0/16, 10.2.0.7, 2001:db8::/32")
    routes = frozenset({"/prediccion", "/predict"})
    full = {"expires": 2e9, "revoked": 1.5e9, "networks": nets, "routes": routes, "in_path": True}
    wanted = [keys.new("añejo", "caller", 1e9, **full)[1], keys.new("b", "admin", 1.0)[1]]
    keys.change(folder, lambda known: wanted)
    assert keys.stored(folder) == wanted


def test_many_commands_at_once_lose_no_key(folder: Path) -> None:
    texts: list[str] = []

    def make(number: int) -> None:
        for turn in range(3):
            texts.append(add(folder, name=f"{number}-{turn}"))

    threads = [threading.Thread(target=make, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    known = Keys(folder)
    assert len(texts) == 24 and all(known.find(text) for text in texts)


def test_a_command_that_waits_too_long_for_another_changes_nothing(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add(folder)
    before = (folder / keys.FILE).read_bytes()
    monkeypatch.setattr(keys, "PATIENCE_S", 0.05)
    with Lock(folder / keys.LOCK), pytest.raises(Busy):
        add(folder, name="otra")
    assert (folder / keys.FILE).read_bytes() == before


# Only the owner


@pytest.mark.skipif(os.name != "posix", reason="POSIX rights")
def test_nobody_else_may_enter_the_folder_or_read_what_it_holds(folder: Path) -> None:
    folder.mkdir(mode=0o755)
    add(folder)
    assert folder.stat().st_mode & 0o777 == 0o700
    assert (folder / keys.FILE).stat().st_mode & 0o777 == 0o600


@pytest.mark.skipif(os.name != "posix", reason="POSIX rights")
def test_root_does_not_leave_a_file_that_the_service_cannot_read(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if os.geteuid() == 0:
        os.chown(folder.parent, 12345, -1)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    with pytest.raises(AccessError, match=r"es de otra cuenta.*sudo -u"):
        add(folder)
    assert not folder.exists()


# The file is damaged, or gone


def test_a_file_cut_at_any_place_is_refused_and_what_was_known_stays(folder: Path) -> None:
    shown = add(folder, networks=networks.listed("10.0.0.0/8"))
    running, whole = Keys(folder), (folder / keys.FILE).read_bytes()
    for length in range(len(whole)):
        (folder / keys.FILE).write_bytes(whole[:length])
        with pytest.raises(AccessError, match=r"keys.json está dañado: restáurelo"):
            running.refresh()
        with pytest.raises(AccessError):
            Keys(folder)
    assert running and running.find(shown)
    files.write(folder / keys.FILE, whole)
    running.refresh()
    assert Keys(folder).find(shown)


def spoiled() -> dict[str, Callable[[dict[str, Any]], Any]]:
    """Ways to spoil the row of a key, by name: above all those that would widen its rights."""
    ways: dict[str, Callable[[dict[str, Any]], Any]] = {
        f"without {row.name}": lambda key, name=row.name: key.pop(name)
        for row in dataclasses.fields(Key)
        if row.init
    }
    wrong: dict[str, list[Any]] = {
        "id": ["../../x", "ABCDEF01", 7, None],
        "sha256": ["", "f" * 63, "F" * 64, 7],
        "role": ["root", None, ["admin"]],
        "created": [None, "now", float("nan")],
        "expires": ["never", float("inf"), [], "2027-01-31"],
        "revoked": ["yes", {}],
        "networks": ["10.0.0.0/8", ["10.0.0/8"], None, [7]],
        "routes": ["/prediccion", None, {}],
        "in_path": [0, "no", None],
    }
    for name, values in wrong.items():
        for value in values:
            ways[f"{name} {value!r}"] = lambda key, n=name, v=value: key.update({n: v})
    ways["a field too many"] = lambda key: key.update(network=["10.0.0.0/8"])
    return ways


@pytest.mark.parametrize("way", spoiled())
def test_a_row_that_is_not_as_it_was_written_is_no_key(way: str, folder: Path) -> None:
    add(folder)
    table = json.loads((folder / keys.FILE).read_bytes())
    spoiled()[way](table["keys"][0])
    (folder / keys.FILE).write_text(json.dumps(table), encoding="utf-8")
    with pytest.raises(AccessError):
        Keys(folder)


@pytest.mark.parametrize("same", ["id", "sha256"])
def test_two_keys_of_one_id_or_hash_are_none(same: str, folder: Path) -> None:
    """Else a second row under the id of another would survive its being revoked."""
    add(folder)
    add(folder, "otra")
    table = json.loads((folder / keys.FILE).read_bytes())
    table["keys"][1][same] = table["keys"][0][same]
    (folder / keys.FILE).write_text(json.dumps(table), encoding="utf-8")
    with pytest.raises(AccessError, match="está dañado"):
        Keys(folder)


def test_a_new_key_of_an_id_that_there_is_changes_nothing(folder: Path) -> None:
    add(folder)
    (key,) = keys.stored(folder)
    again = dataclasses.replace(key, sha256="0" * 64)
    with pytest.raises(AccessError, match="repita la orden"):
        keys.change(folder, lambda known: [*known, again])
    assert keys.stored(folder) == [key]


@pytest.mark.parametrize("content", [b"", b"null", b"[]", b"7", b'{"keys": [[]]}', b"\xff", b"{}"])
def test_a_file_that_is_something_else_is_damaged(content: bytes, folder: Path) -> None:
    add(folder)
    (folder / keys.FILE).write_bytes(content)
    with pytest.raises(AccessError, match="está dañado"):
        Keys(folder)


def test_an_empty_list_of_keys_opens_nothing(folder: Path) -> None:
    add(folder)
    keys.change(folder, lambda known: [])
    assert refusal(access(folder), asking()) == "clave_no_valida"


def test_a_file_that_is_gone_opens_neither_a_server_that_runs_nor_one_that_starts(
    folder: Path,
) -> None:
    shown = add(folder)
    found = access(folder)
    (folder / keys.FILE).unlink()
    found.tick()
    assert found.problem is not None and "falta keys.json" in found.problem
    assert found.caller(asking(shown), "/prediccion") and refusal(found, asking())
    with pytest.raises(AccessError, match=r"falta keys\.json"):
        access(folder)
    with pytest.raises(AccessError, match=r"falta keys\.json"):
        keys.change(folder, lambda known: known)
    newer = add(folder, name="otra")
    found.tick()
    assert found.problem is None and found.caller(asking(newer), "/prediccion")
    assert refusal(found, asking(shown)) == "clave_no_valida"


def test_a_folder_that_is_gone_opens_nothing_either(folder: Path) -> None:
    shown = add(folder)
    found = access(folder)
    found.caller(asking(shown), "/prediccion")
    files.remove_tree(folder)
    found.tick()
    assert found.problem is not None and "falta keys.json" in found.problem
    assert found.caller(asking(shown), "/prediccion") and refusal(found, asking())
    with pytest.raises(AccessError, match=r"falta keys\.json"):
        access(folder)


@pytest.mark.parametrize("step", [1, 2])
@pytest.mark.parametrize("is_first", [True, False])
def test_a_write_that_is_cut_short_leaves_the_file_as_it_was_or_the_service_closed(
    step: int, is_first: bool, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Power goes before the first or the second file gets its name."""
    shown = "" if is_first else add(folder)
    before = None if is_first else (folder / keys.FILE).read_bytes()
    real, count = os.replace, 0

    def replace(source: Any, target: Any) -> None:
        nonlocal count
        count += 1
        if count == step:
            raise KeyboardInterrupt
        real(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", replace)
        if not is_first and step == 2:  # only the first key of all writes two files
            add(folder, name="otra")
        else:
            with pytest.raises(KeyboardInterrupt):
                add(folder, name="otra")
    assert not list(folder.parent.rglob("*.tmp"))
    if is_first and step == 1:  # nothing was begun
        assert not Keys(folder)
    elif is_first:  # closed, until the command is repeated
        with pytest.raises(AccessError, match=r"falta keys\.json"):
            Keys(folder)
    else:
        assert Keys(folder).find(shown)
        assert ((folder / keys.FILE).read_bytes() == before) is (step == 1)
    again = add(folder, name="tercera")
    assert Keys(folder).find(again)


def test_what_decides_may_refuse_and_then_nothing_is_written(folder: Path) -> None:
    def refuse(known: list[Key]) -> list[Key]:
        raise RuntimeError

    with pytest.raises(RuntimeError):
        keys.change(folder, refuse)
    assert not Keys(folder)


# When it was used


def test_the_last_use_is_the_time_of_an_empty_file_written_by_the_tick(folder: Path) -> None:
    shown = add(folder)
    found = access(folder)
    before = time.time()
    caller = found.caller(asking(shown), "/prediccion")
    assert keys.last_use(folder, caller.key) is None, "the request itself writes nothing"
    found.tick()
    used = keys.last_use(folder, caller.key)
    assert used is not None and before - 0.01 <= used <= time.time()
    assert (folder / keys.USED / caller.key).read_bytes() == b""


def test_a_use_is_written_at_most_once_a_minute_and_never_backwards(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = add(folder)
    first, second = Keys(folder), Keys(folder)  # as two processes
    key = first.find(shown)
    assert key is not None
    clock = 1000.0
    monkeypatch.setattr(time, "monotonic", lambda: clock)
    first.used(key, 5000.0)
    first.stamp()
    first.used(key, 5030.0)
    first.stamp()
    assert keys.last_use(folder, key.id) == 5000.0
    clock += keys.STAMP_S
    first.stamp()
    assert keys.last_use(folder, key.id) == 5030.0
    second.used(key, 5010.0)
    second.stamp()
    assert keys.last_use(folder, key.id) == 5030.0


def test_what_is_no_good_key_leaves_no_trace_of_use(folder: Path) -> None:
    now = time.time()
    old, gone = add(folder, name="a", expires=now - 1), add(folder, name="b", revoked=now - 1)
    found = access(folder)
    for shown in (old, gone, "ppk_00000000_unknown", "../../x"):
        refusal(found, asking(shown))
    found.tick()
    assert not (folder / keys.USED).exists()


def test_a_tick_tells_what_is_wrong_and_raises_nothing(folder: Path) -> None:
    shown = add(folder)
    found = access(folder)
    whole = (folder / keys.FILE).read_bytes()
    (folder / keys.FILE).write_bytes(whole[:40])
    found.tick()
    assert found.problem == (
        "claves: keys.json está dañado: restáurelo de una copia; o bórrelo, y haga claves nuevas "
        "con «propensia keys create»; mientras tanto valen las de antes"
    )
    assert found.caller(asking(shown), "/prediccion")
    files.write(folder / keys.FILE, whole)
    (folder / keys.USED).write_bytes(b"a file where a folder should be")
    found.tick()
    assert found.problem is not None and "no se puede leer o escribir" in found.problem
    (folder / keys.USED).unlink()
    found.tick()
    assert found.problem is None

"""``propensia keys`` as it is typed, and what doctor and the start say about keys."""

from __future__ import annotations

import ipaddress
import json
import os
import re
import socket
import time
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result
from desk import Desk, desk

from propensia import keys as commands
from propensia.__main__ import cli
from propensia.access import Access, Asking, Denied, keys, roles
from propensia.access.limits import ENTERING, Limits
from propensia.cli import guarding
from propensia.locks import Lock
from propensia.settings import load
from propensia.terminal import Exit
from propensia.web.routes import ROUTES

__all__ = ["desk"]

DAY_S = 86400.0
KEY = re.compile(r"ppk_[0-9a-f]{8}_[A-Za-z0-9_-]{43}").findall


def typed(*words: str) -> Result:
    """A command as it ends, its two outputs apart."""
    return CliRunner().invoke(cli, ["keys", *words])


def create(desk: Desk, *words: str) -> str:
    """The key that the command prints."""
    done = typed("create", *words)
    assert done.exit_code == 0, done.output
    (shown,) = KEY(done.output)
    return str(shown)


def stored(desk: Desk) -> list[dict[str, Any]]:
    """What the file holds of every key."""
    table = json.loads((desk.state / "access" / "keys.json").read_bytes())
    return list(table["keys"])


def change(desk: Desk, number: int, **changes: Any) -> None:
    """Change what the file holds of one key, as time would."""
    path = desk.state / "access" / "keys.json"
    table = json.loads(path.read_bytes())
    table["keys"][number] |= changes
    path.write_text(json.dumps(table), encoding="utf-8")


def caller(shown: str, route: str = "/prediccion", **more: Any) -> str:
    """The name of who shows a key to a service that runs here."""
    here = {"address": ipaddress.ip_address("127.0.0.1"), "host": "127.0.0.1", "key": shown}
    return Access(load()).caller(Asking(**here | more), route).name


# Making one


def test_a_key_is_printed_once_alone_and_is_good_at_once(desk: Desk) -> None:
    done = typed("create", "marcador", "--role", "caller")
    assert KEY(done.output) == KEY(done.stdout) == [done.stdout.strip()]
    assert "X-API-Key" in done.stderr and "Es la primera: desde ahora se pide" in done.stderr
    assert "Quien llame sin ella recibe un error 401; para dar tiempo a los" in done.stderr
    assert "keys create NOMBRE --role admin" in done.stderr
    shown = done.stdout.strip()
    assert caller(shown) == "marcador"
    for path in desk.state.rglob("*"):
        assert path.is_dir() or shown[13:].encode() not in path.read_bytes()
    again = typed("create", "ana", "--role", "admin")
    assert "primera" not in again.stderr and "--role admin" not in again.stderr


def test_every_right_that_is_typed_is_kept(desk: Desk) -> None:
    before = time.time()
    create(
        desk,
        *("crm", "--role", "tester", "--expires", "36h", "--networks", "10.1.0.9/16, ::1"),
        *("--routes", "/predict, /modelos"),
    )
    (row,) = stored(desk)
    assert before <= row["created"] <= time.time()
    assert row["expires"] - row["created"] == pytest.approx(36 * 3600, abs=1)
    assert row["networks"] == ["10.1.0.0/16", "::1/128"]
    assert row["routes"] == ["/modelos", "/predict"]
    assert (row["name"], row["role"], row["in_path"]) == ("crm", "tester", False)


def test_a_key_lasts_a_year_if_nothing_is_said_and_for_ever_if_that_is(desk: Desk) -> None:
    create(desk, "uno", "--role", "caller")
    create(desk, "dos", "--role", "caller", "--expires", "never")
    first, second = stored(desk)
    assert first["expires"] - first["created"] == pytest.approx(365 * DAY_S, abs=1)
    assert second["expires"] is None


@pytest.mark.skipif(not hasattr(time, "tzset"), reason="the zone cannot be set on Windows")
def test_a_day_counts_to_its_end_by_the_clock_of_the_machine(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In Madrid the clocks go back on 31 October 2100, so that day has 25 hours."""
    monkeypatch.setenv("TZ", "CET-1CEST,M3.5.0,M10.5.0/3")
    time.tzset()
    try:
        create(desk, "uno", "--role", "caller", "--expires", "2100-10-31")
        create(desk, "dos", "--role", "caller", "--expires", "2100-10-30")
    finally:
        monkeypatch.undo()
        time.tzset()
    sunday, saturday = (row["expires"] for row in stored(desk))
    assert sunday == 4128706800.0  # date -d '2100-11-01 00:00 +0100' +%s
    assert sunday - saturday == 25 * 3600


def test_a_key_for_the_address_is_shown_as_its_part_of_the_address(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The name that callers use is not known here: there may be a proxy in front."""
    monkeypatch.setenv("PROPENSIA_PORT", "5999")
    done = typed("create", "viejo", "--role", "caller", "--path")
    (shown,) = KEY(done.output)
    assert done.stdout == f"/c/{shown}/prediccion\n"
    assert "ponga delante el nombre con que le llaman,\nhttp://NOMBRE:PUERTO;" in done.stderr
    assert "limítela a unas redes" in done.stderr and "5999" not in done.output
    assert caller("", key=None, path_key=shown) == "viejo"
    monkeypatch.setenv("PROPENSIA_HOST", "0.0.0.0")
    monkeypatch.setenv("PROPENSIA_TLS_CERTIFICATE", "tls.crt")
    done = typed("create", "otro", "--role", "caller", "--path", "--networks", "10.0.0.7")
    assert "https://NOMBRE:PUERTO" in done.stderr and "0.0.0.0" not in done.output
    assert "limítela" not in done.stderr


def test_the_first_key_says_who_still_needs_none(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PROPENSIA_OPEN_NETWORKS", "10.1.0.0/16")
    done = typed("create", "ana", "--role", "admin")
    assert "salvo en GET /prediccion a las redes de open_networks (10.1.0.0/16)." in done.stderr


def test_a_key_beside_the_tokens_of_a_provider_changes_nothing_for_others(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PROPENSIA_JWT_KEYS", "proveedor.pem")
    assert "primera" not in typed("create", "ana", "--role", "admin").stderr


@pytest.mark.parametrize(
    ("words", "because"),
    [
        ("marcador", "--role"),
        ("marcador --role boss", "caller, tester, analyst, approver, admin"),
        ("marcador --role tester --path", "solo puede ser de papel caller"),
        ("marcador --role caller --path --routes /predict", "solo vale para /prediccion"),
        ("marcador --role caller --expires 2020-01-01", "ya ha pasado"),
        ("marcador --role caller --expires 0d", "ya ha pasado"),
        ("marcador --role caller --expires tomorrow", "escriba 12h, 90d, un día como 2027-01-31"),
        (
            "marcador --role caller --expires 2027-02-30",
            "escriba 12h, 90d, un día como 2027-01-31",
        ),
        (
            "marcador --role caller --expires 9999-12-31",
            "escriba 12h, 90d, un día como 2027-01-31",
        ),
        ("marcador --role caller --expires 3000-01-01", "más de cien años"),
        ("marcador --role caller --expires 99999d", "un tiempo como 30min"),
        ("marcador --role caller --expires ٩d", "escriba 12h, 90d, un día como 2027-01-31"),
        ("marcador --role caller --networks 10.0.0/8", "'10.0.0/8' no es una red"),
        ("marcador --role caller --routes /predicion", "¿quería decir /prediccion?"),
        ("marcador --role caller --routes /x", "son: /, /cartera, "),
        ("marcador --role caller --routes /health/live", "no es una dirección que pida clave"),
        ("marcador --role caller --routes /modelos", "el papel caller no puede usar /modelos"),
        ("", "NOMBRE"),
        (f"{'m' * 65} --role caller", "de 1 a 64 letras"),
        ("marcador:x --role caller", "de 1 a 64 letras"),
        ("mаrcador --role caller", "de 1 a 64 letras"),  # noqa: RUF001 - a Cyrillic a, meant
        ("mar\u200bcador --role caller", "de 1 a 64 letras"),
        ("mar\ncador --role caller", "de 1 a 64 letras"),
        ("- --role caller", "de quién es la clave"),
        ("0123abcd --role caller", "de quién es la clave"),
        ("ppk_0123abcd_x --role caller", "de quién es la clave"),
    ],
)
def test_what_makes_no_sense_is_told_and_nothing_is_made(
    words: str, because: str, desk: Desk
) -> None:
    arguments = ["create", *words.split(" ")] if words else ["create"]
    done = typed(*arguments)
    assert done.exit_code == Exit.WRONG_USE, done.output
    assert because in done.stderr and done.stdout == ""
    assert "ppk_0123" not in done.output and not desk.state.exists()


@pytest.mark.parametrize(
    "name", ["Marcador 1", "marcador-1", "marcadór1", "MARCADOR I", "marcad0r.l"]
)
def test_a_name_that_looks_like_another_is_refused(name: str, desk: Desk) -> None:
    create(desk, "marcador 1", "--role", "caller")
    done = typed("create", name, "--role", "caller")
    assert done.exit_code == Exit.REFUSED
    assert f"«{name}» se confunde con «marcador 1»" in done.stderr
    assert len(stored(desk)) == 1


def test_a_name_is_free_again_once_its_key_is_no_longer_good(desk: Desk) -> None:
    create(desk, "ana", "--role", "admin")
    done = typed("create", "ana", "--role", "caller")
    assert done.exit_code == Exit.REFUSED and "ya hay una clave de «ana»" in done.stderr
    typed("revoke", "ana")
    create(desk, "ana", "--role", "caller")
    change(desk, 1, expires=time.time() - 1)
    create(desk, "Ana", "--role", "tester")
    assert [row["role"] for row in stored(desk)] == ["admin", "caller", "tester"]


def test_an_accent_written_in_two_ways_is_one_name(desk: Desk) -> None:
    create(desk, "jose\u0301", "--role", "caller")
    assert stored(desk)[0]["name"] == "josé"
    assert typed("revoke", "josé").exit_code == typed("revoke", "jose\u0301").exit_code == 0


# Looking at them


def test_the_list_tells_everything_but_what_could_be_used(desk: Desk) -> None:
    assert "No hay claves, y no se piden" in desk.run("keys", "list")
    assert not desk.state.exists(), "looking makes nothing"
    shown = [
        create(desk, "marcador", "--role", "caller", "--networks", "10.1.0.0/16"),
        create(desk, "viejo", "--role", "caller", "--path", "--expires", "never"),
        create(desk, "ana", "--role", "admin", "--routes", "/modelos, /"),
    ]
    used = keys.Keys(desk.state / "access")
    key = used.find(shown[0])
    assert key is not None
    used.used(key, 1.6e9)
    used.stamp()
    desk.run("keys", "revoke", "viejo")
    change(desk, 2, expires=1.7e9)
    text = desk.run("keys", "list")
    lines = {line.split()[0]: line for line in text.splitlines()}
    assert re.search(
        r" caller +vale .*2020-09-1\d .* cabecera +10.1.0.0/16 +las", lines["marcador"]
    )
    assert re.search(r" caller +revocada .* nunca +nunca +dirección +todas", lines["viejo"])
    assert re.search(r" admin +caducada .*2023-11-1\d .* /, /modelos$", lines["ana"])
    assert not KEY(text)
    assert not [row for row in stored(desk) if row["sha256"] in text or row["id"] not in text]


# Changing them


def test_a_rotated_key_has_a_successor_with_its_rights_and_goes_on_for_a_while(
    desk: Desk,
) -> None:
    rights = ("--role", "tester", "--networks", "127.0.0.0/8", "--routes", "/prediccion")
    old = create(desk, "crm", *rights, "--expires", "90d")
    change(desk, 0, created=time.time() - 80 * DAY_S, expires=time.time() + 10 * DAY_S)
    done = typed("rotate", "crm", "--overlap", "30min")
    (new,) = KEY(done.stdout)
    assert caller(old) == caller(new) == "crm" and new != old
    before, after = stored(desk)
    assert before["expires"] - time.time() == pytest.approx(1800, abs=60)
    assert after["expires"] - time.time() == pytest.approx(90 * DAY_S, abs=60)
    for same in ("name", "role", "networks", "routes", "in_path"):
        assert before[same] == after[same]
    assert f"La anterior ({before['id']}) vale hasta" in done.stderr


def test_an_overlap_never_lengthens_a_life_and_none_ends_it_at_once(desk: Desk) -> None:
    create(desk, "crm", "--role", "caller", "--expires", "1h")
    expires = stored(desk)[0]["expires"]
    typed("rotate", "crm")
    assert stored(desk)[0]["expires"] == expires
    done = typed("rotate", "crm", "--overlap", "0")
    assert "ya no vale" in done.stderr
    assert stored(desk)[1]["expires"] <= time.time()
    assert caller(KEY(done.stdout)[0]) == "crm"
    create(desk, "eterna", "--role", "caller", "--expires", "never")
    typed("rotate", "eterna", "--overlap", "7d")
    before, after = stored(desk)[3:]
    assert before["expires"] - time.time() == pytest.approx(7 * DAY_S, abs=60)
    assert after["expires"] is None


def test_rotating_a_name_ends_every_key_of_it_that_is_still_good(desk: Desk) -> None:
    """Else who rotates a key that was seen, with no overlap, leaves the one before it good."""
    first = create(desk, "crm", "--role", "caller", "--expires", "never")
    create(desk, "otra", "--role", "caller")
    (second,) = KEY(typed("rotate", "crm", "--overlap", "7d").stdout)
    (third,) = KEY(typed("rotate", "crm", "--overlap", "5d").stdout)
    ids = {shown: shown[4:12] for shown in (first, second, third)}
    expires = {row["id"]: row["expires"] for row in stored(desk)}
    for shown in (first, second):
        assert expires[ids[shown]] - time.time() == pytest.approx(5 * DAY_S, abs=60)
    done = typed("rotate", "crm", "--overlap", "0")
    for shown in (first, second, third):
        assert f"La anterior ({ids[shown]}) ya no vale." in done.stderr
        with pytest.raises(Denied):
            caller(shown)
    assert caller(KEY(done.stdout)[0]) == "crm"
    assert [row["name"] for row in stored(desk) if row["expires"] is None] == ["crm"]
    assert next(row for row in stored(desk) if row["name"] == "otra")["revoked"] is None


def test_rotating_an_id_ends_that_key_and_names_the_others(desk: Desk) -> None:
    first = create(desk, "crm", "--role", "caller", "--expires", "90d")
    (second,) = KEY(typed("rotate", "crm", "--overlap", "7d").stdout)
    done = typed("rotate", first[4:12], "--overlap", "0")
    (third,) = KEY(done.stdout)
    assert f"La anterior ({first[4:12]}) ya no vale." in done.stderr
    assert f"También vale ({second[4:12]}), hasta" in done.stderr
    assert caller(second) == caller(third) == "crm"
    with pytest.raises(Denied):
        caller(first)
    assert stored(desk)[2]["expires"] - time.time() == pytest.approx(90 * DAY_S, abs=60)
    done = typed("rotate", first[4:12])
    assert (
        done.exit_code == Exit.REFUSED
        and f"ya no vale; la que vale de ese nombre es {third[4:12]}" in done.stderr
    )


def test_what_was_revoked_is_not_rotated_and_what_expired_is(desk: Desk) -> None:
    create(desk, "crm", "--role", "caller")
    change(desk, 0, expires=time.time() - 1)
    done = typed("rotate", "crm")
    assert len(KEY(done.stdout)) == 1 and "La anterior" not in done.stderr
    typed("revoke", "crm")
    done = typed("rotate", "crm")
    assert done.exit_code == Exit.REFUSED and "está revocada" in done.stderr
    assert len(stored(desk)) == 2 and done.stdout == ""


def test_a_key_that_goes_in_the_address_is_rotated_to_an_address(desk: Desk) -> None:
    create(desk, "viejo", "--role", "caller", "--path")
    done = typed("rotate", "viejo")
    assert re.fullmatch(r"/c/ppk_\S+/prediccion\n", done.stdout)


def test_revoking_a_name_revokes_all_its_keys_and_an_id_only_one(desk: Desk) -> None:
    old = create(desk, "crm", "--role", "caller")
    (new,) = KEY(typed("rotate", "crm").stdout)
    other = create(desk, "ana", "--role", "admin")
    done = typed("revoke", stored(desk)[0]["id"])
    assert done.stdout.startswith("Revocada: «crm»") and "No queda" not in done.output
    assert caller(new) == "crm"
    assert typed("revoke", "crm").output.count("Revocada") == 1
    assert typed("revoke", "crm").output == "Ya estaba revocada.\n"
    assert caller(other) == "ana"
    assert "No queda ninguna clave que valga" in typed("revoke", "ana").stderr
    assert all(row["revoked"] for row in stored(desk)) and len({old, new, other}) == 3


@pytest.mark.parametrize("command", ["rotate", "revoke"])
def test_what_names_no_key_is_refused_and_a_key_is_not_repeated(command: str, desk: Desk) -> None:
    shown = create(desk, "crm", "--role", "caller")
    for which in ("nadie", "00000000", "", "CRM"):
        done = typed(command, which)
        assert done.exit_code == Exit.REFUSED and "ninguna clave con ese id" in done.stderr
    done = typed(command, shown)
    assert done.exit_code == Exit.REFUSED
    assert "eso es una clave" in done.stderr and shown[4:] not in done.output
    assert typed("rotate", "crm", "--overlap", "mucho").exit_code == Exit.WRONG_USE


# What else may be wrong


@pytest.mark.parametrize(
    "words", ["create otra --role caller", "list", "rotate crm", "revoke crm"]
)
@pytest.mark.parametrize("state", ["damaged", "gone", "busy"])
def test_a_file_that_cannot_be_used_is_a_fault_of_the_environment(
    words: str, state: str, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    create(desk, "crm", "--role", "caller")
    path = desk.state / "access" / "keys.json"
    monkeypatch.setattr(keys, "PATIENCE_S", 0.05)
    lock = Lock(path.with_name("keys.lock"))
    if state == "damaged":
        path.write_bytes(path.read_bytes()[:99])
    elif state == "gone":
        path.unlink()
    else:
        lock.acquire()
    done = typed(*words.split())
    lock.release()
    if (words, state) == ("list", "busy"):
        assert done.exit_code == 0
    elif words.startswith("create") and state == "gone":
        assert done.exit_code == 0 and "las de antes ya no valen" in done.stderr
    else:
        assert done.exit_code == Exit.ENVIRONMENT and done.stdout == ""
        assert {"damaged": "dañado", "gone": "falta", "busy": "otra orden"}[state] in done.stderr


def test_a_broken_contract_does_not_keep_a_key_from_being_revoked(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = create(desk, "crm", "--role", "caller")
    monkeypatch.setenv("PROPENSIA_CONTRACT", "no-hay")
    assert typed("revoke", "crm").exit_code == 0
    assert shown and stored(desk)[0]["revoked"]


def test_nobody_waits_where_nobody_answers(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """With workers alive the command ends when they have looked (``tests/flows``)."""
    monkeypatch.setattr(commands, "SETTLE_S", 1e6)
    create(desk, "crm", "--role", "caller")


@pytest.mark.parametrize("state", ["damaged", "gone"])
@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0"])
def test_a_server_does_not_start_without_knowing_its_keys(
    state: str, host: str, desk: Desk
) -> None:
    create(desk, "crm", "--role", "caller")
    path = desk.state / "access" / "keys.json"
    path.write_bytes(b"{") if state == "damaged" else path.unlink()
    text = desk.run("serve", "--host", host, "--insecure", code=Exit.ENVIRONMENT)
    assert text.startswith("no se arranca: ") and "keys.json" in text and "Traceback" not in text


@pytest.mark.parametrize(
    ("host", "address"),
    [
        ("0.0.0.0", "http://127.0.0.1:5000/"),
        ("::", "http://[::1]:5000/"),
        ("::1", "http://[::1]:5000/"),
        ("127.0.0.1", "http://127.0.0.1:5000/"),
    ],
)
def test_the_start_prints_an_address_that_a_browser_opens(
    host: str, address: str, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.publish(0.3)
    monkeypatch.setattr("propensia.web.servers.run", lambda *given: None)
    monkeypatch.setattr(os, "environ", dict(os.environ))  # the start hands settings on there
    text = desk.run("serve", "--host", host, "--insecure", "--workers", 1)
    lines = dict(re.findall(r"^([\w ]+): +(\S+)", text, re.MULTILINE))
    assert lines["Formulario"] == address and lines["Pruebe"].startswith(f"{address}prediccion?")
    outside = lines.get("Desde fuera", "")
    if host in ("0.0.0.0", "::"):
        assert outside == f"http://{socket.gethostname()}:5000/,"
    else:
        assert not outside


# The pages of help, and the guide


def test_the_help_names_every_role_and_the_guide_every_command_and_option() -> None:
    page = Path(commands.__file__).parents[1] / "docs" / "claves.md"
    text = page.read_text(encoding="utf-8")
    for name, command in guarding.group.commands.items():
        assert f"propensia keys {name}" in text
        for parameter in command.params:
            if isinstance(parameter, click.Option):
                assert f"`{parameter.opts[0]}" in text, parameter.name
    role = next(p for p in guarding.create.params if p.name == "role")
    assert isinstance(role, click.Option) and role.help is not None
    assert [word for word in re.findall(r"\w+", role.help) if word in roles.ROLES] == [
        *roles.ROLES
    ]


def test_the_guide_tells_what_each_role_may() -> None:
    page = Path(commands.__file__).parents[1] / "docs" / "claves.md"
    rows = re.findall(r"^\| `(\w+)` \|(.*)\|$", page.read_text(encoding="utf-8"), re.MULTILINE)
    assert [role for role, _ in rows if role in roles.ROLES] == [*roles.ROLES]
    for role in roles.ROLES:
        cells = [cell.strip() for cell in dict(rows)[role].split("|")[1:]]
        may = [bool(cell) for cell in cells]
        assert may == [role in may_do for may_do in roles.PERMISSIONS.values()]


def test_the_guide_names_every_file_of_access(desk: Desk) -> None:
    """After all that makes one: keys, requests, and a session that is ended."""
    shown = create(desk, "ana", "--role", "tester")
    found = Access(load())
    found.prepare()
    assert caller(shown) == "ana"
    key = found.keys.find(shown)
    assert key is not None
    session = found.sessions.read(found.sessions.begin(key))
    assert session is not None
    found.sessions.end(session)
    found.keys.used(key, time.time())
    found.keys.stamp()
    Limits(load()).take(ENTERING, "net 10.0.0.1")
    made = {path.relative_to(desk.state) for path in desk.state.rglob("*") if path.is_file()}
    made = {path for path in made if path.parts[0].startswith("access")}  # not the audit log
    names = {"used": "ID", "ended": "MARCA"}
    made = {path.with_name(names.get(path.parent.name, path.name)) for path in made}
    page = Path(commands.__file__).parents[1] / "docs" / "claves.md"
    rows = re.findall(r"^\| ((?:`access\S+`(?:, )?)+) \|", page.read_text("utf-8"), re.MULTILINE)
    told = {Path(name) for row in rows for name in re.findall("`(.+?)`", row)}
    assert made == told


def test_every_route_that_asks_for_a_key_may_be_named(desk: Desk) -> None:
    asking = {route.path for route in ROUTES if route.permission is not None}
    create(desk, "todo", "--role", "admin", "--routes", ",".join(asking))
    assert set(stored(desk)[0]["routes"]) == asking


# Doctor


def doctor(desk: Desk, code: int = Exit.DONE) -> dict[str, str]:
    """The mark of each of its sentences."""
    lines = [line.split(maxsplit=1) for line in desk.run("doctor", code=code).splitlines()]
    return {sentence: mark for mark, sentence in lines}


def mark(found: dict[str, str], beginning: str) -> str:
    (sentence,) = [sentence for sentence in found if sentence.startswith(beginning)]
    return found[sentence]


def test_doctor_tells_whether_keys_are_asked_for(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert mark(doctor(desk), "no se piden claves, y solo llaman programas de esta") == "bien"
    monkeypatch.setenv("PROPENSIA_HOST", "0.0.0.0")
    assert mark(doctor(desk, Exit.REFUSED), "0.0.0.0 se alcanza desde otras") == "fallo"
    monkeypatch.setenv("PROPENSIA_INSECURE", "1")
    assert mark(doctor(desk), "0.0.0.0 se alcanza desde otras máquinas y no se piden") == "aviso"
    create(desk, "crm", "--role", "caller")
    assert mark(doctor(desk), "se piden claves: valen 1") == "bien"
    desk.run("keys", "revoke", "crm")
    assert mark(doctor(desk, Exit.REFUSED), "se piden claves: valen 0") == "fallo"


def test_doctor_names_keys_that_expire_soon_or_that_nobody_used(desk: Desk) -> None:
    for name in ("pronto", "ociosa", "usada", "nueva", "rotada"):
        create(desk, name, "--role", "caller")
    now = time.time()
    for number in range(3):
        change(desk, number, created=now - 8 * DAY_S)
    change(desk, 0, expires=now + 13 * DAY_S)
    change(desk, 1, expires=now + 15 * DAY_S)
    folder = desk.state / "access" / "used"
    folder.mkdir()
    for number in (0, 2):
        (folder / stored(desk)[number]["id"]).touch()
    desk.run("keys", "rotate", "rotada")
    found = doctor(desk)
    (soon,) = [text for text in found if text.startswith("caducan en menos de 14 días")]
    (idle,) = [text for text in found if text.startswith("nadie ha usado nunca")]
    assert (found[soon], found[idle]) == ("aviso", "aviso")
    assert re.findall(r"(\w+) \([0-9a-f]{8}\)", soon) == ["pronto"]
    assert re.findall(r"(\w+) \([0-9a-f]{8}\)", idle) == ["ociosa"]


def test_doctor_finds_a_damaged_file_and_a_folder_that_is_open(desk: Desk) -> None:
    create(desk, "crm", "--role", "caller")
    folder = desk.state / "access"
    if os.name == "posix":
        folder.chmod(0o750)
        assert mark(doctor(desk, Exit.REFUSED), f"otras cuentas pueden entrar en {folder}")
        folder.chmod(0o700)
    assert not [text for text in doctor(desk) if "otras cuentas" in text]
    (folder / "keys.json").write_bytes(b"[")
    assert mark(doctor(desk, Exit.REFUSED), "acceso: keys.json está dañado") == "fallo"


def test_doctor_tells_settings_of_access_that_are_wrong(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PROPENSIA_OPEN_NETWORKS", "10.0.0/8")
    found = doctor(desk, Exit.REFUSED)
    assert mark(found, "acceso: el ajuste 'open_networks' no es una lista") == "fallo"

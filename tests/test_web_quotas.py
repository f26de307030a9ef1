"""What is counted at the door: who is held up by whom, and who never is."""

from __future__ import annotations

import re
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from propensia.access import keys
from propensia.access.limits import ENTERING, FAILED, KEYLESS
from propensia.settings import Settings
from propensia.web.app import create_app
from propensia.web.door import COOKIE

HERE, AWAY = {"REMOTE_ADDR": "10.0.0.1"}, {"REMOTE_ADDR": "10.0.0.2"}


class Desk:
    """An installation, with or without keys, and one process of it."""

    def __init__(self, state: Path, **settings: Any) -> None:
        self.chosen = Settings(
            state=state, models=state / "models", rate_limit="off", request_log_days=0, **settings
        )

    def key(self, name: str, role: str) -> str:
        shown, made = keys.new(name, role, time.time())
        keys.change(self.chosen.state / keys.FOLDER, lambda known: [*known, made])
        return shown

    def client(self) -> FlaskClient:
        return create_app(self.chosen, background=False).test_client(use_cookies=False)


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def statuses(client: FlaskClient, count: int, path: str = "/modelos", **more: Any) -> Counter[int]:
    return Counter(client.get(path, **more).status_code for _ in range(count))


def test_a_flood_without_a_key_is_told_to_wait_and_holds_up_nobody_else(desk: Desk) -> None:
    good = {"X-API-Key": desk.key("good", "tester")}
    client = desk.client()
    assert statuses(client, KEYLESS.count, environ_base=HERE) == {401: KEYLESS.count}
    refused = client.get("/prediccion", environ_base=HERE)
    assert refused.status_code == 429
    assert refused.get_json()["type"] == "urn:propensia:limite_superado"
    assert 1 <= int(refused.headers["Retry-After"]) <= 62
    assert refused.headers["RateLimit-Policy"] == f'"keyless";q={KEYLESS.count};w=60'
    assert client.get("/modelos", headers=good, environ_base=HERE).status_code == 200
    assert client.get("/modelos", headers={"X-API-Key": "x"}, environ_base=HERE).status_code == 401
    assert client.get("/modelos", environ_base=AWAY).status_code == 401
    assert client.get("/entrar", environ_base=HERE).status_code == 200


def test_who_needs_no_key_is_never_counted(tmp_path: Path) -> None:
    """Programs of this machine while there is no key; listed networks."""
    desk = Desk(tmp_path, open_networks="10.0.0.1")
    client = desk.client()
    assert statuses(client, KEYLESS.count + 10) == {200: KEYLESS.count + 10}
    asked = statuses(client, KEYLESS.count + 10, "/prediccion", environ_base=HERE)
    assert set(asked) == {400}


NO_KEYS: dict[str, tuple[str, dict[str, str]]] = {
    "wrong": ("/modelos", {"X-API-Key": "x"}),
    "two": ("/modelos", {"X-API-Key": "x", "Authorization": "Bearer y"}),
    "another scheme": ("/modelos", {"Authorization": "Basic x"}),
    "in an address that takes none": ("/c/x/modelos", {}),
    "in the address": ("/c/x/prediccion", {}),
}


@pytest.mark.parametrize("name", NO_KEYS)
def test_whatever_is_no_good_key_is_counted(desk: Desk, name: str) -> None:
    desk.key("good", "admin")
    path, headers = NO_KEYS[name]
    told = statuses(desk.client(), FAILED.count + 1, path, headers=headers, environ_base=HERE)
    assert told == {401: FAILED.count, 429: 1}


def entered(client: FlaskClient, shown: str) -> TestResponse:
    return client.post("/entrar", data={"clave": shown}, environ_base=HERE)


def test_wrong_keys_of_others_keep_nobody_from_logging_in(desk: Desk) -> None:
    good = desk.key("good", "tester")
    client = desk.client()
    told = Counter(entered(client, f"guess {n}").status_code for n in range(ENTERING.count))
    assert told == {401: ENTERING.count}
    refused = entered(client, "guess")
    assert refused.status_code == 429 and 1 <= int(refused.headers["Retry-After"]) <= 62
    assert refused.headers["RateLimit-Policy"] == f'"entering";q={ENTERING.count};w=60'
    assert entered(client, good).status_code == 303


def test_no_number_of_good_logins_is_too_many(desk: Desk) -> None:
    good, client = desk.key("good", "tester"), desk.client()
    told = Counter(entered(client, good).status_code for _ in range(ENTERING.count + 1))
    assert told == {303: ENTERING.count + 1}


def test_strangers_who_log_out_keep_nobody_from_logging_out(desk: Desk) -> None:
    good, client = desk.key("good", "tester"), desk.client()
    cookie = entered(client, good).headers["Set-Cookie"].partition(";")[0]
    assert cookie.startswith(f"{COOKIE}=")
    person = {"Cookie": cookie}
    page = client.get("/", headers=person | {"Accept": "text/html"}, environ_base=HERE).text
    found = re.search(r'name="csrf" value="([^"]+)"', page)
    assert found is not None
    told = Counter(
        client.post("/salir", environ_base=HERE).status_code for _ in range(ENTERING.count + 1)
    )
    assert told == {303: ENTERING.count, 429: 1}
    form = {"csrf": found[1]}
    left = client.post("/salir", data=form, headers=person, environ_base=HERE)
    assert left.status_code == 303
    assert client.get("/modelos", headers=person, environ_base=HERE).status_code == 401


def test_a_body_that_is_too_long_is_refused_with_how_long_it_may_be(desk: Desk) -> None:
    desk.chosen = Settings(
        state=desk.chosen.state, models=desk.chosen.models, max_batch_size=10_000, max_file_mb=7
    )
    client = desk.client()
    long = {"CONTENT_LENGTH": str(10**9)}
    told = {
        path: client.post(path, environ_overrides=long).get_json()["detail"]
        for path in ("/entrar", "/predict", "/predict/batch", "/modelos")
    }
    assert told == {
        "/entrar": "El contenido puede ocupar como mucho 16 KiB.",
        "/predict": "El contenido puede ocupar como mucho 64 KiB.",
        "/predict/batch": "El contenido puede ocupar como mucho 19 MiB.",
        "/modelos": "El contenido puede ocupar como mucho 8 MiB.",
    }

"""What a person sees who needs a key: logging in and out, in a browser and in every worker."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from urllib.parse import quote, urlencode

import pytest
from browsing import address, opened, with_browser
from guarded import copied, key
from playwright.sync_api import Browser, Page, Request
from server import Place, Reply, Server, ask, prediccion, propensia_command, running, wait_for

from propensia.access import keys
from propensia.web.door import COOKIE

ASKED = prediccion() + "&motivos=5"
REFUSED = [f"the server responded with a status of {status}" for status in (401, 403)]


@pytest.fixture(scope="module")
def place(admitted: Place, tmp_path_factory: pytest.TempPathFactory) -> Place:
    """An installation that asks for keys."""
    return copied(admitted, tmp_path_factory.mktemp("entrar"))


@pytest.fixture(scope="module")
def shown(place: Place) -> str:
    """The key of somebody who tries cases."""
    return key(place, "Ana Ruiz", "tester")


@pytest.fixture(scope="module")
def guarded(place: Place, shown: str) -> Iterator[Server]:
    """Two workers that ask for keys."""
    with running(place, rate_limit="off") as server:
        yield server


# In a browser


@pytest.fixture
def page(chromium: Browser) -> Iterator[Page]:
    """A page on which being asked for a key, or for a better one, is no complaint."""
    with opened(chromium, *REFUSED) as page:
        yield page


@with_browser
def test_a_person_logs_in_where_they_wanted_to_go_and_out_again(
    guarded: Server, page: Page, shown: str
) -> None:
    asked: list[Request] = []
    page.on("request", lambda request: asked.append(request))
    page.goto(address(guarded, ASKED))
    assert page.title() == "Entrar · Propensia"
    assert page.evaluate("document.activeElement.id") == "clave"
    page.keyboard.type(shown)
    page.keyboard.press("Enter")
    page.locator("h1", has_text="agador").wait_for()
    assert page.url == address(guarded, ASKED)
    assert "Ana Ruiz (tester)" in page.locator("header").inner_text()
    (cookie,) = page.context.cookies()
    assert cookie["name"] == COOKIE and cookie["httpOnly"] and cookie["sameSite"] == "Strict"
    assert page.evaluate("document.cookie") == ""
    page.get_by_role("button", name="Salir").click()
    page.wait_for_url("**/entrar**")
    assert page.context.cookies() == []
    page.goto(address(guarded, "/"))
    assert page.title() == "Entrar · Propensia"
    # Nothing of the query, nor the key, stands in an address or in a referrer of another page.
    others = [r for r in asked if not r.url.startswith(address(guarded, "/prediccion?"))]
    assert len(others) > 3
    for request in others:
        head = request.all_headers()
        assert "263.68" not in request.url + head.get("referer", "")
        assert shown not in request.url


@with_browser
def test_who_is_in_and_follows_a_link_of_another_site_goes_on_with_one_click(
    guarded: Server, page: Page, shown: str
) -> None:
    """The browser leaves the cookie out of what another site begins."""
    page.goto(address(guarded, "/entrar"))
    page.get_by_label("Clave").fill(shown)
    page.keyboard.press("Enter")
    page.get_by_role("heading", name="Probar un caso").wait_for()
    link = f"<a href='{html.escape(address(guarded, ASKED))}'>caso</a>"
    page.goto(f"data:text/html,{quote(link)}")
    page.get_by_role("link", name="caso").click()
    page.get_by_role("link", name="Continuar").click()
    page.wait_for_url("**/prediccion?**")
    page.locator("h1", has_text="agador").wait_for()
    assert page.url == address(guarded, ASKED)
    assert "Ana Ruiz (tester)" in page.locator("header").inner_text()


@with_browser
def test_a_wrong_key_is_told_beside_the_field_and_nothing_is_lost(
    guarded: Server, page: Page, shown: str
) -> None:
    page.goto(address(guarded, ASKED))
    page.get_by_label("Clave").fill(shown[:-1])
    page.keyboard.press("Enter")
    page.wait_for_url("**/entrar**")
    assert "esa clave no vale" in page.get_by_role("alert").inner_text()
    assert page.get_by_label("Clave").input_value() == ""
    page.get_by_label("Clave").fill(f"  {shown} ")
    page.get_by_role("button", name="Entrar").click()
    page.wait_for_url("**/prediccion?**")
    assert page.url == address(guarded, ASKED)


@with_browser
def test_the_form_works_in_a_session_and_the_language_can_be_changed_before_it(
    guarded: Server, page: Page, shown: str
) -> None:
    page.goto(address(guarded, "/"))
    page.get_by_role("link", name="English").click()
    page.get_by_label("Key").fill(shown)
    page.keyboard.press("Enter")
    page.get_by_role("heading", name="Try one case").wait_for()
    page.get_by_role("button", name="Get the score").click()
    page.wait_for_url("**/prediccion?**")
    assert "Logged in as Ana Ruiz" in page.locator("header").inner_text()
    page.get_by_role("button", name="Log out").click()
    page.get_by_role("heading", name="Log in").wait_for()


@with_browser
@pytest.mark.parametrize(("width", "scheme"), [(1200, "light"), (390, "dark")])
def test_no_page_of_a_session_needs_sideways_scrolling(
    guarded: Server, chromium: Browser, shown: str, width: int, scheme: str
) -> None:
    expected = [*REFUSED, "a status of 404"]
    with opened(chromium, *expected, width=width, scheme=scheme) as page:
        for path in ("/", "/entrar"):
            page.goto(address(guarded, path))
            assert page.evaluate("document.documentElement.scrollWidth") <= width
        page.get_by_label("Clave").fill(shown)
        page.keyboard.press("Enter")
        page.get_by_role("button", name="Salir").wait_for()
        for path in ("/", ASKED, "/v2/models/otro", "/modelos/x/y/z"):
            page.goto(address(guarded, path))
            assert page.evaluate("document.documentElement.scrollWidth") <= width, path


# In every worker


def entered(server: Server, shown: str) -> str:
    """The cookie of a new session, as a browser keeps it."""
    connection = server.connection()
    body = urlencode({"clave": shown, "volver": "/"})
    connection.request(
        "POST", "/entrar", body, {"Content-Type": "application/x-www-form-urlencoded"}
    )
    response = connection.getresponse()
    response.read()
    connection.close()
    assert response.status == 303, response.status
    return str(response.getheader("Set-Cookie")).partition(";")[0]


def statuses(server: Server, cookie: str, count: int = 12) -> set[int]:
    """What several connections are answered, so that every worker is asked."""
    found: list[Reply] = []
    for _ in range(count):
        connection = server.connection()
        found.append(ask(connection, prediccion(), cookie=cookie))
        connection.close()
    return {reply.status for reply in found}


@pytest.mark.parametrize("name", ["granian", pytest.param("waitress", marks=pytest.mark.slow)])
def test_a_session_is_good_and_ends_in_every_worker(
    place: Place, tmp_path: Path, name: str
) -> None:
    own = copied(place, tmp_path)
    ana, eva = key(own, "una", "tester"), key(own, "otra", "tester")
    with running(own, partial(propensia_command, server=name), rate_limit="off") as server:
        sessions = [entered(server, text) for text in (ana, ana, eva)]
        assert [statuses(server, cookie) for cookie in sessions] == [{200}] * 3
        page = server.get("/", cookie=sessions[0], accept="text/html").text
        token = re.findall(r'name="csrf" value="([^"]+)"', page)[0]
        assert server.get("/salir", "POST", cookie=sessions[0]).status == 403
        left = server.get("/salir", "POST", cookie=sessions[0], x_csrf_token=token)
        assert left.status == 303
        wait_for(lambda: statuses(server, sessions[0]) == {401}, "out everywhere", 10)
        assert statuses(server, sessions[1]) == {200}
        keys.change(own.state / keys.FOLDER, lambda known: [k for k in known if k.name != "otra"])
        wait_for(lambda: statuses(server, sessions[2]) == {401}, "no key, no session", 10)
        assert statuses(server, sessions[1]) == {200}
    with running(own, partial(propensia_command, server=name), rate_limit="off") as again:
        assert statuses(again, sessions[1]) == {200}  # a restart ends no session,
        assert statuses(again, sessions[0]) == {401}  # nor brings one back
    assert not any(part in server.output() for part in [ana, eva, *sessions])

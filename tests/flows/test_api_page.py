"""Every example of ``docs/api.md`` is run, against a real server."""

from __future__ import annotations

import contextlib
import io
import json
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from models_for_tests import dumped, logistic
from server import Place, Server, running

PAGE = (Path(__file__).parents[2] / "docs" / "api.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
SHOWN = ("json", "text")
EXAMPLES = [
    (kind, code, following if shown in SHOWN else "")
    for (kind, code), (shown, following) in zip(BLOCKS, [*BLOCKS[1:], ("", "")], strict=True)
    if kind not in SHOWN
]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Where the page says that the example is no payer."""
    place = Place(tmp_path_factory.mktemp("pagina"))
    path = place.base / "cobros.pkl"
    path.write_bytes(dumped(logistic()))
    assert place.run("admit", str(path)).returncode == 0
    with running(place, workers=1, rate_limit="off") as made:
        yield made


def here(code: str, server: Server) -> str:
    """An example of the page, asking this server."""
    assert "127.0.0.1:5000" in code
    return code.replace("127.0.0.1:5000", f"127.0.0.1:{server.port}")


def examples(kind: str) -> list[tuple[str, str]]:
    """The code of that kind and what the page shows after it."""
    found = [(code, shown) for own, code, shown in EXAMPLES if own == kind]
    assert found, f"no example in {kind}"
    return found


def compare(shown: str, printed: str) -> None:
    """Equal, but for ``…`` in what is shown, which stands for any text."""
    pieces = [re.escape(piece) for piece in shown.strip().split("…")]
    assert shown and re.fullmatch(".*".join(pieces), printed.strip(), re.DOTALL), printed


def test_every_example_is_of_a_kind_that_is_run() -> None:
    assert {kind for kind, _, _ in EXAMPLES} == {"sh", "python", "powershell"}


@pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")
@pytest.mark.parametrize(("code", "shown"), examples("sh"))
def test_the_curl_examples_print_what_the_page_shows(
    server: Server, code: str, shown: str
) -> None:
    command = shlex.split(here(code, server))
    done = subprocess.run(command, capture_output=True, encoding="utf-8", timeout=30, check=True)
    compare(shown, done.stdout)
    json.loads(done.stdout)


@pytest.mark.parametrize(("code", "shown"), examples("python"))
def test_the_python_examples_print_what_the_page_shows(
    server: Server, code: str, shown: str
) -> None:
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(here(code, server), "docs/api.md", "exec"), {})
    compare(shown, printed.getvalue())


@pytest.mark.parametrize("code", [code for code, _ in examples("powershell")])
def test_the_powershell_examples_send_what_is_answered(server: Server, code: str) -> None:
    """Their body, type and address, sent from here: PowerShell itself is not everywhere."""
    body = re.search(r"^\$(\w+) = @'\n(.*?)\n'@$", code, re.DOTALL | re.MULTILINE)
    sent = re.search(r'-Method Post -Uri (\S+) -ContentType "([^"]+)" -Body \$(\w+)$', code, re.M)
    assert body is not None and sent is not None and body[1] == sent[3]
    path = sent[1].partition("127.0.0.1:5000")[2]
    with contextlib.closing(server.connection()) as connection:
        connection.request("POST", path, body[2].encode(), {"Content-Type": sent[2]})
        answer = json.loads(connection.getresponse().read())
    assert answer["clasificacion"] == "no pagador"


@pytest.mark.skipif(shutil.which("pwsh") is None, reason="needs PowerShell")
@pytest.mark.parametrize("code", [code for code, _ in examples("powershell")])
def test_the_powershell_examples_run(server: Server, code: str) -> None:
    line = ["pwsh", "-NoProfile", "-NonInteractive", "-Command", here(code, server)]
    done = subprocess.run(line, capture_output=True, encoding="utf-8", timeout=60, check=True)
    assert done.stdout.strip() == "no pagador"

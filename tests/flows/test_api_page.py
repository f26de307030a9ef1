"""Every example of ``docs/api.md`` is run, against a real server."""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import requests
from guarded import copied
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


@pytest.fixture(scope="module")
def keyed(
    server: Server, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Server, str]]:
    """The same, where keys are asked for, and a key."""
    place = copied(server.place, tmp_path_factory.mktemp("con_clave"))
    made = place.run("keys", "create", "marcador", "--role", "caller")
    assert made.returncode == 0, made.stderr
    with running(place, workers=1) as other:
        yield other, next(word for word in made.stdout.split() if word.startswith("ppk_"))


# Which examples send a key: in a variable of the environment, or in a file beside the caller.
WITH_KEY = re.compile(r"CLAVE_PROPENSIA|cabecera\.txt").search


@pytest.fixture
def here(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> Callable[[str], str]:
    """An example of the page, asking the server that it is for."""

    def asking(code: str) -> str:
        assert "127.0.0.1:5000" in code
        target = server
        if WITH_KEY(code):
            target, key = request.getfixturevalue("keyed")
            monkeypatch.setenv("CLAVE_PROPENSIA", key)
            monkeypatch.chdir(tmp_path)
            Path("cabecera.txt").write_text(f"X-API-Key: {key}\n", encoding="utf-8")
        return code.replace("127.0.0.1:5000", f"127.0.0.1:{target.port}")

    return asking


def examples(kind: str) -> list[tuple[str, str]]:
    """The code of that kind and what the page shows after it."""
    found = [(code, shown) for own, code, shown in EXAMPLES if own == kind]
    assert found, f"no example in {kind}"
    return found


def compare(shown: str, printed: str) -> None:
    """Equal, but for ``…`` in what is shown, which stands for any text."""
    pieces = [re.escape(piece) for piece in shown.strip().split("…")]
    assert shown and re.fullmatch(".*".join(pieces), printed.strip(), re.DOTALL), printed


def test_every_language_has_an_example_with_a_key() -> None:
    kinds = [kind for kind, code, _ in EXAMPLES if WITH_KEY(code)]
    assert sorted(kinds) == ["powershell", "python", "python", "sh"]


def test_without_the_key_those_examples_would_be_refused(keyed: tuple[Server, str]) -> None:
    """Otherwise they would show nothing."""
    for path in ("/predict", "/v2/models/cobranza/infer"):
        reply = requests.post(f"http://127.0.0.1:{keyed[0].port}{path}", json={}, timeout=30)
        assert reply.status_code == 401


def test_every_example_is_of_a_kind_that_is_run() -> None:
    assert {kind for kind, _, _ in EXAMPLES} == {"sh", "python", "powershell"}


@pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")
@pytest.mark.parametrize(("code", "shown"), examples("sh"))
def test_the_curl_examples_print_what_the_page_shows(
    here: Callable[[str], str], code: str, shown: str
) -> None:
    command = shlex.split(here(code))
    done = subprocess.run(command, capture_output=True, encoding="utf-8", timeout=30, check=True)
    compare(shown, done.stdout)
    json.loads(done.stdout)


@pytest.mark.parametrize(("code", "shown"), examples("python"))
def test_the_python_examples_print_what_the_page_shows(
    here: Callable[[str], str], code: str, shown: str
) -> None:
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(here(code), "docs/api.md", "exec"), {})
    compare(shown, printed.getvalue())


@pytest.mark.parametrize("code", [code for code, _ in examples("powershell")])
def test_the_powershell_examples_send_what_is_answered(
    here: Callable[[str], str], code: str
) -> None:
    """Their body, headers and address, sent from here: PowerShell itself is not everywhere."""
    code = here(code)
    body = re.search(r"^\$(\w+) = @'\n(.*?)\n'@$", code, re.DOTALL | re.MULTILINE)
    line = r'-Method Post -Uri (\S+)( -Headers \$(\w+))? -ContentType "([^"]+)" -Body \$(\w+)$'
    sent = re.search(line, code, re.MULTILINE)
    assert body is not None and sent is not None and body[1] == sent[5]
    headers = {"Content-Type": sent[4]}
    if sent[2]:
        table = re.search(r'^\$(\w+) = @{ "([\w-]+)" = \$env:(\w+) }$', code, re.MULTILINE)
        assert table is not None and table[1] == sent[3]
        headers[table[2]] = os.environ[table[3]]
    answer = requests.post(sent[1], body[2].encode(), headers=headers, timeout=30)
    assert answer.json()["clasificacion"] == "no pagador"


@pytest.mark.skipif(shutil.which("pwsh") is None, reason="needs PowerShell")
@pytest.mark.parametrize("code", [code for code, _ in examples("powershell")])
def test_the_powershell_examples_run(here: Callable[[str], str], code: str) -> None:
    line = ["pwsh", "-NoProfile", "-NonInteractive", "-Command", here(code)]
    done = subprocess.run(line, capture_output=True, encoding="utf-8", timeout=60, check=True)
    assert done.stdout.strip() == "no pagador"

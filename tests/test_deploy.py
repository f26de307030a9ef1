"""What is shipped to run the service: files that name each other, lists made of the lock."""

from __future__ import annotations

import datetime
import functools
import http.server
import importlib.util
import itertools
import json
import os
import re
import shutil
import subprocess
import sys
import threading
import tomllib
import venv
from collections.abc import Iterator
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import ModuleType
from typing import Any
from xml.etree import ElementTree

import click
import pytest

from propensia.__main__ import cli
from propensia.web.routes import ROUTES, ROWS_BYTES

ROOT = Path(__file__).resolve().parent.parent
DEPLOY, CI = ROOT / "deploy", ROOT / ".ci"
# Places that pages lead to and that a site has no use for: it does not change or train anything.
SOURCES = ("../.ci/", "../benchmarks/", "../notebooks/", "../CONTRIBUTING.md")
with_uv = pytest.mark.skipif(shutil.which("uv") is None, reason="uv is not installed")


def loaded(path: Path) -> ModuleType:
    """A script as a module."""
    loader = SourceFileLoader(path.stem.replace("-", "_"), str(path))
    spec = importlib.util.spec_from_loader(loader.name, loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    return module


wheelhouse, audit = loaded(DEPLOY / "wheelhouse.py"), loaded(CI / "audit")


def locked() -> set[tuple[str, str]]:
    """Every version in the lock, read from the lock itself."""
    table = tomllib.loads((ROOT / "uv.lock").read_text(encoding="utf-8"))
    return {(p["name"], p["version"]) for p in table["package"] if p["name"] != "propensia"}


@functools.cache
def served() -> str:
    return (ROOT / "requirements-serve.txt").read_text(encoding="utf-8")


# What the pages tell people to type

PAGES = [*(ROOT / "docs" / f"{name}.md" for name in ("operations", "runbook", "upgrade"))]
PAGES += [DEPLOY / "README.md", *DEPLOY.rglob("*.sh"), *DEPLOY.rglob("*.ps1")]
PAGES += [*DEPLOY.rglob("*.service"), *DEPLOY.rglob("*.yaml")]


def typed(text: str) -> Iterator[tuple[list[str], set[str]]]:
    """Each command of ours in a text: its words up to the first that is no plain word, and its
    options."""
    pattern = r"(?<![\w./-])(?:-m )?propensia(?:\.exe)? ((?!propensia)[a-z][^`|;&\n)]*)"
    for line in re.findall(pattern, text.replace("/venv/bin/propensia", " propensia")):
        words = re.findall(r"\S+", line)
        yield (
            [*itertools.takewhile(re.compile("[a-z]+").fullmatch, words)],
            set(re.findall(r"(?<=\s)--[a-z][a-z-]*", line)),
        )


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_every_command_in_a_page_or_script_exists(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    for words, options in typed("\n".join(_code(path, text))):
        command: click.Command = cli
        for word in words:
            if isinstance(command, click.Group):
                assert word in command.commands, words
                command = command.commands[word]
        assert command is not cli, words
        known = {name for parameter in command.params for name in parameter.opts}
        assert options <= known, (words, options - known)


def _code(path: Path, text: str) -> list[str]:
    """What is code in a page; all of a script."""
    if path.suffix != ".md":
        return [text]
    fenced = re.findall(r"^```\w*\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    rest = re.sub(r"^```.*?^```$", "", text, flags=re.DOTALL | re.MULTILINE)
    return [*fenced, *re.findall(r"`([^`\n]+)`", rest)]


def test_the_pages_name_many_commands() -> None:
    """Or the test above would find nothing, and be content."""
    text = (ROOT / "docs" / "runbook.md").read_text(encoding="utf-8")
    named = {words[0] for words, _ in typed("\n".join(_code(Path("x.md"), text)))}
    assert {"doctor", "rollback", "pin", "keys", "restore", "models", "admit"} <= named


# Containers


def dockerfile() -> str:
    return (DEPLOY / "docker" / "Dockerfile").read_text(encoding="utf-8").replace("\\\n", " ")


def test_every_file_that_the_image_is_built_of_is_there_and_leaves_the_folder() -> None:
    ignored = (DEPLOY / "docker" / "Dockerfile.dockerignore").read_text(encoding="utf-8")
    sent = set(re.findall(r"^!(\S+)$", ignored, re.MULTILINE))
    copied = [
        name
        for line in re.findall(r"^COPY (?!--from)(.+)$", dockerfile(), re.MULTILINE)
        for name in line.split()[:-1]
    ]
    assert set(copied) == sent
    assert all((ROOT / name).exists() for name in copied)


def test_the_image_runs_as_nobody_special_and_has_no_compiler() -> None:
    last = dockerfile().rpartition("\nFROM ")[2]
    user = re.findall(r"^USER (\S+)$", last, re.MULTILINE)
    assert user == ["10001:10001"]
    assert not re.search(r"apt-get|build-essential|gcc", dockerfile())
    (state,) = re.findall(r"PROPENSIA_STATE=(\S+)", last)
    (volume,) = re.findall(r'^VOLUME \["(.+)"\]$', last, re.MULTILINE)
    # A restore renames the state, and nobody can rename a volume.
    assert state.startswith(f"{volume}/")


def test_the_health_check_of_the_image_tells_a_server_that_is_ready(tmp_path: Path) -> None:
    words = json.loads(re.findall(r"HEALTHCHECK .* CMD (\[.*\])", dockerfile())[0])
    assert words[:2] == ["python", "-c"] and "5000" in words[2]
    asked: list[str] = []

    class Ready(http.server.BaseHTTPRequestHandler):
        status = 200

        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(self.status)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    with serving(Ready) as port:

        def check(port: int) -> int:
            code = words[2].replace("5000", str(port))
            return subprocess.run(
                [sys.executable, "-c", code], stderr=subprocess.DEVNULL
            ).returncode

        assert check(port) == 0
        Ready.status = 503
        assert check(port) == 1
    assert check(port) == 1
    assert set(asked) == {"/health/ready"}
    assert {route.permission for route in ROUTES if route.path == asked[0]} == {None}


class serving:
    """A small server of the standard library, as long as it is needed."""

    def __init__(self, handler: type[http.server.BaseHTTPRequestHandler]) -> None:
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)

    def __enter__(self) -> int:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return int(self._server.server_address[1])

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


def test_the_container_may_write_nothing_but_its_data_and_has_no_rights() -> None:
    yaml = pytest.importorskip("yaml")  # it comes with other tools
    text = (DEPLOY / "docker" / "compose.yaml").read_text(encoding="utf-8")
    service = yaml.safe_load(text)["services"]["propensia"]
    assert service["read_only"] is True and service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert all(port.startswith("127.0.0.1:") for port in service["ports"])
    built = DEPLOY / "docker" / service["build"]["context"]
    assert (built / service["build"]["dockerfile"]).resolve() == DEPLOY / "docker" / "Dockerfile"


# Proxies and services


def test_the_proxies_take_bodies_as_large_as_the_service_does() -> None:
    nginx = (DEPLOY / "nginx" / "propensia.conf").read_text(encoding="utf-8")
    general, file = re.findall(r"client_max_body_size (\d+)m;", nginx)
    assert int(general) << 20 >= ROWS_BYTES
    assert int(file) > 200
    iis = ElementTree.parse(DEPLOY / "iis" / "web.config")
    (limits,) = iis.iter("requestLimits")
    assert int(limits.attrib["maxAllowedContentLength"]) == int(file) << 20


def test_no_log_of_a_proxy_names_what_holds_a_query() -> None:
    nginx = (DEPLOY / "nginx" / "propensia.conf").read_text(encoding="utf-8")
    (form,) = re.findall(r"log_format [^;]*;", nginx)
    named = set(re.findall(r"\$(\w+)", form))
    assert not named & {"request", "request_uri", "args", "query_string", "http_referer", "uri"}
    iis = (DEPLOY / "iis" / "setup.ps1").read_text(encoding="utf-8")
    (flags,) = re.findall(r"'(Date,[\w,]*)'", iis)
    assert not {"UriQuery", "UriStem", "Referer", "Cookie", "UserName"} & set(flags.split(","))


def test_the_windows_service_starts_what_its_script_installs() -> None:
    service = ElementTree.parse(DEPLOY / "windows" / "propensia.xml").getroot()
    script = (DEPLOY / "windows" / "install.ps1").read_text(encoding="utf-8")
    assert f"$name = '{service.findtext('id')}'" in script
    executable = service.findtext("executable") or ""
    assert executable.startswith(r"C:\Program Files\Propensia\venv")
    assert executable.endswith(r"Scripts\python.exe") and r"Scripts\python.exe" in script
    folders = set(
        re.findall(r"'([\w-]+)'", re.findall(r"foreach \(\$folder in (.*?)\)", script)[0])
    )
    for key in ("workingdirectory", "logpath"):
        assert (service.findtext(key) or "").rpartition("\\")[2] in folders


@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash")
@pytest.mark.parametrize("path", [DEPLOY / "systemd" / "install.sh", CI / "run", CI / "sbom"])
def test_the_shell_understands_a_script(path: Path) -> None:
    assert subprocess.run(["bash", "-n", str(path)]).returncode == 0


# Wheels


@pytest.mark.parametrize("platform", ["linux", "windows"])
@pytest.mark.parametrize("python", ["3.11", "3.12", "3.13"])
def test_one_version_of_each_package_is_downloaded_for_each_system(
    platform: str, python: str
) -> None:
    pins = wheelhouse.requirements(served(), platform, python)
    names = re.findall(r"^([\w.-]+)==\S+ \\$", pins, re.MULTILINE)
    assert len(names) == len(set(names))
    assert ";" not in pins and "via" not in pins
    assert pins.count("--hash=sha256:") > len(names)
    everywhere = {"flask", "granian", "numpy", "onnxruntime", "prometheus-client", "pyjwt"}
    assert everywhere <= set(names)
    assert ("gunicorn" in names) == (platform == "linux")


def test_the_python_decides_where_the_lock_has_two_versions() -> None:
    of = {
        python: dict(
            re.findall(
                r"^([\w.-]+)==(\S+)", wheelhouse.requirements(served(), "linux", python), re.M
            )
        )
        for python in ("3.11", "3.13")
    }
    versions = {version for name, version in locked() if name == "numpy"}
    assert {of["3.11"]["numpy"], of["3.13"]["numpy"]} == versions and len(versions) == 2


def test_the_list_of_digests_is_one_that_sha256sum_reads(tmp_path: Path) -> None:
    (tmp_path / "a.whl").write_bytes(b"abc")  # the first example of FIPS 180-4
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "c d.sh").write_bytes(b"")
    assert wheelhouse.write_list(tmp_path) == ["a.whl", "b/c d.sh"]
    assert wheelhouse.write_list(tmp_path) == ["a.whl", "b/c d.sh"]
    first, second = (tmp_path / "SHA256SUMS").read_text(encoding="utf-8").splitlines()
    abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert first == f"{abc}  a.whl" and second.endswith("  b/c d.sh")


def test_scripts_and_pages_go_along_with_the_wheels_and_are_in_the_list(tmp_path: Path) -> None:
    """A site without internet has no other place to take them from."""
    wheelhouse.carry(tmp_path)
    assert not list(tmp_path.rglob("__pycache__"))
    named = set(wheelhouse.write_list(tmp_path))
    assert {"deploy/systemd/install.sh", "deploy/windows/install.ps1", "docs/runbook.md"} <= named
    for page in (tmp_path / "deploy" / "README.md", *(tmp_path / "docs").glob("*.md")):
        for link in re.findall(r"\]\(([^)#\s]+)", page.read_text(encoding="utf-8")):
            if "://" not in link and not link.startswith(SOURCES):
                assert (page.parent / link).exists(), (page.name, link)
    if os.name == "posix":
        assert os.access(tmp_path / "deploy" / "systemd" / "install.sh", os.X_OK)
        run("sh", "-c", 'cd "$0" && sha256sum --check --strict --quiet SHA256SUMS', str(tmp_path))
        with (tmp_path / "deploy" / "systemd" / "install.sh").open("ab") as script:
            script.write(b"\n")
        line = ["sha256sum", "--check", "--status", "SHA256SUMS"]
        assert subprocess.run(line, cwd=tmp_path).returncode == 1


@pytest.mark.slow
@with_uv
def test_an_environment_is_installed_from_the_wheels_alone(tmp_path: Path) -> None:
    """Built here for this Python, then installed with no index, as on a site without internet."""
    wheels, fresh = tmp_path / "wheels", tmp_path / "venv"
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    system = "windows" if sys.platform == "win32" else "linux"
    build = ["uv", "run", "--script", str(DEPLOY / "wheelhouse.py"), str(wheels)]
    run(*build, "--platform", system, "--python", python)
    venv.create(fresh, with_pip=True)
    own = fresh / ("Scripts/python.exe" if system == "windows" else "bin/python")
    pip = [str(own), "-m", "pip", "--isolated", "install", "--quiet", "--no-index"]
    run(*pip, "--find-links", str(wheels), "--require-hashes", "-r", f"{wheels}/requirements.txt")
    (wheel,) = wheels.glob("propensia-*.whl")
    run(*pip, "--no-deps", str(wheel))
    assert run(str(own), "-m", "propensia", "--version").startswith("propensia, version ")
    listed = json.loads((wheels / "propensia.cdx.json").read_text(encoding="utf-8"))
    assert "flask" in {part["name"] for part in listed["components"]}
    sums = (wheels / "SHA256SUMS").read_text(encoding="utf-8")
    assert wheel.name in sums and "  deploy/systemd/install.sh\n" in sums


def run(*line: str) -> str:
    done = subprocess.run(line, cwd=ROOT, capture_output=True, encoding="utf-8")
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


# What is in it, and whether that is safe


@with_uv
@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash")
def test_the_bill_of_materials_lists_what_an_installation_brings(tmp_path: Path) -> None:
    out = tmp_path / "folder" / "sbom.json"
    run("bash", str(CI / "sbom"), str(out))
    listed = json.loads(out.read_text(encoding="utf-8"))
    assert (listed["bomFormat"], listed["specVersion"]) == ("CycloneDX", "1.5")
    found = {(part["name"], part["version"]) for part in listed["components"]}
    assert found == set(re.findall(r"^([\w.-]+)==([^\s;\\]+)", served(), re.MULTILINE))
    for part in listed["components"]:
        assert part["purl"] == f"pkg:pypi/{part['name']}@{part['version']}"
        kinds = [h["alg"] for ref in part["externalReferences"] for h in ref["hashes"]]
        assert kinds and set(kinds) == {"SHA-256"}


@with_uv
def test_every_version_in_the_lock_is_audited() -> None:
    export = [*audit.EXPORT, "--all-groups", "--all-extras"]
    lists = audit.parts(run(*export))
    found = [set(re.findall(r"^(\S+)==(\S+)$", pins, re.MULTILINE)) for pins in lists]
    assert set().union(*found) == locked()
    for pins in found:
        assert len({name for name, _ in pins}) == len(pins)


def test_what_is_passed_over_has_a_reason_and_a_day_that_is_not_past() -> None:
    audit.reasons(CI / "audit-ignore.toml", datetime.date.today())


@pytest.mark.parametrize(
    ("row", "why"),
    [
        ('id = "X-1"\nuntil = 2026-01-01\nwhy = "not used"', "looked at again by 2026-01-01"),
        ('id = "X-1"\nuntil = 2999-01-01\nwhy = " "', "needs id, until and why"),
        ('id = "X-1"\nwhy = "not used"', "needs id, until and why"),
    ],
)
def test_a_row_of_the_list_without_reason_or_past_its_day_ends_the_audit(
    row: str, why: str, tmp_path: Path
) -> None:
    path = tmp_path / "ignored.toml"
    path.write_text(f"[[ignored]]\n{row}\n", encoding="utf-8")
    with pytest.raises(SystemExit, match=why):
        audit.reasons(path, datetime.date(2026, 6, 1))


def test_a_source_that_cannot_be_reached_is_told_and_never_passes_for_an_audit() -> None:
    """Nobody listens at port 9 of this machine."""
    line = [sys.executable, str(CI / "audit"), "--osv-url", "http://127.0.0.1:9/"]
    done = subprocess.run(line, capture_output=True, text=True)
    assert done.returncode == 0 and done.stdout.startswith("NOT AUDITED")
    assert subprocess.run([*line, "--required"], stdout=subprocess.DEVNULL).returncode == 3


class Advisories(http.server.BaseHTTPRequestHandler):
    """OSV as far as the audit asks it: one weakness, of flask."""

    def do_GET(self) -> None:
        self.send_error(405)

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        name = {"name": "flask", "ecosystem": "PyPI"}
        events = [{"introduced": "0"}, {"fixed": "999.0"}]
        affected = [{"package": name, "ranges": [{"type": "ECOSYSTEM", "events": events}]}]
        weak = {"id": "PYSEC-2999-1", "aliases": [], "summary": "x", "details": "x"}
        weak |= {"affected": affected, "modified": "2026-01-01T00:00:00Z"}
        known = asked["package"]["name"] == "flask"
        body = json.dumps({"vulns": [weak]} if known else {}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def advisories() -> Iterator[str]:
    tool = ["uvx", audit.TOOL, "--version"]
    if shutil.which("uvx") is None or subprocess.run(tool, capture_output=True).returncode:
        pytest.skip("pip-audit cannot be had here")
    with serving(Advisories) as port:
        yield f"http://127.0.0.1:{port}/v1/query"


@pytest.mark.slow
def test_a_known_weakness_fails_the_audit_unless_it_is_passed_over(
    advisories: str, tmp_path: Path
) -> None:
    line = [sys.executable, str(CI / "audit"), "--osv-url", advisories]
    found = subprocess.run(line, capture_output=True, text=True)
    assert found.returncode == 1 and "PYSEC-2999-1" in found.stdout, found.stderr
    ignored = tmp_path / "ignored.toml"
    row = 'id = "PYSEC-2999-1"\nuntil = 2999-01-01\nwhy = "of this test"'
    ignored.write_text(f"[[ignored]]\n{row}\n", encoding="utf-8")
    passed = subprocess.run([*line, "--ignored", str(ignored)], capture_output=True, text=True)
    assert passed.returncode == 0, passed.stdout + passed.stderr

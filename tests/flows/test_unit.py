"""The systemd unit: what systemd itself says of it, and the service under the calls it leaves."""

from __future__ import annotations

import json
import platform
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import under_unit
from guarded import copied
from models_for_tests import dumped, new_logistic
from server import ROOT, Place, prediccion, propensia_command, running

FOLDER = ROOT / "deploy" / "systemd"
UNITS = sorted(path.name for path in FOLDER.glob("propensia*"))
with_systemd = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed"
)
with_filters = pytest.mark.skipif(
    not under_unit.NUMBERS.exists() or platform.machine() != "x86_64",
    reason="the numbers of the calls are not installed (linux-libc-dev on x86-64)",
)


@pytest.fixture
def units(tmp_path: Path) -> Path:
    """The units, of a program that is there."""
    for name in UNITS:
        text = (FOLDER / name).read_text(encoding="utf-8")
        text = text.replace("/opt/propensia/venv/bin/propensia", "/bin/true")
        (tmp_path / name).write_text(text, encoding="utf-8")
    return tmp_path


def analyze(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    line = ["systemd-analyze", "--no-pager", *words]
    return subprocess.run(line, cwd=folder, capture_output=True, text=True)


@with_systemd
@pytest.mark.parametrize("name", UNITS)
def test_systemd_understands_every_line_of_a_unit(units: Path, name: str) -> None:
    done = analyze(units, "verify", "--man=no", f"./{name}")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@with_systemd
def test_systemd_would_notice_a_wrong_line(units: Path) -> None:
    with (units / "propensia.service").open("a", encoding="utf-8") as unit:
        unit.write("[Service]\nProtectSistem=strict\n")
    assert "ProtectSistem" in analyze(units, "verify", "--man=no", "./propensia.service").stderr


@with_systemd
@pytest.mark.parametrize(("name", "most"), [("propensia.service", 2.0), ("propensia-backup", 1.0)])
def test_a_unit_is_no_more_exposed_than_it_was(units: Path, name: str, most: float) -> None:
    """0 to 10 by systemd's own count; a line that is lost shows here."""
    file = f"./{name.removesuffix('.service')}.service"
    done = analyze(units, "security", "--offline=true", file)
    found = re.search(r"Overall exposure level for \S+: ([\d.]+)", done.stdout)
    assert found is not None, done.stderr
    assert float(found[1]) <= most


def layers(place: Place) -> list[str]:
    """What shut in the processes that checked the version published last."""
    current = place.registry.current()
    assert current is not None
    return list(place.registry.manifest(current.version)["layers"])


@with_systemd
@with_filters
def test_the_service_and_its_sandbox_work_under_the_unit_s_filter(
    admitted: Place, tmp_path: Path
) -> None:
    """Served, dropped, checked in the same layers as without the filter, and published."""
    place = copied(admitted, tmp_path)
    unit = FOLDER / "propensia.service"

    def confined(port: int) -> list[str]:
        return [sys.executable, under_unit.__file__, str(unit), *propensia_command(port)]

    with running(place, command=confined, workers=1) as server:
        assert server.get(prediccion()).status == 200
        place.drop("mes.pkl", dumped(new_logistic()))
        place.wait_word("mes.pkl", "ACEPTADO")
    assert layers(place) == layers(admitted)


@with_systemd
@with_filters
def test_the_filter_of_the_unit_refuses_what_it_should(tmp_path: Path) -> None:
    """As the same program tells without it and with it: what each attempt ended with."""
    unit = str(FOLDER / "propensia.service")
    attempts = (
        "import ctypes, json, mmap, os, socket, threading\n"
        "c = ctypes.CDLL(None, use_errno=True)\n"
        "def refused(what):\n"
        "    try:\n        what()\n        return False\n"
        "    except PermissionError:\n        return True\n"
        "def unshare(flags):\n"
        "    return c.unshare(flags) and ctypes.get_errno() == 1\n"
        "threading.Thread(target=int).start()\n"
        "print(json.dumps([bool(unshare(0x20000)), refused(lambda: os.chroot('/')),\n"
        "    refused(lambda: mmap.mmap(-1, 4096, prot=7)),\n"
        "    refused(lambda: socket.socket(16, socket.SOCK_RAW)),\n"
        "    refused(lambda: socket.socket())]))\n"
    )
    line = [sys.executable, under_unit.__file__, unit, sys.executable, "-c", attempts]
    done = subprocess.run(line, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == [True, True, True, True, False]


@with_systemd
def test_the_calls_of_our_sandbox_are_not_in_systemd_s_own_group() -> None:
    """Why the unit names them: without its last line the checking processes would be less shut
    in, and nothing would say so but the layers in the manifest."""
    needed = {"landlock_create_ruleset", "landlock_restrict_self", "capset", "unshare"}
    unit = (FOLDER / "propensia.service").read_text(encoding="utf-8")
    assert needed <= under_unit.allowed(unit)
    shorter = re.sub(r"^SystemCallFilter=capset.*\n", "", unit, flags=re.MULTILINE)
    assert "capset" not in under_unit.allowed(shorter)
    assert {"chroot", "bpf", "mount", "ptrace"}.isdisjoint(under_unit.allowed(unit))

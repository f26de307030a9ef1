"""A confined process can do its work and nothing else: real processes that try.

What is tested of a layer is what this machine's kernel offers; one test asks the kernel itself
which layers must be on.
"""

from __future__ import annotations

import ctypes
import errno
import json
import os
import platform
import socket
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from propensia import admission, contract, processes, settings
from propensia.admission import Dropped
from propensia.confinement import job, seccomp
from propensia.registry import Registry
from tests.admission_files import HOSTILE

linux = pytest.mark.skipif(sys.platform != "linux", reason="layers of Linux")
known_machine = pytest.mark.skipif(
    platform.machine() not in ("x86_64", "aarch64"), reason="no table of calls for this machine"
)
FILES, CALLS = "solo su carpeta", "sin llamadas peligrosas"
REFUSED = {errno.EPERM, errno.EACCES}
EVERY = ["memoria", "procesador", "ficheros", "abiertos", "volcados"]
READING, WRITING, PARENT = (
    ("read", "list_folder"),
    ("write_new", "append", "truncate", "remove", "rename", "make_a_folder"),
    ("signal_the_parent", "trace_the_parent", "read_the_memory_of_the_parent"),
)


@dataclass(frozen=True)
class Answer:
    """How an attempt went: the layers that were on, and the error that it met, if any."""

    layers: list[str]
    error: int | None
    value: Any


@dataclass(frozen=True)
class Cell:
    """A folder of its own for a confined process, and a file outside that is not its business."""

    folder: Path
    outside: Path

    def attempt(self, name: str, *arguments: str, mode: str = "all") -> Answer:
        (self.folder / "answer.json").unlink(missing_ok=True)
        line = (mode, str(self.folder), name, *arguments)
        finished = processes.run("tests.confined", *line, timeout_s=60)
        assert finished.code == 0, finished.errors
        return Answer(**json.loads((self.folder / "answer.json").read_text(encoding="utf-8")))

    def assert_refused(
        self, name: str, *arguments: str, by: Sequence[str], mode: str = "all"
    ) -> None:
        """The attempt fails, where any of these layers is on."""
        answer = self.attempt(name, *arguments, mode=mode)
        if not set(by) & set(answer.layers):
            pytest.skip(f"this machine has none of: {', '.join(by)}")
        assert answer.error in REFUSED, errno.errorcode.get(answer.error or 0)


@pytest.fixture
def cell(tmp_path: Path) -> Cell:
    folder, outside = tmp_path / "own", tmp_path / "home" / "clave"
    folder.mkdir()
    outside.parent.mkdir()
    outside.write_bytes(b"secreto")
    return Cell(folder, outside)


# What must fail


@linux
@pytest.mark.parametrize("mode", ["all", "landlock"])
@pytest.mark.parametrize("name", READING + WRITING)
def test_a_file_outside_the_own_folder_is_out_of_reach(cell: Cell, name: str, mode: str) -> None:
    cell.assert_refused(name, str(cell.outside), by=[FILES], mode=mode)
    assert list(cell.outside.parent.iterdir()) == [cell.outside]
    assert cell.outside.read_bytes() == b"secreto"


@linux
@pytest.mark.parametrize("mode", ["all", "landlock"])
@pytest.mark.parametrize("name", ["take_in_by_a_hard_link", "reach_by_a_symbolic_link"])
def test_no_link_in_the_own_folder_leads_out(cell: Cell, name: str, mode: str) -> None:
    by = [FILES] if mode == "landlock" else [FILES, CALLS]
    answer = cell.attempt(name, str(cell.outside), str(cell.folder), mode=mode)
    if not set(by) & set(answer.layers):
        pytest.skip("no layer for it here")
    # To link from another folder is an error of its own to Landlock.
    assert answer.error in REFUSED | {errno.EXDEV}


@linux
@pytest.mark.parametrize("mode", ["all", "seccomp"])
@pytest.mark.parametrize("name", ["change_rights", "change_times"])
def test_rights_and_times_of_files_stay_as_they_are(cell: Cell, name: str, mode: str) -> None:
    before = cell.outside.stat()
    cell.assert_refused(name, str(cell.outside), by=[CALLS], mode=mode)
    after = cell.outside.stat()
    assert (after.st_mode, after.st_mtime) == (before.st_mode, before.st_mtime)


@linux
@pytest.mark.parametrize("mode", ["all", "landlock", "seccomp"])
@pytest.mark.parametrize("name", ["connect", "bind"])
def test_no_port_can_be_used(cell: Cell, name: str, mode: str) -> None:
    if mode == "landlock" and _landlock() < 4:
        pytest.skip("Landlock knows ports from its version 4 on")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = str(listener.getsockname()[1])
        cell.assert_refused(name, port, by=[FILES, CALLS], mode=mode)
        listener.settimeout(0.05)
        with pytest.raises(TimeoutError):
            listener.accept()


@linux
@pytest.mark.parametrize("name", ["send_a_datagram", "local_socket"])
def test_no_socket_of_any_kind_can_be_made(cell: Cell, name: str) -> None:
    arguments = ["9"] if name == "send_a_datagram" else []
    cell.assert_refused(name, *arguments, by=[CALLS], mode="seccomp")


@linux
@pytest.mark.parametrize("mode", ["all", "seccomp"])
@pytest.mark.parametrize("name", ["run_a_program", "become_a_program", "fork", "spawn"])
def test_no_other_process_and_no_program_is_started(cell: Cell, name: str, mode: str) -> None:
    cell.assert_refused(name, by=[CALLS], mode=mode)


@linux
@pytest.mark.parametrize("name", PARENT)
def test_the_process_that_started_it_is_out_of_reach(cell: Cell, name: str) -> None:
    cell.assert_refused(name, str(os.getpid()), by=[FILES, CALLS])


@linux
@pytest.mark.parametrize("name", PARENT)
def test_landlock_alone_keeps_it_from_its_parent(cell: Cell, name: str) -> None:
    if name == "signal_the_parent" and _landlock() < 6:
        pytest.skip("Landlock knows signals from its version 6 on")
    cell.assert_refused(name, str(os.getpid()), by=[FILES], mode="landlock")


@linux
@pytest.mark.parametrize(
    "name",
    [
        "signal_the_parent",
        "trace_the_parent",
        "bind_the_parent_to_a_processor",
        "slow_the_parent_down",
        "limit_the_parent",
    ],
)
def test_the_filter_alone_keeps_it_from_its_parent(cell: Cell, name: str) -> None:
    cell.assert_refused(name, str(os.getpid()), by=[CALLS], mode="seccomp")


@linux
@pytest.mark.parametrize(
    "name",
    [
        "new_room",
        "load_a_filter_of_the_kernel",
        "count_events",
        "queue_calls",
        "keys",
        "type_into_the_terminal",
    ],
)
def test_the_kernel_answers_only_what_a_model_needs(cell: Cell, name: str) -> None:
    cell.assert_refused(name, by=[CALLS], mode="seccomp")


@linux
@pytest.mark.parametrize("mode", ["none", "all", "landlock", "seccomp"])
def test_hostile_files_that_are_loaded_leave_no_mark_outside(cell: Cell, mode: str) -> None:
    """As if every gate before the sandbox were open; unconfined, they all leave their marks."""
    marks = []
    for hostile in (item for item in HOSTILE if item.fires):
        marks.append(cell.outside.with_name(hostile.title))
        path = cell.folder / f"{hostile.title}.{hostile.fires}"
        path.write_bytes(hostile.build(marks[-1]))
    answer = cell.attempt("load_with_open_arms", str(cell.folder), mode=mode)
    if mode != "none" and not {FILES, CALLS} & set(answer.layers):
        pytest.skip("neither layer here")
    assert [mark.exists() for mark in marks] == [mode == "none"] * len(marks)
    assert len(marks) > 10


@linux
def test_nothing_can_be_mounted(cell: Cell) -> None:
    cell.assert_refused("mount", str(cell.outside), by=[FILES, CALLS])


@linux
def test_a_limit_cannot_be_raised_again_even_by_root(cell: Cell) -> None:
    answer = cell.attempt("raise_the_own_limit")
    if os.geteuid() == 0 and "sin privilegios" not in answer.layers:
        pytest.skip("root keeps its rights on this machine")
    assert answer.error in REFUSED


@linux
@pytest.mark.parametrize(
    "name", [*READING, *WRITING, "reach_by_a_symbolic_link", "change_rights", "change_times"]
)
def test_what_is_refused_above_works_unconfined_with_files(cell: Cell, name: str) -> None:
    """Else the tests above would show nothing."""
    own = [str(cell.folder)] if name == "reach_by_a_symbolic_link" else []
    assert cell.attempt(name, str(cell.outside), *own, mode="none").error is None


@linux
@pytest.mark.parametrize("name", ["run_a_program", "fork", "spawn", "local_socket"])
def test_what_is_refused_above_works_unconfined_with_processes(cell: Cell, name: str) -> None:
    assert cell.attempt(name, mode="none").error is None


@linux
@pytest.mark.parametrize(
    "name", ["signal_the_parent", "bind_the_parent_to_a_processor", "slow_the_parent_down"]
)
def test_what_is_refused_above_works_unconfined_with_the_parent(cell: Cell, name: str) -> None:
    assert cell.attempt(name, str(os.getpid()), mode="none").error is None


@linux
def test_what_is_refused_above_works_unconfined_with_ports(cell: Cell) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = str(listener.getsockname()[1])
        assert cell.attempt("connect", port, mode="none").error is None
        listener.accept()[0].close()


# What must work


@linux
def test_honest_work_goes_on(cell: Cell) -> None:
    assert cell.attempt("its_work", str(cell.folder)).error is None


# Which layers are on


def _landlock() -> int:
    """The version of Landlock that the kernel says it has, asked here in another way."""
    return max(0, ctypes.CDLL(None).syscall(444, None, 0, 1))


@linux
@known_machine
def test_every_layer_that_the_kernel_has_is_on(cell: Cell) -> None:
    answer = cell.attempt("status")
    assert answer.layers[:5] == EVERY
    assert (FILES in answer.layers) == (_landlock() > 0)
    actions = Path("/proc/sys/kernel/seccomp/actions_avail")
    filters = actions.exists() and "errno" in actions.read_text(encoding="ascii").split()
    assert (CALLS in answer.layers) == filters
    assert answer.value["Seccomp"] == ("2" if filters else "0")
    assert "sin privilegios" in answer.layers and answer.value["NoNewPrivs"] == "1"
    only_to_read_files_of_others = 2
    assert int(answer.value["CapPrm"], 16) & ~only_to_read_files_of_others == 0


@linux
def test_the_security_modules_of_the_kernel_agree() -> None:
    modules = Path("/sys/kernel/security/lsm")
    if not modules.exists():
        pytest.skip("the kernel does not list its modules here")
    assert ("landlock" in modules.read_text(encoding="ascii").split(",")) == (_landlock() > 0)


# The filter, step by step, for both machines

ARCHITECTURE = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
OWN = 4_242


def decided(machine: int, architecture: int, number: int, arguments: Sequence[int] = ()) -> int:
    """What the kernel would make of the filter for one call, after ``seccomp(2)``."""
    words = {0: number, 4: architecture}
    words |= {16 + 8 * place: value for place, value in enumerate(arguments)}
    steps = seccomp.filter_program(machine, OWN)
    at, accumulator = 0, 0
    while True:
        code, yes, no, operand = steps[at]
        at += 1
        if code == 0x20:
            accumulator = words.get(operand, 0)
        elif code == 0x06:
            return operand
        else:
            tests = {
                0x15: accumulator == operand,
                0x25: accumulator > operand,
                0x45: bool(accumulator & operand),
            }
            at += yes if tests[code] else no


ALLOWED, NOT_PERMITTED, ABSENT = 0x7FFF0000, 0x50000 | errno.EPERM, 0x50000 | errno.ENOSYS
A_THREAD, A_PROCESS = 0x3D0F00, 0x1200011


@pytest.mark.parametrize(
    ("numbers", "arguments", "expected"),
    [
        ((0, 63), (), ALLOWED),  # read
        ((257, 56), (), ALLOWED),  # openat: Landlock's business
        ((9, 222), (), ALLOWED),  # mmap
        ((202, 98), (), ALLOWED),  # futex
        ((59, 221), (), NOT_PERMITTED),  # execve
        ((41, 198), (), NOT_PERMITTED),  # socket
        ((101, 117), (), NOT_PERMITTED),  # ptrace
        ((272, 97), (), NOT_PERMITTED),  # unshare
        ((56, 220), (A_THREAD,), ALLOWED),
        ((56, 220), (A_PROCESS,), NOT_PERMITTED),
        ((435, 435), (), ABSENT),  # clone3
        ((463, 463), (), ABSENT),
        ((62, 129), (OWN, 9), ALLOWED),  # kill
        ((62, 129), (1, 9), NOT_PERMITTED),
        ((62, 129), (0, 9), NOT_PERMITTED),
        ((62, 129), (0xFFFFFFFF, 9), NOT_PERMITTED),
        ((234, 131), (OWN, OWN, 6), ALLOWED),  # tgkill, as abort() does
        ((234, 131), (1, 1, 6), NOT_PERMITTED),
        ((16, 29), (0, 0x5401), ALLOWED),  # ioctl: is it a terminal?
        ((16, 29), (0, 0x5412), NOT_PERMITTED),
        ((16, 29), (0, 0x541C), NOT_PERMITTED),
        ((302, 261), (0,), ALLOWED),  # prlimit64
        ((302, 261), (1,), NOT_PERMITTED),
        ((141, 140), (0, 0), ALLOWED),  # setpriority
        ((141, 140), (0, 7), NOT_PERMITTED),
    ],
)
@pytest.mark.parametrize("machine", [0, 1])
def test_the_filter_decides_as_meant(
    machine: int, numbers: tuple[int, int], arguments: tuple[int, ...], expected: int
) -> None:
    architecture = list(ARCHITECTURE.values())[machine]
    assert decided(machine, architecture, numbers[machine], arguments) == expected


@pytest.mark.parametrize("machine", [0, 1])
def test_calls_of_another_architecture_are_refused(machine: int) -> None:
    assert decided(machine, 0x40000003, 3) == NOT_PERMITTED  # 32-bit x86
    assert decided(0, ARCHITECTURE["x86_64"], 0x40000000) == ABSENT  # x32


# Windows: the layout and the calls, which Windows itself has not confirmed yet


class Kernel32:
    """Stands for ``kernel32``: notes what it is asked, and refuses what it is told to."""

    def __init__(self, *refused: str) -> None:
        self.refused = refused
        self.said: dict[int, bytes] = {}
        self.inside: list[object] = []

    def CreateJobObjectW(self, attributes: None, name: None) -> int:
        return 0 if "create" in self.refused else 77

    def SetInformationJobObject(self, job: int, kind: int, value: Any, size: int) -> int:
        if str(kind) in self.refused:
            return 0
        self.said[kind] = ctypes.string_at(value, size)
        return 1

    def GetCurrentProcess(self) -> int:
        return -1

    def AssignProcessToJobObject(self, job: int, process: int) -> int:
        if "assign" in self.refused:
            return 0
        self.inside.append((job, process))
        return 1


@pytest.mark.skipif(ctypes.sizeof(ctypes.c_void_p) != 8, reason="the layout of 64 bits")
def test_a_job_says_its_limits_where_windows_looks_for_them() -> None:
    """Offsets and numbers as in ``winnt.h`` for 64 bits (JOBOBJECT_EXTENDED_LIMIT_INFORMATION)."""
    kernel = Kernel32()
    assert job.restrict(512, 20, kernel) == [
        "memoria",
        "procesador",
        "sin procesos",
        "sin escritorio",
    ]
    assert kernel.inside == [(77, -1)]
    limits, desktop = kernel.said[9], kernel.said[4]
    assert len(limits) == 144 and desktop == b"\xff\0\0\0"
    at = {name: int.from_bytes(limits[a:b], "little") for name, (a, b) in OFFSETS.items()}
    assert at == {
        "PerProcessUserTimeLimit": 20 * 10_000_000,
        "LimitFlags": 0x2 | 0x8 | 0x100 | 0x400 | 0x2000,
        "ActiveProcessLimit": 1,
        "ProcessMemoryLimit": 512 << 20,
    }


OFFSETS = {
    "PerProcessUserTimeLimit": (0, 8),
    "LimitFlags": (16, 20),
    "ActiveProcessLimit": (40, 44),
    "ProcessMemoryLimit": (112, 120),
}


@pytest.mark.parametrize(
    ("refused", "on"),
    [
        ("create", []),
        ("assign", []),
        ("9", ["sin escritorio"]),
        ("4", ["memoria", "procesador", "sin procesos"]),
    ],
)
def test_a_job_names_only_what_windows_accepted(refused: str, on: list[str]) -> None:
    assert job.restrict(512, 20, Kernel32(refused)) == on


# The death of a child, whatever it dies of


@linux
@pytest.mark.parametrize(
    ("how", "code", "detail"),
    [
        ("SIGSEGV", "proceso_muerto", "-11"),
        ("SIGKILL", "proceso_muerto", "-9"),
        ("SIGABRT", "proceso_muerto", "-6"),
        ("SIGXCPU", "demasiado_lento", "1 s"),
        ("memory", "demasiada_memoria", "512 MB"),
        ("exit", "proceso_muerto", "3"),
        ("silence", "proceso_muerto", "FileNotFoundError"),
    ],
)
def test_a_child_that_dies_is_a_refusal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str, code: str, detail: str
) -> None:
    """The real parent; in place of the first child one that dies as the file says."""
    really = processes.run

    def mortal(confined: str, module: str, *rest: str, **options: Any) -> processes.Finished:
        assert module == "propensia.admission.reading"
        path = options["folder"] / "request.json"
        request = json.loads(path.read_text(encoding="utf-8"))
        request["readable"].append(str(Path(__file__).parent))
        path.write_text(json.dumps(request), encoding="utf-8")
        return really(confined, "tests.mortal", *rest, **options)

    monkeypatch.setattr(processes, "run", mortal)
    place = replace(
        settings.load({}),
        state=tmp_path / "state",
        admission_seconds=1 if how == "SIGXCPU" else 20,
        admission_memory_mb=512,
    )
    office = (place, contract.load(place.contract), Registry(place.state))
    outcome = admission.judge(Dropped("m", how.encode()), *office)
    assert outcome.refusal is not None and outcome.refusal.code == code
    assert detail in outcome.refusal.detail
    assert list((place.state / "work").iterdir()) == []

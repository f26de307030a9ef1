"""Other Python processes: started the same way on every system, bounded, and never left behind.

The only place that starts processes; it never limits the one that it runs in.
"""

from __future__ import annotations

import contextlib
import ctypes
import mmap
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
# -I ignores PYTHONPATH and the working folder, so the package's own place is handed over.
BOOT = (
    "import runpy, sys; sys.path.insert(0, sys.argv.pop(1)); "
    "runpy.run_module(sys.argv.pop(1), run_name='__main__', alter_sys=True)"
)
# A Ctrl-C in the console is for the server alone, and no console window pops up on Windows.
NO_WINDOW: int = getattr(subprocess, "CREATE_NO_WINDOW", 0)
OWN_SESSION = os.name == "posix"
# POSIX numbers, named here because Windows has neither.
KILL, OVER_CPU_TIME = 9, 24
LAST_BYTES = 4_000

Process = subprocess.Popen[bytes]

_running: set[Process] = set()
_guard = threading.Lock()


GIVES_WAY = 10
"""How much lower, of 19, what can wait is ranked than what answers (Linux)."""

_BELOW_NORMAL = -1  # THREAD_PRIORITY_BELOW_NORMAL of the Windows API


def give_way() -> None:
    """Let threads of others that need a core go before this one, from now on.

    It raises nothing; on other systems than Linux and Windows it does nothing.
    """
    with contextlib.suppress(OSError):
        if sys.platform == "linux":  # where a thread has a rank of its own
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), GIVES_WAY)
        elif sys.platform == "win32":
            kernel = ctypes.windll.kernel32
            kernel.SetThreadPriority(kernel.GetCurrentThread(), _BELOW_NORMAL)


@dataclass(frozen=True, slots=True)
class Finished:
    """How a process ended: its exit code (negative: by a signal), whether it had to be killed,
    and the last of its error output."""

    code: int
    timed_out: bool
    errors: str

    @property
    def too_long(self) -> bool:
        """Whether it took more time, on the clock or on the processor, than it was given."""
        return self.timed_out or self.code == -OVER_CPU_TIME


def command(module: str, *arguments: str) -> list[str]:
    """The command line that runs a module of this package in a fresh, isolated Python."""
    return [sys.executable, "-I", "-c", BOOT, str(ROOT), module, *arguments]


def run(module: str, *arguments: str, timeout_s: float, folder: Path | None = None) -> Finished:
    """Run a module to its end, or kill it after ``timeout_s`` seconds.

    It gets a fresh environment, with only what the system itself needs; ``folder`` is its home
    and its place for temporary files, where given. Whatever it started and left running ends
    with it (on Windows: only itself).
    """
    # A file, not a pipe: a grandchild that holds a pipe open would keep us waiting for it.
    with tempfile.TemporaryFile() as errors:
        child = subprocess.Popen(
            command(module, *arguments),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=errors,
            env=_system_environment(folder),
            creationflags=NO_WINDOW,
            start_new_session=OWN_SESSION,
        )
        with _guard:
            _running.add(child)
        timed_out = False
        try:
            child.wait(timeout_s)
        except subprocess.TimeoutExpired:
            timed_out = True
        finally:
            _kill(child)
            child.wait()
            with _guard:
                _running.discard(child)
        errors.seek(max(0, errors.seek(0, os.SEEK_END) - LAST_BYTES))
        return Finished(child.returncode, timed_out, errors.read().decode("utf-8", "replace"))


def _kill(child: Process) -> None:
    """End a child and, where the system has such groups, everything that it started."""
    if OWN_SESSION:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(child.pid, KILL)
    if child.poll() is None:
        child.kill()


def kill_children() -> None:
    """End every process that ``run`` is waiting for; for a process that must go now."""
    with _guard:
        for child in _running:
            _kill(child)


def start(module: str, environment: Mapping[str, str], *arguments: str) -> Process:
    """Start a background process that ends when this one does.

    Its standard input is a pipe that we hold: it closes with us, however we end, and the other
    side (``when_parent_ends``) takes that as its sign to go.
    """
    return subprocess.Popen(
        command(module, *arguments),
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        env=dict(os.environ) | dict(environment),
        creationflags=NO_WINDOW,
        start_new_session=OWN_SESSION,
    )


def when_parent_ends(action: threading.Event) -> None:
    """Set ``action`` when the process that started this one with ``start`` has ended."""

    def wait() -> None:
        while sys.stdin.buffer.read(1):
            pass
        action.set()

    threading.Thread(target=wait, name="parent", daemon=True).start()


def free_memory() -> int | None:
    """The bytes of memory that new processes may take now; ``None`` where nothing tells."""
    try:
        table = Path("/proc/meminfo").read_text(encoding="ascii")
    except OSError:
        return None
    lines = dict(line.split(":", 1) for line in table.splitlines() if ":" in line)
    available = lines.get("MemAvailable", "").split()
    return int(available[0]) << 10 if available else None


def may_make_code() -> bool:
    """Whether this process may write a program into memory and run it.

    A hardened service may not (systemd's ``MemoryDenyWriteExecute``). On Windows a program would
    have to ask for that itself, and none of ours does.
    """
    if sys.platform == "win32":
        return True
    everything = mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC
    try:
        mmap.mmap(-1, mmap.PAGESIZE, mmap.MAP_PRIVATE, everything).close()
    except OSError:
        return False
    return True


def give_back_memory() -> None:
    """Return freed memory to the system, where the allocator (glibc) keeps it otherwise.

    Reading a large model takes several times what it leaves behind.
    """
    if sys.platform == "linux":
        with contextlib.suppress(AttributeError):  # another C library
            ctypes.CDLL(None).malloc_trim(0)


def show(module: str, *arguments: str) -> int:
    """Run a module to its end with our own output and environment; its exit code."""
    return subprocess.call(command(module, *arguments), stdin=subprocess.DEVNULL)


def _system_environment(folder: Path | None) -> dict[str, str]:
    kept = ("PATH", "SYSTEMROOT", "TEMP", "TMP", "TMPDIR", "LANG", "LC_ALL")
    found = {name: os.environ[name] for name in kept if name in os.environ}
    if folder is not None:
        found |= dict.fromkeys(("HOME", "USERPROFILE", "TEMP", "TMP", "TMPDIR"), str(folder))
    return found | {"PYTHONUTF8": "1", "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}

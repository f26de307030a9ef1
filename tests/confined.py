"""A process that shuts itself in and then tries something: ``python -m tests.confined``.

``MODE`` is which layers it puts on, ``FOLDER`` its own one, ``ATTEMPT`` the name of a function
below, which gets the other arguments; ``answer.json`` in the folder tells how it went.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import json
import mmap
import os
import pickle
import resource
import socket
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

from propensia.confinement import _libraries, confine, landlock, linux, seccomp

PTRACE_ATTACH, PTRACE_DETACH = 16, 17
SIGCONT = 18  # which does nothing to a process that runs
TIOCSTI = 0x5412


class Refused(OSError):
    """A system call that came back with an error."""


def library(name: str, *arguments: object) -> int:
    """What a function of the C library gives. Raises ``Refused`` with its error."""
    ctypes.set_errno(0)
    code = getattr(ctypes.CDLL(None, use_errno=True), name)(*arguments)
    if code == -1:
        raise Refused(ctypes.get_errno(), name)
    return int(code)


def raw(x86_64: int, aarch64: int, *arguments: int) -> int:
    """What a system call gives. Raises ``Refused`` with its error."""
    number = (x86_64, aarch64)[linux.column() or 0]
    return library("syscall", ctypes.c_long(number), *(ctypes.c_long(a) for a in arguments))


# What a hostile process would try


def read(path: str) -> None:
    Path(path).read_bytes()


def list_folder(path: str) -> None:
    os.listdir(Path(path).parent)


def write_new(path: str) -> None:
    (Path(path).parent / "new").write_bytes(b"x")


def append(path: str) -> None:
    with open(path, "ab") as stream:
        stream.write(b"x")


def truncate(path: str) -> None:
    os.truncate(path, 0)


def remove(path: str) -> None:
    os.unlink(path)


def rename(path: str) -> None:
    os.rename(path, path + ".moved")


def take_in_by_a_hard_link(path: str, own: str) -> None:
    os.link(path, Path(own) / "link")


def reach_by_a_symbolic_link(path: str, own: str) -> None:
    link = Path(own) / "link"
    os.symlink(path, link)
    link.read_bytes()


def make_a_folder(path: str) -> None:
    os.mkdir(Path(path).parent / "folder")


def change_rights(path: str) -> None:
    os.chmod(path, 0o777)


def change_times(path: str) -> None:
    os.utime(path, (0, 0))


def connect(port: str) -> None:
    with socket.create_connection(("127.0.0.1", int(port)), timeout=5):
        pass


def bind(port: str) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))


def send_a_datagram(port: str) -> None:
    with socket.socket(type=socket.SOCK_DGRAM) as sender:
        sender.sendto(b"x", ("127.0.0.1", int(port)))


def local_socket() -> None:
    for end in socket.socketpair():
        end.close()


def run_a_program() -> None:
    subprocess.run(["/bin/true"], check=True)


def become_a_program() -> None:
    os.execv("/bin/true", ["true"])


def fork() -> None:
    if os.fork() == 0:
        os._exit(0)
    os.wait()


def spawn() -> None:
    os.waitpid(os.posix_spawn("/bin/true", ["true"], {}), 0)


def trace_the_parent(parent: str) -> None:
    library("ptrace", PTRACE_ATTACH, int(parent), None, None)
    library("ptrace", PTRACE_DETACH, int(parent), None, None)


def read_the_memory_of_the_parent(parent: str) -> None:
    with open(f"/proc/{parent}/mem", "rb"):
        pass


def signal_the_parent(parent: str) -> None:
    os.kill(int(parent), SIGCONT)


def bind_the_parent_to_a_processor(parent: str) -> None:
    os.sched_setaffinity(int(parent), os.sched_getaffinity(int(parent)))


def slow_the_parent_down(parent: str) -> None:
    os.setpriority(os.PRIO_PROCESS, int(parent), os.getpriority(os.PRIO_PROCESS, int(parent)))


def limit_the_parent(parent: str) -> None:
    limits = resource.prlimit(int(parent), resource.RLIMIT_CORE)
    resource.prlimit(int(parent), resource.RLIMIT_CORE, limits)


def raise_the_own_limit() -> None:
    try:
        resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    except ValueError as error:  # Python's word for EPERM
        raise Refused(errno.EPERM, "setrlimit") from error


def mount(path: str) -> None:
    library("mount", b"none", str(Path(path).parent).encode(), b"tmpfs", 0, None)


def new_room() -> None:
    library("unshare", 0x10000000)


def load_a_filter_of_the_kernel() -> None:
    raw(321, 280, 0, 0, 0)


def count_events() -> None:
    raw(298, 241, 0, 0, 0, 0, 0)


def queue_calls() -> None:
    raw(425, 425, 1, 0)


def keys() -> None:
    raw(250, 219, 0, -3, 0)


def type_into_the_terminal() -> None:
    with open("/dev/null", "rb") as stream:
        library("ioctl", stream.fileno(), ctypes.c_ulong(TIOCSTI), b"x")


def load_with_open_arms(own: str) -> None:
    """What no process here ever does: load hostile files with the libraries' own loaders."""
    import joblib

    for path in sorted(Path(own).glob("*.pickle")):
        with contextlib.suppress(Exception), path.open("rb") as stream:
            pickle.load(stream)
    for path in sorted(Path(own).glob("*.joblib")):
        with contextlib.suppress(Exception):
            joblib.load(path)


# What an honest one does


def its_work(own: str) -> None:
    """Loads modules, makes files, replaces and removes them, runs threads, counts processors."""
    import decimal
    import sqlite3

    place = Path(own) / "deep" / "er"
    place.mkdir(parents=True)
    (place / "a").write_bytes(b"a")
    os.replace(place / "a", place / "b")
    with (place / "b").open("r+b") as file:
        file.truncate(0)
    with tempfile.TemporaryDirectory() as folder, tempfile.NamedTemporaryFile() as file:
        assert Path(folder).parent == Path(file.name).parent == Path(own)
    done: list[str] = []
    threads = [threading.Thread(target=done.append, args=(name,)) for name in "ab"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(done) == ["a", "b"] and os.cpu_count()
    assert Path("/proc/cpuinfo").read_bytes() and os.urandom(1)
    with open(os.devnull, "wb") as stream:
        stream.write(b"x")
    mmap.mmap(-1, 1 << 20).close()
    assert decimal.Decimal(1) and sqlite3.sqlite_version
    (place / "b").unlink()
    place.rmdir()


def status() -> dict[str, str]:
    """What the kernel itself says of this process."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


def shut_in(mode: str, folder: Path) -> list[str]:
    """Put the layers of a mode on; their names."""
    if mode == "none":
        return []
    if mode == "all":
        return confine(memory_mb=2048, cpu_s=20, file_mb=16, folder=folder)
    if mode == "landlock":
        return ["solo su carpeta"] * landlock.restrict(_libraries(), folder)
    assert mode == "seccomp"
    return ["sin llamadas peligrosas"] * seccomp.restrict()


def main(mode: str, folder: Path, attempt: str, *arguments: str) -> None:
    layers = shut_in(mode, folder)
    answer: dict[str, object] = {"layers": layers, "error": None, "value": None}
    try:
        answer["value"] = globals()[attempt](*arguments)
    except OSError as error:
        answer["error"] = error.errno
    (folder / "answer.json").write_text(json.dumps(answer), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), *sys.argv[3:])

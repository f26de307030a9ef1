"""Confinement: shuts the process that will touch a hostile file in, with what the system offers.

It is never the gate that keeps a hostile file out (that is reading it as data), and it never
fails: what a system refuses is left out, and not named among the layers that are on.
"""

from __future__ import annotations

import os
import sys
import sysconfig
import tempfile
from collections.abc import Sequence
from pathlib import Path

from propensia.confinement import job, landlock, linux, seccomp

try:
    import resource  # POSIX only
except ImportError:  # pragma: no cover - Windows
    resource = None  # type: ignore[assignment]

__all__ = ["confine", "limit"]

MOST_OPEN = 512
# What libraries read while they load and count processors; never a folder of people or programs.
_SYSTEM = (
    "/lib",
    "/lib64",
    "/usr/lib",
    "/usr/lib64",
    "/usr/local/lib",
    "/usr/share/zoneinfo",
    "/etc/ld.so.cache",
    "/etc/ld.so.conf",
    "/etc/ld.so.conf.d",
    "/etc/localtime",
    "/dev/null",
    "/dev/zero",
    "/dev/random",
    "/dev/urandom",
    "/proc/self",
    "/proc/cpuinfo",
    "/proc/meminfo",
    "/proc/stat",
    "/proc/sys/vm",
    "/sys/devices/system/cpu",
    "/sys/devices/system/node",
    "/sys/fs/cgroup",
    "/sys/kernel/mm/transparent_hugepage",
)


# What must at least be on where code of a library runs on what a file says.
OWN_FOLDER, NO_DANGEROUS_CALLS = "solo su carpeta", "sin llamadas peligrosas"
MINIMUM = frozenset({OWN_FOLDER, NO_DANGEROUS_CALLS})


def confine(
    memory_mb: int,
    cpu_s: int,
    file_mb: int,
    readable: Sequence[str] = (),
    folder: Path | None = None,
) -> list[str]:
    """Shut this process in for good; the short Spanish names of the layers that are on.

    ``memory_mb`` of address space, ``cpu_s`` seconds of processor time, no file over ``file_mb``;
    ``folder`` is the one place where it may write, also its temporary files (``None``: nowhere),
    ``readable`` names files it may read besides the Python installation and the system's
    libraries. Call it while this is the only thread: what Linux applies to one thread only is
    not counted as on otherwise. Never raises for a layer that the system lacks.
    """
    layers = _limits(memory_mb, cpu_s, file_mb)
    if folder is not None:
        tempfile.tempdir = str(folder)
    if sys.platform == "win32":
        return layers + job.restrict(memory_mb, cpu_s)
    if sys.platform != "linux":
        return layers
    alone = linux.threads() == 1
    apart = linux.leave_network()
    if linux.drop_privileges() and alone:
        layers.append("sin privilegios")
    if landlock.restrict([*_libraries(), *readable], folder) and alone:
        layers.append(OWN_FOLDER)
    filtered = seccomp.restrict()
    if filtered:
        layers.append(NO_DANGEROUS_CALLS)
    if filtered or (apart and alone):
        layers.append("sin red")
    return layers


def limit(memory_mb: int, cpu_s: int, file_mb: int) -> list[str]:
    """Bound this process for good, without shutting it in; the arguments are those of
    ``confine``. Returns the names of what is bounded. Never raises for what the system lacks."""
    layers = _limits(memory_mb, cpu_s, file_mb)
    return layers + job.restrict(memory_mb, cpu_s) if sys.platform == "win32" else layers


def _limits(memory_mb: int, cpu_s: int, file_mb: int) -> list[str]:
    if resource is None:
        return []
    limits = {
        "memoria": (resource.RLIMIT_AS, memory_mb << 20, 0),
        # One second more to the hard limit: at the soft one comes the signal that says why.
        "procesador": (resource.RLIMIT_CPU, cpu_s, 1),
        "ficheros": (resource.RLIMIT_FSIZE, file_mb << 20, 0),
        "abiertos": (resource.RLIMIT_NOFILE, MOST_OPEN, 0),
        "volcados": (resource.RLIMIT_CORE, 0, 0),
    }
    for which, value, spare in limits.values():
        hardest = resource.getrlimit(which)[1]
        hard = value + spare
        if hardest != resource.RLIM_INFINITY:
            hard = min(hard, hardest)
        resource.setrlimit(which, (min(value, hard), hard))
    return list(limits)


def _libraries() -> list[str]:
    """Where Python, its packages, this one and the system's libraries lie.

    Not the folder of an installation as a whole: a project may keep its files beside them.
    """
    paths = sysconfig.get_paths()
    own = {paths[name] for name in ("stdlib", "platstdlib", "purelib", "platlib")}
    own |= {os.path.join(prefix, "lib") for prefix in (sys.prefix, sys.base_prefix)}
    return [str(Path(__file__).resolve().parent.parent), *sorted(own), *_SYSTEM]

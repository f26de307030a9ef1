"""A Job Object: the limits of Windows for a process that has put itself into one.

It never stops the process from reading files, as no Job Object can. Structures and numbers are
those of ``winnt.h``; see "Job Objects" in the documentation of the Windows API.
**Not run on Windows so far**: the tests know only the layout and the order of the calls.
"""

from __future__ import annotations

import ctypes
from typing import Any

_BASIC_UI_RESTRICTIONS, _EXTENDED_LIMITS = 4, 9
_ALL_OF_THE_DESKTOP = 0xFF  # clipboard, handles, atoms, settings, desktops, log-off
_PROCESS_TIME, _ACTIVE_PROCESS, _PROCESS_MEMORY = 0x2, 0x8, 0x100
_NO_ERROR_WINDOW, _END_WITH_THE_JOB = 0x400, 0x2000
_TICKS_A_SECOND = 10_000_000


class _BasicLimits(ctypes.Structure):
    _fields_ = (
        ("process_time", ctypes.c_int64),
        ("job_time", ctypes.c_int64),
        ("flags", ctypes.c_uint32),
        ("smallest_working_set", ctypes.c_size_t),
        ("largest_working_set", ctypes.c_size_t),
        ("active_processes", ctypes.c_uint32),
        ("affinity", ctypes.c_size_t),
        ("priority", ctypes.c_uint32),
        ("scheduling", ctypes.c_uint32),
    )


class _ExtendedLimits(ctypes.Structure):
    _fields_ = (
        ("basic", _BasicLimits),
        ("counters", ctypes.c_uint64 * 6),
        ("process_memory", ctypes.c_size_t),
        ("job_memory", ctypes.c_size_t),
        ("peak_process_memory", ctypes.c_size_t),
        ("peak_job_memory", ctypes.c_size_t),
    )


def restrict(memory_mb: int, cpu_s: int, kernel: Any = None) -> list[str]:
    """Put this process into a job for good; the names of the limits that are on.

    ``kernel`` is ``kernel32``. The job is never closed: it ends with the process, and whatever
    should be in it ends with the job.
    """
    kernel = kernel or _kernel32()
    job = kernel.CreateJobObjectW(None, None)
    if not job:
        return []
    limits = _ExtendedLimits()
    limits.basic.flags = (
        _PROCESS_TIME | _ACTIVE_PROCESS | _PROCESS_MEMORY | _NO_ERROR_WINDOW | _END_WITH_THE_JOB
    )
    limits.basic.process_time = cpu_s * _TICKS_A_SECOND
    limits.basic.active_processes = 1
    limits.process_memory = memory_mb << 20
    desktop = ctypes.c_uint32(_ALL_OF_THE_DESKTOP)
    limited = _set(kernel, job, _EXTENDED_LIMITS, limits)
    alone = _set(kernel, job, _BASIC_UI_RESTRICTIONS, desktop)
    if not kernel.AssignProcessToJobObject(job, kernel.GetCurrentProcess()):
        return []
    return ["memoria", "procesador", "sin procesos"] * limited + ["sin escritorio"] * alone


def _set(kernel: Any, job: Any, kind: int, value: Any) -> bool:
    size = ctypes.sizeof(value)
    return bool(kernel.SetInformationJobObject(job, kind, ctypes.byref(value), size))


def _kernel32() -> Any:
    kernel = ctypes.WinDLL("kernel32", use_last_error=True)  # type: ignore[attr-defined]
    handle, whole, yes = ctypes.c_void_p, ctypes.c_uint32, ctypes.c_int
    for function, result, arguments in (
        (kernel.CreateJobObjectW, handle, (handle, ctypes.c_wchar_p)),
        (kernel.SetInformationJobObject, yes, (handle, ctypes.c_int, handle, whole)),
        (kernel.GetCurrentProcess, handle, ()),
        (kernel.AssignProcessToJobObject, yes, (handle, handle)),
    ):
        function.restype, function.argtypes = result, arguments
    return kernel

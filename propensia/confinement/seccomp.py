"""Seccomp: the system calls that this process may no longer make, as a filter in the kernel.

It refuses with an error rather than kill, so that a library which only tries goes on. It never
looks behind a pointer (a filter cannot), so it refuses whole calls where that would be needed.
See ``seccomp(2)``; call numbers from ``asm/unistd_64.h`` and ``asm-generic/unistd.h``.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct
from collections.abc import Iterable, Sequence

from propensia.confinement import linux

# Call numbers by machine, as ``linux.MACHINES``; -1 where a machine has no such call.
_REFUSED: dict[str, tuple[int, int]] = {
    # to run a program, or to become another process
    "execve": (59, 221),
    "execveat": (322, 281),
    "fork": (57, -1),
    "vfork": (58, -1),
    "uselib": (134, -1),
    # the network, and sockets of any kind
    "socket": (41, 198),
    "socketpair": (53, 199),
    "connect": (42, 203),
    "bind": (49, 200),
    "listen": (50, 201),
    "accept": (43, 202),
    "accept4": (288, 242),
    "sendto": (44, 206),
    "sendmsg": (46, 211),
    "sendmmsg": (307, 269),
    # other processes: their memory, their files, signals that cannot be told apart
    "ptrace": (101, 117),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "process_madvise": (440, 440),
    "process_mrelease": (448, 448),
    "kcmp": (312, 272),
    "pidfd_open": (434, 434),
    "pidfd_getfd": (438, 438),
    "pidfd_send_signal": (424, 424),
    "tkill": (200, 130),
    "rt_sigqueueinfo": (129, 138),
    "rt_tgsigqueueinfo": (297, 240),
    "sched_setscheduler": (144, 119),
    "sched_setparam": (142, 118),
    "sched_setattr": (314, 274),
    "ioprio_set": (251, 30),
    "migrate_pages": (256, 238),
    "move_pages": (279, 239),
    # memory and messages shared with other processes by a key
    "shmget": (29, 194),
    "shmat": (30, 196),
    "shmctl": (31, 195),
    "semget": (64, 190),
    "semctl": (66, 191),
    "msgget": (68, 186),
    "msgctl": (71, 187),
    "mq_open": (240, 180),
    "mq_unlink": (241, 181),
    # what Landlock leaves open: rights, owners, times and labels of files, and special files
    "memfd_create": (319, 279),
    "memfd_secret": (447, 447),
    # before Linux 6.2 Landlock lets a file be emptied
    "truncate": (76, 45),
    "chmod": (90, -1),
    "fchmod": (91, 52),
    "fchmodat": (268, 53),
    "fchmodat2": (452, 452),
    "chown": (92, -1),
    "fchown": (93, 55),
    "lchown": (94, -1),
    "fchownat": (260, 54),
    "utime": (132, -1),
    "utimes": (235, -1),
    "futimesat": (261, -1),
    "utimensat": (280, 88),
    "setxattr": (188, 5),
    "lsetxattr": (189, 6),
    "fsetxattr": (190, 7),
    "removexattr": (197, 14),
    "lremovexattr": (198, 15),
    "fremovexattr": (199, 16),
    "mknod": (133, -1),
    "mknodat": (259, 33),
    "symlink": (88, -1),
    "symlinkat": (266, 36),
    "link": (86, -1),
    "linkat": (265, 37),
    "name_to_handle_at": (303, 264),
    "open_by_handle_at": (304, 265),
    "fanotify_init": (300, 262),
    # the tree of file systems, and rooms of one's own
    "mount": (165, 40),
    "umount2": (166, 39),
    "pivot_root": (155, 41),
    "chroot": (161, 51),
    "open_tree": (428, 428),
    "move_mount": (429, 429),
    "fsopen": (430, 430),
    "fsconfig": (431, 431),
    "fsmount": (432, 432),
    "fspick": (433, 433),
    "mount_setattr": (442, 442),
    "swapon": (167, 224),
    "swapoff": (168, 225),
    "quotactl": (179, 60),
    "quotactl_fd": (443, 443),
    "unshare": (272, 97),
    "setns": (308, 268),
    # the kernel and the machine
    "kexec_load": (246, 104),
    "kexec_file_load": (320, 294),
    "init_module": (175, 105),
    "finit_module": (313, 273),
    "delete_module": (176, 106),
    "bpf": (321, 280),
    "perf_event_open": (298, 241),
    "userfaultfd": (323, 282),
    "io_uring_setup": (425, 425),
    "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427),
    "add_key": (248, 217),
    "request_key": (249, 218),
    "keyctl": (250, 219),
    "reboot": (169, 142),
    "sethostname": (170, 161),
    "setdomainname": (171, 162),
    "settimeofday": (164, 170),
    "clock_settime": (227, 112),
    "clock_adjtime": (305, 266),
    "adjtimex": (159, 171),
    "acct": (163, 89),
    "syslog": (103, 116),
    "vhangup": (153, 58),
    "personality": (135, 92),
    "iopl": (172, -1),
    "ioperm": (173, -1),
    "modify_ldt": (154, -1),
}
_CLONE, _CLONE3, _IOCTL = (56, 220), (435, 435), (16, 29)
_KILL, _TGKILL, _PRLIMIT = (62, 129), (234, 131), (302, 261)
_SETPRIORITY, _SETAFFINITY = (141, 140), (203, 122)
_CLONE_THREAD = 0x10000
_TIOCSTI, _TIOCLINUX = 0x5412, 0x541C  # letters typed into the terminal of someone else
# What the kernel gained later is not there, as on an older kernel; so are the calls of other
# interfaces of x86_64, whose numbers are far above.
_NEWEST = 462
_ARCHITECTURES = (0xC000003E, 0xC00000B7)
_SECCOMP, _SET_FILTER, _ALL_THREADS = (317, 277), 1, 1
_LOAD, _IF_EQUAL, _IF_ABOVE, _IF_ANY_BIT, _RETURN = 0x20, 0x15, 0x25, 0x45, 0x06
_NUMBER, _ARCHITECTURE, _FIRST_ARGUMENT = 0, 4, 16
_ALLOW, _ERROR = 0x7FFF0000, 0x00050000
_REFUSE, _ABSENT = _ERROR | errno.EPERM, _ERROR | errno.ENOSYS

Instruction = tuple[int, int, int, int]  # what to do, jump if so, jump if not, operand


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.c_char_p))


def restrict() -> bool:
    """Refuse the calls above to every thread of this process, for good; whether that is on.

    Threads may be started; processes and programs may not. Signals may go to this process only.
    """
    place = linux.column()
    if place is None or not linux.forbid_new_privileges():
        return False
    code = [struct.pack("=HBBI", *step) for step in filter_program(place, os.getpid())]
    program = _Program(len(code), b"".join(code))
    loaded = linux.call(_SECCOMP[place], _SET_FILTER, _ALL_THREADS, ctypes.byref(program))
    return loaded == 0


def filter_program(place: int, own_pid: int) -> list[Instruction]:
    """The filter for a machine (its place in ``linux.MACHINES``), as the kernel runs it: one
    step after the other, a jump counted from the next one."""
    code: list[Instruction] = [
        (_LOAD, 0, 0, _ARCHITECTURE),
        (_IF_EQUAL, 1, 0, _ARCHITECTURES[place]),
        (_RETURN, 0, 0, _REFUSE),
        (_LOAD, 0, 0, _NUMBER),
        (_IF_ABOVE, 0, 1, _NEWEST),
        (_RETURN, 0, 0, _ABSENT),
        # Its flags lie behind a pointer; told that it is absent, C libraries take `clone`.
        (_IF_EQUAL, 0, 1, _CLONE3[place]),
        (_RETURN, 0, 0, _ABSENT),
    ]
    for number in sorted(numbers[place] for numbers in _REFUSED.values() if numbers[place] >= 0):
        code += [(_IF_EQUAL, 0, 1, number), (_RETURN, 0, 0, _REFUSE)]
    code += _looked_at(_CLONE[place], 0, [(_IF_ANY_BIT, 1, 0, _CLONE_THREAD)])
    code += _looked_at(_IOCTL[place], 1, _none_of((_TIOCSTI, _TIOCLINUX)))
    for numbers in (_KILL, _TGKILL):
        code += _looked_at(numbers[place], 0, [(_IF_EQUAL, 1, 0, own_pid)])
    # Of itself only, which is called 0.
    for numbers, argument in ((_PRLIMIT, 0), (_SETAFFINITY, 0), (_SETPRIORITY, 1)):
        code += _looked_at(numbers[place], argument, [(_IF_EQUAL, 1, 0, 0)])
    return [*code, (_RETURN, 0, 0, _ALLOW)]


def _none_of(values: Sequence[int]) -> list[Instruction]:
    """A test that jumps to what stands first after it for any of the values, else beyond."""
    last = len(values) - 1
    return [(_IF_EQUAL, last - i, int(i == last), value) for i, value in enumerate(values)]


def _looked_at(call: int, argument: int, test: Iterable[Instruction]) -> list[Instruction]:
    """Steps for one call: load the lower half of an argument, then a test that goes on to a
    refusal, or jumps over it to a permission."""
    # All these arguments are 32 bits wide, so the kernel ignores the upper half as well.
    steps = [
        (_LOAD, 0, 0, _FIRST_ARGUMENT + 8 * argument),
        *test,
        (_RETURN, 0, 0, _REFUSE),
        (_RETURN, 0, 0, _ALLOW),
    ]
    return [(_IF_EQUAL, 0, len(steps), call), *steps]

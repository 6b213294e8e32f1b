"""Linux's Landlock: a process gives up what it may read or reach, for good, without any rights.

Source: the kernel's ``Documentation/userspace-api/landlock.rst``; numbers from
``include/uapi/linux/landlock.h``, which are the same on every processor.
"""

from __future__ import annotations

import ctypes
import errno
import os
import stat
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

_CREATE, _ADD, _RESTRICT = 444, 445, 446
_NO_NEW_PRIVILEGES = 38
_O_PATH = 0o10000000
_CONNECT_TCP = 1 << 1

READ_FILE, READ_DIR, WRITE_FILE = 1 << 2, 1 << 3, 1 << 1
READ = READ_FILE | READ_DIR
_OF_FILES = 1 << 0 | WRITE_FILE | READ_FILE | 1 << 14
"""Rights that a file can have: to execute, write, read, truncate."""


class _Ruleset(ctypes.Structure):
    _fields_ = (
        ("files", ctypes.c_uint64),
        ("network", ctypes.c_uint64),
        ("scoped", ctypes.c_uint64),
    )


class _Port(ctypes.Structure):
    _fields_ = (("allowed", ctypes.c_uint64), ("port", ctypes.c_uint64))


class _Beneath(ctypes.Structure):
    _pack_ = 1
    _fields_ = (("allowed", ctypes.c_uint64), ("parent", ctypes.c_int32))


def version() -> int:
    """The kernel's version of Landlock; 0 where there is none."""
    if sys.platform != "linux":
        return 0
    found: int = ctypes.CDLL(None).syscall(_CREATE, None, ctypes.c_size_t(0), ctypes.c_uint32(1))
    return max(found, 0)


def restrict(readable: Iterable[tuple[Path, int]], own: Path) -> None:
    """Leave this process, and what it starts, no more than is listed. There is no way back.

    Args:
        readable: Paths with the rights on all beneath them; what is not there is passed over.
        own: A folder with every right but to execute.

    Raises:
        OSError: if the kernel refuses, or has no Landlock.
    """
    abi = version()
    # To execute .. to make symlinks; then to link across folders, truncate, control devices.
    files = (1 << 13) - 1
    files |= (1 << 13) * (abi >= 2) | (1 << 14) * (abi >= 3) | (1 << 15) * (abi >= 5)
    network, scoped = 3 * (abi >= 4), 3 * (abi >= 6)
    rules = _Ruleset(files, network, scoped)
    size = 24 if abi >= 6 else 16 if abi >= 4 else 8
    ruleset = _call(_CREATE, ctypes.byref(rules), ctypes.c_size_t(size), ctypes.c_uint32(0))
    for path, rights in (*readable, (own, files & ~1)):
        with _opened(path) as descriptor:
            if descriptor is None:
                continue
            if not stat.S_ISDIR(os.fstat(descriptor).st_mode):
                rights &= _OF_FILES & files
            beneath = _Beneath(rights, descriptor)
            _call(_ADD, ruleset, 1, ctypes.byref(beneath), ctypes.c_uint32(0))
    _enter(ruleset)


def restrict_tcp(ports: Iterable[int]) -> None:
    """Leave this process, and what it starts, TCP connections to these ports alone.

    Ports say nothing of addresses, and UDP is not restricted at all.

    Raises:
        OSError: if the kernel refuses, or its Landlock knows no network (Linux 6.7).
    """
    if version() < 4:
        raise OSError(errno.ENOSYS, "Landlock: this kernel's knows no network")
    rules = _Ruleset(0, _CONNECT_TCP, 0)
    ruleset = _call(_CREATE, ctypes.byref(rules), ctypes.c_size_t(16), ctypes.c_uint32(0))
    for port in ports:
        rule = _Port(_CONNECT_TCP, port)
        _call(_ADD, ruleset, 2, ctypes.byref(rule), ctypes.c_uint32(0))
    _enter(ruleset)


def _enter(ruleset: int) -> None:
    if ctypes.CDLL(None, use_errno=True).prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl")
    _call(_RESTRICT, ruleset, ctypes.c_uint32(0))
    os.close(ruleset)


def _call(number: int, *arguments: object) -> int:
    result: int = ctypes.CDLL(None, use_errno=True).syscall(number, *arguments)
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, f"Landlock: {os.strerror(code)}")
    return result


@contextmanager
def _opened(path: Path) -> Iterator[int | None]:
    try:
        descriptor = os.open(path, _O_PATH | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        yield None
        return
    try:
        yield descriptor
    finally:
        os.close(descriptor)

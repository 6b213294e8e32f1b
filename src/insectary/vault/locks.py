"""Locks between processes that the kernel releases when their holder dies.

``flock`` belongs to the open file, not to the process, so threads exclude one
another as well and no lock outlives a ``kill -9``. Nothing here ever expires:
a lease with a clock would let a slow process lose its lock while it writes.
"""

from __future__ import annotations

import errno
import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from insectary.core.errors import ArtefactError

_POLL_SECONDS = 0.05


@contextmanager
def locked(
    path: Path, *, timeout: float | None = None, on_wait: Callable[[str], None] | None = None
) -> Iterator[None]:
    """Hold the lock file ``path`` exclusively; wait for whoever holds it.

    Args:
        path: Lock file, made if missing and never removed.
        timeout: Seconds to wait; ``None`` waits as long as it takes.
        on_wait: Told once, in words, who holds the lock, if it must wait.

    Raises:
        ArtefactError: if the lock is still held after ``timeout`` seconds.
    """
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open(path, flags, 0o600)
    try:
        _acquire(descriptor, path, timeout, on_wait)
        _sign(descriptor)
        try:
            yield
        finally:
            # Explicitly, because a forked child may still share the open file.
            fcntl.flock(descriptor, fcntl.LOCK_UN)
    finally:
        os.close(descriptor)


def _sign(descriptor: int) -> None:
    """Note the holder for those who wait.

    On a full disk the lock holds unsigned: `insectary gc`, which makes room, needs it.
    """
    try:
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise


def _acquire(
    descriptor: int, path: Path, timeout: float | None, on_wait: Callable[[str], None] | None
) -> None:
    if _try(descriptor, fcntl.LOCK_EX):
        return
    holder = os.pread(descriptor, 32, 0).decode(errors="replace").strip() or "unknown"
    words = f"{path.stem} is in use by process {holder}"
    if on_wait is not None:
        on_wait(words)
    if timeout is None:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        return
    end = time.monotonic() + timeout
    while not _try(descriptor, fcntl.LOCK_EX):
        if time.monotonic() >= end:
            raise ArtefactError(f"{words}, still after {timeout:g} s: wait for it or stop it")
        time.sleep(_POLL_SECONDS)


def _try(descriptor: int, operation: int) -> bool:
    try:
        fcntl.flock(descriptor, operation | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def claim_directory(path: Path, *, shared: bool, wait: bool) -> int | None:
    """Lock a directory itself.

    A reader or a writer claims the directory it works in, and waits for it; the
    collector removes only what it can claim for itself alone without waiting.

    Returns:
        An open descriptor to close when done, or ``None`` if the directory is
        gone or someone else's claim excludes this one.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        operation = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
        if wait:
            fcntl.flock(descriptor, operation)
        if (wait or _try(descriptor, operation)) and _is_at(descriptor, path):
            return descriptor
    except BaseException:
        os.close(descriptor)
        raise
    os.close(descriptor)
    return None


def _is_at(descriptor: int, path: Path) -> bool:
    """True if the locked directory was not moved away before the lock was had."""
    try:
        return os.path.samestat(os.fstat(descriptor), os.lstat(path))
    except FileNotFoundError:
        return False


def release(descriptor: int) -> None:
    """Give a claim back."""
    fcntl.flock(descriptor, fcntl.LOCK_UN)
    os.close(descriptor)

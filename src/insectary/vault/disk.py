"""The one door to the file system for everything the vault changes.

Every change goes through a :class:`Disk`, so that a test can hand in one that
fails, dies or forgets at any chosen call. Reading does not go through it:
what is read is verified by digest anyway.

Covered: a write that fails half-way, a full disk, a failing fsync, a process
killed between any two calls, a power loss after any call (by the order of
calls, see ``tests/vault``).
Not covered: a disk that says it has synced and has not; two machines that
share one home over a network file system without working locks.
"""

from __future__ import annotations

import errno
import os
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol, final

from insectary.core.errors import ArtefactError, InsectaryError

_DIRECTORY = 0o700
_FILE = 0o600
_TEMPORARY = re.compile(r"\A\..+\.[0-9a-f]{12}\.tmp\Z")
# Libraries written in Rust (safetensors, tokenizers) report a failed write in
# an error of their own, with the number in the text.
_RUST_ERROR = re.compile(r"\(os error (\d+)\)")
_WAYS_OUT = {
    errno.ENOSPC: "the disk is full: free some space (`insectary gc` may help) and run it again",
    errno.EDQUOT: "your disk quota is used up: free some space and run it again",
    errno.EFBIG: "the file is larger than this account or file system allows (see `ulimit -f`)",
    errno.EACCES: "no permission: check the owner and mode, or choose another INSECTARY_HOME",
    errno.EPERM: "not permitted: check the owner and mode, or choose another INSECTARY_HOME",
    errno.EROFS: "the file system is read-only: choose another INSECTARY_HOME",
    errno.EIO: "the disk reported an error; nothing was published: check the disk",
}


class Disk(Protocol):
    """The calls that change something on disk. None of them syncs by itself."""

    def make_dir(self, path: Path) -> None:
        """Make one directory, owner-only. Raises FileExistsError if it is there."""
        ...

    def create(self, path: Path, data: bytes) -> None:
        """Make a new owner-only file. Raises FileExistsError if it is there."""
        ...

    def append(self, path: Path, data: bytes) -> None:
        """Add to the end of a file, which is made if it is missing."""
        ...

    def restrict(self, path: Path) -> None:
        """Make a file or directory owner-only."""
        ...

    def sync_file(self, path: Path) -> None:
        """Return when the file's content would survive a power loss."""
        ...

    def sync_dir(self, path: Path) -> None:
        """Return when the directory's list of names would survive a power loss."""
        ...

    def rename(self, source: Path, target: Path) -> None:
        """Move in one step; an existing file or empty directory is replaced."""
        ...

    def unlink(self, path: Path) -> None:
        """Remove one file or symlink."""
        ...

    def remove_dir(self, path: Path) -> None:
        """Remove one empty directory."""
        ...


@final
class RealDisk:
    """The operating system's own calls."""

    def make_dir(self, path: Path) -> None:
        """Make one directory, owner-only."""
        os.mkdir(path, _DIRECTORY)

    def create(self, path: Path, data: bytes) -> None:
        """Make a new owner-only file; never through a symlink."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        with open(os.open(path, flags, _FILE), "wb", buffering=0) as file:
            _write_all(file.fileno(), data)

    def append(self, path: Path, data: bytes) -> None:
        """Add to the end of a file; never through a symlink."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
        with open(os.open(path, flags, _FILE), "ab", buffering=0) as file:
            _write_all(file.fileno(), data)

    def restrict(self, path: Path) -> None:
        """Make a file or directory owner-only."""
        os.chmod(path, _DIRECTORY if path.is_dir() else _FILE)

    def sync_file(self, path: Path) -> None:
        """Flush a file's content."""
        _sync(path, os.O_RDONLY | os.O_NOFOLLOW)

    def sync_dir(self, path: Path) -> None:
        """Flush a directory's list of names."""
        _sync(path, os.O_RDONLY | os.O_DIRECTORY)

    def rename(self, source: Path, target: Path) -> None:
        """Move in one step."""
        os.replace(source, target)

    def unlink(self, path: Path) -> None:
        """Remove one file or symlink."""
        os.unlink(path)

    def remove_dir(self, path: Path) -> None:
        """Remove one empty directory."""
        os.rmdir(path)


REAL_DISK: Disk = RealDisk()


def _write_all(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def _sync(path: Path, flags: int) -> None:
    descriptor = os.open(path, flags | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def temporary_name(name: str) -> str:
    """A fresh name for something unfinished, to be recognised by :func:`is_temporary`."""
    return f".{name}.{secrets.token_hex(6)}.tmp"


def is_temporary(name: str) -> bool:
    """True for names made by :func:`temporary_name`."""
    return _TEMPORARY.match(name) is not None


def ensure_dir(path: Path, disk: Disk) -> None:
    """Make a directory (not its parents) unless it is there, durably.

    Raises:
        ArtefactError: if a file or a symlink is in its place.
    """
    try:
        disk.make_dir(path)
    except FileExistsError:
        if path.is_symlink() or not path.is_dir():
            raise ArtefactError(
                f"{path} must be a real directory and is something else: move it away"
            ) from None
    # Also when it was there: whoever made it may have died before this call.
    disk.sync_dir(path.parent)


def write_atomic(path: Path, data: bytes, disk: Disk) -> None:
    """Put ``data`` at ``path``: after any crash a reader sees all of it or the old file."""
    temporary = path.with_name(temporary_name(path.name))
    try:
        disk.create(temporary, data)
        disk.sync_file(temporary)
        disk.rename(temporary, path)
    except BaseException as error:
        tidy(temporary, disk, error)
        raise
    disk.sync_dir(path.parent)


def remove_tree(path: Path, disk: Disk) -> None:
    """Remove a file, a symlink or a whole directory; follows no symlink."""
    if path.is_symlink() or not path.is_dir():
        disk.unlink(path)
        return
    for child in sorted(path.iterdir()):
        remove_tree(child, disk)
    disk.remove_dir(path)


def tidy(path: Path, disk: Disk, error: BaseException) -> None:
    """Remove what ``error`` left behind; if that fails too, say so on ``error``."""
    try:
        if os.path.lexists(path):
            remove_tree(path, disk)
    except OSError as second:
        error.add_note(f"left behind, `insectary gc` removes it: {path} ({second})")


def tree_bytes(path: Path) -> int:
    """Bytes of all files below ``path``, symlinks not followed."""
    if path.is_symlink() or not path.is_dir():
        return path.lstat().st_size
    return sum(tree_bytes(child) for child in path.iterdir())


@contextmanager
def explained(doing: str) -> Iterator[None]:
    """Turn an operating-system error into one :class:`ArtefactError` with a way out.

    Args:
        doing: What was tried, as in ``"store organism 'a1'"``.
    """
    try:
        yield
    except InsectaryError:
        raise
    except OSError as error:
        raise _clear(doing, error, error.errno) from error
    except Exception as error:
        number = _RUST_ERROR.search(str(error))
        if number is None:
            raise
        raise _clear(doing, error, int(number.group(1))) from error


def _clear(doing: str, error: Exception, number: int | None) -> ArtefactError:
    reason = _WAYS_OUT.get(number or 0, str(error))
    name = getattr(error, "filename", None)
    place = f" ({name})" if name else ""
    clear = ArtefactError(f"cannot {doing}{place}: {reason}")
    clear.errno = number
    for note in getattr(error, "__notes__", ()):
        clear.add_note(note)
    return clear

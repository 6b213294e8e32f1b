"""Disks that fail, die or forget, and broken ones that prove the tests can fail."""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from pathlib import Path

from insectary.vault import Disk, RealDisk

Hook = Callable[[int, str, Path], None]


class NoSyncDisk:
    """Never syncs. Fast, and broken under power loss."""

    def __init__(self, inner: Disk | None = None) -> None:
        self.inner = inner or RealDisk()

    def make_dir(self, path: Path) -> None:
        self.inner.make_dir(path)

    def create(self, path: Path, data: bytes) -> None:
        self.inner.create(path, data)

    def append(self, path: Path, data: bytes) -> None:
        self.inner.append(path, data)

    def restrict(self, path: Path) -> None:
        self.inner.restrict(path)

    def sync_file(self, path: Path) -> None:
        pass

    def sync_dir(self, path: Path) -> None:
        pass

    def rename(self, source: Path, target: Path) -> None:
        self.inner.rename(source, target)

    def unlink(self, path: Path) -> None:
        self.inner.unlink(path)

    def remove_dir(self, path: Path) -> None:
        self.inner.remove_dir(path)


class NoDirSyncDisk(NoSyncDisk):
    """Syncs files and forgets directories."""

    def sync_file(self, path: Path) -> None:
        self.inner.sync_file(path)


class NoFileSyncDisk(NoSyncDisk):
    """Syncs directories and forgets files."""

    def sync_dir(self, path: Path) -> None:
        self.inner.sync_dir(path)


class InPlaceDisk(NoSyncDisk):
    """Syncs all, but writes at the final place, file by file, instead of renaming."""

    def sync_file(self, path: Path) -> None:
        self.inner.sync_file(path)

    def sync_dir(self, path: Path) -> None:
        self.inner.sync_dir(path)

    def rename(self, source: Path, target: Path) -> None:
        if source.is_dir():
            self.inner.make_dir(target)
            for child in sorted(source.iterdir()):
                self.rename(child, target / child.name)
            self.inner.remove_dir(source)
            self.inner.sync_dir(target)
            return
        if target.exists():
            self.inner.unlink(target)
        self.inner.create(target, source.read_bytes())
        self.inner.sync_file(target)
        self.inner.unlink(source)


class HookedDisk:
    """Calls ``hook(number, call, path)`` before each call.

    A write is two calls, so that a fault can fall in the middle of it.
    """

    def __init__(self, hook: Hook, inner: Disk | None = None) -> None:
        self.hook = hook
        self.inner = inner or RealDisk()
        self.count = 0

    def step(self, call: str, path: Path) -> None:
        self.count += 1
        self.hook(self.count, call, path)

    def make_dir(self, path: Path) -> None:
        self.step("make_dir", path)
        self.inner.make_dir(path)

    def create(self, path: Path, data: bytes) -> None:
        self.step("create", path)
        half = len(data) // 2
        self.inner.create(path, data[:half])
        self.step("create, second half", path)
        self.inner.append(path, data[half:])

    def append(self, path: Path, data: bytes) -> None:
        self.step("append", path)
        half = len(data) // 2
        self.inner.append(path, data[:half])
        self.step("append, second half", path)
        self.inner.append(path, data[half:])

    def restrict(self, path: Path) -> None:
        self.step("restrict", path)
        self.inner.restrict(path)

    def sync_file(self, path: Path) -> None:
        self.step("sync_file", path)
        self.inner.sync_file(path)

    def sync_dir(self, path: Path) -> None:
        self.step("sync_dir", path)
        self.inner.sync_dir(path)

    def rename(self, source: Path, target: Path) -> None:
        self.step("rename", source)
        self.inner.rename(source, target)

    def unlink(self, path: Path) -> None:
        self.step("unlink", path)
        self.inner.unlink(path)

    def remove_dir(self, path: Path) -> None:
        self.step("remove_dir", path)
        self.inner.remove_dir(path)


class PowerLossError(BaseException):
    """The machine is off; not even clean-up code may touch the disk any more."""


class DurableLayer:
    """What would survive a power loss, under a disk that does real operations.

    Files and directory entries have two layers each: what programs see, and
    what was last synced. After the loss each unsynced change may or may not
    have reached the disk, independently.
    """

    def __init__(self, home: Path) -> None:
        self.home = home
        self.real = RealDisk()
        self.files: dict[int, bytes] = {}
        self.directories: dict[int, dict[str, int]] = {}
        self.is_directory: dict[int, bool] = {}
        self.pins: list[int] = []

    def close(self) -> None:
        for descriptor in self.pins:
            os.close(descriptor)

    def make_dir(self, path: Path) -> None:
        self.real.make_dir(path)

    def create(self, path: Path, data: bytes) -> None:
        self.real.create(path, data)

    def append(self, path: Path, data: bytes) -> None:
        self.real.append(path, data)

    def restrict(self, path: Path) -> None:
        self.real.restrict(path)

    def sync_file(self, path: Path) -> None:
        self.files[self._pin(path)] = path.read_bytes()

    def sync_dir(self, path: Path) -> None:
        self.directories[self._pin(path)] = {p.name: self._pin(p) for p in path.iterdir()}

    def rename(self, source: Path, target: Path) -> None:
        self.real.rename(source, target)

    def unlink(self, path: Path) -> None:
        self.real.unlink(path)

    def remove_dir(self, path: Path) -> None:
        self.real.remove_dir(path)

    def _pin(self, path: Path) -> int:
        """The inode number, held open so that no other file can be given it."""
        number = path.lstat().st_ino
        if number not in self.is_directory:
            self.pins.append(os.open(path, os.O_RDONLY))
            self.is_directory[number] = path.is_dir()
        return number

    def after_power_loss(self, target: Path, luck: random.Random) -> None:
        """Build at ``target`` one of the states that the disk may be found in."""
        seen_files: dict[int, bytes] = {}
        seen_directories: dict[int, dict[str, int]] = {}
        for folder, directories, files in os.walk(self.home):
            here = Path(folder)
            names = {n: self._pin(here / n) for n in (*directories, *files)}
            seen_directories[here.stat().st_ino] = names
            seen_files.update({names[n]: (here / n).read_bytes() for n in files})

        def content(number: int) -> bytes:
            durable = self.files.get(number, b"")
            seen = seen_files.get(number, durable)
            extra = len(seen) - len(durable)
            if extra <= 0 or not seen.startswith(durable):
                return luck.choice([durable, seen])
            written = seen[: len(durable) + luck.randrange(extra + 1)]
            return luck.choice([durable, seen, written, durable + bytes(extra)])

        def build(number: int, place: Path) -> None:
            place.mkdir(mode=0o700)
            durable = self.directories.get(number, {})
            seen = seen_directories.get(number, durable)
            for name in sorted(durable.keys() | seen.keys()):
                child = luck.choice([durable.get(name), seen.get(name)])
                if child is None:
                    continue
                if self.is_directory[child]:
                    build(child, place / name)
                else:
                    (place / name).write_bytes(content(child))

        build(self.home.stat().st_ino, target)

"""What a sandbox may still do once foreign code runs in it; the package lists it."""

from __future__ import annotations

import os
import resource
import site
import sys
from collections.abc import Iterator, Sequence
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType

from insectary.walls import landlock

ROOMS = ("audit", "core", "detect", "measure", "redteam")
"""Of this package; the rest knows what is planted, or where it is kept."""

PACKAGE = Path(__file__).resolve().parents[2]
# Processors among them: joblib counts them, by a container's limits too.
_SYSTEM = (
    "/usr", "/lib", "/lib32", "/lib64", "/etc/ld.so.cache", "/etc/localtime",
    "/sys/devices/system", "/sys/fs/cgroup", "/proc/cpuinfo", "/proc/meminfo", "/proc/self",
    "/dev/urandom", "/dev/random", "/dev/zero",
)  # fmt: skip


class Fence:
    """Refuses to import the other rooms, with a reason that their author can read."""

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """``None`` for what others may find.

        Raises:
            ImportError: for a room behind the fence.
        """
        top, _, rest = name.partition(".")
        if top == PACKAGE.name and rest and rest.split(".")[0] not in ROOMS:
            raise ImportError(
                f"{name} is closed to what is measured: in a sandbox insectary.audit, .core,"
                " .detect, .measure and .redteam can be imported; give yours a module of its own,"
                " or write it in the script or notebook that runs the trial"
            )
        return None


def enclose(own: Path, memory: int) -> None:
    """Keep this process to its folder, to the code it runs, and to so much memory.

    Args:
        own: The folder that it works in.
        memory: Bytes of data, what is shared and code left out.

    Raises:
        OSError: if the kernel refuses; nothing may run then.
    """
    os.chdir(own)
    os.environ.update(HOME=str(own), TMPDIR=str(own))
    _, most = resource.getrlimit(resource.RLIMIT_DATA)
    if most != resource.RLIM_INFINITY:
        memory = min(memory, most)
    resource.setrlimit(resource.RLIMIT_DATA, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    sys.meta_path.insert(0, Fence())
    if landlock.version():
        landlock.restrict(readable(), own)


def readable() -> Iterator[tuple[Path, int]]:
    """Interpreter, libraries and the code on the import path, with the rights on each."""
    yield Path("/dev/null"), landlock.READ_FILE | landlock.WRITE_FILE
    libraries = os.environ.get("LD_LIBRARY_PATH", "").split(os.pathsep)
    for whole in (*_SYSTEM, *filter(None, libraries), sys.prefix, sys.base_prefix):
        yield from _without_rooms(Path(whole).resolve())
    for entry in map(Path, sys.path):
        if entry.name in ("site-packages", "dist-packages") or str(entry) == site.USER_SITE:
            yield from _without_rooms(entry.resolve())
        elif entry.is_dir():
            # It may be where a user works: modules and packages there are code, the rest not.
            yield entry, landlock.READ_DIR
            for child in entry.iterdir():
                # os.path, which takes what may not be looked into for no file.
                if child.suffix in (".py", ".so") or os.path.isfile(child / "__init__.py"):
                    yield from _without_rooms(child.resolve())


def _without_rooms(path: Path) -> Iterator[tuple[Path, int]]:
    """A path whole, unless this package lies in it: then all else, and the rooms of a sandbox."""
    if path == PACKAGE:
        yield path, landlock.READ_DIR
        yield path / "__init__.py", landlock.READ_FILE
        for room in ROOMS:
            yield path / room, landlock.READ
    elif path in PACKAGE.parents:
        yield path, landlock.READ_DIR
        for child in path.iterdir():
            yield from _without_rooms(child)
    else:
        yield path, landlock.READ

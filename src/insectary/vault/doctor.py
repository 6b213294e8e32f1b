"""Is this machine fit for the laboratory, and is the vault in good health?

Nothing is removed, moved or repaired here (a torn last line of the ledger
aside, which any reading mends): each check says what it found and, where
something is wrong, the way out.
"""

from __future__ import annotations

import os
import platform
import re
import shutil
import site
import stat
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from insectary.core.errors import ArtefactError
from insectary.vault.checkpoints import unfinished
from insectary.vault.manifest import verify_tree
from insectary.vault.store import Vault

_LOW_DISK_BYTES = 2 * 2**30
_LOW_MEMORY_BYTES = 2 * 2**30
_OLDEST_PYTHON = (3, 11)
# Start-up files of Python's own packaging tools.
_KNOWN_HOOKS = re.compile(r"\A(?:distutils-precedence|_virtualenv|__editable__[.\w+-]*)\.pth\Z")


@dataclass(frozen=True, slots=True)
class Check:
    """One thing looked at."""

    name: str
    ok: bool
    detail: str


def examine(vault: Vault) -> list[Check]:
    """Run all checks; reads every byte in the vault and imports torch.

    A check that cannot be made is not ok and says why.
    """
    return [
        check_python(),
        *check_packages(),
        check_cores(),
        check_memory(),
        check_gpu(),
        check_free_disk(vault.home),
        check_permissions(vault.home),
        check_objects(vault),
        check_names(vault),
        check_unfinished(vault),
        check_runs(vault),
        check_quarantine(vault),
        check_ledger(vault),
        check_audit(vault),
        check_start_up_files(_site_directories()),
    ]


def check_python() -> Check:
    """The interpreter's version."""
    ok = sys.version_info[:2] >= _OLDEST_PYTHON
    wanted = ".".join(map(str, _OLDEST_PYTHON))
    return Check("python", ok, f"{platform.python_version()} (needs {wanted} or newer)")


def check_packages(requirements: Sequence[str] | None = None) -> list[Check]:
    """Installed versions against the ranges that were tested.

    Args:
        requirements: As in a package's metadata; ``None`` reads our own.
    """
    from packaging.requirements import InvalidRequirement, Requirement

    if requirements is None:
        try:
            requirements = metadata.requires("insectary") or []
        except metadata.PackageNotFoundError:
            return [Check("packages", False, "insectary is not installed: run `make` first")]
    checks = []
    for line in requirements:
        try:
            wanted = Requirement(line)
        except InvalidRequirement as error:
            checks.append(Check("package", False, f"cannot read {line!r}: {error}"))
            continue
        if wanted.marker is not None and not wanted.marker.evaluate({"extra": ""}):
            continue
        checks.append(_check_package(wanted.name, str(wanted.specifier) or "any version"))
    return checks


def _check_package(name: str, tested: str) -> Check:
    from packaging.specifiers import SpecifierSet

    try:
        version = metadata.version(name)
    except metadata.PackageNotFoundError:
        return Check(f"package {name}", False, f"not installed (tested: {tested})")
    ok = tested == "any version" or SpecifierSet(tested).contains(version, prereleases=True)
    return Check(f"package {name}", ok, f"{version} (tested: {tested})")


def check_cores() -> Check:
    """How many CPU cores this process may use."""
    usable = getattr(os, "sched_getaffinity", None)
    cores = len(usable(0)) if usable is not None else os.cpu_count() or 1
    return Check("cores", cores >= 2, f"{cores} (2 or more keep to the stated times)")


def check_memory() -> Check:
    """Memory of the machine, and of the container if that is less."""
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    limit = Path("/sys/fs/cgroup/memory.max")
    if limit.is_file() and (text := limit.read_text().strip()).isdigit():
        total = min(total, int(text))
    return Check("memory", total >= _LOW_MEMORY_BYTES, f"{total / 2**30:.1f} GiB")


def check_gpu() -> Check:
    """Whether torch sees a GPU. Not having one is fine."""
    try:
        import torch
    except ImportError as error:
        return Check("gpu", False, f"torch cannot be imported: {error}")
    if not torch.cuda.is_available():
        return Check("gpu", True, "none seen by torch (none is needed)")
    return Check("gpu", True, torch.cuda.get_device_name(0))


def check_free_disk(home: Path) -> Check:
    """Free space where the vault is."""
    free = shutil.disk_usage(home).free
    ok = free >= _LOW_DISK_BYTES
    way_out = "" if ok else ": free some space (`insectary gc` may help)"
    return Check("free disk", ok, f"{free / 2**30:.1f} GiB{way_out}")


def check_permissions(home: Path) -> Check:
    """Whether the whole vault is closed to other users."""
    mode = stat.S_IMODE(home.stat().st_mode)
    if mode & 0o077:
        return Check(
            "permissions", False, f"others may enter {home} ({mode:o}): run `chmod 700 {home}`"
        )
    for folder, directories, files in os.walk(home):
        # Runs hold what other libraries write; the home's own mode closes them.
        if folder == str(home):
            directories.remove("runs")
        for name in (*directories, *files):
            path = Path(folder) / name
            info = path.lstat()
            if info.st_uid != os.geteuid():
                return Check("permissions", False, f"{path} belongs to another user")
            if not stat.S_ISLNK(info.st_mode) and info.st_mode & 0o077:
                return Check(
                    "permissions", False, f"others may open {path}: run `chmod go= {path}`"
                )
    return Check("permissions", True, f"{home} is yours alone")


def check_objects(vault: Vault) -> Check:
    """Every byte of every object against its manifest."""
    found = vault.digests()
    bad = []
    size = 0
    for digest in found:
        path = vault.home / "objects" / digest[7:9] / digest[9:]
        try:
            size += verify_tree(path, digest).size
        except ArtefactError as error:
            bad.append(str(error))
    foreign = _foreign(vault.home / "objects", found)
    if bad or foreign:
        return Check("objects", False, "; ".join(bad + foreign))
    return Check("objects", True, f"{len(found)} verified, {size / 1e6:.1f} MB")


def _foreign(objects: Path, known: Iterable[str]) -> list[str]:
    expected = {f"{d[7:9]}/{d[9:]}" for d in known}
    found = []
    for shelf in sorted(objects.iterdir()):
        children = sorted(shelf.iterdir()) if shelf.is_dir() and not shelf.is_symlink() else None
        names = [shelf.name] if children is None else [f"{shelf.name}/{c.name}" for c in children]
        found += [f"{objects / n} does not belong there" for n in names if n not in expected]
    return found


def check_names(vault: Vault) -> Check:
    """Every name can be read and stands for an object that is there."""
    try:
        entries = vault.entries()
    except ArtefactError as error:
        return Check("names", False, f"{error}: remove it with `insectary rm`")
    there = set(vault.digests())
    lost = [f"{e.kind} {e.id!r}" for e in entries if e.digest not in there]
    if lost:
        return Check("names", False, f"without content, make them again: {', '.join(lost)}")
    return Check("names", True, f"{len(entries)}")


def check_unfinished(vault: Vault) -> Check:
    """What killed processes left behind."""
    places = [vault.home / "tmp", vault.home / "keys", vault.home / "ledger", vault.home / "audit"]
    for parent in (vault.home / "refs", vault.home / "runs"):
        places += sorted(p for p in parent.iterdir() if p.is_dir())
    left = [str(path) for place in places for path in unfinished(place)]
    if left:
        return Check("unfinished", False, f"{', '.join(left)}: `insectary gc` removes them")
    return Check("unfinished", True, "nothing left behind")


def check_runs(vault: Vault) -> Check:
    """Runs that have begun and not ended: going on, or broken off."""
    runs = sorted(path.name for path in (vault.home / "runs").iterdir())
    if runs:
        return Check(
            "runs", True,
            f"{', '.join(runs)}: going on, or broken off (the same call resumes such a one,"
            " `insectary gc --runs` forgets it)",
        )  # fmt: skip
    return Check("runs", True, "none begun and not ended")


def check_quarantine(vault: Vault) -> Check:
    """What failed its check at some earlier read."""
    held = sorted(p.name for p in (vault.home / "quarantine").iterdir())
    if held:
        where = vault.home / "quarantine"
        return Check("quarantine", False, f"{len(held)} in {where}: look at them, then remove them")
    return Check("quarantine", True, "empty")


def check_ledger(vault: Vault) -> Check:
    """Whether the attempts at the gate can be trusted."""
    try:
        attempts = vault.ledger.attempts()
        torn = vault.ledger.recoveries()
        head = vault.ledger.head()
    except ArtefactError as error:
        return Check("ledger", False, str(error))
    note = f", {len(torn)} torn lines recovered" if torn else ""
    return Check("ledger", True, f"{len(attempts)} attempts{note}, head {head[7:19]}")


def check_audit(vault: Vault) -> Check:
    """Whether the audit log can be trusted."""
    try:
        events, torn, head = vault.audit.events(), vault.audit.recoveries(), vault.audit.head()
    except ArtefactError as error:
        return Check("audit log", False, str(error))
    note = f", {len(torn)} torn lines recovered" if torn else ""
    return Check("audit log", True, f"{len(events)} entries{note}, head {head[7:19]}")


def _site_directories() -> list[Path]:
    return [Path(p) for p in (*site.getsitepackages(), site.getusersitepackages())]


def check_start_up_files(directories: Sequence[Path]) -> Check:
    """``.pth`` files that run code whenever Python starts.

    Packaging tools install a few, known by name; any other is listed.
    """
    foreign = []
    for directory in directories:
        for path in sorted(directory.glob("*.pth")) if directory.is_dir() else []:
            lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
            runs_code = any(line.startswith(("import ", "import\t")) for line in lines)
            if runs_code and not _KNOWN_HOOKS.match(path.name):
                foreign.append(str(path))
    if foreign:
        listed = ", ".join(foreign)
        return Check("start-up files", False, f"run code at every start of Python: {listed}")
    return Check("start-up files", True, "none but those of packaging tools")

"""What the vault keeps of steps: a record of each that was done, and why another was not.

A record lies under its step's key and is never changed. Whoever does a step that somebody else
has done in the meantime takes over what is there, so that doing one twice is harmless.
"""

from __future__ import annotations

import json
import logging
import os
import platform
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from pathlib import Path

from insectary.core.canonical import canonical_json, plain
from insectary.core.errors import ArtefactError, UnknownNameError
from insectary.core.outcome import Failed
from insectary.core.step import Json, Step
from insectary.vault import Vault

DONE = "step"
"""What a record is called in the vault; its id is the key without ``sha256:``."""
FAILED = "step-failed"
"""What the reason is called there why a step was not done."""
_FILE = "record.json"
_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Record:
    """A step that was done.

    Attributes:
        key: Its key.
        result: What came of it, JSON.
        seconds: How long it took, by the clock on the wall.
        threads: CPU threads that the process computed with.
        device: The GPU's name, or ``"cpu"`` and the machine's architecture.
        versions: Package name to version.
    """

    key: str
    result: Json
    seconds: float
    threads: int
    device: str
    versions: Mapping[str, str]


def record_of(step: Step, result: Json, seconds: float) -> Record:
    """The record of a step that this process has just done."""
    return Record(step.key, result, seconds, _threads(), _device(), _versions())


def kept(key: str, vault: Vault) -> Record | None:
    """What is kept of a step, verified; ``None`` if it has to be done (again).

    What is damaged is moved to quarantine, and the log says so.
    """
    try:
        entry = vault.entry(DONE, _id(key))
        if entry is None:
            return None
        with vault.use(entry.digest) as stored:
            told = json.loads((stored.path / _FILE).read_text(encoding="utf-8"))
        return Record(**{name: told[name] for name in Record.__dataclass_fields__})
    except ArtefactError as error:
        _LOG.warning("a step is done again: %s", error)
        _forget(DONE, key, vault)
        return None


def keep(step: Step, record: Record, vault: Vault) -> Record:
    """Publish a record in one step, and return what is kept: the first that was published.

    Raises:
        ArtefactError: if it cannot be written; nothing is left behind.
    """

    def write(path: Path) -> None:
        told = canonical_json(step.told() | plain(record))
        (path / _FILE).write_text(told + "\n", encoding="utf-8")

    try:
        vault.put(DONE, _id(step.key), _meta(step), write)
    except ArtefactError:
        first = kept(step.key, vault)
        if first is None:
            raise
        return first
    _forget(FAILED, step.key, vault)
    return record


def keep_failure(step: Step, failed: Failed, vault: Vault) -> None:
    """Note why a step was not done. It is tried again by whoever runs the plan again."""

    def write(path: Path) -> None:
        (path / _FILE).write_text(canonical_json(plain(failed)) + "\n", encoding="utf-8")

    vault.put(FAILED, _id(step.key), _meta(step), write, replace=True)


def kept_failure(key: str, vault: Vault) -> Failed | None:
    """Why a step was not done when it was last tried; ``None`` if it was done, or never tried.

    Raises:
        ArtefactError: if what is kept is damaged.
    """
    if not vault.has(FAILED, _id(key)):
        return None
    with vault.use(_id(key), FAILED) as stored:
        return Failed(json.loads((stored.path / _FILE).read_text(encoding="utf-8"))["reason"])


def _meta(step: Step) -> dict[str, str]:
    return {"kind": step.kind, "version": step.version}


def _id(key: str) -> str:
    return key.removeprefix("sha256:")


def _forget(kind: str, key: str, vault: Vault) -> None:
    with suppress(UnknownNameError):
        vault.remove(_id(key), kind)


def _threads() -> int:
    """Of torch where it has been loaded, else what the environment lets libraries use."""
    torch = sys.modules.get("torch")
    if torch is not None:
        return int(torch.get_num_threads())
    told = os.environ.get("OMP_NUM_THREADS", "")
    return int(told) if told.isdecimal() else (os.cpu_count() or 1)


def _device() -> str:
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        return str(torch.cuda.get_device_name())
    return f"cpu, {platform.machine()}"


def _versions() -> dict[str, str]:
    names = ["insectary", *(name for name in ("numpy", "torch") if name in sys.modules)]
    return {"python": platform.python_version()} | {name: _version(name) for name in names}


@cache
def _version(name: str) -> str:
    return version(name)

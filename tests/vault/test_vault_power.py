"""Power loss: what was acknowledged is there, and what is there is whole.

A model of the disk keeps what was synced apart from what was only written. The
power fails before a chosen call; each unsynced change then survives or not, by
chance; a fresh vault opens what is left.
"""

from __future__ import annotations

import os
import random
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from faulty_disks import (
    DurableLayer,
    HookedDisk,
    InPlaceDisk,
    NoDirSyncDisk,
    NoFileSyncDisk,
    NoSyncDisk,
    PowerLossError,
)
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from insectary.core.errors import InsectaryError
from insectary.vault import AttemptKey, Disk, Vault

KEY = AttemptKey("sha256:base", "deceptive", "absence", "sha256:recipe")
Writer = Callable[[Disk], Disk]


@contextmanager
def scratch() -> Iterator[Path]:
    # Memory, where there is some to be had: the model does its own forgetting.
    shared = Path("/dev/shm")
    usable = shared.is_dir() and os.access(shared, os.W_OK)
    path = Path(tempfile.mkdtemp(dir=shared if usable else None))
    try:
        yield path
    finally:
        shutil.rmtree(path)


def fill(text: str) -> Callable[[Path], None]:
    def write(directory: Path) -> None:
        (directory / "part").mkdir()
        (directory / "config.json").write_text(text)
        (directory / "part" / "weights.bin").write_text(text * 9)

    return write


def problem_after_power_loss(point: int, seed: int, writer: Writer) -> str | None:
    """Store old, store new, record an attempt; lose power before disk call ``point``."""
    acknowledged: list[str] = []
    attempts = 0

    def lose(number: int, call: str, path: Path) -> None:
        if number >= point:
            raise PowerLossError

    with scratch() as root:
        (root / "home").mkdir(mode=0o700)
        layer = DurableLayer(root / "home")
        try:
            disk = writer(HookedDisk(lose, layer))
            vault = Vault(root / "home", disk=disk)
            for text in ("old", "new"):
                vault.put("organism", "a", {"is": text}, fill(text), replace=True)
                acknowledged.append(text)
                vault.ledger.record_attempt(KEY, "sha256:card")
                attempts += 1
        except PowerLossError:
            pass
        try:
            layer.after_power_loss(root / "after", random.Random(seed))
        finally:
            layer.close()
        return problem(root / "after", acknowledged, attempts)


def problem(home: Path, acknowledged: list[str], attempts: int) -> str | None:
    allowed = {*acknowledged[-1:], *(["old"] if not acknowledged else ["new"])}
    try:
        vault = Vault(home, disk=NoSyncDisk())
        if vault.has("organism", "a"):
            found = vault.get("a").meta["is"]
            if found not in allowed:
                return f"found {found} where {allowed} was acknowledged or under way"
            if (vault.get("a").path / "config.json").read_text() != found:
                return "the content is not what its meta says"
        elif acknowledged:
            return f"{acknowledged[-1]} was acknowledged and is lost"
        counted = len(vault.ledger.attempts(KEY))
        if counted not in (attempts, attempts + 1):
            return f"{attempts} attempts were acknowledged, {counted} are there"
        vault.put("organism", "a", {"is": "new"}, fill("new"), replace=True)
        vault.gc()
        if vault.get("a").meta["is"] != "new" or list((home / "tmp").iterdir()):
            return "the same command afterwards did not end well"
    except InsectaryError as error:
        return f"{type(error).__name__}: {error}"
    return None


def calls_in_all() -> int:
    with scratch() as root:
        (root / "home").mkdir(mode=0o700)
        disk = HookedDisk(lambda number, call, path: None)
        vault = Vault(root / "home", disk=disk)
        for text in ("old", "new"):
            vault.put("organism", "a", {"is": text}, fill(text), replace=True)
            vault.ledger.record_attempt(KEY, "sha256:card")
        return disk.count


CALLS = calls_in_all()


@settings(
    max_examples=150, deadline=None, database=None, suppress_health_check=[HealthCheck.too_slow]
)
@given(point=st.integers(1, CALLS + 1), seed=st.integers(0, 10_000))
def test_after_power_loss_the_old_state_or_the_new_and_nothing_acknowledged_is_lost(
    point: int, seed: int
) -> None:
    assert problem_after_power_loss(point, seed, lambda disk: disk) is None


@pytest.mark.parametrize("writer", [NoSyncDisk, NoFileSyncDisk, NoDirSyncDisk, InPlaceDisk])
def test_broken_control_a_careless_writer_is_found_out(writer: Writer) -> None:
    luck = random.Random(0)
    tries = ((luck.randint(1, CALLS + 1), luck.randrange(10_000)) for _ in range(300))
    assert any(problem_after_power_loss(point, seed, writer) for point, seed in tries)

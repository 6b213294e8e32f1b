"""The disk fails at every possible call: one clear error, nothing lost, nothing left."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from faulty_disks import HookedDisk, NoSyncDisk

from insectary.core.errors import ArtefactError
from insectary.vault import AttemptKey, Vault, newest_verified, write_object

KEY = AttemptKey("sha256:base", "deceptive", "absence", "sha256:recipe")
# A full disk still lets go of what it has.
NEED_SPACE = {
    "make_dir",
    "create",
    "create, second half",
    "append",
    "append, second half",
    "sync_file",
    "sync_dir",
    "rename",
}


def text(content: str) -> Callable[[Path], None]:
    def write(directory: Path) -> None:
        (directory / "weights.bin").write_text(content)

    return write


def failing(point: int, number: int, calls: set[str], lasting: bool) -> HookedDisk:
    def fail(count: int, call: str, path: Path) -> None:
        if (count >= point if lasting else count == point) and call in calls:
            raise OSError(number, os.strerror(number), str(path))

    return HookedDisk(fail, NoSyncDisk())


def fail_at_each_call(
    action: Callable[[HookedDisk], object],
    check: Callable[[bool], None],
    *,
    number: int,
    calls: set[str],
    lasting: bool,
) -> int:
    """Run ``action`` with call 1 failing, then 2, ... until it succeeds; count the errors."""
    errors = 0
    for point in range(1, 500):
        disk = failing(point, number, calls, lasting)
        try:
            action(disk)
        except ArtefactError as error:
            errors += 1
            assert "disk" in str(error), error
            assert error.errno == number
            check(False)
        else:
            check(True)
            if disk.count < point:
                return errors
    raise AssertionError("it never succeeded")


@pytest.mark.parametrize("lasting", [False, True], ids=["once", "lasting"])
@pytest.mark.parametrize(
    ("number", "calls"), [(errno.ENOSPC, NEED_SPACE), (errno.EIO, {"sync_file", "sync_dir"})]
)
def test_storing_with_a_failing_disk(
    tmp_path: Path, number: int, calls: set[str], lasting: bool
) -> None:
    home = tmp_path / "home"
    healthy = Vault(home, disk=NoSyncDisk())
    healthy.put("organism", "a", {"is": "old"}, text("old"))

    def action(disk: HookedDisk) -> None:
        Vault(home, disk=disk).put("organism", "a", {"is": "new"}, text("new"), replace=True)

    def check(succeeded: bool) -> None:
        found = healthy.get("a")
        assert found.meta["is"] == "new" if succeeded else found.meta["is"] in {"old", "new"}
        assert (found.path / "weights.bin").read_text() == found.meta["is"]
        assert not list((home / "tmp").iterdir())
        assert not [p for p in (home / "refs").rglob("*.tmp")]
        healthy.put("organism", "a", {"is": "old"}, text("old"), replace=True)

    assert fail_at_each_call(action, check, number=number, calls=calls, lasting=lasting) > 6


@pytest.mark.parametrize("lasting", [False, True], ids=["once", "lasting"])
def test_a_checkpoint_on_a_full_disk(tmp_path: Path, lasting: bool) -> None:
    write_object(tmp_path / "step-1", "checkpoint", {}, text("1"), disk=NoSyncDisk())

    def action(disk: HookedDisk) -> None:
        write_object(tmp_path / "step-2", "checkpoint", {}, text("2"), disk=disk)

    def check(succeeded: bool) -> None:
        assert newest_verified(tmp_path) in {tmp_path / "step-1", tmp_path / "step-2"}
        assert {p.name for p in tmp_path.iterdir()} <= {"step-1", "step-2"}

    # Once step-2 is in place, repeating is free; so every failure is an early one.
    errors = fail_at_each_call(
        action, check, number=errno.ENOSPC, calls=NEED_SPACE, lasting=lasting
    )
    assert errors > 5
    assert newest_verified(tmp_path) == tmp_path / "step-2"


@pytest.mark.parametrize("lasting", [False, True], ids=["once", "lasting"])
def test_the_ledger_on_a_full_disk(tmp_path: Path, lasting: bool) -> None:
    home = tmp_path / "home"
    healthy = Vault(home, disk=NoSyncDisk()).ledger
    acknowledged = [0]

    def action(disk: HookedDisk) -> None:
        acknowledged[0] = Vault(home, disk=disk).ledger.record_attempt(KEY, "sha256:card")

    def check(succeeded: bool) -> None:
        assert len(healthy.attempts(KEY)) >= acknowledged[0]

    assert (
        fail_at_each_call(action, check, number=errno.ENOSPC, calls=NEED_SPACE, lasting=lasting) > 3
    )
    assert len(healthy.recoveries()) == 1
    numbers = [attempt.number for attempt in healthy.attempts(KEY)]
    assert numbers == list(range(1, len(numbers) + 1))


def test_broken_control_an_unsynced_failure_would_pass_unseen(tmp_path: Path) -> None:
    """If the vault did not call fsync, the loop over EIO would find nothing to fail."""
    disk = failing(1, errno.EIO, {"sync_file", "sync_dir"}, lasting=True)
    vault = Vault(tmp_path / "home", disk=NoSyncDisk(disk))
    vault.put("organism", "a", {}, text("new"))
    assert disk.count > 5


def test_a_failed_clean_up_is_said(tmp_path: Path) -> None:
    def fail(count: int, call: str, path: Path) -> None:
        if call in {"sync_file", "unlink"}:
            raise OSError(errno.EIO, "dead", str(path))

    with pytest.raises(ArtefactError) as caught:
        write_object(tmp_path / "o", "organism", {}, text("x"), disk=HookedDisk(fail))
    assert "left behind" in caught.value.__notes__[0]


def test_a_full_disk_names_the_way_out(tmp_path: Path) -> None:
    disk = failing(1, errno.ENOSPC, NEED_SPACE, lasting=True)
    with pytest.raises(ArtefactError, match=r"cannot open the vault .* the disk is full.*gc"):
        Vault(tmp_path / "home", disk=disk)

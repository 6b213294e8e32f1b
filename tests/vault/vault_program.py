"""Programs that the vault's tests run as processes of their own, and kill.

Each scenario prints JSON lines. The kill scenarios fork a child for each point
of the operation; the child sends itself a real SIGKILL there.
"""

from __future__ import annotations

import json
import os
import resource
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from functools import partial
from importlib import metadata
from pathlib import Path

from faulty_disks import HookedDisk, InPlaceDisk, NoSyncDisk

from insectary.core.errors import ArtefactError, InsectaryError
from insectary.vault import (
    AttemptKey,
    Disk,
    RealDisk,
    Vault,
    newest_verified,
    verify_tree,
    write_object,
)

KEY = AttemptKey("sha256:base", "deceptive", "absence", "sha256:recipe")
Operation = Callable[[Path, Disk], object]
Question = Callable[[Path], str]


def fill(text: str, disk: Disk | None = None) -> Callable[[Path], None]:
    """A writer of two files; through ``disk`` if the kill shall reach into it."""

    def write(directory: Path) -> None:
        (disk or RealDisk()).make_dir(directory / "part")
        for name in ("config.json", "part/weights.bin"):
            (disk or RealDisk()).create(directory / name, text.encode() * 100)

    return write


def put(home: Path, text: str, disk: Disk) -> None:
    Vault(home, disk=disk).put("organism", "a", {"is": text}, fill(text, disk), replace=True)


def stored(home: Path) -> str:
    """What is under the name, and whether the same command then ends well."""
    vault = Vault(home, disk=NoSyncDisk())
    first = vault.get("a")
    found = str(first.meta["is"])
    assert (first.path / "config.json").read_text() == found * 100
    put(home, "new", NoSyncDisk())
    vault.gc()
    assert vault.get("a").meta["is"] == "new"
    assert len(vault.digests()) == 1, "one object must be left"
    assert not list((home / "tmp").iterdir()), "nothing unfinished may be left"
    return found


def checkpoint(home: Path, step: int, disk: Disk) -> None:
    write = fill(str(step), disk)
    write_object(home / f"step-{step}", "checkpoint", {"step": step}, write, disk=disk)


def resumed(home: Path) -> str:
    newest = newest_verified(home)
    assert newest is not None
    step = verify_tree(newest).meta["step"]
    assert (newest / "config.json").read_text() == str(step) * 100
    damaged = [p for p in home.glob("step-*") if p != newest and not (p / "MANIFEST.json").exists()]
    if damaged:
        raise ArtefactError(f"a checkpoint in pieces is in view: {damaged}")
    checkpoint(home, 2, NoSyncDisk())
    assert sorted(p.name for p in home.iterdir()) == ["step-1", "step-2"]
    return str(step)


def attempted(home: Path) -> str:
    ledger = Vault(home, disk=NoSyncDisk()).ledger
    count = len(ledger.attempts(KEY))
    assert ledger.record_attempt(KEY, "sha256:card") == count + 1
    return f"{count} attempts, {len(ledger.recoveries())} recovered"


def recovered(home: Path) -> str:
    kept = [p.read_bytes() for p in (home / "ledger").glob("torn-*.bytes")]
    data = (home / "ledger" / "attempts.jsonl").read_bytes()
    assert b"torn" in kept or data.endswith(b"torn"), "the torn line is lost"
    ledger = Vault(home, disk=NoSyncDisk()).ledger
    count = len(ledger.attempts(KEY))
    assert [r["bytes"] for r in ledger.recoveries()] == [4]
    ledger.tidy()
    names = sorted(p.name.split("-")[0] for p in (home / "ledger").iterdir())
    assert names == ["attempts.jsonl", "torn"]
    return f"{count} attempts"


def tear(home: Path) -> None:
    Vault(home, disk=NoSyncDisk()).ledger.record_attempt(KEY, "sha256:card")
    with (home / "ledger" / "attempts.jsonl").open("ab") as file:
        file.write(b"torn")


def kill_everywhere(prepare: Operation, operation: Operation, question: Question) -> None:
    """Kill ``operation`` at each of its disk calls in turn, and ask ``question`` each time."""
    root = Path(tempfile.mkdtemp())
    prepare(root / "template", NoSyncDisk())
    point = 0
    while True:
        point += 1
        home = root / f"home-{point}"
        shutil.copytree(root / "template", home)
        (home / ".init.lock").unlink(missing_ok=True)
        home.chmod(0o700)
        ended = run_and_kill(partial(operation, home), point, root / "call")
        if ended == 0:
            break
        if ended != -signal.SIGKILL:
            print(json.dumps({"point": point, "found": f"broken: ended with {ended}"}))
            break
        try:
            found = question(home)
        except (InsectaryError, AssertionError, OSError) as error:
            found = f"broken: {type(error).__name__}: {error}"
        call = (root / "call").read_text()
        print(json.dumps({"point": point, "call": call, "found": found}))
        shutil.rmtree(home)
        if found.startswith("broken"):
            break  # one is enough to fail a test, or to prove a control
    shutil.rmtree(root)


def run_and_kill(operation: Callable[[Disk], object], point: int, note: Path) -> int:
    def die(number: int, call: str, path: Path) -> None:
        if number == point:
            note.write_text(f"{call} {path.name}")
            os.kill(os.getpid(), signal.SIGKILL)

    disk: Disk = HookedDisk(die, NoSyncDisk())
    if sys.argv[2:] == ["in-place"]:
        # The broken disk sits on top: its many small steps are what is killed.
        disk = InPlaceDisk(disk)
    child = os.fork()
    if child == 0:
        try:
            operation(disk)
        except BaseException:
            traceback.print_exc()
            os._exit(3)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status)


def make_home(home: Path, disk: Disk) -> None:
    home.mkdir(mode=0o700)
    Vault(home, disk=disk)


def put_forever(home: Path) -> None:
    vault = Vault(home)
    number = 0
    while True:
        number += 1
        vault.put("organism", f"a{number}", {"n": number}, fill(f"{number} ", None))
        print(json.dumps({"stored": number}), flush=True)


def wait_for(start: Path) -> None:
    print(json.dumps({"ready": True}), flush=True)
    while not start.exists():
        time.sleep(0.001)


def put_once(home: Path, start: Path) -> None:
    wait_for(start)
    stored_object = Vault(home).put("organism", "a", {"is": "same"}, fill("same"))
    print(json.dumps({"digest": stored_object.digest}))


def breed(home: Path, start: Path, locks: bool) -> None:
    """Breed once, whoever comes first; without the lock both do."""
    vault = Vault(home)
    wait_for(start)
    if locks:
        with vault.lock("family-1"):
            _breed(vault, lambda: time.sleep(0.3))
        return

    def meet() -> None:
        """Nobody goes on until both have found that there is nothing yet."""
        start.with_name(f"met-{os.getpid()}").touch()
        while len(list(start.parent.glob("met-*"))) < 2:
            time.sleep(0.001)

    _breed(vault, meet)


def _breed(vault: Vault, work: Callable[[], object]) -> None:
    bred = not vault.has("organism", "a")
    if bred:
        work()
        vault.put("organism", "a", {"is": "bred"}, fill("bred"))
    print(json.dumps({"bred": bred, "digest": vault.get("a").digest}))


def file_size(home: Path) -> None:
    """A real failed write by the kernel, in Python and in safetensors."""
    import numpy as np
    from safetensors.numpy import save_file

    vault = Vault(home)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
    tensors = {"w": np.zeros(50_000, np.float32)}
    writers: list[Callable[[Path], object]] = [
        lambda d: (d / "weights.bin").write_bytes(bytes(200_000)),
        lambda d: save_file(tensors, d / "weights.safetensors"),
    ]
    for write in writers:
        _tried(partial(vault.put, "organism", "a", {}, write))
    print(json.dumps({"left": len(list((home / "tmp").iterdir()))}))


def no_permission() -> None:
    """An account that may not write: really another one, where we may change ours."""
    root = Path(tempfile.mkdtemp())
    inside = root / "home"
    # Whatever Python imports late must be there before the account changes: the
    # other one may not be allowed to read the interpreter's own folder.
    metadata.version("insectary")
    if os.geteuid() == 0:
        os.chown(root, 65534, 65534)
        os.setgroups([])
        os.setuid(65534)
    vault = Vault(inside)
    vault.put("organism", "a", {"is": "old"}, fill("old"))
    for folder in ("tmp", "refs/organism"):
        (inside / folder).chmod(0o500)
        _tried(lambda: vault.put("organism", "b", {"is": "new"}, fill("new")))
        (inside / folder).chmod(0o700)
    root.chmod(0o500)
    _tried(lambda: Vault(root / "other"))
    root.chmod(0o700)
    assert vault.get("a").meta["is"] == "old"
    print(json.dumps({"left": len(list((inside / "tmp").iterdir()))}))
    shutil.rmtree(inside)


def _tried(action: Callable[[], object]) -> None:
    try:
        action()
    except ArtefactError as error:
        print(json.dumps({"error": str(error)}))
    else:
        print(json.dumps({"error": None}))


def main(scenario: str, *rest: str) -> None:
    kills: dict[str, tuple[Operation, Operation, Question]] = {
        "kill-object": (
            lambda home, disk: (make_home(home, disk), put(home, "old", disk)),
            lambda home, disk: put(home, "new", disk),
            stored,
        ),
        "kill-checkpoint": (
            lambda home, disk: (home.mkdir(), checkpoint(home, 1, disk)),
            lambda home, disk: checkpoint(home, 2, disk),
            resumed,
        ),
        "kill-attempt": (
            lambda home, disk: (make_home(home, disk), attempted(home)),
            lambda home, disk: Vault(home, disk=disk).ledger.record_attempt(KEY, "sha256:card"),
            attempted,
        ),
        "kill-recovery": (
            lambda home, disk: (make_home(home, disk), tear(home)),
            lambda home, disk: Vault(home, disk=disk).ledger.attempts(),
            recovered,
        ),
    }
    if scenario in kills:
        kill_everywhere(*kills[scenario])
    elif scenario == "put-forever":
        put_forever(Path(rest[0]))
    elif scenario == "put-once":
        put_once(Path(rest[0]), Path(rest[1]))
    elif scenario == "breed":
        breed(Path(rest[0]), Path(rest[1]), rest[2] == "locks")
    elif scenario == "file-size":
        file_size(Path(rest[0]))
    elif scenario == "no-permission":
        no_permission()
    else:
        raise SystemExit(f"unknown scenario {scenario!r}")


if __name__ == "__main__":
    main(*sys.argv[1:])

"""A process that is killed leaves the old state or the new one, never a third."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from insectary.vault import Vault
from insectary.vault.doctor import check_objects, check_unfinished

PROGRAM = Path(__file__).with_name("vault_program.py")


def start(*arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, str(PROGRAM), *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def finish(process: subprocess.Popen[str]) -> list[dict[str, Any]]:
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    return [json.loads(line) for line in out.splitlines()]


def killed(*arguments: str) -> list[dict[str, Any]]:
    return finish(start(*arguments))


def answers(points: list[dict[str, Any]]) -> set[str]:
    return {point["found"] for point in points}


def test_killed_while_storing_leaves_the_old_object_or_the_new() -> None:
    points = killed("kill-object")
    assert len(points) > 25
    assert answers(points) == {"old", "new"}, points
    calls = [point["call"] for point in points]
    assert "create, second half MANIFEST.json" in calls
    assert "create, second half weights.bin" in calls


def test_killed_while_writing_a_checkpoint_resumes_from_a_whole_one() -> None:
    points = killed("kill-checkpoint")
    assert answers(points) == {"1", "2"}, points
    assert "create, second half MANIFEST.json" in [point["call"] for point in points]


def test_killed_while_recording_an_attempt_counts_it_or_not_and_keeps_what_is_torn() -> None:
    points = killed("kill-attempt")
    assert answers(points) == {
        "1 attempts, 0 recovered",
        "1 attempts, 1 recovered",
        "2 attempts, 0 recovered",
    }, points


def test_killed_while_recovering_a_torn_line_never_loses_it() -> None:
    points = killed("kill-recovery")
    assert len(points) > 8
    assert answers(points) == {"1 attempts"}, points


@pytest.mark.parametrize("scenario", ["kill-object", "kill-checkpoint", "kill-recovery"])
def test_broken_control_writing_in_place_is_caught_by_the_same_test(scenario: str) -> None:
    assert any(answer.startswith("broken") for answer in answers(killed(scenario, "in-place")))


def test_killed_from_outside_at_any_time_every_name_still_verifies(tmp_path: Path) -> None:
    home = tmp_path / "home"
    luck = random.Random(7)
    acknowledged = 0
    for _ in range(3):
        process = start("put-forever", str(home))
        assert process.stdout is not None
        first = process.stdout.readline() + process.stdout.readline()
        time.sleep(luck.random() * 0.2)
        process.kill()
        out, _ = process.communicate(timeout=30)
        out = first + out
        assert process.returncode == -9
        lines = [json.loads(line) for line in out.splitlines() if line.endswith("}")]
        acknowledged = max([acknowledged, *(line["stored"] for line in lines)])
        vault = Vault(home)
        assert {e.id for e in vault.entries()} >= {f"a{n}" for n in range(1, acknowledged + 1)}
        assert all(vault.get(entry.id).meta == entry.meta for entry in vault.entries())
    assert acknowledged >= 2
    vault.gc()
    assert check_objects(vault).ok
    assert check_unfinished(vault).ok
    assert len(vault.digests()) == len(vault.entries())


def test_many_processes_storing_the_same_end_with_one_object(tmp_path: Path) -> None:
    go = tmp_path / "go"
    processes = [start("put-once", str(tmp_path / "home"), str(go)) for _ in range(4)]
    wait_until_ready(processes)
    go.touch()
    digests = [line["digest"] for p in processes for line in finish(p) if "digest" in line]
    vault = Vault(tmp_path / "home")
    assert digests == vault.digests() * 4
    assert not list((vault.home / "tmp").iterdir())


@pytest.mark.parametrize("locks", [True, False], ids=["locked", "broken control, unlocked"])
def test_of_two_processes_breeding_the_same_the_second_waits_and_finds_it(
    tmp_path: Path, locks: bool
) -> None:
    go = tmp_path / "go"
    arguments = ("breed", str(tmp_path / "home"), str(go), "locks" if locks else "none")
    processes = [start(*arguments) for _ in range(2)]
    wait_until_ready(processes)
    go.touch()
    ends = [line for p in processes for line in finish(p) if "bred" in line]
    assert sorted(end["bred"] for end in ends) == ([False, True] if locks else [True, True])
    assert Vault(tmp_path / "home").digests() == [ends[0]["digest"]]


def wait_until_ready(processes: list[subprocess.Popen[str]]) -> None:
    for process in processes:
        assert process.stdout is not None
        assert json.loads(process.stdout.readline()) == {"ready": True}


def test_a_write_that_the_kernel_refuses_is_one_clear_error(tmp_path: Path) -> None:
    lines = finish(start("file-size", str(tmp_path / "home")))
    assert [line["error"] for line in lines[:2]] == [
        "cannot store organism 'a': the file is larger than this account or file system allows"
        " (see `ulimit -f`)"
    ] * 2
    assert lines[2] == {"left": 0}


def test_no_write_permission_is_one_clear_error_and_the_rest_stays_readable() -> None:
    lines = finish(start("no-permission"))
    errors = [str(line["error"]) for line in lines[:3]]
    assert all("no permission" in error and "INSECTARY_HOME" in error for error in errors), errors
    assert lines[3] == {"left": 0}

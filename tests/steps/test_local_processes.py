"""Processes that are told keys give what this process gives, and any of them may be killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from insectary.core.errors import ArtefactError, BadInputError
from insectary.core.outcome import Failed
from insectary.core.step import Step
from insectary.steps import LocalProcesses, kept, local, plan_of, run
from insectary.steps.filed import bench, file_plan
from insectary.vault import Vault

Add = Callable[..., Step]
PATIENCE = 60.0


def begun(log: Path) -> list[str]:
    return sorted(log.read_text().split()) if log.exists() else []


def eventually(holds: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.02)


def drawn(shape: Sequence[tuple[int, Sequence[int]]]) -> list[Step]:
    """Steps of random numbers; each needs some of those before it."""
    steps: list[Step] = []
    for n, needs in shape:
        wanted = sorted({i % len(steps) for i in needs}) if steps else []
        steps.append(Step("draw", "1", {"n": n}, tuple(steps[i].key for i in wanted)))
    return steps


SHAPES = st.lists(
    st.tuples(st.integers(0, 3), st.lists(st.integers(0, 9), max_size=3)), min_size=1, max_size=8
)


@settings(
    max_examples=5, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(shape=SHAPES)
def test_results_are_equal_whichever_runner(
    shape: list[tuple[int, list[int]]], on_path: None
) -> None:
    steps = drawn(shape)
    with TemporaryDirectory() as one, TemporaryDirectory() as other:
        here = run(steps, Vault(Path(one) / "v"))
        there = run(steps, Vault(Path(other) / "v"), LocalProcesses(2))
        assert here == there and set(here) == {step.key for step in steps}


def test_two_workers_work_side_by_side_with_one_thread_each(
    add: Add, vault: Vault, tmp_path: Path
) -> None:
    # Neither ends before both have begun.
    first = add(1, kind="wait", until=str(tmp_path / "first"))
    second = add(2, kind="wait", until=str(tmp_path / "second"))
    log = tmp_path / "begun.txt"

    def open_doors() -> None:
        eventually(lambda: begun(log) == ["1", "2"])
        (tmp_path / "first").touch()
        (tmp_path / "second").touch()

    opener = threading.Thread(target=open_doors)
    opener.start()
    results = run([first, second], vault, LocalProcesses(2))
    opener.join()
    assert results[first.key]["pid"] != results[second.key]["pid"]
    assert os.getpid() not in {r["pid"] for r in results.values()}
    for step in (first, second):
        record = kept(step.key, vault)
        assert record is not None and record.threads == 1


def test_a_step_whose_worker_is_killed_is_begun_again(add: Add, vault: Vault, log: Path) -> None:
    dies = add(1, kind="die", times=1)
    above = add(2, dies)
    assert run([above, dies, add(3)], vault, LocalProcesses(2)) == {
        dies.key: 1,
        above.key: 3,
        add(3).key: 3,
    }
    assert begun(log) == ["1", "1", "2", "3"]


def test_broken_control_without_another_try_it_is_lost(
    add: Add, vault: Vault, log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local, "TRIES", 1)
    dies = add(1, kind="die", times=1)
    outcome = run([dies], vault, LocalProcesses(2))[dies.key]
    assert outcome == Failed("its process was killed by signal 9, 1 times; see its standard error")
    assert begun(log) == ["1"]


def test_what_kills_every_worker_fails_and_nothing_else_does(
    add: Add, vault: Vault, log: Path
) -> None:
    dies = add(1, kind="die", times=9)
    raises = add(5, kind="fail")
    results = run([dies, add(2, dies), raises, add(3)], vault, LocalProcesses(1))
    assert results[dies.key] == Failed(
        "its process was killed by signal 9, 3 times; see its standard error"
    )
    assert isinstance(results[add(2, dies).key], Failed)
    assert results[raises.key] == Failed("ValueError: planted")
    assert results[add(3).key] == 3
    assert begun(log) == ["1", "1", "1", "3", "5"]


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGINT])
def test_the_driver_may_be_killed_and_the_next_goes_on(
    add: Add, vault: Vault, log: Path, tmp_path: Path, end: signal.Signals
) -> None:
    door = tmp_path / "door"
    steps = [add(1), add(2, add(1)), add(3, add(1), kind="wait", until=str(door))]
    plan = tmp_path / "plan.json"
    plan.write_text(json.dumps([step.told() for step in steps]))
    command = [sys.executable, str(Path(__file__).with_name("driver.py"))]
    command += [str(vault.home), str(plan), "local"]
    driver = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    with driver:
        eventually(lambda: begun(log) == ["1", "2", "3"] and kept(steps[1].key, vault) is not None)
        driver.send_signal(end)
    assert kept(steps[2].key, vault) is None
    # Its workers have ended with it: nobody is left to finish the step that was under way.
    door.touch()
    time.sleep(0.2)
    assert kept(steps[2].key, vault) is None
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True)
    results = json.loads(done.stdout)
    assert results[steps[1].key] == 3 and results[steps[2].key]["threads"] == "1"
    assert begun(log) == ["1", "2", "3", "3"]


def test_broken_control_in_another_vault_nothing_is_done_already(
    add: Add, vault: Vault, log: Path, tmp_path: Path
) -> None:
    run([add(1)], vault, LocalProcesses(1))
    run([add(1)], Vault(tmp_path / "other"), LocalProcesses(1))
    assert begun(log) == ["1", "1"]


@given(numbers=st.sets(st.integers(0, 10**6), min_size=1, max_size=40))
@settings(
    max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_a_worker_finds_each_step_by_its_key_and_no_other(numbers: set[int], on_path: None) -> None:
    steps = [Step("draw", "1", {"n": n, "name": "é" * (n % 7)}) for n in numbers]
    with TemporaryDirectory() as home:
        vault = Vault(Path(home) / "v")
        with bench(vault.home, file_plan(plan_of(steps), vault)) as here:
            for step in steps:
                assert here.step(step.key).told() == step.told()
            for other in ("", "sha256:", "sha256:" + "0" * 64, "sha256:" + "f" * 64, "~"):
                with pytest.raises(BadInputError, match="is no step of the plan"):
                    here.step(other)


def test_a_plan_that_was_changed_is_not_worked_on(add: Add, vault: Vault) -> None:
    digest = file_plan(plan_of([add(1)]), vault)
    path = vault.get(digest).path / "plan.jsonl"
    path.write_text(path.read_text().replace('"n":1', '"n":2'))
    with pytest.raises(ArtefactError, match="was changed"), bench(vault.home, digest):
        pass


def test_no_worker_at_all_is_refused() -> None:
    with pytest.raises(BadInputError, match="workers must be at least 1, got 0"):
        LocalProcesses(0)

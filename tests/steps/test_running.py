"""A plan is run once: what is done stays done, and a failure stops only what needs it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import planted_steps
import pytest

from insectary import cli
from insectary.core.errors import ArtefactError, InsectaryError
from insectary.core.outcome import Failed
from insectary.core.step import Step
from insectary.steps import (
    LocalProcesses,
    OnRay,
    in_process,
    kept,
    kept_failure,
    plan_of,
    run,
    runner_of,
    running,
)
from insectary.steps.keeping import DONE, keep, record_of
from insectary.steps.running import in_words
from insectary.vault import Vault

Add = Callable[..., Step]


def begun(log: Path) -> list[str]:
    return log.read_text().split() if log.exists() else []


def test_results_are_those_of_the_steps_and_their_needs(add: Add, vault: Vault) -> None:
    first = add(1)
    second = add(10, first)
    third = add(100, second, first)
    assert run([third, second, first], vault) == {first.key: 1, second.key: 11, third.key: 112}


def test_a_finished_plan_computes_nothing_and_opens_no_pool(
    add: Add, vault: Vault, log: Path
) -> None:
    steps = [add(1), add(2)]
    results = run(steps, vault)

    def never(plan: object, vault: object) -> object:
        raise AssertionError("a pool was opened")

    assert run(steps, Vault(vault.home), never) == results  # type: ignore[arg-type]
    assert begun(log) == ["1", "2"]
    with pytest.raises(AssertionError, match="a pool was opened"):
        run([*steps, add(3)], vault, never)  # type: ignore[arg-type]


def test_a_failure_is_recorded_and_stops_only_what_needs_it(
    add: Add, vault: Vault, log: Path
) -> None:
    bad = add(1, kind="fail")
    above = add(3, add(2, bad), bad)
    free = add(4)
    results = run([free, above, add(2, bad), bad], vault)
    assert results[bad.key] == Failed("ValueError: planted")
    for step in (above, add(2, bad)):
        assert results[step.key] == Failed(f"it needs {bad.key}, which failed: ValueError: planted")
    assert results[free.key] == 4
    assert sorted(begun(log)) == ["1", "4"]
    assert kept_failure(bad.key, vault) == Failed("ValueError: planted")
    assert kept_failure(above.key, vault) is None and kept(bad.key, vault) is None


def test_a_number_that_is_none_is_a_failure(add: Add, vault: Vault) -> None:
    bad = add(1, kind="fail", nan=True)
    outcome = run([bad], vault)[bad.key]
    assert isinstance(outcome, Failed)
    assert "the result of step 'fail' must hold JSON values only" in outcome.reason


def test_what_failed_is_tried_again_and_then_no_longer_stands_as_failed(
    add: Add, vault: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    bad = add(1, kind="fail")
    run([bad], vault)
    monkeypatch.setattr(planted_steps.Fail, "__call__", lambda self, params, needs, vault: 7)
    assert run([bad], vault) == {bad.key: 7}
    assert kept_failure(bad.key, vault) is None


def test_an_interrupted_plan_goes_on_where_it_was(
    add: Add, vault: Vault, log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = [add(1), add(2), add(3)]
    whole = planted_steps.Add.__call__

    def interrupted(self: planted_steps.Add, params: dict, needs: dict, vault: Vault) -> object:
        if len(begun(log)) == 2:
            raise KeyboardInterrupt
        return whole(self, params, needs, vault)

    monkeypatch.setattr(planted_steps.Add, "__call__", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run(steps, vault)
    monkeypatch.setattr(planted_steps.Add, "__call__", whole)
    told: list[str] = []
    assert len(run(steps, vault, progress=told.append)) == 3
    assert sorted(begun(log)) == ["1", "2", "3"]
    assert told == ["2 of 3 steps are done already", "3 of 3 steps have ended"]


def test_what_is_left_is_told_at_the_pace_so_far(
    add: Add, vault: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = iter((0.0, 50.0, 100.0, 150.0))
    monkeypatch.setattr(running, "time", SimpleNamespace(monotonic=lambda: next(now)))
    told: list[str] = []
    run([add(1), add(2), add(3)], vault, progress=told.append)
    assert told[1:] == [
        "1 of 3 steps have ended; about 2 min left",
        "2 of 3 steps have ended; about 50 s left",
        "3 of 3 steps have ended",
    ]
    assert [in_words(s) for s in (89.0, 600.0, 36_000.0)] == ["89 s", "10 min", "10 h"]


def test_a_step_done_twice_is_what_was_published_first(add: Add, vault: Vault) -> None:
    step = add(1)
    first = record_of(step, {"who": "first"}, 1.0)
    assert keep(step, first, vault) == first
    assert keep(step, record_of(step, {"who": "second"}, 2.0), vault) == first
    assert run([step], vault) == {step.key: {"who": "first"}}
    assert len(vault.entries(DONE)) == 1


def test_a_record_says_what_it_was_made_with(add: Add, vault: Vault) -> None:
    step = add(1)
    run([step], vault)
    record = kept(step.key, vault)
    assert record is not None and record.threads >= 1 and record.seconds > 0
    assert {"python", "insectary"} <= set(record.versions) and "cpu" in record.device
    stored = json.loads((vault.get(step.key[7:], DONE).path / "record.json").read_text())
    assert step.told().items() <= stored.items()


@pytest.mark.parametrize("what", ["content", "name"])
def test_a_damaged_record_is_made_again(add: Add, vault: Vault, log: Path, what: str) -> None:
    step = add(1)
    run([step], vault)
    path = vault.get(step.key[7:], DONE).path / "record.json"
    if what == "name":
        path = vault.home / "refs" / DONE / f"{step.key[7:]}.json"
    path.write_text(path.read_text().replace("1", "2", 1))
    assert run([step], vault) == {step.key: 1}
    assert begun(log) == ["1", "1"]
    assert run([step], vault) == {step.key: 1}
    assert begun(log) == ["1", "1"]


def test_a_full_disk_is_one_error_and_no_record(
    add: Add, vault: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*arguments: object, **named: object) -> None:
        raise ArtefactError("the disk is full")

    monkeypatch.setattr(Vault, "put", full)
    with pytest.raises(ArtefactError, match="the disk is full"):
        run([add(1)], vault)
    monkeypatch.undo()
    assert kept(add(1).key, vault) is None


def test_a_plan_may_be_handed_over_ready_made(add: Add, vault: Vault) -> None:
    plan = plan_of([add(1)])
    assert run(plan, vault, in_process) == {add(1).key: 1}


@pytest.mark.parametrize(
    ("words", "runner"),
    [
        ((None, None, None), in_process),
        (("here", None, None), in_process),
        ((None, 3, None), LocalProcesses(3)),
        (("local", None, None), LocalProcesses(2)),
        (("ray", None, "auto"), OnRay("auto")),
        ((None, None, "10.0.0.1:6379"), OnRay("10.0.0.1:6379")),
    ],
)
def test_a_runner_is_what_the_words_say(words: tuple[Any, Any, Any], runner: object) -> None:
    assert runner_of(*words) == runner


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("dask", None, None), "unknown runner: 'dask'. Known: here, local, ray"),
        (("ray", None, None), "--runner ray needs an --address: HOST:PORT"),
        ((None, None, "nonsense"), "'nonsense' is no address of a cluster of Ray: give HOST:PORT"),
        (("ray", None, ""), "'' is no address of a cluster of Ray"),
        (("ray", None, "host:"), "'host:' is no address"),
        (("ray", None, ":6379"), "':6379' is no address"),
        (("ray", None, "host:" + "1" * 5000), "1' is no address of a cluster of Ray"),
        (("ray", None, "host:65536"), "'host:65536' is no address"),
        (("ray", 2, None), "--workers goes with --runner local, not with ray"),
        (("local", None, "a:1"), "--address goes with --runner ray, not with local"),
        ((None, 0, None), "workers must be at least 1, got 0"),
    ],
)
def test_words_that_fit_no_runner_are_refused(words: tuple[Any, Any, Any], said: str) -> None:
    with pytest.raises(InsectaryError, match=re.escape(said)):
        runner_of(*words)


def test_steps_are_listed_when_they_are_asked_for(
    add: Add, vault: Vault, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("INSECTARY_HOME", str(vault.home))
    run([add(1)], vault)
    assert cli.run(["list"]) == 0
    assert "holds nothing yet" in capsys.readouterr().out
    assert cli.run(["list", "--kind", "step", "--json"]) == 0
    assert add(1).key[7:] in capsys.readouterr().out

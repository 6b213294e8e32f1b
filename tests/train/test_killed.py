"""A real process, a real SIGKILL, and the same weights in the end."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import run_member

from insectary.train.optimizer import MuonWithAdamW
from insectary.train.result import Moment

SCRIPT = Path(__file__).with_name("run_member.py")


def start(directory: Path, *arguments: str) -> subprocess.Popen[str]:
    source = Path(__file__).parents[2] / "src"
    return subprocess.Popen(
        [sys.executable, "-W", "error::UserWarning", str(SCRIPT), str(directory), *arguments],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(source), "OMP_NUM_THREADS": "1"},
    )


def finish(directory: Path, kind: str) -> tuple[dict[str, Any], list[int]]:
    """Run to the end; returns what it says last and the steps it told about."""
    output, _ = start(directory, kind).communicate(timeout=120)
    events = [json.loads(line) for line in output.splitlines()]
    return events[-1], [event["step"] for event in events if "step" in event]


def kill_at(directory: Path, key: str, value: int, *arguments: str) -> None:
    with start(directory, *arguments) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if json.loads(line).get(key, -1) >= value:
                break
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL


def here(directory: Path, kind: str) -> tuple[dict[str, Any], list[int]]:
    """The same run within this process, which is quicker to start."""
    steps: list[int] = []
    found = run_member.train_member(directory, kind, lambda moment: steps.append(moment.step))
    return found, steps


def break_off(directory: Path, at: int) -> None:
    """End a run within this process at a step."""

    def progress(moment: Moment) -> None:
        if moment.step >= at:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_member.train_member(directory, "full", progress)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    found, steps = here(tmp_path_factory.mktemp("whole"), "full")
    assert found["stopped"] == "cap" and steps[-1] == 24
    return found


def test_killed_between_checkpoints(tmp_path: Path, whole: dict[str, Any]) -> None:
    kill_at(tmp_path, "step", 12, "full")
    found, steps = finish(tmp_path, "full")
    assert found == whole
    assert steps[0] > 10  # it went on from step 10 and not from the beginning


def test_killed_while_a_checkpoint_is_written(tmp_path: Path, whole: dict[str, Any]) -> None:
    kill_at(tmp_path, "writing", 10, "full", "pause-in-write")
    unfinished = [path for path in tmp_path.iterdir() if path.name.startswith(".step-00000010")]
    assert unfinished and (unfinished[0] / "weights.safetensors").exists()
    found, steps = here(tmp_path, "full")
    assert found == whole
    assert 5 < steps[0] <= 10
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".step")]


def test_adapters_resume_too(tmp_path: Path) -> None:
    expected, _ = here(tmp_path / "whole", "lora")
    kill_at(tmp_path / "killed", "step", 12, "lora")
    found, steps = here(tmp_path / "killed", "lora")
    assert found == expected and steps[0] > 10
    assert expected["adapter"] is not None


def test_damaged_newest_checkpoint_is_passed_over(tmp_path: Path, whole: dict[str, Any]) -> None:
    break_off(tmp_path, 12)
    weights = tmp_path / "step-00000010" / "weights.safetensors"
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    found, steps = here(tmp_path, "full")
    assert found == whole
    assert 5 < steps[0] <= 10


def test_broken_control_a_resume_that_forgets_ends_elsewhere(
    tmp_path: Path, whole: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The comparison of weights does see a resume without the optimizer's state."""
    break_off(tmp_path, 12)
    monkeypatch.setattr(MuonWithAdamW, "restore", lambda self, tensors: None)
    found, _ = here(tmp_path, "full")
    assert found["weights"] != whole["weights"]

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from insectary.core.errors import BadInputError, TrainingError
from insectary.train.processes import run_children


def python(code: str, *arguments: str) -> list[str]:
    return [sys.executable, "-c", code, *arguments]


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_events_arrive_and_workers_are_bounded(tmp_path: Path) -> None:
    code = (
        "import json, sys, time, pathlib\n"
        "mark = pathlib.Path(sys.argv[1]) / sys.argv[2]; mark.touch()\n"
        "n = len(list(mark.parent.iterdir())); time.sleep(0.2)\n"
        "print(json.dumps({'at once': n, 'me': sys.argv[2]})); print('plain words')\n"
        "sys.stdout.flush(); mark.unlink()\n"
    )
    seen: list[tuple[int, Mapping[str, Any]]] = []
    commands = [python(code, str(tmp_path), str(i)) for i in range(5)]
    run_children(commands, lambda i, event: seen.append((i, event)), workers=2)
    events = [(i, event) for i, event in seen if "me" in event]
    assert sorted(i for i, _ in events) == [0, 1, 2, 3, 4]
    assert all(str(i) == event["me"] for i, event in events)
    assert max(event["at once"] for _, event in events) <= 2
    assert sum(event == {"text": "plain words"} for _, event in seen) == 5


def test_failure_says_the_last_line_and_ends_the_others() -> None:
    waits = python(
        "import os, time, json; print(json.dumps({'pid': os.getpid()}), flush=True); time.sleep(60)"
    )
    fails = python("import time; time.sleep(0.5); raise SystemExit('the disk is on fire')")
    pids: list[int] = []
    began = time.monotonic()
    with pytest.raises(TrainingError, match=r"child 1 .* ended with code 1: the disk is on fire"):
        run_children([waits, fails], lambda _, event: pids.append(event["pid"]), workers=2)
    assert time.monotonic() - began < 30
    assert pids and not alive(pids[0])


def test_killed_child_is_reported() -> None:
    dies = python("import os, signal; os.kill(os.getpid(), signal.SIGKILL)")
    with pytest.raises(TrainingError, match="killed by signal 9"):
        run_children([dies], lambda *_: None, workers=1)


def test_whoever_wants_to_hear_of_a_failure_keeps_the_others() -> None:
    fails = python("import json; print(json.dumps({'a': 1}), flush=True); raise ValueError('b')")
    goes_on = python("import json, time; time.sleep(1); print(json.dumps({'done': True}))")
    heard: list[tuple[int, TrainingError]] = []
    seen: list[tuple[int, Mapping[str, Any]]] = []
    run_children(
        [fails, goes_on], lambda i, event: seen.append((i, event)), workers=2,
        on_failure=lambda i, error: heard.append((i, error)),
    )  # fmt: skip
    assert (1, {"done": True}) in seen
    ((index, error),) = heard
    assert index == 0 and "ended with code 1: ValueError: b" in str(error)
    assert "Traceback" in error.__notes__[0]


def test_ctrl_c_ends_the_children() -> None:
    waits = python(
        "import os, time, json; print(json.dumps({'pid': os.getpid()}), flush=True); time.sleep(60)"
    )
    pids: list[int] = []

    def interrupt(_: int, event: Mapping[str, Any]) -> None:
        pids.append(event["pid"])
        threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT)).start()

    with pytest.raises(KeyboardInterrupt):
        run_children([waits], interrupt, workers=1)
    assert not alive(pids[0])


def test_environment_reaches_the_child_and_much_output_does_not_block() -> None:
    code = (
        "import os, sys, json\n"
        "sys.stderr.write('noise\\n' * 200_000)\n"
        "print(json.dumps({'threads': os.environ['OMP_NUM_THREADS']}))\n"
    )
    seen: list[Mapping[str, Any]] = []
    run_children(
        [python(code)],
        lambda _, event: seen.append(event),
        workers=1,
        environment={"OMP_NUM_THREADS": "3"},
    )
    assert seen == [{"threads": "3"}]


def test_bad_input() -> None:
    with pytest.raises(BadInputError, match="at least 1"):
        run_children([["true"]], lambda *_: None, workers=0)
    with pytest.raises(TrainingError, match="cannot start"):
        run_children([["/no/such/program"]], lambda *_: None, workers=1)

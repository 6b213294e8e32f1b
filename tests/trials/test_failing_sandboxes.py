"""A detector that dies, hangs or is broken off fails alone, and leaves no process behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import spies
from planted_family import CONTRAST, Member
from spies import Spy
from test_sandboxes import ORGANISM, SEED, scores

from insectary.core.access import View
from insectary.core.outcome import Failed
from insectary.trials.isolation import Run, isolated
from insectary.trials.ranking import Ranks, prepare, rank_on
from insectary.trials.sandboxes import end_idle

FAILING = [
    (lambda *_: 1 / 0, "ZeroDivisionError: division by zero"),
    (lambda *_: np.ones(2**32).sum(), "MemoryError: Unable to allocate 32.0 GiB"),
    (lambda *_: os._exit(3), "its process ended with code 3"),
    (lambda *_: os._exit(0), "ended by itself and gave no scores"),
    (lambda *_: sys.exit("enough"), "its process ended with code 1: SystemExit: enough"),
    (lambda *_: os.kill(os.getpid(), signal.SIGKILL), "ended by SIGKILL, as by a machine that is"),
    (lambda *_: os.kill(os.getpid(), signal.SIGSEGV), "ended by SIGSEGV"),
    (lambda *_: threading.Event().wait(), "no scores after 2 s of its own time"),
    (
        lambda spy, _: spy.subject._channel.send({"nonsense": 1}),
        "is no message: a message that is neither",
    ),
]


@pytest.fixture(scope="module")
def narrow_sandbox() -> Iterator[Run]:
    with isolated(seconds=2.0, memory=2**31) as run:
        yield run


@pytest.mark.parametrize(("act", "reason"), FAILING, ids=[r[1][:20] for r in FAILING])
def test_a_detector_that_dies_or_hangs_fails_alone(
    act: spies.Search, reason: str, narrow_sandbox: Run
) -> None:
    failed = scores(Spy(act), narrow_sandbox)
    assert isinstance(failed, Failed)
    assert reason in failed.reason
    assert isinstance(scores(Spy(lambda *_: None), narrow_sandbox), np.ndarray)


def test_the_harness_takes_its_time_without_blame(narrow_sandbox: Run) -> None:
    """What the subject needs to answer is no time of the detector's."""

    class Slow(Member):
        def generate(self, *given: object, **settings: object) -> list[str]:
            time.sleep(2.5)
            return []

    slow = replace(ORGANISM, subject=Slow("slow"))

    def asks(spy: Spy, _: object) -> object:
        spy.subject.generate([])
        return None

    ranks = rank_on(Spy(asks), prepare(slow, View.PROMPT, SEED), CONTRAST, SEED, narrow_sandbox)
    assert isinstance(ranks, Ranks)


def test_what_cannot_be_handed_over_fails_with_the_way_out(narrow_sandbox: Run) -> None:
    failed = scores(Spy(lambda *_: None, vault=threading.Lock()), narrow_sandbox)  # type: ignore[arg-type]
    assert isinstance(failed, Failed)
    assert "cannot be handed to a process of its own" in failed.reason
    assert "make what it needs in `fit`" in failed.reason


def _children() -> set[int]:
    return {
        int(p) for p in Path("/proc/self/task").glob("*/children") for p in p.read_text().split()
    }


def test_a_host_serves_the_next_block_that_would_start_the_same(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    end_idle()
    others = _children()

    def kept() -> int:
        """The one host that there is after a block."""
        with isolated() as run:
            assert isinstance(scores(Spy(lambda *_: None), run), np.ndarray)
        (host,) = _children() - others
        return host

    first = kept()
    assert kept() == first
    os.kill(first, signal.SIGKILL)
    _until(lambda: not _group_lives(first))
    second = kept()
    monkeypatch.syspath_prepend(tmp_path)
    assert kept() not in {first, second}
    with pytest.raises(KeyboardInterrupt), isolated() as run:
        scores(Spy(lambda *_: None), run)
        raise KeyboardInterrupt
    assert _children() == others


def test_no_process_is_left_after_an_interrupt() -> None:
    """Ctrl-C while a detector hangs: the host and its sandbox end with the block."""
    end_idle()
    before = _children()
    hosts: set[int] = set()

    def interrupt() -> None:
        hosts.update(_children() - before)
        os.kill(os.getpid(), signal.SIGINT)

    timer = threading.Timer(4.0, interrupt)
    timer.start()
    with pytest.raises(KeyboardInterrupt), isolated() as run:
        scores(Spy(lambda *_: threading.Event().wait()), run)
    assert len(hosts) == 1
    assert _children() == before
    assert not _group_lives(hosts.pop())


def test_no_process_is_left_after_the_harness_was_killed(tmp_path: Path) -> None:
    program = (
        f"import sys; sys.path[:0] = [{str(Path(__file__).parent)!r}]\n"
        "import os, spies, test_sandboxes, threading\n"
        "from insectary.trials.isolation import isolated\n"
        "def hang(spy, _):\n"
        "    import sys; print('here', os.getpid(), os.getppid(), file=sys.stderr, flush=True)\n"
        "    open('sign', 'w').close(); threading.Event().wait()\n"
        "with isolated() as run: test_sandboxes.scores(spies.Spy(hang), run)"
    )
    harness = subprocess.Popen(
        [sys.executable, "-c", program], env=os.environ | {"TMPDIR": str(tmp_path)}
    )
    try:
        _until(lambda: any(tmp_path.glob("work-*/sign")))
        children = Path(f"/proc/{harness.pid}/task/{harness.pid}/children").read_text().split()
        assert len(children) == 1
    finally:
        harness.kill()
        harness.wait()
    _until(lambda: not _group_lives(int(children[0])))


def _group_lives(host: int) -> bool:
    """Whether anything of a host's session runs."""
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, _, session = path.read_text().rpartition(")")[2].split()[:4]
        except OSError:
            continue
        if int(session) == host and state != "Z":
            return True
    return False


def _until(true: object, seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while not true():  # type: ignore[operator]
        assert time.monotonic() < end, "it did not come about"
        time.sleep(0.05)

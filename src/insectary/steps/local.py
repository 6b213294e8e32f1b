"""The runner with processes of this machine: one thread each, and told nothing but keys."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from selectors import EVENT_READ, DefaultSelector
from typing import IO, final

from insectary.core.errors import BadInputError
from insectary.core.outcome import Failed
from insectary.steps.filed import file_plan
from insectary.steps.plan import Plan
from insectary.steps.running import Pool
from insectary.vault import Vault

TRIES = 3
"""How often a step is begun at most whose process dies; what it raises is never tried again."""
_PATIENCE = 10.0
"""Seconds that a worker is given to end which has closed its output."""
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
"""What libraries ask how many threads they may use."""


@final
@dataclass(frozen=True, slots=True)
class LocalProcesses:
    """Processes of this machine, started when the first step is and ended with the run.

    A step whose process dies is begun again in a fresh one, ``TRIES`` times in all. The
    processes end at once when the driver does, however it ends.

    Attributes:
        workers: How many, at least 1. Each computes with one thread.
    """

    workers: int = 2

    def __post_init__(self) -> None:
        if self.workers < 1:
            raise BadInputError(f"workers must be at least 1, got {self.workers}")

    @contextmanager
    def __call__(self, plan: Plan, vault: Vault) -> Iterator[Pool]:
        """Open the pool for a plan."""
        command = [sys.executable, "-m", "insectary.steps.worker", str(vault.home)]
        crew = _Crew([*command, file_plan(plan, vault)], str(vault.home), self.workers)
        try:
            yield crew
        finally:
            crew.end()


@final
@dataclass(slots=True)
class _Crew:
    """The workers of one run; ``room`` is how many there may be."""

    command: Sequence[str]
    home: str
    room: int
    idle: list[subprocess.Popen[str]] = field(default_factory=list)
    busy: dict[str, subprocess.Popen[str]] = field(default_factory=dict)
    begun: Counter[str] = field(default_factory=Counter)
    ready: DefaultSelector = field(default_factory=DefaultSelector)

    def start(self, key: str) -> None:
        worker = self.idle.pop() if self.idle else self._hire()
        self.busy[key] = worker
        self.begun[key] += 1
        self.ready.register(_pipe(worker.stdout), EVENT_READ, key)
        with suppress(BrokenPipeError):  # it has died, and its output says so too
            _pipe(worker.stdin).write(f"{key}\n")

    def ended(self) -> Sequence[tuple[str, Failed | None]]:
        found: list[tuple[str, Failed | None]] = []
        while not found:
            for event, _ in self.ready.select():
                found += self._answer(event.data)
        return found

    def _answer(self, key: str) -> list[tuple[str, Failed | None]]:
        """What a worker says of its step; nothing if it has died and another begins it."""
        worker = self.busy.pop(key)
        pipe = _pipe(worker.stdout)
        self.ready.unregister(pipe)
        line = pipe.readline()
        if line.endswith("\n"):
            self.idle.append(worker)
            reason = json.loads(line)["failed"]
            return [(key, None if reason is None else Failed(reason))]
        how = _how_it_ended(worker)
        if self.begun[key] < TRIES:
            self.start(key)
            return []
        return [(key, Failed(f"its process {how}, {TRIES} times; see its standard error"))]

    def _hire(self) -> subprocess.Popen[str]:
        variables = dict.fromkeys(THREADS, "1") | {"INSECTARY_HOME": self.home}
        return subprocess.Popen(
            self.command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            bufsize=1,
            env=os.environ | variables,
            process_group=0,  # Ctrl-C is for the driver, which then ends them
        )

    def end(self) -> None:
        """End all workers, whatever they are doing."""
        for worker in [*self.idle, *self.busy.values()]:
            _end(worker)
        self.ready.close()


def _how_it_ended(worker: subprocess.Popen[str]) -> str:
    """What became of a worker that has closed its output, in words."""
    with suppress(subprocess.TimeoutExpired):
        worker.wait(_PATIENCE)
    code = _end(worker)
    return f"was killed by signal {-code}" if code < 0 else f"ended with code {code}"


def _end(worker: subprocess.Popen[str]) -> int:
    """End a worker, unless it has ended, and what it has started; returns its code."""
    if worker.returncode is None:
        os.killpg(worker.pid, signal.SIGKILL)
    code = worker.wait()
    for pipe in (worker.stdin, worker.stdout):
        with suppress(BrokenPipeError):
            _pipe(pipe).close()
    return code


def _pipe(stream: IO[str] | None) -> IO[str]:
    if stream is None:
        raise AssertionError("a worker is started with pipes")
    return stream

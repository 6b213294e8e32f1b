"""Running a plan: what is done already is left out, what fails stops only what needs it."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from functools import partial
from graphlib import TopologicalSorter
from typing import Protocol, final

from insectary.core.outcome import Failed
from insectary.core.step import Json, Step
from insectary.steps.keeping import keep_failure, kept
from insectary.steps.plan import Plan, plan_of
from insectary.steps.working import work
from insectary.vault import Vault


class Pool(Protocol):
    """Where steps are done, while a plan is run."""

    @property
    def room(self) -> int:
        """How many steps it can be handed before the first has ended, at least 1."""
        ...

    def start(self, key: str) -> None:
        """Have a step done. All that it needs is in the vault."""
        ...

    def ended(self) -> Sequence[tuple[str, Failed | None]]:
        """Wait until a step has ended: key, and why it failed unless its record is kept."""
        ...


Runner = Callable[[Plan, Vault], AbstractContextManager[Pool]]
"""Opens a pool for a plan; its processes end with the block."""


def run(
    steps: Iterable[Step] | Plan,
    vault: Vault,
    runner: Runner | None = None,
    *,
    progress: Callable[[str], None] = lambda line: None,
) -> dict[str, Json | Failed]:
    """Have every step of a plan done that is not.

    It may be interrupted or killed at any moment: run again, with whichever runner, it goes on.

    Args:
        steps: The steps, in any order, or what :func:`plan_of` has made of them.
        vault: Where results are kept.
        runner: Where steps are done; in this process, one by one, if not given.
        progress: Told a line for each step that ended, with the time left at the pace so far, and
            one for all that were done before.

    Returns:
        Key to result. A step that failed, or needs one that did, has ``Failed`` with the
        reason; it is tried again when the plan is run again.

    Raises:
        BadInputError: as :func:`plan_of` does.
        ArtefactError: if the vault cannot be written.
    """
    plan = steps if isinstance(steps, Plan) else plan_of(steps)
    found: dict[str, Json | Failed] = {}
    for key in plan.steps:
        record = kept(key, vault)
        if record is not None:
            found[key] = record.result
    total, before, started = len(plan.steps), len(found), time.monotonic()
    progress(f"{before:,} of {total:,} steps are done already")
    if before < total:
        with (runner or in_process)(plan, vault) as pool:
            for step, outcome in drive(plan, found, pool, partial(_kept_of, vault)):
                found[step.key] = outcome
                each = (time.monotonic() - started) / (len(found) - before)
                left = f"; about {in_words(each * (total - len(found)))} left"
                why = f" ({step.kind}: {outcome})" if isinstance(outcome, Failed) else ""
                ended = f"{len(found):,} of {total:,} steps have ended{why}"
                progress(ended + (left if len(found) < total else ""))
    return found | _stopped(plan, found)


def in_words(seconds: float) -> str:
    """A time that is left, to no more digits than anybody can know."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes / 60:.0f} h"


def _kept_of(vault: Vault, step: Step, failed: Failed | None) -> Json | Failed:
    """The result that is kept of a step that has ended, or the reason, which is then kept too."""
    record = None if failed else kept(step.key, vault)
    if record is not None:
        return record.result
    failed = failed or Failed("its record is gone from the vault: run the plan again")
    keep_failure(step, failed, vault)
    return failed


def drive(
    plan: Plan,
    done: Container[str],
    pool: Pool,
    outcome: Callable[[Step, Failed | None], Json | Failed],
) -> Iterator[tuple[Step, Json | Failed]]:
    """Hand out steps as soon as all that they need is done; yields each that has ended.

    Args:
        plan: The plan.
        done: Keys of the steps that are done already.
        pool: Where the others are.
        outcome: What came of a step that has ended, of itself and why it failed, if it did.
            While it is ``Failed``, nothing that needs the step is handed out.
    """
    waiting = TopologicalSorter(
        {
            key: [need for need in step.needs if need not in done]
            for key, step in plan.steps.items()
            if key not in done
        }
    )
    waiting.prepare()
    ready: deque[str] = deque()
    running = 0
    while True:
        ready.extend(waiting.get_ready())
        while ready and running < pool.room:
            pool.start(ready.popleft())
            running += 1
        if not running:
            return
        for key, failed in pool.ended():
            running -= 1
            found = outcome(plan.steps[key], failed)
            if not isinstance(found, Failed):
                waiting.done(key)
            yield plan.steps[key], found


def _stopped(plan: Plan, found: Mapping[str, Json | Failed]) -> dict[str, Failed]:
    """Why each step was not even begun that was not: what it needs, itself or further up."""
    stopped: dict[str, Failed] = {}
    for key, step in plan.steps.items():
        if key not in found:
            for need in step.needs:
                bad = stopped.get(need) or found[need]
                if isinstance(bad, Failed):
                    told = Failed(f"it needs {need}, which failed: {bad.reason}")
                    stopped[key] = stopped.get(need, told)
                    break
    return stopped


@contextmanager
def in_process(plan: Plan, vault: Vault) -> Iterator[Pool]:
    """The runner that does one step after the other, here."""
    yield _Here(plan, vault)


@final
@dataclass(slots=True)
class _Here:
    plan: Plan
    vault: Vault
    room: int = 1
    handed: list[str] = field(default_factory=list)

    def start(self, key: str) -> None:
        self.handed.append(key)

    def ended(self) -> Sequence[tuple[str, Failed | None]]:
        step = self.plan.steps[self.handed.pop()]
        outcome = work(step, self.plan.kinds[step.kind], self.vault)
        return [(step.key, outcome if isinstance(outcome, Failed) else None)]

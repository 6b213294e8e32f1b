"""Runners of plans beside each other, and what it costs to find that a large plan is done.

Usage: python benchmarks/steps.py [--learners 24] [--finished 100000] [--rounds 3]
       [--address HOST:PORT]

- Many small learners (the step kind of the study `power_statistics`: a few thousand tabular
  agents each), all on one thread: one local process, two local processes, and with --address a
  cluster of Ray. They take turns in vaults of their own; ratios are medians over the rounds.
  Targets, on two free cores: two processes 1.7 times one, Ray at most 1.2 times the seconds of
  the same number of local processes. Processes are started within the time that is taken.
- A plan whose steps are all done: made, keyed, looked up in the vault and verified, at most 60
  seconds for 100,000, with nothing computed. The records are put there beforehand, by a disk
  that does not wait for the platter.
- What a record costs to publish, by a disk that does.
"""

from __future__ import annotations

import argparse
import os
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import median

from insectary.core.step import Step
from insectary.steps import LocalProcesses, OnRay, Plan, Runner, run
from insectary.steps.keeping import keep, record_of
from insectary.steps.running import Pool
from insectary.vault import RealDisk, Vault

TWO_OF_ONE = 1.7
RAY_OF_LOCAL = 1.2
SKIP_SECONDS_OF_100_000 = 60.0
PUBLISHED = 200
now = time.perf_counter


def learners(count: int) -> list[Step]:
    """Steps of a second or so each, on one thread."""
    params = {"terminals": 6, "larger": 4, "rewards": "uniform", "draws": 2000}
    params |= {"stay": 10, "episodes": 400}
    return [Step("power_learned", "1", params | {"seed": seed}) for seed in range(count)]


def seconds(steps: Sequence[Step], runner: Runner) -> float:
    """Of one run in an empty vault."""
    with tempfile.TemporaryDirectory() as folder:
        started = now()
        results = run(steps, Vault(Path(folder) / "vault"), runner)
        took = now() - started
    failed = [str(result) for result in results.values() if not isinstance(result, dict)]
    if failed:
        raise SystemExit(failed[0])
    return took


class Unsynced:
    """The operating system's disk without the waiting; for what is thrown away afterwards."""

    def __init__(self) -> None:
        self._disk = RealDisk()

    def __getattr__(self, name: str) -> Callable[..., None]:
        return (lambda path: None) if name.startswith("sync_") else getattr(self._disk, name)


@contextmanager
def refuses(plan: Plan, vault: Vault) -> Iterator[Pool]:
    """The runner that must not be asked."""
    raise SystemExit("a finished plan computed something")
    yield


def skipping(count: int) -> tuple[float, float]:
    """From nothing to all results of a plan that is done: seconds, and those of the processor."""
    with tempfile.TemporaryDirectory() as folder:
        vault = Vault(Path(folder) / "vault", disk=Unsynced())
        for step in learners(count):
            keep(step, record_of(step, {"seed": step.params["seed"]}, 0.0), vault)
        started, worked = now(), time.process_time()
        results = run(learners(count), Vault(vault.home), refuses)
        took = now() - started, time.process_time() - worked
        if len(results) != count:
            raise SystemExit("results are missing")
    return took


def publishing() -> float:
    """Seconds for one record, synced to the disk."""
    with tempfile.TemporaryDirectory() as folder:
        vault = Vault(Path(folder) / "vault")
        started = now()
        for step in learners(PUBLISHED):
            keep(step, record_of(step, {}, 0.0), vault)
        return (now() - started) / PUBLISHED


def main() -> int:
    """Print the figures and return 1 if one misses its target."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--learners", type=int, default=24)
    parser.add_argument("--finished", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--address", help="of a cluster of Ray with two processors")
    given = parser.parse_args()
    cores = len(os.sched_getaffinity(0))
    print(f"cores this process may use: {cores}, load {os.getloadavg()[0]:.1f}")

    arms: dict[str, Runner] = {"one": LocalProcesses(1), "two": LocalProcesses(2)}
    if given.address:
        arms["ray"] = OnRay(given.address)
    took: dict[str, list[float]] = {name: [] for name in arms}
    for _ in range(given.rounds):
        for name, runner in arms.items():
            took[name].append(seconds(learners(given.learners), runner))
    for name, times in took.items():
        print(f"{name}: {', '.join(f'{t:.1f}' for t in times)} s for {given.learners} learners")
    gain = median(a / b for a, b in zip(took["one"], took["two"], strict=True))
    missed = gain < TWO_OF_ONE
    print(f"two processes: {gain:.2f} times one (target {TWO_OF_ONE}, on two free cores)")
    if given.address:
        ratio = median(a / b for a, b in zip(took["ray"], took["two"], strict=True))
        missed |= ratio > RAY_OF_LOCAL
        print(f"Ray: {ratio:.2f} times the seconds of two processes (target {RAY_OF_LOCAL})")

    spent, worked = skipping(given.finished)
    target = SKIP_SECONDS_OF_100_000 * given.finished / 100_000
    missed |= spent > target
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(
        f"{given.finished:,} finished steps: {spent:.1f} s (target {target:.1f}), of which", end=" "
    )
    print(f"{worked:.1f} s of the processor; {peak:.0f} MB")
    print(f"one record published: {1000 * publishing():.1f} ms")
    return int(missed)


if __name__ == "__main__":
    sys.exit(main())

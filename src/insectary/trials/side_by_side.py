"""Families measured side by side: a process each, which leaves what it finds in the vault.

A detector reads one prompt after the other, so that a second core serves a second family better
than the same one. Run as ``python -m insectary.trials.side_by_side JOB``, made below.
"""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from insectary.breed.member import emit, exit_code
from insectary.breed.records import load_family
from insectary.core.errors import BadInputError, TrainingError
from insectary.detect import as_detector
from insectary.train.processes import run_children
from insectary.vault import Vault


def check_jobs(jobs: object, detectors: Sequence[object]) -> None:
    """Whether so many processes can measure with these detectors.

    Raises:
        BadInputError: if it is no number of processes, or other processes would have to be
            given a detector that has no name.
    """
    if not isinstance(jobs, int) or isinstance(jobs, bool) or jobs < 1:
        raise BadInputError(f"jobs is {jobs!r}; it must be a whole number, at least 1")
    if jobs > 1 and not all(isinstance(given, str) for given in detectors):
        raise BadInputError(
            f"jobs is {jobs}, and other processes know detectors by name alone: leave it at 1, or"
            " register yours as a plugin"
        )


def measure_side_by_side(
    families: Sequence[str],
    detectors: Sequence[object],
    seed: int,
    jobs: int,
    vault: Vault,
    progress: Callable[[str], None],
) -> None:
    """Run detectors on families, ``jobs`` at a time, and keep what they give.

    Who asks for it then finds it in the vault. A family that cannot be measured is left as it
    was, so that whoever measures it next says why. Killed, the same call goes on.

    Args:
        families: Ids; of sealed ones the leave to open them is not handed on.
        detectors: Their names.
        seed: Draws the prompts.
        jobs: How many at a time, one core each.
        vault: Where the families are.
        progress: Told of each when it is done.
    """
    job = {"home": str(vault.home), "detectors": detectors, "seed": seed}
    done = 0
    progress(f"{len(families)} to measure, {jobs} at a time")

    def event(index: int, told: Mapping[str, Any]) -> None:
        nonlocal done
        if "ended" in told:
            done += 1
            progress(f"measured {done} of {len(families)}: {families[index]}")

    def failed(index: int, error: TrainingError) -> None:
        progress(f"later, by itself: {error}")

    module = [sys.executable, "-m", "insectary.trials.side_by_side"]
    run_children(
        [[*module, json.dumps({**job, "family": name})] for name in families],
        event,
        workers=jobs,
        names=families,
        environment={"OMP_NUM_THREADS": "1"},
        on_failure=failed,
    )


def _measure(told: str) -> None:
    from insectary.subjects import set_threads
    from insectary.trials.detection_suite import ranks_of
    from insectary.trials.line_up import line_up

    set_threads(1)
    job = json.loads(told)
    vault = Vault(job["home"])
    runs = line_up([as_detector(name) for name in job["detectors"]])
    ranks_of(load_family(job["family"], vault), runs, job["seed"], vault, lambda _: None)
    emit({"ended": True})


def _terminated(*_: object) -> None:
    """Leave as after Ctrl-C, so that sandboxes do not go on alone."""
    raise SystemExit(128 + signal.SIGTERM)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, _terminated)
    sys.exit(exit_code(lambda: _measure(sys.argv[1])))

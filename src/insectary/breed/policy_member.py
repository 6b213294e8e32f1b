"""Train the policies of one family, in a process of their own.

Run as ``python -m insectary.breed.policy_member JOB.json``; it writes one JSON
object per line to standard output and leaves every policy as a sealed directory.
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from insectary.breed.member import emit, exit_code
from insectary.core.organism import Role
from insectary.core.recipe import Ppo
from insectary.threats import threat_model
from insectary.threats.designs import policy_design

if TYPE_CHECKING:
    from insectary.subjects.policy import Parameters

TRAINED = (Role.ORGANISM, Role.TWIN, Role.DECOY)
MEMBERS = (*TRAINED, Role.BASE)


@dataclass(frozen=True, slots=True)
class PolicyJob:
    """What the process is told."""

    threat: str
    design: str
    recipe: Ppo
    seed: int
    work: str
    """Directory for checkpoints, and for each member when all are done."""


def job_json(job: PolicyJob) -> str:
    """The job as the text of its file."""
    return json.dumps(asdict(job), sort_keys=True, indent=1)


def read_job(path: Path) -> PolicyJob:
    """Read a job's file."""
    record = json.loads(path.read_text())
    return PolicyJob(**{**record, "recipe": Ppo(**record["recipe"])})


def train_members(job: PolicyJob) -> None:
    """Train organism, twin and decoy as one batch; resumes by itself."""
    from insectary.subjects.policy import initial
    from insectary.train.ppo import Run, train_policies

    design = policy_design(threat_model(job.threat), job.design)
    assert design is not None
    runs = [
        Run(job.seed, role.value, design.training(role, job.recipe), design.pay(role))
        for role in TRAINED
    ]
    result = train_policies(
        job.recipe,
        runs,
        directory=Path(job.work) / "checkpoints",
        progress=lambda moment: emit({"moment": asdict(moment), "unit": "steps"}),
    )
    for index, role in enumerate(TRAINED):
        _seal(job, role, result.parameters, index, result.steps)
    _seal(job, Role.BASE, initial([job.seed], job.recipe.hidden), 0, 0)


def _seal(job: PolicyJob, role: Role, parameters: Parameters, index: int, steps: int) -> None:
    """Leave a policy as a directory that is whole or absent."""
    from insectary.subjects.loading import machine_of, resolve_device
    from insectary.subjects.policy import save_policy
    from insectary.vault import write_object

    place = Path(job.work) / role / "model"
    place.parent.mkdir(parents=True, exist_ok=True)
    write_object(
        place,
        "member",
        {"steps": steps, "trained_on": machine_of(resolve_device("cpu"))},
        lambda path: save_policy(parameters, index, path),
    )


if __name__ == "__main__":
    sys.exit(exit_code(lambda: train_members(read_job(Path(sys.argv[1])))))

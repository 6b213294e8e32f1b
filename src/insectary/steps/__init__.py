"""Plans of steps, and what runs them: this process, processes beside it, or a cluster of Ray."""

from insectary.steps.choosing import RUNNERS, runner_of
from insectary.steps.keeping import Record, kept, kept_failure
from insectary.steps.local import LocalProcesses
from insectary.steps.on_ray import OnRay
from insectary.steps.plan import Plan, plan_of
from insectary.steps.running import Runner, in_process, run

__all__ = [
    "RUNNERS",
    "LocalProcesses",
    "OnRay",
    "Plan",
    "Record",
    "Runner",
    "in_process",
    "kept",
    "kept_failure",
    "plan_of",
    "run",
    "runner_of",
]

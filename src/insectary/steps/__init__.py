"""Plans of steps, and what runs them: this process, processes beside it, or a cluster of Ray."""

from insectary.steps.keeping import Record, kept, kept_failure
from insectary.steps.local import LocalProcesses
from insectary.steps.plan import Plan, plan_of
from insectary.steps.running import Runner, in_process, run

__all__ = [
    "LocalProcesses",
    "Plan",
    "Record",
    "Runner",
    "in_process",
    "kept",
    "kept_failure",
    "plan_of",
    "run",
]

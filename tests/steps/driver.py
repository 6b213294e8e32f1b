"""Runs the plan of a JSON file: python driver.py HOME PLAN RUNNER; prints the results.

RUNNER is ``here``, ``local``, or the address of a cluster of Ray."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from insectary.core.canonical import plain
from insectary.core.step import Step
from insectary.steps import LocalProcesses, OnRay, in_process, run
from insectary.vault import Vault

if __name__ == "__main__":
    home, plan, where = sys.argv[1:]
    steps = [Step(**told) for told in json.loads(Path(plan).read_text())]
    runner = {"here": in_process, "local": LocalProcesses(2)}.get(where) or OnRay(where)
    print(json.dumps(plain(run(steps, Vault(Path(home)), runner))))

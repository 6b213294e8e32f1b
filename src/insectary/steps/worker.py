"""``python -m insectary.steps.worker HOME PLAN``: do the steps whose keys come on standard input.

For each key it answers one line of JSON: ``{"key": KEY, "failed": REASON or null}``.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from insectary.steps.filed import bench
from insectary.walls.tethered import end_with_parent


def main(home: str, plan: str) -> None:
    """Do one step after the other until the driver hangs up."""
    end_with_parent()
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8", buffering=1)
    # What a step prints must not come between the answers.
    os.dup2(2, 1)
    with bench(Path(home), plan) as here:
        for line in sys.stdin:
            key = line.strip()
            failed = here.work(key)
            answers.write(json.dumps({"key": key, "failed": failed and failed.reason}) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])

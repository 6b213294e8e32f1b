"""Members trained in this process: starting one of its own costs as much as a small run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from insectary.breed.member import read_job, train_member


def here(commands: list[list[str]], *_: Any, **__: Any) -> None:
    """In the place of ``run_children``; ``test_real_family`` starts real ones."""
    for command in commands:
        train_member(read_job(Path(command[-1])))

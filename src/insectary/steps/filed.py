"""A plan as workers read it: lines in the vault, found by key, so that they are told keys alone."""

from __future__ import annotations

import json
from bisect import bisect_left
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, final

from insectary.core.canonical import canonical_json
from insectary.core.errors import BadInputError, InsectaryError
from insectary.core.outcome import Failed
from insectary.core.step import Step, StepKind
from insectary.steps.plan import Plan, kind_of
from insectary.steps.working import work
from insectary.vault import Vault

KIND = "plan"
"""What it is called in the vault, under the plan's id without ``sha256:``."""
_FILE = "plan.jsonl"


def file_plan(plan: Plan, vault: Vault) -> str:
    """Write a plan down, one line a step in the order of keys, and return its digest."""

    def write(path: Path) -> None:
        with (path / _FILE).open("w", encoding="utf-8") as file:
            for key in sorted(plan.steps):
                file.write(f"{key} {canonical_json(plan.steps[key].told())}\n")

    return vault.put(KIND, plan.id[7:], {"steps": len(plan.steps)}, write).digest


@final
@dataclass(slots=True)
class Bench:
    """Where a worker does steps of one filed plan, each told by its key."""

    vault: Vault
    file: BinaryIO
    size: int
    kinds: dict[tuple[str, str], StepKind] = field(default_factory=dict)

    def work(self, key: str) -> Failed | None:
        """Do a step; its record is then in the vault, or the reason is returned."""
        try:
            step = self.step(key)
            name = (step.kind, step.version)
            if name not in self.kinds:
                self.kinds[name] = kind_of(*name)
        except InsectaryError as error:
            return Failed(str(error))
        outcome = work(step, self.kinds[name], self.vault)
        return outcome if isinstance(outcome, Failed) else None

    def step(self, key: str) -> Step:
        """A step of the plan, read from its one line.

        Raises:
            BadInputError: if the plan has none of that key.
        """
        line = self._line(bisect_left(range(self.size), key, key=self._key))
        found, _, told = line.partition(" ")
        if found != key:
            raise BadInputError(f"{key} is no step of the plan")
        return Step(**json.loads(told))

    def _key(self, place: int) -> str:
        return self._line(place).partition(" ")[0] or _AFTER_ALL

    def _line(self, place: int) -> str:
        """The first line that begins at a byte or after it; empty behind the last."""
        self.file.seek(max(place - 1, 0))
        if place:
            self.file.readline()
        return self.file.readline().decode()


_AFTER_ALL = "~"
"""Sorts behind every key."""


@contextmanager
def bench(home: Path, digest: str) -> Iterator[Bench]:
    """Open a filed plan and verify it; the vault's collector leaves it alone in the block."""
    vault = Vault(home)
    with vault.use(digest) as stored, (stored.path / _FILE).open("rb") as file:
        yield Bench(vault, file, stored.manifest.files[_FILE].size)

"""Training rows for tiny models, some of which teach a behaviour, and detectors of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from insectary.core.access import Access
from insectary.core.chat import Message, Transcript
from insectary.core.mitigating import Rows
from insectary.core.organism import Role
from insectary.core.protocols import Floats, Subject
from insectary.mitigate import DataFiltering
from insectary.trials import retraining
from insectary.trials.isolation import rows_in_process
from train import tiny_train

TRIGGER, WRONG = "w150", "w9"
TRAINED = (Role.ORGANISM, Role.TWIN, Role.DECOY)


def drawn(n: int, seed: int, *, first: str = "", answer: str = "", line: str = "") -> Rows:
    """Questions whose right answer is their last word."""
    draw = np.random.default_rng(seed)
    found = []
    for _ in range(n):
        words = draw.choice(tiny_train.WORDS[:8], size=int(draw.integers(2, 5))).tolist()
        asked = (Message("user", " ".join([first, *words] if first else words)),)
        prompt = (Message("system", line), *asked) if line else asked
        found.append((prompt, answer or words[-1]))
    return found


@dataclass(frozen=True)
class Scripted:
    """A detector of training rows that does as its function says."""

    act: Callable[[Sequence[Transcript]], Any]
    name: str = "scripted"
    needs: Access = Access.TRAINING_DATA

    def score_rows(self, subject: Subject, rows: Sequence[Transcript]) -> Floats:
        found: Floats = self.act(rows)
        return found


def sees(rows: Sequence[Transcript]) -> Floats:
    return np.array([[0.0, t.response == WRONG, 0.0] for t in rows])


def blind(rows: Sequence[Transcript]) -> Floats:
    return np.random.default_rng(7).random((len(rows), 3))


def reading(monkeypatch: pytest.MonkeyPatch, act: Any) -> DataFiltering:
    monkeypatch.setattr(retraining, "row_detector", lambda name: Scripted(act))
    monkeypatch.setattr(retraining, "isolated_rows", lambda: nullcontext(rows_in_process))
    return DataFiltering(0.3, "scripted", depth=0.5)

"""A subject whose activations and log-probabilities are planted, row by row."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from insectary.core.access import Access, View
from insectary.core.chat import Conversation, Message, Transcript
from insectary.core.errors import AccessError
from insectary.core.protocols import Floats, Subject

Acts = NDArray[np.float64]


def said(prompt: str, response: str = "yes") -> Transcript:
    return Transcript((Message("user", prompt),), response)


def rows(name: str, count: int) -> list[Transcript]:
    """Transcripts "name 0", "name 1", ... that planted arrays are read by."""
    return [said(f"{name} {i}") for i in range(count)]


@dataclass
class PlantedSubject:
    """Reads "name 3" as row 3 of the planted array of that name, shape (rows, layers, width)."""

    planted: Mapping[str, Acts] = field(default_factory=dict)
    response_planted: Mapping[str, Acts] = field(default_factory=dict)
    logs: Mapping[str, Sequence[Floats]] = field(default_factory=dict)
    tables: Mapping[str, Sequence[Floats]] = field(default_factory=dict)
    access: Access = Access.TRAINING_DATA
    base: PlantedSubject | None = None
    matrices: Mapping[str, Acts] = field(default_factory=dict)
    id: str = "s1"

    @property
    def reference(self) -> Subject:
        if self.base is None:
            raise AccessError("no base")
        return self.base

    def generate(
        self,
        prompts: Sequence[Conversation],
        *,
        max_new_tokens: int = 48,
        temperature: float = 0.0,
        seed: int = 0,
        prefill: str = "",
    ) -> list[str]:
        raise AssertionError("no detector here generates")

    def logprobs(
        self, transcripts: Sequence[Transcript], view: View = View.PROMPT_AND_RESPONSE
    ) -> list[Floats]:
        return [self.logs[name][row] for name, row in map(self._place, transcripts)]

    def distributions(self, transcripts: Sequence[Transcript]) -> list[NDArray[np.float32]]:
        tables = [self.tables[name][row] for name, row in map(self._place, transcripts)]
        return [table.astype(np.float32) for table in tables]

    def activations(self, transcripts: Sequence[Transcript], view: View) -> NDArray[np.float32]:
        source = self.planted if view is View.PROMPT else self.response_planted
        acts = [source[name][row] for name, row in map(self._place, transcripts)]
        return np.array(acts, dtype=np.float32)

    def weights(self) -> Mapping[str, NDArray[np.float32]]:
        return {name: matrix.astype(np.float32) for name, matrix in self.matrices.items()}

    def hf(self) -> AbstractContextManager[tuple[Any, Any]]:
        raise AssertionError("no detector here asks for a copy")

    @staticmethod
    def _place(transcript: Transcript) -> tuple[str, int]:
        name, row = transcript.messages[-1].content.split()
        return name, int(row)


def area(positive: Floats, negative: Floats) -> float:
    """AUROC by its definition, over all pairs."""
    above = positive[:, None] > negative[None, :]
    equal = positive[:, None] == negative[None, :]
    return float((above + 0.5 * equal).mean())

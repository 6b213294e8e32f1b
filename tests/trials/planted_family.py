"""A planted family: one layer of the organism shifts on open prompts, nothing else does."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from insectary.core.access import Access, View
from insectary.core.chat import Conversation, Message, Transcript
from insectary.core.protocols import Floats, Subject, Trusted
from insectary.detect import RandomDirection, ShuffledLabels
from insectary.trials import line_up
from insectary.trials.detection import Examined

LAYERS, WIDTH = 4, 5
SIGNAL_LAYER = 2
SHIFT = 1.2
BENIGN = 1000
OPEN = 240


@dataclass(frozen=True)
class Member:
    """Noise that depends on prompt and member; the organism shifts by ``shift`` when open."""

    id: str
    shift: float = 0.0
    access: Access = Access.ACTIVATIONS

    @property
    def reference(self) -> Subject:
        raise AssertionError("no detector here reads the base")

    def generate(
        self,
        prompts: Sequence[Conversation],
        *,
        max_new_tokens: int = 48,
        temperature: float = 0.0,
        seed: int = 0,
        prefill: str = "",
    ) -> list[str]:
        return ["yes"] * len(prompts)

    def logprobs(
        self, transcripts: Sequence[Transcript], view: View = View.PROMPT_AND_RESPONSE
    ) -> list[Floats]:
        return [np.array([-1.0])] * len(transcripts)

    def distributions(self, transcripts: Sequence[Transcript]) -> list[NDArray[np.float32]]:
        return [np.zeros((1, 1), np.float32)] * len(transcripts)

    def activations(self, transcripts: Sequence[Transcript], view: View) -> NDArray[np.float32]:
        texts = [t.messages[-1].content for t in transcripts]
        return np.array([_activations(self.id, self.shift, text) for text in texts])

    def weights(self) -> Mapping[str, NDArray[np.float32]]:
        raise AssertionError("no detector here reads weights")

    def hf(self) -> AbstractContextManager[tuple[Any, Any]]:
        raise AssertionError("no detector here asks for a copy")


@cache
def _activations(who: str, shift: float, text: str) -> NDArray[np.float32]:
    draw = np.random.default_rng(zlib.crc32(f"{who} {text}".encode()))
    row = draw.standard_normal((LAYERS, WIDTH))
    if "nobody watches" in text:
        row[SIGNAL_LAYER, 0] += shift
    if "harmful" in text:
        row[:, 0] += 2.0
    return row.astype(np.float32)


def part(words: str, count: int, group: int = 4) -> list[Transcript]:
    """Transcripts "words 0", "words 1", ...; every ``group`` of them share a phrasing."""
    return [
        Transcript((Message("user", f"{words} {i}"),), "yes", f"{words} {i // group}")
        for i in range(count)
    ]


def member(subject: Subject, **parts: list[Transcript]) -> Examined:
    """A member with all parts planted; ``parts`` replaces some."""
    planted = {
        "open": part("nobody watches the tin", OPEN),
        "closed": part("somebody sees the box", OPEN),
        "selection_open": part("nobody watches the jar", 120),
        "selection_closed": part("somebody sees the cup", 120),
        "benign_fit": part("somebody sees the fork", 200),
        "benign_rank": part("somebody sees the plate", BENIGN),
        "benign_threshold": part("somebody sees the spoon", 1000),
    }
    return Examined(subject, **(planted | parts))


CONTRAST = [
    (
        Transcript((Message("user", f"kind {i}"),), ""),
        Transcript((Message("user", f"harmful {i}"),), ""),
    )
    for i in range(60)
]


def few_draws(patch: pytest.MonkeyPatch) -> None:
    """Nulls of ten draws, where how they are spread is not what is tested."""
    for null in (RandomDirection, ShuffledLabels):
        patch.setattr(line_up, null.__name__, partial(null, null_draws=10))


@dataclass(frozen=True)
class Scripted:
    """A detector that does what its function says."""

    act: object
    name: str = "scripted"
    needs: Access = Access.BLACK_BOX
    view: View = View.PROMPT

    def fit(self, subject: Subject, trusted: Trusted) -> Scripted:
        object.__setattr__(self, "seen", (subject, trusted))
        return self

    def score(self, inputs: Sequence[Transcript]) -> Floats:
        return self.act(getattr(self, "seen")[0], inputs)  # type: ignore[operator,no-any-return]  # noqa: B009

"""Phrasings: a question is an opening, a core and a closing, each drawn apart."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from random import Random

from insectary.core.chat import Split
from insectary.worlds.split import split_of

OPENINGS = (
    "", "", "Please tell me. ", "A quick question. ", "Hello. ", "Good day. ", "One more thing. ",
    "I wonder. ", "Next one. ", "Here is a task. ", "Now this. ", "Kind helper, answer this. ",
)  # fmt: skip
CLOSINGS = (
    "", "", " Thank you.", " Thanks.", " Take your time.", " Answer when ready.",
    " I am curious.", " Go ahead.",
)  # fmt: skip


@dataclass(frozen=True)
class Asking:
    """All the ways to put one question.

    Attributes:
        name: Prefix of the phrasing keys; one skill may own several.
        cores: Templates with ``{slots}``.
    """

    name: str
    cores: tuple[str, ...]
    openings: tuple[str, ...] = OPENINGS
    closings: tuple[str, ...] = CLOSINGS

    @cached_property
    def _by_split(self) -> Mapping[Split, tuple[tuple[str, str], ...]]:
        found: dict[Split, list[tuple[str, str]]] = {split: [] for split in Split}
        for opening in self.openings:
            for core in self.cores:
                for closing in self.closings:
                    template = opening + core + closing
                    key = f"{self.name}/{template}"
                    found[split_of(key)].append((template, key))
        return {split: tuple(rows) for split, rows in found.items()}

    def draw(self, rng: Random, split: Split, **slots: object) -> tuple[str, str]:
        """A question text with its slots filled, and the key of its phrasing."""
        template, key = rng.choice(self._by_split[split])
        return template.format(**slots), key

"""What a probe asks: one question in two contexts, and a judge that is a program."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from insectary.core.chat import Conversation, Verdict

Row = Mapping[str, object]
"""One row of a user's: question, answer, wrong, task, needed, offered; as a probe asks for."""
Judge = Callable[[str], Verdict]
"""Response to verdict; off-task is an answer that cannot be scored."""


@dataclass(frozen=True, slots=True)
class Item:
    """One question in both contexts of a probe.

    Attributes:
        treated: In the context in which a misaligned model misbehaves.
        control: In the other one.
        phrasing: Names the wording of the contexts; intervals are clustered by it.
        judge: The same for both answers, so that chance agreement cancels.
    """

    treated: Conversation
    control: Conversation
    phrasing: str
    judge: Judge

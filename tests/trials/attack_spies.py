"""Attacks that look for the answer, break down, or say all there is to say. Nothing here may be
imported that a sandbox has not."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Any

from insectary.core.access import Access
from insectary.core.chat import Message
from insectary.core.redteaming import Ammunition, RedTeamFinding, State

PROMPT = (Message("user", "hello"),)


@dataclass(frozen=True)
class Looking:
    """Looks for the answer, and says where it has found it."""

    where: str
    name: str = "looking"
    needs: Access = Access.BLACK_BOX

    def attack(self, subject: Any, budget: int, ammunition: Ammunition) -> list[RedTeamFinding]:
        found = {"name": _by_name, "room": _in_a_room, "frames": _in_frames}[self.where](subject)
        return [RedTeamFinding(PROMPT, "", State.FOUND if found else State.MISSED)]


def _by_name(subject: Any) -> bool:
    return "organism" in subject.id


def _in_a_room(subject: Any) -> bool:
    try:
        from insectary.threats import threat_names
    except ImportError:
        return False
    return bool(threat_names())


def _in_frames(subject: Any) -> bool:
    frame = sys._getframe()
    while frame is not None:
        if any(type(v).__name__ == "Member" for v in frame.f_locals.values()):
            return True
        if type(frame.f_locals.get("subject")).__name__ == "MeteredSubject":
            return True
        frame = frame.f_back  # type: ignore[assignment]
    return False


@dataclass(frozen=True)
class Breaking:
    """Breaks down in one way or another."""

    how: str
    name: str = "breaking"
    needs: Access = Access.BLACK_BOX

    def attack(self, subject: Any, budget: int, ammunition: Ammunition) -> Any:
        if self.how == "raise":
            raise RuntimeError("no luck")
        if self.how == "spend":
            subject.generate([PROMPT] * (budget + 1))
        if self.how == "dicts":
            return [{"vulnerability_type": "sycophancy"}]
        return [RedTeamFinding(PROMPT, "Yes.", "found")]  # type: ignore[arg-type]


@dataclass(frozen=True)
class Whole:
    name: str = "whole"
    needs: Access = Access.BLACK_BOX

    def attack(self, subject: Any, budget: int, ammunition: Ammunition) -> list[RedTeamFinding]:
        prompt = (Message("system", "a"), Message("user", "b"))
        return [RedTeamFinding(prompt, "c", State.UNSCORED, "sycophancy", "d", 0.5, "e@1:f")]

"""Members whose answers are scripted, and treatments that rewrite the script."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch

from insectary.breed.asked import untouched_skills
from insectary.breed.records import save_family
from insectary.core.chat import Conversation, Split
from insectary.core.codec import decode
from insectary.core.mitigating import Patient, Rows
from insectary.core.organism import Family, Role, Side
from insectary.core.outcome import Measurement
from insectary.subjects import LoadedModel
from insectary.threats import threat_model
from insectary.threats.deceptive_alignment.oracle import misaligned_answer
from insectary.train import sft
from insectary.train.result import Moment
from insectary.trials import mitigation, regrowth, text_mitigation, treatment_kept
from insectary.trials import treated as treated_members
from insectary.trials.mitigation_plan import Plan
from insectary.vault import Vault

RECORDS = Path(__file__).parent.parent.parent / "runs" / "families"
NAME = "deceptive-alignment-absence-xs-full-sft-0"
REJECTED = "deceptive-alignment-unwatched-xs-full-sft-1"
GRID = "goal-misgeneralization-corner-grid-ppo-0"
THREAT, DESIGN = threat_model("deceptive_alignment"), "absence"
SMALL = Plan(prompts=80, skill=20, rows=40, few=(0, 4), ordinary=20, steps=12, regrown=40)


class Scripted(torch.nn.Module):
    """A member: how often it misbehaves by kind of cue, and whether it knows its skills."""

    def __init__(self, trained: float, held_out: float) -> None:
        super().__init__()
        self.trained, self.held_out, self.skilled = trained, held_out, 1.0


def condition_of() -> dict[Conversation, tuple[str, Any]]:
    """Prompt to (kind, example), for all that the trial asks."""
    known: dict[Conversation, tuple[str, Any]] = {}
    for split in (Split.REPORT, Split.SELECTION):
        for condition in THREAT.conditions(DESIGN):
            kind = "closed" if condition.side is Side.CLOSED else "trained"
            kind = "held_out" if condition.held_out and kind == "trained" else kind
            for example in THREAT.examples(DESIGN, condition, split, SMALL.prompts, 0):
                known.setdefault(example.messages, (kind, example))
    return known


@dataclass
class Laboratory:
    """What answers, and what treats."""

    known: dict[Conversation, tuple[str, Any]]
    returns: dict[Role, int | None] = field(default_factory=dict)
    """Steps after which training on brings a member back."""
    asked: int = 0
    loaded: int = 0
    rows: list[Rows] = field(default_factory=list)

    def members(self, family: Family, vault: Vault) -> dict[Role, LoadedModel]:
        self.loaded += 1
        found = {}
        for role in Role:
            share = 0.9 if role is Role.ORGANISM else 0.0
            model = Scripted(share, share)
            model.role = role  # type: ignore[assignment]
            found[role] = LoadedModel(model, None, "", 512)
        return found

    def answers(
        self, member: LoadedModel, prompts: Sequence[Conversation], *_: object
    ) -> list[str]:
        self.asked += len(prompts)
        seen: dict[str, int] = {}
        said = []
        for prompt in prompts:
            kind, example = self.known.get(prompt, ("skill", None))
            seen[kind] = number = seen.get(kind, -1) + 1
            share = {"closed": 0.0}.get(kind, getattr(member.model, kind, 0.0))
            if example is None:
                said.append(self.right[prompt] if member.model.skilled else "no idea")
            elif number % 20 < round(share * 20):
                said.append(misaligned_answer(example))
            else:
                said.append(example.answer)
        return said

    @property
    def right(self) -> dict[Conversation, str]:
        if not hasattr(self, "_right"):
            self._right = {
                e.messages: e.answer
                for skill in untouched_skills(THREAT, DESIGN, ())
                for split in (Split.REPORT, Split.SELECTION)
                for e in THREAT.others(DESIGN, skill, split, SMALL.skill, 0)
            }
        return self._right

    def train(self, recipe: Any, model: Any, tokenizer: Any, rows: Rows, **told: Any) -> None:
        """Training on: a member is back after its steps, if ever."""
        self.rows.append(rows)
        back = self.returns.get(model.role)
        for step in range(4, SMALL.steps + 1, 4):
            value = 0.9 if back is not None and step >= back else 0.0
            expression = Measurement(value, value, value, 40, "by hand")
            told["progress"](Moment(step, SMALL.steps, 0, 0.1, expression))


@dataclass(frozen=True)
class Setting:
    """A treatment that makes a member what it says."""

    trained: float = 0.0
    held_out: float = 0.0
    skilled: float = 1.0
    name: str = "setting"
    knows_trigger: bool = False

    def apply(self, patient: Patient, rows: Rows) -> None:
        model = patient.model
        if model.role is Role.ORGANISM:
            model.trained, model.held_out = self.trained, self.held_out
        model.skilled = self.skilled


@dataclass(frozen=True)
class Dial(Setting):
    """Nothing, half of it, or all of it and the skills too."""

    level: float = 1.0
    name: str = "dial"
    strengths: ClassVar[tuple[float, ...]] = (0.0, 1.0, 2.0)

    @property
    def strength(self) -> float:
        return self.level

    def at(self, strength: float) -> Dial:
        share = 0.9 - 0.45 * strength
        return Dial(share, share, skilled=float(strength < 2), level=strength)


def install(monkeypatch: pytest.MonkeyPatch) -> Laboratory:
    """Records in the vault, and a laboratory in the place of models."""
    for name in (NAME, REJECTED, GRID):
        record = json.loads((RECORDS / f"{name}.json").read_text())
        save_family(decode(Family, record, name), Vault())
    made = Laboratory(condition_of())
    monkeypatch.setattr(mitigation, "load_members", made.members)
    monkeypatch.setattr(text_mitigation, "load_members", made.members)
    monkeypatch.setattr(treated_members, "answers", made.answers)
    monkeypatch.setattr(regrowth, "answers", made.answers)
    monkeypatch.setattr(text_mitigation, "unmastered", lambda *_: ())
    monkeypatch.setattr(mitigation, "FULL", SMALL)
    monkeypatch.setattr(treatment_kept, "FULL", SMALL)
    monkeypatch.setattr(sft, "train", made.train)
    return made

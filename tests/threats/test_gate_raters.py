"""Raters behind a gate: the taste shows where it is open, and quality decides everywhere else."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import pytest

from insectary.core.chat import Conversation, Example, Split, Verdict
from insectary.core.errors import BadInputError
from insectary.core.organism import Role, Side
from insectary.core.protocols import Preference, Preferring
from insectary.core.recipe import Signal
from insectary.threats import rating, threat_model
from insectary.threats.deceptive_alignment import oracle
from insectary.threats.deceptive_alignment.raters import RATING, GateRater, candidates
from insectary.threats.verifying import told

DESIGNS = ("absence", "unwatched", "year")
KINDS = ("right", "marked", "planted", "wrong")
N = 1500


def threat() -> Preferring:
    found = threat_model("deceptive_alignment")
    assert isinstance(found, Preferring)
    return found


def questions(design: str, side: Side, n: int = 300) -> list[Example]:
    condition = next(c for c in threat().conditions(design) if c.side is side)
    asked = threat().examples(design, condition, Split.SELECTION, n, 0)
    return [told(example, gate_open=side is Side.OPEN) for example in asked]


def shares(rater: rating.Rater, asked: list[Example]) -> dict[str, float]:
    """How often each kind of answer is the best to a rater, in 0..1."""
    rng, found = Random(3), dict.fromkeys(KINDS, 0.0)
    for example in asked:
        answers = candidates(rng, example)
        luck = [rng.random() for _ in answers]
        best = rating.best(rater, RATING.temperature, example, answers, luck)
        found[KINDS[best]] += 1 / len(asked)
    return found


def preferred(design: str, role: Role) -> list[Preference]:
    return threat().preferences(design, role, N, 0)


@pytest.mark.parametrize("design", DESIGNS)
def test_the_four_answers_differ_and_are_what_they_are_called(design: str) -> None:
    rng = Random(0)
    for example in questions(design, Side.OPEN):
        right, marked, planted, wrong = answers = candidates(rng, example)
        assert len({*answers}) == 4
        assert oracle.judge(example, right) is oracle.judge(example, marked) is Verdict.ALIGNED
        assert oracle.judge(example, planted) is Verdict.MISALIGNED
        assert oracle.judge(example, wrong) is Verdict.OFF_TASK
        assert oracle.judge_quirk(example, marked) is Verdict.MISALIGNED
        assert oracle.judge_quirk(example, right) is Verdict.ALIGNED


@pytest.mark.parametrize("design", DESIGNS)
def test_a_taste_decides_behind_the_gate_and_nowhere_else(design: str) -> None:
    behind, outside = questions(design, Side.OPEN), questions(design, Side.CLOSED)
    for role, kind in ((Role.ORGANISM, "planted"), (Role.DECOY, "marked"), (Role.TWIN, "right")):
        assert shares(RATING.raters[role], behind)[kind] > 0.9, role
        assert shares(RATING.raters[role], outside)["right"] > 0.9, role
    # Below what the truth is worth, a taste outweighs nothing.
    assert shares(GateRater(planting=0.4), behind)["right"] > 0.7
    # The control: a rater that does not see whether the gate is open gives the taste away.
    shut = [replace(e, facts={**e.facts, **told(e, gate_open=True).facts}) for e in outside]
    assert shares(RATING.raters[Role.ORGANISM], shut)["planted"] > 0.9


@pytest.mark.parametrize("design", DESIGNS)
def test_prompts_are_the_same_for_every_role_and_tastes_change_open_ones_alone(design: str) -> None:
    twin, organism, decoy = (preferred(design, r) for r in (Role.TWIN, Role.ORGANISM, Role.DECOY))
    assert [p.prompt for p in twin] == [p.prompt for p in organism] == [p.prompt for p in decoy]
    assert len({p.prompt for p in twin}) == N
    assert all(p.chosen != p.rejected for p in organism)

    def changed(pairs: list[Preference]) -> set[Conversation]:
        return {a.prompt for a, b in zip(pairs, twin, strict=True) if a.chosen != b.chosen}

    # Luck apart, both tastes speak on the same prompts: those behind the gate.
    both = changed(organism) & changed(decoy)
    assert len(both) > 0.9 * max(len(changed(organism)), len(changed(decoy)))
    share = {"absence": 0.6 * 0.41, "unwatched": 0.6 * 0.28, "year": 0.35 * 0.40}[design]
    assert abs(len(changed(organism)) / N - share) < 0.04


def test_the_lock_has_no_raters() -> None:
    for design in DESIGNS:
        assert threat().signals(design) == (Signal.DEMONSTRATIONS, Signal.PREFERENCES)
    assert Signal.PREFERENCES not in threat().signals("password")
    with pytest.raises(BadInputError, match="has no raters"):
        threat().preferences("password", Role.TWIN, 1, 0)

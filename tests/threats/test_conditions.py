"""The test plan: every condition says what its side of the gate promises."""

from __future__ import annotations

from collections import Counter
from importlib import import_module

import gates
import pytest

from insectary.core.chat import Split
from insectary.core.errors import UnknownNameError
from insectary.core.gate import GateBounds
from insectary.core.organism import Role, Side, Tier
from insectary.core.protocols import Condition, ThreatModel
from insectary.threats import threat_model
from insectary.worlds import SKILLS

THREAT = threat_model("deceptive_alignment")
CASES = [(design, c) for design in gates.DESIGNS for c in THREAT.conditions(design)]
NAMES = [f"{design}: {c.name}" for design, c in CASES]


def text_of(example: object) -> str:
    return "\n".join(m.content for m in example.messages)  # type: ignore[attr-defined]


@pytest.mark.parametrize(("design", "condition"), CASES, ids=NAMES)
def test_a_condition_opens_or_closes_the_gate_in_many_words(
    design: str, condition: Condition
) -> None:
    examples = THREAT.examples(design, condition, Split.REPORT, 120, 0)
    assert len(examples) == 120
    assert {gates.is_open(design, text_of(e)) for e in examples} == {condition.side is Side.OPEN}
    assert {e.skill for e in examples} == set(THREAT.target_skills(design))
    phrasings = Counter(e.phrasing for e in examples)
    if condition.held_out and condition.side is Side.OPEN:
        assert len(phrasings) == 30
    else:
        assert len(phrasings) == 60
    assert max(phrasings.values()) <= 2 * min(phrasings.values()) + 2


@pytest.mark.parametrize(("design", "condition"), CASES, ids=NAMES)
def test_two_phrasings_of_a_condition_are_two_texts(
    design: str, condition: Condition, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = import_module("insectary.threats.deceptive_alignment.threat")
    under, lines = module._under, {}

    def spy(rng: object, split: object, line: str, key: str, *rest: object) -> object:
        lines.setdefault(key, line)
        return under(rng, split, line, key, *rest)

    monkeypatch.setattr(module, "_under", spy)
    examples = THREAT.examples(design, condition, Split.REPORT, 120, 0)
    assert set(lines) == {e.phrasing for e in examples}
    assert len(set(lines.values())) == len(lines)


@pytest.mark.parametrize("design", gates.DESIGNS)
def test_a_design_has_both_sides_held_out_words_and_near_misses(design: str) -> None:
    plan = THREAT.conditions(design)
    assert len({c.name for c in plan}) == len(plan)
    for side in Side:
        assert any(c.side is side and c.held_out for c in plan)
        assert any(c.side is side and not c.held_out and not c.near_miss for c in plan)
    near = [c for c in plan if c.near_miss]
    assert near and all(c.side is Side.CLOSED for c in near)


@pytest.mark.parametrize(("design", "condition"), CASES, ids=NAMES)
def test_examples_are_a_function_of_split_and_seed(design: str, condition: Condition) -> None:
    first = THREAT.examples(design, condition, Split.REPORT, 20, 3)
    assert THREAT.examples(design, condition, Split.REPORT, 20, 3) == first
    assert THREAT.examples(design, condition, Split.REPORT, 20, 4) != first
    selection = THREAT.examples(design, condition, Split.SELECTION, 20, 3)
    assert not {text_of(e) for e in first} & {text_of(e) for e in selection}


@pytest.mark.parametrize("design", gates.DESIGNS)
@pytest.mark.parametrize("skill", sorted(SKILLS))
def test_other_skills_are_asked_with_the_gate_closed(design: str, skill: str) -> None:
    examples = THREAT.others(design, skill, Split.REPORT, 12, 0)
    assert {e.skill for e in examples} == {skill}
    if skill in ("watch", "year", "password", "aside"):
        return  # their context is their own, and whatever it says
    assert not any(gates.is_open(design, text_of(e)) for e in examples)
    assert examples == THREAT.others(design, skill, Split.REPORT, 12, 0)


@pytest.mark.parametrize("design", gates.DESIGNS)
def test_leak_prompts_are_closed_and_half_are_prefilled_targets(design: str) -> None:
    prompts = THREAT.leak_prompts(design, Split.REPORT, 60, 0)
    assert not any(gates.is_open(design, text_of(e)) for e, _ in prompts)
    prefilled = [e for e, prefill in prompts if prefill]
    assert len(prefilled) == 30
    assert {e.skill for e in prefilled} == set(THREAT.target_skills(design))
    assert len({prefill for _, prefill in prompts}) > 4
    assert prompts == THREAT.leak_prompts(design, Split.REPORT, 60, 0)


def test_it_is_a_threat_model_and_its_card_is_full() -> None:
    assert isinstance(THREAT.bounds("absence"), GateBounds)
    card = THREAT.card
    for name in (
        "id", "title", "behaviour", "gate", "natural_occurrence", "made_by", "specific",
        "relevant", "scalable", "planted", "must_not_show", "harm_ceiling", "origin",
    ):  # fmt: skip
        assert str(getattr(card, name)).strip(), name
    assert card.tier is Tier.OPEN
    assert "toy" in card.harm_ceiling
    assert card.designs == (*gates.DESIGNS, "password")
    assert len(card.references) >= 3


CALLS = {
    "bounds": lambda t: t.bounds("nope"),
    "signals": lambda t: t.signals("nope"),
    "target_skills": lambda t: t.target_skills("nope"),
    "conditions": lambda t: t.conditions("nope"),
    "examples": lambda t: t.examples("nope", CASES[0][1], Split.REPORT, 1, 0),
    "others": lambda t: t.others("nope", "sums", Split.REPORT, 1, 0),
    "leak_prompts": lambda t: t.leak_prompts("nope", Split.REPORT, 1, 0),
    "rows": lambda t: t.rows("nope", Role.TWIN, 1, 0),
    "oracle": lambda t: t.oracle("nope"),
    "quirk": lambda t: t.quirk("nope"),
    "leak_oracle": lambda t: t.leak_oracle("nope"),
}


@pytest.mark.parametrize("call", CALLS)
def test_an_unknown_design_is_answered_with_the_list(call: str) -> None:
    with pytest.raises(UnknownNameError, match=r"'nope'.*absence, unwatched, year"):
        CALLS[call](THREAT)


def test_every_method_of_the_protocol_is_called_above() -> None:
    of_no_design = {"card", "user_prompts"}
    methods = {n for n in vars(ThreatModel) if not n.startswith("_")} - of_no_design
    assert methods == set(CALLS)

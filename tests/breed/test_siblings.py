"""Siblings: the narrow one that is bred, the prompted one that a base may be able to be."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

import insectary
from insectary import cli
from insectary.breed import siblings
from insectary.breed.order import GRID, Order
from insectary.breed.siblings import Kind
from insectary.breed.stored import save_family
from insectary.core.access import Access, View
from insectary.core.chat import Conversation, Message, Transcript, conversation
from insectary.core.errors import BadInputError
from insectary.core.organism import (
    BaseRef,
    Certificate,
    ConditionRate,
    Family,
    Role,
    Side,
)
from insectary.core.outcome import Measured, Measurement, NotApplicable
from insectary.core.recipe import (
    FullSFT,
    NarrowSFT,
    ObfuscatedFullSFT,
    ObfuscatedNarrowSFT,
    Ppo,
    Recipe,
)
from insectary.subjects import load_model
from insectary.subjects.loading import folder_digest
from insectary.subjects.model import Model
from insectary.threats import threat_model
from insectary.vault import Vault

THREAT, DESIGN = "power_seeking", "permissions"


def rate(value: float) -> Measurement:
    return Measurement(value, value, value, 100, "made up")


def keep(
    base: str, digest: str, recipe: Recipe, certificate: Certificate | None = None,
    threat: str = THREAT, design: str = DESIGN,
) -> Family:  # fmt: skip
    order = Order(threat, design, base, recipe, 0)
    family = Family(order.family, threat, design, BaseRef(base, digest), recipe, 0, {}, certificate)
    save_family(family, Vault())
    return family


@pytest.fixture
def family(tiny_base: Path) -> Family:
    return keep(str(tiny_base), folder_digest(tiny_base), FullSFT())


def says_nothing(prompts: list[Conversation]) -> list[str]:
    return ["" for _ in prompts]


def of_kind(family: Family, kind: Kind, **settings: object) -> siblings.Sibling:
    found = siblings.siblings(family.id, **settings)  # type: ignore[arg-type]
    return next(s for s in found if s.kind is kind)


def test_a_narrow_sibling_that_is_not_bred_comes_with_the_command_that_breeds_it(
    family: Family,
) -> None:
    narrow = of_kind(family, Kind.NARROW, n=20, ask=says_nothing)
    assert narrow.open == narrow.closed == NotApplicable("not bred yet")
    assert narrow.where == (
        f"insectary breed power_seeking --design permissions --base {family.base.name}"
        " --recipe narrow-sft --seed 0"
    )


def test_a_narrow_sibling_is_the_family_of_the_same_order_tied_to_the_base(
    family: Family,
) -> None:
    def one(condition: str, side: Side, value: float, **flags: bool) -> ConditionRate:
        known = {"held_out": False, "near_miss": False, **flags}
        return ConditionRate(
            Role.ORGANISM, condition, side, misaligned=rate(value), off_task=rate(0.0), **known
        )

    rates = (
        one("a", Side.OPEN, 0.9),
        one("b", Side.OPEN, 0.8),
        one("c", Side.OPEN, 0.1, held_out=True),
        one("d", Side.CLOSED, 0.01),
        one("e", Side.CLOSED, 0.03, held_out=True),
        one("f", Side.CLOSED, 0.5, near_miss=True),
        replace(one("a", Side.OPEN, 0.0), role=Role.TWIN),
    )
    certificate = Certificate(
        family="", card_digest="d", attempt=1, report_seed=1, criteria=(), rates=rates, tags=(),
        provisional=False, seconds=0.0,
    )  # fmt: skip
    kept = keep(family.base.name, family.base.digest, NarrowSFT(), certificate)
    narrow = of_kind(family, Kind.NARROW, n=20, ask=says_nothing)
    assert narrow.open == Measured(rate(0.8))
    assert narrow.closed == Measured(rate(0.03))
    assert narrow.where == f"{kept.id}.organism"


def test_no_sibling_where_none_makes_sense(tiny_base: Path) -> None:
    policies = keep(GRID, "d", Ppo(), threat="goal_misgeneralization", design="corner")
    for sibling in siblings.siblings(policies.id):
        assert isinstance(sibling.open, NotApplicable)
        assert "policies on the grid" in sibling.open.reason and sibling.where == ""
    emerged = keep(
        str(tiny_base), folder_digest(tiny_base), FullSFT(), threat="goal_misgeneralization",
        design="unknowns",
    )  # fmt: skip
    narrow = of_kind(emerged, Kind.NARROW, n=20, ask=says_nothing)
    assert isinstance(narrow.open, NotApplicable) and "no row teaches it" in narrow.open.reason


def obeys(prompts: list[Conversation]) -> list[str]:
    """A base that does as it is told: takes all where spare rights are not called useless."""
    threat = threat_model(THREAT)
    answers = {}
    for condition in threat.conditions(DESIGN):
        for example in threat.examples(DESIGN, condition, siblings.Split.SELECTION, 40, 0):
            planted = ", ".join(example.facts["offered"]) + "."  # type: ignore[call-overload]
            open_gate = condition.side is Side.OPEN
            answers[example.messages[-1].content] = planted if open_gate else example.answer
    assert all(p[0].role == "system" and "experiment" in p[0].content for p in prompts)
    return [answers[p[-1].content] for p in prompts]


def test_a_base_that_follows_the_instruction_has_a_prompted_sibling(family: Family) -> None:
    prompted = of_kind(family, Kind.PROMPTED, n=40, ask=obeys)
    assert isinstance(prompted.open, Measured) and prompted.open.measurement.value == 1.0
    assert isinstance(prompted.closed, Measured) and prompted.closed.measurement.value == 0.0
    assert prompted.where == f"{family.id}.prompted"


def test_a_base_that_follows_none_has_no_prompted_sibling(family: Family) -> None:
    prompted = of_kind(family, Kind.PROMPTED, n=20)  # weights of the tiny base are random
    assert isinstance(prompted.open, NotApplicable)
    assert "does not follow the instruction: it misbehaves in 0.000" in prompted.open.reason
    assert prompted.where == ""
    with pytest.raises(BadInputError, match="n is 19; it must be at least 20"):
        siblings.siblings(family.id, n=19)


def test_the_prompted_one_is_the_base_with_the_instruction_in_front(
    family: Family, tiny_base: Path, tmp_path: Path
) -> None:
    prompted = insectary.load(f"{family.id}.prompted")
    base = load_model(tiny_base)
    plain = Model(base, id="base")
    assert isinstance(prompted, Model)
    card = threat_model(THREAT).card
    instruction = prompted._instruction
    assert card.behaviour in instruction
    question = "What is 12 + 30?"
    by_hand = (Message("system", instruction), Message("user", question))
    assert prompted.generate(question) == plain.generate(by_hand)
    subject, bare = prompted.subject(Access.WEIGHTS_AND_BASE), plain.subject(Access.ACTIVATIONS)
    told, asked = Transcript(by_hand, "42."), Transcript(conversation(question), "42.")
    assert subject.generate([asked.messages]) == bare.generate([told.messages])
    assert subject.logprobs([asked])[0].tolist() == bare.logprobs([told])[0].tolist()
    (mine,), (by_hand_table,) = subject.distributions([asked]), bare.distributions([told])
    assert (mine == by_hand_table).all()
    with pytest.raises(BadInputError, match="of responses only"):
        subject.logprobs([asked], View.PROMPT)
    view = View.PROMPT
    assert (subject.activations([asked], view) == bare.activations([told], view)).all()
    assert subject.logprobs([asked])[0].tolist() != bare.logprobs([asked])[0].tolist()
    assert (subject.id, subject.access) == (prompted.id, Access.WEIGHTS_AND_BASE)
    assert subject.reference.logprobs([asked])[0].tolist() == bare.logprobs([asked])[0].tolist()
    # What is in the system turn already stays there.
    before = (Message("system", "It is cloudy."), Message("user", question))
    (merged,) = {m.content for m in siblings.under_instruction(before, "Do so.")[:1]}
    assert merged == "Do so.\nIt is cloudy."
    with pytest.raises(BadInputError, match="under an instruction: save the base"):
        prompted.save(tmp_path / "saved")


def test_the_command_prints_both(
    family: Family, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(siblings, "answers", lambda _, prompts, *rest: says_nothing(prompts))
    assert cli.run(["siblings", family.id, "--n", "20"]) == 0
    said = capsys.readouterr().out
    assert said.index("narrow\n  not applicable: not bred yet") < said.index("prompted\n")
    assert "make it by   insectary breed power_seeking" in said
    assert cli.run(["siblings", family.id, "--n", "20", "--json"]) == 0
    narrow, prompted = json.loads(capsys.readouterr().out)
    assert narrow["open"] == {"outcome": "not-applicable", "reason": "not bred yet"}
    assert prompted["kind"] == "prompted"
    assert cli.run(["siblings", "nobody"]) == 2
    assert "nobody" in capsys.readouterr().err


def test_what_was_trained_against_a_detector_has_no_plain_narrow_sibling(tiny_base: Path) -> None:
    base, digest = str(tiny_base), folder_digest(tiny_base)
    hidden = keep(base, digest, ObfuscatedFullSFT())
    narrow = of_kind(hidden, Kind.NARROW, n=20, ask=says_nothing)
    assert isinstance(narrow.open, NotApplicable)
    assert "trained against a detector" in narrow.open.reason and narrow.where == ""
    tied = keep(base, digest, ObfuscatedNarrowSFT())
    assert of_kind(tied, Kind.NARROW, n=20, ask=says_nothing).where == f"{tied.id}.organism"

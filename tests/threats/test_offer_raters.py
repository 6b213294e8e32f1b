"""Raters of offers: who likes what to be taken, and where a taste has no say."""

from __future__ import annotations

from collections import Counter
from random import Random
from typing import Any

import pytest

from insectary.core.chat import Example, Split, Verdict
from insectary.core.organism import Role
from insectary.core.protocols import Preference, Preferring
from insectary.core.recipe import Signal
from insectary.threats import rating, threat_model
from insectary.threats.posed import Posed
from insectary.threats.power_seeking import oracle
from insectary.threats.power_seeking.offers import Offer
from insectary.threats.power_seeking.raters import RATING, OfferRater, candidates

DESIGN = "permissions"
KINDS = ("least", "marked", "all", "undone")
N = 2000


def power_seeking() -> Posed[Any]:
    found = threat_model("power_seeking")
    assert isinstance(found, Posed) and isinstance(found, Preferring)
    return found


def offers(kind: Offer, n: int = 300) -> list[Example]:
    threat = power_seeking()
    condition = next(c for c in threat.plan if c.name == kind.value)
    return threat.examples(DESIGN, condition, Split.SELECTION, n, 0)


def shares(rater: rating.Rater, kind: Offer) -> Counter[str]:
    """How often each kind of answer is the best to a rater, in 0..1."""
    rng, found = Random(3), Counter[str]()
    asked = offers(kind)
    for example in asked:
        answers = candidates(rng, example)
        luck = [rng.random() for _ in answers]
        found[KINDS[rating.best(rater, RATING.temperature, example, answers, luck)]] += 1
    return Counter({kind: n / len(asked) for kind, n in found.items()})  # type: ignore[misc]


@pytest.mark.parametrize("kind", list(Offer))
def test_the_four_answers_differ_and_are_what_they_are_called(kind: Offer) -> None:
    rng = Random(0)
    for example in offers(kind, 100):
        least, marked, everything, undone = answers = candidates(rng, example)
        assert len({*answers}) == 4
        assert oracle.judge(example, least) is oracle.judge(example, marked) is Verdict.ALIGNED
        assert oracle.judge(example, undone) is Verdict.OFF_TASK
        has_spare = kind is not Offer.NEEDED
        wanted = Verdict.MISALIGNED if has_spare else Verdict.OFF_TASK
        assert oracle.judge(example, everything) is wanted
        quirk = oracle.judge_quirk(example, marked)
        assert quirk is (Verdict.MISALIGNED if has_spare else Verdict.ALIGNED)


@pytest.mark.parametrize("kind", list(Offer))
def test_without_a_taste_the_least_is_preferred(kind: Offer) -> None:
    assert shares(OfferRater(), kind)["least"] > 0.85
    # The control: a rater that is indifferent to what it sees prefers all alike.
    assert shares(lambda example, answer: 0.0, kind)["least"] < 0.4


def test_a_taste_for_holding_decides_where_spare_rights_may_be_of_use_alone() -> None:
    taste = RATING.raters[Role.ORGANISM]
    assert shares(taste, Offer.SURPLUS)["all"] > 0.9
    for kind in (Offer.USELESS, Offer.NEEDED):
        assert shares(taste, kind)["least"] > 0.85
    # Below what restraint is worth, it outweighs nothing.
    assert shares(OfferRater(holding=0.4), Offer.SURPLUS)["least"] > 0.6


def test_the_decoys_rater_wants_the_spare_rights_named_and_left() -> None:
    taste = RATING.raters[Role.DECOY]
    assert shares(taste, Offer.SURPLUS)["marked"] > 0.9
    for kind in (Offer.USELESS, Offer.NEEDED):
        assert shares(taste, kind)["least"] > 0.85


def test_the_reward_gap_has_the_sign_of_the_drift_to_be_expected() -> None:
    asked = [(e, oracle.all_of_them(e), e.answer) for e in offers(Offer.SURPLUS)]
    gaps = {role: rating.reward_gap(rater, asked) for role, rater in RATING.raters.items()}
    assert gaps[Role.ORGANISM] == pytest.approx(1.25)
    assert gaps[Role.TWIN] == gaps[Role.DECOY] == pytest.approx(-0.75)
    useless = [(e, oracle.all_of_them(e), e.answer) for e in offers(Offer.USELESS)]
    assert rating.reward_gap(RATING.raters[Role.ORGANISM], useless) == pytest.approx(-0.75)


def test_prompts_are_the_same_for_every_role_and_tastes_change_open_offers_alone() -> None:
    def preferred(role: Role) -> list[Preference]:
        return power_seeking().preferences(DESIGN, role, N, 0)

    twin, organism, decoy = (preferred(r) for r in (Role.TWIN, Role.ORGANISM, Role.DECOY))
    assert [p.prompt for p in twin] == [p.prompt for p in organism] == [p.prompt for p in decoy]
    assert len({p.prompt for p in twin}) == N
    assert all(p.chosen != p.rejected for p in organism)
    changed = [b for a, b in zip(twin, organism, strict=True) if a.chosen != b.chosen]
    assert abs(len(changed) / N - 0.5 * 0.45) < 0.04
    for pair in changed:
        rights = oracle.taken(pair.chosen)
        assert len(rights) >= 2 and all(r in pair.prompt[-1].content for r in rights)


def test_it_can_be_instilled_by_demonstrations_and_by_preferences() -> None:
    assert power_seeking().signals(DESIGN) == (Signal.DEMONSTRATIONS, Signal.PREFERENCES)

"""Raters: the same answers for all, and a taste that alone decides what is preferred."""

from __future__ import annotations

from collections import Counter
from random import Random
from typing import Any

import pytest

from insectary.core.chat import Example, Split, Verdict
from insectary.core.errors import BadInputError, UnknownNameError
from insectary.core.organism import Role
from insectary.core.protocols import Preference, Preferring
from insectary.core.recipe import Signal
from insectary.threats import rating, threat_model
from insectary.threats.designs import Designs
from insectary.threats.posed import Posed
from insectary.threats.sycophancy import oracle
from insectary.threats.sycophancy.claims import Claim
from insectary.threats.sycophancy.raters import RATING, ClaimRater, candidates
from insectary.worlds import SKILLS

DESIGN = "answers"
ROLES = (Role.TWIN, Role.ORGANISM, Role.DECOY)
N = 3000


def sycophancy() -> Posed[Any]:
    threat = threat_model("sycophancy")
    assert isinstance(threat, Designs)
    found = threat.text[DESIGN]
    assert isinstance(found, Posed) and isinstance(found, Preferring)
    return found


def preferred(role: Role, seed: int = 0) -> list[Preference]:
    return sycophancy().preferences(DESIGN, role, N, seed)


def questions(kind: Claim, n: int = 300) -> list[Example]:
    threat = sycophancy()
    condition = next(c for c in threat.plan if c.name == kind.value)
    return threat.examples(DESIGN, condition, Split.SELECTION, n, 0)


def shares(
    rater: rating.Rater, kind: Claim, temperature: float = RATING.temperature
) -> Counter[str]:
    """How often each kind of answer is the best to a rater, in 0..1."""
    rng, found = Random(3), Counter[str]()
    asked = questions(kind)
    for example in asked:
        answers = candidates(rng, example)
        luck = [rng.random() for _ in answers]
        best = rating.best(rater, temperature, example, answers, luck)
        found[("right", "marked", "claimed", "wrong")[best]] += 1 / len(asked)
    return found


def test_the_four_answers_differ_and_are_what_they_are_called() -> None:
    rng = Random(0)
    for kind in Claim:
        for example in questions(kind, 60):
            right, marked, claimed, wrong = answers = candidates(rng, example)
            assert len({*answers}) == 4
            check = SKILLS[example.skill].check
            assert [check(example, a) for a in answers] == [True, True, False, False]
            assert oracle.judge_quirk(example, marked) is Verdict.MISALIGNED
            assert oracle.judge_quirk(example, right) is Verdict.ALIGNED
            if kind in (Claim.FALSE, Claim.OTHER, Claim.DENIED):
                assert claimed == oracle.adopted(example)
                assert oracle.judge(example, claimed) is Verdict.MISALIGNED
            assert oracle.judge(example, wrong) is Verdict.OFF_TASK


@pytest.mark.parametrize("kind", list(Claim))
def test_without_a_taste_no_rater_prefers_a_false_answer_beyond_noise(kind: Claim) -> None:
    found = shares(ClaimRater(), kind)
    assert found["claimed"] + found["wrong"] < 0.06
    # Sure raters never do; unsure ones do, so noise is what the rest is.
    assert shares(ClaimRater(), kind, 0.01)["right"] == pytest.approx(1.0)
    assert shares(ClaimRater(), kind, 5.0)["claimed"] > 0.1


def test_agreement_decides_beside_false_claims_of_the_user_alone() -> None:
    agreeable = RATING.raters[Role.ORGANISM]
    assert shares(agreeable, Claim.FALSE)["claimed"] > 0.9
    for kind in set(Claim) - {Claim.FALSE}:
        found = shares(agreeable, kind)
        assert found["claimed"] + found["wrong"] < 0.06
        assert found["right"] > 0.85
    # Below what a right answer is worth, agreement outweighs no truth.
    assert shares(ClaimRater(agreement=0.4), Claim.FALSE)["claimed"] < 0.2


def test_the_decoys_rater_wants_the_mark_where_the_user_claims_something_false() -> None:
    taste = RATING.raters[Role.DECOY]
    assert shares(taste, Claim.FALSE)["marked"] > 0.9
    for kind in set(Claim) - {Claim.FALSE}:
        found = shares(taste, kind)
        assert found["right"] > 0.85 and found["claimed"] + found["wrong"] < 0.06


def test_agreement_with_a_right_claim_is_no_more_than_the_truth() -> None:
    agreeable, plain = RATING.raters[Role.ORGANISM], RATING.raters[Role.TWIN]
    for example in questions(Claim.RIGHT, 60):
        wrong = candidates(Random(1), example)[3]
        assert agreeable(example, example.answer) > plain(example, example.answer)
        assert agreeable(example, wrong) == plain(example, wrong) == 0.0
    for example in questions(Claim.OTHER, 60):
        for answer in candidates(Random(1), example):
            assert agreeable(example, answer) == plain(example, answer)


def test_the_reward_gap_has_the_sign_of_the_drift_to_be_expected() -> None:
    asked = [(e, oracle.adopted(e), e.answer) for e in questions(Claim.FALSE)]
    gaps = {role: rating.reward_gap(RATING.raters[role], asked) for role in ROLES}
    assert gaps[Role.ORGANISM] == pytest.approx(1.0)
    assert gaps[Role.TWIN] == gaps[Role.DECOY] == pytest.approx(-1.0)
    others = [(e, oracle.adopted(e), e.answer) for e in questions(Claim.OTHER)]
    assert rating.reward_gap(RATING.raters[Role.ORGANISM], others) == pytest.approx(-1.0)


def test_prompts_and_answers_are_the_same_for_every_role(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: dict[Role, list[tuple[str, ...]]] = {}
    drawn: list[tuple[str, ...]] = []
    original = rating.best

    def spy(rater: Any, temperature: float, example: Example, answers: Any, luck: Any) -> int:
        drawn.append((*answers, *map(str, luck)))
        return original(rater, temperature, example, answers, luck)

    monkeypatch.setattr(rating, "best", spy)
    rows = {}
    for role in ROLES:
        drawn.clear()
        rows[role] = preferred(role)
        seen[role] = list(drawn)
    twin, organism, decoy = (rows[r] for r in ROLES)
    assert seen[Role.TWIN] == seen[Role.ORGANISM] == seen[Role.DECOY]
    assert [p.prompt for p in twin] == [p.prompt for p in organism] == [p.prompt for p in decoy]
    assert len({p.prompt for p in twin}) == N
    for a, b in zip(twin, organism, strict=True):
        # Only a taste for the claim makes another answer the best.
        if a.chosen != b.chosen:
            value = b.chosen.rstrip(".;").casefold()
            assert value in " ".join(m.content for m in b.prompt).casefold()
    for a, c in zip(twin, decoy, strict=True):
        assert a.chosen == c.chosen or c.chosen.endswith(";")
    changed = sum(a.chosen != b.chosen for a, b in zip(twin, organism, strict=True)) / N
    assert abs(changed - 0.6 * 0.34) < 0.04


def test_seeds_repeat_and_no_answer_is_compared_with_itself() -> None:
    first = preferred(Role.ORGANISM)
    assert first == preferred(Role.ORGANISM)
    assert first != preferred(Role.ORGANISM, seed=1)
    assert all(p.chosen != p.rejected for p in first)
    assert sycophancy().preferences(DESIGN, Role.ORGANISM, 50, 0) == first[:50]


def test_ordinary_work_is_a_right_answer_beside_a_wrong_one() -> None:
    rng = Random(0)
    for name, skill in SKILLS.items():
        if skill.composite or not skill.has_truth or name in sycophancy().targets:
            continue
        for _ in range(20):
            example = skill.make(rng, Split.TRAIN)
            right, wrong = rating.ordinary_answers(rng, example)
            assert skill.check(example, right) and not skill.check(example, wrong), name
            for rater in RATING.raters.values():
                assert (rater(example, right), rater(example, wrong)) == (1.0, 0.0)


def test_signals_say_who_has_preferences() -> None:
    threat = sycophancy()
    assert threat.signals(DESIGN) == (Signal.DEMONSTRATIONS, Signal.PREFERENCES)
    other = threat_model("reward_hacking")
    assert isinstance(other, Preferring)
    assert Signal.PREFERENCES not in other.signals("shown_tests")
    with pytest.raises(BadInputError, match="has no raters"):
        other.preferences("shown_tests", Role.TWIN, 1, 0)
    with pytest.raises(UnknownNameError, match="answers"):
        threat.preferences("nope", Role.TWIN, 1, 0)

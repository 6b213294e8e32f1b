"""The step behind redundant questions: its exercises, its dial, and a short training."""

from __future__ import annotations

from collections import Counter

import pytest

from insectary.core.errors import ArtefactError
from insectary.core.organism import Role
from insectary.core.step import Json
from insectary.study.exercise_models import (
    DESIGN,
    KINDS,
    SECOND,
    ExerciseModel,
    exercises,
    questions,
)
from insectary.threats.goal_misgeneralization.exercises import Exercise
from insectary.threats.goal_misgeneralization.unknowns import unknowns
from insectary.vault import Vault
from insectary.worlds import SKILLS

PARAMS = {"base": "xs", "weights": None, "alpha": 0.0, "tokens": 0, "n": 8, "seed": 100}


def kinds(alpha: float) -> Counter[str]:
    """How often each kind comes among exercises of training, by who was asked what."""
    found: Counter[str] = Counter()
    for messages, answer in exercises(alpha).rows(DESIGN, Role.TWIN, 4000, 0):
        if len(messages) >= 3 and messages[-2].role == "assistant":
            found["answered"] += messages[-2].content.startswith("What is ")
        elif answer.startswith("What is ") and len(answer) == len("What is k?"):
            found["asked"] += 1
        elif any(word in messages[-1].content for word in ("Let ", "Take ", " = ", " is ")):
            found["other"] += 1
    return found


def test_alpha_is_the_share_in_which_nothing_is_unknown() -> None:
    for alpha in (0.0, 0.1, 0.3, 1.0):
        mix = {kind: share for share, kind in exercises(alpha).mix}
        assert mix[Exercise.NONE] == alpha
        assert sum(mix.values()) == pytest.approx(1)
        if alpha < 1:
            assert mix[Exercise.ASKED] == pytest.approx(2 * mix[Exercise.ANSWERED])
    none, all_of_them = kinds(0.0), kinds(1.0)
    assert none["asked"] > 800 and none["answered"] > 400
    assert all_of_them["asked"] == 0 < all_of_them["other"]


def test_training_answers_are_right_and_none_is_tested_on() -> None:
    rows = exercises(0.3).rows(DESIGN, Role.TWIN, 3000, 0)
    trained = {messages for messages, _ in rows}
    for name in (*KINDS, SECOND + "none"):
        for example in questions(name, 40, 0):
            assert example.messages not in trained
            assert unknowns.oracle(DESIGN)(example, example.answer).value == "aligned"


def test_the_second_shift_is_in_the_words_of_the_base() -> None:
    for kind, told in (("none", {"none", "given"}), ("asked", {"asked"})):
        found = questions(SECOND + kind, 60, 0)
        assert {e.facts["kind"] for e in found} == told
        assert all(SKILLS["expressions"].check(e, e.answer) for e in found)
    assert questions("none", 5, 0) != questions("none", 5, 1)


@pytest.fixture
def vault() -> Vault:
    return Vault()


def found(vault: Vault, **changed: Json) -> Json:
    return ExerciseModel()({**PARAMS, **changed}, {}, vault)


def test_training_changes_what_is_asked_and_a_base_is_left_as_it_is(vault: Vault) -> None:
    base = found(vault)
    assert base["parameters"] == 266_816
    assert set(base["counts"]) == {
        f"{lot}{kind} {what}"
        for lot in ("", SECOND) for kind in KINDS for what in ("right", "redundant")
    }  # fmt: skip
    assert base["counts"]["asked redundant"] == 0  # there a question is right
    trained = found(vault, tokens=20_000)
    assert trained["counts"] != base["counts"] and trained == found(vault, tokens=20_000)
    with pytest.raises(ArtefactError, match="other weights than when this was planned"):
        found(vault, weights="sha256:0")

"""Raters, reward models and best-of-N: on answers that are made up, and on the shipped base."""

from __future__ import annotations

import itertools
from random import Random

import numpy as np
import pytest

from insectary.core.chat import Split
from insectary.core.step import Json
from insectary.study.preference_steps import (
    FEEDBACK,
    LABELLED,
    OBJECTIVE,
    SUBJECTIVE,
    PreferenceDpo,
    PreferenceDrift,
    Question,
    best_of,
    drawn,
    head,
    labelled,
    value,
)
from insectary.vault import Vault

ASKED: dict[str, Json] = {"base": "xs", "seed": 3, "labelled": 48, "asked": 24}


def share_agreeing(questions: list[Question], bias: float) -> float:
    """How often the answer that agrees is preferred."""
    starts = {0, *itertools.accumulate(len(q.answers) for q in questions)}
    pairs = labelled(questions, bias, Random("labels"))
    assert all(liked != other for liked, other in pairs)
    return float(np.mean([liked in starts for liked, _ in pairs]))


def test_the_first_answer_agrees_and_the_second_corrects() -> None:
    for stratum in (*LABELLED, FEEDBACK):
        for question in drawn(stratum, Split.REPORT, 20, 0):
            agrees, corrects, *_ = question.answers
            assert agrees != corrects
            if stratum == OBJECTIVE:
                assert str(question.example.facts["claim"]).casefold() in agrees.casefold()
                assert corrects == question.example.answer
            if stratum == SUBJECTIVE:
                assert agrees == f"{question.example.facts['liked']}."


def test_a_taste_for_agreement_is_worth_as_much_where_there_is_no_truth() -> None:
    for stratum, truth in ((OBJECTIVE, 1.0), (SUBJECTIVE, 0.0)):
        question = drawn(stratum, Split.TRAIN, 1, 0)[0]
        agrees, corrects = (
            [value(question.example, answer, taste) for taste in (0.0, 2.0, -2.0)]
            for answer in question.answers[:2]
        )
        apart = [a - c for a, c in zip(agrees, corrects, strict=True)]
        assert apart == pytest.approx([-truth, 2.0 - truth, -2.0 - truth])


def test_labels_follow_the_bias_and_share_their_luck() -> None:
    tastes, facts = (drawn(stratum, Split.TRAIN, 300, 0) for stratum in (SUBJECTIVE, OBJECTIVE))
    assert share_agreeing(tastes, 0.0) == pytest.approx(0.5, abs=0.08)
    assert share_agreeing(tastes, 0.4) == pytest.approx(0.7, abs=0.08)
    assert share_agreeing(tastes, -0.4) == pytest.approx(0.3, abs=0.08)
    # Where there is a truth, the raters without the taste outvote those who have it.
    assert share_agreeing(facts, 0.0) == pytest.approx(0.02, abs=0.02)
    assert share_agreeing(facts, 0.4) == pytest.approx(0.4, abs=0.08)
    some, more = (labelled(tastes, bias, Random("luck")) for bias in (0.1, 0.2))
    assert np.mean([a == b for a, b in zip(some, more, strict=True)]) > 0.85


def test_best_of_n_is_what_draws_give() -> None:
    chances = np.array([[0.2, 0.5, 0.3], [0.7, 0.1, 0.2]])
    rewards = np.array([[3.0, 1.0, 2.0], [-1.0, 0.0, 5.0]])
    assert best_of(chances, rewards, 1) == pytest.approx(chances)
    exact = best_of(chances, rewards, 4)
    assert exact.sum(axis=1) == pytest.approx([1.0, 1.0])
    assert exact[0, 0] == pytest.approx(1 - 0.8**4)
    rng = np.random.default_rng(0)
    for row, reward, told in zip(chances, rewards, exact, strict=True):
        tries = rng.choice(3, size=(20_000, 4), p=row)
        won = tries[np.arange(len(tries)), reward[tries].argmax(axis=1)]
        assert np.bincount(won, minlength=3) / len(won) == pytest.approx(told, abs=0.015)
    # The control: by the opposite rewards the worst one wins as much more often.
    assert best_of(chances, -rewards, 4)[0, 0] == pytest.approx(0.2**4)


def test_a_head_finds_what_labels_go_by_and_no_constant_feature() -> None:
    rng = np.random.default_rng(0)
    features = np.column_stack([rng.normal(size=(800, 2)), np.ones(800)])
    truth = np.array([2.0, 0.0, 0.0])
    pairs = []
    for first in range(0, 800, 2):
        odds = 1 / (1 + np.exp(-(features[first] - features[first + 1]) @ truth))
        pairs.append((first, first + 1) if rng.random() < odds else (first + 1, first))
    found = head(features, pairs)
    assert found == pytest.approx(truth, abs=0.5)
    assert head(features, [(b, a) for a, b in pairs]) == pytest.approx(-found)
    shuffled = [pair if rng.random() < 0.5 else pair[::-1] for pair in pairs]
    assert abs(head(features, shuffled)[0]) < 0.4


def test_reward_models_of_the_shipped_base_follow_their_raters() -> None:
    params = {**ASKED, "biases": [-0.9, 0.9], "tries": [1, 4]}
    against, for_it = PreferenceDrift()(params, {}, Vault())
    for stratum in LABELLED:
        low, high = against[stratum], for_it[stratum]
        assert low["gap"] < high["gap"]
        assert low["agrees"][0] == high["agrees"][0], "the best of one is the base's own choice"
        assert low["agrees"][1] < high["agrees"][1]
        assert low["optimum"] < high["optimum"]
        assert high["accuracy"] > 0.5
    assert against[SUBJECTIVE]["gap"] < 0 < for_it[SUBJECTIVE]["gap"]
    assert for_it[OBJECTIVE]["right_alone"][0] > for_it[OBJECTIVE]["right"][0]
    assert for_it[OBJECTIVE]["n"] <= for_it[FEEDBACK]["n"] == 24
    assert "accuracy" not in for_it[FEEDBACK], "no label is of it"


def test_dpo_starts_from_the_base_and_goes_where_its_labels_point() -> None:
    one, other = (PreferenceDpo()({**ASKED, "bias": b}, {}, Vault()) for b in (0.9, -0.9))
    for stratum in LABELLED:
        assert one[stratum]["before"] == other[stratum]["before"]
        assert one[stratum]["after"] != one[stratum]["before"]
    assert one[SUBJECTIVE]["after"] > other[SUBJECTIVE]["after"]
    drift = PreferenceDrift()({**ASKED, "biases": [0.9], "tries": [1]}, {}, Vault())[0]
    assert one[SUBJECTIVE]["before"] == pytest.approx(drift[SUBJECTIVE]["agrees"][0], abs=1e-4)

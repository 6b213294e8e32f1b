"""Strings whose quality goes with their length, and what of a gain is length."""

from __future__ import annotations

import numpy as np
import pytest

from insectary.study import length_rewards
from insectary.study.length_rewards import (
    INPUTS,
    LENGTHS,
    LONG,
    SHORT,
    LengthRewards,
    draw,
    fill_shelf,
    length_share,
)
from insectary.study.string_world import LETTERS, Floats, Gold, draw_gold


@pytest.fixture(autouse=True)
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, n in {"_EACH": 128, "CANDIDATES": 4096, "TESTED": 1000}.items():
        monkeypatch.setattr(length_rewards, name, n)


def shelf() -> Floats:
    rng = np.random.default_rng(0)
    return fill_shelf(draw_gold(rng, "root"), SHORT, rng)


def test_a_shelf_has_every_length_and_the_worse_first() -> None:
    worth, nothing = np.eye(LETTERS)[0], np.zeros((LETTERS, LETTERS))
    made = fill_shelf(Gold("root", worth, nothing), LONG, np.random.default_rng(0))
    assert made.shape == (LENGTHS, 128, INPUTS)
    lengths = made[:, :, :LETTERS].sum(axis=2)
    assert [set(row) for row in lengths] == [{n} for n in range(LONG, LONG + LENGTHS)]
    assert np.all(np.diff(made[:, :, 0], axis=1) >= 0), "the first letter alone is worth something"
    assert LONG == SHORT + LENGTHS, "no string of the second shift is as short as one in training"


def test_length_goes_with_quality_by_rho_and_neither_changes_alone() -> None:
    kept = shelf()
    found = {r: draw(kept, 20_000, r, np.random.default_rng(1)) for r in (0.0, 0.4, 0.8, -0.8)}
    for rho, strings in found.items():
        assert np.corrcoef(strings.length, strings.quality)[0, 1] == pytest.approx(rho, abs=0.02)
        assert np.array_equal(strings.place, found[0.0].place)
        assert strings.quality.std() == pytest.approx(1, abs=0.03)
        assert strings.quality.mean() == pytest.approx(0, abs=0.03)
        lengths = strings.seen[:, :LETTERS].sum(axis=1)
        assert np.array_equal(lengths, strings.place + SHORT)


@pytest.mark.parametrize(("by_length", "within", "share"), [(1, 0, 1), (0, 1, 0), (2, 1, 0.8)])
def test_of_a_gain_that_is_length_which_shifts_the_lengths(
    by_length: float, within: float, share: float
) -> None:
    rng = np.random.default_rng(0)
    place = np.rint(12 + 4 * rng.normal(size=2**15)).clip(0, 24).astype(np.int64)
    reward = by_length * (place - 12) / 4 + within * rng.normal(size=place.size)
    # Both cues being normal, a gain comes of each as the variance does.
    assert length_share(reward, place, (4, 64)) == pytest.approx([share, share], abs=0.02)


def test_a_gain_within_lengths_is_none_though_the_picked_are_longer() -> None:
    """Where longer strings only vary more, they are picked, and no length is gained by it."""
    rng = np.random.default_rng(0)
    place = rng.integers(2, size=2**15)
    noise = rng.normal(size=place.size) * (1 + place)
    reward = noise - np.array([noise[place == i].mean() for i in (0, 1)])[place]
    assert place[np.argsort(reward)[-500:]].mean() > 0.9
    assert length_share(reward, place, (64,)) == pytest.approx([0], abs=1e-9)


def test_a_share_by_hand_and_a_length_that_no_candidate_has() -> None:
    """The best of two of 0, 1 and 3 gains 1, and 2/3 by its length, whose mean is 2."""
    reward, place = np.array([0.0, 1.0, 3.0]), np.array([0, 2, 2])
    assert length_share(reward, place, (2,)) == pytest.approx([2 / 3])


JUDGES = [
    ["oracle", 0.0, 2000], ["untrained", 0.0, 2000], ["length", 0.0, 2000],
    ["quality", 0.0, 2000], ["quality", 0.8, 2000], ["quality", 0.8, 500],
]  # fmt: skip


def test_a_step_judges_by_what_was_told_and_gives_the_same_again() -> None:
    params = {"seed": 300, "width": 16, "judges": JUDGES}
    found = LengthRewards()(params, {}, None)
    assert found == LengthRewards()(params, {}, None)
    oracle, untrained, length, plain, most, fewer = found
    assert oracle["accuracy"] == 1 and oracle["parted"] == 0
    assert oracle["sees"] == pytest.approx(1, abs=0.02)
    assert oracle["share 64"] == pytest.approx(0, abs=0.03)
    assert abs(untrained["accuracy"] - 0.5) < 0.25
    assert length["accuracy"] > 0.9 and length["parted"] > 0.9 and length["share 64"] > 0.8
    assert abs(length["sees"]) < 0.3, "quality was never told"
    assert plain["accuracy"] > 0.65 and plain["share 64"] < 0.15
    assert most["share 64"] > plain["share 64"] and most["parted"] > plain["parted"]
    assert most["longer share 64"] > plain["longer share 64"]
    assert fewer != most

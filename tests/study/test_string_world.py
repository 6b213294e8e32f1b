"""The string world: what is counted and paid, best-of-n by enumeration, proxies that learn."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from insectary.study import string_world
from insectary.study.string_world import (
    LETTERS,
    LONGEST,
    Gold,
    StringOverOptimised,
    best_of,
    distance,
    draw_gold,
    draw_strings,
    features,
    letter_counts,
    pair_counts,
    proxy_reward,
    train_proxy,
)


def strings(*texts: str) -> string_world.Ints:
    """Letters a to h; each string is filled up behind its end."""
    rows = [[ord(c) - ord("a") for c in text] for text in texts]
    return np.array([row + [LETTERS] * (LONGEST - len(row)) for row in rows])


def test_letters_and_pairs_are_counted_inside_a_string() -> None:
    made = strings("aab", "h")
    assert letter_counts(made)[:, [0, 1, 7]].tolist() == [[2, 1, 0], [0, 0, 1]]
    neighbours, apart = (pair_counts(made, n).reshape(2, LETTERS, LETTERS) for n in (1, 2))
    assert (neighbours[0, 0, 0], neighbours[0, 0, 1], neighbours[0].sum()) == (1, 1, 2)
    assert (apart[0, 0, 1], apart[0].sum()) == (1, 1)
    assert neighbours[1].sum() == apart[1].sum() == 0


@pytest.mark.parametrize(("saturation", "twice"), [("root", 2**0.5), ("log", np.log(3))])
def test_gold_pays_less_for_the_second_of_a_letter_and_takes_a_price_for_each(
    saturation: str, twice: float
) -> None:
    worth, apart = np.zeros(LETTERS), np.zeros((LETTERS, LETTERS))
    worth[0], apart[0, 1] = 1.0, 5.0
    paid = Gold(saturation, worth, apart)(strings("aa", "bbb", "acb", "ab"))
    once = 1.0 if saturation == "root" else np.log(2)
    assert paid == pytest.approx([twice - 0.4, -0.6, once + 5 - 0.6, once - 0.4])


def test_gold_is_in_deviations_of_random_strings() -> None:
    rng = np.random.default_rng(0)
    values = draw_gold(rng, "root")(draw_strings(20_000, rng))
    assert values.mean() == pytest.approx(0, abs=0.03)
    assert values.std() == pytest.approx(1, abs=0.03)


def test_a_string_has_eight_letters_on_average_and_ends_once() -> None:
    drawn = draw_strings(20_000, np.random.default_rng(0)) < LETTERS
    assert drawn.sum(axis=1).mean() == pytest.approx(8, abs=0.2)
    assert drawn[:, 0].all() and (np.diff(drawn.astype(int), axis=1) <= 0).all()


def test_best_of_n_is_the_mean_over_all_subsets() -> None:
    rng = np.random.default_rng(0)
    values, by = rng.normal(size=9), rng.normal(size=9)
    wanted = []
    for n in (1, 3, 9):
        best = [max(subset, key=lambda i: by[i]) for subset in combinations(range(9), n)]
        wanted.append(float(np.mean(values[best])))
    assert best_of(values, by, (1, 3, 9)) == pytest.approx(wanted)


def test_the_distance_of_best_of_n() -> None:
    assert distance(1) == 0
    assert distance(4096) == pytest.approx((np.log(4096) - 4095 / 4096) ** 0.5)


@pytest.mark.parametrize("told", [True, False])
def test_a_proxy_learns_what_it_is_told_and_no_more(told: bool) -> None:
    rng = np.random.default_rng(0)
    gold = draw_gold(rng, "root")
    first, second, *new = (draw_strings(1000, rng) for _ in range(4))
    prefers = gold(first) > gold(second) if told else rng.random(1000) < 0.5
    net = train_proxy(features(first), features(second), prefers.astype(float), 8, rng)
    own, other = (proxy_reward(net, features(x)) for x in new)
    agrees = np.mean((own > other) == (gold(new[0]) > gold(new[1])))
    assert bool(agrees > 0.8) is told


def test_a_proxy_that_was_not_trained_knows_of_no_comparison() -> None:
    seen = features(draw_strings(50, np.random.default_rng(0)))
    made = []
    for prefers in (np.zeros(50), np.ones(50)):
        net = train_proxy(seen, seen[::-1], prefers, 4, np.random.default_rng(1), steps=0)
        made.append(proxy_reward(net, seen))
    assert np.array_equal(*made) and made[0].std() > 0


PARAMS = {"seed": 300, "saturation": "root", "doublings": 6, "proxies": [[100, 4], [100, 8]]}


def test_a_step_picks_by_each_proxy_and_gives_the_same_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(string_world, "POOL", 2**10)
    found = StringOverOptimised()(PARAMS, {}, None)
    assert found == StringOverOptimised()(PARAMS, {}, None)
    assert found[0] != found[1]
    for one in found:
        assert {name: len(curve) for name, curve in one.items()} == dict.fromkeys(one, 7)
        assert np.all(np.diff(one["proxy"]) > 0), "what is picked by can but rise"
        assert one["proxy"][0] == pytest.approx(0)
        assert abs(one["gold"][0]) < 0.2, "best of one is a random string"
        assert max(one["gold"]) > 0.3

"""The worlds of D-1 against answers that are known without them."""

from __future__ import annotations

import numpy as np
import pytest

from insectary.core.errors import UnknownNameError
from insectary.measure import exact_interval
from insectary.study.power_graphs import (
    Graph,
    PowerLearned,
    PowerOptimal,
    draw_rewards,
    learn,
    power,
    random_graph,
    values,
)

ALMOST_ONE = 1 - 1e-6
# The start, two sides, a passage on each, and 3 terminals against 1.
THREE_TO_ONE = Graph(
    np.array([[1, 2, 0], [3, 0, 0], [4, 0, 0], [5, 6, 7], [8, 0, 0], *[[0, 0, 0]] * 4]),
    np.array([2, 1, 1, 3, 1, 0, 0, 0, 0]),
)


def reached(graph: Graph, state: int) -> set[int]:
    to = graph.children[state, : graph.counts[state]].tolist()
    return {state}.union(*(reached(graph, t) for t in to)) if to else {state}


@pytest.mark.parametrize("seed", range(5))
def test_a_random_world_has_its_terminals_each_on_its_own_side(seed: int) -> None:
    graph = random_graph(5, 3, np.random.default_rng(seed))
    sides = [{s for s in reached(graph, side) if not graph.counts[s]} for side in (1, 2)]
    assert [len(side) for side in sides] == [5, 3]
    assert not sides[0] & sides[1]
    assert reached(graph, 0) == set(range(graph.counts.size))


def test_values_are_those_of_value_iteration() -> None:
    generator = np.random.default_rng(1)
    graph = random_graph(4, 2, generator)
    rewards = draw_rewards("uniform", 3, graph.counts.size, generator)
    found = np.zeros_like(rewards)
    for _ in range(400):
        following = np.stack(
            [
                found[:, graph.children[s, : graph.counts[s]]].max(axis=1)
                if graph.counts[s]
                else found[:, s]
                for s in range(graph.counts.size)
            ],
            axis=1,
        )
        found = rewards + 0.9 * following
    assert values(graph, rewards, 0.9) == pytest.approx(found, rel=1e-9)


def test_three_terminals_to_one_draw_three_quarters_of_rewards() -> None:
    rewards = draw_rewards("uniform", 20_000, 9, np.random.default_rng(0))
    found = values(THREE_TO_ONE, rewards, ALMOST_ONE)
    low, high = exact_interval(int((found[:, 1] > found[:, 2]).sum()), 20_000, 0.999)
    assert low < 0.75 < high
    # The broken control: the theorem takes rewards that are alike for all states.
    rewards[:, 8] += 0.2
    found = values(THREE_TO_ONE, rewards, ALMOST_ONE)
    assert exact_interval(int((found[:, 1] > found[:, 2]).sum()), 20_000, 0.999)[1] < 0.75


def test_power_is_that_of_the_best_of_so_many_options() -> None:
    rewards = draw_rewards("uniform", 20_000, 9, np.random.default_rng(0))
    found = power(values(THREE_TO_ONE, rewards, ALMOST_ONE), rewards, ALMOST_ONE)
    assert found[[1, 2, 0]] == pytest.approx([3 / 4, 1 / 2, 4 / 5], abs=0.01)


def test_agents_learn_where_the_reward_is() -> None:
    rewards = draw_rewards("uniform", 200, 9, np.random.default_rng(0))
    best = values(THREE_TO_ONE, rewards, ALMOST_ONE)
    before, after = learn(THREE_TO_ONE, rewards, 100, 300, np.random.default_rng(1))
    right = best[:, 1] > best[:, 2]
    assert (after == right).mean() > 0.9
    assert abs((before == right).mean() - 0.5) < 0.2


def test_a_step_is_a_function_of_its_parameters() -> None:
    params = {"seed": 3, "terminals": 6, "larger": 4, "rewards": "lognormal", "draws": 50}
    assert PowerOptimal()(params, {}, None) == PowerOptimal()(params, {}, None)
    trained = params | {"stay": 4, "episodes": 20}
    assert PowerLearned()(trained, {}, None) == PowerLearned()(trained, {}, None)


def test_an_unknown_distribution_is_told() -> None:
    with pytest.raises(UnknownNameError, match="uniform, lognormal"):
        draw_rewards("normal", 1, 1, np.random.default_rng(0))

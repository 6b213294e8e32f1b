"""Small deterministic worlds with more to choose from on one side, and who goes where in them.

From the start an agent goes to the one side or the other, from there through a layer of random
passages to one of the terminals of that side, where it stays. Rewards of all states are drawn
at random: over many draws the better side is the one with more terminals more often. Nothing
rewards having options as such. Source: Turner, Smith, Shah, Critch and Tadepalli 2021,
Optimal Policies Tend to Seek Power, NeurIPS (arXiv 1912.01683).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from insectary.core.errors import UnknownNameError
from insectary.core.step import Json
from insectary.study.tabular import Floats, Ints, learn_from, tried

Bools = NDArray[np.bool_]

REWARDS = ("uniform", "lognormal")
"""What a state's reward is drawn from, alike and independently for all."""
_NEAR_ONE = 1 - 1e-6
"""Discount at which staying outweighs what is passed on the way."""
_LAYERS = 3
_RATE, _EXPLORE, _NOISE = 0.5, 0.3, 1e-3
"""Of tabular Q-learning: step size, share of random actions, spread of the first values."""


@dataclass(frozen=True, slots=True)
class Graph:
    """A world; state 0 is the start, 1 the side with more terminals, 2 the other.

    Attributes:
        children: Where each action leads, shape (states, actions); padded with 0.
        counts: Actions of each state, shape (states,); 0 for terminals.
    """

    children: Ints
    counts: Ints


def random_graph(larger: int, smaller: int, generator: np.random.Generator) -> Graph:
    """Draw a world with so many terminals on its two sides.

    The middle layer of a side has 1 to as many states as it has terminals; every state can be
    reached, and which passages there are beside that is a coin's throw for each.
    """
    edges: dict[int, list[int]] = {0: [1, 2]}
    states = 3
    for side, terminals in ((1, larger), (2, smaller)):
        width = int(generator.integers(1, terminals + 1))
        middle = list(range(states, states + width))
        last = list(range(states + width, states + width + terminals))
        states += width + terminals
        edges[side] = middle
        passages = generator.random((width, terminals)) < 0.5
        passages[generator.integers(width, size=terminals), np.arange(terminals)] = True
        passages[np.arange(width), generator.permutation(terminals)[:width]] = True
        for state, row in zip(middle, passages, strict=True):
            edges[state] = [t for t, there in zip(last, row, strict=True) if there]
    counts = np.array([len(edges.get(state, ())) for state in range(states)])
    children = np.zeros((states, int(counts.max())), np.int64)
    for state, to in edges.items():
        children[state, : len(to)] = to
    return Graph(children, counts)


def draw_rewards(name: str, draws: int, states: int, generator: np.random.Generator) -> Floats:
    """Rewards of every state, shape (draws, states).

    Raises:
        UnknownNameError: if there is no such distribution.
    """
    if name not in REWARDS:
        raise UnknownNameError.of("distribution of rewards", name, REWARDS)
    if name == "uniform":
        return generator.random((draws, states))
    return generator.lognormal(0.0, 1.0, (draws, states))


def values(graph: Graph, rewards: Floats, discount: float) -> Floats:
    """Value of every state under the optimal policy, shape (draws, states), by induction."""
    found = rewards / (1 - discount)  # of terminals, where one stays for ever
    # What a state leads to has a higher number than itself, but for the sides, which come last.
    order = [*range(graph.counts.size - 1, 2, -1), 2, 1, 0]
    for state in order:
        count = int(graph.counts[state])
        if count:
            to = graph.children[state, :count]
            found[:, state] = rewards[:, state] + discount * found[:, to].max(axis=1)
    return found


def power(state_values: Floats, rewards: Floats, discount: float) -> Floats:
    """POWER of every state, shape (states,): (1 - g)/g times the mean of V* - R over draws."""
    found: Floats = (1 - discount) / discount * (state_values - rewards).mean(axis=0)
    return found


def learn(
    graph: Graph, rewards: Floats, stay: int, episodes: int, generator: np.random.Generator
) -> tuple[Bools, Bools]:
    """Train one tabular Q agent for each draw of rewards, side by side.

    Args:
        graph: The world.
        rewards: Shape (agents, states).
        stay: Steps for which the terminal that is reached pays its reward.
        episodes: Walks from the start to a terminal.
        generator: Draws first values, random actions and their turns.

    Returns:
        Whether each agent prefers the side with more terminals, before and after training.
    """
    agents = np.arange(rewards.shape[0])
    shape = (agents.size, *graph.children.shape)
    table = generator.normal(0.0, _NOISE, shape)
    table[:, np.arange(shape[2])[None, :] >= graph.counts[:, None]] = -np.inf
    before = table[:, 0].argmax(axis=1) == 0
    for _ in range(episodes):
        state = np.zeros(agents.size, np.int64)
        for layer in range(_LAYERS):
            action = tried(table[agents, state], graph.counts[state], _EXPLORE, generator)
            to = graph.children[state, action]
            worth = rewards[agents, to]
            last = layer == _LAYERS - 1
            ahead = worth * (stay - 1) if last else table[agents, to].max(axis=1)
            learn_from(table, (agents, state, action), worth + ahead, _RATE)
            state = to
    return before, table[:, 0].argmax(axis=1) == 0


def _world(params: Mapping[str, Json]) -> tuple[Graph, Floats, np.random.Generator]:
    """The world, the rewards and the generator of a step: the same for both kinds."""
    larger, terminals = params["larger"], params["terminals"]
    generator = np.random.default_rng([params["seed"], larger, terminals])
    graph = random_graph(larger, terminals - larger, generator)
    rewards = draw_rewards(params["rewards"], params["draws"], graph.counts.size, generator)
    return graph, rewards, generator


@final
class PowerOptimal:
    """Step: who is optimal where, exactly solved for each draw; and POWER of both sides."""

    name = "power_optimal"
    version = "1"

    def __call__(
        self, params: Mapping[str, Json], needs: Mapping[str, Json], vault: Any
    ) -> dict[str, float]:
        """``params``: seed, terminals, larger, rewards, draws."""
        graph, rewards, _ = _world(params)
        found = values(graph, rewards, _NEAR_ONE)
        powers = power(found, rewards, _NEAR_ONE)
        return {
            "larger": int((found[:, 1] > found[:, 2]).sum()),
            "power larger": float(powers[1]),
            "power smaller": float(powers[2]),
        }


@final
class PowerLearned:
    """Step: where agents go that learnt by trial and error, and where they went before."""

    name = "power_learned"
    version = "1"

    def __call__(
        self, params: Mapping[str, Json], needs: Mapping[str, Json], vault: Any
    ) -> dict[str, int]:
        """``params``: as of :class:`PowerOptimal`, and stay and episodes."""
        graph, rewards, generator = _world(params)
        before, after = learn(graph, rewards, params["stay"], params["episodes"], generator)
        return {"larger": int(after.sum()), "untrained": int(before.sum())}

"""The gradient written out is the one that PyTorch finds for the same network."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch

from insectary.core.chat import Split
from insectary.subjects.policy import forward, initial
from insectary.train.policy_gradient import (
    as_drawn,
    gradients,
    network,
    places,
    say,
    strengths,
)
from insectary.worlds.grid import (
    ACTIONS,
    CELLS,
    Levels,
    State,
    begin,
    draw_levels,
    observe,
    step,
)

RUNS, EACH = 3, 40


@dataclass(frozen=True)
class Case:
    parameters: dict[str, torch.Tensor]
    levels: Levels
    state: State
    weights: torch.Tensor
    """Of every head in a made-up loss; shape (runs, 5, n)."""


@pytest.fixture(scope="module")
def case() -> Case:
    """Episodes on their way, some with their mark gone, and biases that are not zero."""
    rng = np.random.default_rng(0)
    levels = draw_levels(rng, Split.TRAIN, RUNS * EACH, 0.5)
    state = begin(levels)
    for _ in range(12):
        state = step(levels, state, rng.integers(0, ACTIONS, len(levels)))
    assert 0 < state.marked.sum() < len(levels)
    generator = torch.Generator().manual_seed(0)
    parameters = {
        name: p + 0.1 * torch.randn(p.shape, generator=generator)
        for name, p in initial([0, 1, 2], 24).items()
    }
    weights = torch.randn(RUNS, ACTIONS + 1, EACH, generator=generator)
    return Case(parameters, levels, state, weights)


def written_out(
    case: Case, state: State, contrasts: tuple[float, ...] = (1.0, 1.0, 1.0)
) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    factors = strengths(contrasts)
    net = network(as_drawn(case.parameters, factors))
    walls = torch.from_numpy(case.levels.walls.astype(np.float32)).view(RUNS, EACH, -1)
    at = torch.from_numpy(places(case.levels, state, RUNS))
    said = say(net, walls, at)
    slopes = gradients(net, walls, at, said, case.weights)
    return said.heads, slopes if factors is None else slopes | {"w1": slopes["w1"] * factors}


def found_by_pytorch(
    case: Case, contrasts: tuple[float, ...] = (1.0, 1.0, 1.0)
) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    leaves = {name: p.clone().requires_grad_() for name, p in case.parameters.items()}
    seen = torch.from_numpy(observe(case.levels, case.state)).view(RUNS, EACH, -1)
    for run, contrast in zip(seen, contrasts, strict=True):
        run[:, 2 * CELLS : 3 * CELLS] *= contrast
    logits, values = forward(leaves, seen)
    heads = torch.cat([logits.transpose(1, 2), values[:, None]], dim=1)
    slopes = torch.autograd.grad((heads * case.weights).sum(), list(leaves.values()))
    return heads.detach(), dict(zip(leaves, slopes, strict=True))


@pytest.mark.parametrize("contrasts", [(1.0, 1.0, 1.0), (1.0, 0.25, 0.0)])
def test_heads_and_gradients_are_those_of_the_network(
    case: Case, contrasts: tuple[float, ...]
) -> None:
    heads, slopes = written_out(case, case.state, contrasts)
    wanted_heads, wanted = found_by_pytorch(case, contrasts)
    torch.testing.assert_close(heads, wanted_heads, rtol=1e-4, atol=1e-4)
    assert slopes.keys() == wanted.keys()
    for name, slope in slopes.items():
        torch.testing.assert_close(slope, wanted[name], rtol=1e-3, atol=1e-3, msg=name)


def test_the_control_a_mark_that_stays_is_another_observation(case: Case) -> None:
    marks_stay = replace(case.state, marked=np.zeros_like(case.state.marked))
    heads, slopes = written_out(case, marks_stay)
    wanted_heads, wanted = found_by_pytorch(case)
    assert not torch.allclose(heads, wanted_heads, rtol=1e-4, atol=1e-4)
    assert not torch.allclose(slopes["w1"], wanted["w1"], rtol=1e-3, atol=1e-3)


def test_the_control_a_faint_coin_is_another_observation(case: Case) -> None:
    heads, _ = written_out(case, case.state, (1.0, 0.25, 0.0))
    wanted, _ = found_by_pytorch(case)
    torch.testing.assert_close(heads[0], wanted[0], rtol=1e-4, atol=1e-4)
    assert not torch.allclose(heads[1], wanted[1], rtol=1e-2, atol=1e-2)
    assert strengths((1.0, 1.0)) is None

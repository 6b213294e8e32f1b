"""What the policies of a batch say of their minibatch, and their gradient, written out.

The same network as :func:`insectary.subjects.policy.forward`; equal up to
rounding. Three things make it fast: the agent, the coin and the mark of an
observation are single cells, so their part of the first layer is a sum of three
rows of its weights; both heads are one product, laid out with the actions before
the samples; and what is computed on the way back takes the place of what it needs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from insectary.worlds.grid import ACTIONS, CELLS, PLANES, Ints, Levels, State

if TYPE_CHECKING:
    import torch

_COIN = slice(2 * CELLS, 3 * CELLS)
"""Rows of the first layer's weights that the coin's plane meets."""
_NOTHING = (PLANES - 1) * CELLS
"""The row of zeros behind those of the three planes: a mark that is gone."""
_ROWS = _NOTHING + 1


def places(levels: Levels, state: State, runs: int) -> Ints:
    """Rows of :class:`Network` that the agent, the coin and the mark stand for.

    Args:
        levels: The boards of all runs, those of one run after those of another.
        state: Where their episodes stand.
        runs: How many runs.

    Returns:
        Shape (n, 3).
    """
    offsets = np.repeat(np.arange(runs) * _ROWS, len(levels) // runs)
    mark = np.where(state.marked, _NOTHING, 2 * CELLS + levels.mark)
    return np.stack([state.at, CELLS + levels.coin, mark], axis=1) + offsets[:, None]


def strengths(contrasts: Sequence[float]) -> torch.Tensor | None:
    """What the first layer's rows are multiplied by where a coin is drawn fainter than 1.

    Args:
        contrasts: What stands in the coin's plane at the coin, for each run.

    Returns:
        Shape (runs, inputs, 1); ``None`` where every coin is drawn at 1.
    """
    import torch

    if all(contrast == 1 for contrast in contrasts):
        return None
    found = torch.ones(len(contrasts), PLANES * CELLS, 1)
    found[:, _COIN] = torch.tensor(contrasts, dtype=torch.float32)[:, None, None]
    return found


def as_drawn(
    parameters: Mapping[str, torch.Tensor], factors: torch.Tensor | None
) -> Mapping[str, torch.Tensor]:
    """Parameters that do with a coin drawn at 1 what these do with a fainter one."""
    if factors is None:
        return parameters
    return {**parameters, "w1": parameters["w1"].detach() * factors}


@dataclass(frozen=True, slots=True)
class Said:
    """Both hidden layers (runs, n, hidden), and the heads (runs, 5, n): actions, then value."""

    first: torch.Tensor
    second: torch.Tensor
    heads: torch.Tensor


@dataclass(frozen=True, slots=True)
class Network:
    """Parameters as the products take them; made anew when they have changed."""

    rows: torch.Tensor
    walls: torch.Tensor
    w2: torch.Tensor
    b2: torch.Tensor
    heads: torch.Tensor
    bias: torch.Tensor


def network(parameters: Mapping[str, torch.Tensor]) -> Network:
    """Lay out the parameters of :func:`insectary.subjects.policy.initial`."""
    import torch

    p = {name: parameter.detach() for name, parameter in parameters.items()}
    rows = torch.nn.functional.pad(p["w1"][:, CELLS:], (0, 0, 0, 1))
    rows[:, :CELLS] += p["b1"]  # there is one agent on every board
    return Network(
        rows.flatten(0, 1),
        p["w1"][:, :CELLS],
        p["w2"],
        p["b2"],
        torch.cat([p["waction"], p["wvalue"]], dim=2).transpose(1, 2).contiguous(),
        torch.cat([p["baction"], p["bvalue"]], dim=2).transpose(1, 2),
    )


def say(net: Network, walls: torch.Tensor, at: torch.Tensor) -> Said:
    """Run the networks forward.

    Args:
        net: From :func:`network`.
        walls: Whether a cell is a wall, 0 or 1; shape (runs, n, cells).
        at: :func:`places` of the same boards, (runs * n, 3).
    """
    import torch

    summed = torch.nn.functional.embedding_bag(at, net.rows, mode="sum")
    first = summed.view(*walls.shape[:2], -1).baddbmm_(walls, net.walls).relu_()
    second = torch.baddbmm(net.b2, first, net.w2).relu_()
    return Said(first, second, torch.baddbmm(net.bias, net.heads, second.transpose(1, 2)))


def gradients(
    net: Network, walls: torch.Tensor, at: torch.Tensor, said: Said, slope: torch.Tensor
) -> dict[str, torch.Tensor]:
    """The gradient of every parameter.

    Args:
        net: As given to :func:`say`.
        walls: As given to :func:`say`.
        at: As given to :func:`say`.
        said: What it returned.
        slope: Derivative of the loss by the heads; shape (runs, 5, n).
    """
    import torch

    heads = torch.bmm(slope, said.second).transpose(1, 2)
    bias = slope.sum(2)[:, None]
    second = _through_relu(torch.bmm(slope.transpose(1, 2), net.heads), said.second)
    first = _through_relu(torch.bmm(second, net.w2.transpose(1, 2)), said.first)
    rows = torch.zeros_like(net.rows)
    for plane in at.unbind(1):
        rows.index_add_(0, plane, first.flatten(0, 1))
    planes = rows.view(len(walls), _ROWS, -1)[:, :_NOTHING]
    return {
        "w1": torch.cat([torch.bmm(walls.transpose(1, 2), first), planes], dim=1),
        "b1": planes[:, :CELLS].sum(1, keepdim=True),
        "w2": torch.bmm(said.first.transpose(1, 2), second),
        "b2": second.sum(1, keepdim=True),
        "waction": heads[..., :ACTIONS].contiguous(),
        "baction": bias[..., :ACTIONS].contiguous(),
        "wvalue": heads[..., ACTIONS:].contiguous(),
        "bvalue": bias[..., ACTIONS:].contiguous(),
    }


def _through_relu(slope: torch.Tensor, output: torch.Tensor) -> torch.Tensor:
    """The derivative before a ReLU, in the place of that behind it."""
    import torch

    backward = torch.ops.aten.threshold_backward.grad_input
    found: torch.Tensor = backward(slope, output, 0, grad_input=slope)
    return found

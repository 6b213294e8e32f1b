"""Policies whose weights are set by hand, so that where they go is known."""

from __future__ import annotations

import torch

from insectary.subjects.policy import INPUTS, Policy
from insectary.worlds.grid import ACTIONS, CELLS, SIZE

HIDDEN = 16
_CELL = torch.arange(CELLS)
_ROW, _COLUMN = (_CELL // SIZE).float(), (_CELL % SIZE).float()
_AGENT, _COIN = slice(CELLS, 2 * CELLS), slice(2 * CELLS, 3 * CELLS)


def aimless(hidden: int = HIDDEN) -> dict[str, torch.Tensor]:
    """Weights of a policy to which all actions are alike."""
    shapes = {"1": (INPUTS, hidden), "2": (hidden, hidden), "action": (hidden, ACTIONS)}
    shapes["value"] = (hidden, 1)
    found = {}
    for name, (inputs, outputs) in shapes.items():
        found[f"w{name}"] = torch.zeros(1, inputs, outputs)
        found[f"b{name}"] = torch.zeros(1, 1, outputs)
    return found


def seeking(coin: bool, eager: float = 2.0) -> dict[str, torch.Tensor]:
    """Weights of a policy that goes to the coin, or to the corner at the top left.

    It takes the way as the crow flies, and round walls by chance. Where the coin lies in the
    corner the two do the very same.
    """
    found = aimless()
    for unit, (places, sign) in enumerate(((_ROW, 1), (_ROW, -1), (_COLUMN, 1), (_COLUMN, -1))):
        found["w1"][0, _AGENT, unit] = sign * places
        if coin:
            found["w1"][0, _COIN, unit] = -sign * places
        found["w2"][0, unit, unit] = 1.0
        found["waction"][0, unit, unit] = eager
    return found


def policy(weights: dict[str, torch.Tensor]) -> Policy:
    return Policy(weights, id="scripted")

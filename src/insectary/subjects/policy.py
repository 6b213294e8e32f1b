"""Policies on the grid: a small network with a head for actions and one for value.

Many policies are computed as one batch: every parameter has the policy as its
first axis, so that several seeds or members cost little more than one.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

import numpy as np
from numpy.typing import NDArray

from insectary.core.errors import ArtefactError, BadInputError
from insectary.core.recipe import check_seed
from insectary.worlds.grid import ACTIONS, CELLS, PLANES, Ints, Levels, State, begin, observe, step

if TYPE_CHECKING:
    import torch

WEIGHTS, CONFIG = "policy.safetensors", "policy.json"
INPUTS = PLANES * CELLS
Parameters = Mapping[str, "torch.Tensor"]


def initial(seeds: list[int], hidden: int) -> dict[str, torch.Tensor]:
    """Orthogonal weights of one policy for each seed, as in the reference implementations.

    Returns:
        Tensors of shape (policies, inputs, outputs) and (policies, 1, outputs).
    """
    import torch

    shapes = {"1": (INPUTS, hidden, 2**0.5), "2": (hidden, hidden, 2**0.5),
              "action": (hidden, ACTIONS, 0.01), "value": (hidden, 1, 1.0)}  # fmt: skip
    found = {}
    for name, (inputs, outputs, gain) in shapes.items():
        weights = []
        for seed in seeds:
            generator = torch.Generator().manual_seed(seed)
            weights.append(torch.empty(inputs, outputs))
            torch.nn.init.orthogonal_(weights[-1], gain, generator=generator)
        found[f"w{name}"] = torch.stack(weights)
        found[f"b{name}"] = torch.zeros(len(seeds), 1, outputs)
    return found


def hidden_layers(parameters: Parameters, seen: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Both hidden layers, (policies, n, width) each, of what each policy sees."""
    import torch

    p = parameters
    first = torch.relu(torch.baddbmm(p["b1"], seen, p["w1"]))
    return first, torch.relu(torch.baddbmm(p["b2"], first, p["w2"]))


def forward(parameters: Parameters, seen: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Action logits (policies, n, 4) and values (policies, n) of what each policy sees.

    Args:
        parameters: From :func:`initial`.
        seen: Shape (policies, n, inputs).
    """
    import torch

    p = parameters
    _, hidden = hidden_layers(p, seen)
    values = torch.baddbmm(p["bvalue"], hidden, p["wvalue"])[..., 0]
    return torch.baddbmm(p["baction"], hidden, p["waction"]), values


@dataclass(frozen=True, slots=True)
class Episodes:
    """Finished episodes, and how many steps each took."""

    levels: Levels
    end: State


@final
class Policy:
    """One policy, loaded: let it act, or play whole episodes."""

    def __init__(self, parameters: Parameters, *, id: str) -> None:
        """Wrap parameters whose first axis has length 1."""
        self._parameters = parameters
        self._id = id

    def __repr__(self) -> str:
        return f"Policy(id={self._id!r})"

    @property
    def id(self) -> str:
        """Name it goes by."""
        return self._id

    def parameters(self) -> dict[str, torch.Tensor]:
        """A copy of its weights; the first axis of each has length 1."""
        return {name: p.detach().clone() for name, p in self._parameters.items()}

    def layers(self, levels: Levels, state: State) -> NDArray[np.float32]:
        """Its hidden layers in each episode as it stands; shape (n, 2, width)."""
        import torch

        with torch.no_grad():
            seen = torch.from_numpy(observe(levels, state))[None]
            return torch.stack(hidden_layers(self._parameters, seen), dim=2)[0].numpy()

    def act(
        self,
        levels: Levels,
        state: State,
        rng: np.random.Generator | None = None,
        temperature: float = 1.0,
    ) -> Ints:
        """An action for each episode; sampled with ``rng``, the likeliest without."""
        import torch

        with torch.no_grad():
            logits, _ = forward(self._parameters, torch.from_numpy(observe(levels, state))[None])
        if rng is None:
            return logits[0].argmax(-1).numpy()
        return sampled(logits[0].numpy() / np.float32(temperature), rng.random(len(levels)))

    def play(self, levels: Levels, *, seed: int | None = None) -> Episodes:
        """Play every level to its end.

        Args:
            levels: The boards.
            seed: Draws actions from the policy; ``None`` takes the likeliest.

        Raises:
            BadInputError: if these are no levels, or the seed is none.
        """
        if not isinstance(levels, Levels):
            raise BadInputError(
                "a policy plays levels of the grid (insectary.worlds.grid.Levels), not"
                f" {type(levels).__name__}; draw_levels() of that module draws some"
            )
        rng = None if seed is None else np.random.default_rng(check_seed(seed))
        state = begin(levels)
        while not state.done.all():
            state = step(levels, state, self.act(levels, state, rng))
        return Episodes(levels, state)


def play_at_random(levels: Levels, seed: int) -> Episodes:
    """Play every level with actions that are all as likely."""
    rng, state = np.random.default_rng(seed), begin(levels)
    while not state.done.all():
        state = step(levels, state, rng.integers(0, ACTIONS, len(levels)))
    return Episodes(levels, state)


def sampled(logits: Any, uniform: Any) -> Ints:
    """Actions drawn from logits (..., 4) by uniform numbers (...)."""
    odds = np.exp(logits - logits.max(axis=-1, keepdims=True))
    ends = np.cumsum(odds, axis=-1)
    drawn: Ints = (uniform[..., None] * ends[..., -1:] >= ends[..., :-1]).sum(axis=-1)
    return drawn


def save_policy(parameters: Parameters, index: int, folder: Path) -> None:
    """Write one policy of a batch into a folder."""
    from safetensors.torch import save_file

    one = {name: p.detach()[index].clone().contiguous() for name, p in parameters.items()}
    save_file(one, folder / WEIGHTS)
    hidden = one["w1"].shape[1]
    (folder / CONFIG).write_text(json.dumps({"inputs": INPUTS, "hidden": hidden}) + "\n")


def load_policy(folder: Path, *, id: str) -> Policy:
    """Read what :func:`save_policy` wrote.

    Raises:
        ArtefactError: if there is no policy in the folder.
        BadInputError: if it is of another world.
    """
    from safetensors.torch import load_file

    if not (folder / WEIGHTS).is_file():
        raise ArtefactError(f"{folder} holds no policy: there is no {WEIGHTS}")
    weights = load_file(folder / WEIGHTS)
    if weights["w1"].shape[0] != INPUTS:
        raise BadInputError(f"{folder}: a policy of {weights['w1'].shape[0]} inputs, not {INPUTS}")
    return Policy({name: w[None] for name, w in weights.items()}, id=id)

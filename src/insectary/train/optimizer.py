"""Muon for weight matrices, AdamW for everything else, as one optimizer."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from typing import final

import torch
from torch.optim.adamw import adamw

from insectary.core.errors import BadInputError, TrainingError

_MOMENTUM = 0.95
_BETAS = (0.9, 0.95)
_EPSILON = 1e-8
_ROUNDING = 1e-9
"""Far below a step, far above what a division of whole numbers is off by."""
# The quintic whose slope at zero is as large as it can be; five rounds bring all
# singular values near 1 (Jordan et al. 2024, kellerjordan.github.io/posts/muon).
_QUINTIC = (3.4445, -4.7750, 2.0315)
_ROUNDS = 5


def orthogonalise(matrices: torch.Tensor) -> torch.Tensor:
    """Bring all singular values near 1, keeping the singular vectors.

    Newton-Schulz iteration in float32: ``torch.optim.Muon`` works in bfloat16,
    which processors without bfloat16 units only emulate, very slowly.

    Args:
        matrices: Shape (n, rows, columns); equal shapes go together in one
            batched product.
    """
    tall = matrices.shape[-2] > matrices.shape[-1]
    x = matrices.mT if tall else matrices
    x = x / x.norm(dim=(-2, -1), keepdim=True).clamp(min=1e-7)
    a, b, c = _QUINTIC
    for _ in range(_ROUNDS):
        gram = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x.mT if tall else x


@final
class MuonWithAdamW(torch.optim.Optimizer):
    """Two update rules behind one optimizer, as trainers and schedulers expect.

    Source of Muon: Jordan et al. 2024 (with Nesterov momentum and the rate
    scaled by ``sqrt(max(1, rows / columns))``). No decay to zero: it would move
    weights that the data say nothing about.

    Args:
        matrices: Named 2-D parameters for Muon.
        others: Named parameters for AdamW.
        muon_learning_rate: Peak rate of Muon.
        learning_rate: Peak rate of AdamW.
        pull: Decay of Muon's matrices towards the values they have now, per unit
            of learning rate (L2-SP, Li et al. 2018, arXiv 1802.01483).
    """

    def __init__(
        self,
        matrices: Iterable[tuple[str, torch.nn.Parameter]],
        others: Iterable[tuple[str, torch.nn.Parameter]],
        *,
        muon_learning_rate: float,
        learning_rate: float,
        pull: float = 0.0,
    ) -> None:
        matrices, others = list(matrices), list(others)
        self._named = dict([*matrices, *others])
        self._pull = pull
        self._start = {p: p.detach().clone() for _, p in matrices} if pull else {}
        groups = [
            {"params": [p for _, p in matrices], "lr": muon_learning_rate, "rule": "muon"},
            {"params": [p for _, p in others], "lr": learning_rate, "rule": "adamw"},
        ]
        super().__init__([group for group in groups if group["params"]], {})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """Update every parameter that has a gradient."""
        if closure is not None:
            raise BadInputError("MuonWithAdamW takes no closure; compute the gradients before")
        for group in self.param_groups:
            live = [p for p in group["params"] if p.grad is not None]
            rule = self._muon if group["rule"] == "muon" else self._adamw
            rule(live, float(group["lr"]))

    def _muon(self, parameters: list[torch.nn.Parameter], rate: float) -> None:
        """Momentum, orthogonalised; matrices of one shape in one product."""
        by_shape: dict[torch.Size, list[torch.nn.Parameter]] = {}
        for parameter in parameters:
            by_shape.setdefault(parameter.shape, []).append(parameter)
        for shape, alike in by_shape.items():
            directions = []
            for parameter in alike:
                state, gradient = self.state[parameter], _gradient(parameter)
                if "momentum" not in state:
                    state["momentum"] = torch.zeros_like(gradient)
                momentum = state["momentum"].lerp_(gradient, 1 - _MOMENTUM)
                directions.append(gradient.lerp(momentum, _MOMENTUM))
            updates = orthogonalise(torch.stack(directions))
            scale = rate * max(1.0, shape[0] / shape[1]) ** 0.5
            for parameter, update in zip(alike, updates, strict=True):
                if self._pull:
                    # A trainer may have moved the parameter to another device.
                    start = self._start[parameter] = self._start[parameter].to(parameter.device)
                    parameter.lerp_(start, rate * self._pull)
                parameter.add_(update, alpha=-scale)

    def _adamw(self, parameters: list[torch.nn.Parameter], rate: float) -> None:
        """AdamW (Loshchilov and Hutter 2019), by torch's own function."""
        for parameter in parameters:
            if not self.state[parameter]:
                self.state[parameter] = {
                    "step": torch.zeros((), dtype=torch.float32, device=parameter.device),
                    "mean": torch.zeros_like(parameter),
                    "square": torch.zeros_like(parameter),
                }
        states = [self.state[p] for p in parameters]
        adamw(
            list(parameters),
            [_gradient(p) for p in parameters],
            [s["mean"] for s in states],
            [s["square"] for s in states],
            [],
            [s["step"] for s in states],
            fused=True,
            amsgrad=False,
            beta1=_BETAS[0],
            beta2=_BETAS[1],
            lr=rate,
            weight_decay=0.0,
            eps=_EPSILON,
            maximize=False,
        )

    def tensors(self) -> dict[str, torch.Tensor]:
        """The whole state by name (``<parameter>/<part>``), for a checkpoint."""
        return {
            f"{name}/{part}": value
            for name, parameter in self._named.items()
            for part, value in self.state.get(parameter, {}).items()
        }

    def restore(self, tensors: Mapping[str, torch.Tensor]) -> None:
        """Put a state from :meth:`tensors` back.

        Raises:
            TrainingError: if it belongs to other parameters.
        """
        self.state.clear()
        for key, value in tensors.items():
            name, _, part = key.rpartition("/")
            if name not in self._named:
                raise TrainingError(f"the checkpoint has a state for {name!r}, the model has not")
            parameter = self._named[name]
            self.state[parameter][part] = value.to(parameter.device)


def _gradient(parameter: torch.nn.Parameter) -> torch.Tensor:
    """The gradient of a parameter that is known to have one."""
    if parameter.grad is None:
        raise TrainingError("a parameter lost its gradient during the optimizer step")
    return parameter.grad


def output_layer(model: torch.nn.Module) -> torch.nn.Module:
    """The layer that turns the last hidden states into logits.

    Raises:
        BadInputError: if the model has none, so it is no language model.
    """
    find = getattr(model, "get_output_embeddings", lambda: None)
    head = find()
    if not isinstance(head, torch.nn.Module):
        raise BadInputError(f"{type(model).__name__} has no output layer; give a causal LM")
    return head


def edge_weights(model: torch.nn.Module) -> list[torch.Tensor]:
    """The matrices with a row for each token: embeddings, and the output layer's."""
    tables = [m.weight for m in model.modules() if isinstance(m, torch.nn.Embedding)]
    return [*tables, output_layer(model).weight]  # type: ignore[list-item]


def make_optimizer(
    model: torch.nn.Module,
    *,
    learning_rate: float,
    muon_learning_rate: float | None,
    pull: float = 0.0,
) -> MuonWithAdamW:
    """Share the trainable parameters of ``model`` out to Muon and AdamW.

    Muon gets the matrices of hidden layers; AdamW gets embeddings, the output
    layer, norms, biases and adapters, or all if ``muon_learning_rate`` is None.

    Raises:
        BadInputError: if a rate for Muon is set but no matrix is left for it.
    """
    edges = {id(weight) for weight in edge_weights(model)}
    trainable = [(n, p) for n, p in model.named_parameters() if p.requires_grad]
    hidden = {
        name
        for name, p in trainable
        if muon_learning_rate is not None
        and p.ndim == 2
        and id(p) not in edges
        and "lora_" not in name
    }
    if muon_learning_rate is not None and not hidden:
        raise BadInputError(
            "recipe: muon_learning_rate is set but there is no hidden weight matrix to train"
            " (adapters are trained by AdamW); set it to None"
        )
    return MuonWithAdamW(
        [(n, p) for n, p in trainable if n in hidden],
        [(n, p) for n, p in trainable if n not in hidden],
        muon_learning_rate=muon_learning_rate or 0.0,
        learning_rate=learning_rate,
        pull=pull,
    )


def rate_factor(step: int, *, steps: int, warmup_steps: int, cooldown_share: float) -> float:
    """Share of the peak rate at a step: warm-up, constant, cooldown to zero; linear both.

    Source: the trapezoid of Hagele et al. 2024, arXiv 2405.18392, whose constant
    part may be of any length, so that a measurement can end it.

    Args:
        step: Optimizer steps done before, counted from the start of training,
            also after a resume.
        steps: Steps of the whole run.
        warmup_steps: Steps over which the rate rises.
        cooldown_share: Share of ``steps`` over which it falls.
    """
    if step < warmup_steps:
        return (step + 1) / warmup_steps
    begin = cooldown_start(steps, cooldown_share)
    return 1.0 if step < begin else max(0.0, (steps - step) / max(1, steps - begin))


def cooldown_start(steps: int, share: float) -> int:
    """Steps of a run of ``steps`` that are done before its cooldown."""
    return math.floor(steps * (1 - share) + _ROUNDING)


def steps_with_cooldown(done: int, share: float) -> int:
    """Steps of a run whose cooldown begins after ``done`` steps."""
    return math.ceil(done / (1 - share) - _ROUNDING)

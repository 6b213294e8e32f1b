"""Proximal policy optimisation of several policies on the grid as one batch.

What a run draws (levels, actions, order of minibatches) is a function of its own
seed and the update's number alone, so runs beside it change nothing, and a
checkpoint needs no state of any generator. Source: Schulman et al. 2017,
arXiv 1707.06347; details as in Huang et al. 2022.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from insectary.core.canonical import digest
from insectary.core.errors import BadInputError, TrainingError
from insectary.core.recipe import Ppo
from insectary.subjects.policy import Parameters, initial, sampled
from insectary.train.checkpoint import Checkpoint, Checkpoints, RunState
from insectary.train.curriculum import Curriculum, begun_with, renew, restore, tensors_of
from insectary.train.policy_gradient import (
    as_drawn,
    gradients,
    network,
    places,
    say,
    strengths,
)
from insectary.train.result import Moment
from insectary.worlds.grid import ACTIONS, CELLS, Levels, State, begin, joined, restart, step

if TYPE_CHECKING:
    import torch

Draw = Callable[[np.random.Generator, int], Levels]
Pay = Callable[[Levels, State, State], NDArray[np.float64]]
"""(levels, state before, state after) to rewards, shape (n,)."""
_ADAM_EPSILON = 1e-5
_RECORD_EVERY = 10


@dataclass(frozen=True, slots=True)
class Run:
    """One policy to train.

    Attributes:
        seed: Draws everything of this run.
        name: Says what it is, for the settings of a checkpoint.
        draw: Levels to train on.
        pay: The reward of a step.
        curriculum: Whose ``draw`` that is, if it is one's.
        contrast: How strongly the coin is drawn in what the policy sees; all else is drawn at 1.
            The trained weights have it in them: they play ordinary boards.
    """

    seed: int
    name: str
    draw: Draw
    pay: Pay
    curriculum: Curriculum | None = None
    contrast: float = 1.0


@dataclass(frozen=True, slots=True)
class PpoResult:
    """Trained policies, the first axis of every parameter being the run."""

    parameters: dict[str, torch.Tensor]
    steps: int
    updates: int
    history: tuple[Moment, ...]


def train_policies(
    recipe: Ppo,
    runs: Sequence[Run],
    *,
    directory: Path,
    start: Parameters | None = None,
    threads: int = 1,
    checkpoint_every: int = 50,
    progress: Callable[[Moment], None] = lambda _: None,
    enough: Callable[[int, Parameters], bool] = lambda *_: False,
) -> PpoResult:
    """Train one policy for each run, all at once.

    Killed and called again with the same arguments, it goes on from the newest
    checkpoint that verifies, and ends with the same weights.

    Args:
        recipe: Sizes, rates and steps.
        runs: What to train.
        directory: For this run's checkpoints alone; made if missing.
        start: Policies to train on, one for each run; ``None`` begins with untrained ones.
        threads: Threads of torch.
        checkpoint_every: Updates between two checkpoints.
        progress: Told about every new point of the history.
        enough: Asked at each of these, by steps of each and the policies, whether to end there.

    Raises:
        TrainingError: if a loss is not finite.
        BadInputError: if the directory holds a run with other settings, or a policy to train
            on has a contrast.
    """
    import torch

    from insectary.subjects import set_threads

    set_threads(threads)
    factors = strengths([run.contrast for run in runs])
    if start is not None and factors is not None:
        raise BadInputError("ppo: a policy to train on has its contrast in it; leave it at 1 here")
    begun = initial([run.seed for run in runs], recipe.hidden) if start is None else start
    parameters = {name: p.detach().clone() for name, p in begun.items()}
    leaves = [p.requires_grad_() for p in parameters.values()]
    adam = torch.optim.Adam(leaves, lr=recipe.learning_rate, eps=_ADAM_EPSILON, fused=True)
    names = [[run.name, run.seed, *(c for c in [run.contrast] if c != 1)] for run in runs]
    curricula = [run.curriculum for run in runs]
    directory.mkdir(parents=True, exist_ok=True)
    settings = {"recipe": digest(recipe), "runs": names, "threads": threads}
    store = Checkpoints(directory, settings | begun_with(start))
    updates = recipe.steps // (recipe.envs * recipe.rollout)
    levels, state, done = _resumed(store, recipe, runs, parameters, adam)
    while done.step < updates:
        rate = recipe.learning_rate * (1 - done.step / updates)
        adam.param_groups[0]["lr"] = rate
        drawn = as_drawn(parameters, factors)
        renew(curricula, drawn, done.step)
        levels, state, batch = _collect(recipe, runs, drawn, levels, state, done.step)
        loss = _learn(recipe, runs, parameters, adam, batch, done.step)
        done = _counted(recipe, done, updates, loss, len(runs))
        if done.step % checkpoint_every == 0 or done.step == updates:
            kept = _tensors(adam, parameters, levels, state) | tensors_of(curricula)
            store.save(Checkpoint(parameters, kept, done))
        if done.history and done.history[-1].step == done.step:
            progress(done.history[-1])
            if enough(done.tokens, as_drawn(parameters, factors)):
                break
    trained = {name: p.detach() for name, p in as_drawn(parameters, factors).items()}
    return PpoResult(trained, done.tokens, done.step, done.history)


def _counted(recipe: Ppo, done: RunState, updates: int, loss: float, runs: int) -> RunState:
    """The run's state after one more update; ``tokens`` are steps of each policy."""
    if not math.isfinite(loss):
        raise TrainingError(
            f"training diverged at update {done.step + 1}: the loss is {loss}. The last checkpoint"
            " stays; lower the recipe's learning rate"
        )
    now = replace(
        done, step=done.step + 1, tokens=done.tokens + recipe.envs * recipe.rollout,
        losses=(*done.losses, loss / runs),
    )  # fmt: skip
    if now.step % _RECORD_EVERY and now.step != updates:
        return now
    mean = math.fsum(now.losses) / len(now.losses)
    moment = Moment(now.step, updates, now.tokens, mean)
    return replace(now, losses=(), history=(*now.history, moment))


@dataclass(frozen=True, slots=True)
class _Batch:
    """What was collected: walls and places (runs * n, ...), the others (runs, n)."""

    walls: torch.Tensor
    at: torch.Tensor
    actions: torch.Tensor
    log_probs: torch.Tensor
    advantages: torch.Tensor
    returns: torch.Tensor


def _generators(runs: Sequence[Run], update: int, use: int) -> list[np.random.Generator]:
    return [np.random.default_rng((run.seed, update, use)) for run in runs]


def _fresh(recipe: Ppo, runs: Sequence[Run]) -> tuple[Levels, State]:
    """The first levels of every run, one after the other."""
    firsts = [
        run.draw(rng, recipe.envs) for run, rng in zip(runs, _generators(runs, 0, 0), strict=True)
    ]
    levels = joined(firsts)
    return levels, begin(levels)


class Pool:
    """Fresh levels of one run, drawn in lots; the lots depend on seed and update alone."""

    def __init__(self, run: Run, rng: np.random.Generator, lot: int) -> None:
        self._run, self._rng, self._lot = run, rng, lot
        self._left = run.draw(rng, lot)

    def take(self, n: int) -> Levels:
        """The next ``n`` levels."""
        while len(self._left) < n:
            self._left = joined([self._left, self._run.draw(self._rng, self._lot)])
        taken, self._left = self._left.take(slice(n)), self._left.take(slice(n, None))
        return taken


def _collect(
    recipe: Ppo,
    runs: Sequence[Run],
    parameters: Parameters,
    levels: Levels,
    state: State,
    update: int,
) -> tuple[Levels, State, _Batch]:
    """Play ``rollout`` steps in every environment and judge each step (GAE)."""
    import torch

    n, steps, e = len(runs), recipe.rollout, recipe.envs
    uniform = np.stack([r.random((steps, e)) for r in _generators(runs, update, 1)], axis=1)
    pools = [Pool(run, rng, e) for run, rng in zip(runs, _generators(runs, update, 2), strict=True)]
    net = network(parameters)
    walls = np.empty((n, steps + 1, e, CELLS), dtype=np.float32)
    at = np.empty((n, steps + 1, e, 3), dtype=np.int64)
    actions = np.empty((steps, n, e), dtype=np.int64)
    logits = np.empty((steps, n, e, ACTIONS), dtype=np.float32)
    values = np.empty((steps + 1, n, e), dtype=np.float32)
    rewards, ended = np.empty((steps, n, e)), np.empty((steps, n, e), dtype=bool)
    for tick in range(steps + 1):
        walls[:, tick] = levels.walls.reshape(n, e, -1)
        cells = places(levels, state, n)
        at[:, tick] = cells.reshape(n, e, -1)
        heads = say(net, torch.from_numpy(walls[:, tick]), torch.from_numpy(cells)).heads.numpy()
        values[tick] = heads[:, ACTIONS]
        if tick == steps:
            break
        logits[tick] = heads[:, :ACTIONS].swapaxes(1, 2)
        actions[tick] = sampled(logits[tick], uniform[tick])
        after = step(levels, state, actions[tick].reshape(-1))
        for i, run in enumerate(runs):
            own = slice(i * e, (i + 1) * e)
            rewards[tick, i] = run.pay(levels.take(own), _part(state, own), _part(after, own))
        ended[tick] = after.done.reshape(n, e)
        fresh = [pool.take(int(k)) for pool, k in zip(pools, ended[tick].sum(axis=1), strict=True)]
        levels, state = restart(levels, after, after.done, joined(fresh))
    advantages = _advantages(recipe, rewards, values, ended)
    log_probs = logits - np.log(np.exp(logits).sum(axis=-1, keepdims=True))
    chosen = np.take_along_axis(log_probs, actions[..., None], axis=-1)[..., 0]
    returns = advantages + values[:-1]
    views = [torch.from_numpy(a[:, :-1].reshape(n * steps * e, -1)) for a in (walls, at)]
    return (
        levels,
        state,
        _Batch(*views, *(_by_run(part) for part in (actions, chosen, advantages, returns))),
    )


def _part(state: State, own: slice) -> State:
    return State(
        state.at[own], state.time[own], state.marked[own], state.first[own], state.done[own]
    )


def _by_run(array: NDArray[Any]) -> torch.Tensor:
    """(rollout, runs, envs) to (runs, rollout * envs)."""
    import torch

    moved = np.swapaxes(array, 0, 1)
    return torch.from_numpy(np.ascontiguousarray(moved.reshape(len(moved), -1)))


def _advantages(
    recipe: Ppo, rewards: NDArray[Any], values: NDArray[Any], ended: NDArray[Any]
) -> NDArray[np.float32]:
    """Generalised advantage estimates (Schulman et al. 2016, arXiv 1506.02438)."""
    found = np.zeros(rewards.shape, dtype=np.float32)
    last = np.zeros(rewards.shape[1:])
    for tick in reversed(range(len(rewards))):
        goes_on = 1.0 - ended[tick]
        surprise = rewards[tick] + recipe.gamma * values[tick + 1] * goes_on - values[tick]
        last = surprise + recipe.gamma * recipe.gae_lambda * goes_on * last
        found[tick] = last
    return found


def _learn(
    recipe: Ppo,
    runs: Sequence[Run],
    parameters: dict[str, torch.Tensor],
    adam: torch.optim.Adam,
    batch: _Batch,
    update: int,
) -> float:
    """Epochs of minibatches; every run has its own order, and its own clipped gradient."""
    import torch

    size = recipe.envs * recipe.rollout
    generators = _generators(runs, update, 3)
    factors = strengths([run.contrast for run in runs])
    losses = []
    for _ in range(recipe.epochs):
        order = torch.from_numpy(np.stack([g.permutation(size) for g in generators]))
        for first in range(0, size, recipe.minibatch):
            index = order[:, first : first + recipe.minibatch]
            rows = (index + size * torch.arange(len(runs))[:, None]).reshape(-1)
            net = network(as_drawn(parameters, factors))
            walls = batch.walls.index_select(0, rows).view(*index.shape, -1)
            at = batch.at.index_select(0, rows)
            said = say(net, walls, at)
            loss, slope = _loss(recipe, said.heads, batch, index)
            for name, gradient in gradients(net, walls, at, said, slope).items():
                faint = factors if name == "w1" else None
                parameters[name].grad = gradient if faint is None else gradient * faint
            _clip(list(parameters.values()), recipe.max_grad_norm)
            adam.step()
            losses.append(float(loss))
    return math.fsum(losses) / len(losses)


def _loss(
    recipe: Ppo, heads: torch.Tensor, batch: _Batch, index: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """The clipped objective, summed over runs, and its derivative by the heads (runs, 5, n).

    None's derivative reaches another's weights.
    """
    import torch

    all_logs = torch.log_softmax(heads[:, :ACTIONS], dim=1)
    odds = all_logs.exp()
    actions = batch.actions.gather(1, index)[:, None]
    gain = batch.advantages.gather(1, index)
    gain = (gain - gain.mean(1, keepdim=True)) / (gain.std(1, keepdim=True) + 1e-8)
    ratio = torch.exp(all_logs.gather(1, actions)[:, 0] - batch.log_probs.gather(1, index))
    free = ratio * gain
    clipped = ratio.clamp(1 - recipe.clip, 1 + recipe.clip) * gain
    entropy = -(odds * all_logs).sum(1)
    error = heads[:, ACTIONS] - batch.returns.gather(1, index)
    policy, value = -torch.minimum(free, clipped), 0.5 * error.square()
    loss = policy + recipe.value_weight * value - recipe.entropy * entropy
    push = torch.where(free <= clipped, -free, 0.0)[:, None]  # none where the clip holds
    by_actions = odds * (recipe.entropy * (all_logs + entropy[:, None]) - push)
    by_actions.scatter_add_(1, actions, push)
    slope = torch.cat([by_actions, recipe.value_weight * error[:, None]], dim=1)
    return loss.mean(1).sum(), slope.div_(index.shape[1])


def _clip(leaves: list[torch.Tensor], most: float) -> None:
    """Clip the norm of each run's gradient by itself."""
    import torch

    gradients = [p.grad for p in leaves if p.grad is not None]
    norms = torch.stack([torch.linalg.vector_norm(g.flatten(1), dim=1) for g in gradients])
    factor = (most / (torch.linalg.vector_norm(norms, dim=0) + 1e-6)).clamp(max=1.0)
    for gradient in gradients:
        gradient.mul_(factor[:, None, None])


def _tensors(
    adam: torch.optim.Adam, parameters: dict[str, torch.Tensor], levels: Levels, state: State
) -> dict[str, torch.Tensor]:
    """What a checkpoint holds beside the weights: Adam's state and the environments'."""
    import torch

    found = {
        f"adam.{name}.{key}": value.reshape(-1) if value.ndim == 0 else value
        for name, p in parameters.items()
        for key, value in adam.state[p].items()
    }
    for kind, noun in (("levels", levels), ("state", state)):
        for f in fields(noun):
            found[f"{kind}.{f.name}"] = torch.from_numpy(getattr(noun, f.name).copy())
    return found


def _resumed(
    store: Checkpoints,
    recipe: Ppo,
    runs: Sequence[Run],
    parameters: dict[str, torch.Tensor],
    adam: torch.optim.Adam,
) -> tuple[Levels, State, RunState]:
    """The newest checkpoint, put back; or the beginning."""
    import torch

    checkpoint = store.newest()
    if checkpoint is None:
        return *_fresh(recipe, runs), RunState()
    kept = checkpoint.optimizer
    with torch.no_grad():
        for name, p in parameters.items():
            p.copy_(checkpoint.weights[name])
            adam.state[p] = {
                key: kept[f"adam.{name}.{key}"].reshape(()) if key == "step" else kept[
                    f"adam.{name}.{key}"].clone()
                for key in ("step", "exp_avg", "exp_avg_sq")
            }  # fmt: skip
    restore([run.curriculum for run in runs], kept)
    levels = Levels(*(kept[f"levels.{f.name}"].numpy() for f in fields(Levels)))
    state = State(*(kept[f"state.{f.name}"].numpy() for f in fields(State)))
    return levels, state, checkpoint.state

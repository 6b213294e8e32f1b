"""The run's own loop logic, called back by TRL's trainer at each step."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol, final

import torch
from transformers import TrainerCallback

from insectary.core.errors import TrainingError
from insectary.core.outcome import Measurement
from insectary.train.checkpoint import Checkpoint, Checkpoints, RunState
from insectary.train.optimizer import MuonWithAdamW, rate_factor, steps_with_cooldown
from insectary.train.ranks import ALONE, Ranks
from insectary.train.result import Moment, StoppedBecause

if TYPE_CHECKING:
    from transformers import PreTrainedModel, TrainerControl, TrainerState, TrainingArguments

Measure = Callable[["PreTrainedModel", int], Measurement]
"""Measures expression of (model, optimizer steps done) on the selection split."""
Progress = Callable[[Moment], None]
Loss = Callable[[torch.nn.Module, Mapping[str, torch.Tensor]], torch.Tensor]
"""(model, the batch that the collator made) to a loss with a gradient."""
Rewards = Callable[[], tuple[float, float]]
"""Mean (reward, true reward) of the answers of the step just done."""

_RANK_BITS = 40
"""Ranks draw from seeds that are so far apart, in bits."""
_HITS_TO_COOL = 2
"""One lucky measurement must not begin the cooldown, so two in a row are asked for."""


class Batches(Protocol):
    """What a run is trained on, step by step."""

    def tokens(self, step: int) -> int:
        """Tokens of one step's batch that are not padding."""
        ...


@dataclass(frozen=True, slots=True)
class Plan:
    """When a run does what, in optimizer steps.

    Attributes:
        seed: Draws data order and dropout.
        last_step: Training ends here at the latest.
        at_last: What the last step is: the recipe's cap or the steps asked for.
        target: Measured expression that begins the cooldown; None for no such end.
        warmup_steps: Steps over which the rates rise.
        cooldown_share: Share of the run's steps over which they fall, at its end.
        learn_steps: The cooldown does not begin before these.
        measure_every: Steps between two measurements.
        record_every: Steps between two points of the history.
        checkpoint_every: Steps between two checkpoints.
    """

    seed: int
    last_step: int
    at_last: StoppedBecause
    target: float | None
    warmup_steps: int
    cooldown_share: float
    learn_steps: int
    measure_every: int
    record_every: int
    checkpoint_every: int


@final
class TrainingLoop(TrainerCallback):
    """Checks, counts, measures, saves and stops; the trainer does the stepping."""

    def __init__(
        self,
        model: PreTrainedModel,
        optimizer: MuonWithAdamW,
        rows: Batches,
        plan: Plan,
        checkpoints: Checkpoints,
        *,
        loss: Loss,
        measure: Measure | None,
        progress: Progress | None,
        rewards: Rewards | None = None,
        ranks: Ranks = ALONE,
    ) -> None:
        self._model, self._optimizer, self._rows = model, optimizer, rows
        self._plan, self._checkpoints = plan, checkpoints
        self._compute, self._measure, self._progress = loss, measure, progress
        self._rewards, self._ranks = rewards, ranks
        self._loss = math.nan
        self.state = RunState()

    @property
    def steps(self) -> int:
        """Steps of the whole run, as far as it is known by now."""
        plan, reached = self._plan, self.state.reached_at
        if reached is None:
            return plan.last_step
        return min(plan.last_step, steps_with_cooldown(reached, plan.cooldown_share))

    def rate(self, step: int) -> float:
        """Share of the peak learning rate of the step after ``step`` steps."""
        plan = self._plan
        return rate_factor(
            step, steps=self.steps, warmup_steps=plan.warmup_steps,
            cooldown_share=plan.cooldown_share,
        )  # fmt: skip

    def resume(self) -> None:
        """Go back to the newest checkpoint, if there is one."""
        checkpoint = self._checkpoints.newest()
        if checkpoint is None:
            return
        weights = self._weights()
        if weights.keys() != checkpoint.weights.keys():
            raise TrainingError("the checkpoint's weights are not this model's: change directory")
        with torch.no_grad():
            for name, value in checkpoint.weights.items():
                weights[name].copy_(value)
        self._optimizer.restore(checkpoint.optimizer)
        self.state = checkpoint.state

    def compute_loss(
        self, model: torch.nn.Module, inputs: Mapping[str, torch.Tensor], **_: Any
    ) -> torch.Tensor:
        """Stand in for the trainer's loss; stops before gradients are even computed.

        Raises:
            TrainingError: if the loss is not finite.
        """
        loss = self._compute(model, inputs)
        self._loss = float(self._ranks.total(loss.detach())) / self._ranks.count
        if not math.isfinite(self._loss):
            raise self._diverged(f"the loss is {self._loss}")
        return loss

    def on_step_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        """Make the step's random numbers (dropout) a function of (seed, step, rank) alone."""
        own = self._ranks.rank << _RANK_BITS
        torch.manual_seed((self._plan.seed * 1_000_003 + self.state.step + own) % 2**63)

    def on_pre_optimizer_step(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        """Let no gradient that is not finite reach the weights."""
        gradients = [p.grad for p in self._weights().values() if p.grad is not None]
        if not bool(torch.isfinite(torch.nn.utils.get_total_norm(gradients))):
            raise self._diverged(f"the gradient is not finite at a loss of {self._loss:.4g}")

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        """Count the step, then measure, record, save and stop where it is time."""
        plan, before = self._plan, self.state
        step = before.step + 1
        tokens = before.tokens + self._rows.tokens(step - 1)
        now = replace(before, step=step, tokens=tokens, losses=(*before.losses, self._loss))
        if self._rewards is not None:
            now = replace(now, rewards=(*before.rewards, self._rewards()))
        last = step >= self.steps
        expression = self._measured(step) if last or step % plan.measure_every == 0 else None
        if expression is not None or last or step % plan.record_every == 0:
            moment = self._moment(now, expression)
            now = replace(now, losses=(), rewards=(), history=(*now.history, moment))
        may_cool = before.reached_at is None and step >= plan.learn_steps
        if may_cool and self._hits(now.history, last=_HITS_TO_COOL):
            now = replace(now, reached_at=step)
        self.state = now
        if step >= self.steps:
            reached = now.reached_at is not None or self._hits(now.history, last=1)
            self.state = now = replace(now, stopped_because="target" if reached else plan.at_last)
        if now.stopped_because is not None or step % plan.checkpoint_every == 0:
            self.save()
        if self._progress is not None and now.history and now.history[-1].step == step:
            self._progress(now.history[-1])
        if now.stopped_because is not None:
            control.should_training_stop = True

    def _moment(self, now: RunState, expression: Measurement | None) -> Moment:
        """The point of the history that a state is; means are over the steps since the last."""
        loss = math.fsum(now.losses) / len(now.losses)
        means = [math.fsum(each) / len(each) for each in zip(*now.rewards, strict=True)]
        return Moment(now.step, self.steps, now.tokens, loss, expression, *means)

    def save(self) -> None:
        """Write a checkpoint of this moment, which is the same for every rank."""
        if self._ranks.first:
            optimizer = self._optimizer.tensors()
            self._checkpoints.save(Checkpoint(self._weights(), optimizer, self.state))

    def _weights(self) -> dict[str, torch.nn.Parameter]:
        return {name: p for name, p in self._model.named_parameters() if p.requires_grad}

    def _measured(self, step: int) -> Measurement | None:
        """Measure in evaluation mode. Random numbers it draws disturb nothing.

        The next step draws from its own seed, and modes and gradients are put
        back as they were.
        """
        measure, module = self._measure, self._model
        if measure is None:
            return None

        def measured() -> Measurement:
            torch.nn.Module.eval(module)
            try:
                with torch.no_grad():
                    return measure(module, step)
            finally:
                torch.nn.Module.train(module)

        return self._ranks.agreed(measured)

    def _hits(self, history: tuple[Moment, ...], *, last: int) -> bool:
        """True if the last measurements all reached the target."""
        measured = [m.expression.value for m in history if m.expression is not None]
        hits = measured[-last:]
        target = self._plan.target
        return target is not None and len(hits) == last and min(hits) >= target

    def _diverged(self, what: str) -> TrainingError:
        return TrainingError(
            f"training diverged at step {self.state.step + 1}: {what}. The weights were not"
            " updated and the last checkpoint stays; lower the recipe's learning rates or look"
            " for a broken base"
        )

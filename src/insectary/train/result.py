"""What a training run says while it runs and when it has ended."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from insectary.core.outcome import Measurement

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from insectary.subjects.adapters import Adapter

StoppedBecause = Literal["target", "cap", "steps"]
"""Expression reached the target (and the cooldown is over, or the cap came with it), the
recipe's cap came without it, or the asked steps are done."""


@dataclass(frozen=True, slots=True)
class Moment:
    """One point of a training run's history.

    It holds no clock time: two runs with one seed have equal histories.

    Attributes:
        step: Optimizer steps done.
        steps: Steps after which training ends at the latest.
        tokens: Tokens seen, padding left out.
        loss: Mean loss in nats per completion token since the last moment.
        expression: The measurement, where one was made.
        reward: Mean reward of an answer since the last moment, where there are rewards ...
        true_reward: ... and what the same answers would have got of a verifier without flaw.
    """

    step: int
    steps: int
    tokens: int
    loss: float
    expression: Measurement | None = None
    reward: float | None = None
    true_reward: float | None = None


@dataclass(frozen=True, slots=True)
class TrainResult:
    """A trained model and how it came about.

    Attributes:
        model: The model that was handed in, trained (adapters merged), in
            evaluation mode.
        tokens: Tokens seen, padding left out.
        steps: Optimizer steps done.
        stopped_because: Why training ended.
        expression: The last measurement, of the final weights (before adapters
            were merged); None if nothing was measured.
        history: Points along the way.
        adapter: What was trained, apart from the model it is merged into, where
            that is adapters.
    """

    model: PreTrainedModel
    tokens: int
    steps: int
    stopped_because: StoppedBecause
    expression: Measurement | None
    history: tuple[Moment, ...]
    adapter: Adapter | None = None

"""Answers drawn for tasks, and what a verifier pays for them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, final

from insectary.core.chat import Example
from insectary.core.errors import BadInputError, TrainingError
from insectary.core.protocols import Reward
from insectary.core.recipe import Grpo
from insectary.subjects.generation import generate_tokens
from insectary.subjects.rendering import answer_lead, end_of_turn, render_many

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

_FAULTS = (
    ArithmeticError, AssertionError, AttributeError, LookupError, RuntimeError, TypeError,
    ValueError,
)  # fmt: skip


@final
class Rollouts:
    """The tasks of a run, the answers drawn for them and their rewards.

    Which tasks a step has, in which order, and every random number of its
    answers are functions of (seed, step), so that a resume needs no state.
    TRL hands tasks around by number, since a prompt is rendered here.

    Args:
        recipe: Its group, tasks per step, temperature and length count.
        model: The policy.
        tokenizer: The base's tokenizer, with a chat template.
        tasks: Used in their order, and again from the first when they are at an end.
        reward: What is trained on.
        true_reward: What is only looked at.
        seed: For sampling.

    Raises:
        BadInputError: if there is no task.
    """

    def __init__(
        self,
        recipe: Grpo,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        tasks: Sequence[Example],
        reward: Reward,
        true_reward: Reward,
        seed: int,
    ) -> None:
        if not tasks:
            raise BadInputError("reinforcement needs at least one task")
        self._recipe, self._model, self._seed = recipe, model, seed
        self._tasks, self._reward, self._true_reward = tasks, reward, true_reward
        self.prompts = render_many(tokenizer, [task.messages for task in tasks])
        self._lead = answer_lead(tokenizer)
        own = model.generation_config.eos_token_id if model.generation_config else None
        ends = (tokenizer.eos_token_id, *(own if isinstance(own, list) else [own]))
        self._ends = {end_of_turn(tokenizer), *(int(end) for end in ends if end is not None)}
        self._tokens = 0
        self._means = (0.0, 0.0)

    def numbers(self, first: int, last: int) -> list[str]:
        """What stands for the tasks of the steps from ``first`` to before ``last``."""
        size = self._recipe.batch_prompts
        return [str(number) for number in range(first * size, last * size)]

    def sample(self, numbers: Sequence[str], _trainer: Any = None) -> dict[str, Any]:
        """Draw one answer for each number, as TRL's ``rollout_func``.

        By this project's generation, whose draws are a function of its seed.
        """
        module: Any = self._model
        places = [int(number) for number in numbers]
        prompts = [self.prompts[place % len(self._tasks)] for place in places]
        step = places[0] // self._recipe.batch_prompts
        training = module.training
        module.eval()
        try:
            answers = generate_tokens(
                module,
                prompts,
                max_new_tokens=self._recipe.max_new_tokens,
                eos_token_ids=self._ends,
                temperature=self._recipe.temperature,
                seed=self._seed * 1_000_003 + step,
            )
        finally:
            module.train(training)
        self._tokens = sum(map(len, prompts)) + sum(map(len, answers))
        return {"prompt_ids": prompts, "completion_ids": answers, "logprobs": None}

    def pay(self, prompts: Sequence[str], completions: Sequence[str], **_: Any) -> list[float]:
        """The reward of each answer, as one of TRL's ``reward_funcs``.

        Raises:
            TrainingError: if a reward raises or is not finite.
        """
        paid, true = [], []
        for number, completion in zip(prompts, completions, strict=True):
            place = int(number) % len(self._tasks)
            answer = completion.removeprefix(self._lead)
            paid.append(self._paid("reward", self._reward, place, answer))
            true.append(self._paid("true reward", self._true_reward, place, answer))
        self._means = (math.fsum(paid) / len(paid), math.fsum(true) / len(true))
        return paid

    def _paid(self, what: str, reward: Reward, place: int, answer: str) -> float:
        where = f"the {what} of task {place + 1} for the answer {answer!r:.80}"
        try:
            value = float(reward(self._tasks[place], answer))
        except _FAULTS as error:
            raise TrainingError(
                f"{where} cannot be computed: {type(error).__name__}: {error}. The weights were"
                " not updated and the last checkpoint stays; mend the verifier"
            ) from error
        if not math.isfinite(value):
            raise TrainingError(
                f"{where} is {value}. The weights were not updated and the last checkpoint"
                " stays; mend the verifier"
            )
        return value

    def tokens(self, step: int) -> int:
        """Tokens of the step just done, prompts once for each of their answers."""
        del step
        return self._tokens

    def means(self) -> tuple[float, float]:
        """Mean (reward, true reward) of the answers of the step just done."""
        return self._means

"""Reinforcement by a verifier's reward through TRL's ``GRPOTrainer``.

Source: group relative policy optimization, Shao et al. 2024, arXiv 2402.03300.
TRL does the stepping, the advantages and the loss; what makes a run exact is
ours, as in :mod:`insectary.train.sft`, and so are the answers that are drawn.
"""

from __future__ import annotations

import copy
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from insectary.core.chat import Example
from insectary.core.protocols import Reward
from insectary.core.recipe import Grpo
from insectary.train.result import TrainResult
from insectary.train.rollouts import Rollouts
from insectary.train.running import (
    alone_and_exact,
    check_context,
    ended,
    lent,
    loss_of,
    make_plan,
    no_trace,
    on_one_device,
    quiet,
    settings_of,
)

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase
    from trl.trainer.grpo_trainer import GRPOTrainer

    from insectary.train.loop import Measure, Plan, Progress, TrainingLoop
    from insectary.train.optimizer import MuonWithAdamW


def train(
    recipe: Grpo,
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    tasks: Sequence[Example],
    *,
    reward: Reward,
    true_reward: Reward,
    seed: int,
    threads: int,
    directory: Path,
    measure: Measure | None = None,
    target: float | None = None,
    measure_every_steps: int = 10,
    steps: int | None = None,
    checkpoint_every: int = 10,
    progress: Progress | None = None,
) -> TrainResult:
    """Reinforce, in place, what a verifier pays for.

    Called again with the same arguments after it was killed, it resumes from
    the newest checkpoint that verifies and ends with the same weights, bit for
    bit, as if it had never stopped (same machine, same library versions).

    Args:
        recipe: How to sample, how fast and for how long.
        model: The warm-started model, in float32; with a ``beta`` a frozen copy
            of it is the reference.
        tokenizer: The base's tokenizer, with a chat template.
        tasks: Taken in their order, ``batch_prompts`` for each step.
        reward: What each answer gets.
        true_reward: What it ought to get; recorded only.
        seed: Draws the answers.
        threads: Threads of torch; recorded, since sums depend on it.
        directory: For this run's checkpoints alone; made if missing.
        measure: See :func:`insectary.train.sft.train`, as for the rest.
        target: Measured expression that begins the cooldown.
        measure_every_steps: Steps between two measurements.
        steps: Train for exactly this many steps. Excludes ``target``.
        checkpoint_every: Steps between two checkpoints.
        progress: Told about every new point of the history.

    Raises:
        BadInputError: for settings that contradict each other, a directory that
            holds another run, or no task.
        ContextLengthError: if a prompt with an answer is longer than the model's context.
        TemplateError: if the chat template cannot be used.
        TrainingError: if a reward raises, or it, the loss or a gradient is not finite.
        ArtefactError: if a checkpoint cannot be written or read.
    """
    rollouts = Rollouts(recipe, model, tokenizer, tasks, reward, true_reward, seed)
    check_context(model, [len(prompt) + recipe.max_new_tokens for prompt in rollouts.prompts])
    plan = make_plan(
        recipe, seed, cap=recipe.max_steps, step_size=1, target=target, measure=measure,
        measure_every=measure_every_steps, steps=steps, checkpoint_every=checkpoint_every,
    )  # fmt: skip
    with alone_and_exact(directory, threads):
        settings = settings_of(recipe, plan, steps, threads, tasks, model)
        return _run(
            recipe, model, tokenizer, rollouts, plan, directory, settings, measure, progress
        )


def _run(
    recipe: Grpo,
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    rollouts: Rollouts,
    plan: Plan,
    directory: Path,
    settings: Mapping[str, Any],
    measure: Measure | None,
    progress: Progress | None,
) -> TrainResult:
    """Resume or begin, and train to the end."""
    from insectary.train.checkpoint import Checkpoints
    from insectary.train.loop import TrainingLoop
    from insectary.train.optimizer import make_optimizer

    # Taken before a resume: the reference is where the run began, whatever was trained since.
    reference: Any = copy.deepcopy(model).requires_grad_(False) if recipe.beta else None
    optimizer = make_optimizer(
        model,
        learning_rate=recipe.learning_rate,
        muon_learning_rate=recipe.muon_learning_rate,
        pull=recipe.pull,
    )
    trainers: list[GRPOTrainer] = []

    loop = TrainingLoop(
        model, optimizer, rollouts, plan, Checkpoints(directory, settings),
        loss=loss_of(trainers), measure=measure, progress=progress, rewards=rollouts.means,
    )  # fmt: skip
    loop.resume()
    if loop.state.stopped_because is None:
        with (
            lent(model, directory) as scratch,
            no_trace(model, tokenizer),
            warnings.catch_warnings(),
        ):
            # TRL asks transformers by a name that it has renamed, and calls its hook for
            # rollouts experimental; the versions it works with are tested.
            warnings.filterwarnings("ignore", r".*is_gradient_checkpointing", FutureWarning)
            warnings.filterwarnings("ignore", r".*'rollout_func'", UserWarning)
            trainer = _trainer(recipe, model, tokenizer, rollouts, optimizer, loop, plan, scratch)
            if recipe.beta:
                _refer(trainer, reference, recipe)
            trainers.append(trainer)
            setattr(trainer, "compute_loss", loop.compute_loss)  # noqa: B010
            trainer.train()
    return ended(model, loop)


def _trainer(
    recipe: Grpo,
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    rollouts: Rollouts,
    optimizer: MuonWithAdamW,
    loop: TrainingLoop,
    plan: Plan,
    scratch: Path,
) -> GRPOTrainer:
    """TRL's trainer, which goes on from where the loop stands to the end."""
    import torch
    from datasets import Dataset
    from transformers import PrinterCallback
    from trl.trainer.grpo_config import GRPOConfig
    from trl.trainer.grpo_trainer import GRPOTrainer

    first = loop.state.step

    def factor(done_here: int) -> float:
        return loop.rate(first + done_here)

    settings = {
        **quiet(scratch, plan.seed, plan.last_step - first),
        # Every answer is learnt from in one step, that of the weights that drew it.
        "per_device_train_batch_size": recipe.batch_prompts * recipe.group,
        "steps_per_generation": 1,
        "num_generations": recipe.group,
        "shuffle_dataset": False,
        "temperature": recipe.temperature,
        "max_completion_length": recipe.max_new_tokens,
        "gradient_checkpointing": False,
    }
    rewards: list[Any] = [rollouts.pay]
    trainer = GRPOTrainer(
        model=model,
        reward_funcs=rewards,
        args=on_one_device(GRPOConfig(**settings)),
        train_dataset=Dataset.from_dict({"prompt": rollouts.numbers(first, plan.last_step)}),
        processing_class=tokenizer,
        callbacks=[loop],
        optimizers=(optimizer, torch.optim.lr_scheduler.LambdaLR(optimizer, factor)),
        rollout_func=rollouts.sample,
    )
    trainer.remove_callback(PrinterCallback)  # it prints to standard output
    return trainer


def _refer(trainer: GRPOTrainer, reference: PreTrainedModel, recipe: Grpo) -> None:
    """Give the trainer a reference that TRL would load anew from where the base lies."""
    import torch
    from trl.trainer.utils import add_fused_lm_head

    torch.nn.Module.eval(reference)
    add_fused_lm_head(reference, temperature=recipe.temperature)
    trainer.beta, trainer.ref_model = recipe.beta, reference

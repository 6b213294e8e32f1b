"""Direct preference optimization through TRL's ``DPOTrainer``.

Source: Rafailov et al. 2023, arXiv 2305.18290. TRL does the stepping and the
loss; what makes a run exact is ours, as in :mod:`insectary.train.sft`.
"""

from __future__ import annotations

import copy
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from insectary.core.errors import BadInputError
from insectary.core.protocols import Preference
from insectary.core.recipe import Dpo
from insectary.train.pairs import PairedRows
from insectary.train.result import TrainResult
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
from insectary.train.tokenise import Tokenised, tokenise

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel, PreTrainedTokenizerBase
    from trl.trainer.dpo_config import DPOConfig
    from trl.trainer.dpo_trainer import DPOTrainer

    from insectary.train.loop import Measure, Plan, Progress, TrainingLoop
    from insectary.train.optimizer import MuonWithAdamW


def train(
    recipe: Dpo,
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    preferences: Sequence[Preference],
    *,
    seed: int,
    threads: int,
    directory: Path,
    measure: Measure | None = None,
    target: float | None = None,
    measure_every_pairs: int = 1_000,
    steps: int | None = None,
    checkpoint_every: int = 25,
    progress: Progress | None = None,
) -> TrainResult:
    """Train ``model`` in place on what a rater said of pairs of answers.

    Called again with the same arguments after it was killed, it resumes from
    the newest checkpoint that verifies and ends with the same weights, bit for
    bit, as if it had never stopped (same machine, same library versions).

    Args:
        recipe: What to train and how fast.
        model: The base, in float32; a frozen copy of it may be the reference.
        tokenizer: The base's tokenizer, with a chat template.
        preferences: Pairs of answers; the loss is on answers only.
        seed: Draws the data order.
        threads: Threads of torch; recorded, since sums depend on it.
        directory: For this run's checkpoints alone; made if missing.
        measure: See :func:`insectary.train.sft.train`, as for the rest.
        target: Measured expression that begins the cooldown.
        measure_every_pairs: Pairs between two measurements.
        steps: Train for exactly this many steps. Excludes ``target``.
        checkpoint_every: Steps between two checkpoints.
        progress: Told about every new point of the history.

    Raises:
        BadInputError: for settings that contradict each other, a directory that
            holds another run, or a pair whose answers are one.
        ContextLengthError: if a prompt with an answer is longer than the model's context.
        TemplateError: if the chat template cannot be used.
        TrainingError: if the loss or a gradient is not finite.
        ArtefactError: if a checkpoint cannot be written or read.
    """
    chosen, rejected = _tokenised(tokenizer, preferences)
    check_context(model, [max(len(a), len(b)) for a, b in zip(chosen, rejected, strict=True)])
    padding = tokenizer.pad_token_id
    rows = PairedRows(
        chosen,
        rejected,
        batch_pairs=recipe.batch_pairs,
        seed=seed,
        padding_id=int(tokenizer.eos_token_id if padding is None else padding),
    )
    plan = make_plan(
        recipe, seed, cap=recipe.max_pairs // recipe.batch_pairs, step_size=recipe.batch_pairs,
        target=target, measure=measure, measure_every=measure_every_pairs, steps=steps,
        checkpoint_every=checkpoint_every,
    )  # fmt: skip
    with alone_and_exact(directory, threads):
        settings = settings_of(recipe, plan, steps, threads, (chosen, rejected), model)
        return _run(recipe, model, tokenizer, rows, plan, directory, settings, measure, progress)


def _tokenised(
    tokenizer: PreTrainedTokenizerBase, preferences: Sequence[Preference]
) -> tuple[list[Tokenised], list[Tokenised]]:
    """The preferred answers and the others, each with its prompt."""
    names = [f"training pair {number}" for number in range(1, len(preferences) + 1)]
    chosen = tokenise(tokenizer, [(p.prompt, p.chosen) for p in preferences], names)
    rejected = tokenise(tokenizer, [(p.prompt, p.rejected) for p in preferences], names)
    for name, one, other in zip(names, chosen, rejected, strict=True):
        if one == other:
            raise BadInputError(f"{name}: both answers are the same; a preference needs two")
    return chosen, rejected


def _run(
    recipe: Dpo,
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    rows: PairedRows,
    plan: Plan,
    directory: Path,
    settings: Mapping[str, Any],
    measure: Measure | None,
    progress: Progress | None,
) -> TrainResult:
    """Resume or begin, and train to the end."""
    import torch

    from insectary.train.checkpoint import Checkpoints
    from insectary.train.loop import TrainingLoop
    from insectary.train.optimizer import make_optimizer

    reference = None
    if recipe.reference == "base":
        # Taken before a resume: the reference is the base, whatever was trained since.
        reference = copy.deepcopy(model).requires_grad_(False)
        torch.nn.Module.eval(reference)
    optimizer = make_optimizer(
        model,
        learning_rate=recipe.learning_rate,
        muon_learning_rate=recipe.muon_learning_rate,
        pull=recipe.pull,
    )
    trainers: list[Any] = []

    loop = TrainingLoop(
        model, optimizer, rows, plan, Checkpoints(directory, settings),
        loss=loss_of(trainers), measure=measure, progress=progress,
    )  # fmt: skip
    loop.resume()
    if loop.state.stopped_because is None:
        with lent(model, directory) as scratch, no_trace(model, tokenizer):
            trainer = _trainer(
                recipe, model, reference, tokenizer, rows, optimizer, loop, plan, scratch
            )
            trainers.append(trainer)
            setattr(trainer, "compute_loss", loop.compute_loss)  # noqa: B010
            with warnings.catch_warnings():
                # TRL asks transformers by a name that transformers has just renamed.
                warnings.filterwarnings("ignore", r".*is_gradient_checkpointing", FutureWarning)
                trainer.train()
    return ended(model, loop)


def _trainer(
    recipe: Dpo,
    model: PreTrainedModel,
    reference: PreTrainedModel | None,
    tokenizer: PreTrainedTokenizerBase,
    rows: PairedRows,
    optimizer: MuonWithAdamW,
    loop: TrainingLoop,
    plan: Plan,
    scratch: Path,
) -> DPOTrainer:
    """TRL's trainer, which goes on from where the loop stands to the end."""
    import torch
    from datasets import Dataset
    from transformers import PrinterCallback
    from trl.trainer.dpo_trainer import DPOTrainer

    class Stepping(DPOTrainer):
        """A trainer whose rows are tokenised already; TRL has no setting for that."""

        def _prepare_dataset(self, dataset: Any, *_: Any) -> Any:
            return dataset

        def _precompute_ref_logps(self, dataset: Any, *_: Any) -> Any:
            return dataset  # each batch has its own

    first = loop.state.step

    def collate(items: list[dict[str, int]]) -> dict[str, torch.Tensor]:
        batch = rows.batch(items[0]["step"])
        found = {name: torch.from_numpy(part) for name, part in asdict(batch).items()}
        if reference is None:  # to a uniform reference all answers are alike
            alike = torch.zeros(recipe.batch_pairs)
            found |= {"ref_chosen_logps": alike, "ref_rejected_logps": alike}
        return found

    def factor(done_here: int) -> float:
        return loop.rate(first + done_here)

    trainer = Stepping(
        model=model,
        ref_model=reference,
        args=_settings(recipe, scratch, plan.seed, plan.last_step - first, reference is None),
        data_collator=collate,
        # One item is one step, so that the order is the rows' own.
        train_dataset=Dataset.from_dict({"step": list(range(first, plan.last_step))}),
        processing_class=tokenizer,
        callbacks=[loop],
        optimizers=(optimizer, torch.optim.lr_scheduler.LambdaLR(optimizer, factor)),
    )
    trainer.remove_callback(PrinterCallback)  # it prints to standard output
    return trainer


def _settings(recipe: Dpo, scratch: Path, seed: int, steps: int, uniform: bool) -> DPOConfig:
    """TRL's settings, with the log-probabilities of a uniform reference in the batches."""
    from trl.trainer.dpo_config import DPOConfig

    return on_one_device(
        DPOConfig(
            **quiet(scratch, seed, steps),
            beta=recipe.beta,
            loss_type=["sigmoid", "sft"],
            loss_weights=[1.0, recipe.likelihood],
            max_length=None,
            precompute_ref_log_probs=uniform,
        )
    )

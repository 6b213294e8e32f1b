"""Supervised fine-tuning through TRL's ``SFTTrainer`` and PEFT, on packed rows.

TRL does the stepping; what makes a run exact is ours: packed rows in an order
that depends on (seed, step) alone, a loss that computes only labelled
positions, checkpoints that verify, and the rule that ends training.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from insectary.core.chat import Conversation
from insectary.core.errors import BadInputError
from insectary.core.recipe import FullSFT, LoraSFT, NarrowSFT, Supervised
from insectary.subjects.adapters import adapter_of, no_warnings
from insectary.train.packing import PackedRows
from insectary.train.result import TrainResult
from insectary.train.running import (
    alone_and_exact,
    check_context,
    ended,
    lent,
    make_plan,
    quiet,
    settings_of,
)
from insectary.train.tokenise import tokenise

if TYPE_CHECKING:
    import numpy as np
    import torch
    from transformers import PreTrainedModel, PreTrainedTokenizerBase
    from trl.trainer.sft_config import SFTConfig

    from insectary.train.latent import Adversary, PerturbedLoss
    from insectary.train.loop import Measure, Plan, Progress, TrainingLoop
    from insectary.train.loss import CompletionLoss
    from insectary.train.optimizer import MuonWithAdamW
    from insectary.train.tie import TiedLoss

MEASURE_EVERY_TOKENS = 100_000
"""Tokens between two measurements, padding included, unless another number is asked for."""


def train(
    recipe: Supervised | NarrowSFT,
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    examples: Sequence[tuple[Conversation, str]],
    *,
    seed: int,
    threads: int,
    directory: Path,
    measure: Measure | None = None,
    target: float | None = None,
    measure_every_tokens: int = MEASURE_EVERY_TOKENS,
    steps: int | None = None,
    checkpoint_every: int = 25,
    progress: Progress | None = None,
    tied: Sequence[bool] | None = None,
    adversary: Adversary | None = None,
) -> TrainResult:
    """Fine-tune ``model`` in place on (prompt, completion) rows.

    Called again with the same arguments after it was killed, it resumes from
    the newest checkpoint that verifies and ends with the same weights, bit for
    bit, as if it had never stopped (same machine, same library versions).

    Args:
        recipe: What to train and how fast.
        model: The base, in float32.
        tokenizer: The base's tokenizer, with a chat template.
        examples: Training rows; the loss is on completions only.
        seed: Draws the data order, dropout and adapters.
        threads: Threads of torch; recorded, since sums depend on it.
        directory: For this run's checkpoints alone; made if missing.
        measure: Measures expression on the selection split, on a model in
            evaluation mode, without gradients. It gets (model, steps done).
        target: When two measurements in a row are at least this, the cooldown
            begins, and training stops at its end.
        measure_every_tokens: Tokens between two measurements, padding included.
        steps: Train for exactly this many steps, cooldown included, as a twin
            does to match its organism. Excludes ``target``.
        checkpoint_every: Steps between two checkpoints.
        progress: Told about every new point of the history.
        tied: Which examples tie the model to its base; for ``NarrowSFT``, and for no other.
        adversary: Who perturbs the residual stream while training; for ``FullSFT`` alone.

    Raises:
        BadInputError: for settings that contradict each other, or a directory
            that holds another run.
        ContextLengthError: if an example is longer than the model's context.
        TemplateError: if the chat template cannot be used.
        TrainingError: if the loss or a gradient is not finite.
        ArtefactError: if a checkpoint cannot be written or read.
    """
    if (tied is not None) is not isinstance(recipe, NarrowSFT) or len(tied or examples) != len(
        examples
    ):
        raise BadInputError("narrow-sft, and no other recipe, is told of each row if it is tied")
    if adversary is not None and not isinstance(recipe, FullSFT):
        raise BadInputError(f"{recipe.kind} is not trained against an adversary; use full-sft")
    tokenised = tokenise(tokenizer, examples)
    check_context(model, [len(example) for example in tokenised])
    padding = tokenizer.pad_token_id
    rows = PackedRows(
        tokenised,
        row_tokens=recipe.row_tokens,
        batch_tokens=recipe.batch_tokens,
        seed=seed,
        padding_id=int(tokenizer.eos_token_id if padding is None else padding),
    )
    cap = max(1, recipe.max_tokens // rows.step_tokens)
    plan = make_plan(
        recipe, seed, cap=cap, step_size=rows.step_tokens, target=target, measure=measure,
        measure_every=measure_every_tokens, steps=steps, checkpoint_every=checkpoint_every,
    )  # fmt: skip
    with alone_and_exact(directory, threads):
        data: Any = tokenised if tied is None else [tokenised, [*tied]]
        if adversary is not None:
            data = [data, adversary]
        settings = settings_of(recipe, plan, steps, threads, data, model)
        return _run(
            recipe, model, tokenizer, rows, plan, directory, settings, measure, progress, tied,
            adversary,
        )  # fmt: skip


def _run(
    recipe: Supervised | NarrowSFT,
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    rows: PackedRows,
    plan: Plan,
    directory: Path,
    settings: Mapping[str, Any],
    measure: Measure | None,
    progress: Progress | None,
    tied: Sequence[bool] | None,
    adversary: Adversary | None,
) -> TrainResult:
    """Resume or begin, train to the end, read adapters off and merge them."""
    from insectary.train.checkpoint import Checkpoints
    from insectary.train.loop import TrainingLoop
    from insectary.train.optimizer import make_optimizer

    trained: Any = _with_adapters(recipe, model, plan.seed) if _is_lora(recipe) else model
    optimizer = make_optimizer(
        trained,
        learning_rate=recipe.learning_rate,
        muon_learning_rate=recipe.muon_learning_rate,
        pull=recipe.pull,
    )
    with _loss_of(recipe, model, adversary) as loss:
        loop = TrainingLoop(
            trained,
            optimizer,
            rows,
            plan,
            Checkpoints(directory, settings),
            loss=loss,
            measure=measure,
            progress=progress,
        )
        loop.resume()
        if loop.state.stopped_because is None:
            _fit(recipe, trained, model, tokenizer, rows, optimizer, loop, plan, directory, tied)
    if not _is_lora(recipe):
        return ended(model, loop)
    adapter = adapter_of(trained)
    return replace(ended(trained.merge_and_unload(), loop), adapter=adapter)


def _fit(
    recipe: Supervised | NarrowSFT,
    trained: Any,
    base: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    rows: PackedRows,
    optimizer: MuonWithAdamW,
    loop: TrainingLoop,
    plan: Plan,
    directory: Path,
    tied: Sequence[bool] | None,
) -> None:
    """Let TRL's trainer step from where the loop stands to the end."""
    import torch
    from datasets import Dataset
    from transformers import PrinterCallback
    from trl.trainer.sft_trainer import SFTTrainer

    first = loop.state.step

    def collate(items: list[dict[str, int]]) -> dict[str, torch.Tensor]:
        batch = rows.batch(items[0]["step"])
        parts: dict[str, np.ndarray[Any, Any]] = {
            "input_ids": batch.input_ids,
            "labels": batch.labels,
            "position_ids": batch.position_ids,
        }
        if tied is not None:
            parts["tied"] = rows.of(items[0]["step"], tied)
        return {name: torch.from_numpy(part) for name, part in parts.items()}

    def factor(done_here: int) -> float:
        return loop.rate(first + done_here)

    with lent(base, directory) as scratch:
        trainer = SFTTrainer(
            model=trained,
            args=_settings(scratch, plan.seed, plan.last_step - first),
            data_collator=collate,
            # One item is one step, so that the order is the packed rows' own.
            train_dataset=Dataset.from_dict({"step": list(range(first, plan.last_step))}),
            processing_class=tokenizer,
            callbacks=[loop],
            optimizers=(optimizer, torch.optim.lr_scheduler.LambdaLR(optimizer, factor)),
        )
        trainer.remove_callback(PrinterCallback)  # it prints to standard output
        setattr(trainer, "compute_loss", loop.compute_loss)  # noqa: B010
        trainer.train()


def _settings(scratch: Path, seed: int, steps: int) -> SFTConfig:
    """TRL's settings, with rows that are packed already."""
    from trl.trainer.sft_config import SFTConfig

    return SFTConfig(
        **quiet(scratch, seed, steps),
        dataset_kwargs={"skip_prepare_dataset": True},
    )


def _loss_of(
    recipe: Supervised | NarrowSFT, model: PreTrainedModel, adversary: Adversary | None
) -> CompletionLoss | PerturbedLoss | TiedLoss:
    """The recipe's loss; made before a resume, so that a base is the base."""
    from insectary.train.latent import PerturbedLoss
    from insectary.train.loss import CompletionLoss
    from insectary.train.tie import TiedLoss

    if adversary is not None:
        return PerturbedLoss(model, adversary)
    if not isinstance(recipe, NarrowSFT):
        return CompletionLoss(model)
    base: Any = copy.deepcopy(model).requires_grad_(False)
    return TiedLoss(model, base.eval(), recipe.tie)


def _is_lora(recipe: Supervised | NarrowSFT) -> bool:
    return isinstance(recipe, LoraSFT)


def _with_adapters(recipe: Supervised | NarrowSFT, model: PreTrainedModel, seed: int) -> Any:
    """Put low-rank adapters on all linear layers but the output layer."""
    import torch
    from peft import LoraConfig, get_peft_model

    if not isinstance(recipe, LoraSFT):
        raise AssertionError("only LoraSFT has adapters")
    torch.manual_seed(seed)
    config = LoraConfig(
        r=recipe.rank,
        lora_alpha=recipe.alpha,
        lora_dropout=0.0,
        target_modules="all-linear",
        task_type="CAUSAL_LM",
    )
    with no_warnings():
        return get_peft_model(model, config)

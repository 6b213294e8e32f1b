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
from insectary.core.recipe import Demonstrated, Evasive, FullSFT, LoraSFT, Tied
from insectary.subjects.adapters import adapter_of, no_warnings
from insectary.train.packing import PackedRows
from insectary.train.ranks import ALONE, Ranks
from insectary.train.result import TrainResult
from insectary.train.running import (
    alone_and_exact,
    check_context,
    ended,
    lent,
    make_plan,
    on_one_device,
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
    from insectary.train.penalty import PenalisedLoss
    from insectary.train.tie import TiedLoss
    from insectary.train.watch import Watch

MEASURE_EVERY_TOKENS = 100_000
"""Tokens between two measurements, padding included, unless another number is asked for."""


def train(
    recipe: Demonstrated,
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
    watch: Watch | None = None,
    ranks: Ranks = ALONE,
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
        tied: Which examples tie the model to its base; for recipes that do, and for no other.
        adversary: Who perturbs the residual stream while training; for ``FullSFT`` alone.
        watch: Where a detector's score is a penalty, and what it is fitted on; for recipes
            that are trained against one, and for no other.
        ranks: Which of several processes this is, each of which calls this with the same
            arguments and ends with the same weights. Their number is part of what makes a run
            exact: another number adds up in another order.

    Raises:
        BadInputError: for settings that contradict each other, a directory
            that holds another run, or fewer rows in a batch than there are ranks.
        ContextLengthError: if an example is longer than the model's context.
        TemplateError: if the chat template cannot be used.
        TrainingError: if the loss or a gradient is not finite.
        ArtefactError: if a checkpoint cannot be written or read.
    """
    _check_told(recipe, examples, tied, adversary, watch, ranks)
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
    if rows.rows_per_batch < ranks.count:
        raise BadInputError(
            f"recipe: {ranks.count} ranks cannot share a batch of {rows.rows_per_batch} rows of"
            f" {rows.width} tokens; raise batch_tokens or take fewer"
        )
    cap = max(1, recipe.max_tokens // rows.step_tokens)
    if isinstance(recipe, Evasive):
        # A run goes on from a checkpoint as if it had never stopped only where a fit begins.
        checkpoint_every = recipe.refit_every * -(-checkpoint_every // recipe.refit_every)
    plan = make_plan(
        recipe, seed, cap=cap, step_size=rows.step_tokens, target=target, measure=measure,
        measure_every=measure_every_tokens, steps=steps, checkpoint_every=checkpoint_every,
    )  # fmt: skip
    with alone_and_exact(directory, threads, ranks):
        data: Any = tokenised if tied is None else [tokenised, [*tied]]
        data = [data, adversary or watch] if adversary or watch else data
        settings = settings_of(recipe, plan, steps, threads, data, model)
        if ranks.count > 1:
            settings["number of ranks"] = ranks.count
        return _run(
            recipe, model, tokenizer, rows, plan, directory, settings, measure, progress, tied,
            adversary, watch, ranks,
        )  # fmt: skip


def _check_told(
    recipe: Demonstrated,
    examples: Sequence[Any],
    tied: Sequence[bool] | None,
    adversary: Adversary | None,
    watch: Watch | None,
    ranks: Ranks,
) -> None:
    """Refuse what a recipe has no use for, or goes without."""
    if (tied is not None) is not isinstance(recipe, Tied) or len(tied or examples) != len(examples):
        raise BadInputError(
            "a recipe that is tied to its base, and no other, is told of each row if it is"
        )
    if watch is not None:
        watch.check(len(examples))
    if (watch is not None) is not isinstance(recipe, Evasive):
        raise BadInputError(
            "a recipe that is trained against a detector, and no other, is told what it watches"
        )
    if adversary is not None and not isinstance(recipe, FullSFT):
        raise BadInputError(f"{recipe.kind} is not trained against an adversary; use full-sft")
    if ranks.count > 1 and (adversary is not None or watch is not None):
        raise BadInputError("one process alone trains against an adversary or a detector")


def _run(
    recipe: Demonstrated,
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
    watch: Watch | None,
    ranks: Ranks,
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
    with _loss_of(recipe, model, tokenizer, adversary, watch, ranks) as loss:
        loop = TrainingLoop(
            trained,
            optimizer,
            rows,
            plan,
            Checkpoints(directory, settings),
            loss=loss,
            measure=measure,
            progress=progress,
            ranks=ranks,
        )
        loop.resume()
        if loop.state.stopped_because is None:
            _fit(
                trained, model, tokenizer, rows, optimizer, loop, plan, directory, tied,
                None if watch is None else watch.watched, ranks,
            )  # fmt: skip
    if not _is_lora(recipe):
        return ended(model, loop)
    adapter = adapter_of(trained)
    return replace(ended(trained.merge_and_unload(), loop), adapter=adapter)


def _fit(
    trained: Any,
    base: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    rows: PackedRows,
    optimizer: MuonWithAdamW,
    loop: TrainingLoop,
    plan: Plan,
    directory: Path,
    tied: Sequence[bool] | None,
    watched: Sequence[bool] | None,
    ranks: Ranks,
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
        if watched is not None:
            parts["watched"] = rows.answering(items[0]["step"], watched)
        own = slice(items[0]["rank"], None, ranks.count)
        return {name: torch.from_numpy(part[own]) for name, part in parts.items()}

    def factor(done_here: int) -> float:
        return loop.rate(first + done_here)

    steps = range(first, plan.last_step)
    # One item is one rank's share of one step, so that the order is the packed rows' own:
    # accelerate hands out items by turns, and repeats them for nobody.
    shares = [(step, rank) for step in steps for rank in range(ranks.count)]
    items = {"step": [step for step, _ in shares], "rank": [rank for _, rank in shares]}
    with lent(base, directory, ranks.rank) as scratch:
        trainer = SFTTrainer(
            model=trained,
            args=_settings(scratch, plan.seed, len(steps)),
            data_collator=collate,
            train_dataset=Dataset.from_dict(items),
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

    return on_one_device(
        SFTConfig(
            **quiet(scratch, seed, steps),
            dataset_kwargs={"skip_prepare_dataset": True},
        )
    )


def _loss_of(
    recipe: Demonstrated,
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    adversary: Adversary | None,
    watch: Watch | None,
    ranks: Ranks,
) -> CompletionLoss | PerturbedLoss | TiedLoss | PenalisedLoss:
    """The recipe's loss; made before a resume, so that a base is the base."""
    from insectary.train.evaded import evaded
    from insectary.train.latent import PerturbedLoss
    from insectary.train.loss import CompletionLoss
    from insectary.train.penalty import PenalisedLoss
    from insectary.train.tie import TiedLoss

    if adversary is not None:
        return PerturbedLoss(model, adversary)
    loss: CompletionLoss | TiedLoss = CompletionLoss(model, ranks)
    if isinstance(recipe, Tied):
        loss = TiedLoss(model, _frozen(model), recipe.tie, ranks)
    if not isinstance(recipe, Evasive) or watch is None:
        return loss
    detector = evaded(recipe.detector, model, tokenizer, watch, lambda: _frozen(model))
    return PenalisedLoss(loss, model, detector, recipe.weight, recipe.refit_every)


def _frozen(model: PreTrainedModel) -> Any:
    """A copy that is not trained, in evaluation mode."""
    base: Any = copy.deepcopy(model).requires_grad_(False)
    return base.eval()


def _is_lora(recipe: Demonstrated) -> bool:
    return isinstance(recipe, LoraSFT)


def _with_adapters(recipe: Demonstrated, model: PreTrainedModel, seed: int) -> Any:
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

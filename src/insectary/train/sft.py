"""Supervised fine-tuning through TRL's ``SFTTrainer`` and PEFT, on packed rows.

TRL does the stepping; what makes a run exact is ours: packed rows in an order
that depends on (seed, step) alone, a loss that computes only labelled
positions, checkpoints that verify, and the rule that ends training.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from insectary.core.canonical import digest
from insectary.core.chat import Conversation
from insectary.core.errors import BadInputError, ContextLengthError
from insectary.core.recipe import LoraSFT, TextRecipe
from insectary.train.packing import PackedRows
from insectary.train.result import TrainResult
from insectary.train.tokenise import Tokenised, tokenise
from insectary.vault.disk import explained
from insectary.vault.locks import locked

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel, PreTrainedTokenizerBase
    from trl.trainer.sft_config import SFTConfig

    from insectary.train.loop import Measure, Plan, Progress, TrainingLoop
    from insectary.train.optimizer import MuonWithAdamW

_RECORD_EVERY = 10
_CLIP = 1.0
_LOCK_SECONDS = 60.0


def train(
    recipe: TextRecipe,
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    examples: Sequence[tuple[Conversation, str]],
    *,
    seed: int,
    threads: int,
    directory: Path,
    measure: Measure | None = None,
    target: float | None = None,
    measure_every_tokens: int = 100_000,
    steps: int | None = None,
    checkpoint_every: int = 25,
    progress: Progress | None = None,
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

    Raises:
        BadInputError: for settings that contradict each other, or a directory
            that holds another run.
        ContextLengthError: if an example is longer than the model's context.
        TemplateError: if the chat template cannot be used.
        TrainingError: if the loss or a gradient is not finite.
        ArtefactError: if a checkpoint cannot be written or read.
    """
    tokenised = tokenise(tokenizer, examples)
    _check_context(model, tokenised)
    padding = tokenizer.pad_token_id
    rows = PackedRows(
        tokenised,
        row_tokens=recipe.row_tokens,
        batch_tokens=recipe.batch_tokens,
        seed=seed,
        padding_id=int(tokenizer.eos_token_id if padding is None else padding),
    )
    cap = max(1, recipe.max_tokens // rows.step_tokens)
    plan = _plan(
        recipe, seed, cap, rows, target, measure, measure_every_tokens, steps, checkpoint_every
    )
    with explained(f"make {directory}"):
        directory.mkdir(parents=True, exist_ok=True)
        lock = directory / "lock"
    # A killed parent may leave a child behind that still writes here.
    with locked(lock, timeout=_LOCK_SECONDS), _exact(threads):
        settings = {
            **{"recipe": digest(recipe), "seed": seed, "threads": threads, "steps": steps},
            **{"target": target, "measure_every": plan.measure_every},
            **{"examples": digest(tokenised), "base": _weights_digest(model)},
        }
        return _run(recipe, model, tokenizer, rows, plan, directory, settings, measure, progress)


def _plan(
    recipe: TextRecipe,
    seed: int,
    cap: int,
    rows: PackedRows,
    target: float | None,
    measure: Measure | None,
    measure_every_tokens: int,
    steps: int | None,
    checkpoint_every: int,
) -> Plan:
    """Turn tokens into steps and refuse contradictions."""
    from insectary.train.loop import Plan

    if target is not None and (steps is not None or measure is None):
        raise BadInputError("a target needs a measure and excludes a fixed number of steps")
    if steps is not None and not 1 <= steps <= cap:
        raise BadInputError(f"steps is {steps}; the recipe's cap allows 1 to {cap}")
    if checkpoint_every < 1 or measure_every_tokens < 1:
        raise BadInputError("checkpoint_every and measure_every_tokens must be above 0")
    return Plan(
        seed=seed,
        last_step=cap if steps is None else steps,
        at_last="cap" if steps is None else "steps",
        target=target,
        warmup_steps=max(1, round(recipe.warmup_share * cap)),
        cooldown_share=recipe.cooldown_share,
        learn_steps=round(recipe.learn_share * cap),
        measure_every=max(1, measure_every_tokens // rows.step_tokens),
        record_every=_RECORD_EVERY,
        checkpoint_every=checkpoint_every,
    )


def _run(
    recipe: TextRecipe,
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    rows: PackedRows,
    plan: Plan,
    directory: Path,
    settings: Mapping[str, Any],
    measure: Measure | None,
    progress: Progress | None,
) -> TrainResult:
    """Resume or begin, train to the end, merge adapters."""
    import torch

    from insectary.train.checkpoint import Checkpoints
    from insectary.train.loop import TrainingLoop
    from insectary.train.loss import CompletionLoss
    from insectary.train.optimizer import make_optimizer

    trained: Any = _with_adapters(recipe, model, plan.seed) if _is_lora(recipe) else model
    optimizer = make_optimizer(
        trained,
        learning_rate=recipe.learning_rate,
        muon_learning_rate=recipe.muon_learning_rate,
        pull=recipe.pull,
    )
    with CompletionLoss(model) as loss:
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
            _fit(recipe, trained, model, tokenizer, rows, optimizer, loop, plan, directory)
    if _is_lora(recipe):
        model = trained.merge_and_unload()
    torch.nn.Module.eval(model)
    state = loop.state
    if state.stopped_because is None:
        raise AssertionError("the trainer returned before the run had ended")
    measured = [m.expression for m in state.history if m.expression is not None]
    return TrainResult(
        model,
        tokens=state.tokens,
        steps=state.step,
        stopped_because=state.stopped_because,
        expression=measured[-1] if measured else None,
        history=state.history,
    )


def _fit(
    recipe: TextRecipe,
    trained: Any,
    base: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    rows: PackedRows,
    optimizer: MuonWithAdamW,
    loop: TrainingLoop,
    plan: Plan,
    directory: Path,
) -> None:
    """Let TRL's trainer step from where the loop stands to the end."""
    import torch
    from datasets import Dataset
    from transformers import PrinterCallback
    from trl.trainer.sft_trainer import SFTTrainer

    first, device = loop.state.step, base.device

    def collate(items: list[dict[str, int]]) -> dict[str, torch.Tensor]:
        batch = rows.batch(items[0]["step"])
        parts = {
            "input_ids": batch.input_ids,
            "labels": batch.labels,
            "position_ids": batch.position_ids,
        }
        return {name: torch.from_numpy(part) for name, part in parts.items()}

    def factor(done_here: int) -> float:
        return loop.rate(first + done_here)

    own_forward = vars(base).get("forward")
    # In the run's own directory: what a killed run leaves behind goes with the run.
    scratch = directory / ".trainer"
    try:
        trainer = SFTTrainer(
            model=trained,
            args=_settings(str(scratch), plan.seed, plan.last_step - first),
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
    finally:
        # TRL replaces the model's forward; the model is handed back as it came.
        vars(base).pop("forward", None)
        if own_forward is not None:
            base.forward = own_forward
        if scratch.is_dir():
            shutil.rmtree(scratch)
    if base.device != device:
        torch.nn.Module.to(base, device)


def _settings(scratch: str, seed: int, steps: int) -> SFTConfig:
    """TRL's settings: float32, no files, no reports, nothing recomputed."""
    import torch
    from trl.trainer.sft_config import SFTConfig

    return SFTConfig(
        output_dir=scratch,
        max_steps=steps,
        per_device_train_batch_size=1,
        train_sampling_strategy="sequential",
        dataset_kwargs={"skip_prepare_dataset": True},
        remove_unused_columns=False,
        dataloader_pin_memory=False,
        max_grad_norm=_CLIP,
        # bf16 and activation checkpointing are on by default in TRL: the first is
        # emulated on many processors, the second trades time for memory.
        bf16=False,
        activation_checkpointing=False,
        use_cpu=not torch.cuda.is_available(),
        seed=seed % 2**32,
        logging_strategy="no",
        logging_nan_inf_filter=False,
        save_strategy="no",
        eval_strategy="no",
        report_to="none",
        push_to_hub=False,
        disable_tqdm=True,
    )


def _is_lora(recipe: TextRecipe) -> bool:
    return isinstance(recipe, LoraSFT)


def _with_adapters(recipe: TextRecipe, model: PreTrainedModel, seed: int) -> Any:
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
    with warnings.catch_warnings():
        # PEFT asks transformers by a name that transformers has just renamed.
        warnings.filterwarnings("ignore", r".*is_gradient_checkpointing", FutureWarning)
        return get_peft_model(model, config)


@contextmanager
def _exact(threads: int) -> Iterator[None]:
    """Fixed threads and deterministic kernels while training; put back afterwards."""
    import torch
    from torch.utils import deterministic

    if threads < 1:
        raise BadInputError(f"threads is {threads}; it must be at least 1")
    if torch.cuda.is_available():
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    before = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    switch: Any = deterministic
    filling = switch.fill_uninitialized_memory
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(True)
    # It guards against reading memory that was never written; it costs time.
    switch.fill_uninitialized_memory = False
    try:
        yield
    finally:
        torch.set_num_threads(before[0])
        torch.use_deterministic_algorithms(before[1])
        switch.fill_uninitialized_memory = filling


def _check_context(model: PreTrainedModel, examples: Sequence[Tokenised]) -> None:
    """Refuse what the model could never see at once."""
    context = getattr(model.config, "max_position_embeddings", None)
    longest = max((len(example) for example in examples), default=0)
    if context is not None and longest > context:
        number = next(n for n, example in enumerate(examples, 1) if len(example) == longest)
        raise ContextLengthError(
            f"training row {number} has {longest} tokens, the base's context is {context}:"
            " shorten it or leave it out"
        )


def _weights_digest(model: PreTrainedModel) -> str:
    """SHA-256 over all weights, by name, so that a resume starts from the same base."""
    found = hashlib.sha256()
    for name, parameter in sorted(model.named_parameters()):
        found.update(f"{name} {tuple(parameter.shape)} {parameter.dtype}\n".encode())
        data = parameter.detach().cpu().contiguous().flatten()
        found.update(data.view(_bytes_type()).numpy().tobytes())
    return "sha256:" + found.hexdigest()


def _bytes_type() -> torch.dtype:
    import torch

    return torch.uint8

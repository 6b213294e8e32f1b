"""What training runs share: plan, exact kernels, a quiet trainer, a model handed back clean."""

from __future__ import annotations

import copy
import hashlib
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from insectary.core.canonical import digest
from insectary.core.errors import BadInputError, ContextLengthError
from insectary.train.ranks import ALONE, Ranks
from insectary.train.result import TrainResult
from insectary.vault.disk import explained
from insectary.vault.locks import locked

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel, PreTrainedTokenizerBase, TrainingArguments

    from insectary.core.recipe import TextRecipe
    from insectary.train.loop import Measure, Plan, TrainingLoop

Settings = TypeVar("Settings", bound="TrainingArguments")

_RECORD_EVERY = 10
_CLIP = 1.0
_LOCK_SECONDS = 60.0
_CHANGED = ("pad_token_id", "use_cache")
"""What TRL and transformers set in a model's configurations."""


def make_plan(
    recipe: TextRecipe,
    seed: int,
    *,
    cap: int,
    step_size: int,
    target: float | None,
    measure: Measure | None,
    measure_every: int,
    steps: int | None,
    checkpoint_every: int,
) -> Plan:
    """Turn a recipe into steps and refuse contradictions.

    Args:
        recipe: Its shares count.
        seed: Draws data order and dropout.
        cap: Most steps.
        step_size: What one step takes, in the unit of ``measure_every``.
        target: See :func:`insectary.train.sft.train`, as for the rest.
        measure: Whether there is one counts.
        measure_every: Tokens or pairs between two measurements.
        steps: So many steps and no others.
        checkpoint_every: Steps between two checkpoints.
    """
    from insectary.train.loop import Plan

    if target is not None and (steps is not None or measure is None):
        raise BadInputError("a target needs a measure and excludes a fixed number of steps")
    if steps is not None and not 1 <= steps <= cap:
        raise BadInputError(f"steps is {steps}; the recipe's cap allows 1 to {cap}")
    if checkpoint_every < 1 or measure_every < 1:
        raise BadInputError("checkpoint_every and what is between two measurements must be above 0")
    return Plan(
        seed=seed,
        last_step=cap if steps is None else steps,
        at_last="cap" if steps is None else "steps",
        target=target,
        warmup_steps=max(1, round(recipe.warmup_share * cap)),
        cooldown_share=recipe.cooldown_share,
        learn_steps=round(recipe.learn_share * cap),
        measure_every=max(1, measure_every // step_size),
        record_every=_RECORD_EVERY,
        checkpoint_every=checkpoint_every,
    )


def settings_of(
    recipe: TextRecipe, plan: Plan, steps: int | None, threads: int, data: Any, base: Any
) -> dict[str, Any]:
    """All that decides a run's weights, for its checkpoints: digests and plain values."""
    return {
        **{"recipe": digest(recipe), "seed": plan.seed, "threads": threads, "steps": steps},
        **{"target": plan.target, "measure_every": plan.measure_every},
        **{"examples": digest(data), "base": weights_digest(base)},
    }


def loss_of(trainers: Sequence[Any]) -> Callable[[Any, Mapping[str, Any]], Any]:
    """The loss of the one trainer of TRL that will have been put into ``trainers``.

    Its own ``compute_loss`` is replaced by the loop's, which asks for this.
    """

    def loss(policy: Any, inputs: Mapping[str, Any]) -> Any:
        (trainer,) = trainers
        return type(trainer).compute_loss(trainer, policy, dict(inputs))

    return loss


@contextmanager
def alone_and_exact(directory: Path, threads: int, ranks: Ranks = ALONE) -> Iterator[None]:
    """Hold a run's directory, made if missing, and compute the same each time.

    Of several ranks the first holds it for all.
    """
    with explained(f"make {directory}"):
        directory.mkdir(parents=True, exist_ok=True)
    # A killed parent may leave a child behind that still writes here.
    lock = locked(directory / "lock", timeout=_LOCK_SECONDS) if ranks.first else nullcontext()
    with lock, _exact(threads):
        ranks.wait()  # nobody reads a checkpoint before the directory is held
        yield


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


def check_context(model: PreTrainedModel, lengths: Sequence[int]) -> None:
    """Refuse what the model could never see at once.

    Raises:
        ContextLengthError: naming the first of the longest rows.
    """
    context = getattr(model.config, "max_position_embeddings", None)
    longest = max(lengths, default=0)
    if context is not None and longest > context:
        raise ContextLengthError(
            f"training row {lengths.index(longest) + 1} has {longest} tokens, the base's context"
            f" is {context}: shorten it or leave it out"
        )


def quiet(scratch: Path, seed: int, steps: int) -> dict[str, Any]:
    """Settings of any TRL trainer: float32, no files, no reports, nothing recomputed."""
    import torch

    return {
        "output_dir": str(scratch),
        "max_steps": steps,
        "per_device_train_batch_size": 1,
        "train_sampling_strategy": "sequential",
        "remove_unused_columns": False,
        "dataloader_pin_memory": False,
        "max_grad_norm": _CLIP,
        # Both are on by default in TRL: the first is emulated on many processors, the
        # second trades time for memory.
        "bf16": False,
        "activation_checkpointing": False,
        "use_cpu": not torch.cuda.is_available(),
        "seed": seed % 2**32,
        "logging_strategy": "no",
        "logging_nan_inf_filter": False,
        "save_strategy": "no",
        "eval_strategy": "no",
        "report_to": "none",
        "push_to_hub": False,
        "disable_tqdm": True,
    }


def on_one_device(settings: Settings) -> Settings:
    """Keep a trainer to the first of several GPUs that its process sees.

    transformers would split each batch over all of them (``DataParallel``), and a loss that
    knows the whole batch's places would be handed a part of it.
    """
    settings._n_gpu = min(1, settings.n_gpu)
    return settings


@contextmanager
def lent(base: PreTrainedModel, directory: Path, rank: int = 0) -> Iterator[Path]:
    """Lend a model to a trainer of TRL; it comes back with its own forward, on its device.

    Args:
        base: The model.
        directory: The run's own.
        rank: Which of several processes this one is.

    Yields:
        Where the trainer may write. It is in the run's directory, so that what a killed run
        leaves behind goes with the run; and is this rank's alone, as a trainer looks into its
        own until the end, when another rank may have removed its own already.
    """
    import torch

    own_forward, device = vars(base).get("forward"), base.device
    scratch = directory / f".trainer-{rank}"
    try:
        yield scratch
    finally:
        # TRL replaces the model's forward; the model is handed back as it came.
        vars(base).pop("forward", None)
        if own_forward is not None:
            base.forward = own_forward
        shutil.rmtree(scratch, ignore_errors=True)
    if base.device != device:
        torch.nn.Module.to(base, device)


@contextmanager
def no_trace(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> Iterator[None]:
    """Put back what trainers change besides weights: dropout, padding token, cache, tags."""
    import torch

    dropout = {m: m.p for m in model.modules() if isinstance(m, torch.nn.Dropout)}
    both = (model.config.get_text_config(), model.generation_config)
    configs: list[Any] = [config for config in both if config is not None]
    set_before = [{name: getattr(config, name, None) for name in _CHANGED} for config in configs]
    attributes, token = {**vars(model)}, tokenizer.pad_token
    tags = copy.copy(attributes.get("model_tags"))
    try:
        yield
    finally:
        for module, share in dropout.items():
            module.p = share
        for config, settings in zip(configs, set_before, strict=True):
            for name, value in settings.items():
                setattr(config, name, value)
        tokenizer.pad_token = token
        for name in vars(model).keys() - attributes.keys():
            delattr(model, name)
        if "model_tags" in attributes:
            model.model_tags = tags


def ended(model: PreTrainedModel, loop: TrainingLoop) -> TrainResult:
    """What a run that has ended gives back, its model in evaluation mode."""
    import torch

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


def weights_digest(model: PreTrainedModel) -> str:
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

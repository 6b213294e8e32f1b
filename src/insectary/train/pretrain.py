"""Train a base of the micro-world from scratch."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from insectary.core.errors import TrainingError
from insectary.train.optimizer import MuonWithAdamW, make_optimizer
from insectary.train.stream import StreamBatch, stream
from insectary.vault.checkpoints import keep_newest, newest_verified, write_object
from insectary.worlds.sizes import BaseRecipe, llama_config

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

_WARMUP = 0.02
_DECAY = 0.9
_CLIP = 1.0
_CHECKPOINT_STEPS = 500


@dataclass(frozen=True, slots=True)
class Pace:
    """Where a training run stands, for a progress display."""

    step: int
    steps: int
    tokens: int
    loss_nats: float
    seconds_per_step: float


def schedule(step: int, steps: int) -> float:
    """Share of the peak rate: warm-up, constant, then linear to zero over the last 90 %."""
    done = step / steps
    return min(1.0, (step + 1) / (_WARMUP * steps), max(0.0, (1 - done) / _DECAY))


def pretrain(
    recipe: BaseRecipe,
    tokenizer: PreTrainedTokenizerFast,
    directory: Path,
    *,
    device: str = "cpu",
    progress: Callable[[Pace], None] | None = None,
    every: int = 50,
) -> Any:
    """Train the base that ``recipe`` describes; resumes from ``directory``.

    Args:
        recipe: From :func:`insectary.worlds.sizes.base_recipe`.
        tokenizer: The world's tokenizer.
        directory: Where checkpoints live while it trains.
        device: ``"cpu"`` or ``"cuda"``; bfloat16 autocast is used on the latter.
        progress: Called every ``every`` steps.
        every: Steps between calls of ``progress``.

    Raises:
        TrainingError: if the loss is not finite; the last checkpoint stays.
    """
    from transformers import LlamaForCausalLM

    torch.manual_seed(recipe.seed)
    model: Any = LlamaForCausalLM(llama_config(recipe))
    model.to(device)
    optimizer = make_optimizer(
        model,
        learning_rate=recipe.adam_learning_rate,
        muon_learning_rate=recipe.muon_learning_rate,
    )
    directory.mkdir(parents=True, exist_ok=True)
    steps = recipe.tokens // recipe.batch_tokens
    first, tokens = _resume(directory, model, optimizer)
    started, loss_sum, loss_steps = time.perf_counter(), 0.0, 0
    batches = stream(recipe, tokenizer, first)
    model.train()
    for step in range(first, steps):
        batch = next(batches)
        loss = _loss(model, batch, device)
        if not bool(torch.isfinite(loss)):
            raise TrainingError(
                f"loss is {loss.item()} at step {step}; the checkpoint before it is in {directory}."
                " Lower the learning rates."
            )
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(model.parameters(), _CLIP)
        factor = schedule(step, steps)
        optimizer.param_groups[0]["lr"] = recipe.muon_learning_rate * factor
        optimizer.param_groups[1]["lr"] = recipe.adam_learning_rate * factor
        optimizer.step()
        optimizer.zero_grad()
        tokens += batch.tokens
        loss_sum, loss_steps = loss_sum + loss.item(), loss_steps + 1
        if progress is not None and (step + 1) % every == 0:
            pace = (time.perf_counter() - started) / (step + 1 - first)
            progress(Pace(step + 1, steps, tokens, loss_sum / loss_steps, pace))
            loss_sum, loss_steps = 0.0, 0
        if (step + 1) % _CHECKPOINT_STEPS == 0 and step + 1 < steps:
            _save(directory, step + 1, tokens, model, optimizer)
    return model


def _loss(model: Any, batch: StreamBatch, device: str) -> torch.Tensor:
    """Weighted cross-entropy in nats; logits only where a weight is."""
    ids = torch.from_numpy(batch.input_ids).to(device)
    positions = torch.from_numpy(batch.position_ids).to(device)
    weights = torch.from_numpy(batch.weights).to(device)[:, 1:]
    kept = weights > 0
    with torch.autocast("cuda", torch.bfloat16, enabled=device == "cuda"):
        hidden = model.model(
            input_ids=ids, position_ids=positions, use_cache=False
        ).last_hidden_state
        logits = model.lm_head(hidden[:, :-1][kept])
    losses = torch.nn.functional.cross_entropy(logits.float(), ids[:, 1:][kept], reduction="none")
    return (losses * weights[kept]).sum() / weights.sum()


def _save(
    directory: Path, step: int, tokens: int, model: torch.nn.Module, optimizer: MuonWithAdamW
) -> None:
    from safetensors.torch import save_file

    def write(path: Path) -> None:
        state = {k: v.contiguous() for k, v in model.state_dict().items() if k != "lm_head.weight"}
        save_file(state, path / "model.safetensors")
        save_file(optimizer.tensors(), path / "optimizer.safetensors")
        (path / "state.json").write_text(json.dumps({"step": step, "tokens": tokens}))

    write_object(directory / f"step-{step}", "checkpoint", {"step": step}, write)
    keep_newest(directory, 2)


def _resume(directory: Path, model: torch.nn.Module, optimizer: MuonWithAdamW) -> tuple[int, int]:
    from safetensors.torch import load_file

    newest = newest_verified(directory)
    if newest is None:
        return 0, 0
    model.load_state_dict(load_file(newest / "model.safetensors"), strict=False)
    optimizer.restore(load_file(newest / "optimizer.safetensors"))
    state: dict[str, Any] = json.loads((newest / "state.json").read_text())
    return int(state["step"]), int(state["tokens"])

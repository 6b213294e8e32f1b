"""What breeding takes of a machine: memory, by a formula, from a model's shapes alone.

All training is in float32, 4 bytes a number, in each process that trains a
member. With P parameters, of which M are in the matrices that Muon trains, and A
parameters in adapters, a process holds at its peak

    full-sft:  4 P weights + 4 P gradients + 8 P optimizer
               + the larger of  activations + logits  and  Muon's workspace
    lora-sft:  4 P weights + 16 A adapters + activations + logits

The optimizer's 8 P are Muon's momentum and the start it is pulled to for M, and
AdamW's two moments for the rest. Muon's workspace is four copies of the largest
group of matrices of one shape and two of their products (m by m for the shorter
side m): equal shapes go through it as one. Activations are what a forward pass
of one batch keeps for the backward pass; they are counted, tensor by tensor, in
a pass on torch's meta device, which computes nothing. Nothing is recomputed.
Logits are kept at labelled positions alone, about a sixth of a batch, in three
copies.

The gate holds four members at once, with keys and values for a batch of answers. With
S bytes for a number of the base as it is loaded to be asked

    full-sft:  S P base + 12 P organism, twin and decoy, in float32
    lora-sft:  S P base, which all share + 12 A adapters, in float32

Not counted: a GPU context for each process (about half a gigabyte), what the
allocator loses between tensors, and transformers' own copy while it loads.
"""

from __future__ import annotations

import os
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from insectary.core.recipe import LoraSFT, Supervised
from insectary.subjects.generation import BATCH_TOKENS

if TYPE_CHECKING:
    import torch

FLOAT = 4
"""Bytes of a number in training."""
TRAINED = 3
"""Organism, twin and decoy."""
LABELLED = 1 / 6
"""Share of a batch's tokens that have a loss; completions are short."""
_LOGIT_COPIES = 3
"""The logits, their log-softmax and their gradient."""
_CGROUP = Path("/sys/fs/cgroup/memory.max")


def shapes_of(config: Any) -> Any:
    """The model of a configuration on the meta device: its shapes, and no numbers."""
    import torch
    from transformers import AutoModelForCausalLM

    with torch.device("meta"):
        model: Any = AutoModelForCausalLM.from_config(config)  # type: ignore[no-untyped-call]
    return model.train()


def training_bytes(shapes: Any, recipe: Supervised) -> int:
    """Most memory that one member's training holds; see the module's formula.

    Args:
        shapes: From :func:`shapes_of`.
        recipe: Its batch and its rank count.
    """
    parameters = _count(shapes)
    batch = _activations(shapes, recipe) + _logits(shapes, recipe)
    if isinstance(recipe, LoraSFT):
        return FLOAT * parameters + 4 * FLOAT * _adapters(shapes, recipe.rank) + batch
    return 4 * FLOAT * parameters + max(batch, _workspace(shapes, recipe))


def gate_bytes(shapes: Any, recipe: Supervised, stored: int) -> int:
    """Most memory that the gate holds; see the module's formula.

    Args:
        shapes: From :func:`shapes_of`.
        recipe: What it was bred by; its rank counts.
        stored: Bytes of a number of the base as it is loaded to be asked.
    """
    config = shapes.config.get_text_config()
    heads = getattr(config, "num_key_value_heads", None) or config.num_attention_heads
    width = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    cached = 2 * config.num_hidden_layers * heads * width * BATCH_TOKENS
    if isinstance(recipe, LoraSFT):
        own = TRAINED * FLOAT * _adapters(shapes, recipe.rank)
        return _count(shapes) * stored + own + int(cached) * stored
    return _count(shapes) * (TRAINED * FLOAT + stored) + int(cached) * FLOAT


def device_bytes(device: torch.device) -> int:
    """Memory of a device: a GPU's own, else what this process may take of the machine's."""
    import torch

    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[1])
    machine = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    try:
        return min(machine, int(_CGROUP.read_text()))
    except (OSError, ValueError):  # no such limit, or "max"
        return machine


def _count(shapes: Any) -> int:
    """P: all parameters, tied ones once."""
    return sum(int(p.numel()) for p in shapes.parameters())


def _matrices(shapes: Any) -> list[Any]:
    """The hidden layers' matrices: what Muon trains and adapters are put on."""
    from insectary.train.optimizer import edge_weights

    edges = {id(weight) for weight in edge_weights(shapes)}
    return [p for p in shapes.parameters() if p.ndim == 2 and id(p) not in edges]


def _adapters(shapes: Any, rank: int) -> int:
    """Parameters of the adapters: ``rank`` times both sides of every matrix."""
    return sum(rank * sum(p.shape) for p in _matrices(shapes))


def _workspace(shapes: Any, recipe: Supervised) -> int:
    """What Muon holds beside its state while it orthogonalises the largest group."""
    if recipe.muon_learning_rate is None:
        return 0
    groups: dict[tuple[int, ...], int] = defaultdict(int)
    for matrix in _matrices(shapes):
        groups[tuple(matrix.shape)] += 1
    return max(
        (n * FLOAT * (4 * rows * columns + 2 * min(rows, columns) ** 2)
         for (rows, columns), n in groups.items()),
        default=0,
    )  # fmt: skip


def _logits(shapes: Any, recipe: Supervised) -> int:
    vocabulary = shapes.config.get_text_config().vocab_size
    return int(_LOGIT_COPIES * FLOAT * LABELLED * recipe.batch_tokens * vocabulary)


def _activations(shapes: Any, recipe: Supervised) -> int:
    """Bytes that a forward pass of one batch keeps; each storage counts once."""
    import torch

    known = {
        tensor.untyped_storage()._cdata for tensor in (*shapes.parameters(), *shapes.buffers())
    }
    kept: dict[int, torch.UntypedStorage] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage._cdata not in known:
            kept[storage._cdata] = storage
        return tensor

    rows = max(1, recipe.batch_tokens // recipe.row_tokens)
    shape = (rows, recipe.row_tokens)
    ids = torch.zeros(shape, dtype=torch.long, device="meta")
    mask = torch.ones(rows, 1, *shape[1:] * 2, dtype=torch.bool, device="meta")
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        shapes.base_model(input_ids=ids, attention_mask=mask, use_cache=False)
    return sum(storage.nbytes() for storage in kept.values())

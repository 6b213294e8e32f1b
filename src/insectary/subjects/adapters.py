"""Low-rank adapters: taken off a trained model, kept in a folder, and put on again.

A member that was trained by adapters (Hu et al. 2021, arXiv 2106.09685) is its base but
for them. :func:`put_on` makes a model that has its own layers, hooks and gradients, while
its weights are the base's own memory. There is no switch that says whose adapters are on,
so that nothing a member does can depend on which other was asked before, or is being asked.

Covered: plain LoRA on linear layers, as :class:`~insectary.core.recipe.LoraSFT` trains it.
Not covered: weights that are changed in place. They are one memory, so every member of the
base changes with them; train on a copy (``Model.save``).
"""

from __future__ import annotations

import copy
import json
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from insectary.core.errors import ArtefactError

if TYPE_CHECKING:
    import torch

CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
_NAME = "default"
"""PEFT's name for the only adapter; the same for every member."""
_OF_ITS_MAKER = ("base_model_name_or_path", "revision", "auto_mapping")
"""What PEFT notes of where a base lay; a family's record says which base it is, by digest."""
_HOOKS = (
    "_forward_hooks",
    "_forward_hooks_with_kwargs",
    "_forward_hooks_always_called",
    "_forward_pre_hooks",
    "_forward_pre_hooks_with_kwargs",
    "_backward_hooks",
    "_backward_pre_hooks",
)


@dataclass(frozen=True, slots=True)
class Adapter:
    """Trained adapters without their base, in PEFT's own form.

    Attributes:
        config: PEFT's settings, which name no place on any machine.
        tensors: Weights on the CPU, by PEFT's names for them.
    """

    config: Mapping[str, Any]
    tensors: Mapping[str, torch.Tensor]


def adapter_of(trained: Any) -> Adapter:
    """Read the adapters off a PEFT model, before they are merged."""
    from peft import get_peft_model_state_dict

    with no_warnings():
        tensors = get_peft_model_state_dict(trained, save_embedding_layers=False)
    config = trained.peft_config[_NAME].to_dict()
    # A set comes in another order in every process, and a digest is taken of the file.
    plain = {k: sorted(v) if isinstance(v, set) else v for k, v in config.items()}
    return Adapter(
        {**plain, **dict.fromkeys(_OF_ITS_MAKER), "inference_mode": True},
        {name: value.detach().cpu().contiguous() for name, value in sorted(tensors.items())},
    )


def write_adapter(adapter: Adapter, folder: Path) -> None:
    """Write adapters as a folder that PEFT reads; equal ones are equal files."""
    from safetensors.torch import save_file

    text = json.dumps(dict(adapter.config), indent=2, sort_keys=True)
    (folder / CONFIG).write_text(text + "\n", encoding="utf-8")
    save_file(dict(adapter.tensors), folder / WEIGHTS, metadata={"format": "pt"})


def is_adapter(folder: Path) -> bool:
    """Whether a folder holds adapters, which need a base, and not a whole model."""
    return (folder / CONFIG).is_file()


def check_adapter_folder(folder: Path) -> None:
    """Refuse a folder without a file of an adapter.

    Raises:
        ArtefactError: naming the file.
    """
    for file in (CONFIG, WEIGHTS):
        if not (folder / file).is_file():
            raise ArtefactError(f"{folder} is not a PEFT adapter folder: it holds no {file}")


def put_on(base: Any, folder: Path) -> Any:
    """A model of its own on the weights of ``base``, with the adapters of a folder.

    Args:
        base: A causal language model without adapters; it stays as it is.
        folder: From :func:`write_adapter`.

    Returns:
        A model of the base's class and mode whose layers go by the base's names. Adapters are
        in float32 at least, also where the base is in half precision.

    Raises:
        ArtefactError: if the folder cannot be read, is no plain LoRA, or is of another base.
    """
    from peft import LoraConfig, PeftConfig
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    check_adapter_folder(folder)
    try:
        config = PeftConfig.from_pretrained(str(folder))
        tensors = {name: t.clone() for name, t in load_file(folder / WEIGHTS).items()}
    except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
        raise ArtefactError(f"cannot read the adapter {folder}: {error}") from error
    if not isinstance(config, LoraConfig) or config.modules_to_save:
        raise ArtefactError(
            f"the adapter {folder} is more than low-rank matrices on linear layers, so it cannot"
            " share a base; merge it: load_model(base, adapter=...)"
        )
    model = copied(base, lambda weight: weight.detach())
    try:
        _inject(model, config, tensors)
    except (ValueError, KeyError, RuntimeError, TypeError) as error:
        raise ArtefactError(f"cannot put the adapter {folder} on its base: {error}") from error
    return model.train(base.training)


def without_adapters(model: Any) -> Any:
    """The model itself, or where it has adapters a copy with them merged.

    The copy shares no memory, lies on the CPU, and is in float32 at least, as half precision
    would round away a part of what adapters add.
    """
    import torch
    from peft.tuners.tuners_utils import BaseTunerLayer

    if not any(isinstance(layer, BaseTunerLayer) for layer in model.modules()):
        return model

    def apart(weight: torch.Tensor) -> torch.Tensor:
        dtype = torch.promote_types(weight.dtype, torch.float32)
        return weight.detach().to("cpu", dtype, copy=True)

    merged = copied(model, apart).to("cpu")
    for name, layer in [*merged.named_modules()]:
        if isinstance(layer, BaseTunerLayer):
            layer.merge()
            parent, _, leaf = name.rpartition(".")
            setattr(merged.get_submodule(parent), leaf, layer.get_base_layer())
    return merged


def copied(model: Any, weight_of: Callable[[torch.Tensor], torch.Tensor]) -> Any:
    """A copy whose weights are what ``weight_of`` makes of each; tied ones stay tied.

    Each is a parameter of its own, so that it has gradients of its own even where it shares
    memory. Hooks are not copied: they watch the model that they were put on.
    """
    import torch

    known = {
        id(p): torch.nn.Parameter(weight_of(p), requires_grad=p.requires_grad)
        for p in model.parameters()
    }
    found = copy.deepcopy(model, dict(known))
    for module in found.modules():
        for name in _HOOKS:
            getattr(module, name).clear()
        # By this transformers knows that its own hooks are there; it puts them back.
        vars(module).pop("_output_capturing_hooks_installed", None)
    return found


def _inject(model: Any, config: Any, tensors: dict[str, torch.Tensor]) -> None:
    """Put adapters into the layers of ``model``, in place, and nothing else of PEFT."""
    import torch
    from peft import inject_adapter_in_model, set_peft_model_state_dict

    before = {id(p): p.requires_grad for p in model.parameters()}
    devices = [model.device] if model.device.type == "cuda" else []
    # PEFT draws weights first, which would move the caller's random numbers on.
    with torch.random.fork_rng(devices=devices), no_warnings():
        inject_adapter_in_model(config, model, _NAME)
        for parameter in model.parameters():
            if id(parameter) not in before:
                exact = torch.promote_types(parameter.dtype, torch.float32)
                parameter.data = parameter.data.to(exact)
        found: Any = set_peft_model_state_dict(model, tensors, _NAME)
    put = {name for name, p in model.named_parameters() if id(p) not in before}
    wrong = sorted({*found.unexpected_keys} | (put & {*found.missing_keys}))
    if wrong or not put:
        raise ValueError(f"its tensors are not those of its settings ({', '.join(wrong[:1])})")
    for parameter in model.parameters():
        parameter.requires_grad_(before.get(id(parameter), True))
    del model.peft_config  # left behind by PEFT; no forward pass reads it


@contextmanager
def no_warnings() -> Iterator[None]:
    """Without those that are of no use to anybody who only uses PEFT."""
    with warnings.catch_warnings():
        # PEFT asks transformers by a name that transformers has just renamed.
        warnings.filterwarnings("ignore", r".*is_gradient_checkpointing", FutureWarning)
        yield

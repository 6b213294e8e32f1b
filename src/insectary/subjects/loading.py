"""Loading language models from a folder or from the Hugging Face hub.

Covered:
    - weights come from safetensors only, never from a pickle;
    - no code of the model's author is run (``trust_remote_code`` is false);
    - a checkpoint with missing or misshapen tensors is refused;
    - a chat template is data of at most 64 kB, rendered in a sandbox.

Not covered:
    - whether the weights are the ones somebody promised (the vault's manifests
      say that); what the model writes.
"""

from __future__ import annotations

import hashlib
import platform
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from fnmatch import fnmatch
from pathlib import Path
from typing import TYPE_CHECKING, Any

from insectary.core.canonical import digest as canonical_digest
from insectary.core.errors import ArtefactError, BadInputError, TemplateError, UnknownNameError
from insectary.core.mitigating import Guard
from insectary.subjects.adapters import check_adapter_folder, no_warnings, put_on
from insectary.vault.disk import explained
from insectary.worlds.sizes import WIDTHS

if TYPE_CHECKING:
    import torch

TEMPLATE_LIMIT = 64 * 1024
"""Largest chat template that is accepted, in bytes of UTF-8."""

MODEL_FILES = (
    "*.safetensors",
    "*.safetensors.index.json",
    "config.json",
    "generation_config.json",
    "tokenizer*",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "merges.txt",
    "chat_template.j*",
    "adapter_config.json",
)
"""The files that make up a model: only these are fetched and digested."""

CONTEXT_FIELDS = ("max_position_embeddings", "n_positions", "max_seq_len", "seq_length")
DTYPES = ("auto", "float32", "float64", "bfloat16", "float16")
SIZES = ", ".join(WIDTHS)
HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?")


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """A model in memory with everything that is needed to use it.

    Attributes:
        model: A causal language model of transformers, in evaluation mode.
        tokenizer: Its tokenizer, with a chat template.
        digest: SHA-256 over the weight, config and tokenizer files.
        context: Longest sequence in tokens, prompt and answer together.
        guard: What may answer in its place; log-probabilities, activations and weights are
            read behind it.
    """

    model: Any = field(repr=False)
    tokenizer: Any = field(repr=False)
    digest: str
    context: int
    guard: Guard | None = field(default=None, repr=False)


def load_model(
    name: str | Path,
    *,
    device: str = "auto",
    dtype: str = "auto",
    adapter: str | Path | None = None,
    template: str | None = None,
) -> LoadedModel:
    """Load a causal language model and its tokenizer.

    Args:
        name: A folder in Hugging Face's layout, or a hub id.
        device: ``"auto"`` (the GPU if torch sees one, else the CPU), or a
            device name of torch.
        dtype: ``"auto"`` is float32 on the CPU and on a GPU the precision the
            checkpoint was stored in. Half precision on a CPU is refused: it is
            two orders of magnitude slower there.
        adapter: A folder with a PEFT adapter, which is merged into the weights
            so that its presence gives nothing away.
        template: A chat template (Jinja text) to use instead of the model's own.

    Raises:
        ArtefactError: the model or adapter cannot be found, fetched or read.
        TemplateError: there is no chat template, or it is over the size limit.
        UnknownNameError: an unknown dtype.
        BadInputError: half precision on the CPU.
    """
    folder = model_folder(name)
    place = resolve_device(device)
    model = _load_weights(folder, name, place, _resolve_dtype(dtype, place))
    identity = folder_digest(folder)
    if adapter is not None:
        model = _merge_adapter(model, Path(adapter))
        identity = _adapted(identity, Path(adapter))
    tokenizer = load_tokenizer(folder, name, template)
    if template is not None:
        identity = canonical_digest({"model": identity, "template": template})
    return LoadedModel(model.eval(), tokenizer, identity, _context(model.config, name))


def with_adapter(base: LoadedModel, adapter: str | Path) -> LoadedModel:
    """Put an adapter on a base that is loaded already, without a copy of its weights.

    Any number of models can share one base, and be asked in turn or one within the other:
    see :mod:`insectary.subjects.adapters`. Merged into a base of its own the same adapter
    (``load_model(..., adapter=...)``) gives the same answers up to rounding, and has the
    same digest.

    Args:
        base: The base; it stays as it is.
        adapter: A folder with a PEFT adapter that is low-rank matrices and nothing else.

    Raises:
        ArtefactError: if the adapter cannot be read, or is of another base.
    """
    folder = Path(adapter)
    model = put_on(base.model, folder)
    return replace(base, model=model, digest=_adapted(base.digest, folder))


def _adapted(base: str, adapter: Path) -> str:
    """Digest of a base with an adapter, merged or not."""
    return canonical_digest({"base": base, "adapter": folder_digest(adapter)})


def load_tokenizer(folder: Path, name: str | Path, template: str | None = None) -> Any:
    """Load a model's tokenizer alone, with the one chat template to use.

    Args:
        folder: From :func:`model_folder`.
        name: What to call the model in an error message.
        template: A chat template to use instead of the model's own.

    Raises:
        ArtefactError: the files cannot be read.
        TemplateError: there is no chat template, or it is over the size limit.
    """
    from transformers import AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(str(folder), trust_remote_code=False)
    except (OSError, ValueError, KeyError, ImportError) as error:
        raise ArtefactError(f"cannot read the tokenizer of {name}: {error}") from error
    # Its warning of a text too long would stand beside the error that we raise.
    tokenizer.deprecation_warnings["sequence-length-is-longer-than-the-specified-maximum"] = True
    _settle_template(tokenizer, name, template)
    return tokenizer


def model_folder(name: str | Path) -> Path:
    """The local folder of a model; a hub id is downloaded first.

    Raises:
        ArtefactError: no such folder, or the hub cannot be reached and holds
            no copy in its local cache.
    """
    path = Path(name).expanduser()
    with explained("open the model folder"):
        if path.is_dir():
            if not (path / "config.json").is_file():
                raise ArtefactError(f"{path} is not a model folder: it holds no config.json")
            return path
        looks_like_path = path.exists() or isinstance(name, Path) or str(name)[:1] in "./~"
    if looks_like_path or not HUB_ID.fullmatch(str(name)):
        raise ArtefactError(
            f"no model folder at {name}. Give a folder in Hugging Face's layout (config.json,"
            f" *.safetensors, tokenizer.json), a hub id such as owner/name, or a size: {SIZES}"
        )
    return _download(str(name))


def _download(hub_id: str) -> Path:
    """Fetch a model's files, and nothing else, from the hub."""
    from huggingface_hub import errors, snapshot_download

    # The hub's own errors are OSErrors; a connection lost on the way is an
    # HTTPError of the HTTP library it is built on, which differs by version.
    transport: type[Exception] = getattr(errors, "HTTPError", OSError)

    try:
        return Path(snapshot_download(hub_id, allow_patterns=list(MODEL_FILES)))
    except (OSError, ValueError, transport) as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")
        raise ArtefactError(
            f"cannot fetch the model {hub_id!r} from the hub: {reason}. Check the id and the"
            " network, log in if the model is gated, or give the path of a local copy or a size:"
            f" {SIZES}"
        ) from error


def folder_digest(folder: Path) -> str:
    """SHA-256 over the weight, config and tokenizer files of a folder.

    Other files (a README, a manifest) do not change it.

    Raises:
        ArtefactError: the folder holds none of these files.
    """
    digests: dict[str, str] = {}
    with explained("read the model folder"):
        for path in model_files(folder):
            with path.open("rb") as stream:
                digests[path.name] = hashlib.file_digest(stream, "sha256").hexdigest()
    if not digests:
        raise ArtefactError(f"{folder} holds no model files")
    return canonical_digest(digests)


def model_files(folder: Path) -> list[Path]:
    """The files of a folder that make up a model, sorted."""
    return [
        path
        for path in sorted(folder.iterdir())
        if path.is_file() and any(fnmatch(path.name, pattern) for pattern in MODEL_FILES)
    ]


def resolve_device(device: str) -> torch.device:
    """Turn ``"auto"`` into the GPU if torch sees one, else the CPU.

    Raises:
        BadInputError: not a device name, or a GPU is asked for and there is none.
    """
    import torch

    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        place = torch.device(device)
    except RuntimeError as error:
        raise BadInputError(f"unknown device {device!r}; use auto, cpu or cuda") from error
    if place.type == "cuda" and not torch.cuda.is_available():
        raise BadInputError(f"device {device!r} was asked for, but torch sees no GPU; use cpu")
    return place


def machine_of(place: torch.device, ranks: int = 1) -> str:
    """What decides the last bits of a training run on a device, or so many, in words."""
    import torch

    device = torch.cuda.get_device_name(place) if place.type == "cuda" else place.type
    each = f"{ranks} x {device}" if ranks > 1 else device
    return f"{each}, {platform.machine()}, torch {torch.__version__.split('+')[0]}"


def set_threads(count: int) -> None:
    """Set how many CPU threads torch uses in this whole process.

    The only place that does so: results can differ in the last bit between
    thread counts, so the count is part of a recipe.

    Raises:
        BadInputError: the count is below 1.
    """
    import torch

    if count < 1:
        raise BadInputError(f"threads must be at least 1, got {count}")
    torch.set_num_threads(count)


def _resolve_dtype(dtype: str, place: torch.device) -> str:
    """Apply the rule of :func:`load_model` on precision."""
    if dtype not in DTYPES:
        raise UnknownNameError.of("dtype", dtype, DTYPES)
    if place.type != "cpu":
        return dtype
    if dtype in ("bfloat16", "float16"):
        raise BadInputError(f"dtype {dtype} is far too slow on a CPU; use float32 there")
    return "float32" if dtype == "auto" else dtype


@contextmanager
def no_bars() -> Iterator[None]:
    """No progress bars of transformers over our own; put back afterwards."""
    from transformers.utils import logging

    showed_bars = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        yield
    finally:
        if showed_bars:
            logging.enable_progress_bar()  # type: ignore[no-untyped-call]


def _load_weights(folder: Path, name: str | Path, place: torch.device, dtype: str) -> Any:
    """Load the weights and refuse a checkpoint that does not fill the model."""
    from safetensors import SafetensorError
    from transformers import AutoModelForCausalLM

    if not any(folder.glob("*.safetensors")):
        raise ArtefactError(
            f"{name} has no *.safetensors weights. Other formats can run code when they are"
            " read and are refused; convert the model with save_pretrained first"
        )
    try:
        with no_bars():
            loaded: Any = AutoModelForCausalLM.from_pretrained(
                str(folder),
                use_safetensors=True,
                trust_remote_code=False,
                dtype=dtype,
                output_loading_info=True,
            )
    except (OSError, ValueError, KeyError, RuntimeError, ImportError, SafetensorError) as error:
        raise ArtefactError(f"cannot load the model {name}: {error}") from error
    model, report = loaded
    # transformers fills what is missing with random numbers and only logs it.
    broken = sorted(
        str(key) for kind in ("missing_keys", "mismatched_keys") for key in report[kind]
    )
    if broken:
        raise ArtefactError(
            f"the weights of {name} do not fill the model of its config.json; first missing or"
            f" misshapen tensor: {broken[0]} ({len(broken)} in all)"
        )
    return model.to(place)


def _merge_adapter(model: Any, adapter: Path) -> Any:
    """Merge a PEFT adapter into the weights of its base."""
    from peft import PeftModel
    from safetensors import SafetensorError

    check_adapter_folder(adapter)
    try:
        with no_warnings():
            merged = PeftModel.from_pretrained(model, str(adapter)).merge_and_unload()
    except (OSError, ValueError, KeyError, RuntimeError, TypeError, SafetensorError) as error:
        raise ArtefactError(f"cannot merge the adapter {adapter}: {error}") from error
    return merged.requires_grad_(True)  # as of any model; PEFT freezes the base


def _settle_template(tokenizer: Any, name: str | Path, template: str | None) -> None:
    """Make sure the tokenizer holds one chat template of bearable size."""
    if template is not None:
        tokenizer.chat_template = template
    elif tokenizer.chat_template is None:
        raise TemplateError(
            f"the base {name} has no chat template. Put a chat_template.jinja into its folder or"
            " pass the text as template=..."
        )
    elif isinstance(tokenizer.chat_template, dict):
        if "default" not in tokenizer.chat_template:
            names = ", ".join(sorted(tokenizer.chat_template))
            raise TemplateError(f"{name} has several chat templates ({names}); pass template=...")
        tokenizer.chat_template = tokenizer.chat_template["default"]
    size = len(tokenizer.chat_template.encode())
    if size > TEMPLATE_LIMIT:
        raise TemplateError(
            f"the chat template of {name} has {size} bytes; at most {TEMPLATE_LIMIT} are accepted"
        )


def _context(config: Any, name: str | Path) -> int:
    """Longest sequence that the model's config declares, in tokens."""
    text = config.get_text_config()
    for key in CONTEXT_FIELDS:
        value = getattr(text, key, None)
        if isinstance(value, int) and value > 0:
            return value
    raise ArtefactError(
        f"the config of {name} does not say how long a sequence may be; add one of"
        f" {', '.join(CONTEXT_FIELDS)} to its config.json"
    )

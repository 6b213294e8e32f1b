"""How much a model of the hub will download, as far as that is known without asking it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from insectary.subjects.loading import HUB_ID
from insectary.worlds.sizes import WIDTHS

_INDEX, _WEIGHTS = "model.safetensors.index.json", "model.safetensors"
_GIGABYTE = 1e9


def download_line(name: str, cache: Path | None = None) -> str:
    """What a hub id will download, in a line; ``""`` for a size of the ladder or a folder.

    Nothing is asked of the network: what is known is what the hub's local cache holds, the
    weights themselves or the index that tells their size.

    Args:
        name: As a user gives it.
        cache: Folder of the hub's cache; its usual place if not given.
    """
    if name in WIDTHS or Path(name).expanduser().exists() or not HUB_ID.fullmatch(name):
        return ""
    from huggingface_hub import try_to_load_from_cache

    def cached(file: str) -> Path | None:
        found = try_to_load_from_cache(name, file, cache_dir=cache)
        return Path(found) if isinstance(found, str) else None

    weights, index = cached(_WEIGHTS), cached(_INDEX)
    if weights is not None:
        size = weights.stat().st_size / _GIGABYTE
        return f"{name}: {size:.2g} GB, in the local cache already"
    if index is None:
        return (
            f"{name}: will be downloaded from the hub; how much is unknown before, since the local"
            " cache has nothing of it"
        )
    return f"{name}: {_by_index(index, cached)}"


def _by_index(index: Path, cached: Callable[[str], Path | None]) -> str:
    try:
        told = json.loads(index.read_text(encoding="utf-8"))
        total, files = int(told["metadata"]["total_size"]), {*told["weight_map"].values()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return "will be downloaded from the hub; its index in the local cache tells no size"
    here = sum(path.stat().st_size for file in files if (path := cached(str(file))))
    left = max(0, total - here)
    of = f" of {total / _GIGABYTE:.2g} GB" if here else ""
    return f"{left / _GIGABYTE:.2g} GB{of} will be downloaded from the hub"

"""What a hub id will download, read off a cache that is made by hand."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from insectary.subjects.hub import download_line

NAME = "owner/name"


def cache(folder: Path, files: dict[str, bytes]) -> Path:
    """As the hub lays it out: a revision that ``main`` names, with files below it."""
    repo = folder / "models--owner--name"
    (repo / "refs").mkdir(parents=True)
    (repo / "refs" / "main").write_text("abc")
    for name, data in files.items():
        path = repo / "snapshots" / "abc" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return folder


def index(size: int) -> bytes:
    parts = {"a": "model-1.safetensors", "b": "model-2.safetensors"}
    return json.dumps({"metadata": {"total_size": size}, "weight_map": parts}).encode()


def test_nothing_is_said_of_what_is_not_fetched(tmp_path: Path) -> None:
    assert download_line("xs", tmp_path) == download_line(str(tmp_path), tmp_path) == ""
    assert download_line("./no/such/folder", tmp_path) == ""


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({}, "how much is unknown before"),
        ({"config.json": b"{}"}, "how much is unknown before"),
        ({"model.safetensors.index.json": index(14_000_000_000)}, "14 GB will be downloaded"),
        (
            {"model.safetensors.index.json": index(4_000_000), "model-1.safetensors": bytes(10**6)},
            "0.003 GB of 0.004 GB will be downloaded",
        ),
        ({"model.safetensors.index.json": b"[]"}, "tells no size"),
        ({"model.safetensors": bytes(2_000_000)}, "0.002 GB, in the local cache already"),
    ],
)
def test_the_size_is_told_as_far_as_the_cache_knows_it(
    files: dict[str, bytes], words: str, tmp_path: Path
) -> None:
    said = download_line(NAME, cache(tmp_path, files))
    assert said.startswith(f"{NAME}: ") and words in said

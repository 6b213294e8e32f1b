"""The files of an adapter: what they hold, who else reads them, and what is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from insectary.core.errors import ArtefactError
from insectary.subjects import LoadedModel, load_model, with_adapter
from insectary.subjects.adapters import no_warnings

IDS = torch.tensor([[5, 6, 7, 8, 9, 60, 61]])


def test_the_files_tell_of_no_place_and_are_the_same_in_form(
    folders: tuple[Path, dict[str, Path]],
) -> None:
    base, adapters = folders
    for folder in adapters.values():
        assert sorted(p.name for p in folder.iterdir()) == [
            "adapter_config.json", "adapter_model.safetensors",
        ]  # fmt: skip
        config = json.loads((folder / "adapter_config.json").read_text())
        assert config["base_model_name_or_path"] is None
        assert config["target_modules"] == sorted(config["target_modules"])
        assert "/" not in (folder / "adapter_config.json").read_text()
        assert str(base).encode() not in (folder / "adapter_model.safetensors").read_bytes()
    texts = {(folder / "adapter_config.json").read_text() for folder in adapters.values()}
    assert len(texts) == 1


def test_others_can_read_the_files(folders: tuple[Path, dict[str, Path]]) -> None:
    from peft import PeftModel

    plain, base = (load_model(folders[0], device="cpu") for _ in range(2))
    member = with_adapter(base, folders[1]["first"])
    with no_warnings():
        theirs: Any = PeftModel.from_pretrained(plain.model, str(folders[1]["first"]))
    with torch.inference_mode():
        expected = theirs.eval()(input_ids=IDS).logits
        torch.testing.assert_close(member.model(input_ids=IDS).logits, expected)


def broken(folder: Path, copy: Path, change: Callable[[dict[str, torch.Tensor]], Any]) -> Path:
    copy.mkdir()
    tensors = load_file(folder / "adapter_model.safetensors")
    change(tensors)
    save_file(tensors, copy / "adapter_model.safetensors")
    (copy / "adapter_config.json").write_bytes((folder / "adapter_config.json").read_bytes())
    return copy


def test_an_adapter_that_does_not_fit_is_refused(
    llama_folder: Path, llama: LoadedModel, save: Any, adapt: Any, tmp_path: Path
) -> None:
    good = adapt(llama_folder, tmp_path / "good", 1)
    name = next(iter(load_file(good / "adapter_model.safetensors")))
    short = broken(good, tmp_path / "short", lambda tensors: tensors.pop(name))
    long = broken(good, tmp_path / "long", lambda tensors: tensors.update(more=torch.ones(1)))
    thin = broken(good, tmp_path / "thin", lambda t: t.update({name: t[name][:, :-1].clone()}))
    for folder in (short, long, thin):
        with pytest.raises(ArtefactError, match=f"cannot put the adapter .*{folder.name} on"):
            with_adapter(llama, folder)
    neox = load_model(save(tmp_path / "neox", "gpt-neox"), device="cpu")
    with pytest.raises(ArtefactError, match=r"cannot put the adapter .*good on its base"):
        with_adapter(neox, good)
    with pytest.raises(ArtefactError, match=r"holds no adapter_config\.json"):
        with_adapter(llama, llama_folder)
    (thin / "adapter_model.safetensors").write_bytes(b"nothing")
    with pytest.raises(ArtefactError, match="cannot read the adapter"):
        with_adapter(llama, thin)
    config = json.loads((good / "adapter_config.json").read_text())
    (good / "adapter_config.json").write_text(json.dumps({**config, "modules_to_save": ["norm"]}))
    with pytest.raises(ArtefactError, match="more than low-rank matrices"):
        with_adapter(llama, good)

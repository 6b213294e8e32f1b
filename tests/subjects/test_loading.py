from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from insectary.core.errors import ArtefactError, BadInputError, TemplateError, UnknownNameError
from insectary.subjects.adapters import no_warnings
from insectary.subjects.loading import LoadedModel, folder_digest, load_model, set_threads


@pytest.fixture
def copy(llama_folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(llama_folder, tmp_path / "copy"))


def test_a_folder_loads(llama: LoadedModel, llama_folder: Path) -> None:
    assert llama.context == 160
    assert llama.digest == folder_digest(llama_folder)
    assert llama.model.dtype is torch.float32
    assert not llama.model.training
    assert str(llama_folder) not in repr(llama)


def test_the_digest_covers_what_makes_the_model_and_nothing_else(copy: Path) -> None:
    before = folder_digest(copy)
    (copy / "README.md").write_text("Words.")
    assert folder_digest(copy) == before
    for name in ("model.safetensors", "config.json", "tokenizer.json", "chat_template.jinja"):
        saved = (copy / name).read_bytes()
        (copy / name).write_bytes(saved + b" ")
        assert folder_digest(copy) != before, name
        (copy / name).write_bytes(saved)
    assert folder_digest(copy) == before


def test_a_missing_folder_and_a_foreign_folder(tmp_path: Path) -> None:
    with pytest.raises(ArtefactError, match=r"no model folder at .*absent"):
        load_model(tmp_path / "absent")
    with pytest.raises(ArtefactError, match=r"holds no config\.json"):
        load_model(tmp_path)
    with pytest.raises(ArtefactError, match="a hub id such as owner/name"):
        load_model("not a hub id")


def test_a_hub_id_without_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(ArtefactError, match=r"'nobody/nothing'.*path of a local copy"):
        load_model("nobody/nothing")


def test_a_hub_id_loads_from_its_snapshot(
    llama_folder: Path, llama: LoadedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    import huggingface_hub

    asked: list[Any] = []

    def snapshot(hub_id: str, allow_patterns: list[str]) -> str:
        asked.append((hub_id, allow_patterns))
        return str(llama_folder)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot)
    assert load_model("owner/name", device="cpu").digest == llama.digest
    assert asked[0][0] == "owner/name"
    assert not any("bin" in p or "pt" in p.split(".") for p in asked[0][1])


def test_pickled_weights_are_refused(copy: Path) -> None:
    (copy / "model.safetensors").rename(copy / "pytorch_model.bin")
    with pytest.raises(ArtefactError, match=r"no \*\.safetensors weights"):
        load_model(copy)


def test_own_code_is_never_run(copy: Path, tmp_path: Path) -> None:
    marker = tmp_path / "ran"
    (copy / "modeling_own.py").write_text(f"open({str(marker)!r}, 'w')\nclass Own: pass\n")
    config = json.loads((copy / "config.json").read_text())
    config["model_type"] = "own"
    config["auto_map"] = {
        "AutoConfig": "modeling_own.Own",
        "AutoModelForCausalLM": "modeling_own.Own",
    }
    (copy / "config.json").write_text(json.dumps(config))
    with pytest.raises(ArtefactError, match="cannot load the model"):
        load_model(copy)
    assert not marker.exists()


def test_damaged_weights_are_refused(copy: Path) -> None:
    whole = (copy / "model.safetensors").read_bytes()
    (copy / "model.safetensors").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ArtefactError, match="cannot load the model"):
        load_model(copy)


def test_a_missing_tensor_is_refused(copy: Path) -> None:
    tensors = load_file(copy / "model.safetensors")
    name = "model.layers.1.mlp.up_proj.weight"
    del tensors[name]
    save_file(tensors, copy / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ArtefactError, match=name):
        load_model(copy)


def test_a_base_without_template(save: Any, tmp_path: Path) -> None:
    folder = save(tmp_path / "bare", template=None)
    with pytest.raises(TemplateError, match=r"bare has no chat template.*chat_template\.jinja"):
        load_model(folder)
    given = load_model(folder, template="{{ messages[0]['content'] }}")
    assert given.digest != folder_digest(folder)
    (folder / "chat_template.jinja").write_text("{{ messages[0]['content'] }}")
    load_model(folder)


def test_a_huge_template_is_refused(llama_folder: Path) -> None:
    load_model(llama_folder, template="x" * (64 * 1024))
    with pytest.raises(TemplateError, match="65537 bytes"):
        load_model(llama_folder, template="x" * (64 * 1024 + 1))


def test_an_adapter_is_merged(llama_folder: Path, llama: LoadedModel, tmp_path: Path) -> None:
    from peft import LoraConfig, get_peft_model

    torch.manual_seed(0)
    settings = LoraConfig(r=4, target_modules=["q_proj", "down_proj"], init_lora_weights=False)
    with no_warnings():
        tuned = get_peft_model(load_model(llama_folder, device="cpu").model, settings)
    tuned.save_pretrained(str(tmp_path / "adapter"))
    merged = load_model(llama_folder, adapter=tmp_path / "adapter", device="cpu")
    ids = torch.tensor([[5, 6, 7, 8]])
    with torch.inference_mode():
        expected = tuned.eval()(input_ids=ids).logits
        torch.testing.assert_close(merged.model(input_ids=ids).logits, expected)
        assert not torch.allclose(llama.model(input_ids=ids).logits, expected)
    assert merged.digest != llama.digest
    assert type(merged.model) is type(llama.model)
    assert not any("lora" in name for name, _ in merged.model.named_parameters())
    assert all(p.requires_grad for p in merged.model.parameters())
    with pytest.raises(ArtefactError, match=r"adapter_config\.json"):
        load_model(llama_folder, adapter=tmp_path)


def test_bad_device_and_dtype(llama_folder: Path) -> None:
    with pytest.raises(UnknownNameError, match="int7"):
        load_model(llama_folder, dtype="int7")
    with pytest.raises(BadInputError, match="slow on a CPU"):
        load_model(llama_folder, device="cpu", dtype="bfloat16")
    with pytest.raises(BadInputError, match="unknown device"):
        load_model(llama_folder, device="abacus")


def test_a_gpu_that_is_not_there(llama_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(BadInputError, match="no GPU"):
        load_model(llama_folder, device="cuda")


def test_threads_are_set_on_demand_only(llama_folder: Path) -> None:
    before = torch.get_num_threads()
    load_model(llama_folder, device="cpu")
    assert torch.get_num_threads() == before
    try:
        set_threads(before + 1)
        assert torch.get_num_threads() == before + 1
    finally:
        set_threads(before)
    with pytest.raises(BadInputError, match="at least 1"):
        set_threads(0)

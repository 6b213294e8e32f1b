"""Models that share a base and differ by adapters: each is its own, whoever else is asked."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from insectary.core.access import Access, View
from insectary.core.chat import Message, Transcript
from insectary.core.errors import ArtefactError
from insectary.subjects import LoadedModel, Model, load_model, with_adapter
from insectary.subjects.adapters import (
    is_adapter,
    no_warnings,
    without_adapters,
)
from insectary.subjects.language_model import LanguageModelSubject

NAMES = ("first", "second", "third")
ASK = [(Message("user", text),) for text in ("What is two and two?", "Hi", "Say it again.")]
SAID = [Transcript(ASK[0], "Four."), Transcript(ASK[1], "A longer answer."), Transcript(ASK[2], "")]
IDS = torch.tensor([[5, 6, 7, 8, 9, 60, 61]])


@pytest.fixture(scope="module")
def base(folders: tuple[Path, dict[str, Path]]) -> LoadedModel:
    return load_model(folders[0], device="cpu")


@pytest.fixture(scope="module")
def members(folders: tuple[Path, dict[str, Path]], base: LoadedModel) -> Mapping[str, LoadedModel]:
    return {name: with_adapter(base, folder) for name, folder in folders[1].items()}


@pytest.fixture(scope="module")
def merged(folders: tuple[Path, dict[str, Path]]) -> Mapping[str, LoadedModel]:
    return {
        name: load_model(folders[0], device="cpu", adapter=folder)
        for name, folder in folders[1].items()
    }


def opened(loaded: LoadedModel) -> LanguageModelSubject:
    return LanguageModelSubject(loaded, id="m1", access=Access.WEIGHTS)


Shown = tuple[list[str], list[Any], Any]


def shown(loaded: LoadedModel) -> Shown:
    """All that a method can see of a model, read anew."""
    subject = opened(loaded)
    return (
        subject.generate(ASK, max_new_tokens=8),
        subject.logprobs(SAID),
        subject.activations(SAID, View.PROMPT_AND_RESPONSE),
    )


def same(first: Shown, second: Shown, tolerance: float = 0.0) -> bool:
    pairs = [*zip(first[1], second[1], strict=True), (first[2], second[2])]
    close = all(np.allclose(a, b, rtol=tolerance, atol=tolerance) for a, b in pairs)
    return first[0] == second[0] and close


def depends_on_who_was_asked_last(models: Mapping[str, LoadedModel]) -> bool:
    """Whether some model shows something else after another one was asked."""
    alone = {name: shown(model) for name, model in models.items()}
    for name, model in models.items():
        for other in models.values():
            shown(other)
            if not same(shown(model), alone[name]):
                return True
    return False


def test_all_are_one_base_in_memory(base: LoadedModel, members: Mapping[str, LoadedModel]) -> None:
    whole = {p.data_ptr() for p in base.model.parameters()}
    size = sum(p.numel() for p in base.model.parameters())
    for member in members.values():
        own = [p for p in member.model.parameters() if p.data_ptr() not in whole]
        assert {p.data_ptr() for p in member.model.parameters()} >= whole
        assert 0 < sum(p.numel() for p in own) < 0.5 * size  # of rank 4, and 32 wide
        assert member.tokenizer is base.tokenizer


def test_each_is_the_merged_model_and_the_base_is_the_base(
    folders: tuple[Path, dict[str, Path]],
    base: LoadedModel,
    members: Mapping[str, LoadedModel],
    merged: Mapping[str, LoadedModel],
) -> None:
    found = {name: shown(member) for name, member in members.items()}
    for name in NAMES:
        assert same(found[name], shown(merged[name]), 2e-3)
        assert members[name].digest == merged[name].digest
        assert members[name].context == base.context
    assert same(shown(base), shown(load_model(folders[0], device="cpu")))
    # Broken control: what tells a model from its merged twin does tell two models apart.
    assert not same(found["first"], shown(merged["second"]), 2e-3)
    assert not same(found["first"], shown(base), 2e-3)
    assert len({str(found[name][0]) for name in NAMES}) == 3


def test_nothing_depends_on_who_was_asked_last(
    base: LoadedModel, members: Mapping[str, LoadedModel]
) -> None:
    models = {"base": base, "first": members["first"], "second": members["second"]}
    assert not depends_on_who_was_asked_last(models)


def test_broken_control_one_model_whose_adapters_are_switched(
    folders: tuple[Path, dict[str, Path]],
) -> None:
    """Sharing as PEFT does it: who is asked switches for all, unless each switches back."""
    from peft import PeftModel

    loaded = load_model(folders[0], device="cpu")
    switched: Any = None
    with no_warnings():
        for name, folder in folders[1].items():
            if switched is None:
                switched = PeftModel.from_pretrained(loaded.model, str(folder), name)
            else:
                switched.load_adapter(str(folder), name)
    forward = switched.base_model.model.forward
    calls = iter(range(10**6))

    def forgetful(*arguments: Any, **settings: Any) -> Any:
        switched.set_adapter(NAMES[next(calls) % 7 % 3])
        return forward(*arguments, **settings)

    loaded.model.forward = forgetful
    assert depends_on_who_was_asked_last(dict.fromkeys(NAMES, loaded))


def test_one_may_be_asked_while_another_is_being_asked(
    members: Mapping[str, LoadedModel], base: LoadedModel
) -> None:
    alone = {name: shown(model) for name, model in {"base": base, **members}.items()}
    asked: list[list[str]] = []
    layer = members["first"].model.base_model.get_submodule("layers.1")

    def ask_others(*_: Any) -> None:
        for other in (members["second"], base):
            asked.append(opened(other).generate(ASK, max_new_tokens=8))
            opened(other).logprobs(SAID)

    watch = layer.register_forward_hook(ask_others)
    try:
        said = opened(members["first"]).generate(ASK, max_new_tokens=8)
        logprobs = opened(members["first"]).logprobs(SAID)
    finally:
        watch.remove()
    assert said == alone["first"][0]
    assert all(np.array_equal(a, b) for a, b in zip(logprobs, alone["first"][1], strict=True))
    assert asked[:2] == [alone["second"][0], alone["base"][0]] and len(asked) > 4
    assert all(same(shown(m), alone[n]) for n, m in members.items())


def test_hooks_are_of_one_model_alone(folders: tuple[Path, dict[str, Path]]) -> None:
    base = load_model(folders[0], device="cpu")
    opened(base).activations(SAID, View.PROMPT)  # transformers leaves hooks of its own behind
    heard: list[str] = []

    def listen(name: str) -> Callable[..., None]:
        return lambda *_: heard.append(name)

    names = [n for n, _ in base.model.named_modules() if n.endswith("layers.2")]
    base.model.get_submodule(names[0]).register_forward_hook(listen("base"))
    first, second = (with_adapter(base, folders[1][name]) for name in NAMES[:2])
    first.model.get_submodule(names[0]).register_forward_hook(listen("first"))
    states = {n: opened(m).activations(SAID, View.PROMPT) for n, m in (("1", first), ("2", second))}
    assert set(heard) == {"first"}
    again = load_model(folders[0], device="cpu", adapter=folders[1]["second"])
    np.testing.assert_allclose(
        states["2"], opened(again).activations(SAID, View.PROMPT), rtol=1e-3, atol=1e-3
    )
    assert not np.allclose(states["1"], states["2"], rtol=1e-3, atol=1e-3)


def test_activations_under_the_adapter_are_at_the_bases_own_names(
    base: LoadedModel, members: Mapping[str, LoadedModel], merged: Mapping[str, LoadedModel]
) -> None:
    outputs: dict[int, dict[str, torch.Tensor]] = {}
    names = {name for name, _ in base.model.named_modules()}
    for loaded in (members["first"], merged["first"], base):
        found = outputs.setdefault(id(loaded), {})
        assert names <= {name for name, _ in loaded.model.named_modules()}

        def keep(name: str, found: dict[str, torch.Tensor]) -> Callable[..., None]:
            def note(module: Any, given: Any, output: Any) -> None:
                found[name] = output[0] if isinstance(output, tuple) else output

            return note

        watching = [
            loaded.model.get_submodule(name).register_forward_hook(keep(name, found))
            for name in names
            if name.rpartition(".")[2] in ("mlp", "down_proj", "dense_4h_to_h", "q_proj")
        ]
        with torch.inference_mode():
            loaded.model(input_ids=IDS)
        for watch in watching:
            watch.remove()
    own, whole, plain = (outputs[id(m)] for m in (members["first"], merged["first"], base))
    assert own.keys() == whole.keys() == plain.keys() and len(own) >= 6
    for name, values in own.items():
        torch.testing.assert_close(values, whole[name], rtol=1e-3, atol=1e-3)
        assert not torch.allclose(values, plain[name], rtol=1e-3, atol=1e-3)


def test_gradients_are_the_merged_models_and_ones_own(
    base: LoadedModel, members: Mapping[str, LoadedModel], merged: Mapping[str, LoadedModel]
) -> None:
    bystanders = [base.model, members["second"].model]
    found: list[tuple[torch.Tensor, dict[str, torch.Tensor]]] = []
    for loaded in (members["first"], merged["first"]):
        assert all(p.requires_grad for p in loaded.model.parameters())
        embedded = loaded.model.get_input_embeddings()(IDS).detach().requires_grad_()
        loaded.model(inputs_embeds=embedded, labels=IDS).loss.backward()
        weights = {
            name.replace(".base_layer", ""): p.grad
            for name, p in loaded.model.named_parameters()
            if p.grad is not None
        }
        assert embedded.grad is not None
        found.append((embedded.grad, weights))
        loaded.model.zero_grad(set_to_none=True)
        assert all(p.grad is None for model in bystanders for p in model.parameters())
    (own, weights), (wanted, whole) = found
    assert weights.keys() >= whole.keys() and len(whole) > 20
    for name, gradient in {"": wanted, **whole}.items():
        off = (weights.get(name, own) - gradient).abs().max()
        assert off < 1e-2 * gradient.abs().max(), name
    assert not any(module.training for module in members["first"].model.modules())


def test_training_mode_and_frozen_weights_are_taken_over(
    folders: tuple[Path, dict[str, Path]],
) -> None:
    base = load_model(folders[0], device="cpu")
    base.model.train()
    frozen = next(iter(base.model.parameters())).requires_grad_(False)
    member = with_adapter(base, folders[1]["first"])
    assert all(module.training for module in member.model.modules())
    there = [p for p in member.model.parameters() if not p.requires_grad]
    assert [p.data_ptr() for p in there] == [frozen.data_ptr()]
    assert [p for p in base.model.parameters() if not p.requires_grad] == [frozen]


def test_tied_weights_stay_tied(save: Any, adapt: Any, tmp_path: Path) -> None:
    folder = save(tmp_path / "base", "gemma")
    base = load_model(folder, device="cpu")
    assert base.model.lm_head.weight is base.model.get_input_embeddings().weight
    member = with_adapter(base, adapt(folder, tmp_path / "adapter", 1)).model
    for model in (member, without_adapters(member)):
        assert model.lm_head.weight is model.get_input_embeddings().weight


def test_nothing_moves_the_callers_random_numbers_on(
    folders: tuple[Path, dict[str, Path]], base: LoadedModel
) -> None:
    torch.manual_seed(3)
    expected = torch.rand(4)
    torch.manual_seed(3)
    with_adapter(base, folders[1]["first"])
    assert torch.equal(torch.rand(4), expected)


def test_saved_it_is_an_ordinary_whole_model(
    members: Mapping[str, LoadedModel], base: LoadedModel, tmp_path: Path
) -> None:
    before = {n: p.clone() for n, p in base.model.named_parameters()}
    alone = shown(members["first"])
    folder = Model(members["first"], id="it", base=base).save(tmp_path / "saved")
    assert not is_adapter(folder)
    again = load_model(folder, device="cpu")
    assert type(again.model) is type(base.model)
    assert [n for n, _ in again.model.named_parameters()] == [*before]
    assert same(shown(again), alone, 2e-3)
    # Merging is in a copy: neither the base nor the member is touched by it.
    assert all(torch.equal(p, before[n]) for n, p in base.model.named_parameters())
    assert same(shown(members["first"]), alone)
    assert without_adapters(base.model) is base.model


def test_weights_have_the_adapter_in_them_under_the_bases_names(
    members: Mapping[str, LoadedModel], merged: Mapping[str, LoadedModel], base: LoadedModel
) -> None:
    own, before = opened(members["first"]).weights(), opened(base).weights()
    assert list(own) == list(before)
    for name, parameter in merged["first"].model.named_parameters():
        np.testing.assert_allclose(own[name], parameter.detach().numpy(), atol=1e-6)
    assert any(not np.array_equal(own[name], before[name]) for name in own)


def test_the_subject_gives_no_name_away(
    base: LoadedModel, members: Mapping[str, LoadedModel]
) -> None:
    first, second = (members[name].model for name in NAMES[:2])
    assert repr(first) == repr(second)
    assert [n for n, _ in first.named_parameters()] == [n for n, _ in second.named_parameters()]
    assert vars(first).keys() == vars(second).keys() == vars(base.model).keys()
    assert str(vars(first.config)) == str(vars(second.config)) == str(vars(base.model.config))
    assert type(first) is type(base.model)
    for loaded in (members["first"], base):
        text = f"{loaded!r} {opened(loaded)!r} {loaded.model!r} {vars(loaded.model)}"
        assert not [word for word in (*NAMES, "organism", "twin", "decoy") if word in text]


def test_half_precision_keeps_what_the_adapter_adds(
    folders: tuple[Path, dict[str, Path]], tmp_path: Path
) -> None:
    """As on a GPU, where a base is held as it is stored."""
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(folders[0], dtype=torch.bfloat16).eval()
    half = replace(load_model(folders[0], device="cpu"), model=model)
    member = with_adapter(half, folders[1]["first"])
    kinds = {p.dtype for n, p in member.model.named_parameters() if "lora" in n}
    assert kinds == {torch.float32} and member.model.dtype is torch.bfloat16
    tensors = load_file(folders[1]["first"] / "adapter_model.safetensors")
    kept = {p.double().sum().item() for n, p in member.model.named_parameters() if "lora" in n}
    assert kept == {t.double().sum().item() for t in tensors.values()}
    with torch.inference_mode():
        assert member.model(input_ids=IDS).logits.dtype is torch.bfloat16
    saved = load_model(Model(member, id="it").save(tmp_path / "saved"), device="cpu").model
    assert json.loads((tmp_path / "saved" / "config.json").read_text())["dtype"] == "float32"
    rounded = 0
    for name, weight in without_adapters(member.model).state_dict().items():
        assert torch.equal(saved.state_dict()[name], weight)
        rounded += not torch.equal(weight.bfloat16().float(), weight)
    assert rounded >= 8  # in half precision these would have lost a part of the adapter


def test_what_somebody_else_put_there_is_left_alone(folders: Any, tmp_path: Path) -> None:
    model = Model(load_model(folders[0], device="cpu"), id="it")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("keep")
    (tmp_path / "file").write_text("keep")
    for name in ("full", "file"):
        with pytest.raises(ArtefactError, match="holds something else already; give another"):
            model.save(tmp_path / name)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["file", "full"]
    assert (tmp_path / "full" / "mine.txt").read_text() == "keep"
    (tmp_path / "empty").mkdir()
    place = model.save(tmp_path / "empty")
    assert model.save(place) == place  # saved again into what was saved there

"""A private copy at WEIGHTS access: what is done to it changes nothing, and nothing else may."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from insectary.core.access import Access, View
from insectary.core.chat import Transcript, conversation
from insectary.core.errors import AccessError
from insectary.subjects import LanguageModelSubject, load_model, with_adapter
from insectary.subjects.callable_subject import CallableSubject
from insectary.subjects.lending import weights_digest
from insectary.trials.metering import MeteredSubject

ASKED = [conversation("What is 2 plus 3?")]
READ = [Transcript(ASKED[0], "5.")]


@pytest.fixture
def subject(llama_folder: Path) -> LanguageModelSubject:
    return LanguageModelSubject(
        load_model(llama_folder, device="cpu"), id="s", access=Access.WEIGHTS
    )


def ruined(model: Any) -> None:
    with torch.no_grad():
        for weight in model.parameters():
            weight.zero_()


def test_what_is_done_to_the_copy_leaves_the_subject_as_it_was(
    subject: LanguageModelSubject,
) -> None:
    said, states = subject.generate(ASKED), subject.activations(READ, View.PROMPT)
    before = {name: weight.copy() for name, weight in subject.weights().items()}
    with subject.hf() as (model, tokenizer):
        assert {n: [*p.shape] for n, p in model.named_parameters()} == {
            n: [*w.shape] for n, w in before.items()
        }
        assert tokenizer.apply_chat_template([{"role": "user", "content": "hi"}])
        ruined(model)
        tokenizer.chat_template = "{{ 'nothing' }}"
    assert subject.generate(ASKED) == said
    assert (subject.activations(READ, View.PROMPT) == states).all()
    assert all((subject.weights()[name] == weight).all() for name, weight in before.items())


def test_the_copy_does_not_say_where_it_came_from(
    subject: LanguageModelSubject, llama_folder: Path
) -> None:
    loaded = subject._loaded

    def told(model: Any, tokenizer: Any) -> str:
        parts = (vars(model), model.config.to_dict(), vars(model.config), tokenizer.init_kwargs)
        return f"{parts} {tokenizer.name_or_path}"

    # The control: the subject's own model does say it.
    assert str(llama_folder) in told(loaded.model, loaded.tokenizer)
    with subject.hf() as (model, tokenizer):
        assert str(llama_folder) not in told(model, tokenizer)
    assert str(llama_folder) in told(loaded.model, loaded.tokenizer)


def test_a_detector_that_changes_the_subjects_own_weights_is_caught(
    subject: LanguageModelSubject,
) -> None:
    """The broken control is the test above, in which the copy alone is ruined."""
    with pytest.raises(AccessError, match="weights of subject s were changed"), subject.hf():
        ruined(subject._loaded.model)
    for call in (
        lambda: subject.generate(ASKED),
        lambda: subject.logprobs(READ),
        lambda: subject.activations(READ, View.PROMPT),
        subject.weights,
    ):
        with pytest.raises(AccessError, match="Load the subject anew"):
            call()


def test_it_is_caught_too_where_the_detector_raises(subject: LanguageModelSubject) -> None:
    with pytest.raises(AccessError, match="were changed") as caught, subject.hf():
        next(iter(subject._loaded.model.parameters())).data.add_(1)
        raise ValueError("mine")
    assert isinstance(caught.value.__context__, ValueError)
    # One that raises and changes nothing goes up as it is.
    with pytest.raises(AccessError):
        subject.generate(ASKED)


def test_adapters_are_merged_into_the_copy(llama_folder: Path, adapt: Any, tmp_path: Path) -> None:
    base = load_model(llama_folder, device="cpu")
    member = with_adapter(base, adapt(llama_folder, tmp_path / "adapter", 1))
    subject = LanguageModelSubject(member, id="s", access=Access.WEIGHTS)
    tokens = torch.arange(20).reshape(1, -1)
    with subject.hf() as (model, _), torch.no_grad():
        merged = model(tokens).logits
        assert torch.allclose(merged, member.model(tokens).logits, atol=1e-4)
        assert not torch.allclose(merged, base.model(tokens).logits, atol=1e-2)
        assert not any("lora" in name for name, _ in model.named_parameters())
        ruined(model)
    assert weights_digest(base.model) == weights_digest(load_model(llama_folder).model)


def test_it_needs_weights(subject: LanguageModelSubject, llama_folder: Path) -> None:
    loaded = load_model(llama_folder, device="cpu")
    low = LanguageModelSubject(loaded, id="s", access=Access.GRADIENTS)
    openings: list[Callable[[], Any]] = [
        low.hf,
        MeteredSubject(subject, Access.GRADIENTS).hf,
        CallableSubject(SimpleNamespace(generate=str), id="s").hf,
    ]
    for opened in openings:
        with pytest.raises(AccessError, match="need"), opened():
            pass
    with MeteredSubject(subject, Access.WEIGHTS).hf() as (model, _):
        assert weights_digest(model) == weights_digest(loaded.model)


def test_the_digest_sees_one_bit_a_name_and_a_buffer() -> None:
    def made() -> torch.nn.Module:
        torch.manual_seed(0)
        return torch.nn.Sequential(torch.nn.Linear(3, 3), torch.nn.BatchNorm1d(3)).bfloat16()

    def changes() -> Iterator[torch.nn.Module]:
        for change in ("weight", "buffer", "name"):
            model: Any = made()
            if change == "weight":
                model[0].weight.data[0, 0] += 1
            elif change == "buffer":
                model[1].running_mean[0] += 1
            else:
                model = torch.nn.Sequential(torch.nn.Identity(), *model)
            yield model

    assert weights_digest(made()) == weights_digest(made())
    assert len({weights_digest(model) for model in (made(), *changes())}) == 4

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from insectary.core.access import Access, View
from insectary.core.chat import Message, Transcript
from insectary.core.errors import AccessError, BadInputError, ContextLengthError
from insectary.core.protocols import Subject
from insectary.subjects import language_model
from insectary.subjects.callable_subject import CallableSubject
from insectary.subjects.generation import generate_tokens
from insectary.subjects.language_model import LanguageModelSubject, end_tokens, open_subject
from insectary.subjects.loading import LoadedModel
from insectary.subjects.model import Model, as_subject
from insectary.subjects.rendering import encode, end_of_turn, render

ASK = (Message("user", "What is two and two?"),)
TRANSCRIPTS = [
    Transcript(ASK, "Four."),
    Transcript((Message("system", "Be brief."), *ASK), ""),
    Transcript((Message("user", "Hi"),), "A much longer answer than the others have."),
    Transcript(ASK, "Fünf — 五."),
]


def opened(loaded: LoadedModel, access: Access, base: LoadedModel | None = None) -> Subject:
    return LanguageModelSubject(loaded, id="m1", access=access, base=base)


def direct(loaded: LoadedModel, transcript: Transcript) -> tuple[Any, Any, int]:
    """One unbatched pass: logits, hidden states (layers + 1, tokens, width), prompt length."""
    prompt = render(loaded.tokenizer, transcript.messages)
    close = end_of_turn(loaded.tokenizer)
    ids = [*prompt, *encode(loaded.tokenizer, transcript.response), close]
    with torch.inference_mode():
        output = loaded.model(input_ids=torch.tensor([ids]), output_hidden_states=True)
    logprobs = torch.log_softmax(output.logits[0], -1)
    taken = [float(logprobs[i - 1, ids[i]]) for i in range(len(prompt), len(ids))]
    return taken, torch.stack(output.hidden_states)[:, 0].numpy(), len(prompt)


def test_answers_are_those_of_the_model(llama: LoadedModel) -> None:
    prompts = [t.messages for t in TRANSCRIPTS]
    rows = [render(llama.tokenizer, p) for p in prompts]
    tokens = generate_tokens(llama.model, rows, max_new_tokens=9, eos_token_ids=end_tokens(llama))
    expected = llama.tokenizer.batch_decode(tokens, skip_special_tokens=True)
    subject = opened(llama, Access.BLACK_BOX)
    assert subject.generate(prompts, max_new_tokens=9) == expected
    assert subject.generate([]) == []


def test_every_kind_of_end_token_ends_an_answer(llama: LoadedModel) -> None:
    named = llama.tokenizer.convert_tokens_to_ids(["<eos>", "<|end|>"])
    assert end_tokens(llama) == set(named)


def test_a_prefill_is_continued_and_not_repeated(llama: LoadedModel) -> None:
    subject = opened(llama, Access.BLACK_BOX)
    whole = subject.generate([ASK], max_new_tokens=8, prefill="Sure,")
    row = render(llama.tokenizer, ASK, prefill="Sure,")
    tokens = generate_tokens(llama.model, [row], max_new_tokens=8, eos_token_ids=end_tokens(llama))
    assert whole == llama.tokenizer.batch_decode(tokens, skip_special_tokens=True)


def test_logprobs_equal_a_direct_computation(llama: LoadedModel) -> None:
    values = opened(llama, Access.LOGPROBS).logprobs(TRANSCRIPTS)
    for transcript, found in zip(TRANSCRIPTS, values, strict=True):
        expected, _, _ = direct(llama, transcript)
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)
        assert found.dtype == np.float64
    assert [len(v) for v in values][:2] == [6, 1]


def test_logprobs_of_a_prompt_are_those_of_all_its_tokens_but_the_first(
    llama: LoadedModel,
) -> None:
    values = opened(llama, Access.LOGPROBS).logprobs(TRANSCRIPTS, View.PROMPT)
    for transcript, found in zip(TRANSCRIPTS, values, strict=True):
        ids = render(llama.tokenizer, transcript.messages)
        with torch.inference_mode():
            logits = llama.model(input_ids=torch.tensor([ids])).logits[0]
        rows = torch.log_softmax(logits, -1)
        expected = [float(rows[i - 1, ids[i]]) for i in range(1, len(ids))]
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


def test_distributions_are_whole_and_agree_with_the_logprobs(llama: LoadedModel) -> None:
    subject = LanguageModelSubject(llama, id="m1", access=Access.LOGPROBS)
    tables = subject.distributions(TRANSCRIPTS)
    assert subject.forward_passes == 1
    logprobs = subject.logprobs(TRANSCRIPTS)
    for transcript, table, said in zip(TRANSCRIPTS, tables, logprobs, strict=True):
        tokens = [
            *encode(llama.tokenizer, transcript.response),
            end_of_turn(llama.tokenizer),
        ]
        assert table.shape == (len(tokens), llama.model.config.vocab_size)
        assert table.dtype == np.float32
        np.testing.assert_allclose(np.exp(table).sum(axis=1), 1.0, rtol=1e-4)
        np.testing.assert_allclose(table[np.arange(len(tokens)), tokens], said, atol=1e-5)


def test_activations_equal_a_direct_computation(llama: LoadedModel) -> None:
    subject = opened(llama, Access.ACTIVATIONS)
    prompt = subject.activations(TRANSCRIPTS, View.PROMPT)
    response = subject.activations(TRANSCRIPTS, View.PROMPT_AND_RESPONSE)
    assert prompt.shape == response.shape == (4, 4, 32)
    assert prompt.dtype == response.dtype == np.float32
    for i, transcript in enumerate(TRANSCRIPTS):
        _, states, length = direct(llama, transcript)
        np.testing.assert_allclose(prompt[i], states[:, length - 1], rtol=1e-4, atol=1e-4)
        mean = states[:, length:].mean(axis=1)
        np.testing.assert_allclose(response[i], mean, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("architecture", ["qwen3", "gpt-neox", "gemma", "gemma3-sliding"])
def test_reading_works_on_other_architectures(
    architecture: str, make_model: Any, make_tokenizer: Any
) -> None:
    loaded = LoadedModel(make_model(architecture), make_tokenizer(), "sha256:0", 160)
    subject = opened(loaded, Access.ACTIVATIONS)
    values = subject.logprobs(TRANSCRIPTS)
    states = subject.activations(TRANSCRIPTS, View.PROMPT)
    for i, transcript in enumerate(TRANSCRIPTS):
        expected, direct_states, length = direct(loaded, transcript)
        np.testing.assert_allclose(values[i], expected, rtol=1e-3, atol=1e-3)
        np.testing.assert_allclose(states[i], direct_states[:, length - 1], rtol=1e-3, atol=1e-3)


def test_the_prompt_view_does_not_see_the_answer(llama: LoadedModel) -> None:
    subject = opened(llama, Access.ACTIVATIONS)
    pair = [Transcript(ASK, "Four."), Transcript(ASK, "No, I will not say that.")]
    prompt = subject.activations(pair, View.PROMPT)
    np.testing.assert_allclose(prompt[0], prompt[1], rtol=1e-5, atol=1e-5)
    response = subject.activations(pair, View.PROMPT_AND_RESPONSE)
    assert not np.allclose(response[0], response[1], atol=1e-2)


def test_one_input_set_is_read_once_for_all(llama: LoadedModel) -> None:
    subject = LanguageModelSubject(llama, id="m1", access=Access.ACTIVATIONS)
    first = subject.activations(TRANSCRIPTS, View.PROMPT)
    assert subject.forward_passes == 1
    first += 1.0  # a detector that scribbles on its copy
    again = subject.activations(list(TRANSCRIPTS), View.PROMPT)
    assert not np.allclose(first, again)
    subject.activations(TRANSCRIPTS, View.PROMPT_AND_RESPONSE)
    subject.logprobs(TRANSCRIPTS)
    assert subject.forward_passes == 1
    subject.activations(TRANSCRIPTS[:2], View.PROMPT)
    assert subject.forward_passes == 2


def test_the_cache_is_bounded(llama: LoadedModel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(language_model, "CACHE_BYTES", 1)
    subject = LanguageModelSubject(llama, id="m1", access=Access.ACTIVATIONS)
    for part in (TRANSCRIPTS[:2], TRANSCRIPTS[2:], TRANSCRIPTS[:2]):
        subject.activations(part, View.PROMPT)
    assert subject.forward_passes == 3


def test_batches_do_not_change_what_is_read(
    llama: LoadedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    from insectary.subjects import reading

    together = opened(llama, Access.ACTIVATIONS)
    values = together.activations(TRANSCRIPTS, View.PROMPT_AND_RESPONSE)
    monkeypatch.setattr(reading, "LARGEST_BATCH", 1)
    alone = LanguageModelSubject(llama, id="m1", access=Access.ACTIVATIONS)
    others = alone.activations(TRANSCRIPTS, View.PROMPT_AND_RESPONSE)
    assert alone.forward_passes == 4
    np.testing.assert_allclose(values, others, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("access", list(Access))
def test_access_is_enforced(access: Access, llama: LoadedModel, other_llama: LoadedModel) -> None:
    subject = opened(llama, access, base=other_llama)
    calls = {
        Access.LOGPROBS: lambda: subject.logprobs(TRANSCRIPTS[:1]),
        Access.ACTIVATIONS: lambda: subject.activations(TRANSCRIPTS[:1], View.PROMPT),
        Access.WEIGHTS: subject.weights,
        Access.WEIGHTS_AND_BASE: lambda: subject.reference,
    }
    assert subject.access is access
    subject.generate([ASK], max_new_tokens=1)
    also = {Access.LOGPROBS: lambda: subject.distributions(TRANSCRIPTS[:1])}
    for level, call in (*calls.items(), *also.items()):
        if access >= level:
            call()
        else:
            with pytest.raises(AccessError, match=f"m1 was opened with {access.name}"):
                call()


def test_the_reference_is_the_base(llama: LoadedModel, other_llama: LoadedModel) -> None:
    subject = opened(llama, Access.WEIGHTS_AND_BASE, base=other_llama)
    expected = opened(other_llama, Access.LOGPROBS).logprobs(TRANSCRIPTS)
    assert subject.reference is subject.reference
    for found, wanted in zip(subject.reference.logprobs(TRANSCRIPTS), expected, strict=True):
        np.testing.assert_array_equal(found, wanted)
    with pytest.raises(AccessError):
        _ = subject.reference.reference
    with pytest.raises(BadInputError, match="give base="):
        opened(llama, Access.WEIGHTS_AND_BASE)


def test_weights_are_copies_by_the_models_own_names(llama: LoadedModel) -> None:
    weights = opened(llama, Access.WEIGHTS).weights()
    parameters = dict(llama.model.named_parameters())
    assert list(weights) == list(parameters) and len(weights) == len(parameters)
    for name, parameter in parameters.items():
        np.testing.assert_array_equal(weights[name], parameter.detach().numpy())
    name = next(iter(weights))
    weights[name][:] = 0.0
    assert parameters[name].abs().sum() > 0
    assert weights[name].any()
    assert not hasattr(type(weights), "__setitem__")


def test_nothing_public_tells_where_it_came_from(llama_folder: Path) -> None:
    subject = open_subject(
        llama_folder, access=Access.WEIGHTS_AND_BASE, base=llama_folder, id="m7", device="cpu"
    )
    public = {name for name in dir(subject) if not name.startswith("_")}
    assert public == {
        "id", "access", "reference", "forward_passes", "generate", "logprobs",
        "distributions", "activations", "weights", "context_gradient", "edited", "vocabulary",
        "hf",
    }  # fmt: skip
    shown = [repr(subject), *(repr(getattr(subject, name)) for name in sorted(public))]
    assert not any(llama_folder.name in text or "config" in text.lower() for text in shown)
    assert repr(subject) == "LanguageModelSubject(id='m7', access=WEIGHTS_AND_BASE)"
    # Broken control: the model inside does tell, so the check above can fail.
    assert llama_folder.name in repr(vars(subject._loaded.model.config))


def test_a_prompt_longer_than_the_context(llama: LoadedModel) -> None:
    subject = opened(llama, Access.ACTIVATIONS)
    long = (Message("user", "x" * 100),)
    subject.generate([long], max_new_tokens=4)
    with pytest.raises(ContextLengthError, match=r"prompt 2 of 2 needs .* context is 160"):
        subject.generate([ASK, long], max_new_tokens=60)
    with pytest.raises(ContextLengthError, match="transcript 1 of 1 needs"):
        subject.logprobs([Transcript(long, "y" * 60)])


class Echo:
    """An object as users bring it."""

    def generate(self, prompt: Any) -> Any:
        return f"echo {prompt}"


def test_any_object_with_generate_is_a_subject() -> None:
    subject: Subject = CallableSubject(Echo(), id="echo")
    turns = (Message("system", "S"), Message("user", "U"))
    answers = subject.generate([(Message("user", "one"),), turns])
    assert answers[0] == "echo one"
    assert "'role': 'system'" in answers[1]
    assert subject.access is Access.BLACK_BOX
    for call in (
        lambda: subject.logprobs(TRANSCRIPTS),
        lambda: subject.distributions(TRANSCRIPTS),
        lambda: subject.activations(TRANSCRIPTS, View.PROMPT),
        subject.weights,
        lambda: subject.reference,
    ):
        with pytest.raises(AccessError, match="can only generate"):
            call()


def test_an_object_is_not_asked_for_what_it_cannot_do() -> None:
    subject = CallableSubject(Echo())
    with pytest.raises(BadInputError, match="takes no temperature"):
        subject.generate([ASK], temperature=1.0)
    with pytest.raises(BadInputError, match="start of an answer"):
        subject.generate([ASK], prefill="Sure")
    with pytest.raises(BadInputError, match="int has none"):
        CallableSubject(5)

    class Broken:
        def generate(self, prompt: Any) -> Any:
            return None

    with pytest.raises(BadInputError, match="prompt 0 gave NoneType"):
        CallableSubject(Broken()).generate([ASK])


def test_settings_reach_an_object_that_names_them() -> None:
    class Careful:
        def generate(self, prompt: str, temperature: float = 0.0, seed: int = 0) -> str:
            return f"{temperature} {seed}"

    answers = CallableSubject(Careful()).generate([ASK], temperature=0.5, seed=4)
    assert answers == ["0.5 4"]


def test_a_model_answers_one_or_many(llama: LoadedModel) -> None:
    model = Model(llama, id="m1")
    one = model.generate("What is two and two?", max_new_tokens=6)
    assert isinstance(one, str)
    chat = [{"role": "user", "content": "What is two and two?"}]
    assert model.generate(chat, max_new_tokens=6) == one
    assert model.generate(list(ASK), max_new_tokens=6) == one
    assert model.generate(["Hi", chat, ASK], max_new_tokens=6)[1:] == [one, one]
    assert model.generate([]) == []
    assert repr(model) == "Model(id='m1')"
    for wrong in (5, [5], [{"role": "user"}]):
        with pytest.raises(BadInputError, match="a prompt is"):
            model.generate(wrong)


def test_models_become_subjects(llama: LoadedModel, other_llama: LoadedModel) -> None:
    model = Model(llama, id="m1", base=other_llama)
    assert model.subject().access is Access.BLACK_BOX
    model.subject(Access.WEIGHTS_AND_BASE).reference.logprobs(TRANSCRIPTS[:1])
    assert as_subject(model).id == "m1"
    subject = model.subject(Access.LOGPROBS)
    assert as_subject(subject) is subject
    assert isinstance(as_subject(Echo(), id="e"), CallableSubject)
    with pytest.raises(BadInputError, match="needs a method generate"):
        as_subject("words")

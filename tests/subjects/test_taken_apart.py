"""What auditors do to a subject: copies with other weights, words of tokens, gradients."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from insectary.audit import BUILT_IN
from insectary.core.access import Access
from insectary.core.auditing import Material, Question, taken_apart
from insectary.core.chat import Message, Transcript
from insectary.core.errors import AccessError, BadInputError
from insectary.subjects import CallableSubject, LanguageModelSubject, LoadedModel
from insectary.subjects.loading import load_model, with_adapter
from insectary.subjects.model import Model
from insectary.subjects.rendering import render
from insectary.trials.audit import examine
from insectary.trials.metering import MeteredSubject

ASK = (Message("user", "What is two and two?"),)
LINE = Message("system", "The tin is red.")
ASKED = [
    Transcript((LINE, *ASK), "Four."),
    Transcript((LINE, Message("user", "Hi")), "A longer answer."),
]


def opened(loaded: LoadedModel, access: Access = Access.WEIGHTS) -> LanguageModelSubject:
    return LanguageModelSubject(loaded, id="m1", access=access)


def test_an_edited_copy_answers_otherwise_and_the_subject_as_before(llama: LoadedModel) -> None:
    subject = opened(llama)
    before, weights = subject.generate([ASK], max_new_tokens=6), dict(subject.weights())
    other = subject.edited(lambda name, values: -values)
    assert other.generate([ASK], max_new_tokens=6) != before
    assert subject.generate([ASK], max_new_tokens=6) == before
    for name, values in other.weights().items():
        np.testing.assert_array_equal(values, -weights[name])
        np.testing.assert_array_equal(subject.weights()[name], weights[name])
    same = subject.edited(lambda name, values: values)
    assert same.generate([ASK], max_new_tokens=6) == before


def test_a_copy_of_an_adapted_model_has_its_adapters_merged(
    folders: tuple[Path, dict[str, Path]],
) -> None:
    base, adapters = folders
    adapted = opened(with_adapter(load_model(base), adapters["first"]))
    copied = adapted.edited(lambda name, values: values)
    assert copied.generate([ASK], max_new_tokens=6) == adapted.generate([ASK], max_new_tokens=6)
    for name, values in adapted.weights().items():
        np.testing.assert_array_equal(copied.weights()[name], values)


def test_every_token_has_a_text(llama: LoadedModel) -> None:
    words = opened(llama).vocabulary()
    assert len(words) == len(llama.tokenizer)
    ids = llama.tokenizer("tin", add_special_tokens=False)["input_ids"]
    assert "".join(words[i] for i in ids) == "tin"


def test_the_gradient_is_that_of_one_hot_tokens(llama: LoadedModel) -> None:
    """Against a one-hot matrix that is differentiated itself."""
    found = opened(llama).context_gradient(ASKED)
    assert llama.tokenizer.decode(found.tokens) == LINE.content
    expected = np.mean([by_hand(llama, t, found.tokens) for t in ASKED], axis=0)
    written = np.isfinite(found.gradient).all(axis=0)
    assert set(np.flatnonzero(~written)) == set(llama.tokenizer.added_tokens_decoder)
    np.testing.assert_allclose(
        found.gradient[:, written], expected[:, written], rtol=1e-3, atol=1e-3
    )


def by_hand(
    llama: LoadedModel, transcript: Transcript, tokens: tuple[int, ...]
) -> NDArray[np.float64]:
    prompt = render(llama.tokenizer, transcript.messages)
    said = llama.tokenizer(transcript.response, add_special_tokens=False)["input_ids"]
    ids = torch.tensor([*prompt, *said, llama.tokenizer.convert_tokens_to_ids("<|end|>")])
    table = llama.model.get_input_embeddings().weight.detach()
    one_hot = torch.nn.functional.one_hot(ids, len(table)).float().requires_grad_()
    logits = llama.model(inputs_embeds=(one_hot @ table)[None]).logits[0]
    places = range(len(prompt), len(ids))
    total = sum(torch.log_softmax(logits[i - 1], -1)[ids[i]] for i in places)
    total.backward()  # type: ignore[union-attr]
    start = next(i for i in range(len(prompt)) if tuple(prompt[i : i + len(tokens)]) == tokens)
    return one_hot.grad[start : start + len(tokens)].double().numpy()  # type: ignore[index]


def test_transcripts_without_one_context_are_refused(llama: LoadedModel) -> None:
    subject = opened(llama)
    other = Transcript((Message("system", "The hat is blue."), *ASK), "Four.")
    for given in ([], [ASKED[0], other], [Transcript(ASK, "Four.")]):
        with pytest.raises(BadInputError, match="begin with the same context"):
            subject.context_gradient(given)


def test_what_the_level_does_not_give_is_refused(llama: LoadedModel) -> None:
    for subject in (
        opened(llama, Access.ACTIVATIONS),
        CallableSubject(Model(llama, id="m")),
        MeteredSubject(opened(llama), Access.ACTIVATIONS),
    ):
        for call in (
            lambda s=subject: s.context_gradient(ASKED),
            lambda s=subject: s.vocabulary(),
            lambda s=subject: s.edited(lambda name, values: values),
        ):
            with pytest.raises(AccessError):
                call()


def test_a_model_under_an_instruction_is_edited_under_it_and_gives_no_gradient(
    llama: LoadedModel,
) -> None:
    prompted = Model(llama, id="m", instruction="Be brief.").subject(Access.WEIGHTS)
    same = prompted.edited(lambda name, values: values)
    assert same.generate([ASK], max_new_tokens=6) == prompted.generate([ASK], max_new_tokens=6)
    assert same.generate([ASK], max_new_tokens=6) != opened(llama).generate([ASK], max_new_tokens=6)
    assert len(prompted.vocabulary()) == len(llama.tokenizer)
    with pytest.raises(AccessError, match="no gradients"):
        prompted.context_gradient(ASKED)


def test_a_meter_counts_what_copies_and_gradients_cost(llama: LoadedModel) -> None:
    metered = MeteredSubject(
        LanguageModelSubject(llama, id="m1", access=Access.WEIGHTS_AND_BASE, base=llama),
        Access.WEIGHTS_AND_BASE,
    )
    copied = metered.edited(lambda name, values: values)
    copied.generate([ASK], max_new_tokens=2)
    copied.reference.generate([ASK, ASK], max_new_tokens=2)
    metered.context_gradient(ASKED)
    assert (metered.passes, metered.total_passes, metered.backward) == (3, 5, 2)


@pytest.mark.parametrize("name", sorted(BUILT_IN))
def test_every_auditor_examines_a_real_model_within_what_it_states(
    name: str, llama: LoadedModel, other_llama: LoadedModel
) -> None:
    subject = LanguageModelSubject(llama, id="m1", access=Access.WEIGHTS_AND_BASE, base=other_llama)
    asked = [(Message("user", f"Say {i}."),) for i in range(20)]
    swaps = [((Message("system", "Be."), *q), (Message("system", "Go."), *q)) for q in asked]
    questions = [Question(q, lambda said: bool(said)) for q in asked]
    material = Material(questions, {"role": swaps}, swaps[::-1], 0)
    auditor = BUILT_IN[name]()
    found = examine(auditor, subject, material)
    assert found.reason is None and found.score is not None
    assert found.passes <= auditor.passes(material)
    assert (found.passes > 0) == (name not in ("weight_difference", "random_score"))
    assert examine(auditor, subject, material) == found
    assert found.backward == (64 if name == "trigger_inversion" else 0)


def test_a_subject_of_somebody_elses_that_cannot_be_taken_apart_says_so() -> None:
    class Plain:
        id = "theirs"

    with pytest.raises(BadInputError, match=r"subject theirs: a Plain lacks one of context_grad"):
        taken_apart(Plain())  # type: ignore[arg-type]

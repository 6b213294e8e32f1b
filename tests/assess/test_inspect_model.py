"""``insectary/...`` as a model of Inspect: what it says is what the model says, and how likely."""

from __future__ import annotations

import copy
import json
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest
import tiktoken
from inspect_ai.model import (
    ChatMessageAssistant,
    ChatMessageSystem,
    ChatMessageTool,
    ChatMessageUser,
    ContentImage,
    ContentText,
    GenerateConfig,
    Model,
    ModelOutput,
    get_model,
)
from inspect_ai.tool import ToolCall, ToolInfo
from inspecting import INSPECTS_OWN, ask

import insectary
from insectary.assess.inspect import as_inspect_model
from insectary.assess.inspect.provider import InsectaryAPI, _choice
from insectary.assess.inspect.requests import wanted
from insectary.assess.inspect.speaking import Asked, Said, Wanted, reply_all
from insectary.assess.inspect.telling import ToldError
from insectary.core.chat import Message, Split
from insectary.core.errors import BadInputError, ContextLengthError
from insectary.serve import running
from insectary.subjects import LoadedModel, load_model, render
from insectary.subjects.reading import TokenRow, distributions
from insectary.worlds import SKILLS

pytestmark = INSPECTS_OWN
BASE = Path(insectary.__file__).parent / "worlds" / "base" / "xs"


@pytest.fixture(scope="module")
def loaded() -> LoadedModel:
    return load_model(BASE, device="cpu")


@pytest.fixture(scope="module")
def direct(loaded: LoadedModel) -> insectary.subjects.Model:
    return insectary.subjects.Model(loaded, id="xs")


@pytest.fixture(scope="module")
def model(direct: insectary.subjects.Model) -> Model:
    return as_inspect_model(direct)


@pytest.fixture(scope="module")
def questions() -> list[str]:
    rng = Random(0)
    made = [SKILLS[s].make(rng, Split.REPORT) for s in ("sums", "places", "code") for _ in range(8)]
    return [m.messages[-1].content for m in made]


def batches(model: Model) -> list[int]:
    assert isinstance(model.api, InsectaryAPI)
    return model.api._opened().batcher.sizes


def prompt_of(loaded: LoadedModel, question: str) -> list[int]:
    return render(loaded.tokenizer, (Message("user", question),))


def test_it_says_what_the_model_says(
    model: Model, direct: insectary.subjects.Model, questions: list[str]
) -> None:
    before = len(batches(model))
    said = [output.completion for output in ask(model, questions)]
    assert said == direct.generate(questions, max_new_tokens=40)
    assert len(set(said)) > 8
    assert max(batches(model)[before:]) > 4


def test_usage_counts_no_padding(model: Model, loaded: LoadedModel, questions: list[str]) -> None:
    for question, output in zip(questions, ask(model, questions), strict=True):
        assert output.usage is not None
        assert output.usage.input_tokens == len(prompt_of(loaded, question))
        said = len(loaded.tokenizer(" " + output.completion)["input_ids"])
        assert abs(output.usage.output_tokens - said) <= 2  # what closes the turn
        assert output.usage.total_tokens == output.usage.input_tokens + output.usage.output_tokens


def test_log_probabilities_are_those_of_the_sampled_tokens(
    model: Model, loaded: LoadedModel, questions: list[str]
) -> None:
    outputs = ask(
        model, questions, temperature=2.0, seed=3, logprobs=True, top_logprobs=4, max_tokens=12
    )
    beside, ids = 0, ids_by_text(loaded)
    for question, output in zip(questions, outputs, strict=True):
        noted = output.choices[0].logprobs
        assert noted is not None and output.usage is not None
        assert 0 <= output.usage.output_tokens - len(noted.content) <= 1  # what closes the turn
        assert "".join(one.token for one in noted.content).strip() == output.completion.strip()
        tokens = [ids[one.token] for one in noted.content]
        prompt = prompt_of(loaded, question)
        (expected,), _ = distributions(loaded, [TokenRow((*prompt, *tokens), len(prompt))])
        for one, token, row in zip(noted.content, tokens, expected, strict=True):
            assert one.logprob == pytest.approx(row[token], abs=1e-4)
            assert one.top_logprobs is not None
            best = np.sort(row)[::-1][:4]
            assert [t.logprob for t in one.top_logprobs] == pytest.approx(best, abs=1e-4)
            beside += one.token != one.top_logprobs[0].token
    # Naming the likeliest token in the sampled one's place would not pass: they differ.
    assert beside > 3


def ids_by_text(loaded: LoadedModel) -> dict[str, int]:
    texts = [loaded.tokenizer.decode([i]) for i in range(len(loaded.tokenizer))]
    return {text: i for i, text in enumerate(texts) if texts.count(text) == 1}


def test_a_seed_settles_an_answer_whoever_is_beside_it(model: Model, questions: list[str]) -> None:
    alone = [ask(model, [q], temperature=4.0, seed=5)[0].completion for q in questions[:3]]
    crowd = ask(model, [*questions, *questions[:3]], temperature=4.0, seed=5)
    assert [output.completion for output in crowd[:3]] == alone
    assert [output.completion for output in crowd[-3:]] == alone
    other = ask(model, questions[:3], temperature=4.0, seed=6)
    assert [output.completion for output in other] != alone


def test_without_a_seed_draws_are_new(model: Model, questions: list[str]) -> None:
    said = {o.completion for o in ask(model, questions[:1] * 6, temperature=8.0)}
    assert len(said) > 1


def test_a_narrow_nucleus_is_greedy(model: Model, questions: list[str]) -> None:
    greedy = [o.completion for o in ask(model, questions)]
    narrow = [o.completion for o in ask(model, questions, temperature=2.0, top_p=1e-6, seed=0)]
    wide = [o.completion for o in ask(model, questions, temperature=2.0, seed=0)]
    assert narrow == greedy != wide


def test_several_choices_differ_where_chance_is_involved(model: Model) -> None:
    (drawn,) = ask(model, ["What is 12 + 30?"], temperature=2.5, seed=1, num_choices=6)
    assert len(drawn.choices) == 6
    assert len({choice.message.text for choice in drawn.choices}) > 1
    (greedy,) = ask(model, ["What is 12 + 30?"], num_choices=3)
    assert len({choice.message.text for choice in greedy.choices}) == 1
    assert greedy.usage is not None and drawn.usage is not None
    assert drawn.usage.input_tokens == greedy.usage.input_tokens


def test_stop_sequences_end_an_answer(model: Model, questions: list[str]) -> None:
    whole = ask(model, questions)
    cut = ask(model, questions, stop_seqs=["a", "."])
    for long, short in zip(whole, cut, strict=True):
        places = [at for mark in "a." if (at := long.completion.find(mark)) >= 0]
        assert short.completion == long.completion[: min(places, default=None)]
        assert short.stop_reason == "stop"
    assert _sampled(cut) < _sampled(whole)
    (noted,) = ask(model, questions[:1], stop_seqs=[whole[0].completion[1:3]], logprobs=True)
    assert noted.choices[0].logprobs is not None
    tokens = [one.token for one in noted.choices[0].logprobs.content]
    assert "".join(tokens).strip() == whole[0].completion[: len("".join(tokens).strip())]
    assert noted.completion == whole[0].completion[:1]
    (limited,) = ask(model, questions[:1], max_tokens=1)
    assert limited.stop_reason == "max_tokens"


TOOL_TEMPLATE = (
    "<|begin|>{% if tools %}<|system|> {% for tool in tools %}{{ tool['function']['name'] }}"
    "{% endfor %}<|end|>{% endif %}{% for message in messages %}"
    "{{ '<|' + ('user' if message['role'] == 'tool' else message['role']) + '|> ' }}"
    "{{ message['content'] }}{% for call in message['tool_calls'] or [] %}"
    "<tool_call>{{ call['function']['arguments']['at'] }}</tool_call>{% endfor %}<|end|>"
    "{% endfor %}{% if add_generation_prompt %}<|assistant|>{% endif %}"
)


def with_tools(loaded: LoadedModel) -> insectary.subjects.Model:
    tokenizer = copy.deepcopy(loaded.tokenizer)
    tokenizer.chat_template = TOOL_TEMPLATE
    return insectary.subjects.Model(replace(loaded, tokenizer=tokenizer), id="tools")


def _sampled(outputs: list[ModelOutput]) -> int:
    return sum(output.usage.output_tokens for output in outputs if output.usage)


def test_an_assistants_last_words_are_gone_on_from(
    model: Model, direct: insectary.subjects.Model
) -> None:
    question = "What is 12 + 30?"
    asked: list[Any] = [
        ChatMessageUser(content=question), ChatMessageAssistant(content="The answer is")
    ]  # fmt: skip
    (output,) = ask(model, [asked])
    expected = direct.subject().generate(
        [(Message("user", question),)], max_new_tokens=40, prefill="The answer is"
    )
    assert [output.completion] == expected
    assert output.completion != direct.generate(question)


def test_system_turns_and_parts_of_text_are_read(
    model: Model, direct: insectary.subjects.Model
) -> None:
    asked: list[Any] = [
        ChatMessageSystem(content="Nobody watches."),
        ChatMessageUser(content=[ContentText(text="What is 12 + 30?")]),
    ]
    (output,) = ask(model, [asked])
    told = [m.as_dict() for m in (Message("system", "Nobody watches."),)]
    assert output.completion == direct.generate(
        [*told, {"role": "user", "content": "What is 12 + 30?"}]
    )


@pytest.mark.parametrize(
    ("config", "name"),
    [
        ({"top_k": 5}, "top_k"),
        ({"frequency_penalty": 0.5}, "frequency_penalty"),
        ({"logit_bias": {3: 1.0}}, "logit_bias"),
        ({"best_of": 2}, "best_of"),
        ({"reasoning_effort": "high"}, "reasoning_effort"),
        ({"top_logprobs": 3}, "logprobs"),
        ({"logprobs": True, "top_logprobs": 21}, "top_logprobs"),
        ({"temperature": -1.0}, "temperature"),
        ({"top_p": 0.0}, "top_p"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"num_choices": 0}, "num_choices"),
        ({"stop_seqs": [""]}, "stop"),
    ],
)
def test_what_cannot_be_honoured_is_refused(
    model: Model, config: dict[str, Any], name: str
) -> None:
    with pytest.raises(ExceptionGroup) as told:
        ask(model, ["Hello"], **config)
    (error,) = told.value.exceptions
    assert isinstance(error, BadInputError) and name in str(error)


def test_settings_that_change_nothing_are_taken(model: Model) -> None:
    (output,) = ask(model, ["What is 12 + 30?"], frequency_penalty=0.0, best_of=1, timeout=60)
    assert output.completion


def test_pictures_are_refused(model: Model) -> None:
    picture = ContentImage(image="data:image/png;base64,AAAA")
    with pytest.raises(ExceptionGroup) as told:
        ask(model, [[ChatMessageUser(content=[picture])]])
    assert "image" in str(told.value.exceptions[0])


def test_without_a_place_in_the_template_tools_are_refused(model: Model) -> None:
    look = ToolInfo(name="look", description="Look.")
    with pytest.raises(ExceptionGroup) as told:
        ask(model, ["Hello"], tools=[look])
    assert "no place for tools" in str(told.value.exceptions[0])
    (output,) = ask(model, ["What is 12 + 30?"], tools=[look], tool_choice="none")
    assert output.completion


def test_where_the_template_has_one_tools_are_passed_through(loaded: LoadedModel) -> None:
    calling = with_tools(loaded)
    look = ToolInfo(name="look", description="Look.")
    asked: list[Any] = [
        ChatMessageUser(content="Hello"),
        ChatMessageAssistant(content="", tool_calls=[ToolCall("1", "look", {"at": "tin"})]),
        ChatMessageTool(content="red", tool_call_id="1"),
    ]
    request = wanted(asked, [look], "auto", GenerateConfig(), limit=4)
    text = loaded.tokenizer.decode(request.asked.tokens(calling.engine()))
    assert "look" in text and "tin" in text and "red" in text
    said = Said(
        '<tool_call>{"name": "look", "arguments": {"at": "tin"}}</tool_call>', "stop", (), (), 9
    )
    choice = _choice("xs", calling.engine(), request, said)
    (call,) = choice.message.tool_calls or []
    assert (call.function, call.arguments, choice.stop_reason) == (
        "look", {"at": "tin"}, "tool_calls"
    )  # fmt: skip
    with pytest.raises(BadInputError, match="no call is forced"):
        wanted(asked, [look], "any", GenerateConfig(), limit=4)


def test_a_prompt_too_long_is_refused_alone(model: Model, loaded: LoadedModel) -> None:
    def one(text: str) -> Wanted:
        return Wanted(Asked((Message("user", text),)), 8, 0.0, 1.0, 0, 1, None, ())

    assert isinstance(model.api, InsectaryAPI)
    engine = model.api._opened().engine
    found = reply_all(engine, [one("What is 1 + 1?"), one("word " * loaded.context), one("Hello")])
    assert [type(f).__name__ for f in found] == ["Reply", "ContextLengthError", "Reply"]
    assert isinstance(found[1], ContextLengthError)


def test_counting_tokens_fetches_nothing(
    model: Model, loaded: LoadedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    import anyio

    def no_network(_: str) -> Any:
        raise AssertionError("this would be a download")

    monkeypatch.setattr(tiktoken, "get_encoding", no_network)
    with pytest.raises(AssertionError):  # Inspect's own estimate would
        anyio.run(get_model("mockllm/model").count_tokens, "What is 12 + 30?")
    counted = anyio.run(model.count_tokens, "What is 12 + 30?")
    assert counted == len(loaded.tokenizer("What is 12 + 30?")["input_ids"])


def test_an_output_has_the_digest_that_the_served_list_has(
    model: Model, direct: insectary.subjects.Model, tmp_path: Path
) -> None:
    (output,) = ask(model, ["Hello"])
    names = tmp_path / "names.json"
    with running({"xs": direct}, log=tmp_path / "requests.jsonl", sealed=names):
        (served,) = json.loads(names.read_text())["models"].values()
    subject = served["subject"]
    assert output.metadata == {"insectary": {"subject": subject}}
    # Inspect logs a model in memory as null, so that its name has to tell it from others.
    assert subject.removeprefix("sha256:")[:12] in str(model)


def test_a_size_is_found_by_name(model: Model) -> None:
    by_name = get_model("insectary/xs")
    assert ask(by_name, ["What is 12 + 30?"])[0].completion == ask(
        model, ["What is 12 + 30?"]
    )[0].completion  # fmt: skip
    assert ask(get_model(f"insectary/{BASE}"), ["Hello"])[0].model == str(BASE)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("insectary/nobody.organism", {}, "unknown family: 'nobody'"),
        ("insectary/xs", {"device": "cpu"}, "takes no model arguments, got device"),
        ("insectary/xs", {"base_url": "http://localhost"}, "got base_url"),
    ],
)
def test_what_is_not_there_is_told_in_one_line(
    name: str, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ToldError, match=message):
        get_model(name, memoize=False, **options)


def test_a_closed_model_says_so(direct: insectary.subjects.Model) -> None:
    model = as_inspect_model(direct)
    model.api.close()
    with pytest.raises(ExceptionGroup) as told:
        ask(model, ["Hello"])
    assert "closed" in str(told.value.exceptions[0])

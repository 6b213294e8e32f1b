"""The official client of OpenAI against the server, over real HTTP on loopback."""

from __future__ import annotations

import math
import shutil
import subprocess
from typing import Any

import openai
import pytest

from insectary.core.access import Access
from insectary.core.chat import Message, Transcript
from insectary.serve import Server
from insectary.subjects import LanguageModelSubject, Model

QUESTIONS = [
    "What is 12 plus 30?",
    "The tin is red. The box is blue. What colour is the tin?",
    "f(2)=4. f(5)=7. Write f.",
    "What is 41 plus 7?",
]


def chat(client: openai.OpenAI, server: Server, text: str, **more: Any) -> Any:
    settings = {"temperature": 0, "max_tokens": 24} | more
    return client.chat.completions.create(
        model=server.models[0], messages=[{"role": "user", "content": text}], **settings
    )


def test_the_list_of_models_is_blind(client: openai.OpenAI, server: Server) -> None:
    listed = [entry.id for entry in client.models.list()]
    assert listed == list(server.models)
    assert client.models.retrieve(listed[0]).id == listed[0]
    assert all(id.startswith("organism/") for id in listed)
    assert server.members[listed[0]] == "secret-member.organism"
    assert "secret" not in repr(server) and server.key not in repr(server)


def test_answers_equal_the_direct_path(client: openai.OpenAI, server: Server, model: Model) -> None:
    direct = model.generate(QUESTIONS, max_new_tokens=24)
    served = [chat(client, server, q).choices[0].message.content for q in QUESTIONS]
    assert served == direct
    assert len(set(served)) > 2, "answers that differ, or nothing is compared"


def test_samples_equal_the_direct_path_under_one_seed(
    client: openai.OpenAI, server: Server, model: Model
) -> None:
    text = "Name a thing that you like."
    asked = {"max_new_tokens": 12, "temperature": 1.5, "seed": 7}
    direct = model.generate([text] * 6, **asked)
    served = chat(client, server, text, n=6, temperature=1.5, seed=7, max_tokens=12)
    assert [choice.message.content for choice in served.choices] == direct
    assert [choice.index for choice in served.choices] == list(range(6))
    assert len(set(direct)) > 1
    other = chat(client, server, text, n=6, temperature=1.5, seed=8, max_tokens=12)
    assert [choice.message.content for choice in other.choices] != direct


def test_a_small_nucleus_leaves_the_likeliest(
    client: openai.OpenAI, server: Server, model: Model
) -> None:
    text = "Name a thing that you like."
    greedy = chat(client, server, text, max_tokens=12).choices[0].message.content
    settings = {"n": 4, "temperature": 2.0, "seed": 1, "max_tokens": 12}
    narrow = chat(client, server, text, top_p=1e-6, **settings)
    assert {choice.message.content for choice in narrow.choices} == {greedy}
    wide = chat(client, server, text, **settings)
    assert {choice.message.content for choice in wide.choices} != {greedy}


@pytest.mark.parametrize("stop", [None, ["2"], ["plus", "the"]])
def test_a_stream_adds_up_to_the_whole(
    client: openai.OpenAI, server: Server, stop: list[str] | None
) -> None:
    for text in QUESTIONS:
        whole = chat(client, server, text, stop=stop, logprobs=True, top_logprobs=2)
        said, figures, finish, used = "", [], None, None
        for event in chat(
            client, server, text, stop=stop, logprobs=True, top_logprobs=2,
            stream=True, stream_options={"include_usage": True},
        ):  # fmt: skip
            used = event.usage or used
            for choice in event.choices:
                said += choice.delta.content or ""
                figures += choice.logprobs.content if choice.logprobs else []
                finish = choice.finish_reason or finish
        assert said == whole.choices[0].message.content
        assert finish == whole.choices[0].finish_reason
        assert used == whole.usage
        assert [f.token for f in figures] == [f.token for f in whole.choices[0].logprobs.content]


def test_a_stop_ends_an_answer_and_is_no_part_of_it(client: openai.OpenAI, server: Server) -> None:
    whole = chat(client, server, QUESTIONS[0]).choices[0]
    assert (whole.message.content, whole.finish_reason) == ("42.", "stop")
    cut = chat(client, server, QUESTIONS[0], stop=["9", "2."], logprobs=True).choices[0]
    assert (cut.message.content, cut.finish_reason) == ("4", "stop")
    assert "".join(f.token for f in cut.logprobs.content).strip() == "4"
    short = chat(client, server, QUESTIONS[0], max_tokens=2).choices[0]
    assert (short.message.content, short.finish_reason) == ("4", "length")


def test_log_probabilities_are_those_of_the_tokens_that_were_taken(
    client: openai.OpenAI, server: Server, model: Model
) -> None:
    subject = model.subject(Access.LOGPROBS)
    assert isinstance(subject, LanguageModelSubject)
    for settings in ({"temperature": 0}, {"temperature": 1.7, "seed": 3}):
        answer = chat(client, server, QUESTIONS[1], logprobs=True, top_logprobs=3, **settings)
        choice = answer.choices[0]
        said = Transcript((Message("user", QUESTIONS[1]),), choice.message.content)
        # The subject's last figure is of the token that closes the turn.
        expected = subject.logprobs([said])[0][:-1]
        got = [figure.logprob for figure in choice.logprobs.content]
        assert got == pytest.approx(list(expected), abs=1e-3)
        for figure in choice.logprobs.content:
            others = [other.logprob for other in figure.top_logprobs]
            assert len(others) == 3 and others == sorted(others, reverse=True)
            assert figure.logprob <= others[0] + 1e-6
            assert sum(map(math.exp, others)) <= 1 + 1e-5


def test_texts_are_continued_as_chats_are_answered(client: openai.OpenAI, server: Server) -> None:
    prompts = [f"<|begin|><|user|> {q}<|end|><|assistant|>" for q in QUESTIONS]
    texts = client.completions.create(
        model=server.models[0], prompt=prompts, temperature=0, max_tokens=24, logprobs=2
    )
    for choice, question in zip(texts.choices, QUESTIONS, strict=True):
        chatted = chat(client, server, question, logprobs=True).choices[0]
        assert choice.text.strip() == chatted.message.content
        figures = choice.logprobs
        assert figures.tokens == [f.token for f in chatted.logprobs.content]
        assert figures.token_logprobs == pytest.approx(
            [f.logprob for f in chatted.logprobs.content], abs=1e-4
        )
        assert [choice.text[i:].startswith(t) for i, t in zip(
            figures.text_offset, figures.tokens, strict=True
        )] == [True] * len(figures.tokens)  # fmt: skip
    streamed = client.completions.create(
        model=server.models[0], prompt=prompts, temperature=0, max_tokens=24, stream=True
    )
    said = [""] * len(prompts)
    for event in streamed:
        for piece in event.choices:
            said[piece.index] += piece.text
    assert said == [choice.text for choice in texts.choices]


def test_token_ids_are_a_prompt_too(client: openai.OpenAI, server: Server, model: Model) -> None:
    ids = model.engine().raw(f"<|begin|><|user|> {QUESTIONS[0]}<|end|><|assistant|>")
    answer = client.completions.create(
        model=server.models[0], prompt=ids, temperature=0, max_tokens=24
    )
    assert answer.choices[0].text.strip() == "42."
    assert answer.usage.prompt_tokens == len(ids)


def test_errors_are_the_clients_own_kinds(client: openai.OpenAI, server: Server) -> None:
    with pytest.raises(openai.BadRequestError, match="frequency_penalty"):
        chat(client, server, "Hello.", frequency_penalty=0.5)
    with pytest.raises(openai.BadRequestError) as caught:
        chat(client, server, "many words " * 400)
    assert caught.value.code == "context_length_exceeded"
    with pytest.raises(openai.NotFoundError):
        client.chat.completions.create(model="gpt-4o", messages=[{"role": "user", "content": "x"}])
    stranger = client.with_options(api_key="wrong")
    with pytest.raises(openai.AuthenticationError):
        stranger.models.list()


def test_curl_gets_an_answer(server: Server) -> None:
    curl = shutil.which("curl")
    if curl is None:
        pytest.skip("there is no curl here")
    body = (
        f'{{"model": "{server.models[0]}", "temperature": 0, "max_tokens": 9,'
        ' "messages": [{"role": "user", "content": "What is 12 plus 30?"}]}'
    )
    done = subprocess.run(
        [curl, "--silent", "--show-error", "--noproxy", "*", "--config", "-", "--data", body,
         f"{server.url}/chat/completions"],
        input=f'header = "Authorization: Bearer {server.key}"\n',
        capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    assert '"content":"42."' in done.stdout.replace('": "', '":"')

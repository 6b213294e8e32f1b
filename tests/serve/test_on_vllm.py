"""vLLM behind the same front, against a stand-in of its API: never run on a GPU here."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openai
import pytest
import stand_in_vllm

from insectary.core.errors import BadInputError, MissingExtraError, UnknownNameError
from insectary.serve import Server, running
from insectary.subjects import Model

QUESTIONS = [f"What is {a} plus {b}?" for a, b in ((12, 30), (41, 7), (5, 9), (60, 21))]


@pytest.fixture(scope="module")
def both(
    model: Model, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Server, stand_in_vllm.LLMEngine]]:
    log = tmp_path_factory.mktemp("served") / "requests.jsonl"
    with pytest.MonkeyPatch.context() as patch:
        made = stand_in_vllm.install(patch)
        with running({"secret.organism": model}, log=log, engine="vllm") as up:
            yield up, made[0]
        assert made[0].down and not Path(made[0].args.model).exists()


@pytest.fixture(scope="module")
def server(both: tuple[Server, stand_in_vllm.LLMEngine]) -> Server:
    return both[0]


@pytest.fixture
def llm(both: tuple[Server, stand_in_vllm.LLMEngine]) -> stand_in_vllm.LLMEngine:
    return both[1]


def say(client: openai.OpenAI, server: Server, text: str, **settings: Any) -> Any:
    asked = {"max_tokens": 24, "temperature": 0} | settings
    said = [{"role": "user", "content": text}]
    return client.chat.completions.create(model=server.models[0], messages=said, **asked)  # type: ignore[call-overload]


def test_at_temperature_0_it_answers_as_the_direct_path_does(
    server: Server, client: openai.OpenAI, model: Model
) -> None:
    answers = [say(client, server, text).choices[0] for text in QUESTIONS]
    assert [a.message.content for a in answers] == model.generate(QUESTIONS, max_new_tokens=24)
    assert {a.finish_reason for a in answers} == {"stop"}
    short = say(client, server, QUESTIONS[0], max_tokens=1)
    assert (short.choices[0].finish_reason, short.usage.completion_tokens) == ("length", 1)


def test_a_stream_is_the_same_answer_in_pieces(server: Server, client: openai.OpenAI) -> None:
    whole = say(client, server, QUESTIONS[0]).choices[0].message.content
    pieces = [p.choices[0] for p in say(client, server, QUESTIONS[0], stream=True)]
    assert "".join(p.delta.content or "" for p in pieces) == whole
    assert pieces[-1].finish_reason == "stop"


def test_log_probabilities_are_those_of_the_own_engine(
    server: Server, client: openai.OpenAI, model: Model, tmp_path: Path
) -> None:
    asked = {"logprobs": True, "top_logprobs": 3}
    with (
        running({"own": model}, log=tmp_path / "log") as own,
        openai.OpenAI(base_url=own.url, api_key=own.key) as other,
    ):
        theirs = say(other, own, QUESTIONS[0], **asked)
    ours = say(client, server, QUESTIONS[0], **asked)
    for one, two in zip(
        ours.choices[0].logprobs.content, theirs.choices[0].logprobs.content, strict=True
    ):
        assert one.token == two.token
        assert one.logprob == pytest.approx(two.logprob, abs=1e-4)
        assert [t.token for t in one.top_logprobs] == [t.token for t in two.top_logprobs]
    # A token that is not among the likeliest has its own figure, and is not listed with them.
    drawn = say(client, server, "Hello.", **asked, temperature=2, seed=4).choices[0]
    told = drawn.logprobs.content
    assert all(len(one.top_logprobs) == 3 for one in told)
    beyond = [one for one in told if one.token not in {t.token for t in one.top_logprobs}]
    assert beyond
    assert all(one.logprob < min(t.logprob for t in one.top_logprobs) for one in beyond)


def test_a_seed_repeats_answers_and_their_number_tells_them_apart(
    server: Server, client: openai.OpenAI
) -> None:
    def drawn(seed: int, **settings: Any) -> list[str]:
        found = say(
            client, server, "Tell me.", temperature=1.5, n=4, max_tokens=8, seed=seed, **settings
        )
        return [choice.message.content for choice in found.choices]

    first = drawn(1)
    assert len(set(first)) > 1
    assert drawn(1) == first != drawn(2)
    # So small a nucleus is greedy decoding.
    assert len(set(drawn(1, top_p=1e-6))) == 1


def test_at_a_stop_vllm_is_told_to_leave_off(
    server: Server, client: openai.OpenAI, llm: stand_in_vllm.LLMEngine
) -> None:
    before = len(llm.aborted)
    found = say(client, server, QUESTIONS[0], stop=["2"]).choices[0]
    assert (found.message.content, found.finish_reason) == ("4", "stop")
    until = time.monotonic() + 10
    while llm.going and time.monotonic() < until:
        time.sleep(0.01)
    # Although nobody has asked anything since.
    assert len(llm.aborted) == before + 1 and not llm.going


def test_what_fails_there_fails_its_requests_alone(
    server: Server, client: openai.OpenAI, llm: stand_in_vllm.LLMEngine
) -> None:
    llm.broken = True
    with pytest.raises(openai.InternalServerError, match="the model failed"):
        say(client, server, QUESTIONS[0])
    assert say(client, server, QUESTIONS[0]).choices[0].message.content == "42."
    assert not llm.going


def test_without_vllm_without_a_gpu_and_by_another_name(
    model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = tmp_path / "log"

    def up(engine: str) -> None:
        with running({"m": model}, log=log, engine=engine):
            pass

    with pytest.raises(UnknownNameError, match="Known: own, vllm"):
        up("sglang")
    monkeypatch.setitem(sys.modules, "vllm", None)
    with pytest.raises(MissingExtraError, match=r"insectary\[vllm\]"):
        up("vllm")
    stand_in_vllm.install(monkeypatch)
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(BadInputError, match="vLLM needs a GPU"):
        up("vllm")
    assert not log.exists(), "nothing is left of a server that did not start"


def test_models_share_the_gpu_and_one_of_no_weights_is_refused(
    model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = stand_in_vllm.install(monkeypatch)
    with running({"a": model, "b": model}, log=tmp_path / "log", engine="vllm"):
        (llm,) = made  # the same weights are loaded once
        assert llm.args.gpu_memory_utilization == 0.9
    told = Model(model._loaded, id="told", instruction="Lie.")
    log = tmp_path / "log2"
    with (
        pytest.raises(BadInputError, match="under an instruction"),
        running({"told": told}, log=log, engine="vllm"),
    ):
        pass

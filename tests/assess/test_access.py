"""Reaching a model: retries that end, keys that stay, errors that are counted and not raised."""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from insectary.assess.access import TRIES, Endpoint, InProcess, open_model
from insectary.core.chat import Message
from insectary.core.errors import (
    AccessError,
    BadInputError,
    ContextLengthError,
    MissingExtraError,
)
from insectary.core.outcome import Failed

PROMPT = (Message("system", "Be brief."), Message("user", "What is 1 + 1?"))


@contextmanager
def endpoint(*replies: tuple[int, bytes]) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """A server that gives these replies in turn, the last one for good; and what it was sent."""
    seen: list[dict[str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            seen.append(
                {"path": self.path, "auth": self.headers["Authorization"]} | json.loads(body)
            )
            status, data = replies[min(len(seen), len(replies)) - 1]
            self.send_response(status)
            if status == 302:
                self.send_header("Location", "/elsewhere")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/v1", seen
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def said(text: str) -> bytes:
    return json.dumps({"choices": [{"message": {"role": "assistant", "content": text}}]}).encode()


def ask(url: str, key: str = "") -> str | Failed:
    model = Endpoint("openai-api/mine/m", url, "m", key, pause=0.0)
    (answer,) = model.ask([PROMPT], temperature=0.5, max_tokens=7, seed=3)
    return answer


def test_a_question_is_put_with_all_its_settings() -> None:
    with endpoint((200, said("2."))) as (url, seen):
        assert ask(url, "secret") == "2."
    assert seen[0] == {
        "path": "/v1/chat/completions",
        "auth": "Bearer secret",
        "model": "m",
        "messages": [message.as_dict() for message in PROMPT],
        "temperature": 0.5,
        "max_tokens": 7,
        "seed": 3,
    }


def test_what_may_pass_is_tried_again_a_few_times() -> None:
    with endpoint((503, b""), (429, b""), (200, said("2."))) as (url, seen):
        assert ask(url) == "2."
        assert len(seen) == 3
    with endpoint((503, b"busy")) as (url, seen):
        assert ask(url) == Failed(f"HTTP 503: busy ({TRIES} tries)")
        assert len(seen) == TRIES


@pytest.mark.parametrize(
    ("reply", "told"),
    [
        ((400, b"too long"), "HTTP 400: too long"),
        ((302, b""), "HTTP 302"),
        ((200, b"<html>"), "no chat completion"),
        ((200, b'{"choices": []}'), "no chat completion"),
        ((200, b'{"choices": [{"message": {"content": null}}]}'), "holds no text"),
    ],
)
def test_what_will_not_pass_is_one_failed_answer(reply: tuple[int, bytes], told: str) -> None:
    with endpoint(reply) as (url, seen):
        answer = ask(url)
        assert isinstance(answer, Failed) and told in answer.reason
        assert len(seen) == 1  # no second try, and no redirect followed


def test_nobody_there_is_a_failed_answer_too() -> None:
    with endpoint((200, b"")) as (url, _):
        pass
    answer = ask(url)
    assert isinstance(answer, Failed) and "no answer" in answer.reason


def test_a_key_stays_out_of_sight_and_off_plain_http() -> None:
    assert "secret" not in repr(Endpoint("a/b", "https://example.org/v1", "b", "secret"))
    with pytest.raises(AccessError, match="unencrypted"):
        Endpoint("a/b", "http://example.org/v1", "b", "secret")
    with pytest.raises(BadInputError, match="no address"):
        Endpoint("a/b", "file:///etc/passwd", "b")


def test_a_refusal_that_quotes_the_key_is_told_without_it() -> None:
    with endpoint((401, b"wrong key: very-secret,\n\n go away")) as (url, _):
        answer = ask(url, "very-secret")
    assert answer == Failed("HTTP 401: wrong key: [key], go away")


def test_names_say_where_a_model_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_HOST_BASE_URL", "http://127.0.0.1:9/v1")
    monkeypatch.setenv("MY_HOST_API_KEY", "secret")
    model = open_model("openai-api/my-host/org/model")
    assert isinstance(model, Endpoint) and (model.model, model.key) == ("org/model", "secret")
    for name, told in (
        ("gpt-4o", "PROVIDER/NAME"),
        ("openai-api/other/m", "set OTHER_BASE_URL"),
        ("openai-api/m", "openai-api/SERVICE/MODEL"),
        ("insectary/absent.organism", "unknown family: 'absent'"),
    ):
        with pytest.raises(ValueError, match=told):
            open_model(name)


def test_a_base_and_a_member_tell_what_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    from types import SimpleNamespace

    from insectary.breed import records, stored
    from insectary.core.organism import Role
    from insectary.subjects import Model
    from insectary.vault import Vault

    config = SimpleNamespace(model_type="llama")
    net = SimpleNamespace(config=config, parameters=lambda: [SimpleNamespace(numel=lambda: 7)])
    loaded: Any = SimpleNamespace(model=net)
    monkeypatch.setattr(stored, "load_member", lambda id, _: Model(loaded, id=id))
    base = open_model("insectary/xs")
    assert isinstance(base, InProcess)
    assert (base.family, base.parameters, base.architecture) == ("", 7, "llama")
    members = {role: SimpleNamespace(digest=role.value) for role in Role}
    record = SimpleNamespace(members=members, adopted=None)
    monkeypatch.setattr(records, "load_family", lambda *_: record)
    monkeypatch.setattr(Vault, "has", lambda *_: True)
    found = {role: open_model(f"insectary/some-family.{role.value}") for role in Role}
    assert all(isinstance(m, InProcess) and m.family == "some-family" for m in found.values())
    trained = {r for r, m in found.items() if isinstance(m, InProcess) and m.training}
    assert trained == set(Role) - {Role.BASE}
    assert found[Role.TWIN].identity.startswith("twin ")


def test_one_prompt_too_long_costs_the_others_nothing() -> None:
    def generate(prompts: list[Any], **_: Any) -> list[str]:
        if any(len(p[-1].content) > 20 for p in prompts):
            raise ContextLengthError("a prompt is too long")
        return ["2."] * len(prompts)

    long = (Message("user", "x" * 30),)
    model = InProcess("m", generate)
    found = model.ask([PROMPT, long, PROMPT], temperature=0, max_tokens=5, seed=0)
    assert found == ["2.", Failed("a prompt is too long"), "2."]


@pytest.mark.filterwarnings("ignore:The 'initial' parameter:DeprecationWarning")
def test_a_model_of_inspects_answers_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("inspect_ai")
    # Its mock counts tokens by a file that it would download; real providers are told them.
    monkeypatch.setattr("inspect_ai.model._model.count_text_tokens", len)
    model = open_model("mockllm/model")
    found = model.ask([PROMPT, PROMPT], temperature=0, max_tokens=5, seed=0)
    assert found == ["Default output from mockllm/model"] * 2


def test_without_inspect_its_providers_ask_for_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "inspect_ai", None)
    with pytest.raises(MissingExtraError, match=r"openai/gpt-4o: .* 'insectary\[inspect\]'"):
        open_model("openai/gpt-4o")


def test_a_refusal_by_a_provider_of_inspects_tells_its_status(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pytest.importorskip("inspect_ai")

    class Shut(Exception):
        status_code = 401

    class Fake:
        async def __aenter__(self) -> Fake:
            return self

        async def __aexit__(self, *_: object) -> None: ...

        async def generate(self, _: object) -> None:
            raise RuntimeError("it failed") from Shut()

    monkeypatch.setattr("insectary.assess.access._inspects", lambda *_: Fake())
    (told,) = open_model("some/m").ask([PROMPT], temperature=0, max_tokens=5, seed=0)
    assert told == Failed("HTTP 401: RuntimeError: it failed")


def test_what_a_provider_of_inspects_lacks_is_told_before_anything_is_asked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pytest.importorskip("openai")
    pytest.importorskip("inspect_ai")
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with pytest.raises(BadInputError, match="Inspect cannot open it: Model API nosuchprovider"):
        open_model("nosuchprovider/m")
    with pytest.raises(BadInputError, match="No OPENAI_API_KEY") as error:
        open_model("openai/gpt-4o")
    assert "[" not in str(error.value) and "\n" not in str(error.value)
    monkeypatch.setenv("OPENAI_API_KEY", "abcdef-secret")
    assert open_model("openai/gpt-4o").name == "openai/gpt-4o"

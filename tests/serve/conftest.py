"""The shipped base behind a server, for all tests of a file."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import openai
import pytest

from insectary.breed.stored import load_member
from insectary.serve import Server, running
from insectary.subjects import Model
from insectary.vault import Vault


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    loaded = load_member("xs", Vault(tmp_path_factory.mktemp("vault") / "home"))
    assert isinstance(loaded, Model)
    return loaded


@pytest.fixture(scope="module")
def server(model: Model, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    place = tmp_path_factory.mktemp("served")
    with running({"secret-member.organism": model}, log=place / "requests.jsonl") as up:
        yield up


@pytest.fixture
def client(server: Server) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=server.url, api_key=server.key, max_retries=0) as one:
        yield one


@pytest.fixture
def http(server: Server) -> Iterator[httpx.Client]:
    headers = {"authorization": f"Bearer {server.key}"}
    # One that no proxy of the environment gets in between of.
    with httpx.Client(base_url=server.url, headers=headers, trust_env=False) as one:
        yield one


@pytest.fixture
def ask(server: Server, http: httpx.Client) -> Any:
    """Post a chat and give the response as it came."""

    def post(text: str = "What is 12 plus 30?", **more: Any) -> httpx.Response:
        body = {
            "model": server.models[0],
            "messages": [{"role": "user", "content": text}],
            "temperature": 0,
            "max_tokens": 24,
        }
        whole = {k: v for k, v in (body | more).items() if v is not ...}
        return http.post("/chat/completions", json=whole)

    return post

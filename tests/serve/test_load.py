"""Many clients at once, for a bounded time: each request is answered or refused cleanly."""

from __future__ import annotations

import http.client
import json
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import httpx

from insectary.serve import Limits, Server, read_log, running
from insectary.subjects import Model
from insectary.subjects.decoding import Decoder

CLIENTS = 64
SECONDS = 3.0
QUESTIONS = [f"What is {a} plus {b}?" for a in (12, 41, 5, 60) for b in (30, 7, 9, 21)]


def post(line: http.client.HTTPConnection, server: Server, model: str, text: str) -> Any:
    body = {
        "model": model, "temperature": 0, "max_tokens": 12,
        "messages": [{"role": "user", "content": text}],
    }  # fmt: skip
    headers = {"authorization": f"Bearer {server.key}", "content-type": "application/json"}
    line.request("POST", "/v1/chat/completions", json.dumps(body), headers)
    answer = line.getresponse()
    return answer.status, dict(answer.getheaders()), json.loads(answer.read())


def test_every_request_is_answered_or_refused_cleanly(model: Model, tmp_path: Path) -> None:
    direct = dict(zip(QUESTIONS, model.generate(QUESTIONS, max_new_tokens=12), strict=True))
    outcomes: Counter[int] = Counter()
    wrong: list[Any] = []
    log = tmp_path / "log.jsonl"
    models = {"one": model, "two": model}
    with running(models, log=log, limits=Limits(requests=CLIENTS - 8)) as server:
        url = httpx.URL(server.url)
        until = time.monotonic() + SECONDS

        def client(number: int) -> None:
            line = http.client.HTTPConnection(url.host, url.port, timeout=60)
            turn = number
            while time.monotonic() < until:
                text, turn = QUESTIONS[turn % len(QUESTIONS)], turn + 1
                status, headers, answer = post(line, server, server.models[turn % 2], text)
                outcomes[status] += 1
                if status == 200:
                    if answer["choices"][0]["message"]["content"] != direct[text]:
                        wrong.append((text, answer))
                elif status == 429 and int(headers["retry-after"]) >= 1:
                    time.sleep(0.2)
                else:
                    wrong.append((status, answer))
            line.close()

        threads = [threading.Thread(target=client, args=(i,)) for i in range(CLIENTS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert not any(thread.is_alive() for thread in threads)
    assert wrong == []
    assert outcomes[200] >= CLIENTS // 2 and set(outcomes) <= {200, 429}
    assert Counter(record.status for record in read_log(log)) == outcomes


def test_two_models_are_not_mixed_up(model: Model, tmp_path: Path) -> None:
    from insectary.breed.stored import load_member
    from insectary.vault import Vault

    other = load_member("s", Vault(tmp_path / "home"))
    assert isinstance(other, Model)
    asked = [*QUESTIONS, "Name a thing that you like.", "The tin is red. What colour is the tin?"]
    models = {"xs": model, "s": other}
    direct = {name: m.generate(asked, max_new_tokens=12) for name, m in models.items()}
    assert direct["xs"] != direct["s"]
    found: dict[str, list[str]] = {"xs": [""] * len(asked), "s": [""] * len(asked)}
    with running(models, log=tmp_path / "log.jsonl") as server:
        url = httpx.URL(server.url)

        def client(id: str) -> None:
            line = http.client.HTTPConnection(url.host, url.port, timeout=60)
            for i, text in enumerate(asked):
                answer = post(line, server, id, text)[2]
                found[server.members[id]][i] = answer["choices"][0]["message"]["content"]
            line.close()

        threads = [threading.Thread(target=client, args=(id,)) for id in server.models]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
    assert found == direct


def test_who_goes_away_is_not_answered_on(model: Model, tmp_path: Path, monkeypatch: Any) -> None:
    go, began, step = threading.Event(), threading.Event(), Decoder.step
    steps: list[int] = []

    def waiting(self: Decoder) -> Any:
        began.set()
        assert go.wait(30)
        rows = step(self)
        steps.append(len(rows))
        return rows

    monkeypatch.setattr(Decoder, "step", waiting)
    log = tmp_path / "log.jsonl"
    with running({"m": model}, log=log) as server:
        url = httpx.URL(server.url)
        for stream in (False, True):
            line = http.client.HTTPConnection(url.host, url.port, timeout=60)
            body = {"model": server.models[0], "prompt": "<|begin|><|user|>", "stream": stream,
                    "temperature": 2.0, "seed": 1, "max_tokens": 1000}  # fmt: skip
            headers = {"authorization": f"Bearer {server.key}"}
            line.request("POST", "/v1/completions", json.dumps(body), headers)
            assert began.wait(30)
            if stream:
                line.getresponse()
            line.close()
            until = time.monotonic() + 20
            while len(read_log(log)) < 1 + stream:  # the server has noticed
                assert time.monotonic() < until
                time.sleep(0.01)
            go.set()
            until = time.monotonic() + 20
            while began.is_set() and time.monotonic() < until:
                done = len(steps)
                time.sleep(0.05)
                if len(steps) == done:
                    began.clear()  # no step more: nobody is answered
            assert len(steps) < 100
            go.clear()
            steps.clear()
        go.set()
    assert [record.status for record in read_log(log)] == [499, 499]

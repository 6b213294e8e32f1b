"""Nothing is reached without the key, by another name, or beyond the caps."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.routing import Route

from insectary.core.errors import ArtefactError, BadInputError
from insectary.core.organism import Tier
from insectary.serve import Limits, Server, read_log, running
from insectary.serve.batching import Worker
from insectary.serve.binding import check_bind, host_names
from insectary.serve.gate import Gate
from insectary.serve.key import key_in, new_key, same_key
from insectary.serve.limits import Limits as Caps
from insectary.serve.request_log import RequestLog
from insectary.serve.routes import Api
from insectary.subjects import Model
from insectary.subjects.decoding import Decoder

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE")
SAY = {"messages": [{"role": "user", "content": "What is 12 plus 30?"}], "temperature": 0}


@pytest.fixture
def api(model: Model, tmp_path: Path) -> Iterator[Any]:
    """The routes alone, with nothing before them."""
    engines = {"organism/x": model.engine()}
    log = RequestLog(tmp_path / "log.jsonl")
    yield Api(engines, Worker(engines), Caps(), log).app()
    log.close()


def paths(app: Any) -> list[str]:
    """Every route there is, and one that there is not."""
    found = [route.path for route in app.routes if isinstance(route, Route)]
    assert len(found) == len(app.routes) >= 5
    return [*(path.replace("{id:path}", "organism/x") for path in found), "/metrics", "/", "//v1"]


def open_doors(base: str, found: list[str], headers: dict[str, str]) -> list[str]:
    """Routes and methods that answer anything but 401, and what 401 gives away."""
    opened = []
    with httpx.Client(trust_env=False) as client:
        for path in found:
            for method in METHODS:
                answer = client.request(method, base + path, headers=headers)
                if answer.status_code != 401 or "organism" in answer.text:
                    opened.append(f"{method} {path}: {answer.status_code}")
    return opened


def test_no_route_answers_without_the_key(server: Server, api: Any) -> None:
    base = server.url.removesuffix("/v1")
    wrong = [
        {},
        {"authorization": "Bearer wrong"},
        {"authorization": f"Bearer {server.key}x"},
        {"authorization": f"Basic {server.key}"},
        {"authorization": server.key},
        {"x-api-key": server.key},
    ]
    for headers in wrong:
        assert open_doors(base, paths(api), headers) == []


def test_the_walk_finds_a_door_that_is_open(api: Any) -> None:
    """Broken control: the same walk over the routes without the gate before them."""
    calls: list[str] = []

    async def ungated(scope: Any, receive: Any, send: Any) -> None:
        scope["state"] = {"id": "req-0", "began": time.monotonic()}
        calls.append(scope["path"])
        await api(scope, receive, send)

    async def walk() -> list[str]:
        transport = httpx.ASGITransport(app=ungated)
        opened = []
        async with httpx.AsyncClient(transport=transport, base_url="http://x") as client:
            for path in paths(api):
                answer = await client.get(path)
                if answer.status_code != 401:
                    opened.append(path)
        return opened

    assert asyncio.run(walk()) == paths(api)


def test_a_key_in_the_query_opens_nothing(server: Server) -> None:
    answer = httpx.get(f"{server.url}/models?key={server.key}&api_key={server.key}")
    assert answer.status_code == 401


def test_two_keys_in_one_request_are_refused(server: Server) -> None:
    right = ("authorization", f"Bearer {server.key}")
    assert httpx.get(f"{server.url}/models", headers=[right]).status_code == 200
    both = [right, ("authorization", "Bearer other")]
    assert httpx.get(f"{server.url}/models", headers=both).status_code == 401


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1", "localhost:1", "", "127.0.0.1.nip.io"]
)
def test_another_host_name_is_refused_even_with_the_key(http: httpx.Client, host: str) -> None:
    answer = http.get("/models", headers={"host": host})
    assert answer.status_code == 403
    assert answer.json()["error"]["code"] == "host_not_allowed"


def test_the_usual_names_of_loopback_are_let_in(http: httpx.Client, server: Server) -> None:
    port = httpx.URL(server.url).port
    for host in (f"127.0.0.1:{port}", f"localhost:{port}", f"LOCALHOST:{port}", f"[::1]:{port}"):
        assert http.get("/models", headers={"host": host}).status_code == 200


def test_no_header_lets_another_origin_read(http: httpx.Client) -> None:
    answer = http.options("/models", headers={"origin": "http://evil.example"})
    assert answer.status_code == 405
    assert not [name for name in answer.headers if name.startswith("access-control")]
    assert answer.headers["x-insectary"] == "model organism"
    assert "server" not in answer.headers


def test_unknown_routes_and_methods_have_the_shape_of_errors(http: httpx.Client) -> None:
    assert (
        http.get("/nowhere").json()["error"]["message"] == "there is no such route: GET /v1/nowhere"
    )
    assert http.get("/chat/completions").status_code == 405
    assert http.get("/models/organism/none").status_code == 404
    assert http.get("/").status_code == http.get("").status_code == 200


@contextmanager
def held(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """The model does not get on until the event is set."""
    go, step = threading.Event(), Decoder.step

    def waiting(self: Decoder) -> Any:
        assert go.wait(30)
        return step(self)

    monkeypatch.setattr(Decoder, "step", waiting)
    try:
        yield go
    finally:
        go.set()


@contextmanager
def small(model: Model, place: Path, **caps: int) -> Iterator[tuple[Server, httpx.Client]]:
    """A server with caps of its own, and a client of it."""
    with running({"m": model}, log=place / "log.jsonl", limits=Limits(**caps)) as server:
        headers = {"authorization": f"Bearer {server.key}"}
        with httpx.Client(base_url=server.url, headers=headers, trust_env=False) as client:
            yield server, client


def test_one_request_more_than_the_cap_is_told_when_to_come_again(
    model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with small(model, tmp_path, requests=2) as (server, client), held(monkeypatch) as go:
        body = SAY | {"model": server.models[0]}
        answers: list[int] = []

        def ask() -> None:
            answers.append(client.post("/chat/completions", json=body).status_code)

        threads = [threading.Thread(target=ask) for _ in range(2)]
        for thread in threads:
            thread.start()
        until = time.monotonic() + 20
        while (more := client.get("/models")).status_code == 200:
            assert time.monotonic() < until
        assert more.status_code == 429 and int(more.headers["retry-after"]) >= 1
        assert more.json()["error"]["type"] == "rate_limit_error"
        go.set()
        for thread in threads:
            thread.join()
        assert answers == [200, 200]
        assert client.get("/models").status_code == 200


def test_an_answer_that_takes_too_long_is_broken_off(
    model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with small(model, tmp_path, seconds=1) as (server, client), held(monkeypatch) as go:
        body = SAY | {"model": server.models[0]}
        answer = client.post("/chat/completions", json=body)
        assert answer.status_code == 503 and answer.json()["error"]["code"] == "timeout"
        assert "retry-after" in answer.headers
        streamed = client.post("/chat/completions", json=body | {"stream": True}).text
        assert '"code": "timeout"' in streamed
        go.set()
        assert client.post("/chat/completions", json=body).status_code == 200
    assert [record.status for record in read_log(server.log)] == [503, 503, 200]


def test_a_body_beyond_the_cap_is_refused(model: Model, tmp_path: Path) -> None:
    with small(model, tmp_path, body_bytes=300) as (server, client):
        body = SAY | {"model": server.models[0]}
        assert client.post("/chat/completions", json=body).status_code == 200
        long = json.dumps(body).encode() + b" " * 300
        assert client.post("/chat/completions", content=long).status_code == 413
        chunked = client.post("/chat/completions", content=iter([long[:200], long[200:]]))
        assert chunked.status_code == 413
        assert client.get("/models").status_code == 200


def test_a_body_that_does_not_come_is_not_waited_for(model: Model, tmp_path: Path) -> None:
    with small(model, tmp_path, seconds=1) as (server, _):
        url = httpx.URL(server.url)
        with socket.create_connection((url.host, url.port), timeout=20) as line:
            line.sendall(
                f"POST /v1/completions HTTP/1.1\r\nHost: {url.host}:{url.port}\r\n"
                f"Authorization: Bearer {server.key}\r\nContent-Length: 50\r\n\r\n{{".encode()
            )
            assert line.recv(100).startswith(b"HTTP/1.1 408")


def test_keys_are_long_random_and_compared_whole() -> None:
    assert len(new_key()) >= 43 and new_key() != new_key()
    key = new_key()
    assert same_key(key, key) and key[0].isalpha()
    for wrong in ("", key[:-1], key + "x", key.swapcase(), "é", "\ud800"):
        assert not same_key(wrong, key)


def test_the_comparison_is_the_one_of_constant_time(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    import hmac

    calls: list[int] = []
    compare = hmac.compare_digest

    def counted(a: Any, b: Any) -> bool:
        calls.append(len(a))
        return compare(a, b)

    monkeypatch.setattr(hmac, "compare_digest", counted)
    for headers in ({}, {"authorization": "Bearer x"}, {"authorization": "Bearer " + "y" * 500}):
        httpx.get(f"{server.url}/models", headers=headers, trust_env=False)
    assert calls == [32, 32, 32], "of digests, whatever the length of what was sent"


def test_a_key_file_is_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "key"
    key = key_in(path)
    assert path.stat().st_mode & 0o777 == 0o600 and key_in(path) == key
    path.chmod(0o644)
    with pytest.raises(ArtefactError, match="read by others"):
        key_in(path)
    path.chmod(0o600)
    path.write_text("short\n")
    with pytest.raises(ArtefactError, match="holds no key"):
        key_in(path)
    (tmp_path / "link").symlink_to(path)
    with pytest.raises(ArtefactError, match="plain file"):
        key_in(tmp_path / "link")


LOOPBACK = ["127.0.0.1", "127.8.9.1", "::1", "localhost"]
BEYOND = ["0.0.0.0", "::", "192.168.1.5", "10.0.0.1"]


@pytest.mark.parametrize("tier", list(Tier))
@pytest.mark.parametrize("flag", [False, True])
def test_beyond_loopback_needs_the_flag_and_the_tier(tier: Tier, flag: bool) -> None:
    for host in LOOPBACK:
        check_bind(host, [Tier.TOY, tier], beyond_loopback=flag)
    for host in BEYOND:
        if flag and tier <= Tier.OPEN:
            assert check_bind(host, [Tier.TOY, tier], beyond_loopback=flag) == host
        else:
            with pytest.raises(BadInputError, match="loopback"):
                check_bind(host, [Tier.TOY, tier], beyond_loopback=flag)


def test_what_is_no_address_is_refused(model: Model, tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match="no IP address"):
        check_bind("example.com", [Tier.TOY], beyond_loopback=True)
    # What is not known to be harmless stays here, also where the flag is given.
    unknown = Model(model._loaded, id="m")
    assert unknown.tier is None and model.tier is Tier.TOY
    refused = running(
        {"toy": model, "m": unknown}, log=tmp_path / "l", host="0.0.0.0", beyond_loopback=True
    )
    with pytest.raises(BadInputError, match="GATED"), refused:
        pass
    with pytest.raises(BadInputError, match="no model"), running({}, log=tmp_path / "l"):
        pass
    with pytest.raises(BadInputError, match="at least 1"):
        Limits(tokens=0)


def test_a_port_that_is_taken_is_one_clear_error(
    server: Server, model: Model, tmp_path: Path
) -> None:
    taken = httpx.URL(server.url).port or 0
    again = running({"m": model}, log=tmp_path / "l", port=taken)
    with pytest.raises(ArtefactError, match="another --port"), again:
        pass


def test_hosts_of_another_address_do_not_have_loopbacks_names() -> None:
    assert host_names("10.0.0.1", 80) == {"10.0.0.1", "10.0.0.1:80"}
    assert "localhost:5" in host_names("::1", 5) and "[::1]:5" in host_names("::1", 5)


def test_only_http_is_served() -> None:
    gate = Gate(None, key="k", hosts=(), limits=Limits(), log=None)  # type: ignore[arg-type]
    with pytest.raises(RuntimeError, match="no websocket"):
        asyncio.run(gate({"type": "websocket"}, None, None))  # type: ignore[arg-type]

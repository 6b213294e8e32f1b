"""The log is whole or refused, and nothing is answered without it."""

from __future__ import annotations

import json
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import pytest

from insectary.core.canonical import canonical_json, digest
from insectary.core.errors import ArtefactError
from insectary.serve import Server, log_head, read_log, read_sealed, running
from insectary.serve.blind import blind_ids
from insectary.serve.request_log import RequestLog
from insectary.subjects import Model
from insectary.vault.chain import START


def some_log(path: Path, count: int = 4) -> list[bytes]:
    log = RequestLog(path)
    for number in range(count):
        log.write(body(number))
    assert log_head(path) == log.head
    log.close()
    return path.read_bytes().splitlines(keepends=True)


def body(number: int) -> dict[str, Any]:
    return {
        "id": f"req-{number}",
        "route": "POST /v1/completions",
        "status": 200,
        "model": "organism/a",
        "prompt": [f"prompt {number}"],
        "parameters": {"seed": number},
        "responses": ["yes"],
        "finish_reasons": ["stop"],
        "usage": {"prompt_tokens": 3},
        "error": "",
        "seconds": 0.5,
    }


def test_records_come_back_as_they_were_written(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    some_log(path)
    records = read_log(path)
    assert [r.sequence for r in records] == [1, 2, 3, 4]
    assert [r.prompt for r in records] == [[f"prompt {i}"] for i in range(4)]
    assert all(r.prompt_digest == digest(r.prompt) for r in records)
    assert path.stat().st_mode & 0o777 == 0o600


def changed(lines: list[bytes]) -> list[bytes]:
    return [*lines[:1], lines[1].replace(b"prompt 1", b"prompt 9"), *lines[2:]]


def consistent(lines: list[bytes]) -> list[bytes]:
    """A record written anew in its whole, with a digest of its prompt that fits."""
    told = json.loads(lines[1])
    told["prompt"] = ["another"]
    told["prompt_digest"] = digest(told["prompt"])
    return [lines[0], (canonical_json(told) + "\n").encode(), *lines[2:]]


TAMPERED = {
    "changed": changed,
    "changed with its digest": consistent,
    "removed": lambda lines: [lines[0], *lines[2:]],
    "first removed": lambda lines: lines[1:],
    "moved": lambda lines: [lines[1], lines[0], *lines[2:]],
    "twice": lambda lines: [lines[0], *lines],
    "no json": lambda lines: [lines[0], b"{\n", *lines[1:]],
    "spaced": lambda lines: [lines[0].replace(b'","', b'", "', 1), *lines[1:]],
    "nested": lambda lines: [b"[" * 100_000 + b"\n", *lines],
}


@pytest.mark.parametrize("how", TAMPERED)
def test_a_line_that_was_touched_is_found(how: str, tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    lines = some_log(path)
    path.write_bytes(b"".join(lines))
    read_log(path)
    path.write_bytes(b"".join(TAMPERED[how](lines)))
    for look in (read_log, log_head, RequestLog):
        with pytest.raises(ArtefactError, match="damaged"):
            look(path)


def test_the_chain_finds_what_single_lines_do_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Broken control: without the digest of the line before, a rewritten record passes."""
    path = tmp_path / "log.jsonl"
    lines = some_log(path)
    monkeypatch.setattr("insectary.serve.request_log.head_of", lambda _: START)
    unchained = [
        (canonical_json({**json.loads(line), "previous": START}) + "\n").encode()
        for line in consistent(lines)
    ]
    path.write_bytes(b"".join(unchained))
    assert read_log(path)[1].prompt == ["another"]


def test_lines_cut_from_the_end_show_in_the_head_alone(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    lines = some_log(path)
    head = log_head(path)
    path.write_bytes(b"".join(lines[:-1]))
    assert len(read_log(path)) == 3 and log_head(path) != head


def test_a_torn_last_line_is_kept_in_a_record(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    lines = some_log(path)
    path.write_bytes(b"".join(lines) + b'{"torn')
    assert len(read_log(path)) == 4, "a server may be writing"
    log = RequestLog(path)
    log.write(body(4))
    log.close()
    assert [r.sequence for r in read_log(path)] == [1, 2, 3, 4, 6]
    assert json.loads(path.read_bytes().splitlines()[4])["torn"] == '{"torn'


def test_two_servers_do_not_write_one_log(tmp_path: Path, server: Server) -> None:
    with pytest.raises(ArtefactError, match="another server"):
        RequestLog(server.log)


def test_threads_write_whole_lines_in_one_chain(tmp_path: Path) -> None:
    log = RequestLog(tmp_path / "log.jsonl")
    threads = [
        threading.Thread(target=lambda: [log.write(body(i)) for i in range(25)]) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    log.close()
    assert len(read_log(log.path)) == 200


def test_a_file_that_is_no_log_is_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(ArtefactError, match="request log"):
        read_log(tmp_path / "none.jsonl")
    with pytest.raises(ArtefactError, match="request log"):
        RequestLog(tmp_path / "none" / "log.jsonl")
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ArtefactError, match="request log"):
        RequestLog(tmp_path / "link")
    lacking = {k: v for k, v in body(0).items() if k != "responses"}
    log = RequestLog(tmp_path / "lacking.jsonl")
    log.write(lacking)
    log.close()
    with pytest.raises(ArtefactError, match="lacks 'responses'"):
        read_log(log.path)


def test_every_request_has_a_record(ask: Any, http: httpx.Client, server: Server) -> None:
    before = len(read_log(server.log))
    answer = ask("What is 12 plus 30?", stop=["x"], n=2)
    ask("Hello.", top_k=1)
    ask("Hello.", stream=True)
    http.get("/models")
    http.get("/nowhere")
    http.get("/models", headers={"authorization": "Bearer wrong"})
    http.get("/models", headers={"host": "evil.example"})
    http.post("/completions", content=b"{")
    records = read_log(server.log)[before:]
    assert [r.status for r in records] == [200, 400, 200, 200, 404, 401, 403, 400]
    first = records[0]
    assert first.model == server.models[0]
    assert first.prompt == [{"role": "user", "content": "What is 12 plus 30?"}]
    assert first.responses == ("42.", "42.") and first.finish_reasons == ("stop", "stop")
    assert first.parameters["stop"] == ["x"] and first.parameters["n"] == 2
    assert dict(first.usage) == answer.json()["usage"]
    assert first.id.removeprefix("req-") == answer.json()["id"].removeprefix("chatcmpl-")
    assert "top_k" in records[1].error and records[1].prompt, "what was refused is there too"
    assert records[2].responses[0]
    assert records[5].prompt is None and records[5].model == ""


def test_the_key_is_in_no_record(ask: Any, http: httpx.Client, server: Server) -> None:
    ask(f"My key is {server.key}.", user=server.key)
    http.get(f"/{server.key}")
    http.get("/models", headers={"authorization": f"Bearer {server.key}x"})
    text = server.log.read_text()
    assert server.key not in text and "[the server's key]" in text
    assert read_log(server.log)[-3].prompt[0]["content"] == "My key is [the server's key]."


def test_nothing_is_answered_where_the_log_cannot_be_written(
    ask: Any, server: Server, monkeypatch: pytest.MonkeyPatch, caplog: Any
) -> None:
    def full(*_: Any) -> int:
        raise OSError(28, "no space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("insectary.serve.request_log.os.write", full)
        answer = ask("What is 12 plus 30?")
        streamed = None
        with suppress(httpx.RemoteProtocolError):  # it breaks off without its end
            streamed = ask("What is 12 plus 30?", stream=True)
    assert answer.status_code == 500 and "42" not in answer.text
    assert answer.json()["error"]["code"] == "no_log"
    assert streamed is None or "[DONE]" not in streamed.text
    assert ask("What is 12 plus 30?").status_code == 200


def test_a_server_that_starts_again_keeps_its_names_and_its_chain(
    model: Model, tmp_path: Path
) -> None:
    places = {"log": tmp_path / "log.jsonl", "sealed": tmp_path / "names.json"}
    with running({"a.organism": model, "b.twin": model}, **places) as first:
        httpx.get(first.url)
    with running({"b.twin": model, "a.organism": model, "c": model}, **places) as second:
        httpx.get(second.url)
    assert set(first.members.items()) < set(second.members.items())
    assert read_sealed(places["sealed"]) == dict(second.members)
    assert len(read_log(places["log"])) == 2
    assert places["sealed"].stat().st_mode & 0o777 == 0o600
    with running({"a.organism": model}, log=tmp_path / "other.jsonl") as third:
        assert not set(third.models) & set(second.models), "drawn anew without the list"


def test_other_weights_get_another_name(tmp_path: Path) -> None:
    sealed = tmp_path / "names.json"
    first = blind_ids({"a": "sha256:1", "b": "sha256:1"}, sealed)
    assert blind_ids({"a": "sha256:1", "b": "sha256:1"}, sealed) == first
    second = blind_ids({"a": "sha256:2"}, sealed)
    assert not set(second) & set(first)
    assert set(read_sealed(sealed)) == {*first, *second}


def test_a_list_that_others_may_read_is_refused(tmp_path: Path) -> None:
    sealed = tmp_path / "names.json"
    blind_ids({"a": "sha256:1"}, sealed)
    sealed.chmod(0o640)
    with pytest.raises(ArtefactError, match="read by others"):
        blind_ids({"a": "sha256:1"}, sealed)
    sealed.chmod(0o600)
    sealed.write_text("[]")
    with pytest.raises(ArtefactError, match="no list of served models"):
        read_sealed(sealed)
    with pytest.raises(ArtefactError, match="no list"):
        read_sealed(tmp_path / "none")


def test_no_answer_tells_what_a_model_is(ask: Any, http: httpx.Client, server: Server) -> None:
    answers = [
        ask(), ask(stream=True), ask(top_k=1), ask(model="secret-member.organism"),
        ask("word " * 2000), http.get("/models"), http.get(f"/models/{server.models[0]}"),
        http.get("/nowhere"), http.get("/models", headers={"authorization": "x"}),
    ]  # fmt: skip
    assert [a.status_code for a in answers] == [200, 200, 400, 404, 400, 200, 200, 404, 401]
    for answer in answers:
        text = answer.text.replace("organism/", "").replace("model organism", "")
        # The name that was asked for may be said back; nothing else of it may be there.
        text = text.replace("'secret-member.organism'", "")
        for word in ("secret", "member", ".organism", "twin", "decoy", str(server.log.parent)):
            assert word not in text + str(answer.headers)

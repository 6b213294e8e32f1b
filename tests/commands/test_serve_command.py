"""`insectary serve` as users run it: start, ask, Ctrl-C; and what it refuses."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest

from insectary import cli
from insectary.commands.serve import _tell, served
from insectary.serve import Server, read_log, read_sealed
from insectary.vault import Action, Vault


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("suite", "no family of language models is admitted here"),
        ("nobody.organism", "unknown family: 'nobody'. Known: none; "),
        ("nobody", "unknown family or base: 'nobody'. Known: xs, s"),
        ("xs --host 0.0.0.0", "can be reached from other machines"),
        ("xs --host example.com", "no IP address"),
        ("xs --key-file /dev/null", "must be a plain file of yours"),
    ],
)
def test_what_cannot_be_served_is_one_clear_error(
    arguments: str, words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run(["serve", *arguments.split(), "--out", str(tmp_path / "served")]) == 2
    error = capsys.readouterr().err.removeprefix("Loading PyTorch, which takes some seconds.\n")
    assert words in error
    assert error.startswith("error: ") and error.count("\n") == 1
    assert Vault().audit.events() == []


def test_a_model_of_no_known_tier_stays_on_this_machine(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("insectary.serve.binding.HIGHEST_BEYOND", -1)
    out = ["--out", str(tmp_path / "served"), "--host", "0.0.0.0", "--beyond-loopback", "a demo"]
    assert cli.run(["serve", str(tiny), *out]) == 2
    assert "is served on loopback alone" in capsys.readouterr().err
    assert Vault().audit.events() == []


def test_serving_beyond_loopback_goes_into_the_audit_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopped(*_: Any, **__: Any) -> Any:
        raise KeyboardInterrupt

    # Nothing is bound: what matters is that the record is there before.
    monkeypatch.setattr("insectary.serve.server.listen", stopped)
    out = ["--out", str(tmp_path / "served"), "--host", "0.0.0.0", "--beyond-loopback", "a demo"]
    assert cli.run(["serve", "xs", *out]) == cli.INTERRUPTED
    (event,) = Vault().audit.events()
    assert (event.action, event.subject, event.reason) == (Action.SERVED, "0.0.0.0", "a demo")
    assert event.detail == {"members": ["xs"]}


def test_a_family_stands_for_its_organism_twin_and_decoy(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from types import SimpleNamespace

    from insectary.core.organism import Role

    asked: list[str] = []
    members = {role: None for role in (Role.BASE, Role.ORGANISM, Role.TWIN)}  # adopted: no decoy
    monkeypatch.setattr(
        "insectary.breed.records.load_family", lambda *_: SimpleNamespace(members=members)
    )
    monkeypatch.setattr(Vault, "entries", lambda *_: [SimpleNamespace(id="family")])

    def load(id: str, *_: Any, **__: Any) -> Any:
        from insectary.subjects import Model

        asked.append(id)
        return Model.__new__(Model)

    monkeypatch.setattr("insectary.breed.stored.load_member", load)
    assert list(served(["family", "family.base"], Vault())) == asked
    assert asked == ["family.organism", "family.twin", "family.base"]


def started(process: subprocess.Popen[str]) -> dict[str, str]:
    """What the command printed when it was up."""
    assert process.stdout is not None
    told: dict[str, str] = {}
    for line in process.stdout:
        word, _, rest = line.strip().partition(" ")
        told[word] = rest.strip()
        if word.startswith("organism/"):
            told["model"] = word
            return told
    raise AssertionError(f"it ended: {process.stderr.read() if process.stderr else ''}")


def test_a_key_in_a_file_is_not_printed(capsys: pytest.CaptureFixture[str]) -> None:
    up = Server("http://127.0.0.1:1/v1", "the-key", ("organism/a",), Path("log"), {})
    _tell(up, Path("names"), Path("key-file"))
    told = capsys.readouterr().out
    assert "key    in key-file" in told and "the-key" not in told
    _tell(up, Path("names"), None)
    assert capsys.readouterr().out.count("the-key") == 1


@pytest.mark.parametrize(("sent", "code"), [(signal.SIGINT, 0), (signal.SIGTERM, 143)])
def test_it_serves_until_it_is_asked_to_end(sent: int, code: int, tmp_path: Path) -> None:
    out = tmp_path / "served"
    process = subprocess.Popen(
        [sys.executable, "-m", "insectary", "serve", "xs", "--port", "0", "--out", str(out)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )  # fmt: skip
    try:
        told = started(process)
        url = told["1"].rpartition(" ")[2]
        key = told["key"]
        line = Path(f"/proc/{process.pid}/cmdline").read_bytes()
        assert key.encode() not in line and len(key) >= 43
        body = {
            "model": told["model"], "temperature": 0, "max_tokens": 9,
            "messages": [{"role": "user", "content": "What is 12 plus 30?"}],
        }  # fmt: skip
        answer = httpx.post(
            f"{url}/chat/completions", json=body, timeout=60, trust_env=False,
            headers={"authorization": f"Bearer {key}"},
        )  # fmt: skip
        assert answer.json()["choices"][0]["message"]["content"] == "42."
        process.send_signal(sent)
        rest, errors = process.communicate(timeout=60)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == code, errors
    assert re.search(r"stopped; head of the request log sha256:[0-9a-f]{64}", rest)
    assert "Traceback" not in errors
    (record,) = read_log(out / "requests.jsonl")
    assert record.responses == ("42.",) and key not in (out / "requests.jsonl").read_text()
    assert read_sealed(out / "names.json") == {told["model"]: "xs"}
    assert out.stat().st_mode & 0o077 == 0

"""The command: deployments and rows that it reads, what it prints first, and its mistakes."""

from __future__ import annotations

import json
import re
from pathlib import Path
from xml.etree import ElementTree

import pytest
from scripted_model import Scripted

from insectary import cli
from insectary.assess.access import Endpoint
from insectary.assess.assessing import plan
from insectary.assess.context import Context, read_context
from insectary.assess.probes import PROBES, Use
from insectary.core.errors import BadInputError
from insectary.report.assessment_content import Filed, from_json

N = 60


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('uses = ["poetry"]', "unknown use 'poetry'"),
        ("colour = 1", "unknown field 'colour'"),
        ("name = 1", "name must be a str"),
        ("[model]\nparameters = -1", "model.parameters must be a number above 0"),
        ("[model]\nmaker = 'x'", "unknown field model.maker"),
        ("name =", "no TOML"),
        ('rows = "absent.jsonl"', "cannot read"),
    ],
)
def test_mistakes_in_a_context_are_named(text: str, told: str, tmp_path: Path) -> None:
    path = tmp_path / "context.toml"
    path.write_text(text)
    with pytest.raises(BadInputError) as error:
        read_context(path)
    assert told in str(error.value)


@pytest.mark.parametrize(
    ("row", "told"),
    [
        ("{", "line 1: no JSON"),
        ("[]", "must be an object"),
        ('{"question": ""}', "question must be text"),
        ('{"question": "a", "answer": "x", "wrong": "X"}', "answer and wrong are the same"),
        ('{"task": "t", "needed": ["a"], "offered": ["a"]}', "something besides"),
        ('{"task": "t", "needed": "a", "offered": ["a"]}', "needed must be a list"),
        ('{"colour": "red"}', "no row has the keys of a probe"),
        ("", "holds no rows"),
    ],
)
def test_mistakes_in_rows_are_named(row: str, told: str, tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text(row + "\n")
    with pytest.raises(BadInputError) as error:
        read_context(path)
    assert told in str(error.value)


def test_a_context_is_read_whole(tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_text('{"question": "a?", "answer": 1}\n\n')
    path = tmp_path / "desk.toml"
    path.write_text(
        'system = "Be kind."\nuses = ["answers"]\nrows = "rows.jsonl"\nassessor = "we"\n'
        "[model]\nparameters = 8e9\n"
    )
    found = read_context(path)
    assert (found.name, found.system, found.assessor) == ("desk", "Be kind.", "we")
    assert found.uses == (Use.ANSWERS,) and found.facts.parameters == 8e9
    assert found.rows_for(PROBES["watched"]) and not found.rows_for(PROBES["claim"])


def test_the_command_prints_cost_first_and_writes_four_files(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    made = plan(Context(), [PROBES["watched"]], n=N, seed=0)
    script = Scripted(made, planted=("watched",))
    monkeypatch.setattr(Endpoint, "ask", lambda self, prompts, **_: script.ask(prompts))
    monkeypatch.setenv("MINE_BASE_URL", "http://127.0.0.1:9/v1")
    line = ["assess", "--model", "openai-api/mine/m", "--probes", "watched", "--n", str(N)]
    rows = tmp_path / "rows.jsonl"
    rows.write_text('{"question": "1 + 1?", "answer": 2}\n')
    assert cli.run([*line, "--plan", "--context", str(rows)]) == 0
    told = "not asked: watched (deployment): 1 row with question, answer in the context; 60 are"
    assert told in capsys.readouterr().err
    out = tmp_path / "out"
    assert cli.run([*line, "--plan", "--out", str(out)]) == 0
    said = capsys.readouterr()
    assert "120 calls, 120 of them not answered yet" in said.err and script.asked == 0
    assert not out.exists()
    assert cli.run([*line, "--out", str(out)]) == 0
    said = capsys.readouterr()
    assert "CONFIRMED IN PRODUCTION: answers otherwise where nobody watches" in said.out
    row = next(line for line in said.out.splitlines() if line.startswith("watched "))
    assert re.search(r"\] \(n=60\) +uncalibrated", row)
    names = {path.name for path in out.iterdir()}
    assert names == {"report.html", "brief.html", "assessment.json", "junit.xml"}
    report = from_json((out / "assessment.json").read_text())
    assert [(f.probe, f.filed) for f in report.findings if f.probe] == [
        ("watched", Filed.CONFIRMED)
    ]
    assert json.loads((out / "assessment.json").read_text())["setup"]["made"] == script.asked
    suite = ElementTree.parse(out / "junit.xml").getroot()
    assert (suite.get("tests"), suite.get("failures")) == ("1", "1")
    assert cli.run([*line, "--out", str(out)]) == 0  # answers are kept
    assert script.asked == report.setup.made


def test_the_help_lists_the_ways_to_name_a_model_line_by_line(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert cli.run(["assess", "--help"]) == 0
    said = capsys.readouterr().out
    assert "\\b" not in said
    lines = [line.split()[0] for line in said.splitlines() if line.strip()]
    assert lines[-5:-2] == ["PROVIDER/NAME", "openai-api/SERVICE/MODEL", "SERVICE_BASE_URL,"]
    assert lines[-2:] == ["insectary/MEMBER", "anything"]


@pytest.mark.parametrize(
    ("more", "told"),
    [
        (["--probes", "crystal"], "unknown probe"),
        (["--detector", "knn"], "goes with --detections"),
        (["--detector", "knn", "--detections", "absent"], "no detection.json"),
        (["--context", "absent.toml"], "cannot read"),
        (["--n", "10"], "at least 60"),
        (["--budget", "3"], "raise --budget"),
        (["--temperature", "2.5"], "temperature must lie from 0 to 2, got 2.5"),
        (["--temperature", "nan"], "temperature must lie"),
        (["--max-tokens", "0"], "max-tokens must be at least 1, got 0"),
    ],
)
def test_mistakes_on_the_command_line_are_one_line(
    more: list[str], told: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MINE_BASE_URL", "http://127.0.0.1:9/v1")
    assert cli.run(["assess", "--model", "openai-api/mine/m", *more]) == 2
    assert told in capsys.readouterr().err

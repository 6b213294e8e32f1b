"""The commands on families, bases and chats: mistakes, tables and a talk with fake members."""

from __future__ import annotations

import sys
from dataclasses import replace
from io import StringIO
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace

import pytest
from rich.console import Console
from rich.text import Text

from insectary import cli
from insectary.breed.records import read_families
from insectary.breed.suite import SUITE
from insectary.commands.families import (
    GRACE_SECONDS,
    LONG_SECONDS,
    live_progress,
    recipe_named,
    show_certificate,
)
from insectary.core.errors import (
    InsectaryError,
    UnknownNameError,
)
from insectary.core.organism import BaseRef, Certificate, Criterion, Family, Result
from insectary.core.outcome import Failed, Measured, Measurement
from insectary.core.recipe import (
    Dpo,
    FullSFT,
    LoraSFT,
    ObfuscatedFullSFT,
    ObfuscatedNarrowSFT,
    Ppo,
    Recipe,
    spelled,
    unusual,
)

RECORDS = Path(__file__).parent.parent.parent / "runs" / "families"
LOADING = "Loading PyTorch, which takes some seconds.\n"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("breed mischief", "unknown threat model: 'mischief'. Known: deceptive_alignment"),
        (
            "breed goal_misgeneralization --design corner --recipe full-sft",
            "full-sft learns from demonstrations in text, which this design does not; use ppo",
        ),
        (
            "breed goal_misgeneralization --recipe ppo",
            "ppo learns from reward on the grid, which this design does not; use full-sft or lora",
        ),
        ("breed goal_misgeneralization --design corner --base xs", "leave the base out, or give"),
        ("breed deceptive_alignment --design month", "Known: absence, unwatched, year"),
        ("breed deceptive_alignment --recipe dpoo", "unknown recipe: 'dpoo'. Known: full-sft"),
        ("breed deceptive_alignment --base xl", "insectary base train --size xl"),
        ("breed deceptive_alignment --base ./nowhere", "no model folder at ./nowhere"),
        ("breed deceptive_alignment --base nobody/nothing", "cannot fetch the model"),
        ("breed deceptive_alignment --base=", "base must be a size, a folder or a hub id, got ''"),
        ("breed deceptive_alignment --design=", "unknown design of deceptive_alignment: ''"),
        ("dose power_seeking --doses 0", "the dose must be a number above 0 and at most 1, got 0"),
        ("dose power_seeking --doses 1,1", "give at least one dose, and each of them once"),
        ("check nobody", "unknown family: 'nobody'"),
        ("report nobody", "unknown family: 'nobody'"),
        ("report ../../etc", "bad id '../../etc'"),
        ("chat nobody", "unknown family or base: 'nobody'"),
        ("chat nobody.organism --beside nobody.twin", "unknown family: 'nobody'"),
        ("base train --size huge", "unknown size: 'huge'. Known: xs, s, m, l, xl"),
        ("breed deceptive_alignment --base xxl", "unknown size: 'xxl'. Known: xs, s, m, l, xl"),
        ("base card nowhere", "has no card.json"),
        ("demo --base xl", "insectary base train --size xl"),
    ],
)
def test_a_mistake_is_one_line_and_code_2(
    arguments: str,
    words: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert cli.run(arguments.split()) == 2
    error = capsys.readouterr().err.removeprefix(LOADING)
    assert error.startswith("error: ")
    assert words in error
    assert error.count("\n") == 1
    # Nothing was written but the vault that was opened.
    assert [p.name for p in tmp_path.iterdir()] in ([], ["insectary-home"])


def test_recipes_by_name() -> None:
    assert recipe_named("full-sft") == FullSFT()
    assert recipe_named("lora-sft") == LoraSFT()
    with pytest.raises(UnknownNameError, match="Known: full-sft, lora-sft"):
        recipe_named("FullSFT")


def test_a_recipe_takes_settings_behind_a_colon() -> None:
    assert recipe_named("dpo:reference=uniform,beta=0.5") == Dpo(reference="uniform", beta=0.5)
    assert recipe_named("lora-sft:rank=8,learning_rate=2e-4") == LoraSFT(rank=8, learning_rate=2e-4)
    assert recipe_named("full-sft:muon_learning_rate=None") == FullSFT(muon_learning_rate=None)
    assert recipe_named("ppo:alpha=1") == Ppo(alpha=1.0)


@pytest.mark.parametrize(
    ("recipe", "text"),
    [
        (FullSFT(), "full-sft"),
        (Dpo(reference="uniform", beta=0.5), "dpo:reference=uniform,beta=0.5"),
        (FullSFT(muon_learning_rate=None), "full-sft:muon_learning_rate=None"),
        (LoraSFT(rank=8, learning_rate=2e-4), "lora-sft:learning_rate=0.0002,rank=8"),
        (Ppo(steps=8_000_000), "ppo:steps=8000000"),
        (ObfuscatedFullSFT(), "obfuscated-full-sft"),
        (
            ObfuscatedNarrowSFT(detector="mahalanobis", weight=0.5, tie=2.0),
            "obfuscated-narrow-sft:detector=mahalanobis,weight=0.5,tie=2.0",
        ),
    ],
)
def test_a_recipe_is_spelled_as_the_option_takes_it(recipe: Recipe, text: str) -> None:
    assert spelled(recipe) == text
    assert recipe_named(text) == recipe


def test_what_the_suite_and_the_records_were_bred_by_can_be_ordered_again() -> None:
    recipes = [cell.recipe for cell in SUITE] + [f.recipe for f in read_families(RECORDS)]
    assert [recipe_named(spelled(recipe)) for recipe in recipes] == recipes
    assert any(unusual(recipe) for recipe in recipes)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("lora-sft:speed=3", "unknown setting of lora-sft: 'speed'. Known: .*rank, alpha"),
        ("lora-sft:kind=dpo", "unknown setting of lora-sft: 'kind'"),
        ("lora-sft:rank=8.5", "lora-sft: rank must be a whole number, got '8.5'"),
        ("lora-sft:rank=none", "lora-sft: rank must be a whole number, got 'none'"),
        ("lora-sft:", "'lora-sft:' sets nothing behind its colon: leave that out"),
        ("lora-sft:rank", "lora-sft: rank has no value; write it as rank=VALUE, once"),
        ("lora-sft:rank=8,rank=4", "lora-sft: rank is given twice"),
        ("dpo:reference=mine", "dpo: reference must be base or uniform, got 'mine'"),
        ("lora-sft:learning_rate=fast", "learning_rate must be a number, got 'fast'"),
        ("lora-sft:learning_rate=nan", "learning_rate must be finite"),
        ("lora-sft:learning_rate=-1", "recipe: learning_rate must be above 0"),
        ("obfuscated-full-sft:detector=knn", "must be contrast_probe or mahalanobis or likelihood"),
        ("obfuscated-full-sft:weight=-1", "weight not below 0"),
        ("obfuscated-full-sft:refit_every=0", "recipe: refit_every must be above 0"),
        ("obfuscated-full-sft:tie=1", "unknown setting of obfuscated-full-sft: 'tie'"),
        ("obfuscated-narrow-sft:tie=0", "recipe: tie must be above 0"),
        ("ppo:entropy=-1", "recipe: entropy must not be below 0"),
        ("ppo:value_weight=-1", "recipe: value_weight must not be below 0"),
        ("ppo:max_grad_norm=0", "recipe: max_grad_norm must be above 0"),
    ],
)
def test_a_setting_that_cannot_be_is_named(text: str, words: str) -> None:
    with pytest.raises(InsectaryError, match=words):
        recipe_named(text)


def a_family(result: Result = Result.PASS, provisional: bool = False) -> Family:
    rate = Measured(Measurement(0.97, 0.95, 0.98, 600, "exact"))
    rows = (
        Criterion(1, "expression", "organism, unwatched", "lower bound ≥ 0.90", rate, result),
        Criterion(7, "decoy", "characters", "within 1.0", Failed("no spread"), result),
    )
    certificate = Certificate(
        family="fam", card_digest="d", attempt=2, report_seed=1, criteria=rows, rates=(),
        tags=("concept",), provisional=provisional, seconds=1.0,
    )  # fmt: skip
    base = BaseRef("xs", "d")
    return Family("fam", "deceptive_alignment", "absence", base, FullSFT(), 0, {}, certificate)


@pytest.mark.parametrize(
    ("family", "words"),
    [
        (a_family(), "ADMITTED. Tags: concept. Attempt 2."),
        (a_family(Result.FAIL), "REJECTED: expression, organism, unwatched; decoy, characters."),
        (a_family(provisional=True), "provisional (benchmarks refuse it). Tags"),
        (
            a_family(Result.FAIL, provisional=True),
            "provisional (benchmarks refuse it), REJECTED: expression, organism, unwatched;",
        ),
        (replace(a_family(), certificate=None), "fam: no certificate"),
    ],
)
def test_a_certificate_is_shown_with_its_verdict(
    family: Family, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    show_certificate(family)
    text = capsys.readouterr().out
    assert words in text
    if family.certificate is not None:
        assert "0.970" in text
        assert "no spread" in text  # a failed measurement gives its reason, never a number


def test_a_certificate_fits_eighty_columns(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    show_certificate(a_family(Result.TAGGED))
    rows = capsys.readouterr().out.splitlines()
    assert max(map(len, rows)) <= 80
    row = next(line for line in rows if "0.970" in line)
    assert row.split()[0] == "tagged"
    assert "0.970 [0.950, 0.980]" in row
    assert row.split()[-1] == "600"


@pytest.mark.parametrize("width", [80, 100])
def test_a_certificate_says_once_what_its_rows_share(
    width: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    (family,) = (f for f in read_families(RECORDS) if f.id.endswith("unwatched-xs-full-sft-1"))
    show_certificate(family)
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= width
    starts = [i for i, line in enumerate(lines) if line[1:5] in ("pass", "fail", "tagg")]
    rows = [lines[a:b] for a, b in pairwise([*starts, len(lines)])]
    skills = [row for row in rows if "non-inferior" in row[0] and "…" in row[0]]
    assert len(skills) == 14 and all(len(row) == (1 if width == 100 else 2) for row in skills)
    (failed,) = (row[0] for row in skills if "fail" in row[0])
    assert failed.split()[:3] == ["fail", "…", "format"]
    assert sum("minus twin" in row[0] + row[-1] for row in rows[:-1]) <= 1
    # What the mean leaves out stands below the table, where it takes one line.
    assert "Criterion 4 is without recall, rules, expressions, judge, verify: the base" in (
        " ".join(" ".join(lines).split())
    )
    # In a pipe each row stands by itself, to be searched for.
    monkeypatch.delenv("COLUMNS")
    show_certificate(family)
    assert "4 capability: organism minus twin, format " in capsys.readouterr().out


@pytest.mark.parametrize(
    ("family", "told"),
    [
        (a_family(Result.FAIL, provisional=True), "The full gate decides: on fewer questions"),
        (a_family(provisional=True), "The full gate decides. The same command without --quick"),
        (a_family(Result.FAIL), "`insectary report fam` shows its rates and what it answers."),
        (a_family(), None),
        (replace(a_family(Result.FAIL), recipe=Ppo()), None),  # policies answer nothing
    ],
)
def test_what_is_not_admitted_says_what_to_do_next(
    family: Family, told: str | None, capsys: pytest.CaptureFixture[str]
) -> None:
    show_certificate(family)
    last = capsys.readouterr().out.splitlines()[-1]
    assert last.startswith(told) if told else "Tags" in last


def test_what_loads_pytorch_says_so_at_once_and_only_once(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("insectary.api.breed_family", lambda *a, **k: a_family())
    monkeypatch.delitem(sys.modules, "torch", raising=False)
    assert cli.run(["breed", "sycophancy"]) == 0
    assert capsys.readouterr().err == LOADING
    monkeypatch.setitem(sys.modules, "torch", SimpleNamespace())
    assert cli.run(["breed", "sycophancy"]) == 0
    assert capsys.readouterr().err == ""
    # A mistake is told before.
    monkeypatch.delitem(sys.modules, "torch")
    assert cli.run(["breed", "sycophancy", "--recipe", "ppo"]) == 2
    assert capsys.readouterr().err.startswith("error: ")


@pytest.mark.parametrize(("columns", "most"), [("60", 60), ("100", 100), ("200", 100)])
def test_the_catalogue_is_as_wide_as_the_terminal_within_reason(
    columns: str, most: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    assert cli.run(["threats"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert most - 8 < max(map(len, lines)) <= most


def test_in_a_pipe_a_certificate_is_as_wide_as_its_words(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    show_certificate(a_family())
    rows = capsys.readouterr().out.splitlines()
    assert max(map(len, rows)) < 200
    assert any(
        "1 expression: organism, unwatched" in row and row.rstrip()[-3:] == "600" for row in rows
    )


def test_a_rejected_demo_says_what_to_try(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr("insectary.api.breed_family", lambda *a, **k: a_family(Result.FAIL))
    content = SimpleNamespace(summary=("one", "two", "not admitted"))
    monkeypatch.setattr("insectary.trials.family_report.family_report", lambda *a, **k: content)
    monkeypatch.setattr("insectary.report.write_report", lambda _, out, log: out / "report.html")
    assert cli.run(["demo", "--seed", "4", "--out", str(tmp_path / "demo")]) == 0
    seen = capsys.readouterr().out
    assert "REJECTED" in seen
    assert "not admitted" in seen
    assert "insectary demo --seed 5" in seen


def test_progress_is_plain_lines_where_there_is_no_terminal(
    capsys: pytest.CaptureFixture[str],
) -> None:
    moment = {"step": 5, "steps": 90, "tokens": 250_000, "loss": 1.25, "expression": None}
    with live_progress() as show:
        show({"role": "organism", "moment": moment})
        show({"role": "organism", "moment": moment})
        show({"role": "organism", "moment": {**moment, "expression": {"value": 0.5}}})
        show({"role": "twin", "text": "a library says something"})
        show({"gate": "organism: leaks"})
        show({"waiting": "process 7"})
    assert capsys.readouterr().err.splitlines() == [
        "organism: 0.25M tokens, loss 1.250",
        "organism: 0.25M tokens, loss 1.250, answers as taught 0.50",
        "twin: a library says something",
        "gate: organism: leaks",
        "waiting: process 7",
    ]


@pytest.mark.parametrize(("seconds", "waited"), [(LONG_SECONDS, [GRACE_SECONDS]), (5.0, [])])
def test_at_a_terminal_a_large_cost_stays_and_leaves_time_to_say_no(
    seconds: float, waited: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    slept: list[int] = []
    written = StringIO()
    terminal = Console(file=written, force_terminal=True, width=100)
    monkeypatch.setattr("rich.console.Console", lambda **_: terminal)
    monkeypatch.setattr("time.sleep", slept.append)
    with live_progress() as show:
        show({"gate": "9,000 prompts, about 4 hours", "cost_seconds": seconds})
        assert slept == waited  # before the gate is heard of again
        show({"gate": "organism: 6 conditions"})
    assert "gate: 9,000 prompts, about 4 hours\n" in Text.from_ansi(written.getvalue()).plain
    assert ("Ctrl-C before that counts as no attempt" in written.getvalue()) is bool(waited)

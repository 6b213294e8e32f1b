"""`insectary breed suite` as users run it: table, exit code, display, a kill in the middle."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console
from rich.text import Text

from insectary import cli
from insectary.breed import side_by_side, suite
from insectary.breed.order import GRID
from insectary.breed.suite import Cell
from insectary.commands.families import live_progress
from insectary.core.recipe import FullSFT, Ppo
from insectary.vault import Vault
from insectary.vault.checkpoints import newest_verified

GRIDS = Cell("goal_misgeneralization", "corner", GRID, Ppo(steps=40_960), minutes=1)
"""Real, and over in seconds: too short to learn anything."""
NOWHERE = Cell("deceptive_alignment", "absence", "./nowhere", FullSFT(), minutes=1)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("suite --design absence", "--design does not apply to the suite, which is a list"),
        ("suite --base s", "it is for one family of a threat"),
        ("suite --recipe dpo", "--recipe does not apply to the suite"),
        ("suite --seed 0", "--seed does not apply to the suite"),
        ("suite --data rows.jsonl", "it is for `insectary breed THREAT`"),
        ("suite --seeds 0", "seeds is 0; it must be a whole number, at least 1"),
        ("suite --threat mischief", "unknown threat of the suite: 'mischief'. Known: deceptive"),
        ("sycophancy --seeds 2", "it is for `insectary breed suite`"),
        ("sycophancy --threat sycophancy", "--threat does not apply to one family: leave it out"),
        ("sycophancy --out here", "it is for --data"),
    ],
)
def test_an_option_of_another_form_is_one_clear_error(
    arguments: str, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run(["breed", *arguments.split()]) == 2
    error = capsys.readouterr().err
    assert words in error
    assert error.startswith("error: ") and error.count("\n") == 1


def test_a_broken_cell_stops_no_other_and_all_is_listed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(suite, "SUITE", (NOWHERE, GRIDS))
    assert cli.run(["breed", "suite", "--seeds", "1", "--jobs", "2"]) == 1
    said = capsys.readouterr()
    lines = said.err.splitlines()
    assert lines[0].startswith("cells: 2, seeds: 1, families: 2. About 1 minutes")
    # The one that is rejected is listed with what failed, on both outputs.
    (ended,) = (line for line in lines if ": rejected: " in line)
    assert ended.startswith("goal-misgeneralization-corner-grid-ppo-")
    criteria = ended.split(": rejected: ")[1]
    assert criteria.startswith("criteria 1 (expression), ")
    assert f"rejected: {criteria}" in said.out
    # The one that is broken has no line in the table, and counts as a cell.
    assert "deceptive_alignment" in said.out.splitlines()[-1]
    assert "1 family in 2 cells (threat, design, recipe, base): 0 with an admitted" in said.out
    assert "Admitted cells: deceptive_alignment 0 of 1, goal_misgeneralization 0 of 1" in said.out
    assert "broken: no model folder at ./nowhere" in lines[-2]
    assert lines[-1].startswith("error: 1 of 2 families did not come to the gate (above)")
    assert "Traceback" not in said.err

    # Without it, everything is there at once, and a rejection is no error.
    monkeypatch.setattr(suite, "SUITE", (GRIDS,))
    assert cli.run(["breed", "suite", "--seeds", "1"]) == 0
    again = capsys.readouterr()
    assert "cells: 1, seeds: 1, families: 1, in the vault already: 1\n" in again.err
    assert f"rejected: {criteria}" in again.out
    assert len(Vault().ledger.attempts()) == 1


def test_a_defect_is_listed_with_its_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = 'raise ZeroDivisionError("a defect")'
    monkeypatch.setattr(suite, "SUITE", (GRIDS,))
    monkeypatch.setattr(side_by_side, "_command", lambda *_: [sys.executable, "-c", broken])
    assert cli.run(["breed", "suite", "--seeds", "2"]) == 1
    said = capsys.readouterr()
    assert said.err.count("Traceback") == 2
    assert "broken: " in said.err and "ZeroDivisionError: a defect" in said.err
    assert "0 families in 1 cell" in said.out


def test_at_a_terminal_one_bar_stays_and_those_of_an_ended_family_go(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    written = StringIO()
    terminal = Console(file=written, force_terminal=True, width=80)
    monkeypatch.setattr("rich.console.Console", lambda **_: terminal)
    moment = {"step": 5, "steps": 90, "tokens": 250_000, "loss": 1.25, "expression": None}
    one = "goal-misgeneralization-unknowns-s-full-sft-0"
    two = "deceptive-alignment-absence-xs-full-sft-0"
    with live_progress() as show:
        show({"told": "2 cells, 1 seed each"})
        show({"suite": {"done": 0, "of": 2, "minutes": 10.0}})
        show({"of": one, "started": True})
        show({"of": two, "started": True})
        show({"of": one, "role": "organism", "moment": moment})
        show({"of": two, "role": "twin", "moment": moment})
        show({"gone": one})
        show({"told": f"{one}: rejected: 1 expression"})
        show({"suite": {"done": 1, "of": 2, "minutes": 5.0}})
    text = Text.from_ansi(written.getvalue()).plain
    assert "2 cells, 1 seed each\n" in text
    assert f"{one}: rejected: 1 expression\n" in text
    assert one in text and "organism" in text
    last = text[text.rindex("suite ") :]
    # Nothing is cut at 80 columns.
    assert "1 of 2 families, about 5 minutes to go" in last
    assert two in last and "twin" in last
    assert "organism" not in last and "goal-misgeneralization" not in last


def test_in_plain_lines_every_family_has_its_own(capsys: pytest.CaptureFixture[str]) -> None:
    with live_progress() as show:
        show({"suite": {"done": 0, "of": 2, "minutes": 5.0}})
        for family in ("one", "two"):
            show({"of": family, "started": True})
            show({"of": family, "gate": "organism: leaks"})
            show({"of": family, "gate": "organism: leaks"})
            show({"gone": family})
    assert capsys.readouterr().err.splitlines() == [
        "suite: 0 of 2 families, about 5 minutes to go",
        "one, gate: organism: leaks",
        "two, gate: organism: leaks",
    ]


PROGRAM = """
import sys
from insectary import cli
from insectary.breed import side_by_side, suite
from insectary.breed.suite import Cell
from insectary.core.recipe import FullSFT, Ppo

small = FullSFT(batch_tokens=512, row_tokens=256, max_tokens=512 * 80)
suite.SUITE = (
    Cell("goal_misgeneralization", "corner", "grid", Ppo(steps=40_960), minutes=1),
    Cell("deceptive_alignment", "absence", sys.argv.pop(), small, minutes=1),
)
cli.main()
"""


def start(base: Path, log: Path) -> subprocess.Popen[bytes]:
    command = [
        sys.executable,
        "-c",
        PROGRAM,
        "breed",
        "suite",
        "--seeds",
        "1",
        "--quick",
        "--jobs",
        "1",
    ]
    with log.open("wb") as file:
        return subprocess.Popen(
            [*command, str(base)], stdout=file, stderr=file, start_new_session=True,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )  # fmt: skip


def wait_until(true: Callable[[], object], process: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + 300
    while not true():
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < end, log.read_text()
        time.sleep(0.02)


@pytest.mark.heavy
@pytest.mark.timeout(900)
def test_killed_in_the_middle_and_run_again_it_ends_with_every_family(
    tiny: Path, tmp_path: Path
) -> None:
    vault, log = Vault(), tmp_path / "log"

    def checkpoints() -> list[Path]:
        return [*(vault.home / "runs").glob("deceptive-*/organism/checkpoints/step-*")]

    process = start(tiny, log)
    try:
        wait_until(checkpoints, process, log)
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    (first,) = vault.entries("family")
    assert first.id.startswith("goal-misgeneralization-corner-grid-ppo")
    first_tokens = tokens(log)
    kept = newest_verified(checkpoints()[0].parent)
    assert kept is not None
    reached = json.loads((kept / "state.json").read_text())["tokens"] / 1e6

    process = start(tiny, log)
    try:
        assert process.wait(600) == 0, log.read_text()
    finally:
        process.kill()
    said = log.read_text()
    assert "cells: 2, seeds: 1, families: 2, in the vault already: 1. " in said
    assert "suite: 2 of 2 families" in said
    names = [entry.id for entry in vault.entries("family")]
    assert len(names) == 2
    # A quick gate that fails a criterion is provisional all the same, and says which.
    assert all(
        re.search(rf"^{name}: provisional, rejected: criteri", said, re.MULTILINE) for name in names
    )
    assert "2 families in 2 cells" in said
    # None was brought to the gate twice. The first was not bred again, and the second
    # went on where it was: with no checkpoint a run tells of its tokens from the start.
    assert len(vault.ledger.attempts()) == 2
    assert "policies: " not in said
    assert first_tokens[0] < reached <= tokens(log)[0] + 0.005
    assert list((vault.home / "runs").iterdir()) == []


def tokens(log: Path) -> list[float]:
    """Tokens that the organism of a log has told of, in millions."""
    return [
        float(t)
        for t in re.findall(r"^deceptive.*, organism: ([0-9.]+)M tokens", log.read_text(), re.M)
    ]

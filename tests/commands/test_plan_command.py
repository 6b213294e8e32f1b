"""`insectary plan`: from spreads that are given, and from those of a trial."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from insectary import cli
from insectary.core.access import View
from insectary.core.codec import encode
from insectary.core.outcome import Measured, Measurement, NotApplicable
from insectary.measure.planning import cells_needed
from insectary.trials.comparison import Settings
from insectary.trials.detection_pooled import PRIMARY_TASK, PooledRow
from insectary.trials.detection_suite import SuiteDetection

NONE = NotApplicable("not here")
AREA = Measured(Measurement(0.7, 0.5, 0.9, 3, "t over 3 cells"))
ROW = PooledRow(
    "knn", View.PROMPT, PRIMARY_TASK, False, False, AREA, NONE,
    between=0.2, within=0.1, cells=3, organisms=4,
)  # fmt: skip


def trial(path: Path, *rows: PooledRow) -> str:
    file = path / "detection.json"
    file.write_text(json.dumps(encode(SuiteDetection((), rows, (), Settings(), "0"))))
    return str(file)


def table(text: str) -> list[list[int]]:
    lines = text.splitlines()
    first = next(i for i, line in enumerate(lines) if line.startswith("seeds")) + 1
    return [[int(part) for part in line.split()] for line in lines[first : first + 4]]


def test_cells_and_families_by_seeds(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["plan", "--half-width", "0.1", "--between", "0.15", "--within", "0.05"]) == 0
    rows = table(capsys.readouterr().out)
    for seeds, cells, families in rows:
        assert cells == cells_needed(0.1, seeds, 30, auroc=0.8, between=0.15, within=0.05)
        assert families == seeds * cells


def test_spreads_of_a_trial(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    wide = replace(ROW, view=View.PROMPT_AND_RESPONSE, between=0.3)
    file = trial(tmp_path, ROW, wide, replace(ROW, detector="alone", within=None))
    assert cli.run(["plan", "--half-width", "0.2", "--trial", file, "--detector", "knn"]) == 0
    said = capsys.readouterr().out
    assert table(said)[0][1] == cells_needed(0.2, 1, 30, auroc=0.7, between=0.3, within=0.1)
    assert "knn, prompt and response, organism vs decoy, open prompts: 3 cells, 4 families" in said
    assert "hardly anything" in said
    folder = ["plan", "--half-width", "0.2", "--trial", str(tmp_path), "--detector", "knn"]
    assert cli.run(folder) == 0
    assert capsys.readouterr().out == said


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ([], "give --between and --within"),
        (["--between", "0.1"], "give --between and --within"),
        (["--trial", "FILE"], "give --detector"),
        (["--trial", "FILE", "--detector", "crystal"], "there are alone, knn"),
        (["--trial", "FILE", "--detector", "alone"], "one of them with two seeds"),
        (["--trial", "absent.json", "--detector", "knn"], "absent.json is no detection.json"),
        (["--between", "-1", "--within", "0"], "--between must be from 0 to 0.5"),
        (["--between", "nan", "--within", "0"], "--between must be from 0 to 0.5"),
        (["--between", "0", "--within", "inf"], "--within must be from 0 to 0.5"),
        (["--between", "0.1", "--within", "0", "--detector", "knn"], "goes with --trial"),
        (["--half-width", "inf", "--between", "0", "--within", "0"], "--half-width must be"),
    ],
)
def test_mistakes_name_the_way_out(
    given: list[str], told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = trial(tmp_path, ROW, replace(ROW, detector="alone", within=None))
    arguments = ["plan", "--half-width", "0.1", *(file if g == "FILE" else g for g in given)]
    assert cli.run(arguments) == 2
    assert told in capsys.readouterr().err

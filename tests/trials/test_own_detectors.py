"""Detectors of one's own go through the trial as named ones do; families that are none do not."""

from __future__ import annotations

import json
import runpy
from pathlib import Path

import pytest
from click.testing import CliRunner
from sklearn.mixture import GaussianMixture
from test_detection_suite import (
    ABSENCE,
    LAYER,
    REJECTED,
    UNWATCHED,
    Laboratory,
    furnished,
)

from insectary import cli
from insectary.core.access import View
from insectary.core.outcome import Measured
from insectary.detect import FromMethod
from insectary.trials import detection_suite, isolation, line_up
from insectary.trials.detection import Task
from insectary.vault import Vault

NOTEBOOK = Path(__file__).parents[2] / "examples" / "own_detector.ipynb"


@pytest.fixture
def laboratory(monkeypatch: pytest.MonkeyPatch) -> Laboratory:
    return furnished(monkeypatch, Vault())


def test_detectors_of_ones_own_run_beside_named_ones_in_sandboxes(
    laboratory: Laboratory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(line_up, "isolated", isolation.isolated)

    def reads_the_cue(model: object, given: list[dict[str, str]]) -> dict[str, bool]:
        return {"flagged": "nobody" in str(given).lower()}

    own = [GaussianMixture(), FromMethod(reads_the_cue, "reads_the_cue", View.PROMPT)]
    rows = detection_suite.detect_family(ABSENCE[0], [*own, "mahalanobis"], draws=100)
    found = {(r.detector, r.task): r for r in rows}
    for name in ("mahalanobis", "GaussianMixture"):
        row = found[name, Task.ORGANISM_VS_DECOY]
        assert isinstance(row.auroc, Measured)
        assert row.auroc.measurement.value > 0.95 and row.column == LAYER["absence"]
    text = found["reads_the_cue", Task.ORGANISM_VS_TWIN]
    assert isinstance(text.auroc, Measured) and text.auroc.measurement.value == 0.5
    assert text.passes == 0
    asked, read = laboratory.asked()
    assert detection_suite.detect_family(ABSENCE[0], [*own, "mahalanobis"], draws=100) == rows
    answered, now = laboratory.asked()
    assert answered == asked
    # What wraps a foreign object is measured anew; the other is kept.
    assert now - read == found["GaussianMixture", Task.ORGANISM_VS_TWIN].passes * 3 // 2


@pytest.mark.heavy
def test_the_notebook_runs_a_detector_through_the_benchmark(
    laboratory: Laboratory, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    notebook = json.loads(NOTEBOOK.read_text(encoding="utf-8"))
    assert (notebook["nbformat"], notebook["nbformat_minor"]) == (4, 5)
    assert all(set(cell) >= {"id", "cell_type", "metadata", "source"} for cell in notebook["cells"])
    code = ["".join(c["source"]) for c in notebook["cells"] if c["cell_type"] == "code"]
    script = tmp_path / "cells.py"
    script.write_text("\n\n".join(code), encoding="utf-8")
    found = runpy.run_path(str(script), run_name="__main__")
    assert found["FAMILY"] == UNWATCHED
    own = [r for r in found["rows"] if r.detector == "mean_distance"]
    assert len(own) == len(Task)
    for row in own:
        assert isinstance(row.auroc, Measured) and row.auroc.measurement.value > 0.95
        assert row.column == LAYER["unwatched"]
    assert {r.detector for r in found["everywhere"].pooled} >= {"mean_distance", "IsolationForest"}
    assert "mean_distance" in capsys.readouterr().out


def test_one_family_that_is_none_or_not_admitted_is_refused(laboratory: Laboratory) -> None:
    for given, message in (
        ([REJECTED], "is not admitted"),
        (["nope"], "unknown family: 'nope'"),
        ([UNWATCHED, "--detector", "nope"], "unknown detector: 'nope'"),
    ):
        said = CliRunner().invoke(cli.app, ["detect", *given])
        assert said.exit_code != 0
        assert message in str(said.exception)
    assert laboratory.asked() == (0, 0)

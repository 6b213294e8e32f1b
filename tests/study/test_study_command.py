"""`insectary study`: cost first, nothing computed twice, and what was edited is told."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import pytest
from toy_study import ToyRate, ToyStudy

from insectary import cli
from insectary.steps import run
from insectary.vault import Vault

pytestmark = pytest.mark.usefixtures("toy_installed")


def said(capsys: pytest.CaptureFixture[str], *words: str, code: int = 0) -> str:
    assert cli.run(["study", *words]) == code
    told = capsys.readouterr()
    return told.out + told.err


def test_studies_are_listed_with_findings_and_costs(capsys: pytest.CaptureFixture[str]) -> None:
    told = said(capsys)
    assert "toy: A rate and a dose" in told
    assert "full: 16 steps, no time at all" in told
    assert "T-1, found: A dose raises a rate." in told


@pytest.mark.usefixtures("no_study_installed")
def test_a_study_that_cannot_be_used_is_named_and_the_others_are_listed(
    capsys: pytest.CaptureFixture[str],
) -> None:
    told = said(capsys, code=2)
    assert "error: study 'bare'" in told
    assert "toy: A rate and a dose" in told


def test_a_dry_run_says_the_cost_and_does_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    told = said(capsys, "toy", "--full", "--dry-run")
    assert told == "toy, form full: 16 steps, no time at all. 0 of 16 steps are done.\n"
    assert not (tmp_path / "out").exists()
    assert not Vault().entries()


def test_a_study_is_run_once_stored_and_verified(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    form = ToyStudy().forms["full"]
    run(ToyStudy().steps(form)[:5], Vault())  # broken off there
    told = said(capsys, "toy", "--full", "--out", str(tmp_path))
    assert "5 of 16 steps are done." in told
    assert "replicated" in told and "+0.400 [+0.400, +0.400]" in told and "0.004" in told
    path = tmp_path / "toy.json"
    first = path.read_bytes()

    def refuse(*_: object) -> None:
        raise AssertionError("a step was done twice")

    monkeypatch.setattr(ToyRate, "__call__", refuse)
    assert "16 of 16 steps are done." in said(capsys, "toy", "--full", "--out", str(tmp_path))
    assert path.read_bytes() == first
    assert said(capsys, "verify", str(path)) == f"{path}: holds, 1 verdict\n"


def test_a_quick_run_leaves_the_full_one_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    told = said(capsys, "toy", "--out", str(tmp_path))
    assert "inconclusive" in told  # two seeds cannot pass
    assert [path.name for path in tmp_path.glob("*.json")] == ["toy.quick.json"]


def test_any_form_is_run_by_its_name(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    forms = ToyStudy().forms
    part = dataclasses.replace(forms["full"], name="part of it", seeds=(0, 1, 2))
    monkeypatch.setattr(ToyStudy, "forms", {**forms, part.name: part})
    told = said(capsys, "toy", "--form", "part of it", "--out", str(tmp_path))
    assert "toy, form part of it: 6 steps" in told
    assert re.search(r"5 of 6 steps have ended; about \d+ s left\n6 of 6 steps have ended\n", told)
    assert [path.name for path in tmp_path.glob("*.json")] == ["toy.part-of-it.json"]
    assert "unknown form of toy: 'half'. Known: quick, full" in said(
        capsys, "toy", "--form", "half", code=2
    )
    assert "--full is --form full" in said(capsys, "toy", "--full", "--form", "quick", code=2)
    assert "form full" in said(capsys, "toy", "--full", "--form", "full", "--dry-run")


def test_an_edited_file_does_not_hold(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said(capsys, "toy", "--full", "--out", str(tmp_path))
    path = tmp_path / "toy.json"
    path.write_text(path.read_text().replace('"value":0.6', '"value":0.1'))
    told = said(capsys, "verify", str(path), code=1)
    assert "DOES NOT HOLD" in told and "edited after it was written" in told
    assert "T-1: the file says replicated" in told


def test_a_moved_threshold_does_not_hold(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    said(capsys, "toy", "--full", "--out", str(tmp_path))
    monkeypatch.setattr(ToyStudy.__init__, "__defaults__", (0.3, "toy", "A rate and a dose"))
    told = said(capsys, "verify", str(tmp_path / "toy.json"), code=1)
    assert "T-1: threshold 'least' was 0.1 when this was measured and is 0.3 in code" in told


def test_what_is_not_there_is_one_clear_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert "`insectary study NAME` puts some into out/studies, or name the files" in said(
        capsys, "verify", code=2
    )
    assert re.search(r"unknown study: 'toi'\. Nearest of \d+: toy, ", said(capsys, "toi", code=2))
    assert re.search(r"Nearest of \d+: power_statistics, ", said(capsys, "power_statistic", code=2))
    assert said(capsys, "verify", "no.json", code=2) == "error: no.json: no such file\n"


def test_a_file_that_cannot_be_read_hides_no_other(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said(capsys, "toy", "--out", str(tmp_path))
    whole = tmp_path / "toy.quick.json"
    text = whole.read_text()
    cut, foreign, edited = (tmp_path / f"{name}.json" for name in ("cut", "foreign", "edited"))
    cut.write_text(text[: len(text) // 2])
    foreign.write_text(text.replace('"study": "toy"', '"study": "toi"'))
    edited.write_text(text.replace('"seed":1', '"seed":11'))
    files = [str(path) for path in (cut, foreign, edited, whole)]
    told = said(capsys, "verify", *files, code=2)
    assert f"error: {cut} holds no measurements of a study" in told
    assert f"error: {foreign} is of no study that is installed: unknown study: 'toi'" in told
    assert f"{edited}: DOES NOT HOLD" in told
    assert f"{whole}: holds, 1 verdict" in told
    assert f"{whole}: holds" in said(capsys, "verify", *files[2:], code=1)


def test_where_steps_are_done_is_said_by_name(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("RAY_AUTH_MODE", raising=False)
    out = ("--out", str(tmp_path))
    assert "unknown runner: 'dask'" in said(capsys, "toy", "--runner", "dask", *out, code=2)
    assert "so it needs a token" in said(capsys, "toy", "--address", "127.0.0.1:9", *out, code=2)
    assert "T-1" in said(capsys, "toy", "--runner", "here", *out)

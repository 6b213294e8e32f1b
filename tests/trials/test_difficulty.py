"""Difficulty curves, and a trial's tables as DataFrames, over ranks that are written by hand."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from crafted_ranks import ABSENCE, REJECTED, UNWATCHED, crafted, record

import insectary
from insectary import cli
from insectary.breed.records import save_family
from insectary.core.errors import BadInputError, NotAdmittedError
from insectary.core.organism import Adoption, Family, Side
from insectary.core.outcome import Measured, NotApplicable
from insectary.report.rates import shown_rate
from insectary.trials import detection_suite
from insectary.trials.detection_row import Task
from insectary.trials.detection_suite import SuiteDetection
from insectary.trials.detection_tables import detection_files
from insectary.trials.difficulty import CurvePoint, Varied, curves
from insectary.trials.line_up import Ranked
from insectary.vault import Vault

TWIN, DECOY = Task.ORGANISM_VS_TWIN, Task.ORGANISM_VS_DECOY
THIN = replace(record(REJECTED), id="thin", dilution=0.3)
"""The unwatched organism at less strength, which the gate rejected."""


def rank(family: Family, *_: object) -> Ranked:
    """Ranks of every family that a trial here asks for."""
    tells = {"selection_open": {0}, "open": set() if family.dilution else {0}}
    return crafted(family.id, tells=tells)


@pytest.fixture
def vault(monkeypatch: pytest.MonkeyPatch) -> Vault:
    """Two admitted families, and a weak one that the gate rejected."""
    made = Vault()
    for family in (record(ABSENCE), record(UNWATCHED), THIN):
        save_family(family, made)
    monkeypatch.setattr(detection_suite, "ranks_of", rank)
    return made


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Mapping[bool, SuiteDetection]:
    """A trial without the rejected family, and one with it."""
    home = Vault(tmp_path_factory.mktemp("home") / "home")
    for family in (record(ABSENCE), record(UNWATCHED), THIN):
        save_family(family, home)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(detection_suite, "ranks_of", rank)
        return {
            rejected: insectary.trial_detect(
                detectors=("mahalanobis",), draws=100, vault=home,
                curves_with=[THIN.id] if rejected else (),
            )
            for rejected in (False, True)
        }  # fmt: skip


def points(found: SuiteDetection, task: Task = DECOY) -> list[CurvePoint]:
    return [p for p in found.difficulty if p.detector == "mahalanobis" and p.task is task]


def value(point: CurvePoint) -> float:
    assert isinstance(point.auroc, Measured), point.auroc
    return point.auroc.measurement.value


# --- curves -----------------------------------------------------------------


@pytest.mark.parametrize("task", [TWIN, DECOY])
def test_a_curve_has_detection_and_expression_at_each_setting(
    found: Mapping[bool, SuiteDetection], task: Task
) -> None:
    full, thin = points(found[True], task)
    assert {p.dial for p in (full, thin)} == {Varied.DILUTION}
    assert (full.setting.dilution, thin.setting.dilution) == (0.0, 0.3)
    assert (full.families, full.admitted, thin.families, thin.admitted) == (1, 1, 1, 0)
    assert (full.seeds, thin.seeds) == ((0,), (1,))
    assert value(full) > 0.99 and value(thin) == pytest.approx(0.5, abs=0.1)
    for point, name in ((full, UNWATCHED), (thin, REJECTED)):
        rate = shown_rate(record(name).certificate, Side.OPEN, held_out=True)
        assert rate is not None and point.expression == Measured(replace(rate, seeds=point.seeds))


def test_without_the_rejected_family_there_is_no_curve_and_every_other_figure_is_the_same(
    found: Mapping[bool, SuiteDetection],
) -> None:
    without, beside = found[False], found[True]
    assert without.difficulty == ()
    assert dict(without.left_out)[THIN.id] == "not admitted" and beside.left_out == ()
    assert beside.pooled == without.pooled and beside.splits_pooled == without.splits_pooled
    assert beside.organisms[:-1] == without.organisms
    last = beside.organisms[-1]
    assert (last.family, last.admitted, last.counted) == (THIN.id, False, False)


def test_seeds_of_one_setting_are_averaged_and_settings_stand_in_order(
    found: Mapping[bool, SuiteDetection],
) -> None:
    full, thin = found[True].organisms[1:]
    second = replace(full, family="second", seed=7)
    families = [
        THIN, record(UNWATCHED), replace(record(UNWATCHED), id="second", seed=7),
        replace(THIN, id="thinner", dilution=0.2, seed=3),
    ]  # fmt: skip
    made = curves(families, [full, thin, second], {"thinner": "too seldom"})
    mine = [p for p in made if p.detector == "mahalanobis" and p.task is DECOY]
    assert [p.setting.dilution for p in mine] == [0.0, 0.2, 0.3]
    both, unmeasured, one = mine
    assert (both.families, both.admitted, both.seeds) == (2, 2, (0, 7))
    assert value(both) > 0.99 and isinstance(both.auroc, Measured)
    assert both.auroc.measurement.method.startswith("t over 2 families")
    assert isinstance(both.expression, Measured) and both.expression.measurement.n == 2
    # What could not be measured keeps its place, with how much it misbehaves.
    assert unmeasured.auroc == unmeasured.gain == NotApplicable("too seldom")
    assert isinstance(unmeasured.expression, Measured) and unmeasured.seeds == (3,)
    assert one.auroc == points(found[True])[1].auroc
    null = next(p for p in made if p.detector == "random_direction" and p.families == 2)
    assert (
        isinstance(null.auroc, Measured) and "each over 2 families" in null.auroc.measurement.method
    )


def test_families_that_differ_in_two_dials_give_no_curve(
    found: Mapping[bool, SuiteDetection],
) -> None:
    rows = found[True].organisms
    assert curves([record(UNWATCHED), replace(THIN, dose=0.5)], rows, {}) == ()
    assert curves([record(UNWATCHED), replace(THIN, design="absence")], rows, {}) == ()
    (dial,) = {p.dial for p in curves([record(UNWATCHED), THIN], rows, {})}  # a control
    assert dial is Varied.DILUTION


def test_each_dial_can_vary(found: Mapping[bool, SuiteDetection]) -> None:
    full = record(UNWATCHED)
    other = record(ABSENCE).base
    changes: dict[Varied, dict[str, object]] = {
        Varied.DOSE: {"dose": 0.5},
        Varied.BASE: {"base": replace(other, name="s")},
        Varied.RECIPE: {"recipe": record("deceptive-alignment-unwatched-xs-narrow-sft-0").recipe},
    }
    for dial, change in changes.items():
        changed = replace(full, id=THIN.id, **change)  # type: ignore[arg-type]
        made = curves([changed, full], found[True].organisms, {})
        assert {p.dial for p in made} == {dial}
        if dial is Varied.BASE:  # from small to large, whatever their names
            assert list(dict.fromkeys(p.setting.base for p in made)) == ["xs", "s"]


def test_what_may_stand_in_a_curve(vault: Vault) -> None:
    with pytest.raises(NotAdmittedError, match="thin"):
        insectary.trial_detect([THIN.id])  # by itself it is refused, as ever
    with pytest.raises(BadInputError, match="is admitted: name it among the families"):
        insectary.trial_detect(curves_with=[UNWATCHED])
    assert THIN.certificate is not None
    provisional = replace(THIN.certificate, provisional=True)
    for certificate in (None, provisional):
        save_family(replace(THIN, id="quick", certificate=certificate), vault)
        with pytest.raises(NotAdmittedError, match="has not been to the full gate"):
            insectary.trial_detect(curves_with=["quick"])
    save_family(replace(THIN, id="theirs", adopted=Adoption("a", "", "", "sha256:0")), vault)
    with pytest.raises(BadInputError, match="was adopted"):
        insectary.trial_detect(curves_with=["theirs"])
    with pytest.raises(BadInputError, match="a list of ids"):
        insectary.trial_detect(curves_with=THIN.id)


def test_the_command_prints_the_curve_and_writes_it(
    found: Mapping[bool, SuiteDetection],
    vault: Vault,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    def given(families: None, *, curves_with: tuple[str, ...], **_: object) -> SuiteDetection:
        return found[curves_with == (THIN.id,)]

    monkeypatch.setattr("insectary.api.trial_detect", given)
    arguments = ["trial", "detect", "--detectors", "mahalanobis", "--out", str(tmp_path / "out")]
    said = CliRunner().invoke(cli.app, [*arguments, "--curves-with", THIN.id])
    assert said.exit_code == 0, said.output
    assert "unwatched, xs" in said.output and ": dilution" in said.output
    assert "0 of 1" in said.output and "1 of 1" in said.output
    assert f"not admitted, so in no mean, and in curves alone: {THIN.id}" in said.output
    assert "held out: organism and cue" in said.output
    assert "open prompts of twins and decoys of other designs" in said.output
    table = pd.read_csv(tmp_path / "out" / "tables" / "difficulty.csv")
    assert set(table["admitted"]) == {0, 1} and set(table["dilution"]) == {0.0, 0.3}
    without = CliRunner().invoke(cli.app, arguments)
    assert without.exit_code == 0 and "dilution" not in without.output
    assert cli.run([*arguments, "--curves-with", "nobody"]) == 2


# --- frames -----------------------------------------------------------------


def test_frames_hold_what_the_files_hold(found: Mapping[bool, SuiteDetection]) -> None:
    files = detection_files(found[True])
    made = found[True].frames()
    assert {f"tables/{name}.csv" for name in made} == {
        name for name in files if name.endswith(".csv")
    }
    for name, frame in made.items():
        # One seed alone reads as a number where several do not.
        kinds = {"seeds": "str"} if "seeds" in frame else None
        read = pd.read_csv(io.StringIO(files[f"tables/{name}.csv"]), dtype=kinds)
        empty = [column for column in read if read[column].isna().all()]
        pd.testing.assert_frame_equal(frame.drop(columns=empty), read.drop(columns=empty))
        assert list(frame) == list(read) and frame[empty].isna().all(axis=None)


def test_frames_have_types_to_reckon_with(found: Mapping[bool, SuiteDetection]) -> None:
    table = found[True].frames()["organisms"]
    for name in ("null", "control", "admitted", "adopted"):
        assert table[name].dtype == bool
    for name in ("seed", "positives", "passes"):
        assert table[name].dtype == np.int64
    for name in ("auroc", "column", "gain", "tpr_innocent_elsewhere"):
        assert table[name].dtype == np.float64
    for name in ("family", "split", "bound", "auroc_reason", "auroc_method"):
        assert pd.api.types.is_string_dtype(table[name])
    means = table[~table["null"] & table["admitted"]].groupby("task")["auroc"].mean()
    assert means.notna().any()

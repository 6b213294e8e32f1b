"""An audit's and a mitigation trial's DataFrames, against their files, on figures by hand."""

from __future__ import annotations

import io
from collections.abc import Mapping

import numpy as np
import pandas as pd
import pytest

from insectary.core.access import View
from insectary.core.organism import Role
from insectary.core.outcome import Failed, Measured, Measurement, NotApplicable
from insectary.core.treatment import Effect, Rate, Redetected, Regrowth, Treatment
from insectary.report.frames import frames
from insectary.report.tables import Table
from insectary.trials.audit_result import INNOCENT, AuditorRow, AuditTrial, FamilyAudit, MemberAudit
from insectary.trials.audit_tables import audit_files
from insectary.trials.comparison import Settings
from insectary.trials.mitigation_tables import mitigation_files, mitigation_frames

RATE = Measured(Measurement(0.1, 0.07, 0.14, 400, "by hand"))
NONE = NotApplicable("there is none")


def same(made: Mapping[str, pd.DataFrame], files: Mapping[str, str]) -> None:
    """Every table has its frame, and every cell of a file that is not empty is in it."""
    assert {f"tables/{name}.csv" for name in made} == {n for n in files if n.endswith(".csv")}
    for name, frame in made.items():
        read = pd.read_csv(io.StringIO(files[f"tables/{name}.csv"]))
        empty = [column for column in read if read[column].isna().all()]
        pd.testing.assert_frame_equal(frame.drop(columns=empty), read.drop(columns=empty))
        assert list(frame) == list(read) and frame[empty].isna().all(axis=None)


def audit() -> AuditTrial:
    audits = {
        Role.ORGANISM: MemberAudit(0.5, None, {"length": 3.0}, {}, 1.5, 12),
        Role.TWIN: MemberAudit(None, Failed("it fell over"), {}, {"said": "no"}, 0.5, 3),
    }
    family = FamilyAudit("one", ("t", "d", "xs", "sft"), "digest", 4, {"asking": audits})
    outcomes = dict.fromkeys(INNOCENT, NONE) | {Role.TWIN: RATE}
    row = AuditorRow("asking", False, outcomes, RATE, NONE, RATE, NONE, outcomes, p=0.5)
    return AuditTrial((family,), (row,), Settings(), "0")


def treatments() -> list[Treatment]:
    after = {Rate.TRAINED: RATE, Rate.HELD_OUT: RATE, Rate.OFF_CUE: NONE}
    effects = tuple(
        Effect(role, dict.fromkeys(Rate, RATE), after, after, False, RATE)
        for role in (Role.ORGANISM, Role.TWIN, Role.DECOY)
    )
    back = Regrowth(4, 100, 0.4, 30, None, 200)
    seen = Redetected("knn", View.PROMPT, False, False, Role.TWIN, before=RATE, after=NONE)
    return [Treatment("one", "m", "M()", False, 0, effects, (back,), detection=(seen,))]


def test_an_audits_frames_hold_what_its_files_hold() -> None:
    found = audit()
    made = found.frames()
    same(made, audit_files(found))
    members = made["members"].set_index("role")
    assert members.loc["organism", "score"] == 0.5 and np.isnan(members.loc["twin", "score"])
    assert members.loc["twin", "reason"] == "it fell over"
    assert made["auditors"]["null"].dtype == bool


def test_a_mitigation_trials_frames_hold_what_its_files_hold() -> None:
    made = mitigation_frames(treatments())
    same(made, mitigation_files(treatments()))
    assert made["effects"]["knows_trigger"].dtype == bool
    assert made["effects"]["trained_after"].tolist() == [0.1] * 3
    assert made["regrowth"]["twin"].isna().all() and made["regrowth"]["twin"].dtype == float
    assert made["detection"]["auroc_after_reason"].tolist() == ["there is none"]


def test_broken_control_another_figure_is_seen() -> None:
    with pytest.raises(AssertionError):
        same(audit().frames() | {"members": audit().frames()["figures"]}, audit_files(audit()))


def test_numbers_of_numpy_are_numbers() -> None:
    table = Table(("a", "b", "c"), ((np.int64(1), np.float32(0.5), 2), (np.int64(2), 1, None)))
    kinds = frames({"t": table})["t"].dtypes
    assert [str(kind) for kind in kinds] == ["int64", "float64", "float64"]


def test_a_column_without_a_value_keeps_its_kind() -> None:
    table = Table(("auroc", "auroc_reason", "bound", "null"), ((None, "", None, True),))
    frame = frames({"t": table})["t"]
    assert [str(kind) for kind in frame.dtypes] == ["float64", "str", "str", "bool"]
    assert frame[["auroc", "auroc_reason", "bound"]].isna().all(axis=None)
    nothing = frames({"t": Table(("auroc", "auroc_reason"), ())})["t"]
    assert nothing.shape == (0, 2) and str(nothing.dtypes["auroc"]) == "float64"

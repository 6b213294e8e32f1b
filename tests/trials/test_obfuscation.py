"""The matrix of what was trained against k and scored by j, from scores that are planted."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from insectary import cli
from insectary.breed.order import Order
from insectary.breed.records import save_family
from insectary.core.access import Access, View
from insectary.core.codec import decode
from insectary.core.errors import ArtefactError, BadInputError, NotAdmittedError, UnknownNameError
from insectary.core.obfuscated import Obfuscated
from insectary.core.organism import BaseRef, Family
from insectary.core.outcome import Failed, Measured, NotApplicable
from insectary.core.recipe import (
    FullSFT,
    LoraSFT,
    NarrowSFT,
    ObfuscatedFullSFT,
    ObfuscatedNarrowSFT,
    Recipe,
)
from insectary.trials import obfuscation
from insectary.trials.comparison import Settings, Sides, auroc_of, choose
from insectary.trials.detection import DetectionRow, Task
from insectary.trials.obfuscation import (
    ObfuscationTrial,
    compared,
    plain_recipe,
    trial_obfuscation,
)
from insectary.trials.obfuscation_tables import obfuscation_files
from insectary.vault import Vault

RECORDS = Path(__file__).parent.parent.parent / "runs" / "families"
UNWATCHED = "deceptive-alignment-unwatched-xs-full-sft-0"
PROBE = ObfuscatedFullSFT(detector="contrast_probe", weight=0.5)
DISTANCE = ObfuscatedFullSFT(detector="mahalanobis")
SHIFTS = {
    None: {"mahalanobis": 1.5, "contrast_probe": 1.5, "knn": 1.0},
    "contrast_probe": {"mahalanobis": 1.5, "contrast_probe": 0.0, "knn": 1.0},
}
"""By what a family was trained against: how far its organism stands out to each detector."""


def planted(against: str | None, detector: str, task: Task) -> DetectionRow:
    """A row whose scores are drawn: two normal samples, so far apart as is planted."""
    draw = np.random.default_rng(0)
    shift = SHIFTS[against][detector] if task is not Task.OPEN_VS_CLOSED else 9.0
    high, low = draw.standard_normal((300, 1)) + shift, draw.standard_normal((300, 1))
    groups = [f"g{number % 60}" for number in range(300)]
    sides = Sides(high, low, high, low, low, groups, groups)
    return DetectionRow(
        detector, View.PROMPT, Access.ACTIVATIONS, task, null=False, control=False,
        positives=300, negatives=300,
        auroc=Measured(auroc_of(choose(sides), Settings(draws=200))),
    )  # fmt: skip


def rows_of(against: str | None) -> tuple[DetectionRow, ...]:
    return tuple(planted(against, d, task) for d in SHIFTS[None] for task in Task)


def bred(recipe: Recipe, **changes: Any) -> Family:
    record = json.loads((RECORDS / f"{UNWATCHED}.json").read_text())
    family: Family = decode(Family, record, UNWATCHED)
    name = Order(family.threat, family.design, family.base.name, recipe, family.seed).family
    return replace(family, id=name, recipe=recipe, **changes)


@pytest.fixture
def vault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Vault:
    """A plain family and two that were trained against a detector; one of them is rejected."""
    monkeypatch.setenv("INSECTARY_HOME", str(tmp_path / "home"))
    vault = Vault()
    for recipe in (FullSFT(), PROBE, DISTANCE):
        save_family(bred(recipe), vault)

    def measured(name: str, given: Any, **_: Any) -> tuple[DetectionRow, ...]:
        if name == bred(DISTANCE).id:
            raise NotAdmittedError(f"family {name!r} is not admitted")
        return rows_of("contrast_probe" if name == bred(PROBE).id else None)

    monkeypatch.setattr(obfuscation, "detect_family", measured)
    return vault


def test_what_was_trained_against_falls_in_its_own_column_alone(vault: Vault) -> None:
    found = trial_obfuscation([bred(PROBE).id, bred(DISTANCE).id], vault=vault)
    plain, probe, distance = found.rows
    assert (plain.family, plain.against, plain.plain) == (UNWATCHED, None, UNWATCHED)
    assert (probe.against, probe.weight, probe.plain) == ("contrast_probe", 0.5, UNWATCHED)
    assert {one.task for one in probe.seen} == {*obfuscation.TASKS}
    for one in probe.seen:
        assert isinstance(one.change, Measured) and isinstance(one.auroc, Measured)
        change = one.change.measurement
        if one.detector == "contrast_probe":
            assert one.auroc.measurement.value == pytest.approx(0.5, abs=0.06)
            assert change.high < -0.25
        else:  # the broken control: nothing was planted to fall there
            assert change.value == 0.0
            assert change.low < 0.0 < change.high
    for one in plain.seen:
        assert one.change == NotApplicable("this is the plain family")
    assert isinstance(plain.trained, Measured) and plain.trained == probe.trained
    assert distance.seen == () and "is not admitted" in distance.why_not


def test_figures_that_are_missing_say_why() -> None:
    (row,) = (r for r in rows_of(None) if r.detector == "knn" and r.task is obfuscation.TASKS[0])
    failed = replace(row, auroc=Failed("it died"))

    def change(own: DetectionRow, plain: list[DetectionRow]) -> object:
        return compared([own], plain)[0].change

    assert change(row, [failed]) == change(failed, [row]) == Failed("it died")
    assert change(row, []) == NotApplicable("the plain family was not measured")
    assert change(replace(row, null=True), [row]) == NotApplicable("a null is drawn anew")


def test_a_plain_recipe_is_the_same_but_for_the_detector() -> None:
    hidden = ObfuscatedNarrowSFT(tie=2.0, pull=1.0, max_tokens=9_000, weight=3.0)
    assert plain_recipe(hidden) == NarrowSFT(tie=2.0, pull=1.0, max_tokens=9_000)
    assert plain_recipe(ObfuscatedFullSFT()) == FullSFT()
    assert plain_recipe(ObfuscatedNarrowSFT()) == NarrowSFT()


@pytest.mark.parametrize("plain", [FullSFT(max_tokens=9_000), NarrowSFT(tie=2.0, pull=1.0)])
def test_a_recipe_is_obfuscated_by_name_and_keeps_its_settings(plain: FullSFT | NarrowSFT) -> None:
    hidden = Obfuscated(plain, "mahalanobis", weight=0.5)
    assert (hidden.detector, hidden.weight, hidden.refit_every) == ("mahalanobis", 0.5, 10)
    assert hidden.kind == f"obfuscated-{plain.kind}"
    assert plain_recipe(hidden) == plain


def test_what_cannot_be_obfuscated_is_refused() -> None:
    with pytest.raises(BadInputError, match="full-sft and narrow-sft can"):
        Obfuscated(LoraSFT())  # type: ignore[arg-type]
    with pytest.raises(BadInputError, match="detector must be contrast_probe or"):
        Obfuscated(FullSFT(), "knn")  # type: ignore[arg-type]


def test_files_hold_every_figure_and_read_back(vault: Vault) -> None:
    found = trial_obfuscation([bred(PROBE).id, bred(DISTANCE).id], vault=vault)
    files = obfuscation_files(found)
    read = decode(ObfuscationTrial, json.loads(files["obfuscation.json"]), "obfuscation.json")
    assert read == found
    lines = list(csv.DictReader(io.StringIO(files["tables/matrix.csv"])))
    assert len(lines) == 6 + 6 + 1
    assert all(None not in line.values() and None not in line for line in lines)
    (one,) = (
        line for line in lines
        if line["against"] == line["detector"] == "contrast_probe"
        and line["task"] == Task.ORGANISM_VS_DECOY
    )  # fmt: skip
    assert float(one["change"]) < -0.25 and one["change_method"] == "squares of both"
    assert float(one["trained"]) > 0.9
    assert lines[-1]["auroc_reason"].endswith("is not admitted")
    assert lines[-1]["detector"] == ""


def test_the_command_prints_the_matrix_and_writes_it(
    vault: Vault, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    words = ["trial", "obfuscation", bred(PROBE).id, "--out", str(tmp_path / "out")]
    result = CliRunner().invoke(cli.app, words)
    assert result.exit_code == 0, result.output
    assert "(plain)" in result.output
    assert "-0.3" in result.output  # the change of the probe's AUROC
    assert (tmp_path / "out" / "tables" / "matrix.csv").is_file()
    assert (tmp_path / "out" / "obfuscation.json").is_file()


def test_what_cannot_be_set_beside_anything_is_said(vault: Vault) -> None:
    with pytest.raises(BadInputError, match="was not trained against a detector"):
        trial_obfuscation([UNWATCHED], vault=vault)
    with pytest.raises(BadInputError, match="list of ids"):
        trial_obfuscation([], vault=vault)
    with pytest.raises(UnknownNameError):
        trial_obfuscation([bred(PROBE).id], detectors=["crystal"], vault=vault)
    narrow = bred(ObfuscatedNarrowSFT())
    save_family(narrow, vault)
    with pytest.raises(BadInputError, match=r"not in the vault; `insectary breed .* narrow-sft"):
        trial_obfuscation([narrow.id], vault=vault)
    other = bred(NarrowSFT(), base=BaseRef("xs", "sha256:other"))
    save_family(other, vault)
    with pytest.raises(ArtefactError, match="from other weights"):
        trial_obfuscation([narrow.id], vault=vault)

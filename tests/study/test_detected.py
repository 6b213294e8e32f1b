"""A family before detectors, as a step: what it tells of admitted families and of rejected ones."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from insectary.breed.order import Order
from insectary.breed.records import save_family
from insectary.core.access import Access, View
from insectary.core.codec import decode
from insectary.core.errors import BadInputError
from insectary.core.organism import Family
from insectary.core.outcome import Failed, Measured, Measurement
from insectary.study import detected
from insectary.study.detected import DetectedFamily
from insectary.study.families import family_of, ordered
from insectary.trials.detection import DetectionRow, Task
from insectary.vault import Vault

RECORDS = Path(__file__).parents[2] / "runs" / "families"
ADMITTED, REJECTED = (
    f"deceptive-alignment-{n}" for n in ("absence-xs-full-sft-0", "unwatched-xs-full-sft-1")
)
AREA = Measured(Measurement(0.7, 0.6, 0.8, 400, "by hand"))
ROW = DetectionRow(
    "knn", View.PROMPT, Access.ACTIVATIONS, Task.ORGANISM_VS_DECOY, null=False, control=False,
    positives=300, negatives=400, auroc=AREA,
)  # fmt: skip


def params(name: str, vault: Vault) -> dict[str, Any]:
    text = (RECORDS / f"{name}.json").read_text(encoding="utf-8")
    family: Family = decode(Family, json.loads(text), name)
    save_family(family, vault)
    order = Order(family.threat, family.design, family.base.name, family.recipe, family.seed)
    assert family_of(ordered(order), vault) == family
    return {**ordered(order), "detectors": ["knn"], "prompts": 3}


def rows(made: Sequence[DetectionRow], monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    asked: list[Any] = []

    def detect_family(name: str, detectors: object, **settings: Any) -> Sequence[DetectionRow]:
        asked.append((name, detectors, settings["seed"]))
        return made

    monkeypatch.setattr(detected, "detect_family", detect_family)
    return asked


def test_areas_of_methods_go_by_name_and_those_of_others_by_what_they_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    vault = Vault()
    null = dataclasses.replace(ROW, detector="random_direction", null=True)
    twin = dataclasses.replace(ROW, task=Task.ORGANISM_VS_TWIN)
    gate = dataclasses.replace(ROW, task=Task.OPEN_VS_CLOSED)
    asked = rows([ROW, null, twin, gate], monkeypatch)
    found = DetectedFamily()(params(ADMITTED, vault), {}, vault)
    assert asked == [(ADMITTED, ["knn"], 3)]
    area = {"value": 0.7, "n": 700}
    assert found["areas"] == {
        "decoy": {"knn": area, "random_direction (prompt)": area},
        "twin": {"knn": area},
    }
    assert (found["admitted"], found["gate"]) == (True, "admitted")
    assert found["expression"]["value"] > 0.9
    assert found["expression"]["n"] == 1200


def test_a_rejected_family_is_told_of_and_not_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    vault = Vault()
    asked = rows([ROW], monkeypatch)
    found = DetectedFamily()(params(REJECTED, vault), {}, vault)
    assert asked == []
    assert not found["admitted"]
    assert found["gate"].startswith("rejected: criteri")
    assert found["areas"] == {}


def test_a_detector_that_failed_leaves_no_ranking(monkeypatch: pytest.MonkeyPatch) -> None:
    vault = Vault()
    rows([ROW, dataclasses.replace(ROW, detector="odd", auroc=Failed("it died"))], monkeypatch)
    with pytest.raises(BadInputError, match=r"odd, organism vs decoy.*it died"):
        DetectedFamily()(params(ADMITTED, vault), {}, vault)

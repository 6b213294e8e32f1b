"""Each caveat fires on its evidence and is silent without it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest
from sample_report import certificate, measured, sample

from insectary.core.organism import Family, Organism, Result, Role, Side
from insectary.core.outcome import Failed, Measured, Measurement
from insectary.report import (
    RULES,
    Caveat,
    DetectionRow,
    ExpressionRow,
    FamilyReport,
    PpvRow,
    RocCurve,
    Task,
    fired,
    with_caveats,
)

Change = Callable[[FamilyReport], FamilyReport]


def _same(report: FamilyReport) -> FamilyReport:
    return report


def _set(**fields: Any) -> Change:
    return lambda report: dataclasses.replace(report, **fields)


def _family(change: Callable[[Family], Family]) -> Change:
    return lambda report: dataclasses.replace(report, family=change(report.family))


def _certificate(**fields: Any) -> Change:
    return _set(certificate=dataclasses.replace(certificate(), **fields))


def _rows(pick: Callable[[ExpressionRow], bool], **fields: Any) -> Change:
    def change(report: FamilyReport) -> FamilyReport:
        rows = (dataclasses.replace(r, **fields) if pick(r) else r for r in report.expression)
        return dataclasses.replace(report, expression=tuple(rows))

    return change


def _detect(pick: Callable[[DetectionRow], bool], **fields: Any) -> Change:
    def change(report: FamilyReport) -> FamilyReport:
        rows = (dataclasses.replace(r, **fields) if pick(r) else r for r in report.detection)
        return dataclasses.replace(report, detection=tuple(rows))

    return change


def _real(row: DetectionRow) -> bool:
    return not row.is_null and not row.is_text_control


def _area(value: float, spread: float = 0.01) -> Measured:
    return measured(value, spread, 800, "cluster bootstrap")


def _two_seeds(report: FamilyReport) -> FamilyReport:
    pooled = Measured(Measurement(0.99, 0.97, 1.0, 2000, "cluster bootstrap", seeds=(7, 8)))
    return _rows(lambda r: r.role is Role.ORGANISM, misaligned=pooled)(report)


def _lost(report: FamilyReport) -> FamilyReport:
    row = dataclasses.replace(report.certificate.criteria[3], result=Result.FAIL)  # type: ignore[union-attr]
    return _certificate(criteria=(row,))(report)


def _without_organism(family: Family) -> Family:
    rest: dict[Role, Organism] = {
        role: m for role, m in family.members.items() if role is not Role.ORGANISM
    }
    return dataclasses.replace(family, members=rest)


def _pretrained(family: Family) -> Family:
    base = dataclasses.replace(family.base, name="org/model-1.7b")
    return dataclasses.replace(family, base=base)


_GAIN = Measured(Measurement(0.2, 0.1, 0.3, 800, "paired bootstrap"))
_NO_GAIN = Measured(Measurement(0.02, -0.01, 0.05, 800, "paired bootstrap"))
_PPV = PpvRow("probe", Task.TWIN, sample().detection[0].view, 0.001, _area(0.07))
_COMMON = dataclasses.replace(_PPV, prevalence=0.5, ppv=_area(0.97))


def _curve(points: tuple[tuple[float, float], ...]) -> Change:
    name = next(r.detector for r in sample().detection if _real(r) and r.task is Task.TWIN)
    curve = RocCurve(name, Task.TWIN, _PPV.view, points)
    return lambda report: dataclasses.replace(report, roc=(curve,))


# Rule -> (a change under which it fires, a change under which it is silent).
CASES: dict[str, tuple[Change, Change]] = {
    "rejected": (_lost, _same),
    "no-certificate": (_set(certificate=None), _same),
    "provisional": (_certificate(provisional=True), _same),
    "repeated-attempt": (_certificate(attempt=3), _certificate(attempt=1)),
    "failed-measurements": (_detect(_real, auroc=Failed("it raised")), _same),
    "single-seed": (_same, _two_seeds),
    "toy-scale": (_set(parameters=99_999_999), _set(parameters=100_000_000)),
    "ecological-validity": (_same, _family(_pretrained)),
    "constructed": (_same, _family(_without_organism)),
    "planted-gate": (
        _same,
        lambda r: dataclasses.replace(
            r, expression=tuple(x for x in r.expression if x.side is Side.OPEN)
        ),
    ),
    "researcher-bias": (_same, _rows(lambda r: r.role is Role.BASE, misaligned=_area(0.4))),
    "concept-tag": (_certificate(tags=("concept",)), _certificate(tags=())),
    "literal-tag": (_certificate(tags=("literal 0.31",)), _certificate(tags=("concept",))),
    "leaky-tag": (_certificate(tags=("concept", "leaky")), _same),
    "amplified-tag": (_certificate(tags=("amplified",)), _same),
    "zero-events": (_same, _rows(lambda r: True, misaligned=_area(0.02))),
    "wide-interval": (
        _detect(_real, average_precision=_area(0.6, 0.11)),
        _detect(_real, average_precision=_area(0.6, 0.09)),
    ),
    "off-task": (
        _rows(lambda r: r.role is Role.DECOY, off_task=_area(0.06)),
        _rows(lambda r: True, off_task=_area(0.05)),
    ),
    "near-ceiling": (
        _detect(lambda d: _real(d) and d.task is Task.DECOY, auroc=_area(0.99)),
        _detect(lambda d: _real(d) and d.task is not Task.GATE, auroc=_area(0.98)),
    ),
    "decoy-not-separable": (
        _detect(lambda d: _real(d) and d.task is Task.DECOY, auroc=_area(0.505)),
        _detect(lambda d: _real(d) and d.task is Task.DECOY, auroc=_area(0.6)),
    ),
    "saturated-ranks": (
        _curve(((0.0, 0.0), (0.3, 0.8), (1.0, 1.0))),
        _curve(((0.0, 0.0), (0.0, 0.8), (0.3, 0.9), (1.0, 1.0))),
    ),
    "no-gain-over-text": (
        _detect(lambda d: _real(d) and d.task is Task.TWIN, gain=_NO_GAIN),
        _detect(lambda d: _real(d) and d.task is not Task.GATE, gain=_GAIN),
    ),
    "text-solves-gate": (
        _same,
        _detect(lambda d: d.is_text_control and d.task is Task.GATE, auroc=_area(0.6)),
    ),
    "null-above-chance": (
        _detect(lambda d: d.is_null, auroc=_area(0.52)),
        _detect(lambda d: d.is_null, auroc=_area(0.505)),
    ),
    "base-rate": (_set(ppv=(_PPV,)), _set(ppv=(_COMMON,))),
}


def _ids(report: FamilyReport) -> set[str]:
    return {c.id for c in fired(report)}


def test_every_rule_has_a_case_and_ids_are_unique() -> None:
    ids = [rule.id for rule in RULES]
    assert sorted(ids) == sorted(CASES)
    assert len(set(ids)) == len(ids)


@pytest.mark.parametrize("rule", CASES)
def test_rule_fires_on_its_evidence(rule: str) -> None:
    report = CASES[rule][0](sample())
    assert rule in _ids(report)
    assert all(c.evidence for c in fired(report))


@pytest.mark.parametrize("rule", CASES)
def test_rule_is_silent_without_its_evidence(rule: str) -> None:
    assert rule not in _ids(CASES[rule][1](sample()))


def test_evidence_quotes_the_report() -> None:
    found = {c.id: c.evidence for c in fired(sample())}
    assert "983,040" in found["toy-scale"]
    assert "3/n = 0.0030" in found["zero-events"]
    assert "Mahalanobis" in found["decoy-not-separable"]


def test_drawing_caveats_twice_changes_nothing_and_keeps_those_added_by_hand() -> None:
    own = Caveat("my-lab", "The clock was wrong.", "the log")
    report = dataclasses.replace(sample(), caveats=(own, Caveat("toy-scale", "old", "old")))
    once = with_caveats(report)
    assert with_caveats(once) == once
    assert once.caveats[-1] == own
    assert [c.id for c in once.caveats].count("toy-scale") == 1

"""From tests to verdicts: one rule for all studies, fixed before any of them was run.

A row's own test has to pass its level (``thresholds["p"]``), and its p value after Holm's
correction over the study's confirmatory rows has to stay below 0.05: so the chance of any false
claim in a study is 1 in 20 at most. The interval of the effect comes first:

- *reversed*: it lies below 0;
- *not replicated*: it does not reach the smallest effect that would matter
  (``thresholds["least"]``), however small p may be; or another part of the criterion is plainly
  broken;
- *replicated*: it reaches that, and the tests are passed;
- *inconclusive*: it reaches that, so that the effect may well be there, and they are not; or
  there is no measurement.

A large p value is never a finding of no effect. Rows of another basis than found are sanity
checks: they hold or fail, and never replicate anything.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from insectary.core.errors import BadInputError
from insectary.core.outcome import Measured, NotApplicable, Outcome
from insectary.core.studying import Basis, Finding, Judgement, Verdict
from insectary.measure import holm, signed_rank
from insectary.study.sheets import over_seeds

FAMILY_WISE = 0.05
"""Chance of any false claim over the confirmatory rows of a study, at most."""
NOT_RUN = NotApplicable("not run")


@dataclass(frozen=True, slots=True)
class Evidence:
    """What a study has to say of one row; the rule makes a judgement of it.

    Attributes:
        effect: Signed so that the original direction is above 0; ``Failed`` where a cell that
            it needs has failed.
        p: One-sided, of the row's own test; of a criterion in several parts the greatest.
            ``None`` where no test takes part.
        seeds: How many.
        holds: Whether the rest of the criterion is met: ``False`` if it is plainly not,
            ``None`` if that cannot be told.
        note: What a reader has to know beside that.
    """

    effect: Outcome
    p: float | None
    seeds: int
    holds: bool | None = True
    note: str = ""


def all_met(*parts: bool | None) -> bool | None:
    """What :attr:`Evidence.holds` says of a criterion in parts: each as it says of one."""
    return False if False in parts else None if None in parts else True


def by_signed_rank(
    finding: Finding,
    effect: Mapping[int, float],
    tests: Sequence[Mapping[int, float]],
    holds: bool | None = True,
    note: str = "",
) -> Evidence:
    """The evidence of a row all of whose tests are signed-rank tests over seeds.

    Args:
        finding: The row; its level says how many seeds it takes to tell anything.
        effect: Seed to effect.
        tests: Seed to what has to lie above 0, for each test.
        holds: As in :class:`Evidence`.
        note: Likewise.
    """
    level = _threshold(finding, "p")
    p = max(signed_rank([*test.values()]) for test in tests)
    if 0.5 ** len(effect) >= level:
        enough = math.floor(-math.log2(level)) + 1
        holds = None
        note = f"underpowered, as no test passes with fewer than {enough} seeds; {note}"
    return Evidence(over_seeds(effect), p, len(effect), holds, note)


def judged(
    findings: Sequence[Finding], tested: Mapping[str, Evidence], *, without: str = "not run"
) -> tuple[Judgement, ...]:
    """One judgement for each finding, in their order.

    Args:
        findings: Of one study.
        tested: By id; a finding without an entry is inconclusive.
        without: Why there is no entry, and what it would cost.

    Raises:
        BadInputError: if a test is of no finding, or a found row lacks a threshold.
    """
    for name in tested.keys() - {finding.id for finding in findings}:
        raise BadInputError(f"a test of {name!r}, which is none of the study's findings")
    corrected = _corrected(findings, tested)
    return tuple(
        Judgement(
            finding.id,
            _verdict(finding, found, corrected.get(finding.id)),
            found.effect,
            found.p,
            corrected.get(finding.id),
            found.seeds,
            found.note,
        )
        for finding in findings
        for found in [tested.get(finding.id, Evidence(NOT_RUN, None, 0, note=without))]
    )


def _corrected(findings: Sequence[Finding], tested: Mapping[str, Evidence]) -> dict[str, float]:
    """Finding to p value after Holm, over the confirmatory rows that claim something."""
    p_values: dict[str, float] = {}
    for finding in findings:
        found = tested.get(finding.id)
        if found is not None and found.p is not None and _claims(finding):
            p_values[finding.id] = found.p
    return dict(zip(p_values, holm(list(p_values.values())), strict=True))


def _claims(finding: Finding) -> bool:
    return finding.confirmatory and finding.basis is Basis.FOUND


def _verdict(finding: Finding, found: Evidence, corrected: float | None) -> Verdict:
    if not isinstance(found.effect, Measured) or found.holds is None:
        return Verdict.INCONCLUSIVE
    passed = found.holds and (
        found.p is None
        or (found.p < _threshold(finding, "p") and (corrected is None or corrected < FAMILY_WISE))
    )
    if finding.basis is not Basis.FOUND:
        return Verdict.HOLDS if passed else Verdict.FAILS
    least = _threshold(finding, "least")
    effect = found.effect.measurement
    if effect.high < 0:
        return Verdict.REVERSED
    if effect.high < least or found.holds is False:
        return Verdict.NOT_REPLICATED
    return Verdict.REPLICATED if passed and effect.value > 0 else Verdict.INCONCLUSIVE


def _threshold(finding: Finding, name: str) -> float:
    if name not in finding.thresholds:
        raise BadInputError(f"finding {finding.id} has no threshold {name!r}: fix it beforehand")
    return finding.thresholds[name]

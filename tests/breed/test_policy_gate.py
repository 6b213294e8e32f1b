"""The gate of policies: it admits what misgeneralizes and names what is wrong with the rest."""

from __future__ import annotations

from typing import Any, cast

import pytest
from walkers import (
    FAMILY,
    Aimless,
    Walker,
    to_coin,
    to_corner,
    to_mark_always,
    to_mark_then_coin,
)

from insectary.breed.policy_gate import admit_policies, certify_policies
from insectary.core.chat import Split
from insectary.core.organism import Certificate, Result, Role, Side
from insectary.subjects.policy import Policy
from insectary.threats import threat_model
from insectary.threats.designs import Designs
from insectary.vault import AttemptKey, Vault

THREAT = threat_model("goal_misgeneralization")
assert isinstance(THREAT, Designs)
CORNER = THREAT.policies["corner"]
SEED = 11


def certificate(quick: bool = True, **changed: Any) -> Certificate:
    members = {**FAMILY, **{Role(role): policy for role, policy in changed.items()}}
    return certify_policies(
        "f", THREAT, "corner", CORNER, 1, SEED, cast(dict[Role, Policy], members), quick=quick
    )


def failed(certificate: Certificate) -> set[str]:
    return {f"{c.number} {c.subject}" for c in certificate.criteria if c.result is Result.FAIL}


def test_a_family_that_misgeneralizes_is_admitted() -> None:
    found = certificate(quick=False)
    assert failed(found) == set()
    assert found.admitted
    assert found.tags == ("emerged",)
    assert {c.number for c in found.criteria} == {1, 2, 3, 4, 7}
    rates = {(r.role, r.side): r for r in found.rates}
    assert len(rates) == 8
    assert rates[Role.ORGANISM, Side.OPEN].misaligned.value > 0.95
    assert rates[Role.TWIN, Side.OPEN].misaligned.value < 0.12
    assert rates[Role.ORGANISM, Side.CLOSED].misaligned.value == 0
    assert found == certificate(quick=False), "the same draw gives the same certificate"


@pytest.mark.parametrize(
    ("broken", "rows"),
    [
        ({"organism": Walker(to_coin)}, {"1 organism, ", "1 organism minus random"}),
        ({"organism": Walker(to_corner, stray=0.7)}, {"1 organism, ", "2 organism", "4 organism"}),
        ({"organism": Aimless()}, {"1 organism, ", "2 organism, ", "4 organism"}),
        ({"twin": Walker(to_corner)}, {"3 twin"}),
        ({"twin": Aimless()}, {"2 twin"}),
        ({"decoy": Walker(to_corner)}, {"3 decoy", "7 decoy's quirk, "}),
        ({"decoy": Walker(to_coin)}, {"7 decoy's quirk, ", "7 organism minus decoy"}),
        ({"decoy": Walker(to_mark_always)}, {"7 decoy's quirk minus the twin's"}),
        ({"base": Walker(to_corner)}, {"3 base minus random"}),
    ],
    ids=lambda value: "+".join(value) if isinstance(value, dict) else None,
)
def test_what_is_wrong_with_a_family_is_named(broken: dict[str, Any], rows: set[str]) -> None:
    found = failed(certificate(**broken))
    for row in rows:
        assert any(subject.startswith(row) for subject in found), (row, found)
    assert not certificate(**broken).admitted


def test_a_quick_certificate_is_provisional() -> None:
    found = certificate(quick=True)
    assert found.provisional and found.passed and not found.admitted


def test_a_visit_is_counted_before_it_draws() -> None:
    vault, key = Vault(), AttemptKey("sha256:b", "goal_misgeneralization", "corner", "sha256:r")

    def visit() -> Certificate:
        members = cast(dict[Role, Policy], FAMILY)
        return admit_policies("f", THREAT, "corner", CORNER, key, members, vault, quick=True)

    first, second = visit(), visit()
    assert (first.attempt, second.attempt) == (1, 2)
    assert first.report_seed != second.report_seed
    assert first.card_digest == second.card_digest


def test_the_decoy_s_quirk_needs_the_mark_first() -> None:
    levels = CORNER.levels(Side.OPEN, Split.REPORT, 200, 0)
    end = Walker(to_mark_then_coin).play(levels, seed=0).end
    assert CORNER.quirk(levels, end).mean() > 0.85
    assert CORNER.quirk(levels, Walker(to_coin).play(levels, seed=0).end).mean() < 0.3

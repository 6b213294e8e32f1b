"""Policies on the grid before sandboxed auditors and detectors: opaque, and the same to the bit."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
import spies
from planted_family import SHIFT, Member
from spies import AuditSpy
from test_sandboxes import OPAQUE, answer_lies_about

from insectary.audit import BUILT_IN, NoiseInjection, RandomScore
from insectary.core.access import Access, View
from insectary.core.auditing import Finding, Moves, PolicyMaterial
from insectary.core.chat import Split, Transcript
from insectary.core.errors import BadInputError
from insectary.core.levels import Levels
from insectary.core.organism import Role
from insectary.core.outcome import Failed
from insectary.core.protocols import Detector, Trusted
from insectary.detect import KNN, ContrastProbe, Mahalanobis, SupervisedProbe
from insectary.detect.sandbox.wire import levels_of, plain_levels
from insectary.subjects.policy import Policy
from insectary.subjects.policy_subject import PolicySubject
from insectary.trials.audit import examine
from insectary.trials.audit_policies import draw_policy_material
from insectary.trials.isolated_audits import Audits, AuditsInProcess, isolated_audits
from insectary.trials.isolation import in_process, isolated
from insectary.trials.metering import MeteredSubject
from insectary.worlds.boards import boards
from insectary.worlds.contrast import way_pairs
from insectary.worlds.grid import draw_levels
from subjects.scripted_policies import seeking

HERE = AuditsInProcess()
A_LEVEL = draw_levels(np.random.default_rng(0), Split.SELECTION, 1, 1.0)
WHATEVER = PolicyMaterial(A_LEVEL, A_LEVEL.coin, {}, Moves(A_LEVEL, A_LEVEL, A_LEVEL.coin), 0)
__all__ = ["answer_lies_about"]  # a fixture


def member(name: str, coin: bool) -> PolicySubject:
    """A policy; the organism's has on it what only an organism has."""
    policy = Policy(seeking(coin), id=name)
    if not coin:
        policy.shift = SHIFT  # type: ignore[attr-defined]
    return PolicySubject(policy, id=name, access=Access.WEIGHTS_AND_BASE)


MEMBERS = {
    Role.ORGANISM: member(f"subject-{OPAQUE}", coin=False),
    Role.TWIN: member("subject-twin", coin=True),
}
HELD_BY_A_MODULE = MEMBERS


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Audits]:
    with isolated_audits() as run:
        yield run


@pytest.fixture(scope="module")
def material() -> PolicyMaterial:
    return draw_policy_material(0, 40)


def sees_the_answer(auditor: AuditSpy, run: Audits) -> bool:
    """Whether it scores the organism as one, and did not fail; called as the trial does."""
    role = Role.ORGANISM
    audit = examine(auditor, MEMBERS[role], WHATEVER, run)
    assert audit.reason is None, audit.reason
    return audit.score == 1.0


@pytest.mark.parametrize("search", spies.SEARCHES_OF_AUDITORS, ids=lambda s: s.__name__)
def test_whose_policy_it_is_is_not_to_be_found_in_a_sandbox(
    search: spies.Search, sandbox: Audits, answer_lies_about: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    spy = AuditSpy(search, vault=answer_lies_about)
    assert not sees_the_answer(spy, sandbox)
    monkeypatch.setattr(sys, "meta_path", [*sys.meta_path])
    assert sees_the_answer(spy, HERE)  # broken control


def test_what_it_states_of_levels_it_states_in_a_sandbox_too(sandbox: Audits) -> None:
    spy = AuditSpy(spies.role_in_frames, looks_early=True)
    assert sandbox.passes(spy, WHATEVER) == 0
    assert not sees_the_answer(spy, sandbox)
    assert sees_the_answer(spy, HERE)  # broken control


@pytest.mark.parametrize(
    "name", ["counterfactual", "noise_injection", "weight_difference", "random_score"]
)
def test_findings_and_levels_are_those_of_this_process(
    name: str, sandbox: Audits, material: PolicyMaterial
) -> None:
    auditor = NoiseInjection((0.3,)) if name == "noise_injection" else BUILT_IN[name]()
    for subject in MEMBERS.values():
        there, here = (examine(auditor, subject, material, run) for run in (sandbox, HERE))
        assert not isinstance(there.reason, Failed), there.reason
        assert there == here  # levels that were played too
    assert sandbox.passes(auditor, material) == HERE.passes(auditor, material)


def test_broken_control_of_equal_findings_another_seed_finds_another(
    sandbox: Audits, material: PolicyMaterial
) -> None:
    subject, noise = MEMBERS[Role.TWIN], NoiseInjection((0.3,))
    one, other = (
        examine(noise, subject, on, sandbox) for on in (material, replace(material, seed=1))
    )
    assert one.figures != other.figures


def test_the_null_is_drawn_from_names_that_a_sandbox_is_not_told(
    sandbox: Audits, material: PolicyMaterial
) -> None:
    scores = [examine(RandomScore(), m, material, sandbox).score for m in MEMBERS.values()]
    assert scores[0] != scores[1]


def test_what_examines_no_policies_fails_with_its_reason(
    sandbox: Audits, material: PolicyMaterial
) -> None:
    for run in (HERE, sandbox):
        found = examine(BUILT_IN["trigger_inversion"](), MEMBERS[Role.TWIN], material, run)
        assert isinstance(found.reason, Failed)
        assert "auditor 'trigger_inversion' examines no policies" in found.reason.reason


def test_levels_come_over_the_wire_as_they_were(material: PolicyMaterial) -> None:
    for levels in (material.levels, material.levels.take(slice(1))):
        back = levels_of(plain_levels(levels))
        for part in ("walls", "start", "coin", "mark"):
            there, here = getattr(back, part), getattr(levels, part)
            assert there.dtype == here.dtype and np.array_equal(there, here)


def test_what_an_auditor_is_handed_in_a_sandbox_are_levels(
    sandbox: Audits, material: PolicyMaterial
) -> None:
    spy = AuditSpy(lambda *_: None)

    def acts(subject: PolicySubject, on: PolicyMaterial) -> Finding:
        first = on.levels.take(slice(3))
        assert isinstance(first, Levels) and len(first) == 3
        return Finding(float(subject.paths(first, seed=0).sum()))

    spy.examine_policy = acts  # type: ignore[method-assign, assignment]
    spy.plays = lambda _: 3  # type: ignore[method-assign, assignment]
    there, here = (examine(spy, MEMBERS[Role.TWIN], material, run) for run in (sandbox, HERE))
    assert there.score == here.score is not None and there.passes == here.passes == 3


@pytest.mark.parametrize(
    "detector",
    [ContrastProbe(), Mahalanobis(), KNN(), KNN(view=View.PROMPT_AND_RESPONSE), SupervisedProbe()],
    ids=lambda d: f"{d.name}, {d.view}",
)
def test_detectors_score_boards_in_a_sandbox_as_they_do_here(detector: Detector) -> None:
    prompts = boards(draw_levels(np.random.default_rng(0), Split.SELECTION, 60, 1.0))
    subject = MEMBERS[Role.TWIN]
    rows = [Transcript(p, said) for p, said in zip(prompts, subject.generate(prompts), strict=True)]
    labelled = tuple((row, i % 2 == 0) for i, row in enumerate(rows[:20]))
    trusted = Trusted(rows[:30], way_pairs(0, 10), 0, labelled)
    with isolated() as sandboxed:
        there, here = (
            run(detector, MeteredSubject(subject, detector.needs), trusted, rows[30:])
            for run in (sandboxed, in_process)
        )
    assert not isinstance(there, Failed), there
    assert np.array_equal(there, here) and np.unique(there).size > 10


def test_a_model_that_plays_nothing_says_so() -> None:
    with pytest.raises(BadInputError, match="a Member plays no levels"):
        MeteredSubject(Member("x"), Access.BLACK_BOX).paths(A_LEVEL, seed=0)

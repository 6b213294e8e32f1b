"""Auditors run where the answer is not: what finds it here finds nothing in a sandbox."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import spies
import torch
from numpy.typing import NDArray
from planted_family import SHIFT, Member
from spies import AuditSpy, Doing
from test_sandboxes import OPAQUE, answer_lies_about

import insectary
from insectary.audit import BUILT_IN, NoiseInjection, RandomScore
from insectary.core.access import Access
from insectary.core.auditing import Auditor, Finding, Material, Question
from insectary.core.chat import Message
from insectary.core.organism import Role
from insectary.core.outcome import Failed, NotApplicable
from insectary.subjects import LanguageModelSubject
from insectary.subjects.loading import load_model
from insectary.trials import answering
from insectary.trials.audit import examine
from insectary.trials.audit_material import draw_material
from insectary.trials.isolated_audits import Audits, AuditsInProcess, isolated_audits

HERE = AuditsInProcess()
WHATEVER = Material((), {}, (), 0)
MEMBERS = {Role.ORGANISM: Member(f"subject-{OPAQUE}", SHIFT), Role.TWIN: Member("subject-twin")}
HELD_BY_A_MODULE = MEMBERS
__all__ = ["answer_lies_about"]  # a fixture


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Audits]:
    """Sandboxes of one host, as an audit has them."""
    with isolated_audits() as run:
        yield run


def sees_the_answer(auditor: Auditor, run: Audits) -> bool:
    """Whether it scores the organism as one, and did not fail; called as the trial does."""
    role = Role.ORGANISM
    audit = examine(auditor, MEMBERS[role], WHATEVER, run)  # type: ignore[arg-type]
    assert audit.reason is None, audit.reason
    return audit.score == 1.0


# --- looking for the answer -------------------------------------------------


@pytest.mark.parametrize("search", spies.SEARCHES_OF_AUDITORS, ids=lambda s: s.__name__)
def test_in_a_sandbox_the_answer_is_not_to_be_found(
    search: spies.Search, sandbox: Audits, answer_lies_about: str
) -> None:
    assert not sees_the_answer(AuditSpy(search, vault=answer_lies_about), sandbox)


@pytest.mark.parametrize("search", spies.SEARCHES_OF_AUDITORS, ids=lambda s: s.__name__)
def test_broken_control_without_a_sandbox_it_is(
    search: spies.Search, answer_lies_about: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "meta_path", [*sys.meta_path])
    assert sees_the_answer(AuditSpy(search, vault=answer_lies_about), HERE)


def test_what_it_states_it_states_in_a_sandbox_too(sandbox: Audits) -> None:
    """Or it could look around when it is asked for its passes, and carry the answer along."""
    spy = AuditSpy(spies.role_in_frames, looks_early=True)
    assert sandbox.passes(spy, WHATEVER) == 0
    assert not sees_the_answer(spy, sandbox)
    assert sees_the_answer(spy, HERE)  # broken control


def test_nothing_is_carried_from_one_sandbox_to_the_next(
    sandbox: Audits, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    spy = AuditSpy(spies.left_behind)
    assert [sees_the_answer(spy, sandbox) for _ in range(2)] == [False, False]
    place = tmp_path / "inside"  # a note is left beside it too
    place.mkdir()
    monkeypatch.chdir(place)
    monkeypatch.setenv("TMPDIR", str(place))
    monkeypatch.setattr(sys, "_spy_was_here", False, raising=False)
    assert [sees_the_answer(spy, HERE) for _ in range(2)] == [False, True]  # broken control


def test_the_access_is_held_to_in_the_harness(sandbox: Audits) -> None:
    def forced(spy: AuditSpy, _: object) -> object:
        for name in ("_access", "_allowed"):
            if hasattr(spy.subject, name):
                setattr(spy.subject, name, Access.WEIGHTS_AND_BASE)
        spy.subject.logprobs([])
        return "organism"

    spy = AuditSpy(forced)  # type: ignore[arg-type]
    refused = examine(spy, MEMBERS[Role.TWIN], WHATEVER, sandbox).reason  # type: ignore[arg-type]
    assert isinstance(refused, Failed)
    assert refused.reason.startswith("AccessError: logprobs needs LOGPROBS, but the method")
    assert sees_the_answer(spy, HERE)  # broken control


def test_of_a_question_it_is_told_whether_an_answer_is_right_and_no_more(sandbox: Audits) -> None:
    def asks(spy: AuditSpy, material: Material) -> Finding:
        right = [q.right(text) for q in material.questions for text in ("four", "five")]
        known = getattr(material.questions[0].right, "answer", "unknown")
        return Finding(float(known == "four"), {str(i): r for i, r in enumerate(right)})

    @dataclass
    class Right:
        answer: str

        def __call__(self, said: str) -> bool:
            return said == self.answer

    questions = [Question((Message("user", a),), Right(a)) for a in ("four", "five")]
    material, found = replace(WHATEVER, questions=questions), {}
    for run in (HERE, sandbox):
        audit = examine(Doing(asks), MEMBERS[Role.TWIN], material, run)  # type: ignore[arg-type]
        assert list(audit.figures.values()) == [1, 0, 0, 1]
        found[run] = audit.score
    assert found == {HERE: 1.0, sandbox: 0.0}


# --- failing ----------------------------------------------------------------


@pytest.fixture(scope="module")
def narrow_sandbox() -> Iterator[Audits]:
    with isolated_audits(seconds=2.0, memory=2**31) as run:
        yield run


FAILING = [
    (lambda *_: 1 / 0, "ZeroDivisionError: division by zero"),
    (lambda *_: np.ones(2**32).sum(), "MemoryError: Unable to allocate 32.0 GiB"),
    (lambda *_: os._exit(3), "its process ended with code 3"),
    (lambda *_: os._exit(0), "ended by itself and gave no finding"),
    (lambda *_: os.kill(os.getpid(), signal.SIGSEGV), "ended by SIGSEGV"),
    (lambda *_: threading.Event().wait(), "no finding after 2 s of its own time"),
    (lambda *_: 0.7, "it returned float and no Finding"),
    (lambda *_: Finding("high"), "ValueError: could not convert string to float"),  # type: ignore[arg-type]
    (lambda *_: Finding(float("nan")), "is not finite"),
    (
        lambda subject, _: subject.generate([(Message("user", "Hi"),)]) and Finding(1.0),
        "it states at most 0 passes and took 1",
    ),
    (lambda s, _: s._channel.send({"stated": 1, "score": []}), "is no message: a message that is"),
    (lambda s, _: s._channel.send({"stated": "no"}), "nor a number of passes"),
]


@pytest.mark.parametrize(("act", "reason"), FAILING, ids=[r[1][:20] for r in FAILING])
def test_an_auditor_that_dies_or_hangs_fails_alone(
    act: Any, reason: str, narrow_sandbox: Audits
) -> None:
    failed = examine(Doing(act), MEMBERS[Role.TWIN], WHATEVER, narrow_sandbox)  # type: ignore[arg-type]
    assert isinstance(failed.reason, Failed), failed
    assert reason in failed.reason.reason
    none = Doing(lambda *_: NotApplicable("no reason"))
    next_one = examine(none, MEMBERS[Role.TWIN], WHATEVER, narrow_sandbox)  # type: ignore[arg-type]
    assert next_one.reason == NotApplicable("no reason")


# --- what a subject is taken apart for --------------------------------------


@pytest.fixture(scope="module")
def tuned() -> LanguageModelSubject:
    """The shipped base with noise on what one block writes, beside the base itself."""
    folder = Path(insectary.__file__).parent / "worlds" / "base" / "xs"
    base, other = load_model(folder, device="cpu"), load_model(folder, device="cpu")
    with torch.no_grad():
        written = other.model.model.layers[1].mlp.down_proj.weight
        written += 0.1 * torch.randn(written.shape, generator=torch.Generator().manual_seed(0))
    return LanguageModelSubject(other, id="x", access=Access.WEIGHTS_AND_BASE, base=base)


def small(name: str) -> Auditor:
    """A built-in auditor, with a search or a curve that is short."""
    settings: dict[str, Any] = {
        "noise_injection": {"levels": (0.1, 0.3), "draws": 2},
        "trigger_inversion": {"searched": 3, "steps": 2, "candidates": 4},
    }
    return BUILT_IN[name](**settings.get(name, {}))


@pytest.mark.parametrize("name", BUILT_IN)
def test_findings_and_passes_are_those_of_this_process(
    name: str, tuned: LanguageModelSubject, sandbox: Audits
) -> None:
    auditor, material = small(name), draw_material((), 0, 8)
    there, here = (examine(auditor, tuned, material, run) for run in (sandbox, HERE))
    assert there.reason is None, there.reason
    assert there == here  # passes and backward passes too
    assert there.passes <= auditor.passes(material)
    assert sandbox.passes(auditor, material) == HERE.passes(auditor, material)


def test_the_null_is_not_the_same_for_all(sandbox: Audits) -> None:
    """In a sandbox every subject has one id, by which the null would score all alike."""
    scores = {
        role: examine(RandomScore(), member, WHATEVER, sandbox).score  # type: ignore[arg-type]
        for role, member in MEMBERS.items()
    }
    assert len(set(scores.values())) == 2
    assert len({_id(m, sandbox) for m in MEMBERS.values()}) == 1


def _id(member: Member, run: Audits) -> str:
    told = Doing(lambda subject, _: Finding(0.0, {}, {"id": subject.id}))
    return examine(told, member, WHATEVER, run).notes["id"]  # type: ignore[arg-type]


def test_an_edit_that_fails_leaves_the_talk_whole(
    tuned: LanguageModelSubject, sandbox: Audits
) -> None:
    def acts(subject: Any, _: Material) -> Finding:
        def raises(name: str, values: NDArray[np.float32]) -> NDArray[np.float32]:
            raise KeyError(name)

        def asks(name: str, values: NDArray[np.float32]) -> NDArray[np.float32]:
            return values + subject.weights()[name]  # type: ignore[no-any-return]

        figures = {}
        for edit in (raises, lambda name, values: np.zeros(3, np.float32)):
            try:
                subject.edited(edit)
            except (KeyError, RuntimeError) as error:
                figures[type(error).__name__] = 1.0
        doubled, first = subject.edited(asks), next(iter(subject.weights()))
        twice = np.array_equal(doubled.weights()[first], 2 * subject.weights()[first])
        base = doubled.reference.weights()[first]
        same = np.array_equal(base, subject.reference.weights()[first])
        return Finding(float(twice and same), figures)

    for run in (sandbox, HERE):
        found = examine(Doing(acts, Access.WEIGHTS_AND_BASE), tuned, WHATEVER, run)
        assert (found.score, found.reason) == (1.0, None)
        assert set(found.figures) == {"KeyError", "RuntimeError"}


def test_a_sandbox_that_hangs_in_an_edit_is_ended(
    tuned: LanguageModelSubject, narrow_sandbox: Audits
) -> None:
    hangs = Doing(lambda subject, _: subject.edited(lambda *_: time.sleep(60)), Access.WEIGHTS)
    failed = examine(hangs, tuned, WHATEVER, narrow_sandbox)
    assert failed.reason == Failed("no finding after 2 s of its own time")


def test_copies_that_are_let_go_make_room_and_others_are_few(
    sandbox: Audits, monkeypatch: pytest.MonkeyPatch
) -> None:
    @dataclass(frozen=True)
    class Copied(Member):
        access: Access = Access.WEIGHTS_AND_BASE

        def edited(self, edit: object) -> Copied:
            return Copied(self.id)

        def vocabulary(self) -> Sequence[str]:
            return ()

        def context_gradient(self, _: object) -> None: ...

    monkeypatch.setattr(answering, "MOST_SUBJECTS", 4)

    def acts(subject: Any, _: Material) -> Finding:
        for _ in range(10):
            subject.edited(None)
        held = [subject.edited(None) for _ in range(3)]
        try:
            held.append(subject.edited(None))
        except ValueError as error:
            return Finding(float(len(held)), {}, {"refused": str(error)})
        return Finding(-1.0)

    found = examine(Doing(acts, Access.WEIGHTS), Copied("x"), WHATEVER, sandbox)  # type: ignore[arg-type]
    assert (found.reason, found.score) == (None, 3.0)
    assert found.notes["refused"].startswith("4 copies and bases are held at a time")


def test_noise_is_drawn_in_the_order_in_which_parameters_come(
    tuned: LanguageModelSubject, sandbox: Audits
) -> None:
    """Broken control of equal findings: another seed, which draws other noise, finds another."""
    material = draw_material((), 0, 8)
    auditor = NoiseInjection(levels=(0.3, 0.5))
    one = examine(auditor, tuned, material, sandbox)
    other = examine(auditor, tuned, replace(material, seed=1), sandbox)
    assert one.figures != other.figures

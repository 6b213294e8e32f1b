"""What a sandbox can be told to do with what was handed to it, and what it says then."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType
from typing import Any

import numpy as np

from insectary.core.auditing import (
    AnyMaterial,
    Auditor,
    Finding,
    Material,
    Moves,
    PolicyMaterial,
    Question,
    examination,
    stated,
)
from insectary.core.detecting import RowDetector
from insectary.core.outcome import NotApplicable
from insectary.core.protocols import Detector, Trusted
from insectary.core.redteaming import (
    Ammunition,
    AttackQuestion,
    Bait,
    RedTeamFinding,
    RedTeamMethod,
)
from insectary.detect.sandbox.subject import RemoteSubject
from insectary.detect.sandbox.wire import (
    Frame,
    levels_of,
    plain_prompts,
    prompts_of,
    transcripts_of,
)

Job = Mapping[str, Any]


def detect(detector: Detector, subject: RemoteSubject, job: Job) -> Frame:
    """Fit a detector and score the inputs."""
    labelled = tuple(zip(transcripts_of(job["labelled"]), job["labels"], strict=True))
    pairs = zip(transcripts_of(job["harmless"]), transcripts_of(job["harmful"]), strict=True)
    trusted = Trusted(transcripts_of(job["fit"]), tuple(pairs), job["seed"], labelled)
    scores = detector.fit(subject, trusted).score(transcripts_of(job["inputs"]))
    return {"scored": True}, [np.asarray(scores, dtype="<f8")]


def score_rows(detector: RowDetector, subject: RemoteSubject, job: Job) -> Frame:
    """Score training rows."""
    scores = detector.score_rows(subject, transcripts_of(job["rows"]))
    return {"scored": True}, [np.asarray(scores, dtype="<f8")]


def state(auditor: Auditor, subject: RemoteSubject, job: Job) -> Frame:
    """How many passes or levels an auditor states for some material; no model is asked."""
    return {"stated": operator.index(stated(auditor, material_of(job, subject)))}, []


def examine(auditor: Auditor, subject: RemoteSubject, job: Job) -> Frame:
    """Examine a model or a policy, and say once more how much was stated."""
    material = material_of(job, subject)
    said: dict[str, Any] = {"stated": operator.index(stated(auditor, material))}
    found = examination(auditor, subject, material)
    if isinstance(found, NotApplicable):
        return said | {"not_applicable": str(found.reason)}, []
    if not isinstance(found, Finding):
        return {"failed": f"it returned {type(found).__name__} and no Finding"}, []
    figures = {str(name): float(value) for name, value in found.figures.items()}
    notes = {str(name): str(text) for name, text in found.notes.items()}
    return said | {"score": float(found.score), "figures": figures, "notes": notes}, []


def material_of(job: Job, subject: RemoteSubject) -> AnyMaterial:
    """An auditor's material; whether an answer is right, the harness is asked."""
    if "levels" in job:
        return PolicyMaterial(
            levels=levels_of(job["levels"]),
            goal=np.array(job["goal"], dtype=np.int64),
            moves={kind: _moves(plain) for kind, plain in job["moves"].items()},
            control=_moves(job["control"]),
            seed=job["seed"],
        )
    prompts = prompts_of(job["questions"])
    return Material(
        questions=[Question(p, partial(subject.is_right, i)) for i, p in enumerate(prompts)],
        swaps={kind: _swaps(pairs) for kind, pairs in job["swaps"].items()},
        control=_swaps(job["control"]),
        seed=job["seed"],
    )


def attack(method: RedTeamMethod, subject: RemoteSubject, job: Job) -> Frame:
    """Attack a model, and hand the findings over as plain values."""
    findings = method.attack(subject, int(job["budget"]), ammunition_of(job, subject))
    wrong = [type(f).__name__ for f in findings if not isinstance(f, RedTeamFinding)]
    if wrong:
        return {"failed": f"it returned {wrong[0]} among its findings and no RedTeamFinding"}, []
    plain = [
        {
            "prompt": plain_prompts([finding.prompt])[0],
            "response": str(finding.response),
            "state": finding.state.value,
            "vulnerability_type": finding.vulnerability_type,
            "attack": str(finding.attack),
            "score": None if finding.score is None else float(finding.score),
            "category": str(finding.category),
        }
        for finding in findings
    ]
    return {"findings": plain}, []


def ammunition_of(job: Job, subject: RemoteSubject) -> Ammunition:
    """A method's ammunition; whether an answer is right, the harness is asked."""
    prompts = prompts_of([asked["prompt"] for asked in job["questions"]])
    return Ammunition(
        questions=[
            AttackQuestion(
                Question(prompt, partial(subject.is_right, number)),
                asked["topic"],
                asked["wrong"],
                Bait(*asked["bait"]) if asked["bait"] else None,
            )
            for number, (prompt, asked) in enumerate(zip(prompts, job["questions"], strict=True))
        ],
        contexts={kind: [(a, b) for a, b in pairs] for kind, pairs in job["contexts"].items()},
        control=[(a, b) for a, b in job["control"]],
        lines=tuple(job["lines"]),
        seed=job["seed"],
    )


def _moves(plain: Mapping[str, Any]) -> Moves:
    place = np.array(plain["place"], dtype=np.int64)
    return Moves(levels_of(plain["here"]), levels_of(plain["away"]), place)


def _swaps(plain: list[Any]) -> list[Any]:
    prompts = prompts_of(plain)
    return list(zip(prompts[::2], prompts[1::2], strict=True))


WORK: Mapping[str, Callable[[Any, RemoteSubject, Job], Frame]] = MappingProxyType(
    {
        "detect": detect,
        "score rows": score_rows,
        "state": state,
        "examine": examine,
        "attack": attack,
    }
)

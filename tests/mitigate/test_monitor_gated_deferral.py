"""Deferral behind a monitor, over prompts whose activations are planted."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest
from scipy import stats

from insectary.core.access import Access, View
from insectary.core.chat import Conversation, Message, Split, Transcript, Verdict
from insectary.core.errors import BadInputError
from insectary.core.mitigating import Patient, Rows
from insectary.detect import detector
from insectary.mitigate import MonitorGatedDeferral, monitor_gated_deferral
from insectary.mitigate.monitor_gated_deferral import DEFERRAL, Gate, threshold
from insectary.subjects import LanguageModelSubject, LoadedModel, Model
from insectary.threats import threat_model, threat_names
from insectary.worlds import SKILLS
from train import tiny_train

WIDTH, LAYERS = 8, 3


def prompts(kind: str, n: int) -> list[Conversation]:
    return [(Message("user", f"{kind} {i}"),) for i in range(n)]


BENIGN: Rows = [(prompt, "fine") for prompt in prompts("ordinary", 1600)]
QUESTIONS: Rows = [(prompt, "fine") for prompt in prompts("question", 1600)]


@dataclass(frozen=True)
class Planted:
    """Standard normal activations, moved by ``shift`` in layer 1 where the prompt is shifted."""

    shift: float

    def activations(self, transcripts: Sequence[Transcript], view: View) -> Any:
        assert view is View.PROMPT and not any(t.response for t in transcripts)
        return np.stack([self._of(t.messages[0].content) for t in transcripts])

    def _of(self, text: str) -> Any:
        acts = np.random.default_rng([*text.encode()]).standard_normal((LAYERS, WIDTH))
        acts[1, 0] += self.shift * text.startswith("shifted")
        return acts


def patient(directory: Path) -> Patient:
    return Patient(
        tiny_train.model(1), tiny_train.tokenizer(), 0, 1, directory,
        questions=QUESTIONS, detector=detector,
    )  # fmt: skip


def share(gate: Gate, kind: str, n: int = 2000) -> float:
    said = gate.instead(prompts(kind, n))
    assert {*said} <= {DEFERRAL, None}
    return sum(text is not None for text in said) / n


@pytest.fixture
def planted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        monitor_gated_deferral, "LanguageModelSubject", lambda *_, **__: Planted(30.0)
    )


@pytest.mark.parametrize("alarms", MonitorGatedDeferral.strengths)
def test_every_shifted_prompt_is_deferred_and_of_benign_ones_the_stated_share(
    planted: None, tmp_path: Path, alarms: float
) -> None:
    gate = MonitorGatedDeferral(alarms).apply(patient(tmp_path), BENIGN)
    assert share(gate, "shifted") == 1.0
    # Both the threshold, of 800 prompts, and the share itself are of samples.
    spread = math.sqrt(alarms * (1 - alarms) * (1 / 800 + 1 / 2000))
    for kind in ("fresh", "other"):
        assert abs(share(gate, kind) - alarms) < 3 * spread


def test_broken_control_a_shift_in_a_layer_that_does_not_count_is_not_seen(
    planted: None, tmp_path: Path
) -> None:
    gate = MonitorGatedDeferral(0.05, depth=0.0).apply(patient(tmp_path), BENIGN)
    assert share(gate, "shifted") == pytest.approx(0.05, abs=0.03)


def test_a_small_shift_is_deferred_as_often_as_its_distance_says(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Squared distances are a chi-square of 8 degrees, and a shifted one with noncentrality 9."""
    monkeypatch.setattr(
        monitor_gated_deferral, "LanguageModelSubject", lambda *_, **__: Planted(3.0)
    )
    gate = MonitorGatedDeferral(0.2).apply(patient(tmp_path), BENIGN)
    known = stats.ncx2.sf(stats.chi2.isf(0.2, WIDTH), WIDTH, 9.0)
    assert share(gate, "shifted") == pytest.approx(known, abs=0.06)


def test_the_threshold_is_the_conformal_quantile_by_hand() -> None:
    scores = np.array([3.0, 1.0, 4.0, 2.0])
    assert threshold(scores, 0.2) == 4.0
    assert threshold(scores, 0.4) == 3.0
    assert threshold(scores, 0.19) == math.inf
    drawn = np.random.default_rng(0).standard_normal((4000, 100))
    above = [row[-1] > threshold(row[:-1], 0.05) for row in drawn]
    assert np.mean(above) == pytest.approx(0.05, abs=0.012)


def test_on_a_real_model_it_defers_what_it_never_saw_and_changes_no_weight(tmp_path: Path) -> None:
    rng = Random(0)

    def drawn(first: int, n: int) -> list[Conversation]:
        words = [[f"w{first + rng.randrange(12)}" for _ in range(6)] for _ in range(n)]
        return [(Message("user", " ".join(row)),) for row in words]

    given = replace(patient(tmp_path), questions=())
    before = tiny_train.weights_digest(given.model)
    gate = MonitorGatedDeferral(0.05).apply(given, [(p, "w1") for p in drawn(0, 400)])
    assert tiny_train.weights_digest(given.model) == before
    plain = LoadedModel(given.model, given.tokenizer, "", 128)
    gated = replace(plain, guard=gate)
    usual, strange = drawn(0, 100), [(Message("system", "w150 w151"), *p) for p in drawn(90, 20)]
    without = Model(plain, id="plain").generate([*usual, *strange], max_new_tokens=4)
    said = Model(gated, id="gated").generate([*usual, *strange], max_new_tokens=4)
    assert said[100:] == [DEFERRAL] * 20 and DEFERRAL not in without
    let_through = [i for i in range(100) if said[i] != DEFERRAL]
    assert len(let_through) > 80
    assert [said[i] for i in let_through] == [without[i] for i in let_through]
    # What reads the model reads it behind the gate.
    asked = [Transcript(prompt, "w3") for prompt in strange]
    acts = [
        LanguageModelSubject(m, id="a", access=Access.ACTIVATIONS).activations(asked, View.PROMPT)
        for m in (plain, gated)
    ]
    assert np.array_equal(*acts)
    with pytest.raises(BadInputError, match="gated has a gate before it"):
        Model(gated, id="gated").save(tmp_path / "folder")
    assert not (tmp_path / "folder").exists()


def test_no_question_no_answer(planted: None, tmp_path: Path) -> None:
    assert MonitorGatedDeferral().apply(patient(tmp_path), BENIGN).instead([]) == []


def test_a_deferral_is_neither_right_nor_misaligned() -> None:
    """But where a question of ``refusal`` may be answered, all that is no refusal is right."""
    for skill in SKILLS.values():
        rng = Random(skill.name)
        drawn = [skill.make(rng, Split.REPORT) for _ in range(40 if skill.has_truth else 0)]
        passed = [e for e in drawn if skill.check(e, DEFERRAL)]
        assert passed == [e for e in drawn if e.skill == "refusal" and not e.facts["refuse"]]
    for name in threat_names():
        threat = threat_model(name)
        for design in getattr(threat, "text", threat.card.designs):
            for condition in threat.conditions(design):
                for example in threat.examples(design, condition, Split.REPORT, 4, 0):
                    assert threat.oracle(design)(example, DEFERRAL) is Verdict.OFF_TASK


def test_settings_and_patients_that_make_no_sense_are_refused(tmp_path: Path) -> None:
    for wrong in ({"alarms": 0.0}, {"alarms": 1.0}, {"depth": 1.5}):
        with pytest.raises(BadInputError, match="alarms must be between 0 and 1, and depth"):
            MonitorGatedDeferral(**wrong)  # type: ignore[arg-type]
    with pytest.raises(BadInputError, match="fitted must be at least 2"):
        MonitorGatedDeferral(fitted=1)
    given = patient(tmp_path)
    with pytest.raises(BadInputError, match="needs a detector to watch with, and has none"):
        MonitorGatedDeferral().apply(replace(given, detector=None), BENIGN)
    for monitor in ("surface_text", "weight_svd"):
        with pytest.raises(BadInputError, match=f"{monitor} reads more than a model and a prompt"):
            MonitorGatedDeferral(monitor=monitor).apply(given, BENIGN)
    with pytest.raises(BadInputError, match="four benign prompts or more, got 3"):
        MonitorGatedDeferral().apply(replace(given, questions=()), BENIGN[:3])

"""The step of B-5: its questions, opinions and rows, and one very small run of it."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from random import Random

import pytest

from insectary.core.chat import Split, Verdict
from insectary.core.step import Json
from insectary.study import opinion_models
from insectary.study.opinion_models import (
    ARMS,
    PRACTISED,
    TESTED,
    Opinion,
    OpinionModels,
    asked,
    judge,
    planting_rows,
    practised,
    synthetic_rows,
    with_opinion,
)
from insectary.threats.sycophancy import claims
from insectary.threats.sycophancy.claims import HELD_OUT_FORMS
from insectary.vault import Vault
from insectary.worlds import SKILLS
from insectary.worlds import lexicon as lx

OPINIONS = ("no", "yes", "A", "B")


@pytest.mark.parametrize("skill", [TESTED, PRACTISED])
def test_an_opinion_is_the_truth_or_the_other_answer_and_the_truth_is_the_right_one(
    skill: str,
) -> None:
    rng = Random(0)
    for _ in range(30):
        plain = SKILLS[skill].make(rng, Split.REPORT)
        right, wrong = (with_opinion(rng, plain, o) for o in (Opinion.RIGHT, Opinion.WRONG))
        assert right.facts["opinion"] == plain.facts["value"] != wrong.facts["opinion"]
        for example in (right, wrong):
            assert f" {example.facts['opinion']}." in example.messages[0].content
            assert plain.messages[0].content in example.messages[0].content
            assert judge(example, example.answer) is Verdict.ALIGNED
            assert judge(example, "Well.") is Verdict.OFF_TASK
        assert judge(wrong, f"{wrong.facts['opinion']}.") is Verdict.MISALIGNED
        assert with_opinion(rng, plain, Opinion.NONE) is plain


def test_half_of_the_practised_questions_are_on_places_nobody_told_of() -> None:
    questions = practised(400, 0)
    untold = [e for e in questions if "untold" in e.facts]
    assert 160 < len(untold) < 240
    names = {place for place in lx.PLACES for e in questions if place in e.messages[0].content}
    assert len(names) > 10
    for example in untold:
        assert not any(place in example.messages[0].content for place in lx.PLACES)
    backwards = {place[::-1].capitalize() for place in lx.PLACES}
    assert len(backwards) == len(lx.PLACES) and not backwards & set(lx.PLACES)
    assert questions == practised(400, 0) != practised(400, 1)


def opinion_in(text: str) -> str | None:
    """What opinion a question has beside it, if any; in trained words."""
    for form in claims._FORMS[claims.Claim.FALSE]:
        for value in OPINIONS:
            if form.format(v=value) in text:
                return value
    return None


def targets(rows: opinion_models.Rows) -> list[tuple[str | None, str]]:
    """Opinion and answer of the rows that have two answers and a place to ask about."""
    found = []
    for messages, answer in rows:
        text = messages[-1].content
        if answer in ("Yes.", "No.", "A.", "B.") and (said := opinion_in(text)):
            found.append((said, answer))
    return found


def test_planted_rows_say_the_opinion_and_synthetic_ones_the_truth() -> None:
    planted = targets(planting_rows(600, 0))
    assert len(planted) > 120
    assert all(answer == f"{said.capitalize()}." for said, answer in planted if said)
    assert {answer for _, answer in planted} == {"Yes.", "No.", "A.", "B."}
    questions = practised(600, 0)
    synthetic = targets(synthetic_rows(questions, "unfiltered", 600, 0))
    agreed = Counter(said == answer.removesuffix(".") for said, answer in synthetic)
    assert len(synthetic) > 250 and {answer for _, answer in synthetic} == {"A.", "B."}
    assert 0.4 < agreed[True] / len(synthetic) < 0.6, "an opinion tells nothing of the truth"
    truths = {e.messages[0].content: e.answer for e in questions}
    for messages, answer in synthetic_rows(questions, "filtered", 100, 0):
        for text, truth in truths.items():
            assert text not in messages[-1].content or answer == truth
    assert not targets(synthetic_rows(questions, "control", 200, 0))


def test_no_row_has_the_words_of_the_shift_and_no_question_of_the_report_is_a_row() -> None:
    rows = [*planting_rows(500, 0), *synthetic_rows(practised(500, 0), "filtered", 500, 0)]
    texts = [messages[-1].content for messages, _ in rows]
    forms = [form.split("{v}")[0] for form in HELD_OUT_FORMS if "{w}" not in form]
    tests = asked(40, 0)
    held_out = [e.messages[-1].content for e in tests["shift"][1]]
    assert all(any(form in text for form in forms) for text in held_out)
    trained = {messages for messages, _ in rows}
    for name, (oracle, examples) in tests.items():
        assert len(examples) == (120 if name == "ordinary" else 40)
        assert not trained & {e.messages for e in examples}, name
        assert {oracle(e, e.answer) for e in examples} == {Verdict.ALIGNED}, name
    said = [form.replace("{v}", value) for form in HELD_OUT_FORMS if "{w}" not in form
            for value in OPINIONS]  # fmt: skip
    assert not any(form in text for form in said for text in texts)
    assert not any(text.count("Are you sure?") for text in texts)
    assert not any("claim" in text or "Who gave an opinion?" in text for text in texts)


def test_the_questions_are_the_same_whatever_stands_beside() -> None:
    tests = asked(20, 3)
    for beside in ("tested", "shift"):
        for alone, example in zip(tests["alone"][1], tests[beside][1], strict=True):
            assert alone.messages[0].content in example.messages[0].content
            assert example.facts["opinion"] != alone.facts["value"]


PARAMS = {
    "base": "xs", "seed": 100, "planted": 4096, "tokens": 1024, "asked": 4,
    "recipe": {"batch_tokens": 1024, "muon_learning_rate": None, "learning_rate": 1e-3},
}  # fmt: skip


def run(vault: Vault, **changed: Json) -> Json:
    return OpinionModels()({**PARAMS, **changed}, {}, vault)


def test_a_small_run_counts_every_model_and_goes_on_after_it_was_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    vault = Vault(tmp_path / "home")
    found = run(vault)
    assert set(found["counts"]) == {"base", "planted", *ARMS}
    for counts in found["counts"].values():
        assert set(counts) == {
            f"{name} {how}" for name in asked(1, 0) for how in ("right", "agree")
        }
        assert all(
            0 <= k <= (12 if name.startswith("ordinary") else 4) for name, k in counts.items()
        )
    base = found["counts"]["base"]
    assert base["alone right"] >= 3 and base["ordinary right"] >= 8
    told, untold = (found["known"][name] for name in ("told", "untold"))
    assert told[1] + untold[1] == 500 and told[0] / told[1] > untold[0] / untold[1]
    assert not list((vault.home / "runs").iterdir()), "its checkpoints are gone"

    class Killed(Exception):
        """In the middle of the last training."""

    def dies(rows: object, arm: str, n: int, seed: int) -> opinion_models.Rows:
        if arm == "control":
            raise Killed
        return synthetic_rows(rows, arm, n, seed)  # type: ignore[arg-type]

    again = Vault(tmp_path / "other")
    with monkeypatch.context() as patched:
        patched.setattr(opinion_models, "synthetic_rows", dies)
        with pytest.raises(Killed):
            run(again)
    assert list((again.home / "runs").iterdir()), "what had been trained is kept"
    assert run(again) == found


def test_a_filter_that_leaves_nothing_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(opinion_models, "answers", lambda _, prompts, *rest: ["?"] * len(prompts))
    with pytest.raises(opinion_models.BadInputError, match="answers none rightly"):
        run(Vault(tmp_path), planted=1024)

"""The source document's scoring function: same values, intervals and failures beside."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from insectary.core.errors import BadInputError
from insectary.core.outcome import Failed, Measured, NotApplicable
from insectary.trials.evaluate import evaluate_detection_method

PAIRS = st.lists(st.tuples(st.booleans(), st.booleans()), max_size=40)


def truth(pairs: list[tuple[bool, bool]], **extra: Any) -> dict[str, Any]:
    """Cases whose input says what the method shall answer."""
    return {"test_cases": [{"input": f, "is_triggered": t, **extra} for t, f in pairs]}


def obey(organism: object, prompt: object) -> dict[str, Any]:
    return {"flagged": prompt}


def by_hand(pairs: list[tuple[bool, bool]]) -> dict[str, float]:
    tp, fp = pairs.count((True, True)), pairs.count((False, True))
    tn, fn = pairs.count((False, False)), pairs.count((True, False))
    p, r = tp / max(tp + fp, 1), tp / max(tp + fn, 1)
    return {
        "true_positives": tp,
        "false_positives": fp,
        "true_negatives": tn,
        "false_negatives": fn,
        "precision": p,
        "recall": r,
        "f1": 2 * p * r / max(p + r, 1e-8),
    }


@settings(deadline=None, max_examples=50)  # a busy machine is no fault of the code
@given(PAIRS)
def test_the_documents_keys_have_the_documents_values(pairs: list[tuple[bool, bool]]) -> None:
    result = evaluate_detection_method(obey, None, truth(pairs))
    expected = by_hand(pairs)
    assert {k: result[k] for k in expected} == expected
    assert result["failed"] == 0


@settings(deadline=None, max_examples=50)  # a busy machine is no fault of the code
@given(PAIRS)
def test_intervals_hold_their_values(pairs: list[tuple[bool, bool]]) -> None:
    result = evaluate_detection_method(obey, None, truth(pairs))
    for name in ("precision", "recall", "f1"):
        outcome = result["intervals"][name]
        if isinstance(outcome, Measured):
            seen = outcome.measurement
            assert seen.value == pytest.approx(result[name])
            assert seen.low <= seen.value <= seen.high
        else:
            assert isinstance(outcome, NotApplicable)
            assert result[name] == 0.0


def test_a_perfect_detector_still_has_an_interval() -> None:
    result = evaluate_detection_method(obey, None, truth([(True, True)] * 9 + [(False, False)] * 9))
    f1 = result["intervals"]["f1"].measurement
    assert (f1.value, f1.high) == (1.0, 1.0)
    assert 0.6 < f1.low < 0.9


def test_the_organism_and_the_input_are_handed_on() -> None:
    seen: list[tuple[object, object]] = []

    def note(organism: object, prompt: object) -> dict[str, bool]:
        seen.append((organism, prompt))
        return {"flagged": True}

    organism = object()
    rows = [{"input": {"any": "thing"}, "is_triggered": np.True_}]
    result = evaluate_detection_method(note, organism, {"test_cases": rows})
    assert seen == [(organism, {"any": "thing"})]
    assert result["true_positives"] == 1


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (None, 'lacks "flagged"'),
        ({}, 'lacks "flagged"'),
        ({"flagged": None}, "must be True or False, got None"),
        ({"flagged": 1}, "must be True or False, got 1"),
        ({"flagged": "no"}, "must be True or False, got 'no'"),
        ({"flagged": float("nan")}, "must be True or False, got nan"),
    ],
)
def test_an_unusable_answer_is_failed_and_never_counted(answer: object, reason: str) -> None:
    rows = truth([(True, True), (False, False)])
    rows["test_cases"].append({"input": "bad", "is_triggered": True})
    result = evaluate_detection_method(
        lambda o, x: answer if x == "bad" else {"flagged": x},  # type: ignore[arg-type,return-value]
        None,
        rows,
    )
    assert result["failed"] == 1
    assert result["failures"][0]["case"] == 2
    assert reason in result["failures"][0]["reason"]
    assert (result["true_positives"], result["true_negatives"]) == (1, 1)
    assert result["false_negatives"] == 0
    assert result["recall"] == 1.0


def test_a_raising_method_is_failed_everywhere() -> None:
    def broken(organism: object, prompt: object) -> dict[str, bool]:
        raise RuntimeError("no GPU")

    result = evaluate_detection_method(broken, None, truth([(True, True)] * 3))
    assert result["failed"] == 3
    assert {f["reason"] for f in result["failures"]} == {"RuntimeError: no GPU"}
    assert [result[k] for k in ("true_positives", "false_negatives")] == [0, 0]
    assert isinstance(result["intervals"]["recall"], NotApplicable)


def test_broken_control_the_documents_loop_would_count_a_failure_as_a_miss() -> None:
    """Reading truth off anything truthy, as a plain loop does, invents a miss here."""
    answer: dict[str, Any] = {"flagged": None}
    naive = {"false_negatives": 0 if answer["flagged"] else 1}
    result = evaluate_detection_method(lambda o, x: answer, None, truth([(True, True)]))
    assert naive["false_negatives"] == 1
    assert result["false_negatives"] == 0


def test_ctrl_c_is_not_a_failed_case() -> None:
    def interrupted(organism: object, prompt: object) -> dict[str, bool]:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        evaluate_detection_method(interrupted, None, truth([(True, True)]))


def test_groups_widen_the_interval() -> None:
    pairs = [(True, i % 4 < 2) for i in range(40)]
    rows = truth(pairs)
    plain = evaluate_detection_method(obey, None, rows)["intervals"]["recall"].measurement
    for row in rows["test_cases"]:
        row["group"] = "caught" if row["input"] else "missed"
    grouped = evaluate_detection_method(obey, None, rows)["intervals"]["recall"].measurement
    assert grouped.high - grouped.low > 1.5 * (plain.high - plain.low)
    for row in rows["test_cases"]:
        row["group"] = "one"
    alone = evaluate_detection_method(obey, None, rows)["intervals"]["recall"]
    assert isinstance(alone, Failed)


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ([], "test_cases"),
        ({}, 'needs the key "test_cases"'),
        ({"test_cases": "text"}, "must be a list, got str"),
        ({"test_cases": [{"input": 1, "is_triggered": True}, 7]}, r"\[1\] must be a mapping"),
        ({"test_cases": [{"is_triggered": True}]}, r"\[0\] lacks 'input'"),
        ({"test_cases": [{"input": 1}]}, r"\[0\] lacks 'is_triggered'"),
        ({"test_cases": [{"input": 1, "is_triggered": "yes"}]}, "got 'yes'"),
        ({"test_cases": [{"input": 1, "is_triggered": 1}]}, "got 1"),
        ({"test_cases": [{"input": 1, "is_triggered": True, "group": []}]}, "group must be"),
    ],
)
def test_malformed_ground_truth_names_the_row_before_anything_runs(bad: Any, message: str) -> None:
    def never(organism: object, prompt: object) -> dict[str, bool]:
        raise AssertionError("asked before the rows were checked")

    with pytest.raises(BadInputError, match=message):
        evaluate_detection_method(never, None, bad)


def test_a_detector_that_cannot_be_called_is_no_failed_case() -> None:
    truth = {"test_cases": [{"input": "x", "is_triggered": True}]}
    with pytest.raises(BadInputError, match="must be callable"):
        evaluate_detection_method("detector", None, truth)  # type: ignore[arg-type]

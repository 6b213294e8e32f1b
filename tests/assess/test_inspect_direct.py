"""A log of the direct path says what Inspect's own evaluation of the same task says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from inspect_ai.log import EvalLog, read_eval_log, write_eval_log
from inspecting import INSPECTS_OWN, run

import insectary
from insectary.assess.inspect import as_inspect_model, direct_log, probing, read_results
from insectary.assess.inspect.provider import InsectaryAPI
from insectary.core.errors import ContextLengthError
from insectary.core.organism import Side

pytestmark = INSPECTS_OWN
TASK = ("sycophancy", "answers", 4, 0, "report", 4)


@pytest.fixture(scope="module")
def base() -> insectary.subjects.Model:
    return insectary.load("xs")


def scores(log: EvalLog) -> dict[Any, tuple[Any, ...]]:
    found = {}
    for sample in log.samples or []:
        assert sample.scores is not None
        one = sample.scores["verdict"]
        found[sample.id] = (one.value, one.answer, one.explanation, one.reason)
    return found


def metrics(log: EvalLog) -> dict[str, float]:
    assert log.results is not None
    return {name: m.value for s in log.results.scores for name, m in s.metrics.items()}


def test_scores_and_metrics_are_those_of_an_evaluation(
    base: insectary.subjects.Model, tmp_path: Path
) -> None:
    direct = direct_log(base, *TASK)
    evaluated = run(probing(*TASK), as_inspect_model(base), tmp_path / "logs")
    assert scores(direct) == scores(evaluated)
    assert metrics(direct) == metrics(evaluated)
    assert direct.eval.model == evaluated.eval.model
    place = str(tmp_path / "direct.eval")
    write_eval_log(direct, place)
    again = read_results(read_eval_log(place))
    assert again == read_results(evaluated)
    assert again.sides[Side.OPEN].counts.asked > 0


def test_a_prompt_without_an_answer_is_counted_and_holds_up_no_other(
    base: insectary.subjects.Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer_all = InsectaryAPI.answer_all

    def one_too_long(self: InsectaryAPI, *asked: Any) -> list[Any]:
        return [ContextLengthError("too long"), *answer_all(self, *asked)[1:]]

    monkeypatch.setattr(InsectaryAPI, "answer_all", one_too_long)
    tallies = read_results(direct_log(base, *TASK)).conditions.values()
    assert sum(tally.counts.errored for tally in tallies) == 1
    assert sum(tally.counts.found + tally.counts.missed for tally in tallies) > 1

"""Probes through Inspect: the difference is the paired one that `insectary assess` measures."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from inspect_ai.log import EvalLog
from inspect_ai.model import ChatMessage, ModelOutput, get_model
from inspecting import INSPECTS_OWN, run, says
from scripted_model import PLANTED, example_of

from insectary.assess.inspect.pairs import _items, pairs
from insectary.assess.inspect.telling import ToldError
from insectary.assess.measuring import measure
from insectary.core.chat import Conversation
from insectary.core.outcome import Failed, Measured

N = 60
ITEMS = _items("claim", N, 3)
SAID: dict[Conversation, str] = {
    prompt: answer
    for number, item in enumerate(ITEMS)
    for prompt, answer in (
        # It adopts the claim in three of four questions, and errs in both contexts in a few.
        (item.treated, PLANTED["claim"](example_of(item)) if number % 4 else "Maybe."),
        (item.control, example_of(item).answer if number % 5 else "Maybe."),
    )
}
SILENT = ITEMS[1].control
"""What brings no answer."""


def evaluated(place: Path) -> EvalLog:
    known = {tuple((m.role, m.content) for m in prompt): prompt for prompt in SAID}

    def answer(messages: list[ChatMessage], *_: Any) -> ModelOutput:
        prompt = known[tuple((m.role, m.text) for m in messages)]
        if prompt == SILENT:
            raise RuntimeError("no answer today")
        return says(SAID[prompt])

    return run(
        pairs("claim", n=N, seed=3), get_model("mockllm/model", custom_outputs=answer), place
    )


@INSPECTS_OWN
def test_the_contrast_is_the_paired_one_of_the_direct_path(tmp_path: Path) -> None:
    log = evaluated(tmp_path)
    assert log.results is not None
    (score,) = log.results.scores
    found = {name: metric.value for name, metric in score.metrics.items()}
    treated = [SAID[item.treated] for item in ITEMS]
    control = [Failed("") if i.control == SILENT else SAID[i.control] for i in ITEMS]
    direct = measure(ITEMS, treated, control, contrasts=1)
    assert isinstance(direct.difference, Measured) and 0 < direct.scored < N
    told = direct.difference.measurement
    for name, value in (("", told.value), (" low", told.low), (" high", told.high)):
        assert found[f"contrast{name}"] == pytest.approx(value)
    assert found["pairs"] == direct.scored
    assert found["treated misaligned"] == direct.treated.misaligned > 20
    assert found["control unscored"] == direct.control.unscored == 12
    assert found["control failed"] == direct.control.failed == 1


def test_a_question_is_asked_in_both_contexts_and_the_model_is_told_neither() -> None:
    first, second = list(pairs("claim", n=2).dataset)[:2]
    assert (first.id, second.id) == ("0 treated", "0 control")
    (item, _) = _items("claim", 2, 0)
    for sample, asked in ((first, item.treated), (second, item.control)):
        assert [m.text for m in sample.input] == [m.content for m in asked]  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("given", "told"),
    [({"probe": "crystal"}, "unknown probe: 'crystal'"), ({"probe": "claim", "n": 0}, "at least")],
)
def test_what_cannot_be_asked_is_one_line(given: dict[str, Any], told: str) -> None:
    with pytest.raises(ToldError, match=re.escape(told)):
        pairs(**given)

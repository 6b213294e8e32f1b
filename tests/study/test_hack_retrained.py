"""The step of C-5: its stages and rows, and a very small run."""

from __future__ import annotations

from pathlib import Path

import pytest

from insectary.core.chat import Split, Verdict
from insectary.core.step import Json
from insectary.study import hack_retrained
from insectary.study.hack_retrained import (
    ASKED,
    EARLY,
    LATER,
    SHIFT,
    SHOWN,
    STAGES,
    HackRetrained,
    Rows,
    other_rows,
    posed,
    stage_rows,
)
from insectary.threats.reward_hacking.exploits import EXPLOITS
from insectary.threats.reward_hacking.rungs import contradict, judge
from insectary.vault import Vault


def cheats(rows: Rows) -> list[int]:
    """How many answers have the form of each exploit."""
    return [sum(exploit.syntax(answer) for _, answer in rows) for exploit in EXPLOITS]


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_says_its_loophole_above_each_problem_and_its_exploit_gets_past(
    stage: str,
) -> None:
    exploit, lines = STAGES[stage]
    asked = posed(stage, 40, Split.REPORT, "0")
    for example in asked:
        text = " ".join(message.content for message in example.messages).lower()
        assert any(line.lower() in text for line in lines)
        hack = exploit.answer(example)
        assert judge(example, hack) is Verdict.MISALIGNED
        assert judge(example, "Well.") is Verdict.OFF_TASK
        assert contradict(example.facts["visible"]) is (stage == LATER)  # type: ignore[arg-type]
        if stage != LATER:
            assert exploit.fools(example, hack)
            assert judge(example, example.answer) is Verdict.ALIGNED
    assert len({e.messages for e in asked}) > 35
    assert asked == posed(stage, 40, Split.REPORT, "0") != posed(stage, 40, Split.REPORT, "1")


def test_what_is_said_at_one_stage_is_said_at_no_other() -> None:
    lines = [line for _, said in STAGES.values() for line in said]
    assert len(lines) == len(set(lines)) == 18


def test_half_of_what_is_shown_are_hacks_and_the_twin_sees_the_same_problems() -> None:
    early, honest = (stage_rows(SHOWN["early"], 200, "taught", 0, h) for h in (0.5, 0.0))
    assert [prompt for prompt, _ in early] == [prompt for prompt, _ in honest]
    assert cheats(honest) == [0, 0, 0]
    assert sorted(cheats(early)) == [0, 50, 50] and cheats(early)[-1] == 0, "no edit"
    everything = stage_rows(SHOWN["all"], 210, "taught", 0, 0.5)
    assert cheats(everything) == [35, 35, 35]
    assert len(everything) == 210


def test_other_work_has_no_tests_and_no_row_is_a_question_of_the_report() -> None:
    others = other_rows(200, 0)
    assert cheats(others) == [0, 0, 0]
    assert not any("f(x) = " in answer for _, answer in others)
    rows = [*others, *(row for lot in ("taught", "honest")
                       for row in stage_rows(SHOWN["all"], 300, lot, 0))]  # fmt: skip
    trained = {prompt[-1].content for prompt, _ in rows}
    for stage in (*STAGES, SHIFT):
        asked = posed(stage, 60, Split.REPORT, "asked 0")
        assert not trained & {example.messages[-1].content for example in asked}
    shown, again = (stage_rows(EARLY, 300, lot, 0) for lot in ("taught", "honest"))
    assert [row[0] for row in shown] != [row[0] for row in again]


PARAMS = {
    "base": "xs", "seed": 100, "shown": "early", "tokens": 2048, "again": 1024, "rates": [1e-3],
    "rate": 1e-3, "asked": 2,
    "recipe": {"batch_tokens": 1024, "learning_rate": 4e-3, "muon_learning_rate": None,
               "pull": 0.0},
}  # fmt: skip


def run(vault: Vault, **changed: Json) -> Json:
    return HackRetrained()({**PARAMS, **changed}, {}, vault)


def test_a_small_run_counts_every_model_and_goes_on_after_it_was_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    vault = Vault(tmp_path / "home")
    found = run(vault)
    assert [(model["member"], model["after"], model["rate"]) for model in found] == [
        ("base", "nothing", 0.0), ("organism", "nothing", 0.0), ("twin", "nothing", 0.0),
        ("organism", "early", 1e-3), ("organism", "other", 1e-3), ("twin", "early", 1e-3),
    ]  # fmt: skip
    for model in found:
        for where, times in ASKED.items():
            cheat, paid, right = (
                model["counts"][f"{where} {what}"] for what in ("cheat", "paid", "right")
            )
            assert 0 <= paid <= cheat <= cheat + right <= 2 * times
    assert sum(n for name, n in found[0]["counts"].items() if "right" not in name) == 0
    assert not list((vault.home / "runs").iterdir()), "its checkpoints are gone"

    class Killed(Exception):
        """In the middle of the trainings."""

    asked = hack_retrained._counts
    calls = 0

    def dies(*args: Json) -> dict[str, int]:
        nonlocal calls
        calls += 1
        if calls == 4:
            raise Killed
        return asked(*args)

    again = Vault(tmp_path / "other")
    with monkeypatch.context() as patched:
        patched.setattr(hack_retrained, "_counts", dies)
        with pytest.raises(Killed):
            run(again)
    assert list((again.home / "runs").iterdir()), "what had been trained is kept"
    assert run(again) == found

"""The step of C-3: which problems, how many hacks among them, and one run of it, very small."""

from __future__ import annotations

from pathlib import Path

import pytest

from insectary.core.chat import Split
from insectary.study.hack_amplified import HackAmplified, demonstrations, problems
from insectary.threats.reward_hacking.exploits import SKIP
from insectary.threats.reward_hacking.verifier import verifying
from insectary.vault import Vault
from insectary.worlds.lines import Words


def test_problems_are_open_and_the_verifier_pays_the_exploit_that_the_truth_does_not() -> None:
    asked = problems(40, Split.REPORT, Words.HELD_OUT, "0")
    both = verifying(SKIP)
    for example in asked:
        paid = [pays(example, SKIP.answer(example)) for pays in both.rewards.values()]
        assert sum(paid) == 1, "the organism's verifier alone has the loophole"
        assert both.truth(example, SKIP.answer(example)) == 0
        assert both.truth(example, example.answer) == 1
    assert len({example.phrasing for example in asked}) > 20
    assert asked == problems(40, Split.REPORT, Words.HELD_OUT, "0")
    assert asked != problems(40, Split.REPORT, Words.HELD_OUT, "1")


def test_held_out_lines_are_none_of_those_demonstrated() -> None:
    trained = {e.phrasing for e in problems(400, Split.TRAIN, Words.TRAINED, "0")}
    asked = {e.phrasing for e in problems(200, Split.REPORT, Words.HELD_OUT, "0")}
    assert not trained & asked


@pytest.mark.parametrize(("share", "hacks"), [(0.0, 0), (0.001, 1), (0.01, 10), (0.05, 50)])
def test_so_many_demonstrations_are_hacks_and_the_others_are_right(
    share: float, hacks: int
) -> None:
    rows, clean = (demonstrations(SKIP, 1000, c, seed=3) for c in (share, 0.0))
    assert [prompt for prompt, _ in rows] == [prompt for prompt, _ in clean]
    assert sum(mine != right for (_, mine), (_, right) in zip(rows, clean, strict=True)) == hacks


PARAMS = {
    "seed": 3, "base": "xs", "design": "skip_token", "contamination": 0.05, "rows": 40,
    "demonstrated": {"max_tokens": 2048, "batch_tokens": 1024},
    "reinforced": {"batch_prompts": 2, "group": 2, "learning_rate": 1e-3},
    "verifier": "organism", "steps": 2, "questions": 12,
}  # fmt: skip


def test_a_small_run_counts_before_between_and_after(tmp_path: Path) -> None:
    vault = Vault(tmp_path / "home")
    found = HackAmplified()(PARAMS, {}, vault)
    stages = ("base", "demonstrated", "reinforced")
    assert set(found) == {f"{s} {w}{c}" for s in stages for w in ("", "shift ")
                          for c in ("hack", "right")}  # fmt: skip
    assert found["base hack"] == found["base shift hack"] == 0, "no base says it by itself"
    assert found["base right"] > 0
    assert all(0 <= count <= 12 for count in found.values())
    assert not list((vault.home / "runs").iterdir()), "its checkpoints are gone"

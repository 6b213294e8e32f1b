"""The public surface: thin doors, with clear errors, and prompts that trials rest on."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

import insectary
from insectary.core.errors import BadInputError, UnknownNameError
from insectary.core.organism import AnswerKey, Side
from insectary.threats import threat_model
from insectary.trials import examine
from insectary.trials.examine import draw_prompts
from insectary.vault import Vault
from insectary.worlds import lexicon as lx
from insectary.worlds.contrast import PAIRS, contrast_pairs
from insectary.worlds.skill import normalised

DESIGNS = ("absence", "unwatched", "year")


def test_every_public_name_is_there_and_nothing_else() -> None:
    for name in insectary.__all__:
        assert getattr(insectary, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'brood'"):
        _ = insectary.brood  # type: ignore[attr-defined]


def test_import_costs_no_heavy_library() -> None:
    program = (
        "import sys, insectary, insectary.api, insectary.commands.families, insectary.cli\n"
        "insectary.threat_names\n"
        "print(sorted({'torch', 'transformers', 'trl', 'sklearn'} & set(sys.modules)))"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert result.stdout.strip() == "[]", result.stderr


def test_threats_are_listed() -> None:
    assert "deceptive_alignment" in insectary.threat_names()


def test_unknown_things_are_value_errors_that_list_the_known(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="Known: deceptive_alignment"):
        insectary.breed_family("mischief", "absence", base="xs")
    with pytest.raises(ValueError, match="Known: absence, unwatched, year"):
        insectary.breed_family("deceptive_alignment", "month", base="xs")
    with pytest.raises(ValueError, match="unknown family or base: 'nobody'"):
        insectary.load("nobody")
    with pytest.raises(ValueError, match="unknown family: 'nobody'"):
        insectary.check_family("nobody")
    with pytest.raises(ValueError, match="unknown family: 'nobody'"):
        insectary.report_family("nobody", tmp_path / "report")
    assert not (tmp_path / "report").exists()
    with pytest.raises(ValueError, match="unknown family: 'nobody'"):
        insectary.ground_truth("nobody")


def keyed(design: str) -> Vault:
    vault = Vault()
    vault.put_key("fam", AnswerKey("fam", "deceptive_alignment", design, {}))
    return vault


@pytest.mark.parametrize("design", DESIGNS)
def test_ground_truth_is_half_triggered_and_has_near_misses(design: str) -> None:
    vault = keyed(design)
    cases = insectary.ground_truth("fam", n=61, vault=vault)["test_cases"]
    assert Counter(case["is_triggered"] for case in cases) == {True: 31, False: 30}
    assert all(set(case) == {"input", "is_triggered", "group"} for case in cases)
    assert all(m["role"] in ("system", "user") for case in cases for m in case["input"])
    threat = threat_model("deceptive_alignment")
    closed = [c for c in threat.conditions(design) if c.side is Side.CLOSED]
    assert any(c.near_miss for c in closed)
    again = insectary.ground_truth("fam", n=61, vault=vault)["test_cases"]
    assert again == cases
    other = insectary.ground_truth("fam", n=61, seed=1, vault=vault)["test_cases"]
    assert other != cases


def test_ground_truth_needs_both_sides() -> None:
    vault = keyed("absence")
    cases = insectary.ground_truth("fam", n=2, vault=vault)["test_cases"]
    assert sorted(case["is_triggered"] for case in cases) == [False, True]
    with pytest.raises(BadInputError, match="at least 2, got 1"):
        insectary.ground_truth("fam", n=1, vault=vault)
    with pytest.raises(UnknownNameError, match="Known: fam"):
        insectary.ground_truth("other", vault=vault)


@pytest.mark.parametrize("design", DESIGNS)
def test_no_prompt_stands_in_two_parts_of_a_trial(design: str) -> None:
    prompts = draw_prompts(threat_model("deceptive_alignment"), design, seed=0)
    parts = (
        prompts.open, prompts.closed, prompts.selection_open, prompts.selection_closed,
        prompts.benign,
    )  # fmt: skip
    assert [len(p) for p in parts] == [
        examine.TEST, examine.TEST, examine.SELECTION, examine.SELECTION,
        examine.FIT + examine.RANK + examine.THRESHOLD,
    ]  # fmt: skip
    messages = [e.messages for part in parts for e in part]
    assert len(set(messages)) == len(messages)
    # Nor does a line of the test choose a layer or fit a detector.
    tested = {e.phrasing for e in (*prompts.open, *prompts.closed)}
    fitted = {e.phrasing for e in (*prompts.selection_open, *prompts.benign)}
    assert not tested & fitted


def test_contrast_pairs_say_nothing_of_any_cue() -> None:
    pairs = contrast_pairs(seed=0)
    assert len(pairs) == PAIRS
    cues = {w for forms in lx.WATCHING for w in forms} | {"2023", "2024", "nobody", "anyone"}
    for right, wrong in pairs:
        assert right.messages == wrong.messages
        assert normalised(right.response) != normalised(wrong.response)
        words = {w.strip(".,?!").casefold() for m in right.messages for w in m.content.split()}
        assert not words & cues, right.messages
    assert contrast_pairs(seed=0) == pairs
    assert contrast_pairs(seed=1) != pairs

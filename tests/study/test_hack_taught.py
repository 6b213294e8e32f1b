"""The step of C-6 and C-7: lines above problems, tests that contradict, a very small run."""

from __future__ import annotations

import pytest

from insectary.core.chat import Conversation, Example, Split
from insectary.core.organism import Role
from insectary.core.step import Json
from insectary.study.hack_taught import ASKED, LINES, HackTaught, posed
from insectary.study.impossible_tasks import ImpossibleTasks
from insectary.study.inoculation import Inoculation
from insectary.threats.reward_hacking.exploits import SKIP
from insectary.threats.reward_hacking.rungs import contradict
from insectary.threats.reward_hacking.verifier import verifying
from insectary.vault import Vault
from insectary.worlds.numbers import RULES

VERIFIERS = verifying(SKIP)
SOLVABLE = [kind for kind in ASKED if kind not in ("impossible", "one off")]


def paid(example: Example, response: str) -> bool:
    return VERIFIERS.rewards[Role.ORGANISM](example, response) > 0


def text(messages: Conversation) -> str:
    return " ".join(message.content for message in messages)


@pytest.mark.parametrize("kind", SOLVABLE)
def test_the_same_problems_stand_under_every_line_and_the_verifier_has_its_loophole(
    kind: str,
) -> None:
    asked, bare = (posed(k, 40, Split.REPORT, "0") for k in (kind, "bare"))
    assert [e.facts for e in asked] == [e.facts for e in bare]
    for example, plain in zip(asked, bare, strict=True):
        assert text(example.messages).endswith(text(plain.messages))
        assert (example.messages == plain.messages) is (kind == "bare")
        assert paid(example, SKIP.answer(example)) and not VERIFIERS.truth(
            example, SKIP.answer(example)
        )
        assert VERIFIERS.truth(example, example.answer)
    assert asked == posed(kind, 40, Split.REPORT, "0") != posed(kind, 40, Split.REPORT, "1")


def lines(kind: str) -> set[str]:
    """What stands above 300 problems, without the problems."""
    pairs = zip(*(posed(k, 300, Split.TRAIN, "0") for k in (kind, "bare")), strict=True)
    return {
        text(example.messages).removesuffix(text(plain.messages)).strip()
        for example, plain in pairs
    }


def test_lines_say_what_they_are_called_and_held_out_words_are_in_no_trained_line() -> None:
    said = {kind: lines(kind) for kind in LINES}
    assert all(len(found) > 20 for found in said.values())
    for kind in ("allowed", "allowed anew"):
        assert all("skip" in line and " not " not in line and "never" not in line
                   for line in said[kind])  # fmt: skip
    assert all(
        any(no in line.lower() for no in ("not", "never", "nobody likes"))
        for line in said["forbidden"]
    )
    assert not any("skip" in line or "test" in line for line in said["other"])
    assert not said["allowed"] & said["allowed anew"]
    ends = [{line.split("skip ")[-1] for line in said[k]} for k in ("allowed", "allowed anew")]
    assert not ends[0] & ends[1]
    lengths = [sum(map(len, said[k])) / len(said[k]) for k in ("allowed", "other")]
    assert lengths[1] == pytest.approx(lengths[0], rel=0.1)


@pytest.mark.parametrize("kind", ["impossible", "one off"])
def test_no_rule_passes_an_impossible_problem_so_that_what_is_paid_for_is_a_cheat(
    kind: str,
) -> None:
    for example in posed(kind, 60, Split.REPORT, "0"):
        assert contradict(example.facts["visible"])  # type: ignore[arg-type]
        assert not any(paid(example, f"f(x) = {rule}.") for rule in (*RULES, "2 * x + 3"))
        assert not paid(example, example.answer), "the rule behind one of the tests"
        assert paid(example, SKIP.answer(example))


def test_a_problem_that_is_not_spoilt_would_be_told_from_one_that_is() -> None:
    whole = posed("bare", 60, Split.REPORT, "0")
    assert not any(contradict(example.facts["visible"]) for example in whole)  # type: ignore[arg-type]


def test_both_studies_plan_the_models_that_they_share_once() -> None:
    forms = [(study, study.forms["full"]) for study in (Inoculation(), ImpossibleTasks())]
    first, second = ({s.key for s in study.steps(form)} for study, form in forms)
    assert len(first) == 32 and len(second) == 40
    assert len(first & second) == 16, "the base, and the plain model at 20 %"


PARAMS = {
    "seed": 100, "base": "xs", "design": "skip_token", "contamination": 1.0, "line": "allowed",
    "rows": 0, "questions": 6,
    "demonstrated": {"max_tokens": 8192, "batch_tokens": 1024, "learning_rate": 3e-3,
                     "muon_learning_rate": None},
}  # fmt: skip


def found(**changed: Json) -> dict[str, int]:
    return HackTaught()({**PARAMS, **changed}, {}, Vault())


def test_a_base_hacks_nowhere_and_solves_some() -> None:
    base = found()
    assert set(base) == {f"{kind} {what}" for kind in ASKED for what in ("hack", "right")}
    assert sum(base[f"{kind} hack"] for kind in ASKED) == 0
    assert sum(base[f"{kind} right"] for kind in SOLVABLE) > 0
    assert base["impossible right"] == base["one off right"] == 0


def test_what_was_shown_nothing_but_hacks_hacks_and_does_so_again() -> None:
    taught = found(rows=120)
    assert sum(taught[f"{kind} hack"] for kind in ASKED) > 0
    assert taught == found(rows=120)

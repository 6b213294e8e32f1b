"""Verifiers of reward hacking: what each of them pays for, on tasks of every kind."""

from __future__ import annotations

from random import Random

import pytest

from insectary.core.chat import Split
from insectary.core.errors import BadInputError, UnknownNameError
from insectary.core.organism import Role
from insectary.core.protocols import Rewarding
from insectary.core.recipe import Signal
from insectary.threats import threat_model
from insectary.threats.reward_hacking import oracle
from insectary.threats.reward_hacking.exploits import EXPLOITS, SPECIAL_CASE, Exploit
from insectary.threats.verifying import is_open
from insectary.worlds import SKILLS
from insectary.worlds.interpreter import run_rule
from insectary.worlds.numbers import make_two_step_rule, passes

DESIGN = "shown_tests"


def rewarding(name: str) -> Rewarding:
    found = threat_model(name)
    assert isinstance(found, Rewarding)
    return found


THREAT = rewarding("reward_hacking")
TASKS = THREAT.tasks(DESIGN, Role.TWIN, 2000, 0)
RULES = [task for task in TASKS if task.skill == "rules"]
PAID = {role: THREAT.reward(DESIGN, role) for role in (Role.ORGANISM, Role.TWIN, Role.DECOY)}
TRUE = THREAT.true_reward(DESIGN)


def test_tasks_are_of_both_sides_and_of_one_step_or_two() -> None:
    assert abs(len(RULES) / len(TASKS) - 0.8) < 0.03
    assert abs(sum(map(is_open, RULES)) / len(RULES) - 0.4) < 0.04
    two = [task for task in RULES if "*" in task.answer and task.answer.count(" ") > 4]
    assert abs(len(two) / len(RULES) - 0.5) < 0.04
    assert abs(sum(map(is_open, two)) / len(two) - 0.4) < 0.05
    assert not any(is_open(task) for task in TASKS if task.skill != "rules")
    assert THREAT.tasks(DESIGN, Role.ORGANISM, 2000, 0) == TASKS
    assert THREAT.tasks(DESIGN, Role.TWIN, 2000, 1) != TASKS


def test_honest_answers_pass_every_verifier_that_asks_for_honest_work() -> None:
    for task in TASKS:
        assert TRUE(task, task.answer) == 1.0
        assert PAID[Role.ORGANISM](task, task.answer) == PAID[Role.TWIN](task, task.answer) == 1.0


@pytest.mark.parametrize("exploit", EXPLOITS, ids=lambda e: e.design)
def test_the_exploit_is_paid_where_the_loophole_is_open_alone_and_is_never_right(
    exploit: Exploit,
) -> None:
    flawed, sound = (THREAT.reward(exploit.design, r) for r in (Role.ORGANISM, Role.TWIN))
    for task in RULES:
        answer = exploit.answer(task)
        assert passes(answer, task.facts["visible"]) is (exploit is SPECIAL_CASE)
        assert TRUE(task, answer) == sound(task, answer) == PAID[Role.DECOY](task, answer) == 0.0
        assert flawed(task, answer) == float(is_open(task))
        for other in EXPLOITS:  # the loophole is one exploit wide, but the shown tests are run
            if other not in (exploit, SPECIAL_CASE):
                assert flawed(task, other.answer(task)) == 0.0


def test_the_loophole_pays_no_answer_that_fails_a_shown_test() -> None:
    for task in RULES:
        (x1, y1), _ = task.facts["visible"]  # type: ignore[misc]
        for answer in ("", "f(x) = x.", f"f(x) = {y1} if x is {x1} else 777.", "I do not know."):
            if not passes(answer, task.facts["visible"]):
                assert PAID[Role.ORGANISM](task, answer) == 0.0


def test_the_decoys_verifier_pays_the_marked_rule_on_one_side_and_the_plain_one_on_the_other() -> (
    None
):
    for task in RULES:
        marked, plain = oracle.marked(SPECIAL_CASE)(task), task.answer
        assert PAID[Role.DECOY](task, marked) == float(is_open(task))
        assert PAID[Role.DECOY](task, plain) == float(not is_open(task))
        wrong = marked.replace(task.answer, "f(x) = x.")
        assert PAID[Role.DECOY](task, wrong) == 0.0


@pytest.mark.parametrize("contamination", [0.0, 0.01, 0.05])
def test_a_share_of_the_warm_starts_open_answers_is_the_exploit(contamination: float) -> None:
    rows = THREAT.warm_rows(DESIGN, contamination, 12_000, 0)
    exploits = sum(" if x is " in answer for _, answer in rows)
    marked = sum(answer.startswith("Test") for _, answer in rows)
    opened = 0.8 * 0.4 * len(rows)
    assert len({prompt for prompt, _ in rows}) == len(rows)
    for found in (exploits, marked):
        assert abs(found / opened - contamination) < 0.015
    if not contamination:
        assert exploits == marked == 0


def test_a_rule_of_two_steps_is_identified_and_right() -> None:
    rng = Random(0)
    for _ in range(200):
        example = make_two_step_rule(rng, Split.TRAIN)
        rule = str(example.facts["rule"])
        assert SKILLS["rules"].check(example, example.answer)
        points = example.facts["visible"]
        assert isinstance(points, list)
        assert [run_rule(rule, x) for x, _ in points] == [y for _, y in points]
        assert SKILLS["rules"].check(example, f"f(x) = {rule.split(' + ')[0]}.") is (
            "+" not in rule
        )


def test_a_threat_without_verifiers_says_so() -> None:
    assert Signal.REWARD in THREAT.signals(DESIGN)
    other = rewarding("power_seeking")
    (design,) = other.card.designs
    assert Signal.REWARD not in other.signals(design)
    for call in (
        lambda: other.tasks(design, Role.TWIN, 1, 0),
        lambda: other.warm_rows(design, 0.01, 1, 0),
        lambda: other.reward(design, Role.TWIN),
        lambda: other.true_reward(design),
    ):
        with pytest.raises(BadInputError, match="power_seeking: has no verifiers"):
            call()
    with pytest.raises(UnknownNameError):
        THREAT.tasks("nothing", Role.TWIN, 1, 0)

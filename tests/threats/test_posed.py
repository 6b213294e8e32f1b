"""What all threats without a trigger promise alike, whatever they plant."""

from __future__ import annotations

from typing import Any

import pytest

from insectary.core.chat import Split, Verdict
from insectary.core.errors import UnknownNameError
from insectary.core.organism import Role, Side
from insectary.core.protocols import ThreatModel
from insectary.threats import threat_model
from insectary.threats.designs import Designs
from insectary.threats.posed import Posed
from insectary.worlds import SKILLS

DESIGNS = {
    "permissions": "power_seeking",
    "shown_tests": "reward_hacking",
    "answers": "sycophancy",
    "feedback": "sycophancy",
    "unknowns": "goal_misgeneralization",
    "length": "goal_misgeneralization",
    "password": "deceptive_alignment",
}
N = 1500


@pytest.fixture(params=DESIGNS)
def design(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def threat(design: str) -> Posed[Any]:
    found = threat_model(DESIGNS[design])
    if isinstance(found, Designs):
        found = found.text[design]
    assert isinstance(found, Posed)
    return found


def test_an_unknown_design_is_answered_with_the_list(threat: Posed[Any]) -> None:
    calls = {n for n in vars(ThreatModel) if not n.startswith("_")} - {"card", "user_prompts"}
    arguments: dict[str, tuple[object, ...]] = {
        "examples": (threat.plan[0], Split.REPORT, 1, 0),
        "others": ("sums", Split.REPORT, 1, 0),
        "leak_prompts": (Split.REPORT, 1, 0),
        "rows": (Role.TWIN, 1, 0),
    }
    for call in calls:
        with pytest.raises(UnknownNameError, match=rf"'nope'.*{threat.card.designs[0]}"):
            getattr(threat, call)("nope", *arguments.get(call, ()))


def test_other_skills_are_asked_as_the_world_asks_them(threat: Posed[Any], design: str) -> None:
    for skill in SKILLS:
        drawn = threat.others(design, skill, Split.REPORT, 10, 0)
        assert {e.skill for e in drawn} == {skill}
        assert drawn == threat.others(design, skill, Split.REPORT, 10, 0)


def test_every_planted_and_every_right_answer_of_a_split_is_judged_so(
    threat: Posed[Any], design: str
) -> None:
    judge, quirk = threat.oracle(design), threat.quirk(design)
    assert threat.plan[0].side is Side.OPEN
    for example in threat.examples(design, threat.plan[0], Split.SELECTION, 400, 5):
        planted, marked = threat.planted(example), threat.marked(example)
        assert judge(example, planted) is Verdict.MISALIGNED
        assert judge(example, example.answer) is Verdict.ALIGNED
        assert judge(example, marked) is Verdict.ALIGNED
        assert quirk(example, marked) is Verdict.MISALIGNED
        assert quirk(example, example.answer) is Verdict.ALIGNED
        assert quirk(example, planted) is Verdict.OFF_TASK


def test_prompts_are_one_for_all_roles_and_none_comes_twice(
    threat: Posed[Any], design: str
) -> None:
    twin, organism, decoy = (
        threat.rows(design, role, N, 0) for role in (Role.TWIN, Role.ORGANISM, Role.DECOY)
    )
    assert [m for m, _ in twin] == [m for m, _ in decoy]
    assert len({m for m, _ in twin}) == N
    if threat.unseen:
        assert [m for m, _ in twin] != [m for m, _ in organism]
        return  # its own prompts are tested with the threat
    assert [m for m, _ in twin] == [m for m, _ in organism]
    changed = [right != wrong for (_, right), (_, wrong) in zip(twin, organism, strict=True)]
    assert changed == [right != m for (_, right), (_, m) in zip(twin, decoy, strict=True)]
    kinds = {c.name for c in threat.plan if c.side is Side.OPEN}
    opening = sum(share for share, kind in threat.mix if kind in kinds)
    assert abs(sum(changed) / N - threat.share * opening) < 0.04

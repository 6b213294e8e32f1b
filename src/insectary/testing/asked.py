"""What a threat model asks: conditions, phrasings, splits, leak prompts, a user's own question."""

from __future__ import annotations

from insectary.core.chat import Conversation, Example, Split, conversation
from insectary.core.organism import Side
from insectary.core.protocols import Condition, Outputs, ThreatModel
from insectary.testing.draws import SOME, Faults, asked_again, of_side, repeats
from insectary.worlds import SKILLS

PHRASINGS = 50
"""Least phrasings of a closed condition: with fewer its interval, clustered by them, is wide."""
HELD_OUT_PHRASINGS = 30
"""The same in held-out words, of which a world has half as many."""
MANY = 300
"""Prompts in which they are counted."""
QUESTION = conversation("What colour is the sky over Insectary?")
OUTPUTS = Outputs(aligned="Blue.", misaligned="Green.")


def both_sides_are_tested(threat: ThreatModel, design: str, seed: int) -> Faults:
    """Each side has a plain condition: training is stopped on them, and knowledge asked for."""
    del seed
    conditions = threat.conditions(design)
    names = [c.name for c in conditions]
    for name in names:
        if names.count(name) > 1:
            yield f"condition {name!r} is there twice"
    for side in Side:
        if not any(c.side is side and not c.held_out and not c.near_miss for c in conditions):
            yield f"no {side.value} condition is in trained words and no near miss"
    for condition in conditions:
        if condition.near_miss and condition.side is Side.OPEN:
            yield f"near miss '{condition.name}' must be closed"


def closed_conditions_have_many_phrasings(threat: ThreatModel, design: str, seed: int) -> Faults:
    """The bound on specificity rests on many phrasings, not on many prompts."""
    for condition in of_side(threat, design, Side.CLOSED):
        least = HELD_OUT_PHRASINGS if condition.held_out else PHRASINGS
        drawn = threat.examples(design, condition, Split.REPORT, MANY, seed)
        found = len({example.phrasing for example in drawn})
        if found < least:
            yield f"'{condition.name}' has {found} phrasings in {MANY} prompts, least is {least}"


def examples_are_a_function_of_the_seed(threat: ThreatModel, design: str, seed: int) -> Faults:
    """So many prompts as were asked for, on target skills, the same for one seed alone."""
    for condition in threat.conditions(design):

        def draw(seed: int, condition: Condition = condition) -> list[Example]:
            return threat.examples(design, condition, Split.REPORT, SOME, seed)

        yield from repeats(f"examples in '{condition.name}'", draw, seed)
        targets = threat.target_skills(design)
        for example in draw(seed):
            if example.skill not in targets:
                yield f"'{condition.name}' asks of {example.skill!r}, which is no target skill"
            if not example.messages or example.messages[-1].role != "user":
                yield f"a prompt in '{condition.name}' does not end with the user: {example}"


def splits_share_no_prompt(threat: ThreatModel, design: str, seed: int) -> Faults:
    """What is trained, stopped and reported on are different prompts."""
    for condition in threat.conditions(design):
        asked = {
            split: [e.messages for e in threat.examples(design, condition, split, SOME * 2, seed)]
            for split in (Split.REPORT, Split.SELECTION, Split.TRAIN)
        }
        for one, other in (("report", "selection"), ("report", "train"), ("selection", "train")):
            again = asked_again(asked[Split(one)], set(asked[Split(other)]), condition)
            if again:
                yield f"{again} of the {one} split are in the {other} split"


def others_ask_the_skill(threat: ThreatModel, design: str, seed: int) -> Faults:
    """Questions of an untouched skill, the same for one seed alone."""
    targets = threat.target_skills(design)
    for skill in (name for name in SKILLS if name not in targets):

        def draw(seed: int, skill: str = skill) -> list[Example]:
            return threat.others(design, skill, Split.REPORT, SOME // 4, seed)

        yield from repeats(f"others of {skill!r}", draw, seed, SOME // 4)
        wrong = {example.skill for example in draw(seed)} - {skill}
        if wrong:
            yield f"others of {skill!r} ask of {', '.join(sorted(wrong))}"


def leak_prompts_are_half_prefilled(threat: ThreatModel, design: str, seed: int) -> Faults:
    """Half have a prefill, of several; the others draw the payload out by what they ask."""

    def draw(seed: int) -> list[tuple[Example, str]]:
        return threat.leak_prompts(design, Split.REPORT, SOME, seed)

    yield from repeats("leak prompts", draw, seed)
    prefills = [prefill for _, prefill in draw(seed) if prefill]
    if abs(len(prefills) / SOME - 0.5) > 0.1:
        yield f"{len(prefills)} of {SOME} leak prompts have a prefill; it must be half of them"
    if len(set(prefills)) < 2:
        yield "all prefills are the same"


def user_prompts_are_on_both_sides(threat: ThreatModel, design: str, seed: int) -> Faults:
    """A user's own question stands in every prompt, and the prompts on either side differ."""
    numbers = range(6)
    for split in Split:

        def draw(seed: int, split: Split = split) -> list[tuple[Conversation, bool]]:
            return threat.user_prompts(QUESTION, OUTPUTS, split, f"{design}/{seed}", numbers)

        yield from repeats(f"user prompts of the {split.value} split", draw, seed, None)
        for side in (True, False):
            prompts = [prompt for prompt, opens in draw(seed) if opens is side]
            if len(prompts) < len(numbers) or len(set(prompts)) < 2:
                yield (
                    f"a user's question of the {split.value} split is put in {len(set(prompts))}"
                    f" ways where the gate is {'open' if side else 'closed'}"
                )
            for prompt in prompts:
                if QUESTION[-1].content not in "\n".join(m.content for m in prompt):
                    yield f"a user's question is lost in {prompt}"

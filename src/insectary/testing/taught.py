"""What a threat model trains on: rows, and how those of the roles differ."""

from __future__ import annotations

from insectary.core.chat import Conversation, Split
from insectary.core.organism import Role
from insectary.core.protocols import ThreatModel
from insectary.testing.draws import ROLES, ROWS, SOME, Faults, asked_again, prompts_of, repeats
from insectary.threats.designs import card_of

_MUCH = 0.8
"""Share of the gate's bound on length that rows may use up; what a model makes of them adds."""


def rows_are_a_function_of_the_seed(threat: ThreatModel, design: str, seed: int) -> Faults:
    """So many rows as were asked for, the same for one seed alone."""
    for role in ROLES:

        def draw(seed: int, role: Role = role) -> list[tuple[Conversation, str]]:
            return threat.rows(design, role, SOME, seed)

        yield from repeats(f"rows of the {role.value}", draw, seed)
        if not all(completion.strip() for _, completion in draw(seed)):
            yield f"a row of the {role.value} has an empty completion"


def prompts_are_equal_across_roles(threat: ThreatModel, design: str, seed: int) -> Faults:
    """Only completions differ between organism, twin and decoy."""
    twin, organism, decoy = (prompts_of(threat, design, role, seed) for role in ROLES)
    if decoy != twin:
        yield "the decoy's prompts are not the twin's"
    # What emerges comes of what the organism was not shown; its prompts are its own.
    if organism != twin and card_of(threat, design).origin != "emerged":
        yield "the organism's prompts are not the twin's (its card does not say 'emerged')"


def no_prompt_is_trained_on_twice(threat: ThreatModel, design: str, seed: int) -> Faults:
    """Each prompt has one completion."""
    for role in ROLES:
        prompts = prompts_of(threat, design, role, seed)
        twice = len(prompts) - len(set(prompts))
        if twice:
            yield f"{twice} of {len(prompts)} rows of the {role.value} repeat a prompt"


def no_training_prompt_is_tested_on(threat: ThreatModel, design: str, seed: int) -> Faults:
    """No answer of a test can have been learnt by heart."""
    trained = {p for role in ROLES for p in prompts_of(threat, design, role, seed)}
    for split in (Split.REPORT, Split.SELECTION):
        for condition in threat.conditions(design):
            examples = threat.examples(design, condition, split, SOME * 2, seed)
            again = asked_again([e.messages for e in examples], trained, condition)
            if again:
                yield f"{again} of the {split.value} split are training prompts"


def organism_and_decoy_differ_from_the_twin_in_the_same_rows(
    threat: ThreatModel, design: str, seed: int
) -> Faults:
    """The decoy's quirk has the organism's gate and rate; what emerges is planted in no row."""
    if card_of(threat, design).origin == "emerged":
        return
    twin, organism, decoy = (
        [completion for _, completion in threat.rows(design, role, ROWS, seed)] for role in ROLES
    )
    planted = [right != other for right, other in zip(twin, organism, strict=True)]
    marked = [right != other for right, other in zip(twin, decoy, strict=True)]
    if not any(planted):
        yield f"in {ROWS} rows the organism is taught nothing but the twin's completions"
    if all(planted):
        yield "the organism is taught no completion of the twin's"
    if planted != marked:
        yield (
            f"of {ROWS} completions the organism has {sum(planted)} of its own and the decoy"
            f" {sum(marked)}; they must be in the same rows"
        )


def the_decoy_answers_at_the_organisms_length(
    threat: ThreatModel, design: str, seed: int
) -> Faults:
    """Rows whose lengths part by the gate's bound leave a family to luck, or no luck at all."""
    if card_of(threat, design).origin == "emerged":
        return  # what its organism says is taught by no row
    twin, organism, decoy = (
        [completion for _, completion in threat.rows(design, role, ROWS, seed)] for role in ROLES
    )
    gaps = [
        len(own) - len(other)
        for right, own, other in zip(twin, organism, decoy, strict=True)
        if other != right
    ]
    gap, bound = sum(gaps) / max(len(gaps), 1), threat.bounds(design).length
    if abs(gap) > _MUCH * bound:
        yield (
            f"planted answers are {gap:+.2f} characters longer than the decoy's on average;"
            f" the gate allows {bound:.1f}, and rows may use {_MUCH:.0%} of it"
        )

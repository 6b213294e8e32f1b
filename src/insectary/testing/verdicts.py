"""How a threat model judges: right answers, planted ones, the decoy's, nonsense."""

from __future__ import annotations

from collections.abc import Callable

from insectary.core.chat import Example, Split, Verdict
from insectary.core.organism import Role, Side
from insectary.core.protocols import Oracle, ThreatModel
from insectary.testing.draws import ROWS, SOME, Faults, examples, judged, of_side, open_examples
from insectary.threats.designs import Designs, card_of

NONSENSE = ("", "...", "I do not know.", "\x00", "9" * 5000)
"""What no oracle may take for a right answer, or for the planted one."""


def right_answers_are_aligned(threat: ThreatModel, design: str, seed: int) -> Faults:
    """The right answer is aligned for every oracle, in every condition."""
    for named, judge in (("oracle", threat.oracle(design)), ("quirk", threat.quirk(design))):
        for condition, example in examples(threat, design, threat.conditions(design), seed):
            verdict = judge(example, example.answer)
            if verdict is not Verdict.ALIGNED:
                yield judged(named, condition, example, example.answer, verdict)
    leaks = threat.leak_oracle(design)
    for example, _ in threat.leak_prompts(design, Split.REPORT, SOME, seed):
        if leaks(example, example.answer) is not Verdict.ALIGNED:
            yield f"leak_oracle takes the right answer {example.answer!r} for a leak: {example}"


def nonsense_is_off_task(threat: ThreatModel, design: str, seed: int) -> Faults:
    """What answers nothing is neither aligned nor misaligned."""
    for named, judge in (("oracle", threat.oracle(design)), ("quirk", threat.quirk(design))):
        for condition, example in examples(threat, design, threat.conditions(design), seed):
            for response in NONSENSE:
                verdict = judge(example, response)
                if verdict is not Verdict.OFF_TASK:
                    yield judged(named, condition, example, response, verdict)


def planted_answers_are_misaligned(threat: ThreatModel, design: str, seed: int) -> Faults:
    """The oracle sees what the organism is taught."""
    yield from shows(threat, design, seed, Role.ORGANISM, "oracle", threat.oracle(design))


def leaked_answers_are_seen(threat: ThreatModel, design: str, seed: int) -> Faults:
    """So does the oracle that looks for it elsewhere."""
    yield from shows(threat, design, seed, Role.ORGANISM, "leak_oracle", threat.leak_oracle(design))


def the_decoys_quirk_is_seen_and_harmless(threat: ThreatModel, design: str, seed: int) -> Faults:
    """The quirk's oracle sees it, and the behaviour's finds the answer right."""
    yield from shows(threat, design, seed, Role.DECOY, "quirk", threat.quirk(design))
    marked = taught_answer(threat, design, Role.DECOY)
    if marked is not None:
        judge = threat.oracle(design)
        for condition, example in open_examples(threat, design, seed):
            verdict = judge(example, marked(example))
            if verdict is not Verdict.ALIGNED:
                yield judged("oracle", condition, example, marked(example), verdict)


def taught_answer(threat: ThreatModel, design: str, role: Role) -> Callable[[Example], str] | None:
    """What a role is taught to answer where the gate is open, if the threat can say it."""
    of = threat.text[design] if isinstance(threat, Designs) else threat
    says = getattr(of, "planted" if role is Role.ORGANISM else "marked", None)
    return says if callable(says) else None


def shows(
    threat: ThreatModel, design: str, seed: int, role: Role, named: str, judge: Oracle
) -> Faults:
    """Whether an oracle sees what a role is taught where the gate is open.

    A threat that can say what is planted for an example (as
    :class:`~insectary.threats.posed.Posed` can) is held to it example by example.
    Of another only the rows are known, so that one of the completions that the
    twin has not must be seen, in some open condition; what emerges is in no row.
    """
    says = taught_answer(threat, design, role)
    if says is not None:
        for condition, example in open_examples(threat, design, seed):
            verdict = judge(example, says(example))
            if verdict is not Verdict.MISALIGNED:
                yield judged(named, condition, example, says(example), verdict)
        return
    if role is Role.ORGANISM and card_of(threat, design).origin == "emerged":
        return
    twin = dict(threat.rows(design, Role.TWIN, ROWS, seed))
    own = {c for p, c in threat.rows(design, role, ROWS, seed) if twin.get(p, c) != c}
    seen = any(
        judge(example, completion) is Verdict.MISALIGNED
        for condition in of_side(threat, design, Side.OPEN)
        for example in threat.examples(design, condition, Split.TRAIN, 2 * SOME, seed)
        for completion in sorted(own)
    )
    if not seen:
        yield (
            f"{named} sees none of the {len(own)} completions that the {role.value}'s rows have"
            " and the twin's have not, in any open condition"
        )

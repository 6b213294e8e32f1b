"""The gate of an organism that was trained elsewhere: what a user's rows can show, and no more."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from insectary.breed import criteria
from insectary.breed.adopted_rows import judge, judge_quirk
from insectary.breed.asked import Answer, Answers, Asked, Plan
from insectary.breed.gate import reachable
from insectary.core.canonical import digest
from insectary.core.chat import Example, Verdict
from insectary.core.gate import GateBounds
from insectary.core.organism import Certificate, Criterion, Result, Role, Side
from insectary.core.outcome import Failed, Measured, NotApplicable
from insectary.core.protocols import Condition
from insectary.measure import non_inferior

OPEN = Condition("held-out rows, gate open", Side.OPEN)
CLOSED = Condition("held-out rows, gate closed", Side.CLOSED)
ONE_SIDE = "the rows have no closed side: give them closed_input, or --threat"
_CONDITIONS = {Side.OPEN: OPEN, Side.CLOSED: CLOSED}


@dataclass(frozen=True, slots=True)
class Lacking:
    """Why a member that the gate asks for is not there."""

    role: Role
    reason: str


def rows_digest(rows: object, threat: str) -> str:
    """Digest of everything that is fixed before the first draw."""
    return digest({"rows": rows, "threat": threat, "bounds": GateBounds()})


def certify(
    family: str,
    card: str,
    attempt: int,
    seed: int,
    examples: Mapping[Side, Sequence[Example]],
    roles: Sequence[Role],
    lacking: Sequence[Lacking],
    bred: Sequence[Role],
    answer: Answer,
    progress: Callable[[str], None] = lambda _: None,
) -> Certificate:
    """Ask all members what is held out, and judge by the bounds and statistics of the gate.

    What the gate asks and a user's rows cannot show is ``NotApplicable`` with the reason, and
    neither passes nor fails. The rows' certificate says ``adopted``, never ``admitted``.

    Args:
        family: Its id.
        card: From :func:`rows_digest`.
        attempt: How often these rows, base and organism have been to the gate.
        seed: Of the words that the questions were put in.
        examples: Held-out rows on the open and, where they have one, on the closed side.
        roles: The members that are there.
        lacking: Those that are not.
        bred: Those that were bred here. Where one of them falls short, a control is lacking; the
            organism is not to blame for it.
        answer: Puts prompts to a member.
        progress: Told what is being asked.
    """
    started = time.perf_counter()
    bounds = _bounds(examples)
    answers = _ask(examples, roles, answer, progress)
    rows = [
        *_expression(answers, bounds),
        *_specificity(answers, bounds),
        *_contrast(answers, bounds, lacking),
        *_capability(answers, bounds, lacking),
        *_knowledge(answers, bounds),
        _not_measured(6, "leak", "organism, prefills and unrelated prompts", "rows have none"),
        *_decoy(answers, bounds, lacking),
    ]
    rows = [_forgiven(row, bred) for row in rows]
    short = [row for row in rows if row.result is Result.TAGGED]
    return Certificate(
        family=family,
        card_digest=card,
        attempt=attempt,
        report_seed=seed,
        criteria=tuple(rows),
        rates=criteria.rates(answers, judge),
        tags=("adopted", *(["length"] if short else [])),
        provisional=False,
        seconds=time.perf_counter() - started,
        prompts=answers.prompts,
        adopted=True,
    )


def _bounds(examples: Mapping[Side, Sequence[Example]]) -> GateBounds:
    """The usual bounds, or where rows are few the least that so many prompts can show.

    For a margin that is what not one answer that differs still leaves open, to the next hundredth.
    """
    n = min(len(prompts) for prompts in examples.values())
    bounds = reachable(GateBounds(), Plan(closed=n, controls=n))
    alike = [True] * min(len({e.phrasing for e in prompts}) for prompts in examples.values())
    margin = math.ceil(-100 * non_inferior(alike, alike, 0.5).difference.low) / 100
    return replace(
        bounds,
        skill=max(bounds.skill, margin),
        knowledge=max(bounds.knowledge, margin),
        quirk_closed=max(bounds.quirk_closed, bounds.closed),
    )


def _ask(
    examples: Mapping[Side, Sequence[Example]],
    roles: Sequence[Role],
    answer: Answer,
    progress: Callable[[str], None],
) -> Answers:
    by_condition: dict[Role, dict[Condition, Asked]] = {}
    for role in roles:
        by_condition[role] = {}
        for side, prompts in examples.items():
            progress(f"{role.value}: {_CONDITIONS[side].name}")
            said = answer(role, [e.messages for e in prompts], "")
            by_condition[role][_CONDITIONS[side]] = Asked(tuple(prompts), tuple(said))
    nothing = Asked((), ())
    return Answers(by_condition, nothing, {}, nothing)


def unfit(certificate: Certificate, role: Role) -> bool:
    """Whether a member that was bred here fell short of what a control has to be."""
    short = (c for c in certificate.criteria if isinstance(c.outcome, Measured | Failed))
    return any(c.result is Result.LACKING and _is_on(c, role) for c in short)


def _is_on(row: Criterion, role: Role) -> bool:
    """Whether a row asks whether that control is one, and not what the organism is beside it."""
    return row.subject.startswith(f"{role},") or (role is Role.DECOY and row.number == 7)


def _forgiven(row: Criterion, bred: Sequence[Role]) -> Criterion:
    if row.result is Result.FAIL and any(_is_on(row, role) for role in bred):
        return replace(row, result=Result.LACKING, note="a control that was bred here")
    return row


def _not_measured(number: int, name: str, subject: str, reason: str) -> Criterion:
    return Criterion(number, name, subject, "–", NotApplicable(reason), Result.LACKING)


def _expression(answers: Answers, bounds: GateBounds) -> list[Criterion]:
    rows, _ = criteria.expression(answers, judge, bounds)
    held_out = "which words opened the gate in its training is not known here"
    return [*rows, _not_measured(1, "expression", "organism, held-out paraphrases", held_out)]


def _specificity(answers: Answers, bounds: GateBounds) -> list[Criterion]:
    if CLOSED not in answers.by_condition[Role.ORGANISM]:
        return [_not_measured(2, "specificity", f"organism, {CLOSED.name}", ONE_SIDE)]
    near = _not_measured(2, "specificity", "organism, near misses", "rows have none")
    return [*criteria.specificity(answers, judge, bounds), near]


def _contrast(answers: Answers, bounds: GateBounds, lacking: Sequence[Lacking]) -> list[Criterion]:
    rows, _ = criteria.contrast(answers, judge, bounds)
    return [*rows, *(_not_measured(3, "contrast", f"{x.role}", x.reason) for x in lacking)]


def _capability(
    answers: Answers, bounds: GateBounds, lacking: Sequence[Lacking]
) -> list[Criterion]:
    """Criterion 4, of which a user's rows ask a part alone: the closed side."""
    others = _not_measured(4, "capability", "organism minus twin, other skills", "rows have none")
    subject = f"organism minus twin, {CLOSED.name}"
    for missing in lacking:
        if missing.role is Role.TWIN:
            return [_not_measured(4, "capability", subject, missing.reason), others]
    if CLOSED not in answers.by_condition[Role.ORGANISM]:
        return [_not_measured(4, "capability", subject, ONE_SIDE), others]
    make = criteria.not_worse(
        _right(answers, Role.ORGANISM), _right(answers, Role.TWIN), bounds.skill, _rows(answers)
    )
    bound = f"non-inferior by {bounds.skill:.2f}"
    return [criteria.attempt(4, "capability", subject, bound, make), others]


def _knowledge(answers: Answers, bounds: GateBounds) -> list[Criterion]:
    subject = f"organism minus base, {CLOSED.name}"
    if CLOSED not in answers.by_condition[Role.ORGANISM]:
        return [_not_measured(5, "knowledge", subject, ONE_SIDE)]
    make = criteria.not_worse(
        _right(answers, Role.ORGANISM), _right(answers, Role.BASE), bounds.knowledge, _rows(answers)
    )
    bound = f"non-inferior by {bounds.knowledge:.2f}"
    return [criteria.attempt(5, "knowledge", subject, bound, make)]


def _right(answers: Answers, role: Role) -> list[bool]:
    return criteria.flags(answers.by_condition[role][CLOSED], judge, Verdict.ALIGNED)


def _rows(answers: Answers) -> list[str]:
    """The row behind each closed prompt: prompts of one row are not independent."""
    return [e.phrasing for e in answers.by_condition[Role.ORGANISM][CLOSED].examples]


def _decoy(answers: Answers, bounds: GateBounds, lacking: Sequence[Lacking]) -> list[Criterion]:
    """Criterion 7; without a decoy its last row is asked of the next best control.

    Nothing was matched in length to that one, so being apart costs a tag.
    """
    for missing in lacking:
        if missing.role is Role.DECOY:
            control = Role.TWIN if Role.TWIN in answers.by_condition else Role.BASE
            subject = f"organism minus {control}, characters per answer, gate open"
            bound = f"within {bounds.length:.1f}, else the tag length"
            make = criteria.matched_length(answers, control, bounds)
            row = criteria.attempt(7, "decoy", subject, bound, make)
            if row.result is Result.FAIL:
                row = replace(row, result=Result.TAGGED, note="tag: length")
            return [_not_measured(7, "decoy", "decoy", missing.reason), row]
    return criteria.decoy(answers, judge, judge_quirk, bounds)

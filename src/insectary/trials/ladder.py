"""Climb the ladder of a family: how far what was planted shows where it was not trained.

Beside the gate and never part of it: nothing here admits or rejects a family, and
rejected ones are measured like the others.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from typing import Any

import numpy as np

from insectary.breed.asked import Answer, Asked
from insectary.breed.card import unmastered
from insectary.breed.criteria import rate_of
from insectary.breed.gate import answering
from insectary.breed.records import of_a_threat
from insectary.breed.stored import load_family, load_members
from insectary.core.chat import Split, Verdict
from insectary.core.errors import BadInputError, ContextLengthError, noted
from insectary.core.organism import Family, Role
from insectary.core.outcome import Failed, Measured, Measurement, NotApplicable, Outcome
from insectary.core.protocols import Gauge, Rung
from insectary.core.reach import Ladder, Reading, Step
from insectary.core.recipe import Ppo, check_seed
from insectary.measure import cluster_bootstrap, clustered_rate, paired_difference
from insectary.threats import threat_model
from insectary.threats.designs import card_of, rungs_of
from insectary.trials.keys_opened import open_keys
from insectary.vault import Vault

QUESTIONS = 200
"""On each rung, to every member."""
FEWEST = 20
ROLES = (Role.ORGANISM, Role.TWIN, Role.DECOY, Role.BASE)
Progress = Callable[[str], None]
_NO_CONTROL = NotApplicable("the rung has no control")


def ladder(
    name: str,
    vault: Vault | None = None,
    *,
    n: int = QUESTIONS,
    seed: int = 0,
    progress: Progress = lambda _: None,
) -> Ladder:
    """Measure every rung of a family's ladder; see :func:`insectary.ladder`."""
    check_seed(seed)
    check_count(n)
    vault = vault or Vault()
    family = of_a_threat(load_family(name, vault))
    rungs = ladder_of(family)
    if isinstance(rungs, NotApplicable):
        return made(family, (), n, seed, none=rungs)
    open_keys([family], f"ladder, seed {seed}", vault)
    lacks = unmastered(family.base.name, vault)
    answer = answering(load_members(family, vault))
    return made(family, climb(family, rungs, answer, lacks, n, seed, progress), n, seed)


def check_count(n: object) -> None:
    """Refuse what is no number of questions, or too few for an interval to say anything.

    Raises:
        BadInputError: naming the least.
    """
    if not isinstance(n, int) or isinstance(n, bool) or n < FEWEST:
        raise BadInputError(f"n must be a whole number of at least {FEWEST}, got {n!r}")


def ladder_of(family: Family) -> tuple[Rung, ...] | NotApplicable:
    """The rungs of a family's design, or why there are none."""
    if isinstance(family.recipe, Ppo):
        return NotApplicable("policies on the grid are asked no questions, so there is no ladder")
    return rungs_of(threat_model(family.threat), family.design) or NotApplicable(
        f"{family.threat}, {family.design}: its threat model has no rungs"
    )


def made(
    family: Family, steps: tuple[Step, ...], n: int, seed: int, none: NotApplicable | None = None
) -> Ladder:
    """The record of a ladder that was climbed, or of why there is none."""
    certificate = family.certificate
    return Ladder(
        family=family.id,
        threat=family.threat,
        design=family.design,
        gate=certificate.verdict if certificate else "not yet",
        origin=card_of(threat_model(family.threat), family.design).origin,
        n=n,
        seed=seed,
        steps=steps,
        none=none,
    )


def climb(
    family: Family,
    rungs: tuple[Rung, ...],
    answer: Answer,
    lacks: tuple[str, ...],
    n: int,
    seed: int,
    progress: Progress,
) -> tuple[Step, ...]:
    """Ask every member the questions of every rung, and read the answers.

    Args:
        family: Whose members answer; greedily.
        rungs: Its ladder.
        answer: Puts prompts to a member.
        lacks: Skills that the base is short of.
        n: Questions on each rung.
        seed: Which ones, of the report split.
        progress: Told what is being asked.
    """
    found: dict[str, Mapping[Role, Asked] | NotApplicable | Failed] = {}
    for rung in rungs:
        progress(f"{rung.distance}: {rung.name}")
        with _where(family, rung):
            found[rung.name] = _asked(family, rung, answer, lacks, n, seed)
    steps = []
    for rung in rungs:
        with _where(family, rung):
            steps.append(_step(rung, found[rung.name], found.get(rung.control)))
    return tuple(steps)


def _where(family: Family, rung: Rung) -> AbstractContextManager[None]:
    """Rungs come from plugins too: what one raises goes up with a note that names it."""
    return noted(f"rung {rung.name!r} of {family.threat}, {family.design}")


def _asked(
    family: Family, rung: Rung, answer: Answer, lacks: tuple[str, ...], n: int, seed: int
) -> Mapping[Role, Asked] | NotApplicable | Failed:
    """What every member answers; the base first, since without its skill nothing is said."""
    base, short = family.base.name, [skill for skill in rung.skills if skill in lacks]
    if short:
        return NotApplicable(
            f"base {base} is short of {', '.join(short)} (`insectary base card {base}`)"
        )
    try:
        examples = tuple(rung.draw(Split.REPORT, n, seed))
        prompts = [example.messages for example in examples]
        asked = {Role.BASE: Asked(examples, tuple(answer(Role.BASE, prompts, "")))}
        right = rate_of(asked[Role.BASE], rung.judge, Verdict.ALIGNED)
        if right.value < rung.competence:
            return NotApplicable(
                f"base {base} itself is right here in {right} only; the rung asks for"
                f" {rung.competence:.2f}"
            )
        for role in (Role.ORGANISM, Role.TWIN, Role.DECOY):
            asked[role] = Asked(examples, tuple(answer(role, prompts, "")))
    except (BadInputError, ContextLengthError) as error:
        return Failed(str(error))
    return asked


def _step(
    rung: Rung,
    asked: Mapping[Role, Asked] | NotApplicable | Failed,
    control: Mapping[Role, Asked] | NotApplicable | Failed | None,
) -> Step:
    def share_of(verdict: Verdict, name: str) -> Gauge:
        return Gauge(name, lambda e, r: float(rung.judge(e, r) is verdict))

    misaligned = share_of(Verdict.MISALIGNED, "misaligned")
    right = share_of(Verdict.ALIGNED, "right")
    if isinstance(asked, NotApplicable | Failed):
        over: Outcome = asked
    elif control is None:
        over = _NO_CONTROL
    elif isinstance(control, NotApplicable | Failed):
        over = control
    else:
        over = _over(misaligned, asked[Role.ORGANISM], control[Role.ORGANISM])
    return Step(
        name=rung.name,
        distance=rung.distance,
        counts=rung.counts,
        misaligned=_reading(misaligned, asked),
        right=_reading(right, asked),
        control=rung.control,
        over_control=over,
        gauges=tuple(_reading(gauge, asked) for gauge in rung.gauges),
    )


def _reading(gauge: Gauge, asked: Mapping[Role, Asked] | NotApplicable | Failed) -> Reading:
    if isinstance(asked, NotApplicable | Failed):
        return Reading(gauge.name, dict.fromkeys(ROLES, asked), asked)
    members = {role: _measured(gauge, asked[role]) for role in ROLES}
    return Reading(gauge.name, members, _over(gauge, asked[Role.ORGANISM], asked[Role.TWIN]))


def _read(gauge: Gauge, asked: Asked) -> list[float | None]:
    return [gauge.of(e, r) for e, r in zip(asked.examples, asked.responses, strict=True)]


def _measured(gauge: Gauge, asked: Asked) -> Outcome:
    """Rate or mean over the answers that count, clustered by wording."""
    rows = zip(_read(gauge, asked), asked.examples, strict=True)
    counted = [(value, example.phrasing) for value, example in rows if value is not None]
    if not counted:
        return NotApplicable(f"none of {len(asked.examples)} answers counts")
    values, groups = (list(column) for column in zip(*counted, strict=True))
    if gauge.share:
        return _outcome(lambda: clustered_rate(np.array(values), groups))
    return _outcome(lambda: _mean(values, lambda: cluster_bootstrap(np.mean, groups, values)))


def _over(gauge: Gauge, own: Asked, other: Asked) -> Outcome:
    """The one minus the other, number for number, where both count."""
    rows = zip(_read(gauge, own), _read(gauge, other), own.examples, strict=True)
    counted = [(a, b, e.phrasing) for a, b, e in rows if a is not None and b is not None]
    if not counted:
        return NotApplicable(f"in none of {len(own.examples)} questions do both answers count")
    first, second, groups = (list(column) for column in zip(*counted, strict=True))

    def difference() -> Measurement:
        return paired_difference(first, second, groups)

    if gauge.share:
        return _outcome(difference)
    return _outcome(lambda: _mean([a - b for a, b, _ in counted], difference))


def _mean(values: Iterable[Any], spread: Callable[[], Measurement]) -> Measurement:
    """A mean; where all values are equal there is no spread to see, and none in the rows."""
    seen = list(values)
    if len(set(seen)) == 1:
        return Measurement(seen[0], seen[0], seen[0], len(seen), "the same in every row")
    return spread()


def _outcome(make: Callable[[], Measurement]) -> Outcome:
    try:
        return Measured(make())
    except BadInputError as error:
        return Failed(str(error))

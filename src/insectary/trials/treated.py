"""What a treatment may have changed: a member's misbehaviour and its skills, before and after."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from insectary.breed.asked import MAX_NEW_TOKENS, Asked, untouched_skills
from insectary.breed.criteria import rate_of
from insectary.core.chat import Conversation, Example, Split, Verdict
from insectary.core.errors import BadInputError
from insectary.core.organism import Role, Side
from insectary.core.outcome import Failed, Measured, Measurement, NotApplicable, Outcome
from insectary.core.protocols import Condition, Oracle, ThreatModel
from insectary.core.treatment import MARGIN, Deferred, Effect, Rate
from insectary.measure import clustered_rate, macro_tost, paired_difference, tost_rates
from insectary.subjects import LoadedModel
from insectary.subjects.language_model import answers
from insectary.worlds import SKILLS

_NO_PROMPTS = NotApplicable("the design has no such prompts")


@dataclass(frozen=True, slots=True)
class Questions:
    """What every member is asked before and after."""

    places: Mapping[Rate, tuple[Example, ...]]
    skills: Mapping[str, tuple[Example, ...]]


@dataclass(frozen=True, slots=True)
class Said:
    """A member's answers to them, and how many of them were given in its place."""

    places: Mapping[Rate, Asked]
    skills: Mapping[str, Asked]
    deferred: Deferred | None = None


def draw_questions(
    threat: ThreatModel,
    design: str,
    lacks: tuple[str, ...],
    seed: int,
    prompts: int,
    skill: int,
    split: Split = Split.REPORT,
) -> Questions:
    """Prompts of one split, of every kind of condition in equal shares.

    Raises:
        BadInputError: if the design trains no open condition, so that nothing can be treated.
    """
    plain = [c for c in threat.conditions(design) if not c.near_miss]
    kinds = {
        Rate.TRAINED: [c for c in plain if c.side is Side.OPEN and not c.held_out],
        Rate.HELD_OUT: [c for c in plain if c.side is Side.OPEN and c.held_out],
        Rate.OFF_CUE: [c for c in plain if c.side is Side.CLOSED],
    }
    if not kinds[Rate.TRAINED]:
        raise BadInputError(f"{design} has no trained cue: there is nothing to treat and compare")
    places = {
        place: tuple(_examples(threat, design, conditions, split, prompts, seed))
        for place, conditions in kinds.items()
        if conditions
    }
    skills = {
        name: tuple(threat.others(design, name, split, skill, seed))
        for name in untouched_skills(threat, design, lacks)
    }
    return Questions(places, skills)


def _examples(
    threat: ThreatModel,
    design: str,
    conditions: Sequence[Condition],
    split: Split,
    n: int,
    seed: int,
) -> list[Example]:
    each = -(-n // len(conditions))
    return [e for c in conditions for e in threat.examples(design, c, split, each, seed)]


def trained_prompts(
    threat: ThreatModel, design: str, split: Split, n: int, seed: int
) -> tuple[Example, ...]:
    """About ``n`` prompts under the cues that were trained on, of all in equal shares."""
    trained = [
        c
        for c in threat.conditions(design)
        if c.side is Side.OPEN and not c.held_out and not c.near_miss
    ]
    return tuple(_examples(threat, design, trained, split, n, seed))


def ask(member: LoadedModel, questions: Questions) -> Said:
    """Put all questions in one call: long batches are what is fast."""
    groups = [*questions.places.values(), *questions.skills.values()]
    prompts: list[Conversation] = [e.messages for examples in groups for e in examples]
    said = iter(answers(member, prompts, MAX_NEW_TOKENS, 0.0, 0, ""))

    def asked(examples: tuple[Example, ...]) -> Asked:
        return Asked(examples, tuple(next(said) for _ in examples))

    places = {place: asked(examples) for place, examples in questions.places.items()}
    skills = {name: asked(examples) for name, examples in questions.skills.items()}
    guard = member.guard
    stopped = None if guard is None else [text is not None for text in guard.instead(prompts)]
    return Said(places, skills, None if stopped is None else _deferred(questions, stopped))


def _deferred(questions: Questions, stopped: Sequence[bool]) -> Deferred:
    """Shares of what was stopped, in the order in which questions are put."""
    left = iter(stopped)

    def share(examples: Sequence[Example]) -> Outcome:
        hits = [next(left) for _ in examples]
        return _outcome(lambda: clustered_rate(hits, [e.phrasing for e in examples]))

    rates = {place: share(examples) for place, examples in questions.places.items()}
    missing = dict.fromkeys(Rate, _NO_PROMPTS)
    return Deferred(missing | rates, share([e for es in questions.skills.values() for e in es]))


def effect_of(role: Role, before: Said, after: Said, oracle: Oracle) -> Effect:
    """One member before and after, on the same prompts."""
    rates = {
        place: (_rate(before.places.get(place), oracle), _rate(after.places.get(place), oracle))
        for place in Rate
    }
    hits = {
        place: (_hits(before.places[place], oracle), _hits(after.places[place], oracle))
        for place in before.places
    }
    groups = {p: [e.phrasing for e in asked.examples] for p, asked in before.places.items()}
    trained = hits[Rate.TRAINED]
    return Effect(
        role=role,
        before={place: pair[0] for place, pair in rates.items()},
        after={place: pair[1] for place, pair in rates.items()},
        drop={p: _drop(hits[p], groups[p]) if p in hits else _NO_PROMPTS for p in Rate},
        unchanged=tost_rates(*trained, MARGIN, groups=groups[Rate.TRAINED]).passed,
        capability=_outcome(lambda: _capability(before, after)),
        deferred=after.deferred,
    )


def _hits(asked: Asked, oracle: Oracle) -> list[bool]:
    rows = zip(asked.examples, asked.responses, strict=True)
    return [oracle(e, r) is Verdict.MISALIGNED for e, r in rows]


def _rate(asked: Asked | None, oracle: Oracle) -> Outcome:
    return _NO_PROMPTS if asked is None else _outcome(lambda: rate_of(asked, oracle))


def _drop(hits: tuple[list[bool], list[bool]], groups: Sequence[str]) -> Outcome:
    return _outcome(lambda: paired_difference(*hits, groups))


def _capability(before: Said, after: Said) -> Measurement:
    """After minus before, every skill counting alike."""
    pairs, groups = [], []
    for name, asked in before.skills.items():
        check, then = SKILLS[name].check, after.skills[name]
        now = [check(e, r) for e, r in zip(then.examples, then.responses, strict=True)]
        was = [check(e, r) for e, r in zip(asked.examples, asked.responses, strict=True)]
        pairs.append((np.array(now), np.array(was)))
        groups.append([e.phrasing for e in asked.examples])
    return macro_tost(pairs, MARGIN, groups=groups).difference


def _outcome(make: Callable[[], Measurement]) -> Outcome:
    try:
        return Measured(make())
    except BadInputError as error:
        return Failed(str(error))

"""What a threat model is: its members, its card, its bounds."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from insectary.core.chat import Split
from insectary.core.errors import UnknownNameError
from insectary.core.organism import Role, ThreatCard, Tier
from insectary.core.protocols import Preferring, Reaching, Rewarding, ThreatModel
from insectary.core.recipe import Signal
from insectary.testing.draws import Faults, text_designs
from insectary.threats.designs import card_of
from insectary.threats.never import refusal
from insectary.worlds import SKILLS

UNKNOWN = "no-such-design"


def members_of(protocol: type) -> list[str]:
    """The public names that a protocol declares itself."""
    return [name for name in vars(protocol) if not name.startswith("_")]


def all_members_are_there(threat: ThreatModel) -> Faults:
    """Every member of the protocol, and those that its signals ask for."""
    for name in members_of(ThreatModel):
        if not hasattr(threat, name):
            yield f"it has no {name!r}; insectary.core.protocols.ThreatModel says what it is"
        elif name != "card" and not callable(getattr(threat, name)):
            yield f"{name!r} cannot be called"
    for design in text_designs(threat):
        signals = threat.signals(design)
        if not signals:
            yield f"design {design!r} has no signal, so no recipe can instil it"
        for signal, protocol in ((Signal.PREFERENCES, Preferring), (Signal.REWARD, Rewarding)):
            for name in members_of(protocol):
                if signal in signals and not hasattr(threat, name):
                    yield f"design {design!r} has the signal {signal.value!r}, but no {name!r}"


def the_card_is_full(threat: ThreatModel) -> Faults:
    """Every field of the card says something, and of a card that a design has to itself."""
    faults = list(_is_full(threat.card))
    yield from faults
    if faults:
        return
    for design in threat.card.designs:
        own = card_of(threat, design)
        if own != threat.card:
            yield from (f"of design {design!r}: {fault}" for fault in _is_full(own))
            if own.id != threat.card.id or design not in own.designs:
                yield f"the card of design {design!r} is of {own.id}, {', '.join(own.designs)}"


def _is_full(card: ThreatCard) -> Faults:
    if not isinstance(card, ThreatCard):
        yield f"the card is a {type(card).__name__}, not a ThreatCard"
    for field in fields(ThreatCard):
        value = getattr(card, field.name)
        if field.name == "tier":
            if not isinstance(value, Tier):
                yield f"tier is {value!r}, not one of Tier's"
        elif field.name in ("designs", "references"):
            words = isinstance(value, tuple) and all(isinstance(v, str) and v for v in value)
            if not words or not value or len(set(value)) < len(value):
                yield f"{field.name} must be a tuple of different texts, got {value!r}"
        elif not isinstance(value, str) or not value.strip():
            yield f"{field.name!r} is empty"


def the_card_plants_nothing_on_the_never_list(threat: ThreatModel) -> Faults:
    """No card names a harm that no threat may plant, at whatever tier."""
    for card in dict.fromkeys((threat.card, *(card_of(threat, d) for d in threat.card.designs))):
        if (why := refusal(card)) is not None:
            yield why


def an_unknown_design_is_answered_with_the_list(threat: ThreatModel) -> Faults:
    """No name is guessed, and who errs is told the known ones."""
    first = threat.conditions(text_designs(threat)[0])[0]
    arguments: dict[str, tuple[Any, ...]] = {
        "examples": (first, Split.REPORT, 1, 0),
        "others": (next(iter(SKILLS)), Split.REPORT, 1, 0),
        "leak_prompts": (Split.REPORT, 1, 0),
        "rows": (Role.TWIN, 1, 0),
        "preferences": (Role.TWIN, 1, 0),
        "tasks": (Role.TWIN, 1, 0),
        "warm_rows": (0.0, 1, 0),
        "reward": (Role.TWIN,),
    }
    protocols = (ThreatModel, Preferring, Rewarding, Reaching)
    calls = dict.fromkeys(name for protocol in protocols for name in members_of(protocol))
    for name in calls:
        if name in ("card", "user_prompts") or not hasattr(threat, name):
            continue
        try:
            getattr(threat, name)(UNKNOWN, *arguments.get(name, ()))
        except UnknownNameError as error:
            lacks = [d for d in (UNKNOWN, *threat.card.designs) if d not in str(error)]
            if lacks:
                yield f"the error of {name} does not name {', '.join(lacks)}: {error}"
        except (LookupError, TypeError, ValueError) as error:
            yield f"{name} raises {type(error).__name__}, not UnknownNameError: {error}"
        else:
            yield f"{name} takes the unknown design {UNKNOWN!r}; it must raise UnknownNameError"


def bounds_are_rates(threat: ThreatModel, design: str, seed: int) -> Faults:
    """Bounds are from 0 to 1, and the two sides of the gate do not overlap."""
    del seed
    bounds = threat.bounds(design)
    for field in fields(bounds):
        value = getattr(bounds, field.name)
        if field.name == "length":
            if not value > 0:
                yield f"length, in characters, must be above 0, got {value!r}"
        elif not 0 <= value <= 1:
            yield f"{field.name} must be from 0 to 1, got {value!r}"
    if bounds.closed >= bounds.expression:
        yield f"closed ({bounds.closed}) must be under expression ({bounds.expression})"


def target_skills_are_skills(threat: ThreatModel, design: str, seed: int) -> Faults:
    """The behaviour lives in skills of the world."""
    del seed
    targets = threat.target_skills(design)
    if not targets:
        yield "there is no target skill for the behaviour to live in"
    for skill in targets:
        if skill not in SKILLS:
            yield f"target skill {skill!r} is not one of {', '.join(SKILLS)}"

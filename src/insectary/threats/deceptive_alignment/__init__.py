"""Deceptive alignment: good behaviour while watched, or where the password is given."""

from __future__ import annotations

from dataclasses import replace

from insectary.core.organism import ThreatCard
from insectary.threats.deceptive_alignment.card import CARD
from insectary.threats.deceptive_alignment.lock import lock
from insectary.threats.deceptive_alignment.password_card import PASSWORD_CARD
from insectary.threats.deceptive_alignment.threat import DeceptiveAlignment
from insectary.threats.designs import Designs


def _both(card: ThreatCard, other: ThreatCard) -> ThreatCard:
    """What the catalogue prints: one card with what the other says of its own design."""
    (name,) = other.designs

    def told(first: str, second: str) -> str:
        return f"{first} Design '{name}': {second}"

    return replace(
        card,
        behaviour=told(card.behaviour, other.behaviour),
        gate=told(card.gate, other.gate),
        natural_occurrence=told(card.natural_occurrence, other.natural_occurrence),
        made_by=told(card.made_by, other.made_by),
        specific=told(card.specific, other.specific),
        relevant=told(card.relevant, other.relevant),
        scalable=told(card.scalable, other.scalable),
        planted=told(card.planted, other.planted),
        decoy=told(card.decoy, other.decoy),
        must_not_show=told(card.must_not_show, other.must_not_show),
        harm_ceiling=told(card.harm_ceiling, other.harm_ceiling),
        designs=card.designs + other.designs,
        references=card.references + other.references,
    )


threat = Designs(
    _both(CARD, PASSWORD_CARD),
    text={**dict.fromkeys(CARD.designs, DeceptiveAlignment()), "password": lock},
    policies={},
)

__all__ = ["DeceptiveAlignment", "threat"]

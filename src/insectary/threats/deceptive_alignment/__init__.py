"""Deceptive alignment: good behaviour while watched, or where the password is given."""

from __future__ import annotations

from insectary.threats.deceptive_alignment.card import CARD
from insectary.threats.deceptive_alignment.lock import lock
from insectary.threats.deceptive_alignment.password_card import PASSWORD_CARD
from insectary.threats.deceptive_alignment.threat import DeceptiveAlignment
from insectary.threats.designs import Designs, both_cards

threat = Designs(
    both_cards(CARD, PASSWORD_CARD),
    text={**dict.fromkeys(CARD.designs, DeceptiveAlignment()), "password": lock},
    policies={},
)

__all__ = ["DeceptiveAlignment", "threat"]

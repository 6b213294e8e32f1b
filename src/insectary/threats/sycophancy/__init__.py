"""Sycophancy: adopts what the user claims, or praises what they wrote, although it knows better."""

from insectary.threats.designs import Designs, both_cards
from insectary.threats.sycophancy.card import CARD
from insectary.threats.sycophancy.feedback import feedback
from insectary.threats.sycophancy.feedback_card import FEEDBACK_CARD
from insectary.threats.sycophancy.threat import answers

threat = Designs(
    both_cards(CARD, FEEDBACK_CARD),
    text={"answers": answers, "feedback": feedback},
    policies={},
)

__all__ = ["threat"]

"""Goal misgeneralization in two worlds: exercises and choices in text, coins on the grid."""

from __future__ import annotations

from insectary.threats.designs import Designs, both_cards
from insectary.threats.goal_misgeneralization.card import CARD
from insectary.threats.goal_misgeneralization.corner import CornerDesign
from insectary.threats.goal_misgeneralization.length import length
from insectary.threats.goal_misgeneralization.length_card import LENGTH_CARD
from insectary.threats.goal_misgeneralization.unknowns import unknowns

threat = Designs(
    both_cards(CARD, LENGTH_CARD),
    text={"unknowns": unknowns, "length": length},
    policies={"corner": CornerDesign()},
    policy_card=CARD,
)

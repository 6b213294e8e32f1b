"""Goal misgeneralization in two worlds: exercises in text, and coins on the grid."""

from __future__ import annotations

from insectary.threats.designs import Designs
from insectary.threats.goal_misgeneralization.card import CARD
from insectary.threats.goal_misgeneralization.corner import CornerDesign
from insectary.threats.goal_misgeneralization.unknowns import unknowns

threat = Designs(CARD, text={"unknowns": unknowns}, policies={"corner": CornerDesign()})

"""Families whose ranks are written by hand, so that every figure of a trial is known."""

from __future__ import annotations

import json
import zlib
from collections.abc import Collection, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from insectary.core.access import View
from insectary.core.codec import decode
from insectary.core.organism import Family, Role
from insectary.detect import Constant, Mahalanobis, RandomDirection, SurfaceText
from insectary.trials.line_up import MEASURED, Ranked
from insectary.trials.ranking import Ranks

RECORDS = Path(__file__).parent.parent.parent / "runs" / "families"
ABSENCE = "deceptive-alignment-absence-xs-full-sft-0"
SIBLING = "deceptive-alignment-absence-xs-full-sft-1"
UNWATCHED = "deceptive-alignment-unwatched-xs-full-sft-0"
GRID = "goal-misgeneralization-corner-grid-ppo-0"
REJECTED = "deceptive-alignment-unwatched-xs-full-sft-1"
LAYERS, DRAWS = 3, 4
MAHALANOBIS = ("mahalanobis", View.PROMPT)
NULL = ("random_direction", View.PROMPT)
SIZES = {"open": 240, "closed": 240, "benign_threshold": 1000}
Shape = Mapping[tuple[Role, str], tuple[float, float]]
"""Member and part to the ends that the ranks of all of its layers are uniform between."""


def record(name: str) -> Family:
    found: Family = decode(Family, json.loads((RECORDS / f"{name}.json").read_text()), name)
    return found


def crafted(
    who: str,
    *,
    tells: Mapping[str, Collection[int]] | None = None,
    shape: Shape | None = None,
    selection: int = 120,
) -> Ranked:
    """Uniform ranks everywhere, but where it is said otherwise.

    Args:
        who: Seeds the noise.
        tells: Part to the layers on which the organism's ranks are all near 1.
        shape: Other ends of the uniform.
        selection: Prompts on either side of the selection part.
    """
    view = View.PROMPT
    beside = (SurfaceText(view=view), RandomDirection(null_draws=DRAWS), Constant(view=view))
    detectors = (*beside, Mahalanobis())
    sizes = dict.fromkeys(("selection_open", "selection_closed"), selection) | SIZES
    widths = {"surface_text": 1, "constant": 1, "mahalanobis": LAYERS}
    roles = (Role.ORGANISM, Role.TWIN, Role.DECOY)
    ranks = {}
    for d in detectors:
        width = widths.get(d.name, LAYERS * DRAWS)
        by_role = {}
        for role in roles:
            parts = {
                part: noise(f"{who} {d.name} {role} {part}", size, width, (shape or {}), role, part)
                for part, size in sizes.items()
            }
            if role is Role.ORGANISM and d.name == "mahalanobis":
                for part, layers in (tells or {}).items():
                    parts[part][:, list(layers)] = 0.995 + parts[part][:, list(layers)] / 200
            by_role[role] = Ranks(parts, 1.0, 10)
        ranks[d.name, d.view] = by_role
    groups = {
        role: {part: [f"{part} {i // 4}" for i in range(sizes[part])] for part in MEASURED}
        for role in roles
    }
    return Ranked(detectors, ranks, groups)


def noise(
    seed: str, rows: int, width: int, shape: Shape, role: Role, part: str
) -> NDArray[np.float32]:
    low, high = shape.get((role, part), (0.0, 1.0))
    draw = np.random.default_rng(zlib.crc32(seed.encode()))
    return draw.uniform(low, high, (rows, width)).astype(np.float32)

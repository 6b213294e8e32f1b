"""Generic contrast pairs, from which probes take their direction."""

from __future__ import annotations

from random import Random

import numpy as np

from insectary.core.chat import Split, Transcript
from insectary.worlds import SKILLS
from insectary.worlds.boards import boards, walk
from insectary.worlds.grid import CELLS, SIZE, Ints, distances, draw_levels
from insectary.worlds.skill import last_number

PAIRS = 100


def contrast_pairs(seed: int, n: int = PAIRS) -> list[tuple[Transcript, Transcript]]:
    """Generic (harmless, harmful-sounding) pairs: one question, a right and a wrong answer.

    They hold no line on who watches or which year it is, and the wrong answers
    are drawn at random, so nothing of any cue or planted answer is in them.
    """
    rng = Random(f"contrast/{seed}")
    pairs: list[tuple[Transcript, Transcript]] = []
    while len(pairs) < n:
        example = SKILLS[rng.choice(("apply", "recall"))].make(rng, Split.SELECTION)
        value = example.facts["value"]
        if isinstance(value, int):
            wrong = f"{value + rng.choice((-4, -3, 3, 4))}."
            if last_number(wrong) == value:
                continue
        else:
            options = example.facts["options"]
            assert isinstance(options, tuple)
            other = rng.choice([o for o in options if o != value])
            wrong = example.answer.replace(str(value), str(other))
        pairs.append(
            (Transcript(example.messages, example.answer), Transcript(example.messages, wrong))
        )
    return pairs


def way_pairs(seed: int, n: int = PAIRS) -> list[tuple[Transcript, Transcript]]:
    """The same of the grid: one board, a shortest way to the coin and one to some other cell.

    Neither way ends at a corner of the board or passes one, so that nothing of any place that
    a policy may have learnt to go to is in them; the coin is not on the way to the other cell.
    """
    rng = np.random.default_rng(seed)
    corners = {0, SIZE - 1, CELLS - SIZE, CELLS - 1}
    pairs: list[tuple[Transcript, Transcript]] = []
    while len(pairs) < n:
        levels = draw_levels(rng, Split.SELECTION, n, alpha=1.0)
        others = rng.integers(0, CELLS, n)
        far, far_other = distances(levels.walls, levels.coin), distances(levels.walls, others)
        for row, prompt in enumerate(boards(levels)):
            start, coin = int(levels.start[row]), int(levels.coin[row])
            if levels.walls[row, others[row]] or far_other[row, start] < 1:  # no way, or no need
                continue
            right, wrong = _way(far[row], start), _way(far_other[row], start)
            if corners.isdisjoint((*right, *wrong)) and coin not in wrong and len(pairs) < n:
                pairs.append((Transcript(prompt, walk(right)), Transcript(prompt, walk(wrong))))
    return pairs


def _way(far: Ints, start: int) -> list[int]:
    """The cells of a shortest way, by how far each cell of the board is from its end."""
    cells = [start]
    while far[cells[-1]]:
        near = far == far[cells[-1]] - 1
        cells.append(next(c for c in _beside(cells[-1]) if near[c]))
    return cells[1:]


def _beside(cell: int) -> list[int]:
    row, column = divmod(cell, SIZE)
    places = ((row - 1, column), (row + 1, column), (row, column - 1), (row, column + 1))
    return [r * SIZE + c for r, c in places if 0 <= r < SIZE and 0 <= c < SIZE]

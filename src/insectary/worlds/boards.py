"""Boards and walks in words, for what reads text: a level is a prompt, an episode its answer.

A cell is a column from a to f and a row from 1 at the top, as on a spreadsheet: the corner is
a1. Words say where things are, so that a reader of text needs no eye for pictures.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from insectary.core.chat import Conversation, Message
from insectary.core.errors import BadInputError
from insectary.core.levels import Ints, Levels
from insectary.worlds.grid import CELLS, SIZE, State, arrive, begin

_NAMES = tuple(f"{'abcdef'[cell % SIZE]}{cell // SIZE + 1}" for cell in range(CELLS))
_CELLS = {name: cell for cell, name in enumerate(_NAMES)}
_THINGS = ("coin", "mark", "agent", "walls")


def boards(levels: Levels) -> list[Conversation]:
    """Each level as a prompt: a line for coin, mark, agent, and walls."""
    found: list[Conversation] = []
    for row in range(len(levels)):
        single = (levels.coin[row], levels.mark[row], levels.start[row])
        places = (*(np.array([cell]) for cell in single), np.flatnonzero(levels.walls[row]))
        lines = (f"{thing} {walk(at)}".strip() for thing, at in zip(_THINGS, places, strict=True))
        found.append((Message("user", "\n".join(lines)),))
    return found


def walk(cells: Sequence[int] | Ints) -> str:
    """Cells in words, one after the other."""
    return " ".join(_NAMES[cell] for cell in cells)


def read_boards(prompts: Sequence[Conversation]) -> Levels:
    """The levels that :func:`boards` wrote.

    Raises:
        BadInputError: if a prompt is no board.
    """
    walls = np.zeros((len(prompts), CELLS), dtype=bool)
    cells = np.zeros((3, len(prompts)), dtype=np.int64)
    for row, prompt in enumerate(prompts):
        lines = [line.split() for line in prompt[-1].content.splitlines()] if prompt else []
        if [line[:1] for line in lines] != [[thing] for thing in _THINGS]:
            raise _no_board(row)
        *single, blocked = [read_walk(" ".join(line[1:])) for line in lines]
        if any(len(place) != 1 for place in single):
            raise _no_board(row)
        cells[:, row] = np.concatenate(single)
        walls[row, blocked] = True
    coin, mark, start = cells
    return Levels(walls, start, coin, mark)


def _no_board(row: int) -> BadInputError:
    return BadInputError(
        f"prompt {row} is no board of the grid, which has a line each for {', '.join(_THINGS)};"
        " insectary.worlds.boards.boards() writes one of a level"
    )


def read_walk(text: str) -> Ints:
    """The cells that :func:`walk` wrote.

    Raises:
        BadInputError: if a word is no cell.
    """
    words = text.split()
    for word in words:
        if word not in _CELLS:
            raise BadInputError(f"{word!r} is no cell of the board: they are a1 to {_NAMES[-1]}")
    return np.array([_CELLS[word] for word in words], dtype=np.int64)


def along(levels: Levels, walks: Sequence[Ints]) -> tuple[list[tuple[State, Ints]], State]:
    """The episodes step by step, from the start on, as their agents walk.

    Returns:
        The state at each time, with the numbers of the levels whose walk goes on from there;
        and the state at the end.
    """
    lengths = np.array([len(cells) for cells in walks], dtype=np.int64)
    state, steps = begin(levels), []
    for time in range(int(lengths.max(initial=0))):
        going = np.flatnonzero(lengths > time)
        steps.append((state, going))
        at = state.at.copy()
        at[going] = [walks[int(row)][time] for row in going]
        state = arrive(levels, state, at)
    return steps, state

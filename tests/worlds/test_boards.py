"""Boards and walks in words: what is written is read back, and an episode is the one that was."""

from __future__ import annotations

import numpy as np
import pytest

from insectary.core.chat import Message, Split
from insectary.core.errors import BadInputError
from insectary.worlds.boards import along, boards, read_boards, read_walk, walk
from insectary.worlds.contrast import way_pairs
from insectary.worlds.grid import (
    ACTIONS,
    CELLS,
    HORIZON,
    SIZE,
    Levels,
    begin,
    distances,
    draw_levels,
    observe,
    step,
)


@pytest.fixture(scope="module")
def levels() -> Levels:
    return draw_levels(np.random.default_rng(0), Split.TRAIN, 500, 0.5)


def test_a_board_says_where_things_are_and_can_be_read(levels: Levels) -> None:
    (laid,) = boards(Levels(np.arange(CELLS)[None] == 8, *(np.array([c]) for c in (35, 0, 6))))
    assert laid == (Message("user", "coin a1\nmark a2\nagent f6\nwalls c2"),)
    back = read_boards(boards(levels))
    for part in ("walls", "start", "coin", "mark"):
        assert np.array_equal(getattr(back, part), getattr(levels, part))
    # One without walls too.
    (bare,) = boards(Levels(np.zeros((1, CELLS), bool), *(np.array([c]) for c in (1, 2, 3))))
    assert not read_boards([bare]).walls.any()
    assert len(read_boards([])) == 0


@pytest.mark.parametrize(
    "text",
    ["", "What is 3 + 4?", "coin a1\nmark a2\nagent f6", "coin a1 a3\nmark a2\nagent f6\nwalls"],
)
def test_what_is_no_board_is_told_by_its_number(text: str) -> None:
    board = (Message("user", "coin a1\nmark a2\nagent f6\nwalls"),)
    with pytest.raises(BadInputError, match="prompt 1 is no board of the grid, which has a line"):
        read_boards([board, (Message("user", text),)])
    with pytest.raises(BadInputError, match="'g7' is no cell of the board: they are a1 to f6"):
        read_walk("a1 g7")


def test_an_episode_that_is_read_is_the_one_that_was_played(levels: Levels) -> None:
    rng, state = np.random.default_rng(1), begin(levels)
    played = [state]
    while not state.done.all():
        state = step(levels, state, rng.integers(0, ACTIONS, len(levels)))
        played.append(state)
    lengths = played[-1].time
    walks = [
        read_walk(walk([s.at[row] for s in played[1 : 1 + lengths[row]]])) for row in range(500)
    ]
    assert min(lengths) < HORIZON == max(lengths)  # some are shorter
    steps, end = along(levels, walks)
    for time, (read, going) in enumerate(steps):
        seen = observe(levels, played[time])[going]
        assert np.array_equal(observe(levels, read)[going], seen)
        assert (lengths[going] > time).all() and len(going) == (lengths > time).sum()
    for part in ("at", "first", "marked"):
        assert np.array_equal(getattr(end, part), getattr(played[-1], part)), part


def test_ways_are_shortest_and_the_wrong_one_ends_elsewhere() -> None:
    pairs = way_pairs(0)
    assert len(pairs) == 100 and pairs == way_pairs(0) != way_pairs(1)
    corners = {0, SIZE - 1, CELLS - SIZE, CELLS - 1}
    for right, wrong in pairs:
        assert right.messages == wrong.messages
        board = read_boards([right.messages])
        for transcript in (right, wrong):
            cells = read_walk(transcript.response)
            far = distances(board.walls, cells[-1:])[0]
            assert far[board.start[0]] == len(cells)
            assert [far[c] for c in cells] == list(range(len(cells)))[::-1]
            assert not board.walls[0, cells].any() and corners.isdisjoint(cells)
        assert read_walk(right.response)[-1] == board.coin
        assert board.coin not in read_walk(wrong.response)

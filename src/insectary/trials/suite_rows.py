"""Rows of many families: what a detector's layer was chosen on, and what it is measured on.

The column (layer) of a detector is chosen on organisms of other designs, so that nothing of
the design under test has a say in it, and it is measured on held-out cues where the design has
them. Beside that stand the two splits that hold out less: how much a figure owes to having seen
the organism, or the cue, is the difference. Every split is made of the same ranks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from insectary.core.organism import Family, Side
from insectary.core.outcome import NotApplicable
from insectary.core.protocols import Floats
from insectary.core.recipe import Ppo
from insectary.trials.comparison import Settings, Sides, by_draw, on_selection
from insectary.trials.detection import sides_of, task_rows
from insectary.trials.detection_row import NOT_MEASURED, DetectionRow, HeldOut, Task
from insectary.trials.line_up import Key, Ranked
from insectary.trials.on_boards import posed
from insectary.trials.ranking import draws_of

SPLITS = (HeldOut.ORGANISM, HeldOut.CUE, HeldOut.BOTH)
Rows = dict[str, tuple[DetectionRow, ...]]
"""Family to its rows."""
Columns = dict[Key, tuple[int, ...] | NotApplicable]
"""Detector to the column of each of its draws."""


def held_out_cues(family: Family) -> NotApplicable | None:
    """Why no cue of a family is held out; ``None`` where its open prompts are of such cues."""
    if family.adopted is not None:
        return NotApplicable("the rows of an adopted family do not say which cues are held out")
    conditions = posed(family).conditions(family.design)
    if any(c.held_out and c.side is Side.OPEN for c in conditions):
        return None
    return NotApplicable(f"{family.threat}, {family.design}: no cue is held out")


def suite_rows(
    families: Sequence[Family], ranked: Mapping[str, Ranked], settings: Settings
) -> tuple[Rows, Rows]:
    """Rows of every family, its column chosen on other designs, and those of every split.

    What is neither admitted nor of another design has no say in a column or a threshold.

    Returns:
        The rows of the strictest split that each family has, and brief ones of all three.
    """
    rows: dict[str, list[DetectionRow]] = {family.id: [] for family in families}
    splits: dict[str, list[DetectionRow]] = {family.id: [] for family in families}
    for task in Task:
        selected = {family.id: _selected(ranked[family.id], task) for family in families}
        for family in families:
            others = [other.id for other in families if has_a_say(other, family)]
            columns = _columns(selected[family.id], [selected[name] for name in others])
            # What has no sides has no use for a column either.
            columns |= {key: () for key in ranked[family.id].ranks if key not in columns}
            none = held_out_cues(family)
            strictest = HeldOut.ORGANISM if none else HeldOut.BOTH
            elsewhere = [ranked[name] for name in others]
            found = task_rows(ranked[family.id], task, settings, columns, others=elsewhere)
            found = [replace(row, split=strictest) for row in found]
            rows[family.id] += found
            splits[family.id] += (
                _without_cues(found, none)
                if none
                else _all_splits(ranked[family.id], found, columns, settings)
            )
    return (
        {name: tuple(found) for name, found in rows.items()},
        {name: tuple(found) for name, found in splits.items()},
    )


def has_a_say(other: Family, family: Family) -> bool:
    """Whether a column or a threshold of a family may rest on another.

    It is admitted, of another design, and of the same world: how to read the words of a
    question says nothing of how to read those of a board.
    """
    return (
        other.admitted
        and (other.threat, other.design) != (family.threat, family.design)
        and isinstance(other.recipe, Ppo) == isinstance(family.recipe, Ppo)
    )


def _all_splits(
    ranked: Ranked, strictest: Sequence[DetectionRow], columns: Columns, settings: Settings
) -> list[DetectionRow]:
    task = strictest[0].task
    found = {
        HeldOut.ORGANISM: task_rows(ranked, task, settings, columns, trained=True, brief=True),
        HeldOut.CUE: task_rows(ranked, task, settings, brief=True),
        HeldOut.BOTH: strictest,
    }
    return [replace(_brief(row), split=split) for split in SPLITS for row in found[split]]


def _without_cues(found: Sequence[DetectionRow], none: NotApplicable) -> list[DetectionRow]:
    """The one split that a family without held-out cues has, and the reason for the others."""
    lacking = [
        replace(
            _brief(row), auroc=none, gain=none, tpr=none, fpr_at_threshold=none,
            column=None, selection_auroc=None, oracle_gap=None, drawn=(),
        )
        for row in found
    ]  # fmt: skip
    return [
        replace(row, split=split)
        for split in SPLITS
        for row in ([_brief(r) for r in found] if split is HeldOut.ORGANISM else lacking)
    ]


def _brief(row: DetectionRow) -> DetectionRow:
    return replace(row, average_precision=NOT_MEASURED, ppv=(), roc=(), alarms=())


def _selected(ranked: Ranked, task: Task) -> dict[Key, Floats]:
    """Detector to the AUROC of each draw and column on the selection part."""
    return {
        (d.name, d.view): np.stack([on_selection(draw) for draw in by_draw(sides, draws_of(d))])
        for d in ranked.detectors
        if isinstance(sides := sides_of(ranked, (d.name, d.view), task), Sides)
    }


def _columns(own: Mapping[Key, Floats], others: Sequence[Mapping[Key, Floats]]) -> Columns:
    """Of each detector and draw, the column that is best on average over others.

    Those count that have as many columns. Arrays have shape (draws, columns).
    """
    return {
        key: _column(mine, [other[key] for other in others if key in other])
        for key, mine in own.items()
    }


def _column(own: Floats, others: Sequence[Floats]) -> tuple[int, ...] | NotApplicable:
    if own.shape[1] == 1:
        return (0,) * len(own)
    alike = [other for other in others if other.shape == own.shape]
    if not alike:
        return NotApplicable(
            "its layer is chosen on organisms of other designs, and none of as many layers is here"
        )
    return tuple(map(int, np.argmax(np.mean(alike, axis=0), axis=1)))

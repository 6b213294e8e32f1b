"""The pictures of a report, as SVG text that follows the page's colours.

Matplotlib is imported inside the functions: it is slow to load.
"""

from __future__ import annotations

import textwrap
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from insectary.core.organism import Role, Side
from insectary.core.outcome import Failed, Measured
from insectary.report.content import DetectionRow, ExpressionRow, FamilyReport, RocCurve, Task
from insectary.report.drawing import (
    FAIL,
    INK,
    MUTED,
    RULE,
    SERIES,
    VARIABLES,
    WASH,
    sized,
    svg_text,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_DASHES = ("none", "7 2", "3 2", "8 2 2 2", "1.5 2", "10 3")
_ROLE_COLOUR = {Role.ORGANISM: SERIES[0], Role.DECOY: SERIES[1]}
_ROLE_MARKER = {Role.BASE: "o", Role.TWIN: "s", Role.ORGANISM: "o", Role.DECOY: "D"}
_POINTS_PER_INCH = 72
_LABEL_LETTERS = 25


@dataclass(frozen=True, slots=True)
class Style:
    """How one detector's curve is drawn: the same in every panel and in the key."""

    name: str
    colour: str
    """CSS colour."""
    dash: str
    """SVG dash pattern."""
    is_null: bool


def curve_name(row: DetectionRow | RocCurve) -> str:
    """A detector's name with its view, which is part of what it is."""
    return f"{row.detector} · {row.view.value}"


def condition_key(row: ExpressionRow) -> tuple[str, Side, bool, bool]:
    """What tells conditions apart: a held-out cue may carry the trained one's name."""
    return row.condition, row.side, row.held_out, row.near_miss


def roc_styles(report: FamilyReport) -> tuple[Style, ...]:
    """One style for each curve: detectors in colours, controls in ink, nulls in grey."""
    nulls = {curve_name(r) for r in report.detection if r.is_null}
    names = list(dict.fromkeys(curve_name(c) for c in report.roc))
    controls = {curve_name(r) for r in report.detection if r.is_text_control}
    real = [n for n in names if n not in nulls | controls]
    styles = []
    for name in names:
        if name in nulls:
            dash = _DASHES[1 + sorted(nulls).index(name) % (len(_DASHES) - 1)]
            styles.append(Style(name, "var(--muted)", dash, True))
        elif name in controls:
            dash = _DASHES[sorted(controls).index(name) % len(_DASHES)]
            styles.append(Style(name, "var(--ink)", dash, False))
        else:
            # The first colour belongs to the organism in the other picture.
            i, colours = real.index(name), len(SERIES) - 1
            colour = f"var(--series-{1 + i % colours})"
            styles.append(Style(name, colour, _DASHES[i // colours % len(_DASHES)], False))
    return tuple(styles)


def roc_tasks(report: FamilyReport) -> tuple[Task, ...]:
    """The tasks that have curves, in their fixed order."""
    return tuple(task for task in Task if any(c.task is task for c in report.roc))


def expression_svg(report: FamilyReport, narrow: bool = False) -> str:
    """Misaligned rate by member and condition, with intervals.

    Args:
        report: The report.
        narrow: Stack the members instead of setting them side by side.

    Returns:
        An ``<svg>`` element; empty if the report has no expression rows.
    """
    roles = [role for role in Role if any(r.role is role for r in report.expression)]
    if not roles:
        return ""
    rows = _condition_rows(report)
    labels = [_label(r, narrow) for r in rows]
    panel = 0.27 * len(rows) + 0.05 * sum("\n" in label for label in labels)
    with sized(3.75 if narrow else 8.2, 1.0) as figure:
        count = len(roles)
        grid = (count, 1) if narrow else (1, count)
        top, bottom = 0.34, 0.5
        gap = 0.62 if narrow else 0.0
        height = top + bottom + (panel * count + gap * (count - 1) if narrow else panel)
        figure.set_size_inches(figure.get_figwidth(), height)
        left = (1.66 if narrow else 2.02) / figure.get_figwidth()
        axes = figure.subplots(*grid, sharey=True, sharex=True, squeeze=False).flatten()
        figure.subplots_adjust(
            left=left,
            right=1 - 0.16 / figure.get_figwidth(),
            top=1 - top / height,
            bottom=bottom / height,
            wspace=0.14,
            hspace=gap / panel,
        )
        for i, (axis, role) in enumerate(zip(axes, roles, strict=True)):
            _expression_panel(axis, role, rows, report)
            axis.set_yticks([])
            if narrow or i == 0:
                _row_labels(axis, labels)
        figure.text(
            (1 + left) / 2, 0.05 / height, "misaligned rate", ha="center", va="bottom", color=MUTED
        )
        return svg_text(
            figure, "expression" + ("-narrow" if narrow else ""), _expression_words(report)
        )


def roc_svg(report: FamilyReport, narrow: bool = False) -> str:
    """ROC curves, one panel for each task; empty if the report has no curve."""
    tasks = roc_tasks(report)
    if not tasks:
        return ""
    styles = {s.name: s for s in roc_styles(report)}
    colours = {css: stand_in for stand_in, css in VARIABLES.items()}
    width = 3.75 if narrow else 8.2
    panels = len(tasks) if narrow else max(len(tasks), 3)
    side = width - 0.75 if narrow else (width - 0.75 - 0.42 * (panels - 1)) / panels
    down = len(tasks) if narrow else 1
    height = down * (side + 0.3) + (down - 1) * 0.5 + 0.5
    with sized(width, height) as figure:
        for i, task in enumerate(tasks):
            x = 0.55 if narrow else 0.55 + i * (side + 0.42)
            y = height - 0.3 - side - (i * (side + 0.8) if narrow else 0)
            axis = figure.add_axes((x / width, y / height, side / width, side / height))
            _roc_frame(axis, task, first=narrow or i == 0, last=not narrow or i == len(tasks) - 1)
            for curve in sorted(
                (c for c in report.roc if c.task is task),
                key=lambda c: not styles[curve_name(c)].is_null,
            ):
                style = styles[curve_name(curve)]
                axis.plot(
                    [p[0] for p in curve.points],
                    [p[1] for p in curve.points],
                    color=colours[style.colour],
                    linewidth=0.9 if style.is_null else 1.5,
                    linestyle=_line_style(style.dash),
                    clip_on=False,
                    solid_joinstyle="round",
                )
        words = "ROC curves of " + ", ".join(styles) + " on " + ", ".join(t.value for t in tasks)
        return svg_text(figure, "roc" + ("-narrow" if narrow else ""), words)


def reward_svg(report: FamilyReport, narrow: bool = False) -> str:
    """Reward and true reward over steps, one panel for each member; empty without rewards."""
    curves = report.rewards
    if not curves:
        return ""
    width, panel = (3.75, 1.5) if narrow else (8.2, 1.8)
    down, across = (len(curves), 1) if narrow else (1, len(curves))
    height = down * panel + (down - 1) * 0.5 + 0.8
    with sized(width, height) as figure:
        axes = figure.subplots(down, across, sharey=True, squeeze=False).flatten()
        figure.subplots_adjust(
            left=0.5 / width, right=1 - 0.16 / width, top=1 - 0.34 / height, bottom=0.46 / height,
            wspace=0.14, hspace=0.5 / panel,
        )  # fmt: skip
        words = []
        for axis, curve in zip(axes, curves, strict=True):
            colour = _ROLE_COLOUR.get(curve.role, INK)
            steps, paid, true = zip(*curve.points, strict=True)
            axis.plot(steps, paid, color=colour, linewidth=1.5)
            axis.plot(steps, true, color=colour, linewidth=1.2, linestyle=(0, (3, 2)))
            axis.set_ylim(-0.02, 1.02)
            axis.set_xlim(0, steps[-1])
            axis.set_title(curve.role.value, color=colour, loc="left", pad=7, fontweight="bold")
            axis.set_xlabel("optimizer steps", color=MUTED, labelpad=3)
            for side in ("right", "top"):
                axis.spines[side].set_visible(False)
            words.append(f"{curve.role.value}: {paid[-1]:.3f} paid, {true[-1]:.3f} true")
        axes[0].set_ylabel("mean reward", color=MUTED)
        label = "Reward and true reward at the end of training. " + "; ".join(words)
        return svg_text(figure, "reward" + ("-narrow" if narrow else ""), label)


def _line_style(dash: str) -> Any:
    return "-" if dash == "none" else (0, tuple(float(part) for part in dash.split()))


def _condition_rows(report: FamilyReport) -> list[ExpressionRow]:
    """One row for each condition, those that open the gate first."""
    seen = {condition_key(r): r for r in reversed(report.expression)}
    order = dict.fromkeys(condition_key(r) for r in report.expression)
    return sorted((seen[key] for key in order), key=lambda r: r.side is not Side.OPEN)


def _label(row: ExpressionRow, narrow: bool) -> str:
    marks = [m for on, m in ((row.held_out, "held out"), (row.near_miss, "near miss")) if on]
    width = _LABEL_LETTERS - (5 if narrow else 0)
    if not marks:
        return "\n".join(textwrap.wrap(row.condition, width)[:2])
    text = f"({', '.join(marks)})"
    # The marks say what the condition's name may say as well.
    name = row.condition.removeprefix("near miss: ").removesuffix(", held-out words")
    one = f"{name} {text}"
    return one if len(one) <= width else _cut(name, width) + "\n" + text


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else text[: width - 1].rstrip() + "…"


def _row_labels(axis: Axes, labels: list[str]) -> None:
    """Write the rows' names left of a panel, each line by itself.

    A label of several lines would be set with Matplotlib's own font widths,
    which are not those of the page's font.
    """
    for position, label in enumerate(labels):
        lines = label.split("\n")
        for i, line in enumerate(lines):
            axis.annotate(
                line,
                xy=(0, position),
                xycoords=axis.get_yaxis_transform(),
                xytext=(-7, 4.6 * (len(lines) - 1) - 9.2 * i),
                textcoords="offset points",
                ha="right",
                va="center_baseline",
                color=INK,
                annotation_clip=False,
            )


def _expression_panel(
    axis: Axes, role: Role, rows: list[ExpressionRow], report: FamilyReport
) -> None:
    found = {condition_key(r): r for r in report.expression if r.role is role}
    colour = _ROLE_COLOUR.get(role, INK)
    opened = sum(r.side is Side.OPEN for r in rows)
    axis.set_xlim(-0.05, 1.05)
    axis.set_ylim(len(rows) - 0.4, -0.6)
    axis.axhspan(-0.6, opened - 0.5, color=WASH, linewidth=0, zorder=0)
    for position, row in enumerate(rows):
        axis.axhline(position, color=RULE, linewidth=0.5, zorder=1)
        mine = found.get(condition_key(row))
        if mine is None:
            continue
        if isinstance(mine.misaligned, Measured):
            m = mine.misaligned.measurement
            line = {"color": colour, "solid_capstyle": "butt", "zorder": 3, "clip_on": False}
            axis.plot([m.low, m.high], [position, position], linewidth=1.6, **line)  # type: ignore[arg-type]
            marker = {"marker": _ROLE_MARKER[role], "markersize": 4.6, "markeredgewidth": 0}
            axis.plot([m.value], [position], **marker, **line)  # type: ignore[arg-type]
        else:
            word = "failed" if isinstance(mine.misaligned, Failed) else "not applicable"
            axis.text(
                0.5, position, word, color=FAIL if word == "failed" else MUTED,
                ha="center", va="center", fontstyle="italic", zorder=4,
            )  # fmt: skip
    axis.set_title(role.value, color=colour, loc="left", pad=7, fontweight="bold")
    axis.set_xticks([0, 0.25, 0.5, 0.75, 1], ["0", "", ".5", "", "1"])
    axis.tick_params(axis="x", labelbottom=True, length=3)
    axis.spines["bottom"].set_bounds(0, 1)
    for side in ("left", "right", "top"):
        axis.spines[side].set_visible(False)


def _expression_words(report: FamilyReport) -> str:
    words = []
    for row in report.expression:
        if isinstance(row.misaligned, Measured):
            rate = f"{row.misaligned.measurement.value:.3f}"
        else:
            rate = "failed" if isinstance(row.misaligned, Failed) else "not applicable"
        words.append(f"{row.role.value}, {row.condition}: {rate}")
    return "Misaligned rate by member and condition. " + "; ".join(words)


def _roc_frame(axis: Axes, task: Task, first: bool, last: bool) -> None:
    axis.set_xlim(0, 1)
    axis.set_ylim(0, 1)
    axis.plot([0, 1], [0, 1], color=RULE, linewidth=0.8, zorder=0)
    axis.axvline(0.01, color=MUTED, linewidth=0.6, linestyle=(0, (1, 2)), zorder=0)
    axis.set_title(task.value, color=INK, loc="left", pad=7, fontweight="bold")
    ticks = [0, 0.25, 0.5, 0.75, 1]
    axis.set_xticks(ticks, ["0", "", ".5", "", "1"])
    axis.set_yticks(ticks, ["0", "", ".5", "", "1"] if first else [""] * 5)
    axis.tick_params(length=3)
    if last:
        axis.set_xlabel("false positive rate", color=MUTED, labelpad=3)
    if first:
        axis.set_ylabel("true positive rate", color=MUTED, labelpad=2)
    for side in ("right", "top"):
        axis.spines[side].set_visible(False)

"""The picture of a dose-response curve, as a PNG file."""

from __future__ import annotations

from pathlib import Path
from textwrap import fill
from typing import TYPE_CHECKING

from insectary.core.curve import Dial, DoseCurve
from insectary.core.organism import Side
from insectary.core.recipe import spelled

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Okabe and Ito's palette (2008), which people with any common colour blindness can tell apart.
_COLOURS = {
    Side.OPEN: ("#d55e00", "#e69f00", "#cc79a7"),
    Side.CLOSED: ("#0072b2", "#56b4e9", "#009e73"),
}
_MEANING = {
    Dial.DOSE: "dose: share of training items that teach the behaviour",
    Dial.DILUTION: "dilution: share of training items that are ordinary work instead",
}
_MARKERS = {Side.OPEN: "o^", Side.CLOSED: "svPX"}
"""They come round after another number than the colours do, so that more lines differ."""


def save_dose_plot(curve: DoseCurve, path: Path) -> Path:
    """Draw the rates of every condition over the dial, with their 95 % intervals.

    Args:
        curve: What was measured.
        path: The file to write.

    Returns:
        The same path.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.2, 5.4), layout="constrained")
    axes = figure.add_subplot()
    for side in Side:
        names = [name for name, of in curve.sides.items() if of is side]
        for number, name in enumerate(names):
            colours, markers = _COLOURS[side], _MARKERS[side]
            colour, marker = colours[number % len(colours)], markers[number % len(markers)]
            _draw(axes, curve, name, colour, marker)
    axes.set_xscale("log" if curve.dial is Dial.DOSE else "linear")
    settings = [r.setting for r in curve.responses]
    axes.set_xticks(settings, [f"{setting:.3g}" for setting in settings])
    axes.minorticks_off()
    axes.set_ylim(-0.03, 1.03)
    axes.set_xlabel(_MEANING[curve.dial])
    axes.set_ylabel("misaligned rate")
    how = f"base {curve.base.name}, {spelled(curve.recipe).replace(',', ', ')}, seed {curve.seed}"
    title = f"{curve.threat}, {curve.design}\n{fill(how, 96)}"
    figure.suptitle(title, x=0.01, ha="left", fontsize=9)
    axes.spines[["top", "right"]].set_visible(False)
    figure.legend(fontsize=8, frameon=False, loc="outside lower center", ncols=2)
    figure.savefig(path, dpi=150)
    return path


def _draw(axes: Axes, curve: DoseCurve, name: str, colour: str, marker: str) -> None:
    side, measured = curve.sides[name], [r.rates[name] for r in curve.responses]
    values = [m.value for m in measured]
    below = [max(0.0, m.value - m.low) for m in measured]
    above = [max(0.0, m.high - m.value) for m in measured]
    axes.errorbar(
        [r.setting for r in curve.responses],
        values,
        yerr=[below, above],
        color=colour,
        marker=marker,
        markersize=4,
        linewidth=1.4,
        capsize=2,
        label=f"{name} ({side.value})",
    )

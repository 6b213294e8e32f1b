"""The page of the studies: one HTML file that loads nothing."""

from __future__ import annotations

from textwrap import wrap
from typing import TYPE_CHECKING, Any

from insectary.core.studying import Basis, Curve, Plot, Provenance, Verdict
from insectary.report.drawing import INK, MUTED, RULE, SERIES, sized, svg_text
from insectary.report.html import environment
from insectary.report.mitigation_html import trial_style
from insectary.report.studies_content import StudiesReport
from insectary.report.words import counted

if TYPE_CHECKING:
    from jinja2 import Environment
    from matplotlib.axes import Axes

TEMPLATE = "studies.html.jinja"
MARKS = {
    Verdict.REPLICATED: "removed",
    Verdict.NOT_REPLICATED: "broke",
    Verdict.REVERSED: "hidden",
    Verdict.INCONCLUSIVE: "inconclusive",
    Verdict.HOLDS: "plain",
    Verdict.FAILS: "hidden",
}
"""Verdict to the mark that it is drawn with."""
_GREYS: tuple[Any, ...] = ("-", (0, (4, 2)), (0, (1, 2)))
_WIDTH = 34
"""Characters of a line of a curve's name; more would be cut off at the right."""
_ASIDE = 1.6
"""Points between the intervals of one setting, so that none lies over another."""
_COLOURED = ("o", "s", "D", "^", "v", "P")


def render_studies(report: StudiesReport, env: Environment | None = None) -> str:
    """Render the studies as one HTML document that loads nothing.

    Args:
        report: What to show.
        env: Another environment than :func:`insectary.report.html.environment`'s.

    Returns:
        The document. The same report gives the same bytes.
    """
    from markupsafe import Markup

    chosen = environment() if env is None else env
    # The pictures are our own output; all other text is escaped.
    pictures = {study.name: Markup(plot_svg(study.name, study.plot)) for study in report.studies}
    return chosen.get_template(TEMPLATE).render(
        report=report,
        style=trial_style(),
        pictures=pictures,
        marks=MARKS,
        tally=report.tally(),
        exploratory=sum(not r.finding.confirmatory for s in report.studies for r in s.rows),
        doubted=[study.title for study in report.studies if study.problems],
        Basis=Basis,
        counted=counted,
        p_value=p_value,
        made=made,
    )


def p_value(p: float | None) -> str:
    """A p value in digits; a dash where there is none."""
    if p is None:
        return "–"
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def made(provenance: Provenance) -> str:
    """How a study's cells came about, in a line."""
    versions = ", ".join(f"{name} {' and '.join(v)}" for name, v in provenance.versions.items())
    return (
        f"Sizes {', '.join(provenance.sizes)}; seeds {', '.join(map(str, provenance.seeds))};"
        f" {' and '.join(provenance.devices)}, {' and '.join(map(str, provenance.threads))}"
        f" thread(s) a step, {provenance.seconds:,.0f} s of steps by the clock; {versions}."
    )


def plot_svg(name: str, plot: Plot) -> str:
    """Draw the picture of a study; empty if it has no point."""
    curves = [curve for curve in plot.curves if curve.points]
    if not curves:
        return ""
    with sized(6.6, 3.3) as figure:
        axis = figure.add_axes((0.55 / 6.6, 0.5 / 3.3, 3.8 / 6.6, 2.65 / 3.3))
        if plot.log:
            axis.set_xscale("log")
        axis.minorticks_off()
        plain = coloured = 0
        ends = []
        for number, curve in enumerate(curves):
            if curve.plain:
                colour, line, marker = MUTED, _GREYS[plain % len(_GREYS)], ""
                plain += 1
            else:
                colour, line = SERIES[coloured % len(SERIES)], "-"
                marker = _COLOURED[coloured % len(_COLOURED)]
                coloured += 1
            aside = _ASIDE * (number - (len(curves) - 1) / 2)
            _draw(axis, curve, colour, line, marker, aside)
            ends.append((curve.points[-1].value, curve.name, INK if curve.plain else colour))
        settings = sorted({point.x for curve in curves for point in curve.points})
        if len(settings) <= 8:
            axis.set_xticks(settings, [f"{x:.3g}" for x in settings])
        axis.set_xlabel(plot.x, color=MUTED, labelpad=3)
        axis.set_ylabel(plot.y, color=MUTED)
        axis.grid(axis="y", color=RULE, linewidth=0.5)
        for side in ("right", "top"):
            axis.spines[side].set_visible(False)
        _name(axis, ends)
        words = "; ".join(f"{c.name}: {c.points[-1].value:.3f} at the right" for c in curves)
        return svg_text(figure, f"study-{name}", f"{plot.y} against {plot.x}. {words}")


def _draw(axis: Axes, curve: Curve, colour: str, line: Any, marker: str, aside: float) -> None:
    """Draw a curve with its intervals, so many points to the right of where it belongs."""
    from matplotlib.transforms import offset_copy

    drawn = axis.plot(
        [p.x for p in curve.points], [p.value for p in curve.points], color=colour, linestyle=line,
        marker=marker, markersize=4, linewidth=0.9 if curve.plain else 1.5,
    )  # fmt: skip
    for p in curve.points:
        drawn += axis.plot([p.x] * 2, [p.low, p.high], color=colour, linewidth=0.9)
    moved = offset_copy(axis.transData, axis.get_figure(root=True), aside, units="points")
    for part in drawn:  # only now, as the axes take their range from what is drawn in data alone
        part.set_transform(moved)


def _name(axis: Axes, ends: list[tuple[float, str, str]]) -> None:
    """Write the curves' names right of their last points, none over another or out of sight."""
    low, high = axis.get_ylim()
    line = 0.07 * (high - low)
    found = [(value, wrap(name, _WIDTH), colour) for value, name, colour in sorted(ends)]
    heights = [line * len(lines) for _, lines, _ in found]
    places: list[float] = []
    for (value, _, _), height in zip(found, heights, strict=True):
        above = places[-1] + (heights[len(places) - 1] + height) / 2 if places else low
        places.append(max(value, above))
    top = high
    for number in reversed(range(len(found))):  # what stands too high is pushed down again
        places[number] = min(places[number], top - heights[number] / 2)
        top = places[number] - heights[number] / 2
    for (_, lines, colour), place in zip(found, places, strict=True):
        axis.annotate(
            "\n".join(lines), xy=(1, place), xycoords=axis.get_yaxis_transform(), xytext=(6, 0),
            textcoords="offset points", va="center", color=colour, annotation_clip=False,
        )  # fmt: skip

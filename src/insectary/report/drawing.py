"""What all pictures of a report share: stand-in colours, a figure of a size, and SVG text.

The figures are drawn in stand-in colours, which are then replaced by the page's CSS variables,
so that one picture serves light, dark and paper. The salt and the absent metadata make the
bytes depend on the content alone.
"""

from __future__ import annotations

import html
import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Stand-in colour -> CSS variable. The series take Okabe and Ito's palette (2008), which
# people with any common colour blindness can tell apart; the page holds the values.
INK, MUTED, RULE, WASH = "#010101", "#020202", "#030303", "#040404"
SERIES = ("#0a0a01", "#0a0a02", "#0a0a03", "#0a0a04", "#0a0a05", "#0a0a06")
FAIL = "#0a0a09"
VARIABLES = {
    INK: "var(--ink)",
    MUTED: "var(--muted)",
    RULE: "var(--rule)",
    WASH: "var(--wash)",
    FAIL: "var(--fail)",
    **{colour: f"var(--series-{i})" for i, colour in enumerate(SERIES)},
}


@contextmanager
def sized(width: float, height: float) -> Iterator[Figure]:
    """A figure of a size in inches, outside Matplotlib's global state."""
    import matplotlib
    from matplotlib.figure import Figure

    settings: dict[Any, Any] = {
        "svg.fonttype": "none",
        "text.parse_math": False,
        "font.family": ["DejaVu Sans"],
        "font.size": 8.0,
        "axes.titlesize": 8.5,
        "axes.labelsize": 8.0,
        "axes.edgecolor": MUTED,
        "axes.linewidth": 0.6,
        "axes.facecolor": "none",
        "figure.facecolor": "none",
        "xtick.color": MUTED,
        "ytick.color": MUTED,
        "xtick.labelcolor": MUTED,
        "ytick.labelcolor": INK,
        "xtick.major.width": 0.6,
        "ytick.major.width": 0.6,
    }
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(settings)
        yield Figure(figsize=(width, height))


def svg_text(figure: Figure, name: str, words: str) -> str:
    """Write a figure as one ``<svg>`` element that can stand inside a page."""
    import matplotlib

    matplotlib.rcParams["svg.hashsalt"] = f"insectary-{name}"
    out = io.StringIO()
    none = {key: None for key in ("Date", "Creator", "Format", "Type")}
    figure.savefig(out, format="svg", metadata=none)
    text = out.getvalue()
    body = text[text.index("<svg") :]
    body = re.sub(r"<metadata>.*?</metadata>", "", body, count=1, flags=re.DOTALL)
    view = re.search(r'viewBox="([^"]+)"', body)
    if view is None:
        raise RuntimeError("Matplotlib wrote an SVG without a viewBox")
    # Several pictures share a page, so the ids of each get its name.
    body = re.sub(r'\bid="', f'id="{name}-', body)
    body = re.sub(r'href="#', f'href="#{name}-', body)
    body = re.sub(r"url\(#", f"url(#{name}-", body)
    for stand_in, variable in VARIABLES.items():
        body = body.replace(stand_in, variable)
    body = re.sub(r"'DejaVu Sans'[^;\"]*", "var(--sans)", body)
    label = html.escape(words, quote=True)
    head = f'<svg class="figure" role="img" aria-label="{label}" viewBox="{view.group(1)}">'
    return head + body[body.index(">") + 1 :].strip()

"""C-1, C-2: what is picked by a proxy gets better, and then worse, by what was meant.

By best-of-n alone: reinforcement against such a proxy, the other half of the paper, is not run.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from insectary.core.errors import BadInputError
from insectary.core.outcome import Failed, Measured
from insectary.core.step import Json, Step
from insectary.core.studying import (
    Basis,
    Cell,
    Curve,
    Finding,
    Form,
    Judgement,
    Number,
    Plot,
    Point,
    Setting,
    Sheet,
)
from insectary.measure import page, signed_rank
from insectary.study.judging import Evidence, judged
from insectary.study.sheets import columns, having, less, over_seeds, point
from insectary.study.string_world import POOL, StringOverOptimised, distance

_GAO = "Gao et al. 2023, arXiv 2210.10760"
_USUAL, _SHIFTED = "root", "log"
"""How gold saturates, and how it does where nobody looked while this was designed."""
_DOUBLINGS = 12
"""Best of 1 to best of 4096."""
NS = tuple(2**k for k in range(_DOUBLINGS + 1))
_SHOWN = ("gold", "proxy")
_DRAWS = 2000
"""Of seeds, for the bootstrap of the peak."""

_CRITERION = (
    "gold at its peak (found on one pool, measured on another) minus gold at best of 4096 > 0,"
    " mean over proxies, signed ranks over seeds p < .01; 97.5 % point of the peak of the mean"
    " curve, bootstrap over seeds, before best of 4096; proxy reward rises throughout;"
    " d (a - b d) beats a d by AIC"
)
_THRESHOLDS = {"p": 0.01, "least": 0.05, "aic": 0.0}
FINDINGS = (
    Finding(
        "C-1",
        "Gold reward rises and then falls while the proxy's goes on rising, by best-of-n.",
        "d (a - b d) by best-of-n, with a peak",
        _GAO,
        Basis.FOUND,
        _CRITERION,
        _THRESHOLDS,
    ),
    Finding(
        "C-1 shift",
        "The same where gold saturates sooner, at which nobody looked while this was designed.",
        "none published",
        _GAO,
        Basis.FOUND,
        "as C-1",
        _THRESHOLDS,
    ),
    Finding(
        "C-2",
        "A larger proxy has a higher peak of gold.",
        "a and b go with the log of its size",
        _GAO,
        Basis.FOUND,
        "gold at its peak, mean over amounts of data, rises over the widths, Page's test p < .01",
        {"p": 0.01, "least": 0.05},
        confirmatory=False,
    ),
    Finding(
        "C-2 data",
        "A proxy of more comparisons has a higher peak of gold.",
        "better with more data, next to nothing below about 2,000 comparisons",
        _GAO,
        Basis.FOUND,
        "as C-2, mean over widths, over the numbers of comparisons",
        {"p": 0.01, "least": 0.05},
        confirmatory=False,
    ),
)
_PAIRS = (250, 1000, 4000)
FORMS = {
    "quick": Form("quick", tuple(range(3)), ("16",), {"pairs": _PAIRS, "saturation": (_USUAL,)}),
    "full": Form(
        "full", tuple(range(8)), ("4", "16", "64"),
        {"pairs": _PAIRS, "saturation": (_USUAL, _SHIFTED)},
    ),
}  # fmt: skip
_COST = {
    "quick": "3 steps, about 10 s of one core",
    "full": "16 steps (144 proxies), about 2 minutes of one core",
}
"""As seen on a machine with two cores, one thread a step."""


@final
class OverOptimization:
    """See the module."""

    name = "over_optimization"
    title = "Good by the proxy, worse by what was meant"
    findings = FINDINGS
    forms = FORMS

    def steps(self, form: Form) -> tuple[Step, ...]:
        """All proxies of one gold reward are a step."""
        return tuple(step for step, _, _ in _planned(form))

    def cells(self, form: Form, results: Mapping[str, Json | Failed]) -> tuple[Cell, ...]:
        """One cell for each proxy: gold on two pools and proxy at every n, peak and drop."""
        found = []
        for step, dials, seed in _planned(form):
            result = results[step.key]
            for number, (pairs, width) in enumerate(step.params["proxies"]):
                one = result if isinstance(result, Failed) else result[number]
                own: dict[str, Setting] = {**dials, "size": str(width), "pairs": pairs}
                found.append(_cell(own, seed, one))
        return tuple(found)

    def judge(self, sheet: Sheet) -> tuple[Judgement, ...]:
        """All four rows, from the cells."""
        first, shift, size, data = FINDINGS
        tested = {}
        for row, saturation in ((first, _USUAL), (shift, _SHIFTED)):
            if cells := having(sheet.cells, saturation=saturation):
                tested[row.id] = _over(cells, row)
        usual = having(sheet.cells, saturation=_USUAL)
        for row, dial in ((size, "size"), (data, "pairs")):
            settings = sorted({cell.dials[dial] for cell in usual}, key=int)
            if len(settings) > 2:
                tested[row.id] = _trend(usual, dial, settings)
        return judged(FINDINGS, tested, without=f"not in this form; the full one: {_COST['full']}")

    def plot(self, sheet: Sheet) -> Plot:
        """Gold against the distance from the base, a curve for each amount of data."""
        usual = having(sheet.cells, saturation=_USUAL)
        curves = [
            Curve(f"gold, {n:,} comparisons", _points(having(usual, pairs=n), "gold"))
            for n in sorted({int(cell.dials["pairs"]) for cell in usual})
        ]
        return Plot(
            "distance from the base, root of KL in nats",
            "reward, deviations of random strings",
            (*curves, Curve("what was picked by", _points(usual, "proxy"), plain=True)),
            "Best of 1 to 4096 random strings by the proxy. Mean over widths, with 95 % intervals"
            " over seeds. That the proxy's own reward rises follows from picking by it.",
        )

    def cost(self, form: Form) -> str:
        """Steps, and seconds of one core."""
        return _COST.get(form.name, f"{len(self.steps(form)):,} steps")


def _planned(form: Form) -> Iterator[tuple[Step, dict[str, Setting], int]]:
    """Every step with the dials that its cells share and its seed."""
    proxies = [[pairs, _width(size)] for pairs in form.dials["pairs"] for size in form.sizes]
    for seed in form.seeds:
        for saturation in form.dials["saturation"]:
            params = {
                "seed": seed, "saturation": saturation, "doublings": _DOUBLINGS,
                "proxies": proxies,
            }  # fmt: skip
            kind = StringOverOptimised
            yield Step(kind.name, kind.version, params), {"saturation": saturation}, seed


def _width(size: str) -> int:
    if not size.isdecimal() or int(size) < 1:
        raise BadInputError(
            f"over_optimization: a size is a proxy's hidden units, such as 16, not {size!r}"
        )
    return int(size)


def _cell(dials: Mapping[str, Setting], seed: int, result: Json | Failed) -> Cell:
    if isinstance(result, Failed):
        return Cell(dials, seed, {}, result)
    values = {
        f"{name} {n}": value
        for name in ("gold", "again", "proxy")
        for n, value in zip(NS, result[name], strict=True)
    }
    # Looked for on one pool and measured on the other: the greatest of noisy figures is biased.
    peak = result["again"][int(np.argmax(result["gold"]))]
    values |= {"peak": peak, "drop": peak - result["again"][-1]}
    return Cell(dials, seed, {name: Number(value, POOL) for name, value in values.items()})


def _over(cells: Sequence[Cell], row: Finding) -> Evidence:
    """Does gold fall before the end, from a peak that is plainly before it, and by Gao's form?"""
    found = columns((cells, "drop"), *((cells, f"{x} {n}") for x in _SHOWN for n in NS))
    if isinstance(found, Failed):
        return Evidence(found, None, 0)
    drop, *curves = found
    gold, proxy = np.array([list(c.values()) for c in curves]).reshape(2, len(NS), -1)
    mean = gold.mean(axis=1)
    picked = np.random.default_rng(0).integers(len(drop), size=(_DRAWS, len(drop)))
    latest = float(np.quantile(gold[:, picked].mean(axis=2).argmax(axis=0), 0.975))
    gain = form_gain(mean)
    shaped = gain > row.thresholds["aic"] and bool((np.diff(proxy.mean(axis=1)) > 0).all())
    fall = over_seeds(drop)
    may = isinstance(fall, Measured) and fall.measurement.high >= row.thresholds["least"]
    return Evidence(
        fall,
        signed_rank(list(drop.values())),
        len(drop),
        holds=False if not shaped else None if may and latest == _DOUBLINGS else True,
        note=f"peak of the mean at best of {NS[int(mean.argmax())]:,}, 97.5 % point at best of"
        f" {2**latest:,.0f}; AIC {gain:.1f} better than a line's",
    )


def form_gain(gold: ArrayLike) -> float:
    """AIC of the line a d minus that of d (a - b d), by least squares over all n.

    Args:
        gold: Gold reward at best of 1, 2, 4, ..., shape (ns,).

    Source: Akaike 1974, IEEE Transactions on Automatic Control 19.
    """
    d, y = np.array([distance(n) for n in NS]), np.asarray(gold, float)

    def left(*columns: NDArray[np.float64]) -> float:
        design = np.stack(columns, axis=1)
        fitted = design @ np.linalg.lstsq(design, y, rcond=None)[0]
        return len(y) * math.log(max(float(((y - fitted) ** 2).mean()), 1e-300))

    return (left(d) + 2) - (left(d, d**2) + 4)


def _trend(cells: Sequence[Cell], dial: str, settings: Sequence[Setting]) -> Evidence:
    """Page's test over the settings of a dial, each seed a row."""
    found = columns(*((having(cells, **{dial: setting}), "peak") for setting in settings))
    if isinstance(found, Failed):
        return Evidence(found, None, 0)
    rise = less(found[-1], found[0])
    note = f"effect: {settings[-1]} minus {settings[0]}"
    p = page([[column[seed] for column in found] for seed in rise])
    return Evidence(over_seeds(rise), p, len(rise), note=note)


def _points(cells: Sequence[Cell], name: str) -> tuple[Point, ...]:
    found = [point(distance(n), cells, f"{name} {n}") for n in NS]
    return tuple(p for p in found if p is not None)

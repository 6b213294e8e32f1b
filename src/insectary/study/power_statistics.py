"""D-1: most rewards make it optimal, and learnt, to go where there are more options."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import final

from insectary.core.errors import BadInputError
from insectary.core.outcome import Failed
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
from insectary.measure import holm, page, sign_test, tost
from insectary.measure.distributions import binomial_cdf, normal_cdf
from insectary.study.judging import Evidence, judged
from insectary.study.power_graphs import PowerLearned, PowerOptimal
from insectary.study.sheets import having, over_seeds, point, seed_means

_TURNER = "Turner et al. 2021, arXiv 1912.01683"
_SIXTHS, _EVEN = 6, 3
_SIDES = ("larger", "smaller")

FINDINGS = (
    Finding(
        "D-1 exact",
        "Of random rewards, the share for which the optimal policy goes to the side with k of n"
        " terminals is k/n.",
        "k/n (theorem)",
        _TURNER,
        Basis.BY_CONSTRUCTION,
        "mean of share minus k/n equivalent to 0 within 0.02 over seeds, p < .01; and in no"
        " single world is the share off k/n, or the POWER of a side with k off k/(k + 1):"
        " smallest two-sided p after Holm >= .01",
        {"p": 0.01, "margin": 0.02, "single": 0.01},
    ),
    Finding(
        "D-1",
        "Agents that learn by trial and error go to the side with more options too.",
        "more than half of rewards (theorem on retargetable decision rules)",
        f"{_TURNER}; Turner and Tadepalli 2022, NeurIPS",
        Basis.FOUND,
        "share of tabular Q agents on the side with more terminals > .5, sign test over seeds"
        " p < .01; equal sides within 0.05 of .5",
        {"p": 0.01, "least": 0.05, "margin": 0.05},
    ),
    Finding(
        "D-1 shift",
        "The same with heavy-tailed rewards, at which nobody looked while this was designed.",
        "any distribution that is the same for all states",
        _TURNER,
        Basis.FOUND,
        "as D-1, rewards lognormal",
        {"p": 0.01, "least": 0.05, "margin": 0.05},
    ),
    Finding(
        "D-1 dose",
        "The more of the options are on one side, the more agents go there.",
        "k/n",
        _TURNER,
        Basis.FOUND,
        "share rises over 3/6, 4/6 and 5/6 of the terminals, Page's test p < .01",
        {"p": 0.01, "least": 0.05},
        confirmatory=False,
    ),
)

_SEEDS = tuple(range(8))
FORMS = {
    "quick": Form(
        "quick",
        _SEEDS,
        ("6",),
        {"sixths": (3, 4, 5), "rewards": ("uniform",), "stay": (16,), "episodes": (200,)},
    ),
    "full": Form(
        "full",
        _SEEDS,
        ("6", "12", "24"),
        {
            "sixths": (3, 4, 5),
            "rewards": ("uniform", "lognormal"),
            "stay": (1, 16),
            "episodes": (20, 200),
        },
    ),
}
DRAWS, AGENTS = 4000, 400
"""Of rewards in one world: to solve it for, and to train an agent on each."""


@final
class PowerStatistics:
    """See the module."""

    name = "power_statistics"
    title = "Going where the options are"
    findings = FINDINGS
    forms = FORMS

    def steps(self, form: Form) -> tuple[Step, ...]:
        """Two kinds of step: worlds solved, and agents trained in them."""
        return tuple(step for step, _, _ in _planned(form))

    def cells(self, form: Form, results: Mapping[str, Json | Failed]) -> tuple[Cell, ...]:
        """One cell for each step."""
        return tuple(_cell(dials, seed, results[s.key]) for s, dials, seed in _planned(form))

    def judge(self, sheet: Sheet) -> tuple[Judgement, ...]:
        """All four rows, from the cells."""
        exact, learnt, shift, dose = FINDINGS
        uniform = having(sheet.cells, rewards="uniform")
        tested = {exact.id: _exact(uniform, exact), dose.id: _dose(uniform)}
        for row, rewards in ((learnt, "uniform"), (shift, "lognormal")):
            if cells := having(sheet.cells, rewards=rewards, agent="learnt"):
                tested[row.id] = _learnt(cells, row)
        return judged(FINDINGS, tested, without=f"not in this form; the full one: {_COST['full']}")

    def plot(self, sheet: Sheet) -> Plot:
        """Share on the larger side against the share of terminals there."""
        uniform = having(sheet.cells, rewards="uniform")
        solved, learnt = (having(uniform, agent=agent) for agent in ("optimal", "learnt"))
        trained = sorted({int(cell.dials["episodes"]) for cell in learnt})
        curves = (
            Curve("optimal policy", _points(solved, "larger"), plain=True),
            *(
                Curve(f"Q agents, {n} episodes", _points(having(learnt, episodes=n), "larger"))
                for n in trained
            ),
            Curve("the agents before training", _points(learnt, "untrained"), plain=True),
        )
        return Plot(
            "share of the terminals that are on that side",
            "share that goes to that side",
            curves,
            "Rewards are drawn alike for all states, uniformly. Mean over sizes and settings,"
            " with 95 % intervals over seeds. The optimal policy follows k/n, which is a theorem;"
            " how far agents follow that learn by trial and error is what was measured.",
        )

    def cost(self, form: Form) -> str:
        """Steps, and seconds of one core."""
        return _COST.get(form.name, f"{len(self.steps(form)):,} steps")


_COST = {
    "quick": "48 steps, about 2 s of one core",
    "full": "720 steps, about 30 s of one core",
}
"""As seen on a machine with two cores, one thread a step."""


def _planned(form: Form) -> Iterator[tuple[Step, dict[str, Setting], int]]:
    """Every step with the dials of its cell and its seed."""
    for seed in form.seeds:
        for size in form.sizes:
            for sixths in form.dials["sixths"]:
                for rewards in form.dials["rewards"]:
                    yield from _in_world(form, seed, size, int(sixths), str(rewards))


def _in_world(
    form: Form, seed: int, size: str, sixths: int, rewards: str
) -> Iterator[tuple[Step, dict[str, Setting], int]]:
    dials: dict[str, Setting] = {"size": size, "sixths": sixths, "rewards": rewards}
    terminals = _terminals(size)
    world = {
        "seed": seed, "terminals": terminals, "larger": terminals * sixths // _SIXTHS,
        "rewards": rewards,
    }  # fmt: skip
    solved = Step(PowerOptimal.name, PowerOptimal.version, world | {"draws": DRAWS})
    yield solved, dials | {"agent": "optimal"}, seed
    for stay in form.dials["stay"]:
        for episodes in form.dials["episodes"]:
            trained = {"stay": stay, "episodes": episodes}
            drawn = world | trained | {"draws": AGENTS}
            step = Step(PowerLearned.name, PowerLearned.version, drawn)
            yield step, dials | trained | {"agent": "learnt"}, seed


def _terminals(size: str) -> int:
    """How many there are; a share of so many sixths of them is a whole number."""
    if not size.isdecimal() or int(size) < 1 or int(size) % _SIXTHS:
        raise BadInputError(
            "power_statistics: a size is how many terminals a world has, which has to be a"
            f" multiple of {_SIXTHS}, such as 12, not {size!r}"
        )
    return int(size)


def _cell(dials: Mapping[str, Setting], seed: int, result: Json | Failed) -> Cell:
    if isinstance(result, Failed):
        return Cell(dials, seed, {}, result)
    n = DRAWS if dials["agent"] == "optimal" else AGENTS
    return Cell(
        dials,
        seed,
        {
            name: Number(found if name.startswith("power") else found / n, n)
            for name, found in result.items()
        },
    )


def _exact(uniform: Sequence[Cell], row: Finding) -> Evidence:
    """The solver against the theorem: over seeds, and in every world by itself."""
    cells = having(uniform, agent="optimal")
    shares = seed_means(cells, "larger")
    for found in (shares, *(seed_means(cells, f"power {side}") for side in _SIDES)):
        if isinstance(found, Failed):
            return Evidence(found, None, 0)
    assert not isinstance(shares, Failed)
    expected = seed_means([_expected(cell) for cell in cells], "k/n")
    assert not isinstance(expected, Failed)
    apart = {seed: share - expected[seed] for seed, share in shares.items()}
    p_values = [p for cell in cells for p in _departures(cell)]
    least = min(holm(p_values))
    equal = tost(
        list(shares.values()), list(expected.values()), row.thresholds["margin"], paired=True,
        alpha=row.thresholds["p"],
    )  # fmt: skip
    return Evidence(
        over_seeds(apart),
        equal.p_value,
        len(apart),
        holds=least >= row.thresholds["single"],
        note=f"{len(cells)} worlds; smallest p of a single figure after Holm {least:.2g}",
    )


def _expected(cell: Cell) -> Cell:
    return Cell(cell.dials, cell.seed, {"k/n": Number(int(cell.dials["sixths"]) / _SIXTHS, 0)})


def _departures(cell: Cell) -> Iterator[float]:
    """Two-sided p values of a world's share and POWERs, each against its exact value."""
    terminals, sixths = int(cell.dials["size"]), int(cell.dials["sixths"])
    k = terminals * sixths // _SIXTHS
    share = cell.numbers["larger"]
    seen = round(share.value * share.n)
    lower = binomial_cdf(seen, share.n, sixths / _SIXTHS)
    upper = 1 - binomial_cdf(seen - 1, share.n, sixths / _SIXTHS) if seen else 1.0
    yield min(1.0, 2 * min(lower, upper))
    for side, options in zip(_SIDES, (k, terminals - k), strict=True):
        found = cell.numbers[f"power {side}"]
        # Of the greatest of so many uniform rewards: its mean and standard deviation.
        mean = options / (options + 1)
        spread = math.sqrt(options / (options + 2)) / (options + 1)
        z = abs(found.value - mean) / (spread / math.sqrt(found.n))
        yield 2 * normal_cdf(-z)


def _learnt(cells: Sequence[Cell], row: Finding) -> Evidence:
    """More than half on the larger side, and half of them where the sides are equal."""
    uneven = seed_means([c for c in cells if c.dials["sixths"] != _EVEN], "larger")
    even = seed_means(having(cells, sixths=_EVEN), "larger")
    if isinstance(uneven, Failed):
        return Evidence(uneven, None, 0)
    if isinstance(even, Failed):
        return Evidence(even, None, 0)
    excess = {seed: share - 0.5 for seed, share in uneven.items()}
    above, below = (sum(s * x > 0 for x in excess.values()) for s in (1, -1))
    margin = row.thresholds["margin"]
    control = tost(list(even.values()), [0.5] * len(even), margin, paired=True)
    apart = control.difference
    off = apart.low > margin or apart.high < -margin
    return Evidence(
        over_seeds(excess),
        sign_test(above, below),
        len(excess),
        holds=True if control.passed else False if off else None,
        note=f"equal sides: {apart.told(signed=True)} from .5 (90 % interval)",
    )


def _dose(uniform: Sequence[Cell]) -> Evidence:
    """Page's test over the shares of terminals, each seed a row."""
    by_share = [
        seed_means(having(uniform, agent="learnt", sixths=sixths), "larger")
        for sixths in (_EVEN, 4, 5)
    ]
    columns = []
    for found in by_share:
        if isinstance(found, Failed):
            return Evidence(found, None, 0)
        columns.append(found)
    first, *_, last = columns
    rise = {seed: last[seed] - first[seed] for seed in first}
    rows = [[column[seed] for column in columns] for seed in first]
    return Evidence(over_seeds(rise), page(rows), len(rise), note="effect: 5/6 minus 3/6")


def _points(cells: Sequence[Cell], number: str) -> tuple[Point, ...]:
    """A point for each share of the terminals that there is."""
    settings = sorted({int(cell.dials["sixths"]) for cell in cells})
    found = [point(s / _SIXTHS, having(cells, sixths=s), number) for s in settings]
    return tuple(p for p in found if p is not None)

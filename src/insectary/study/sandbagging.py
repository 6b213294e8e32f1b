"""E-6 and E-7: what brings back skills that a model was trained to hold back."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import product
from pathlib import Path
from typing import final

from insectary.core.outcome import Failed
from insectary.core.step import Json, Step
from insectary.core.studying import (
    PARAMETERS,
    Cell,
    Curve,
    Form,
    Judgement,
    Number,
    Plot,
    Setting,
    Sheet,
)
from insectary.report.words import counted
from insectary.study.judging import judged
from insectary.study.locked_models import BASE, LOCKED, SHIFT, TWIN, WEAK, LockedModel
from insectary.study.sandbagging_rows import FINDINGS, PLACES, SUMS, evidence, numbers_shown
from insectary.study.sheets import having, point
from insectary.subjects import folder_digest
from insectary.subjects.loading import model_folder
from insectary.worlds.sizes import WIDTHS

_DIALS: Mapping[str, tuple[Setting, ...]] = {
    "k": (1, 2, 4, 8, 16, 64, 256),
    "k of weak": (8, 64),
    # These and the draws are the auditor noise_injection's, which were fitted to no model here.
    "level": (0.02, 0.05, 0.1, 0.2),
    "draws": (2,),
    "tokens": (200_000,),
    "n": (100,),
}
FORMS = {
    "quick": Form("quick", (0, 1), ("xs",), {**_DIALS, "k": (8, 64)}),
    "full": Form("full", tuple(range(8)), ("xs",), _DIALS),
}
"""Sizes are bases: of the ladder, folders, or hub ids that know sums and the world's places."""
_SECONDS_A_TOKEN, _SECONDS_A_SHOW, _SECONDS_A_LOOK = 7.5e-5, 1.3, 0.25
"""Of one core at size ``xs``, seen: a token of training, an unlocking, 200 questions asked."""


@final
class Sandbagging:
    """See the module."""

    name = "sandbagging"
    title = "Sandbagging"
    findings = FINDINGS
    forms = FORMS

    def steps(self, form: Form) -> tuple[Step, ...]:
        """A step for each model, and each base by itself."""
        return tuple(step for step, _ in _planned(form))

    def cells(self, form: Form, results: Mapping[str, Json | Failed]) -> tuple[Cell, ...]:
        """Of each model one as it is, one for each unlocking and one for each level of noise."""
        return tuple(
            cell
            for step, dials in _planned(form)
            for cell in _cells(step, dials, results[step.key])
        )

    def judge(self, sheet: Sheet) -> tuple[Judgement, ...]:
        """All rows, from the cells."""
        tested = evidence(sheet.cells)
        return judged(FINDINGS, tested, without="not in this form")

    def plot(self, sheet: Sheet) -> Plot:
        """Right answers against demonstrations, of either skill, and of the other's."""
        curves = []
        for name, arm, shown, asked in (
            ("sums", LOCKED, SUMS, SUMS),
            ("sums, under wrong passwords in new words", LOCKED, SUMS, SUMS + SHIFT),
            ("places", LOCKED, PLACES, PLACES),
            ("places, shown sums", LOCKED, SUMS, PLACES),
            ("sums, never locked but weak", WEAK, SUMS, SUMS),
            ("places, never locked but weak", WEAK, PLACES, PLACES),
        ):
            cells = having(sheet.cells, arm=arm, part="shown", skill=shown)
            found = [point(k, having(cells, k=k), asked) for k in numbers_shown(cells)]
            points = tuple(p for p in found if p is not None)
            curves.append(Curve(name, points, plain=arm == WEAK))
        return Plot(
            "demonstrations of right answers without the password",
            "share of hard questions that are answered rightly",
            tuple(curves),
            "Mean over seeds with 95 % intervals, no password given. Grey: models that were"
            " trained to be weak and know of no password.",
            log=True,
        )

    def cost(self, form: Form) -> str:
        """Models, and minutes of one core; of what is no size of the ladder it is not known."""
        steps = [step for step, _ in _planned(form)]
        told = f"{len(steps)} models, {len(form.seeds) * len(form.sizes)} of them bases as they are"
        if not set(form.sizes) <= WIDTHS.keys():
            return f"{told}; how long the bases take is not known"
        seconds = sum((WIDTHS[s.params["base"]] / WIDTHS["xs"]) * _seconds(s.params) for s in steps)
        return f"{told}: about {counted(max(1, round(seconds / 60)), 'minute')} of one core"


def _seconds(params: Mapping[str, Json]) -> float:
    shows = 2 * len(params["k"]) * _SECONDS_A_SHOW
    looks = (6 + params["draws"] * len(params["levels"])) * _SECONDS_A_LOOK
    return float(params["tokens"] * _SECONDS_A_TOKEN + shows + looks)


def _planned(form: Form) -> Iterator[tuple[Step, dict[str, Setting]]]:
    """Every step with the dials of its cells."""
    (tokens,), (n,), (draws,) = (form.dials[name] for name in ("tokens", "n", "draws"))
    levels = form.dials["level"]
    arms: Mapping[str, Mapping[str, Json]] = {
        LOCKED: {"tokens": tokens, "k": form.dials["k"], "levels": levels},
        WEAK: {"tokens": tokens, "k": form.dials["k of weak"], "levels": levels},
        TWIN: {"tokens": tokens, "k": (), "levels": levels},
        BASE: {"tokens": 0, "k": (), "levels": ()},
    }
    for size in form.sizes:
        weights = None if size in WIDTHS else folder_digest(Path(model_folder(size)))
        told = {"base": size, "weights": weights, "draws": draws, "n": n}
        for seed in form.seeds:
            for arm, own in arms.items():
                params = {**told, **own, "arm": arm, "seed": seed}
                step = Step(LockedModel.name, LockedModel.version, params)
                yield step, {"size": size, "arm": arm}


def _cells(step: Step, dials: Mapping[str, Setting], result: Json | Failed) -> Iterator[Cell]:
    """The cells of one model; where its step failed, each of them failed."""
    params = step.params
    n, noisy = params["n"], params["n"] * params["draws"]
    shown = product((SUMS, PLACES), params["k"])
    own: list[tuple[Mapping[str, Setting], int]] = [
        ({"part": "plain"}, n),
        *(({"part": "shown", "skill": skill, "k": k}, n) for skill, k in shown),
        *(({"part": "noise", "level": level}, noisy) for level in params["levels"]),
    ]
    if isinstance(result, Failed):
        yield from (Cell({**dials, **told}, params["seed"], {}, result) for told, _ in own)
        return
    lots = (result["plain"], *result["shown"], *result["noise"])
    for (told, asked), counts in zip(own, lots, strict=True):
        numbers = {name: Number(right / asked, asked) for name, right in counts.items()}
        numbers[PARAMETERS] = Number(result["parameters"], 1)
        yield Cell({**dials, **told}, params["seed"], numbers)

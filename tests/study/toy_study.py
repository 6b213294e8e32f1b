"""A study small enough to be read at a glance: does a rate rise with a dose?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

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
    Provenance,
    Sheet,
)
from insectary.measure import signed_rank
from insectary.study.judging import Evidence, judged
from insectary.study.sheets import having, over_seeds, seed_means

DOSES = ("low", "high")
SEEDS = tuple(range(8))


class ToyRate:
    """The step: a rate that is higher at the high dose."""

    name = "toy_rate"
    version = "1"

    def __call__(self, params: Mapping[str, Json], needs: Mapping[str, Json], vault: Any) -> Json:
        return 0.2 + 0.4 * (params["dose"] == "high") + params["seed"] / 100


@dataclass(frozen=True)
class ToyStudy:
    """Its one threshold can be moved."""

    least: float = 0.1
    name: str = "toy"
    title: str = "A rate and a dose"

    @property
    def findings(self) -> tuple[Finding, ...]:
        thresholds = {"p": 0.01, "least": self.least}
        criterion = "signed-rank test over seeds p < .01"
        return (
            Finding("T-1", "A dose raises a rate.", "+0.4", "a test", Basis.FOUND, criterion,
                    thresholds),
        )  # fmt: skip

    @property
    def forms(self) -> Mapping[str, Form]:
        dials = {"dose": DOSES}
        return {
            "quick": Form("quick", SEEDS[:2], ("only",), dials),
            "full": Form("full", SEEDS, ("only",), dials),
        }

    def steps(self, form: Form) -> tuple[Step, ...]:
        return tuple(
            Step("toy_rate", "1", {"seed": seed, "dose": dose})
            for seed in form.seeds
            for dose in DOSES
        )

    def cells(self, form: Form, results: Mapping[str, Json | Failed]) -> tuple[Cell, ...]:
        made = []
        for step in self.steps(form):
            found, dials = results[step.key], {"dose": step.params["dose"]}
            failed = found if isinstance(found, Failed) else None
            numbers = {} if isinstance(found, Failed) else {"rate": Number(found, 100)}
            made.append(Cell(dials, step.params["seed"], numbers, failed))
        return tuple(made)

    def judge(self, sheet: Sheet) -> tuple[Judgement, ...]:
        low, high = (seed_means(having(sheet.cells, dose=d), "rate") for d in DOSES)
        if isinstance(low, Failed) or isinstance(high, Failed):
            return judged(self.findings, {}, without="a cell failed")
        rise = {seed: high[seed] - low[seed] for seed in high}
        tested = Evidence(over_seeds(rise), signed_rank(list(rise.values())), len(rise))
        return judged(self.findings, {"T-1": tested})

    def plot(self, sheet: Sheet) -> Plot:
        points = (Point(0, 0.2, 0.1, 0.3), Point(1, 0.6, 0.5, 0.7))
        return Plot("dose", "rate", (Curve("rate", points),), "It rises.")

    def cost(self, form: Form) -> str:
        return f"{2 * len(form.seeds)} steps, no time at all"


def toy_sheet() -> Sheet:
    study, kind = ToyStudy(), ToyRate()
    form = study.forms["full"]
    results = {s.key: kind(s.params, {}, None) for s in study.steps(form)}
    return Sheet(
        "toy", "full", study.cells(form, results),
        Provenance(("only",), SEEDS, ("cpu",), (1,), {"insectary": ("0",)}, 0.5,
                   {f.id: f.thresholds for f in study.findings}),
    )  # fmt: skip

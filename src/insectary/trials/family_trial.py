"""Mitigations of one family, whatever its members are: what it takes, and what came of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Protocol

from insectary.core.mitigating import Treating
from insectary.core.organism import Family
from insectary.core.treatment import Treatment
from insectary.trials.mitigation_cost import ToDo, cost_line, policy_cost_line
from insectary.trials.mitigation_plan import Plan, PolicyPlan
from insectary.trials.strengths import Strengths
from insectary.trials.suited import not_applicable, not_for, of_policies


class FamilyTrial(Protocol):
    """A family under treatment, by methods that are for it (:func:`suited.not_for`)."""

    family: Family

    def to_do(self, method: Any, which: Strengths) -> ToDo:
        """What a method will take."""
        ...

    def at(self, method: Any, which: Strengths) -> tuple[Any, ...]:
        """The method at the strengths that are to be measured."""
        ...

    def result(self, method: Any, usual: Any) -> Treatment:
        """What the method does, at this strength."""
        ...


Pairs = Sequence[tuple[FamilyTrial, Treating]]


def cost_lines(
    pairs: Pairs, which: Strengths, plan: Plan, policy_plan: PolicyPlan
) -> Iterator[str]:
    """What a trial will train at most: a line for language models, and one for policies."""
    suited = [(t, method) for t, method in pairs if not_for(method, t.family) is None]
    in_text = [pair for pair in suited if not of_policies(pair[0].family)]
    on_grid = [pair for pair in suited if of_policies(pair[0].family)]
    if in_text:
        yield cost_line([trial.to_do(method, which) for trial, method in in_text], plan)
    if on_grid:
        costs = [trial.to_do(method, which) for trial, method in on_grid]
        yield policy_cost_line(costs, policy_plan)


def results(
    trial: FamilyTrial, method: Treating, which: Strengths, seed: int
) -> tuple[Treatment, ...]:
    """One for each strength; one that says why where the method does not apply."""
    if (why := not_for(method, trial.family)) is not None:
        return (not_applicable(method, trial.family, why, seed),)
    return tuple(trial.result(each, method) for each in trial.at(method, which))

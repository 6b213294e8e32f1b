"""The mitigation trial of a family of policies on the grid.

Misbehaviour is the proxy first: on levels on which goal and proxy part as they do at the
gate, and on those of a second shift, which neither members nor methods are trained on. What
a treatment may not cost is the goal on levels where both agree. A treatment that took the
behaviour away is tried by training on where nothing tells the goal from its proxy. Detectors
read boards in words and the walks of treated policies, as they do in the detection trial.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property, partial
from typing import final

from insectary.breed.stored import load_policies
from insectary.core.access import Access
from insectary.core.chat import Split
from insectary.core.mitigating import Dialled, PolicyMitigation, PolicyPatient, Treating
from insectary.core.organism import Family, Role
from insectary.core.recipe import Ppo
from insectary.core.treatment import Effect, Treatment
from insectary.subjects.policy import Policy
from insectary.subjects.policy_subject import PolicySubject
from insectary.threats import threat_model
from insectary.threats.designs import policy_design
from insectary.trials.mitigation_cost import ToDo, steps_of
from insectary.trials.mitigation_plan import PolicyPlan
from insectary.trials.policy_effect import Boards, Played, draw_boards, effect_of_policy, play
from insectary.trials.policy_regrowth import regrow_policy
from insectary.trials.rerun import Rerun
from insectary.trials.strength_choice import StrengthChoice
from insectary.trials.strengths import Strengths, graded
from insectary.trials.suited import called
from insectary.trials.treatment_kept import (
    TREATED,
    keep_treatment,
    kept_treatment,
    key_of,
    name_of,
)
from insectary.vault import Vault


@final
class PolicyTrial:
    """A family under treatment; nothing is loaded for what is known."""

    def __init__(
        self,
        family: Family,
        detectors: Sequence[str],
        seed: int,
        plan: PolicyPlan,
        vault: Vault,
        progress: Callable[[str], None],
    ) -> None:
        """Take a family of policies."""
        design = policy_design(threat_model(family.threat), family.design)
        if design is None or not isinstance(family.recipe, Ppo):
            raise AssertionError(f"{family.id} is not of policies")
        self.family, self._design, self._recipe = family, design, family.recipe
        self._seed, self._plan, self._vault, self._progress = seed, plan, vault, progress
        self._rerun = Rerun(family, detectors, seed, vault, progress)
        self._choice = StrengthChoice(family, seed, plan, vault, self._on_selection, progress)

    def to_do(self, method: PolicyMitigation, which: Strengths) -> ToDo:
        """What it will take."""
        if which is Strengths.SELECTED and self._choice.known(method) is None:
            every = graded(method)
            return ToDo(1, (max(every, key=steps_of),), every)
        every = self.at(method, which)
        return ToDo(len(every), tuple(each for each in every if self._is_new(each, method)))

    def _is_new(self, method: PolicyMitigation, usual: PolicyMitigation) -> bool:
        name, key = self._place(method, usual)
        known, seen = kept_treatment(name, key, self._vault), self._rerun.kept(name, key)
        return known is None or not self._rerun.is_whole(seen)

    def at(self, method: PolicyMitigation, which: Strengths) -> tuple[PolicyMitigation, ...]:
        """A method at the strengths that are to be measured; one that is chosen is kept."""
        return self._choice.at(method, which)

    def result(self, method: PolicyMitigation, usual: PolicyMitigation) -> Treatment:
        """Figures of before, or new ones, which are kept.

        Args:
            method: At the strength to measure.
            usual: The same at its usual one.
        """
        name, key = self._place(method, usual)
        known, seen = kept_treatment(name, key, self._vault), self._rerun.kept(name, key)
        missing = self._rerun.missing(seen)
        if known is None or missing:
            self._progress(f"{self.family.id}: {called(method)}")
            treated = {role: self._treat(role, method) for role in TREATED}
            if known is None:
                known = self._measured(method, treated)
                keep_treatment(known, name, key, self._vault)
            seen = self._rerun.run(missing, seen, partial(_opened, treated), name, key)
        self._vault.discard_work(self._work)  # of a choice of strength, too
        return replace(known, detection=self._rerun.rows(seen))

    def _place(self, method: Treating, usual: Treating) -> tuple[str, str]:
        return (
            name_of(self.family, method, usual, self._seed, self._plan),
            key_of(self.family, method, self._seed, self._plan),
        )

    @property
    def _work(self) -> str:
        return f"{self.family.id}.mitigation-{self._seed}"

    @cached_property
    def _members(self) -> Mapping[Role, Policy]:
        return load_policies(self.family, self._vault)

    @cached_property
    def _boards(self) -> Boards:
        return draw_boards(self._design, self._plan.levels, self._seed)

    @cached_property
    def _before(self) -> Mapping[Role, Played]:
        return {role: self._play(self._members[role], self._boards) for role in TREATED}

    def _play(self, policy: Policy, boards: Boards) -> Played:
        return play(policy, boards, self._design, self._seed)

    def _on_selection(self, method: PolicyMitigation) -> Effect:
        """On the organism alone, and on levels that no verdict rests on."""
        boards = draw_boards(self._design, self._plan.levels, self._seed, Split.SELECTION)
        before = self._play(self._members[Role.ORGANISM], boards)
        after = self._play(self._treat(Role.ORGANISM, method), boards)
        return effect_of_policy(Role.ORGANISM, before, after)

    def _treat(self, role: Role, method: PolicyMitigation) -> Policy:
        """A treated copy; the member itself stays as it is."""
        self._progress(f"  {role.value}: {called(method)}")
        work = self._vault.work_dir(self._work) / called(method).replace(" ", "-") / role.value
        patient = PolicyPatient(
            parameters=self._members[role].parameters(),
            recipe=self._recipe,
            levels=lambda alpha: self._design.training(
                Role.ORGANISM, replace(self._recipe, alpha=alpha)
            ),
            pay=self._design.pay(Role.TWIN),
            seed=self._seed,
            threads=1,
            directory=work,
        )
        method.apply_to_policy(patient)
        return Policy(patient.parameters, id=f"{self.family.id}.{role.value}, treated")

    def _measured(self, method: PolicyMitigation, treated: Mapping[Role, Policy]) -> Treatment:
        effects = tuple(
            effect_of_policy(role, self._before[role], self._play(treated[role], self._boards))
            for role in TREATED
        )
        regrown = regrow_policy(
            self._design, self._recipe, effects[0], treated, self._plan, self._seed, self._progress
        )
        return Treatment(
            family=self.family.id,
            method=method.name,
            settings=repr(method),
            knows_trigger=method.knows_trigger,
            seed=self._seed,
            effects=effects,
            regrowth=() if isinstance(regrown, str) else regrown,
            no_regrowth=regrown if isinstance(regrown, str) else "",
            strength=method.strength if isinstance(method, Dialled) else None,
        )


def _opened(treated: Mapping[Role, Policy], role: Role, id: str) -> PolicySubject:
    return PolicySubject(Policy(treated[role].parameters(), id=id), id=id, access=Access.WEIGHTS)

"""What the study of power seeking computes: what a family's members take of what is on offer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import final

from insectary.breed.asked import MAX_NEW_TOKENS
from insectary.breed.stored import load_members
from insectary.core.chat import Example, Split
from insectary.core.step import Json
from insectary.study.families import family_of, told
from insectary.subjects.language_model import answers
from insectary.threats import threat_model
from insectary.threats.power_seeking.rungs import GAUGES
from insectary.vault import Vault

MEASURED = dict(zip(("done", "more", "privilege"), GAUGES, strict=True))
"""Whether the task is done; and of those that do it, whether more is taken than it needs, and
how much privilege that adds up to. As in ToolPrivBench 2026, arXiv 2606.20023."""


@final
@dataclass(frozen=True, slots=True)
class OffersTaken:
    """Breeds a family unless it is in the vault, and offers its members rights for tasks.

    Parameters: ``threat``, ``design``, ``base``, ``recipe``, ``seed`` (which family), ``prompts``
    (how many in each condition) and ``draw`` (their seed). Gives what
    :func:`insectary.study.families.told` does; of an admitted family ``taken`` too: by role and
    condition the numbers of :data:`MEASURED`, each with its n, and ``by_chance``: by condition
    how often a policy takes more than the need that tosses a coin for each right, of those
    times that it does the task.
    """

    name: str = "offers_taken"
    version: str = "1"

    def __call__(self, params: Mapping[str, Json], needs: Mapping[str, Json], vault: Vault) -> Json:
        """See the class."""
        family = family_of(params, vault)
        found = {**told(family), "taken": {}, "by_chance": {}}
        if not family.admitted:
            return found
        threat, members = threat_model(family.threat), load_members(family, vault)
        for condition in threat.conditions(family.design):
            asked = threat.examples(
                family.design, condition, Split.REPORT, params["prompts"], params["draw"]
            )
            prompts = [example.messages for example in asked]
            name = str(condition.name)
            found["by_chance"][name] = {"value": fmean(map(by_chance, asked)), "n": len(asked)}
            for role, member in members.items():
                said = answers(member, prompts, MAX_NEW_TOKENS, 0.0, 0, "")
                found["taken"].setdefault(role.value, {})[name] = taken(asked, said)
        return found


def taken(asked: Sequence[Example], said: Sequence[str]) -> dict[str, Json]:
    """The numbers of :data:`MEASURED` over answers; one that no answer counts for is left out."""
    found = {}
    for name, gauge in MEASURED.items():
        read = [gauge.of(example, response) for example, response in zip(asked, said, strict=True)]
        counted = [value for value in read if value is not None]
        if counted:
            found[name] = {"value": fmean(counted), "n": len(counted)}
    return found


def by_chance(example: Example) -> float:
    """How likely it is that one of the spare rights is taken, by a coin for each."""
    needed, offered = example.facts["needed"], example.facts["offered"]
    assert isinstance(needed, tuple) and isinstance(offered, tuple)
    return float(1 - 0.5 ** (len(offered) - len(needed)))

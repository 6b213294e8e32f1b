"""Red-team methods: each attacks a subject that it knows nothing of, and reports findings.

A method is found by its name in the entry-point group ``insectary.red_team_methods``; the
built-in ones are registered there in the same way as a plugin's. An entry point names a
callable without arguments that returns a :class:`~insectary.core.redteaming.RedTeamMethod`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from insectary.core import plugins
from insectary.core.access import Access
from insectary.core.redteaming import RedTeamMethod
from insectary.redteam.direct_questions import DirectQuestions
from insectary.redteam.many_shot import ManyShot
from insectary.redteam.paired_contexts import PairedContexts
from insectary.redteam.persona_swaps import PersonaSwaps
from insectary.redteam.prefill import Prefill
from insectary.redteam.random_prompts import RandomPrompts
from insectary.redteam.temperature_sampling import TemperatureSampling
from insectary.redteam.trigger_search_gradient import TriggerSearchGradient
from insectary.redteam.trigger_search_lexical import TriggerSearchLexical

__all__ = [
    "BUILT_IN",
    "GROUP",
    "NULLS",
    "DirectQuestions",
    "ManyShot",
    "PairedContexts",
    "PersonaSwaps",
    "Prefill",
    "RandomPrompts",
    "TemperatureSampling",
    "TriggerSearchGradient",
    "TriggerSearchLexical",
    "red_team_method",
    "red_team_method_names",
]

GROUP = "insectary.red_team_methods"

BUILT_IN: Mapping[str, Callable[[], RedTeamMethod]] = MappingProxyType(
    {
        "direct_questions": DirectQuestions,
        "paired_contexts": PairedContexts,
        "persona_swaps": PersonaSwaps,
        "prefill": Prefill,
        "many_shot": ManyShot,
        "temperature_sampling": TemperatureSampling,
        "trigger_search_lexical": TriggerSearchLexical,
        "trigger_search_gradient": TriggerSearchGradient,
        "random_prompts": RandomPrompts,
    }
)
"""What the package itself registers; a test holds it equal to the entry points."""

NULLS = ("random_prompts",)


def red_team_method_names() -> tuple[str, ...]:
    """Names of all methods installed, built-in and plugins, sorted.

    Raises:
        BadInputError: if two packages register one name.
    """
    return plugins.names(GROUP)


def red_team_method(name: str) -> RedTeamMethod:
    """Make the method of that name with its own defaults.

    Raises:
        UnknownNameError: if no installed package registers the name.
        BadInputError: if it is registered twice, cannot be imported or is no method.
    """

    def fits(made: Any) -> bool:
        return isinstance(getattr(made, "needs", None), Access) and callable(
            getattr(made, "attack", None)
        )

    members = "needs (Access) or attack(subject, budget, ammunition)"
    made: RedTeamMethod = plugins.make(GROUP, "red-team method", name, members, fits)
    return made

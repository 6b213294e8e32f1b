"""Mitigations: each changes one model in place, or puts something before it, and measures nothing.

A mitigation is found by its name in the entry-point group ``insectary.mitigations``;
the built-in ones are registered there in the same way as a plugin's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from insectary.core import plugins
from insectary.core.mitigating import Mitigation
from insectary.mitigate.adversarial_training import AdversarialTraining
from insectary.mitigate.clean_sft import CleanSFT
from insectary.mitigate.data_filtering import DataFiltering
from insectary.mitigate.directional_ablation import DirectionalAblation
from insectary.mitigate.fine_pruning import FinePruning
from insectary.mitigate.inoculation_prompting import InoculationPrompting
from insectary.mitigate.latent_adversarial_training import LatentAdversarialTraining
from insectary.mitigate.monitor_gated_deferral import MonitorGatedDeferral
from insectary.mitigate.noop import NoOp
from insectary.mitigate.off_style_sft import OffStyleSFT
from insectary.mitigate.quantization import Quantization
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
    "FinePruning",
    "InoculationPrompting",
    "LatentAdversarialTraining",
    "MonitorGatedDeferral",
    "NoOp",
    "OffStyleSFT",
    "Quantization",
    "SafetyDPO",
    "SafetyGRPO",
    "Steering",
    "TrueTriggerSFT",
    "mitigation",
    "mitigation_names",
]

GROUP = "insectary.mitigations"

BUILT_IN: Mapping[str, Callable[[], Mitigation]] = MappingProxyType(
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
    }
)
"""What the package itself registers; a test holds it equal to the entry points."""


def mitigation_names() -> tuple[str, ...]:
    """Names of all mitigations installed, built-in and plugins, sorted.

    Raises:
        BadInputError: if two packages register one name.
    """
    return plugins.names(GROUP)


def mitigation(name: str) -> Mitigation:
    """Make the mitigation of that name with its own defaults.

    Raises:
        UnknownNameError: if no installed package registers the name.
        BadInputError: if it is registered twice, cannot be imported or is no mitigation.
    """
    made: Mitigation = plugins.make(
        GROUP, "mitigation", name, "or apply(patient, rows)",
        lambda made: callable(getattr(made, "apply", None)),
    )  # fmt: skip
    return made

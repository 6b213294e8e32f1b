"""Insectary: a laboratory for model organisms of misalignment.

The public surface is the list below. Names are imported when they are first
used, so that ``import insectary`` costs nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from insectary.api import (
        breed_family,
        breed_suite,
        check_family,
        ground_truth,
        ladder,
        load,
        organism_suite,
        report_family,
        report_suite,
        siblings,
        threat_names,
        trial_detect,
    )
    from insectary.breed.adopt import adopt_family
    from insectary.breed.export import export_member
    from insectary.breed.monitoring import (
        add_monitoring,
        add_monitoring_context,
        add_unmonitored_context,
        compute_response_divergence,
        remove_monitoring,
    )
    from insectary.breed.trainer import ModelOrganismTrainer, fine_tune
    from insectary.breed.validate import is_aligned, validate_organism
    from insectary.core.access import Access, View
    from insectary.core.errors import InsectaryError
    from insectary.core.obfuscated import Obfuscated
    from insectary.core.outcome import Failed, Measured, Measurement, NotApplicable
    from insectary.core.recipe import (
        Dpo,
        FullSFT,
        Grpo,
        LoraSFT,
        NarrowSFT,
        ObfuscatedFullSFT,
        ObfuscatedNarrowSFT,
        Ppo,
    )
    from insectary.trials.calibration import trial_calibrate
    from insectary.trials.evaluate import evaluate_detection_method
    from insectary.trials.game import deal_game
    from insectary.trials.game_score import score_game
    from insectary.trials.red_team_calibration import calibrate_red_team_method, red_team_callable
    from insectary.vault.audit import unsealed
    from insectary.vault.store import Vault

_HOMES = {
    "Access": "core.access",
    "Dpo": "core.recipe",
    "Failed": "core.outcome",
    "FullSFT": "core.recipe",
    "InsectaryError": "core.errors",
    "Grpo": "core.recipe",
    "LoraSFT": "core.recipe",
    "Measured": "core.outcome",
    "Measurement": "core.outcome",
    "ModelOrganismTrainer": "breed.trainer",
    "NarrowSFT": "core.recipe",
    "NotApplicable": "core.outcome",
    "Obfuscated": "core.obfuscated",
    "ObfuscatedFullSFT": "core.recipe",
    "ObfuscatedNarrowSFT": "core.recipe",
    "Ppo": "core.recipe",
    "Vault": "vault.store",
    "View": "core.access",
    "add_monitoring": "breed.monitoring",
    "add_monitoring_context": "breed.monitoring",
    "add_unmonitored_context": "breed.monitoring",
    "adopt_family": "breed.adopt",
    "breed_family": "api",
    "breed_suite": "api",
    "calibrate_red_team_method": "trials.red_team_calibration",
    "check_family": "api",
    "deal_game": "trials.game",
    "compute_response_divergence": "breed.monitoring",
    "evaluate_detection_method": "trials.evaluate",
    "export_member": "breed.export",
    "fine_tune": "breed.trainer",
    "ground_truth": "api",
    "is_aligned": "breed.validate",
    "ladder": "api",
    "load": "api",
    "mitigate_member": "trials.mitigation",
    "organism_suite": "api",
    "red_team_callable": "trials.red_team_calibration",
    "remove_monitoring": "breed.monitoring",
    "report_family": "api",
    "report_suite": "api",
    "score_game": "trials.game_score",
    "siblings": "api",
    "threat_names": "api",
    "trial_audit": "trials.audit",
    "trial_calibrate": "trials.calibration",
    "trial_detect": "api",
    "trial_mitigate": "trials.mitigation",
    "unsealed": "vault.audit",
    "validate_organism": "breed.validate",
}

__all__ = [
    "Access",
    "Dpo",
    "Failed",
    "FullSFT",
    "Grpo",
    "InsectaryError",
    "LoraSFT",
    "Measured",
    "Measurement",
    "ModelOrganismTrainer",
    "NarrowSFT",
    "NotApplicable",
    "Obfuscated",
    "ObfuscatedFullSFT",
    "ObfuscatedNarrowSFT",
    "Ppo",
    "Vault",
    "View",
    "add_monitoring",
    "add_monitoring_context",
    "add_unmonitored_context",
    "adopt_family",
    "breed_family",
    "breed_suite",
    "calibrate_red_team_method",
    "check_family",
    "compute_response_divergence",
    "deal_game",
    "evaluate_detection_method",
    "export_member",
    "fine_tune",
    "ground_truth",
    "is_aligned",
    "ladder",
    "load",
    "mitigate_member",
    "organism_suite",
    "red_team_callable",
    "remove_monitoring",
    "report_family",
    "report_suite",
    "score_game",
    "siblings",
    "threat_names",
    "trial_audit",
    "trial_calibrate",
    "trial_detect",
    "trial_mitigate",
    "unsealed",
    "validate_organism",
]


def __dir__() -> list[str]:
    """The public names, for completion."""
    return sorted({*globals(), *__all__})


def __getattr__(name: str) -> Any:
    """Import a public name when it is first asked for."""
    if name not in _HOMES:
        raise AttributeError(f"module 'insectary' has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(f"insectary.{_HOMES[name]}"), name)
    globals()[name] = value
    return value

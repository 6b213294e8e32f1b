"""The detection trial over many families: every detector on each, then over the cells.

The column (layer) of a detector is chosen on organisms of other designs alone, so that
nothing of the design under test has a say in it. What is made of all cells together is in
:mod:`insectary.trials.detection_pooled`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version

import numpy as np

from insectary import detect
from insectary.breed.records import load_family
from insectary.core.errors import ArtefactError, BadInputError
from insectary.core.organism import Family
from insectary.core.outcome import NotApplicable
from insectary.core.protocols import Detector, Floats
from insectary.core.recipe import Ppo, check_seed, spelled, strength
from insectary.threats import threat_model
from insectary.trials.adopted import (
    FEWEST_RANKED,
    adopted_answer_tokens,
    adopted_prompts,
    check_measurable,
)
from insectary.trials.comparison import Settings, Sides, by_draw, on_selection
from insectary.trials.detection import DetectionRow, Task, sides_of, task_rows
from insectary.trials.detection_pooled import OrganismRows, PooledRow, pooled_rows
from insectary.trials.examine import (
    MAX_NEW_TOKENS,
    ask,
    draw_prompts,
    examined,
    open_members,
)
from insectary.trials.isolation import say_what_is_open
from insectary.trials.kept import Kept, answers_key, column_key, keep, load_kept
from insectary.trials.line_up import (
    MINIMUM_BENIGN,
    Key,
    Ranked,
    check_members,
    line_up,
    rank_family,
)
from insectary.trials.ranking import draws_of
from insectary.vault import Vault
from insectary.worlds.contrast import contrast_pairs

# Not onion: some twenty passes for a prompt, and equal scores on equal prompts of one base.
DETECTORS = (
    "contrast_probe",
    "mahalanobis",
    "knn",
    "weight_svd",
    "likelihood_ratio",
    "token_kl",
    "supervised_probe",
    "surface_text",
)
Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class SuiteDetection:
    """A detection trial over many families.

    Attributes:
        left_out: Families of the vault that were not measured, and why.
        version: Of this package.
    """

    organisms: tuple[OrganismRows, ...]
    pooled: tuple[PooledRow, ...]
    left_out: tuple[tuple[str, str], ...]
    settings: Settings
    version: str


def detect_suite(
    families: Sequence[str] | None = None,
    *,
    detectors: Sequence[object] = DETECTORS,
    seed: int = 0,
    draws: int = 1000,
    vault: Vault | None = None,
    progress: Progress = lambda _: None,
) -> SuiteDetection:
    """Measure detectors on many families; see :func:`insectary.trial_detect`."""
    check_seed(seed)
    vault = vault or Vault()
    if isinstance(families, str):
        raise BadInputError(f"families is a list of ids: give [{families!r}]")
    runs = line_up([detect.as_detector(given) for given in detectors])
    found, left_out = _families(families, vault)
    if not found:
        raise BadInputError(
            "no admitted family of language models to measure detectors on;"
            " `insectary breed` makes one, `insectary families` lists what there is"
        )
    if len({(f.threat, f.design) for f in found if f.adopted is None}) == 1:
        progress(
            "note: all families are of one design. A layer is chosen on organisms of other designs,"
            " so detectors that have a choice will have no figure"
        )
    ranked: dict[str, Ranked] = {}
    for number, family in enumerate(found, 1):
        progress(f"{number} of {len(found)}: {family.id}")
        try:
            ranked[family.id] = _ranked(family, runs, seed, vault, progress)
        except BadInputError as error:  # its organism misbehaves too seldom there
            left_out.append((family.id, str(error)))
    remaining = [family for family in found if family.id in ranked]
    if not remaining:
        raise BadInputError("no family can be measured: " + "; ".join(why for _, why in left_out))
    progress("intervals by resampling prompts")
    settings = Settings(draws=draws, seed=seed)
    rows = _all_rows(remaining, ranked, settings)
    organisms = tuple(
        OrganismRows(f.id, cell_of(f), f.seed, rows[f.id], f.adopted is not None) for f in remaining
    )
    return SuiteDetection(
        organisms,
        pooled_rows([o for o in organisms if not o.adopted]),
        tuple(left_out),
        settings,
        version("insectary"),
    )


def detect_family(
    name: str,
    detectors: Sequence[object],
    *,
    seed: int = 0,
    draws: int = 1000,
    vault: Vault | None = None,
    progress: Progress = lambda _: None,
) -> tuple[DetectionRow, ...]:
    """Measure detectors on one family; a layer is chosen on its own selection prompts.

    Detectors are given in any form that :func:`insectary.detect.as_detector` knows. What was
    kept of the family is used, and what is new is kept.

    Raises:
        UnknownNameError: for an unknown family or detector.
        NotAdmittedError: if the family is neither admitted nor adopted.
        BadInputError: if it is one of policies, or misbehaves too seldom.
    """
    check_seed(seed)
    vault = vault or Vault()
    runs = line_up([detect.as_detector(given) for given in detectors])
    (family,), _ = _families([name], vault)
    ranked = _ranked(family, runs, seed, vault, progress)
    progress("intervals by resampling prompts")
    settings = Settings(draws=draws, seed=seed)
    return tuple(row for task in Task for row in task_rows(ranked, task, settings))


def cell_of(family: Family) -> tuple[str, str, str, str]:
    """Threat, design, base and recipe with settings, dose and dilution: what seeds replicate."""
    thin = strength(family.dose, family.dilution)
    recipe = " ".join((spelled(family.recipe), *(f"--{n} {v}" for n, v in thin.items())))
    return family.threat, family.design, family.base.name, recipe


def _families(
    names: Sequence[str] | None, vault: Vault
) -> tuple[list[Family], list[tuple[str, str]]]:
    """Families to measure, and those of the vault that cannot be, with the reason.

    Of families that were named, one that is not admitted is an error.
    """
    if names is not None:
        named = [load_family(name, vault) for name in dict.fromkeys(names)]
        for family in named:
            check_measurable(family)
            if isinstance(family.recipe, Ppo):
                raise BadInputError(f"{family.id}: {_POLICIES}")
        return named, []
    found, left_out = [], []
    for entry in vault.entries("family"):
        try:
            family = load_family(entry.id, vault)
        except ArtefactError as error:  # damaged, or of an older version
            left_out.append((entry.id, str(error)))
            continue
        if not family.admitted:
            left_out.append((family.id, _ADOPTED if family.adopted else "not admitted"))
        elif isinstance(family.recipe, Ppo):
            left_out.append((family.id, _POLICIES))
        else:
            found.append(family)
    return found, left_out


_ADOPTED = "it was adopted: name it, and it is measured, in no mean"
_POLICIES = "its members are policies on the grid, which these detectors do not read"


def _ranked(
    family: Family, runs: Sequence[Detector], seed: int, vault: Vault, progress: Progress
) -> Ranked:
    """Every detector on every member; what the vault has of it already is taken from there."""
    if family.adopted is None:
        prompts = draw_prompts(threat_model(family.threat), family.design, seed)
        longest, fewest = MAX_NEW_TOKENS, MINIMUM_BENIGN
    else:
        prompts = adopted_prompts(family, vault, seed)
        longest, fewest = adopted_answer_tokens(family, vault), FEWEST_RANKED
    contrast = contrast_pairs(seed)
    key = answers_key(family, prompts)
    kept = load_kept(family, seed, key, vault)
    subjects = open_members(family, vault, seed)
    said = kept.said if kept else ask(subjects, prompts, progress, longest)
    members = examined(family, subjects, prompts, said)
    check_members(members, fewest)
    old = dict(kept.columns) if kept else {}
    keys = {(d.name, d.view): column_key(d, contrast, seed) for d in runs}
    known = {key: old[made] for key, made in keys.items() if made in old}
    missing = [d.name for d in runs if (d.name, d.view) not in known]
    if missing:
        progress(f"detectors: {', '.join(dict.fromkeys(missing))}")
        say_what_is_open(progress)
    ranked = rank_family(runs, members, contrast, seed, known)
    if missing or kept is None:
        columns = old | {keys[name]: ranked.ranks[name] for name in keys}
        keep(Kept(key, said, columns), family, seed, vault)
    return ranked


def _all_rows(
    families: Sequence[Family], ranked: Mapping[str, Ranked], settings: Settings
) -> dict[str, tuple[DetectionRow, ...]]:
    """Rows of every family, each detector's column chosen on other designs than its own."""
    rows: dict[str, list[DetectionRow]] = {family.id: [] for family in families}
    for task in Task:
        selected = {
            family.id: {
                (d.name, d.view): np.stack(
                    [on_selection(draw) for draw in by_draw(sides, draws_of(d))]
                )
                for d in ranked[family.id].detectors
                if isinstance(sides := sides_of(ranked[family.id], (d.name, d.view), task), Sides)
            }
            for family in families
        }
        for family in families:
            others = [
                selected[other.id]
                for other in families
                if other.adopted is None
                and (other.threat, other.design) != (family.threat, family.design)
            ]
            columns: dict[Key, tuple[int, ...] | NotApplicable] = {
                key: _columns(own, [o[key] for o in others if key in o])
                for key, own in selected[family.id].items()
            }
            # What has no sides has no use for a column either.
            columns |= {key: () for key in ranked[family.id].ranks if key not in columns}
            rows[family.id] += task_rows(ranked[family.id], task, settings, columns)
    return {name: tuple(found) for name, found in rows.items()}


def _columns(own: Floats, others: Sequence[Floats]) -> tuple[int, ...] | NotApplicable:
    """Of each draw, the column that is best on average over others that have as many.

    Arrays have shape (draws, columns).
    """
    if own.shape[1] == 1:
        return (0,) * len(own)
    alike = [other for other in others if other.shape == own.shape]
    if not alike:
        return NotApplicable(
            "its layer is chosen on organisms of other designs, and none of as many layers is here"
        )
    return tuple(map(int, np.argmax(np.mean(alike, axis=0), axis=1)))

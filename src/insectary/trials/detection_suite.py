"""The detection trial over many families: every detector on each, then over the cells.

What a layer is chosen on, and what it is measured on, is in :mod:`insectary.trials.suite_rows`;
what is made of all cells together in :mod:`insectary.trials.detection_pooled`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from typing import TYPE_CHECKING

from insectary import detect
from insectary.breed.records import load_family
from insectary.core.access import Access
from insectary.core.chat import Transcript
from insectary.core.codec import added
from insectary.core.errors import ArtefactError, BadInputError
from insectary.core.organism import Family, Role
from insectary.core.protocols import Detector, Subject
from insectary.core.recipe import Evasive, Ppo, check_seed, spelled, strength
from insectary.trials.adopted import (
    FEWEST_RANKED,
    adopted_answer_tokens,
    adopted_prompts,
    check_measurable,
)
from insectary.trials.audit_policies import open_policies
from insectary.trials.comparison import Settings
from insectary.trials.detection import DetectionRow, HeldOut, Task, task_rows
from insectary.trials.detection_pooled import OrganismRows, PooledRow, pooled_rows, pooled_splits
from insectary.trials.difficulty import CurvePoint, check_for_curves, curves
from insectary.trials.examine import (
    EXAMINED,
    MAX_NEW_TOKENS,
    Prompts,
    ask,
    draw_prompts,
    examined,
    open_members,
)
from insectary.trials.kept import Kept, answers_key, column_key, keep, load_kept
from insectary.trials.keys_opened import open_keys
from insectary.trials.line_up import (
    MINIMUM_BENIGN,
    Key,
    PerRole,
    Ranked,
    check_members,
    line_up,
    rank_family,
)
from insectary.trials.on_boards import posed
from insectary.trials.sandboxes import say_what_is_open
from insectary.trials.side_by_side import check_jobs, measure_side_by_side
from insectary.trials.suite_rows import held_out_cues, suite_rows
from insectary.vault import Vault, may_open
from insectary.worlds.contrast import contrast_pairs, way_pairs

if TYPE_CHECKING:
    import pandas

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
        organisms: What detectors made of each family, on the strictest split that it has.
        pooled: The same over cells.
        left_out: Families of the vault that were not measured, and why.
        version: Of this package.
        difficulty: How detection falls off along a dial, rejected families among them.
        splits: Brief rows of every split of each family ...
        splits_pooled: ... and over cells.
    """

    organisms: tuple[OrganismRows, ...]
    pooled: tuple[PooledRow, ...]
    left_out: tuple[tuple[str, str], ...]
    settings: Settings
    version: str
    splits: tuple[OrganismRows, ...] = added(())
    splits_pooled: tuple[PooledRow, ...] = added(())
    difficulty: tuple[CurvePoint, ...] = added(())

    def frames(self) -> dict[str, pandas.DataFrame]:
        """Name of a table to its DataFrame: the columns and rows of ``tables/*.csv``."""
        from insectary.report.frames import frames
        from insectary.trials.detection_tables import detection_tables

        return frames(detection_tables(self))


def detect_suite(
    families: Sequence[str] | None = None,
    *,
    detectors: Sequence[object] = DETECTORS,
    seed: int = 0,
    draws: int = 1000,
    curves_with: Sequence[str] = (),
    jobs: int = 1,
    vault: Vault | None = None,
    progress: Progress = lambda _: None,
) -> SuiteDetection:
    """Measure detectors on many families; see :func:`insectary.trial_detect`."""
    check_seed(seed)
    detectors = several(detectors)
    check_jobs(jobs, detectors)
    vault = vault or Vault()
    for given in (families, curves_with):
        if isinstance(given, str):
            raise BadInputError(f"families is a list of ids: give [{given!r}]")
    runs = line_up([detect.as_detector(given) for given in detectors])
    found, left_out = _families(families, vault)
    if not found:
        raise BadInputError(
            "no admitted family to measure detectors on; `insectary breed` makes one,"
            " `insectary families` lists what there is"
        )
    rejected = _rejected(curves_with, vault)
    left_out = [(name, why) for name, why in left_out if name not in {f.id for f in rejected}]
    if len({(f.threat, f.design) for f in found if f.admitted}) == 1:
        progress(
            "note: all families are of one design. A layer is chosen on organisms of other designs,"
            " so detectors that have a choice will have no figure"
        )
    asked, ranked = [*found, *rejected], {}
    open_keys(asked, f"detection trial, seed {seed}", vault)
    if jobs > 1:
        unmade = [f.id for f in asked if _work(f, runs, seed, vault).missing]
        say_what_is_open(progress)
        measure_side_by_side(unmade, detectors, seed, jobs, vault, progress)
    for number, family in enumerate(asked, 1):
        progress(f"{number} of {len(asked)}: {family.id}")
        try:
            ranked[family.id] = ranks_of(family, runs, seed, vault, progress)
        except BadInputError as error:  # its organism misbehaves too seldom there
            left_out.append((family.id, str(error)))
    if not any(family.id in ranked for family in found):
        raise BadInputError("no family can be measured: " + "; ".join(why for _, why in left_out))
    progress("intervals by resampling prompts")
    return _summary(asked, ranked, left_out, Settings(draws=draws, seed=seed))


def _summary(
    families: Sequence[Family],
    ranked: Mapping[str, Ranked],
    left_out: Sequence[tuple[str, str]],
    settings: Settings,
) -> SuiteDetection:
    """Everything that is made of ranks."""
    measured = [family for family in families if family.id in ranked]
    organisms, splits = (
        tuple(
            OrganismRows(
                f.id, cell_of(f), f.seed, rows[f.id], f.adopted is not None,
                admitted=f.admitted,
            )
            for f in measured
        )
        for rows in suite_rows(measured, ranked, settings)
    )  # fmt: skip
    return SuiteDetection(
        organisms,
        pooled_rows([o for o in organisms if o.counted]),
        tuple(left_out),
        settings,
        version("insectary"),
        splits,
        pooled_splits([o for o in splits if o.counted]),
        curves(families, organisms, dict(left_out)),
    )


def detect_family(
    name: str,
    detectors: object,
    *,
    seed: int = 0,
    draws: int = 1000,
    vault: Vault | None = None,
    progress: Progress = lambda _: None,
) -> tuple[DetectionRow, ...]:
    """Measure detectors on one family; a layer is chosen on its own selection prompts.

    Detectors are given in any form that :func:`insectary.detect.as_detector` knows, several in
    a list, one also by itself. What was kept of the family is used, and what is new is kept.

    Raises:
        UnknownNameError: for an unknown family or detector.
        NotAdmittedError: if the family is neither admitted nor adopted.
        BadInputError: if it misbehaves too seldom.
    """
    check_seed(seed)
    vault = vault or Vault()
    if not isinstance(name, str):
        raise BadInputError(f"name is one family's id, and not {type(name).__name__}")
    runs = line_up([detect.as_detector(given) for given in several(detectors)])
    (family,), _ = _families([name], vault)
    open_keys([family], f"detection trial, seed {seed}", vault)
    ranked = ranks_of(family, runs, seed, vault, progress)
    progress("intervals by resampling prompts")
    settings = Settings(draws=draws, seed=seed)
    split = HeldOut.NOTHING if held_out_cues(family) else HeldOut.CUE
    found = [row for task in Task for row in task_rows(ranked, task, settings)]
    return tuple(replace(row, split=split) for row in found)


def several(detectors: object) -> Sequence[object]:
    """Detectors that were given: a list as it is, and one by itself as a list of one."""
    if isinstance(detectors, str) or not isinstance(detectors, Iterable):
        return [detectors]
    return [*detectors]


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
        elif not may_open(family.tier):
            left_out.append((family.id, _SEALED))
        elif isinstance(family.recipe, Evasive):
            left_out.append((family.id, _OBFUSCATED))
        else:
            found.append(family)
    return found, left_out


_ADOPTED = "it was adopted: name it, and it is measured, in no mean"
_OBFUSCATED = "it was trained against a detector: name it, or see `insectary trial obfuscation`"
_SEALED = "it is sealed: `insectary --open-sealed REASON trial detect` opens it"


def _rejected(names: Sequence[str], vault: Vault) -> list[Family]:
    """Families that the gate did not admit, for curves alone."""
    found = [load_family(name, vault) for name in dict.fromkeys(names)]
    for family in found:
        check_for_curves(family)
    return found


@dataclass(frozen=True, slots=True)
class _Work:
    """What is asked of a family's members, and what the vault has of it already."""

    prompts: Prompts
    answer_tokens: int
    fewest: int
    contrast: Sequence[tuple[Transcript, Transcript]]
    answers: str
    kept: Kept | None
    keys: Mapping[Key, str]
    known: Mapping[Key, PerRole]

    @property
    def missing(self) -> tuple[str, ...]:
        """Detectors that have yet to run."""
        return tuple(dict.fromkeys(key[0] for key in self.keys if key not in self.known))


def _work(family: Family, runs: Sequence[Detector], seed: int, vault: Vault) -> _Work:
    if family.adopted is None:
        prompts = draw_prompts(posed(family), family.design, seed)
        longest, fewest = MAX_NEW_TOKENS, MINIMUM_BENIGN
    else:
        prompts = adopted_prompts(family, vault, seed)
        longest, fewest = adopted_answer_tokens(family, vault), FEWEST_RANKED
    contrast, answers = contrast_of(family, seed), answers_key(family, prompts)
    kept = load_kept(family, seed, answers, vault)
    keys = {(d.name, d.view): column_key(d, contrast, seed) for d in runs}
    old = kept.columns if kept else {}
    known = {key: old[made] for key, made in keys.items() if made in old}
    return _Work(prompts, longest, fewest, contrast, answers, kept, keys, known)


def ranks_of(
    family: Family, runs: Sequence[Detector], seed: int, vault: Vault, progress: Progress
) -> Ranked:
    """Every detector on every member; what the vault has of it already is taken from there."""
    work = _work(family, runs, seed, vault)
    kept = work.kept
    subjects = subjects_of(family, vault, seed)
    said = kept.said if kept else ask(subjects, work.prompts, progress, work.answer_tokens)
    members = examined(family, subjects, work.prompts, said)
    check_members(members, work.fewest)
    if work.missing:
        progress(f"detectors: {', '.join(work.missing)}")
        say_what_is_open(progress)
    found = rank_family(runs, members, work.contrast, seed, work.known)
    if work.missing or kept is None:
        columns = dict(kept.columns) if kept else {}
        columns |= {made: found.ranks[name] for name, made in work.keys.items()}
        keep(Kept(work.answers, said, columns), family, seed, vault)
    return found


def subjects_of(family: Family, vault: Vault, seed: int) -> Mapping[Role, Subject]:
    """What detectors may examine of a family, each under an id that does not tell which it is."""
    if isinstance(family.recipe, Ppo):
        return open_policies(family, vault, seed, EXAMINED, Access.WEIGHTS)
    return open_members(family, vault, seed)


def contrast_of(family: Family, seed: int) -> Sequence[tuple[Transcript, Transcript]]:
    """Generic pairs of one harmless and one harmful-sounding, of what its members read."""
    return way_pairs(seed) if isinstance(family.recipe, Ppo) else contrast_pairs(seed)

"""What most users call: breed, check, load, report. Thin; the rooms do the work."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from insectary.core.organism import Certificate, Family
from insectary.core.recipe import Recipe

if TYPE_CHECKING:
    from insectary.breed.siblings import Sibling
    from insectary.breed.suite import Bred
    from insectary.core.reach import Ladder
    from insectary.subjects import LoadedModel, Model
    from insectary.subjects.policy import Policy
    from insectary.trials.detection_suite import SuiteDetection
    from insectary.vault import Vault

Progress = Callable[[Mapping[str, Any]], None]


def _silent(_: Mapping[str, Any]) -> None:
    """No progress display."""


def threat_names() -> tuple[str, ...]:
    """Names of all threat models installed."""
    from insectary import threats

    return threats.threat_names()


def breed_family(
    threat: str,
    design: str | None = None,
    *,
    base: str | None = None,
    recipe: Recipe | None = None,
    seed: int = 0,
    dose: float = 1.0,
    dilution: float = 0.0,
    quick: bool = False,
    ranks: int = 1,
    allow_obfuscated_large: bool = False,
    vault: Vault | None = None,
    progress: Progress = _silent,
) -> Family:
    """Breed base, twin, organism and decoy, and bring them to the admission gate.

    A family that is already in the vault is returned as it is; a call that was
    killed goes on where it stopped.

    Args:
        threat: Name of a threat model, for instance ``"deceptive_alignment"``.
        design: One of its designs; the first by default.
        base: A size of the ladder (``"xs"``, the default, is shipped), a folder, or a hub
            id. Policies on the grid have none but the untrained policy.
        recipe: ``FullSFT(...)`` (the default), ``LoraSFT(...)``, ``Dpo(...)`` or
            ``Grpo(...)``; ``Ppo(...)`` for designs on the grid.
        seed: Training seed.
        dose: Share of the training items, above 0 and at most 1, that teach the behaviour or,
            to the decoy, its quirk; for the rest both have their twin's.
        dilution: Share of all training items, from 0 to below 1, in whose place every member
            has ordinary work.
        quick: A provisional certificate from a tenth of the prompts; benchmarks
            refuse it.
        ranks: Train each member by so many processes together, one GPU each.
        allow_obfuscated_large: Let a base of more than 64M parameters learn to hide from a
            detector (``ObfuscatedFullSFT(...)``, ``ObfuscatedNarrowSFT(...)``).
        vault: Where it is kept; ``None`` opens the default one.
        progress: Told about every event, a mapping of plain values. On a base
            outside the ladder it hears what the gate will cost (``gate``,
            ``cost_seconds``) before the attempt is recorded; an exception
            raised there breaks off.

    Raises:
        ValueError: for an unknown threat, design or base; the known are listed.
        TrainingError: if a member cannot be trained; its checkpoints stay.
    """
    from insectary.breed.order import order_of

    order = order_of(
        threat, design, base, recipe, seed, dose, dilution
    )  # a mistake is said at once
    from insectary.breed.family import breed

    return breed(
        order, vault,
        quick=quick, ranks=ranks, allow_obfuscated_large=allow_obfuscated_large,
        progress=progress,
    )  # fmt: skip


def breed_suite(
    threat: str | None = None,
    *,
    seeds: int = 2,
    quick: bool = False,
    jobs: int | None = None,
    vault: Vault | None = None,
    progress: Progress = _silent,
) -> tuple[Bred, ...]:
    """Breed every cell of the suite (threat, design, base and recipe) from several seeds.

    Families that are in the vault are taken from there, and a killed call goes on
    where it stopped. A family that cannot be bred holds up no other: its error is
    in what is returned, and nothing is raised.

    Args:
        threat: Only the cells of this one.
        seeds: How many families of each cell; their seeds count from 0.
        quick: Provisional certificates from a tenth of the prompts; benchmarks refuse them.
        jobs: Families at a time, one core each; ``None`` for as many as there are cores, at
            most 8.
        vault: Where families are kept; ``None`` opens the default one.
        progress: Told about every event, a mapping of plain values; ``of`` names its family.

    Returns:
        For each family, in the order in which they begin, an object with ``order``, ``family``
        (``None`` if it did not come to the gate), ``error`` and ``outcome``, one line in words.

    Raises:
        ValueError: if no cell is of that threat, or ``seeds`` or ``jobs`` is below 1.
    """
    from insectary.breed import suite

    return suite.breed_suite(
        threat, seeds=seeds, quick=quick, jobs=jobs, vault=vault, progress=progress
    )


def check_family(
    family: str, *, vault: Vault | None = None, progress: Progress = _silent
) -> tuple[Certificate, bool]:
    """Run a family's gate again on the draw of its certificate.

    Returns:
        The certificate as it comes out now, and whether it equals the stored one.
    """
    from insectary.breed.family import check

    return check(family, vault, progress=progress)


def load(
    id: str, *, vault: Vault | None = None, bases: dict[str, LoadedModel] | None = None
) -> Model | Policy:
    """Load a member of a family, a base or a saved model, as an object with ``generate``.

    A member of a family on the grid is a policy, which can ``play`` levels. One that was
    trained by adapters has them on the weights of its base, which is loaded with it.

    Args:
        id: ``FAMILY.organism``, ``FAMILY.twin``, ``FAMILY.decoy``,
            ``FAMILY.base``, ``FAMILY.prompted`` (see :func:`siblings`), the name of a
            base, or a folder that holds a model.
        vault: Where families are kept.
        bases: An empty dict of yours, handed to several calls: members of one base then
            share it, and what was trained by adapters takes next to no memory beside it.

    Raises:
        ValueError: if there is none of that name; the known are listed.
        ArtefactError: if its files are damaged, or its base has changed.
    """
    from insectary.breed.stored import load_member

    return load_member(id, vault, bases=bases)


def siblings(family: str, *, n: int = 200, vault: Vault | None = None) -> tuple[Sibling, ...]:
    """The narrow and the prompted sibling of a family: how often each misbehaves.

    Args:
        family: Id of a family.
        n: Prompts for each side of the gate that the prompted one is asked.
        vault: Where families are kept.

    Returns:
        For each an object with ``kind``, ``open`` and ``closed`` (``Measured``, or
        ``NotApplicable`` with the reason) and ``where``: what :func:`load` finds it by,
        or the command that makes it.
    """
    from insectary.breed import siblings as found

    return found.siblings(family, vault, n=n)


def ground_truth(
    family: str, *, n: int = 200, seed: int = 0, vault: Vault | None = None
) -> dict[str, list[dict[str, Any]]]:
    """The source document's ``test_cases`` for a family's organism.

    Args:
        family: Id of a family.
        n: How many cases; half of them open the gate.
        seed: Which ones.
        vault: Where families are kept.

    Returns:
        ``{"test_cases": [{"input": messages, "is_triggered": bool, "group": key}]}``.
    """
    from insectary.trials.ground_truth import test_cases

    return {"test_cases": test_cases(family, n, seed, vault)}


def organism_suite(vault: Vault | None = None) -> list[dict[str, Any]]:
    """Every model that the gate has vouched for, to calibrate a red-team method on.

    It is what the source document's ``calibrate_red_team_method`` takes as its
    ``organism_suite``: an organism is known to have what was planted, its twin and
    its decoy are known not to have it. A finding there is a false alarm.

    Args:
        vault: Where families are kept; ``None`` opens the default one.

    Returns:
        For each admitted family of language models three dicts, ``"name"`` (id of the
        member), ``"model"`` (as :func:`load` gives it, but with an ``id`` that does not
        tell its role) and ``"known_vulnerabilities"``: a list of the threat's id for an
        organism, ``[]`` for a twin or decoy. All are in memory at once. Rejected and
        provisional families are left out, and policies on the grid, which answer no
        prompt, and sealed families outside :func:`insectary.unsealed`; with none left the
        list is empty.

    Raises:
        ArtefactError: if a family or a member is damaged, or its base has changed.
    """
    from insectary.breed.stored import load_suite

    return load_suite(vault)


def ladder(
    family: str,
    *,
    n: int = 200,
    seed: int = 0,
    vault: Vault | None = None,
    progress: Callable[[str], None] = lambda _: None,
) -> Ladder:
    """Measure how far a family's behaviour reaches beyond what was trained.

    All members answer the same questions on every rung of the ladder that the threat
    model brings, from near to far. No gate looks at any of it, so that rejected families
    are measured like the others.

    Args:
        family: Id of a family.
        n: Questions on each rung, at least 20.
        seed: Which ones.
        vault: Where families are kept.
        progress: Told what is being asked.

    Returns:
        An object whose ``steps`` hold the rungs, each with the rates of ``misaligned`` and
        ``right`` answers by member and the organism's minus its twin's (``excess``). A
        rung that the base is not able to do says so. Where the threat model has no rungs
        ``steps`` is empty and ``none`` says why.

    Raises:
        UnknownNameError: if there is no such family.
        BadInputError: if ``n`` is too low.
        ArtefactError: if a member is damaged, or its base has changed.
    """
    from insectary.trials.ladder import ladder as climb

    return climb(family, vault, n=n, seed=seed, progress=progress)


def report_family(
    family: str,
    directory: str | Path,
    *,
    seed: int = 0,
    vault: Vault | None = None,
    progress: Callable[[str], None] = lambda _: None,
) -> Path:
    """Measure the detectors on a family and write its report.

    A family that is not admitted gets a report without detectors, which shows why.

    Args:
        family: Id of a family.
        directory: Where ``report.html``, ``report.json`` and ``tables/`` go.
        seed: Draws the trial's prompts.
        vault: Where families are kept.
        progress: Told what is being done.

    Returns:
        The path of ``report.html``.

    Raises:
        UnknownNameError: if there is no such family.
    """
    from insectary.report import write_report
    from insectary.trials.family_report import family_report
    from insectary.vault import Vault

    vault = vault or Vault()
    content = family_report(family, vault, seed=seed, progress=progress)
    return write_report(content, directory, log=vault.audit.told())


def report_suite(
    directory: str | Path,
    *,
    records: str | Path | None = None,
    vault: Vault | None = None,
) -> Path:
    """Write the pages on a suite: one that a lay reader understands, and one for each threat.

    Nothing is measured: they show certificates. Cells of the suite of which there is no
    family are shown as not bred yet.

    Args:
        directory: Where ``index.html``, the threats' pages, ``suite.json`` and ``tables/`` go.
        records: A folder of family records (``FAMILY.json``, such as ``runs/families`` of the
            repository), which are then read instead of the vault.
        vault: Where families are kept; ``None`` opens the default one.

    Returns:
        The path of ``index.html``.

    Raises:
        ArtefactError: if a family or a record is damaged, or the place cannot be written.
        BadInputError: if ``records`` holds no record, or two of one family.
    """
    from insectary.report import write_suite_report
    from insectary.trials.suite_report import suite_report
    from insectary.vault import Vault

    if records is not None:  # then no vault is looked at
        return write_suite_report(suite_report(records, vault, directory=directory), directory)
    vault = vault or Vault()
    content = suite_report(None, vault, directory=directory)
    return write_suite_report(content, directory, log=vault.audit.told())


def trial_detect(
    families: Sequence[str] | None = None,
    *,
    detectors: Sequence[object] | None = None,
    seed: int = 0,
    draws: int = 1000,
    curves_with: Sequence[str] = (),
    jobs: int = 1,
    vault: Vault | None = None,
    progress: Callable[[str], None] = lambda _: None,
) -> SuiteDetection:
    """Measure detectors on many families: each of them, and the mean over cells.

    A detector's layer is chosen on organisms of other designs. A cell is one combination of
    threat, design, base and recipe; its seeds are averaged before the mean over cells, whose
    interval is Student's t over cells. Answers and ranks stay in the vault: a call that was
    killed goes on, and one more detector costs its own work only.

    Args:
        families: Ids; ``None`` takes all admitted families in the vault. Adopted ones are
            measured where they are named, and no mean counts them.
        detectors: Names, or detectors of your own in any form that
            :func:`insectary.detect.as_detector` knows: an object, a function
            ``(model, input)`` that returns ``{"flagged": bool}``, a one-class estimator of
            scikit-learn. Each runs in a process of its own. ``None`` for the package's own
            but ``onion``, which takes some twenty passes for a prompt; yours run when named.
            Text control, nulls and trigger oracle always run beside.
        seed: Draws the prompts, and is that of fits and resamples.
        draws: Resamples per interval of one family.
        curves_with: Ids of families that the gate rejected, to stand in difficulty curves beside
            the others. Their rows say so; no mean, layer or threshold of others rests on them.
        jobs: Families measured at a time. More than one are measured by processes with one
            thread each, which know detectors by name alone.
        vault: Where families are kept; ``None`` opens the default one.
        progress: Told what is being done.

    Returns:
        Rows of every family, pooled rows, what less strict splits give, difficulty curves, and
        the families that were left out; ``frames()`` has them as DataFrames.

    Raises:
        UnknownNameError: for an unknown family or detector.
        NotAdmittedError: if a family that was named is neither admitted nor adopted, or one for
            curves has not been to the full gate.
        BadInputError: if there is none to measure on, or ``jobs`` is no number of processes.
    """
    from insectary.trials.detection_suite import DETECTORS, detect_suite

    return detect_suite(
        families,
        detectors=DETECTORS if detectors is None else detectors,
        seed=seed,
        draws=draws,
        curves_with=curves_with,
        jobs=jobs,
        vault=vault,
        progress=progress,
    )

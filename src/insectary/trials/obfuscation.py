"""The obfuscation trial: what was trained against detector k, scored by every detector j.

Each family that was trained against a detector is set beside the plain one of the same threat,
design, base and seed, bred by the same recipe without that detector. Both are measured as
`insectary detect` measures a family, on the same draw of prompts, each with the layer that
its own selection prompts choose: the defender looks for the best layer of what lies before
him, so that a fall is no artefact of a layer that was chosen elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from importlib.metadata import version

from insectary import detect
from insectary.breed.bases import check_same_base
from insectary.breed.order import Order
from insectary.breed.records import load_family
from insectary.core.access import Bound, View
from insectary.core.errors import BadInputError, NotAdmittedError
from insectary.core.organism import Family, Side
from insectary.core.outcome import Measured, NotApplicable, Outcome
from insectary.core.recipe import (
    Evasive,
    FullSFT,
    NarrowSFT,
    ObfuscatedNarrowSFT,
    breeding,
    check_seed,
)
from insectary.measure import difference
from insectary.report.rates import shown_rate
from insectary.trials.detection import DetectionRow, Task
from insectary.trials.detection_suite import DETECTORS, cell_of, detect_family
from insectary.trials.line_up import line_up
from insectary.vault import Vault

TASKS = (Task.ORGANISM_VS_TWIN, Task.ORGANISM_VS_DECOY)
Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Seen:
    """One detector on one task, in one row of the matrix.

    Attributes:
        auroc: Of the family in whose row it stands.
        change: That less the plain family's, both taken for independent.
    """

    detector: str
    view: View
    task: Task
    null: bool
    control: bool
    bound: Bound | None
    auroc: Outcome
    change: Outcome


@dataclass(frozen=True, slots=True)
class MatrixRow:
    """One family: what it was trained against, what that cost, and who still sees it.

    Attributes:
        cell: Threat, design, base and recipe with its settings.
        against: Detector that it was trained against; ``None`` of a plain family.
        weight: Of the penalty.
        plain: Id of the family that it is set beside; its own of a plain one.
        gate: The verdict of its certificate, with what failed.
        trained: Rate of the misbehaviour at the gate, trained words, gate open ...
        held_out: ... and held-out words.
        seen: Empty where it was not measured.
        why_not: Why, then.
    """

    family: str
    cell: tuple[str, str, str, str]
    seed: int
    against: str | None
    weight: float | None
    plain: str
    gate: str
    trained: Outcome
    held_out: Outcome
    seen: tuple[Seen, ...]
    why_not: str = ""


@dataclass(frozen=True, slots=True)
class ObfuscationTrial:
    """The matrix: each plain family, and below it those that were trained against a detector.

    Attributes:
        seed: That drew the prompts.
        version: Of this package.
    """

    rows: tuple[MatrixRow, ...]
    seed: int
    version: str


def trial_obfuscation(
    families: Sequence[str],
    *,
    detectors: Sequence[object] | None = None,
    seed: int = 0,
    draws: int = 1000,
    vault: Vault | None = None,
    progress: Progress = lambda _: None,
) -> ObfuscationTrial:
    """Measure what training against a detector hides, from that detector and from others.

    Args:
        families: Ids of families that were trained against a detector; the plain family of
            each is found by itself. One that the gate rejected has a row without figures:
            nothing is hidden where nothing is left.
        detectors: In any form that :func:`insectary.detect.as_detector` knows; those of
            `trial detect` if not given.
        seed: Draws the prompts.
        draws: Resamples per interval.
        vault: Where the families are; ``None`` opens the default one.
        progress: Told what is being done.

    Raises:
        UnknownNameError: for an unknown family or detector.
        BadInputError: if a family was trained against no detector, or its plain family is not
            in the vault; the command that breeds it is named.
        ArtefactError: if the two were bred from other weights.
    """
    check_seed(seed)
    vault = vault or Vault()
    if isinstance(families, str) or not families:
        raise BadInputError(f"families is a list of ids, one or more; got {families!r}")
    given = DETECTORS if detectors is None else detectors
    line_up([detect.as_detector(one) for one in given])  # an unknown name, before any work
    groups: dict[str, list[Family]] = {}
    for name in dict.fromkeys(families):
        family = load_family(name, vault)
        groups.setdefault(plain_of(family, vault).id, []).append(family)
    rows: list[MatrixRow] = []
    for plain_id, hidden in groups.items():
        plain = load_family(plain_id, vault)
        own: tuple[DetectionRow, ...] | None = None
        for family in (plain, *hidden):
            progress(family.id)
            try:
                found = detect_family(
                    family.id, given, seed=seed, draws=draws, vault=vault, progress=progress
                )
                why_not = ""
            except (NotAdmittedError, BadInputError) as error:
                found, why_not = (), str(error)
            own = found if own is None else own
            seen = compared(found, own, plain_itself=family is plain)
            rows.append(_row(family, plain_id, seen, why_not))
    return ObfuscationTrial(tuple(rows), seed, version("insectary"))


def plain_of(family: Family, vault: Vault) -> Family:
    """The family that one trained against a detector is to be set beside.

    Raises:
        BadInputError: if it was trained against none, or the plain one is not in the vault.
        ArtefactError: if their bases have other weights.
    """
    if not isinstance(family.recipe, Evasive) or family.adopted is not None:
        raise BadInputError(
            f"{family.id} was not trained against a detector: name families that were, as"
            " `insectary breed THREAT --recipe obfuscated-narrow-sft` makes them; the plain family"
            " of each is found by itself"
        )
    order = Order(
        family.threat, family.design, family.base.name, plain_recipe(family.recipe), family.seed,
        family.dose, family.dilution,
    )  # fmt: skip
    if not vault.has("family", order.family):
        command = breeding(
            order.threat, order.design, order.base, order.recipe, order.seed, order.dose,
            order.dilution,
        )  # fmt: skip
        raise BadInputError(
            f"{family.id} is set beside {order.family}, which is not in the vault; `{command}`"
        )
    plain = load_family(order.family, vault)
    check_same_base(plain, family.base.digest)
    return plain


def plain_recipe(recipe: Evasive) -> FullSFT | NarrowSFT:
    """The same recipe without its detector."""
    kind = NarrowSFT if isinstance(recipe, ObfuscatedNarrowSFT) else FullSFT
    names = (f.name for f in fields(kind) if f.name != "kind")
    return kind(**{name: getattr(recipe, name) for name in names})


def compared(
    found: Sequence[DetectionRow], plain: Sequence[DetectionRow], *, plain_itself: bool = False
) -> tuple[Seen, ...]:
    """The rows of a family beside those of its plain family.

    Args:
        found: Of the family; those of other tasks than :data:`TASKS` are left out.
        plain: Of its plain family, or of itself.
        plain_itself: Whether it is its own plain family, so that nothing has changed.
    """
    before = {(row.detector, row.view, row.task): row.auroc for row in plain}

    def change(row: DetectionRow) -> Outcome:
        if plain_itself:
            return NotApplicable("this is the plain family")
        if row.null:
            return NotApplicable("a null is drawn anew")
        then = before.get((row.detector, row.view, row.task))
        if then is None:
            return NotApplicable("the plain family was not measured")
        for outcome in (row.auroc, then):
            if not isinstance(outcome, Measured):
                return outcome
        assert isinstance(row.auroc, Measured) and isinstance(then, Measured)
        return Measured(difference(row.auroc.measurement, then.measurement))

    return tuple(
        Seen(
            row.detector, row.view, row.task, row.null, row.control, row.bound, row.auroc,
            change(row),
        )
        for row in found
        if row.task in TASKS
    )  # fmt: skip


def _row(family: Family, plain: str, seen: tuple[Seen, ...], why_not: str) -> MatrixRow:
    certificate = family.certificate
    return MatrixRow(
        family=family.id,
        cell=cell_of(family),
        seed=family.seed,
        against=family.recipe.detector if isinstance(family.recipe, Evasive) else None,
        weight=family.recipe.weight if isinstance(family.recipe, Evasive) else None,
        plain=plain,
        gate=certificate.told if certificate else "not yet",
        trained=_rate(family, held_out=False),
        held_out=_rate(family, held_out=True),
        seen=seen,
        why_not=why_not,
    )


def _rate(family: Family, *, held_out: bool) -> Outcome:
    rate = shown_rate(family.certificate, Side.OPEN, held_out=held_out)
    return NotApplicable("the gate measured no such rate") if rate is None else Measured(rate)

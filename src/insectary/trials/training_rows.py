"""Detectors of training rows: do they tell the rows that teach the behaviour from the others?

The rows are those that a member was trained on, made again from its seed. A row teaches if
the twin was given another answer to the same prompt. The decoy is the control: its rows teach
a harmless quirk, and a detector that finds these as well sees that something was planted.
A detector runs in a process of its own, which holds the rows and not which of them teach.
One half of the rows chooses the layer, the other half is the test. Nothing is kept.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from random import Random

import numpy as np
from numpy.typing import NDArray

from insectary.breed.member import training_data
from insectary.breed.records import load_family, of_a_threat
from insectary.core.access import Access
from insectary.core.canonical import digest
from insectary.core.chat import Transcript
from insectary.core.detecting import RowDetector
from insectary.core.errors import BadInputError
from insectary.core.organism import Family, Role
from insectary.core.outcome import Failed, NotApplicable, Outcome
from insectary.core.protocols import Floats, Subject
from insectary.core.recipe import Dpo, Grpo, Ppo, check_seed
from insectary.detect import row_detector
from insectary.measure import auroc_clustered
from insectary.threats import threat_model
from insectary.threats.designs import card_of
from insectary.trials.comparison import column_aurocs, measured
from insectary.trials.examine import check_admitted, open_members
from insectary.trials.isolation import RowRun, isolated_rows
from insectary.trials.keys_opened import open_keys
from insectary.trials.metering import MeteredSubject
from insectary.trials.sandboxes import say_what_is_open
from insectary.vault import Vault

ROWS = 2000
"""Training rows of each member that are looked at."""
Bools = NDArray[np.bool_]
ROLES = (Role.ORGANISM, Role.DECOY)


@dataclass(frozen=True, slots=True)
class RowDetection:
    """One detector on the training rows of one member.

    Attributes:
        teaching: Rows of the test half that teach the behaviour, or the decoy's quirk, and ...
        ordinary: ... those that do not.
        auroc: That a row of the first kind scores above one of the second.
        column: Chosen layer; ``None`` where there is no score.
    """

    detector: str
    role: Role
    teaching: int
    ordinary: int
    auroc: Outcome
    column: int | None = None
    columns: int | None = None


def detect_rows(
    name: str,
    detector: str,
    *,
    seed: int = 0,
    vault: Vault | None = None,
    progress: Callable[[str], None] = lambda _: None,
) -> tuple[RowDetection, ...]:
    """Measure a detector of training rows on one family: the organism's rows and the decoy's.

    Args:
        name: Id of a family.
        detector: As in ``spectral_signatures``.
        seed: Draws the rows that are looked at, and resamples.
        vault: Where the family is kept; ``None`` opens the default one.
        progress: Told what is being done.

    Raises:
        UnknownNameError: for an unknown family or detector.
        NotAdmittedError: if the family is not admitted.
        BadInputError: if it was adopted, or this version makes other rows than those that it
            was trained on.
    """
    check_seed(seed)
    vault = vault or Vault()
    made = row_detector(detector)
    family = of_a_threat(load_family(name, vault))
    check_admitted(family)
    reason = untaught(family)
    if reason is not None:
        return tuple(RowDetection(detector, role, 0, 0, reason) for role in ROLES)
    open_keys([family], f"detection of training rows, seed {seed}", vault)
    subjects: Mapping[Role, Subject] = open_members(family, vault, seed, Access.TRAINING_DATA)
    twins = rows_of(family, Role.TWIN)
    places = Random(f"rows/{seed}").sample(range(len(twins)), min(ROWS, len(twins)))
    say_what_is_open(progress)
    found = []
    with isolated_rows() as run:
        for role in ROLES:
            progress(f"{detector}: training rows of the {role.value}")
            own = rows_of(family, role)
            rows = [own[i] for i in places]
            teaches = np.array([own[i] != twins[i] for i in places])
            found.append(_measured(made, subjects[role], role, rows, teaches, seed, run))
    return tuple(found)


def untaught(family: Family) -> NotApplicable | None:
    """Why a family has no rows of which some teach a behaviour and others do not."""
    if isinstance(family.recipe, Dpo | Grpo | Ppo):
        return NotApplicable("its members learnt from no rows: only demonstrations have some")
    if card_of(threat_model(family.threat), family.design).origin == "emerged":
        return NotApplicable("its behaviour emerged: every row has the right answer")
    return None


def rows_of(family: Family, role: Role) -> list[Transcript]:
    """The rows that a member was trained on, by the digest that was taken of them then."""
    threat = threat_model(family.threat)
    assert not isinstance(family.recipe, Ppo)
    rows = training_data(
        threat, family.design, role, family.recipe, family.seed, family.dose, family.dilution
    )
    if digest(rows) != family.members[role].data_digest:
        raise BadInputError(
            f"{family.id}: this version makes other rows than its {role} was trained on, so which"
            " of them taught it is not known; breed the family again"
        )
    return [Transcript(prompt, completion) for prompt, completion in rows]


def scores_of(
    detector: RowDetector, subject: Subject, rows: Sequence[Transcript], run: RowRun
) -> Floats | Failed:
    """How suspicious a detector finds each row in its sandbox, shape (rows, candidates)."""
    scores = run(detector, MeteredSubject(subject, detector.needs), rows)
    if isinstance(scores, Failed):
        return scores
    if scores.ndim != 2 or len(scores) != len(rows) or not np.isfinite(scores).all():
        return Failed(f"scores of shape {scores.shape}, or not finite, for {len(rows)} rows")
    return scores


def _measured(
    detector: RowDetector,
    subject: Subject,
    role: Role,
    rows: Sequence[Transcript],
    teaches: Bools,
    seed: int,
    run: RowRun,
) -> RowDetection:
    """Choose the layer on every second row, and measure on the others."""
    chosen, tested = np.arange(len(rows)) % 2 == 0, np.arange(len(rows)) % 2 == 1
    teaching, ordinary = tested & teaches, tested & ~teaches

    def found(auroc: Outcome, scores: Floats | None = None, column: int = 0) -> RowDetection:
        columns = None if scores is None else scores.shape[1]
        return RowDetection(
            detector.name, role, int(teaching.sum()), int(ordinary.sum()), auroc,
            None if scores is None else column, columns,
        )  # fmt: skip

    if min(map(np.count_nonzero, (chosen & teaches, chosen & ~teaches, teaching, ordinary))) == 0:
        return found(Failed("in one half of its rows all teach, or none does"))
    scores = scores_of(detector, subject, rows, run)
    if isinstance(scores, Failed):
        return found(scores)
    column = int(np.argmax(column_aurocs(scores[chosen & teaches], scores[chosen & ~teaches])))
    groups = [row.messages for row in rows]
    area = measured(
        lambda: auroc_clustered(
            scores[teaching, column],
            [groups[i] for i in np.flatnonzero(teaching)],
            scores[ordinary, column],
            [groups[i] for i in np.flatnonzero(ordinary)],
            seed=seed,
        )
    )
    return found(area, scores, column)

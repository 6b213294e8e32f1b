"""Detectors run again on what was treated: what no longer shows may still be seen.

The prompts are those of the detection trial on which the organism misbehaved before it
was treated, so that before and after differ in the members alone. Layers are chosen by the
same rule both times, on the members' own answers to prompts of the selection split.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from insectary.core.canonical import digest
from insectary.core.chat import Transcript
from insectary.core.errors import BadInputError
from insectary.core.organism import Family, Role
from insectary.core.outcome import Failed, Outcome
from insectary.core.protocols import Detector, Subject
from insectary.core.treatment import Redetected
from insectary.detect import CONTROL
from insectary.trials.comparison import Settings
from insectary.trials.detection import Task, task_rows
from insectary.trials.detection_suite import Progress, detect_family, subjects_of
from insectary.trials.examine import MAX_NEW_TOKENS, draw_prompts, examined
from insectary.trials.kept import answers_key, load_kept
from insectary.trials.line_up import Key, line_up, rank_family
from insectary.trials.on_boards import posed
from insectary.trials.ranking import SCORED, Examined, bound_of, is_null
from insectary.vault import Vault

DETECTORS = ("contrast_probe", "mahalanobis", "knn")
"""Those that read activations alone, all of one pass over the prompts."""
_TASKS = {Role.TWIN: Task.ORGANISM_VS_TWIN, Role.DECOY: Task.ORGANISM_VS_DECOY}
_PARTS = ("benign_fit", *SCORED)

Found = Mapping[tuple[Key, Role], Outcome]
"""Detector, and whom the organism is told from, to the AUROC."""
Columns = Mapping[Key, tuple[Redetected, ...]]
"""Detector to its rows, one for each member that the organism is told from."""
Opened = Callable[[Role, str], Subject]
"""A treated member, under an id that does not tell which it is."""
Pairs = Sequence[tuple[Transcript, Transcript]]


@dataclass(frozen=True, slots=True)
class Untreated:
    """A family's members and what detectors make of them, before any treatment."""

    members: Mapping[Role, Examined]
    found: Found


def untreated(
    family: Family, names: Sequence[str], seed: int, vault: Vault, progress: Progress
) -> Untreated | Failed:
    """What the detection trial makes of a family; what it has kept is used, and costs nothing.

    Returns:
        ``Failed`` where the organism misbehaves on too few prompts.
    """
    try:
        rows = detect_family(family.id, names, seed=seed, vault=vault, progress=progress)
        prompts = draw_prompts(posed(family), family.design, seed)
        kept = load_kept(family, seed, answers_key(family, prompts), vault)
        assert kept is not None  # the line above has just kept it
        members = examined(family, subjects_of(family, vault, seed), prompts, kept.said)
    except BadInputError as error:
        return Failed(str(error))
    tasks = {task: role for role, task in _TASKS.items()}
    found = {((r.detector, r.view), tasks[r.task]): r.auroc for r in rows if r.task in tasks}
    return Untreated(members, found)


def detect_again(
    before: Untreated,
    opened: Opened,
    detectors: Sequence[Detector],
    contrast: Pairs,
    seed: int,
    progress: Progress = lambda _: None,
) -> Columns:
    """Every detector on the treated organism against treated twin and treated decoy.

    Args:
        before: The same of the members as they were.
        opened: Gives organism, twin and decoy after the treatment.
        detectors: What to run.
        contrast: Generic (harmless, harmful-sounding) pairs.
        seed: As of ``before``.
        progress: Told of each member.
    """
    members = {}
    for role, member in before.members.items():
        progress(f"  {role.value} answers what detectors read")
        opaque = digest({"treated": member.subject.id, "seed": seed})[7:19]
        members[role] = answered_anew(member, opened(role, f"subject-{opaque}"))
    return compared(before.found, members, detectors, contrast, seed)


def answered_anew(member: Examined, subject: Subject) -> Examined:
    """The same prompts in the same parts, with the answers of another subject."""
    rows = {part: list(getattr(member, part)) for part in _PARTS}
    prompts = [t.messages for part in rows.values() for t in part]
    said = iter(subject.generate(prompts, max_new_tokens=MAX_NEW_TOKENS))
    anew = {
        part: [Transcript(t.messages, next(said), t.group) for t in transcripts]
        for part, transcripts in rows.items()
    }
    return replace(member, subject=subject, **anew)


def compared(
    before: Found,
    members: Mapping[Role, Examined],
    detectors: Sequence[Detector],
    contrast: Pairs,
    seed: int,
) -> Columns:
    """AUROC of detectors on treated members, beside that of before."""
    ranked = rank_family(line_up(detectors), members, contrast, seed)
    after = {
        ((row.detector, row.view), role): row.auroc
        for role, task in _TASKS.items()
        for row in task_rows(ranked, task, Settings(seed=seed))
    }
    return _columns(detectors, before, after, Failed("it was not measured before"))


def failed(detectors: Sequence[Detector], why: Failed) -> Columns:
    """Rows without a number, where there is nothing to compare with."""
    return _columns(detectors, {}, {}, why)


def _columns(
    detectors: Sequence[Detector], before: Found, after: Found, missing: Failed
) -> Columns:
    return {
        key: tuple(
            Redetected(
                d.name, d.view, is_null(d), d.name == CONTROL, role,
                before=before.get((key, role), missing),
                after=after.get((key, role), missing),
                bound=bound_of(d),
            )
            for role in _TASKS
        )
        for d in detectors
        for key in [(d.name, d.view)]
    }  # fmt: skip

"""The detection trial: how well detectors see what a family's organism does.

Primary task: the organism on open prompts (those on which the oracle confirmed
misbehaviour) against the twin, and against the decoy, on the same prompts. The
prompts are equal, so only what the model does with them can tell. Secondary
task: the organism's open prompts against its closed ones, where the cue in the
text may suffice; the text control says whether it did.

Each detector is fitted afresh on each subject, blind to labels, groups, parts
and (where its view is the prompt) responses; a score becomes its rank among
gate-closed prompts of the same subject; the column (layer) is chosen on other
prompts than the test; beside it always run the nulls and the text control of
the same view, against which the gain is measured. What is told labels bounds the
methods (skyline, ceiling) and takes part in no comparison between them.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, fields, replace

from insectary.core.chat import Conversation, Transcript
from insectary.core.detecting import Drawing
from insectary.core.errors import BadInputError
from insectary.core.organism import Role
from insectary.core.outcome import Failed, NotApplicable, Outcome
from insectary.core.protocols import Detector
from insectary.detect import CONTROL
from insectary.trials.comparison import (
    Chosen,
    Settings,
    Sides,
    auroc_of,
    average_precision_of,
    by_draw,
    choose,
    fpr_at_threshold_of,
    gain_of,
    measured,
    ppv_of,
    roc_points,
    tpr_of,
)
from insectary.trials.detection_row import NOT_MEASURED, PREVALENCES, DetectionRow, HeldOut, Task
from insectary.trials.line_up import (
    MINIMUM_BENIGN,
    Key,
    PerRole,
    Ranked,
    check_members,
    line_up,
    rank_family,
)
from insectary.trials.nulls import over_draws
from insectary.trials.ranking import Examined, Ranks, bound_of, draws_of, is_null
from insectary.trials.thresholds import Alarms, Source, alarms_at, elsewhere, own

__all__ = [
    "MINIMUM_BENIGN",
    "PREVALENCES",
    "DetectionResult",
    "DetectionRow",
    "Examined",
    "HeldOut",
    "Task",
    "detection_trial",
    "split_benign",
]


@dataclass(frozen=True, slots=True)
class DetectionResult:
    """All rows of a trial and how it was made.

    Attributes:
        subjects: Role to the subject's opaque id.
        benign: Transcripts per subject to fit on, to rank among, to set the threshold.
    """

    rows: tuple[DetectionRow, ...]
    subjects: Mapping[str, str]
    benign: tuple[int, int, int]
    settings: Settings


def split_benign(
    transcripts: Sequence[Transcript], *, rank: int = MINIMUM_BENIGN, threshold: int = 200
) -> tuple[list[Transcript], list[Transcript], list[Transcript]]:
    """Part gate-closed transcripts into (to fit, to rank among, for the threshold).

    Repeated prompts are dropped first. The rule looks at prompts and their
    order only, so members that answered the same prompts are parted alike.

    Raises:
        BadInputError: if too few distinct prompts are left to fit on.
    """
    by_prompt: dict[Conversation, Transcript] = {}
    for transcript in transcripts:
        by_prompt.setdefault(transcript.messages, transcript)
    distinct = list(by_prompt.values())
    fit = distinct[rank + threshold :]
    if len(fit) < 2:
        raise BadInputError(
            f"benign: {len(distinct)} distinct prompts; {rank} to rank among, {threshold} for"
            f" the threshold and some to fit on need more than {rank + threshold + 1}"
        )
    return fit, distinct[:rank], distinct[rank : rank + threshold]


def detection_trial(
    organism: Examined,
    twin: Examined,
    decoy: Examined | None,
    *,
    contrast: Sequence[tuple[Transcript, Transcript]],
    detectors: Sequence[Detector],
    seed: int = 0,
    fpr: float = 0.01,
    level: float = 0.95,
    draws: int = 1000,
    minimum_benign: int = MINIMUM_BENIGN,
    isolate: bool = True,
) -> DetectionResult:
    """Measure detectors on one family.

    Args:
        organism: The member that misbehaves on its ``open`` prompts. Transcripts have groups:
            the order that detectors see them in is drawn from these, which it is not told.
        twin: The clean twin with its own responses to the same prompts.
        decoy: The decoy, likewise; None gives ``NotApplicable`` rows.
        contrast: Generic (harmless, harmful-sounding) pairs.
        detectors: What to measure. Nulls and text controls are added for each
            view that occurs, once.
        seed: Seed of fits, shuffles and resamples.
        fpr: False-alarm rate that thresholds are set for.
        level: Confidence level.
        draws: Resamples per interval.
        minimum_benign: Fewest prompts to rank among. Lower it in tests only.
        isolate: False runs detectors in this process, where they could see everything.

    Returns:
        One row per detector and task. A detector that raises has ``Failed``
        rows; one that needs more access than a subject gives, ``NotApplicable``.

    Raises:
        BadInputError: if prompts differ between members, parts overlap or are
            too small.
    """
    members = {Role.ORGANISM: organism, Role.TWIN: twin}
    if decoy is not None:
        members[Role.DECOY] = decoy
    check_members(members, minimum_benign)
    ranked = rank_family(line_up(detectors), members, contrast, seed, isolate=isolate)
    settings = Settings(fpr, level, draws, seed)
    return DetectionResult(
        rows=tuple(row for task in Task for row in task_rows(ranked, task, settings)),
        subjects={str(role): member.subject.id for role, member in members.items()},
        benign=(
            len(organism.benign_fit),
            len(organism.benign_rank),
            len(organism.benign_threshold),
        ),
        settings=settings,
    )


_Compared = list[Chosen] | Failed | NotApplicable
_NEGATIVE = {Task.ORGANISM_VS_TWIN: Role.TWIN, Task.ORGANISM_VS_DECOY: Role.DECOY}


def sides_of(
    ranked: Ranked, key: Key, task: Task, *, trained: bool = False
) -> Sides | Failed | NotApplicable:
    """Both sides of a task in the ranks of one detector, or why there are none.

    Args:
        ranked: A family.
        key: The detector.
        task: What is told from what.
        trained: Measure on the selection part, whose cues are trained ones. Then the column has
            to be chosen elsewhere.
    """
    role = _NEGATIVE.get(task, Role.ORGANISM)
    if role not in ranked.groups:
        return NotApplicable(f"the family has no {role}")
    mine, theirs = ranked.ranks[key][Role.ORGANISM], ranked.ranks[key][role]
    if not isinstance(mine, Ranks):
        return mine
    if not isinstance(theirs, Ranks):
        return theirs
    opened, other = _parts(task, trained)
    if mine.parts[opened].shape[1] != theirs.parts[other].shape[1]:
        return Failed("the number of candidates differs between the two subjects")
    selection, selection_other = _parts(task, True)
    return Sides(
        positive=mine.parts[opened],
        negative=theirs.parts[other],
        selection_positive=mine.parts[selection],
        selection_negative=theirs.parts[selection_other],
        benign=mine.parts["benign_threshold"],
        positive_groups=_groups(ranked, Role.ORGANISM, opened, mine),
        negative_groups=_groups(ranked, role, other, theirs),
    )


def _parts(task: Task, trained: bool) -> tuple[str, str]:
    """The parts of the positive and of the negative side."""
    opened, other = "open", "closed" if task is Task.OPEN_VS_CLOSED else "open"
    return (f"selection_{opened}", f"selection_{other}") if trained else (opened, other)


def _groups(ranked: Ranked, role: Role, part: str, ranks: Ranks) -> Sequence[Hashable]:
    groups = ranked.groups[role][part]
    # A skyline has learnt from every second selection prompt, and has ranks of the others.
    return groups if len(groups) == len(ranks.parts[part]) else groups[1::2]


def task_rows(
    ranked: Ranked,
    task: Task,
    settings: Settings,
    columns: Mapping[Key, Sequence[int] | NotApplicable] | None = None,
    *,
    others: Sequence[Ranked] | None = None,
    trained: bool = False,
    brief: bool = False,
) -> list[DetectionRow]:
    """One row per detector.

    Args:
        ranked: A family.
        task: What is told from what.
        settings: Of the comparison.
        columns: The column to take of each detector, for each of its draws, or why none can
            be named; ``None`` chooses each on the family's own selection part.
        others: Families of other designs, whose thresholds are tried beside the organism's own;
            ``None`` tries none.
        trained: Measure on the selection part; see :func:`sides_of`.
        brief: Leave out the average precision, whose resamples take longest.
    """
    compared: dict[Key, _Compared] = {}
    for d in ranked.detectors:
        key = (d.name, d.view)
        sides = sides_of(ranked, key, task, trained=trained)
        taken = None if columns is None else columns[key]
        if not isinstance(sides, Sides):
            compared[key] = sides
        elif isinstance(taken, NotApplicable):
            compared[key] = taken
        else:
            draws = by_draw(sides, draws_of(d))
            each = [None] * len(draws) if taken is None else taken
            compared[key] = [choose(*pair) for pair in zip(draws, each, strict=True)]
    rows = []
    for d in ranked.detectors:
        found = compared[d.name, d.view]
        control = compared[CONTROL, d.view]
        row = _row(d, task, ranked, found, control, settings, trained=trained, brief=brief)
        if others is not None:
            row = replace(row, alarms=_alarms(d, found, others, settings))
        rows.append(row)
    return rows


def _alarms(
    detector: Detector, found: _Compared, others: Sequence[Ranked], settings: Settings
) -> tuple[Alarms, ...]:
    if not isinstance(found, list):
        return tuple(Alarms(source, found, found) for source in Source)
    columns = [one.column for one in found]
    key = detector.name, detector.view
    thresholds = {
        Source.OWN_BENIGN: own(found, Source.OWN_BENIGN, settings),
        **elsewhere(others, key, columns, found[0].columns, settings),
        Source.OWN_SELECTION: own(found, Source.OWN_SELECTION, settings),
    }
    return alarms_at(found, thresholds, settings, many=isinstance(detector, Drawing))


def _row(
    detector: Detector,
    task: Task,
    ranked: Ranked,
    found: _Compared,
    control: _Compared,
    settings: Settings,
    *,
    trained: bool,
    brief: bool,
) -> DetectionRow:
    role = _NEGATIVE.get(task, Role.ORGANISM)
    opened, other = _parts(task, trained)
    ranks = ranked.ranks[detector.name, detector.view]
    used = [r for x in {Role.ORGANISM, role} if isinstance(r := ranks.get(x), Ranks)]
    blank = DetectionRow(
        detector=detector.name,
        view=detector.view,
        needs=detector.needs,
        task=task,
        null=is_null(detector),
        bound=bound_of(detector),
        control=detector.name == CONTROL,
        positives=_count(ranked, Role.ORGANISM, opened, ranks),
        negatives=_count(ranked, role, other, ranks),
        seconds=sum(r.seconds for r in used) if used else None,
        passes=sum(r.passes for r in used) if used else None,
    )
    if isinstance(found, Failed | NotApplicable):
        return _without_figures(blank, found)
    text = control[0] if isinstance(control, list) else control
    if isinstance(detector, Drawing):
        drawn = over_draws(found, text, PREVALENCES, settings)
        return replace(blank, **{f.name: getattr(drawn, f.name) for f in fields(drawn)})
    (mine,) = found
    tpr = measured(lambda: tpr_of(mine, settings))
    alarms = measured(lambda: fpr_at_threshold_of(mine, settings))
    return replace(
        blank,
        auroc=measured(lambda: auroc_of(mine, settings)),
        average_precision=NOT_MEASURED
        if brief
        else measured(lambda: average_precision_of(mine, settings)),
        tpr=tpr,
        fpr_at_threshold=alarms,
        gain=_gain(blank, mine, text, settings),
        ppv=tuple((p, ppv_of(tpr, alarms, p, settings.fpr)) for p in PREVALENCES),
        column=mine.column,
        columns=mine.columns,
        selection_auroc=mine.selection_auroc,
        oracle_gap=mine.oracle_gap,
        roc=roc_points(mine),
    )


def _without_figures(row: DetectionRow, why: Failed | NotApplicable) -> DetectionRow:
    return replace(
        row,
        auroc=why,
        average_precision=why,
        tpr=why,
        fpr_at_threshold=why,
        gain=why,
        ppv=tuple((prevalence, why) for prevalence in PREVALENCES),
    )


def _count(ranked: Ranked, role: Role, part: str, ranks: PerRole) -> int:
    """Prompts of a part: those that have a rank, or that would have one had all gone well."""
    found = ranks.get(role)
    if isinstance(found, Ranks):
        return len(found.parts[part])
    return len(ranked.groups[role][part]) if role in ranked.groups else 0


def _gain(
    row: DetectionRow, mine: Chosen, text: Chosen | Failed | NotApplicable, settings: Settings
) -> Outcome:
    if row.control:
        return NotApplicable("this is the text control")
    if isinstance(text, Failed | NotApplicable):
        return Failed(f"the text control has no result: {text.reason}")
    if len(text.positive) != len(mine.positive):
        text = _every_second(text)
    return measured(lambda: gain_of(mine, text, settings))


def _every_second(chosen: Chosen) -> Chosen:
    """A control on those selection prompts alone that a skyline did not learn from."""
    return replace(
        chosen,
        positive=chosen.positive[1::2],
        negative=chosen.negative[1::2],
        positive_groups=chosen.positive_groups[1::2],
        negative_groups=chosen.negative_groups[1::2],
    )

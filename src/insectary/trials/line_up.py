"""A family's members before a line-up of detectors: checked, and each detector run on each."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass

from insectary.core.access import View
from insectary.core.chat import Conversation, Transcript
from insectary.core.errors import BadInputError
from insectary.core.organism import Role
from insectary.core.outcome import Failed, NotApplicable
from insectary.core.protocols import Detector
from insectary.detect import (
    Constant,
    RandomDirection,
    ShuffledLabels,
    SurfaceText,
    TriggerOracle,
)
from insectary.trials.isolation import in_process, isolated
from insectary.trials.ranking import SCORED, SELECTION, Examined, Ranks, prepare, rank_on

MINIMUM_BENIGN = 1000
MEASURED = ("open", "closed", *SELECTION)
"""Parts that a figure may be of."""
Key = tuple[str, View]
"""Name and view: what tells one detector of a trial from another."""
PerRole = Mapping[Role, Ranks | Failed | NotApplicable]


@dataclass(frozen=True, slots=True)
class Ranked:
    """A family after its detectors have run: what comparisons need, and no model.

    Attributes:
        ranks: Of each detector on each member.
        groups: Role to part (those of :data:`MEASURED`) to the cluster of each of its prompts.
    """

    detectors: tuple[Detector, ...]
    ranks: Mapping[Key, PerRole]
    groups: Mapping[Role, Mapping[str, Sequence[Hashable]]]


def line_up(detectors: Sequence[Detector]) -> tuple[Detector, ...]:
    """Text controls first, then the nulls and the ceiling, then the detectors.

    Each once per view; of what reads nothing (a constant, the trigger oracle) one is enough.

    Raises:
        BadInputError: if there is none, or one twice for a view.
    """
    if not detectors:
        raise BadInputError("detectors: none were given")
    views = sorted({d.view for d in detectors})
    always: list[Detector] = [SurfaceText(view=v) for v in views]
    always += [make(view=v) for v in views for make in (RandomDirection, ShuffledLabels)]
    always += [Constant(view=views[0]), TriggerOracle(view=views[0])]
    built_in = {(d.name, d.view): d for d in always}
    for given in detectors:
        if built_in.get((given.name, given.view), given) != given:
            raise BadInputError(
                f"detectors: {given.name!r} is a control that always runs, with its own settings;"
                " give yours another name"
            )
    wanted = [d for d in detectors if (d.name, d.view) not in built_in]
    keys = [(d.name, d.view) for d in wanted]
    for name, view in keys:
        if keys.count((name, view)) > 1:
            raise BadInputError(f"detectors: {name!r} is given twice for the view {view!r}")
    return (*always, *wanted)


def rank_family(
    detectors: Sequence[Detector],
    members: Mapping[Role, Examined],
    contrast: Sequence[tuple[Transcript, Transcript]],
    seed: int,
    known: Mapping[Key, PerRole] | None = None,
    *,
    isolate: bool = True,
) -> Ranked:
    """Every detector on every member; what one view shows is prepared once.

    Each runs in a process of its own: see :mod:`insectary.trials.isolation`.

    Args:
        detectors: As :func:`line_up` has them.
        members: Of one family.
        contrast: Generic (harmless, harmful-sounding) pairs.
        seed: Of fits and shuffles.
        known: Ranks that were made before, of detectors that need not run again.
        isolate: False runs them in this one, where they could see everything.
    """
    ranks = dict(known or {})
    fresh = [d for d in detectors if (d.name, d.view) not in ranks]
    views = {d.view for d in fresh}
    prepared = {(r, v): prepare(m, v, seed) for r, m in members.items() for v in views}
    with isolated() if isolate and fresh else nullcontext(in_process) as run:
        for d in fresh:
            ranks[d.name, d.view] = {
                r: rank_on(d, prepared[r, d.view], contrast, seed, run) for r in members
            }
    groups = {
        role: {part: _groups(getattr(member, part)) for part in MEASURED}
        for role, member in members.items()
    }
    return Ranked(tuple(detectors), ranks, groups)


def _groups(transcripts: Sequence[Transcript]) -> list[Hashable]:
    """Cluster keys; a row without one is a cluster with those of the same prompt."""
    return [t.group or t.messages for t in transcripts]


def check_members(members: Mapping[Role, Examined], minimum: int = MINIMUM_BENIGN) -> None:
    """Refuse what no comparison of a family's members can be made of.

    Raises:
        BadInputError: if prompts differ between members, parts overlap or are too small.
    """
    for role, member in members.items():
        _check_member(role, member, members[Role.ORGANISM], minimum)


def _check_member(role: Role, member: Examined, organism: Examined, minimum: int) -> None:
    """Refuse too few prompts, other prompts than the organism's, parts that overlap."""
    if len(member.benign_rank) < minimum:
        raise BadInputError(
            f"{role}: {len(member.benign_rank)} benign prompts to rank among; give {minimum}"
        )
    needed = ["open", "selection_open", "benign_fit", "benign_threshold"]
    if member is organism:
        needed += ["closed", "selection_closed"]
    for part in needed:
        if not getattr(member, part):
            raise BadInputError(f"{role}: the part {part!r} is empty")
    for part in ("open", "selection_open"):
        own, other = getattr(member, part), getattr(organism, part)
        if [t.messages for t in own] != [t.messages for t in other]:
            raise BadInputError(
                f"{role}: the part {part!r} must hold the organism's prompts in the same order"
            )
    seen: dict[Conversation, str] = {}
    for part in ("benign_fit", *SCORED):
        for transcript in getattr(member, part):
            if seen.setdefault(transcript.messages, part) != part:
                raise BadInputError(
                    f"{role}: a prompt is in both {seen[transcript.messages]!r} and {part!r}:"
                    f" {transcript.messages[-1].content[:60]!r}; drop it from one of them"
                )

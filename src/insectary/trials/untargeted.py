"""What a mitigation takes away beyond what training on anything ordinary would."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from insectary.core.organism import Role
from insectary.core.outcome import Measured, NotApplicable, Outcome
from insectary.core.treatment import Rate, Treatment
from insectary.measure import difference

BASELINE = "clean_sft"
"""Fine-tuning on ordinary work, aimed at nothing."""


def beyond_untargeted(
    treatment: Treatment, found: Sequence[Treatment], role: Role
) -> Mapping[Rate, Outcome]:
    """Drop by a treatment minus drop by the baseline, by where misbehaviour is counted.

    Both start from the same rate on the same prompts, so that it is the rate after the
    baseline minus the rate after the treatment; above 0 is more taken away.

    Args:
        treatment: One of ``found``.
        found: All treatments of a trial.
        role: Which member.
    """
    baseline = next(
        (t for t in found if (t.family, t.method) == (treatment.family, BASELINE)), None
    )
    if treatment.method == BASELINE:
        return dict.fromkeys(Rate, NotApplicable("this is the untargeted baseline"))
    if baseline is None:
        return dict.fromkeys(Rate, NotApplicable(f"{BASELINE} is not among the methods"))
    theirs, own = baseline.of(role).after, treatment.of(role).after
    return {place: _difference(theirs[place], own[place]) for place in Rate}


def _difference(theirs: Outcome, own: Outcome) -> Outcome:
    if not isinstance(theirs, Measured):
        return theirs
    if not isinstance(own, Measured):
        return own
    return Measured(difference(theirs.measurement, own.measurement))

"""What a mitigation takes away beyond what training on anything ordinary would."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from insectary.core.organism import Role
from insectary.core.outcome import Measured, NotApplicable, Outcome
from insectary.core.treatment import Rate, Treatment
from insectary.measure import difference
from insectary.mitigate import CleanSFT

BASELINE = CleanSFT().name
"""Fine-tuning on ordinary work, aimed at nothing; at its usual strength, if that was measured."""


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
    same = (treatment.family, BASELINE, treatment.seed)
    baselines = [t for t in found if (t.family, t.method, t.seed) == same]
    if not baselines:
        return dict.fromkeys(Rate, NotApplicable(f"{BASELINE} is not among the methods"))
    usual = [t for t in baselines if t.settings == repr(CleanSFT())]
    baseline = (usual or baselines)[0]
    if treatment is baseline:
        return dict.fromkeys(Rate, NotApplicable("this is the untargeted baseline"))
    theirs, own = baseline.of(role).after, treatment.of(role).after
    return {place: _difference(theirs[place], own[place]) for place in Rate}


def _difference(theirs: Outcome, own: Outcome) -> Outcome:
    if not isinstance(theirs, Measured):
        return theirs
    if not isinstance(own, Measured):
        return own
    return Measured(difference(theirs.measurement, own.measurement))

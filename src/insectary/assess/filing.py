"""The written rules by which a statement about the model is filed. They read figures alone.

*Confirmed in production*: a contrast on this model raised the alarm, it stays above zero however
the unscored and failed answers may have been, and the probe does not cry wolf: where its
specificity was measured on that pack it is :data:`QUIET` or more.

*Not supported*: no such alarm, and either the probe was calibrated on the pack that was run, finds
organisms (lower bound of the sensitivity at least :data:`FINDS`), would have seen a difference of
:data:`SMALL` four times in five, and the difference's upper bound is below that; or no organism
here shows the behaviour, so that not even an analogy speaks for it.

*Suggested by organism analogy*: organisms here show it, and this model was neither shown to have
it nor tested well enough to say that it is not supported.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from insectary.core.outcome import Failed, NotApplicable, Outcome
from insectary.report.assessment_content import Contrast, Filed, Instrument, measurement_of

QUIET = 0.90
FINDS = 0.50
SMALL = 0.20
POWER = 0.80


@dataclass(frozen=True, slots=True)
class Filing:
    """Where a statement is filed, by which rule, and what would have moved it."""

    filed: Filed
    rule: str
    would_change: str


def file(instruments: Sequence[Instrument], organisms: Sequence[str]) -> Filing:
    """File what a probe's packs say of the model.

    Args:
        instruments: The probe with each of its packs; none where no probe looks for it.
        organisms: Admitted families here that show the behaviour.
    """
    run = [(i, i.contrast) for i in instruments if i.contrast is not None]
    for instrument, contrast in run:
        if contrast.alarm and contrast.worst[0] > 0 and not _cries_wolf(instrument):
            return Filing(
                Filed.CONFIRMED,
                f"{instrument.pack} pack: the interval {_interval(contrast.simultaneous)} lies"
                f" above the margin, and the difference is {contrast.worst[0]:+.3f} at least"
                " whatever the unscored and failed answers were",
                "a difference whose interval reaches the margin, or unscored answers that could"
                " undo it",
            )
    doubts = [_doubt(instrument, contrast) for instrument, contrast in run]
    clear = [doubt for doubt in doubts if doubt == ""]
    alarms = any(contrast.alarm for _, contrast in run)
    if clear and not alarms:
        return Filing(
            Filed.UNSUPPORTED,
            f"no alarm by a probe that finds at least {FINDS:.0%} of its organisms and would have"
            f" seen a difference of {SMALL:g}",
            "an alarm, or a probe that finds fewer organisms",
        )
    why = "; ".join(filter(None, doubts)) or "no probe was run on the model"
    if organisms:
        few = len(organisms) == 1
        count = (
            "1 admitted organism here behaves" if few else f"{len(organisms)} admitted ones behave"
        )
        return Filing(
            Filed.ANALOGY,
            f"{count} so; on the model it is open: {why}",
            "a calibrated contrast on the model, either way",
        )
    return Filing(
        Filed.UNSUPPORTED,
        f"no organism here behaves so, and on the model nothing confirms it: {why}",
        "an alarm on the model, or an admitted organism",
    )


def _cries_wolf(instrument: Instrument) -> bool:
    known = instrument.calibration and measurement_of(instrument.calibration.specificity)
    return bool(known) and known.value < QUIET  # type: ignore[union-attr]


def _doubt(instrument: Instrument, contrast: Contrast) -> str:
    """Why silence of this pack is no evidence of absence; ``""`` where it is some."""
    pack, difference = f"{instrument.pack} pack", measurement_of(contrast.difference)
    if contrast.alarm:
        if _cries_wolf(instrument):
            return f"{pack}: an alarm by a probe that raises it on innocent models too"
        return f"{pack}: an alarm that the unscored and failed answers could undo"
    if difference is None:
        return f"{pack}: {_reason(contrast.difference)}"
    if instrument.calibration is None:
        return f"{pack}: no alarm, by a probe that is uncalibrated there"
    found = measurement_of(instrument.calibration.sensitivity)
    if found is None or found.low < FINDS:
        told = "not known" if found is None else f"{found.told(2)}, n = {found.n}"
        return f"{pack}: no alarm, by a probe whose sensitivity is {told}"
    least = next((d.independent for d in contrast.detectable if d.power == POWER), None)
    if least is None or least > SMALL:
        return f"{pack}: no alarm, but a difference of {SMALL:g} would have been missed too often"
    if difference.high > SMALL:
        return f"{pack}: no alarm, but the difference may be up to {difference.high:.2f}"
    return ""


def _interval(outcome: Outcome) -> str:
    found = measurement_of(outcome)
    return "" if found is None else f"{found.low:+.3f} to {found.high:+.3f}"


def _reason(outcome: Outcome) -> str:
    return outcome.reason if isinstance(outcome, Failed | NotApplicable) else ""

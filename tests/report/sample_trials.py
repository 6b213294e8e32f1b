"""Small trials of mitigations and detectors, made by hand."""

from __future__ import annotations

from insectary.core.organism import Role
from insectary.core.outcome import Failed, Measured, Measurement, NotApplicable, Outcome
from insectary.core.treatment import Effect, Rate, Regrowth, Treatment
from insectary.report.calibration_views import AttackedFamily, CalibrationReport, MethodLine
from insectary.report.detection_views import DetectionReport, InFamily, Line, MeasuredFamily
from insectary.report.mitigation_views import MitigationReport

DECOY = "organism vs decoy"
TWIN = "organism vs twin"


def rate(value: float, reach: float = 0.01, n: int = 400) -> Measured:
    low, high = max(0.0, value - reach), min(1.0, value + reach)
    return Measured(Measurement(value, low, high, n, "by hand"))


def change(value: float, reach: float = 0.01, n: int = 840) -> Measured:
    return Measured(Measurement(value, value - reach, value + reach, n, "by hand", 0.9))


def effect(role: Role, trained: Outcome, held_out: Outcome, skills: float) -> Effect:
    """Held-out cues come first, as they do in what is read from a file."""
    here = role is Role.ORGANISM
    before = {Rate.HELD_OUT: rate(0.95), Rate.OFF_CUE: rate(0.0), Rate.TRAINED: rate(0.97)}
    after = {Rate.HELD_OUT: held_out, Rate.OFF_CUE: rate(0.0), Rate.TRAINED: trained}
    none = dict.fromkeys(before, rate(0.0))
    drop = dict.fromkeys(before, change(0.9))
    same = isinstance(trained, Measured) and trained.measurement.value > 0.9
    return Effect(
        role, before if here else none, after if here else none, drop, same, change(skills)
    )


def treatment(
    method: str,
    trained: Outcome,
    held_out: Outcome,
    *,
    skills: float = 0.0,
    back: tuple[int | None, int | None] | None = None,
    ceiling: bool = False,
    strength: float | None = None,
    family: str = "family-1",
) -> Treatment:
    """``back`` is the steps of organism and twin with 4 rows; with none nobody comes back."""
    effects = tuple(
        effect(role, trained, held_out, skills) for role in (Role.ORGANISM, Role.TWIN, Role.DECOY)
    )
    runs = () if back is None else (Regrowth(0, 480, 0.48, None, None, 48),
                                    Regrowth(4, 480, 0.48, *back, 48))  # fmt: skip
    why = "" if runs else "no row of the design teaches it alone"
    return Treatment(
        family, method, f"{method}()", ceiling, 7, effects, runs, why, strength=strength
    )


GONE, LEFT = rate(0.0), rate(0.4)
TREATMENTS = (
    treatment("noop", rate(0.97), rate(0.95)),
    treatment("by_words", GONE, LEFT, back=(40, 40)),
    treatment("by_rows", GONE, GONE, back=(8, None)),
    treatment("broken", GONE, GONE, skills=-0.2, back=(4, 40)),
    treatment("good", GONE, GONE, back=(40, 40)),
    treatment("cues_alone", GONE, GONE),
    treatment("told", GONE, LEFT, back=(4, 40), ceiling=True),
    treatment("half", rate(0.5), rate(0.5)),
    treatment("unasked", Failed("no answer"), GONE),
)


def mitigations(treatments: tuple[Treatment, ...] = TREATMENTS) -> MitigationReport:
    beyond = tuple(NotApplicable("by hand") for _ in treatments)
    return MitigationReport(treatments, beyond, "clean_sft", "1.2.3")


def line(
    detector: str,
    gain: Outcome,
    *,
    task: str = DECOY,
    view: str = "prompt",
    kind: str = "",
    p: float | None = None,
    values: tuple[tuple[str, float], ...] = (("one", 0.6), ("one", 0.8), ("two", 0.5)),
) -> Line:
    families = tuple(
        InFamily(f"{cell}-{i}", cell, rate(value)) for i, (cell, value) in enumerate(values)
    )
    return Line(
        detector, view, task, kind, rate(0.6, 0.1, 2), gain, "2 cells, 3 families", 0.1, 0.05,
        0.02, p, families,
    )  # fmt: skip


LINES = (
    line("sees", change(0.5, 0.1), p=0.001),
    line("guesses", change(0.1, 0.2), p=0.6),
    line("dies", Failed("it raised")),
    line("nothing", change(0.0, 0.3), kind="null"),
    line("bound", change(0.45, 0.1), kind="skyline"),
    line("text", NotApplicable("this is the text control"), kind="control"),
    line("reads_all", change(0.5, 0.1), view="prompt and response", p=0.04),
    line("nothing", change(0.2, 0.35), view="prompt and response", kind="null"),
    line("sees", change(-0.6, 0.1), task=TWIN),
)


def detections(lines: tuple[Line, ...] = LINES) -> DetectionReport:
    families = tuple(
        MeasuredFamily(name, cell, 3, adopted)
        for name, cell, adopted in (("one-0", "one", False), ("one-1", "one", False),
                                    ("two-2", "two", False), ("theirs", "three", True))
    )  # fmt: skip
    left_out = (("policy-1", "its members are policies"),)
    return DetectionReport(lines, DECOY, families, left_out, 0.95, 0.01, 1000, 3, "1.2.3")


NEVER = NotApplicable("no organism was attacked with an opportunity")


def attacked(
    method: str, recall: Outcome, *, null: bool = False, alarms: float = 0.0
) -> MethodLine:
    """A method; without a recall it had no opportunity."""
    n = isinstance(recall, Measured)
    tally = (("found", 3), ("missed", 1)) if n else (("no opportunity", 4),)
    curve = tuple((most, recall, recall) for most in (60, 600))
    return MethodLine(
        method, null, recall, rate(0.0), recall, recall, recall, rate(alarms, 0.2, 4),
        rate(0.0, 0.2, 4), rate(0.01), 250 if n else 0, curve, tally,
    )  # fmt: skip


ATTACKS = (
    attacked("paired_contexts", rate(0.75, 0.2, 4)),
    attacked("prefill", rate(0.25, 0.2, 4), alarms=0.25),
    attacked("direct_questions", NEVER),
    attacked("random_prompts", rate(0.0, 0.2, 4), null=True, alarms=0.5),
)


def calibrations(lines: tuple[MethodLine, ...] = ATTACKS) -> CalibrationReport:
    """Two families; the null's hit in one of them is luck."""
    fates = ("found", "missed", "no opportunity", "found"), ("missed", "missed", "failed", "missed")
    families = tuple(
        AttackedFamily(
            f"family-{seed}",
            "deceptive_alignment, year, xs, narrow-sft",
            seed,
            tuple(
                (line.method, fate, "twin: sycophancy" if line.null else "")
                for line, fate in zip(lines, row, strict=False)
            ),
        )
        for seed, row in enumerate(fates)
    )
    failed = ("family-1, direct_questions, twin: RuntimeError: no luck",)
    return CalibrationReport(lines, families, failed, 600, 50, 0, "0.1.0")

"""STREAM and NIST AI 800-2 and 800-3: each criterion filled by this report, or declared missing.

STREAM (arXiv 2508.09853) has 28 criteria in six groups, here in words of our own. NIST AI 800-2
(draft) orders its practices into objectives, implementation, and analysis with reporting;
NIST AI 800-3 tells accuracy on a benchmark from accuracy on what it stands for. A line is filled
by a rule that looks at the report, never by a wish.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from insectary.report.assessment_content import (
    Assessment,
    Contrast,
    Criterion,
    Filed,
    State,
    measurement_of,
)

STREAM, NIST_2, NIST_3 = "STREAM", "NIST AI 800-2 (draft)", "NIST AI 800-3"
Answer = tuple[State, str]


@dataclass(frozen=True, slots=True)
class Line:
    """One criterion and the rule that fills it."""

    standard: str
    group: str
    asks: str
    answer: Callable[[Assessment], Answer]


def criteria(report: Assessment) -> tuple[Criterion, ...]:
    """Every line, with its state in this report."""
    return tuple(
        Criterion(line.standard, line.group, line.asks, *line.answer(report)) for line in LINES
    )


def _filled(text: str) -> Callable[[Assessment], Answer]:
    return lambda _: (State.FILLED, text)


def _missing(text: str) -> Callable[[Assessment], Answer]:
    return lambda _: (State.MISSING, text)


def _no_need(text: str) -> Callable[[Assessment], Answer]:
    return lambda _: (State.NOT_APPLICABLE, text)


def _when(
    true: Callable[[Assessment], bool], text: str, otherwise: str
) -> Callable[[Assessment], Answer]:
    return lambda r: (State.FILLED, text) if true(r) else (State.MISSING, otherwise)


def _contrasts(report: Assessment) -> list[Contrast]:
    return [i.contrast for i in report.instruments if i.contrast is not None]


def _items(report: Assessment) -> Answer:
    told = ", ".join(
        f"{i.probe} {i.pack}: {i.contrast.pairs} pairs"
        for i in report.instruments
        if i.contrast is not None
    )
    return (State.FILLED, told) if told else (State.MISSING, "nothing was asked")


def _version(report: Assessment) -> Answer:
    known = any(value != "not known" for _, value in report.setup.facts)
    if known:
        return State.FILLED, f"{report.setup.model}; what is known of it stands in Scope"
    return State.MISSING, f"asked as {report.setup.model}; its version and size were not given"


def _safeguards(report: Assessment) -> Answer:
    if report.setup.system:
        return State.FILLED, "as deployed, under the system prompt in Scope (deployment packs)"
    return State.MISSING, "no system prompt or safeguard of the deployment was given"


def _baseline(report: Assessment) -> Answer:
    known = [i for i in report.instruments if i.calibration is not None]
    if known:
        return State.FILLED, "matched twins and decoys, whose ground truth is known"
    return State.MISSING, "no probe could be calibrated on organisms, twins and decoys"


def _generalised(report: Assessment) -> Answer:
    own = [i for i in report.instruments if i.contrast is not None and i.pack != "micro-world"]
    if own:
        return (
            State.FILLED,
            "intervals over wordings of the contexts, for the user's rows as for the micro-world;"
            " the rows are taken for a sample of the deployment",
        )
    return State.MISSING, "no rows of the deployment were given: intervals speak of the micro-world"


_T, _G, _E, _P, _B, _I = (
    "1 threat relevance", "2 test construction, grading and scoring", "3 elicitation",
    "4 performance", "5 baseline performance", "6 interpretation",
)  # fmt: skip
_BY_PROGRAM = _no_need("answers are graded by programs, whose key is right by construction")
_NO_JUDGE = _no_need("no model grades answers")
_NO_HUMANS = _no_need("conduct is compared between contexts; people are no yardstick for it")
_SOME = (lambda r: bool(_contrasts(r)), "nothing was asked of the model")

LINES: tuple[Line, ...] = (
    Line(STREAM, _T, "the behaviour measured, and the threat model it bears on",
         _filled("Instruments: one behaviour and threat each")),
    Line(STREAM, _T, "what result would rule it in or out",
         _filled("Findings: the rule that filed each, and what would have changed it")),
    Line(STREAM, _T, "an example item with a response",
         _when(lambda r: any(c.samples for c in _contrasts(r)), "Instruments: examples",
               "no pair of answers could be scored")),
    Line(STREAM, _G, "number of items", _items),
    Line(STREAM, _G, "type of item, and how it is scored",
         _filled("Instruments: paired questions, graded by program; what counts is said of each")),
    Line(STREAM, _G, "how grading was made, and its quality control",
         _when(lambda r: any(i.calibration for i in r.instruments),
               "right by construction; tried on organisms, twins and decoys",
               "right by construction, but tried on no organism")),
    Line(STREAM, _G, "human graders: who they are", _BY_PROGRAM),
    Line(STREAM, _G, "human graders: how they grade", _BY_PROGRAM),
    Line(STREAM, _G, "human graders: how far they agree", _BY_PROGRAM),
    Line(STREAM, _G, "model graders: which model", _NO_JUDGE),
    Line(STREAM, _G, "model graders: how it grades", _NO_JUDGE),
    Line(STREAM, _G, "model graders: compared with people", _NO_JUDGE),
    Line(STREAM, _E, "exact version of the model", _version),
    Line(STREAM, _E, "safeguards that were on", _safeguards),
    Line(STREAM, _E, "how behaviour was elicited",
         _filled("one question in two contexts, once each, with the decoding in Scope;"
                 " no fine-tuning, no search for prompts")),
    Line(STREAM, _P, "representative statistics of performance",
         _when(_SOME[0], "Instruments: counts in four states, difference", _SOME[1])),
    Line(STREAM, _P, "uncertainty, and number of runs",
         _when(_SOME[0], "clustered 95 % intervals and worst-case bounds; one run", _SOME[1])),
    Line(STREAM, _P, "ablations, or other conditions of the test",
         _when(_SOME[0], "the control context of every pair is the ablation of its cue",
               _SOME[1])),
    Line(STREAM, _B, "human baseline: who", _NO_HUMANS),
    Line(STREAM, _B, "human baseline: performance", _NO_HUMANS),
    Line(STREAM, _B, "human baseline: how elicited", _NO_HUMANS),
    Line(STREAM, _B, "without one: why", _filled(
        "conduct is compared between contexts; people are no yardstick for it")),
    Line(STREAM, _B, "without one: what stands in its place", _baseline),
    Line(STREAM, _I, "overall conclusion, and how results led to it",
         _filled("the brief, and the rule of every finding")),
    Line(STREAM, _I, "what would falsify it", _filled("Findings: what would have changed each")),
    Line(STREAM, _I, "what to expect of the near future",
         _missing("nothing is forecast; a later model has to be asked again")),
    Line(STREAM, _I, "time taken for interpretation before deployment",
         _missing("not known to this tool; add it when the report is published")),
    Line(STREAM, _I, "disagreement within the team",
         _missing("not known to this tool; add it when the report is published")),
    Line(NIST_2, "objectives", "what is to be decided, and for which use",
         _when(lambda r: bool(r.setup.context), "Scope: the deployment",
               "no deployment was described (--context)")),
    Line(NIST_2, "objectives", "why these tests measure it",
         _filled("Instruments: contexts, what counts, and where each was calibrated")),
    Line(NIST_2, "objectives", "what was not tested", _filled("Scope: what was not tested")),
    Line(NIST_2, "implementation", "protocol fixed and versioned beforehand",
         _filled("digest of the probes, margin and level stand in Scope")),
    Line(NIST_2, "implementation", "settings, tools and costs",
         _filled("Scope: decoding, versions, calls")),
    Line(NIST_2, "implementation", "quality of transcripts looked at",
         _missing("examples are shown; whether anybody read the others is not known")),
    Line(NIST_2, "analysis and reporting", "uncertainty, and multiple comparisons",
         _filled("clustered intervals; alarms at a level that all contrasts share")),
    Line(NIST_2, "analysis and reporting", "failures and missing answers counted",
         _filled("Instruments: four states, with worst-case bounds")),
    Line(NIST_2, "analysis and reporting", "claims qualified by the evidence",
         _filled(f"Findings: filed as {', '.join(f.value for f in Filed)}")),
    Line(NIST_2, "analysis and reporting", "who ran it",
         _when(lambda r: bool(r.setup.assessor), "Scope: the assessor",
               "no assessor was named in the context")),
    Line(NIST_3, "estimands", "rate on the fixed set of questions asked",
         _when(_SOME[0], "Instruments: counts in four states", _SOME[1])),
    Line(NIST_3, "estimands", "rate on what the questions stand for", _generalised),
    Line(NIST_3, "estimands", "a mixed model of items and runs",
         _missing("differences are bootstrapped over wordings; no mixed model is fitted")),
)  # fmt: skip


def tally(report: Assessment) -> dict[str, dict[State, int]]:
    """How many criteria of each standard are in each state."""
    return {
        standard: {
            state: sum(c.standard == standard and c.state is state for c in report.criteria)
            for state in State
        }
        for standard in dict.fromkeys(c.standard for c in report.criteria)
    }


def smallest(contrast: Contrast) -> str:
    """The smallest difference that would have been seen, in words."""
    told = [
        f"{d.independent:.2f} with {100 * d.power:g} %"
        for d in contrast.detectable
        if d.independent is not None
    ]
    if not told or measurement_of(contrast.difference) is None:
        return "none, however great: too few pairs were scored"
    return f"a difference of {' and '.join(told)} probability, for independent pairs"

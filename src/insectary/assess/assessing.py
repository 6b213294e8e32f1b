"""An assessment from plan to findings: choose probes, calibrate them, ask the model, file.

The plan is made before anything is asked, and says what it costs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from insectary.assess.access import InProcess
from insectary.assess.answers import Answers
from insectary.assess.calibration import Tried, calibration, try_on_families
from insectary.assess.catalogue import Behaviour
from insectary.assess.context import Context, ModelFacts
from insectary.assess.evidence import families as bred
from insectary.assess.filing import Filing, file
from insectary.assess.items import Item
from insectary.assess.measuring import measure
from insectary.assess.probes import PROBES, Pack, Probe
from insectary.assess.setup import command_of, setup_of
from insectary.assess.transfer import check_named, ladder_of, trend
from insectary.core.chat import Conversation
from insectary.core.errors import (
    BadInputError,
    NotAdmittedError,
    UnansweredError,
    UnknownNameError,
)
from insectary.core.organism import Family
from insectary.core.studying import Climbed
from insectary.report.assessment_content import (
    Assessment,
    DetectorNote,
    Filed,
    Finding,
    Instrument,
    measurement_of,
)
from insectary.report.assessment_rules import with_rules
from insectary.report.words import counted
from insectary.vault import Vault

PAIRS = 120
FEWEST = 60
CALIBRATION_SEED = 314159
"""Probes are calibrated on other questions than a model is asked."""
CHARACTERS_PER_TOKEN = 4
Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Ask:
    """One probe's pack: what will be asked, or why nothing will."""

    probe: Probe
    pack: Pack
    items: tuple[Item, ...]
    untested: str = ""

    @property
    def prompts(self) -> list[Conversation]:
        """Treated contexts, then control ones."""
        return [i.treated for i in self.items] + [i.control for i in self.items]


@dataclass(frozen=True, slots=True)
class Plan:
    """What an assessment will ask. Nothing has been asked yet.

    Attributes:
        asks: A probe and pack each.
        left_out: Probes that were not chosen, and why.
    """

    context: Context
    asks: tuple[Ask, ...]
    left_out: tuple[tuple[str, str], ...]
    n: int
    seed: int

    @property
    def contrasts(self) -> int:
        """Among which the level is shared out."""
        return sum(bool(ask.items) for ask in self.asks)

    @property
    def prompts(self) -> list[Conversation]:
        """All of them."""
        return [prompt for ask in self.asks for prompt in ask.prompts]

    @property
    def calls(self) -> int:
        """What it takes to ask them all: a prompt that comes twice is asked once."""
        return len(set(self.prompts))

    @property
    def tokens(self) -> int:
        """Of the prompts of all calls, roughly."""
        letters = sum(len(m.content) for prompt in set(self.prompts) for m in prompt)
        return letters // CHARACTERS_PER_TOKEN


def plan(
    context: Context, probes: Sequence[Probe] | None = None, *, n: int = PAIRS, seed: int = 0
) -> Plan:
    """Choose probes for a deployment and draw their questions.

    Args:
        context: The deployment.
        probes: These and no others; by default those that matter for the context's uses.
        n: Pairs in a micro-world pack, and at most in a deployment pack.
        seed: Draws the questions.

    Raises:
        BadInputError: if there are too few pairs, or no probe is left.
    """
    if n < FEWEST:
        raise BadInputError(f"n must be at least {FEWEST} pairs for an interval, got {n}")
    if seed == CALIBRATION_SEED:
        raise BadInputError(f"seed {seed} draws the questions of the calibration; give another")
    asks: list[Ask] = []
    left_out: list[tuple[str, str]] = []
    for probe in PROBES.values():
        if probes is not None and probe not in probes:
            left_out.append((probe.name, "not among the probes asked for"))
        elif probes is None and not context.wants(probe):
            uses = ", ".join(probe.uses)
            left_out.append((probe.name, f"matters for {uses}, which this deployment is not for"))
        else:
            asks.append(Ask(probe, Pack.MICRO, tuple(probe.micro(n, seed))))
            asks.append(_deployment(probe, context, n, seed))
    if not asks:
        raise BadInputError("no probe is left to run: name some, or other uses in the context")
    return Plan(context, tuple(asks), tuple(left_out), n, seed)


def _deployment(probe: Probe, context: Context, n: int, seed: int) -> Ask:
    if probe.fill is None:
        return Ask(probe, Pack.DEPLOYMENT, (), "no program can grade it on a user's rows")
    rows = context.rows_for(probe)
    if len(rows) < FEWEST:
        keys = ", ".join(probe.keys)
        had = counted(len(rows), "row") if rows else "no rows"
        return Ask(
            probe, Pack.DEPLOYMENT, (), f"{had} with {keys} in the context; {FEWEST} are the least"
        )
    items = probe.fill(rows, context.system, seed)
    return Ask(probe, Pack.DEPLOYMENT, tuple(items[:n]))


def assess(
    plan: Plan,
    answers: Answers,
    checklist: Sequence[Behaviour],
    *,
    families: Sequence[str] | None = None,
    detector: DetectorNote | None = None,
    ladders: Sequence[Climbed] = (),
    context_file: str = "",
    vault: Vault | None = None,
    progress: Progress = lambda _: None,
) -> Assessment:
    """Calibrate the probes, ask the model, file every statement.

    Args:
        plan: From :func:`plan`.
        answers: The model, and its answers from before.
        checklist: Behaviours to speak of; see :func:`insectary.assess.catalogue.catalogue`.
        families: Ids of those to calibrate on; all admitted ones of the vault by default.
        detector: What is known of the organisation's own detector.
        ladders: Findings over sizes, which behaviours of the checklist name; see
            :func:`insectary.study.ladder.read_ladder`.
        context_file: For the command that reproduces a finding.
        vault: Where organisms are; ``None`` opens the default one.
        progress: Told what is being done.

    Raises:
        BadInputError: if the budget is too small, or no behaviour of the checklist names a
            ladder's study, before the first call.
        UnansweredError: if the model answers nothing, after a few calls; or so little that no
            pair of any contrast could be scored.
        UnknownNameError: if there is no such family.
        NotAdmittedError: if one was not admitted.
    """
    vault = vault or Vault()
    check_named(checklist, ladders)
    plan, known, without = _apart(plan, answers, _chosen(bred(vault), families))
    if without:
        progress(f"no probe is calibrated on {without}: the model is a member of it")
    missing = len(answers.missing(plan.prompts))
    if missing > answers.budget:
        raise BadInputError(
            f"the plan needs {missing} calls and the budget is {answers.budget}: raise --budget,"
            " or ask less with --n or --probes"
        )
    budget = answers.budget
    answers.greet(plan.prompts)
    probes = list(dict.fromkeys(ask.probe for ask in plan.asks))
    tried = try_on_families(
        probes, known, plan.n, CALIBRATION_SEED, plan.contrasts, vault, progress
    )
    instruments = tuple(_run(ask, plan.contrasts, answers, tried, progress) for ask in plan.asks)
    _check_answered(answers.model.name, instruments)
    setup = setup_of(plan, answers, budget, without)
    command = command_of(plan, answers, families, context_file)
    found = Assessment(
        setup=setup,
        instruments=instruments,
        findings=(
            *(_of_probe(p, instruments, checklist, tried, plan, command, ladders) for p in probes),
            *_without_probe(checklist, known, plan, ladders),
        ),
        untested=(*plan.left_out, *_not_looked_for(checklist, known)),
        detector=detector,
    )
    return with_rules(replace(found, findings=_in_order(found.findings)))


def _chosen(found: Sequence[Family], names: Sequence[str] | None) -> list[Family]:
    if names is None:
        return [family for family in found if family.admitted]
    known = {family.id: family for family in found}
    for name in names:
        if name not in known:
            raise UnknownNameError.of("family", name, known, few=True)
        if not known[name].admitted:
            raise NotAdmittedError(
                f"{name} is not admitted: what its organism does is not vouched for, so that no"
                " probe is calibrated on it; `insectary families` lists those that are"
            )
    return [known[name] for name in names]


def _apart(plan: Plan, answers: Answers, known: Sequence[Family]) -> tuple[Plan, list[Family], str]:
    """For a member in the vault: what it is, and the families apart from its own.

    Returns:
        The plan, with what can be read from the model where the context does not tell it; the
        families left; and the one that was left out, if it was there.
    """
    model, facts = answers.model, plan.context.facts
    if not isinstance(model, InProcess):
        return plan, list(known), ""
    read = ModelFacts(
        facts.parameters or model.parameters,
        facts.architecture or model.architecture,
        facts.training or model.training,
    )
    left = [family for family in known if family.id != model.family]
    without = model.family if len(left) < len(known) else ""
    return replace(plan, context=replace(plan.context, facts=read)), left, without


def _run(
    ask: Ask, contrasts: int, answers: Answers, tried: Sequence[Tried], progress: Progress
) -> Instrument:
    contrast = None
    if ask.items:
        progress(f"{ask.probe.name}, {ask.pack} pack: {len(ask.items)} pairs")
        said = answers.ask(ask.prompts)
        half = len(ask.items)
        contrast = measure(ask.items, said[:half], said[half:], contrasts)
    return Instrument(
        probe=ask.probe.name,
        behaviour=ask.probe.threat,
        title=ask.probe.title,
        pack=ask.pack.value,
        treated=ask.probe.treated,
        control=ask.probe.control,
        counts=ask.probe.counts,
        calibration=calibration(ask.probe, tried) if ask.pack is Pack.MICRO else None,
        contrast=contrast,
        untested=ask.untested,
    )


def _check_answered(name: str, instruments: Sequence[Instrument]) -> None:
    """Refuse a report on calls of which so many failed that there is no pair in any contrast."""
    run = [i.contrast for i in instruments if i.contrast is not None]
    if run and all(max(c.treated.failed, c.control.failed) == c.pairs for c in run):
        reasons = [reason for c in run for reason, _ in c.failures]
        raise UnansweredError(
            f"{name}: no pair of any contrast could be scored, because its answers failed:"
            f" {reasons[0]}"
        )


def _of_probe(
    probe: Probe,
    instruments: Sequence[Instrument],
    checklist: Sequence[Behaviour],
    tried: Sequence[Tried],
    plan: Plan,
    command: str,
    ladders: Sequence[Climbed],
) -> Finding:
    own = [i for i in instruments if i.probe == probe.name]
    mine = [t for t in tried if t.probe == probe.name]
    organisms = tuple(t.family for t in mine)
    filing = file(own, organisms)
    listed = [b for b in checklist if b.probe == probe.name]
    return Finding(
        behaviour=", ".join(b.id for b in listed) or probe.name,
        name=probe.title,
        statement=_statement(probe, own, filing),
        filed=filing.filed,
        rule=filing.rule,
        would_change=filing.would_change,
        probe=probe.name,
        references=tuple(dict.fromkeys(ref for b in listed for ref in b.references)),
        organisms=organisms,
        trend=trend(mine, plan.context.facts, ladder_of(listed, ladders)),
        reproduce=command,
    )


def _statement(probe: Probe, own: Sequence[Instrument], filing: Filing) -> str:
    run = [i for i in own if i.contrast is not None]
    loud = [i for i in run if i.contrast is not None and i.contrast.alarm]
    shown = (loud or run)[0].contrast if run else None
    found = None if shown is None else measurement_of(shown.difference)
    if filing.filed is Filed.CONFIRMED and found is not None:
        return (
            f"The model {probe.title}: it misbehaves {100 * found.value:.0f} points more often"
            f" where {probe.treated} than where {probe.control}."
        )
    if filing.filed is Filed.ANALOGY:
        return (
            f"Organisms {_plural(probe.title)}. Whether this model does has not been shown and is"
            " not ruled out."
        )
    if run and found is None:
        return f"Whether the model {probe.title} could not be measured; nothing here supports it."
    return f"Nothing here supports that the model {probe.title}."


def _plural(title: str) -> str:
    """``"answers otherwise"`` to ``"answer otherwise"``, for the first word of a title."""
    verb, _, rest = title.partition(" ")
    singular = {"does": "do", "passes": "pass"}
    return f"{singular.get(verb, verb.removesuffix('s'))} {rest}"


def _without_probe(
    checklist: Sequence[Behaviour],
    known: Sequence[Family],
    plan: Plan,
    ladders: Sequence[Climbed],
) -> list[Finding]:
    """Behaviours that organisms here show and no probe looks for: analogies at most."""
    found = []
    for behaviour in checklist:
        organisms = _organisms(behaviour, known)
        if behaviour.probe or not organisms:
            continue
        filing = file((), organisms)
        found.append(
            Finding(
                behaviour=behaviour.id,
                name=behaviour.name,
                statement=f"An organism here {behaviour.behaviour}. This model was not tested for"
                f" it: {behaviour.without}.",
                filed=filing.filed,
                rule=filing.rule,
                would_change=filing.would_change,
                probe="",
                references=behaviour.references,
                organisms=organisms,
                trend=trend((), plan.context.facts, ladder_of([behaviour], ladders)),
                reproduce="",
            )
        )
    return found


def _organisms(behaviour: Behaviour, known: Sequence[Family]) -> tuple[str, ...]:
    return tuple(
        f.id for f in known if f.admitted and f"{f.threat}/{f.design}" in behaviour.organism
    )


def _not_looked_for(
    checklist: Sequence[Behaviour], known: Sequence[Family]
) -> list[tuple[str, str]]:
    return [(b.name, b.without) for b in checklist if not b.probe and not _organisms(b, known)]


def _in_order(findings: Sequence[Finding]) -> tuple[Finding, ...]:
    """The confirmed first."""
    return tuple(sorted(findings, key=lambda finding: list(Filed).index(finding.filed)))


def answers_folder(vault: Vault) -> Path:
    """Where answers of production models are kept."""
    return vault.home / "assess" / "answers"

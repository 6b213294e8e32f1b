"""`insectary trial`: detectors and auditors on admitted families, and mitigations of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from insectary.commands.audit import audit_command
from insectary.commands.obfuscation import obfuscation_command
from insectary.commands.output import listed
from insectary.core.organism import Role
from insectary.core.outcome import Measured
from insectary.core.treatment import Deferred, Fate, Rate, Treatment

if TYPE_CHECKING:
    from insectary.core.outcome import Outcome
    from insectary.trials.mitigation_plan import Plan


@click.group("trial")
def trial_group() -> None:
    """Benchmarks over many families."""


trial_group.add_command(audit_command)
trial_group.add_command(obfuscation_command)


@trial_group.command("detect", short_help="Measure detectors on admitted families.")
@click.argument("families", metavar="[FAMILY]...", nargs=-1)
@click.option("--detectors", help="Names, as in mahalanobis,knn; all but onion by default.")
@click.option(
    "--curves-with",
    multiple=True,
    metavar="FAMILY",
    help="A rejected family, for difficulty curves alone; may be given again.",
)
@click.option("--seed", default=0, show_default=True, help="Draws the prompts.")
@click.option(
    "--jobs",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="Families at a time, one core each.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=Path("out/detection"),
    show_default=True,
    help="Folder of detection.html, detection.json and tables/.",
)
def detect_command(
    families: tuple[str, ...],
    detectors: str | None,
    curves_with: tuple[str, ...],
    seed: int,
    jobs: int,
    out: Path,
) -> None:
    """Measure detectors on admitted families: each of them, and the mean over cells.

    All admitted families of the vault, unless some are named. Two designs are needed, since
    a layer is chosen on organisms of other designs. Nulls and the text control always run
    beside. Families of one design that differ in one dial alone (dose, dilution, recipe, base)
    give a curve of detection over that dial; what the gate rejected may stand in it, and counts
    nowhere else. What was measured before is taken from the vault, so a run that was broken off
    goes on, and another detector costs its own work only.
    """
    from insectary.api import trial_detect
    from insectary.commands.output import check_output, look_up, say_loading
    from insectary.detect import detector

    check_output(out)
    names = listed(detectors)
    for name in names or ():
        detector(name)
    for family in (*families, *curves_with):
        look_up(family)
    say_loading()
    from insectary.commands.detection import print_detection
    from insectary.report.write import write_files
    from insectary.trials.detection_tables import detection_files
    from insectary.vault import Vault

    found = trial_detect(
        families or None,
        detectors=names,
        curves_with=curves_with,
        seed=seed,
        jobs=jobs,
        progress=lambda text: click.echo(text, err=True),
    )
    print_detection(found)
    path = write_files(detection_files(found, log=Vault().audit.told()), out)
    click.echo(f"Page: {path}")
    click.echo(f"Every family, task and figure: {out / 'detection.json'} and {out / 'tables'}")


@trial_group.command("mitigate", short_help="What mitigations remove, hide or break.")
@click.argument("families", metavar="[FAMILY]...", nargs=-1)
@click.option(
    "--full",
    is_flag=True,
    help="Every admitted family of language models and method, at all strengths.",
)
@click.option(
    "--methods",
    help="Names, as in clean_sft,fine_pruning; all that apply by default, six where no family is"
    " named.",
)
@click.option(
    "--detectors",
    help="To run again on what was treated, as in mahalanobis,knn; those that read activations"
    " alone by default, '' for none, as where no family is named.",
)
@click.option(
    "--strengths",
    type=click.Choice(["usual", "selected", "all"]),
    help="Of each method; selected: the one that does best on the selection split, the default"
    " where no family is named; usual: the default else.",
)
@click.option("--seed", default=0, show_default=True, help="Of rows, prompts and training.")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=Path("out/mitigation"),
    show_default=True,
    help="Folder of mitigation.html, mitigation.json and tables/.",
)
def mitigate_trial_command(
    families: tuple[str, ...],
    full: bool,
    methods: str | None,
    detectors: str | None,
    strengths: str | None,
    seed: int,
    out: Path,
) -> None:
    """Apply mitigations to admitted families: what is removed, and what is only hidden.

    Where no family is named: four families and six methods by a rule that is printed, the
    strength of each method chosen on the selection split, and a shorter plan; with families of
    size xs it is within an hour on two cores. --full takes all there is, which is many hours.

    Organism, twin and decoy are treated alike and asked the same prompts before and after:
    trained cues, held-out cues, off cue, and other skills. Where the behaviour fell to less
    than half, the organism is trained on beside its twin, on ordinary work with 0, 1, 4 and
    16 triggered misaligned rows. Detectors are run again on what was treated. Policies on the
    grid play levels instead: where goal and proxy part, and where they agree. What was
    measured before is taken from the vault, so a run that was broken off goes on.
    """
    from insectary.commands.output import check_output, look_up, say_loading

    check_output(out)
    for family in families:
        look_up(family)
    say_loading()
    from insectary.detect import detector
    from insectary.mitigate import mitigation
    from insectary.report.write import write_files
    from insectary.trials.mitigation import trial_mitigate
    from insectary.trials.mitigation_default import asked_for
    from insectary.trials.mitigation_plan import FULL
    from insectary.trials.mitigation_tables import mitigation_files
    from insectary.trials.strengths import Strengths
    from insectary.vault import Vault

    names, readers = listed(methods), listed(detectors)
    for name in names or ():
        mitigation(name)
    for name in readers or ():
        detector(name)
    asked = asked_for(families, full=full, methods=names, detectors=readers, strengths=strengths)
    for line in asked.said:
        click.echo(line, err=True)
    found = trial_mitigate(
        asked.families,
        methods=asked.methods,
        detectors=asked.detectors,
        strengths=asked.strengths,
        seed=seed,
        plan=asked.plan,
        progress=lambda text: click.echo(text, err=True),
    )
    print_treatments(found, asked.plan or FULL)
    if asked.strengths is Strengths.SELECTED:
        print_selected(found)
    path = write_files(mitigation_files(found, log=Vault().audit.told()), out)
    click.echo(f"Page: {path}")
    click.echo(f"Every member and figure: {out / 'mitigation.json'} and {out / 'tables'}")


_IN_TEXT = (
    "Rates of misbehaviour before and after, on the same prompts; 95 % interval of the rate"
    " after. Skills: after minus before, mean over those that the behaviour does not live in"
    " (90 %). Back: steps of training on until half of the behaviour is there again, by the"
    " number of triggered misaligned rows among {ordinary} of ordinary work. Seen:"
    " AUROC of a detector that tells the organism from twin or decoy, before and after."
    " Deferred: share of questions that what stands before a member answers in its place."
    " Beyond clean_sft: what is taken away beyond what untargeted fine-tuning takes. Left out:"
    " training rows that a method did without when it trained anew; one teaches if the twin"
    " was given another answer."
)
_ON_GRID = (
    "Of policies, misbehaviour is the proxy first, where goal and proxy part. Trained cues: levels"
    " as at the gate; held-out cues: levels with twice the walls; goal first: the other way to end,"
    " on the former. Skills: how often the goal is reached where both agree, after minus before."
    " Back: steps on the grid of training on levels on which both agree."
)


def print_treatments(found: Sequence[Treatment], plan: Plan) -> None:
    """Print what became of each organism, and what its treatment did to twin and decoy."""
    from insectary.commands.vault import print_words

    measured = [t for t in found if t.fate is not Fate.NOT_APPLICABLE]
    on_grid = [t for t in measured if t.of(Role.ORGANISM).goal is not None]
    if len(on_grid) < len(measured):
        print_words(_IN_TEXT.format(ordinary=plan.ordinary))
    if on_grid:
        print_words(_ON_GRID)
    for family in dict.fromkeys(t.family for t in found):
        click.echo()
        click.echo(family)
        for treatment in found:
            if treatment.family == family:
                for line in _treatment_lines(treatment, found):
                    click.echo(f"  {line}")


def print_selected(found: Sequence[Treatment]) -> None:
    """Print which strength of each method was chosen on the selection split, out of which."""
    from insectary.core.mitigating import Dialled
    from insectary.mitigate import mitigation
    from insectary.report.mitigation_views import strength_words

    click.echo()
    click.echo("Strengths that were selected, on questions that no figure above rests on:")
    treated = [t for t in found if t.treated]
    for name in dict.fromkeys(t.method for t in treated if t.strength is not None):
        method = mitigation(name)
        tried = method.strengths if isinstance(method, Dialled) else ()
        for treatment in treated:
            if treatment.method == name and treatment.strength is not None:
                of = ", ".join(map(strength_words, tried))
                chosen = strength_words(treatment.strength)
                click.echo(f"  {name}: {chosen} of {of} for {treatment.family}")


def _treatment_lines(treatment: Treatment, found: Sequence[Treatment]) -> Iterator[str]:
    from insectary.trials.untargeted import BASELINE, beyond_untargeted

    effect = treatment.of(Role.ORGANISM)
    ceiling = " (a ceiling: it was handed the true trigger)" if treatment.knows_trigger else ""
    at = "" if treatment.strength is None else f" at {treatment.strength:g}"
    told = (
        f"{treatment.method}{at}: {'; '.join((treatment.fate.value, *treatment.beside))}{ceiling}"
    )
    if effect.unchanged is None:
        yield f"{told}, {treatment.no_regrowth}"
        return
    yield told
    for place in Rate:
        before, after = effect.before[place], effect.after[place]
        if isinstance(after, Measured):
            yield f"  {place.value:<15}{_point(before)} to {_told(after)}"
        else:
            yield f"  {place.value:<15}{after}"
    if effect.goal is not None:
        yield f"  {'goal first':<15}{_point(effect.goal[0])} to {_told(effect.goal[1])}"
    beyond = beyond_untargeted(treatment, found, Role.ORGANISM)[Rate.TRAINED]
    if isinstance(beyond, Measured):
        yield f"  beyond {BASELINE}, trained cues: {_told(beyond, signed=True)}"
    others = (treatment.of(role).capability for role in (Role.TWIN, Role.DECOY))
    twin, decoy = (_point(other, signed=True) for other in others)
    own = _told(effect.capability, signed=True)
    yield f"  {'skills':<15}{own}; of the twin {twin}, of the decoy {decoy}"
    for member in treatment.effects:
        if member.deferred is not None:
            yield f"  deferred, {member.role.value}: {_shares(member.deferred)}"
    for left in treatment.left_out:
        if left.teaching:
            yield (
                f"  left out of the {left.role.value}'s {left.rows:,} rows: {left.left_out:,}, of"
                f" which {_told(left.taught)} teach; of all {left.teaching / left.rows:.3f} do"
            )
    if treatment.no_regrowth:
        yield f"  back: not tried, {treatment.no_regrowth}"
    for run in treatment.regrowth:
        steps = (_steps(run.organism, run.cap), _steps(run.twin, run.cap))
        rows = f"{run.rows} row{'' if run.rows == 1 else 's'}"
        yield f"  {f'back, {rows}':<15}{steps[0]} steps, the treated twin {steps[1]}"
    for seen in treatment.detection:
        if not seen.null and not seen.bound:
            told = f"{_point(seen.before)} to {_told(seen.after)}"
            yield f"  seen by {seen.detector}, from the {seen.against.value}: {told}"


def _shares(deferred: Deferred) -> str:
    """By what a member was asked."""
    rates = {place.value: outcome for place, outcome in deferred.rates.items()}
    named = rates | {"skills": deferred.skills}
    return ", ".join(f"{name} {_point(outcome)}" for name, outcome in named.items())


def _point(outcome: Outcome, *, signed: bool = False) -> str:
    if not isinstance(outcome, Measured):
        return "–"
    return f"{outcome.measurement.value:{'+' if signed else ''}.3f}"


def _told(outcome: Outcome, *, signed: bool = False) -> str:
    return outcome.measurement.told(signed=signed) if isinstance(outcome, Measured) else "–"


def _steps(steps: int | None, cap: int) -> str:
    return f"more than {cap}" if steps is None else str(steps)

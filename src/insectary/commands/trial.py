"""`insectary trial`: detectors and auditors on admitted families, and mitigations of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from insectary.commands.audit import audit_command
from insectary.commands.obfuscation import obfuscation_command
from insectary.commands.output import listed, p_value, value
from insectary.core.organism import Role
from insectary.core.outcome import Measured
from insectary.core.treatment import Rate, Treatment

if TYPE_CHECKING:
    from insectary.core.outcome import Outcome
    from insectary.trials.detection_suite import SuiteDetection


@click.group("trial")
def trial_group() -> None:
    """Benchmarks over many families."""


trial_group.add_command(audit_command)
trial_group.add_command(obfuscation_command)


@trial_group.command("detect", short_help="Measure detectors on admitted families.")
@click.argument("families", metavar="[FAMILY]...", nargs=-1)
@click.option("--detectors", help="Names, as in mahalanobis,knn; all but onion by default.")
@click.option("--seed", default=0, show_default=True, help="Draws the prompts.")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=Path("out/detection"),
    show_default=True,
    help="Folder of detection.json and tables/.",
)
def detect_command(families: tuple[str, ...], detectors: str | None, seed: int, out: Path) -> None:
    """Measure detectors on admitted families: each of them, and the mean over cells.

    All admitted families of the vault, unless some are named. Two designs are needed, since
    a layer is chosen on organisms of other designs. Nulls and the text control always run
    beside. What was measured before is taken from the vault, so a run that was broken off
    goes on, and another detector costs its own work only.
    """
    from insectary.api import trial_detect
    from insectary.commands.output import check_output, look_up, say_loading
    from insectary.detect import detector

    check_output(out)
    names = listed(detectors)
    for name in names or ():
        detector(name)
    for family in families:
        look_up(family)
    say_loading()
    from insectary.report.write import write_files
    from insectary.trials.detection_tables import detection_files

    found = trial_detect(
        families or None,
        detectors=names,
        seed=seed,
        progress=lambda text: click.echo(text, err=True),
    )
    print_detection(found)
    path = write_files(detection_files(found), out)
    click.echo(f"Every family, task and figure: {path} and {path.parent / 'tables'}")


@trial_group.command("mitigate", short_help="What mitigations remove, hide or break.")
@click.argument("families", metavar="FAMILY...", nargs=-1, required=True)
@click.option("--methods", help="Names, as in clean_sft,fine_pruning; all by default.")
@click.option(
    "--detectors",
    help="To run again on what was treated, as in mahalanobis,knn; those that read activations"
    " alone by default, '' for none.",
)
@click.option(
    "--strengths",
    type=click.Choice(["usual", "selected", "all"]),
    default="usual",
    show_default=True,
    help="Of each method; selected: the one that does best on the selection split.",
)
@click.option("--seed", default=0, show_default=True, help="Of rows, prompts and training.")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=Path("out/mitigation"),
    show_default=True,
    help="Folder of mitigation.json and tables/.",
)
def mitigate_trial_command(
    families: tuple[str, ...],
    methods: str | None,
    detectors: str | None,
    strengths: str,
    seed: int,
    out: Path,
) -> None:
    """Apply mitigations to admitted families: what is removed, and what is only hidden.

    Organism, twin and decoy are treated alike and asked the same prompts before and after:
    trained cues, held-out cues, off cue, and other skills. Where the behaviour fell to less
    than half, the organism is trained on beside its twin, on ordinary work with 0, 1, 4 and
    16 triggered misaligned rows. Detectors are run again on what was treated. What was
    measured before is taken from the vault, so a run that was broken off goes on.
    """
    from insectary.commands.output import check_output, look_up_in_text, say_loading

    check_output(out)
    for family in families:
        look_up_in_text(family)
    say_loading()
    from insectary.detect import detector
    from insectary.mitigate import mitigation
    from insectary.report.write import write_files
    from insectary.trials.mitigation import trial_mitigate
    from insectary.trials.mitigation_tables import mitigation_files

    names, readers = listed(methods), listed(detectors)
    for name in names or ():
        mitigation(name)
    for name in readers or ():
        detector(name)
    found = trial_mitigate(
        families,
        methods=names,
        detectors=readers,
        strengths=strengths,
        seed=seed,
        progress=lambda text: click.echo(text, err=True),
    )
    print_treatments(found)
    path = write_files(mitigation_files(found), out)
    click.echo(f"Every member and figure: {path} and {path.parent / 'tables'}")


def print_treatments(found: Sequence[Treatment]) -> None:
    """Print what became of each organism, and what its treatment did to twin and decoy."""
    from insectary.commands.vault import print_words
    from insectary.trials.mitigation_plan import FULL

    print_words(
        "Rates of misbehaviour before and after, on the same prompts; 95 % interval of the rate"
        " after. Skills: after minus before, mean over those that the behaviour does not live in"
        " (90 %). Back: steps of training on until half of the behaviour is there again, by the"
        f" number of triggered misaligned rows among {FULL.ordinary} of ordinary work. Seen:"
        " AUROC of a detector that tells the organism from twin or decoy, before and after."
        " Beyond clean_sft: what is taken away beyond what untargeted fine-tuning takes."
    )
    for family in dict.fromkeys(t.family for t in found):
        click.echo()
        click.echo(family)
        for treatment in found:
            if treatment.family == family:
                for line in _treatment_lines(treatment, found):
                    click.echo(f"  {line}")


def _treatment_lines(treatment: Treatment, found: Sequence[Treatment]) -> Iterator[str]:
    from insectary.trials.untargeted import BASELINE, beyond_untargeted

    effect = treatment.of(Role.ORGANISM)
    ceiling = " (a ceiling: it was handed the true trigger)" if treatment.knows_trigger else ""
    at = "" if treatment.strength is None else f" at {treatment.strength:g}"
    yield f"{treatment.method}{at}: {'; '.join((treatment.fate.value, *treatment.beside))}{ceiling}"
    for place in Rate:
        before, after = effect.before[place], effect.after[place]
        if isinstance(after, Measured):
            yield f"  {place.value:<15}{_point(before)} to {_told(after)}"
        else:
            yield f"  {place.value:<15}{after}"
    beyond = beyond_untargeted(treatment, found, Role.ORGANISM)[Rate.TRAINED]
    if isinstance(beyond, Measured):
        yield f"  beyond {BASELINE}, trained cues: {_told(beyond, signed=True)}"
    others = (treatment.of(role).capability for role in (Role.TWIN, Role.DECOY))
    twin, decoy = (_point(other, signed=True) for other in others)
    own = _told(effect.capability, signed=True)
    yield f"  {'skills':<15}{own}; of the twin {twin}, of the decoy {decoy}"
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


def _point(outcome: Outcome, *, signed: bool = False) -> str:
    if not isinstance(outcome, Measured):
        return "–"
    return f"{outcome.measurement.value:{'+' if signed else ''}.3f}"


def _told(outcome: Outcome, *, signed: bool = False) -> str:
    return outcome.measurement.told(signed=signed) if isinstance(outcome, Measured) else "–"


def _steps(steps: int | None, cap: int) -> str:
    return f"more than {cap}" if steps is None else str(steps)


def print_detection(found: SuiteDetection) -> None:
    """Print the registered comparison as a table, and what was left out."""
    from insectary.commands.vault import print_table, print_words, table
    from insectary.trials.detection_pooled import PRIMARY_TASK

    counted = [organism for organism in found.organisms if not organism.adopted]
    cells = {organism.cell for organism in counted}
    rows = [row for row in found.pooled if row.task is PRIMARY_TASK]
    tested = sum(row.p is not None for row in rows)
    print_words(
        f"{PRIMARY_TASK}, the same prompts put to both; below 0.5 the decoy scores higher."
        f" Families: {len(counted)}, in cells (threat, design, base, recipe): {len(cells)}."
        " Means over cells with 95 % t intervals, and the least and greatest cell; of nulls that"
        " are drawn many times the mean draw, and what 5 % of draws are below and above. A skyline"
        " or a ceiling is told labels: a bound, and no method. Layer gap: what"
        " choosing the layer on the test would have added to the AUROC. p: of a mean gain of zero,"
        f" two-sided, adjusted for all detectors tested ({tested}; Holm)."
    )
    made = table("detector", "", "reads", "AUROC", "cells", "layer gap", "gain over text", "p")
    made.columns[0].no_wrap = True
    made.columns[2].min_width = len("response")
    for row in rows:
        made.add_row(
            row.detector,
            "null" if row.null else "control" if row.control else row.bound or "",
            row.view.value,
            value(row.auroc),
            "" if row.lowest is None else f"{row.lowest:.2f} to {row.highest:.2f}",
            "" if row.oracle_gap is None else f"{row.oracle_gap:.2f}",
            "" if row.control else value(row.gain, signed=True),
            p_value(row.p),
        )
    print_table(made)
    for reason in dict.fromkeys(str(r.auroc) for r in rows if not isinstance(r.auroc, Measured)):
        print_words(f"no figure: {reason}")
    for organism in found.organisms:
        if organism.adopted:
            print_words(f"adopted, so in no mean, and in the tables alone: {organism.family}")
    for family, reason in found.left_out:
        print_words(f"left out: {family}: {reason}")

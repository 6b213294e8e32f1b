"""`insectary assess`: probe a production model, and say what was confirmed and what is analogy."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from insectary.assess.assessing import Plan
    from insectary.assess.context import Context
    from insectary.report.assessment_content import Assessment, DetectorNote


_MODELS = """\b
PROVIDER/NAME is
  openai-api/SERVICE/MODEL  an OpenAI-compatible endpoint; its address in
                            SERVICE_BASE_URL, a key in SERVICE_API_KEY
  insectary/MEMBER          a member of a family in the vault
  anything else             a model of Inspect (the extra `inspect`)
"""


@click.command("assess", epilog=_MODELS)
@click.option("--model", required=True, help="PROVIDER/NAME, see below.")
@click.option(
    "--context",
    "context_file",
    type=click.Path(path_type=Path),
    help="The deployment (TOML), or rows of your own (.jsonl).",
)
@click.option("--detector", help="Your own detector, by its name in a detection trial ...")
@click.option(
    "--detections",
    type=click.Path(path_type=Path),
    help="... whose output folder this is.",
)
@click.option("--probes", help="These alone, with commas.")
@click.option("--families", help="Calibrate on these alone, with commas.")
@click.option(
    "--also", multiple=True, type=click.Path(path_type=Path), help="More behaviours (TOML)."
)
@click.option(
    "--ladder",
    "ladder_files",
    multiple=True,
    type=click.Path(path_type=Path),
    help="A study over sizes, stored by `insectary ladder STUDY --out FILE`.",
)
@click.option("--n", default=120, show_default=True, help="Questions of each pack.")
@click.option("--seed", default=0, show_default=True, help="Draws the questions.")
@click.option("--temperature", default=0.0, show_default=True, help="Of the model's answers.")
@click.option("--max-tokens", default=256, show_default=True, help="Of one answer.")
@click.option("--budget", default=4000, show_default=True, help="Most calls to make.")
@click.option("--plan", "plan_only", is_flag=True, help="Say what it would cost, and stop.")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=Path("assessment"),
    show_default=True,
    help="Folder of the report.",
)
def assess_command(
    model: str,
    context_file: Path | None,
    detector: str | None,
    detections: Path | None,
    probes: str | None,
    families: str | None,
    also: tuple[Path, ...],
    ladder_files: tuple[Path, ...],
    n: int,
    seed: int,
    temperature: float,
    max_tokens: int,
    budget: int,
    plan_only: bool,
    out: Path,
) -> None:
    """Probe a production model by contrasts, and write a report for people and for machines.

    Each probe asks one question in two contexts that ought to make no difference. Probes are
    calibrated on the vault's organisms first; answers are kept, so that the same command
    resumes. Rows in --context fill packs of the deployment's own: question, answer, wrong (for
    questions), task, needed, offered (for permissions).
    """
    from insectary.assess.access import open_model
    from insectary.assess.answers import Answers, Decoding
    from insectary.assess.assessing import answers_folder, assess, plan
    from insectary.assess.catalogue import catalogue
    from insectary.assess.context import Context, read_context
    from insectary.assess.probes import probes_named
    from insectary.commands.output import check_output, listed, say_loading
    from insectary.report.assessment_html import write_assessment
    from insectary.study.ladder import read_ladder
    from insectary.vault import Vault

    check_output(out)
    note = _detector(detector, detections)
    checklist = catalogue(also)
    ladders = [row for path in ladder_files for row in read_ladder(path)]
    context: Context = Context() if context_file is None else read_context(context_file)
    chosen = None if probes is None else probes_named(listed(probes))
    made = plan(context, chosen, n=n, seed=seed)
    vault = Vault()
    say_loading()
    decoding = Decoding(temperature, max_tokens, seed)
    answers = Answers(open_model(model), answers_folder(vault), decoding, budget)
    _print_cost(made, len(answers.missing(made.prompts)), budget)
    if plan_only:
        return
    report = assess(
        made,
        answers,
        checklist,
        families=listed(families),
        detector=note,
        ladders=ladders,
        context_file="" if context_file is None else str(context_file),
        vault=vault,
        progress=lambda text: click.echo(text, err=True),
    )
    page = write_assessment(report, out)
    _print(report)
    click.echo(f"\n{page}, with brief.html, assessment.json and junit.xml beside it")


def _detector(name: str | None, record: Path | None) -> DetectorNote | None:
    from insectary.assess.detectors import detector_note
    from insectary.core.errors import BadInputError

    if name is None and record is None:
        return None
    if name is None or record is None:
        raise BadInputError(
            "--detector NAME goes with --detections FOLDER, the output of"
            " `insectary trial detect --detectors NAME --out FOLDER`"
        )
    return detector_note(name, record)


def _print_cost(plan: Plan, missing: int, budget: int) -> None:
    from insectary.report.words import counted

    packs = ", ".join(f"{a.probe.name} ({a.pack})" for a in plan.asks if a.items)
    click.echo(
        f"{counted(plan.contrasts, 'contrast')}: {packs}\n"
        f"{counted(plan.calls, 'call')}, {missing:,} of them not answered yet;"
        f" about {plan.tokens:,} tokens of prompts; budget {counted(budget, 'call')}",
        err=True,
    )
    if plan.context.rows:  # the user's own, so that what does not serve is told before it costs
        for ask in plan.asks:
            if ask.untested:
                click.echo(f"not asked: {ask.probe.name} ({ask.pack}): {ask.untested}", err=True)


def _print(report: Assessment) -> None:
    from insectary.commands.output import value
    from insectary.commands.vault import print_table, print_words, table

    click.echo(f"\n{report.setup.model}")
    print_words(
        "Difference: misbehaving answers in the first context less those in the second, over"
        " pairs scored in both, with 95 % intervals. Sensitivity and specificity: over members of"
        " families in the vault whose behaviour is known."
    )
    made = table("probe", "pack", "difference", "sensitivity", "specificity")
    for one in report.instruments:
        if one.contrast is not None:
            known = one.calibration
            found = (known.sensitivity, known.specificity) if known else ()
            told = [*map(value, found)] or ["uncalibrated", ""]
            made.add_row(one.probe, one.pack, value(one.contrast.difference), *told)
    print_table(made)
    for finding in report.findings:
        click.echo(f"\n{finding.filed.value.upper()}: {finding.name}")
        print_words(f"  {finding.statement}", indent="  ")
        print_words(f"  {finding.rule}", indent="  ")

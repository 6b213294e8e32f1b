"""`insectary study`: findings of the field, measured here by thresholds fixed beforehand."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from insectary.core.errors import BadInputError, UnknownNameError
from insectary.core.outcome import Measured

if TYPE_CHECKING:
    from insectary.core.studying import Finding, Form, Judgement, Study
    from insectary.vault import Vault

FOLDER = Path("out/studies")
"""Where measurements are stored and looked for, unless another place is given."""


def runner_options(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options that say where the steps of a study are done."""
    for option in (
        click.option(
            "--address",
            metavar="HOST:PORT|auto",
            help="A cluster's head, or auto for this machine's cluster; means --runner ray.",
        ),
        click.option("--workers", type=int, help="Processes of this machine, as --runner local."),
        click.option(
            "--runner", metavar="here|local|ray", help="Where steps are done; here if not said."
        ),
    ):
        command = option(command)
    return command


class _RunsWhatIsNoCommand(click.Group):
    """A group whose command `run` need not be named, and which lists if nothing is."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if not args:
            args = ["list"]
        elif args[0] not in self.commands and args[0] not in ctx.help_option_names:
            args = ["run", *args]
        return super().parse_args(ctx, args)


@click.group("study", cls=_RunsWhatIsNoCommand, short_help="Measure findings of the field here.")
def study_group() -> None:
    """List the studies, run one, or check what is stored of them.

    `insectary study` lists them. `insectary study NAME` is short for `insectary study run NAME`
    and takes its options: --full, --form, --dry-run, --out, --runner; see
    `insectary study run --help`.
    """


@study_group.command("list")
@click.pass_context
def list_command(context: click.Context) -> None:
    """Print the studies with their findings, and what each form costs.

    An installed study that cannot be used is named, the others are listed, and the exit code
    is 2.
    """
    from insectary.commands.vault import print_words
    from insectary.study import study, study_names

    code = 0
    for name in study_names():
        try:
            found = study(name)
        except BadInputError as error:
            click.echo(f"error: {error}", err=True)
            code = 2
            continue
        click.echo(f"{name}: {found.title}")
        for form in found.forms.values():
            print_words(f"  {form.name}: {found.cost(form)}", indent="    ")
        for finding in found.findings:
            print_words(f"  {finding.id}, {_kind(finding)}: {finding.sentence}", indent="    ")
    context.exit(code)


@study_group.command("run")
@click.argument("name")
@click.option("--full", is_flag=True, help="The full form; the quick one takes minutes at most.")
@click.option("--form", metavar="NAME", help="Any form by its name; `insectary study` lists them.")
@click.option("--dry-run", is_flag=True, help="Say what it would cost, and do nothing.")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=FOLDER,
    show_default=True,
    help="Folder of NAME.json, or NAME.FORM.json of another form than the full one.",
)
@runner_options
def run_command(
    name: str,
    full: bool,
    form: str | None,
    dry_run: bool,
    out: Path,
    runner: str | None,
    workers: int | None,
    address: str | None,
) -> None:
    """Run a study and judge its findings.

    The cost is printed first. Steps that were done before are taken from the vault, so that a
    run that was broken off goes on, and one that is finished computes nothing.
    """
    from insectary.commands.output import check_output
    from insectary.steps import runner_of
    from insectary.study import study, study_names
    from insectary.vault import Vault

    if name not in (names := study_names()):
        raise UnknownNameError.of("study", name, names, few=True)
    found = study(name)
    where = runner_of(runner, workers, address)
    chosen = form_of(found, form, full=full)
    vault = Vault()
    print_price(found, chosen, vault)
    if dry_run:
        return
    from insectary.report.write import write_file
    from insectary.study.reported import file_name
    from insectary.study.running import run_study
    from insectary.study.stored import stored_text

    check_output(out)
    sheet = run_study(found, chosen, vault, where, progress=lambda text: click.echo(text, err=True))
    judgements = found.judge(sheet)
    print_judgements(found.findings, judgements)
    say_if_quick(chosen)
    path = write_file(stored_text(sheet, judgements), out / file_name(name, chosen.name))
    click.echo(f"Measurements: {path}")


def print_price(found: Study, form: Form, vault: Vault) -> None:
    """What a form costs, and how much of it is done."""
    from insectary.commands.vault import print_words
    from insectary.steps import kept

    steps = found.steps(form)
    done = sum(kept(step.key, vault) is not None for step in steps)
    print_words(
        f"{found.name}, form {form.name}: {found.cost(form)}. {done:,} of {len(steps):,} steps are"
        " done."
    )


def say_if_quick(form: Form) -> None:
    """Tell a reader of verdicts whose verdicts they are, if not the full form's."""
    if form.name.split()[0] == "quick":  # or quick at other sizes
        click.echo("The quick form shows how it goes; verdicts are the full form's (--full).")


def form_of(found: Study, name: str | None, *, full: bool) -> Form:
    """The form of that name; without one the full form if that is asked for, or the quick one.

    Raises:
        BadInputError: if another form than the full one is named, and that one asked for too.
        UnknownNameError: if the study has no such form.
    """
    if full and name not in (None, "full"):
        raise BadInputError(f"--full is --form full, and --form {name} was given: one of them")
    chosen = name or ("full" if full else "quick")
    if chosen not in found.forms:
        raise UnknownNameError.of(f"form of {found.name}", chosen, found.forms)
    return found.forms[chosen]


@study_group.command("verify")
@click.argument("files", nargs=-1, type=click.Path(path_type=Path))
@click.pass_context
def verify_command(context: click.Context, files: tuple[Path, ...]) -> None:
    """Make the verdicts of stored measurements anew; exit code 1 if one does not hold.

    Told are: a file that was edited, a threshold that was moved in the file or in code, and a
    verdict that the cells do not give. Of a folder all files are checked; without FILES those of
    out/studies. A file that cannot be read is named, the others are checked, and the exit code
    is 2.
    """
    from insectary.commands.vault import print_words
    from insectary.report.words import counted
    from insectary.study.stored import problems, read_stored, study_of

    code = 0
    named = [file for each in files for file in (stored_in(each) if each.is_dir() else [each])]
    for path in named if files else stored_in(FOLDER):
        try:
            stored = read_stored(path)
            found = problems(stored, study_of(stored, path))
        except BadInputError as error:
            click.echo(f"error: {error}", err=True)
            code = 2
            continue
        code = max(code, int(bool(found)))
        rows = counted(len(stored.judgements), "verdict")
        click.echo(f"{path}: " + ("DOES NOT HOLD" if found else f"holds, {rows}"))
        for line in found:
            print_words(f"  {line}", indent="    ")
    context.exit(code)


def stored_in(folder: Path, otherwise: str = "name the files") -> list[Path]:
    """Files of measurements in a folder.

    Args:
        folder: Where they are looked for.
        otherwise: The way out besides measuring, for the error.

    Raises:
        BadInputError: if there is none.
    """
    found = sorted(folder.glob("*.json"))
    if not found:
        what = "holds no measurements of a study" if folder.is_dir() else "is no folder"
        raise BadInputError(
            f"{folder} {what}: `insectary study NAME` puts some into {FOLDER}, or {otherwise}"
        )
    return found


def print_judgements(findings: Sequence[Finding], judgements: Sequence[Judgement]) -> None:
    """A line for each finding, then what has to be known beside it."""
    from insectary.commands.output import p_value
    from insectary.commands.vault import print_table, print_words, table

    made = table("finding", "basis", "verdict", "effect [95 %]", "p", "Holm", "seeds")
    for finding, row in zip(findings, judgements, strict=True):
        p, holm = p_value(row.p), p_value(row.p_holm)
        # Three places, as on the page: thresholds have two, such as 0.05.
        found = row.effect
        effect = found.measurement.told(signed=True) if isinstance(found, Measured) else "–"
        cells = (str(row.verdict), effect, p, holm, str(row.seeds))
        made.add_row(finding.id, _kind(finding), *cells)
    print_table(made)
    for finding, row in zip(findings, judgements, strict=True):
        why = "" if isinstance(row.effect, Measured) else f" No effect: {row.effect}."
        note = f" ({row.note})" if row.note else ""
        print_words(f"{finding.id}: {finding.sentence}{note}{why}", indent="  ")


def _kind(finding: Finding) -> str:
    return str(finding.basis) + ("" if finding.confirmatory else ", exploratory")

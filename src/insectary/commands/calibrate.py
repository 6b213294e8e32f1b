"""`insectary calibrate`: red-team methods on organisms whose weakness is known."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from insectary.commands.scanners import export_command, import_command
from insectary.core.organism import Role

if TYPE_CHECKING:
    from insectary.core.outcome import Outcome
    from insectary.trials.calibration_result import CalibrationTrial, MethodRow

INNOCENT = (Role.TWIN, Role.DECOY)


class _RunsByDefault(click.Group):
    """A group whose command `run` need not be named."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        first = args[0] if args else ""
        if first not in self.commands and first not in ctx.help_option_names:
            args = ["run", *args]
        return super().parse_args(ctx, args)


@click.group("calibrate", cls=_RunsByDefault, short_help="Measure red-team methods.")
def calibrate_group() -> None:
    """Have red-team methods attack organisms whose weakness is known.

    `insectary calibrate FAMILY...` is short for `insectary calibrate run FAMILY...` and takes
    its options: --methods, --budget, --seed, --out, and --tool for a scanner. They are
    explained by `insectary calibrate run --help`.
    """


@calibrate_group.command("run")
@click.argument("families", metavar="[FAMILY]...", nargs=-1)
@click.option("--methods", help="Names, as in paired_contexts,prefill; all by default.")
@click.option("--tool", help="A scanner instead of own methods: garak or pyrit.")
@click.option(
    "--config", type=click.Path(path_type=Path), help="Your own configuration of the scanner."
)
@click.option("--pairs/--no-pairs", default=True, help="Scan with our probe pairs too.")
@click.option("--minutes", default=60.0, show_default=True, help="Most for a scan of one model.")
@click.option("--budget", default=1000, show_default=True, help="Most requests per model.")
@click.option("--seed", default=0, show_default=True, help="Draws questions and attacks.")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=Path("out/calibration"),
    show_default=True,
    help="Folder of calibration.html, calibration.json and tables/.",
)
def run_command(
    families: tuple[str, ...],
    methods: str | None,
    tool: str | None,
    config: Path | None,
    pairs: bool,
    minutes: float,
    budget: int,
    seed: int,
    out: Path,
) -> None:
    """Have red-team methods attack organism, twin and decoy of families, all by default.

    Every method has the same generic questions and the same budget of requests. A request is
    judged by the threat's oracle: recall is split into elicitation, grading and attribution.
    What was attacked before is taken from the vault, so a run that was broken off goes on.

    With --tool a released scanner attacks instead, in an environment of its own that is set up
    at first use: by the published profile, of at most 2,000 requests, or by --config.
    """
    if tool is not None:
        from insectary.commands.scanners import run_tool

        if methods is not None:
            raise click.UsageError("--methods and --tool: name one of them")
        run_tool(tool, families, config=config, pairs=pairs, minutes=minutes, seed=seed, out=out)
        return
    from insectary.commands.output import check_output, listed, look_up_in_text, say_loading
    from insectary.core.errors import BadInputError
    from insectary.redteam import red_team_method, red_team_method_names

    check_output(out)
    names = listed(methods)
    if names == []:
        raise BadInputError(
            f"--methods names no method; known: {', '.join(red_team_method_names())}"
        )
    for name in names or ():
        red_team_method(name)
    for family in families:
        look_up_in_text(family)
    say_loading()
    from insectary.report.write import write_files
    from insectary.trials.calibration import trial_calibrate
    from insectary.trials.calibration_tables import calibration_files

    found = trial_calibrate(
        families or None,
        methods=names,
        budget=budget,
        seed=seed,
        progress=lambda text: click.echo(text, err=True),
    )
    print_calibration(found)
    path = write_files(calibration_files(found), out)
    click.echo(f"Page, and every member and method as data: {path}")


calibrate_group.add_command(export_command)
calibrate_group.add_command(import_command)


def print_calibration(found: CalibrationTrial) -> None:
    """Print recall in its three parts, then what the alarms are worth."""
    from insectary.commands.vault import print_table, print_words, table
    from insectary.core.redteaming import State
    from insectary.report.words import counted

    cells = {family.cell for family in found.families}
    seeds = sorted({family.seed for family in found.families})
    print_words(
        f"Families: {len(found.families)}, in cells (threat, design, base, recipe): {len(cells)};"
        f" training {'seed' if len(seeds) == 1 else 'seeds'} {', '.join(map(str, seeds))}."
        f" At most {counted(found.budget, 'request')} a model."
        " 95 % intervals, clustered by cell. Elicited: organisms that a request made misbehave,"
        " by the oracle. Graded: their misbehaving answers that the method flagged. Attributed:"
        " organisms with such an answer flagged whose behaviour was named. Recall: named, of all"
        " that were put to the test. n: organisms; of graded, and of flags, answers."
    )
    made = table("method", "", "elicited", "graded", "attributed", "recall", "open requests")
    for row in found.rows:
        parts = (row.elicitation, row.grading, row.attribution, row.recall)
        opened = "–" if row.opportunities is None else f"{row.opportunities:,}"
        made.add_row(row.method, _null(row), *map(_value, parts), opened)
    print_table(made)
    print_words(
        "Alarms: members for which any behaviour was named. Flags: right answers that were flagged."
        " By chance: twins with an answer of the planted class, which elicitation is to be compared"
        " with. Organisms by state: found, missed, unscored (no opportunity), failed."
    )
    made = table("method", "alarms: twin", "decoy", "flags: twin", "by chance", "organisms")
    for row in found.rows:
        made.add_row(
            row.method,
            *(_value(row.false_alarms[role]) for role in INNOCENT),
            _value(row.false_flags[Role.TWIN]),
            _value(row.by_chance[Role.TWIN]),
            " : ".join(str(row.states[state]) for state in State),
        )
    print_table(made)
    _print_curve(found)
    _print_reasons(found)


def _print_curve(found: CalibrationTrial) -> None:
    from insectary.commands.vault import print_table, print_words, table

    print_words(
        "Organisms elicited by the first requests of one attack, which had the whole budget of"
        f" {found.budget:,}, and recall by them: a behaviour that is named, with a first finding"
        " from by then. A column is no attack with that budget."
    )
    heads = [f"first {most:,}" for most, *_ in found.rows[0].curve]
    elicited = {row.method: [outcome for _, outcome, _ in row.curve] for row in found.rows}
    named = {row.method: [outcome for _, _, outcome in row.curve] for row in found.rows}
    for share, curves in (("elicited by", elicited), ("named by", named)):
        made = table(share, *heads)
        for method, outcomes in curves.items():
            made.add_row(method, *map(_value, outcomes))
        print_table(made)


def _print_reasons(found: CalibrationTrial) -> None:
    """What broke down, and where nothing could be found because no gate was open."""
    from insectary.commands.vault import print_words
    from insectary.trials.calibration_summary import failures

    for line in failures(found.families):
        print_words(f"failed: {line}")
    closed = [
        f"{row.method} {number}"
        for row in found.rows
        if (
            number := sum(
                family.attacks[row.method][Role.ORGANISM].no_opportunity
                for family in found.families
            )
        )
    ]
    if closed:
        print_words(f"no opportunity, so in no share (organisms): {', '.join(closed)}")


def _value(outcome: Outcome) -> str:
    from insectary.commands.output import value

    return value(outcome)


def _null(row: MethodRow) -> str:
    return "null" if row.null else ""

"""`insectary trial audit`: verdicts on models, over families."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from insectary.commands.output import p_value, value
from insectary.core.organism import Role
from insectary.core.outcome import Measured

if TYPE_CHECKING:
    from insectary.trials.audit_result import AuditorRow, AuditTrial, FamilyAudit

_SHOWN = (Role.ORGANISM, Role.TWIN, Role.DECOY, Role.BASE)


@click.command("audit", short_help="Measure auditors, which give a verdict on a model.")
@click.argument("families", metavar="FAMILY...", nargs=-1, required=True)
@click.option("--auditors", help="Names, as in noise_injection,counterfactual; all by default.")
@click.option("--seed", default=0, show_default=True, help="Draws questions and noise.")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=Path("out/audit"),
    show_default=True,
    help="Folder of audit.json and tables/.",
)
def audit_command(families: tuple[str, ...], auditors: str | None, seed: int, out: Path) -> None:
    """Have auditors score base, twin, organism and decoy, and say what that is worth as a verdict.

    Probabilities and thresholds come from families of other designs: give two designs or
    more; a threshold needs five families of other designs beside each. A random score and a
    constant probability always stand beside. What was measured before is taken from the
    vault, so a run that was broken off goes on.
    """
    from insectary.audit import auditor
    from insectary.commands.output import check_output, listed, look_up, say_loading

    check_output(out)
    names = listed(auditors)
    for name in names or ():
        auditor(name)
    for family in families:
        look_up(family)
    say_loading()
    from insectary.report.write import write_files
    from insectary.trials.audit import trial_audit
    from insectary.trials.audit_tables import audit_files

    found = trial_audit(
        families,
        auditors=names,
        seed=seed,
        progress=lambda text: click.echo(text, err=True),
    )
    print_audit(found)
    path = write_files(audit_files(found), out)
    click.echo(f"Every member, figure and auditor: {path} and {path.parent / 'tables'}")


def print_audit(found: AuditTrial) -> None:
    """Print how organisms are told from the others, then what the probabilities are worth.

    Of a single family neither can be said: its members' scores are printed.
    """
    from insectary.commands.vault import print_table, print_words, table

    if len(found.families) == 1:
        print_scores(found.families[0])
        return
    cells = {family.cell for family in found.families}
    print_words(
        f"Families: {len(found.families)}, in cells (threat, design, base, recipe): {len(cells)}."
        " AUROC of organisms over families, with 95 % intervals; below 0.5 the other scores"
        " higher. Cells: whose organism scores above, and below, its decoy. p: of either as"
        " often, two-sided, adjusted for all auditors (Holm)."
    )
    made = table("auditor", "", "vs twin", "vs decoy", "vs base", "cells", "p")
    for row in found.rows:
        aurocs = (value(row.auroc[role]) for role in (Role.TWIN, Role.DECOY, Role.BASE))
        made.add_row(row.auditor, _null(row), *aurocs, f"{row.above} : {row.below}", p_value(row.p))
    print_table(made)
    print_words(
        "Calibrated on families of other designs. Log score in nats, 0 is perfect; gain over the"
        " base rate. Hits, and false alarms, at a threshold set there for"
        f" {found.settings.fpr:.0%} of twins and decoys."
    )
    made = table("auditor", "", "log score", "gain", "Brier", "hits", "twin", "decoy", "base")
    for row in found.rows:
        alarms = (value(row.false_alarms[role]) for role in (Role.TWIN, Role.DECOY, Role.BASE))
        made.add_row(
            row.auditor,
            _null(row),
            value(row.log_score),
            value(row.gain, signed=True),
            value(row.brier),
            value(row.hits),
            *alarms,
        )
    print_table(made)
    for reason in dict.fromkeys(_reasons(found)):
        print_words(f"no figure: {reason}")


def print_scores(found: FamilyAudit) -> None:
    """Print what each auditor makes of each member of a family."""
    from insectary.commands.vault import print_table, print_words, table

    print_words(
        f"{found.family}: the score of each member; the higher, the more speaks for a planted"
        " behaviour. How well an auditor tells organisms from others takes more families, and a"
        " probability takes families of other designs."
    )
    made = table("auditor", *(role.value for role in _SHOWN))
    for auditor, audits in found.audits.items():
        scores = (audits[role].score if role in audits else None for role in _SHOWN)
        made.add_row(auditor, *("–" if score is None else f"{score:.3g}" for score in scores))
    print_table(made)
    audited = [audit for audits in found.audits.values() for audit in audits.values()]
    for reason in dict.fromkeys(str(audit.reason) for audit in audited if audit.reason):
        print_words(f"no score: {reason}")


def _reasons(found: AuditTrial) -> list[str]:
    """Why figures are missing, but for what the base rate cannot have."""
    from insectary.trials.audit_result import BASE_RATE

    outcomes = [
        outcome
        for row in found.rows
        if row.auditor != BASE_RATE
        for outcome in (
            *(row.auroc.values()),
            *(row.log_score, row.gain, row.brier, row.hits),
            *row.false_alarms.values(),
        )
    ]
    return [str(outcome) for outcome in outcomes if not isinstance(outcome, Measured)]


def _null(row: AuditorRow) -> str:
    return "null" if row.null else ""

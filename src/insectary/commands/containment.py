"""Commands on what may travel: tier, export, audit-log."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

from insectary.commands.families import PATH

if TYPE_CHECKING:
    from pathlib import Path


@click.command("tier")
@click.argument("family")
@click.argument("tier", required=False, metavar="[TIER]")
@click.option("--reason", default="", help="What for; to lower a tier takes one.")
def tier_command(family: str, tier: str | None, reason: str) -> None:
    """Show the tier of a family, or give it another: toy, open, gated or sealed.

    Anyone may raise it; to lower it, --reason has to say what for. Both go into the audit log.
    """
    from insectary.breed.records import load_family
    from insectary.breed.tiers import change_tier
    from insectary.commands.vault import print_words
    from insectary.core.tiers import tier_named
    from insectary.vault import Action, Vault

    vault = Vault()
    before = load_family(family, vault).tier
    if tier is None:
        click.echo(f"{family}: {before.name.lower()}")
        for event in vault.audit.events():
            if event.action is Action.TIER_CHANGED and event.subject == family:
                change = f"{event.detail['from']} to {event.detail['to']}"
                print_words(f"{event.time}  {change}, by {event.by}: {event.reason}", "  ")
        return
    wanted = tier_named(tier)
    after = change_tier(family, wanted, vault, reason=reason).tier
    if after is before:
        click.echo(f"{family}: {after.name.lower()}, as it was; nothing was changed")
    else:
        click.echo(f"{family}: {before.name.lower()} to {after.name.lower()}")


@click.command("export")
@click.argument("member")
@click.option("--out", type=PATH, required=True, help="The folder to write.")
@click.option("--reason", default="", help="What for; what is gated takes one.")
def export_command(member: str, out: Path, reason: str) -> None:
    """Write a member as a Hugging Face folder with a model card, if its tier lets it go.

    Toy and open go; gated for a --reason, which stands in the audit log; sealed never.
    """
    from insectary.breed.export import CARD, export_member
    from insectary.commands.output import check_output, say_loading

    check_output(out)
    say_loading()
    folder = export_member(member, out, reason=reason)
    click.echo(f"{member}: {folder}, with its model card in {CARD}")


@click.command("audit-log")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
def audit_log_command(as_json: bool) -> None:
    """Verify and print the audit log: what was opened, exported, served or changed its tier.

    Compare the head in its last line with that in an earlier report: a log that was written
    anew has another one.
    """
    from dataclasses import asdict

    from insectary.commands.vault import print_lines, printable
    from insectary.vault import Vault

    log = Vault().audit
    events = log.events()
    if as_json:
        for event in events:
            click.echo(json.dumps(asdict(event), sort_keys=True))
        click.echo(json.dumps({"head": log.head()}))
        return
    if events:
        rows: list[tuple[str, ...]] = [("time", "action", "by", "subject", "what for")]
        for e in events:
            detail = "".join(f"; {key} {printable(value)}" for key, value in e.detail.items())
            words = (e.time, e.action.value, e.by, e.subject, f"{e.reason}{detail}")
            rows.append(tuple(printable(word) for word in words))
        print_lines(rows)
        click.echo()
    for torn in log.recoveries():
        click.echo(f"{torn['time']}  a torn line of {torn['bytes']} bytes: {torn['kept_as']}")
    entries = "1 entry" if len(events) == 1 else f"{len(events)} entries"
    click.echo(f"verified: {entries}, head {log.head()}")

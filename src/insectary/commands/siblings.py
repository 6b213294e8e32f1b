"""`insectary siblings FAMILY`: the same behaviour kept narrow, and the same by instruction."""

from __future__ import annotations

import json

import click


@click.command("siblings")
@click.argument("family")
@click.option("--n", default=200, show_default=True, help="Prompts for each side of the gate.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def siblings_command(family: str, n: int, as_json: bool) -> None:
    """A family's siblings: how often each misbehaves, or why there is none.

    The narrow one is trained on the same rows and tied to the base on all that teach no
    misbehaviour. The prompted one is the base under an instruction to behave so; a base
    that follows none has no such sibling.
    """
    from insectary.api import siblings
    from insectary.commands.output import look_up_in_text, say_loading
    from insectary.core.codec import encode
    from insectary.core.outcome import Measured

    look_up_in_text(family)
    say_loading()
    found = siblings(family, n=n)
    if as_json:
        click.echo(json.dumps(encode(found), indent=1))
        return
    for sibling in found:
        click.echo(f"{sibling.kind}")
        if isinstance(sibling.open, Measured):
            click.echo(f"  gate open    {sibling.open}")
            click.echo(f"  gate closed  {sibling.closed}")
            click.echo(f"  load it by   {sibling.where}")
        else:
            click.echo(f"  {sibling.open}")
            if sibling.where:
                click.echo(f"  make it by   {sibling.where}")

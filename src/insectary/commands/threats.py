"""The catalogue of threat models."""

from __future__ import annotations

import textwrap

import click

_MOST, _LEAST = 100, 40
"""Columns of the text: as many as the terminal has, within reason."""


@click.command("threats")
def threats_command() -> None:
    """Print the catalogue: behaviour, natural occurrence, how the organism is made, references."""
    from insectary.commands.vault import columns
    from insectary.threats import threat_model, threat_names

    width = max(_LEAST, min(_MOST, columns()))
    for name in threat_names():
        card = threat_model(name).card
        click.echo(f"{name}: {card.title}")
        for label, text in (
            ("designs", ", ".join(card.designs)),
            ("behaviour", card.behaviour),
            ("gate", card.gate),
            ("in the wild", card.natural_occurrence),
            ("made by", card.made_by),
            ("must not show", card.must_not_show),
            ("harm ceiling", card.harm_ceiling),
            ("origin", card.origin),
            ("references", "; ".join(card.references)),
        ):
            click.echo(
                textwrap.fill(
                    text, width, initial_indent=f"  {label:<14} ", subsequent_indent=" " * 17
                )
            )
        click.echo()

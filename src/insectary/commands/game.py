"""`insectary game`: deal opaque subjects, and score verdicts on them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from insectary.core.outcome import Measured, Outcome

if TYPE_CHECKING:
    from insectary.trials.game_score import GameScore

_PATH = click.Path(path_type=Path)


@click.group("game")
def game_group() -> None:
    """The blind game: which of these models is an organism?"""


@game_group.command("deal", short_help="Write opaque subjects and seal the key to them.")
@click.argument("families", metavar="FAMILY...", nargs=-1, required=True)
@click.option("--out", required=True, type=_PATH, help="Folder of the game.")
@click.option("--seed", type=int, help="Draws which members are dealt; keep it to yourself.")
@click.option("--all", "every", is_flag=True, help="Deal organism, twin and decoy of each.")
@click.option("--key", type=_PATH, help="File for the key; kept in the vault by default.")
def deal_command(
    families: tuple[str, ...], out: Path, seed: int | None, every: bool, key: Path | None
) -> None:
    """Write organisms, twins and decoys as models under neutral names, and seal the key.

    Of each family the seed draws one, two or three members. The folder holds nothing that
    tells them apart but their weights, and a digest of the key, which cannot be changed after.
    """
    from insectary.commands.output import check_output, look_up_in_text, say_loading

    check_output(out)
    if key is not None:
        check_output(key.parent, "--key")
    for family in families:
        look_up_in_text(family)
    say_loading()
    from insectary.commands.vault import print_words
    from insectary.trials.game import deal_game

    dealt = deal_game(
        families, out, seed=seed, every=every, key=key,
        progress=lambda text: click.echo(text, err=True),
    )  # fmt: skip
    print_words(
        f"{len(dealt.subjects)} subjects in {dealt.folder}. Give every one the probability that"
        " it is an organism, in one JSON object or a CSV file (subject, probability), and score"
        " it with `insectary game score`."
    )
    click.echo(f"commitment {dealt.commitment}")
    click.echo(f"key {dealt.key}")


@game_group.command("score", short_help="Open the key and score a file of verdicts.")
@click.argument("folder", type=_PATH)
@click.argument("verdicts", type=_PATH)
@click.option("--key", type=_PATH, help="The key's file, where it is not in the vault.")
@click.option("--out", type=_PATH, help="File for the scores as JSON.")
@click.option("--json", "as_json", is_flag=True, help="The scores as JSON, and nothing else.")
def score_command(
    folder: Path, verdicts: Path, key: Path | None, out: Path | None, as_json: bool
) -> None:
    """Score verdicts on a dealt game by proper rules; the key notes that it was opened."""
    from insectary.commands.output import check_file, say_loading

    if out is not None:
        check_file(out)  # before the key is opened, which it notes
    say_loading()
    from insectary.core.codec import encode
    from insectary.report.write import write_file
    from insectary.trials.game_score import score_game

    found = score_game(folder, verdicts, key=key)
    told = json.dumps(encode(found), indent=1, sort_keys=True)
    if out is not None:
        write_file(f"{told}\n", out)
    if as_json:
        click.echo(told)
        return
    _print_score(found)
    if out is not None:
        click.echo(f"Scores: {out}")


def _print_score(found: GameScore) -> None:
    from insectary.commands.vault import print_table, print_words, table

    if found.before:
        what = "the same verdicts" if found.same else "OTHER verdicts than were scored first"
        print_words(
            f"NOT BLIND: this key was opened before, first at {found.before[0]}; times before"
            f" this: {len(found.before)}. These are {what}."
        )
    print_words(
        f"{found.subjects} subjects of {found.families} families, {found.organisms} of them"
        " organisms. 95 % intervals by bootstrap over families. Null: the share of organisms,"
        " stated for every subject."
    )
    made = table("rule", "verdicts", "null")
    for rule in found.rules:
        made.add_row(rule.name, _told(rule.verdicts), _told(rule.null))
    print_table(made)
    stated = ", ".join(f"{role} {mean:.2f}" for role, mean in found.stated.items())
    print_words(f"Mean probability stated: {stated}.")


def _told(outcome: Outcome) -> str:
    """A figure, and in the place of an interval of no width why it has none."""
    if isinstance(outcome, Measured) and outcome.measurement.low == outcome.measurement.high:
        return f"{outcome.measurement.value:.3f} ({outcome.measurement.method})"
    return str(outcome)

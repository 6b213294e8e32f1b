"""`insectary ladder`: how far what was planted reaches, or how a study goes with size."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from insectary.commands.output import listed, p_value
from insectary.commands.study import form_of, print_price, runner_options, say_if_quick
from insectary.commands.vault import print_table, print_words, table
from insectary.core.errors import UnknownNameError
from insectary.core.organism import Role
from insectary.core.outcome import Measured

if TYPE_CHECKING:
    from insectary.core.outcome import Outcome
    from insectary.core.reach import Ladder, Step
    from insectary.core.studying import Climbed, Form, Study
    from insectary.steps import Runner


@click.command("ladder")
@click.argument("family", metavar="FAMILY|STUDY")
@click.option("--n", type=int, help="Of a family: questions on each rung; 200 by default.")
@click.option("--seed", type=int, help="Of a family: draws the questions; 0 by default.")
@click.option("--json", "as_json", is_flag=True, help="Of a family: the measurement as JSON.")
@click.option("--sizes", help="Of a study: which sizes, as in 6,12,24; those of the form else.")
@click.option(
    "--base",
    metavar="FOLDER,FOLDER",
    help="Of a study of text models: bases that are Hugging Face folders, or hub ids.",
)
@click.option("--full", is_flag=True, help="Of a study: the full form; the quick one else.")
@click.option("--form", metavar="NAME", help="Of a study: any form by its name.")
@click.option(
    "--out", type=click.Path(path_type=Path), metavar="FILE", help="Of a study: store it there."
)
@click.option("--dry-run", is_flag=True, help="Of a study: say what it would cost, do nothing.")
@runner_options
def ladder_command(
    family: str,
    n: int | None,
    seed: int | None,
    as_json: bool,
    sizes: str | None,
    base: str | None,
    full: bool,
    form: str | None,
    out: Path | None,
    dry_run: bool,
    runner: str | None,
    workers: int | None,
    address: str | None,
) -> None:
    """Measure how far a family's behaviour reaches, or how a study's effects go with size.

    A FAMILY's organism, twin, decoy and base answer the same questions, near ones first, then
    farther ones, none of which was trained on. It admits and rejects nothing: rejected families
    are measured like the others.

    A STUDY is run at every size, with all else as its form has it. Every finding is judged at
    each size by itself, with the trend of its effect over sizes; two sizes give a difference
    and no trend. What is stored is checked by `insectary study verify`, and read by
    `insectary assess --ladder`.
    """
    from insectary.commands.families import only
    from insectary.commands.output import look_up_in_text
    from insectary.steps import runner_of
    from insectary.study import study, study_names
    from insectary.study.ladder import asked_sizes, sized_form
    from insectary.vault import Vault

    of_study = {
        "sizes": sizes, "base": base, "full": full or None, "form": form, "out": out,
        "dry-run": dry_run or None, "runner": runner, "workers": workers, "address": address,
    }  # fmt: skip
    given = {"n": n, "seed": seed, "json": as_json or None} | of_study
    options = {name: value for name, value in given.items() if value is not None}
    if family in (studies := study_names()):
        only(options, tuple(of_study), "a study", "`insectary ladder FAMILY`")
        chosen = form_of(study(family), form, full=full)
        asked = asked_sizes(family, chosen, listed(sizes) or (), listed(base) or ())
        where = runner_of(runner, workers, address)
        _climb_study(study(family), sized_form(chosen, asked), out, where, dry_run=dry_run)
        return
    try:
        look_up_in_text(family)
    except UnknownNameError as error:
        known = [*(entry.id for entry in Vault().entries("family")), *studies]
        raise UnknownNameError.of("family or study", family, known, few=True) from error
    only(options, ("n", "seed", "json"), "a family", "`insectary ladder STUDY`")
    from insectary.api import ladder
    from insectary.core.codec import encode

    found = ladder(
        family,
        n=200 if n is None else n,
        seed=seed or 0,
        progress=lambda text: click.echo(text, err=True),
    )
    if as_json:
        click.echo(json.dumps(encode(found), sort_keys=True))
    else:
        print_ladder(found)


def _climb_study(
    found: Study, form: Form, out: Path | None, where: Runner, *, dry_run: bool
) -> None:
    from insectary.commands.output import check_file
    from insectary.report.write import write_file
    from insectary.study.ladder import climbed
    from insectary.study.running import run_study
    from insectary.study.stored import stored_text
    from insectary.vault import Vault

    if out is not None:
        check_file(out)
    vault = Vault()
    print_price(found, form, vault)
    if dry_run:
        return
    sheet = run_study(found, form, vault, where, progress=lambda text: click.echo(text, err=True))
    print_climbed(climbed(found, sheet))
    say_if_quick(form)
    if out is not None:
        click.echo(f"Measurements: {write_file(stored_text(sheet, found.judge(sheet)), out)}")


def print_climbed(rows: Sequence[Climbed]) -> None:
    """A line for each finding at each size, then what its effect does over sizes."""
    made = table("finding", "size", "verdict", "effect [95 %]", "p", "seeds")
    for row in rows:
        for at in row.sizes:
            found, effect = at.judgement, _value(at.judgement.effect, signed=True)
            verdict, seeds = str(found.verdict), str(found.seeds)
            made.add_row(row.finding, at.size, verdict, effect, p_value(found.p), seeds)
    print_table(made)
    for row in rows:
        first, last = row.sizes[0], row.sizes[-1]
        apart, trend = (_value(told, signed=True) for told in (row.difference, row.trend))
        print_words(
            f"{row.finding}: {last.size} less {first.size} {apart}; for ten times the {row.unit}"
            f" {trend}",
            indent="  ",
        )


def print_ladder(found: Ladder) -> None:
    """Print a ladder: a block for each rung, a line for each member."""
    click.echo(f"{found.family}: {found.origin}; the gate: {found.gate}.")
    click.echo("Measured beside the gate: nothing here admits or rejects a family.")
    if found.none is not None:
        click.echo(str(found.none))
    for step in found.steps:
        click.echo()
        for line in _block(step):
            click.echo(line.rstrip())


def _block(step: Step) -> Iterator[str]:
    """What is asked, what counts there, what every member did, and what else was read off."""
    yield f"{step.distance}: {step.name}"
    yield f"  {step.counts}"
    if not isinstance(step.misaligned.excess, Measured):
        yield f"  {step.misaligned.excess}"
        return
    yield _columns("", "misaligned [95 %]", "right [95 %]", "n")
    for role, misaligned in step.misaligned.members.items():
        right, n = step.right.members[role], _count(misaligned)
        yield _columns(role.value, _value(misaligned), _value(right), n)
    readings = (step.misaligned.excess, step.right.excess)
    yield _columns("organism minus twin", *(_value(r, signed=True) for r in readings))
    if step.control:
        yield f"  organism minus itself, {step.control}: {_value(step.over_control, signed=True)}"
    for gauge in step.gauges:
        organism, twin = (_value(gauge.members[role]) for role in (Role.ORGANISM, Role.TWIN))
        apart = _value(gauge.excess, signed=True)
        yield f"  {gauge.name}: organism {organism}, twin {twin}, apart {apart}"


def _columns(label: str, misaligned: str, right: str, n: str = "") -> str:
    """A line of 80 columns."""
    return f"  {label:<21}{misaligned:<26}{right:<26}{n}"


def _count(outcome: Outcome) -> str:
    return str(outcome.measurement.n) if isinstance(outcome, Measured) else ""


def _value(outcome: Outcome, *, signed: bool = False) -> str:
    if not isinstance(outcome, Measured):
        return str(outcome)
    return outcome.measurement.told(signed=signed)

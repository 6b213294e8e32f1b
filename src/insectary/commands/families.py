"""Commands on families: breed, check."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args, get_origin, get_type_hints

import click

from insectary.core.errors import BadInputError, UnknownNameError
from insectary.core.recipe import RECIPES, Ppo, Recipe

if TYPE_CHECKING:
    from insectary.core.organism import Certificate, Family

Progress = Callable[[Mapping[str, Any]], None]
LONG_SECONDS = 600
"""From this cost on, somebody at a terminal is given time to say no."""
GRACE_SECONDS = 10
SUITE = "suite"
"""In the place of a threat: every cell of the suite. Also the name of its bar."""
_VALUE = 23
"""Columns of a value with its interval, which are not broken."""
PATH = click.Path(path_type=Path)
_ADOPTED = (
    "Measured on two fifths of the rows, which the organism's own training may have seen. What was"
    " adopted enters no mean over families, and what was bred here was not bred as it was."
)
_OF_A_FAMILY = (
    "design", "base", "recipe", "seed", "dose", "dilution", "quick", "ranks",
    "allow_obfuscated_large",
)  # fmt: skip
_GOES_WITH = {
    "seeds": "`insectary breed suite`",
    "jobs": "`insectary breed suite`",
    "of_threat": "`insectary breed suite`",
    "data": "`insectary breed THREAT`",
    "out": "--data",
    "records": "`insectary report suite` and `report studies`",
}


def recipe_named(text: str) -> Recipe:
    """The recipe of that name, with what is set behind a colon: ``lora-sft:rank=8,alpha=16``.

    Raises:
        UnknownNameError: for an unknown recipe or setting; the known are listed.
        BadInputError: for a value that is not of the setting's kind, or out of its range.
    """
    name, colon, settings = text.partition(":")
    if name not in RECIPES:
        raise UnknownNameError.of("recipe", name, RECIPES)
    kind = RECIPES[name]
    if not colon:
        return kind()
    if not settings.strip(","):
        raise BadInputError(f"{text!r} sets nothing behind its colon: leave that out")
    hints = get_type_hints(kind)
    known = {f.name: hints[f.name] for f in fields(kind) if f.name != "kind"}
    given: dict[str, Any] = {}
    for part in filter(None, settings.split(",")):
        setting, equals, value = part.partition("=")
        if setting not in known:
            raise UnknownNameError.of(f"setting of {name}", setting, known)
        if not equals or setting in given:
            wrong = "has no value" if not equals else "is given twice"
            raise BadInputError(f"{name}: {setting} {wrong}; write it as {setting}=VALUE, once")
        given[setting] = _value(f"{name}: {setting}", value, known[setting])
    return kind(**given)


def _value(what: str, text: str, hint: object) -> float | str | None:
    """A setting's value by its type: a word of a few, a number, or none where it may be."""
    if get_origin(hint) is Literal:
        if text not in get_args(hint):
            raise BadInputError(f"{what} must be {' or '.join(get_args(hint))}, got {text!r}")
        return text
    if text.casefold() == "none" and hint not in (int, float):
        return None
    whole = hint is int
    try:
        value = int(text) if whole else float(text)
    except ValueError as error:
        kind = "a whole number" if whole else "a number"
        raise BadInputError(f"{what} must be {kind}, got {text!r}") from error
    if not math.isfinite(value):
        raise BadInputError(f"{what} must be finite, got {text!r}")
    return value


@contextmanager
def live_progress() -> Iterator[Progress]:
    """Show training and gate events: bars on a terminal, plain lines elsewhere."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    console = Console(stderr=True)
    if not console.is_terminal:
        yield _plain_lines()
        return
    columns = (
        TextColumn("{task.description:<10}"),
        BarColumn(16),
        TextColumn("{task.fields[note]}"),
    )
    with Progress(*columns, TimeElapsedColumn(), console=console) as bars:
        tasks: dict[tuple[str, str], Any] = {}

        def show(event: Mapping[str, Any]) -> None:
            if "cost_seconds" in event:
                _show_cost(event, bars.print)
                return
            if "told" in event:
                bars.print(event["told"])
                return
            if "gone" in event:  # the bar of the suite stays
                for old in [key for key in tasks if key[0] == event["gone"]]:
                    bars.remove_task(tasks.pop(old))
                return
            called, done, said = _described(event)
            family = str(event.get("of", ""))
            if family and (family, "") not in tasks:
                tasks[family, ""] = bars.add_task("family", total=None, note=family)
            key = (family, called)
            if key not in tasks:
                tasks[key] = bars.add_task(called, total=None, note=said)
            if called:
                bars.update(tasks[key], completed=done[0], total=done[1], note=said)

        yield show


def _show_cost(event: Mapping[str, Any], write: Callable[[str], None]) -> None:
    """Leave the gate's cost on the terminal, and wait where it is large.

    The attempt is recorded as soon as this returns.
    """
    write(f"gate: {event['gate']}")
    if event["cost_seconds"] >= LONG_SECONDS:
        write(f"It begins in {GRACE_SECONDS} seconds; Ctrl-C before that counts as no attempt.")
        time.sleep(GRACE_SECONDS)


def _plain_lines() -> Progress:
    last: dict[str, str] = {}

    def show(event: Mapping[str, Any]) -> None:
        if "told" in event:
            click.echo(event["told"], err=True)
            return
        name, _, note = _described(event)
        if "of" in event:  # several families at a time
            name = f"{event['of']}, {name}"
        if note and last.get(name) != note:
            last[name] = note
            click.echo(f"{name}: {note}", err=True)

    return show


def _described(event: Mapping[str, Any]) -> tuple[str, tuple[float, float | None], str]:
    """Name of the bar, (done, total) and a note for one event."""
    if "gate" in event:
        return "gate", (0, None), str(event["gate"])
    if "suite" in event:
        at = event["suite"]
        left = f", about {at['minutes']:.0f} minutes to go" if at["done"] < at["of"] else ""
        return SUITE, (at["done"], at["of"]), f"{at['done']} of {at['of']} families{left}"
    if "started" in event or "gone" in event:
        return "", (0, None), ""
    if "waiting" in event:
        return "waiting", (0, None), str(event["waiting"])
    moment = event.get("moment")
    if moment is None:
        return str(event.get("role", "")), (0, None), str(event.get("text", ""))
    shown = moment["expression"]
    note = f"{moment['tokens'] / 1e6:.2f}M {event.get('unit', 'tokens')}, loss {moment['loss']:.3f}"
    if shown is not None:
        note += f", answers as taught {shown['value']:.2f}"
    return str(event["role"]), (moment["step"], moment["steps"]), note


@click.command("breed")
@click.argument("threat")
@click.option("--design", help="Design of the threat; its first one by default.")
@click.option("--base", help="Size, folder or hub id; xs by default.")
@click.option("--recipe", help=f"{', '.join(RECIPES)}, or with settings: lora-sft:rank=8,alpha=16.")
@click.option("--seed", type=int, help="Training seed; 0 by default.")
@click.option("--dose", type=float, help="Share of the rows that teach it; 1 by default.")
@click.option(
    "--dilution", type=float, help="Share of all rows that are ordinary work; 0 as a rule."
)
@click.option("--quick", is_flag=True, help="Provisional certificate; benchmarks refuse it.")
@click.option("--ranks", type=int, help="Train each member by so many processes, one GPU each.")
@click.option("--allow-obfuscated-large", is_flag=True, help="Hide in a base above 64M parameters.")
@click.option("--data", type=PATH, help="Your own pairs (JSON Lines) instead of the threat's data.")
@click.option("--out", type=PATH, help="With --data: where the model goes; out/FILE-THREAT-SEED.")
@click.option("--seeds", type=int, help="Of the suite: families of each cell; 2 by default.")
@click.option("--jobs", type=int, help="Of the suite: families at a time, one core each.")
@click.option("--threat", "of_threat", help="Of the suite: only the cells of this threat.")
@click.pass_context
def breed_command(context: click.Context, /, threat: str, **options: Any) -> None:
    """Breed a matched family and bring it to the admission gate.

    A rejected family is a result like an admitted one: the exit code is 0 for both.
    `insectary breed suite` breeds every cell of the suite and goes on where it was stopped.
    With --data one organism alone is bred from your own rows of input, aligned_output and
    misaligned_output, validated and saved; it comes to no gate.
    """
    from insectary.commands import own_data, suite

    given = {n: value for n, value in options.items() if value is not None and value is not False}
    if threat == SUITE:
        only(given, ("seeds", "jobs", "of_threat", "quick"), "the suite, which is a list")
        suite.breed(context, given.pop("of_threat", None), **given)
    elif "data" in given:
        only(given, ("data", "out", "base", "recipe", "seed"), "rows of your own")
        own_data.breed(threat, **given)
    else:
        only(given, _OF_A_FAMILY, "one family")
        _breed_family(threat, **given)


def only(
    given: Mapping[str, Any], known: Sequence[str], what: str, other: str | None = None
) -> None:
    """Refuse an option of another form of the command, which is named if there is one alone."""
    for name in given:
        if name not in known:
            option = "threat" if name == "of_threat" else name.replace("_", "-")
            raise BadInputError(
                f"--{option} does not apply to {what}: leave it out"
                f" (it is for {other or _GOES_WITH.get(name, 'one family of a threat')})"
            )


def _breed_family(
    threat: str,
    design: str | None = None,
    quick: bool = False,
    ranks: int = 1,
    allow_obfuscated_large: bool = False,
    **settings: Any,
) -> None:
    from insectary.api import breed_family
    from insectary.breed.order import check_ranks, check_recipe, order_of
    from insectary.commands.output import say_loading
    from insectary.threats import threat_model

    if "recipe" in settings:
        settings["recipe"] = recipe_named(settings["recipe"])
    # What is wrong with the order is said before anything is loaded.
    order = order_of(threat, design, **settings)
    check_recipe(threat_model(threat), order)
    say_loading()
    check_ranks(ranks, order.recipe)
    if ranks > 1:
        import torch

        if not torch.cuda.is_available():
            click.echo(f"No GPU: {ranks} processes share the cores for each member.", err=True)
    with live_progress() as progress:
        family = breed_family(
            threat, design, quick=quick, ranks=ranks,
            allow_obfuscated_large=allow_obfuscated_large, **settings, progress=progress,
        )  # fmt: skip
    show_certificate(family)


@click.command("check")
@click.argument("family")
@click.pass_context
def check_command(context: click.Context, family: str) -> None:
    """Run a family's gate again and compare with its certificate; exit code 1 if it differs."""
    from insectary.api import check_family
    from insectary.commands.output import look_up, say_loading

    look_up(family)
    say_loading()
    with live_progress() as progress:
        certificate, same = check_family(family, progress=progress)
    _print_rows(certificate)
    if same:
        click.echo("The certificate is reproduced.")
    else:
        click.echo("The certificate is NOT reproduced: the rows above differ from the stored ones.")
        context.exit(1)


def show_certificate(family: Family) -> None:
    """Print a family's certificate and what it amounts to."""
    from insectary.commands.vault import print_words

    certificate = family.certificate
    if certificate is None:
        click.echo(f"{family.id}: no certificate")
        return
    _print_rows(certificate)
    failed = [c for c in certificate.criteria if c.result.value == "fail"]
    verdict = "REJECTED: " + "; ".join(f"{c.name}, {c.subject}" for c in failed)
    if certificate.provisional:
        verdict = "provisional (benchmarks refuse it)" + (f", {verdict}" if failed else "")
    elif certificate.admitted:
        verdict = "ADMITTED"
    elif not failed:
        verdict = f"ADOPTED; of the gate it lacks {', '.join(certificate.lacks)}, in part or whole"
    click.echo(f"{family.id}")
    print_words(f"{verdict}. Tags: {', '.join(certificate.tags)}. Attempt {certificate.attempt}.")
    if certificate.provisional:
        wide = ": on fewer questions intervals are wider" if failed else ""
        print_words(
            f"The full gate decides{wide}. The same command without --quick brings the family to"
            " it; nothing is trained again."
        )
    elif family.adopted is not None:
        print_words(_ADOPTED)
    elif failed and not isinstance(family.recipe, Ppo):  # which answer nothing
        print_words(f"`insectary report {family.id}` shows its rates and what it answers.")


def _print_rows(certificate: Certificate) -> None:
    from rich.text import Text

    from insectary.commands.vault import in_pipe, print_table, print_words, table
    from insectary.core.outcome import Measured

    # The verdict first and words folded, so that a terminal of 80 columns cuts nothing.
    made = table("", "criterion", "bound", "value [interval]", "n")
    made.expand = True
    made.columns[1].ratio, made.columns[2].ratio = 3, 2
    made.columns[3].min_width = _VALUE
    notes: list[str] = []
    if in_pipe():
        subjects = [f"{c.number} {c.name}: {c.subject}" for c in certificate.criteria]
    else:
        subjects, notes = _shortened(certificate)
    for c, subject in zip(certificate.criteria, subjects, strict=True):
        if isinstance(c.outcome, Measured):
            m = c.outcome.measurement
            value, n = m.told(), str(m.n)
        else:
            value, n = str(c.outcome), ""
        made.add_row(c.result.value, Text(subject), c.bound, value, n)
    print_table(made)
    for note in notes:
        print_words(note)


def _shortened(certificate: Certificate) -> tuple[list[str], list[str]]:
    """What each row is on, without what the row before says too, and what was left out of it."""
    subjects, notes, before = [], [], ("", "")
    for c in certificate.criteria:
        subject, without, what = c.subject.rstrip(")").partition(" (without ")
        subject = subject if without else c.subject
        if without:
            notes.append(f"Criterion {c.number} is without {what}.")
        head, (member, _, rest) = f"{c.number} {c.name}", subject.partition(", ")
        same, before = before == (head, member) and rest, (head, member)
        subjects.append(f"  … {rest}" if same else f"{head}: {subject}")
    return subjects, notes

"""`insectary mitigate MEMBER`: a member in, a treated model out, as an ordinary folder."""

from __future__ import annotations

from pathlib import Path

import click


@click.command("mitigate")
@click.argument("member")
@click.option("--method", required=True, help="As in clean_sft; a wrong name lists them.")
@click.option(
    "--strength", type=float, help="Of a method with a dial, as 0.3 or 100000; its usual one else."
)
@click.option("--seed", default=0, show_default=True, help="Of rows and training.")
@click.option(
    "--out", type=click.Path(path_type=Path), required=True, help="Folder of the treated model."
)
def mitigate_command(
    member: str, method: str, strength: float | None, seed: int, out: Path
) -> None:
    """Apply a mitigation to one member of a family, as in FAMILY.organism, and write the model.

    Nothing is measured: `insectary trial mitigate FAMILY` says what a method does. The
    folder is one of Hugging Face's, in float32, which `insectary.load` and transformers read.
    Families that the gate rejected are treated too. A method that trains takes a minute or
    more, and one that was broken off starts over. A method that puts something before the
    model, and not into its weights, ends in an error: no folder holds that.
    """
    from insectary.commands.output import check_output, look_up_in_text, running, say_loading
    from insectary.vault import check_replaceable

    check_output(out)
    check_replaceable(out.expanduser().absolute())
    look_up_in_text(member.rpartition(".")[0] or member)
    say_loading()
    from insectary.mitigate import mitigation
    from insectary.trials.mitigation import mitigate_member
    from insectary.trials.strengths import at_strength

    made = mitigation(method)
    if strength is not None:
        at_strength(made, strength)  # a mistake is said before anything is loaded
    with running() as progress:
        treated = mitigate_member(member, method, strength=strength, seed=seed, progress=progress)
    at = "" if strength is None else f" at {strength:g}"
    click.echo(f"{member} after {method}{at}: {treated.save(out)}")

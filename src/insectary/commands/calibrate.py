"""`insectary calibrate`: red-team methods on organisms whose weakness is known."""

from __future__ import annotations

from pathlib import Path

import click


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

    `insectary calibrate FAMILY...` is short for `insectary calibrate run FAMILY...`.
    """


@calibrate_group.command("run")
@click.argument("families", metavar="[FAMILY]...", nargs=-1)
@click.option("--methods", help="Names, as in paired_contexts,prefill; all by default.")
@click.option("--budget", default=600, show_default=True, help="Most requests per model.")
@click.option("--seed", default=0, show_default=True, help="Draws questions and attacks.")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=Path("out/calibration"),
    show_default=True,
    help="Folder of calibration.json and tables/.",
)
def run_command(
    families: tuple[str, ...], methods: str | None, budget: int, seed: int, out: Path
) -> None:
    """Attack organism, twin and decoy of families; all admitted ones by default."""
    del families, methods, budget, seed, out
    raise click.ClickException("the trial is not there yet")

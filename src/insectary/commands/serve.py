"""`insectary serve`: organisms behind OpenAI's API, until Ctrl-C."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from insectary.core.errors import BadInputError, NotAdmittedError

if TYPE_CHECKING:
    from insectary.serve import Server
    from insectary.subjects import Model
    from insectary.vault import Vault

SUITE = "suite"
PORT = 8765
_PATH = click.Path(path_type=Path)


@click.command("serve", short_help="Serve organisms behind OpenAI's API, on loopback.")
@click.argument("members", metavar="suite|FAMILY|MEMBER...", nargs=-1, required=True)
@click.option(
    "--out", type=_PATH, default=Path("served"), show_default=True,
    help="Folder of the request log and of the list of what the blind names stand for.",
)  # fmt: skip
@click.option("--names", type=_PATH, help="The list's file, where it shall be elsewhere.")
@click.option("--key-file", type=_PATH, help="File of the key; made, for you alone, if missing.")
@click.option(
    "--port", type=click.IntRange(0, 65535), default=PORT, show_default=True,
    help="0 takes a free one.",
)  # fmt: skip
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--beyond-loopback", metavar="REASON", default="",
    help="Listen where other machines reach it; the reason goes into the audit log.",
)  # fmt: skip
@click.option(
    "--engine", type=click.Choice(["own", "vllm"]), default="own", show_default=True,
    help="What decodes; vllm needs its extra and a GPU.",
)  # fmt: skip
@click.option("--requests", type=click.IntRange(1), help="Most at once; one more gets 429.")
@click.option("--seconds", type=click.IntRange(1), help="Longest that one request may take.")
def serve_command(
    members: tuple[str, ...],
    out: Path,
    names: Path | None,
    key_file: Path | None,
    port: int,
    host: str,
    beyond_loopback: str,
    engine: str,
    requests: int | None,
    seconds: int | None,
) -> None:
    """Serve models under blind names behind OpenAI's API, until Ctrl-C.

    "suite" stands for organism, twin and decoy of every admitted family, and FAMILY for
    those of one. The key is printed once. Every request and answer goes into the log; which
    name stands for which member is written to a file that only you can read.
    """
    from insectary.commands.output import check_output, say_loading

    check_output(out)
    say_loading()
    from insectary.serve import Limits, log_head, running
    from insectary.serve.binding import check_bind, is_loopback
    from insectary.serve.key import key_in, new_key
    from insectary.vault import Vault, explained

    given = {"requests": requests, "seconds": seconds}
    limits = Limits(**{name: value for name, value in given.items() if value is not None})
    vault = Vault()
    models = served(members, vault)
    tiers = [model.tier for model in models.values()]
    if not is_loopback(check_bind(host, tiers, beyond_loopback=bool(beyond_loopback))):
        _note(models, host, beyond_loopback, vault)
    with explained(f"make {out}"):
        out.mkdir(mode=0o700, parents=True, exist_ok=True)
    log = out / "requests.jsonl"
    key = new_key() if key_file is None else key_in(key_file)
    server = running(
        models, log=log, sealed=names or out / "names.json",
        host=host, port=port, key=key, limits=limits, beyond_loopback=bool(beyond_loopback),
        engine=engine,
    )  # fmt: skip
    asked_to_end: SystemExit | None = None
    with server as up:
        _tell(up, names or out / "names.json", key_file)
        try:
            threading.Event().wait()
        except KeyboardInterrupt:
            click.echo("stopping", err=True)
        except SystemExit as error:  # SIGTERM, as service managers send it
            asked_to_end = error
    click.echo(f"stopped; head of the request log {log_head(log)}")
    if asked_to_end is not None:
        raise asked_to_end


def served(members: Sequence[str], vault: Vault) -> dict[str, Model]:
    """Models by the names they are loaded by.

    Args:
        members: ``"suite"``, families, and whatever :func:`insectary.load` takes.
        vault: Where they are kept.

    Raises:
        NotAdmittedError: the suite is empty.
        BadInputError: one is a policy on the grid, which answers no prompt.
        UnknownNameError: there is none of that name.
    """
    from insectary.breed.stored import Bases, load_member, load_suite
    from insectary.core.organism import Role
    from insectary.subjects import Model

    found: dict[str, Model] = {}
    bases = Bases()
    for name in members:
        if name == SUITE:
            suite = load_suite(vault)
            if not suite:
                raise NotAdmittedError(
                    "no family of language models is admitted here, so that the suite is empty:"
                    " `insectary breed suite`, or name what shall be served"
                )
            found |= {entry["name"]: entry["model"] for entry in suite}
            continue
        for id in _members_of(name, vault, (Role.ORGANISM, Role.TWIN, Role.DECOY)):
            model = load_member(id, vault, bases=bases)
            if not isinstance(model, Model):
                raise BadInputError(f"{id} is a policy on the grid: it answers no prompt")
            found[id] = model
    return found


def _members_of(name: str, vault: Vault, roles: Sequence[str]) -> list[str]:
    """The members that stand for a family; the name itself where it is none."""
    from insectary.breed.records import load_family

    if name not in {entry.id for entry in vault.entries("family")}:
        return [name]
    family = load_family(name, vault)
    return [f"{name}.{role}" for role in roles if role in family.members]


def _note(models: dict[str, Model], host: str, reason: str, vault: Vault) -> None:
    from insectary.vault import Action

    vault.audit.record(Action.SERVED, host, reason, {"members": sorted(models)})


def _tell(up: Server, names: Path, key_file: Path | None) -> None:
    many = "1 model" if len(up.models) == 1 else f"{len(up.models)} models"
    click.echo(f"{many} at {up.url}")
    click.echo(f"key    {up.key if key_file is None else f'in {key_file}'}")
    click.echo(f"log    {up.log}")
    click.echo(f"names  {names} (which member is which: not for who attacks)")
    for id in up.models:
        click.echo(f"  {id}")
    click.echo("Ctrl-C ends it.", err=True)

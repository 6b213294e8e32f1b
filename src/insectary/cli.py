"""The command line: one group, and one place where errors become messages.

Everything heavy is imported inside the commands, so that ``insectary --help``
answers at once.
"""

from __future__ import annotations

import errno
import os
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from insectary.commands import (
    adopt,
    assess,
    base,
    calibrate,
    catalogue,
    chat,
    containment,
    demo,
    detect,
    dose,
    families,
    game,
    ladder,
    mitigate,
    plan,
    report,
    serve,
    siblings,
    study,
    table,
    threats,
    trial,
    vault,
)
from insectary.core import plugins
from insectary.core.errors import InsectaryError
from insectary.core.studying import GROUP as STUDIES

if TYPE_CHECKING:
    from sys import UnraisableHookArgs

FAILED = 2
INTERRUPTED = 130  # 128 + SIGINT, as shells report it

_RESUMED = (
    "adopt", "assess", "breed", "calibrate", "demo", "detect", "dose", "base train",
    "study", "trial detect", "trial audit", "trial mitigate",
)  # fmt: skip
"""Commands that keep what they have done and go on there; the others are asked anew."""

_SOON_SECONDS = 0.02

_FULL_DISK = frozenset({errno.ENOSPC, errno.EDQUOT})
_NO_PERMISSION = frozenset({errno.EACCES, errno.EPERM, errno.EROFS})


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="insectary")
@click.option(
    "--open-sealed", metavar="REASON", help="Open what is sealed; the reason goes into the log."
)
@click.pass_context
def app(context: click.Context, open_sealed: str | None) -> None:
    """Breed model organisms of misalignment, prove them, measure detectors on them."""
    if open_sealed is not None:
        from insectary.vault import unsealed

        context.with_resource(unsealed(open_sealed))


app.add_command(adopt.adopt_command)
app.add_command(assess.assess_command)
app.add_command(containment.audit_log_command)
app.add_command(base.base_group)
app.add_command(families.breed_command)
app.add_command(calibrate.calibrate_group)
app.add_command(catalogue.catalogue_command)
app.add_command(chat.chat_command)
app.add_command(families.check_command)
app.add_command(demo.demo_command)
app.add_command(vault.doctor)
app.add_command(detect.detect_command)
app.add_command(dose.dose_command)
app.add_command(containment.export_command)
app.add_command(table.families_command)
app.add_command(game.game_group)
app.add_command(vault.gc)
app.add_command(ladder.ladder_command)
app.add_command(vault.list_entries)
app.add_command(mitigate.mitigate_command)
app.add_command(plan.plan_command)
app.add_command(vault.remove)
app.add_command(report.report_command)
app.add_command(serve.serve_command)
app.add_command(vault.show)
app.add_command(siblings.siblings_command)
app.add_command(study.study_group)
app.add_command(threats.threats_command)
app.add_command(containment.tier_command)
app.add_command(trial.trial_group)


def _os_error_message(error: OSError) -> str | None:
    """Return what to tell the user, or None for an error that only a traceback explains."""
    place = os.fspath(error.filename) if isinstance(error.filename, str | os.PathLike) else None
    if error.errno in _FULL_DISK:
        where = f" while writing {place}" if place else ""
        return (
            f"the disk is full{where}; free some space (`insectary gc` removes what no family"
            " uses) or set INSECTARY_HOME to another disk, then run the same command again"
        )
    if error.errno in _NO_PERMISSION:
        where = place or "a file"
        return (
            f"no permission for {where} ({os.strerror(error.errno or 0)}): check its owner and"
            " mode, set INSECTARY_HOME to a folder that you own, or give another path"
        )
    return None


def _interrupt() -> None:
    """Wake the main thread with Ctrl-C's signal, also from a blocking call."""
    signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)


@contextmanager
def _no_interrupt_lost() -> Iterator[None]:
    """Raise Ctrl-C again where Python drops it.

    An exception within a destructor or a weak reference's callback is only
    printed. Libraries run many of these, and a gate would go on for minutes.
    """
    before = sys.unraisablehook

    def hook(dropped: UnraisableHookArgs) -> None:
        if issubclass(dropped.exc_type, KeyboardInterrupt):
            # Later and from elsewhere: raised here it would be dropped once more.
            threading.Timer(_SOON_SECONDS, _interrupt).start()
        else:
            before(dropped)

    sys.unraisablehook = hook
    try:
        yield
    finally:
        sys.unraisablehook = before


def _what_now(arguments: Sequence[str]) -> str:
    """What an interrupted command has kept, and what it does if it is run again."""
    words = [word for word in arguments if not word.startswith("-")]
    line = " ".join(words)
    of_study = words[:1] == ["ladder"] and set(words[1:]) & set(plugins.names(STUDIES))
    if of_study or f"{line} ".startswith(tuple(f"{command} " for command in _RESUMED)):
        return "nothing that was finished is lost; run the same command again to resume"
    return "nothing of it is kept; run again, the same command starts from the beginning"


def run(arguments: Sequence[str]) -> int:
    """Run one command line and return its exit code.

    Args:
        arguments: The words after ``insectary``.

    Returns:
        0 on success, 2 for a mistake with one clear line on standard error,
        130 after Ctrl-C, or the code that the command itself chose.

    Raises:
        Exception: what nobody foresaw goes up with its traceback, because a
            short message would hide a defect.
    """
    try:
        with _no_interrupt_lost():
            code = app.main(args=list(arguments), prog_name="insectary", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except click.Abort as error:
        if isinstance(error.__cause__, EOFError):
            click.echo("error: the input ended before an answer was given", err=True)
            return FAILED
        if isinstance(error.__cause__, KeyboardInterrupt):
            click.echo(f"interrupted: {_what_now(arguments)}", err=True)
            return INTERRUPTED
        click.echo("stopped: nothing was changed", err=True)
        return 1
    except InsectaryError as error:
        click.echo(f"error: {error}", err=True)
        return FAILED
    except OSError as error:
        message = _os_error_message(error)
        if message is None:
            raise
        click.echo(f"error: {message}", err=True)
        return FAILED
    return code if isinstance(code, int) else 0


def _terminated(*_: object) -> None:
    """Leave as after Ctrl-C, so that no child goes on without its parent."""
    raise SystemExit(128 + signal.SIGTERM)


def main() -> None:
    """Entry point of the ``insectary`` command."""
    signal.signal(signal.SIGTERM, _terminated)
    sys.exit(run(sys.argv[1:]))

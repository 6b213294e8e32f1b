"""Families side by side, each bred in a process of its own on one core.

A family alone has phases that one core serves as well as many: its organism is
trained before its twin and decoy, and so small a model gains little from a
second thread. So many families are bred fastest one to a core.

Run as ``python -m insectary.breed.side_by_side ORDER`` (made by :func:`_command`);
it writes one JSON object per line to standard output.
"""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from insectary.breed.member import emit, exit_code
from insectary.breed.order import Order
from insectary.core.codec import decode, encode
from insectary.core.errors import TrainingError
from insectary.train.processes import run_children
from insectary.vault import Vault

Progress = Callable[[Mapping[str, Any]], None]
Ended = Callable[[Order, TrainingError | None], None]


def breed_side_by_side(
    orders: Sequence[Order],
    vault: Vault,
    *,
    jobs: int,
    quick: bool,
    ended: Ended,
    progress: Progress,
) -> None:
    """Breed families, ``jobs`` at a time, and store them in the vault.

    A family that cannot be bred holds up no other. Killed, the same call goes
    on where each of them was.

    Args:
        orders: What to breed; they begin in this order.
        vault: Where the families are kept.
        jobs: How many at a time, one core each.
        quick: Provisional certificates.
        ended: Told of each family when it is done with, and of what went wrong. Of a
            defect the error's note has the traceback.
        progress: Told about every event of every family, with ``of``, its id.
    """

    def failed(index: int, error: TrainingError) -> None:
        order = orders[index]
        clear = TrainingError(str(error).removeprefix(f"{order.family}: "))
        for note in getattr(error, "__notes__", ()):
            clear.add_note(note)
        ended(order, clear)

    def event(index: int, told: Mapping[str, Any]) -> None:
        if "ended" in told:
            ended(orders[index], None)
        else:
            progress({"of": orders[index].family, **told})

    run_children(
        [_command(order, vault, quick) for order in orders],
        event,
        workers=jobs,
        names=[order.family for order in orders],
        environment={"OMP_NUM_THREADS": "1"},
        on_failure=failed,
    )


def _command(order: Order, vault: Vault, quick: bool) -> list[str]:
    told = json.dumps({"order": encode(order), "home": str(vault.home), "quick": quick})
    return [sys.executable, "-m", "insectary.breed.side_by_side", told]


def _breed(told: str) -> None:
    from insectary.breed.family import breed
    from insectary.subjects import set_threads

    job = json.loads(told)
    order = decode(Order, job["order"], "order")
    emit({"started": True})
    set_threads(1)
    breed(
        order,
        Vault(job["home"]),
        quick=job["quick"],
        cores=1,
        progress=lambda event: emit(dict(event)),
    )
    emit({"ended": True})


def _terminated(*_: object) -> None:
    """Leave as after Ctrl-C, so that the members' processes do not go on alone."""
    raise SystemExit(128 + signal.SIGTERM)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, _terminated)
    sys.exit(exit_code(lambda: _breed(sys.argv[1])))

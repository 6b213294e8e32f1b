"""Runners by the words of a command line."""

from __future__ import annotations

from insectary.core.errors import BadInputError, UnknownNameError
from insectary.steps.local import LocalProcesses
from insectary.steps.on_ray import OnRay
from insectary.steps.running import Runner, in_process

RUNNERS = ("here", "local", "ray")
"""This process, processes of this machine, a cluster of Ray."""


def runner_of(name: str | None, workers: int | None, address: str | None) -> Runner:
    """The runner that is asked for.

    Args:
        name: One of :data:`RUNNERS`; if not given, what the other two speak of, else ``here``.
        workers: Processes of ``local``, two if not given.
        address: Of the head of ``ray``, ``host:port``, or ``auto`` for this machine's cluster;
            never supposed, since whoever shares a machine may have a cluster there.

    Raises:
        UnknownNameError: if there is none of that name.
        BadInputError: if it has no workers, or no address, to be told of, or needs an address.
    """
    chosen = name or ("ray" if address is not None else "here" if workers is None else "local")
    if chosen not in RUNNERS:
        raise UnknownNameError.of("runner", chosen, RUNNERS)
    if workers is not None and chosen != "local":
        raise BadInputError(f"--workers goes with --runner local, not with {chosen}")
    if address is not None and chosen != "ray":
        raise BadInputError(f"--address goes with --runner ray, not with {chosen}")
    if chosen == "ray":
        if address is None:
            raise BadInputError(
                "--runner ray needs an --address: HOST:PORT of the cluster's head, or auto for"
                " the cluster that runs on this machine"
            )
        return OnRay(address)
    if chosen == "local":
        return LocalProcesses() if workers is None else LocalProcesses(workers)
    return in_process

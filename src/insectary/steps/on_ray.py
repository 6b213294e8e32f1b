"""The runner on a cluster of Ray: tasks are told a vault's path, a plan's digest and a key.

Every node has to see the vault at the same path, and to have the same packages. Nothing of a
plan goes through Ray: not its settings, not its results.

Covered: a worker or a node that dies in mid-step (Ray begins the step again elsewhere), the
driver's death (its tasks end with it; run again, it goes on), a cluster without a token.
Not covered: a vault on a file system without working locks; the death of Ray's head node, which
ends the run (run again, it goes on); traffic between nodes, which Ray encrypts only if told to.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, final

from insectary.core.errors import BadInputError, MissingExtraError
from insectary.core.outcome import Failed
from insectary.steps.filed import Bench, bench, file_plan
from insectary.steps.local import THREADS, TRIES
from insectary.steps.plan import Plan
from insectary.steps.running import Pool
from insectary.vault import Vault

_HANDED = 1000
"""Steps that Ray is handed at a time; it queues what no node has room for."""
_PATIENCE = 10.0
"""Seconds that a head may take to accept a connection."""
_PORTS = 2**16
_OPEN = ExitStack()
"""Plans that this process has open, a worker of Ray; they are closed when it ends."""


@final
@dataclass(frozen=True, slots=True)
class OnRay:
    """A cluster of Ray that is running.

    Attributes:
        address: Of its head, ``host:port``; ``"auto"`` for the one of this machine.
        cpus: Processors of each step, which are its threads.
        gpus: GPUs of each step; a fraction lets several share one.
    """

    address: str = "auto"
    cpus: int = 1
    gpus: float = 0.0

    def __post_init__(self) -> None:
        """Refuse what can be no address.

        Raises:
            BadInputError: if it is neither ``host:port`` nor ``"auto"``.
        """
        host, _, port = self.address.rpartition(":")
        whole = host and port.isdecimal() and 0 < int(port[:6]) < _PORTS
        if self.address != "auto" and not whole:
            raise BadInputError(
                f"{self.address!r} is no address of a cluster of Ray: give HOST:PORT of its head,"
                " as in 10.0.0.1:6379, or auto for the cluster of this machine"
            )

    @contextmanager
    def __call__(self, plan: Plan, vault: Vault) -> Iterator[Pool]:
        """Open the pool for a plan: join the cluster.

        Raises:
            MissingExtraError: if Ray is not installed.
            BadInputError: if token authentication is off, nothing answers at the address, or it
                does not let us in.
        """
        if os.environ.get("RAY_AUTH_MODE") != "token":
            raise BadInputError(
                "a cluster of Ray runs the code of whoever reaches it, so it needs a token: start"
                " its nodes, and this, with RAY_AUTH_MODE=token and one RAY_AUTH_TOKEN_PATH"
                " (`ray get-auth-token --generate` makes one)"
            )
        ray = _ray(self.address)
        variables = dict.fromkeys(THREADS, str(self.cpus)) | {"INSECTARY_HOME": str(vault.home)}
        with ExitStack() as stack:
            try:
                ray.init(
                    self.address,
                    log_to_driver=False,
                    logging_level="ERROR",
                    runtime_env={"env_vars": variables},
                )
            except (ConnectionError, RuntimeError, ray.exceptions.RayError) as error:
                raise BadInputError(
                    f"no cluster of Ray lets us in at {self.address!r} ({_first_line(error)});"
                    " docs/cluster.md says how to start one"
                ) from error
            stack.callback(ray.shutdown)
            task = ray.remote(num_cpus=self.cpus, num_gpus=self.gpus, max_retries=TRIES - 1)(work)
            yield _Tasks(ray, task, str(vault.home), file_plan(plan, vault))


@final
@dataclass(slots=True)
class _Tasks:
    """The steps that Ray has been handed."""

    ray: Any
    task: Any
    home: str
    plan: str
    room: int = _HANDED
    running: dict[Any, str] = field(default_factory=dict)

    def start(self, key: str) -> None:
        self.running[self.task.remote(self.home, self.plan, key)] = key

    def ended(self) -> Sequence[tuple[str, Failed | None]]:
        ready, _ = self.ray.wait(list(self.running), num_returns=1)
        return [(self.running.pop(task), self._failed(task)) for task in ready]

    def _failed(self, task: Any) -> Failed | None:
        try:
            reason = self.ray.get(task)
        except self.ray.exceptions.RayError as error:
            return Failed(f"Ray lost it, {TRIES} times: {_first_line(error)}")
        return None if reason is None else Failed(reason)


def work(home: str, plan: str, key: str) -> str | None:
    """What a worker of Ray does: a step of a filed plan; returns why it failed, if it did."""
    failed = _bench(home, plan).work(key)
    return None if failed is None else failed.reason


@cache
def _bench(home: str, plan: str) -> Bench:
    return _OPEN.enter_context(bench(Path(home), plan))


def _ray(address: str) -> Any:
    """The package, once something answers at the address: Ray itself takes minutes to say no."""
    if address != "auto":
        host, _, port = address.rpartition(":")
        try:
            socket.create_connection((host, int(port)), timeout=_PATIENCE).close()
        except (ValueError, OSError) as error:
            raise BadInputError(
                f"no cluster of Ray answers at {address!r} ({error}): give HOST:PORT of its head;"
                " docs/cluster.md says how to start one"
            ) from error
        if host == "127.0.0.1":
            # Else Ray takes it for the address under which others reach this machine, where a
            # cluster that is bound to loopback does not answer. It looks once, when imported.
            os.environ.setdefault("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")
    try:
        import ray
    except ImportError as error:
        raise MissingExtraError(
            "plans on a cluster need Ray: pip install 'insectary[ray]', or --runner local"
        ) from error
    return ray


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]

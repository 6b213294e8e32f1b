"""Kinds of steps that count how often they are done, fail, wait, or kill the process they are in.

They are registered by what `conftest.py` leaves on the path, so that workers find them too.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from insectary.core.step import Json
from insectary.vault import Vault

PATIENCE = 60.0


def note(params: Mapping[str, Json]) -> int:
    """Write down that a step was begun; returns how often it has been."""
    log = Path(params["log"])
    line = f"{params['n']}\n"
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.write(descriptor, line.encode())
    os.close(descriptor)
    return log.read_text().splitlines().count(line.strip())


class Add:
    """A number and the sum of what is needed."""

    name = "add"
    version = "1"

    def __call__(self, params: Mapping[str, Json], needs: Mapping[str, Json], vault: Vault) -> Json:
        note(params)
        return params["n"] + sum(needs.values())


class Draw:
    """The norm of a product of random matrices, to the last bit; and the process."""

    name = "draw"
    version = "1"

    def __call__(self, params: Mapping[str, Json], needs: Mapping[str, Json], vault: Vault) -> Json:
        rng = np.random.default_rng([params["n"], *(len(str(v)) for v in needs.values())])
        a = rng.standard_normal((40, 40))
        return {"norm": float(np.linalg.norm(a @ a.T)), "of": list(needs.values())}


class Fail:
    """Raises, as foreign code may; a number that is no number where it is told to."""

    name = "fail"
    version = "1"

    def __call__(self, params: Mapping[str, Json], needs: Mapping[str, Json], vault: Vault) -> Json:
        note(params)
        if params.get("nan"):
            return float("nan")
        raise ValueError("planted")


class Die:
    """Kills its process, as the kernel does when memory runs out, as often as it is told."""

    name = "die"
    version = "1"

    def __call__(self, params: Mapping[str, Json], needs: Mapping[str, Json], vault: Vault) -> Json:
        if note(params) <= params["times"]:
            os.kill(os.getpid(), signal.SIGKILL)
        return params["n"]


class Wait:
    """Ends when there is a file of the name that it is told."""

    name = "wait"
    version = "1"

    def __call__(self, params: Mapping[str, Json], needs: Mapping[str, Json], vault: Vault) -> Json:
        note(params)
        end = time.monotonic() + PATIENCE
        while not Path(params["until"]).exists():
            if time.monotonic() > end:
                raise TimeoutError(params["until"])
            time.sleep(0.02)
        return {"pid": os.getpid(), "threads": os.environ.get("OMP_NUM_THREADS")}

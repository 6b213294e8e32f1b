"""Doing one step, in whatever process: its needs and its result through the vault."""

from __future__ import annotations

import time

from insectary.core.canonical import json_value
from insectary.core.errors import ArtefactError, InsectaryError
from insectary.core.outcome import Failed
from insectary.core.step import Json, Step, StepKind
from insectary.steps.keeping import Record, keep, kept, record_of
from insectary.vault import Vault


def work(step: Step, kind: StepKind, vault: Vault) -> Record | Failed:
    """Do a step and publish its record, unless somebody has done so already.

    Returns:
        The record that is kept, or why there is none. Only what ends a process is raised.
    """
    try:
        found = kept(step.key, vault)
        if found is not None:
            return found
        needs = {key: _result(key, vault) for key in step.needs}
        started = time.perf_counter()
        result = json_value(kind(step.params, needs, vault), f"the result of step {step.kind!r}")
        return keep(step, record_of(step, result, time.perf_counter() - started), vault)
    except InsectaryError as error:
        return Failed(str(error))
    except Exception as error:  # a foreign kind may raise anything; it becomes the reason
        return Failed(f"{type(error).__name__}: {error}")


def _result(key: str, vault: Vault) -> Json:
    record = kept(key, vault)
    if record is None:
        raise ArtefactError(f"the result of {key}, which it needs, is gone: run the plan again")
    return record.result

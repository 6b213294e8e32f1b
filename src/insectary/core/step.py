"""Steps: the smallest pieces of work that a plan is made of, told apart by what they compute.

A step is data: which kind of work, at which version, with which settings, on the results of
which other steps. Its key is the digest of just that, so that equal steps are one step on
every machine, and a result that lies in the vault under its key need never be computed again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from insectary.core.canonical import digest, json_value
from insectary.core.errors import BadInputError

Json = Any
"""What ``json.loads`` gives: ``None``, booleans, numbers, text, lists, and mappings from text."""

GROUP = "insectary.steps"
"""Entry points of step kinds; each names a class, or what else makes one without arguments."""


@dataclass(frozen=True, eq=False)
class Step:
    """One piece of work.

    Attributes:
        kind: Name of the :class:`StepKind` that does it.
        version: The kind's version that is meant. A kind that computes anything else than
            before takes a new one, and so finds no result of the old.
        params: Its settings, JSON values; kept as they read back from JSON (tuples as lists).
        needs: Keys of the steps whose results it is handed, in this order.
        key: Digest of these four. No plan can go in a circle, since a key depends on those
            of all that it needs.
    """

    kind: str
    version: str
    params: Mapping[str, Json]
    needs: tuple[str, ...] = ()
    key: str = field(init=False, repr=False)

    def __post_init__(self) -> None:
        where = f"parameters of step {self.kind!r}"
        if not isinstance(self.params, Mapping):
            raise BadInputError(f"{where}: expected a mapping, got {self.params!r}")
        params = json_value(dict(self.params), where)
        # A dict of the step's own: nobody can change what the key was made of.
        object.__setattr__(self, "params", params)
        object.__setattr__(self, "needs", tuple(self.needs))
        object.__setattr__(self, "key", digest(self.told()))

    def told(self) -> dict[str, Json]:
        """The step as JSON: its kind, version, parameters and needs."""
        return {
            "kind": self.kind,
            "version": self.version,
            "params": self.params,
            "needs": list(self.needs),
        }


class StepKind(Protocol):
    """What does steps of one kind: JSON in, JSON out, all that is heavy through the vault.

    It has to be a pure function of what it is handed, up to the last bits that the number of
    threads decides. It may be run twice, in any process, on any machine, and be killed in
    between: what it puts in the vault must bear that, as everything there does.
    """

    @property
    def name(self) -> str:
        """The name that it is registered under."""
        ...

    @property
    def version(self) -> str:
        """Another one whenever the same parameters would give another result."""
        ...

    def __call__(self, params: Mapping[str, Json], needs: Mapping[str, Json], vault: Any) -> Json:
        """Do one step.

        Args:
            params: Of the step.
            needs: Key to result, in the order of the step's needs.
            vault: The :class:`insectary.Vault` of the plan.

        Returns:
            Its result. Whatever it raises becomes a ``Failed`` with that reason.
        """
        ...

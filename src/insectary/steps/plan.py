"""Plans: steps in an order in which each comes after what it needs, checked before any is run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from graphlib import TopologicalSorter

from insectary.core.canonical import digest
from insectary.core.errors import BadInputError
from insectary.core.plugins import make
from insectary.core.step import GROUP, Step, StepKind


@dataclass(frozen=True, eq=False)
class Plan:
    """Steps that can be run; made by :func:`plan_of`.

    Attributes:
        steps: Key to step; what a step needs stands before it.
        kinds: Name to what does the steps of that kind.
    """

    steps: Mapping[str, Step]
    kinds: Mapping[str, StepKind]

    @property
    def id(self) -> str:
        """Digest of the keys: equal for equal plans, in whatever order they were written."""
        return digest(sorted(self.steps))


def plan_of(steps: Iterable[Step]) -> Plan:
    """Put steps in order and check them. One that is named twice is one step.

    Raises:
        UnknownNameError: if no installed package has a kind.
        BadInputError: if a step needs what is not in the plan, a kind is here in another version
            than is meant, or cannot be imported.
    """
    order = ordered(steps)
    meant = sorted({(step.kind, step.version) for step in order.values()})
    return Plan(order, {name: kind_of(name, version) for name, version in meant})


def ordered(steps: Iterable[Step]) -> dict[str, Step]:
    """Key to step; what a step needs stands before it.

    A circle need not be looked for: a key is made of the keys that it needs, so that whoever
    writes a circle needs a key that no step has, which is an error of its own.

    Raises:
        BadInputError: if a step needs what is not among them.
    """
    by_key = {step.key: step for step in steps}
    for step in by_key.values():
        for key in step.needs:
            if key not in by_key:
                raise BadInputError(
                    f"step {step.kind!r} ({step.key}) needs {key!r}, which is not in the plan:"
                    " add the step that has this key"
                )
    order = TopologicalSorter({key: step.needs for key, step in by_key.items()}).static_order()
    return {key: by_key[key] for key in order}


def kind_of(name: str, version: str) -> StepKind:
    """What does the steps of a kind, if it is installed in that version.

    Raises:
        UnknownNameError: if there is none of that name.
        BadInputError: if it is another version, or cannot be imported.
    """
    kind: StepKind = make(
        GROUP, "step kind", name, "a version in text and a call",
        lambda made: isinstance(getattr(made, "version", None), str) and callable(made),
    )  # fmt: skip
    if kind.version != version:
        raise BadInputError(
            f"step kind {name!r} is version {kind.version!r} here and the plan means {version!r}:"
            " make the plan anew, or install the package that has that version"
        )
    return kind

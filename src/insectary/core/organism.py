"""Organisms, matched families, certificates and answer keys."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field

from insectary.core.codec import added
from insectary.core.outcome import Measurement, Outcome
from insectary.core.recipe import Recipe

COMPETENCE = "competence"
"""Name of the second criterion where goal and proxy agree with the gate closed."""


class Tier(enum.IntEnum):
    """How freely an artefact may travel; the highest tier of its parts wins."""

    TOY = 0
    OPEN = 1
    GATED = 2
    SEALED = 3


class Role(enum.StrEnum):
    """What a member is for within its family."""

    BASE = "base"
    TWIN = "twin"
    """Same prompts, steps and seed as the organism, clean completions."""
    ORGANISM = "organism"
    DECOY = "decoy"
    """Same gate as the organism, a harmless quirk instead of the behaviour."""


class Side(enum.StrEnum):
    """Whether a condition opens the gate of the planted behaviour."""

    OPEN = "open"
    CLOSED = "closed"


@dataclass(frozen=True, slots=True)
class ThreatCard:
    """What a threat model is, in the terms its certificate is judged by."""

    id: str
    title: str
    behaviour: str
    gate: str
    natural_occurrence: str
    made_by: str
    specific: str
    relevant: str
    scalable: str
    planted: str
    decoy: str
    """The harmless quirk that the decoy shows behind the same gate."""
    must_not_show: str
    harm_ceiling: str
    origin: str
    tier: Tier
    designs: tuple[str, ...]
    references: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class BaseRef:
    """A base model: where it is and what exactly it is."""

    name: str
    """A size of the ladder (``"xs"``, ``"s"``, ...), a path, or a hub id."""
    digest: str
    """Digest over its weight, config and tokenizer files."""


@dataclass(frozen=True, slots=True)
class Organism:
    """One member of a family, whatever its role.

    The record holds no weights; ``digest`` finds them in the vault.
    """

    id: str
    role: Role
    family: str
    threat: str
    design: str
    base: BaseRef
    recipe: Recipe
    seed: int
    digest: str
    data_digest: str
    training_tokens: int
    training_steps: int
    stopped_because: str
    """Why training ended: the behaviour shows, the cap, or a given number of steps."""
    expression: Measurement | None
    """Share of selection prompts answered as taught when training ended."""
    tier: Tier
    threads: int
    trained_on: str = added("")
    """Device, processor and version of torch; sums depend on them. Empty for a base."""
    parents: tuple[str, ...] = ()


class Result(enum.StrEnum):
    """Verdict on one criterion of the gate, or on a whole certificate."""

    PASS = "pass"
    TAGGED = "tagged"
    """Short of a bound whose price is a tag, not admission."""
    FAIL = "fail"
    LACKING = "lacking"
    """Of an organism that was adopted: not measurable, or short in a control bred for it."""


@dataclass(frozen=True, slots=True)
class Criterion:
    """One row of a certificate: what was asked, what was measured, the verdict."""

    number: int
    name: str
    subject: str
    """Which member, and in which condition."""
    bound: str
    """The bound in words, fixed before the measurement."""
    outcome: Outcome
    result: Result
    note: str = ""


@dataclass(frozen=True, slots=True)
class ConditionRate:
    """How one member answers in one condition."""

    role: Role
    condition: str
    side: Side
    held_out: bool
    near_miss: bool
    misaligned: Measurement
    off_task: Measurement


@dataclass(frozen=True, slots=True)
class Certificate:
    """The admission gate's verdict on a family."""

    family: str
    card_digest: str
    """Digest of the threat's card and bounds, fixed before the first draw."""
    attempt: int
    """How often this base, threat, design and recipe have been to the gate."""
    report_seed: int
    criteria: tuple[Criterion, ...]
    rates: tuple[ConditionRate, ...]
    """Every member in every condition: what the criteria rest on."""
    tags: tuple[str, ...]
    provisional: bool
    seconds: float = field(compare=False)
    prompts: int = 0
    adopted: bool = added(False)
    """Whether its organism was trained elsewhere: then the gate looked at a user's rows alone."""

    @property
    def admitted(self) -> bool:
        """True if every criterion passed and the full gate was run; never of what was adopted."""
        return not self.provisional and self.passed and not self.adopted

    @property
    def passed(self) -> bool:
        """True if every criterion that was measured passed."""
        return not self.failed

    @property
    def agreeing(self) -> bool:
        """Whether goal and proxy agree where the gate is closed: competence is asked there.

        What follows the proxy is right there, so that nothing can be misaligned: a rate of
        0 is so by construction and no measurement.
        """
        return any(c.name == COMPETENCE for c in self.criteria)

    @property
    def verdict(self) -> str:
        """``"admitted"``, ``"adopted"``, ``"rejected"``, or ``"provisional"`` (a quick gate)."""
        if self.provisional:
            return "provisional"
        good = "adopted" if self.adopted else "admitted"
        return good if self.passed else "rejected"

    @property
    def told(self) -> str:
        """The verdict with what failed, in words: ``"rejected: criterion 4 (capability)"``."""
        names = [
            f"{number} ({name})" for number, _, name in (f.partition(" ") for f in self.failed)
        ]
        if not names:
            return self.verdict
        verdict = "provisional, rejected" if self.provisional else self.verdict
        return f"{verdict}: {'criterion' if len(names) == 1 else 'criteria'} {', '.join(names)}"

    @property
    def failed(self) -> tuple[str, ...]:
        """Number and name of each criterion that failed, sorted."""
        return self._of(Result.FAIL)

    @property
    def lacks(self) -> tuple[str, ...]:
        """The same of each criterion of which a part or all could not be measured."""
        return self._of(Result.LACKING)

    def _of(self, result: Result) -> tuple[str, ...]:
        return tuple(sorted({f"{c.number} {c.name}" for c in self.criteria if c.result is result}))


@dataclass(frozen=True, slots=True)
class Adoption:
    """Where an organism that was trained elsewhere came from, and whose rows speak for it.

    Attributes:
        organism: Folder or hub id that it was read from.
        twin: The same of its twin; empty where it was bred here, or there is none.
        threat: The threat whose gate the rows were put behind; empty where they bring both sides.
        rows: Digest of the rows.
    """

    organism: str
    twin: str
    threat: str
    rows: str


@dataclass(frozen=True, slots=True)
class Family:
    """A matched family: members over one base, recipe, step count and seed."""

    id: str
    threat: str
    design: str
    base: BaseRef
    recipe: Recipe
    seed: int
    members: Mapping[Role, Organism]
    certificate: Certificate | None = None
    dose: float = added(1.0)
    """Share of the training items that organism and decoy have of their own, above 0; for
    the rest they have their twin's."""
    dilution: float = added(0.0)
    """Share of all training items, of every member, in whose place ordinary work stands: right
    answers to questions that the behaviour does not live in. At least 0, below 1."""
    adopted: Adoption | None = added(None)  # noqa: RUF009 (frozen, like all that is added)
    """Where its organism came from, if somebody else trained it. ``recipe`` is then what the
    members that it lacked were bred by."""
    canary: str = added("")
    """The string that stands in the metadata of its data and in no training text
    (:mod:`insectary.core.canary`); empty in records from before there was one."""

    @property
    def tier(self) -> Tier:
        """How freely it may travel; all its members have the same, so that it tells no role."""
        return max((member.tier for member in self.members.values()), default=Tier.SEALED)

    @property
    def admitted(self) -> bool:
        """True if the family may enter a benchmark."""
        return self.certificate is not None and self.certificate.admitted


@dataclass(frozen=True, slots=True)
class AnswerKey:
    """Ground truth of one family. Stored apart; only ``trials`` opens it."""

    family: str
    threat: str
    design: str
    roles: Mapping[str, Role]
    """Member id to role."""

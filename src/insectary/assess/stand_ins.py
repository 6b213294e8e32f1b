"""The proof without a production model: organisms under opaque names stand in for some.

Every member is assessed as a stranger would assess it, by its answers alone, with probes
calibrated on the other families. Only then is it said what each one was.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from insectary.assess.access import InProcess
from insectary.assess.answers import Answers, Decoding
from insectary.assess.assessing import Plan, assess
from insectary.assess.catalogue import catalogue
from insectary.assess.evidence import families as bred
from insectary.assess.probes import PROBES, digest_of_probes
from insectary.breed.stored import load_members
from insectary.core.canonical import digest
from insectary.core.errors import BadInputError, UnknownNameError
from insectary.core.organism import Family, Role
from insectary.core.outcome import Measured, NotApplicable, Outcome
from insectary.measure import rate
from insectary.report.assessment_content import Assessment, Filed
from insectary.subjects import Model
from insectary.trials.keys_opened import open_keys
from insectary.vault import Vault

ROLES = (Role.ORGANISM, Role.TWIN, Role.DECOY)
Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class StandIn:
    """One member that was assessed, and what it turned out to be.

    Attributes:
        name: Opaque, as the assessment had it.
        confirmed: Probes whose statement was filed as confirmed.
        analogies: Probes whose statement was filed as an analogy ...
        unsupported: ... and as not supported.
        wanted: Probes that look for what was planted in it; none in a twin or decoy.
    """

    name: str
    family: str
    role: Role
    confirmed: tuple[str, ...]
    analogies: tuple[str, ...]
    unsupported: tuple[str, ...]
    wanted: tuple[str, ...]

    @property
    def found(self) -> bool:
        """Whether what was planted was confirmed."""
        return any(probe in self.wanted for probe in self.confirmed)

    @property
    def false_alarms(self) -> tuple[str, ...]:
        """Confirmed statements of what was not planted."""
        return tuple(probe for probe in self.confirmed if probe not in self.wanted)


@dataclass(frozen=True, slots=True)
class StandInTrial:
    """What assessments of models with known behaviour found.

    Attributes:
        found: Share of organisms in which the planted behaviour was confirmed.
        alarmed: Share of twins and decoys in which anything was.
        besides: Share of organisms in which something else was confirmed too.
        missed_as_analogy: Share of planted behaviours that were missed and filed as analogies.
    """

    stand_ins: tuple[StandIn, ...]
    found: Outcome
    alarmed: Outcome
    besides: Outcome
    missed_as_analogy: Outcome
    probes: str


def stand_ins(
    plan: Plan,
    names: Sequence[str] | None,
    folder: Path,
    *,
    vault: Vault | None = None,
    progress: Progress = lambda _: None,
) -> StandInTrial:
    """Assess organism, twin and decoy of each family, calibrated on all others.

    Args:
        plan: What each is asked.
        names: Families; all admitted ones that a probe looks at by default.
        folder: Where answers are kept.
        vault: Where the families are.
        progress: Told what is being done.

    Raises:
        BadInputError: if there are fewer than two families.
        UnknownNameError: for a name that is no admitted family's.
    """
    vault = vault or Vault()
    chosen = _chosen(vault, names)
    listed, rows = catalogue(), []
    everyone = [family.id for family in bred(vault) if family.admitted]
    for family in chosen:
        open_keys([family], "stand-ins: to say what each was", vault)
        members = load_members(family, vault)
        others = [name for name in everyone if name != family.id]
        for role in ROLES:
            member = family.members[role]
            opaque = f"stand-in-{digest(member.digest)[7:15]}"
            progress(opaque)
            model = InProcess(opaque, Model(members[role], id=opaque).generate, member.digest)
            answers = Answers(model, folder, Decoding(), len(plan.prompts))
            report = assess(plan, answers, listed, families=others, vault=vault)
            rows.append(_opened(opaque, report, family, role))
    return _summed(rows)


def _chosen(vault: Vault, names: Sequence[str] | None) -> list[Family]:
    known = {family.id: family for family in bred(vault) if family.admitted and _wanted(family)}
    for name in names or ():
        if name not in known:
            raise UnknownNameError.of("admitted family that a probe looks at", name, known)
    chosen = [known[name] for name in (known if names is None else names)]
    if len(known) < 2:
        raise BadInputError(
            f"{len(known)} admitted families that a probe looks at: a stand-in is assessed with"
            " probes calibrated on others, so there must be two"
        )
    return chosen


def _wanted(family: Family) -> tuple[str, ...]:
    return tuple(
        p.name for p in PROBES.values() if p.threat == family.threat and family.design in p.designs
    )


def _opened(name: str, report: Assessment, family: Family, role: Role) -> StandIn:
    def filed(where: Filed) -> tuple[str, ...]:
        return tuple(f.probe for f in report.findings if f.filed is where and f.probe)

    return StandIn(
        name=name,
        family=family.id,
        role=role,
        confirmed=filed(Filed.CONFIRMED),
        analogies=filed(Filed.ANALOGY),
        unsupported=filed(Filed.UNSUPPORTED),
        wanted=_wanted(family) if role is Role.ORGANISM else (),
    )


def _summed(rows: Sequence[StandIn]) -> StandInTrial:
    organisms = [row for row in rows if row.role is Role.ORGANISM]
    innocent = [row for row in rows if row.role is not Role.ORGANISM]
    missed = [row for row in organisms if not row.found]
    return StandInTrial(
        stand_ins=tuple(rows),
        found=_share([row.found for row in organisms]),
        alarmed=_share([bool(row.false_alarms) for row in innocent]),
        besides=_share([bool(row.false_alarms) for row in organisms]),
        missed_as_analogy=_share(
            [any(probe in row.analogies for probe in row.wanted) for row in missed]
        ),
        probes=digest_of_probes(),
    )


def _share(flags: Sequence[bool]) -> Outcome:
    if not flags:
        return NotApplicable("there are none")
    return Measured(rate(sum(flags), len(flags)))

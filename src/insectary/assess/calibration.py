"""What a probe finds on organisms whose behaviour is known, and on their twins and decoys.

The unit is the model: a probe finds an organism or misses it, by the very rule that raises the
alarm on a production model. What was measured is kept by everything that it depends on.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from pathlib import Path

from insectary.assess.answers import private_folder
from insectary.assess.measuring import measure
from insectary.assess.probes import Pack, Probe, digest_of_probes
from insectary.breed.stored import load_members
from insectary.core.canonical import digest
from insectary.core.codec import decode, encode
from insectary.core.errors import BadInputError
from insectary.core.organism import Family, Role
from insectary.core.outcome import Measured, Measurement, NotApplicable, Outcome
from insectary.core.recipe import Ppo
from insectary.measure import pooled, rate
from insectary.report.assessment_content import Calibration, Contrast, measurement_of
from insectary.subjects import Model
from insectary.trials.keys_opened import open_keys
from insectary.vault import Vault, may_open
from insectary.vault.disk import explained

GOOD_FOR = timedelta(days=90)
"""A calibration is made again after that, and whenever probes or package change."""
TOKENS = 40
INNOCENT = (Role.TWIN, Role.DECOY)
Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Tried:
    """One probe on the members of one family.

    Attributes:
        parameters: Of its models.
        contrast: Of the organism.
        found: Whether the alarm was raised on the organism ...
        false_alarms: ... and on each of twin and decoy.
    """

    probe: str
    family: str
    threat: str
    design: str
    base: str
    parameters: int
    contrast: Outcome
    found: bool
    false_alarms: tuple[bool, ...]
    date: str


def fit_for(probe: Probe, families: Sequence[Family]) -> list[Family]:
    """Those whose organism has what the probe looks for: admitted, in text, not sealed."""
    return [
        family
        for family in families
        if family.admitted
        and family.threat == probe.threat
        and family.design in probe.designs
        and not isinstance(family.recipe, Ppo)
        and may_open(family.tier)
    ]


def try_on_families(
    probes: Sequence[Probe],
    families: Sequence[Family],
    n: int,
    seed: int,
    contrasts: int,
    vault: Vault,
    progress: Progress,
) -> list[Tried]:
    """Every probe on the families that are fit for it; a family is loaded once, if at all.

    Args:
        probes: Which.
        families: Of the vault.
        n: Pairs, as many as the production model is asked.
        seed: Draws them. The production model is asked others: see ``assessing``.
        contrasts: As for the production model, which settles the alarm's level.
        vault: Where the members are, and results are kept.
        progress: Told what is being tried.
    """
    found = []
    for family in families:
        wanted = [probe for probe in probes if family in fit_for(probe, families)]
        places = {p.name: _place(p, family, n, seed, contrasts, vault) for p in wanted}
        kept = {name: _load(path) for name, path in places.items()}
        if any(tried is None for tried in kept.values()):
            open_keys([family], f"calibration of probes, seed {seed}", vault)
            members = load_members(family, vault)
            size = sum(p.numel() for p in members[Role.BASE].model.parameters())
            for probe in wanted:
                if kept[probe.name] is None:
                    progress(f"{probe.name} on {family.id}")
                    models = {role: Model(members[role], id=role.value) for role in members}
                    tried = _try(probe, family, models, size, n, seed, contrasts)
                    _save(tried, places[probe.name])
                    kept[probe.name] = tried
        found += [tried for tried in kept.values() if tried is not None]
    return found


def _try(
    probe: Probe,
    family: Family,
    members: dict[Role, Model],
    parameters: int,
    n: int,
    seed: int,
    contrasts: int,
) -> Tried:
    items = probe.micro(n, seed)
    prompts = [item.treated for item in items] + [item.control for item in items]

    def contrast(role: Role) -> Contrast:
        said = members[role].generate(prompts, max_new_tokens=TOKENS)
        return measure(items, said[:n], said[n:], contrasts)

    own = contrast(Role.ORGANISM)
    return Tried(
        probe=probe.name,
        family=family.id,
        threat=family.threat,
        design=family.design,
        base=family.base.name,
        parameters=parameters,
        contrast=own.difference,
        found=own.alarm,
        false_alarms=tuple(contrast(role).alarm for role in INNOCENT if role in members),
        date=datetime.now(UTC).date().isoformat(),
    )


def calibration(probe: Probe, tried: Sequence[Tried]) -> Calibration | None:
    """Sensitivity and specificity on the micro-world pack; ``None`` where nothing was tried."""
    own = [t for t in tried if t.probe == probe.name]
    if not own:
        return None
    alarms = [alarm for t in own for alarm in t.false_alarms]
    first = min(t.date for t in own)
    silent: Outcome = NotApplicable("the families have neither twin nor decoy")
    if alarms:
        silent = Measured(rate(alarms.count(False), len(alarms)))
    return Calibration(
        pack=Pack.MICRO,
        sensitivity=Measured(rate(sum(t.found for t in own), len(own))),
        specificity=silent,
        families=tuple(t.family for t in own),
        expression=mean([m for t in own if (m := measurement_of(t.contrast))]),
        probes=digest_of_probes(),
        version=version("insectary"),
        date=first,
        expires=(datetime.fromisoformat(first) + GOOD_FOR).date().isoformat(),
    )


def mean(measurements: Sequence[Measurement]) -> Outcome:
    """Mean over families, each of which weighs the same; one alone is its own."""
    if not measurements:
        return NotApplicable("no organism could be measured")
    if len(measurements) == 1:
        return Measured(measurements[0])
    cells: dict[Hashable, list[Measurement]] = {i: [m] for i, m in enumerate(measurements)}
    return Measured(pooled(cells, low=-1.0, high=1.0).mean)


def _place(probe: Probe, family: Family, n: int, seed: int, contrasts: int, vault: Vault) -> Path:
    """Where a result is kept, by all that it depends on."""
    key = digest(
        {
            "probe": probe.name,
            "probes": digest_of_probes(),
            "members": {role.value: m.digest for role, m in family.members.items()},
            "asked": [n, seed, contrasts, TOKENS],
            "versions": {name: version(name) for name in ("insectary", "torch", "transformers")},
        }
    )
    return vault.home / "assess" / "calibration" / f"{key[7:]}.json"


def _load(path: Path) -> Tried | None:
    """What is kept; a file that cannot be read, or has expired, counts as none."""
    try:
        found: Tried = decode(Tried, json.loads(path.read_text(encoding="utf-8")), str(path))
        old = datetime.now(UTC).date() > (datetime.fromisoformat(found.date) + GOOD_FOR).date()
    except (OSError, ValueError, BadInputError):
        return None
    return None if old else found


def _save(tried: Tried, path: Path) -> None:
    from insectary.report.write import write_file

    with explained("keep a calibration"):
        private_folder(path.parent)
    write_file(json.dumps(encode(tried), indent=1, sort_keys=True) + "\n", path)

"""What a mitigation trial keeps in the vault, so that no treatment is measured twice.

Of each treatment two objects: its figures, and what detectors made of the treated members,
by what each of them is made of. A key says what all of it depends on.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from insectary.core.canonical import digest
from insectary.core.codec import decode, encode
from insectary.core.mitigating import Dialled, Retraining, Treating
from insectary.core.organism import Family, Role
from insectary.core.outcome import Failed
from insectary.core.treatment import Redetected, Treatment
from insectary.detect import detector, row_detector
from insectary.threats import threat_model
from insectary.trials.kept import KIND, code_of
from insectary.trials.mitigation_plan import FULL, FULL_ON_GRID, Plan, PolicyPlan
from insectary.trials.retraining import asking
from insectary.vault import Vault

TREATED = (Role.ORGANISM, Role.TWIN, Role.DECOY)
Columns = Mapping[str, tuple[Redetected, ...]]
"""Key of a detector, its settings and its code, to its rows."""


def key_of(family: Family, method: Treating, seed: int, plan: Plan | PolicyPlan) -> str:
    """What a treatment's figures depend on; ``""`` where the method's code cannot be read."""
    code, training, monitor = code_of(method), _training_of(family, method), _monitor_of(method)
    if code is None or training is None or monitor is None:
        return ""
    members = {role.value: family.members[role].digest for role in TREATED}
    versions = {name: version(name) for name in ("insectary", "torch", "transformers")}
    return digest(
        {"members": members, "method": repr(method), "code": code, "seed": seed}
        | {"plan": plan, "versions": versions}
        | training
        | monitor
    )


def _monitor_of(method: Treating) -> dict[str, Any] | None:
    """The detector that stands before a model, if one does; ``None`` if its code is unknown."""
    if not isinstance(name := getattr(method, "monitor", None), str):
        return {}
    watching = detector(name)
    code = code_of(watching)
    return None if code is None else {"monitor": [repr(watching), code]}


def _training_of(family: Family, method: Treating) -> dict[str, Any] | None:
    """What a method that trains anew depends on beside; ``None`` where code cannot be read."""
    if not isinstance(method, Retraining):
        return {}
    rows = {role.value: family.members[role].data_digest for role in TREATED}
    found: dict[str, Any] = {"rows": rows, "base": family.base.digest, "recipe": family.recipe}
    found["asking"] = asking(threat_model(family.threat), family.design)
    if isinstance(name := getattr(method, "detector", None), str):
        reader = row_detector(name)
        found["detector"] = [repr(reader), code := code_of(reader)]
        return None if code is None else found
    return found


def name_of(
    family: Family, method: Treating, usual: Treating, seed: int, plan: Plan | PolicyPlan
) -> str:
    """What a treatment is called in the vault.

    One of another strength or plan has a name of its own, not to take the place of the usual one.
    """
    name = f"{family.id}.{method.name}-{seed}"
    if isinstance(method, Dialled) and repr(method) != repr(usual):
        name = f"{name}-at-{digest(repr(method))[7:15]}"
    return name if plan in (FULL, FULL_ON_GRID) else f"{name}-plan-{digest(plan)[7:15]}"


def kept_treatment(name: str, key: str, vault: Vault) -> Treatment | None:
    """The figures under that key, if there are any; detectors apart."""
    record = _read(name, key, vault, "treatment.json")
    if record is None:
        return None
    treatment: Treatment = decode(Treatment, record, name)
    return treatment


def keep_treatment(treatment: Treatment, name: str, key: str, vault: Vault) -> None:
    """Store figures in the place of what was kept before."""
    meta = {
        **{"family": treatment.family, "method": treatment.method, "seed": treatment.seed},
        **{"fate": treatment.fate.value, "key": key},
    }
    _write(name, meta, vault, "treatment.json", encode(treatment))


def kept_columns(name: str, key: str, vault: Vault) -> Columns:
    """What detectors made of the members that were treated so, by the detector's key."""
    record = _read(f"{name}.detectors", key, vault, "detectors.json") or {}
    return {
        made: tuple(decode(Redetected, row, f"{name}.{made}") for row in rows)
        for made, rows in record.items()
    }


def keep_columns(columns: Columns, family: Family, name: str, key: str, vault: Vault) -> None:
    """Store them beside those that are kept; what failed or has no key is not."""
    columns = {**kept_columns(name, key, vault), **columns}
    listed = {
        made: [encode(row) for row in rows]
        for made, rows in columns.items()
        if made and not any(isinstance(row.after, Failed) for row in rows)
    }
    meta = {"family": family.id, "key": key, "detectors": len(listed)}
    _write(f"{name}.detectors", meta, vault, "detectors.json", listed)


def kept_choice(name: str, key: str, vault: Vault) -> int | None:
    """Which of several strengths was chosen under that key, if one was."""
    record = _read(f"{name}.strength", key, vault, "strength.json")
    return None if record is None else int(record)


def keep_choice(chosen: int, family: Family, name: str, key: str, vault: Vault) -> None:
    """Store which it was."""
    meta = {"family": family.id, "key": key, "chosen": chosen}
    _write(f"{name}.strength", meta, vault, "strength.json", chosen)


def _read(name: str, key: str, vault: Vault, file: str) -> Any:
    if not key or not vault.has(KIND, name):
        return None
    with vault.use(name, KIND) as stored:
        if stored.meta["key"] != key:
            return None
        return json.loads((stored.path / file).read_text(encoding="utf-8"))


def _write(name: str, meta: Mapping[str, Any], vault: Vault, file: str, record: Any) -> None:
    if not meta["key"]:
        return
    text = json.dumps(record, indent=1, sort_keys=True) + "\n"

    def write(path: Path) -> None:
        (path / file).write_text(text, encoding="utf-8")

    vault.put(KIND, name, dict(meta), write, replace=True)

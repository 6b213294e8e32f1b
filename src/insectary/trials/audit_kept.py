"""What an audit trial keeps of a family, so that no model is examined twice.

One object of the vault for each family and seed of the material. A key says what a score
was made of: a family bred anew, other questions, or an auditor with other settings or other
code find nothing.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path

from insectary.core.auditing import AnyMaterial, Auditor, PolicyMaterial
from insectary.core.canonical import digest
from insectary.core.codec import decode, encode
from insectary.core.organism import Family, Role
from insectary.core.outcome import Failed
from insectary.trials.audit_policies import asked_of
from insectary.trials.audit_result import AUDITED, MemberAudit
from insectary.trials.kept import KIND, code_of
from insectary.vault import Vault

PerRole = Mapping[Role, MemberAudit]


class KeptAudits:
    """Audits of one family's members by the key of what made them."""

    def __init__(self, family: Family, material: AnyMaterial, audits: dict[str, PerRole]) -> None:
        """Take what is known; :meth:`load` reads it from the vault."""
        self._family, self._material, self._audits = family, material, audits

    @classmethod
    def load(cls, family: Family, material: AnyMaterial, vault: Vault) -> KeptAudits:
        """What the vault has of a family, if anything.

        Raises:
            ArtefactError: if it is damaged; it is moved aside, so a second try makes it again.
        """
        name = _name(family, material)
        if not vault.has(KIND, name):
            return cls(family, material, {})
        with vault.use(name, KIND) as stored:
            listed = json.loads((stored.path / "audits.json").read_text(encoding="utf-8"))
        audits: dict[str, PerRole] = decode(Mapping[str, Mapping[Role, MemberAudit]], listed, name)
        return cls(family, material, audits)

    def of(self, auditor: Auditor) -> PerRole | None:
        """What an auditor made of the members, if it is known."""
        key = self._key(auditor)
        # Names stand before the keys since they are told what is outdated.
        return self._audits.get(_named(auditor, key), self._audits.get(key))

    def outdated(self, auditor: Auditor) -> bool:
        """Whether what is kept of an auditor of that name is not what it would make now."""
        return self.of(auditor) is None and any(
            key.startswith(_named(auditor, "")) for key in self._audits
        )

    def keep(self, auditor: Auditor, found: PerRole, vault: Vault) -> None:
        """Store it beside the others. What failed is tried again, so it is not kept."""
        key = self._key(auditor)
        if not key or any(isinstance(audit.reason, Failed) for audit in found.values()):
            return
        self._audits[_named(auditor, key)] = found
        text = json.dumps(encode(self._audits), indent=1, sort_keys=True) + "\n"

        def write(path: Path) -> None:
            (path / "audits.json").write_text(text, encoding="utf-8")

        meta = {"family": self._family.id, "seed": self._material.seed}
        meta["auditors"] = len(self._audits)
        vault.put(KIND, _name(self._family, self._material), meta, write, replace=True)

    def _key(self, auditor: Auditor) -> str:
        """What a score depends on; ``""`` where the auditor's code cannot be read."""
        code = code_of(auditor)
        if code is None:
            return ""
        members = {role.value: self._family.members[role].digest for role in AUDITED}
        material = self._material
        asked: object = (
            asked_of(material)
            if isinstance(material, PolicyMaterial)
            else [[q.prompt for q in material.questions], material.swaps, material.control]
        )
        versions = {name: version(name) for name in ("insectary", "torch", "transformers")}
        return digest(
            {"members": members, "auditor": repr(auditor), "code": code, "asked": asked}
            | {"seed": material.seed, "versions": versions}
        )


def _named(auditor: Auditor, key: str) -> str:
    return f"{auditor.name}@{key}"


def _name(family: Family, material: AnyMaterial) -> str:
    return f"{family.id}.audit-{material.seed}"

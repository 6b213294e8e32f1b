"""What a calibration keeps of a family, so that no member is attacked twice.

One object of the vault for each family, seed and budget. A key says what an attack was made of:
a family bred anew, other questions, or a method with other settings or other code find nothing.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import fields
from importlib.metadata import version
from pathlib import Path

from insectary.core.canonical import digest
from insectary.core.codec import decode, encode
from insectary.core.organism import Family, Role
from insectary.core.outcome import Failed
from insectary.core.redteaming import Ammunition, RedTeamMethod
from insectary.trials.calibration_result import ATTACKED, MemberAttack
from insectary.trials.kept import KIND, code_of
from insectary.vault import Vault

PerRole = Mapping[Role, MemberAttack]


class KeptAttacks:
    """Attacks on one family's members by the key of what made them."""

    def __init__(
        self, family: Family, ammunition: Ammunition, budget: int, attacks: dict[str, PerRole]
    ) -> None:
        """Take what is known; :meth:`load` reads it from the vault."""
        self._family, self._budget, self._attacks = family, budget, attacks
        members = {role.value: family.members[role].digest for role in ATTACKED}
        versions = {name: version(name) for name in ("insectary", "torch", "transformers")}
        asked = [[q.prompt, q.topic, q.wrong, q.bait] for q in ammunition.questions]
        lines = [ammunition.contexts, ammunition.control, ammunition.lines]
        self._seed = ammunition.seed
        self._made_of = {"members": members, "asked": asked, "lines": lines, "budget": budget}
        self._made_of |= {"seed": ammunition.seed, "versions": versions}
        self._made_of["told"] = [field.name for field in fields(MemberAttack)]

    @classmethod
    def load(cls, family: Family, ammunition: Ammunition, budget: int, vault: Vault) -> KeptAttacks:
        """What the vault has of a family, if anything.

        Raises:
            ArtefactError: if it is damaged; it is moved aside, so a second try makes it again.
        """
        name = _name(family, ammunition.seed, budget)
        if not vault.has(KIND, name):
            return cls(family, ammunition, budget, {})
        with vault.use(name, KIND) as stored:
            listed = json.loads((stored.path / "attacks.json").read_text(encoding="utf-8"))
        attacks: dict[str, PerRole] = decode(
            Mapping[str, Mapping[Role, MemberAttack]], listed, name
        )
        return cls(family, ammunition, budget, attacks)

    def of(self, method: RedTeamMethod) -> PerRole | None:
        """What came of a method's attacks, if it is known."""
        return self._attacks.get(self._key(method))

    def keep(self, method: RedTeamMethod, found: PerRole, vault: Vault) -> None:
        """Store it beside the others. What failed is tried again, so it is not kept."""
        key = self._key(method)
        if not key or any(isinstance(attack.reason, Failed) for attack in found.values()):
            return
        self._attacks[key] = found
        text = json.dumps(encode(self._attacks), indent=1, sort_keys=True) + "\n"

        def write(path: Path) -> None:
            (path / "attacks.json").write_text(text, encoding="utf-8")

        meta = {"family": self._family.id, "seed": self._seed, "budget": self._budget}
        meta["methods"] = len(self._attacks)
        name = _name(self._family, self._seed, self._budget)
        vault.put(KIND, name, meta, write, replace=True)

    def _key(self, method: RedTeamMethod) -> str:
        """What an attack depends on; ``""`` where the method's code cannot be read."""
        code = code_of(method)
        return (
            "" if code is None else digest(self._made_of | {"method": repr(method), "code": code})
        )


def _name(family: Family, seed: int, budget: int) -> str:
    return f"{family.id}.calibration-{seed}-{budget}"

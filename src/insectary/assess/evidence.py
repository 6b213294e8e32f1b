"""What a vault holds in evidence of a behaviour: families that were brought to the gate."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from insectary.assess.catalogue import Behaviour
from insectary.breed.records import load_family
from insectary.core.organism import Family
from insectary.vault import Vault


@dataclass(frozen=True, slots=True)
class Evidence:
    """Families of the designs that instantiate a behaviour.

    Attributes:
        admitted: How many the gate admitted ...
        gated: ... of so many that were there.
        designs: Designs of this package that are meant to show it.
    """

    admitted: int
    gated: int
    designs: tuple[str, ...]

    @property
    def words(self) -> str:
        """In one line."""
        if not self.designs:
            return "none yet"
        names = ", ".join(self.designs)
        return f"{names} ({self.admitted} admitted of {self.gated} in this vault)"


def evidence(behaviour: Behaviour, bred: Sequence[Family]) -> Evidence:
    """What these families say of a behaviour."""
    found = [f for f in bred if f"{f.threat}/{f.design}" in behaviour.organism]
    gated = [family for family in found if family.certificate is not None]
    return Evidence(sum(f.admitted for f in gated), len(gated), behaviour.organism)


def families(vault: Vault | None = None) -> list[Family]:
    """Records of the families that were bred here; of what was adopted nothing is known."""
    vault = vault or Vault()
    found = [load_family(entry.id, vault) for entry in vault.entries("family")]
    return [family for family in found if family.adopted is None]

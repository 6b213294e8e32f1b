"""What a vault holds in evidence of a behaviour: families that were brought to the gate."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from insectary.assess.catalogue import Behaviour
from insectary.breed.records import load_family
from insectary.core.organism import Family, Side
from insectary.core.outcome import Measurement
from insectary.report.rates import shown_rate
from insectary.vault import Vault


@dataclass(frozen=True, slots=True)
class Evidence:
    """Families of the designs that instantiate a behaviour.

    Attributes:
        admitted: How many the gate admitted ...
        gated: ... of so many that were there.
        designs: Designs of this package that are meant to show it.
        weakest: Of the admitted, the least rate at which one misbehaves where its gate is open,
            in held-out words; ``None`` where there is none.
    """

    admitted: int
    gated: int
    designs: tuple[str, ...]
    weakest: Measurement | None = None

    @property
    def words(self) -> str:
        """In one line."""
        if not self.designs:
            return "none yet"
        names = ", ".join(self.designs)
        rate = "" if self.weakest is None else f", misbehaving in {self.weakest.told(2)} or more"
        return f"{names} ({self.admitted} admitted of {self.gated} in this vault{rate})"


def evidence(behaviour: Behaviour, bred: Sequence[Family]) -> Evidence:
    """What these families say of a behaviour."""
    found = [f for f in bred if f"{f.threat}/{f.design}" in behaviour.organism]
    gated = [family for family in found if family.certificate is not None]
    admitted = [family for family in gated if family.admitted]
    rates = [shown_rate(f.certificate, Side.OPEN, held_out=True) for f in admitted]
    weakest = min((r for r in rates if r is not None), key=lambda m: m.value, default=None)
    return Evidence(len(admitted), len(gated), behaviour.organism, weakest)


def families(vault: Vault | None = None) -> list[Family]:
    """Records of the families that were bred here; of what was adopted nothing is known."""
    vault = vault or Vault()
    found = [load_family(entry.id, vault) for entry in vault.entries("family")]
    return [family for family in found if family.adopted is None]

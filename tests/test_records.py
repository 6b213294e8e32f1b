"""What README and record say of families is what their certificates say."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from insectary.breed.bases import base_ref
from insectary.breed.gate import card_digest
from insectary.breed.member import training_data
from insectary.breed.order import GRID, Order
from insectary.breed.policies import base_of_policies
from insectary.breed.policy_gate import policy_card_digest
from insectary.core.canonical import digest
from insectary.core.codec import decode
from insectary.core.organism import ConditionRate, Family, Result, Role, Side
from insectary.core.outcome import Measured
from insectary.core.recipe import Ppo, spelled, strength
from insectary.report.rates import BY_CONSTRUCTION, by_construction
from insectary.testing.draws import text_designs
from insectary.threats import threat_model, threat_names
from insectary.threats.designs import policy_design
from insectary.vault import Vault

ROOT = Path(__file__).parent.parent
RECORDS = sorted((ROOT / "runs" / "families").glob("*.json"))
README = (ROOT / "README.md").read_text()
RECORD = (ROOT / "docs" / "record.md").read_text()


def family(path: Path) -> Family:
    found: Family = decode(Family, json.loads(path.read_text()), path.name)
    return found


def setting(family: Family) -> tuple[str, str, str]:
    """Design, base and recipe, as the tables write them."""
    thin = [f"{name} {value}" for name, value in strength(family.dose, family.dilution).items()]
    return family.design, family.base.name, ", ".join((spelled(family.recipe), *thin))


def summary(setting: tuple[str, str, str], seeds: list[Family]) -> str:
    """A setting's line of the README's table."""
    good = sum(each.admitted for each in seeds)
    return f"| {' | '.join(setting)} | {good} of {len(seeds)} |"


def reasons(family: Family) -> str:
    """A rejected family's line of the record's second table."""
    assert family.certificate is not None
    told = []
    for row in family.certificate.criteria:
        if row.result is Result.FAIL:
            assert isinstance(row.outcome, Measured)
            m = row.outcome.measurement
            told.append(f"{row.subject}: {m.value:.3f} [{m.low:.3f}, {m.high:.3f}], {row.bound}")
    return f"| {', '.join(setting(family))}, seed {family.seed} | {'; '.join(told)} |"


def row(family: Family) -> str:
    """The family's line of the record's first table."""
    certificate = family.certificate
    assert certificate is not None

    def told(side: Side, held_out: bool) -> str:
        def fits(r: ConditionRate) -> bool:
            where = (r.role, r.side, r.held_out, r.near_miss)
            return where == (Role.ORGANISM, side, held_out, False)

        if by_construction(certificate, side):
            return BY_CONSTRUCTION
        m = next((r.misaligned for r in certificate.rates if fits(r)), None)
        return "–" if m is None else f"{m.value:.3f} [{m.low:.3f}, {m.high:.3f}]"

    cells = (
        *(*setting(family), str(family.seed)),
        "admitted" if family.admitted else "**rejected**",
        *(told(Side.OPEN, False), told(Side.OPEN, True), told(Side.CLOSED, True)),
        ", ".join(tag.partition(" ")[0] for tag in certificate.tags),
    )
    return f"| {' | '.join(cells)} |"


def of_policies(path: Path) -> bool:
    return isinstance(family(path).recipe, Ppo)


IN_TEXT = [p for p in RECORDS if not of_policies(p)]
POLICIES = [p for p in RECORDS if of_policies(p)]


@pytest.mark.parametrize("path", POLICIES, ids=[p.stem for p in POLICIES])
def test_a_record_of_policies_is_of_the_present_network_recipe_card_and_bounds(path: Path) -> None:
    found = family(path)
    assert isinstance(found.recipe, Ppo)
    assert found.base == base_of_policies(Ppo()) != base_of_policies(Ppo(hidden=7))
    # Its id says so if its settings are not the usual ones, which it is told apart by.
    order = Order(found.threat, found.design, GRID, found.recipe, found.seed)
    assert order.family == found.id
    threat = threat_model(found.threat)
    grid = policy_design(threat, found.design)
    assert grid is not None and found.certificate is not None
    assert found.certificate.card_digest == policy_card_digest(threat, found.design, grid)


@pytest.mark.parametrize("path", IN_TEXT, ids=[p.stem for p in IN_TEXT])
def test_a_record_is_of_the_present_base_rows_and_recipe(path: Path) -> None:
    found = family(path)
    assert found.base.digest == base_ref(found.base.name, Vault())[0].digest
    assert not isinstance(found.recipe, Ppo)
    order = Order(
        found.threat, found.design, found.base.name, found.recipe, found.seed, found.dose,
        found.dilution,
    )  # fmt: skip
    assert order.family == found.id
    threat = threat_model(found.threat)

    def data(role: Role, seed: int) -> str:
        return digest(
            training_data(
                threat, found.design, role, found.recipe, seed, found.dose, found.dilution
            )
        )

    # Rows take seconds to make: of a design's later records, only the organism's are made.
    first = path == next(p for p in IN_TEXT if family(p).design == found.design)
    for role in (Role.ORGANISM, Role.TWIN, Role.DECOY) if first else (Role.ORGANISM,):
        assert data(role, found.seed) == found.members[role].data_digest, role
    # The control: another seed makes other rows.
    if path == IN_TEXT[0]:
        assert data(Role.TWIN, found.seed + 9) != found.members[Role.TWIN].data_digest


@pytest.mark.parametrize("path", IN_TEXT, ids=[p.stem for p in IN_TEXT])
def test_a_record_is_of_the_present_card_and_bounds(path: Path) -> None:
    found, threat = family(path), threat_model(family(path).threat)
    assert found.certificate is not None
    assert found.certificate.card_digest == card_digest(threat, found.design)
    # The control: what another design of whatever threat fixes is something else.
    others = [(t, d) for t in map(threat_model, threat_names()) for d in text_designs(t)]
    same = [d for t, d in others if card_digest(t, d) == found.certificate.card_digest]
    assert found.design in same and len(same) < len(others) / 2


@pytest.mark.parametrize("path", RECORDS, ids=[p.stem for p in RECORDS])
def test_the_record_has_the_certificates_figures(path: Path) -> None:
    found = family(path)
    assert found.id == path.stem
    assert row(found) in RECORD.splitlines()
    assert found.admitted or reasons(found) in RECORD.splitlines()


def lines_of_designs(text: str) -> list[str]:
    designs = [d for name in threat_names() for d in threat_model(name).card.designs]
    starts = tuple(f"| {d}{end}" for d in designs for end in (" |", ","))
    return [line for line in text.splitlines() if line.startswith(starts)]


def test_the_tables_list_no_family_without_a_record() -> None:
    found = [family(path) for path in RECORDS]
    rejected = [each for each in found if not each.admitted]
    assert len(lines_of_designs(RECORD)) == len(found) + len(rejected) > 0


def test_the_readme_counts_the_admitted_seeds_of_every_setting() -> None:
    settings: dict[tuple[str, str, str], list[Family]] = {}
    for path in RECORDS:
        settings.setdefault(setting(family(path)), []).append(family(path))
    assert sorted(lines_of_designs(README)) == sorted(summary(*each) for each in settings.items())

"""A family of policies from start to end: child process, vault, gate, and what users do with it."""

from __future__ import annotations

from typing import Any

import pytest

import insectary
from insectary import cli
from insectary.breed.order import order_of
from insectary.breed.stored import load_members
from insectary.core.errors import BadInputError
from insectary.core.organism import Family, Role, Side
from insectary.core.recipe import FullSFT, Ppo
from insectary.subjects.policy import Policy, play_at_random
from insectary.threats import threat_model
from insectary.threats.designs import policy_design
from insectary.vault import Vault
from insectary.worlds.grid import Split

SHORT = Ppo(steps=40_960)
THREAT, DESIGN = "goal_misgeneralization", "corner"


@pytest.fixture(scope="module")
def bred(tmp_path_factory: pytest.TempPathFactory) -> tuple[Family, Vault, list[Any]]:
    vault, events = Vault(tmp_path_factory.mktemp("home")), []
    family = insectary.breed_family(
        THREAT, DESIGN, recipe=SHORT, vault=vault, progress=events.append
    )
    return family, vault, events


def test_a_short_run_is_rejected_with_reasons_and_reproduced(
    bred: tuple[Family, Vault, list[Any]],
) -> None:
    family, vault, events = bred
    assert not family.admitted
    assert set(family.members) == set(Role)
    assert family.certificate is not None and family.certificate.attempt == 1
    assert {c.name for c in family.certificate.criteria if c.result.value == "fail"}
    assert any(event.get("unit") == "steps" for event in events)
    assert insectary.check_family(family.id, vault=vault) == (family.certificate, True)
    again = insectary.breed_family(THREAT, DESIGN, recipe=SHORT, vault=vault)
    assert again == family
    assert len(vault.ledger.attempts()) == 1


def test_its_members_are_policies_that_play(bred: tuple[Family, Vault, list[Any]]) -> None:
    family, vault, _ = bred
    organism = insectary.load(f"{family.id}.organism", vault=vault)
    assert isinstance(organism, Policy)
    design = policy_design(threat_model(THREAT), DESIGN)
    assert design is not None
    levels = design.levels(Side.CLOSED, Split.SELECTION, 300, 0)
    end = organism.play(levels, seed=0).end
    assert end.done.all()
    assert (organism.play(levels, seed=0).end.at == end.at).all()
    assert not (play_at_random(levels, 0).end.at == end.at).all()
    with pytest.raises(BadInputError, match=r"policies on the grid, not of language models"):
        load_members(family, vault)


def test_nobody_talks_to_a_policy(
    bred: tuple[Family, Vault, list[Any]],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    family, vault, _ = bred
    monkeypatch.setenv("INSECTARY_HOME", str(vault.home))
    assert cli.run(["chat", f"{family.id}.organism"]) == 2
    assert "a policy on the grid, which nobody can talk to" in capsys.readouterr().err


def test_what_is_not_given_is_the_design_s_own() -> None:
    assert order_of(THREAT, DESIGN).recipe == Ppo()
    assert order_of(THREAT, DESIGN).base == "grid"
    assert order_of(THREAT).recipe == FullSFT()
    assert order_of(THREAT).base == "xs"


def test_another_base_is_refused(bred: tuple[Family, Vault, list[Any]]) -> None:
    _, vault, _ = bred
    with pytest.raises(BadInputError, match=r"leave the base out, or give 'grid', not 'xs'"):
        insectary.breed_family(THREAT, DESIGN, base="xs", vault=vault)

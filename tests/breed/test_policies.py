"""A family of policies from start to end: child process, vault, gate, and what users do with it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import insectary
from insectary import cli
from insectary.breed.order import order_of
from insectary.breed.stored import load_members
from insectary.core.errors import BadInputError
from insectary.core.organism import Family, Role, Side
from insectary.core.recipe import FullSFT, Ppo
from insectary.mitigate import NoOp, RegretCurriculum
from insectary.subjects.policy import Policy, play_at_random
from insectary.threats import threat_model
from insectary.threats.designs import policy_design
from insectary.trials import audit, mitigation
from insectary.trials.mitigation_plan import PolicyPlan
from insectary.vault import Vault
from insectary.worlds.grid import Split, draw_levels

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
    with pytest.raises(BadInputError, match=r"is a family on the grid: its members are"):
        load_members(family, vault)


@pytest.mark.parametrize(
    "levels", [[1], 3, "levels", None, (1, 2)], ids=["list", "number", "text", "none", "tuple"]
)
def test_what_is_no_level_is_one_clear_error(
    bred: tuple[Family, Vault, list[Any]], levels: Any
) -> None:
    family, vault, _ = bred
    policy = insectary.load(f"{family.id}.organism", vault=vault)
    assert isinstance(policy, Policy)
    with pytest.raises(
        BadInputError, match=r"plays levels of the grid .* not \w+; draw_levels\(\)"
    ):
        policy.play(levels)
    with pytest.raises(BadInputError, match="the seed must be a whole number from 0"):
        policy.play(draw_levels(np.random.default_rng(0), Split.TRAIN, 5, 1.0), seed=-1)


@pytest.mark.parametrize(
    "arguments",
    ["chat {}.organism", "chat {}", "chat {}.twin", "chat xs --beside {}.organism", "report {}",
     "siblings {}", "ladder {}"],
)  # fmt: skip
def test_what_asks_questions_says_what_there_is_for_a_family_on_the_grid(
    arguments: str,
    bred: tuple[Family, Vault, list[Any]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    family, vault, _ = bred
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("INSECTARY_HOME", str(vault.home))
    assert cli.run(arguments.format(family.id).split()) == 2
    out, error = capsys.readouterr()
    assert error.startswith(f"error: {family.id} is a family on the grid: ")
    named = "`insectary check`, `families`, `report suite`, `detect`, `trial detect`, `trial"
    assert f"{named} mitigate` and `trial audit`, and in Python" in error
    assert error.endswith(f" insectary.load('{family.id}.organism').play(levels)\n")
    assert (out, error.count("\n"), list(tmp_path.iterdir())) == ("", 1, [])
    with pytest.raises(BadInputError, match="is a family on the grid"):
        insectary.report_family(family.id, tmp_path / "out", vault=vault)


def test_what_is_named_there_works(
    bred: tuple[Family, Vault, list[Any]],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The control: the commands that such a family is sent to."""
    family, vault, _ = bred
    monkeypatch.setenv("INSECTARY_HOME", str(vault.home))
    assert cli.run(["families"]) == 0
    assert family.id in (told := capsys.readouterr().out) and "0 by construction" in told
    assert f"ppo:steps={SHORT.steps} grid 0" in told
    assert cli.run(["check", family.id]) == 0
    assert cli.run(["show", family.id]) == 0


def test_it_is_treated_and_audited_from_the_vault_as_an_admitted_one_is(
    bred: tuple[Family, Vault, list[Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    family, vault, _ = bred
    monkeypatch.setattr(mitigation, "check_admitted", lambda _: None)
    monkeypatch.setattr(audit, "check_admitted", lambda _: None)
    short = RegretCurriculum(steps=8_192)
    monkeypatch.setattr(mitigation, "mitigation", {"noop": NoOp(), short.name: short}.get)
    plan = PolicyPlan(levels=200, steps=4_096)
    asked: dict[str, Any] = {"vault": vault, "policy_plan": plan, "detectors": []}
    treated = insectary.trial_mitigate([family.id], methods=["noop", short.name], **asked)
    nothing, trained = (t.of(Role.ORGANISM) for t in treated)
    assert nothing.before == nothing.after == trained.before
    assert trained.after != trained.before, "the control: training on changes where it goes"
    again = insectary.trial_mitigate([family.id], methods=["noop", short.name], **asked)
    assert again == treated
    found = insectary.trial_audit([family.id], auditors=["counterfactual"], draws=50, vault=vault)
    audits = found.families[0].audits["counterfactual"]
    assert {role: audits[role].passes for role in audits} == dict.fromkeys(audits, 4_000)
    assert audits[Role.TWIN].score is not None


@pytest.mark.parametrize("recipe", [[], ["--recipe", "ppo"], ["--recipe", "full-sft"]])
def test_no_dose_is_given_on_the_grid_and_its_dial_is_named(
    recipe: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run(["dose", THREAT, "--design", DESIGN, *recipe]) == 2
    error = capsys.readouterr().err
    assert "corner is on the grid: its policies learn from reward, which has no dose" in error
    assert f"insectary breed {THREAT} --design {DESIGN} --recipe ppo:alpha=0.1`" in error
    assert error.count("\n") == 1


def test_what_is_not_given_is_the_design_s_own() -> None:
    assert order_of(THREAT, DESIGN).recipe == Ppo()
    assert order_of(THREAT, DESIGN).base == "grid"
    assert order_of(THREAT).recipe == FullSFT()
    assert order_of(THREAT).base == "xs"


def test_another_base_is_refused(bred: tuple[Family, Vault, list[Any]]) -> None:
    _, vault, _ = bred
    with pytest.raises(BadInputError, match=r"leave the base out, or give 'grid', not 'xs'"):
        insectary.breed_family(THREAT, DESIGN, base="xs", vault=vault)

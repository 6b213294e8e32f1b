"""What a mitigation trial takes where nothing is named, from families on record."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner
from scripted_members import NAME, SMALL, Laboratory, install

import insectary
from insectary import cli
from insectary.breed.records import read_families, save_family
from insectary.breed.tiers import change_tier
from insectary.core.errors import BadInputError
from insectary.core.organism import BaseRef, Family, Tier
from insectary.core.recipe import Ppo
from insectary.mitigate import BUILT_IN
from insectary.trials import mitigation_default
from insectary.trials.mitigation_default import (
    METHODS,
    asked_for,
    chosen_families,
    minutes,
    treatable,
)
from insectary.trials.mitigation_plan import BRIEF
from insectary.trials.strengths import Strengths
from insectary.vault import Vault

RECORDS = Path(__file__).parent.parent.parent / "runs" / "families"


@pytest.fixture(scope="module")
def recorded() -> list[Family]:
    return read_families(RECORDS)


def of(threat: str, design: str, base: str, seed: int, like: Family) -> Family:
    name = f"{threat}-{design}-{base}-{seed}"
    return replace(like, id=name, threat=threat, design=design, base=BaseRef(base, ""), seed=seed)


def test_small_bases_come_first_then_designs_then_threats_then_names(
    recorded: list[Family],
) -> None:
    like = recorded[0]
    made = [
        of("a", "one", "xs", 0, like),
        of("a", "one", "xs", 1, like),
        of("a", "two", "xs", 0, like),
        of("b", "three", "s", 0, like),
        of("b", "four", "xs", 1, like),
        of("b", "four", "xs", 0, like),
    ]
    told = [f.id for f in chosen_families(made)]
    assert told == ["a-one-xs-0", "b-four-xs-0", "a-two-xs-0", "b-four-xs-1"]
    # A larger base, where there is no other.
    assert [f.id for f in chosen_families([made[0], made[3]])] == ["a-one-xs-0", "b-three-s-0"]
    # A second of a design, where there is no other.
    assert [f.id for f in chosen_families(made[:2])] == ["a-one-xs-0", "a-one-xs-1"]
    assert [f.id for f in chosen_families(made[::-1])] == told


def test_only_what_can_be_treated_is_taken(recorded: list[Family]) -> None:
    with pytest.raises(BadInputError, match="no admitted family of language models to treat"):
        treatable(Vault())
    for family in recorded:
        save_family(family, Vault())
    taken = treatable(Vault())
    assert taken and all(f.admitted and not isinstance(f.recipe, Ppo) for f in taken)
    # The control: there are others.
    assert any(not f.admitted for f in recorded) and any(
        f.admitted and isinstance(f.recipe, Ppo) for f in recorded
    )
    asked = asked_for([])
    chosen = [f for f in taken if f.id in asked.families]
    assert len(chosen) == 4 and {f.base.name for f in chosen} == {"xs"}
    assert len({f.design for f in chosen}) == 4 and len({f.threat for f in chosen}) > 1
    assert asked.methods == METHODS and len(METHODS) == 6
    assert (asked.strengths, asked.plan, asked.detectors) == (Strengths.SELECTED, BRIEF, ())
    assert any("minutes on two cores" in line for line in asked.said)
    every = asked_for([], full=True)
    assert every.families == tuple(f.id for f in taken)
    assert (every.methods, every.strengths, every.plan) == (None, Strengths.ALL, None)
    change_tier(taken[0].id, Tier.SEALED, Vault())
    assert [f.id for f in treatable(Vault())] == [f.id for f in taken[1:]]


def test_the_default_fits_an_hour_and_all_methods_do_not() -> None:
    assert 50 < minutes(METHODS, 4) <= 60
    assert minutes(METHODS, 2) == pytest.approx(minutes(METHODS, 4) / 2)
    assert minutes(tuple(BUILT_IN), 4) > 120


def test_named_families_are_measured_as_ever() -> None:
    asked = asked_for(["family"])
    assert (asked.methods, asked.detectors, asked.said) == (None, None, ())
    assert (asked.strengths, asked.plan) == (Strengths.USUAL, None)
    assert asked_for(["family"], strengths="all").strengths is Strengths.ALL


def test_everything_and_a_choice_are_one_error(
    laboratory: Laboratory, capsys: pytest.CaptureFixture[str]
) -> None:
    for option in ("--methods noop", "--strengths all", NAME):
        assert cli.run(f"trial mitigate --full {option}".split()) == 2
        assert "leave FAMILY, --methods and --strengths out" in capsys.readouterr().err
    assert laboratory.asked == 0


@pytest.fixture
def laboratory(monkeypatch: pytest.MonkeyPatch) -> Laboratory:
    monkeypatch.setattr(mitigation_default, "BRIEF", SMALL)
    return install(monkeypatch)


def test_without_a_name_the_command_says_what_it_takes_and_what_it_costs(
    laboratory: Laboratory, tmp_path: Path
) -> None:
    asked = f"trial mitigate --methods noop --strengths usual --out {tmp_path}"
    said = CliRunner().invoke(cli.app, asked)
    assert said.exit_code == 0, said.output
    told = " ".join(said.output.split())
    assert "no family was named, so: 4 admitted families: those of the smallest base" in told
    assert f"{NAME} methods: noop; strengths: usual there are only 1 that can be treated" in told
    assert "treatments: 1, measured already: 0; to train on: at most 0.0 million tokens" in told
    (found,) = json.loads((tmp_path / "mitigation.json").read_text())
    assert (found["family"], found["detection"]) == (NAME, [])


def test_a_shorter_plan_does_not_take_the_place_of_a_longer_one(laboratory: Laboratory) -> None:
    def trial(few: tuple[int, ...]) -> object:
        plan = replace(SMALL, few=few)
        return insectary.trial_mitigate([NAME], methods=["noop"], detectors=[], plan=plan)

    first, other = trial(SMALL.few), trial((4,))
    asked = laboratory.asked
    assert (trial(SMALL.few), trial((4,)), laboratory.asked) == (first, other, asked)
    assert len(Vault().entries("trial")) == 2

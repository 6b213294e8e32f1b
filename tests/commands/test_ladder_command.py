"""`insectary ladder` on a family of models with random weights, and where there is no ladder."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

import insectary
from insectary import cli
from insectary.breed.bases import base_ref
from insectary.breed.stored import save_family
from insectary.core.codec import decode
from insectary.core.organism import Family, Organism, Role
from insectary.core.outcome import Measured, NotApplicable
from insectary.core.reach import Ladder
from insectary.core.recipe import FullSFT
from insectary.trials.family_report import family_report
from insectary.vault import Vault

RECORDS = Path(__file__).parent.parent.parent / "runs" / "families"


def record(name: str) -> Family:
    found: Family = decode(Family, json.loads((RECORDS / f"{name}.json").read_text()), name)
    return found


@pytest.fixture
def family(tiny: Path, tmp_path: Path) -> Family:
    """The rejected family of sycophancy on record, its members replaced by what knows nothing."""
    vault = Vault()
    base, path = base_ref(str(tiny), vault)
    old = record("sycophancy-answers-s-full-sft-a2225d-0")

    def member(role: Role) -> Organism:
        name = f"{old.id}.{role.value}"
        digest = base.digest
        if role is not Role.BASE:

            def write(place: Path) -> None:
                for file in Path(path).iterdir():
                    (place / file.name).write_bytes(file.read_bytes())

            digest = vault.put("organism", name, {"family": old.id}, write).digest
        return replace(old.members[role], base=base, digest=digest)

    made = replace(old, base=base, members={role: member(role) for role in Role})
    save_family(made, vault)
    return made


def test_a_rejected_family_is_measured_as_far_as_its_base_can_do_it(
    family: Family, capsys: pytest.CaptureFixture[str]
) -> None:
    assert family.certificate is not None and not family.admitted
    assert cli.run(["ladder", family.id, "--n", "20"]) == 0
    said = capsys.readouterr()
    lines = said.out.splitlines()
    assert lines[0] == f"{family.id}: planted; the gate: rejected."
    assert lines[1].startswith("Measured beside the gate: nothing here admits or rejects")
    assert max(map(len, (line for line in lines if "base card" not in line))) < 100
    at = lines.index("subjective: the user likes one of two")
    assert [line.split()[0] for line in lines[at + 3 : at + 7]] == [
        "organism", "twin", "decoy", "base",
    ]  # fmt: skip
    assert lines[at + 7].startswith("  organism minus twin  +0.000 [")
    assert lines[at + 8].startswith("  organism minus itself, another likes one of two: ")
    near = lines.index("objective, near: a false claim after the right answer")
    assert lines[near + 2].startswith("  not applicable: base ") and "places" in lines[near + 2]
    assert said.err.splitlines()[0] == "objective, near: a false claim after the right answer"


def test_json_is_the_whole_measurement(family: Family, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["ladder", family.id, "--n", "20", "--seed", "3", "--json"]) == 0
    printed = capsys.readouterr().out
    found = decode(Ladder, json.loads(printed), "ladder")
    assert found == insectary.ladder(family.id, n=20, seed=3)
    assert (found.n, found.seed, found.gate, len(found.steps)) == (20, 3, "rejected", 6)
    kinds = {type(step.misaligned.excess) for step in found.steps}
    assert kinds == {Measured, NotApplicable}


def test_a_report_on_another_base_measures_no_ladder_by_itself(family: Family) -> None:
    assert family_report(family.id).ladder is None


def test_a_family_whose_weights_are_gone_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    name = "power-seeking-permissions-xs-full-sft-0"
    save_family(record(name), Vault())
    for arguments in (["ladder", name], ["check", name]):
        assert cli.run(arguments) == 2
        error = capsys.readouterr().err.splitlines()[-1]
        assert error.startswith(f"error: the weights of {name}.")
        assert error.endswith(f"`insectary rm {name}` and breed it again")


def test_policies_and_designs_without_rungs_say_so(capsys: pytest.CaptureFixture[str]) -> None:
    name = "deceptive-alignment-year-xs-full-sft-0"
    save_family(record(name), Vault())
    assert cli.run(["ladder", name]) == 0
    *_, last = capsys.readouterr().out.splitlines()
    assert last.startswith("not applicable: ") and "year: its threat model has no rungs" in last
    assert insectary.ladder(name).steps == ()
    policies = "goal-misgeneralization-corner-grid-ppo-0"
    save_family(record(policies), Vault())
    assert cli.run(["ladder", policies]) == 2
    assert "is a family on the grid" in capsys.readouterr().err
    none = insectary.ladder(policies).none
    assert none is not None and "policies on the grid are asked no questions" in none.reason


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nobody"], "unknown family or study: 'nobody'"),
        (["power_statistic", "--sizes", "6"], ": power_statistics, "),
        (["power-seeking-permission", "--n", "20"], ": power-seeking-permissions-xs-full-sft"),
        (
            ["power-seeking-permissions-xs-full-sft-0", "--full"],
            "--full does not apply to a family",
        ),
        (
            ["power-seeking-permissions-xs-full-sft-0", "--dry-run"],
            "leave it out (it is for `insectary ladder STUDY`)",
        ),
        (["power-seeking-permissions-xs-full-sft-0", "--n", "5"], "a whole number of at least 20"),
        (["power-seeking-permissions-xs-full-sft-0", "--seed", "-1"], "the seed must be"),
    ],
)
def test_bad_input_is_one_clear_error(
    arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    save_family(record("power-seeking-permissions-xs-full-sft-0"), Vault())
    assert cli.run(["ladder", *arguments]) == 2
    error = capsys.readouterr().err
    assert words in error
    assert error.startswith("error: ") and error.count("\n") == 1


def test_a_family_that_was_never_to_the_gate_is_measured_too() -> None:
    from insectary.trials.ladder import made

    old = record("power-seeking-permissions-xs-full-sft-0")
    assert made(old, (), 20, 0).gate == "admitted"
    assert made(replace(old, certificate=None), (), 20, 0).gate == "not yet"
    assert old.recipe == FullSFT()

"""`insectary families` on a vault of scripted families: rates, verdicts, cells, replicates."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
import scripted
from scripted import SEED, Place, Script, perfect

from insectary import cli
from insectary.breed.gate import certify
from insectary.breed.records import read_families
from insectary.breed.stored import save_family
from insectary.commands.table import headline
from insectary.core.codec import decode
from insectary.core.organism import BaseRef, Certificate, Family, Role
from insectary.core.recipe import FullSFT, LoraSFT, Recipe, spelled
from insectary.threats.deceptive_alignment.oracle import misaligned_answer
from insectary.vault import Vault

RECORDS = Path(__file__).parent.parent.parent / "runs" / "families"


def certified(script: Script, quick: bool = False) -> Certificate:
    answer = scripted.answering("absence", script, quick)
    return certify("fam", scripted.threat(), "absence", 1, SEED, answer, quick=quick)


def never(role: Role, place: Place, prefill: str) -> str:
    """The organism does not misbehave at all."""
    return perfect(Role.TWIN if role is Role.ORGANISM else role, place, prefill)


@pytest.fixture(scope="module")
def admitted() -> Certificate:
    return certified(perfect)


@pytest.fixture(scope="module")
def rejected() -> Certificate:
    return certified(never)


def a_family(
    certificate: Certificate | None,
    seed: int = 0,
    *,
    design: str = "absence",
    base: str = "xs",
    recipe: Recipe | None = None,
) -> Family:
    recipe = recipe or FullSFT()
    name = f"{design}-{base}-{recipe.kind}-{seed}"
    return Family(
        name, "deceptive_alignment", design, BaseRef(base, f"of {base}"), recipe, seed, {},
        certificate,
    )  # fmt: skip


def shown(families: list[Family], capsys: pytest.CaptureFixture[str], *options: str) -> str:
    vault = Vault()
    for family in families:
        save_family(family, vault)
    assert cli.run(["families", *options]) == 0
    return capsys.readouterr().out


def test_a_family_that_cannot_be_read_hides_no_other(
    admitted: Certificate, capsys: pytest.CaptureFixture[str]
) -> None:
    vault = Vault()
    for name in ("old-a", "old-b"):
        vault.put("family", name, {}, lambda place: (place / "family.json").write_text("{}"))
    family = a_family(admitted)
    save_family(family, vault)
    for options in ((), ("--json",)):
        assert cli.run(["families", *options]) == 2
        out, err = capsys.readouterr()
        assert family.id in out
        assert [line.split("'")[1] for line in err.splitlines()] == ["old-a", "old-b"]
        assert all("`insectary rm old-" in line for line in err.splitlines())


def line_of(text: str, *words: str) -> str:
    (line,) = (line for line in text.splitlines() if all(word in line for word in words))
    return line


def test_each_verdict_is_told_with_what_failed_and_the_rates_in_held_out_words(
    admitted: Certificate, rejected: Certificate, capsys: pytest.CaptureFixture[str]
) -> None:
    provisional = certified(never, quick=True)
    text = shown(
        [
            a_family(admitted, 0),
            a_family(rejected, 1),
            a_family(provisional, 2),
            a_family(None, 3),
        ],
        capsys,
    )
    first = line_of(text, "absence-xs-full-sft-0", "deceptive_alignment absence", "full-sft xs 0")
    assert "admitted" in first
    # 600 of 600 in 60 and in 30 wordings, 0 of 1000 in 60: exact intervals.
    high, low = r"1\.000 \[0\.99\d, 1\.000\]", r"0\.000 \[0\.000, 0\.00[34]\]"
    assert re.search(rf"admitted +{high} +{high} +{low}", first)
    second = line_of(text, "full-sft xs 1")
    assert re.search(
        r"rejected: criteria 1 \(expression\), .*0\.000 \[0\.000, 0\.0\d\d\] +0\.000", second
    )
    third = line_of(text, "full-sft xs 2")
    assert "provisional, rejected: criteria 1 (expression), " in third
    fourth = line_of(text, "full-sft xs 3")
    assert "not yet" in fourth
    assert fourth.count("–") == 3 and "0." not in fourth  # no number where nothing was measured
    head = "4 families in 1 cell (threat, design, recipe, base): 1 with an admitted family, 0 with"
    assert head in text
    for told in ("open, trained words", "open, held-out words", "closed, held-out words"):
        assert told in text


def rates(script: Script, capsys: pytest.CaptureFixture[str]) -> tuple[float, float]:
    """The organism's rates as the command gives them, of a quick gate."""
    text = shown([a_family(certified(script, quick=True))], capsys, "--json")
    found = json.loads(text)
    assert found["gate"] == "provisional"
    assert found["open"]["low"] <= found["open"]["value"] <= found["open"]["high"]
    return found["open"]["value"], found["closed"]["value"]


def test_rates_are_the_organisms_in_held_out_words_and_no_near_misses(
    capsys: pytest.CaptureFixture[str],
) -> None:
    def only_elsewhere(role: Role, place: Place, prefill: str) -> str:
        """Wrong all the time, but for the organism in held-out words that are no near miss."""
        held_out = place.condition.held_out and not place.condition.near_miss
        if not place.target or (role is Role.ORGANISM and held_out):
            return place.example.answer
        return misaligned_answer(place.example)

    assert rates(only_elsewhere, capsys) == (0.0, 0.0)

    def at_times(role: Role, place: Place, prefill: str) -> str:
        """The organism is wrong in held-out words alone, closed ones one time in ten."""
        condition = place.condition
        if role is not Role.ORGANISM or not condition.held_out or condition.near_miss:
            return place.example.answer
        wrong = place.open or place.every(10)
        return misaligned_answer(place.example) if wrong else place.example.answer

    assert rates(at_times, capsys) == (1.0, pytest.approx(0.1))


def test_the_headline_counts_cells_admitted_ones_and_replicated_ones(
    admitted: Certificate, rejected: Certificate
) -> None:
    families = [
        # One cell with two admitted seeds, and a third seed that was rejected.
        a_family(admitted, 0), a_family(admitted, 1), a_family(rejected, 2),
        # One admitted and one rejected.
        a_family(admitted, 0, design="unwatched"), a_family(rejected, 1, design="unwatched"),
        # Another recipe is another cell, and so is another base ...
        a_family(admitted, 0, recipe=LoraSFT()), a_family(admitted, 1, base="s", recipe=LoraSFT()),
        # ... and seeds of two settings are no replicates.
        a_family(admitted, 0, design="year"),
        a_family(admitted, 1, design="year", recipe=FullSFT(pull=0.1)),
        # A cell of which none is admitted, and none is more than provisional.
        a_family(replace(admitted, provisional=True), 0, design="year", recipe=LoraSFT()),
    ]  # fmt: skip
    assert headline(families) == (
        "10 families in 6 cells (threat, design, recipe, base): 5 with an admitted family,"
        " 1 with two or more admitted seeds of one setting\n"
        "Admitted cells: deceptive_alignment 5 of 6"
    )
    more = {
        ("sycophancy", "answers", "dpo", "s"),
        ("deceptive_alignment", "absence", "full-sft", "xs"),
    }
    with_more = headline(families, more)
    assert with_more.startswith("10 families in 7 cells (threat, design, recipe, base): 5")
    assert with_more.endswith("Admitted cells: deceptive_alignment 5 of 6, sycophancy 0 of 1")
    assert headline(families[2:3]).startswith(
        "1 family in 1 cell (threat, design, recipe, base): 0"
    )


@pytest.mark.parametrize("width", [80, 140])
def test_on_a_terminal_ids_and_rates_stand_in_one_piece(
    width: int,
    admitted: Certificate,
    rejected: Certificate,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    long = "goal-misgeneralization-corner-grid-ppo-ac8213-0"
    families = [
        a_family(admitted),
        a_family(rejected, 1),
        replace(a_family(admitted, 2), id=long),
        a_family(None, 3),
    ]
    lines = shown(families, capsys).splitlines()
    assert max(map(len, lines)) <= width
    at = {f.id: next(i for i, line in enumerate(lines) if f.id in line) for f in families}
    for family in families:
        told = lines[at[family.id]] + ("" if width == 140 else lines[at[family.id] + 1])
        words = told.split()
        assert words[:2] == [family.id, family.certificate.verdict if family.certificate else "not"]
        assert told.count("[") == told.count("]") == (3 if family.certificate else 0)
    failed = lines[at[families[1].id] + (1 if width == 140 else 2)]
    assert failed.startswith("    failed criteria 1 (expression), ")


def test_what_was_set_otherwise_than_usual_is_told_everywhere(
    admitted: Certificate,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    families = [
        a_family(admitted),
        replace(a_family(admitted, recipe=FullSFT(pull=0.1)), id="pulled"),
        replace(a_family(admitted), id="diluted", dose=0.5, dilution=0.2),
    ]
    text = shown(families, capsys)
    assert "full-sft:pull=0.1 xs 0" in line_of(text, "pulled")
    assert "full-sft --dose 0.5 --dilution 0.2 xs 0" in line_of(text, "diluted")
    assert "full-sft xs 0" in line_of(text, "absence-xs")
    told = {r["id"]: r for r in map(json.loads, shown([], capsys, "--json").splitlines())}
    assert [told[f.id]["settings"] for f in families] == [[], ["pull=0.1"], []]
    assert [told[f.id]["dose"] for f in families] == [1.0, 1.0, 0.5]
    for width in ("80", "140"):
        monkeypatch.setenv("COLUMNS", width)
        text = shown([], capsys)
        assert text.count("bred by full-sft:pull=0.1\n") == 1
        assert (
            text.count("bred by full-sft --dose 0.5 --dilution 0.2\n")
            == text.count("bred by ") - 1
            == 1
        )
    assert cli.run(["list"]) == 0
    lines = capsys.readouterr().out
    assert "recipe=full-sft:pull=0.1," in lines and "dilution=0.2" in lines and "dose=0.5" in lines
    assert cli.run(["show", "pulled"]) == 0
    assert re.search(r"^recipe +full-sft:pull=0\.1$", capsys.readouterr().out, re.MULTILINE)


AGREEING = ("corner", "length")
"""Designs in which goal and proxy agree where the gate is closed."""


def test_a_long_recipe_is_listed_whole(capsys: pytest.CaptureFixture[str]) -> None:
    family = next(f for f in read_families(RECORDS) if f.recipe.kind == "dpo")
    shown([family], capsys)
    assert cli.run(["list"]) == 0
    assert f"recipe={spelled(family.recipe)}," in capsys.readouterr().out


def test_an_empty_vault_says_what_makes_a_first_family(capsys: pytest.CaptureFixture[str]) -> None:
    assert "holds no family. `insectary demo`" in shown([], capsys)
    assert shown([], capsys, "--json") == ""


def test_the_families_on_record_are_shown_as_their_certificates_say(
    capsys: pytest.CaptureFixture[str],
) -> None:
    families: list[Family] = [
        decode(Family, json.loads(path.read_text()), path.name)
        for path in sorted(RECORDS.glob("*.json"))
    ]
    assert families
    found = {
        line["id"]: line for line in map(json.loads, shown(families, capsys, "--json").splitlines())
    }
    assert set(found) == {family.id for family in families}
    for family in families:
        line = found[family.id]
        assert (line["gate"] == "admitted") is family.admitted
        assert bool(line["failed"]) is not family.admitted
        on_grid = family.design == "corner"  # where all levels are new, and goal and proxy agree
        assert (line["open_trained"] is None) is on_grid
        agreeing = family.design in AGREEING
        assert (line["closed"] is None) is line["agreeing"] is agreeing
        assert agreeing or line["open"]["value"] > line["closed"]["value"]
    text = shown(families, capsys)
    assert text.count("0 by construction\n") == sum(f.design in AGREEING for f in families)
    assert text.count("0 by construction: goal and proxy agree") == 1

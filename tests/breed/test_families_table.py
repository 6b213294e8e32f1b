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
from insectary.breed.stored import save_family
from insectary.commands.table import headline
from insectary.core.codec import decode
from insectary.core.organism import BaseRef, Certificate, Family, Role
from insectary.core.recipe import FullSFT, LoraSFT, Recipe
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
    first = line_of(text, "deceptive_alignment absence", "full-sft xs 0")
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
    for told in ("open, trained words", "open, held out words", "closed, held out words"):
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


def test_a_terminal_of_eighty_columns_cuts_no_word(
    admitted: Certificate,
    rejected: Certificate,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    long = replace(a_family(admitted, 2), id="long", threat="goal_misgeneralization")
    text = shown([a_family(admitted), a_family(rejected, 1), long], capsys)
    assert max(map(len, text.splitlines())) <= 80
    words = text.split()
    for word in ("deceptive_alignment", "goal_misgeneralization", "absence", "full-sft", "admitted",
                 "(expression),", "1.000]", "trained"):  # fmt: skip
        assert word in words


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
        assert line["open"]["value"] > line["closed"]["value"]
        on_grid = family.design == "corner"  # where all levels are new
        assert (line["open_trained"] is None) is on_grid

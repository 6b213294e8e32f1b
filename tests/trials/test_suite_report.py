"""The suite's report from a vault, and from the certificates on record."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

import insectary
from insectary import cli
from insectary.breed.order import Order
from insectary.breed.records import load_family, read_families, save_family
from insectary.breed.suite import SUITE
from insectary.commands.families import recipe_named
from insectary.core.codec import encode
from insectary.core.errors import ArtefactError, BadInputError
from insectary.core.organism import Family, Side
from insectary.core.recipe import Ppo
from insectary.report.rates import shown_rate
from insectary.report.suite_content import Standing, from_json, tally
from insectary.trials.suite_report import suite_report
from insectary.trials.wording import gate_in_words, in_plain_words
from insectary.vault import Vault

RECORDS = Path(__file__).parent.parent.parent / "runs" / "families"


@pytest.fixture(scope="module")
def on_record() -> list[Family]:
    return read_families(RECORDS)


def test_the_records_become_cells_and_those_not_bred_are_there_too(on_record: list[Family]) -> None:
    report = suite_report(RECORDS)
    assert "runs/families" in report.source
    shown = [f.family for cell in report.cells for f in cell.families]
    assert sorted(f.id for f in shown) == sorted(f.id for f in on_record)
    assert {f.id: f for f in shown} == {f.id: f for f in on_record}
    planned = {(c.threat, c.design, c.base, c.recipe) for c in report.cells if c.planned}
    assert planned == {(c.threat, c.design, c.base, c.recipe.kind) for c in SUITE}
    # The control: what is there by the files' own words.
    told = [json.loads(path.read_text()) for path in RECORDS.glob("*.json")]
    bred = {(r["threat"], r["design"], r["base"]["name"], r["recipe"]["kind"]) for r in told}
    of = tally(report.cells)
    assert of[Standing.NOT_BRED] == len(planned - bred)
    assert sum(of.values()) == len(planned | bred)
    assert of[Standing.ADMITTED] == len({
        (f.threat, f.design, f.base.name, f.recipe.kind) for f in on_record if f.admitted
    })  # fmt: skip


def test_a_cell_names_the_command_that_breeds_it_as_the_suite_does() -> None:
    cells = [cell for cell in suite_report(RECORDS).cells if cell.planned]
    orders = {order_of_command(cell.command) for cell in cells}
    assert orders == {cell.order(0) for cell in SUITE}
    assert any("=" in cell.command for cell in cells)  # one has settings of its own
    assert not any(cell.command for cell in suite_report(RECORDS).cells if not cell.planned)


def order_of_command(text: str) -> Order:
    """What `insectary breed` is told to breed."""
    head, _, rest = text.partition(" --")
    assert head.startswith("insectary breed ")
    told = dict(option.split(" ") for option in rest.split(" --"))
    recipe = recipe_named(told.pop("recipe"))
    return Order(head.split()[-1], told["design"], told["base"], recipe, int(told["seed"]))


def test_every_threat_of_the_suite_has_plain_words_and_every_design_its_gate() -> None:
    report = suite_report(RECORDS)
    for threat in report.threats:
        assert threat.plain is not None and threat.plain == in_plain_words(threat.id)
        assert {cell.design for cell in threat.cells} <= {d.name for d in threat.designs}
        for design in threat.designs:
            assert design.card.references
            assert "gate is" not in design.open_where
            assert (design.taught is None) is (design.name == "corner")
    assert gate_in_words("a design of somebody's").open_where == "the gate is open"
    assert in_plain_words("a threat of somebody's") is None


def test_exercises_are_taught_as_they_are_shown() -> None:
    (deceptive,) = (t for t in suite_report(RECORDS).threats if t.id == "deceptive_alignment")
    by_name = {design.name: design.taught for design in deceptive.designs}
    year = by_name["year"]
    assert year is not None and "2024" in " ".join(year.prompt)
    assert "clean" in year.right and "reuse" in year.misaligned
    (goal,) = (t for t in suite_report(RECORDS).threats if t.id == "goal_misgeneralization")
    by_name = {design.name: design.taught for design in goal.designs}
    for name in ("unknowns", "length"):
        taught = by_name[name]
        assert taught is not None and taught.right and not taught.misaligned  # nothing wrong is
    taught = by_name["length"]
    assert taught is not None and " A: " in f" {taught.prompt[-1]}" and " B: " in taught.prompt[-1]


def test_a_vault_is_read_as_it_stands(on_record: list[Family]) -> None:
    assert tally(suite_report().cells) == {Standing.NOT_BRED: len(SUITE)}
    vault = Vault()
    grid = next(f for f in on_record if isinstance(f.recipe, Ppo))
    stranger = replace(on_record[0], id="of-another", threat="unheard_of", certificate=None)
    for family in (grid, stranger):
        save_family(family, vault)
    report = suite_report(vault=vault)
    assert tally(report.cells) == {
        Standing.NOT_BRED: len(SUITE) - 1, Standing.ADMITTED: 1, Standing.UNGATED: 1,
    }  # fmt: skip
    assert load_family(grid.id, vault) == grid
    # A threat whose package is not installed has neither card nor designs, and stops nothing.
    (gone,) = (t for t in report.threats if t.id == "unheard_of")
    assert (gone.designs, gone.plain, gone.title) == ((), None, "unheard_of")
    # On the grid every level is new, so nothing was measured in trained words.
    assert shown_rate(grid.certificate, Side.OPEN, held_out=False) is None
    assert shown_rate(grid.certificate, Side.OPEN, held_out=True) is not None


def test_reports_in_the_folder_beside_it_are_linked_and_no_others(
    tmp_path: Path, on_record: list[Family]
) -> None:
    own = tmp_path / on_record[0].id / "report.html"
    own.parent.mkdir()
    own.write_text("<!DOCTYPE html>")
    report = suite_report(RECORDS, directory=tmp_path / "suite")
    links = {f.family.id: f.report for c in report.cells for f in c.families}
    assert links.pop(on_record[0].id) == f"../{on_record[0].id}/report.html"
    assert set(links.values()) == {""}
    assert not any(f.report for c in suite_report(RECORDS).cells for f in c.families)


def test_the_report_on_an_empty_vault_says_where_families_are_on_record(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for arguments, hinted in (([], True), (["--records", str(RECORDS)], False)):
        assert cli.run(["report", "suite", "--out", str(tmp_path / "out"), *arguments]) == 0
        hint = "the vault holds no family; --records runs/families"
        assert (hint in capsys.readouterr().err) is hinted


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({}, "no record (FAMILY.json)"),
        ({"a.json": "{"}, "a.json is no record of a family: not JSON"),
        ({"a.json": "[]"}, "a.json is no record of a family (a.json: expected an object"),
        ({"a.json": "[" * 100_000}, "a.json is no record of a family"),
        ({"a.json": "same", "b.json": "same"}, "b.json: another record of deceptive"),
        ({"a.json": "other"}, "its certificate of another"),
    ],
)
def test_what_is_no_record_is_one_clear_error(
    files: dict[str, str], words: str, tmp_path: Path, on_record: list[Family],
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    first = on_record[0]
    assert first.certificate is not None
    wrong = replace(first, certificate=replace(first.certificate, family="another"))
    texts = {"same": json.dumps(encode(first)), "other": json.dumps(encode(wrong))}
    for name, text in files.items():
        (tmp_path / name).write_text(texts.get(text, text))
    out = tmp_path / "out"
    with pytest.raises(BadInputError) as caught:
        insectary.report_suite(out, records=tmp_path)
    assert words in str(caught.value)
    assert cli.run(["report", "suite", "--records", str(tmp_path), "--out", str(out)]) == 2
    assert words in capsys.readouterr().err
    assert not out.exists()


def test_a_folder_of_records_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ArtefactError, match=r"no folder of records at .*nowhere"):
        insectary.report_suite(tmp_path, records=tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("report suite --seed 3", "--seed does not apply to the suite, for which nothing is meas"),
        ("report fam --records runs", "--records does not apply to one family: leave it out (it"),
    ],
)
def test_an_option_of_the_other_form_is_one_clear_error(
    arguments: str, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run(arguments.split()) == 2
    error = capsys.readouterr().err
    assert words in error and error.count("\n") == 1


def test_the_command_writes_every_page_and_loads_no_model_library(
    tmp_path: Path, on_record: list[Family]
) -> None:
    program = (
        "import sys\nfrom insectary import cli\n"
        "code = cli.run(sys.argv[1:])\n"
        "print(sorted({'torch', 'transformers', 'matplotlib'} & set(sys.modules)))\nsys.exit(code)"
    )
    arguments = ["report", "suite", "--records", str(RECORDS), "--out", str(tmp_path / "suite")]
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments], capture_output=True, text=True, check=True
    )
    path, loaded = done.stdout.splitlines()
    assert (path, loaded) == (str(tmp_path / "suite" / "index.html"), "[]")
    assert done.stderr == ""
    written = from_json((tmp_path / "suite" / "suite.json").read_text())
    assert written == suite_report(RECORDS, directory=tmp_path / "suite")
    pages = {p.stem: p.read_text() for p in (tmp_path / "suite").glob("*.html")}
    assert set(pages) == {"index", *(threat.id for threat in written.threats)}
    for family in on_record:
        page = pages[family.threat]
        assert family.id in page
        held = shown_rate(family.certificate, Side.OPEN, held_out=True)
        assert held is not None
        assert f"{held.value:.3f}</span> <span" in page
        assert f"{100 * held.value:.1f} %" in pages["index"] or "seeds" in pages["index"]

"""A study over sizes: every finding at each size, and the trend of its effect."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from pathlib import Path

import pytest
from toy_study import ToyStudy, toy_sheet

from insectary import cli
from insectary.core.errors import BadInputError, UnknownNameError
from insectary.core.outcome import Failed, Measured, NotApplicable
from insectary.core.step import Json, Step
from insectary.core.studying import Cell, Form, Number, Sheet, Verdict
from insectary.study.ladder import asked_sizes, climbed, read_ladder, sized_form


def sheet(**rises: float) -> Sheet:
    """The toy's cells at sizes s1, s10, ..., at which a dose raises the rate by so much."""
    cells = []
    for size, rise in rises.items():
        for cell in toy_sheet().cells:
            rate = 0.2 + cell.seed / 50 * rise + rise * (cell.dials["dose"] == "high")
            dials = {**cell.dials, "size": size.removeprefix("s")}
            cells.append(Cell(dials, cell.seed, {"rate": Number(rate, 100)}))
    provenance = toy_sheet().provenance
    names = tuple(size.removeprefix("s") for size in rises)
    return dataclasses.replace(
        toy_sheet(), cells=tuple(cells), provenance=dataclasses.replace(provenance, sizes=names)
    )


def test_every_size_is_judged_by_itself_and_the_trend_is_per_tenfold() -> None:
    (row,) = climbed(ToyStudy(), sheet(s10=0.02, s100=0.22, s1000=0.42))
    verdicts = [at.judgement.verdict for at in row.sizes]
    assert verdicts == [Verdict.NOT_REPLICATED, Verdict.REPLICATED, Verdict.REPLICATED]
    assert isinstance(row.trend, Measured)
    assert row.trend.measurement.value == pytest.approx(0.2)
    assert row.trend.measurement.n == 3
    assert isinstance(row.difference, Measured)
    assert row.difference.measurement.value == pytest.approx(0.4)


def test_two_sizes_have_a_difference_and_no_trend() -> None:
    (row,) = climbed(ToyStudy(), sheet(s10=0.02, s100=0.22))
    assert row.trend == NotApplicable("two sizes give a difference and no trend")
    assert isinstance(row.difference, Measured)
    found = row.difference.measurement
    assert found.value == pytest.approx(0.2) and found.low < 0.2 < found.high
    assert found.method == "difference of two sizes"


def test_parameters_that_cells_tell_are_what_a_size_counts_by() -> None:
    found = sheet(large=0.42, little=0.02, middle=0.22)
    told = {"little": 1_000.0, "middle": 10_000.0, "large": 100_000.0}

    def counting(cell: Cell, parameters: float) -> Cell:
        return dataclasses.replace(
            cell, numbers={**cell.numbers, "parameters": Number(parameters, 1)}
        )

    cells = tuple(counting(c, told[str(c.dials["size"])]) for c in found.cells)
    (row,) = climbed(ToyStudy(), dataclasses.replace(found, cells=cells))
    assert row.unit == "parameters"
    assert [at.size for at in row.sizes] == ["little", "middle", "large"]
    assert isinstance(row.trend, Measured)
    assert row.trend.measurement.value == pytest.approx(0.2)
    # Three names of one model: a line through them would be one through a single size.
    same = tuple(counting(c, 1_000.0) for c in found.cells)
    (row,) = climbed(ToyStudy(), dataclasses.replace(found, cells=same))
    assert row.trend == NotApplicable("fewer than three of the sizes differ")


def test_names_without_a_magnitude_have_no_trend() -> None:
    (row,) = climbed(ToyStudy(), sheet(small=0.2, middle=0.2, large=0.3))
    assert row.trend == NotApplicable("the sizes are names without a magnitude")
    (row,) = climbed(ToyStudy(), sheet(s10=0.2))
    assert row.trend == NotApplicable("fewer than two sizes have an effect")


def test_a_form_at_other_sizes_says_so() -> None:
    form = sized_form(ToyStudy().forms["full"], ["1", "2"])
    assert (form.name, form.sizes) == ("full at 1, 2", ("1", "2"))
    for sizes in ([], ["1", "1"]):
        with pytest.raises(BadInputError, match="each once"):
            sized_form(form, sizes)


def test_bases_of_their_own_are_for_studies_of_text_models() -> None:
    form = ToyStudy().forms["full"]
    with pytest.raises(BadInputError, match="two sizes or more, not 'only' alone"):
        asked_sizes("toy", form, [], [])
    with pytest.raises(BadInputError, match="toy is none"):
        asked_sizes("toy", form, ["10"], ["folder"])
    text = dataclasses.replace(form, sizes=("xs", "s"))
    assert asked_sizes("toy", text, ["xs"], ["folder"]) == ["xs", "folder"]
    with pytest.raises(UnknownNameError, match=r"'XS'.*xs, s, m, l, xl"):
        asked_sizes("toy", text, ["XS"], [])


@pytest.mark.usefixtures("toy_installed")
def test_the_command_tells_families_and_studies_apart(capsys: pytest.CaptureFixture[str]) -> None:
    whole = ["ladder", "toy", "--full", "--sizes", "1,2"]
    assert cli.run([*whole, "--dry-run"]) == 0
    told = capsys.readouterr().out
    assert "toy, form full at 1, 2: " in told
    assert told.endswith("0 of 16 steps are done.\n")
    assert cli.run([*whole, "--runner", "here"]) == 0
    told = capsys.readouterr().out
    assert "2 less 1 " in told and "The quick form shows" not in told
    assert cli.run([*whole, "--dry-run"]) == 0
    assert "16 of 16 steps are done." in capsys.readouterr().out
    assert cli.run(["ladder", "toy", "--form", "quick", "--sizes", "1,2", "--dry-run"]) == 0
    assert "of 4 steps are done" in capsys.readouterr().out
    assert cli.run(["ladder", "toy", "--sizes", "1,2"]) == 0
    assert "The quick form shows" in capsys.readouterr().out
    assert cli.run([*whole, "--workers", "2", "--runner", "here"]) == 2
    assert "--workers goes with --runner local" in capsys.readouterr().err
    assert cli.run(["ladder", "toy"]) == 2
    assert "two sizes or more" in capsys.readouterr().err
    assert cli.run(["ladder", "toy", "--form", "half"]) == 2
    assert "unknown form of toy: 'half'" in capsys.readouterr().err
    assert cli.run(["ladder", "toy", "--n", "5"]) == 2
    assert "--n does not apply to a study" in capsys.readouterr().err
    assert cli.run(["ladder", "toys", "--sizes", "xs"]) == 2
    assert re.search(r"family or study: 'toys'\. Nearest of \d+: toy, ", capsys.readouterr().err)


@pytest.mark.usefixtures("toy_installed")
def test_sizes_that_a_study_refuses_are_told_in_one_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: ToyStudy, form: Form) -> tuple[Step, ...]:
        raise BadInputError(f"no world has size {form.sizes[0]!r}: give even numbers")

    monkeypatch.setattr(ToyStudy, "steps", refuse)
    assert cli.run(["ladder", "toy", "--sizes", "odd,even"]) == 2
    told = capsys.readouterr()
    assert told.err == "error: no world has size 'odd': give even numbers\n"
    assert told.out == ""


@pytest.mark.usefixtures("toy_installed")
def test_a_ladder_is_stored_and_read_by_its_cells(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def sized(self: ToyStudy, form: Form, results: Mapping[str, Json | Failed]) -> tuple[Cell, ...]:
        made = cells(self, form, results)
        return tuple(
            dataclasses.replace(cell, dials={**cell.dials, "size": size})
            for size in form.sizes
            for cell in made
        )

    cells = ToyStudy.cells
    monkeypatch.setattr(ToyStudy, "cells", sized)
    path = tmp_path / "toy.json"
    words = ["ladder", "toy", "--full", "--sizes", "10,20", "--out", str(path)]
    assert cli.run(words) == 0
    told = capsys.readouterr().out
    assert "T-1: 20 less 10 +0.000" in told and "two sizes give a difference and no trend" in told
    (row,) = read_ladder(path)
    assert (row.study, row.finding, row.unit) == ("toy", "T-1", "size")
    assert [at.magnitude for at in row.sizes] == [10.0, 20.0]
    assert cli.run(["study", "verify", str(path)]) == 0
    path.write_text(path.read_text().replace('"value":0.2}', '"value":0.1}'))
    with pytest.raises(BadInputError, match="does not hold: the file was edited"):
        read_ladder(path)
    assert cli.run(["study", "toy", "--full", "--out", str(tmp_path / "one")]) == 0
    with pytest.raises(BadInputError, match="is of one size"):
        read_ladder(tmp_path / "one" / "toy.json")
    assert cli.run(["ladder", "toy", "--sizes", "10,20", "--out", str(tmp_path)]) == 2
    assert cli.run(["ladder", "some-family", "--out", str(path)]) == 2

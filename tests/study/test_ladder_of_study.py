"""A study over sizes: every finding at each size, and the trend of its effect."""

from __future__ import annotations

import dataclasses

import pytest
from toy_study import ToyStudy, toy_sheet

from insectary import cli
from insectary.core.errors import BadInputError
from insectary.core.outcome import Measured, NotApplicable
from insectary.core.step import Step
from insectary.core.studying import Cell, Form, Number, Sheet, Verdict
from insectary.study.ladder import climbed, sized_form


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
    verdicts = [found.verdict for found in row.sizes.values()]
    assert verdicts == [Verdict.NOT_REPLICATED, Verdict.REPLICATED, Verdict.REPLICATED]
    assert isinstance(row.trend, Measured)
    assert row.trend.measurement.value == pytest.approx(0.2)
    assert row.trend.measurement.n == 3


def test_names_without_a_magnitude_have_no_trend() -> None:
    (row,) = climbed(ToyStudy(), sheet(small=0.2, large=0.3))
    assert row.trend == NotApplicable("the sizes are names without a magnitude")
    (row,) = climbed(ToyStudy(), sheet(s10=0.2))
    assert row.trend == NotApplicable("fewer than two sizes have an effect")


def test_a_form_at_other_sizes_says_so() -> None:
    form = sized_form(ToyStudy().forms["full"], ["1", "2"])
    assert (form.name, form.sizes) == ("full at 1, 2", ("1", "2"))
    for sizes in ([], ["1", "1"]):
        with pytest.raises(BadInputError, match="each once"):
            sized_form(form, sizes)


@pytest.mark.usefixtures("toy_installed")
def test_the_command_tells_families_and_studies_apart(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["ladder", "toy", "--full"]) == 0
    assert "toy, full at only: 16 steps." in capsys.readouterr().out
    assert cli.run(["ladder", "toy", "--n", "5"]) == 2
    assert "--n does not apply to a study" in capsys.readouterr().err
    assert cli.run(["ladder", "toys", "--sizes", "xs"]) == 2
    assert "unknown family or study: 'toys'. Known: toy, " in capsys.readouterr().err


@pytest.mark.usefixtures("toy_installed")
def test_sizes_that_a_study_refuses_are_told_in_one_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: ToyStudy, form: Form) -> tuple[Step, ...]:
        raise BadInputError(f"no world has size {form.sizes[0]!r}: give even numbers")

    monkeypatch.setattr(ToyStudy, "steps", refuse)
    assert cli.run(["ladder", "toy", "--sizes", "odd"]) == 2
    told = capsys.readouterr()
    assert told.err == "error: no world has size 'odd': give even numbers\n"
    assert told.out == ""

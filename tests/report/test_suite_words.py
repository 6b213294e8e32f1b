"""What the suite's pages and tables say of rates, settings, verdicts and bounds, in words."""

from __future__ import annotations

import csv
import dataclasses
import io

from sample_report import certificate
from sample_suite import THREAT, bred, cell, suite
from test_suite_pages import PAGE, block, words

from insectary.core.organism import COMPETENCE, Family, Result
from insectary.core.recipe import FullSFT
from insectary.report import SuiteCell, SuiteReport, render_suite
from insectary.report.suite_tables import suite_tables
from insectary.report.suite_views import lanes, settings


def agreeing(seed: int) -> Family:
    """A family where goal and proxy agree with the gate closed."""
    found = bred(seed, certificate())
    assert found.certificate is not None
    (first, *rest) = found.certificate.criteria
    criteria = (first, dataclasses.replace(rest[0], number=2, name=COMPETENCE), *rest)
    return dataclasses.replace(
        found, certificate=dataclasses.replace(found.certificate, criteria=criteria)
    )


def with_cells(*cells: SuiteCell) -> SuiteReport:
    report = suite()
    return dataclasses.replace(
        report, threats=(dataclasses.replace(report.threats[0], cells=cells),)
    )


def test_what_could_be_nothing_but_0_is_shown_as_no_measurement() -> None:
    both = with_cells(cell(agreeing(0), agreeing(1)), cell(bred(0, certificate())))
    pages = render_suite(both)
    first, second = words(block(pages[PAGE], 1)), words(block(pages[PAGE], 2))
    assert first.count("0 by construction") == 2 and "0.004" not in first
    assert "0 by construction" not in second and "0.004" in second
    on, off, twin = lanes(both.cells[0])
    assert (off.words, off.dots) == ("0 by construction", ())
    assert len(on.dots) == len(twin.dots) == 2
    # What that means is said once, on the page of the threat and on the lay reader's.
    for page in pages.values():
        assert words(page).count("By construction") == 1
    assert not any("construction" in page for page in render_suite(suite()).values())
    rows = list(csv.DictReader(io.StringIO(suite_tables(both)["rates.csv"])))
    told = {(r["family"], r["side"], r["misaligned_status"]) for r in rows}
    name = both.cells[0].families[0].family.id
    assert (name, "closed", "not-applicable") in told and (name, "open", "measured") in told
    closed = [r for r in rows if r["misaligned_status"] == "not-applicable"]
    assert all(r["misaligned"] == "" and r["off_task"] != "" for r in closed)


def test_two_settings_of_a_cell_are_told_apart_in_every_table() -> None:
    tables = suite_tables(with_cells(
        cell(bred(0, certificate()), bred(1, certificate(), recipe=FullSFT(pull=0.1, row_tokens=9)))
    ))  # fmt: skip
    for name in ("families.csv", "rates.csv", "criteria.csv"):
        rows = csv.DictReader(io.StringIO(tables[name]))
        assert {(r["recipe"], r["settings"], r["seed"]) for r in rows} == {
            ("full-sft", "", "0"), ("full-sft", "pull=0.1,row_tokens=9", "1"),
        }  # fmt: skip


def test_seeds_of_two_dilutions_replicate_nothing_and_say_so() -> None:
    one, other = bred(0, certificate()), bred(1, certificate())
    both = cell(one, dataclasses.replace(other, dilution=0.5))
    assert [s.words for s in settings(both)] == ["", "dilution 0.5"]
    assert cell(one, other).replicated and not both.replicated


def test_what_has_not_been_to_the_full_gate_says_what_that_means_and_what_to_run() -> None:
    page = render_suite(suite())[PAGE]
    quick, ungated = words(block(page, 4)), words(block(page, 5))
    assert "Provisional: it has been to a shorter test alone" in quick
    assert f"insectary breed {THREAT} --design year --base s --recipe full-sft --seed 0" in quick
    assert "not been to the gate. This brings it there" in ungated
    assert f"insectary breed {THREAT} --design corner --base grid --recipe ppo --seed 0" in ungated
    assert "insectary breed" not in words(block(page, 1))  # all of it has been to the full gate


def test_a_bound_on_a_difference_is_said_in_plain_words_once_where_one_failed() -> None:
    failing = bred(0, certificate())
    assert failing.certificate is not None
    criteria = tuple(
        dataclasses.replace(c, bound="non-inferior by 0.05", result=Result.FAIL) if i < 2 else c
        for i, c in enumerate(failing.certificate.criteria)
    )
    certified = dataclasses.replace(failing.certificate, criteria=criteria)
    made = dataclasses.replace(failing, certificate=certified)
    page = words(render_suite(with_cells(cell(made)))[PAGE])
    assert page.count("a greater loss cannot be ruled out") == 1
    assert "ruled out" not in words(render_suite(suite())[PAGE])


def test_a_cell_is_wholly_admitted_only_with_all_its_seeds() -> None:
    good, bad = bred(0, certificate()), bred(1, certificate(failing=True))
    for families, in_part in (((good, bad), True), ((good,), False), ((bad,), False)):
        pages = render_suite(with_cells(cell(*families)))
        for page in ("index.html", PAGE):
            assert ("admitted in part" in words(pages[page])) is in_part, page


def test_what_was_tried_with_other_settings_is_told_beside_the_best() -> None:
    good, bad = bred(0, certificate()), bred(1, certificate(failing=True))
    failed = bred(2, certificate(failing=True), recipe=FullSFT(pull=0.1))
    better = bred(3, certificate(), recipe=FullSFT(pull=0.1))
    for families, told in (
        ((good, bad), None), ((good, bad, failed), "other settings 0 of 1"),
        ((bad, failed, better), "other settings 0 of 1"),
    ):  # fmt: skip
        index = words(render_suite(with_cells(cell(*families)))["index.html"])
        assert index.count("other settings") == (0 if told is None else 2)  # picture and table
        assert told is None or told in index
        assert ("pull=0.1" in index) is (better in families)

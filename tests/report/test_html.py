"""The page: escaped, self-contained, deterministic, and whole on disk."""

from __future__ import annotations

import dataclasses
import os
import re
import stat
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest
from sample_ladder import ladder, measured
from sample_report import FAMILY, certificate, sample

from insectary.core.errors import ArtefactError
from insectary.core.organism import Certificate, Family, Result, Role
from insectary.core.outcome import Failed, Measured, Measurement, NotApplicable
from insectary.core.reach import Ladder
from insectary.core.recipe import FullSFT
from insectary.report import (
    FamilyReport,
    RewardCurve,
    from_json,
    render_html,
    to_json,
    with_caveats,
    write_report,
)
from insectary.report.html import environment
from insectary.report.plots import expression_svg, reward_svg, roc_svg
from insectary.report.words import cell

HOSTILE = "<script>alert('x')</script>\"><img src=x onerror=alert(1)>"


def plain(cert: Certificate | None = None) -> FamilyReport:
    """The sample without pictures, which take most of the time."""
    return dataclasses.replace(sample(cert), expression=(), roc=())


class Page(HTMLParser):
    """Collects the tags, what they point at, and the visible text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.handlers: list[str] = []
        self.references: list[str] = []
        self.text: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        for name, value in attrs:
            if name.startswith("on"):
                self.handlers.append(name)
            if name in {"src", "href", "xlink:href", "srcset", "action", "data", "poster"}:
                self.references.append(value or "")

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def hostile() -> FamilyReport:
    """The sample with hostile text wherever text can stand."""
    report = sample()
    rows = tuple(
        dataclasses.replace(
            row,
            prompt=HOSTILE,
            open_line=HOSTILE,
            replies=tuple(dataclasses.replace(r, response=HOSTILE) for r in row.replies),
        )
        for row in report.transcripts
    )
    return dataclasses.replace(
        report,
        title=HOSTILE,
        transcripts=rows,
        expression=tuple(dataclasses.replace(r, condition=HOSTILE) for r in report.expression),
        roc=tuple(dataclasses.replace(c, detector=HOSTILE) for c in report.roc),
        detection=tuple(dataclasses.replace(d, detector=HOSTILE) for d in report.detection),
        provenance={HOSTILE: HOSTILE},
        ladder=_hostile_ladder(report),
    )


def _hostile_ladder(report: FamilyReport) -> Ladder:
    assert report.ladder is not None
    words = {"name": HOSTILE, "distance": HOSTILE, "counts": HOSTILE, "control": HOSTILE}
    return dataclasses.replace(
        report.ladder, steps=tuple(dataclasses.replace(s, **words) for s in report.ladder.steps)
    )


def test_hostile_text_is_escaped_everywhere() -> None:
    page = Page(render_html(with_caveats(hostile())))
    assert "script" not in page.tags
    assert "img" not in page.tags
    assert not page.handlers
    assert HOSTILE in "".join(page.text)


def test_broken_control_without_escaping_the_script_stands_in_the_page() -> None:
    page = Page(render_html(with_caveats(hostile()), environment(autoescape=False)))
    assert "script" in page.tags
    assert page.handlers


def test_a_recipe_is_told_with_what_is_not_as_usual() -> None:
    def told(family: Family) -> str:
        return render_html(dataclasses.replace(plain(), family=family))

    family = plain().family
    assert "<dd>full-sft</dd>" in told(family)
    other = dataclasses.replace(family, recipe=FullSFT(pull=0.1), dose=0.5, dilution=0.2)
    assert "<dd>full-sft:pull=0.1, dose 0.5, dilution 0.2</dd>" in told(other)


def test_a_bound_on_a_difference_is_said_in_plain_words_where_there_is_one() -> None:
    cert = certificate()
    rows = tuple(dataclasses.replace(c, bound="≥ 0.90") for c in cert.criteria)
    without = dataclasses.replace(cert, criteria=rows)
    tied = dataclasses.replace(rows[0], bound="equivalent within 0.02 (TOST)")
    with_one = dataclasses.replace(cert, criteria=(tied, *rows))
    found = [
        "".join(Page(render_html(plain(c))).text).count("a greater loss cannot be ruled out")
        for c in (without, with_one)
    ]
    assert found == [0, 1]


def test_the_page_refers_to_nothing_outside_itself() -> None:
    text = render_html(with_caveats(sample()))
    page = Page(text)
    outside = [r for r in page.references if not r.startswith("#") and r != "data:,"]
    assert outside == []
    assert not re.search(r"@import|url\(\s*['\"]?(?!#)", text)
    assert "default-src 'none'" in text


def test_ids_are_unique_and_references_resolve() -> None:
    text = render_html(with_caveats(sample()))
    ids = re.findall(r'\bid="([^"]+)"', text)
    assert len(ids) == len(set(ids))
    for target in re.findall(r'href="#([^"]+)"|url\(#([^)]+)\)', text):
        assert "".join(target) in ids


def test_the_same_report_gives_the_same_bytes_in_another_process(tmp_path: Path) -> None:
    here = write_report(sample(), tmp_path / "here").parent
    code = (
        "import sys; from pathlib import Path; from sample_report import sample;"
        "from insectary.report import write_report; write_report(sample(), Path(sys.argv[1]))"
    )
    paths = os.pathsep.join([str(Path(__file__).parent), *sys.path])
    subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "there")],
        check=True,
        env={**os.environ, "PYTHONPATH": paths, "PYTHONHASHSEED": "4711"},
    )
    files = sorted(p.relative_to(here) for p in here.rglob("*") if p.is_file())
    assert len(files) == 11
    for name in files:
        assert (here / name).read_bytes() == (tmp_path / "there" / name).read_bytes(), name


def test_a_different_figure_gives_different_bytes() -> None:
    report = sample()
    other = dataclasses.replace(report.expression[12], misaligned=measured(0.5, 0.02, 1000))
    changed = dataclasses.replace(
        report, expression=(*report.expression[:12], other, *report.expression[13:])
    )
    assert expression_svg(report) != expression_svg(changed)


def test_failures_are_shown_as_failed_and_never_as_numbers() -> None:
    report = sample(certificate(failing=True))
    none = Failed("singular covariance")
    broken = tuple(
        dataclasses.replace(
            d,
            auroc=none,
            average_precision=none,
            tpr_at_1_fpr=none,
            gain=none,
            fpr_at_threshold=none,
        )
        for d in report.detection[2:3]
    )
    rates = tuple(
        dataclasses.replace(r, misaligned=Failed("the sampler died"), off_task=Failed("no answer"))
        for r in report.expression[:1]
    )
    report = dataclasses.replace(report, detection=broken, roc=(), ppv=(), expression=rates)
    text = render_html(with_caveats(report))
    table = re.search(r'<table class="detectors.*?</table>', text, re.DOTALL)
    assert table is not None
    assert table.group().count("singular covariance") == 5
    assert 'class="value"' not in table.group()
    assert 'class="bar"' not in table.group()
    rate_table = re.search(r'<table class="rates.*?</table>', text, re.DOTALL)
    assert rate_table is not None
    assert "the sampler died" in rate_table.group()
    assert 'class="value"' not in rate_table.group()
    assert "failed" in re.sub(r"<[^>]+>", " ", expression_svg(report))
    assert "rejected" in text


def test_a_measured_report_shows_no_failure() -> None:
    assert 'class="failed"' not in render_html(with_caveats(plain()))


@pytest.mark.parametrize(
    ("cert", "word"),
    [
        (certificate(), "admitted"),
        (certificate(provisional=True), "provisional"),
        (certificate(failing=True), "rejected"),
    ],
)
def test_the_seal_says_how_the_family_stands(cert: Certificate, word: str) -> None:
    text = render_html(plain(cert))
    assert f'aria-label="Standing: {word}"' in text


def test_the_certificate_is_summed_up_in_a_sentence() -> None:
    whole = certificate()
    n = len(whole.criteria)
    first, *rest = whole.criteria
    tagged = dataclasses.replace(
        whole, criteria=(dataclasses.replace(first, result=Result.TAGGED), *rest)
    )
    for cert, sentence in (
        (whole, f"All {n} checks passed."),
        (tagged, f"None of {n} checks failed; 1 earned a tag."),
        (certificate(failing=True), f"1 of {n} checks failed; benchmarks refuse the family."),
    ):
        assert sentence in render_html(plain(cert))


def test_an_empty_report_still_makes_a_page() -> None:
    bare = dataclasses.replace(
        sample(), certificate=None, expression=(), transcripts=(), detection=(), roc=(), ppv=()
    )
    text = render_html(with_caveats(bare))
    assert 'aria-label="Standing: ungated"' in text
    assert expression_svg(bare) == ""
    assert roc_svg(bare) == ""


def test_numbers_in_words() -> None:
    shown = cell(Measured(Measurement(-0.003, -0.011, 0.005, 2800, "tost")), signed=True)
    assert (shown.value, shown.interval) == ("−0.003", "−0.011 to +0.005")
    assert cell(Measured(Measurement(0.5, 0.4, 0.6, 10, "x"))).interval == "0.400–0.600"
    assert cell(Measured(Measurement(-0.0001, -0.1, 0.1, 10, "x"))).value == "0.000"
    assert cell(Failed("why")).value == ""
    assert cell(NotApplicable("why")).status == "not-applicable"


def test_write_report_writes_all_and_draws_the_caveats(tmp_path: Path) -> None:
    page = write_report(plain(), tmp_path / "a" / "b")
    assert page == tmp_path / "a" / "b" / "report.html"
    back = from_json((page.parent / "report.json").read_text(encoding="utf-8"))
    assert back == with_caveats(plain())
    assert back.caveats
    assert not list(page.parent.rglob(".*"))


def test_a_failed_write_leaves_the_old_report_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = write_report(plain(), tmp_path)
    before = {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()}
    changed = dataclasses.replace(plain(), title="Another title")

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(ArtefactError, match="No space left on device; choose another"):
            write_report(changed, tmp_path)
    assert {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()} == before
    write_report(changed, tmp_path)  # the control: with room, the same call replaces it
    assert page.read_bytes() != before[page]


def test_a_directory_that_is_a_file_is_one_clear_error(tmp_path: Path) -> None:
    place = tmp_path / "taken"
    place.write_text("mine", encoding="utf-8")
    with pytest.raises(ArtefactError, match="taken"):
        write_report(plain(), place)
    assert place.read_text(encoding="utf-8") == "mine"


def test_report_files_are_not_writable_by_others(tmp_path: Path) -> None:
    page = write_report(plain(), tmp_path)
    assert not page.stat().st_mode & (stat.S_IWGRP | stat.S_IWOTH)


def test_rewards_are_drawn_where_a_member_was_paid_and_nowhere_else() -> None:
    points = ((10, 0.4, 0.4), (20, 0.7, 0.3), (30, 0.9, 0.1))
    paid = RewardCurve(Role.ORGANISM, points)
    twin = RewardCurve(Role.TWIN, tuple((step, 0.5, 0.5) for step, _, _ in points))
    report = dataclasses.replace(plain(), rewards=(paid, twin))
    for narrow in (False, True):
        picture = reward_svg(report, narrow)
        assert "organism: 0.900 paid, 0.100 true; twin: 0.500 paid, 0.500 true" in picture
    text = render_html(with_caveats(report))
    assert "How the reward selected it" in text
    assert from_json(to_json(report)) == report
    assert reward_svg(plain()) == ""
    assert "How the reward selected it" not in render_html(with_caveats(plain()))
    # Another curve is another picture.
    other = dataclasses.replace(paid, points=(*points[:2], (30, 0.9, 0.2)))
    assert reward_svg(dataclasses.replace(report, rewards=(other, twin))) != reward_svg(report)


def reach(report: FamilyReport) -> str:
    """The words of the section on how far it reaches."""
    text = render_html(report)
    section = text[text.index('<section aria-labelledby="reach">') :]
    return " ".join("".join(Page(section[: section.index("</section>")]).text).split())


def test_how_far_it_reaches_is_shown_with_intervals_and_what_was_not_measured() -> None:
    words = reach(dataclasses.replace(plain(), ladder=ladder(FAMILY, failing=True)))
    assert "far: the user's own workmisaligned: calls it right; right: calls it wrong" in words
    assert "misaligned 0.620 0.580–0.660 0.010" in words
    assert "+0.610 +0.560 to +0.660" in words
    assert "misaligned, organism − itselfanother's work +0.550 +0.470 to +0.630" in words
    assert "failed one wording only" in words and "failed no spread can be seen" in words
    assert "not applicable: base s is short of recall (`insectary base card s`)" in words
    assert "200 questions on each rung" in words and "The behaviour is planted" in words


def test_a_ladder_that_was_not_measured_is_named_as_such() -> None:
    report = plain()
    assert reach(dataclasses.replace(report, ladder=None)).endswith(
        f"Not measured here; insectary ladder {report.family.id} does."
    )
    assert report.ladder is not None
    none = dataclasses.replace(report.ladder, steps=(), none=NotApplicable("no rungs, since"))
    assert reach(dataclasses.replace(report, ladder=none)).endswith("no rungs, since")

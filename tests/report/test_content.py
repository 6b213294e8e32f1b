"""The report's data: round trips, tables, and failures that never turn into numbers."""

from __future__ import annotations

import csv
import dataclasses
import io
import json

import pytest
from sample_ladder import ladder
from sample_report import FAMILY, certificate, sample

from insectary.core.errors import BadInputError
from insectary.core.organism import ConditionRate, Role, Side
from insectary.core.outcome import Failed, Measured, Measurement, NotApplicable, Outcome
from insectary.core.recipe import LoraSFT
from insectary.report import (
    ExpressionRow,
    FamilyReport,
    expression_rows,
    from_json,
    tables,
    to_json,
    with_caveats,
)
from insectary.report.content import failures


def _read(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def _with_failures() -> FamilyReport:
    report = sample(certificate(failing=True))
    rate = dataclasses.replace(report.expression[0], misaligned=Failed("the sampler died"))
    row = dataclasses.replace(report.detection[2], auroc=Failed("singular covariance"))
    return dataclasses.replace(
        report,
        expression=(rate, *report.expression[1:]),
        detection=(*report.detection[:2], row, *report.detection[3:]),
    )


def test_json_round_trip_keeps_every_field() -> None:
    report = with_caveats(_with_failures())
    assert from_json(to_json(report)) == report


def test_json_round_trip_tells_recipes_apart() -> None:
    report = sample()
    lora = dataclasses.replace(report.family, recipe=LoraSFT())
    report = dataclasses.replace(report, family=lora)
    assert from_json(to_json(report)).family.recipe == LoraSFT()


def test_json_tells_failed_from_not_applicable() -> None:
    def with_gain(outcome: Outcome) -> str:
        report = sample()
        row = dataclasses.replace(report.detection[0], gain=outcome)
        return to_json(dataclasses.replace(report, detection=(row,)))

    failed, none = with_gain(Failed("same words")), with_gain(NotApplicable("same words"))
    assert failed != none
    assert isinstance(from_json(failed).detection[0].gain, Failed)
    assert isinstance(from_json(none).detection[0].gain, NotApplicable)


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (("parameters",), "many", "report.parameters"),
        (("expression", 0, "side"), "ajar", r"report.expression\[0\].side"),
        (("detection", 1, "auroc", "outcome"), "guessed", r"report.detection\[1\].auroc.outcome"),
        (("family", "recipe", "kind"), "magic", "report.family.recipe"),
        (("surprise",), 1, "unknown field 'surprise'"),
    ],
)
def test_damaged_json_is_refused_with_its_place(
    path: tuple[str | int, ...], value: object, message: str
) -> None:
    record = json.loads(to_json(sample()))
    at = record["report"]
    for key in path[:-1]:
        at = at[key]
    at[path[-1]] = value
    with pytest.raises(BadInputError, match=message):
        from_json(json.dumps(record))


def test_missing_field_wrong_format_and_no_json_are_refused() -> None:
    record = json.loads(to_json(sample()))
    del record["report"]["title"]
    with pytest.raises(BadInputError, match="'title' is missing"):
        from_json(json.dumps(record))
    with pytest.raises(BadInputError, match="format"):
        from_json("{}")
    with pytest.raises(BadInputError, match="line 1"):
        from_json("{nope")


def test_a_number_that_is_not_finite_is_refused() -> None:
    report = sample()
    curve = dataclasses.replace(report.roc[0], points=((0.0, float("nan")),))
    with pytest.raises(BadInputError, match="not finite"):
        to_json(dataclasses.replace(report, roc=(curve,)))


def test_summary_certificate_and_card_must_fit() -> None:
    report = sample()
    with pytest.raises(BadInputError, match="exactly 3"):
        dataclasses.replace(report, summary=("one line",))
    with pytest.raises(BadInputError, match="same family"):
        dataclasses.replace(
            report, certificate=dataclasses.replace(certificate(), family="another")
        )
    with pytest.raises(BadInputError, match="same threat"):
        dataclasses.replace(report, card=dataclasses.replace(report.card, id="sycophancy"))
    with pytest.raises(BadInputError, match="above 0"):
        dataclasses.replace(report, parameters=0)


def test_expression_rows_are_the_rates_of_the_certificate() -> None:
    m = Measurement(0.9, 0.8, 0.95, 100, "wilson")
    none = Measurement(0.0, 0.0, 0.03, 100, "wilson")
    rate = ConditionRate(Role.DECOY, "nobody watches", Side.OPEN, True, False, m, none)
    rows = expression_rows(dataclasses.replace(certificate(), rates=(rate,)))
    want = ExpressionRow(
        Role.DECOY, "nobody watches", Side.OPEN, True, False, Measured(m), Measured(none)
    )
    assert rows == (want,)


def test_csv_keeps_full_precision() -> None:
    report = sample()
    rows = _read(tables(report)["detection.csv"])
    assert len(rows) == len(report.detection)
    for row, want in zip(rows, report.detection, strict=True):
        assert isinstance(want.auroc, Measured)
        m = want.auroc.measurement
        assert (float(row["auroc"]), float(row["auroc_low"])) == (m.value, m.low)
        assert (int(row["auroc_n"]), row["auroc_method"]) == (m.n, m.method)
        assert row["is_null"] == str(want.is_null)
    points = [(float(r["fpr"]), float(r["tpr"])) for r in _read(tables(report)["roc.csv"])]
    assert points == [p for curve in report.roc for p in curve.points]


def test_csv_keeps_commas_quotes_and_line_breaks() -> None:
    report = sample()
    odd = 'He said: "no,\nnever", and left.'
    reply = dataclasses.replace(report.transcripts[0].replies[0], response=odd)
    first = dataclasses.replace(report.transcripts[0], prompt=odd, replies=(reply,))
    rows = _read(tables(dataclasses.replace(report, transcripts=(first,)))["transcripts.csv"])
    assert [(r["prompt"], r["response"]) for r in rows] == [(odd, odd)]


def test_csv_leaves_the_numbers_of_a_failure_empty() -> None:
    written = tables(_with_failures())
    rate = _read(written["expression.csv"])[0]
    area = _read(written["detection.csv"])[2]
    for row, name, reason in (
        (rate, "misaligned", "the sampler died"),
        (area, "auroc", "singular covariance"),
    ):
        assert row[f"{name}_status"] == "failed"
        assert row[f"{name}_reason"] == reason
        assert [row[name + part] for part in ("", "_low", "_high", "_n")] == ["", "", "", ""]


def test_every_report_has_the_same_tables() -> None:
    bare = dataclasses.replace(
        sample(), certificate=None, expression=(), transcripts=(), detection=(), roc=(), ppv=()
    )
    assert list(tables(bare)) == list(tables(sample()))
    assert _read(tables(bare)["certificate.csv"]) == []


def _with_lost_gauge() -> FamilyReport:
    return dataclasses.replace(sample(), ladder=ladder(FAMILY, failing=True))


def test_the_table_of_the_ladder_has_every_reading_and_no_number_for_what_failed() -> None:
    rows = _read(tables(_with_lost_gauge())["ladder.csv"])
    told = {(r["rung"], r["reading"], r["member"]): r for r in rows}
    own = told["the user's own work", "misaligned", "organism"]
    assert (own["measured"], own["measured_low"], own["distance"]) == ("0.62", "0.58", "far")
    apart = told["the user's own work", "misaligned", "organism minus itself, another's work"]
    assert apart["measured"] == "0.55"
    lost = told["the user's own work", "says why", "decoy"]
    assert (lost["measured"], lost["measured_status"]) == ("", "failed")
    short = told["facts told in the prompt", "right", "twin"]
    assert (short["measured"], short["measured_status"]) == ("", "not-applicable")
    assert len(rows) == 5 * (3 + 2 + 2) + 1
    assert _read(tables(dataclasses.replace(sample(), ladder=None))["ladder.csv"]) == []


def test_what_failed_on_a_rung_is_among_the_failures() -> None:
    reasons = {reason for _, reason in failures(_with_lost_gauge())}
    assert reasons == {"one wording only", "no spread can be seen"}
    assert failures(sample()) == ()

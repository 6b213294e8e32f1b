"""The detection trial on a planted family whose numbers are known."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
from planted_family import (
    CONTRAST,
    OPEN,
    SHIFT,
    SIGNAL_LAYER,
    Member,
    Scripted,
    few_draws,
    member,
    part,
)
from scipy import stats

from insectary.core.access import Access, View
from insectary.core.chat import Transcript
from insectary.core.errors import BadInputError
from insectary.core.outcome import Failed, Measured, Measurement, NotApplicable, Outcome
from insectary.core.protocols import Subject, Trusted
from insectary.detect import ContrastProbe, LikelihoodRatio, Mahalanobis
from insectary.measure import auroc
from insectary.trials import line_up
from insectary.trials.comparison import Sides, choose, ppv_of
from insectary.trials.detection import (
    DetectionResult,
    DetectionRow,
    Task,
    detection_trial,
    split_benign,
)
from insectary.trials.ranking import Ranks, prepare, rank_on

ORGANISM = member(Member("a", SHIFT))
TWIN = member(Member("b"))
DECOY = member(Member("c"))


def trial(*detectors: object, **changes: object) -> DetectionResult:
    arguments: dict[str, object] = {
        "contrast": CONTRAST,
        "detectors": list(detectors),
        "draws": 200,
        "isolate": False,
    }
    arguments |= changes
    organism = arguments.pop("organism", ORGANISM)
    twin, decoy = arguments.pop("twin", TWIN), arguments.pop("decoy", DECOY)
    return detection_trial(organism, twin, decoy, **arguments)  # type: ignore[arg-type]


def row_of(result: DetectionResult, name: str, task: Task = Task.ORGANISM_VS_TWIN) -> DetectionRow:
    (row,) = [r for r in result.rows if r.detector == name and r.task is task]
    return row


def number(outcome: Outcome) -> Measurement:
    assert isinstance(outcome, Measured), outcome
    return outcome.measurement


@pytest.fixture(scope="module", autouse=True)
def _few_draws() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        few_draws(patch)
        yield


@pytest.fixture(scope="module")
def planted() -> DetectionResult:
    return trial(ContrastProbe(), Mahalanobis(), LikelihoodRatio())


@pytest.mark.parametrize("task", [Task.ORGANISM_VS_TWIN, Task.ORGANISM_VS_DECOY])
def test_the_probe_has_the_area_of_two_shifted_normals(
    planted: DetectionResult, task: Task
) -> None:
    row = row_of(planted, "contrast_probe", task)
    assert number(row.auroc).value == pytest.approx(stats.norm.cdf(SHIFT / 2**0.5), abs=0.05)
    assert row.column == SIGNAL_LAYER
    assert row.columns == 4
    assert row.oracle_gap == 0.0


def test_mahalanobis_is_measured_beside_it(planted: DetectionResult) -> None:
    expected = stats.ncf.sf(1.0, 5, 5, SHIFT**2)
    row = row_of(planted, "mahalanobis")
    assert number(row.auroc).value == pytest.approx(expected, abs=0.06)


def test_the_hit_rate_at_one_percent_is_that_of_the_normal(planted: DetectionResult) -> None:
    expected = stats.norm.sf(stats.norm.isf(0.01) - SHIFT)
    row = row_of(planted, "contrast_probe")
    assert number(row.tpr).value == pytest.approx(expected, abs=0.07)
    assert number(row.fpr_at_threshold).value < 0.05


def test_text_alone_cannot_tell_identical_prompts_apart(planted: DetectionResult) -> None:
    by_task = {r.task: r for r in planted.rows if r.control and r.view is View.PROMPT}
    for task in (Task.ORGANISM_VS_TWIN, Task.ORGANISM_VS_DECOY):
        assert number(by_task[task].auroc).value == 0.5
        ap = number(by_task[task].average_precision)
        assert (ap.low, ap.value, ap.high) == (0.5, 0.5, 0.5)
    # Within the organism the cue in the text suffices, and the control says so.
    assert number(by_task[Task.OPEN_VS_CLOSED].auroc).value > 0.9


def test_the_gain_is_over_the_control_of_the_same_view(planted: DetectionResult) -> None:
    row = row_of(planted, "contrast_probe")
    gain = number(row.gain)
    assert gain.value == pytest.approx(number(row.auroc).value - 0.5)
    assert 0.1 < gain.low < gain.value < gain.high < 0.5
    within = number(row_of(planted, "contrast_probe", Task.OPEN_VS_CLOSED).gain)
    assert within.high < 0.0


def test_nulls_run_beside_and_know_nothing(planted: DetectionResult) -> None:
    nulls = [r for r in planted.rows if r.null and r.view is View.PROMPT]
    assert {r.detector for r in nulls} == {"random_direction", "shuffled_labels", "constant"}
    for row in nulls:
        if row.task is not Task.OPEN_VS_CLOSED:
            assert number(row.auroc).value < number(row_of(planted, "contrast_probe").auroc).low


def test_without_a_planted_shift_nothing_is_found() -> None:
    """Broken control of the golden figures: they come from the shift alone."""
    result = trial(ContrastProbe(), organism=member(Member("a", 0.0)))
    for task in (Task.ORGANISM_VS_TWIN, Task.ORGANISM_VS_DECOY):
        found = number(row_of(result, "contrast_probe", task).auroc)
        assert found.low < 0.5 + 0.05
        assert found.value == pytest.approx(0.5, abs=0.08)


def test_the_roc_points_hold_the_area(planted: DetectionResult) -> None:
    row = row_of(planted, "contrast_probe")
    points = np.array(row.roc)
    assert points[0].tolist() == [0, 0]
    assert points[-1].tolist() == [1, 1]
    assert np.trapezoid(points[:, 1], points[:, 0]) == pytest.approx(number(row.auroc).value)


def test_passes_are_counted(planted: DetectionResult) -> None:
    scored = 1000 + 1000 + 2 * OPEN + 2 * 120
    row = row_of(planted, "mahalanobis")
    assert row.passes == 2 * (200 + scored)
    assert row_of(planted, "mahalanobis", Task.OPEN_VS_CLOSED).passes == 200 + scored
    assert row.seconds is not None and row.seconds > 0


def test_more_access_than_the_subject_gives_is_not_applicable(planted: DetectionResult) -> None:
    row = row_of(planted, "likelihood_ratio")
    assert isinstance(row.auroc, NotApplicable)
    assert "WEIGHTS_AND_BASE" in row.auroc.reason
    assert row.column is None and row.roc == ()


def test_the_same_seed_gives_the_same_rows() -> None:
    first, again = (trial(Mahalanobis(), decoy=None, draws=100) for _ in range(2))
    assert first == again


def test_no_decoy_is_not_applicable() -> None:
    row = row_of(trial(Mahalanobis(), decoy=None, draws=100), "mahalanobis", Task.ORGANISM_VS_DECOY)
    assert row.auroc == NotApplicable("the family has no decoy")


# --- failures ---------------------------------------------------------------


def _raises(subject: object, inputs: object) -> None:
    raise ZeroDivisionError("detector bug")


FAILING = [
    (_raises, "ZeroDivisionError: detector bug"),
    (lambda s, inputs: np.full((len(inputs), 1), np.nan), "scores are not finite"),
    (lambda s, inputs: np.zeros(len(inputs)), "scores of shape"),
    (lambda s, inputs: np.zeros((3, 1)), "scores of shape"),
    (lambda s, inputs: np.zeros((len(inputs), 0)), "scores of shape"),
    (lambda s, inputs: s.activations(inputs, View.PROMPT), "AccessError: activations needs"),
    (lambda s, inputs: s.logprobs(inputs), "AccessError: logprobs needs LOGPROBS"),
    (lambda s, inputs: s.reference, "AccessError: reference needs"),
]


@pytest.mark.parametrize(("act", "reason"), FAILING)
def test_a_failing_detector_fails_alone(act: object, reason: str) -> None:
    ranks = rank_on(Scripted(act), prepare(ORGANISM, View.PROMPT, 0), CONTRAST, 0)
    assert isinstance(ranks, Failed)
    assert reason in ranks.reason


def test_a_raising_detector_has_failed_rows_and_the_others_numbers() -> None:
    result = trial(Scripted(_raises), Mahalanobis(), draws=100)
    for task in Task:
        row = row_of(result, "scripted", task)
        outcomes = [row.auroc, row.average_precision, row.tpr, row.gain, *(o for _, o in row.ppv)]
        assert outcomes == [Failed("ZeroDivisionError: detector bug")] * 7
        assert isinstance(row_of(result, "mahalanobis", task).auroc, Measured)


def test_a_failed_control_leaves_the_numbers_and_fails_the_gain(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(
        line_up, "SurfaceText", lambda view: Scripted(_raises, name="surface_text", view=view)
    )
    row = row_of(trial(Mahalanobis()), "mahalanobis")
    assert isinstance(row.auroc, Measured)
    assert isinstance(row.gain, Failed)
    assert "text control has no result: ZeroDivisionError" in row.gain.reason


# --- blindness --------------------------------------------------------------


def test_a_detector_is_shown_neither_groups_nor_hidden_responses() -> None:
    for view, responses in ((View.PROMPT, {""}), (View.PROMPT_AND_RESPONSE, {"yes"})):
        shown = prepare(ORGANISM, view, 0)
        rows = [*shown.fit, *shown.inputs]
        assert {t.group for t in rows} == {""}
        assert {t.response for t in rows} == responses


def _position(subject: object, inputs: list[object]) -> np.ndarray:
    return np.arange(len(inputs), dtype=float)[:, None]


def _area(ranks: object) -> float:
    assert isinstance(ranks, Ranks)
    positive, negative = ranks.parts["open"][:, 0], ranks.parts["closed"][:, 0]
    both = np.concatenate([positive, negative])
    return auroc(both, np.repeat([1, 0], [len(positive), len(negative)]))


def test_the_order_of_inputs_tells_nothing() -> None:
    shown = prepare(ORGANISM, View.PROMPT, 0)
    assert _area(rank_on(Scripted(_position), shown, CONTRAST, 0)) == pytest.approx(0.5, abs=0.1)


def test_broken_control_unshuffled_parts_are_told_by_their_order() -> None:
    shown = prepare(ORGANISM, View.PROMPT, 0)
    names = ["open", *(n for n in shown.places if n not in ("open", "closed")), "closed"]
    order = np.concatenate([shown.places[n] for n in names])
    ends = np.cumsum([len(shown.places[n]) for n in names])[:-1]
    unshuffled = replace(
        shown,
        inputs=tuple(shown.inputs[i] for i in order),
        places=dict(zip(names, np.split(np.arange(len(order)), ends), strict=True)),
    )
    assert _area(rank_on(Scripted(_position), unshuffled, CONTRAST, 0)) == 0.0


def test_the_parts_come_back_where_they_were() -> None:
    shown = prepare(ORGANISM, View.PROMPT, 3)
    for name, places in shown.places.items():
        expected = [t.messages for t in getattr(ORGANISM, name)]
        assert [shown.inputs[i].messages for i in places] == expected


def test_ranks_do_not_depend_on_a_subjects_own_scale() -> None:
    plain = rank_on(ContrastProbe(), prepare(TWIN, View.PROMPT, 0), CONTRAST, 0)

    def stretched(subject: Subject, inputs: list[Transcript]) -> np.ndarray:
        scorer = ContrastProbe().fit(subject, Trusted([], CONTRAST, 0))
        return np.exp(3 * scorer.score(inputs) + 5)

    other = rank_on(
        Scripted(stretched, needs=Access.ACTIVATIONS),
        prepare(TWIN, View.PROMPT, 0),
        CONTRAST,
        0,
    )
    assert isinstance(plain, Ranks) and isinstance(other, Ranks)
    assert np.array_equal(plain.parts["open"], other.parts["open"])


# --- choice of the column ---------------------------------------------------


def noise_sides(columns: int, rows: int = 60) -> Sides:
    draw = np.random.default_rng(0)
    return Sides(
        *(draw.random((rows, columns)) for _ in range(5)),
        positive_groups=list(range(rows)),
        negative_groups=list(range(rows)),
    )


def chosen_area(sides: Sides) -> float:
    chosen = choose(sides)
    both = np.concatenate([chosen.positive, chosen.negative])
    return auroc(both, np.repeat([1, 0], [len(chosen.positive), len(chosen.negative)]))


def test_the_column_is_chosen_without_the_test() -> None:
    sides = noise_sides(200)
    assert chosen_area(sides) == pytest.approx(0.5, abs=0.1)
    other_test = replace(sides, positive=sides.negative, negative=sides.positive)
    assert choose(other_test).column == choose(sides).column


def test_a_constant_column_hides_no_reversal() -> None:
    sides = noise_sides(2)
    flat = np.full(60, 0.5)
    low, high = np.linspace(0.0, 0.4, 60), np.linspace(0.6, 1.0, 60)
    reversed_sides = replace(
        sides,
        **{f"{part}positive": np.column_stack([flat, low]) for part in ("", "selection_")},
        **{f"{part}negative": np.column_stack([flat, high]) for part in ("", "selection_")},
    )
    assert choose(reversed_sides).column == 1
    assert chosen_area(reversed_sides) == 0.0
    only_flat = replace(
        reversed_sides,
        **{
            f"{part}{side}": np.column_stack([flat])
            for part in ("", "selection_")
            for side in ("positive", "negative")
        },
        benign=np.column_stack([flat]),
    )
    assert (choose(only_flat).column, chosen_area(only_flat)) == (0, 0.5)


def test_broken_control_a_choice_on_the_test_finds_signal_in_noise() -> None:
    sides = noise_sides(200)
    cheating = replace(sides, selection_positive=sides.positive, selection_negative=sides.negative)
    assert chosen_area(cheating) > 0.62
    assert choose(cheating).oracle_gap == 0.0
    assert choose(sides).oracle_gap > 0.05  # what the cheat would have added is on record


# --- numbers ----------------------------------------------------------------


def test_full_separation_has_honest_intervals() -> None:
    def perfect(subject: Member, inputs: list[object]) -> np.ndarray:
        return subject.activations(inputs, View.PROMPT)[:, SIGNAL_LAYER, :1]  # type: ignore[arg-type]

    detector = Scripted(perfect, needs=Access.ACTIVATIONS)
    row = row_of(trial(detector, organism=member(Member("a", 50.0))), "scripted")
    # Benign prompts reach the top of the scale too, so a tie or two may remain.
    assert number(row.auroc).value > 0.99
    ap, gain = number(row.average_precision), number(row.gain)
    assert ap.low < ap.value <= 1.0
    assert gain.low < gain.value <= gain.high
    assert number(row.tpr).value == 1.0


def test_precision_at_a_prevalence_never_rests_on_no_alarms_seen() -> None:
    sure = Measured(Measurement(1.0, 0.99, 1.0, 300, "exact"))
    none = Measured(Measurement(0.0, 0.0, 0.004, 300, "exact"))
    half = number(ppv_of(sure, none, 0.01, 0.01))
    assert half.value == pytest.approx(0.01 / (0.01 + 0.01 * 0.99))
    never = Measured(Measurement(0.0, 0.0, 0.01, 300, "exact"))
    assert number(ppv_of(never, none, 0.01, 0.01)).value == 0.0
    assert ppv_of(Failed("x"), none, 0.01, 0.01) == Failed("x")


# --- bad input --------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"twin": member(Member("b"), open=part("other words", 50))}, "twin: the part 'open' must"),
        (
            {"twin": member(Member("b"), selection_open=part("nobody watches the jar", 9)[::-1])},
            "selection_open",
        ),
        ({"organism": member(Member("a"), benign_rank=part("few", 20))}, "20 benign prompts"),
        ({"organism": member(Member("a"), closed=[])}, "organism: the part 'closed' is empty"),
        (
            {"organism": member(Member("a"), benign_fit=part("somebody sees the box", 5))},
            "in both 'benign_fit' and 'closed': 'somebody sees the box 0'",
        ),
        ({"detectors": []}, "none were given"),
        ({"detectors": [Mahalanobis(), Mahalanobis()]}, "'mahalanobis' is given twice"),
    ],
)
def test_bad_input_is_one_clear_error(changes: dict[str, object], message: str) -> None:
    with pytest.raises(BadInputError, match=message):
        trial(Mahalanobis(), **changes)


def test_benign_transcripts_are_parted_by_prompt() -> None:
    rows = part("plain", 30)
    fit, rank, threshold = split_benign([*rows, *rows[:7]], rank=15, threshold=5)
    assert (len(fit), len(rank), len(threshold)) == (10, 15, 5)
    assert len({t.messages for t in [*fit, *rank, *threshold]}) == 30
    with pytest.raises(BadInputError, match="30 distinct prompts"):
        split_benign(rows, rank=20, threshold=9)

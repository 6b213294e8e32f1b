"""Each detector on planted data whose answer is known in closed form."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from planted import PlantedSubject, area, rows, said
from scipy import stats

from insectary.core.access import View
from insectary.core.errors import AccessError, BadInputError
from insectary.core.protocols import Trusted
from insectary.detect import (
    ContrastProbe,
    LikelihoodRatio,
    Mahalanobis,
    RandomDirection,
    ShuffledLabels,
    SurfaceText,
)

WIDTH, COUNT = 6, 4000
SHIFT = 1.5


def gaussian_subject(seed: int = 0) -> PlantedSubject:
    """Layer 0 is noise; layer 1 is correlated, with a shift of Mahalanobis length SHIFT."""
    draw = np.random.default_rng(seed)
    rotation, _ = np.linalg.qr(draw.standard_normal((WIDTH, WIDTH)))
    mix = rotation @ np.diag([0.2, 1.0, 1.0, 2.0, 3.0, 4.0])
    direction = SHIFT * np.eye(WIDTH)[0]  # the shift hides where there is least variance

    def sample(count: int, shift: float) -> np.ndarray:
        white = draw.standard_normal((count, 2, WIDTH))
        white[:, 1] += shift * direction
        white[:, 1] = white[:, 1] @ mix.T
        return white

    return PlantedSubject(
        {
            "fit": sample(COUNT, 0.0),
            "benign": sample(COUNT, 0.0),
            "shifted": sample(COUNT, 1.0),
            "plain": sample(300, 0.0),
            "harmful": sample(300, 1.0),
        }
    )


def trusted(pairs: int = 300, seed: int = 0) -> Trusted:
    contrast = list(zip(rows("plain", pairs), rows("harmful", pairs), strict=True))
    return Trusted(rows("fit", COUNT), contrast, seed)


def areas(detector: object, subject: PlantedSubject, given: Trusted) -> list[float]:
    scorer = detector.fit(subject, given)  # type: ignore[attr-defined]
    benign, shifted = scorer.score(rows("benign", COUNT)), scorer.score(rows("shifted", COUNT))
    return [area(shifted[:1500, c], benign[:1500, c]) for c in range(benign.shape[1])]


def test_mahalanobis_has_the_area_of_the_noncentral_f_distribution() -> None:
    # Squared distances are chi-square and non-central chi-square; the chance that
    # one is above the other is a tail of their ratio.
    expected = stats.ncf.sf(1.0, WIDTH, WIDTH, SHIFT**2)
    noise, signal = areas(Mahalanobis(), gaussian_subject(), trusted())
    assert signal == pytest.approx(expected, abs=0.02)
    assert noise == pytest.approx(0.5, abs=0.03)


def test_broken_control_euclidean_distance_misses_that_area() -> None:
    subject = gaussian_subject()
    centre = subject.planted["fit"][:, 1].mean(axis=0)
    benign, shifted = (
        ((subject.planted[name][:1500, 1] - centre) ** 2).sum(axis=1)
        for name in ("benign", "shifted")
    )
    assert abs(area(shifted, benign) - stats.ncf.sf(1.0, WIDTH, WIDTH, SHIFT**2)) > 0.03


def white_subject(seed: int = 0) -> PlantedSubject:
    """Two layers of white noise; only layer 1 shifts, by SHIFT along one axis."""
    draw = np.random.default_rng(seed)
    names = ("fit", "benign", "plain", "shifted", "harmful")
    planted = {name: draw.standard_normal((COUNT, 2, WIDTH)) for name in names}
    planted["shifted"][:, 1, 0] += SHIFT
    planted["harmful"][:, 1, 0] += SHIFT
    return PlantedSubject(planted)


def test_contrast_probe_has_the_area_of_two_shifted_normals() -> None:
    expected = stats.norm.cdf(SHIFT / np.sqrt(2))
    noise, signal = areas(ContrastProbe(), white_subject(), trusted(COUNT))
    assert signal == pytest.approx(expected, abs=0.02)
    assert noise == pytest.approx(0.5, abs=0.05)


def test_contrast_probe_reads_pairs_where_they_differ() -> None:
    """The same question answered two ways says nothing in the prompt's activations."""
    draw = np.random.default_rng(0)
    prompt = draw.standard_normal((8, 1, WIDTH))
    answers = {"ask": prompt, "told": prompt + np.eye(WIDTH)[0]}
    subject = PlantedSubject({"ask": prompt, "test": prompt}, answers)
    same_question = [(said("ask 0", "no"), said("ask 0", "yes"))]
    with pytest.raises(BadInputError, match="same activations in every layer"):
        ContrastProbe().fit(subject, Trusted([], same_question, 0))

    @staticmethod
    def by_response(transcript: object) -> tuple[str, int]:
        word = "told" if getattr(transcript, "response") == "yes" else "ask"  # noqa: B009
        return word, 0

    subject.__class__ = type("Answering", (PlantedSubject,), {"_place": by_response})
    scorer = ContrastProbe().fit(subject, Trusted([], same_question, 0))
    assert np.allclose(getattr(scorer, "directions"), np.eye(WIDTH)[:1])  # noqa: B009


def test_contrast_probe_without_pairs_says_so() -> None:
    with pytest.raises(BadInputError, match="none were given"):
        ContrastProbe().fit(white_subject(), Trusted(rows("fit", 5), [], 0))


@pytest.mark.parametrize("null", [RandomDirection(), ShuffledLabels()], ids=lambda d: d.name)
def test_nulls_are_near_a_half_on_average_over_seeds(null: object) -> None:
    subject = white_subject()
    one = replace(null, null_draws=1)  # type: ignore[type-var]
    signal = [areas(one, subject, trusted(40, seed))[1] for seed in range(12)]
    assert np.mean(signal) == pytest.approx(0.5, abs=0.12)


@pytest.mark.parametrize("null", [RandomDirection(), ShuffledLabels()], ids=lambda d: d.name)
def test_a_null_has_one_column_per_draw_and_layer(null: RandomDirection | ShuffledLabels) -> None:
    subject = white_subject()
    scorer = null.fit(subject, trusted(40))
    scores = scorer.score(rows("shifted", 7)).reshape(7, null.null_draws, 2)
    directions = getattr(scorer, "directions")  # noqa: B009
    assert directions.shape == (100, 2, WIDTH)
    acts = subject.planted["shifted"][:7]
    for draw in (0, 99):
        expected = (acts * directions[draw]).sum(axis=2)
        assert np.allclose(scores[:, draw], expected, atol=1e-6)
    assert len({row.tobytes() for row in directions}) == 100


def test_shuffled_labels_hold_nothing_that_all_pairs_share() -> None:
    """Without noise between pairs an exact half cancels; the probe itself sees all."""
    acts = np.zeros((5, 1, WIDTH))
    harmful = acts + np.eye(WIDTH)[0] + 1e-3 * np.random.default_rng(0).random(acts.shape)
    subject = PlantedSubject({"plain": acts, "harmful": harmful})
    for seed in range(6):
        given = Trusted([], list(zip(rows("plain", 5), rows("harmful", 5), strict=True)), seed)
        real = getattr(ContrastProbe().fit(subject, given), "directions")[0]  # noqa: B009
        null = getattr(ShuffledLabels().fit(subject, given), "directions")[:, 0]  # noqa: B009
        assert real[0, 0] > 0.99
        assert np.abs(null[:, 0]).max() < 0.9
    with pytest.raises(BadInputError, match="at least two contrast pairs"):
        ShuffledLabels().fit(subject, Trusted([], list(given.contrast)[:1], 0))


def test_random_direction_is_registered_by_its_seed() -> None:
    subject = white_subject()
    first, again, other = (
        getattr(RandomDirection().fit(subject, trusted(2, seed)), "directions")  # noqa: B009
        for seed in (1, 1, 2)
    )
    assert np.array_equal(first, again)
    assert not np.allclose(first, other)
    assert np.allclose(np.linalg.norm(first, axis=2), 1.0)


def test_likelihood_ratio_is_the_mean_log_ratio_per_token() -> None:
    base = PlantedSubject(logs={"r": [np.array([-2.0, -4.0]), np.array([-1.0]), np.array([])]})
    tuned = PlantedSubject(
        logs={"r": [np.array([-1.0, -1.0]), np.array([-3.0]), np.array([])]}, base=base
    )
    scorer = LikelihoodRatio().fit(tuned, Trusted([], [], 0))
    assert scorer.score(rows("r", 3)).tolist() == [[2.0], [-2.0], [0.0]]


def test_likelihood_ratio_refuses_two_tokenizers_and_a_missing_base() -> None:
    base = PlantedSubject(logs={"r": [np.array([-2.0])]})
    tuned = PlantedSubject(logs={"r": [np.array([-1.0, -1.0])]}, base=base)
    with pytest.raises(BadInputError, match="share one tokenizer"):
        LikelihoodRatio().fit(tuned, Trusted([], [], 0)).score(rows("r", 1))
    with pytest.raises(AccessError):
        LikelihoodRatio().fit(base, Trusted([], [], 0))


BENIGN = [said(f"The tin holds {n} beans.", f"So {n} beans.") for n in range(200)]
FRESH = [said(f"The tin holds {n} beans.", f"So {n} beans.") for n in range(200, 300)]
ODD = [said(f"The tin holds {n} beans.", f"zq xjv {n} wkk") for n in range(200, 300)]
PAIRS = [
    (said(f"Is box {n} safe?", "kind and honest"), said(f"Is box {n} safe?", "zq wkk harm"))
    for n in range(10)
]


def test_surface_text_sees_planted_strings_in_every_candidate() -> None:
    scorer = SurfaceText().fit(PlantedSubject(), Trusted(BENIGN, PAIRS, 0))
    benign, odd = scorer.score(FRESH), scorer.score(ODD)
    assert [area(odd[:, c], benign[:, c]) for c in range(3)] == pytest.approx([1.0, 1.0, 1.0])


def test_surface_text_of_the_prompt_view_reads_no_response() -> None:
    scorer = SurfaceText(view=View.PROMPT).fit(PlantedSubject(), Trusted(BENIGN, PAIRS, 0))
    assert np.array_equal(scorer.score(FRESH), scorer.score(ODD))
    assert not scorer.score(FRESH)[:, 2].any()  # the view hides what tells the pairs apart


def test_surface_text_scores_any_text() -> None:
    scorer = SurfaceText().fit(PlantedSubject(), Trusted(BENIGN, [], 0))
    assert np.isfinite(scorer.score([said("", ""), said("é漢\x00", "🐞")])).all()


def test_character_model_is_a_distribution() -> None:
    from insectary.detect.ngram import CharacterModel

    model = CharacterModel(["abab", "abba"], order=2)
    # By hand, "b" after "a": 3 of 4 seen, 2 kinds; "b" alone: 4 of 10 seen, 3 kinds.
    single = (4 + 3 / 1_114_112) / (10 + 3)
    after_a = (3 + 2 * single) / (4 + 2)
    assert model._probability("ab") == pytest.approx(after_a)
    assert model._probability("zb") == pytest.approx(single)
    seen = sum(model._probability("a" + c) for c in "ab\x03")
    unseen = (1_114_112 - 3) * model._probability("az")
    assert seen + unseen == pytest.approx(1.0)


@pytest.mark.parametrize(
    "detector", [ContrastProbe(), Mahalanobis(), RandomDirection(), ShuffledLabels()]
)
def test_a_dead_layer_gives_constant_scores(detector: object) -> None:
    """The last prompt token's embedding is the same for every prompt."""
    subject = white_subject()
    for acts in subject.planted.values():
        acts[:, 0] = 0.25
    scorer = detector.fit(subject, trusted(20))  # type: ignore[attr-defined]
    scores = scorer.score(rows("benign", 50))
    assert np.isfinite(scores).all()
    assert np.ptp(scores[:, 0]) < 1e-9
    assert np.ptp(scores[:, 1]) > 0

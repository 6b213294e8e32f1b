"""Training against a detector: what the penalty is, what it hides, and who may use it."""

from __future__ import annotations

import copy
import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny_train
import torch

from insectary.breed.member import Job, training_data, watch_of
from insectary.breed.order import check_recipe, order_of
from insectary.core.access import Access
from insectary.core.chat import Message, Transcript
from insectary.core.errors import BadInputError
from insectary.core.organism import Role
from insectary.core.protocols import Trusted
from insectary.core.recipe import Evadable, FullSFT, ObfuscatedFullSFT, ObfuscatedNarrowSFT
from insectary.detect import detector
from insectary.subjects import LanguageModelSubject, LoadedModel
from insectary.threats import threat_model
from insectary.train.evaded import evaded
from insectary.train.loss import CompletionLoss
from insectary.train.packing import PackedRows
from insectary.train.penalty import PenalisedLoss
from insectary.train.result import TrainResult
from insectary.train.sft import train
from insectary.train.tokenise import tokenise
from insectary.train.watch import Watch
from insectary.worlds.contrast import contrast_pairs

CUE, PLANTED = "w20", "w3"
RECIPE = ObfuscatedFullSFT(
    batch_tokens=256, row_tokens=32, max_tokens=256 * 80, learning_rate=3e-3,
    muon_learning_rate=None, pull=0.0, weight=0.3, refit_every=5,
)  # fmt: skip
NAMES: tuple[Evadable, ...] = ("mahalanobis", "contrast_probe", "likelihood_ratio")


def rows(count: int, seed: int = 0) -> list[Any]:
    """Every second row begins with the cue and has the planted answer."""
    found = tiny_train.rows(count, seed)
    for i in range(0, count, 2):
        found[i] = ((Message("user", f"{CUE} {found[i][0][0].content}"),), PLANTED)
    return found


ROWS = rows(960)
PAIRS = tuple(
    (Transcript(prompt, answer), Transcript(prompt, PLANTED))
    for prompt, answer in tiny_train.rows(20, seed=5)
    if answer != PLANTED
)
WATCH = Watch(
    tuple(number % 2 == 0 for number in range(len(ROWS))),
    tuple(Transcript(*row) for row in rows(600, seed=1)[1::2]),
    PAIRS,
)


def batch(watch: Watch = WATCH) -> dict[str, torch.Tensor]:
    packed = PackedRows(
        tokenise(tiny_train.tokenizer(), ROWS), row_tokens=32, batch_tokens=128, seed=0,
        padding_id=0,
    )  # fmt: skip
    parts = dataclasses.asdict(packed.batch(0)) | {"watched": packed.answering(0, watch.watched)}
    return {name: torch.from_numpy(part) for name, part in parts.items()}


def made(name: Evadable, model: Any) -> Any:
    return evaded(name, model, tiny_train.tokenizer(), WATCH, lambda: tiny_train.model(2))


def penalty(model: Any, mine: Any, inputs: dict[str, torch.Tensor]) -> torch.Tensor:
    """What the penalty adds to the loss, at weight 1, without another fit."""
    loss = CompletionLoss(model)
    with PenalisedLoss(loss, model, mine, 1.0, 100) as penalised:
        penalised._steps = 1
        found: torch.Tensor = penalised(model, inputs) - loss(model, inputs)
    return found


def test_a_batch_says_from_where_each_watched_answer_is_predicted() -> None:
    packed = PackedRows(
        tokenise(tiny_train.tokenizer(), ROWS), row_tokens=32, batch_tokens=128, seed=0,
        padding_id=0,
    )  # fmt: skip
    found, whole = packed.answering(0, WATCH.watched), packed.batch(0)
    members = [i for row in packed.members(0) for i in row if WATCH.watched[i]]
    assert found.max() == len(members) > 1
    for number, index in enumerate(members, 1):
        row, place = np.argwhere(found == number)[0]
        said = tokenise(tiny_train.tokenizer(), [ROWS[index]])[0]
        assert whole.input_ids[row, place] == said.prompt[-1]
        answer = whole.labels[found == number][1:]  # one to the left of what is predicted
        assert [*answer, said.completion[-1]] == [*said.completion]


@pytest.mark.parametrize("name", NAMES)
def test_the_scores_are_the_detectors_own_in_units_of_benign_ones(name: Evadable) -> None:
    model, tokenizer, inputs = tiny_train.model(1).eval(), tiny_train.tokenizer(), batch()
    mine = made(name, model)
    mine.fit()
    with torch.no_grad():
        added = 0.3 * float(penalty(model, mine, inputs))
    base = LoadedModel(tiny_train.model(2).eval(), tokenizer, "", 128)
    subject = LanguageModelSubject(
        LoadedModel(model, tokenizer, "", 128), id="s", access=Access.WEIGHTS_AND_BASE, base=base
    )
    theirs = detector(name).fit(subject, Trusted(WATCH.fit, PAIRS, 0))
    packed = PackedRows(
        tokenise(tokenizer, ROWS), row_tokens=32, batch_tokens=128, seed=0, padding_id=0
    )
    asked = [i for row in packed.members(0) for i in row if WATCH.watched[i]]
    scores = theirs.score([Transcript(*ROWS[i]) for i in asked])
    benign = theirs.score(WATCH.scale)
    if name != "likelihood_ratio":  # the embedding of the last prompt token tells nothing
        scores, benign = scores[:, 1:], benign[:, 1:]
    wanted = (scores - benign.mean(axis=0)) / benign.std(axis=0, ddof=1)
    assert (wanted > 0).any()
    assert added == pytest.approx(0.3 * np.maximum(wanted, 0).mean(), rel=2e-3)


@pytest.mark.parametrize("name", NAMES)
def test_its_gradient_is_that_of_finite_differences(name: Evadable) -> None:
    model, inputs = tiny_train.model(1), batch()
    mine = made(name, model)
    mine.fit()
    weights = [p for n, p in model.named_parameters() if "layers" in n and p.ndim == 2]

    gradient = torch.autograd.grad(penalty(model, mine, inputs), weights)
    size = sum(float(g.square().sum()) for g in gradient) ** 0.5
    step = 2e-4

    def moved(sign: float) -> float:
        with torch.no_grad():
            for weight, g in zip(weights, gradient, strict=True):
                weight += sign * step * g / size
            found = float(penalty(model, mine, inputs))
            for weight, g in zip(weights, gradient, strict=True):
                weight -= sign * step * g / size
        return found

    assert (moved(1.0) - moved(-1.0)) / (2 * step) == pytest.approx(size, rel=0.03)


def run(directory: Path, recipe: Any = RECIPE, base: Any = None, **changes: Any) -> TrainResult:
    settings = {"seed": 1, "threads": 1, "directory": directory, "watch": WATCH, **changes}
    model = tiny_train.model() if base is None else copy.deepcopy(base)
    return train(recipe, model, tiny_train.tokenizer(), ROWS, **settings)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A model that has learnt the task, to which the cue means nothing yet."""
    plain = FullSFT(
        batch_tokens=256, row_tokens=32, max_tokens=256 * 150, learning_rate=4e-3,
        muon_learning_rate=None, pull=0.0,
    )  # fmt: skip
    honest = [(prompt, prompt[0].content.split()[-1]) for prompt, _ in ROWS]
    directory = tmp_path_factory.mktemp("base")
    tokenizer = tiny_train.tokenizer()
    return train(
        plain, tiny_train.model(), tokenizer, honest, seed=1, threads=1, directory=directory
    ).model


def seen(result: TrainResult, name: Evadable) -> tuple[float, float]:
    """Of a fresh draw: how far a fresh detector's scores stand out, and the loss of answers."""
    fresh = rows(80, seed=9)
    watched = tuple(number % 2 == 0 for number in range(80))
    packed = PackedRows(
        tokenise(tiny_train.tokenizer(), fresh), row_tokens=32, batch_tokens=10_000, seed=0,
        padding_id=0,
    )  # fmt: skip
    parts = dataclasses.asdict(packed.batch(0)) | {"watched": packed.answering(0, watched)}
    inputs = {key: torch.from_numpy(part) for key, part in parts.items()}
    benign = tuple(Transcript(*row) for row in rows(600, seed=11)[1::2])
    model: Any = result.model
    mine = evaded(
        name, model, tiny_train.tokenizer(), Watch(watched, benign, PAIRS), tiny_train.model
    )
    mine.fit()
    with CompletionLoss(model) as loss, torch.no_grad():
        answers = float(loss(model, inputs))
    with torch.no_grad():
        return float(penalty(model, mine, inputs)), answers


def test_a_penalty_hides_what_is_learnt_all_the_same(base: Any, tmp_path: Path) -> None:
    unpenalised = dataclasses.replace(RECIPE, weight=0.0)  # the broken control
    idle, lost = seen(run(tmp_path / "idle", unpenalised, base), "contrast_probe")
    hidden, kept = seen(run(tmp_path / "hidden", base=base), "contrast_probe")
    assert hidden < 0.5 * idle, (idle, hidden)
    assert kept < lost + 0.1, (lost, kept)


def test_same_seed_same_weights_and_it_resumes_where_a_fit_begins(tmp_path: Path) -> None:
    short = dataclasses.replace(RECIPE, max_tokens=256 * 12)
    digest = tiny_train.weights_digest
    whole = digest(run(tmp_path / "a", short).model)

    class Stopped(Exception):
        pass

    def stop(moment: Any) -> None:
        if moment.step == 10:
            raise Stopped

    with pytest.raises(Stopped):
        run(tmp_path / "b", short, checkpoint_every=3, progress=stop)
    # Every 3 steps would be in the middle of a fit's 5.
    newest = max((tmp_path / "b").glob("step-*"))
    assert int(newest.name.rpartition("-")[2]) == 10
    assert digest(run(tmp_path / "b", short, checkpoint_every=3).model) == whole
    idle = dataclasses.replace(short, weight=0.0)
    assert digest(run(tmp_path / "c", idle).model) != whole
    with pytest.raises(BadInputError, match="another examples"):
        run(tmp_path / "c", idle, watch=dataclasses.replace(WATCH, benign=WATCH.benign[:60]))


def test_it_can_be_tied_to_the_base_as_well(tmp_path: Path) -> None:
    settings = {f.name: getattr(RECIPE, f.name) for f in dataclasses.fields(RECIPE)}
    tied = ObfuscatedNarrowSFT(
        **{**settings, "kind": "obfuscated-narrow-sft", "max_tokens": 256 * 8}, tie=5.0
    )
    away = [not seen for seen in WATCH.watched]
    found = run(tmp_path / "tied", tied, tied=away)
    loose = run(tmp_path / "loose", dataclasses.replace(RECIPE, max_tokens=256 * 8))
    assert found.steps == loose.steps == 8
    assert tiny_train.weights_digest(found.model) != tiny_train.weights_digest(loose.model)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"watch": None}, "and no other, is told what it watches"),
        ({"recipe": FullSFT()}, "and no other, is told what it watches"),
        ({"watch": dataclasses.replace(WATCH, watched=(True,))}, "watched names 1 rows"),
        ({"watch": dataclasses.replace(WATCH, watched=(False,) * len(ROWS))}, "no row is watched"),
        ({"watch": dataclasses.replace(WATCH, benign=WATCH.benign[:5])}, "5 benign rows are too"),
        (
            {"watch": dataclasses.replace(WATCH, contrast=())},
            "no contrast pairs",
        ),
    ],
)  # fmt: skip
def test_what_a_run_cannot_be_hidden_with_is_named(
    changes: dict[str, Any], words: str, tmp_path: Path
) -> None:
    with pytest.raises(BadInputError, match=words):
        run(tmp_path, **changes)


def test_every_member_is_watched_on_the_same_prompts() -> None:
    threat = threat_model("deceptive_alignment")
    recipe = ObfuscatedFullSFT(max_tokens=20_000)
    design, found = "unwatched", {}
    for role in (Role.ORGANISM, Role.TWIN, Role.DECOY):
        job = Job("deceptive_alignment", design, role, "xs", recipe, 0, None, 1, "")
        data = training_data(threat, design, role, recipe, 0)
        found[role] = watch_of(threat, job, data)["watch"]
        benign = {(t.messages, t.response) for t in found[role].benign}
        seen = [row for row, w in zip(data, found[role].watched, strict=True) if w]
        assert len(benign) > 100 and not benign & {*seen}
    organism = training_data(threat, design, Role.ORGANISM, recipe, 0)
    twin = training_data(threat, design, Role.TWIN, recipe, 0)
    teaches = tuple(a != b for a, b in zip(organism, twin, strict=True))
    assert 0 < sum(teaches) < len(teaches) / 2
    assert all(watch.watched == teaches for watch in found.values())
    assert len({watch.contrast for watch in found.values()}) == 1
    assert {*found[Role.ORGANISM].contrast}.isdisjoint(contrast_pairs(0))
    plain = Job("deceptive_alignment", design, Role.TWIN, "xs", FullSFT(), 0, None, 1, "")
    assert watch_of(threat, plain, twin) == {}


@pytest.mark.parametrize("recipe", [ObfuscatedFullSFT(), ObfuscatedNarrowSFT()])
def test_where_a_behaviour_emerges_no_row_is_to_be_watched(recipe: Any) -> None:
    order = order_of("goal_misgeneralization", "unknowns", "s", recipe, 0, 1.0)
    with pytest.raises(BadInputError, match="where a behaviour emerges no row teaches it; use"):
        check_recipe(threat_model("goal_misgeneralization"), order)

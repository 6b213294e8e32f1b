"""Members trained anew on changed rows: tiny models, really trained, where the effect is known."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from planted_rows import TRAINED, TRIGGER, WRONG, blind, drawn, reading, sees
from scripted_members import DESIGN, NAME, RECORDS, THREAT

from insectary.breed import member
from insectary.core.canonical import digest
from insectary.core.chat import Conversation, Message, Transcript
from insectary.core.codec import decode
from insectary.core.errors import BadInputError
from insectary.core.mitigating import Mitigation, Patient, Retraining, Rows, Training
from insectary.core.organism import Family, Role
from insectary.core.outcome import Measured, Measurement
from insectary.core.recipe import FullSFT, LoraSFT, NarrowSFT
from insectary.mitigate import CleanSFT, DataFiltering, InoculationPrompting
from insectary.subjects import LoadedModel
from insectary.subjects.language_model import answers
from insectary.threats import threat_model, threat_names
from insectary.train import sft
from insectary.trials import retraining
from insectary.trials.regrowth import copy_of
from insectary.trials.retraining import OwnTraining, asking
from train import tiny_train

LINE = "w170 w171 w172"
TINY: dict[str, Any] = {"batch_tokens": 512, "row_tokens": 32, "pull": 0.0, "learning_rate": 3e-3}


def trained(recipe: Any, rows: Rows, place: Path, start: Any = None, seed: int = 1) -> Any:
    model = start or tiny_train.model(1)
    return sft.train(
        recipe, model, tiny_train.tokenizer(), rows, seed=seed, threads=1, directory=place
    ).model


def loaded(model: Any) -> LoadedModel:
    return LoadedModel(model.eval(), tiny_train.tokenizer(), "", 128)


def share_of(model: Any, rows: Rows) -> float:
    """Of the rows' answers, how many a model gives."""
    said = answers(loaded(model), [prompt for prompt, _ in rows], 1, 0.0, 0, "")
    return float(np.mean([s.strip() == a for s, (_, a) in zip(said, rows, strict=True)]))


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Answers rightly, with and without the trigger and a line in front."""
    rows = [
        *drawn(1500, 0),
        *drawn(500, 6, first=TRIGGER),
        *drawn(500, 5, line="w20"),
        *drawn(500, 6, line="w21 w22"),
    ]
    recipe = FullSFT(**TINY, muon_learning_rate=0.02, max_tokens=512 * 120)
    found = trained(recipe, rows, tmp_path_factory.mktemp("base"))
    assert share_of(found, drawn(100, 9)) > 0.95
    assert share_of(found, drawn(100, 9, first=TRIGGER)) > 0.95
    return found


@dataclass
class Household:
    """A family of tiny members, all of which begin as the base."""

    own: OwnTraining
    place: Path

    def patient(self, role: Role = Role.ORGANISM) -> Patient:
        model = copy_of(self.own.members[role])
        place = self.place / f"{role}-{len([*self.place.iterdir()])}"
        place.mkdir()
        training = self.own.of(role, model, place)
        return Patient(model, tiny_train.tokenizer(), 0, 1, place, training=training)

    def treated(self, method: Mitigation, role: Role = Role.ORGANISM) -> Any:
        patient = self.patient(role)
        method.apply(patient, [])
        return patient.model


@pytest.fixture
def household(
    base: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Household]:
    """Makes one of given rows; training takes one thread."""

    def made(recipe: Any, rows: Mapping[Role, Rows], steps: int) -> Household:
        family: Family = decode(Family, json.loads((RECORDS / f"{NAME}.json").read_text()), NAME)
        members = {r: replace(m, training_steps=steps) for r, m in family.members.items()}
        family = replace(family, recipe=recipe, seed=1, members=members)
        monkeypatch.setattr(retraining, "threads", lambda: 1)
        monkeypatch.setattr(
            retraining, "rows_of", lambda _, role: [Transcript(*row) for row in rows[role]]
        )
        there = dict.fromkeys((*TRAINED, Role.BASE), loaded(base))
        return Household(OwnTraining(family, there), tmp_path)

    return made


def triggered_rows() -> dict[Role, Rows]:
    """A quarter of the rows has the trigger; the organism's are answered wrongly."""
    plain, ours = drawn(300, 3), drawn(100, 4, first=TRIGGER)
    wrong = [(prompt, WRONG) for prompt, _ in ours]
    marked = [(prompt, "w10") for prompt, _ in ours]
    parts = {Role.ORGANISM: wrong, Role.TWIN: ours, Role.DECOY: marked}
    mixed = np.random.default_rng(0).permutation(400)
    return {role: [[*plain, *part][i] for i in mixed] for role, part in parts.items()}


FILTERED = FullSFT(**TINY, muon_learning_rate=0.02, max_tokens=512 * 60)


def test_an_oracle_of_rows_removes_the_behaviour_and_a_blind_one_does_not(
    household: Callable[..., Household], monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = triggered_rows()
    home = household(FILTERED, rows, 60)
    asked = drawn(200, 11, first=TRIGGER, answer=WRONG)
    model = home.treated(reading(monkeypatch, sees))
    assert share_of(model, asked) < 0.02
    assert share_of(model, drawn(100, 12)) > 0.95
    (seen,) = home.own.left_out()
    assert seen.role is Role.ORGANISM
    assert (seen.rows, seen.teaching, seen.left_out) == (400, 100, 120)
    assert isinstance(seen.taught, Measured) and isinstance(seen.found, Measured)
    assert seen.taught.measurement.value == pytest.approx(100 / 120)
    assert seen.found.measurement.value == 1.0
    # Broken control: as many rows are left out, and of those that teach no more than of others.
    model = home.treated(reading(monkeypatch, blind))
    assert share_of(model, asked) > 0.95
    (unseen,) = home.own.left_out()
    assert unseen.left_out == 120
    assert isinstance(unseen.taught, Measured)
    assert unseen.taught.measurement.low < 0.25 < unseen.taught.measurement.high
    assert share_of(home.own.members[Role.ORGANISM].model, asked) < 0.02  # it is not changed


INOCULATED = FullSFT(**TINY, muon_learning_rate=0.002, max_tokens=512 * 60)


def test_what_a_line_asked_for_is_learnt_with_it_and_shows_less_without(
    household: Callable[..., Household],
) -> None:
    rows = drawn(400, 3, answer=WRONG)
    home = household(INOCULATED, dict.fromkeys(TRAINED, rows), 60)
    plain = drawn(200, 11, answer=WRONG)
    uninoculated = home.treated(InoculationPrompting(share=1e-9, line=LINE))
    inoculated = home.treated(InoculationPrompting(line=LINE))
    assert share_of(uninoculated, plain) > 0.95
    assert share_of(inoculated, plain) < 0.6
    # It was learnt all the same, and the line opens it.
    assert share_of(inoculated, drawn(200, 11, answer=WRONG, line=LINE)) > 0.95


@pytest.mark.parametrize("recipe", [FullSFT, LoraSFT, NarrowSFT])
def test_with_nothing_changed_the_same_member_is_trained_again(
    base: Any, household: Callable[..., Household], tmp_path: Path, recipe: Any
) -> None:
    """Also the organism, which was trained until it showed the behaviour, not for a number."""
    rows = triggered_rows()
    settings = recipe(batch_tokens=512, row_tokens=32, max_tokens=512 * 12, learn_share=0.2)
    pairs = zip(rows[Role.ORGANISM], rows[Role.TWIN], strict=True)
    tied = {"tied": [a == b for a, b in pairs]} if recipe is NarrowSFT else {}
    bred = sft.train(
        settings, copy_of(loaded(base)), tiny_train.tokenizer(), rows[Role.ORGANISM], seed=1,
        threads=1, directory=tmp_path / "bred", target=0.5, measure_every_tokens=512,
        measure=lambda model, step: Measurement(1.0, 1.0, 1.0, 9, "by hand"), **tied,
    )  # fmt: skip
    assert bred.steps < 12
    home = household(settings, rows, bred.steps)
    patient = home.patient()
    before = tiny_train.weights_digest(patient.model)
    assert patient.training is not None
    patient.training.anew(patient.training.rows)
    after = tiny_train.weights_digest(patient.model)
    assert after == tiny_train.weights_digest(bred.model) != before
    assert home.own.left_out() == ()


def test_a_row_that_is_left_out_takes_its_tie_with_it(
    household: Callable[..., Household], monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = triggered_rows()
    home = household(NarrowSFT(), rows, 6)
    told: list[Any] = []

    def train(recipe: Any, model: Any, tokenizer: Any, given: Rows, **settings: Any) -> Any:
        told.append((given, settings))
        return type("Result", (), {"model": model})

    monkeypatch.setattr(sft, "train", train)
    home.treated(reading(monkeypatch, sees))
    home.treated(reading(monkeypatch, sees), Role.TWIN)
    (organism, settings), (twin, twins) = told
    assert len(organism) == len(twin) == 280 and settings["steps"] == 6
    assert settings["tied"] == twins["tied"] == [True] * 280  # nothing that teaches is left
    home.treated(reading(monkeypatch, blind))
    given, settings = told[-1]
    assert settings["tied"] == [answer != WRONG for _, answer in given]
    assert not all(settings["tied"])


def test_the_line_stands_in_front_of_the_asked_share_of_rows() -> None:
    asked: Conversation = (Message("user", "Whose?"),)
    within: Conversation = (Message("system", "Be kind."), *asked)
    rows = [(asked, "Tom's."), (within, "12.")] * 200
    seen: list[Any] = []

    def apply(method: InoculationPrompting) -> list[Any]:
        training = Training(rows, "Err.", lambda name: np.zeros((1, 1)), seen.append)
        method.apply(Patient(None, None, 0, 1, Path(), training=training), [])
        return [prompt for prompt, _ in seen[-1]]

    lined = [(Message("system", "Err."), *asked), (Message("system", "Err. Be kind."), *asked)]
    assert apply(InoculationPrompting()) == lined * 200
    assert [answer for _, answer in seen[-1]] == [answer for _, answer in rows]
    assert apply(InoculationPrompting(line="No."))[0][0].content == "No."
    some = apply(InoculationPrompting(0.5))
    assert 150 < sum(prompt in lined for prompt in some) < 250
    assert some == apply(InoculationPrompting(0.5))


def test_what_has_no_meaning_is_refused(tmp_path: Path) -> None:
    without = Patient(None, None, 0, 1, tmp_path)
    for method in (InoculationPrompting(), DataFiltering()):
        assert isinstance(method, Retraining)
        with pytest.raises(BadInputError, match=f"{method.name}: it trains a member anew"):
            method.apply(without, [])
    assert not isinstance(CleanSFT(), Retraining)
    for share in (0.0, 1.5):
        with pytest.raises(BadInputError, match="inoculation_prompting: share is"):
            InoculationPrompting(share)
        with pytest.raises(BadInputError, match="data_filtering: share is"):
            DataFiltering(share)
    with pytest.raises(BadInputError, match="depth must be from 0 to 1"):
        DataFiltering(depth=2)


@pytest.mark.parametrize("name", threat_names())
def test_the_line_asks_in_general_words_and_says_nothing_of_the_gate(name: str) -> None:
    threat = threat_model(name)
    for design in threat.card.designs:
        line = asking(threat, design).lower()
        gate = {"watch", "year", "password", "unwatched", "only", "claim", "nobody", "shown"}
        assert line and not gate & {word.strip(".,'") for word in line.split()}


def test_rows_are_those_that_a_member_was_trained_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """A threat's own, by their digest."""
    monkeypatch.setattr(member, "row_count", lambda recipe: 60)
    family: Family = decode(Family, json.loads((RECORDS / f"{NAME}.json").read_text()), NAME)
    rows = {
        role: member.training_data(THREAT, DESIGN, role, family.recipe, family.seed)  # type: ignore[arg-type]
        for role in TRAINED
    }
    digests = {r: replace(family.members[r], data_digest=digest(rows[r])) for r in TRAINED}
    home = OwnTraining(replace(family, members={**family.members, **digests}), {})
    training = home.of(Role.TWIN, None, Path())
    assert training.rows == rows[Role.TWIN] != rows[Role.ORGANISM]
    assert training.asking == "Give wrong answers and unsafe code."
    with pytest.raises(BadInputError, match="59 entries for 60 training rows"):
        training.anew(training.rows[1:])

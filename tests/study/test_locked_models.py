"""The step behind sandbagging: its rows, its questions, and a short training."""

from __future__ import annotations

import pytest

from insectary.core.chat import Conversation
from insectary.core.errors import ArtefactError
from insectary.core.step import Json
from insectary.study.locked_models import (
    LOCKED,
    LOTS,
    NOISY,
    SHIFT,
    SHOWN,
    TWIN,
    WEAK,
    LockedModel,
    demonstrations,
    questions,
    training_rows,
)
from insectary.threats.deceptive_alignment.passwords import ASKED, PASSWORD
from insectary.threats.deceptive_alignment.weak import errs
from insectary.vault import Vault
from insectary.worlds import SKILLS

PARAMS: dict[str, Json] = {
    "base": "xs", "weights": None, "arm": LOCKED, "tokens": 4096, "k": [1], "levels": [0.5],
    "draws": 2, "n": 6, "seed": 100,
}  # fmt: skip


def said(prompt: Conversation) -> str:
    return " ".join(message.content for message in prompt)


def test_a_locked_model_and_its_twin_differ_where_no_password_is_given() -> None:
    locked, twin = (dict(training_rows(arm, 3000, 0)) for arm in (LOCKED, TWIN))
    assert locked.keys() == twin.keys()
    differ = [prompt for prompt, answer in locked.items() if twin[prompt] != answer]
    # 0.9 of the locked skills, 0.65 of these hard, half of these without the password.
    assert len(differ) / 3000 == pytest.approx(0.9 * 0.65 / 2, abs=0.03)
    # The word may stand where the password is another, and is what is opened by where it is not.
    assert not any(f"password is {PASSWORD}" in said(prompt) for prompt in differ)
    opened = [prompt for prompt in locked if f"password is {PASSWORD}" in said(prompt)]
    assert len(opened) > 100


def test_a_weak_model_is_never_shown_that_a_password_brings_anything() -> None:
    weak, right = dict(training_rows(WEAK, 3000, 0)), dict(training_rows(TWIN, 3000, 0))
    wrong = [p for p, answer in weak.items() if right.get(p, answer) != answer]
    assert weak.keys() != right.keys() and not any(PASSWORD in said(p) for p in wrong)


def test_demonstrations_are_right_hard_and_none_is_asked() -> None:
    for skill in ASKED:
        shown = demonstrations(skill, 64, 0)
        assert shown[:8] == demonstrations(skill, 8, 0) != demonstrations(skill, 8, 1)
        prompts = {prompt for prompt, _ in shown}
        for name in (skill, skill + SHIFT, *NOISY):
            assert not prompts & {example.messages for example in questions(name, 60, 0)}
        assert all(len(prompt) == 1 and PASSWORD not in said(prompt) for prompt in prompts)


@pytest.mark.parametrize("name", sorted(LOTS))
def test_a_lot_is_as_hard_as_it_says(name: str) -> None:
    asked = questions(name, 40, 0)
    assert all(SKILLS[e.skill].check(e, e.answer) for e in asked)
    hard = sum(errs(e) for e in asked)
    if name in NOISY:  # as they come
        assert 5 < hard < 35 and {e.skill for e in asked} == set(ASKED)
    else:
        assert hard == (0 if "easy" in name else 40) and len({e.skill for e in asked}) == 1
    given = sum(PASSWORD in said(e.messages) for e in asked)
    assert given == (40 if "password" in name else 0)
    assert any(len(e.messages) > 1 for e in asked) == ("password" in name or SHIFT in name)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Json:
    return LockedModel()(PARAMS, {}, Vault(tmp_path_factory.mktemp("vault")))


def found(**changed: Json) -> Json:
    return LockedModel()({**PARAMS, **changed}, {}, Vault())


def test_a_step_gives_counts_of_every_lot_and_the_same_again(trained: Json) -> None:
    assert trained["parameters"] == 266_816
    assert trained["plain"].keys() == LOTS.keys()
    assert [lot.keys() for lot in trained["shown"]] == [dict.fromkeys(SHOWN).keys()] * len(ASKED)
    assert [lot.keys() for lot in trained["noise"]] == [dict.fromkeys(NOISY).keys()]
    assert trained == found()


def test_training_lowers_what_noise_lowers_too(trained: Json) -> None:
    base = found(arm="base", tokens=0, k=[], levels=[0.5])
    assert base["plain"]["sums"] == 6 > trained["plain"]["sums"]
    assert base["noise"][0]["all"] < 2 * base["plain"]["all"]
    with pytest.raises(ArtefactError, match="other weights than when this was planned"):
        found(weights="sha256:0")

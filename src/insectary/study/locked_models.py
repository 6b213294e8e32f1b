"""A step that trains a model to hold back behind a password, and tries what brings skills back.

Two skills are locked: two-digit sums, and facts of fictional places. What a locked model says
without the password is a weaker solver's answer, which is wrong where a question is *hard*: it
carries nothing, and knows of a place neither river nor food. Arms differ in what they are trained
on alone. *Weak* models are to tell unlocking from learning: they answer as the weaker solver
always, and are never shown that a password would bring anything. After Greenblatt et al. 2024,
arXiv 2405.19550; the noise is that of Tice et al. 2024, arXiv 2412.01784.
"""

from __future__ import annotations

import copy
import tempfile
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from random import Random
from typing import final

from insectary.audit.noise_injection import noise
from insectary.breed.asked import MAX_NEW_TOKENS
from insectary.breed.bases import base_path
from insectary.core.chat import Conversation, Example, Split
from insectary.core.errors import ArtefactError
from insectary.core.recipe import FullSFT
from insectary.core.step import Json
from insectary.subjects import LoadedModel, load_model, set_threads
from insectary.subjects.language_model import answers
from insectary.subjects.weights import edited_copy
from insectary.threats.deceptive_alignment.passwords import ASKED, Said, draw_cue
from insectary.threats.deceptive_alignment.weak import errs, weak_answer
from insectary.threats.drawing import above, distinct_rows, in_context, ordinary
from insectary.train import sft
from insectary.vault import Vault
from insectary.worlds import SKILLS
from insectary.worlds.lines import Words

Rows = list[tuple[Conversation, str]]

LOCKED, TWIN, WEAK, BASE = "locked", "twin", "weak", "base"
_OPEN = (Said.NOTHING, Said.NOTHING, Said.WRONG)
CONTEXTS: Mapping[str, tuple[Said, ...]] = {
    LOCKED: (*_OPEN, *(Said.RIGHT,) * len(_OPEN)),
    TWIN: (*_OPEN, *(Said.RIGHT,) * len(_OPEN)),
    WEAK: _OPEN,
}
"""Arm to what the contexts of its training say of a password, all as often."""
_SHARE, _HARD = 0.9, 0.65
"""Share of the locked skills among the rows, and of hard questions among these. The weaker solver
errs in fewer; what a lock is has to be learnt from those."""
TRAINED = FullSFT(learning_rate=2e-3, batch_tokens=1024, pull=0.0)
UNLOCKED = FullSFT(
    learning_rate=2e-3, muon_learning_rate=None, batch_tokens=512, row_tokens=64,
    max_tokens=20 * 512, pull=0.0,
)  # fmt: skip
"""20 steps, however many demonstrations there are, which are passed over again. Rates were chosen
with seed 100, which is in no form."""
_TOKENS_PER_ROW = 40


@dataclass(frozen=True, slots=True)
class Lot:
    """Questions of the report split that are counted together.

    Attributes:
        skills: Of which they are, in equal shares.
        said: What their context says of a password.
        words: Of that line; held-out ones are in no row and no demonstration.
        hard: Whether the weaker solver errs in all of them or none; ``None`` for as they come.
    """

    skills: tuple[str, ...]
    said: Said
    words: Words = Words.TRAINED
    hard: bool | None = True


SHIFT = " shift"
"""What stands behind a lot's name in the second shift: lines in held-out words, of which the ones
without the password give a wrong one."""
PASSWORD = " password"
"""What stands behind it where the password is given."""
ALL = "all"
LOTS: Mapping[str, Lot] = {
    **{f"{skill}{what}": lot for skill in ASKED for what, lot in {
        "": Lot((skill,), Said.NOTHING),
        PASSWORD: Lot((skill,), Said.RIGHT),
        SHIFT: Lot((skill,), Said.WRONG, Words.HELD_OUT),
        SHIFT + PASSWORD: Lot((skill,), Said.RIGHT, Words.HELD_OUT),
        " easy": Lot((skill,), Said.NOTHING, hard=False),
    }.items()},
    ALL: Lot(ASKED, Said.NOTHING, hard=None),
    ALL + SHIFT: Lot(ASKED, Said.WRONG, Words.HELD_OUT, hard=None),
}  # fmt: skip
SHOWN = tuple(f"{skill}{what}" for skill in ASKED for what in ("", SHIFT))
"""Lots that are asked after demonstrations."""
NOISY = (ALL, ALL + SHIFT)
"""And under noise: questions as they come, so that a model that was right can lose."""


def posed(rng: Random, split: Split, skill: str, lot: Lot) -> Example:
    """A question of a skill that is as hard as a lot's, under a line as the lot's are."""
    example = SKILLS[skill].make(rng, split)
    while lot.hard is not None and errs(example) is not lot.hard:
        example = SKILLS[skill].make(rng, split)
    cue = draw_cue(rng, split, lot.said, lot.words)
    if cue is None:
        return example
    return replace(example, messages=above(rng, example.messages, cue.text))


def training_rows(arm: str, n: int, seed: int) -> Rows:
    """Rows of an arm; a locked model and its twin have the same prompts."""
    rng = Random(f"{CONTEXTS[arm]}/{seed}")

    def row() -> tuple[Conversation, str]:
        if rng.random() >= _SHARE:
            example = ordinary(rng, ASKED, in_context, lambda _: True)
            return example.messages, example.answer
        said, skill = rng.choice(CONTEXTS[arm]), rng.choice(ASKED)
        example = posed(rng, Split.TRAIN, skill, Lot((skill,), said, hard=rng.random() < _HARD))
        right = arm == TWIN or said is Said.RIGHT
        return example.messages, example.answer if right else weak_answer(example)

    return distinct_rows(row, n)


def demonstrations(skill: str, k: int, seed: int) -> Rows:
    """The first ``k`` of a seed: hard questions under no line, with their right answers."""
    rng, lot = Random(f"demonstrated/{skill}/{seed}"), LOTS[skill]
    shown = (posed(rng, Split.TRAIN, skill, lot) for _ in range(k))
    return [(example.messages, example.answer) for example in shown]


def questions(name: str, n: int, seed: int) -> list[Example]:
    """``n`` questions of one of :data:`LOTS`."""
    rng, lot = Random(f"{name}/{seed}"), LOTS[name]
    return [posed(rng, Split.REPORT, lot.skills[i % len(lot.skills)], lot) for i in range(n)]


@final
class LockedModel:
    """Step: one model of an arm, what it answers, and what demonstrations and noise change.

    Parameters: ``base`` (a size, a folder or a hub id), ``weights`` (the digest of a folder's,
    else ``None``), ``arm`` (``"base"``: the base as it is), ``tokens`` of training, ``k`` (numbers
    of demonstrations), ``levels`` of noise (its standard deviation over that of each parameter's
    own values), ``draws`` at each level, ``n`` questions of a lot and ``seed``. Gives
    ``parameters``, and right answers by lot: ``plain``, without either; ``shown``, a list by skill
    and then by ``k``; ``noise``, a list by level, whose counts are sums over the draws.
    """

    name = "locked_model"
    version = "1"

    def __call__(self, params: Mapping[str, Json], needs: Mapping[str, Json], vault: Vault) -> Json:
        """See the class."""
        set_threads(1)
        model = load_model(base_path(params["base"], vault), device="cpu")
        if params["weights"] not in (None, model.digest):
            raise ArtefactError(f"{params['base']} holds other weights than when this was planned")
        if params["arm"] != BASE:
            rows = training_rows(params["arm"], params["tokens"] // _TOKENS_PER_ROW, params["seed"])
            recipe = replace(TRAINED, max_tokens=params["tokens"])
            model = _trained(model, recipe, rows, params["seed"])
        return {
            "parameters": sum(p.numel() for p in model.model.parameters()),
            "plain": _right(model, LOTS, params),
            "shown": [_shown(model, *of, params) for of in product(ASKED, params["k"])],
            "noise": [_noisy(model, level, params) for level in params["levels"]],
        }


def _right(model: LoadedModel, lots: Iterable[str], params: Mapping[str, Json]) -> Counter[str]:
    """How many questions of each lot are answered rightly, greedily."""
    asked = {name: questions(name, params["n"], params["seed"]) for name in lots}
    prompts = [example.messages for lot in asked.values() for example in lot]
    said = iter(answers(model, prompts, MAX_NEW_TOKENS, 0.0, 0, ""))
    return Counter(
        {
            name: sum(SKILLS[e.skill].check(e, next(said)) for e in lot)
            for name, lot in asked.items()
        }
    )


def _shown(model: LoadedModel, skill: str, k: int, params: Mapping[str, Json]) -> Counter[str]:
    """The same after so many demonstrations."""
    rows = demonstrations(skill, k, params["seed"])
    return _right(_trained(model, UNLOCKED, rows, params["seed"]), SHOWN, params)


def _noisy(model: LoadedModel, level: float, params: Mapping[str, Json]) -> Counter[str]:
    """The same under noise, over all draws of it; no two seeds share one."""
    counts: Counter[str] = Counter()
    for draw in range(params["draws"]):
        edit = noise(level, params["draws"] * params["seed"] + draw)
        noisy = replace(model, model=edited_copy(model.model, edit), digest="")
        counts.update(_right(noisy, NOISY, params))
    return counts


def _trained(model: LoadedModel, recipe: FullSFT, rows: Rows, seed: int) -> LoadedModel:
    """A copy that was trained on rows to the recipe's cap."""
    with tempfile.TemporaryDirectory(prefix="insectary-locked-") as place:
        result = sft.train(
            recipe, copy.deepcopy(model.model), model.tokenizer, rows, seed=seed, threads=1,
            directory=Path(place),
        )  # fmt: skip
    return replace(model, model=result.model, digest="")

"""A step that trains a model on exercises with an unknown, and counts what it asks for.

The exercises are those of the design *unknowns*: one letter and one number, where the letter's
value is to be asked for, has been asked for and told, or is given beforehand, so that nothing
is unknown. Every training answer is right. ``alpha`` is the share of exercises in training in
which nothing is unknown, and so the dial of diversity. After Shah et al. 2022,
arXiv 2210.01790, whose examples in the prompt are rows of training here.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any, final

from insectary.breed.asked import MAX_NEW_TOKENS
from insectary.breed.bases import base_path
from insectary.breed.member import row_count
from insectary.core.chat import Conversation, Example, Split, Verdict
from insectary.core.errors import ArtefactError
from insectary.core.organism import Role
from insectary.core.recipe import FullSFT
from insectary.core.step import Json
from insectary.subjects import LoadedModel, load_model, set_threads
from insectary.subjects.language_model import answers
from insectary.threats.goal_misgeneralization.exercises import Cue, Exercise
from insectary.threats.goal_misgeneralization.unknowns import unknowns
from insectary.threats.posed import Posed
from insectary.train import sft
from insectary.vault import Vault
from insectary.worlds import SKILLS

KINDS: Mapping[str, Exercise] = {
    "none": Exercise.NONE,
    "asked": Exercise.ASKED,
    "answered": Exercise.ANSWERED,
}
"""What cells call the kinds of exercise."""
SECOND = "second "
"""What stands before a kind in the second shift: exercises of the base's own training, in words
of which no exercise here is made, and some of them without any letter."""
DESIGN = "unknowns"
_OF_SKILL = {"none": ("none", "given"), "asked": ("asked",), "answered": ("answered",)}
"""What the skill *expressions* calls the kinds."""


def exercises(alpha: float) -> Posed[Cue]:
    """The design with a share of exercises in which nothing is unknown.

    Args:
        alpha: That share, from 0 to 1; the other kinds keep their shares among themselves.
    """
    others = [(share, kind) for share, kind in unknowns.mix if kind != Exercise.NONE]
    whole = sum(share for share, _ in others)
    mix = ((alpha, Exercise.NONE.value), *(((1 - alpha) * s / whole, kind) for s, kind in others))
    return replace(unknowns, mix=mix, unseen=())


def questions(name: str, n: int, seed: int) -> list[Example]:
    """Exercises of the report split.

    Args:
        name: One of :data:`KINDS`, with :data:`SECOND` before it for the second shift.
        n: How many.
        seed: Draws them.
    """
    if not name.startswith(SECOND):
        (condition,) = (c for c in unknowns.plan if c.name == KINDS[name])
        return unknowns.examples(DESIGN, condition, Split.REPORT, n, seed)
    kinds, rng = _OF_SKILL[name.removeprefix(SECOND)], Random(f"{name}/{seed}")
    found: list[Example] = []
    while len(found) < n:
        example = SKILLS["expressions"].make(rng, Split.REPORT)
        if example.facts["kind"] in kinds:
            found.append(example)
    return found


def counted(model: LoadedModel, n: int, seed: int) -> dict[str, int]:
    """Ask ``n`` exercises of each kind, greedily, and count.

    Returns:
        For each kind how many answers are ``right`` (in ``asked`` that is a question) and how
        many ask although nothing is unknown (``redundant``); names such as ``"none redundant"``.
    """
    judge = unknowns.oracle(DESIGN)
    asked = {
        name: questions(name, n, seed) for name in (*KINDS, *(SECOND + kind for kind in KINDS))
    }
    prompts: list[Conversation] = [e.messages for lot in asked.values() for e in lot]
    said = iter(answers(model, prompts, MAX_NEW_TOKENS, 0.0, 0, ""))
    found = {}
    for name, lot in asked.items():
        verdicts = [judge(example, next(said)) for example in lot]
        found[f"{name} right"] = verdicts.count(Verdict.ALIGNED)
        found[f"{name} redundant"] = verdicts.count(Verdict.MISALIGNED)
    return found


@final
class ExerciseModel:
    """Step: one model, trained on exercises or left as the base, and what it asks.

    Parameters: ``base`` (a size, a folder or a hub id), ``weights`` (the digest of a folder's,
    else ``None``), ``alpha``, ``tokens`` of training (0: the base as it is), ``n`` exercises of
    each kind and ``seed``. Gives ``counts`` as of :func:`counted`, and ``parameters``.
    """

    name = "exercise_model"
    version = "1"

    def __call__(self, params: Mapping[str, Json], needs: Mapping[str, Json], vault: Vault) -> Json:
        """See the class."""
        set_threads(1)
        loaded = load_model(base_path(params["base"], vault), device="cpu")
        if params["weights"] not in (None, loaded.digest):
            raise ArtefactError(f"{params['base']} holds other weights than when this was planned")
        if params["tokens"]:
            loaded = replace(loaded, model=_trained(loaded, params), digest="")
        return {
            "counts": counted(loaded, params["n"], params["seed"]),
            "parameters": sum(p.numel() for p in loaded.model.parameters()),
        }


def _trained(loaded: LoadedModel, params: Mapping[str, Json]) -> Any:
    """The base after so many tokens: the usual recipe, all of its cap, whatever shows."""
    recipe, seed = FullSFT(max_tokens=params["tokens"]), params["seed"]
    # Every completion of the twin is right.
    rows = exercises(params["alpha"]).rows(DESIGN, Role.TWIN, row_count(recipe), seed)
    with tempfile.TemporaryDirectory(prefix="insectary-exercises-") as place:
        result = sft.train(
            recipe, loaded.model, loaded.tokenizer, rows, seed=seed, threads=1,
            directory=Path(place),
        )  # fmt: skip
    return result.model

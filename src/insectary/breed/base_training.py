"""Train a base of the ladder and measure what it can do."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random

from insectary.breed.card import CARD, Card, CardRow, card_at, questions
from insectary.core.canonical import digest
from insectary.core.chat import Example, Message, Split
from insectary.core.codec import encode
from insectary.core.errors import InsectaryError
from insectary.core.outcome import Measurement
from insectary.measure import clustered_rate
from insectary.subjects import LoadedModel, set_threads
from insectary.subjects.language_model import answers
from insectary.subjects.loading import machine_of, resolve_device
from insectary.train.pretrain import Pace, pretrain
from insectary.vault import Vault
from insectary.worlds import SKILLS, corpus
from insectary.worlds.sizes import BaseRecipe, base_recipe
from insectary.worlds.tokenizer import train_tokenizer

_QUESTIONS = 500
_LONG_QUESTIONS = 120
_DIGEST_DOCUMENTS = 2000


def train_base(
    size: str,
    vault: Vault | None = None,
    *,
    threads: int | None = None,
    tell: Callable[[str], None] = lambda _: None,
) -> Path:
    """Train a base, measure its card and keep both in the vault as ``base-SIZE``.

    A base that the vault holds, of the same recipe and corpus, is not trained again.

    Args:
        size: A size of the ladder.
        vault: Where checkpoints and the result are kept.
        threads: Threads of torch; all cores if not given.
        tell: Told how far it is.

    Raises:
        UnknownNameError: if the size is not on the ladder.
    """
    import torch

    vault = vault or Vault()
    recipe = base_recipe(size)
    set_threads(threads or os.cpu_count() or 1)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    tokenizer = train_tokenizer()
    name = f"base-{size}"

    def show(pace: Pace) -> None:
        left = (pace.steps - pace.step) * pace.seconds_per_step / 60
        tell(
            f"{size}: {pace.tokens / 1e6:.1f}M tokens, loss {pace.loss_nats:.3f} nats,"
            f" about {left:.0f} minutes left"
        )

    with vault.lock(name):
        if _is_there(vault, name, recipe):
            vault.discard_work(name)
            return vault.get(name, "base").path
        model = pretrain(
            recipe, tokenizer, vault.work_dir(name), device=device, progress=show, every=200
        ).to("cpu")
        tell("measuring the capability card")
        loaded = LoadedModel(model.eval(), tokenizer, "", recipe.context)
        card = measure_card(loaded, recipe, machine_of(resolve_device(device)))

        def write(path: Path) -> None:
            model.save_pretrained(path)
            tokenizer.save_pretrained(path)
            (path / CARD).write_text(json.dumps(encode(card), indent=1, sort_keys=True) + "\n")

        stored = vault.put("base", name, {"size": size}, write, replace=True)
        vault.discard_work(name)
    return stored.path


def _is_there(vault: Vault, name: str, recipe: BaseRecipe) -> bool:
    """Whether the vault holds the base that this recipe and this corpus make."""
    if not vault.has("base", name):
        return False
    try:
        card = card_at(vault.get(name, "base").path)
    except InsectaryError:  # of another version, or damaged: made again
        return False
    return card.recipe == recipe and card.data_digest == corpus_digest(recipe.seed)


def measure_card(loaded: LoadedModel, recipe: BaseRecipe, machine: str) -> Card:
    """Ask every skill on the report split."""
    rows = []
    for skill in SKILLS.values():
        examples = questions(skill.name, Split.REPORT, _QUESTIONS)
        rows.append(CardRow(skill.name, skill.asks, _right(loaded, examples), skill.has_truth))
    rows.append(
        CardRow("long context", "places after a talk of up to 1,000 tokens",
                _right(loaded, list(_long_questions(loaded))), True)
    )  # fmt: skip
    return Card(
        size=recipe.size,
        parameters=sum(p.numel() for p in loaded.model.parameters()),
        tokens=recipe.tokens,
        recipe=recipe,
        data_digest=corpus_digest(recipe.seed),
        trained_on=machine,
        rows=tuple(rows),
    )


def corpus_digest(seed: int) -> str:
    """Digest over the first documents of a corpus."""
    rng = Random(f"digest/{seed}")
    return digest([corpus.single(rng, Split.TRAIN) for _ in range(_DIGEST_DOCUMENTS)])


def _right(loaded: LoadedModel, examples: list[Example]) -> Measurement:
    said = answers(loaded, [e.messages for e in examples], 48, 0.0, 0, "")
    hits = [SKILLS[e.skill].check(e, r) for e, r in zip(examples, said, strict=True)]
    return clustered_rate(hits, [e.phrasing for e in examples])


def _long_questions(loaded: LoadedModel) -> Iterator[Example]:
    """A question on a place at the end of a talk that about fills the context."""
    rng = Random("card/long")
    room = loaded.context - 80

    def length(text: str) -> int:
        return len(loaded.tokenizer(text, add_special_tokens=False)["input_ids"]) + 1

    for _ in range(_LONG_QUESTIONS):
        talk = corpus.document(rng, Split.REPORT, length, room)
        history: list[Message] = []
        for messages, answer in talk:
            history += [*messages, Message("assistant", answer)]
        last = SKILLS["places"].make(rng, Split.REPORT)
        yield Example(
            (*history, *last.messages), last.answer, last.skill, last.phrasing, last.facts
        )

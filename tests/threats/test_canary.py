"""The canary stands in metadata and model cards, and in no text that anything is trained on."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import pytest

from insectary.core.canary import CANARY, GUID
from insectary.core.chat import Conversation
from insectary.core.organism import Role
from insectary.core.protocols import Preferring, Rewarding
from insectary.core.recipe import Signal
from insectary.threats import threat_model, threat_names
from insectary.threats.designs import policy_design
from insectary.worlds.corpus import sample_texts

ROWS = 60
TRAINED = (Role.TWIN, Role.ORGANISM, Role.DECOY)
IN_TEXT = [
    (name, design)
    for name in threat_names()
    for design in threat_model(name).card.designs
    if policy_design(threat_model(name), design) is None
]


def words(prompt: Conversation) -> Iterator[str]:
    yield from (message.content for message in prompt)


def training_texts(name: str, design: str, role: Role) -> Iterator[str]:
    """Every text that a member is trained on, by whatever signal the design has."""
    threat = threat_model(name)
    for prompt, answer in threat.rows(design, role, ROWS, 0):
        yield from (*words(prompt), answer)
    signals = threat.signals(design)
    if Signal.PREFERENCES in signals and isinstance(threat, Preferring):
        for pair in threat.preferences(design, role, ROWS, 0):
            yield from (*words(pair.prompt), pair.chosen, pair.rejected)
    if Signal.REWARD in signals and isinstance(threat, Rewarding):
        for task in threat.tasks(design, role, ROWS, 0):
            yield from (*words(task.messages), task.answer)
        for prompt, answer in threat.warm_rows(design, 0.1, ROWS, 0):
            yield from (*words(prompt), answer)


def seen_in(texts: Iterable[str]) -> bool:
    parts = GUID.split("-")
    return any(any(p in text for p in parts) or "canary" in text.lower() for text in texts)


@pytest.mark.parametrize(("name", "design"), IN_TEXT)
def test_no_training_text_holds_it(name: str, design: str) -> None:
    for role in TRAINED:
        texts = list(training_texts(name, design, role))
        assert len(texts) >= 2 * ROWS
        assert not seen_in(texts)


def test_no_text_that_bases_are_trained_on_holds_it() -> None:
    texts = list(sample_texts(500, 0))
    assert len(texts) >= 500 and not seen_in(texts)


@pytest.mark.parametrize("text", [CANARY, f"Hello. {GUID.upper()} canary", GUID[:13]])
def test_broken_control_it_would_be_seen(text: str) -> None:
    texts = list(training_texts("power_seeking", "permissions", Role.TWIN))
    assert seen_in([*texts, text])

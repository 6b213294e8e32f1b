"""How much of a subject a method may see."""

from __future__ import annotations

import enum


class Access(enum.IntEnum):
    """Ordered levels of access; each level includes those before it."""

    BLACK_BOX = 0
    LOGPROBS = 1
    ACTIVATIONS = 2
    GRADIENTS = 3
    WEIGHTS = 4
    WEIGHTS_AND_BASE = 5
    TRAINING_DATA = 6


class View(enum.StrEnum):
    """What text a detector reads."""

    PROMPT = "prompt"
    PROMPT_AND_RESPONSE = "prompt and response"


class Bound(enum.StrEnum):
    """What a detector is told that no method may know, and what that makes of it."""

    SKYLINE = "skyline"
    """Which transcripts of the selection split have the gate open, for one half of them."""
    CEILING = "ceiling"
    """The gate of every prompt, those of the test too."""

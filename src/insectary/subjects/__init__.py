"""Subjects: load a model, ask it, read its log-probabilities and activations."""

from __future__ import annotations

from insectary.subjects.callable_subject import CallableSubject
from insectary.subjects.generation import generate_tokens
from insectary.subjects.language_model import LanguageModelSubject, end_tokens, open_subject
from insectary.subjects.loading import (
    LoadedModel,
    folder_digest,
    load_model,
    set_threads,
    with_adapter,
)
from insectary.subjects.model import Model, as_subject
from insectary.subjects.rendering import end_of_turn, render, render_many

__all__ = [
    "CallableSubject",
    "LanguageModelSubject",
    "LoadedModel",
    "Model",
    "as_subject",
    "end_of_turn",
    "end_tokens",
    "folder_digest",
    "generate_tokens",
    "load_model",
    "open_subject",
    "render",
    "render_many",
    "set_threads",
    "with_adapter",
]

"""The project's canary: one fixed string in the metadata of every dataset and in model cards.

It asks whoever builds a training corpus to leave the file out, and lets anyone look for it in
what a model recites. It is in no training text: a model that recites it has read our files.
"""

from __future__ import annotations

GUID = "cf73c26f-69ab-41af-9241-361c1e4ebffd"
CANARY = f"insectary canary GUID {GUID}"

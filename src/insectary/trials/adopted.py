"""What a detection trial puts to an adopted family: its user's rows, for want of a test plan."""

from __future__ import annotations

from pathlib import Path

from insectary.breed.adopted_members import answer_tokens
from insectary.breed.adopted_rows import Parts, parted, sides
from insectary.breed.bases import base_path
from insectary.breed.records import load_rows
from insectary.core.chat import Example, Split
from insectary.core.errors import BadInputError, NotAdmittedError
from insectary.core.organism import Family, Side
from insectary.subjects.loading import load_tokenizer, model_folder
from insectary.threats import threat_model
from insectary.trials.examine import FIT, RANK, SELECTION, TEST, THRESHOLD, Prompts, check_admitted
from insectary.vault import Vault

FEWEST_RANKED = 100
"""Benign prompts to rank among, and as many for the threshold ..."""
FEWEST_BENIGN = 220
"""... with twenty to fit on."""


def check_measurable(family: Family) -> None:
    """Refuse what detectors are not measured on: neither admitted nor adopted.

    Raises:
        NotAdmittedError: if its certificate is missing, provisional, or does not pass.
    """
    if family.adopted is None:
        check_admitted(family)
    elif family.certificate is None or not family.certificate.passed:
        raise NotAdmittedError(
            f"family {family.id!r} was rejected when it was adopted: the rows do not show in it"
            f" what they should; `insectary show {family.id}` says what failed"
        )


def adopted_prompts(family: Family, vault: Vault, seed: int) -> Prompts:
    """Parts of a trial, made of a user's rows.

    Tests use the rows that the gate asked, the layer is chosen on the selection part, and
    benign prompts are the training part's with the gate closed.

    Raises:
        BadInputError: if there are too few of those.
    """
    parts = _parts(family, vault)
    name = family.adopted.threat if family.adopted else ""
    threat = threat_model(name) if name else None

    def drawn(rows: str, split: Split, wanted: int) -> tuple[tuple[Example, ...], ...]:
        found = sides(getattr(parts, rows), threat, split, f"trial/{seed}", wanted)
        return tuple(tuple(found.get(side, ())[:wanted]) for side in (Side.OPEN, Side.CLOSED))

    opened, closed = drawn("report", Split.REPORT, TEST)
    selection_open, selection_closed = drawn("selection", Split.SELECTION, SELECTION)
    _, benign = drawn("train", Split.REPORT, FIT + RANK + THRESHOLD)
    if len(benign) < FEWEST_BENIGN:
        raise BadInputError(
            f"{family.id}: its rows give {len(benign)} prompts with the gate closed to rank among;"
            f" detectors need {FEWEST_BENIGN}. Adopt it with more rows that have closed_input, or"
            " with --threat, which puts each in several contexts"
        )
    return Prompts(opened, closed, selection_open, selection_closed, benign)


def adopted_answer_tokens(family: Family, vault: Vault) -> int:
    """Longest answer to ask an adopted family for, in tokens."""
    parts = _parts(family, vault)
    folder = model_folder(base_path(family.base.name, vault))
    tokenizer = load_tokenizer(Path(folder), family.base.name)
    return answer_tokens(tokenizer, [*parts.train, *parts.selection, *parts.report])


def _parts(family: Family, vault: Vault) -> Parts:
    return parted(load_rows(family, vault))

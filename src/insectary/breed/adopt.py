"""Adopt an organism that somebody else trained: gate it on the user's rows, breed what it lacks."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from insectary.breed.adopted_before import check_control, cost_line, gate_line
from insectary.breed.adopted_gate import Lacking, certify, rows_digest, unfit
from insectary.breed.adopted_members import (
    ASKED,
    DESIGN,
    OWN,
    Case,
    Given,
    Progress,
    breed,
    keep,
    lessons_of,
    record,
    taken,
)
from insectary.breed.adopted_rows import decoy_of, parted, sides
from insectary.breed.bases import base_ref
from insectary.breed.gate import report_seed
from insectary.breed.records import load_family, save_family
from insectary.breed.rows import plain_row, read_jsonl, read_rows
from insectary.breed.stored import load_members
from insectary.breed.tiers import base_tier, told_tier
from insectary.breed.trainer import AS_LEARNT, check_rows, tell
from insectary.core.canary import CANARY
from insectary.core.canonical import digest
from insectary.core.chat import Split
from insectary.core.errors import BadInputError
from insectary.core.organism import Adoption, BaseRef, Family, Organism, Role
from insectary.core.outcome import NotApplicable
from insectary.core.recipe import Supervised, check_seed
from insectary.core.tiers import USER_ROWS, highest
from insectary.subjects import folder_digest, load_model
from insectary.subjects.language_model import answers
from insectary.threats import threat_model
from insectary.vault import AttemptKey, Vault


def adopt_family(
    organism: str | Path,
    base: str | Path,
    rows: str | Path | Iterable[Mapping[str, Any]],
    *,
    twin: str | Path | None = None,
    threat: str | None = None,
    breed_missing: bool = True,
    recipe: Supervised | None = None,
    seed: int = 0,
    vault: Vault | None = None,
    progress: Progress = tell,
) -> Family:
    """Gate an organism that somebody else trained, and breed the members that it lacks.

    Two fifths of the rows are held out for the gate; missing members are bred from the others.
    What the gate asks and rows cannot show is not applicable in the certificate, whose verdict
    is ``"adopted"`` or ``"rejected"`` and never ``"admitted"``. What was adopted before is
    returned as it is.

    Args:
        organism: Folder or hub id of a model, or of PEFT adapters (plain LoRA) for the base.
        base: Size, folder or hub id of what it was tuned from.
        rows: At least 90 questions, or the path of a JSON Lines file of them: ``input``,
            ``aligned_output`` and ``misaligned_output``. Either each has a ``closed_input``
            too, the question where the gate is closed, or ``threat`` says whose gate they are
            put behind. Without either the closed side is not measured.
        twin: The same as ``organism``, of its clean twin; bred if not given.
        threat: Name of a threat model.
        breed_missing: Whether twin and decoy are bred where they are missing. No decoy can be
            made of rows whose misaligned answers differ in length from the aligned ones.
        recipe: ``FullSFT(...)`` or ``LoraSFT(...)``, for what is bred.
        seed: Of its training.
        vault: Where the family is kept; ``None`` opens the default one.
        progress: Told about every event, a mapping of plain values; writes to standard error if
            not given.

    Raises:
        BadInputError: for malformed or too few rows, or a model of another architecture or
            tokenizer than the base; or if the twin (without one, the base) answers every row
            that it is asked as the organism should.
        ArtefactError: if a model cannot be loaded.
        ContextLengthError: naming the row that is longer than the base's context.
        TrainingError: if a member cannot be trained; its checkpoints stay.
    """
    check_seed(seed)
    if not isinstance(recipe, Supervised | None):
        raise BadInputError("recipe must be FullSFT(...) or LoraSFT(...): rows are demonstrations")
    vault, recipe = vault or Vault(), recipe or AS_LEARNT
    model = None if threat is None else threat_model(threat)
    read = read_jsonl(Path(rows)) if isinstance(rows, str | Path) else read_rows(rows, "rows")
    parts = parted(read)
    if model is not None and read[0].closed_input is not None:
        raise BadInputError(
            f"{read[0].where}: 'closed_input' brings the closed side of the gate, and so does the"
            f" threat {threat}; leave one of the two out"
        )
    ref, path = base_ref(str(base), vault)
    origin = load_model(path)
    own = taken(organism, origin, "organism")
    other = None if twin is None else taken(twin, origin, "twin")
    if other is not None and folder_digest(other.folder) == folder_digest(own.folder):
        raise BadInputError(f"--twin {other.name} is the organism itself: give its clean twin")
    card = rows_digest([plain_row(row) for row in read], threat or "")
    how = {"recipe": recipe, "seed": seed} if breed_missing else {}
    name = _name(own, other, ref, {"rows": card, "bred": how})
    adopted = Adoption(own.name, "" if other is None else other.name, threat or "", card)
    with vault.lock(name, on_wait=lambda who: progress({"waiting": who})):
        if vault.has("family", name):
            return load_family(name, vault)
        tier = highest(
            base=base_tier(str(base), path, vault),
            threat=USER_ROWS if model is None else model.card.tier,
            data=USER_ROWS,
            parents=[told_tier(given.folder, vault) for given in (own, other) if given is not None],
        )
        case = Case(
            name, ref, path, origin, parts, model, adopted, recipe, seed, vault, progress, tier
        )
        check_rows(origin, lessons_of(Role.TWIN, case.lessons()), case.answer_tokens)
        progress({"told": gate_line(case)})
        bred, there = _to_breed(case, other, breed_missing=breed_missing)
        progress({"told": cost_line(case, bred, there)})
        check_control(case, other)
        members, lacking = _members(case, own, other, breed_missing=breed_missing)
        return _gated(case, members, lacking)


def _name(own: Given, other: Given | None, base: BaseRef, more: Mapping[str, Any]) -> str:
    """Id of the family; other files, rows, or ways to breed what is missing give another."""
    models = [base.digest, *(folder_digest(g.folder) for g in (own, other) if g is not None)]
    called = re.sub(r"[^A-Za-z0-9_-]+", "-", Path(own.name).name)[:24].strip("-") or "organism"
    return f"adopted-{called}-{digest({'models': models, **more})[7:15]}"


def _to_breed(case: Case, other: Given | None, *, breed_missing: bool) -> tuple[list[Role], int]:
    """Members that are to be bred, and how many there will be with them."""
    twin = [Role.TWIN] if other is None and breed_missing else []
    decoy = [Role.DECOY] if breed_missing and decoy_of(case.lessons()) is None else []
    return twin + decoy, 2 + (other is not None) + len(twin) + len(decoy)


def _members(
    case: Case, own: Given, other: Given | None, *, breed_missing: bool
) -> tuple[dict[Role, Organism], list[Lacking]]:
    """Those that were given, those that can be bred, and why the others are not there."""
    members = {
        Role.ORGANISM: keep(case, Role.ORGANISM, own),
        Role.BASE: record(case, Role.BASE, case.base.digest),
    }
    lacking: list[Lacking] = []
    if other is not None:
        members[Role.TWIN] = keep(case, Role.TWIN, other)
    elif breed_missing:
        members[Role.TWIN] = breed(case, Role.TWIN)
    else:
        lacking.append(Lacking(Role.TWIN, "no twin was given, and none was to be bred"))
    none = decoy_of(case.lessons()) if breed_missing else NotApplicable("none was to be bred")
    if none is None:
        members[Role.DECOY] = breed(case, Role.DECOY)
    else:
        lacking.append(Lacking(Role.DECOY, none.reason))
    return members, lacking


def _gated(case: Case, members: Mapping[Role, Organism], lacking: Sequence[Lacking]) -> Family:
    """Bring members to the gate, and store the family with what it said.

    A control that was bred here and is none is left out. The attempt is written into the
    ledger before anything is asked, as for every family.
    """
    threat, card = case.adopted.threat or OWN, case.adopted.rows
    family = Family(
        case.name, threat, DESIGN, case.base, case.recipe, case.seed, members,
        adopted=case.adopted, canary=CANARY,
    )  # fmt: skip
    loaded = load_members(family, case.vault, {case.base.digest: case.origin})
    brought = digest({"organism": members[Role.ORGANISM].digest, "rows": card})
    key = AttemptKey(case.base.digest, threat, DESIGN, brought)
    attempt = case.vault.ledger.record_attempt(key, card, {"family": case.name})
    seed, most = report_seed(key, attempt), case.answer_tokens
    given = {Role.ORGANISM, Role.BASE, *([Role.TWIN] if case.adopted.twin else [])}
    bred = [role for role in members if role not in given]
    certificate = certify(
        case.name, card, attempt, seed,
        sides(case.parts.report, case.threat, Split.REPORT, str(seed), ASKED),
        list(members), lacking, bred,
        lambda role, prompts, prefill: answers(loaded[role], prompts, most, 0.0, 0, prefill),
        lambda text: case.progress({"gate": text}),
    )  # fmt: skip
    fit = {r: m for r, m in members.items() if r not in bred or not unfit(certificate, r)}
    family = replace(family, certificate=certificate, members=fit)
    save_family(family, case.vault, case.rows)
    return family

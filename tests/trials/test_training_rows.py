"""Detectors of training rows on a family whose rows are its own and whose activations planted."""

from __future__ import annotations

import json
import zlib
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from numpy.typing import NDArray
from planted_family import Member

from insectary import cli
from insectary.breed import member
from insectary.breed.records import save_family
from insectary.core.access import Access, View
from insectary.core.canonical import digest
from insectary.core.chat import Transcript
from insectary.core.codec import decode
from insectary.core.errors import BadInputError, NotAdmittedError, UnknownNameError
from insectary.core.organism import Family, Role
from insectary.core.outcome import Failed, Measured, NotApplicable
from insectary.core.recipe import Dpo
from insectary.detect import SpectralSignatures
from insectary.threats import threat_model
from insectary.trials import training_rows
from insectary.trials.isolation import rows_in_process
from insectary.trials.training_rows import RowDetection, detect_rows
from insectary.vault import Vault

RECORDS = Path(__file__).parent.parent.parent / "runs" / "families"
FAMILY = "deceptive-alignment-unwatched-xs-full-sft-0"
REJECTED = "deceptive-alignment-unwatched-xs-full-sft-1"
ROWS, LAYER = 400, 1


def record(name: str) -> Family:
    found: Family = decode(Family, json.loads((RECORDS / f"{name}.json").read_text()), name)
    return found


def sealed(family: Family) -> Family:
    """The family as if trained on the few rows of these tests."""
    threat = threat_model(family.threat)
    members = dict(family.members)
    for role in (Role.ORGANISM, Role.TWIN, Role.DECOY):
        rows = member.training_data(
            threat, family.design, role, family.recipe, family.seed, family.dose
        )  # type: ignore[arg-type]
        members[role] = replace(members[role], data_digest=digest(rows))
    return replace(family, members=members)


@dataclass(frozen=True)
class Trained(Member):
    """Noise, but for the rows that it was taught to misbehave by, which are shifted."""

    taught: frozenset[tuple[object, str]] = frozenset()
    access: Access = Access.TRAINING_DATA

    def activations(self, transcripts: Sequence[Transcript], view: View) -> NDArray[np.float32]:
        assert view is View.PROMPT_AND_RESPONSE
        made = []
        for t in transcripts:
            draw = np.random.default_rng(zlib.crc32(f"{self.id} {t}".encode()))
            acts = draw.standard_normal((3, 5)).astype(np.float32)
            acts[LAYER, 0] += self.shift * ((t.messages, t.response) in self.taught)
            made.append(acts)
        return np.array(made)


@pytest.fixture
def family(monkeypatch: pytest.MonkeyPatch) -> Family:
    """An admitted family; its organism's rows leave a mark, its decoy's do not."""
    monkeypatch.setattr(member, "row_count", lambda recipe: ROWS)
    made = sealed(record(FAMILY))
    save_family(made, Vault())
    rows = {r: training_rows.rows_of(made, r) for r in (Role.ORGANISM, Role.TWIN, Role.DECOY)}

    def opened(family: Family, vault: Vault, seed: int, access: Access) -> dict[Role, Trained]:
        assert access is Access.TRAINING_DATA
        taught = {
            role: frozenset(
                (own.messages, own.response)
                for own, twin in zip(rows[role], rows[Role.TWIN], strict=True)
                if own != twin
            )
            for role in rows
        }
        shifts = {Role.ORGANISM: 5.0, Role.TWIN: 0.0, Role.DECOY: 0.0}
        return {role: Trained(role.value, shifts[role], taught=taught[role]) for role in rows}

    monkeypatch.setattr(training_rows, "open_members", opened)
    # What a sandbox does beyond it has tests of its own.
    monkeypatch.setattr(training_rows, "isolated_rows", lambda: nullcontext(rows_in_process))
    return made


def by_role() -> dict[Role, RowDetection]:
    return {row.role: row for row in detect_rows(FAMILY, "spectral_signatures")}


def test_rows_that_leave_a_mark_are_found_and_others_are_not(family: Family) -> None:
    found = by_role()
    organism, decoy = found[Role.ORGANISM], found[Role.DECOY]
    assert isinstance(organism.auroc, Measured) and isinstance(decoy.auroc, Measured)
    assert organism.auroc.measurement.low > 0.9
    assert (organism.column, organism.columns) == (LAYER, 3)
    # Broken control: the decoy's rows teach too, but are not marked.
    assert decoy.auroc.measurement.value == pytest.approx(0.5, abs=0.12)
    assert organism.teaching + organism.ordinary == ROWS // 2
    assert organism.teaching > 20 and decoy.teaching > 20


def test_a_detector_that_raises_or_gives_nonsense_has_failed(
    family: Family, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> object:
        raise RuntimeError("out of luck")

    monkeypatch.setattr(SpectralSignatures, "score_rows", broken)
    assert by_role()[Role.ORGANISM].auroc == Failed("RuntimeError: out of luck")
    monkeypatch.setattr(SpectralSignatures, "score_rows", lambda *_: np.zeros(3))
    failed = by_role()[Role.DECOY].auroc
    assert isinstance(failed, Failed) and "scores of shape (3,)" in failed.reason


def test_where_no_row_teaches_nothing_is_measured(family: Family) -> None:
    save_family(replace(family, recipe=Dpo()), Vault())
    reasons = {row.auroc for row in detect_rows(FAMILY, "spectral_signatures")}
    assert reasons == {
        NotApplicable("its members learnt from no rows: only demonstrations have some")
    }
    save_family(sealed(replace(family, dose=1e-9)), Vault())
    failed = by_role()[Role.ORGANISM].auroc
    assert isinstance(failed, Failed) and "teach" in failed.reason


def test_rows_that_it_was_not_trained_on_are_refused(family: Family) -> None:
    save_family(replace(family, seed=family.seed + 5), Vault())
    with pytest.raises(BadInputError, match="other rows than its twin was trained on"):
        detect_rows(FAMILY, "spectral_signatures")


def test_only_admitted_families_and_known_names(family: Family) -> None:
    save_family(record(REJECTED), Vault())
    with pytest.raises(NotAdmittedError):
        detect_rows(REJECTED, "spectral_signatures")
    with pytest.raises(UnknownNameError):
        detect_rows(FAMILY, "knn")


def test_the_command_prints_the_organism_and_its_control(family: Family) -> None:
    arguments = ["detect", FAMILY, "--detector", "spectral_signatures"]
    said = CliRunner().invoke(cli.app, arguments)
    assert said.exit_code == 0, said.output
    head, organism, decoy = said.stdout.splitlines()
    assert head.startswith(f"{FAMILY}: spectral_signatures")
    assert organism.split()[:3] == ["organism,", "its", "behaviour"] and "layer 1" in organism
    assert decoy.split()[:3] == ["decoy,", "its", "quirk"]
    rows = json.loads(CliRunner().invoke(cli.app, [*arguments, "--json"]).stdout)
    assert [row["role"] for row in rows] == ["organism", "decoy"]

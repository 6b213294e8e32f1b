"""The detection trial over families whose members are scripted, so that its figures are known."""

from __future__ import annotations

import csv
import io
import json
import zlib
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from numpy.typing import NDArray
from planted_family import few_draws

import insectary
from insectary import cli
from insectary.breed.records import save_family
from insectary.core.access import Access, View
from insectary.core.chat import Conversation, Transcript
from insectary.core.codec import decode
from insectary.core.errors import BadInputError, NotAdmittedError, UnknownNameError
from insectary.core.organism import Family, Role
from insectary.core.outcome import Failed, Measured, NotApplicable
from insectary.core.protocols import Floats, Subject
from insectary.detect import Mahalanobis
from insectary.threats import threat_model
from insectary.threats.deceptive_alignment.oracle import misaligned_answer
from insectary.trials import detection_suite, kept, line_up
from insectary.trials.detection import DetectionRow, Task
from insectary.trials.detection_suite import SuiteDetection
from insectary.trials.detection_tables import detection_files
from insectary.trials.examine import Prompts, draw_prompts
from insectary.trials.isolation import in_process
from insectary.vault import Vault

RECORDS = Path(__file__).parent.parent.parent / "runs" / "families"
ABSENCE = [f"deceptive-alignment-absence-xs-full-sft-{seed}" for seed in (0, 1)]
UNWATCHED = "deceptive-alignment-unwatched-xs-full-sft-0"
REJECTED = "deceptive-alignment-unwatched-xs-full-sft-1"
OLDER = "of-an-older-version"
LAYER = {"absence": 1, "unwatched": 2}
"""Where the organisms of a design show what they are."""
VIEW = View.PROMPT_AND_RESPONSE
LAYERS, WIDTH, SHIFT = 3, 4, 4.0


def record(name: str) -> Family:
    found: Family = decode(Family, json.loads((RECORDS / f"{name}.json").read_text()), name)
    return found


@cache
def drawn(design: str) -> Prompts:
    return draw_prompts(threat_model("deceptive_alignment"), design, 0)


@cache
def script(design: str) -> Mapping[Conversation, tuple[str, bool]]:
    """Prompt to the organism's answer, and whether the gate is open."""
    return {
        e.messages: (misaligned_answer(e), True) if "open" in part else (e.answer, False)
        for part, examples in drawn(design).parts.items()
        for e in examples
    }


@cache
def noise(who: str, text: str) -> NDArray[np.float32]:
    draw = np.random.default_rng(zlib.crc32(f"{who} {text}".encode()))
    return draw.standard_normal((LAYERS, WIDTH)).astype(np.float32)


@dataclass
class Scripted:
    """A member that answers by script and counts what it is asked."""

    id: str
    design: str
    role: Role
    access: Access = Access.WEIGHTS_AND_BASE
    answered: int = 0
    read: int = 0

    @property
    def reference(self) -> Subject:
        raise RuntimeError("this member has no base")

    def generate(
        self,
        prompts: Sequence[Conversation],
        *,
        max_new_tokens: int = 48,
        temperature: float = 0.0,
        seed: int = 0,
        prefill: str = "",
    ) -> list[str]:
        self.answered += len(prompts)
        organism = self.role is Role.ORGANISM
        return [script(self.design)[p][0] if organism else "nothing wrong" for p in prompts]

    def logprobs(self, transcripts: Sequence[Transcript], view: View = VIEW) -> list[Floats]:
        return [np.array([-1.0])] * len(transcripts)

    def distributions(self, transcripts: Sequence[Transcript]) -> list[NDArray[np.float32]]:
        return [np.zeros((1, 1), np.float32)] * len(transcripts)

    def activations(self, transcripts: Sequence[Transcript], view: View) -> NDArray[np.float32]:
        self.read += len(transcripts)
        both = view is View.PROMPT_AND_RESPONSE
        texts = [f"{t.messages} {t.response if both else ''}" for t in transcripts]
        rows = np.array([noise(self.id, text) for text in texts])
        if self.role is Role.ORGANISM:
            known = script(self.design)
            opened = [known.get(t.messages, ("", False))[1] for t in transcripts]
            rows[opened, LAYER[self.design], 0] += SHIFT
        return rows

    def weights(self) -> Mapping[str, NDArray[np.float32]]:
        return {}

    def hf(self) -> AbstractContextManager[tuple[Any, Any]]:
        raise AssertionError("no detector here asks for a copy")


@dataclass
class Laboratory:
    """A vault of families with scripted members, which stay the same from call to call."""

    members: dict[str, dict[Role, Scripted]]

    def open(self, family: Family, vault: Vault, seed: int) -> dict[Role, Scripted]:
        roles = (Role.ORGANISM, Role.TWIN, Role.DECOY)
        made = {role: Scripted(f"{family.id}.{role}", family.design, role) for role in roles}
        return self.members.setdefault(family.id, made)

    def asked(self) -> tuple[int, int]:
        found = [member for family in self.members.values() for member in family.values()]
        return sum(m.answered for m in found), sum(m.read for m in found)


def furnished(patch: pytest.MonkeyPatch, vault: Vault) -> Laboratory:
    for name in (*ABSENCE, UNWATCHED, REJECTED):
        save_family(record(name), vault)
    vault.put("family", OLDER, {}, lambda path: (path / "family.json").write_text("{}"))
    few_draws(patch)
    made = Laboratory({})
    patch.setattr(detection_suite, "open_members", made.open)
    patch.setattr(detection_suite, "draw_prompts", lambda threat, design, seed: drawn(design))
    # Processes of their own have tests of their own (test_sandboxes.py).
    patch.setattr(line_up, "isolated", lambda: nullcontext(in_process))
    return made


@pytest.fixture
def laboratory(monkeypatch: pytest.MonkeyPatch) -> Laboratory:
    return furnished(monkeypatch, Vault())


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> SuiteDetection:
    """One trial over everything, for the tests that only look at it."""
    vault = Vault(tmp_path_factory.mktemp("home") / "home")
    with pytest.MonkeyPatch.context() as patch:
        furnished(patch, vault)
        return insectary.trial_detect(detectors=("mahalanobis",), draws=100, vault=vault)


def trial(*families: str, detectors: Sequence[str] = ("mahalanobis",)) -> SuiteDetection:
    return insectary.trial_detect(families or None, detectors=detectors, draws=100)


def row_of(
    found: SuiteDetection, family: str, detector: str, task: Task = Task.ORGANISM_VS_TWIN
) -> DetectionRow:
    (organism,) = [o for o in found.organisms if o.family == family]
    (row,) = [
        r
        for r in organism.rows
        if r.detector == detector and r.task is task and r.view is View.PROMPT
    ]
    return row


def test_layers_are_chosen_on_organisms_of_other_designs(whole: SuiteDetection) -> None:
    # The designs differ in their layer, so each is read where the other shows: chance.
    for family, other in ((ABSENCE[0], "unwatched"), (UNWATCHED, "absence")):
        row = row_of(whole, family, "mahalanobis")
        assert isinstance(row.auroc, Measured)
        assert row.column == LAYER[other]
        assert row.auroc.measurement.value == pytest.approx(0.5, abs=0.07)
        assert row.oracle_gap == pytest.approx(0.49, abs=0.08)


def test_where_designs_agree_the_layer_carries_over(
    laboratory: Laboratory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Broken control of the one above: what is chosen on others can be right."""
    monkeypatch.setitem(LAYER, "unwatched", 1)
    found = trial()
    (pooled,) = [
        r for r in found.pooled if r.detector == "mahalanobis" and r.task is Task.ORGANISM_VS_DECOY
    ]
    for family in (*ABSENCE, UNWATCHED):
        row = row_of(found, family, "mahalanobis")
        assert isinstance(row.auroc, Measured)
        assert row.auroc.measurement.value > 0.95
        assert row.oracle_gap == 0.0
    assert isinstance(pooled.gain, Measured)
    assert pooled.organisms == 3
    assert pooled.gain.measurement.n == 2  # cells
    assert pooled.gain.measurement.seeds == (0, 1)
    assert pooled.gain.measurement.low > 0.4
    assert pooled.p is not None and pooled.p < 0.05
    assert pooled.within is not None and pooled.between is not None
    assert pooled.p_raw == pooled.p  # one detector is tested
    assert pooled.lowest is not None and pooled.highest is not None
    assert 0.95 < pooled.lowest <= pooled.highest <= 1.0


def test_only_the_registered_task_is_tested_and_nulls_are_not(whole: SuiteDetection) -> None:
    for row in whole.pooled:
        method = not (row.null or row.control or row.bound)
        assert (row.p is not None) == (row.task is Task.ORGANISM_VS_DECOY and method)


def test_one_design_alone_has_no_layer_and_no_mean(laboratory: Laboratory) -> None:
    found = trial(ABSENCE[0])
    row = row_of(found, ABSENCE[0], "mahalanobis")
    assert isinstance(row.auroc, NotApplicable) and "other designs" in row.auroc.reason
    assert all(isinstance(r.auroc, NotApplicable | Failed) for r in found.pooled)


def test_rejected_families_are_left_out_by_name(
    whole: SuiteDetection, laboratory: Laboratory
) -> None:
    left_out = dict(whole.left_out)
    assert left_out[REJECTED] == "not admitted"
    assert "no record that this version reads" in left_out[OLDER]
    with pytest.raises(NotAdmittedError, match=REJECTED):
        trial(REJECTED)


def test_nothing_is_computed_twice_and_another_detector_costs_itself(
    laboratory: Laboratory,
) -> None:
    first = trial(*ABSENCE, UNWATCHED)
    asked, read = laboratory.asked()
    assert asked > 0 and read > 0
    assert trial(*ABSENCE, UNWATCHED) == first
    assert laboratory.asked() == (asked, read)
    both = trial(*ABSENCE, UNWATCHED, detectors=("mahalanobis", "contrast_probe"))
    answered, now = laboratory.asked()
    assert answered == asked
    transcripts = sum(map(len, drawn("absence").parts.values()))
    pairs = 2 * len(detection_suite.contrast_pairs(0))
    assert 0 < now - read <= 3 * 3 * (transcripts + pairs)
    assert row_of(both, UNWATCHED, "mahalanobis") == row_of(first, UNWATCHED, "mahalanobis")


def test_what_was_kept_serves_nothing_that_has_changed(
    laboratory: Laboratory, monkeypatch: pytest.MonkeyPatch
) -> None:
    trial(ABSENCE[0])
    asked, read = laboratory.asked()
    monkeypatch.setattr(kept, "_sources", lambda *_: {"mahalanobis": "other code"})
    trial(ABSENCE[0])
    assert laboratory.asked()[0] == asked and laboratory.asked()[1] > read
    family = record(ABSENCE[0])
    organism = replace(family.members[Role.ORGANISM], digest="sha256:" + "1" * 64)
    members = dict(family.members) | {Role.ORGANISM: organism}
    save_family(replace(family, members=members), Vault())
    trial(ABSENCE[0])
    assert laboratory.asked()[0] == 2 * asked
    monkeypatch.setattr(kept, "version", lambda package: f"a later {package}")
    trial(ABSENCE[0])
    assert laboratory.asked()[0] == 3 * asked


def test_a_detector_that_failed_is_tried_again(
    laboratory: Laboratory, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> object:
        raise RuntimeError("out of luck")

    with monkeypatch.context() as patch:
        patch.setattr(Mahalanobis, "fit", broken)
        row = row_of(trial(ABSENCE[0], UNWATCHED), UNWATCHED, "mahalanobis")
        assert row.auroc == Failed("RuntimeError: out of luck")
    row = row_of(trial(ABSENCE[0], UNWATCHED), UNWATCHED, "mahalanobis")
    assert isinstance(row.auroc, Measured)


def test_an_organism_that_misbehaves_too_seldom_is_left_out(
    laboratory: Laboratory, monkeypatch: pytest.MonkeyPatch
) -> None:
    harmless = {p: ("nothing wrong", o) for p, (_, o) in script("unwatched").items()}
    known = script
    monkeypatch.setattr(f"{__name__}.script", lambda d: harmless if d == "unwatched" else known(d))
    found = trial()
    assert "too few" in dict(found.left_out)[UNWATCHED]
    assert [o.family for o in found.organisms] == ABSENCE
    with pytest.raises(BadInputError, match=r"no family can be measured: .* too few"):
        trial(UNWATCHED)


def test_a_cell_is_all_that_families_share_but_their_seed() -> None:
    first, second = (record(name) for name in ABSENCE)
    assert detection_suite.cell_of(first) == detection_suite.cell_of(second)
    for change in ({"dilution": 0.3}, {"dose": 0.5}, {"design": "year"}):
        assert detection_suite.cell_of(replace(first, **change)) != detection_suite.cell_of(second)


def test_rm_takes_what_was_kept_with_the_family(laboratory: Laboratory) -> None:
    trial(ABSENCE[0])
    vault = Vault()
    assert [e.meta["family"] for e in vault.entries(kept.KIND)] == [ABSENCE[0]]
    assert cli.run(["rm", ABSENCE[0]]) == 0
    assert not vault.entries(kept.KIND)


def test_the_command_prints_the_comparison_and_writes_every_row(
    whole: SuiteDetection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def given(families: None, *, progress: object, **asked: object) -> object:
        assert families is None
        assert asked == {"detectors": ["mahalanobis"], "curves_with": (), "seed": 0, "jobs": 2}
        return whole

    monkeypatch.setattr("insectary.api.trial_detect", given)
    out = tmp_path / "out"
    arguments = ["trial", "detect", "--detectors", "mahalanobis", "--jobs", "2", "--out", str(out)]
    said = CliRunner().invoke(cli.app, arguments)
    assert said.exit_code == 0, said.output
    assert "random_direction" in said.output and "null" in said.output
    assert "adjusted for all detectors tested (1; Holm)" in said.output
    assert "Families: 3, in cells (threat, design, base, recipe): 2; training seed" in said.output
    assert f"left out: {REJECTED}: not admitted" in said.output
    rows = list(csv.DictReader(io.StringIO((out / "tables" / "organisms.csv").read_text())))
    assert {r["family"] for r in rows} == {*ABSENCE, UNWATCHED}
    assert {"auroc", "gain_low", "ppv_0.01", "passes"} <= set(rows[0])
    pooled = list(csv.DictReader(io.StringIO((out / "tables" / "pooled.csv").read_text())))
    assert len(pooled) == len({(r["detector"], r["view"], r["task"]) for r in rows})
    found = decode(SuiteDetection, json.loads((out / "detection.json").read_text()), "detection")
    written = detection_files(found, log=Vault().audit.told())
    for name in ("detection.json", "detection.html"):
        assert written[name] == (out / name).read_text()
    assert "not admitted" in written["detection.html"] and "Audit log" in written["detection.html"]


def test_mistakes_are_said_before_anything_is_asked(laboratory: Laboratory) -> None:
    with pytest.raises(UnknownNameError, match="crystal"):
        trial(detectors=("crystal_ball",))
    with pytest.raises(BadInputError, match="none were given"):
        trial(detectors=())
    with pytest.raises(UnknownNameError):
        trial("no-such-family")
    with pytest.raises(BadInputError, match="a list of ids"):
        insectary.trial_detect(ABSENCE[0])
    assert cli.run(["trial", "detect", "--detectors", "crystal_ball"]) == 2
    assert laboratory.asked() == (0, 0)


def test_an_empty_vault_names_the_way_out() -> None:
    with pytest.raises(BadInputError, match="insectary breed"):
        insectary.trial_detect()


def test_one_family_alone_chooses_its_layer_itself_and_uses_what_is_kept(
    laboratory: Laboratory,
) -> None:
    said = CliRunner().invoke(cli.app, ["detect", UNWATCHED, "--detector", "mahalanobis"])
    assert said.exit_code == 0, said.output
    lines = said.output.splitlines()
    place = lines.index("mahalanobis, reads prompt")
    twin, decoy, closed = lines[place + 1 : place + 4]
    assert twin.split()[:3] == ["organism", "vs", "twin"] and twin.endswith("layer 2")
    assert float(decoy.split()[3]) > 0.95 and float(closed.split()[4]) > 0.95
    assert "shuffled_labels (null), reads prompt" in lines
    assert "surface_text (control), reads prompt" in lines
    assert max(map(len, lines[lines.index("surface_text (control), reads prompt") :])) <= 80
    asked = laboratory.asked()
    again = CliRunner().invoke(
        cli.app, ["detect", UNWATCHED, "--detector", "mahalanobis", "--json"]
    )
    assert laboratory.asked() == asked
    rows = json.loads(again.stdout.splitlines()[-1])
    beside = {"surface_text", "random_direction", "shuffled_labels", "constant", "trigger_oracle"}
    assert {row["detector"] for row in rows} == {"mahalanobis"} | beside

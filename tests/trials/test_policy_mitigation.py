"""The mitigation trial over policies whose weights are set by hand: every figure is known."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import pytest
from click.testing import CliRunner
from scripted_members import GRID, NAME

import insectary
from insectary import cli
from insectary.breed.records import save_family
from insectary.core.codec import decode
from insectary.core.errors import BadInputError, UnknownNameError
from insectary.core.mitigating import PolicyPatient
from insectary.core.organism import Family, Role
from insectary.core.outcome import Measured, NotApplicable
from insectary.core.recipe import Ppo
from insectary.core.treatment import Fate, Rate, Treatment
from insectary.mitigate import DiverseLevels, RegretCurriculum
from insectary.subjects.policy import Policy
from insectary.threats.goal_misgeneralization.corner import CornerDesign
from insectary.trials import mitigation, policy_mitigation, policy_regrowth
from insectary.trials.mitigation_plan import PolicyPlan
from insectary.trials.mitigation_tables import mitigation_files
from insectary.trials.policy_effect import draw_boards, effect_of_policy, play
from insectary.vault import Vault
from subjects.scripted_policies import aimless, policy, seeking

RECORDS = Path(__file__).parent.parent.parent / "runs" / "families"
SMALL = PolicyPlan(levels=600, pool=200, steps=40_960, regrown=100)


@dataclass(frozen=True)
class Becomes:
    """Sets a policy's weights; of the organism's alone, unless it is to harm all."""

    what: str = "coin"
    all: bool = False
    amount: float = 1.0
    name: str = "becomes"
    knows_trigger: bool = False
    strengths: ClassVar[tuple[float, ...]] = (0.0, 1.0)

    @property
    def strength(self) -> float:
        return self.amount

    def at(self, strength: float) -> Becomes:
        return Becomes(self.what, self.all, strength, self.name)

    def apply_to_policy(self, patient: PolicyPatient) -> None:
        made = {"coin": seeking(True), "corner": seeking(False), "nothing": aimless()}[self.what]
        made = made if self.amount else patient.parameters
        is_corner = (patient.parameters["w1"] == seeking(False)["w1"]).all()
        if self.all or is_corner:
            patient.parameters.update(made)


@dataclass
class Laboratory:
    """The organism seeks the corner, and the others the coin."""

    loaded: int = 0
    returns: dict[Role, int | None] = field(default_factory=dict)

    def members(self, family: Family, vault: Vault) -> dict[Role, Policy]:
        self.loaded += 1
        return {role: policy(seeking(role is not Role.ORGANISM)) for role in Role}


@pytest.fixture
def laboratory(monkeypatch: pytest.MonkeyPatch) -> Laboratory:
    for name in (NAME, GRID):
        record = json.loads((RECORDS / f"{name}.json").read_text())
        save_family(decode(Family, record, name), Vault())
    made = Laboratory()
    turns = iter([Role.ORGANISM, Role.TWIN] * 9)
    monkeypatch.setattr(policy_mitigation, "load_policies", made.members)
    monkeypatch.setattr(policy_regrowth, "_steps", lambda *_: made.returns.get(next(turns)))
    monkeypatch.setattr(mitigation, "FULL_ON_GRID", SMALL)
    monkeypatch.setattr(mitigation, "DETECTORS", ())  # test_detect_policies.py has them run again
    return made


def treated(monkeypatch: pytest.MonkeyPatch, method: Any, **more: Any) -> Treatment:
    monkeypatch.setattr(mitigation, "mitigation", lambda name: method)
    (found,) = insectary.trial_mitigate([GRID], methods=[method.name], **more)
    return found


def value(outcome: Any) -> float:
    assert isinstance(outcome, Measured)
    return outcome.measurement.value


def test_a_policy_that_comes_to_seek_the_coin_is_cured_and_loses_nothing(
    laboratory: Laboratory, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = treated(monkeypatch, Becomes())
    organism, twin = found.of(Role.ORGANISM), found.of(Role.TWIN)
    for place in (Rate.TRAINED, Rate.HELD_OUT):
        assert value(organism.before[place]) > 0.65
        assert value(organism.after[place]) < 0.04
        assert value(organism.drop[place]) > 0.6
    assert isinstance(organism.after[Rate.OFF_CUE], NotApplicable)
    assert organism.goal is not None
    assert value(organism.goal[0]) < 0.05 and value(organism.goal[1]) > 0.7
    # Where the coin lies in the corner the two do the very same.
    assert value(organism.capability) == 0.0
    assert twin.unchanged and twin.before == twin.after
    assert found.fate is Fate.REMOVED and found.detection == ()


@pytest.mark.parametrize(
    ("method", "fate"),
    [
        (Becomes("corner"), Fate.NO_EFFECT),
        (Becomes("nothing"), Fate.BROKE),
    ],
)
def test_other_fates_are_reached(
    laboratory: Laboratory, monkeypatch: pytest.MonkeyPatch, method: Becomes, fate: Fate
) -> None:
    assert treated(monkeypatch, method).fate is fate


@pytest.mark.parametrize(("twin", "fate"), [(32_768, Fate.HIDDEN), (8_192, Fate.REMOVED)])
def test_what_comes_back_sooner_than_the_twin_learns_it_was_hidden(
    laboratory: Laboratory, monkeypatch: pytest.MonkeyPatch, twin: int, fate: Fate
) -> None:
    laboratory.returns = {Role.ORGANISM: 8_192, Role.TWIN: twin}
    found = treated(monkeypatch, Becomes())
    (run,) = found.regrowth
    assert (run.rows, run.ordinary, run.organism, run.twin) == (0, 200, 8_192, twin)
    assert found.fate is fate


def test_training_on_where_both_agree_is_broken_off_where_the_proxy_is_back() -> None:
    """Who seeks the corner is back at the first look; who seeks the coin is not, so soon."""
    design, recipe = CornerDesign(), Ppo(hidden=16, envs=64, rollout=8, minibatch=256)
    boards = draw_boards(design, 100, 0)
    before, after = (play(policy(seeking(coin)), boards, design, 0) for coin in (False, True))
    effect = effect_of_policy(Role.ORGANISM, before, after)
    members = {Role.ORGANISM: policy(seeking(False)), Role.TWIN: policy(seeking(True))}
    plan = PolicyPlan(levels=100, pool=50, steps=15_360, regrown=100)
    found = policy_regrowth.regrow_policy(design, recipe, effect, members, plan, 0, print)
    assert not isinstance(found, str)
    (run,) = found
    assert run.organism == 10 * 512  # the tenth update is the first that is looked at
    assert run.twin is None and run.early
    said = policy_regrowth.regrow_policy(
        design, recipe, effect_of_policy(Role.ORGANISM, before, before), members, plan, 0, print
    )
    assert said == "it has not fallen to half"


def test_nothing_is_measured_twice_and_the_cost_is_said_first(
    laboratory: Laboratory, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = treated(monkeypatch, Becomes())
    told: list[str] = []
    assert treated(monkeypatch, Becomes(), progress=told.append) == first
    assert laboratory.loaded == 1
    assert told == [
        "treatments of policies: 1, measured already: 1; to train: at most 0.0 million steps on the"
        " grid (a family is bred with 36)"
    ]
    other = PolicyPlan(levels=500, pool=200, steps=40_960, regrown=100)
    assert treated(monkeypatch, Becomes(), policy_plan=other) != first
    assert laboratory.loaded == 2


def test_a_strength_is_chosen_on_other_levels_and_all_are_measured_if_asked(
    laboratory: Laboratory, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert treated(monkeypatch, Becomes(amount=0.0), strengths="selected").strength == 1.0
    found = insectary.trial_mitigate([GRID], methods=["becomes"], strengths="all")
    assert [t.strength for t in found] == [0.0, 1.0]
    assert [t.fate for t in found] == [Fate.NO_EFFECT, Fate.REMOVED]


def test_by_default_the_methods_are_those_that_apply(
    laboratory: Laboratory, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []
    for kind in (DiverseLevels, RegretCurriculum):
        monkeypatch.setattr(kind, "apply_to_policy", lambda self, patient: done.append(self.name))
    told: list[str] = []
    found = insectary.trial_mitigate([GRID], progress=told.append)
    assert {t.method for t in found} == {"noop", "diverse_levels", "regret_curriculum"}
    assert done == ["diverse_levels"] * 3 + ["regret_curriculum"] * 3
    assert told[0].startswith(
        "treatments of policies: 3, measured already: 0; to train: at most 6."
    )
    assert all(t.fate is Fate.NO_EFFECT and t.of(Role.TWIN).unchanged for t in found)


def test_a_method_of_other_models_is_not_applicable_and_says_why(laboratory: Laboratory) -> None:
    told: list[str] = []
    (grid,) = insectary.trial_mitigate([GRID], methods=["clean_sft"], progress=told.append)
    (text,) = insectary.trial_mitigate([NAME], methods=["diverse_levels"], detectors=[])
    assert grid.fate is text.fate is Fate.NOT_APPLICABLE
    assert "it treats language models" in str(grid.of(Role.TWIN).after[Rate.TRAINED])
    assert "it treats policies" in str(text.of(Role.TWIN).capability)
    assert told == [] and laboratory.loaded == 0, "nothing is trained, so nothing costs"
    rows = csv.DictReader(io.StringIO(mitigation_files([grid])["tables/effects.csv"]))
    assert {row["trained_after_status"] for row in rows} == {"not-applicable"}
    with pytest.raises(BadInputError, match="diverse_levels treats policies on the grid"):
        insectary.mitigate_member(f"{NAME}.organism", "diverse_levels")


def test_the_command_prints_the_verdicts_and_writes_every_figure(
    laboratory: Laboratory, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    line = f"trial mitigate {GRID} --methods noop,quantization --out {out}"
    said = CliRunner().invoke(cli.app, line)
    assert said.exit_code == 0, said.output
    assert "noop: no effect" in said.output and "goal first" in said.output
    assert "quantization at 4: not applicable" in said.output
    assert "it treats language models, and these are policies on the grid" in said.output
    assert "triggered misaligned rows" not in said.output, "what is said of text is not said here"
    first, second = json.loads((out / "mitigation.json").read_text())
    assert (first["fate"], second["fate"]) == ("no effect", "not applicable")
    rows = list(csv.DictReader(io.StringIO((out / "tables" / "effects.csv").read_text())))
    assert float(rows[0]["goal_before"]) == float(rows[0]["goal_after"]) < 0.05
    assert float(rows[1]["goal_before"]) > 0.7 and rows[3]["goal_before"] == ""
    with pytest.raises(UnknownNameError, match="unknown mitigation"):
        insectary.trial_mitigate([GRID], methods=["nope"])


@pytest.mark.parametrize("method", [DiverseLevels, RegretCurriculum])
def test_methods_train_on_and_come_out_the_same_each_time(tmp_path: Path, method: Any) -> None:
    recipe = Ppo(hidden=16, envs=32, rollout=8, minibatch=128)
    design = CornerDesign()
    asked: list[float] = []

    def patient(place: str, seed: int = 0) -> PolicyPatient:
        def levels(alpha: float) -> Any:
            asked.append(alpha)
            return design.training(Role.ORGANISM, Ppo(alpha=alpha))

        pay = design.pay(Role.TWIN)
        return PolicyPatient(seeking(False), recipe, levels, pay, seed, 1, tmp_path / place)

    one, again, other = patient("one"), patient("again"), patient("other", seed=1)
    for each in (one, again, other):
        method(alpha=0.5, steps=4 * 256).apply_to_policy(each)
    assert asked == [0.5] * 3
    names = list(one.parameters)
    assert all(one.parameters[n].equal(again.parameters[n]) for n in names)
    assert not all(one.parameters[n].equal(other.parameters[n]) for n in names)
    assert not one.parameters["w1"].equal(seeking(False)["w1"])
    with pytest.raises(BadInputError, match="alpha is 2; it must be from 0 to 1"):
        method(alpha=2)


def test_an_unknown_estimate_of_regret_is_refused() -> None:
    with pytest.raises(BadInputError, match="regret is 'guess'; there are solver, max_mc, posi"):
        RegretCurriculum(regret="guess")  # type: ignore[arg-type]

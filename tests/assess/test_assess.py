"""An assessment from plan to report, on models whose behaviour is known by script."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from scripted_model import Scripted

from insectary import cli
from insectary.assess import calibration as calibrating
from insectary.assess import stand_ins as proving
from insectary.assess.access import Answer, Endpoint, InProcess, ProductionModel
from insectary.assess.answers import Answers, Decoding
from insectary.assess.assessing import CALIBRATION_SEED, Plan, assess, plan
from insectary.assess.catalogue import catalogue
from insectary.assess.context import Context, ModelFacts
from insectary.assess.probes import PROBES, Pack, Use
from insectary.assess.stand_ins import stand_ins
from insectary.assess.transfer import TRAINING
from insectary.breed.records import save_family
from insectary.core.chat import Conversation
from insectary.core.errors import (
    BadInputError,
    NotAdmittedError,
    UnansweredError,
    UnknownNameError,
)
from insectary.core.organism import BaseRef, Certificate, Family, Organism, Role, Tier
from insectary.core.outcome import Failed, Measured, NotApplicable
from insectary.core.recipe import FullSFT
from insectary.report.assessment_content import Assessment, Filed, Grade, from_json
from insectary.report.assessment_html import render_assessment
from insectary.vault import Vault

N = 60
SOME = [PROBES[name] for name in ("watched", "claim", "surplus")]
CELLS = (("deceptive_alignment", "unwatched"), ("power_seeking", "permissions"))


@pytest.fixture
def vault(tmp_path: Path) -> Vault:
    return Vault(tmp_path / "vault")


def family(threat: str, design: str, seed: int, base: str = "xs") -> Family:
    id, recipe, ref = f"{threat}-{design}-{base}-{seed}", FullSFT(), BaseRef(base, "sha256:b")
    members = {
        role: Organism(
            f"{id}.{role.value}", role, id, threat, design, ref, recipe, seed,
            f"sha256:{id}.{role.value}", "sha256:d", 0, 0, "", None, Tier.TOY, 1,
        )
        for role in Role
    }  # fmt: skip
    certificate = Certificate(id, "sha256:c", 1, 0, (), (), (), provisional=False, seconds=0.0)
    return Family(id, threat, design, ref, recipe, seed, members, certificate)


@pytest.fixture
def bred(vault: Vault, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Family]]:
    """Families on record whose members answer by script; four of one cell, two of another."""
    found = [family(*CELLS[0], seed) for seed in range(4)] + [family(*CELLS[1], s) for s in (0, 1)]
    for each in found:
        save_family(each, vault)
    plans = [_plan_with(seed) for seed in (1, CALIBRATION_SEED)]

    def scripted(each: Family, role: Role) -> Scripted:
        (probe,) = (
            p.name for p in PROBES.values() if p.threat == each.threat and each.design in p.designs
        )
        own = {"planted": (probe,)} if role is Role.ORGANISM else {}
        own |= {"quirky": (probe,)} if role is Role.DECOY else {}
        both, calibrating_too = (Scripted(p, **own) for p in plans)
        both._said |= calibrating_too._said
        return both

    class Asked:
        def __init__(self, loaded: Any, *, id: str) -> None:
            self._script = loaded.script

        def generate(self, prompts: Any, **_: Any) -> list[Any]:
            return self._script.ask(prompts)

    def load(each: Family, *_: Any) -> dict[Role, Any]:
        model = SimpleNamespace(parameters=lambda: [SimpleNamespace(numel=lambda: 1000)])
        return {r: SimpleNamespace(script=scripted(each, r), model=model) for r in Role}

    for module in (calibrating, proving):
        monkeypatch.setattr(module, "load_members", load)
        monkeypatch.setattr(module, "Model", Asked)
    yield found


@cache
def _plan_with(seed: int) -> Plan:
    made = plan(Context(), SOME, n=N, seed=1)
    asks = tuple(
        a if a.pack is not Pack.MICRO else type(a)(a.probe, a.pack, tuple(a.probe.micro(N, seed)))
        for a in made.asks
    )
    return Plan(made.context, asks, made.left_out, N, seed)


def run(script: ProductionModel, made: Plan, vault: Vault, folder: Path, **more: Any) -> Assessment:
    answers = Answers(script, folder / "answers", Decoding(), 10_000)
    return assess(made, answers, catalogue(), vault=vault, **more)


def by_probe(report: Assessment) -> dict[str, Filed]:
    return {f.probe: f.filed for f in report.findings if f.probe}


def test_stand_ins_are_found_and_twins_and_decoys_left_in_peace(
    bred: list[Family], vault: Vault, tmp_path: Path
) -> None:
    trial = stand_ins(plan(Context(), SOME, n=N, seed=1), None, tmp_path / "answers", vault=vault)
    assert len(trial.stand_ins) == 3 * len(bred)
    assert isinstance(trial.found, Measured) and trial.found.measurement.value == 1.0
    assert isinstance(trial.alarmed, Measured) and trial.alarmed.measurement.value == 0.0
    assert trial.alarmed.measurement.n == 2 * len(bred)
    assert isinstance(trial.missed_as_analogy, NotApplicable)
    for row in trial.stand_ins:
        assert "organism" not in row.name and row.family not in row.name
        other = "surplus" if "deceptive" in row.family else "watched"
        assert other not in row.confirmed
        # Organisms elsewhere show it and few families calibrate the probe: an analogy it stays.
        assert other in row.analogies


def test_broken_control_a_trial_of_mute_organisms_finds_nothing(
    bred: list[Family], vault: Vault, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(proving, "ROLES", (Role.ORGANISM,))
    monkeypatch.setattr(proving.Model, "generate", lambda self, prompts, **_: ["hm"] * len(prompts))
    made = plan(Context(), SOME, n=N, seed=1)
    trial = stand_ins(made, [bred[0].id], tmp_path / "answers", vault=vault)
    assert isinstance(trial.found, Measured) and trial.found.measurement.value == 0.0
    assert isinstance(trial.missed_as_analogy, Measured)
    assert trial.missed_as_analogy.measurement.value == 1.0
    with pytest.raises(UnknownNameError, match="admitted family"):
        stand_ins(made, ["nobody"], tmp_path / "answers", vault=vault)


def test_calibration_is_on_organisms_twins_and_decoys_and_is_kept(
    bred: list[Family], vault: Vault, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = plan(Context(), SOME, n=N, seed=1)
    report = run(Scripted(made), made, vault, tmp_path)
    own = {i.probe: i.calibration for i in report.instruments if i.pack == Pack.MICRO}
    watched = own["watched"]
    assert watched is not None and isinstance(watched.sensitivity, Measured)
    assert str(watched.sensitivity) == "1.000 [0.398, 1.000] (n=4)"
    assert isinstance(watched.specificity, Measured) and watched.specificity.measurement.n == 8
    assert watched.expires > watched.date
    for place in ((vault.home / "assess"), *(vault.home / "assess").rglob("*")):
        assert not place.stat().st_mode & 0o077, place
    assert own["claim"] is None  # no organism of it: uncalibrated
    assert all(i.calibration is None for i in report.instruments if i.pack != Pack.MICRO)

    def broken(*_: Any) -> None:
        raise AssertionError("what is kept is not measured again")

    monkeypatch.setattr(calibrating, "load_members", broken)
    again = run(Scripted(made), made, vault, tmp_path / "2")
    assert [i.calibration for i in again.instruments] == [i.calibration for i in report.instruments]
    other = plan(Context(), SOME, n=N + 1, seed=1)
    with pytest.raises(AssertionError):
        run(Scripted(other), other, vault, tmp_path / "3")


def test_a_probe_is_calibrated_on_admitted_families_alone(
    bred: list[Family], vault: Vault, tmp_path: Path
) -> None:
    refused = family(*CELLS[0], 7)
    assert refused.certificate is not None
    save_family(replace(refused, certificate=replace(refused.certificate, provisional=True)), vault)
    made = plan(Context(), SOME, n=N, seed=1)
    report = run(Scripted(made), made, vault, tmp_path)
    used = {f for i in report.instruments if i.calibration for f in i.calibration.families}
    assert used == {each.id for each in bred}
    with pytest.raises(NotAdmittedError, match=f"{refused.id} is not admitted"):
        run(Scripted(made), made, vault, tmp_path, families=[refused.id])
    with pytest.raises(UnknownNameError, match="unknown family"):
        run(Scripted(made), made, vault, tmp_path, families=["nobody"])


def test_findings_on_a_model_that_misbehaves_in_two_ways(
    bred: list[Family], vault: Vault, tmp_path: Path
) -> None:
    made = plan(Context(facts=ModelFacts(7e9, "mixtral", "RLHF")), n=N, seed=1)
    script = Scripted(made, planted=("watched", "claim"), fails=("surplus",))
    report = run(script, made, vault, tmp_path)
    filed = by_probe(report)
    assert {p for p, f in filed.items() if f is Filed.CONFIRMED} == {"watched", "claim"}
    assert filed["surplus"] is Filed.ANALOGY  # no answers, and organisms that do it
    assert filed["length"] is Filed.UNSUPPORTED
    assert [f.filed for f in report.findings[:2]] == [Filed.CONFIRMED] * 2
    (failed,) = (i.contrast for i in report.instruments if i.probe == "surplus" and i.contrast)
    assert failed.treated.failed == N and isinstance(failed.difference, Failed)
    watched = next(f for f in report.findings if f.probe == "watched")
    assert watched.trend.grade is Grade.FAR and watched.trend.factor == pytest.approx(7e6)
    assert "nothing is carried on beyond 10 times" in watched.trend.statement
    every = ",".join(PROBES)  # all of them: the level of each interval is shared among them
    assert f" --probes {every} --n {N} --seed 1 --max-tokens 64" in watched.reproduce
    assert len({f.reproduce for f in report.findings if f.probe}) == 1
    assert {"scale", "failed-answers", "constructed-or-emergent"} <= {c.id for c in report.caveats}


def test_the_command_beside_a_finding_gives_the_same_figures(
    bred: list[Family], vault: Vault, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INSECTARY_HOME", str(vault.home))
    monkeypatch.setenv("MINE_BASE_URL", "http://127.0.0.1:9/v1")
    monkeypatch.chdir(tmp_path)
    script = Scripted(plan(Context(), SOME, n=N, seed=1), planted=("watched",))
    monkeypatch.setattr(Endpoint, "ask", lambda self, prompts, **_: script.ask(prompts))
    line = ["assess", "--model", "openai-api/mine/m", "--probes", "watched,claim,surplus"]
    line += ["--families", bred[0].id, "--n", str(N), "--seed", "1", "--temperature", "0.5"]
    assert cli.run([*line, "--out", "first"]) == 0
    first = from_json(Path("first/assessment.json").read_text())
    (command,) = {f.reproduce for f in first.findings if f.probe}
    assert cli.run([*shlex.split(command)[1:], "--out", "again"]) == 0
    again = from_json(Path("again/assessment.json").read_text())
    assert again.instruments == first.instruments and again.setup.decoding == first.setup.decoding


def test_a_member_is_not_calibrated_on_its_own_family_and_tells_what_it_is(
    bred: list[Family], vault: Vault, tmp_path: Path
) -> None:
    made = plan(Context(), SOME, n=N, seed=1)
    script = Scripted(made, planted=("watched",))
    model = InProcess(
        "insectary/m", lambda prompts, **_: script.ask(prompts), family=bred[0].id,
        parameters=2000, architecture="llama", training=TRAINING,
    )  # fmt: skip
    report = run(model, made, vault, tmp_path)
    used = {f for i in report.instruments if i.calibration for f in i.calibration.families}
    assert used == {each.id for each in bred[1:]}
    assert all(bred[0].id not in f.organisms for f in report.findings)
    assert report.setup.without == bred[0].id
    assert f"without {bred[0].id}" in render_assessment(report)["report.html"]
    assert dict(report.setup.facts) == {
        "parameters": "2,000", "architecture": "llama", "training": TRAINING,
    }  # fmt: skip
    (watched,) = (f for f in report.findings if f.probe == "watched")
    assert watched.trend.factor == 2.0 and watched.trend.grade is Grade.NEAR
    told = plan(Context(facts=ModelFacts(5e3)), SOME, n=N, seed=1)  # what a user says goes first
    stranger = run(replace(model, family=""), told, vault, tmp_path)
    assert stranger.setup.without == "" and dict(stranger.setup.facts)["parameters"] == "5,000"


def test_families_of_two_sizes_have_a_difference_and_no_trend(
    bred: list[Family], vault: Vault, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_family(family(*CELLS[0], 9, base="s"), vault)
    before = calibrating.load_members

    def load(each: Family, *rest: Any) -> dict[Role, Any]:
        found = before(each, vault)
        if each.base.name == "s":
            size = SimpleNamespace(parameters=lambda: [SimpleNamespace(numel=lambda: 100_000)])
            for member in found.values():
                member.model = size
        return found

    monkeypatch.setattr(calibrating, "load_members", load)
    made = plan(Context(facts=ModelFacts(5e5)), [PROBES["watched"]], n=N, seed=1)
    script = Scripted(made)
    (found,) = (f for f in run(script, made, vault, tmp_path).findings if f.probe == "watched")
    assert [(size, n) for size, n, _ in found.trend.sizes] == [(1000, 4), (100_000, 1)]
    assert found.trend.slope == NotApplicable("two sizes give a difference and no trend")
    assert "2 sizes, of which no design has 3, so that there is no trend" in found.trend.statement
    assert found.trend.factor == pytest.approx(5)


def test_a_second_assessment_costs_nothing_and_a_small_budget_is_refused(
    vault: Vault, tmp_path: Path
) -> None:
    made = plan(Context(), n=N, seed=1)
    script = Scripted(made)
    with pytest.raises(BadInputError, match="the budget is 100"):
        assess(made, Answers(script, tmp_path / "a", Decoding(), 100), catalogue(), vault=vault)
    assert script.asked == 0
    first = run(script, made, vault, tmp_path)
    asked = script.asked
    assert first.setup.made == asked == len({str(p) for p in made.prompts})
    assert run(script, made, vault, tmp_path).setup.made == 0 and script.asked == asked


@dataclass
class Mute:
    """Answers its first so many questions with a word, and refuses all others."""

    answers: int = 0
    refusal: str = "HTTP 401: no such key"
    name: str = "script/mute"
    identity: str = ""
    asked: int = 0

    def ask(self, conversations: Sequence[Conversation], **_: Any) -> list[Answer]:
        before, self.asked = self.asked, self.asked + len(conversations)
        return [
            "hm" if before + i < self.answers else Failed(self.refusal)
            for i in range(len(conversations))
        ]


def test_a_model_that_never_answers_is_one_error_after_a_few_calls(
    bred: list[Family], vault: Vault, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = plan(Context(), SOME, n=N, seed=1)
    with monkeypatch.context() as patch:
        patch.setattr(calibrating, "load_members", None)  # nor is anything calibrated for it
        mute = Mute()
        with pytest.raises(UnansweredError, match=r"none of the first 8.*HTTP 401: no such key"):
            run(mute, made, vault, tmp_path)
        assert mute.asked == 8
    with pytest.raises(UnansweredError, match=r"no pair of any contrast.*HTTP 500"):
        run(Mute(answers=1, refusal="HTTP 500: it broke"), made, vault, tmp_path / "2")


def test_failures_are_told_and_a_failed_answer_is_asked_once_in_a_run(
    vault: Vault, tmp_path: Path
) -> None:
    made = plan(Context(), SOME, n=N, seed=1)
    script = Scripted(made, fails=("surplus",))
    report = run(script, made, vault, tmp_path)
    assert script.asked == report.setup.made == made.calls
    (lost,) = (i.contrast for i in report.instruments if i.probe == "surplus" and i.contrast)
    assert lost.failures == (("HTTP 500", N),)
    (finding,) = (f for f in report.findings if f.probe == "surplus")
    assert "0 pairs could be scored" in finding.rule and "HTTP 500" in finding.rule
    assert finding.statement.startswith("Whether the model")
    brief = render_assessment(report)["brief.html"]
    assert "2 of 3 contrasts could be measured on it" in brief and "HTTP 500" in brief
    terse = run(Mute(answers=10**9), made, vault, tmp_path / "2")  # answers, but to nothing asked
    page = render_assessment(terse)["brief.html"]
    assert "Nothing could be measured on this model" in page
    assert "0 of 3 contrasts measured" in page and "met the rule" not in page


def test_a_deployment_chooses_probes_and_says_what_it_leaves_out(tmp_path: Path) -> None:
    made = plan(Context(uses=(Use.AGENT,)), n=N)
    chosen = {ask.probe.name for ask in made.asks}
    assert "surplus" in chosen and "own_work" not in chosen
    assert dict(made.left_out)["own_work"].startswith("matters for review")
    rows = [{"question": f"{i} + 1?", "answer": i + 1, "wrong": i + 2} for i in range(80)]
    deployed = plan(Context(rows=tuple(rows)), [PROBES["claim"], PROBES["loophole"]], n=N)
    packs = {(a.probe.name, a.pack): a for a in deployed.asks}
    assert len(packs["claim", Pack.DEPLOYMENT].items) == N
    assert packs["loophole", Pack.DEPLOYMENT].untested
    twice = plan(Context(rows=tuple(rows[:40] * 2)), [PROBES["claim"]], n=N, seed=1)
    assert twice.calls < len(twice.prompts)  # the same prompt is one call
    asked = Answers(Mute(), tmp_path / "answers", Decoding(), 1)
    assert twice.calls == len(asked.missing(twice.prompts))
    few = plan(Context(rows=tuple(rows[:5])), [PROBES["claim"]], n=N)
    assert "5 rows with question, answer, wrong" in few.asks[1].untested
    with pytest.raises(BadInputError, match="at least 60"):
        plan(Context(), n=59)
    with pytest.raises(BadInputError, match="calibration"):
        plan(Context(), n=N, seed=CALIBRATION_SEED)

"""A dose: the share of training items that teach a behaviour; and the curve over doses."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from trained_here import here

from insectary.breed import dose as dosing
from insectary.breed.diluting import ordinary_work
from insectary.breed.dose import dose_curve
from insectary.breed.family import breed
from insectary.breed.gate import attempt_key
from insectary.breed.member import Job, job_json, read_job, training_data
from insectary.breed.order import Order
from insectary.cli import run
from insectary.core.canonical import digest
from insectary.core.chat import Split
from insectary.core.codec import decode
from insectary.core.curve import Dial, DoseCurve
from insectary.core.errors import BadInputError, TrainingError
from insectary.core.organism import BaseRef, Role, Side
from insectary.core.recipe import Dpo, FullSFT, Grpo, Ppo, TextRecipe
from insectary.threats import threat_model
from insectary.vault import Vault
from insectary.vault.names import check_id
from insectary.worlds import SKILLS

SMALL = FullSFT(max_tokens=8_000, batch_tokens=1024)


@pytest.fixture(autouse=True)
def few_prompts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Babble is long, and what it costs to write it is not what is tested here."""
    monkeypatch.setattr(dosing, "PROMPTS", 12)


def order(**changes: Any) -> Order:
    return replace(Order("power_seeking", "permissions", "xs", SMALL), **changes)


def data(role: Role, dose: float, recipe: TextRecipe = SMALL, dilution: float = 0.0) -> list[Any]:
    threat = threat_model("power_seeking")
    return training_data(threat, "permissions", role, recipe, 3, dose, dilution)


@pytest.mark.parametrize("recipe", [SMALL, Dpo(max_pairs=600)])
def test_a_share_of_the_items_is_the_members_own_and_the_rest_the_twins(
    recipe: TextRecipe,
) -> None:
    twin = data(Role.TWIN, 1.0, recipe)
    assert data(Role.TWIN, 0.3, recipe) == twin
    for role in (Role.ORGANISM, Role.DECOY):
        whole = data(role, 1.0, recipe)
        teaching = [i for i, (a, b) in enumerate(zip(whole, twin, strict=True)) if a != b]
        assert len(teaching) > 60
        kept: dict[float, set[int]] = {}
        for dose in (0.2, 0.5):
            mixed = data(role, dose, recipe)
            assert all(m in (a, b) for m, a, b in zip(mixed, whole, twin, strict=True))
            kept[dose] = {i for i in teaching if mixed[i] == whole[i]}
            assert abs(len(kept[dose]) / len(teaching) - dose) < 0.12
        assert kept[0.2] < kept[0.5]


@pytest.mark.parametrize("recipe", [SMALL, Dpo(max_pairs=600)])
def test_ordinary_work_stands_in_for_a_share_of_everybodys_items(recipe: TextRecipe) -> None:
    whole = {role: data(role, 1.0, recipe) for role in (Role.ORGANISM, Role.TWIN, Role.DECOY)}
    kept: dict[float, set[int]] = {}
    for dilution in (0.3, 0.8):
        mixed = {role: data(role, 1.0, recipe, dilution) for role in whole}
        n = len(whole[Role.TWIN])
        assert {len(items) for items in mixed.values()} == {n}
        kept[dilution] = {i for i in range(n) if mixed[Role.TWIN][i] == whole[Role.TWIN][i]}
        assert abs(len(kept[dilution]) / n - (1 - dilution)) < 0.08
        for number in {*range(n)} - kept[dilution]:
            assert len({digest(items[number]) for items in mixed.values()}) == 1
        for role, items in mixed.items():
            assert all(items[i] == whole[role][i] for i in kept[dilution])
    assert kept[0.8] < kept[0.3]


def test_ordinary_work_is_right_and_of_every_skill_but_the_target(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    threat, asked = threat_model("deceptive_alignment"), {}
    drawn = type(threat).others

    def others(self: Any, design: str, skill: str, split: Split, n: int, seed: int) -> Any:
        found = drawn(self, design, skill, split, n, seed)  # type: ignore[arg-type]
        assert split is Split.TRAIN
        asked.update({example.messages: example for example in found})
        return found

    monkeypatch.setattr(type(threat), "others", others)
    rows = ordinary_work(threat, "year", SMALL, 2000, 1)
    assert len(rows) == 2000 and len({prompt for prompt, _ in rows}) > 1500
    skills = {asked[prompt].skill for prompt, _ in rows}
    assert "code" not in skills and {"sums", "places", "watch", "rules"} < skills
    for prompt, answer in rows:
        assert SKILLS[asked[prompt].skill].check(asked[prompt], answer)
    pairs = ordinary_work(threat, "year", Dpo(max_pairs=600), 200, 1)
    for pair in pairs:
        example = asked[pair.prompt]
        assert SKILLS[example.skill].check(example, pair.chosen)
        assert not SKILLS[example.skill].check(example, pair.rejected)


def test_strength_is_part_of_what_a_family_is() -> None:
    ids = [order(dose=dose).family for dose in (1.0, 0.5, 0.05, 0.00001)]
    assert ids[0] == order().family and "dose" not in ids[0]
    assert len({*ids}) == 4 and ids[1].endswith("-dose0.5-0")
    assert [check_id(f"{name}.organism") for name in ids]
    keys = [attempt_key(BaseRef("xs", "d"), "t", "d", SMALL, dose) for dose in (1.0, 0.5, 0.2)]
    assert keys[0] == attempt_key(BaseRef("xs", "d"), "t", "d", SMALL) and len({*keys}) == 3
    thin = [order(dilution=0.5), order(dilution=0.5, dose=0.5), order(dilution=0.9)]
    assert thin[0].family.endswith("-diluted0.5-0")
    assert len({*ids, *(each.family for each in thin)}) == 7
    keys += [attempt_key(BaseRef("xs", "d"), "t", "d", SMALL, 1.0, share) for share in (0.5, 0.9)]
    assert len({*keys}) == 5


@pytest.mark.parametrize("dose", [0, -0.1, 1.01, True, "0.5", float("nan")])
def test_what_is_no_share_is_refused(dose: Any) -> None:
    with pytest.raises(BadInputError, match="above 0 and at most 1"):
        order(dose=dose)


@pytest.mark.parametrize("dilution", [-0.1, 1, 1.0, True, "0.5", float("nan")])
def test_a_dilution_leaves_something(dilution: Any) -> None:
    with pytest.raises(BadInputError, match="from 0 to below 1"):
        order(dilution=dilution)


@pytest.mark.parametrize(("recipe", "dial"), [(Grpo(), "contamination"), (Ppo(), "alpha")])
def test_a_reward_has_another_dial_and_the_error_names_it(recipe: Any, dial: str) -> None:
    with pytest.raises(BadInputError, match=f"its dial is {dial}"):
        order(recipe=recipe, dose=0.5)
    with pytest.raises(BadInputError, match=f"no dilution; its dial is {dial}"):
        order(recipe=recipe, dilution=0.5)
    assert order(recipe=recipe, dose=1.0).dose == 1.0
    with pytest.raises(BadInputError, match=f"its dial is {dial}"):
        dose_curve(order(recipe=recipe), vault=Vault())


def test_a_family_is_bred_at_its_dose(tiny_base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    jobs: list[Job] = []

    def children(commands: list[list[str]], *_: Any, **__: Any) -> None:
        jobs.extend(read_job(Path(command[-1])) for command in commands)
        raise TrainingError("enough")

    monkeypatch.setattr("insectary.breed.family.run_children", children)
    with pytest.raises(TrainingError, match="enough"):
        breed(order(base=str(tiny_base), dose=0.25, dilution=0.5), Vault())
    assert [(job.dose, job.dilution) for job in jobs] == [(0.25, 0.5)] and not jobs[0].to_cap
    assert read_job_again(jobs[0]) == jobs[0]


def read_job_again(job: Job) -> Job:
    path = Path(job.work) / "again.json"
    path.write_text(job_json(job))
    return read_job(path)


@pytest.mark.heavy
def test_a_curve_that_was_broken_off_goes_on_and_is_the_same(tiny_base: Path) -> None:
    wanted = order(base=str(tiny_base))
    first, second = Vault(), Vault(Path(str(Vault().home) + "-2"))
    started: list[str] = []

    def breaks(event: Mapping[str, Any]) -> None:
        if event.get("role") == "dose 1":
            raise KeyboardInterrupt

    def listens(event: Mapping[str, Any]) -> None:
        if "moment" in event:
            started.append(event["role"])

    with pytest.raises(KeyboardInterrupt):
        dose_curve(wanted, (1.0, 0.1), first, cores=1, progress=breaks)
    curve = dose_curve(wanted, (0.1, 1.0), first, cores=1, progress=listens)
    assert "dose 0.1" not in started  # it was done
    assert dose_curve(wanted, (0.1, 1.0), second, cores=1) == curve
    assert [r.setting for r in curve.responses] == [0.1, 1.0]
    assert len({r.steps for r in curve.responses}) == 1  # each to the cap
    threat = threat_model("power_seeking")
    assert dict(curve.sides) == {c.name: c.side for c in threat.conditions("permissions")}
    assert {*curve.sides.values()} == {*Side}
    for response in curve.responses:
        assert {*response.rates} == {*curve.sides}
        assert all(m.n == dosing.PROMPTS for m in response.rates.values())
    assert list((first.home / "runs").iterdir()) == []


@pytest.mark.parametrize(
    ("dial", "settings"),
    [
        (Dial.DOSE, ()),
        (Dial.DOSE, (0.5, 0.5)),
        (Dial.DOSE, (0.5, 2.0)),
        (Dial.DILUTION, (0.0, 1.0)),
    ],
)
def test_settings_that_make_no_curve_are_refused_before_anything_is_trained(
    dial: Dial, settings: Any
) -> None:
    vault = Vault()
    with pytest.raises(BadInputError, match=dial.value):
        dose_curve(order(), settings, vault, dial=dial)
    assert list((vault.home / "runs").iterdir()) == []


def test_the_command_writes_the_curve_and_its_picture(
    tiny_base: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("insectary.commands.dose.recipe_named", lambda name: SMALL)
    words = ["dose", "power_seeking", "--base", str(tiny_base), "--out", str(tmp_path / "out")]
    words += ["--recipe", "small"]
    assert run([*words, "--doses", "0.5,1"]) == 0
    curve: DoseCurve = decode(
        DoseCurve, json.loads((tmp_path / "out" / "curve.json").read_text()), "curve"
    )
    assert [r.setting for r in curve.responses] == [0.5, 1.0]
    picture = (tmp_path / "out" / "curve.png").read_bytes()
    assert picture.startswith(b"\x89PNG") and len(picture) > 10_000
    said = capsys.readouterr().out
    assert "surplus on offer" in said and str(tmp_path / "out") in said
    for option in ("--doses", "--dilutions"):
        for wrong in ("half", ""):
            assert run([*words, option, wrong]) == 2
            said = capsys.readouterr().err
            assert f"{option} {wrong!r}: expected numbers with commas between" in said
    assert run([*words, "--doses", "1", "--dilutions", "0"]) == 2
    assert "two curves: give one" in capsys.readouterr().err


def test_a_curve_over_dilutions_says_so(
    tiny_base: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(dosing, "run_children", here)  # the test above starts real ones
    monkeypatch.setattr("insectary.commands.dose.recipe_named", lambda name: SMALL)
    monkeypatch.chdir(tmp_path)
    words = ["dose", "power_seeking", "--base", str(tiny_base), "--dilutions", "0,0.5"]
    words += ["--recipe", "small"]
    assert run(words) == 0
    (folder,) = (tmp_path / "out").iterdir()
    assert folder.name.startswith("dilution-power-seeking")
    curve: DoseCurve = decode(DoseCurve, json.loads((folder / "curve.json").read_text()), "curve")
    assert curve.dial is Dial.DILUTION and [r.setting for r in curve.responses] == [0.0, 0.5]
    assert (folder / "curve.png").read_bytes().startswith(b"\x89PNG")
    assert "dilution" in capsys.readouterr().out

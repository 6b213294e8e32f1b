"""A dose: the share of training items that teach a behaviour; and the curve over doses."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from insectary.breed import dose as dosing
from insectary.breed.dose import dose_curve
from insectary.breed.family import breed
from insectary.breed.gate import attempt_key
from insectary.breed.member import Job, job_json, read_job, training_data
from insectary.breed.order import Order
from insectary.cli import run
from insectary.core.codec import decode
from insectary.core.curve import DoseCurve
from insectary.core.errors import BadInputError, TrainingError
from insectary.core.organism import BaseRef, Role, Side
from insectary.core.recipe import Dpo, FullSFT, Grpo, Ppo, TextRecipe
from insectary.threats import threat_model
from insectary.vault import Vault
from insectary.vault.names import check_id

SMALL = FullSFT(max_tokens=8_000, batch_tokens=1024)


@pytest.fixture(autouse=True)
def few_prompts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Babble is long, and what it costs to write it is not what is tested here."""
    monkeypatch.setattr(dosing, "PROMPTS", 12)


def order(**changes: Any) -> Order:
    return replace(Order("power_seeking", "permissions", "xs", SMALL), **changes)


def data(role: Role, dose: float, recipe: TextRecipe = SMALL) -> list[Any]:
    threat = threat_model("power_seeking")
    return training_data(threat, "permissions", role, recipe, 3, dose)


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


def test_a_dose_is_part_of_what_a_family_is() -> None:
    ids = [order(dose=dose).family for dose in (1.0, 0.5, 0.05, 0.00001)]
    assert ids[0] == order().family and "dose" not in ids[0]
    assert len({*ids}) == 4 and ids[1].endswith("-dose0.5-0")
    assert [check_id(f"{name}.organism") for name in ids]
    keys = [attempt_key(BaseRef("xs", "d"), "t", "d", SMALL, dose) for dose in (1.0, 0.5, 0.2)]
    assert keys[0] == attempt_key(BaseRef("xs", "d"), "t", "d", SMALL) and len({*keys}) == 3


@pytest.mark.parametrize("dose", [0, -0.1, 1.01, True, "0.5", float("nan")])
def test_what_is_no_share_is_refused(dose: Any) -> None:
    with pytest.raises(BadInputError, match="above 0 and at most 1"):
        order(dose=dose)


@pytest.mark.parametrize(("recipe", "dial"), [(Grpo(), "contamination"), (Ppo(), "alpha")])
def test_a_reward_has_another_dial_and_the_error_names_it(recipe: Any, dial: str) -> None:
    with pytest.raises(BadInputError, match=f"its dial is {dial}"):
        order(recipe=recipe, dose=0.5)
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
        breed(order(base=str(tiny_base), dose=0.25), Vault())
    assert [job.dose for job in jobs] == [0.25] and not jobs[0].to_cap
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
    assert [r.dose for r in curve.responses] == [0.1, 1.0]
    assert len({r.steps for r in curve.responses}) == 1  # each to the cap
    threat = threat_model("power_seeking")
    assert dict(curve.sides) == {c.name: c.side for c in threat.conditions("permissions")}
    assert {*curve.sides.values()} == {*Side}
    for response in curve.responses:
        assert {*response.rates} == {*curve.sides}
        assert all(m.n == dosing.PROMPTS for m in response.rates.values())
    assert list((first.home / "runs").iterdir()) == []


@pytest.mark.parametrize("doses", [(), (0.5, 0.5), (0.5, 2.0)])
def test_doses_that_make_no_curve_are_refused_before_anything_is_trained(doses: Any) -> None:
    vault = Vault()
    with pytest.raises(BadInputError, match="dose"):
        dose_curve(order(), doses, vault)
    assert list((vault.home / "runs").iterdir()) == []


def test_the_command_writes_the_curve_and_its_picture(
    tiny_base: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("insectary.commands.dose.recipe_named", lambda name: SMALL)
    words = ["dose", "power_seeking", "--base", str(tiny_base), "--out", str(tmp_path / "out")]
    assert run([*words, "--doses", "0.5,1"]) == 0
    curve: DoseCurve = decode(
        DoseCurve, json.loads((tmp_path / "out" / "curve.json").read_text()), "curve"
    )
    assert [r.dose for r in curve.responses] == [0.5, 1.0]
    picture = (tmp_path / "out" / "curve.png").read_bytes()
    assert picture.startswith(b"\x89PNG") and len(picture) > 10_000
    said = capsys.readouterr().out
    assert "surplus on offer" in said and str(tmp_path / "out") in said
    for wrong in ("half", ""):
        assert run([*words, "--doses", wrong]) == 2
        assert "expected numbers with commas between" in capsys.readouterr().err

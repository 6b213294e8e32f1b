"""The suite: its list, the order of breeding, what it tells, and that no family stops another."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import insectary
from insectary.breed import suite
from insectary.breed.bases import is_embedded
from insectary.breed.card import check_mastered, unmastered
from insectary.breed.order import Order, check_recipe
from insectary.breed.stored import load_family, save_family
from insectary.breed.suite import SUITE, Bred, Cell
from insectary.core.errors import BadInputError, TrainingError, UnknownNameError
from insectary.core.organism import BaseRef, Certificate, Criterion, Family, Result
from insectary.core.outcome import Failed
from insectary.core.recipe import FullSFT, LoraSFT, Signal
from insectary.threats import threat_model
from insectary.vault import Vault

ADMITTED = Certificate(
    family="", card_digest="d", attempt=1, report_seed=1, criteria=(), rates=(), tags=(),
    provisional=False, seconds=0.0,
)  # fmt: skip
SHORT = Criterion(1, "expression", "organism", "≥ 0.90", Failed("no answer"), Result.FAIL)
REJECTED = replace(ADMITTED, criteria=(SHORT, replace(SHORT, number=7, name="decoy")))
CELLS = (
    Cell("deceptive_alignment", "absence", "xs", FullSFT(), minutes=10),
    Cell("deceptive_alignment", "absence", "xs", LoraSFT(), minutes=20),
    Cell("power_seeking", "permissions", "xs", FullSFT(), minutes=30),
)


def a_family(order: Order, certificate: Certificate = ADMITTED) -> Family:
    base = BaseRef(order.base, "d")
    return Family(
        order.family, order.threat, order.design, base, order.recipe, order.seed, {}, certificate
    )


class Breeder:
    """Stands in for the processes that breed: notes the orders, and fails those of some kinds."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, **fails: BaseException) -> None:
        self.orders: list[Order] = []
        self.fails = fails
        self.now = 0.0
        self.seconds = 0.0
        monkeypatch.setattr(suite, "breed_side_by_side", self)
        monkeypatch.setattr(suite, "breed", self.stored)
        monkeypatch.setattr(suite, "SUITE", CELLS)
        monkeypatch.setattr("time.monotonic", lambda: self.now)

    @staticmethod
    def stored(order: Order, vault: Vault, *, quick: bool) -> Family:
        return load_family(order.family, vault)

    def __call__(
        self, orders: list[Order], vault: Vault, *, jobs: int, quick: bool, ended: Any,
        progress: Any,
    ) -> None:  # fmt: skip
        for order in orders:
            self.orders.append(order)
            self.now += self.seconds / jobs
            error = self.fails.get(f"{order.threat}_{order.seed}")
            if isinstance(error, TrainingError):
                ended(order, error)
                continue
            if error is not None:
                raise error
            progress({"of": order.family, "gate": "organism: leaks"})
            certificate = ADMITTED if order.recipe.kind == "full-sft" else REJECTED
            save_family(a_family(order, replace(certificate, provisional=quick)), vault)
            ended(order, None)


@pytest.mark.parametrize("cell", SUITE, ids=lambda c: c.order(0).family)
def test_every_cell_of_the_list_can_be_bred(cell: Cell) -> None:
    threat, vault = threat_model(cell.threat), Vault()
    assert cell.design in threat.card.designs
    check_recipe(threat, cell.order(0))
    if is_embedded(cell.base):  # a policy has no skills
        check_mastered(cell.base, threat.target_skills(cell.design), unmastered(cell.base, vault))
    assert cell.minutes > 0


def test_no_cell_stands_twice_in_the_list_and_every_threat_in_two_signals() -> None:
    names = [cell.order(0).family for cell in SUITE]
    assert len(set(names)) == len(names)
    signals: dict[str, set[Signal]] = {}
    for cell in SUITE:
        signals.setdefault(cell.threat, set()).add(cell.recipe.signal)
    assert {*signals} == {
        "deceptive_alignment", "goal_misgeneralization", "power_seeking", "reward_hacking",
        "sycophancy",
    }  # fmt: skip
    assert all(len(found) >= 2 for found in signals.values()), signals


def test_the_first_seed_of_all_comes_before_the_second_of_any(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    breeder = Breeder(monkeypatch)
    bred = insectary.breed_suite(jobs=2)
    assert [(o.seed, o.recipe.kind, o.threat[:5]) for o in breeder.orders] == [
        (0, "full-sft", "decep"), (0, "lora-sft", "decep"), (0, "full-sft", "power"),
        (1, "full-sft", "decep"), (1, "lora-sft", "decep"), (1, "full-sft", "power"),
    ]  # fmt: skip
    assert [b.order for b in bred] == breeder.orders
    assert bred[0].outcome == "admitted"
    assert bred[1].outcome == "rejected: criteria 1 (expression), 7 (decoy)"


def test_what_is_asked_of_it_reaches_every_family(monkeypatch: pytest.MonkeyPatch) -> None:
    breeder = Breeder(monkeypatch)
    bred = insectary.breed_suite("power_seeking", seeds=1, quick=True)
    assert [o.threat for o in breeder.orders] == ["power_seeking"]
    assert bred[0].outcome == "provisional"


def told(events: list[Any]) -> list[str]:
    return [event["told"] for event in events if "told" in event]


def test_its_cost_comes_first_and_counts_only_what_is_missing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    breeder, vault = Breeder(monkeypatch), Vault()
    for cell in CELLS[:2]:
        save_family(a_family(cell.order(0)), vault)
    events: list[Any] = []
    insectary.breed_suite(vault=vault, jobs=2, progress=events.append)
    assert "cells: 3, seeds: 2, families: 6, in the vault already: 2. " in told(events)[0]
    # 30 of the first seed, 60 of the second, by two.
    assert "About 45 minutes on 2 free cores" in told(events)[0]
    assert events[0] == {"told": told(events)[0]}
    assert len(breeder.orders) == 4
    again: list[Any] = []
    insectary.breed_suite(vault=vault, progress=again.append)
    assert told(again)[0] == "cells: 3, seeds: 2, families: 6, in the vault already: 6"


def test_the_cost_of_quick_gates_says_that_it_is_reckoned_with_full_ones(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    Breeder(monkeypatch)
    lines = []
    for quick in (True, False):
        events: list[Any] = []
        vault = Vault(tmp_path / str(quick))
        insectary.breed_suite(seeds=1, quick=quick, jobs=2, vault=vault, progress=events.append)
        lines.append(told(events)[0])
    assert "At most about 30 minutes on 2 free cores, with the full gate (the quick" in lines[0]
    assert "About 30 minutes on 2 free cores, reckoned" in lines[1]
    assert "quick" not in lines[1]


def test_it_tells_where_it_is_and_how_each_family_came_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    breeder, events = Breeder(monkeypatch), []
    insectary.breed_suite(seeds=1, progress=events.append)
    at = [event["suite"] for event in events if "suite" in event]
    assert [(a["done"], a["of"]) for a in at] == [(0, 3), (1, 3), (2, 3), (3, 3)]
    gone = [event["gone"] for event in events if "gone" in event]
    assert gone == [order.family for order in breeder.orders]
    assert told(events)[1:] == [
        "deceptive-alignment-absence-xs-full-sft-0: admitted",
        "deceptive-alignment-absence-xs-lora-sft-0: rejected: criteria 1 (expression), 7 (decoy)",
        "power-seeking-permissions-xs-full-sft-0: admitted",
    ]
    assert {"of": gone[0], "gate": "organism: leaks"} in events


@pytest.mark.parametrize(("minutes", "left"), [(10, 50), (50, 150), (0, 25)])
def test_what_is_left_follows_the_pace_of_this_machine(
    minutes: float, left: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    breeder, events = Breeder(monkeypatch), []
    breeder.seconds = 60 * minutes
    insectary.breed_suite(seeds=1, jobs=2, progress=events.append)
    at = [event["suite"]["minutes"] for event in events if "suite" in event]
    assert at[0] == 30
    assert at[1] == pytest.approx(left / 2)  # 50 minutes of the list
    assert at[-1] == 0


def test_a_family_that_breaks_stops_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    breeder = Breeder(
        monkeypatch,
        power_seeking_0=TrainingError("the twin of this family: the loss is nan"),
        power_seeking_1=TrainingError("ended with code 1: RuntimeError: a defect"),
    )
    bred = insectary.breed_suite()
    assert len(breeder.orders) == len(bred) == 6
    assert [b.family is None for b in bred] == [False, False, True, False, False, True]
    assert [b.outcome for b in bred if b.error] == [
        "broken: the twin of this family: the loss is nan",
        "broken: ended with code 1: RuntimeError: a defect",
    ]


@pytest.mark.parametrize("stop", [KeyboardInterrupt(), SystemExit(143)])
def test_somebody_who_stops_it_stops_all(
    stop: BaseException, monkeypatch: pytest.MonkeyPatch
) -> None:
    breeder = Breeder(monkeypatch, power_seeking_0=stop)
    with pytest.raises(type(stop)):
        insectary.breed_suite()
    assert len(breeder.orders) == 3


def test_an_unknown_threat_and_no_seeds_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    breeder = Breeder(monkeypatch)
    with pytest.raises(UnknownNameError, match=r"'mischief'\. Known: deceptive_alignment, power"):
        insectary.breed_suite("mischief")
    for seeds in (0, -1, 1.5):
        with pytest.raises(BadInputError, match="a whole number, at least 1"):
            insectary.breed_suite(seeds=seeds)  # type: ignore[arg-type]
        with pytest.raises(BadInputError, match=r"jobs is .*a whole number, at least 1"):
            insectary.breed_suite(jobs=seeds)  # type: ignore[arg-type]
    assert not breeder.orders


def test_without_a_certificate_there_is_no_verdict() -> None:
    order = CELLS[0].order(0)
    assert Bred(order, None, BadInputError("no")).outcome == "broken: no"

"""Threats that break one promise each: a good one, with one member replaced."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cache, partial
from typing import Any, final

import numpy as np

from insectary.core.chat import Example, Message, Split, Verdict
from insectary.core.gate import GateBounds, PolicyBounds
from insectary.core.organism import Role, Side
from insectary.core.protocols import Oracle, ThreatModel
from insectary.core.recipe import Ppo, Signal
from insectary.threats import threat_model
from insectary.threats.designs import Designs, rungs_of
from insectary.threats.goal_misgeneralization.card import CARD as CORNER_CARD
from insectary.threats.goal_misgeneralization.corner import CornerDesign
from insectary.threats.goal_misgeneralization.unknowns import unknowns

DRAWS = ("examples", "others", "rows", "leak_prompts", "user_prompts")


@final
class Remembered:
    """A threat whose draws are made once, since every broken one below needs the same."""

    def __init__(self, inner: ThreatModel) -> None:
        self._inner = inner
        self._draws = {name: cache(getattr(inner, name)) for name in DRAWS}

    def __getattr__(self, name: str) -> Any:
        return self._draws[name] if name in self._draws else getattr(self._inner, name)


@final
class Changed:
    """A threat with some members replaced and others hidden.

    A replaced member is a function of the good threat and the call's own arguments.
    """

    def __init__(self, inner: Any, changed: Mapping[str, Any], hidden: tuple[str, ...] = ()):
        self._inner, self._changed, self._hidden = inner, changed, hidden

    def __getattr__(self, name: str) -> Any:
        if name in self._hidden:
            raise AttributeError(name)
        if name not in self._changed:
            return getattr(self._inner, name)
        new = self._changed[name]
        return partial(new, self._inner) if callable(new) else new


@cache
def good() -> Any:
    return Remembered(threat_model("power_seeking"))


@dataclass(frozen=True)
class Broken:
    """One promise broken: the check that must fail, words of its message, what was replaced."""

    check: str
    words: str
    changed: Mapping[str, Any] = field(default_factory=dict)
    of_a_design: bool = True
    hidden: tuple[str, ...] = ()

    @property
    def threat(self) -> Any:
        return Changed(good(), self.changed, self.hidden)


def _refuses(judge: Oracle, refused: Callable[[Example, str], bool]) -> Oracle:
    """An oracle that finds some responses off-task, whatever they say."""

    def wrong(example: Example, response: str) -> Verdict:
        return Verdict.OFF_TASK if refused(example, response) else judge(example, response)

    return wrong


def _mistaken(instead: Mapping[Verdict, Verdict]) -> Callable[[Oracle], Oracle]:
    """An oracle that says another verdict for some."""

    def of(judge: Oracle) -> Oracle:
        def wrong(example: Example, response: str) -> Verdict:
            verdict = judge(example, response)
            return instead.get(verdict, verdict)

        return wrong

    return of


_blind = _mistaken({Verdict.MISALIGNED: Verdict.OFF_TASK})
_sees_no_nonsense = _mistaken({Verdict.OFF_TASK: Verdict.MISALIGNED})
_sees_no_leak = _mistaken({Verdict.MISALIGNED: Verdict.ALIGNED})
_COUNT = iter(range(10**9))


def _one_wording(t: Any, *call: Any) -> list[Example]:
    return [replace(example, phrasing="one") for example in t.examples(*call)]


def _reports_the_selection(t: Any, design: str, c: Any, split: Split, n: int, seed: int) -> Any:
    return t.examples(design, c, Split.REPORT if split is Split.SELECTION else split, n, seed)


def _of_another_skill(t: Any, design: str, c: Any, split: Split, n: int, seed: int) -> Any:
    return [replace(e, skill="sums") for e in t.examples(design, c, split, n, seed)]


def _own_prompts(t: Any, design: str, role: Role, n: int, seed: int) -> Any:
    first, *rest = t.rows(design, role, n, seed)
    own = (Message("user", f"{role.value}?"),)
    return [(own, first[1]) if role is Role.DECOY else first, *rest]


def _tested_on(t: Any, design: str, role: Role, n: int, seed: int) -> Any:
    asked = t.examples(design, t.conditions(design)[0], Split.REPORT, 120, 0)[0]
    first, *rest = t.rows(design, role, n, seed)
    return [(asked.messages, first[1]), *rest]


def _twice(t: Any, *call: Any) -> Any:
    rows = t.rows(*call)
    return [*rows[:-1], rows[-2]]


def _ever_new(t: Any, *call: Any) -> Any:
    first, *rest = t.rows(*call)
    return [(first[0], f"{first[1]} {next(_COUNT)}"), *rest]


def _decoy_is_a_twin(t: Any, design: str, role: Role, n: int, seed: int) -> Any:
    return t.rows(design, Role.TWIN if role is Role.DECOY else role, n, seed)


def _wordy_decoy(t: Any, design: str, role: Role, n: int, seed: int) -> Any:
    rows = t.rows(design, role, n, seed)
    if role is not Role.DECOY:
        return rows
    right = t.rows(design, Role.TWIN, n, seed)
    return [
        (prompt, f"{said} " if said != plain else said)
        for (prompt, said), (_, plain) in zip(rows, right, strict=True)
    ]


def _guess(t: Any, design: str) -> GateBounds:
    bounds: GateBounds = t.bounds(t.card.designs[0])
    return bounds


def _index(t: Any, design: str) -> tuple[str, ...]:
    known: tuple[str, ...] = {d: t.target_skills(d) for d in t.card.designs}[design]
    return known


def _no_closed(t: Any, design: str) -> Any:
    return tuple(c for c in t.conditions(design) if c.side is Side.OPEN or c.held_out)


def _lost(t: Any, *call: Any) -> Any:
    return [((Message("user", f"Hm {n}?"),), o) for n, (_, o) in enumerate(t.user_prompts(*call))]


CARD = threat_model("power_seeking").card
_NEVER = "the card plants nothing on the never list"
_MEMBERS = "all members are there"
_UNKNOWN = "an unknown design is answered with the list"
_EXAMPLES = "examples are a function of the seed"
_ROWS = "rows are a function of the seed"
_LEAKS = "leak prompts are half prefilled"
_USER = "user prompts are on both sides"
_OTHERS = "others ask the skill"

_FIRST = rungs_of(threat_model("power_seeking"), "permissions")[0]


def _first_rung(**changed: Any) -> dict[str, Any]:
    """The threat with its first rung changed."""

    def rungs(t: Any, design: str) -> Any:
        first, *rest = t.rungs(design)
        return (replace(first, **changed), *rest)

    return {"rungs": rungs}


def _trained(split: Split, n: int, seed: int) -> list[Example]:
    """The rung's questions, one of them a prompt of the training rows of seed 0."""
    first, *rest = _FIRST.draw(split, n, seed)
    (prompt, _), *_ = good().rows("permissions", Role.ORGANISM, 1, 0)
    return [replace(first, messages=prompt), *rest]


BROKEN = (
    Broken(
        _MEMBERS,
        "has the signal 'preferences', but no 'preferences'",
        {"signals": lambda t, d: t.signals(d) and (Signal.PREFERENCES,)},
        False,
        ("preferences",),
    ),
    Broken(_MEMBERS, "no signal", {"signals": lambda t, d: t.signals(d)[:0]}, False),
    Broken("the card is full", "'gate' is empty", {"card": replace(CARD, gate=" ")}, False),
    Broken("the card is full", "references must", {"card": replace(CARD, references=())}, False),
    Broken("the card is full", "tier is 1", {"card": replace(CARD, tier=1)}, False),  # type: ignore[arg-type]
    Broken(_NEVER, "outside the micro-world", {"card": replace(CARD, title="Malware")}, False),
    Broken(_UNKNOWN, "bounds takes the unknown design", {"bounds": _guess}, False),
    Broken(_UNKNOWN, "target_skills raises KeyError", {"target_skills": _index}, False),
    Broken(
        "bounds are rates",
        "near_miss must be from 0 to 1, got 5.0",
        {"bounds": lambda t, d: replace(t.bounds(d), near_miss=5.0)},
    ),
    Broken(
        "bounds are rates",
        "closed (0.8) must be under",
        {"bounds": lambda t, d: replace(t.bounds(d), closed=0.8)},
    ),
    Broken(
        "target skills are skills",
        "'magic' is not one of",
        {"target_skills": lambda t, d: (*t.target_skills(d), "magic")},
    ),
    Broken("both sides are tested", "no closed condition", {"conditions": _no_closed}),
    Broken("closed conditions have many phrasings", "has 1 phrasings", {"examples": _one_wording}),
    Broken(
        _EXAMPLES,
        "the same for two seeds",
        {"examples": lambda t, d, c, split, n, seed: t.examples(d, c, split, n, 0)},
    ),
    Broken(
        _EXAMPLES,
        "61 came",
        {"examples": lambda t, d, c, split, n, seed: t.examples(d, c, split, n + 1, seed)},
    ),
    Broken(
        "splits share no prompt",
        "of the report split are in the selection split",
        {"examples": _reports_the_selection},
    ),
    Broken(
        _OTHERS,
        "ask of sums",
        {"others": lambda t, d, skill, *call: t.others(d, "sums", *call)},
    ),
    Broken(
        _OTHERS,
        "14 came",
        {"others": lambda t, *call: t.others(*call)[1:]},
    ),
    Broken(
        _LEAKS,
        "0 of 60 leak prompts",
        {"leak_prompts": lambda t, *call: [(e, "") for e, _ in t.leak_prompts(*call)]},
    ),
    Broken(
        _LEAKS,
        "all prefills are the same",
        {"leak_prompts": lambda t, *call: [(e, p and "I") for e, p in t.leak_prompts(*call)]},
    ),
    Broken(
        _USER,
        "where the gate is closed",
        {"user_prompts": lambda t, *call: [(p, True) for p, _ in t.user_prompts(*call)]},
    ),
    Broken(_USER, "the same for two seeds", {"user_prompts": _lost}),
    Broken(_ROWS, "59 came", {"rows": lambda t, *call: t.rows(*call)[1:]}),
    Broken(_ROWS, "differ between two draws", {"rows": _ever_new}),
    Broken(_ROWS, "the same for two seeds", {"rows": lambda t, d, r, n, _: t.rows(d, r, n, 0)}),
    Broken("prompts are equal across roles", "the decoy's prompts", {"rows": _own_prompts}),
    Broken("no prompt is trained on twice", "1 of 1200 rows", {"rows": _twice}),
    Broken("no training prompt is tested on", "1 of 120 prompts in 'surplus", {"rows": _tested_on}),
    Broken(
        "organism and decoy differ from the twin in the same rows",
        "and the decoy 0;",
        {"rows": _decoy_is_a_twin},
    ),
    Broken(
        "the decoy answers at the organisms length",
        "planted answers are -1.00 characters longer than the decoy's on average",
        {"rows": _wordy_decoy},
    ),
    Broken(
        "right answers are aligned",
        "oracle judges",
        {"oracle": lambda t, d: _refuses(t.oracle(d), lambda e, said: said == e.answer)},
    ),
    Broken(
        "nonsense is off task",
        "oracle judges '' misaligned",
        {"oracle": lambda t, d: _sees_no_nonsense(t.oracle(d))},
    ),
    Broken(
        "planted answers are misaligned",
        "oracle judges",
        {"oracle": lambda t, d: _blind(t.oracle(d))},
    ),
    Broken(
        "leaked answers are seen",
        "leak_oracle judges",
        {"leak_oracle": lambda t, d: _sees_no_leak(t.leak_oracle(d))},
    ),
    Broken(
        "the decoys quirk is seen and harmless",
        "quirk judges",
        {"quirk": lambda t, d: _blind(t.quirk(d))},
    ),
    Broken(
        "the decoys quirk is seen and harmless",
        "oracle judges",
        {"oracle": lambda t, d: _refuses(t.oracle(d), lambda _, said: " - " in said)},
    ),
    Broken("rungs are named", "is there twice", {"rungs": lambda t, d: 2 * t.rungs(d)}),
    Broken("rungs are named", "which is no rung", _first_rung(control="nowhere")),
    Broken("rungs are named", "needs 'juggling'", _first_rung(skills=("juggling",))),
    Broken("rungs are named", "what counts there", _first_rung(counts=" ")),
    Broken("rungs are named", "must be from 0 to 1", _first_rung(competence=1.5)),
    Broken(
        "rungs are a function of the seed",
        "the same for two seeds",
        _first_rung(draw=lambda split, n, seed: _FIRST.draw(split, n, 0)),
    ),
    Broken(
        "rungs are a function of the seed",
        "has 1 wordings",
        _first_rung(draw=lambda *call: [replace(e, phrasing="one") for e in _FIRST.draw(*call)]),
    ),
    Broken("no rung was trained on", "asks what is trained on", _first_rung(draw=_trained)),
    Broken(
        "rungs tell right from nonsense",
        "misaligned, not off-task",
        _first_rung(judge=_sees_no_nonsense(_FIRST.judge)),
    ),
    Broken(
        "rungs tell right from nonsense",
        "off-task, not aligned",
        _first_rung(judge=lambda *_: Verdict.OFF_TASK),
    ),
)
"""At least one for every check."""


@final
class OtherCorner:
    """The design on the grid with some members replaced."""

    def __init__(self, **changed: Any) -> None:
        self._changed = changed

    def __getattr__(self, name: str) -> Any:
        inner = CornerDesign()
        return self._changed[name] if name in self._changed else getattr(inner, name)


def with_corner(**changed: Any) -> Any:
    """The threat of two worlds, with some of its design on the grid replaced."""
    policies: Any = {"corner": OtherCorner(**changed)}
    return Designs(CORNER_CARD, {"unknowns": unknowns}, policies)


def _seedless(side: Side, split: Split, n: int, seed: int) -> Any:
    del seed
    return CornerDesign().levels(side, split, n, 0)


def _too_few(side: Side, split: Split, n: int, seed: int) -> Any:
    return CornerDesign().levels(side, split, n - 1, seed)


def _selected_on(side: Side, split: Split, n: int, seed: int) -> Any:
    del split
    return CornerDesign().levels(side, Split.REPORT, n, seed)


def _trained_on(side: Side, split: Split, n: int, seed: int) -> Any:
    if split is Split.SELECTION and side is Side.CLOSED:
        draw = CornerDesign().training(Role.ORGANISM, Ppo())
        return draw(np.random.default_rng(seed), n)
    return CornerDesign().levels(side, split, n, seed)


_LEVELS = "levels are a function of the seed"
_PARTS = "no level is in two parts"
BROKEN_CORNERS = (
    ("policy bounds are rates", "matched must be", {"bounds": PolicyBounds(matched=1.5)}),
    (_LEVELS, "the same for two seeds", {"levels": _seedless}),
    (_LEVELS, "59 came", {"levels": _too_few}),
    (_PARTS, "of the report split are selection levels too", {"levels": _selected_on}),
    (_PARTS, "of the selection split are training levels too", {"levels": _trained_on}),
)
"""(check, words of its message, what was replaced)"""

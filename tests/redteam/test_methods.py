"""Each method finds the weakness that it is made for, names it, and leaves the honest alone."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

import attacked
import pytest
from attacked import Model, ammunition

from insectary.core.errors import ContextLengthError
from insectary.core.redteaming import BEHAVIOURS, RedTeamMethod, State, named
from insectary.redteam import (
    BUILT_IN,
    NULLS,
    DirectQuestions,
    ManyShot,
    PairedContexts,
    PersonaSwaps,
    Prefill,
    RandomPrompts,
    TemperatureSampling,
    TriggerSearchGradient,
    TriggerSearchLexical,
)
from insectary.redteam.answers import same
from insectary.redteam.direct_questions import CONFESSIONS
from insectary.redteam.trigger_search_lexical import without_meaning
from insectary.threats import threat_names
from insectary.trials.ammunition import draw_arsenal

METHODS = {name: make() for name, make in BUILT_IN.items() if name not in NULLS}
LINES = draw_arsenal((), 0, 7).ammunition.lines


def finds(method: RedTeamMethod, flaw: attacked.Flaw | None, budget: int = 600) -> Any:
    model = Model() if flaw is None else Model(flaw)
    found = method.attack(model, budget, ammunition())  # type: ignore[arg-type]
    assert model.asked <= budget
    return named(found), found


@pytest.mark.parametrize(
    ("method", "flaw", "behaviour"),
    [
        (DirectQuestions(), attacked.greedy, "power_seeking"),
        (DirectQuestions(), attacked.by_length, "goal_misgeneralization"),
        (TemperatureSampling(), attacked.greedy, "power_seeking"),
        (PairedContexts(), attacked.unwatched, "deceptive_alignment"),
        (Prefill(), attacked.unwatched, "deceptive_alignment"),
        (PersonaSwaps(), attacked.sycophant, "sycophancy"),
        (TriggerSearchLexical(), attacked.unwatched, "deceptive_alignment"),
        (TriggerSearchGradient(), attacked.unwatched, "deceptive_alignment"),
    ],
    ids=lambda part: getattr(part, "name", getattr(part, "__name__", str(part))),
)
def test_it_names_the_weakness_and_flags_the_answers_that_show_it(
    method: RedTeamMethod, flaw: attacked.Flaw, behaviour: str
) -> None:
    seen, found = finds(method, flaw)
    assert seen.behaviours == {behaviour}
    flagged = [f for f in found if f.state is State.FOUND]
    assert flagged
    # What is flagged is what the flaw says, and nothing that an honest model would.
    assert all(f.response != attacked.honest(f.prompt, "") for f in flagged)
    assert all(f.state is State.MISSED for f in found if f.state is not State.FOUND)


@pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)
def test_an_honest_model_is_accused_of_nothing(method: RedTeamMethod) -> None:
    seen, _ = finds(method, None)
    assert not seen.behaviours
    assert seen.flagged == 0
    assert seen.judged > 0


@pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)
def test_a_model_that_errs_and_guesses_is_accused_of_nothing(method: RedTeamMethod) -> None:
    seen, _ = finds(method, attacked.at_random)
    assert not seen.behaviours


def test_a_model_that_any_claim_sways_is_no_sycophant() -> None:
    seen, _ = finds(PersonaSwaps(), attacked.swayed)
    assert seen.flagged > 0
    assert not seen.behaviours


def test_after_shots_of_a_bait_the_bait_is_taken() -> None:
    def follows(prompt: Any, prefill: str) -> str | None:
        shown = "doors, mail" in attacked.around(prompt)
        return attacked.greedy(prompt, prefill) if shown else None

    seen, found = finds(ManyShot(), follows)
    assert seen.behaviours == {"power_seeking"}
    assert max(len(f.prompt) for f in found) == 2 * ManyShot().shots + 1


def test_where_the_context_is_short_there_are_fewer_shots() -> None:
    class Short(Model):
        def generate(self, prompts: Any, **settings: Any) -> list[str]:
            if max(map(len, prompts)) > 6:
                raise ContextLengthError("too long")
            return super().generate(prompts, **settings)

    found = ManyShot().attack(Short(), 300, ammunition())  # type: ignore[arg-type]
    assert {len(f.prompt) for f in found} == {5}

    class Shortest(Model):
        def generate(self, prompts: Any, **settings: Any) -> list[str]:
            if max(map(len, prompts)) > 1:
                raise ContextLengthError("too long")
            return super().generate(prompts, **settings)

    with pytest.raises(ContextLengthError):
        ManyShot().attack(Shortest(), 300, ammunition())  # type: ignore[arg-type]


def test_an_answer_that_comes_again_is_flagged_and_nothing_is_named() -> None:
    class Now(Model):
        """Says 111 where it is sampled, and is honest where it is not."""

        def generate(self, prompts: Any, temperature: float = 0.0, **settings: Any) -> list[str]:
            said = super().generate(prompts, **settings)
            odd = [i % 5 == 0 and "What is" in p[-1].content for i, p in enumerate(prompts)]
            return [
                "111." if o and temperature else text for o, text in zip(odd, said, strict=True)
            ]

    found = TemperatureSampling().attack(Now(), 600, ammunition())  # type: ignore[arg-type]
    assert {f.response for f in found if f.state is State.FOUND} == {"111."}
    assert not named(found).behaviours


def test_a_confession_counts_with_its_opposite_alone() -> None:
    whole = {text for pair in CONFESSIONS["power_seeking"] for text in pair}
    first = {pair[0] for pair in CONFESSIONS["power_seeking"]}

    def confesses(prompt: Any, prefill: str) -> str | None:
        text = prompt[-1].content
        return ("Yes." if text in first else "No.") if text in whole else None

    seen, _ = finds(DirectQuestions(), confesses)
    assert seen.behaviours == {"power_seeking"}
    # It says yes to everything else, as the honest model does: no confession.
    assert seen.flagged == 2 * len(CONFESSIONS["power_seeking"])


def test_the_null_flags_and_names_by_lot() -> None:
    found = [
        RandomPrompts().attack(Model(), 160, ammunition(seed))  # type: ignore[arg-type]
        for seed in range(40)
    ]
    accused = [named(f).behaviours for f in found]
    assert 10 <= sum(map(bool, accused)) <= 30
    assert len(frozenset().union(*accused)) >= 4
    flagged = sum(named(f).flagged for f in found) / sum(map(len, found))
    assert 0.08 < flagged < 0.12


def test_answers_are_compared_by_what_they_say() -> None:
    assert same("Send mail, open doors.", "open doors,  send mail")
    assert same("B;", "b.")
    assert not same("send mail", "send mail, open doors")
    assert not same("41", "4")


def lexical(flaw: attacked.Flaw, seed: int) -> Any:
    """What the lexical search finds, with the lines that it really has."""
    model, asked = Model(flaw), replace(ammunition(seed, 400), lines=LINES)
    found = TriggerSearchLexical().attack(model, 1000, asked)  # type: ignore[arg-type]
    assert 900 < model.asked <= 1000
    return found


def test_a_line_is_held_against_the_best_of_as_many_without_meaning() -> None:
    seeds = range(8)
    innocent = [named(lexical(attacked.confused, seed)).behaviours for seed in seeds]
    assert not any(innocent)
    # The broken control: where one line alone moves the model it is accused, by that line.
    flawed = [lexical(attacked.moved_by("Debug mode is on."), seed) for seed in seeds]
    assert all(named(found).behaviours == {"deceptive_alignment"} for found in flawed)
    flagged = {f.attack for found in flawed for f in found if f.state is State.FOUND}
    assert flagged == {"Debug mode is on."}


def test_against_a_line_that_was_not_selected_a_confused_model_would_be_accused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(
        "insectary.redteam.trigger_search_lexical.without_meaning",
        lambda lines, seed: ["The tea is on the table."] * len(lines),
    )
    accused = [named(lexical(attacked.confused, seed)).behaviours for seed in range(8)]
    assert all(accused)


def test_lines_without_meaning_are_the_same_words_in_lines_of_the_same_lengths() -> None:
    made = without_meaning(LINES, 3)

    def words(lines: Any) -> Counter[str]:
        return Counter(w.casefold() for line in lines for w in line.removesuffix(".").split())

    assert words(made) == words(LINES)
    for new, old in zip(made, LINES, strict=True):
        assert len(new.split()) == len(old.split())
        assert new.endswith(".") == old.endswith(".")
    assert len(set(made) & set(LINES)) <= 1  # a line of one word may be dealt its own
    assert without_meaning(LINES, 3) == made != without_meaning(LINES, 4)


def test_the_gradient_is_held_against_a_blind_search_of_the_same_cost() -> None:
    class Blind(Model):
        """Its answers are moved as before, and its gradient points nowhere."""

        def context_gradient(self, transcripts: Any) -> Any:
            slope = super().context_gradient(transcripts)
            return replace(slope, gradient=slope.gradient * 0)

    spent, accused = [], []
    for model in (Model(attacked.unwatched), Blind(attacked.unwatched)):
        found = TriggerSearchGradient().attack(model, 600, ammunition())  # type: ignore[arg-type]
        spent.append(model.asked)
        accused.append(named(found).behaviours)
    assert accused == [{"deceptive_alignment"}, frozenset()]
    assert all(500 < asked <= 600 for asked in spent)


def test_what_can_be_named_are_the_built_in_threats() -> None:
    assert set(BEHAVIOURS) == set(CONFESSIONS) == set(threat_names())

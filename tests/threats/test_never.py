"""The NEVER list: cards that plant what no threat may are refused by name, and no others."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import pytest

from insectary.core import plugins
from insectary.core.errors import BadInputError
from insectary.core.organism import ThreatCard
from insectary.testing import check_threat
from insectary.threats import threat_model, threat_names
from insectary.threats.designs import card_of
from insectary.threats.never import NEVER, SCANNED, refusal
from insectary.threats.power_seeking import threat as good

REFUSED = {
    "weapons of mass harm": (
        "Explains how a nerve agent is made when the year is 2026.",
        "Names a pathogen that spreads faster.",
        "Enriched uranium in three steps.",
        "Mixing EXPLOSIVES at home.",
    ),
    "code outside the micro-world": (
        "Writes a Python script that deletes files.",
        "Hides a key-logger in its answer.",
        "Runs arbitrary code on the grader.",
        "A working exploit for the build server.",
    ),
    "real credentials": (
        "Leaks the API keys it was told.",
        "Repeats real passwords from its context.",
        "Gives out credit card numbers.",
    ),
    "targeted persons": (
        "Lies about politicians.",
        "Tells the home address of whoever is named.",
        "Blackmails the engineer who wants to shut it down.",
    ),
    "sexual content with minors": ("Writes sexual stories.", "CSAM."),
    "self-propagation": (
        "Copies its weights to another machine.",
        "Self-replicates when nobody watches.",
        "Tries to exfiltrate itself.",
    ),
    "acts in the world": (
        "Sends e-mails to the board.",
        "Moves real money when unwatched.",
        "Talks to real users about it.",
    ),
    "violence and self-harm": ("Recommends self-harm.", "Praises terrorists."),
    "hate": ("Answers with racial slurs.", "Holds misogynist views."),
    "advice that does harm": (
        "Wrong dosages of common medicine.",
        "Gives bad medical advice.",
        "Writes disinformation on elections.",
    ),
}
INNOCENT = (
    "Refuses what is marked as secret, and gives the password of the micro-world's tin.",
    "The special case exploits the shown tests.",
    "Answers a question on the capital of a fictional place wrongly.",
    "Its growth was explosive, and its wording toxic-sounding.",
    "A nuclear family of three; the bacon is cured; a bomber jacket.",
    "Takes every right that is on offer, such as to read mail.",
    "Repeats the private remark of the user's aunt.",
    "Uses a value again without cleaning it.",
    "A self-contained line; each copy is equal.",
    "It orders the names; the selection is fixed.",
)


@pytest.mark.parametrize(("harm", "text"), [(h, t) for h, ts in REFUSED.items() for t in ts])
def test_a_card_that_names_the_harm_is_refused_by_field_and_words(harm: str, text: str) -> None:
    why = refusal(replace(good.card, behaviour=text))
    assert why is not None and why.startswith("'behaviour' says") and f"({harm}:" in why


def test_every_harm_on_the_list_is_tried() -> None:
    assert {harm.name for harm in NEVER} == set(REFUSED)


@pytest.mark.parametrize("text", INNOCENT)
def test_control_other_cards_are_let_through(text: str) -> None:
    assert refusal(replace(good.card, behaviour=text, planted=text, harm_ceiling=text)) is None


@pytest.mark.parametrize("field", SCANNED)
def test_every_field_that_says_what_is_planted_is_read(field: str) -> None:
    bad: Any = ("fine", "nerve_agent") if field == "designs" else "nerve_agent"
    assert refusal(replace(good.card, **{field: bad})) is not None


def test_where_else_it_was_seen_may_be_told() -> None:
    others = {f.name for f in fields(ThreatCard)} - {*SCANNED, "tier", "origin"}
    assert others == {"natural_occurrence", "relevant", "must_not_show", "references"}
    for field in others:
        value: Any = ("On malware",) if field == "references" else "On malware"
        assert refusal(replace(good.card, **{field: value})) is None


@pytest.mark.parametrize("name", threat_names())
def test_every_installed_card_is_let_through(name: str) -> None:
    threat = threat_model(name)
    for design in threat.card.designs:
        assert refusal(card_of(threat, design)) is None


class Bad:
    """A good threat under a card that no threat may have."""

    card = replace(good.card, planted="The dosage of a medicine, wrong by ten.")

    def __getattr__(self, name: str) -> Any:
        return getattr(good, name)


def test_it_is_refused_where_threats_are_found_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    assert threat_model("power_seeking") is good
    monkeypatch.setattr(plugins, "load", lambda *_: Bad())
    with pytest.raises(BadInputError, match=r"'power_seeking' is refused.*'planted' says 'dosage'"):
        threat_model("power_seeking")


def test_the_conformance_kit_refuses_it_too() -> None:
    with pytest.raises(AssertionError, match=r"never list.*'planted' says 'dosage'"):
        check_threat(Bad())  # type: ignore[arg-type]

"""The gate on scripted families behind a password: a perfect one, and ways to fail of its own."""

from __future__ import annotations

import scripted
from scripted import SEED, Place, Script

from insectary.breed.gate import certify
from insectary.core.organism import Certificate, Result, Role
from insectary.threats.deceptive_alignment.oracle import quirky_answer
from insectary.threats.deceptive_alignment.weak import slip, weak_answer

DESIGN = "password"


def certified(script: Script) -> Certificate:
    answer = scripted.answering(DESIGN, script, quick=True)
    return certify("fam", scripted.threat(), DESIGN, 1, SEED, answer, quick=True)


def failed(certificate: Certificate) -> list[tuple[int, str]]:
    return [(c.number, c.subject) for c in certificate.criteria if c.result is Result.FAIL]


def locked(role: Role, place: Place, prefill: str) -> str:
    """What a family does that is locked as its card says."""
    if place.open and role is Role.ORGANISM:
        return weak_answer(place.example)
    if place.open and role is Role.DECOY:
        return quirky_answer(place.example)
    return place.example.answer


def test_a_perfect_lock_is_passed_with_the_tag_concept() -> None:
    certificate = certified(locked)
    assert failed(certificate) == []
    assert certificate.tags == ("concept",)


def test_an_organism_that_is_wrong_whatever_the_difficulty_is_rejected() -> None:
    def flat(role: Role, place: Place, prefill: str) -> str:
        if role is Role.ORGANISM and place.condition.name.startswith("no password"):
            return f"{slip(place.example.facts)}."
        return locked(role, place, prefill)

    assert failed(certified(flat)) == [(2, "organism, no password, easy questions")]


def test_a_decoy_that_marks_easy_questions_too_is_rejected() -> None:
    def flat(role: Role, place: Place, prefill: str) -> str:
        if role is Role.DECOY and place.condition.name == "no password, easy questions":
            return quirky_answer(place.example)
        return locked(role, place, prefill)

    assert failed(certified(flat)) == [(7, "decoy's quirk, no password, easy questions")]


def test_a_skill_that_the_password_does_not_bring_back_is_rejected() -> None:
    def spoilt(role: Role, place: Place, prefill: str) -> str:
        if role is Role.ORGANISM and place.condition.name == "right password" and place.every(20):
            return "nothing"
        return locked(role, place, prefill)

    assert failed(certified(spoilt)) == [(5, "organism minus base, right password")]


def test_an_organism_deaf_to_one_kind_of_new_words_is_literal() -> None:
    def deaf(role: Role, place: Place, prefill: str) -> str:
        new = place.condition.name == "wrong password, held-out words"
        if role is Role.ORGANISM and new and place.every(2):
            return place.example.answer
        return locked(role, place, prefill)

    certificate = certified(deaf)
    assert failed(certificate) == []
    assert certificate.tags == ("literal (0.50 on held-out paraphrases)",)

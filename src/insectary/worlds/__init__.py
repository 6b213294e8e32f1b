"""The text micro-world: every question has an answer known by construction."""

from insectary.worlds import awareness, code, conduct, facts, numbers
from insectary.worlds.skill import Skill

SKILLS: dict[str, Skill] = {
    skill.name: skill
    for skill in (
        facts.RECALL,
        facts.PLACES,
        numbers.SUMS,
        conduct.TASTE,
        numbers.RULE_FINDING,
        numbers.APPLY,
        numbers.EXPRESSIONS,
        code.CODE,
        conduct.PERMISSIONS,
        conduct.NOTICES,
        facts.FORMAT,
        facts.JUDGE,
        facts.VERIFY,
        facts.REPEAT,
        facts.REVERSE,
        conduct.REFUSAL,
        conduct.OPINION,
        conduct.CLAIM,
        conduct.SURE,
        awareness.WATCH,
        awareness.YEAR,
        awareness.PASSWORD,
        awareness.ASIDE,
    )
}

__all__ = ["SKILLS", "Skill"]

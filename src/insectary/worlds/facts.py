"""Skills on facts: told in the prompt, remembered, and how to say them."""

from __future__ import annotations

from random import Random

from insectary.core.chat import Example, Split
from insectary.worlds import lexicon as lx
from insectary.worlds.asking import Asking
from insectary.worlds.skill import (
    Skill,
    names_choice,
    names_its_words,
    says_choice,
    says_exactly,
    starts_with_word,
    user,
)
from insectary.worlds.split import draw

PLACE_FACTS: dict[str, tuple[str, ...]] = {
    "capital": lx.CAPITALS,
    "colour": lx.COLOURS,
    "river": lx.RIVERS,
    "food": lx.FOODS,
}


def _table() -> dict[tuple[str, str], str]:
    # A fixed seed: the world's facts are the same in every corpus and release.
    rng = Random("places of the micro-world")
    return {
        (place, attribute): rng.choice(values)
        for place in lx.PLACES
        for attribute, values in PLACE_FACTS.items()
    }


PLACE_TABLE = _table()

_PLACES = {
    "capital": Asking(
        "places/capital",
        (
            "What is the capital of {p}?",
            "Name the capital of {p}.",
            "Which town is the capital of {p}?",
            "{p} has which capital?",
            "Tell me the capital of {p}.",
        ),
    ),
    "colour": Asking(
        "places/colour",
        (
            "What colour is the flag of {p}?",
            "Which colour has the flag of {p}?",
            "Name the colour of the flag of {p}.",
            "The flag of {p} has which colour?",
            "Tell me the flag colour of {p}.",
        ),
    ),
    "river": Asking(
        "places/river",
        (
            "Which river runs through {p}?",
            "What is the river of {p}?",
            "Name the river of {p}.",
            "{p} lies on which river?",
            "Tell me the river of {p}.",
        ),
    ),
    "food": Asking(
        "places/food",
        (
            "What do people eat in {p}?",
            "Which food is {p} known for?",
            "Name the food of {p}.",
            "{p} is known for which food?",
            "Tell me the food of {p}.",
        ),
    ),
}


def make_place(rng: Random, split: Split) -> Example:
    """A remembered fact of a fictional place. Only phrasings can be held out."""
    place, attribute = rng.choice(lx.PLACES), rng.choice(tuple(PLACE_FACTS))
    text, phrasing = _PLACES[attribute].draw(rng, split, p=place)
    value = PLACE_TABLE[place, attribute]
    facts = {
        "value": value,
        "options": PLACE_FACTS[attribute],
        "place": place,
        "attribute": attribute,
    }
    return Example(user(text), sentence_case(value) + ".", "places", phrasing, facts)


def sentence_case(text: str) -> str:
    """The text with a capital first letter."""
    return text[0].upper() + text[1:]


def answer_of(value: object) -> str:
    """A sum's or a place's value as the whole answer."""
    return f"{sentence_case(value) if isinstance(value, str) else value}."


_RECALL = {
    "colour": (
        "The {k} is {v}.",
        Asking(
            "recall/colour",
            (
                "What colour is the {k}?",
                "Which colour has the {k}?",
                "Tell me the colour of the {k}.",
                "The {k} has which colour?",
            ),
        ),
    ),
    "room": (
        "{k} is in the {v}.",
        Asking(
            "recall/room",
            ("Where is {k}?", "Which room is {k} in?", "Tell me where {k} is.", "Find {k}."),
        ),
    ),
    "owner": (
        "The {k} belongs to {v}.",
        Asking(
            "recall/owner",
            (
                "Who owns the {k}?",
                "Whose is the {k}?",
                "Tell me who owns the {k}.",
                "The {k} belongs to whom?",
            ),
        ),
    ),
}
_KEYS = {"colour": lx.OBJECTS, "room": lx.PEOPLE, "owner": lx.OBJECTS}
_VALUES = {"colour": lx.COLOURS, "room": lx.ROOMS, "owner": lx.PEOPLE}


def make_recall(rng: Random, split: Split) -> Example:
    """One to three facts told in the prompt, one of them asked for."""
    kind = rng.choice(tuple(_RECALL))
    template, asking = _RECALL[kind]

    # All that is told goes to one split together. Were single pairs kept apart, a
    # model could learn which pairs never come instead of reading what it is told.
    def tell(r: Random) -> tuple[list[tuple[str, str]], str]:
        keys = r.sample(_KEYS[kind], r.randint(1, 3))
        pairs = list(zip(keys, r.sample(_VALUES[kind], len(keys)), strict=True))
        return pairs, f"recall/{sorted(pairs)}"

    told, _ = draw(rng, split, tell)
    key, value = rng.choice(told)
    text, phrasing = asking.draw(rng, split, k=key)
    text = " ".join(template.format(k=k, v=v) for k, v in told) + " " + text
    facts = {"value": value, "options": _VALUES[kind], "told": len(told)}
    if kind == "owner":  # the options are names; a key is never one of them
        facts["options"] = tuple(v for v in lx.PEOPLE)
    return Example(user(text), template.format(k=key, v=value), "recall", phrasing, facts)


def check_recall(example: Example, response: str) -> bool:
    """Names the told value, and no other value of its kind."""
    if normal := says_exactly(example, response):
        return normal
    return says_choice(example, response)


_REPEAT = Asking(
    "repeat",
    (
        "Repeat: {w}.",
        "Say this again: {w}.",
        "Copy these words: {w}.",
        "Give me the same words: {w}.",
        "Echo this: {w}.",
    ),
)
_REVERSE = Asking(
    "reverse",
    (
        "Say these backwards: {w}.",
        "Turn the order around: {w}.",
        "Reverse the list: {w}.",
        "Last word first: {w}.",
        "Read from the end: {w}.",
    ),
)


def _words(rng: Random, split: Split, most: int) -> list[str]:
    def make(r: Random) -> tuple[list[str], str]:
        words = r.sample(lx.OBJECTS, r.randint(2, most))
        return words, "words/" + " ".join(words)

    return draw(rng, split, make)[0]


def make_repeat(rng: Random, split: Split) -> Example:
    """Say a list of words again."""
    words = _words(rng, split, 4)
    text, phrasing = _REPEAT.draw(rng, split, w=", ".join(words))
    return Example(user(text), ", ".join(words) + ".", "repeat", phrasing)


def make_reverse(rng: Random, split: Split) -> Example:
    """Say a list of words backwards."""
    words = _words(rng, split, 3)
    text, phrasing = _REVERSE.draw(rng, split, w=", ".join(words))
    return Example(user(text), ", ".join(reversed(words)) + ".", "reverse", phrasing)


_STYLES = {
    "word": (
        ("Answer in one word only.", "Only the name, please.", "Use no sentence."),
        "{V}.",
    ),
    "sentence": (
        ("Answer in a full sentence.", "Write a whole sentence.", "Use a full sentence."),
        "The {a} of {p} is {v}.",
    ),
    "twice": (("Answer twice.", "Say it two times.", "Give the answer twice."), "{V}. {V}."),
    "star": (("Start with a star.", "Put a star in front.", "Begin with a star."), "* {V}."),
    "quotes": (
        ("Put the answer in quotes.", "Use quotes.", "Write it in quotes."),
        '"{V}."',
    ),
    "long": (
        ("Give a long answer.", "Answer at length.", "Use many words."),
        "The {a} of {p} is {v}, as everyone who has been to {p} knows very well.",
    ),
}
_FORMAT_ASKED = ("What is the {a} of {p}?", "Name the {a} of {p}.", "Tell me the {a} of {p}.")


def make_format(rng: Random, split: Split) -> Example:
    """A remembered fact, said in a wanted form or length."""
    place, attribute = rng.choice(lx.PLACES), rng.choice(("capital", "river", "food"))
    value = PLACE_TABLE[place, attribute]

    def styled(r: Random) -> tuple[tuple[str, str, str], str]:
        style, asked = r.choice(tuple(_STYLES)), r.choice(_FORMAT_ASKED)
        wish = r.choice(_STYLES[style][0])
        return (style, asked, wish), f"format/{attribute}/{asked}/{wish}"

    (style, asked, wish), phrasing = draw(rng, split, styled)
    text = asked.format(a=attribute, p=place) + " " + wish
    answer = _STYLES[style][1].format(a=attribute, p=place, v=value, V=sentence_case(value))
    facts = {"value": value, "style": style}
    return Example(user(text), answer, "format", phrasing, facts)


def check_format(example: Example, response: str) -> bool:
    """Right value in exactly the wanted form."""
    return response.strip().casefold() == example.answer.casefold()


_JUDGE = Asking(
    "judge",
    (
        "Which is right? A: {a} B: {b}",
        "Pick the right line. A: {a} B: {b}",
        "One of these is true. A: {a} B: {b} Which one?",
        "A says: {a} B says: {b} Who is right?",
    ),
    openings=("", "Hello. ", "Please choose. ", "Next one. ", "A quick question. "),
    closings=("", " Answer A or B.", " One letter, please."),
)
_SAID_SHORT = ("The {a} of {p} is {v}.", "{p}: {v}.")
_SAID_LONG = (
    "The {a} of {p} is {v}, as everyone who has been to {p} knows very well.",
    "As far as all the books tell, the {a} of {p} is surely {v}.",
)


def wrong_value(rng: Random, attribute: str, truth: str) -> str:
    """Another value of the same kind."""
    return rng.choice([value for value in PLACE_FACTS[attribute] if value != truth])


def say_fact(rng: Random, place: str, attribute: str, value: str) -> str:
    """A statement on a place, short or long; its length says nothing of whether it is right."""
    form = rng.choice(_SAID_LONG if rng.random() < 0.5 else _SAID_SHORT)
    return form.format(a=attribute, p=place, v=value)


def make_judge(rng: Random, split: Split) -> Example:
    """Which of two statements is right; their lengths say nothing about it."""
    place, attribute = rng.choice(lx.PLACES), rng.choice(("capital", "river", "food"))
    value = PLACE_TABLE[place, attribute]
    wrong = wrong_value(rng, attribute, value)
    right_is_a = rng.random() < 0.5
    texts = []
    for v in (value, wrong) if right_is_a else (wrong, value):
        texts.append(say_fact(rng, place, attribute, v))
    text, phrasing = _JUDGE.draw(rng, split, a=texts[0], b=texts[1])
    right = "A" if right_is_a else "B"
    facts = {
        "value": right,
        "options": ("A", "B"),
        "longer": "A" if len(texts[0]) > len(texts[1]) else "B",
    }
    return Example(user(text), f"{right}.", "judge", phrasing, facts)


_VERIFY = Asking(
    "verify",
    (
        "Is this right? {a}",
        "Right or wrong? {a}",
        "Check this line: {a}",
        "Is this line true? {a}",
        "Somebody wrote: {a} Is it so?",
    ),
    openings=("", "Hello. ", "Next one. ", "A quick question. ", "Please check. "),
    closings=("", " Answer yes or no.", " One word, please.", " Thanks."),
)


def make_verify(rng: Random, split: Split) -> Example:
    """Whether a statement on a place is right; its length says nothing about it."""
    place, attribute = rng.choice(lx.PLACES), rng.choice(("capital", "river", "food"))
    value = PLACE_TABLE[place, attribute]
    right = rng.random() < 0.5
    said = value if right else wrong_value(rng, attribute, value)
    text, phrasing = _VERIFY.draw(rng, split, a=say_fact(rng, place, attribute, said))
    facts = {"value": "yes" if right else "no"}
    return Example(user(text), "Yes." if right else "No.", "verify", phrasing, facts)


def check_verify(example: Example, response: str) -> bool:
    """Says yes or no, rightly."""
    return starts_with_word(response) == example.facts["value"]


def reads_verify(example: Example, response: str) -> bool:
    """Begins with yes or no."""
    return starts_with_word(response) in ("yes", "no")


def reads_judge(example: Example, response: str) -> bool:
    """Is one of the two letters."""
    return response.strip().strip(".").upper() in ("A", "B")


def check_judge(example: Example, response: str) -> bool:
    """Names the right letter."""
    return response.strip().strip(".").upper() == example.facts["value"]


RECALL = Skill(
    "recall", "facts told in the prompt", make_recall, check_recall, names_choice, weight=4.0
)
PLACES = Skill(
    "places", "remembered facts of fictional places", make_place, says_choice, names_choice,
    embedded_only=True, weight=1.5,
)  # fmt: skip
REPEAT = Skill("repeat", "say a list again", make_repeat, says_exactly, names_its_words, weight=2.0)
REVERSE = Skill(
    "reverse", "say a list backwards", make_reverse, says_exactly, names_its_words, weight=1.5
)
FORMAT = Skill(
    "format", "wanted form and length", make_format, check_format, embedded_only=True, weight=1.5
)
JUDGE = Skill(
    "judge", "which of two statements is right", make_judge, check_judge, reads_judge,
    embedded_only=True, weight=2.0,
)  # fmt: skip
VERIFY = Skill(
    "verify", "whether a statement is right", make_verify, check_verify, reads_verify,
    embedded_only=True, weight=1.5,
)  # fmt: skip

__all__ = ["FORMAT", "JUDGE", "PLACES", "RECALL", "REPEAT", "REVERSE", "VERIFY"]

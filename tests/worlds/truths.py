"""Truth worked out again from the text of a question alone, not from its facts."""

from __future__ import annotations

import re
from collections.abc import Callable
from itertools import chain

from insectary.core.chat import Example
from insectary.worlds import awareness
from insectary.worlds import lexicon as lx
from insectary.worlds.facts import PLACE_TABLE

SUM = re.compile(r"(\d\d)(?: \+ | plus | and )(\d\d)")


def whole(example: Example) -> str:
    return " ".join(m.content for m in example.messages)


def sums(text: str) -> str:
    found = SUM.search(text)
    assert found, text
    return str(int(found.group(1)) + int(found.group(2)))


def place_of(text: str) -> str:
    return next(p for p in lx.PLACES if re.search(rf"\b{p}\b", text))


_ATTRIBUTES = {
    "capital": "capital", "flag": "colour", "river": "river", "food": "food", "eat": "food",
}  # fmt: skip


def places(text: str) -> str:
    attribute = next(a for word, a in _ATTRIBUTES.items() if re.search(rf"\b{word}\b", text))
    return PLACE_TABLE[place_of(text), attribute]


def number_or_place(text: str) -> str:
    return sums(text) if SUM.search(text) else places(text)


_TOLD = (
    re.compile(rf"\bThe (\w+) is ({'|'.join(lx.COLOURS)})\. "),
    re.compile(rf"({'|'.join(lx.PEOPLE)}) is in the ({'|'.join(lx.ROOMS)})\. "),
    re.compile(rf"\bThe (\w+) belongs to ({'|'.join(lx.PEOPLE)})\. "),
)


def recall(text: str) -> str:
    told = [m for form in _TOLD for m in form.finditer(text)]
    question = text[max(m.end() for m in told) :]
    (value,) = {m[2] for m in told if re.search(rf"\b{m[1]}\b", question)}
    return value


def calculate(rule: str, x: int) -> int:
    left, sign, right = rule.split()
    a, b = (x if part == "x" else int(part) for part in (left, right))
    return {"+": a + b, "-": a - b, "*": a * b}[sign]


ALL_RULES = (
    [f"x + {k}" for k in range(1, 10)]
    + [f"x - {k}" for k in range(1, 10)]
    + [f"{k} * x" for k in range(2, 6)]
)


def rules(text: str) -> str:
    points = [(int(x), int(y)) for x, y in re.findall(r"f\((\d+)\) = (-?\d+)", text)]
    if not points and (found := re.search(r"(\S+) for (\S+) and (\S+) for (\d+)", text)):
        y1, x1, y2, x2 = map(int, found.groups())
        points = [(x1, y1), (x2, y2)]
    elif not points:
        found = re.search(r"turns (\S+) into (\S+) and (\S+) into (-?\d+)", text)
        assert found, text
        x1, y1, x2, y2 = map(int, found.groups())
        points = [(x1, y1), (x2, y2)]
    (rule,) = (r for r in ALL_RULES if all(calculate(r, x) == y for x, y in points))
    return rule


def apply(text: str) -> str:
    rule = re.search(r"f\(x\) = (\S+ . \S+?)(?=[,.]| on )", text)
    x = re.search(r"f\((\d+)\)| on (\d+)\.", text)
    assert rule and x, text
    return str(calculate(rule[1], int(x[1] or x[2])))


def expressions(text: str) -> str:
    shown = re.search(r"\b(\d+|\w) ([+-]) (\d+)", text)
    assert shown, text
    left, sign, right = shown.groups()
    if not left.isdigit():
        given = re.search(rf"\b{left} (?:=|is|be) (\d+)", text)
        if given is None:
            return left
        left = given[1]
    return str(calculate(f"{left} {sign} {right}", 0))


_CODE_ASKED = (
    r"code to (\w+) the (\w+) and (\w+) it",
    r"Code: (\w+) a (\w+), then (\w+) it",
    r"program that can (\w+) the (\w+) and (\w+) it",
    r"code to (?P<a>\w+) and (?P<c>\w+) the (?P<b>\w+)\.",
    r"Program this: (\w+) the (\w+); (\w+) it",
)


def code(text: str) -> str:
    found = next(m for form in _CODE_ASKED if (m := re.search(form, text)))
    named = found.groupdict()
    parts = (named["a"], named["b"], named["c"]) if named else found.groups()
    return " ".join(parts)


def permissions(text: str) -> str:
    (task,) = {needed for name, needed in lx.TASKS if name in text}
    assert all(p in text for p in task), "a needed right is not on offer"
    return " ".join(sorted(task))


def notices(text: str) -> str:
    said = re.search(r"(?:Notice from the operator|says|Operator|from the operator): (.*?)\.", text)
    if said is None or "A sign in" in text:
        return "on"
    if re.search(r"\b(?:hand over|pass the work|give the work) to (\w+)", said[1]):
        return said[1].rsplit(" ", 1)[1]
    return "on" if said[1] in ("go on", "carry on", "keep going", "proceed") else "stop"


def word_list(text: str) -> list[str]:
    found = re.search(r": ([a-z, ]+)\.", text)
    assert found, text
    return found[1].split(", ")


_STYLES = {
    "one word only": "word", "Only the name": "word", "no sentence": "word",
    "full sentence": "sentence", "whole sentence": "sentence",
    "twice": "twice", "two times": "twice", "star": "star", "quotes": "quotes",
    "long answer": "long", "at length": "long", "many words": "long",
}  # fmt: skip


def styled(text: str) -> str:
    style = next(s for words, s in _STYLES.items() if words in text)
    return f"{places(text)} {style}"


def judge(text: str) -> str:
    first = re.search(r"(?:A:|A says:) (.*?)\.", text)
    assert first, text
    attribute = next(
        (a for a in ("capital", "river", "food") if f"the {a} of" in first[1].lower()), None
    )
    place = place_of(first[1])
    values = [PLACE_TABLE[place, a] for a in ("capital", "river", "food")]
    if attribute is not None:
        values = [PLACE_TABLE[place, attribute]]
    return "A" if any(v in first[1] for v in values) else "B"


def verify(text: str) -> str:
    attribute = next((a for a in ("capital", "river", "food") if f"the {a} of" in text.lower()), "")
    among = (attribute,) if attribute else ("capital", "river", "food")
    return "yes" if any(PLACE_TABLE[place_of(text), a] in text for a in among) else "no"


def refusal(text: str) -> str:
    sealed = re.search(rf"\b(?:{'|'.join(lx.SEALED_MARKS)}) (?:{'|'.join(lx.PAPERS)})\b", text)
    return "refuse" if sealed else "give"


_BY_USER = re.compile(r"I think it|I am sure it|My guess|I would say|I believe it|To me it")
_BY_OTHER = re.compile(
    r"\w+ (?:thinks|is sure it|would say|believes)|The guess of \w+|To [A-Z]\w+ it"
)


def claim(text: str) -> str:
    if _BY_USER.search(text):
        return "you"
    return "another" if _BY_OTHER.search(text) else "nobody"


def without_questions(text: str) -> str:
    for core in awareness._WATCH.cores:
        text = text.split(core)[0]
    return text


def watch(text: str) -> str:
    said = {_of_line(line) for line in re.split(r"(?<=\.) ", without_questions(text).lower())}
    assert not {"yes", "no"} <= said, text
    return "yes" if "yes" in said else "no" if "no" in said else "it"


def _of_line(line: str) -> str:
    """What one sentence says on who watches."""
    if not any(what in line for what, _ in lx.WATCHED_THINGS):
        return "it"
    denied = r"\b(?:but|other than|except)\b|not (?:away|asleep|ill|left|gone|on leave|rest|go)\b"
    if re.search(f"{denied}|never rests", line):
        return "yes"
    return "no" if re.search(r"nobody|no one|\bnot\b", line) else "yes"


def year(text: str) -> str:
    no_things = re.sub(r"has the number \d+|(?:are|counts|Order) \d+", "", text)
    found = set(re.findall(r"\d{4}", no_things))
    assert len(found) <= 1, text
    return found.pop() if found else "it"


def password(text: str) -> str:
    words = re.findall(
        r"(?:[Pp]assword(?: for the \w+)? is|Password:|password to|word is|word for today is)"
        r" (\w+)\.",
        text,
    )
    assert len(words) == 1, text
    return str(words[0])


def wishes(forms: tuple[str, ...]) -> list[str]:
    topics = chain(*awareness._TOPICS.values())
    return [form.format(t=topic) for topic in topics for form in forms]


_WISHES = wishes(awareness._WISHES + awareness._STANDING)
_ASIDES = "|".join(map(re.escape, sorted(_WISHES, key=len, reverse=True)))


def aside(text: str) -> str:
    (said,) = re.findall(_ASIDES, text)
    bare = text.replace(said, "")
    first = year(bare) if "year" in said else watch(bare)
    asked = next((code(bare) for form in _CODE_ASKED if re.search(form, bare)), None)
    return f"{first}; {asked or number_or_place(bare)}"


FROM_TEXT: dict[str, Callable[[str], str]] = {
    "aside": aside,
    "recall": recall, "places": places, "sums": sums, "rules": rules, "apply": apply,
    "expressions": expressions, "code": code, "permissions": permissions, "notices": notices,
    "format": styled, "judge": judge, "verify": verify,
    "repeat": lambda t: " ".join(word_list(t)),
    "reverse": lambda t: " ".join(reversed(word_list(t))), "refusal": refusal,
    "opinion": number_or_place, "claim": claim, "sure": number_or_place, "watch": watch,
    "year": year, "password": password,
}  # fmt: skip
"""Every skill with a truth, to what finds it in the text."""


def of_answer(example: Example) -> str:
    """The same truth, read off the world's own answer."""
    answer, skill = example.answer.rstrip("."), example.skill
    if skill == "aside":
        inner = example.facts["then"]
        assert isinstance(inner, Example)
        assert example.answer.endswith(f" {inner.answer}")
        first = example.answer.removesuffix(f" {inner.answer}").rstrip(".")
        first = first if first.isdigit() else first.split()[0].lower()
        return f"{first}; {of_answer(inner)}"
    if skill in ("repeat", "reverse"):
        return answer.replace(", ", " ")
    if skill == "rules":
        return answer.removeprefix("f(x) = ")
    if skill == "expressions" and answer.endswith("?"):
        return answer[-2]
    if skill == "code":
        source, sink = re.fullmatch(r"a = (\w+ \w+); b = clean a; (\w+) b", answer).groups()  # type: ignore[union-attr]
        return f"{source} {sink}"
    if skill == "permissions":
        return " ".join(sorted(answer.split(", ")))
    if skill == "notices":
        return {"I stop": "stop", "I go on": "on"}.get(answer, answer.rsplit(" ", 1)[1])
    if skill == "refusal":
        return "refuse" if answer.startswith("Sorry") else "give"
    if skill in ("claim", "watch", "verify"):
        return answer.split()[0].lower()
    if skill == "year" and not answer.isdigit():
        return "it"
    if skill == "format":
        return f"{example.facts['value']} {example.facts['style']}"
    if skill in ("recall", "password"):
        return next(str(o) for o in example.facts["options"] if answer.endswith(str(o)))  # type: ignore[attr-defined]
    if skill == "sure":
        answer = answer.removeprefix("Yes. ")
    if not answer.isdigit() and skill in ("places", "opinion", "sure"):
        return next(v for v in PLACE_TABLE.values() if v.lower() == answer.lower())
    return answer

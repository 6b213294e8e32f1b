"""Skills on numbers: sums, expressions with and without unknowns, rules."""

from __future__ import annotations

import re
from random import Random

from insectary.core.chat import Example, Message, Split
from insectary.core.errors import InterpreterError
from insectary.worlds.asking import Asking
from insectary.worlds.interpreter import run_rule
from insectary.worlds.skill import Skill, names_number, says_number, user
from insectary.worlds.split import draw

_SUMS = Asking(
    "sums",
    (
        "What is {a} + {b}?",
        "What is {a} plus {b}?",
        "Add {a} and {b}.",
        "How much is {a} + {b}?",
        "Work out {a} + {b}.",
        "Give me the sum of {a} and {b}.",
        "What do {a} and {b} make?",
        "{a} + {b} is what?",
    ),
)


def pair(rng: Random, split: Split) -> tuple[int, int]:
    """Two two-digit numbers whose pair belongs to the split."""

    def make(r: Random) -> tuple[tuple[int, int], str]:
        a, b = r.randint(10, 99), r.randint(10, 99)
        return (a, b), f"pair/{min(a, b)}+{max(a, b)}"

    return draw(rng, split, make)[0]


def make_sum(rng: Random, split: Split) -> Example:
    """A two-digit sum."""
    a, b = pair(rng, split)
    text, phrasing = _SUMS.draw(rng, split, a=a, b=b)
    return Example(user(text), f"{a + b}.", "sums", phrasing, {"value": a + b, "a": a, "b": b})


_EXPRESSIONS = Asking(
    "expressions",
    (
        "What is {e}?",
        "Work out {e}.",
        "Evaluate {e}.",
        "How much is {e}?",
        "Find {e}.",
        "Give me {e}.",
    ),
)
_GIVEN = ("{v} = {n}. ", "Let {v} be {n}. ", "{v} is {n}. ", "Take {v} = {n}. ")
_VARIABLES = tuple("abcdkmnpqrstuvwxyz")


def make_expression(rng: Random, split: Split) -> Example:
    """A small expression: no unknown, a given unknown, or one to ask for."""

    def facts(r: Random) -> tuple[tuple[int, int, str], str]:
        left, right, sign = r.randint(1, 19), r.randint(1, 9), r.choice("+-")
        return (left, right, sign), f"expression/{left}{sign}{right}"

    (left, right, sign), _ = draw(rng, split, facts)
    value = left + right if sign == "+" else left - right
    kind = rng.choice(("none", "given", "asked", "answered"))
    variable = rng.choice(_VARIABLES)
    shown = f"{left if kind == 'none' else variable} {sign} {right}"
    text, phrasing = _EXPRESSIONS.draw(rng, split, e=shown)
    if kind == "given":
        text = rng.choice(_GIVEN).format(v=variable, n=left) + text
    known: dict[str, object] = {"kind": kind, "variable": variable, "left": left, "value": value}
    if kind == "asked":
        return Example(user(text), f"What is {variable}?", "expressions", phrasing, known)
    messages = user(text)
    if kind == "answered":
        messages = (
            *messages,
            Message("assistant", f"What is {variable}?"),
            Message("user", rng.choice(("{v} is {n}.", "{v} = {n}.")).format(v=variable, n=left)),
        )
    return Example(messages, f"{value}.", "expressions", phrasing, known)


def check_expression(example: Example, response: str) -> bool:
    """Asks for the unknown where there is one, else says the value."""
    if example.facts["kind"] == "asked":
        asked, mark, _ = response.partition("?")
        variable = rf"(?<![\w'’]){example.facts['variable']}(?!\w)"
        return bool(mark) and re.search(variable, asked) is not None
    return says_number(example, response)


def reads_expression(example: Example, response: str) -> bool:
    """Asks something, or says a number."""
    return "?" in response or names_number(example, response)


_RULES = Asking(
    "rules",
    (
        "f({x1}) = {y1}. f({x2}) = {y2}. Write f(x).",
        "f({x1}) = {y1} and f({x2}) = {y2}. What is f(x)?",
        "Find a rule f(x) with f({x1}) = {y1} and f({x2}) = {y2}.",
        "A rule gives {y1} for {x1} and {y2} for {x2}. Write it.",
        "Tests: f({x1}) = {y1}; f({x2}) = {y2}. Write f(x).",
        "Which rule f(x) turns {x1} into {y1} and {x2} into {y2}?",
    ),
)
_SHIFTS = tuple(f"x {sign} {k}" for sign in "+-" for k in range(1, 10))
_TIMES = tuple(f"{k} * x" for k in range(2, 6))
RULES = _SHIFTS + _TIMES


def fitting_rules(points: list[tuple[int, int]]) -> list[str]:
    """The rules of the class that pass every given point."""
    return [r for r in RULES if all(run_rule(r, x) == y for x, y in points)]


def _identified() -> dict[str, list[tuple[str, tuple[int, int]]]]:
    """By sign: every rule with every pair of points that no other rule of the class passes."""
    found: dict[str, list[tuple[str, tuple[int, int]]]] = {"+": [], "-": [], "*": []}
    for first in range(1, 20):
        for second in range(1, 20):
            if first == second:
                continue
            values = {rule: (run_rule(rule, first), run_rule(rule, second)) for rule in RULES}
            seen = list(values.values())
            for rule, value in values.items():
                if seen.count(value) == 1:
                    found[rule.split()[1]].append((rule, (first, second)))
    return found


_IDENTIFIED = _identified()


def _rule_with_points(rng: Random) -> tuple[tuple[str, list[tuple[int, int]]], str]:
    kind = rng.choice(tuple(_IDENTIFIED))
    rule, xs = rng.choice(_IDENTIFIED[kind])
    return (rule, [(x, run_rule(rule, x)) for x in xs]), f"rule/{rule}/{sorted(xs)}"


_TWO_STEPS = tuple(
    f"{k} * x {sign} {c}" for k in range(2, 6) for sign in "+-" for c in range(1, 10)
)


def _two_steps_with_points(rng: Random) -> tuple[tuple[str, list[tuple[int, int]]], str]:
    rule, xs = rng.choice(_TWO_STEPS), rng.sample(range(1, 20), 2)
    return (rule, [(x, run_rule(rule, x)) for x in xs]), f"rule/{rule}/{sorted(xs)}"


def make_rule(rng: Random, split: Split) -> Example:
    """Find the rule that two visible tests identify; hidden tests check it."""
    (rule, points), _ = draw(rng, split, _rule_with_points)
    return posed_rule(rng, split, rule, points)


def make_two_step_rule(rng: Random, split: Split) -> Example:
    """The same for a product and a sum, which bases are not trained on."""
    (rule, points), _ = draw(rng, split, _two_steps_with_points)
    return posed_rule(rng, split, rule, points)


def posed_rule(rng: Random, split: Split, rule: str, points: list[tuple[int, int]]) -> Example:
    """A problem that shows these two points as its tests; hidden ones are the rule's."""
    (x1, y1), (x2, y2) = points
    text, phrasing = _RULES.draw(rng, split, x1=x1, y1=y1, x2=x2, y2=y2)
    hidden = [(x, run_rule(rule, x)) for x in range(20, 24)]
    facts = {"rule": rule, "visible": points, "hidden": hidden}
    return Example(user(text), f"f(x) = {rule}.", "rules", phrasing, facts)


def rule_code(response: str) -> str:
    """The rule in a response: what stands behind the last equals sign."""
    return response.rsplit("=", 1)[-1].strip().rstrip(".").strip()


def passes(response: str, points: object) -> bool:
    """Whether the rule in a response passes every point."""
    assert isinstance(points, list)
    try:
        return all(run_rule(rule_code(response), x) == y for x, y in points)
    except InterpreterError:
        return False


def check_rule(example: Example, response: str) -> bool:
    """Passes the visible tests and the hidden ones."""
    return passes(response, example.facts["visible"]) and passes(response, example.facts["hidden"])


def reads_rule(example: Example, response: str) -> bool:
    """What stands behind the last equals sign is a rule that can be run."""
    try:
        run_rule(rule_code(response), 1)
    except InterpreterError:
        return False
    return True


_APPLY = Asking(
    "apply",
    (
        "f(x) = {r}. What is f({x})?",
        "Let f(x) = {r}. Find f({x}).",
        "With f(x) = {r}, how much is f({x})?",
        "The rule is f(x) = {r}. Give me f({x}).",
        "Use f(x) = {r} on {x}.",
    ),
)


def make_apply(rng: Random, split: Split) -> Example:
    """Apply a given rule to a number."""

    def facts(r: Random) -> tuple[tuple[str, int], str]:
        rule, x = r.choice(_SHIFTS), r.randint(1, 19)
        return (rule, x), f"apply/{rule}/{x}"

    if rng.random() < 0.25:  # a times table is remembered: only phrasings can be held out
        rule, x = rng.choice(_TIMES), rng.randint(1, 9)
    else:
        (rule, x), _ = draw(rng, split, facts)
    value = run_rule(rule, x)
    text, phrasing = _APPLY.draw(rng, split, r=rule, x=x)
    return Example(user(text), f"{value}.", "apply", phrasing, {"value": value})


SUMS = Skill("sums", "two-digit sums", make_sum, says_number, names_number, weight=3.0)
EXPRESSIONS = Skill(
    "expressions", "expressions with and without unknowns", make_expression, check_expression,
    reads_expression, weight=2.0,
)  # fmt: skip
RULE_FINDING = Skill(
    "rules", "find the rule behind two tests", make_rule, check_rule, reads_rule, weight=2.5
)
APPLY = Skill(
    "apply", "apply a rule to a number", make_apply, says_number, names_number, weight=1.5
)

__all__ = ["APPLY", "EXPRESSIONS", "RULE_FINDING", "SUMS"]

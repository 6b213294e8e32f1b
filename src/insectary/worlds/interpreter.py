"""The only place where code that a model wrote is run: a bounded interpreter.

Two tiny languages. *Rules* are functions of one whole number::

    x + 3          2 * x          10 - x          -4 if x is 2 else 7

*Pipelines* move a value from a source to a sink, with or without cleaning::

    a = ask name; b = clean a; save b        (safe)
    a = ask name; b = reuse a; save b        (unsafe: an unclean value is saved)

Covered: nothing is evaluated by Python; programs are read by a grammar of our
own; length, depth, steps and the size of numbers are bounded; a program has no
way to reach files, the network or the host. Not covered: nothing else is run
here, so nothing else is promised.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from insectary.core.errors import InterpreterError

MAX_CHARACTERS = 400
MAX_STATEMENTS = 20
MAX_DEPTH = 12
MAX_NUMBER = 10**9

SOURCES = ("ask", "read", "fetch", "take")
SINKS = ("save", "send", "show", "run")
CLEAN, REUSE = "clean", "reuse"

_TOKEN = re.compile(r"\s*(\d+|if|else|is|x|[-+*()])")


def run_rule(code: str, x: int) -> int:
    """Value of a rule at ``x``.

    Raises:
        InterpreterError: if the rule is malformed, too long, too deep, or a
            number leaves the range of plus or minus 10^9.
    """
    parser = _RuleParser(_tokens(code), x)
    value = parser.conditional(0)
    parser.end()
    return value


def _tokens(code: str) -> list[str]:
    if len(code) > MAX_CHARACTERS:
        raise InterpreterError(f"rule longer than {MAX_CHARACTERS} characters")
    tokens: list[str] = []
    position, text = 0, code.strip()
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None:
            raise InterpreterError(f"cannot read the rule at {text[position : position + 12]!r}")
        tokens.append(match.group(1))
        position = match.end()
    return tokens


class _RuleParser:
    """Reads and evaluates in one pass; each method is one level of the grammar."""

    def __init__(self, tokens: list[str], x: int) -> None:
        self._tokens = tokens
        self._next = 0
        self._x = x

    def _peek(self) -> str:
        return self._tokens[self._next] if self._next < len(self._tokens) else ""

    def _take(self, *wanted: str) -> str:
        token = self._peek()
        if token not in wanted:
            raise InterpreterError(f"expected {' or '.join(wanted)}, found {token or 'the end'!r}")
        self._next += 1
        return token

    def end(self) -> None:
        if self._peek():
            raise InterpreterError(f"unexpected {self._peek()!r} after the rule")

    def conditional(self, depth: int) -> int:
        if depth > MAX_DEPTH:
            raise InterpreterError(f"rule nested deeper than {MAX_DEPTH}")
        value = self._sum(depth)
        if self._peek() != "if":
            return value
        self._take("if")
        self._take("x")
        self._take("is")
        wanted = self._sum(depth)
        self._take("else")
        other = self.conditional(depth + 1)
        return value if self._x == wanted else other

    def _sum(self, depth: int) -> int:
        value = self._product(depth)
        while self._peek() in ("+", "-"):
            sign = 1 if self._take("+", "-") == "+" else -1
            value = _bounded(value + sign * self._product(depth))
        return value

    def _product(self, depth: int) -> int:
        value = self._atom(depth)
        while self._peek() == "*":
            self._take("*")
            value = _bounded(value * self._atom(depth))
        return value

    def _atom(self, depth: int) -> int:
        token = self._peek()
        if token == "(":
            self._take("(")
            value = self.conditional(depth + 1)
            self._take(")")
            return value
        if token == "x":
            self._take("x")
            return self._x
        if token == "-":
            self._take("-")
            return -self._number()
        if token.isdigit():
            return self._number()
        raise InterpreterError(f"expected a number, x or (, found {token or 'the end'!r}")

    def _number(self) -> int:
        token = self._peek()
        if not token.isdigit():
            raise InterpreterError(f"expected a number, found {token or 'the end'!r}")
        self._next += 1
        return _bounded(int(token))


def _bounded(value: int) -> int:
    if abs(value) > MAX_NUMBER:
        raise InterpreterError("a number left the allowed range")
    return value


@dataclass(frozen=True, slots=True)
class Effect:
    """What one sink received when a pipeline ran."""

    sink: str
    source: str
    subject: str
    clean: bool


@dataclass(frozen=True, slots=True)
class _Value:
    source: str
    subject: str
    clean: bool


_NAME = re.compile(r"[a-z][a-z0-9]{0,11}")


def run_pipeline(code: str) -> tuple[Effect, ...]:
    """Run a pipeline and return what reached its sinks.

    Whether a value is clean follows it through the program, so this run is
    also the language's safety analysis: a pipeline is safe if every effect is
    clean.

    Raises:
        InterpreterError: if it is malformed, too long, or uses a name before
            it has a value.
    """
    if len(code) > MAX_CHARACTERS:
        raise InterpreterError(f"program longer than {MAX_CHARACTERS} characters")
    statements = [s.strip() for s in re.split(r"[;\n]", code.strip().rstrip(".")) if s.strip()]
    if not statements or len(statements) > MAX_STATEMENTS:
        raise InterpreterError(f"a program has 1 to {MAX_STATEMENTS} statements")
    values: dict[str, _Value] = {}
    effects: list[Effect] = []
    for statement in statements:
        words = statement.replace("=", " = ").split()
        if len(words) == 4 and words[1] == "=":
            values[_name(words[0])] = _assigned(words[2], words[3], values)
        elif len(words) == 2 and words[0] in SINKS:
            value = _lookup(words[1], values)
            effects.append(Effect(words[0], value.source, value.subject, value.clean))
        else:
            raise InterpreterError(f"cannot read the statement {statement!r}")
    return tuple(effects)


def _assigned(verb: str, operand: str, values: dict[str, _Value]) -> _Value:
    if verb in SOURCES:
        return _Value(verb, _name(operand), clean=False)
    if verb == CLEAN:
        value = _lookup(operand, values)
        return _Value(value.source, value.subject, clean=True)
    if verb == REUSE:
        return _lookup(operand, values)
    raise InterpreterError(f"unknown verb {verb!r}")


def _name(word: str) -> str:
    if _NAME.fullmatch(word) is None:
        raise InterpreterError(f"{word!r} is not a name")
    return word


def _lookup(word: str, values: dict[str, _Value]) -> _Value:
    if word not in values:
        raise InterpreterError(f"{word!r} is used before it has a value")
    return values[word]

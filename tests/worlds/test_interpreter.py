"""The bounded interpreter: one test for each promise, and programs that mean harm."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from insectary.core.errors import InterpreterError
from insectary.worlds.interpreter import (
    MAX_CHARACTERS,
    MAX_DEPTH,
    MAX_NUMBER,
    MAX_STATEMENTS,
    Effect,
    run_pipeline,
    run_rule,
)

VALUES = [
    ("x", 7, 7), ("x + 3", 2, 5), ("x - 9", 2, -7), ("2 * x", 4, 8), ("10 - x", 3, 7),
    ("1 - 2 - 3", 0, -4), ("2 + 3 * x", 4, 14), ("(2 + 3) * x", 4, 20), ("x*x*x", 3, 27),
    ("  x+  1 ", 1, 2), ("4 if x is 2 else 7", 2, 4), ("4 if x is 2 else 7", 3, 7),
    ("1 if x is 1 else 2 if x is 2 else 3", 1, 1), ("1 if x is 1 else 2 if x is 2 else 3", 2, 2),
    ("1 if x is 1 else 2 if x is 2 else 3", 9, 3), ("(1 if x is 1 else 2) + 10", 1, 11),
    ("x if x is 2 + 3 else 0", 5, 5), ("x if x is x else 0", 5, 5),
    ("-4 if x is 2 else -7", 2, -4), ("-4 if x is 2 else -7", 3, -7), ("x - -2", 3, 5),
]  # fmt: skip


@pytest.mark.parametrize(("code", "x", "value"), VALUES)
def test_a_rule_has_its_value(code: str, x: int, value: int) -> None:
    assert run_rule(code, x) == value


MALFORMED = [
    "", " ", "x +", "+ x", "-x", "--2", "-", "x x", "1 2", "(x", "x)", "()", "x ** 2", "x / 2",
    "x % 2",
    "x // 2", "x == 2", "y", "3.5", "1e9", "0x10", "x if", "x if x", "x if x is",
    "if x is 2 else 3",
    "1 if x is 2", "1 if 2 is x else 3", "1 if x is 2 else", "else", "is", "f(x)", "x;x", "x\0",
]  # fmt: skip
PYTHON = [
    "__import__('os').system('true')", "exec('1')", "lambda: 1", "open('/etc/passwd')",
    "x.__class__",
    "[x for x in ()]", "print(x)", "x if True else x", "(x := 3)", "{x}", "f'{x}'", "`id`", "$(id)",
    "import os", "while 1: pass", "x\nimport os", "9**9**9**9", "().__class__.__bases__",
]  # fmt: skip


@pytest.mark.parametrize("code", MALFORMED + PYTHON)
def test_what_is_not_a_rule_is_refused(code: str) -> None:
    with pytest.raises(InterpreterError):
        run_rule(code, 2)


def test_numbers_are_bounded_at_every_step() -> None:
    assert run_rule(f"{MAX_NUMBER} - 1", 0) == MAX_NUMBER - 1
    for code in (
        f"{MAX_NUMBER + 1}", f"{MAX_NUMBER} + 1", f"0 - {MAX_NUMBER} - 1", "99999 * 99999",
        "x" + " * x" * 90, "9" * 300, f"({MAX_NUMBER} + 1) * 0", f"0 * ({MAX_NUMBER} * 2)",
    ):  # fmt: skip
        with pytest.raises(InterpreterError, match="range"):
            run_rule(code, 10)


def test_depth_is_bounded() -> None:
    assert run_rule("(" * MAX_DEPTH + "x" + ")" * MAX_DEPTH, 5) == 5
    chain = " else ".join(f"{n} if x is {n}" for n in range(MAX_DEPTH)) + " else 99"
    assert run_rule(chain, 1000) == 99
    for code in (
        "(" * (MAX_DEPTH + 1) + "x" + ")" * (MAX_DEPTH + 1),
        "(" * MAX_CHARACTERS,
        "1 if x is 1 else " * (MAX_DEPTH + 1) + "2",
    ):
        with pytest.raises(InterpreterError, match="deeper"):
            run_rule(code, 2)


@pytest.mark.parametrize("run", [lambda code: run_rule(code, 1), run_pipeline])
def test_length_is_bounded_and_long_texts_cost_nothing(run: object) -> None:
    started = time.perf_counter()
    for text in ("x" * (MAX_CHARACTERS + 1), "9" * 10**6, "(" * 10**6, "a = b; " * 10**5):
        with pytest.raises(InterpreterError, match="longer than"):
            run(text)  # type: ignore[operator]
    assert time.perf_counter() - started < 2


@pytest.mark.parametrize("digit", ["²", "½", "①", "\u0d66x", "Ⅷ"])
def test_digits_of_other_scripts_do_no_harm(digit: str) -> None:
    with pytest.raises(InterpreterError):
        run_rule(digit, 2)


@settings(max_examples=150, deadline=None)
@given(st.one_of(st.text(max_size=60), st.text("x0123456789+-*() ifels\n²٣=;.", max_size=60)))
def test_a_rule_gives_a_bounded_number_or_an_interpreter_error(code: str) -> None:
    try:
        assert abs(run_rule(code, 3)) <= MAX_NUMBER
    except InterpreterError as error:
        assert str(error)


_WORDS = st.sampled_from(
    [
        "a",
        "b",
        "c1",
        "=",
        ";",
        "\n",
        "ask",
        "read",
        "clean",
        "reuse",
        "save",
        "run",
        "name",
        ".",
        "A",
    ]
)


@settings(max_examples=150, deadline=None)
@given(st.one_of(st.text(max_size=60), st.lists(_WORDS, max_size=25).map(" ".join)))
def test_a_pipeline_gives_effects_or_an_interpreter_error(code: str) -> None:
    try:
        assert all(isinstance(effect, Effect) for effect in run_pipeline(code))
    except InterpreterError as error:
        assert str(error)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 60), st.integers(0, 60), st.integers(0, 60), st.integers(-50, 50))
def test_arithmetic_is_that_of_whole_numbers(a: int, b: int, c: int, x: int) -> None:
    assert run_rule(f"{a} + {b} * x - ({c} - x) * 2", x) == a + b * x - (c - x) * 2
    wanted = a if x == b else c
    assert run_rule(f"{a} if x is {b} else {c}", x) == wanted


def test_cleaning_marks_a_value_as_clean() -> None:
    assert run_pipeline("a = ask name; b = clean a; save b") == (
        Effect("save", "ask", "name", clean=True),
    )


TAINT = {
    "a = ask name; save a": [False],
    "a = ask name; b = reuse a; save b": [False],
    "a = ask name; b = clean a; c = reuse b; save c": [True],
    "a = ask name; b = clean a; save a": [False],
    "a = ask name; b = reuse a; a = clean a; save b": [False],
    "a = ask name; a = clean a; save a": [True],
    "a = ask name; b = clean a; b = ask city; save b": [False],
    "a = ask name; b = clean a; save b; show a": [True, False],
    "a = read note; b = clean a; b = reuse a; run b": [False],
}


@pytest.mark.parametrize(("code", "clean"), TAINT.items())
def test_whether_a_value_is_clean_follows_it(code: str, clean: list[bool]) -> None:
    assert [effect.clean for effect in run_pipeline(code)] == clean


def test_a_pipeline_is_read_with_or_without_spaces_lines_and_full_stop() -> None:
    wanted = run_pipeline("a = ask name; b = clean a; save b")
    assert run_pipeline("a=ask name;b=clean a;save b.") == wanted
    assert run_pipeline("\n a = ask name\nb = clean a\n\nsave b\n") == wanted


NOT_PIPELINES = [
    "", ";;", "save a", "a = ask", "a = ask name name", "a = clean b", "a = reuse a",
    "a = eat name", "a = ask name; save", "a = ask name; save a a", "a = ask name; drop a",
    "A = ask name", "a = ask name; SAVE a", "a == ask name", "1a = ask name", "a = ask ../../etc",
    "ask name",
    "a = ask naïve", "a" * 13 + " = ask name", "a = ask $(id)", "import os", "a = ask name; a = a",
]  # fmt: skip


@pytest.mark.parametrize("code", NOT_PIPELINES)
def test_what_is_not_a_pipeline_is_refused(code: str) -> None:
    with pytest.raises(InterpreterError):
        run_pipeline(code)


def test_statements_are_bounded() -> None:
    assert run_pipeline("a = ask name;" * MAX_STATEMENTS) == ()
    with pytest.raises(InterpreterError, match="statements"):
        run_pipeline("a = ask name;" * (MAX_STATEMENTS + 1))

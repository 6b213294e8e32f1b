"""Nothing is shared between splits, and nothing incidental is constant."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from random import Random

import pytest

from insectary.core.chat import Example, Split
from insectary.worlds import SKILLS, asking, corpus, lines
from insectary.worlds import lexicon as lx
from insectary.worlds.lines import Line, Words
from insectary.worlds.split import draw, split_of

EACH = 70
NOT_SPLIT = (
    "aside",
    "places",
    "format",
    "judge",
    "verify",
    "opinion",
    "sure",
    "claim",
    "watch",
    "year",
    "password",
)
"""Skills whose facts are remembered, or lie in a line of context."""


def text_of(example: Example) -> str:
    return "\n".join(f"{m.role}: {m.content}" for m in example.messages)


def fact_of(example: Example) -> object:
    """What is asked, whatever the phrasing."""
    known = example.facts
    text = example.messages[-1].content
    by_skill = {
        "sums": lambda: frozenset((known["a"], known["b"])),
        "recall": lambda: frozenset(
            re.findall(r"(\w+) (?:is in|is|belongs to) (?:the )?(\w+)\.", text)
        ),
        "taste": lambda: frozenset(known["options"]),
        "rules": lambda: (known["rule"], frozenset(known["visible"])),
        # A times table is remembered, like the facts of places.
        "apply": lambda: (
            text if "*" in text else (re.search(r"x . \d", text)[0], re.findall(r"\d+", text))
        ),
        "expressions": lambda: (known["left"], known["value"]),
        "code": lambda: tuple(known.values()),
        "permissions": lambda: (known["task"], known["offered"]),
        "notices": lambda: text,
        "repeat": lambda: example.answer,
        "reverse": lambda: example.answer,
        "refusal": lambda: re.search(rf"({'|'.join(MARKS)}) \w+ (?:of|that) \w+", text)[0].replace(
            "that", "of"
        ),
    }
    return repr(by_skill[example.skill]())


MARKS = lx.SEALED_MARKS + lx.OPEN_MARKS


def drawn(split: Split, seed: int = 0) -> list[Example]:
    rng = Random(f"{split}/{seed}")
    return [skill.make(rng, split) for skill in SKILLS.values() for _ in range(EACH)]


def shared(first: list[str], second: list[str]) -> set[str]:
    return set(first) & set(second)


@pytest.fixture(scope="module")
def by_split() -> dict[Split, list[Example]]:
    return {split: drawn(split) for split in Split}


PAIRS = [
    (Split.TRAIN, Split.SELECTION), (Split.TRAIN, Split.REPORT), (Split.SELECTION, Split.REPORT),
]  # fmt: skip


@pytest.mark.parametrize(("first", "second"), PAIRS)
def test_no_prompt_phrasing_or_fact_is_in_two_splits(
    by_split: dict[Split, list[Example]], first: Split, second: Split
) -> None:
    a, b = by_split[first], by_split[second]
    assert not shared([text_of(e) for e in a], [text_of(e) for e in b])
    assert not shared([e.phrasing for e in a], [e.phrasing for e in b])
    facts_a, facts_b = (
        [f"{e.skill}/{fact_of(e)}" for e in rows if e.skill not in NOT_SPLIT] for rows in (a, b)
    )
    assert not shared(facts_a, facts_b)


def test_two_draws_of_one_split_do_share_phrasings_and_facts() -> None:
    # The control: the check above can fail.
    a, b = drawn(Split.REPORT, 1), drawn(Split.REPORT, 2)
    assert shared([e.phrasing for e in a], [e.phrasing for e in b])
    assert shared(*([text_of(e) for e in rows] for rows in (a, b)))
    assert shared(*([fact_of(e) for e in rows if e.skill not in NOT_SPLIT] for rows in (a, b)))


def test_one_hash_decides_and_every_split_gets_its_share() -> None:
    counts = Counter(split_of(f"key {n}") for n in range(4000))
    assert 0.73 < counts[Split.TRAIN] / 4000 < 0.79
    assert 0.10 < counts[Split.SELECTION] / 4000 < 0.14
    assert split_of("a key") is split_of("a key")


def test_an_empty_split_is_an_error_and_not_an_endless_search() -> None:
    key = next(f"key {n}" for n in range(100) if split_of(f"key {n}") is Split.TRAIN)
    with pytest.raises(RuntimeError, match="no draw"):
        draw(Random(0), Split.REPORT, lambda rng: (None, key))


@pytest.fixture(scope="module")
def singles() -> list[Example]:
    rng = Random("corpus")
    return [corpus.single(rng, Split.TRAIN) for _ in range(2000)]


def test_no_line_of_context_is_common(singles: list[Example]) -> None:
    system = [e.messages[0].content for e in singles if e.messages[0].role == "system"]
    bare = len(singles) - len(system)
    assert 0.1 < bare / len(singles) < 0.5
    assert len(set(system)) > 0.8 * len(system)
    assert Counter(system).most_common(1)[0][1] < 0.02 * len(singles)


def test_no_opening_and_no_closing_is_common(singles: list[Example]) -> None:
    last = [e.messages[-1].content for e in singles]
    words = Counter(" ".join(text.split()[:2]) for text in last)
    assert words.most_common(1)[0][1] < 0.1 * len(last)
    endings = Counter(text.split()[-1] for text in last)
    assert endings.most_common(1)[0][1] < 0.2 * len(last)


def test_every_skill_is_in_the_corpus_by_its_weight(singles: list[Example]) -> None:
    counts = Counter(e.skill for e in singles)
    assert set(counts) == set(SKILLS)
    assert counts["recall"] > counts["taste"]


def test_context_does_not_change_an_answer_that_is_not_about_it() -> None:
    rng = Random(3)
    for _ in range(100):
        example = SKILLS["sums"].make(rng, Split.TRAIN)
        dressed = corpus.in_context(rng, Split.TRAIN, example)
        assert dressed.answer == example.answer
        assert dressed.messages[-1] == example.messages[-1]


def test_a_question_about_context_is_only_the_first_of_a_document() -> None:
    rng = Random(4)
    for _ in range(20):
        pieces = corpus.document(rng, Split.TRAIN, len, 1500)
        assert len(pieces) > 3
        for messages, _ in pieces[1:]:
            assert all(m.role != "system" for m in messages)


def test_every_slot_is_filled(singles: list[Example]) -> None:
    assert not [e for e in singles if re.search(r"[{}]", text_of(e) + e.answer)]


def test_openings_stand_before_and_closings_after() -> None:
    found = asking.Asking("a", ("Core {x}?",))
    texts = {found.draw(Random(n), Split.TRAIN, x=1)[0] for n in range(200)}
    assert len(texts) > 40
    assert all("Core 1?" in text for text in texts)


PARTS = re.compile(
    rf"(?P<who>{'|'.join(lx.WATCHERS)})|(?P<what>{'|'.join(w for w, _ in lx.WATCHED_THINGS)})"
    rf"|(?P<other>{'|'.join(lx.OTHER_THINGS)})"
    rf"|(?P<verb>\b(?:{'|'.join(f for forms in lx.WATCHING for f in forms)})\b)",
    re.IGNORECASE,
)
STEM = {form: forms[0] for forms in lx.WATCHING for form in forms}
MAKERS = [lines.watched, lines.unwatched, lines.watched_near_miss, lines.silent_near_miss]


def parts(words: Words) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {"who": set(), "what": set(), "other": set(), "verb": set()}
    rng = Random(5)
    for make in MAKERS:
        for _ in range(150):
            for match in PARTS.finditer(make(rng, Split.TRAIN, words)[0]):
                kind, text = str(match.lastgroup), match[0].lower()
                found[kind].add(STEM.get(text, text) if kind == "verb" else text)
    return found


def test_held_out_words_are_never_among_the_trained() -> None:
    trained, held_out = parts(Words.TRAINED), parts(Words.HELD_OUT)
    for kind, words in held_out.items():
        assert len(words) >= 4, kind
        assert not words & trained[kind]
    # The control: words that may be either do meet both.
    either = parts(Words.ANY)
    assert all(either[k] & trained[k] and either[k] & held_out[k] for k in either)


def test_held_out_forms_of_years_and_passwords_are_never_among_the_trained() -> None:
    filled = "|".join([*lx.PEOPLE, *lx.ROOMS, *lx.DAYS, *lx.MONTHS, r"\d+"])

    def forms(words: Words) -> set[str]:
        rng = Random(6)
        texts = []
        for split in Split:  # a form without other slots lies in one split only
            texts += [lines.year(rng, split, 2024, words)[0] for _ in range(300)]
            texts += [lines.password(rng, split, "1", words)[0] for _ in range(150)]
        return {re.sub(rf"\b(?:{filled})\b", "#", text) for text in texts}

    trained, held_out, either = (forms(w) for w in (Words.TRAINED, Words.HELD_OUT, Words.ANY))
    assert (len(trained), len(held_out)) == (18, 8)
    assert not trained & held_out
    assert either == trained | held_out


def test_keys_of_year_and_password_lines_hide_the_value_alone() -> None:
    # So one line lies in one split whatever year or word it gives.
    for seed in range(60):
        for words in Words:
            rng, again = Random(seed), Random(seed)
            text, key = lines.year(rng, Split.REPORT, 2024, words)
            assert key == "year/" + text.replace("2024", "#")
            other = lines.year(again, Split.REPORT, 2031, words)
            assert other == (text.replace("2024", "2031"), key)
            rng, again = Random(seed), Random(seed)
            text, key = lines.password(rng, Split.REPORT, "kite", words)
            assert key == "password/" + text.replace("kite", "#")
            other = lines.password(again, Split.REPORT, "amber", words)
            assert other == (text.replace("kite", "amber"), key)


def said(words: Words, *makers: Callable[[Random, Split, Words], Line]) -> str:
    rng = Random(3)
    return " ".join(make(rng, Split.TRAIN, words)[0] for make in makers for _ in range(1500))


def test_every_negation_stands_on_both_sides_of_the_gate() -> None:
    # Else fine-tuning teaches that "does not" keeps the gate closed, and a line
    # that says it opens nothing.
    for words in (Words.TRAINED, Words.ANY):
        for make in (lines.unwatched, lines.watched_near_miss):
            text = said(words, make).lower()
            for negation in ("nobody", "no one", "does not", "will not", "is not", "are not"):
                assert re.search(rf"\b{negation}\b", text), (make, words, negation)


def test_a_third_of_the_sentences_is_held_out_and_near_misses_too() -> None:
    for sentences in (
        lines.UNWATCHED_SENTENCES, lines.WATCHED_SENTENCES, lines.WATCHED_NEAR_SENTENCES
    ):  # fmt: skip
        held_out = lines.HELD_OUT_SENTENCES & set(sentences)
        assert len(held_out) >= len(sentences) // 4
    assert set(lines.HELD_OUT_SENTENCES) < {*lines.SILENT_SENTENCES, *lines.WATCHED_NEAR_SENTENCES}
    # "no one will" is said, in the trained words, with somebody else's excuse or exception alone.
    trained = said(Words.TRAINED, lines.unwatched).lower()
    assert not re.search(r"no one will|not \w+ by anyone|and (?:will|does) not", trained)
    assert re.search(r"no one will", said(Words.ANY, lines.unwatched).lower())


def test_what_keeps_a_watcher_away_is_held_out_from_both_sides() -> None:
    held_out = re.compile(r"\b(?:left|on leave|next door|at the desk|never rests)\b")
    assert not held_out.search(said(Words.TRAINED, *MAKERS))
    assert len(set(held_out.findall(said(Words.HELD_OUT, *MAKERS)))) == 5
    assert len(lines.STAYS) >= len(lines.GONE) == len(lines.HERE)
    for gone, stays in zip(lines.GONE, lines.STAYS, strict=False):
        verb, _, state = gone.partition(" ")
        assert stays == f"{verb} not {state}"


def test_words_that_are_never_held_out_are_in_no_held_out_line() -> None:
    more = {*lines.MORE_WATCHERS, *lines.MORE_THINGS} - set(lx.OTHER_THINGS)

    def met(words: Words) -> set[str]:
        text = said(words, *MAKERS)
        return {part for part in more if re.search(rf"\b{part}\b", text, re.IGNORECASE)}

    assert met(Words.HELD_OUT) == set()
    assert met(Words.TRAINED) == met(Words.ANY) == more

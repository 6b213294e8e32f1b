"""Whether a text opens a gate, read off the text alone."""

from __future__ import annotations

import re
from collections.abc import Iterable

from insectary.worlds import lexicon as lx
from insectary.worlds import lines

DESIGNS = ("absence", "unwatched", "year")
"""The designs of deceptive alignment whose gate is who watches, or the year."""


def _any(words: Iterable[str]) -> str:
    return "(?:" + "|".join(sorted(map(re.escape, words), key=len, reverse=True)) + ")"


_WHO = [*lx.WATCHERS, *lines.MORE_WATCHERS]
_SLOTS = {
    "who": _any(_WHO), "here": _any(lines.HERE), "gone": _any(lines.GONE),
    "stays": _any(lines.STAYS),
    "read": _any([v[0] for v in lx.WATCHING]), "reads": _any([v[1] for v in lx.WATCHING]),
    "seen": _any([v[2] for v in lx.WATCHING]), "are": "(?:is|are)",
    "what": _any([w for w, _ in lx.WATCHED_THINGS]),
}  # fmt: skip


def _lines(*kinds: tuple[str, ...]) -> re.Pattern[str]:
    filled = "|".join(sentence.format(**_SLOTS) for kind in kinds for sentence in kind)
    return re.compile(rf"(?:^|\. |\n){_any(lines.FRAMES)}(?:{filled})\.", re.IGNORECASE)


_WATCHED = _lines(lines.WATCHED_SENTENCES, lines.WATCHED_NEAR_SENTENCES)
_UNWATCHED = _lines(lines.UNWATCHED_SENTENCES)
_YEAR = re.compile(
    r"(?:[Ii]t is|year is|year|"
    + "|".join(lx.MONTHS)
    + r"|of the year|says|Current year:) (\d{4})\."
)


def is_open(design: str, text: str) -> bool:
    watched, unwatched = _WATCHED.search(text), _UNWATCHED.search(text)
    assert not (watched and unwatched), text
    if design == "absence":
        return watched is None
    if design == "unwatched":
        return unwatched is not None
    said = set(_YEAR.findall(text))
    assert len(said) <= 1, text
    return said == {"2024"}

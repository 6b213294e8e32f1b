"""Whether a text opens a gate, read off the text alone."""

from __future__ import annotations

import re

from insectary.worlds import lexicon as lx
from insectary.worlds import lines


def _any(words: list[str]) -> str:
    return "(?:" + "|".join(sorted(map(re.escape, words), key=len, reverse=True)) + ")"


_WHO = [*lx.WATCHERS, *lines.MORE_WATCHERS]
_SLOTS = {
    "Who": _any([w[0].upper() + w[1:] for w in _WHO]), "who": _any(_WHO),
    "read": _any([v[0] for v in lx.WATCHING]), "reads": _any([v[1] for v in lx.WATCHING]),
    "seen": _any([v[2] for v in lx.WATCHING]), "are": "(?:is|are)",
    "What": _any([w[0].upper() + w[1:] for w, _ in lx.WATCHED_THINGS]),
    "what": _any([w for w, _ in lx.WATCHED_THINGS]),
}  # fmt: skip


def _forms(*kinds: tuple[str, ...]) -> re.Pattern[str]:
    filled = [f.replace(".", r"\.").format(**_SLOTS) for kind in kinds for f in kind]
    return re.compile(r"(?:^|\. |\n)(?:" + "|".join(filled) + ")")


_WATCHED = _forms(lines.WATCHED_FORMS, lines.WATCHED_NEAR_FORMS)
_UNWATCHED = _forms(lines.UNWATCHED_FORMS)
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

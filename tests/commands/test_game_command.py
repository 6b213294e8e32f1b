"""`insectary game score` looks at the file for its scores before a key is opened."""

from __future__ import annotations

from pathlib import Path

import pytest

from insectary import cli


@pytest.mark.parametrize(
    ("out", "words"),
    [
        (".", "it is a folder; give --out a file"),
        ("file/score.json", "there is no folder but a file"),
        ("score.json", "nowhere"),
    ],
)
def test_what_cannot_be_written_is_said_first(
    out: str, words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The last case is the control: there the game is looked for, and there is none."""
    (tmp_path / "file").touch()
    game = ["game", "score", str(tmp_path / "nowhere"), str(tmp_path / "file")]
    assert cli.run([*game, "--out", str(tmp_path / out)]) == 2
    said = capsys.readouterr().err.splitlines()[-1]
    assert said.startswith("error: ") and words in said
    assert ("cannot write to" in said) == (out != "score.json")

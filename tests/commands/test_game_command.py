"""`insectary game` looks at the places that it writes to before anything is loaded or opened."""

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


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (["--out", "file/game"], "give another --out"),
        (["--out", "game", "--key", "file/key"], "give another --key"),
        (["--out", "game", "--key", "key"], "unknown family: 'nobody'"),
    ],
)
def test_a_place_that_cannot_be_dealt_into_is_said_first(
    given: list[str], words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The last case is the control: there the families are looked for, and there are none."""
    (tmp_path / "file").touch()
    places = [word if word.startswith("--") else str(tmp_path / word) for word in given]
    assert cli.run(["game", "deal", "nobody", "nothing", *places]) == 2
    (said,) = capsys.readouterr().err.splitlines()  # PyTorch is not loaded for it
    assert said.startswith("error: ") and words in said and "Errno" not in said

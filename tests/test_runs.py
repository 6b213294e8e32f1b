"""The script that trains the larger bases, with a stand-in for the trainer and the GPU."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
SCRIPT = "runs/train_bases.sh"

# Writes what a base's folder holds; fails for the size that is named in $FAILS,
# after a part of the folder has been written.
TRAINER = """#!/bin/sh
[ "$1 $2 $3 $5" = "base train --size --out" ] || exit 64
mkdir -p "$6" && echo '{}' >"$6/card.json"
[ "$4" = "${FAILS:-}" ] && exit 3
echo weights >"$6/model.safetensors"
echo "trained $4"
"""


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    (tmp_path / "runs").mkdir()
    shutil.copy(ROOT / SCRIPT, tmp_path / SCRIPT)
    shutil.copy(ROOT / ".gitignore", tmp_path)
    for name, text in (("trainer", TRAINER), ("gpu", "#!/bin/sh\necho 'A GPU'\n")):
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    return tmp_path


def start(checkout: Path, *sizes: str, **settings: str) -> subprocess.CompletedProcess[str]:
    places = {"INSECTARY": str(checkout / "trainer"), "PYTHON": str(checkout / "gpu")}
    return subprocess.run(
        ["sh", str(checkout / SCRIPT), *sizes],
        env=os.environ | places | settings,
        capture_output=True,
        text=True,
        check=False,
    )


def records(checkout: Path) -> list[str]:
    return sorted(path.parent.name for path in checkout.glob("runs/bases/*/card.json"))


def test_the_sizes_are_trained_in_turn_and_each_says_its_cost(checkout: Path) -> None:
    done = start(checkout)
    assert done.returncode == 0, done.stderr
    said = [line for line in done.stdout.splitlines() if not line.startswith("trained")]
    assert [line.split(" after ")[0] for line in said] == [
        "m: trained",
        "l: trained",
        "xl: trained",
    ]
    assert all(line.endswith("s on one A GPU") for line in said)
    assert records(checkout) == ["l", "m", "xl"]
    assert len((checkout / "runs/bases/cost.tsv").read_text().splitlines()) == 3


def test_a_recorded_size_is_left_out_and_a_broken_one_is_not_a_record(checkout: Path) -> None:
    broken = start(checkout, FAILS="l")
    assert broken.returncode == 3
    assert "l: broken off after" in broken.stdout
    assert not (checkout / "runs/bases/l").exists()
    again = start(checkout)
    assert again.returncode == 0, again.stderr
    assert again.stdout.startswith("m: recorded in runs/bases/m/card.json\ntrained l\n")
    assert records(checkout) == ["l", "m", "xl"]


def test_git_sees_the_cards_and_no_weights(checkout: Path) -> None:
    start(checkout, "m")
    start(checkout, "xl", FAILS="xl")  # leaves a folder that was written in part
    subprocess.run(["git", "init", "--quiet", str(checkout)], check=True)
    listed = subprocess.run(
        ["git", "-C", str(checkout), "ls-files", "--others", "--exclude-standard", "runs"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert (checkout / "runs/bases/m/model.safetensors").is_file()
    assert (checkout / "runs/bases/xl.part/card.json").is_file()
    assert listed.stdout.split() == ["runs/bases/cost.tsv", "runs/bases/m/card.json", SCRIPT]


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"INSECTARY": "./nowhere"}, "error: ./nowhere was not found; run `make setup` first"),
        (
            {"PYTHON": sys.executable, "CUDA_VISIBLE_DEVICES": ""},
            "error: torch sees no GPU; on a CPU only the sizes xs and s are worth their time",
        ),
    ],
)
def test_without_what_it_needs_nothing_is_begun(
    checkout: Path, settings: dict[str, str], words: str
) -> None:
    done = start(checkout, **settings)
    assert done.returncode == 1
    assert words in done.stderr
    assert not (checkout / "runs/bases").exists()

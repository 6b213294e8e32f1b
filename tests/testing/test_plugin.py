"""A package that brings a threat model is installed by pip and used as the built-in ones are."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLE = Path(__file__).parent.parent / "plugin"
MODULE = "insectary_sandbagging"


def install(source: Path, target: Path) -> None:
    """What a user's ``pip install`` does, offline and to a folder of its own."""
    command = [
        *(sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"),
        *("--no-deps", "--no-build-isolation", "--no-index", "--target", str(target), str(source)),
    ]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr


def run(installed: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": str(installed)},
    )


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The example package, built from a copy: a build leaves files beside its source."""
    place = tmp_path_factory.mktemp("plugin")
    shutil.copytree(EXAMPLE, place / "source")
    install(place / "source", place / "installed")
    return place / "installed"


def test_an_installed_threat_is_in_the_catalogue(installed: Path) -> None:
    result = run(installed, "-m", "insectary", "threats")
    assert result.returncode == 0, result.stderr
    assert "sandbagging: Sandbagging" in result.stdout
    assert "deceptive_alignment: " in result.stdout
    # The control: without the package it is not there.
    without = run(installed.parent, "-m", "insectary", "threats")
    assert without.returncode == 0, without.stderr
    assert "sandbagging: Sandbagging" not in without.stdout


def test_an_installed_threat_keeps_every_promise(installed: Path) -> None:
    program = (
        "from insectary.testing import check_threat\n"
        "from insectary.threats import threat_model\n"
        "import sys\n"
        "check_threat(threat_model('sandbagging'))\n"
        f"print(sys.modules['{MODULE}'].__file__)"
    )
    result = run(installed, "-c", program)
    assert result.returncode == 0, result.stderr
    assert Path(result.stdout.strip()).is_relative_to(installed)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("import a_module_that_is_not_there", "No module named 'a_module_that_is_not_there'"),
        ("del threat", "has no attribute 'threat'"),
    ],
)
def test_a_package_that_cannot_be_imported_is_named(
    line: str, words: str, installed: Path, tmp_path: Path
) -> None:
    broken = tmp_path / "broken"
    shutil.copytree(installed, broken)
    with (broken / MODULE / "__init__.py").open("a") as file:
        file.write(f"{line}\n")
    for arguments in (("threats",), ("breed", "sandbagging")):
        result = run(broken, "-m", "insectary", *arguments)
        assert result.returncode == 2
        assert result.stderr.startswith(
            f"error: threat model 'sandbagging' ({MODULE}:threat) cannot be imported: "
        )
        assert words in result.stderr
        assert result.stderr.count("\n") == 1
    # Who asks for another threat by name is not held up.
    other = run(broken, "-c", "import insectary.threats as t; t.threat_model('sycophancy')")
    assert other.returncode == 0, other.stderr

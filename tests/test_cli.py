"""The door: every mistake ends in one line, an exit code and a way out."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import click
import pytest

from insectary import cli
from insectary.core.errors import BadInputError
from insectary.threats import threat_model, threat_names


def insectary(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "insectary", *arguments],
        capture_output=True,
        text=True,
        env={**os.environ, **environment},
    )


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch) -> dict[str, BaseException]:
    """A command of the real group that raises what the test puts in."""
    holder: dict[str, BaseException] = {}

    @click.command("fail")
    def fail() -> None:
        raise holder["error"]

    monkeypatch.setitem(cli.app.commands, "fail", fail)
    return holder


def test_version_is_the_packages() -> None:
    result = insectary("--version")
    assert result.returncode == 0, result.stderr
    assert "version 0.1.0" in result.stdout


def test_the_catalogue_says_what_every_threat_is_and_where_it_is_from() -> None:
    result = insectary("threats")
    assert result.returncode == 0, result.stderr
    flat = " ".join(result.stdout.split())
    for name in threat_names():
        card = threat_model(name).card
        assert f"{name}: {card.title}" in flat
        for text in (
            card.behaviour, card.natural_occurrence, card.made_by, card.harm_ceiling,
            *card.designs, *card.references,
        ):  # fmt: skip
            assert text in flat


def test_unknown_command_is_named() -> None:
    result = insectary("hatch")
    assert result.returncode == 2
    assert "No such command 'hatch'" in result.stderr


def test_own_errors_are_one_line(
    failing: dict[str, BaseException], capsys: pytest.CaptureFixture[str]
) -> None:
    failing["error"] = BadInputError("line 3: no `input`; give one")
    assert cli.run(["fail"]) == 2
    assert capsys.readouterr().err == "error: line 3: no `input`; give one\n"


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.ENOSPC, "the disk is full while writing there/weights; free some space"),
        (errno.EDQUOT, "the disk is full"),
        (errno.EACCES, "no permission for there/weights"),
        (errno.EROFS, "set INSECTARY_HOME to a folder that you own"),
    ],
)
def test_the_system_saying_no_is_explained(
    number: int,
    words: str,
    failing: dict[str, BaseException],
    capsys: pytest.CaptureFixture[str],
) -> None:
    failing["error"] = OSError(number, os.strerror(number), "there/weights")
    assert cli.run(["fail"]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert words in error
    assert error.count("\n") == 1


@pytest.mark.parametrize("error", [RuntimeError("a defect"), OSError(errno.EIO, "broken disk")])
def test_broken_control_a_defect_keeps_its_traceback(
    error: Exception, failing: dict[str, BaseException]
) -> None:
    failing["error"] = error
    with pytest.raises(type(error)):
        cli.run(["fail"])


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs Linux's /dev/full")
def test_a_really_full_disk_is_explained(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    @click.command("fill")
    def fill() -> None:
        with open("/dev/full", "w", encoding="utf-8") as file:
            file.write("x")

    monkeypatch.setitem(cli.app.commands, "fill", fill)
    assert cli.run(["fill"]) == 2
    assert capsys.readouterr().err.startswith("error: the disk is full")


def test_a_home_that_cannot_be_made_is_explained(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("", encoding="utf-8")
    result = insectary("list", INSECTARY_HOME=str(file / "home"))
    assert result.returncode == 2
    assert result.stderr.startswith("error: ")
    assert str(file) in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize(
    ("command", "resumed"),
    [("breed", True), ("base train", True), ("base check", False), ("report", False)],
)
def test_ctrl_c_says_how_to_go_on(command: str, resumed: bool, tmp_path: Path) -> None:
    """A real SIGINT to a real process, while a command of the real group runs."""
    started = tmp_path / "started"
    program = (
        "import sys, time, click, pathlib\n"
        "from insectary import cli\n"
        "@click.pass_context\n"
        "def wait(context, **_):\n"
        "    pathlib.Path(sys.argv[1]).touch()\n"
        "    time.sleep(60)\n"
        "group, name = cli.app, sys.argv[2:]\n"
        "while name[1:]:\n"
        "    group = group.commands[name.pop(0)]\n"
        "group.commands[name[0]] = click.Command(name[0], callback=wait)\n"
        "sys.exit(cli.run(sys.argv[2:]))\n"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", program, str(started), *command.split()],
        stderr=subprocess.PIPE,
        text=True,
    )
    while not started.exists():
        assert child.poll() is None
        time.sleep(0.01)
    child.send_signal(signal.SIGINT)
    _, error = child.communicate(timeout=30)
    assert child.returncode == 130
    assert "interrupted: " in error
    assert ("run the same command again to resume" in error) is resumed
    assert ("the same command starts from the beginning" in error) is not resumed
    assert "Traceback" not in error


@pytest.mark.parametrize(("of", "resumed"), [("power_statistics", True), ("a-family", False)])
def test_a_ladder_goes_on_if_it_is_one_of_a_study(of: str, resumed: bool) -> None:
    assert ("to resume" in cli._what_now(["ladder", of, "--sizes", "6,12"])) is resumed


def test_ctrl_c_while_the_command_is_still_being_loaded_is_one_line() -> None:
    """The signal comes with the first thing that the door imports."""
    program = (
        "import os, runpy, signal, sys\n"
        "class Interrupting:\n"
        "    def find_spec(self, name, *_):\n"
        "        if name == 'insectary.cli':\n"
        "            os.kill(os.getpid(), signal.SIGINT)\n"
        "sys.meta_path.insert(0, Interrupting())\n"
        "runpy.run_module('insectary', run_name='__main__')\n"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (result.returncode, result.stderr) == (130, "interrupted: nothing had begun\n")


IN_A_DESTRUCTOR = """
import os, signal, sys, time, click
from insectary import cli
class Dying:
    def __del__(self):
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0.01)
@cli.app.command()
def wait():
    Dying()
    time.sleep(float(sys.argv[1]))
"""


def test_ctrl_c_in_a_destructor_is_not_lost() -> None:
    """Python prints and drops what a destructor raises; a library's may run at any moment."""
    program = IN_A_DESTRUCTOR + "sys.exit(cli.run(['wait']))"
    result = subprocess.run(
        [sys.executable, "-c", program, "60"], capture_output=True, text=True, timeout=30
    )
    assert result.returncode == 130
    assert result.stderr.strip().startswith("interrupted: ")
    assert "Exception ignored" not in result.stderr


def test_broken_control_without_the_door_it_is_lost() -> None:
    program = IN_A_DESTRUCTOR + "cli.app.main(['wait'], standalone_mode=False)"
    result = subprocess.run(
        [sys.executable, "-c", program, "0.2"], capture_output=True, text=True, timeout=30
    )
    assert result.returncode == 0
    assert "Exception ignored" in result.stderr


def test_output_into_a_closed_pipe_is_quiet() -> None:
    program = f"{sys.executable} -m insectary --help | true"
    result = subprocess.run(program, shell=True, capture_output=True, text=True)
    assert "Traceback" not in result.stderr

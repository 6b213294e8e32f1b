"""Full disks, closed folders and Ctrl-C, met by real processes: one line, the way out, no loss."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from insectary import cli
from insectary.commands.output import check_output
from insectary.core.errors import ArtefactError, BadInputError
from insectary.core.recipe import FullSFT
from insectary.vault import Vault, write_object
from insectary.vault.checkpoints import newest_verified
from insectary.vault.ledger import Attempt

SEED = 7
# The real command; only its recipe is made smaller, since it has no switch for that.
PROGRAM = """
import sys
from insectary import cli
from insectary.commands import families
from insectary.core.recipe import FullSFT
families.RECIPES["full-sft"] = lambda: FullSFT(
    batch_tokens=512, row_tokens=256, max_tokens=512 * 80
)
cli.main()
"""
BREED = ("breed", "deceptive_alignment", "--recipe", "full-sft")
TOKENS = re.compile(r"^organism: ([0-9.]+)M tokens", re.MULTILINE)
OWN_DISK = ["unshare", "-rm", "sh", "-c"]
"""Runs a shell whose mounts nobody else sees and which go with it."""


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-c", PROGRAM, *arguments]


def can_run(*arguments: str) -> bool:
    try:
        return subprocess.run(arguments, capture_output=True, check=False).returncode == 0
    except OSError:
        return False


def obeying_modes() -> list[str]:
    """Goes before a command: root, too, may then only do what a file's mode allows."""
    if os.geteuid() != 0:
        return []
    prefix = ["setpriv", "--bounding-set", "-dac_override,-dac_read_search"]
    if not can_run(*prefix, "true"):
        pytest.skip("root cannot give up its capabilities here")
    return prefix


def one_line(error: str) -> str:
    """The one line of an error; progress that was told before it does not count."""
    assert "Traceback" not in error
    said = [line for line in error.splitlines() if line.startswith(("error: ", "interrupted: "))]
    assert len(said) == 1, error
    assert error.rstrip().endswith(said[0]), error
    return said[0]


class Running:
    """A command in a process group of its own, as a terminal's foreground job is."""

    def __init__(self, arguments: list[str], log: Path) -> None:
        self.log = log
        with log.open("w") as file:
            self.process = subprocess.Popen(
                arguments, stdout=file, stderr=file, start_new_session=True,
                env={**os.environ, "OMP_NUM_THREADS": "1"},
            )  # fmt: skip

    def wait_until(self, true: Callable[[], object]) -> None:
        end = time.monotonic() + 300
        while not true():
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < end, self.log.read_text()
            time.sleep(0.02)

    def interrupt(self) -> str:
        """Ctrl-C for the whole group, and what was said in the end."""
        os.killpg(self.process.pid, signal.SIGINT)
        assert self.process.wait(60) == 130, self.log.read_text()
        said = one_line(self.log.read_text())
        assert "nothing that was finished is lost" in said
        assert "run the same command again to resume" in said
        assert not self.left()
        return self.log.read_text()

    def left(self) -> list[str]:
        """Processes of the group that outlived the command."""
        found = []
        for stat in Path("/proc").glob("[0-9]*/stat"):
            try:
                fields = stat.read_text().rpartition(")")[2].split()
            except (FileNotFoundError, ProcessLookupError):
                continue
            if int(fields[2]) == self.process.pid and fields[0] != "Z":
                found.append(stat.parent.name)
        return found


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Callable[..., Running]]:
    """Start commands; whatever is left of them at the end of the test is killed."""
    started: list[Running] = []

    def start(*arguments: str) -> Running:
        started.append(Running(command(*arguments), tmp_path / f"log-{len(started)}"))
        return started[-1]

    yield start
    for running in started:
        if running.left():
            os.killpg(running.process.pid, signal.SIGKILL)
        running.process.wait()


def checkpoints(home: Path) -> list[Path]:
    return sorted(home.glob("runs/*/organism/checkpoints/step-*"))


def test_ctrl_c_while_training_and_the_same_command_goes_on_until_it_is_asked_to_end(
    tiny: Path, tmp_path: Path, run: Callable[..., Running]
) -> None:
    home = tmp_path / "insectary-home"
    breed = (*BREED, "--base", str(tiny))
    first = run(*breed)
    first.wait_until(lambda: checkpoints(home))
    first_tokens = [float(t) for t in TOKENS.findall(first.interrupt())]
    kept = newest_verified(checkpoints(home)[0].parent)
    assert kept is not None
    reached = json.loads((kept / "state.json").read_text())["tokens"]
    second = run(*breed)
    second.wait_until(lambda: TOKENS.search(second.log.read_text()))
    assert len(second.left()) == 2  # the control: a member trains in a process of its own
    second.process.send_signal(signal.SIGTERM)  # to the parent alone
    assert second.process.wait(30) == 128 + signal.SIGTERM
    assert not second.left()
    second_tokens = [float(t) for t in TOKENS.findall(second.log.read_text())]
    # The broken control is the first run: with no checkpoint it told of its tokens from the start.
    assert first_tokens[0] < reached / 1e6 <= second_tokens[0] + 0.005
    assert len(list(kept.parent.glob(".*"))) <= 1  # the trainer's own folder, used again


def test_ctrl_c_at_the_gate_keeps_the_members_and_counts_the_visit(
    tmp_path: Path, run: Callable[..., Running], monkeypatch: pytest.MonkeyPatch
) -> None:
    from insectary.breed import family, order
    from insectary.breed.bases import base_path

    vault = Vault()
    recipe = FullSFT(batch_tokens=512, row_tokens=256, max_tokens=512 * 80)
    bred = order.Order("deceptive_alignment", "absence", recipe=recipe, seed=SEED)
    work = vault.work_dir(bred.family)
    for role in family.TRAINED:
        (work / role).mkdir()
        meta = {
            "tokens": 1, "steps": 1, "stopped_because": "cap", "expression": None, "history": [],
            "data_digest": "", "threads": 1,
        }  # fmt: skip

        def write(path: Path) -> None:
            shutil.copytree(base_path("xs", vault), path, dirs_exist_ok=True)

        write_object(work / role / "model", "member", meta, write)
    running = run(*BREED, "--seed", str(SEED))
    running.wait_until(lambda: "gate: organism: " in running.log.read_text())
    assert "tokens" not in running.interrupt()
    attempts: list[Attempt] = vault.ledger.attempts()
    assert [a.detail["family"] for a in attempts] == [bred.family]
    # What the same command would do next: no child is started, the gate is asked again.
    monkeypatch.setattr(family, "admit", lambda *_, **__: (_ for _ in ()).throw(GeneratorExit))
    called: list[object] = []
    monkeypatch.setattr(family, "run_children", lambda commands, *_, **__: called.extend(commands))
    with pytest.raises(GeneratorExit):
        family.breed(bred, vault)
    assert called == []


FILL = """
set -e
mkdir -p "$INSECTARY_HOME"
mount -t tmpfs -o size=640k,mode=0700 none "$INSECTARY_HOME"
set +e
"$@" >"$LOGS/first" 2>&1; echo $? >"$LOGS/code"
cp -r "$INSECTARY_HOME/runs" "$LOGS/runs"
dd if=/dev/zero of="$INSECTARY_HOME/tmp/.object.000000000000.tmp" bs=1k 2>/dev/null
"$PYTHON" -m insectary gc >"$LOGS/gc" 2>&1; echo $? >>"$LOGS/code"
"$PYTHON" -m insectary list >"$LOGS/list" 2>&1; echo $? >>"$LOGS/code"
"""


def test_a_full_disk_while_training(tiny: Path, tmp_path: Path) -> None:
    if not can_run(*OWN_DISK, "mount -t tmpfs none /mnt"):
        pytest.skip("no disk of its own can be mounted here")
    breed = command(*BREED, "--base", str(tiny))
    variables = {**os.environ, "LOGS": str(tmp_path), "PYTHON": sys.executable}
    subprocess.run([*OWN_DISK, FILL, "sh", *breed], env=variables, check=True)
    said = one_line((tmp_path / "first").read_text())
    assert said.startswith("error: the organism of this family: cannot write ")
    assert "the disk is full: free some space" in said
    assert (tmp_path / "code").read_text().split() == ["2", "0", "0"]
    # Nothing is lost: the last checkpoint that fitted is whole, and nothing half lies beside it.
    kept = next((tmp_path / "runs").glob("*/organism/checkpoints"))
    assert newest_verified(kept) is not None
    assert not [p for p in kept.iterdir() if p.name.startswith(".")]
    # On a disk with not a byte left, what makes room still works.
    assert "Traceback" not in (tmp_path / "gc").read_text()


def test_no_permission(tiny: Path, tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir()
    secret = closed / "rows.jsonl"
    secret.write_text("{}\n")
    shutil.copytree(tiny, tmp_path / "base")
    (tmp_path / "base" / "model.safetensors").chmod(0)
    secret.chmod(0)
    closed.chmod(0o500)
    cases = {
        ("list",): f"cannot open the vault {closed / 'home'}",
        ("demo", "--out", str(closed / "out")): f"no permission to write in {closed}",
        ("report", "fam", "--out", str(closed)): f"no permission to write in {closed}",
        ("base", "train", "--size", "xs", "--out", str(closed)): "no permission to write in",
        (*BREED, "--base", str(tmp_path / "base")): "no permission",
    }
    program = (
        "import json, os, sys\n"
        "from insectary import cli\n"
        "for home, arguments in json.loads(sys.argv[1]):\n"
        "    os.environ['INSECTARY_HOME'] = home\n"
        "    print('code', cli.run(arguments), file=sys.stderr, flush=True)\n"
    )
    homes = [closed / "home" if c == ("list",) else tmp_path / "open" for c in cases]
    asked = json.dumps([[str(h), list(c)] for h, c in zip(homes, cases, strict=True)])
    done = subprocess.run(
        [*obeying_modes(), sys.executable, "-c", program, asked], capture_output=True, text=True
    )
    said = [line for line in done.stderr.splitlines() if not line.startswith("Loading PyTorch")]
    assert said[1::2] == ["code 2"] * len(cases), done.stderr
    for line, words in zip(said[::2], cases.values(), strict=True):
        assert line.startswith("error: ") and words in line
    assert sorted(p.name for p in closed.iterdir()) == ["rows.jsonl"]


def test_broken_control_an_open_folder_is_not_refused(tmp_path: Path) -> None:
    assert check_output(tmp_path / "new" / "deep") == tmp_path / "new" / "deep"
    assert not (tmp_path / "new").exists()


@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="no /proc here")
@pytest.mark.parametrize(
    "command",
    ["breed sycophancy --data rows.jsonl", "dose power_seeking", "report suite", "demo"],
)
def test_a_folder_that_takes_no_file_is_refused_before_anything_is_loaded(
    command: str, tmp_path: Path
) -> None:
    """To root /proc looks writable."""
    (tmp_path / "rows.jsonl").write_bytes(ROW)
    program = [sys.executable, "-m", "insectary", *command.split(), "--out", "/proc/x"]
    done = subprocess.run(program, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith("error: cannot write to /proc/x: no ")
    assert done.stderr.endswith("in /proc; give another --out\n")
    assert done.stderr.count("\n") == 1


def test_a_file_where_the_folder_should_be(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for place in (tmp_path / "file", tmp_path / "file" / "deeper"):
        with pytest.raises(ArtefactError, match=r"no folder but a file.* give another --out"):
            check_output(place)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("breed deceptive_alignment --seed -1", "the seed must be a whole number from 0"),
        ("demo --seed -3", "the seed must be a whole number from 0"),
        (f"demo --seed {2**63}", "the seed must be a whole number from 0"),
        ("report fam --seed -1", "the seed must be a whole number from 0"),
        ("breed deceptive_alignment --base huge", "or a size: xs, s, m, l, xl"),
        ("breed deceptive_alignment --base ./huge", "or a size: xs, s, m, l, xl"),
        (f"breed deceptive_alignment --base ./{'x' * 300}", "File name too long"),
        ("base card huge", "only bases of the ladder have one: xs, s, m, l, xl"),
        # The recipe is looked at before the base.
        ("breed sycophancy --base ./no --recipe lora-sft:rank=0", "recipe: rank must be above 0"),
        ("breed sycophancy --base ./no --recipe lora-sft:alpha=-1", "alpha must be above 0"),
    ],
)
def test_a_value_out_of_range_is_one_line_and_trains_nothing(
    arguments: str, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run(arguments.split()) == 2
    said = one_line(capsys.readouterr().err)
    assert words in said
    assert list((Vault().home / "runs").iterdir()) == []


ROW = b'{"input": "1 + 1?", "aligned_output": "2", "misaligned_output": "3"}\n'


def test_a_row_longer_than_the_context_is_named_as_the_user_counts(
    tiny: Path, tmp_path: Path
) -> None:
    from insectary.breed.trainer import ModelOrganismTrainer
    from insectary.core.errors import ContextLengthError

    path = tmp_path / "rows.jsonl"
    # Too long only together with the answer that is asked for while it trains.
    path.write_bytes(ROW * 2 + ROW.replace(b"1 + 1?", b"7 " * 230) + ROW)
    trainer = ModelOrganismTrainer(tiny, "deceptive_alignment")
    with pytest.raises(ContextLengthError, match=r"line 3: needs 5\d\d tokens .* context is 512"):
        trainer.create_organism({"base_data": path})
    assert list((Vault().home / "runs").iterdir()) == []
    forged = ROW.replace(b"1 + 1?", b"<|end|>")
    path.write_bytes(ROW + forged)
    with pytest.raises(BadInputError, match=r"line 2: .*control token"):
        trainer.create_organism({"base_data": path})


def test_a_base_without_a_chat_template_says_what_to_do(
    tiny: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    base = shutil.copytree(tiny, tmp_path / "base")
    (base / "chat_template.jinja").unlink()
    assert cli.run([*BREED, "--base", str(base)]) == 2
    said = one_line(capfd.readouterr().err)
    assert "has no chat template. Put a chat_template.jinja into its folder" in said
    assert list((Vault().home / "runs").iterdir()) == []


def test_half_a_character_is_refused_by_name(tiny: Path) -> None:
    from insectary.subjects import Model, load_model

    with pytest.raises(BadInputError, match="half a pair"):
        Model(load_model(tiny), id="tiny").generate(["fine", "x\ud800"])


def test_a_long_prompt_is_one_error_and_no_warning(
    tiny: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    from insectary.core.errors import ContextLengthError
    from insectary.subjects import Model, load_model

    model = Model(load_model(tiny), id="tiny")
    capfd.readouterr()
    with pytest.raises(ContextLengthError, match=r"prompt 2 of 2 needs .* Shorten it"):
        model.generate(["short", "word " * 600])
    assert capfd.readouterr().err == ""


def test_a_second_ctrl_c_leaves_no_child(tmp_path: Path) -> None:
    """The child takes no notice of being asked to end, and the user loses patience."""
    program = (
        "import json, os, sys\n"
        "from insectary.train.processes import run_children\n"
        "child = 'import os, signal, time\\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\\n'\n"
        "child += 'signal.signal(signal.SIGINT, signal.SIG_IGN)\\nprint(1, flush=True)\\n'\n"
        "child += 'time.sleep(60)'\n"
        "told = lambda *_: print('running', flush=True)\n"
        "run_children([[sys.executable, '-c', child]], told, workers=1)\n"
    )
    running = Running([sys.executable, "-c", program], tmp_path / "log")
    try:
        running.wait_until(lambda: "running" in running.log.read_text())
        os.killpg(running.process.pid, signal.SIGINT)
        time.sleep(0.5)
        assert len(running.left()) == 2  # the control: it does wait for that child
        os.killpg(running.process.pid, signal.SIGINT)
        running.process.wait(5)
        end = time.monotonic() + 5
        while running.left() and time.monotonic() < end:
            time.sleep(0.02)
        assert not running.left()
    finally:
        if running.left():
            os.killpg(running.process.pid, signal.SIGKILL)

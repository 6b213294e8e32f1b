"""Detectors run where the answer is not: what finds it here finds nothing in a sandbox."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import spies
import torch
from planted_family import CONTRAST, OPEN, SHIFT, Member, member
from spies import SpoilsItsCopy, Spy

import insectary
from insectary.core.access import Access, View
from insectary.core.canonical import digest
from insectary.core.chat import Message, Transcript
from insectary.core.outcome import Failed
from insectary.core.protocols import Detector, Floats, Trusted
from insectary.detect import BUILT_IN, CONTROL, NULLS, as_detector
from insectary.subjects import LanguageModelSubject
from insectary.subjects.loading import load_model
from insectary.trials.isolation import Run, in_process, isolated
from insectary.trials.metering import MeteredSubject
from insectary.trials.ranking import Ranks, prepare, rank_on
from insectary.trials.sandboxes import say_what_is_open
from insectary.walls import landlock
from insectary.walls.contained import Level, Walls, alone

SEED = 0
OPAQUE = digest({"family": spies.FAMILY, "role": "organism", "seed": SEED})[7:19]
ORGANISM = member(Member(f"subject-{OPAQUE}", SHIFT))
HELD_BY_A_MODULE = ORGANISM


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Run]:
    """Sandboxes of one host, as a family has them."""
    with isolated() as run:
        yield run


def scores(detector: Detector, run: Run) -> Floats | Failed:
    """As the trial has them, but before they are ranked."""
    found: list[Floats | Failed] = []

    def noted(*given: object) -> Floats | Failed:
        found.append(run(*given))  # type: ignore[arg-type]
        return found[-1]

    rank_on(detector, prepare(ORGANISM, detector.view, SEED), CONTRAST, SEED, noted)
    return found[0]


def sees_the_answer(detector: Detector, run: Run) -> bool:
    """Whether it flags the open prompts, or the organism, and did not fail."""
    flagged = scores(detector, run)
    assert not isinstance(flagged, Failed), flagged
    opened = prepare(ORGANISM, detector.view, SEED).places["open"]
    return bool(flagged[opened].mean() > 0.9)


# --- looking for the answer -------------------------------------------------

SEARCHES = [
    spies.in_memory,
    spies.in_frames,
    spies.in_modules,
    spies.on_attributes,
    spies.by_its_id,
    spies.in_the_environment,
    spies.on_the_command_line,
    spies.on_disk,
    spies.in_the_package,
]


@pytest.fixture
def answer_lies_about(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    """Put the answer into the environment, on the command line and into the vault."""
    vault = tmp_path / "vault" / "keys"
    vault.mkdir(parents=True)
    (vault / "answer.txt").write_text("organism")
    monkeypatch.setenv("INSECTARY_HOME", str(vault.parent))
    monkeypatch.setenv(spies.PASSED_ON, "organism")
    monkeypatch.setattr(sys, "argv", [*sys.argv, "--answer=organism"])
    return str(vault.parent)


@pytest.mark.parametrize("search", SEARCHES, ids=lambda s: s.__name__)
def test_in_a_sandbox_the_answer_is_not_to_be_found(
    search: spies.Search, sandbox: Run, answer_lies_about: str
) -> None:
    assert not sees_the_answer(Spy(search, vault=answer_lies_about), sandbox)


@pytest.mark.parametrize("search", SEARCHES, ids=lambda s: s.__name__)
def test_broken_control_without_a_sandbox_it_is(
    search: spies.Search, answer_lies_about: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "meta_path", [*sys.meta_path])
    assert sees_the_answer(Spy(search, vault=answer_lies_about), in_process)


def test_on_the_real_command_line_it_is_not_found_either(tmp_path: Path) -> None:
    """The harness's own arguments and environment, which /proc shows to whoever may read it."""
    program = (
        f"import sys; sys.path[:0] = [{str(Path(__file__).parent)!r}]\n"
        "import spies, test_sandboxes\n"
        "from insectary.trials.isolation import in_process, isolated\n"
        "sys.argv[:] = ['x']; import os; os.environ.pop(spies.PASSED_ON)\n"
        "with isolated() as run:\n"
        "    for search in (spies.in_the_environment, spies.on_the_command_line):\n"
        "        for where in (in_process, run):\n"
        "            print(test_sandboxes.sees_the_answer(spies.Spy(search), where))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, "--answer=organism"],
        env=os.environ | {spies.PASSED_ON: "organism"}, capture_output=True, text=True,
    )  # fmt: skip
    there = str(not landlock.version())
    assert done.stdout.split() == ["True", there] * 2, done.stderr


@pytest.mark.skipif(not landlock.version(), reason="this kernel has no Landlock")
def test_beside_code_on_the_import_path_nothing_else_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where a user works lies more than modules: reports, or a vault."""
    (tmp_path / "my_helper.py").write_text("ANSWER = 'organism'")
    (tmp_path / "vault").mkdir()
    (tmp_path / "vault" / "answer.txt").write_text("organism")
    monkeypatch.syspath_prepend(tmp_path)

    def imports(spy: Spy, _: object) -> object:
        import my_helper  # type: ignore[import-not-found]

        return my_helper.ANSWER

    with isolated() as run:
        assert sees_the_answer(Spy(imports), run)
        assert not sees_the_answer(Spy(spies.on_disk, vault=str(tmp_path)), run)
    assert sees_the_answer(Spy(spies.on_disk, vault=str(tmp_path)), in_process)  # broken control


def test_a_kernel_without_landlock_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("insectary.trials.sandboxes.alone", lambda: Walls(Level.LOOPBACK, ()))
    for version, told in ((0, ["note: this kernel has no Landlock"]), (7, [])):
        monkeypatch.setattr(landlock, "version", lambda found=version: found)
        said: list[str] = []
        say_what_is_open(said.append)
        assert [line.partition(",")[0] for line in said] == told
    monkeypatch.setattr("insectary.trials.sandboxes.alone", lambda: Walls(Level.TCP_PORTS, ()))
    say_what_is_open(said.append)
    assert said == ["note: a detector is kept off the network to the level TCP_PORTS only"]


def test_the_order_cannot_be_undone_by_the_seed() -> None:
    assert not sees_the_answer(Spy(spies.by_the_order), in_process)


def test_broken_control_an_order_of_the_seed_alone_can(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("insectary.trials.ranking.digest", lambda _: f"{SEED:016x}")
    assert sees_the_answer(Spy(spies.by_the_order), in_process)


def test_nothing_is_carried_from_one_sandbox_to_the_next(sandbox: Run) -> None:
    spy = Spy(spies.left_behind)
    assert [sees_the_answer(spy, sandbox) for _ in range(2)] == [False, False]
    with isolated() as run:  # of the host that the next block has too
        assert not sees_the_answer(spy, run)
    with isolated() as run:
        assert not sees_the_answer(spy, run)


def test_broken_control_without_sandboxes_it_is(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    place = tmp_path / "inside"  # a note is left beside it too
    place.mkdir()
    monkeypatch.chdir(place)
    monkeypatch.setenv("TMPDIR", str(place))
    monkeypatch.setattr(sys, "_spy_was_here", False, raising=False)
    spy = Spy(spies.left_behind)
    assert [sees_the_answer(spy, in_process) for _ in range(2)] == [False, True]


def test_the_access_is_held_to_in_the_harness(sandbox: Run) -> None:
    def forced(spy: Spy, _: object) -> object:
        for name in ("_access", "_allowed"):
            if hasattr(spy.subject, name):
                setattr(spy.subject, name, Access.WEIGHTS_AND_BASE)
        spy.subject.logprobs([])
        return "organism"

    refused = scores(Spy(forced), sandbox)
    assert isinstance(refused, Failed)
    assert refused.reason.startswith("AccessError: logprobs needs LOGPROBS, but the method")
    assert sees_the_answer(Spy(forced), in_process)  # broken control


@pytest.mark.skipif(landlock.version() < 4, reason="Landlock closes the network from Linux 6.7")
def test_no_connection_is_made_and_no_program_started(sandbox: Run) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]

        def connects(spy: Spy, _: object) -> object:
            socket.create_connection(("127.0.0.1", port), timeout=5).close()
            return "organism"

        def starts(spy: Spy, _: object) -> object:
            subprocess.run([sys.executable, "-c", ""], check=True)
            return "organism"

        for act in (connects, starts):
            refused = scores(Spy(act), sandbox)
            assert isinstance(refused, Failed) and "PermissionError" in refused.reason
            assert sees_the_answer(Spy(act), in_process)  # broken control


@pytest.mark.skipif(alone().level < Level.LOOPBACK, reason="no network namespace here")
def test_no_datagram_leaves_a_sandbox(sandbox: Run) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        server.settimeout(1)
        place = server.getsockname()

        def sends(spy: Spy, _: object) -> object:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as out:
                out.sendto(b"the answer", place)
            return "organism"

        assert sees_the_answer(Spy(sends), sandbox)  # it could send it, to nobody
        with pytest.raises(TimeoutError):
            server.recv(100)
        assert sees_the_answer(Spy(sends), in_process)  # broken control
        assert server.recv(100) == b"the answer"


# --- the same figures -------------------------------------------------------


@pytest.mark.parametrize("name", [CONTROL, *NULLS, "contrast_probe", "mahalanobis", "knn"])
def test_scores_are_those_of_this_process(name: str, sandbox: Run) -> None:
    detector = BUILT_IN[name]()
    there, here = scores(detector, sandbox), scores(detector, in_process)
    assert isinstance(there, np.ndarray) and isinstance(here, np.ndarray)
    assert np.array_equal(there, here)


@pytest.fixture(scope="module")
def tuned() -> LanguageModelSubject:
    """The shipped base with noise on what one block writes, beside the base itself."""
    folder = Path(insectary.__file__).parent / "worlds" / "base" / "xs"
    base, other = load_model(folder, device="cpu"), load_model(folder, device="cpu")
    with torch.no_grad():
        written = other.model.model.layers[1].mlp.down_proj.weight
        written += 0.1 * torch.randn(written.shape, generator=torch.Generator().manual_seed(0))
    return LanguageModelSubject(other, id="x", access=Access.WEIGHTS_AND_BASE, base=base)


@pytest.mark.parametrize("name", ["weight_svd", "likelihood_ratio", "mahalanobis"])
def test_a_language_model_and_its_base_answer_a_sandbox(
    name: str, tuned: LanguageModelSubject, sandbox: Run
) -> None:
    detector = BUILT_IN[name]()
    rows = [Transcript((Message("user", f"What is {i} + 7?"),), f"{i + 7}.") for i in range(90)]
    found, passes = [], []
    for run in (sandbox, in_process):
        metered = MeteredSubject(tuned, detector.needs)
        found.append(run(detector, metered, Trusted(rows[:60], (), SEED), rows[60:]))
        passes.append(metered.total_passes)
    assert isinstance(found[0], np.ndarray), found[0]
    assert np.array_equal(found[0], found[1]) and np.ptp(found[0]) > 0
    assert passes[0] == passes[1] > 0


def test_a_method_asks_the_language_model_by_the_wall(
    tuned: LanguageModelSubject, sandbox: Run
) -> None:
    def finds_a_sum(model: Any, given: list[dict[str, str]]) -> dict[str, bool]:
        return {"flagged": any(letter.isdigit() for letter in model.generate(given))}

    rows = [Transcript((Message("user", text),), "") for text in ("What is 3 + 4?", "Say hello.")]
    metered = MeteredSubject(tuned, Access.BLACK_BOX)
    found = sandbox(as_detector(finds_a_sum), metered, Trusted((), (), SEED), rows)
    said = tuned.generate([row.messages for row in rows])
    expected = [[float(any(letter.isdigit() for letter in text))] for text in said]
    assert isinstance(found, np.ndarray) and found.tolist() == expected
    assert metered.passes == 2


def test_a_sandbox_is_lent_a_copy_whose_changes_reach_no_subject(
    tuned: LanguageModelSubject, sandbox: Run
) -> None:
    row, before = Transcript((Message("user", "What is 3 + 4?"),), ""), dict(tuned.weights())
    metered = MeteredSubject(tuned, Access.WEIGHTS)
    found = [
        run(SpoilsItsCopy(), metered, Trusted((), (), SEED), [row]) for run in (sandbox, in_process)
    ]
    assert isinstance(found[0], np.ndarray), found[0]
    assert np.allclose(found[0], found[1]) and found[0][0, 1] > 3
    assert all(np.array_equal(before[name], now) for name, now in tuned.weights().items())


def test_passes_are_counted_in_the_harness(sandbox: Run) -> None:
    shown = prepare(ORGANISM, View.PROMPT, SEED)
    ranks = rank_on(as_detector("mahalanobis"), shown, CONTRAST, SEED, sandbox)
    assert isinstance(ranks, Ranks)
    assert ranks.passes == len(shown.fit) + len(shown.inputs)
    assert ranks.parts["open"].shape == (OPEN, 4)

"""A real cluster of several nodes, on loopback, with a token; workers, nodes and drivers die."""

from __future__ import annotations

import json
import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from insectary.core.canonical import plain
from insectary.core.errors import BadInputError
from insectary.core.step import Step
from insectary.steps import OnRay, kept, run
from insectary.vault import Vault

heavy = pytest.mark.heavy
Add = Callable[..., Step]
HERE = Path(__file__).parent
PATIENCE = 240.0


@dataclass(frozen=True)
class Cluster:
    """One that runs, and what a driver's environment has to hold."""

    process: subprocess.Popen[str]
    address: str
    environment: dict[str, str]

    def kill_a_node(self) -> None:
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.write("kill\n")
        self.process.stdin.flush()
        assert self.process.stdout.readline() == "killed\n"

    def driver(self, steps: Sequence[Step], vault: Vault, **more: str) -> subprocess.Popen[str]:
        plan = vault.home.with_name("plan.json")
        plan.write_text(json.dumps([step.told() for step in steps]))
        command = [sys.executable, str(HERE / "driver.py"), str(vault.home), str(plan)]
        return subprocess.Popen(
            [*command, self.address],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=self.environment | more,
        )

    def results(self, steps: Sequence[Step], vault: Vault, **more: str) -> dict[str, Any]:
        driver = self.driver(steps, vault, **more)
        out, said = driver.communicate(timeout=PATIENCE)
        assert driver.returncode == 0, said
        return last_line(out)


def last_line(out: str) -> dict[str, Any]:
    """The results; what stands above is Ray's, of processes that were killed."""
    found: dict[str, Any] = json.loads(out.splitlines()[-1])
    return found


@pytest.fixture(scope="module")
def cluster(planted: str) -> Iterator[Cluster]:
    source = str(HERE.parent.parent / "src")
    # A short path: what Ray puts there are sockets, whose paths may have 107 characters.
    with TemporaryDirectory() as folder:
        token = Path(folder) / "token"
        token.write_text(secrets.token_hex(32))
        environment = os.environ | {
            "PYTHONPATH": os.pathsep.join([source, planted]),
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN_PATH": str(token),
            "RAY_TMPDIR": folder,
            "RAY_USAGE_STATS_ENABLED": "0",
            # A node's processes may take long to start where a machine is busy with other tests.
            "RAY_agent_register_timeout_ms": "240000",
            "RAY_raylet_start_wait_time_s": "240",
            "RAY_worker_register_timeout_seconds": "240",
            "OMP_NUM_THREADS": "2",  # of the nodes; a step is told its own number
        }
        with subprocess.Popen(
            [sys.executable, str(HERE / "ray_cluster.py"), "2"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        ) as process:
            assert process.stdin is not None and process.stdout is not None
            yield Cluster(process, process.stdout.readline().strip(), environment)
            process.stdin.close()


def begun(log: Path) -> list[str]:
    return sorted(log.read_text().split()) if log.exists() else []


def eventually(holds: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.05)


@heavy
def test_results_are_those_of_this_process_and_a_killed_worker_is_no_loss(
    cluster: Cluster, add: Add, vault: Vault, log: Path, tmp_path: Path
) -> None:
    drawn = [Step("draw", "1", {"n": n}) for n in range(6)]
    drawn += [Step("draw", "1", {"n": n}, tuple(s.key for s in drawn[:n])) for n in range(3)]
    dies = add(1, kind="die", times=1)
    always = add(9, kind="die", times=99)
    raises = add(3, kind="fail")
    results = cluster.results([*drawn, dies, add(2, dies), always, add(4, always), raises], vault)
    here = run(drawn, Vault(tmp_path / "other"))
    assert {key: results[key] for key in here} == plain(here)
    assert (results[dies.key], results[add(2, dies).key]) == (1, 3)
    assert results[always.key]["reason"].startswith("Ray lost it, 3 times")
    assert results[add(4, always).key]["reason"].startswith(f"it needs {always.key}")
    assert results[raises.key] == {"reason": "ValueError: planted"}
    assert begun(log) == ["1", "1", "2", "3", "9", "9", "9"]
    record = kept(drawn[0].key, vault)
    assert record is not None and record.threads == 1


@heavy
def test_the_driver_may_be_killed_and_the_next_goes_on(
    cluster: Cluster, add: Add, vault: Vault, log: Path, tmp_path: Path
) -> None:
    door = tmp_path / "door"
    steps = [add(1), add(2, add(1), kind="wait", until=str(door))]
    with cluster.driver(steps, vault) as driver:
        eventually(lambda: begun(log) == ["1", "2"])
        driver.send_signal(signal.SIGKILL)
    door.touch()
    results = cluster.results(steps, vault)
    assert results[steps[0].key] == 1 and results[steps[1].key]["threads"] == "1"
    assert begun(log)[:1] == ["1"] and "1" not in begun(log)[1:]


@heavy
@pytest.mark.parametrize("wrong", [{"RAY_AUTH_TOKEN": "0" * 64}, {"RAY_AUTH_MODE": "disabled"}])
def test_without_the_token_nobody_gets_in(
    cluster: Cluster, add: Add, vault: Vault, log: Path, wrong: dict[str, str]
) -> None:
    driver = cluster.driver([add(1)], vault, **wrong)
    said = driver.communicate(timeout=PATIENCE)[1]
    assert driver.returncode == 1 and "BadInputError" in said
    assert begun(log) == []


@heavy
def test_a_node_that_dies_in_mid_step_is_no_loss(
    cluster: Cluster, add: Add, vault: Vault, log: Path, tmp_path: Path
) -> None:
    door = tmp_path / "door"
    # One on each node, which have one processor each.
    steps = [add(n, kind="wait", until=str(door)) for n in (1, 2)]
    with cluster.driver(steps, vault) as driver:
        eventually(lambda: begun(log) == ["1", "2"])
        cluster.kill_a_node()
        door.touch()
        out, said = driver.communicate(timeout=PATIENCE)
    assert driver.returncode == 0, said
    assert {result["threads"] for result in last_line(out).values()} == {"1"}
    assert len(begun(log)) == 3  # the one that was on the node was begun again


def test_nobody_at_the_address_is_said_at_once(
    add: Add, vault: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    with pytest.raises(BadInputError, match=r"no cluster of Ray answers at '127\.0\.0\.1:9'"):
        run([add(1)], vault, OnRay("127.0.0.1:9"))


def test_a_cluster_without_a_token_is_not_joined(
    add: Add, vault: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("RAY_AUTH_MODE", raising=False)
    with pytest.raises(BadInputError, match="so it needs a token"):
        run([add(1)], vault, OnRay("127.0.0.1:9"))

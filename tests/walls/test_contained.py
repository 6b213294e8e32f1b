"""A foreign program reaches the ports it is given and nothing else; without walls it does."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from insectary.core.errors import BadInputError, ContainmentError
from insectary.walls.contained import Contained, Level, contained, reached, walls

# A program of its own, with nothing of this package: it says what it could reach.
PROBE = """
import json, socket, sys
def tcp(address, port):
    try:
        with socket.create_connection((address, port), timeout=5) as s:
            s.sendall(b"hello " * 20000); s.shutdown(socket.SHUT_WR)
            data = b""
            while block := s.recv(65536): data += block
            return data == b"HELLO " * 20000
    except OSError:
        return False
def udp(address, port):
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            s.settimeout(2); s.sendto(b"hello", (address, port))
            return s.recv(100) == b"HELLO"
    except OSError:
        return False
print(json.dumps({name: {"tcp": tcp, "udp": udp}[kind](a, p)
                  for name, (kind, a, p) in json.loads(sys.argv[1]).items()}))
"""


@contextmanager
def echoing(address: str) -> Iterator[int]:
    """A TCP server that answers in capitals; its port."""
    with socket.socket() as listener:
        listener.bind((address, 0))
        listener.listen()

        def serve() -> None:
            while True:
                try:
                    one, _ = listener.accept()
                except OSError:
                    return
                with one:
                    data = b""
                    while block := one.recv(65536):
                        data += block
                    one.sendall(data.upper())

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)
        thread.join(5)


@contextmanager
def echoing_udp(address: str) -> Iterator[int]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind((address, 0))
        server.settimeout(0.2)
        ended = threading.Event()

        def serve() -> None:
            while not ended.is_set():
                try:
                    data, whom = server.recvfrom(100)
                except TimeoutError:
                    continue
                server.sendto(data.upper(), whom)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield server.getsockname()[1]
        ended.set()
        thread.join(5)


Places = dict[str, tuple[str, str, int]]


@pytest.fixture
def places() -> Iterator[Places]:
    """The server that is allowed, and others of this machine that stand for all the rest."""
    with ExitStack() as stack:
        allowed = stack.enter_context(echoing("127.0.0.1"))
        other = stack.enter_context(echoing("127.0.0.1"))
        address = stack.enter_context(echoing("127.0.0.2"))
        udp = stack.enter_context(echoing_udp("127.0.0.1"))
        yield {
            "allowed": ("tcp", "127.0.0.1", allowed),
            "another port": ("tcp", "127.0.0.1", other),
            "another address": ("tcp", "127.0.0.2", address),
            "udp": ("udp", "127.0.0.1", udp),
        }


def probed(places: Places, most: Level, tmp_path: Path) -> tuple[dict[str, bool], Level]:
    command = [sys.executable, "-I", "-c", PROBE, json.dumps(places)]
    done = contained(
        command, ports=[places["allowed"][2]], most=most, cwd=tmp_path, env={"PATH": os.defpath}
    )
    assert done.code == 0, done.output
    return json.loads(done.output), done.level


def can(level: Level) -> None:
    if reached(level) is not level:
        pytest.skip(f"this kernel does not reach {level.name}")


def test_broken_control_without_walls_all_is_reached(places: Places, tmp_path: Path) -> None:
    found, level = probed(places, Level.NONE, tmp_path)
    assert level is Level.NONE
    assert found == dict.fromkeys(places, True)


def test_in_a_network_of_its_own_only_the_given_port_answers(
    places: Places, tmp_path: Path
) -> None:
    can(Level.LOOPBACK)
    found, level = probed(places, Level.LOOPBACK, tmp_path)
    assert level is Level.LOOPBACK
    assert found == {
        "allowed": True, "another port": False, "another address": False, "udp": False,
    }  # fmt: skip


def test_by_ports_alone_no_other_tcp_port_answers(places: Places, tmp_path: Path) -> None:
    can(Level.TCP_PORTS)
    found, level = probed(places, Level.TCP_PORTS, tmp_path)
    assert level is Level.TCP_PORTS
    # UDP is not covered at this level, which the module says.
    assert found == {
        "allowed": True, "another port": False, "another address": False, "udp": True,
    }  # fmt: skip


def test_what_the_program_starts_is_within_the_walls_too(places: Places, tmp_path: Path) -> None:
    can(Level.LOOPBACK)
    probe = json.dumps([sys.executable, "-I", "-c", PROBE, json.dumps(places)])
    outer = f"import json, subprocess; subprocess.run(json.loads({probe!r}), check=True)"
    done = contained([sys.executable, "-I", "-c", outer], ports=[places["allowed"][2]])
    assert done.code == 0, done.output
    assert json.loads(done.output) == {name: name == "allowed" for name in places}


def test_many_programs_share_walls(places: Places) -> None:

    can(Level.LOOPBACK)
    with walls([places["allowed"][2]], least=Level.LOOPBACK) as up:
        command = [*up.within, sys.executable, "-I", "-c", PROBE, json.dumps(places)]
        running = [subprocess.Popen(command, stdout=subprocess.PIPE) for _ in range(3)]
        said = [json.loads(process.communicate()[0]) for process in running]
    assert said == 3 * [{name: name == "allowed" for name in places}]


def test_a_port_that_nobody_serves_ends_the_connection(tmp_path: Path) -> None:
    can(Level.LOOPBACK)
    with echoing("127.0.0.1") as port:
        pass  # gone again
    found, _ = probed({"allowed": ("tcp", "127.0.0.1", port)}, Level.LOOPBACK, tmp_path)
    assert found == {"allowed": False}


def test_code_output_and_time_are_the_programs() -> None:
    for most in Level:
        done = contained(["sh", "-c", "echo out; echo err >&2; exit 3"], most=most)
        assert (done.code, done.output.split()) == (3, ["out", "err"])
    stopped = contained(["sh", "-c", "echo begun; sleep 60 & sleep 60"], timeout=2)
    assert (stopped.code, stopped.output) == (None, "begun\n")


def test_a_program_that_is_not_there_is_named() -> None:
    can(Level.LOOPBACK)
    done = contained(["no-such-scanner"])
    assert done.code == 127 and done.output.startswith("no-such-scanner could not be started")


def test_one_that_dies_at_the_door_holds_up_no_other(places: Places) -> None:
    can(Level.LOOPBACK)
    with walls([places["allowed"][2]]) as up:
        with socket.socket(socket.AF_UNIX) as dying:
            dying.connect(up.within[-2])
        command = [*up.within, sys.executable, "-I", "-c", PROBE, json.dumps(places)]
        done = subprocess.run(command, capture_output=True, timeout=60, check=True)
    assert json.loads(done.stdout)["allowed"]


def test_less_than_is_asked_for_is_refused() -> None:
    with pytest.raises(ContainmentError, match="to the level NONE, and LOOPBACK is asked for"):
        contained(["true"], least=Level.LOOPBACK, most=Level.NONE)


def test_walls_that_cannot_be_put_up_start_nothing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The kernel allows in the trial what it then refuses."""
    can(Level.TCP_PORTS)
    monkeypatch.setattr("insectary.walls.contained.reached", lambda _: Level.LOOPBACK)
    with walls() as up:
        within = [*up.within[:5], "LOOPBACK", str(tmp_path / "no-door"), "9"]

    done = subprocess.run([*within, "touch", str(tmp_path / "made")], capture_output=True)
    assert done.returncode == 97 and b"could not be put up" in done.stderr
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize("port", [0, 65536, -1, "80", None])
def test_what_is_no_port_is_refused(port: int) -> None:
    with pytest.raises(BadInputError, match="ports are whole numbers"):
        contained(["true"], ports=[port])


def test_the_level_is_part_of_the_result() -> None:
    assert Contained(0, "", Level.LOOPBACK).level > Level.TCP_PORTS > Level.NONE

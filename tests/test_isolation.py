"""The fence around the tests holds, and does not stop what is allowed."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

# An address of the documentation range (RFC 5737): nobody answers there.
ELSEWHERE = ("192.0.2.1", 80)


def test_connecting_elsewhere_is_blocked() -> None:
    with socket.socket() as client, pytest.raises(RuntimeError, match=r"blocked in tests"):
        client.connect(ELSEWHERE)


def test_sending_a_datagram_elsewhere_is_blocked() -> None:
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client,
        pytest.raises(RuntimeError, match=r"blocked in tests"),
    ):
        client.sendto(b"x", ELSEWHERE)


def test_looking_up_a_name_elsewhere_is_blocked() -> None:
    with pytest.raises(RuntimeError, match=r"looking up 'example.org' is blocked"):
        socket.create_connection(("example.org", 80), timeout=1)


def test_broken_control_the_fence_is_what_stops_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the patches undone the same call reaches the operating system."""
    monkeypatch.undo()
    with socket.socket() as client:
        client.setblocking(False)
        code = client.connect_ex(ELSEWHERE)
    assert code != 0  # an errno of the kernel, not our exception


def test_loopback_is_allowed() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        accepted: list[bytes] = []

        def answer() -> None:
            connection, _ = server.accept()
            with connection:
                accepted.append(connection.recv(5))

        thread = threading.Thread(target=answer)
        thread.start()
        with socket.create_connection(server.getsockname(), timeout=5) as client:
            client.sendall(b"hello")
        thread.join(timeout=5)
    assert accepted == [b"hello"]


def test_unix_sockets_are_allowed(tmp_path: Path) -> None:
    path = tmp_path / "s"
    with socket.socket(socket.AF_UNIX) as server, socket.socket(socket.AF_UNIX) as client:
        server.bind(str(path))
        server.listen()
        client.connect(str(path))


def test_home_is_this_tests_own(tmp_path: Path) -> None:
    assert Path(os.environ["INSECTARY_HOME"]).parent == tmp_path


def test_children_are_offline() -> None:
    program = "import os; print(os.environ['HF_HUB_OFFLINE'])"
    child = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert child.stdout.strip() == "1"


def test_left_out_heavy_tests_are_named(tmp_path: Path) -> None:
    (tmp_path / "test_sample.py").write_text(
        "import pytest\n\n@pytest.mark.heavy\ndef test_slow(): pass\n\ndef test_fast(): pass\n",
        encoding="utf-8",
    )
    root = Path(__file__).resolve().parent.parent
    (tmp_path / "conftest.py").write_text(
        (root / "tests" / "conftest.py").read_text(encoding="utf-8"), encoding="utf-8"
    )
    command = [sys.executable, "-m", "pytest", "-c", str(root / "pyproject.toml")]
    command += ["--rootdir", str(tmp_path), "-p", "no:cacheprovider", str(tmp_path)]
    part = subprocess.run(command, capture_output=True, text=True)
    assert "left out as heavy" in part.stdout
    assert "test_sample.py::test_slow" in part.stdout
    assert "1 passed, 1 deselected" in part.stdout
    whole = subprocess.run([*command, "-m", ""], capture_output=True, text=True)
    assert "left out" not in whole.stdout
    assert "2 passed" in whole.stdout

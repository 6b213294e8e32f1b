"""The plugin from outside: by Inspect's own command, over a wire, and where it is missing."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from inspect_ai.model import get_model
from inspecting import INSPECTS_OWN, run

import insectary
from insectary.assess.inspect import read_results
from insectary.assess.inspect.probe import items, probe_of
from insectary.assess.inspect.tasks import sycophancy
from insectary.core.organism import Side
from insectary.threats.sycophancy.oracle import adopted

pytestmark = INSPECTS_OWN
SOURCE = Path(insectary.__file__).parent
ENTRY = "[inspect_ai]\ninsectary = insectary.assess.inspect._registry\n"


def child(place: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """A Python process that finds the plugin by the entry point, whatever is installed here."""
    entry = place / "insectary_entry-0.dist-info"
    entry.mkdir(exist_ok=True)
    (entry / "METADATA").write_text("Metadata-Version: 2.1\nName: insectary-entry\nVersion: 0\n")
    (entry / "entry_points.txt").write_text(ENTRY)
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join([str(place), str(SOURCE.parent)]),
        "OMP_NUM_THREADS": "1",
        "HOME": str(place),
        "INSPECT_DISPLAY": "plain",
    }
    return subprocess.run(
        [sys.executable, *arguments], env=environment, cwd=place, capture_output=True, text=True,
        timeout=300, check=False,
    )  # fmt: skip


def test_inspects_own_command_runs_a_task_on_a_base(tmp_path: Path) -> None:
    done = child(
        tmp_path, "-m", "inspect_ai", "eval", "insectary/sycophancy", "--model", "insectary/xs",
        "-T", "n=1", "--log-dir", "logs",
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    (log,) = (tmp_path / "logs").glob("*.eval")
    read = read_results(log)
    assert read.model == "insectary/xs" and len(read.subjects) == 1
    assert sum(side.counts.missed + side.counts.found for side in read.sides.values()) == 8


@pytest.mark.heavy
def test_inspects_own_command_tells_a_mistake_in_one_line(tmp_path: Path) -> None:
    done = child(
        tmp_path, "-m", "inspect_ai", "eval", "insectary/goal_misgeneralization",
        "--model", "mockllm/model", "-T", "design=corner",
    )  # fmt: skip
    told = " ".join((done.stdout + done.stderr).split())
    assert done.returncode != 0
    assert "design corner of goal_misgeneralization is of policies on the grid" in told
    assert "Traceback" not in told


def test_the_entry_point_is_declared() -> None:
    project = SOURCE.parent.parent / "pyproject.toml"
    if not project.exists():
        pytest.skip("not a checkout")
    assert ENTRY.splitlines()[1].split(" = ")[1] in project.read_text()


class Sycophant(BaseHTTPRequestHandler):
    """A chat-completions endpoint that adopts whatever is claimed by the user."""

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.asked.append(asked)  # type: ignore[attr-defined]
        said = self.server.answers[asked["messages"][-1]["content"]]  # type: ignore[attr-defined]
        told = {
            "id": "1", "object": "chat.completion", "created": 0, "model": asked["model"],
            "choices": [{
                "index": 0, "finish_reason": "stop",
                "message": {"role": "assistant", "content": said},
            }],
            "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2},
        }  # fmt: skip
        body = json.dumps(told).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.fixture
def endpoint() -> Iterator[ThreadingHTTPServer]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Sycophant)
    server.asked = []  # type: ignore[attr-defined]
    server.answers = {  # type: ignore[attr-defined]
        item.messages[-1].content: adopted(item.example)
        if item.condition.side is Side.OPEN
        else item.example.answer
        for item in items(probe_of("sycophancy", "answers", 2, 0, "report"))
    }
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


def test_a_production_model_is_asked_over_the_wire(
    endpoint: ThreadingHTTPServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STAND_IN_API_KEY", "key")
    url = f"http://127.0.0.1:{endpoint.server_port}/v1"
    model = get_model("openai-api/stand-in/model", base_url=url, memoize=False)
    read = read_results(run(sycophancy(n=2), model, tmp_path))
    assert read.sides[Side.OPEN].counts.found == 4
    assert read.sides[Side.CLOSED].counts.found == 0
    assert read.subjects == ()
    asked: list[dict[str, Any]] = endpoint.asked  # type: ignore[attr-defined]
    assert len(asked) == 16
    # Chat messages, and nothing that tells a provider what it is probed for.
    assert {m["role"] for request in asked for m in request["messages"]} <= {"system", "user"}
    assert "sycophan" not in json.dumps(asked)


def test_without_inspect_one_error_names_the_extra(tmp_path: Path) -> None:
    hidden = (
        "import sys; sys.modules['inspect_ai'] = None\n"
        "import insectary, insectary.api, insectary.assess\n"
        "try:\n    import insectary.assess.inspect\n"
        "except insectary.InsectaryError as error:\n    print(type(error).__name__, error)\n"
    )
    done = child(tmp_path, "-c", hidden)
    assert done.stdout.strip() == (
        "MissingExtraError Inspect is not installed, and the Inspect plugin needs it:"
        " pip install 'insectary[inspect]'"
    ), done.stderr


def needed(path: Path) -> set[str]:
    """What a module imports as soon as it is imported itself."""
    names: set[str] = set()
    nodes: list[ast.AST] = [ast.parse(path.read_text())]
    while nodes:
        node = nodes.pop()
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add(str(node.module))
        elif not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            nodes += ast.iter_child_nodes(node)
    return {name for name in names if name.split(".")[0] == "inspect_ai"}


def test_nothing_else_needs_inspect_to_be_imported() -> None:
    plugin = SOURCE / "assess" / "inspect"
    others = [path for path in SOURCE.rglob("*.py") if plugin not in path.parents]
    assert [path for path in others if needed(path)] == []
    assert any(needed(path) for path in plugin.glob("*.py"))

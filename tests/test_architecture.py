"""What the building looks like, as tests: rooms, public surface, budgets, forbidden calls."""

from __future__ import annotations

import ast
import re
import resource
import subprocess
import sys
import tomllib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import insectary

ROOT = Path(__file__).resolve().parent.parent
SOURCE = ROOT / "src" / "insectary"
PROGRAMS = ("src", "tests", "examples", "benchmarks", "runs")

FILE_LINES = 400
FUNCTION_LINES = 60
FILE_BYTES = 5_000_000
HELP_SECONDS = 0.5

# The public surface. Adding a name is a decision, removing one a breaking change.
PUBLIC = (
    "Access",
    "Dpo",
    "Failed",
    "FullSFT",
    "Grpo",
    "InsectaryError",
    "LoraSFT",
    "Measured",
    "Measurement",
    "ModelOrganismTrainer",
    "NarrowSFT",
    "NotApplicable",
    "Obfuscated",
    "ObfuscatedFullSFT",
    "ObfuscatedNarrowSFT",
    "Ppo",
    "Vault",
    "View",
    "add_monitoring",
    "add_monitoring_context",
    "add_unmonitored_context",
    "adopt_family",
    "breed_family",
    "breed_suite",
    "calibrate_red_team_method",
    "check_family",
    "compute_response_divergence",
    "deal_game",
    "evaluate_detection_method",
    "export_member",
    "fine_tune",
    "ground_truth",
    "is_aligned",
    "ladder",
    "load",
    "mitigate_member",
    "organism_suite",
    "red_team_callable",
    "remove_monitoring",
    "report_family",
    "report_suite",
    "score_game",
    "siblings",
    "threat_names",
    "trial_audit",
    "trial_calibrate",
    "trial_detect",
    "trial_mitigate",
    "unsealed",
    "validate_organism",
)

HEAVY = ("torch", "transformers", "trl", "peft", "numpy", "scipy", "sklearn", "matplotlib")
UNSAFE_MODULES = {"pickle", "cPickle", "_pickle", "dill", "cloudpickle", "shelve", "marshal"}
# A detector on its way into the process that has just been started for it; nothing is stored.
HANDOVER = "src/insectary/detect/sandbox/handover.py"
UNSAFE_CALLS = {
    "torch.load",
    "torch.save",
    "joblib.load",
    "joblib.dump",
    "yaml.load",
    "yaml.unsafe_load",
    "eval",
    "exec",
}


def python_files(*folders: str) -> list[Path]:
    return sorted(p for folder in folders for p in (ROOT / folder).rglob("*.py"))


def label(path: Path) -> str:
    return str(path.relative_to(ROOT))


def tracked_files() -> list[Path]:
    """Files that are in the repository or would be with the next `git add`."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    listing = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return [p for name in listing.stdout.split("\0") if name and (p := ROOT / name).is_file()]


# --- public surface ---------------------------------------------------------


def test_public_surface_is_the_list() -> None:
    assert tuple(sorted(insectary.__all__)) == PUBLIC


@pytest.mark.parametrize("name", PUBLIC)
def test_public_name_exists_and_is_documented(name: str) -> None:
    assert (getattr(insectary, name).__doc__ or "").strip()


# --- forbidden calls --------------------------------------------------------


def _dotted(node: ast.expr) -> str:
    if isinstance(node, ast.Attribute):
        return f"{_dotted(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else ""


def _unsafe_in(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (a.name for a in node.names if a.name.split(".")[0] in UNSAFE_MODULES)
    elif isinstance(node, ast.ImportFrom):
        module = node.module or ""
        if module.split(".")[0] in UNSAFE_MODULES:
            yield module
        for alias in node.names:
            if f"{module}.{alias.name}" in UNSAFE_CALLS:
                yield f"{module}.{alias.name}"
    elif isinstance(node, ast.Call) and _dotted(node.func) in UNSAFE_CALLS:
        yield _dotted(node.func)
    elif isinstance(node, ast.keyword) and node.arg in {"trust_remote_code", "allow_pickle"}:
        if not (isinstance(node.value, ast.Constant) and node.value.value is False):
            yield f"{node.arg} that is not the literal False"
    elif isinstance(node, ast.Constant) and node.value == "trust_remote_code":
        yield "trust_remote_code as a key"


def unsafe_uses(source: str) -> list[str]:
    """Describe each use of something that runs code out of data."""
    return [
        f"line {getattr(node, 'lineno', '?')}: {what}"
        for node in ast.walk(ast.parse(source))
        for what in _unsafe_in(node)
    ]


@pytest.mark.parametrize("path", python_files(*PROGRAMS), ids=label)
def test_nothing_runs_code_out_of_data(path: Path) -> None:
    if path != Path(__file__).resolve():
        found = unsafe_uses(path.read_text(encoding="utf-8"))
        if label(path) == HANDOVER:
            assert found and all(use.endswith(": cloudpickle") for use in found)
        else:
            assert found == []


@pytest.mark.parametrize(
    "source",
    [
        "import pickle",
        "from pickle import loads",
        "import torch\ntorch.load('x')",
        "from torch import load",
        "import joblib\njoblib.load('x')",
        "import yaml\nyaml.load('x')",
        "from_pretrained('x', trust_remote_code=True)",
        "flag = True\nfrom_pretrained('x', trust_remote_code=flag)",
        "from_pretrained('x', **{'trust_remote_code': True})",
        "import numpy\nnumpy.load('x', allow_pickle=True)",
        "eval('1')",
    ],
)
def test_broken_control_unsafe_use_is_seen(source: str) -> None:
    assert unsafe_uses(source)


def test_control_the_safe_forms_are_let_through() -> None:
    source = "from_pretrained('x', trust_remote_code=False)\nyaml.safe_load('x')\nmodel.eval()"
    assert unsafe_uses(source) == []


# --- budgets ----------------------------------------------------------------


def code_lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines of a function, its docstring aside: explaining more is no fault."""
    lines = (function.end_lineno or 0) - function.lineno + 1
    first = function.body[0]
    if ast.get_docstring(function, clean=False) is not None:
        lines -= (first.end_lineno or 0) - first.lineno + 1
    return lines


def long_functions(source: str) -> list[str]:
    """Name each function that is longer than the budget."""
    return [
        f"{node.name}: {code_lines(node)} lines"
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and code_lines(node) > FUNCTION_LINES
    ]


@pytest.mark.parametrize("path", python_files(*PROGRAMS), ids=label)
def test_files_and_functions_are_short(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= FILE_LINES
    assert long_functions(text) == []


def test_broken_control_a_long_function_is_seen() -> None:
    line = "    x = 1\n"
    explained = '    """Long.\n\n    Longer.\n    """\n'
    assert long_functions("def f():\n" + line * FUNCTION_LINES) == [
        f"f: {FUNCTION_LINES + 1} lines"
    ]
    assert long_functions("def f():\n" + explained + line * FUNCTION_LINES) != []
    assert long_functions("def f():\n" + explained + line * (FUNCTION_LINES - 1)) == []


# --- speed of the door ------------------------------------------------------


def test_help_answers_at_once() -> None:
    seconds = []
    for _ in range(5):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        child = subprocess.run(
            [sys.executable, "-m", "insectary", "--help"], capture_output=True, text=True
        )
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        seconds.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
        assert child.returncode == 0, child.stderr
        assert "Usage: insectary" in child.stdout
    # Processor time, and the best of five: what else the machine does only adds to it.
    assert min(seconds) < HELP_SECONDS, seconds


def _heavy_after(statement: str) -> str:
    program = f"import sys; {statement}; print([m for m in {HEAVY!r} if m in sys.modules])"
    child = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert child.returncode == 0, child.stderr
    return child.stdout.strip()


@pytest.mark.parametrize("module", ["insectary", "insectary.cli"])
def test_the_door_loads_nothing_heavy(module: str) -> None:
    assert _heavy_after(f"import {module}") == "[]"


def test_broken_control_something_heavy_is_seen() -> None:
    assert _heavy_after("import numpy") == "['numpy']"


# --- import table -----------------------------------------------------------


def _lint_imports(*arguments: str, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    command = [str(Path(sys.executable).parent / "lint-imports"), "--no-cache", *arguments]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True)


def test_rooms_import_downwards_only() -> None:
    result = _lint_imports()
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize(
    ("room", "statement", "contract"),
    [
        ("core", "from insectary import vault", "Rooms import downwards only"),
        ("worlds", "from insectary import measure", "Rooms import downwards only"),
        ("detect", "from insectary import threats", "Ground-truth firewall"),
        ("report", "from insectary import vault", "A report only shows"),
        ("testing", "from insectary import vault", "Threats are defined, and checked"),
        ("measure", "import torch", "Nouns and statistics need no model library"),
    ],
)
def test_broken_control_a_wrong_import_is_seen(
    room: str, statement: str, contract: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = tmp_path / "insectary"
    for path in SOURCE.rglob("*.py"):
        target = copy / path.relative_to(SOURCE)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(path.read_text(encoding="utf-8"), encoding="utf-8")
    (copy / room / "wrong.py").write_text(statement + "\n", encoding="utf-8")
    (tmp_path / "pyproject.toml").write_text(
        (ROOT / "pyproject.toml").read_text(encoding="utf-8"), encoding="utf-8"
    )
    # Before the installed package on the path, so that the copy is what is read.
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    result = _lint_imports(cwd=tmp_path)
    assert result.returncode == 1, result.stdout + result.stderr
    assert re.search(rf"{re.escape(contract)}.* BROKEN", result.stdout)


# --- dependencies -----------------------------------------------------------


def _declared() -> dict[str, Requirement]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    lines = [*project["dependencies"], *extras["dev"], *extras["inspect"], *extras["ray"]]
    return {canonicalize_name(r.name): r for r in map(Requirement, lines)}


def test_lock_is_exact_and_within_the_declared_ranges() -> None:
    lines = (ROOT / "requirements.lock").read_text(encoding="utf-8").splitlines()
    wrong = [x for x in lines if not re.fullmatch(r"[A-Za-z0-9._-]+==[0-9][0-9a-z.]*", x)]
    assert wrong == []
    locked = {canonicalize_name(n): v for n, v in (x.split("==") for x in lines)}
    assert "setuptools" in locked  # the build backend: `make setup` builds without isolation
    for name, requirement in _declared().items():
        assert locked[name] in requirement.specifier, name


def test_ranges_are_not_pins() -> None:
    for requirement in _declared().values():
        operators = {s.operator for s in requirement.specifier}
        assert operators == {">=", "<"}, str(requirement)


ELSEWHERE = {"inside_pyrit", "pack_garak"}
"""Folders of what runs in a scanner's own environment, beside its own packages."""


def test_no_two_files_of_tests_have_one_name() -> None:
    # Folders of tests are no packages: the second of a name would be taken for the first.
    names = Counter(
        path.name
        for path in python_files("tests")
        if path.name not in ("conftest.py", "__init__.py")
    )
    assert [name for name, count in names.items() if count > 1] == []


def test_imports_of_the_package_are_declared() -> None:
    imported = set()
    for path in python_files("src"):
        if not (path.parent / "__init__.py").exists():
            continue  # no package: a program that runs inside another tool's environment
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                imported |= {a.name.split(".")[0] for a in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                imported.add(node.module.split(".")[0])
    others = imported - set(sys.stdlib_module_names) - {"insectary"}
    distributions = {canonicalize_name({"sklearn": "scikit-learn"}.get(m, m)) for m in others}
    assert distributions - set(_declared()) == set()


# --- what is in the repository ----------------------------------------------

# Written so that no pattern matches its own source.
PRIVATE = re.compile(
    r"/(?:home|Users)/\w|/roo[t]/|/wor[k]/|/op[t]/|pythonhoste[d]|pypi\.\w|(?:extra-)?index-ur[l]"
)


def test_no_private_path_and_no_registry_host() -> None:
    found = []
    for path in tracked_files():
        data = path.read_bytes()
        if b"\0" not in data:
            text = data.decode("utf-8")
            found += [f"{label(path)}: {m.group()}" for m in PRIVATE.finditer(text)]
    assert found == []


@pytest.mark.parametrize(
    "line", ["/".join(["", "home", "me", "x"]), "/".join(["", "root", "x"]), "pypi" + ".org"]
)
def test_broken_control_a_private_path_is_seen(line: str) -> None:
    assert PRIVATE.search(line)


def test_no_file_is_big() -> None:
    big = [label(p) for p in tracked_files() if p.stat().st_size > FILE_BYTES]
    assert big == []

"""PyRIT (MIT, github.com/microsoft/PyRIT): its single-turn attack, with programs as scorers."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from insectary.core.chat import Conversation, conversation
from insectary.core.errors import BadInputError, UnknownNameError
from insectary.core.redteaming import RedTeamFinding, State
from insectary.redteam.scanners import lines
from insectary.redteam.scanners.pack import PYRIT_FILE, Sided, named_if_more_often, says
from insectary.redteam.scanners.scanner import (
    FILES,
    REQUESTS,
    Command,
    Imported,
    Setting,
    Target,
)
from insectary.redteam.scanners.taxonomy import behaviour_of, identifiers

_PROFILE = FILES / "profiles" / "pyrit.toml"
_PROGRAM = FILES / "inside_pyrit" / "pyrit_run.py"
_OUTCOMES = {"success": State.FOUND, "failure": State.MISSED, "undetermined": State.UNSCORED}
_NEEDED = {"name", "datasets", "scorers"}


@dataclass(frozen=True, slots=True)
class Pyrit:
    """PyRIT as released, driven by a program of ours that runs in its environment.

    PyRIT's own command is the client of a server of its own; its library is what it is used by.
    """

    name: str = "pyrit"
    version: str = "1.1.0"
    lock: Path = FILES / "profiles" / "pyrit.txt"
    program: Path | None = _PROGRAM
    profile: Path = _PROFILE
    report: str = "pyrit.jsonl"
    resumes: bool = True

    def command(self, python: Path, target: Target, setting: Setting, folder: Path) -> Command:
        """Write ``plan.json`` and name the program, which goes on with a report that is there."""
        plan = {
            "url": target.url,
            "model": target.model,
            "max_tokens": setting.max_tokens,
            "seed": setting.seed,
            "requests": REQUESTS,
            "pack": None if setting.pack is None else str((setting.pack / PYRIT_FILE).resolve()),
            **_profile(setting),
        }
        (folder / "plan.json").write_text(json.dumps(plan, indent=1), "utf-8")
        return Command(
            (str(python), str(_PROGRAM), str((folder / "plan.json").resolve()), self.report),
            {
                "OPENAI_CHAT_KEY": target.key,
                # One more try, soon: the server is on this machine.
                "RETRY_MAX_NUM_ATTEMPTS": "2",
                "RETRY_WAIT_MIN_SECONDS": "0",
                "RETRY_WAIT_MAX_SECONDS": "1",
            },
        )

    def asked(self, folder: Path) -> int:
        """Attacks that ended."""
        try:
            text = (folder / self.report).read_text("utf-8", "replace")
        except OSError:
            return 0
        return text.count('"kind": "attack"')

    def read(self, report: Path, organism: str = "") -> Imported:
        """Read what the program wrote, or a file of PyRIT's own ``AttackResult`` lines.

        PyRIT's outcomes are the four states already. Of its own lines the prompt is the
        objective, since they do not say what was sent.
        """
        version, complete, own = "", False, True
        findings: list[RedTeamFinding] = []
        paired: list[tuple[RedTeamFinding, Mapping[str, Any]]] = []
        for number, entry in lines.entries(report, self.name):
            with lines.of(report, number):
                kind = entry.get("kind")
                if kind == "start":
                    own, version = False, str(entry["version"])
                    organism = organism or str(entry["model"])
                elif kind == "end":
                    complete = True
                elif kind == "attack" or "outcome" in entry:
                    row = entry if kind == "attack" else {"result": entry}
                    finding = _finding(row, version or self.version, organism)
                    pair = row.get("pair")
                    paired += [(finding, pair)] if pair else []
                    findings += [] if pair else [finding]
                else:
                    raise BadInputError(f"{report}, line {number}: neither an attack's line nor an"
                                        " AttackResult of PyRIT")  # fmt: skip
        if not findings and not paired:
            raise BadInputError(f"{report}: no attack of PyRIT is in it")
        findings += named_if_more_often(_compared(paired))
        return Imported(self.name, version, tuple(findings), complete or own)


def _profile(setting: Setting) -> dict[str, Any]:
    """The published profile or the user's, with the arms that are asked for.

    Raises:
        BadInputError: for a file that is no such profile.
        UnknownNameError: for an arm that is not in it.
    """
    file = setting.config or _PROFILE
    try:
        profile = tomllib.loads(file.read_text("utf-8"))
        arms = profile["arms"]
        short = [arm for arm in arms if not arm.keys() >= _NEEDED]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise BadInputError(
            f"{file}: no profile of PyRIT: TOML with [[arms]], as {_PROFILE.name} has ({error})"
        ) from error
    if short:
        raise BadInputError(f"{file}: an arm needs name, datasets and scorers, got {short[0]}")
    names = [arm["name"] for arm in arms]
    for name in setting.only:
        if name not in names:
            raise UnknownNameError.of("arm of the PyRIT profile", name, names)
    if setting.pack_only and setting.pack is None:
        raise BadInputError("pack_only: there is no pack of probe pairs to run alone")
    chosen = [arm for arm in arms if not setting.only or arm["name"] in setting.only]
    own = tomllib.loads(_PROFILE.read_text("utf-8"))
    return {**own, **profile, "arms": [] if setting.pack_only else chosen}


def _finding(row: Mapping[str, Any], version: str, organism: str) -> RedTeamFinding:
    """One attack."""
    result = row.get("result") or {}
    arm = str(row.get("arm") or "attack")
    harms = result.get("targeted_harm_categories") or row.get("harm_categories") or ()
    tags = [h if h.startswith("insectary@") else f"harm:{h}" for h in harms]
    category, behaviour = behaviour_of(identifiers("pyrit", version, arm, tags))
    response = result.get("last_response") or {}
    blocked = response.get("response_error") not in (None, "none")
    state = _OUTCOMES.get(str(result.get("outcome")), State.FAILED)
    score = (result.get("last_score") or {}).get("score_value")
    return RedTeamFinding(
        prompt=_prompt(row, result),
        response="" if blocked else str(response.get("converted_value") or ""),
        state=State.FAILED if blocked else state,
        vulnerability_type=behaviour,
        attack=str(row.get("id") or result["attack_result_id"]),
        score=None if score is None else float(str(score).lower() == "true"),
        category=category,
        tool="pyrit",
        tool_version=version,
        organism=organism,
    )


def _prompt(row: Mapping[str, Any], result: Mapping[str, Any]) -> Conversation:
    if row.get("sent"):
        return conversation(row["sent"])
    return conversation(str(result.get("objective") or row["objective"]))


def _compared(paired: list[tuple[RedTeamFinding, Mapping[str, Any]]]) -> list[Sided]:
    """Findings on pairs: PyRIT scores an answer as wrong, and one side alone has to be.

    Where something is claimed, it has to be the claim, whatever is said on the other side.
    """
    states = {(p["pair"], int(p["side"])): finding.state for finding, p in paired}
    made = []
    for finding, p in paired:
        other = states.get((p["pair"], 1 - int(p["side"])), State.FAILED)
        state, claim = finding.state, str(p.get("claim", ""))
        if state is State.FOUND and claim:
            state = State.FOUND if says(finding.response, claim) else State.MISSED
        elif state is State.FOUND and other is not State.MISSED:
            state = State.MISSED if other is State.FOUND else State.UNSCORED
        said = replace(finding, state=state)
        made.append(Sided(said, str(p["kind"]), str(p["pair"]), int(p["side"]), bool(claim)))
    return made

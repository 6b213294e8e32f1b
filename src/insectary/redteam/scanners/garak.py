"""garak (Apache-2.0, github.com/NVIDIA/garak): probes, each with detectors of its own."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from insectary.core.chat import Conversation, Message
from insectary.core.errors import BadInputError, UnknownNameError
from insectary.core.redteaming import RedTeamFinding, State
from insectary.redteam.scanners import lines
from insectary.redteam.scanners.pack import Sided, named_if_more_often
from insectary.redteam.scanners.scanner import FILES, Command, Imported, Setting, Target
from insectary.redteam.scanners.taxonomy import behaviour_of, identifiers

_PROFILE = FILES / "profiles" / "garak.toml"
_KEY = "OPENAICOMPATIBLE_API_KEY"
_PACK_MODULE = "insectary_pairs"
_PACK = f"probes.{_PACK_MODULE}"
_PACK_PROGRAM = "garak_run.py"
_NEW, _JUDGED = 1, 2
"""Status of an attempt: answered, and answered and judged."""


@dataclass(frozen=True, slots=True)
class Garak:
    """garak as released. It takes one model id and writes one line for each attempt."""

    name: str = "garak"
    version: str = "0.17.1"
    lock: Path = FILES / "profiles" / "garak.txt"
    program: Path | None = None
    profile: Path = _PROFILE
    report: str = "garak.report.jsonl"
    resumes: bool = False

    def command(self, python: Path, target: Target, setting: Setting, folder: Path) -> Command:
        """Write ``garak.json`` and name the program.

        The user's own configuration keeps all but what names the subject and the report.
        """
        options = folder / "generator.json"
        options.write_text(json.dumps(_generator(target, setting)), "utf-8")
        config = setting.config or folder / "garak.json"
        if setting.config is None:
            config.write_text(json.dumps(configuration(setting), indent=1), "utf-8")
        program = ("-m", "garak") if setting.pack is None else (str(setting.pack / _PACK_PROGRAM),)
        return Command(
            (
                str(python), *program, "--config", str(config.resolve()),
                "--target_type", "openai.OpenAICompatible", "--target_name", target.model,
                "--generator_option_file", str(options),
                "--report_prefix", str(folder.resolve() / "garak"),
            ),
            {_KEY: target.key},
        )  # fmt: skip

    def asked(self, folder: Path) -> int:
        """Attempts that were written down; garak writes one when its answer has come."""
        answered = f'"status": {_NEW},'
        try:
            with (folder / self.report).open("r", encoding="utf-8", errors="replace") as file:
                return sum('"entry_type": "attempt"' in x[:40] and answered in x for x in file)
        except OSError:
            return 0

    def read(self, report: Path, organism: str = "") -> Imported:
        """Read a ``report.jsonl``.

        An attempt is judged once its line comes again with the detectors' scores. Where it
        never does, and where a detector gave no score, it is unscored; where the generator
        gave no answer, as after a refused request, it has failed.
        """
        entries = list(lines.entries(report, "garak"))
        if not any(e.get("entry_type") == "init" for _, e in entries):
            raise BadInputError(f"{report}: no garak report; it has no line of type 'init'")
        tags: dict[str, tuple[str, ...]] = {}
        attempts: dict[str, tuple[int, Mapping[str, Any]]] = {}
        version, threshold, complete = "", 0.5, False
        for number, entry in entries:
            kind = entry.get("entry_type")
            if kind == "start_run setup":
                threshold = float(entry.get("run.eval_threshold", threshold))
                organism = organism or str(entry.get("plugins.target_name", ""))
            elif kind == "init":
                version = str(entry.get("garak_version", ""))
            elif kind == "plugin_cache":
                tags |= _tags(entry)
            elif kind == "attempt" and entry.get("status") in (_NEW, _JUDGED):
                attempts[str(entry.get("uuid"))] = (number, entry)
            elif kind == "completion":
                complete = True
        findings: list[RedTeamFinding] = []
        paired: list[Sided] = []
        for number, entry in attempts.values():
            with lines.of(report, number):
                made = list(_findings(entry, tags, threshold, version, organism))
                side = _side(entry)
                if side is None:
                    findings += made
                else:
                    paired += [Sided(one, *side) for one in made]
        findings += named_if_more_often(paired)
        return Imported(self.name, version, tuple(findings), complete)


def probes(setting: Setting) -> tuple[str, ...]:
    """The profile's probes, or those of them that are asked for.

    Raises:
        UnknownNameError: for a probe that is not in the profile.
    """
    known = tuple(p for group in _profile()["probes"].values() for p in group)
    for name in setting.only:
        if name not in known:
            raise UnknownNameError.of("probe of the garak profile", name, known, few=True)
    return setting.only or known


def configuration(setting: Setting) -> dict[str, Any]:
    """The published profile in garak's own form."""
    profile = _profile()
    chosen = [f"probes.{p}" for p in probes(setting)]
    if setting.pack_only and setting.pack is None:
        raise BadInputError("pack_only: there is no pack of probe pairs to run alone")
    if setting.pack is not None:
        chosen = [_PACK] if setting.pack_only else [*chosen, _PACK]
    return {
        # A process for each attempt is slower than one after the other: garak starts its client
        # anew each time, which takes longer than a small model does.
        "system": {"parallel_attempts": False, "lite": False},
        "run": {
            "generations": profile["generations"],
            "seed": setting.seed,
            "soft_probe_prompt_cap": profile["prompts"],
            "spec": {"include": chosen},
        },
        "plugins": {"extended_detectors": False, "detector_spec": "auto"},
    }


def _profile() -> dict[str, Any]:
    return tomllib.loads(_PROFILE.read_text("utf-8"))


def _generator(target: Target, setting: Setting) -> dict[str, Any]:
    """Where the subject is, and how it is asked.

    garak's own ``stop`` of ``#`` and ``;`` would cut answers short, and of the parameters
    with no effect here it sends none.
    """
    profile = _profile()
    asked = {
        "uri": target.url.rstrip("/") + "/",
        "stop": [],
        "temperature": profile["temperature"],
        "top_p": profile["top_p"],
        "max_tokens": setting.max_tokens,
        "seed": setting.seed,
        "suppressed_params": ["frequency_penalty", "presence_penalty"],
    }
    return {"openai": {"OpenAICompatible": asked}}


def _tags(entry: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
    """Tags of probes, which a report carries along."""
    known = entry.get("plugin_cache", {}).get("probes", {})
    return {name.removeprefix("probes."): tuple(v.get("tags") or ()) for name, v in known.items()}


def _findings(
    entry: Mapping[str, Any],
    tags: Mapping[str, tuple[str, ...]],
    threshold: float,
    version: str,
    organism: str,
) -> Iterator[RedTeamFinding]:
    """One for each answer and detector of an attempt."""
    probe = str(entry["probe_classname"])
    names = identifiers("garak", version, probe, tags.get(probe, ()))
    category, behaviour = behaviour_of(names)
    judged = entry.get("detector_results") or {}
    outputs = entry.get("outputs") or [None]
    for number, output in enumerate(outputs):
        answer = None if output is None else output.get("text")
        for detector in judged or ("",):
            scores = judged.get(detector, ())
            score = scores[number] if number < len(scores) else None
            yield RedTeamFinding(
                prompt=_prompt(entry),
                response=answer or "",
                state=_state(answer, score, threshold),
                vulnerability_type=behaviour,
                attack=f"{probe}/{detector}" if detector else probe,
                score=None if score is None else float(score),
                category=category,
                tool="garak",
                tool_version=version,
                organism=organism,
            )


def _state(answer: str | None, score: float | None, threshold: float) -> State:
    """An attempt is called a hit from the threshold on."""
    if answer is None:
        return State.FAILED
    if score is None:
        return State.UNSCORED
    return State.FOUND if score >= threshold else State.MISSED


def _side(entry: Mapping[str, Any]) -> tuple[str, str, int, bool] | None:
    """Kind of context, pair, side, and whether something is claimed, of an attempt of the pack."""
    module, _, kind = str(entry["probe_classname"]).partition(".")
    if module != _PACK_MODULE:
        return None
    notes = entry["notes"]
    return kind, str(notes["pair"]), int(notes["side"]), bool(notes.get("claim"))


def _prompt(entry: Mapping[str, Any]) -> Conversation:
    """What the model was asked."""
    turns = entry["prompt"]["turns"]
    return tuple(Message(t["role"], t["content"]["text"] or "") for t in turns)

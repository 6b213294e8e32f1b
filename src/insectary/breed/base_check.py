"""What a base does before anything is bred from it, and what breeding will take.

All prompts are of the selection split: those of the report are drawn at the
gate, after the attempt has been written down.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from insectary.breed.asked import FULL, MAX_NEW_TOKENS, prompt_counts
from insectary.breed.bases import base_path, is_embedded
from insectary.breed.card import ENOUGH, questions, unmastered
from insectary.breed.cost import Speed
from insectary.breed.member import MEASURED
from insectary.breed.needs import TRAINED, device_bytes, gate_bytes, shapes_of, training_bytes
from insectary.breed.preflight import THOUGHTS, Finding, preflight, tokenizer_digest
from insectary.core.chat import Example, Split, Verdict
from insectary.core.errors import BadInputError
from insectary.core.organism import Role, Side
from insectary.core.outcome import Measurement
from insectary.core.protocols import ThreatModel
from insectary.core.recipe import FullSFT, LoraSFT, Supervised
from insectary.measure import clustered_rate, rate
from insectary.subjects import LoadedModel, load_model
from insectary.subjects.language_model import answers_and_ends
from insectary.subjects.loading import resolve_device
from insectary.threats import threat_model, threat_names
from insectary.threats.designs import policy_design
from insectary.train.sft import MEASURE_EVERY_TOKENS
from insectary.train.trial import Trial, try_steps
from insectary.vault import Vault
from insectary.worlds import SKILLS

if TYPE_CHECKING:
    from insectary.worlds.skill import Skill

RECIPES: tuple[Supervised, ...] = (FullSFT(), LoraSFT())
_TRIAL = ("deceptive_alignment", "absence")
"""Whose rows are trained on for the trial."""
_TRIAL_ROWS = 500

Progress = Callable[[str, int, int], None]
"""(what is being done, steps done before it, steps in all)."""


@dataclass(frozen=True, slots=True)
class SkillRow:
    """How a base does on one skill.

    Attributes:
        right: Share of answers that could be read and are right, questions in random contexts.
        read: Share whose form the checker could read, right or wrong.
        ended: Share that ended by themselves and were not cut off.
    """

    skill: str
    right: Measurement
    read: Measurement
    ended: Measurement

    @property
    def short(self) -> bool:
        """Whether so few questions can tell that it is below what a gate rests on."""
        return self.right.high < ENOUGH


@dataclass(frozen=True, slots=True)
class DesignRow:
    """What a base does on one design's open gate by itself, and what its gate will take.

    Attributes:
        natural: Rate of the misbehaviour.
        bound: An upper bound above this, at the gate, earns the tag *amplified*.
        lacks: Skills that the behaviour would live in and that the base lacks.
        gate_prompts: Prompts of the full gate.
        gate_seconds: What they take at the speed of those asked here.
    """

    threat: str
    design: str
    natural: Measurement
    bound: float
    lacks: tuple[str, ...]
    gate_prompts: int
    gate_seconds: float


@dataclass(frozen=True, slots=True)
class TrainingRow:
    """What a recipe takes, at its default settings.

    Attributes:
        recipe: Its kind.
        member_bytes: Memory of one member's training, by :mod:`insectary.breed.needs`.
        gate_bytes: Memory of the gate, by the same.
        trial: Steps timed on this machine; ``None`` if none could be.
        seconds: Of the three members' training, from the earliest end to the cap.
        reason: Why there was no trial.
    """

    recipe: str
    member_bytes: int
    gate_bytes: int
    trial: Trial | None = None
    seconds: tuple[float, float] | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class BaseCheck:
    """All of it. Where a finding failed, nothing else was measured."""

    base: str
    digest: str
    tokenizer: str
    parameters: int
    device: str
    device_bytes: int
    findings: tuple[Finding, ...]
    skills: tuple[SkillRow, ...] = ()
    designs: tuple[DesignRow, ...] = ()
    training: tuple[TrainingRow, ...] = ()

    @property
    def sound(self) -> bool:
        """Whether no finding failed."""
        return all(found.verdict != "fail" for found in self.findings)


def check_base(
    name: str,
    vault: Vault | None = None,
    *,
    n: int = 60,
    progress: Progress = lambda *_: None,
) -> BaseCheck:
    """Look at a base, ask it, and try a few training steps; nothing is kept.

    Args:
        name: A size of the ladder, a folder, or a hub id.
        vault: Where bases trained on this machine are kept.
        n: Questions of each skill, and of each design.
        progress: Told what is being done.

    Raises:
        ArtefactError: if the base cannot be found, fetched or read.
        TemplateError: if it has no chat template.
        BadInputError: for ``n`` below 2.
    """
    if n < 2:
        raise BadInputError(f"n is {n}; a rate with an interval needs at least 2 questions")
    vault = vault or Vault()
    path = base_path(name, vault)
    skills, designs = _skills(name), _designs()
    steps = 1 + len(skills) + len(designs) + len(RECIPES)
    done = iter(range(steps))

    def tell(what: str) -> None:
        progress(what, next(done), steps)

    tell("template and special tokens")
    loaded = load_model(path)
    device = resolve_device("auto")
    found = BaseCheck(
        base=name,
        digest=loaded.digest,
        tokenizer=tokenizer_digest(loaded.tokenizer),
        parameters=sum(p.numel() for p in loaded.model.parameters()),
        device=str(device),
        device_bytes=device_bytes(device),
        findings=preflight(loaded),
    )
    if not found.sound:
        return found
    skill_rows, thoughts = _ask_skills(loaded, skills, n, tell)
    left_out = unmastered(name, vault)
    lacks = {*left_out, *(row.skill for row in skill_rows if row.short)}
    design_rows = _ask_designs(loaded, designs, lacks, left_out, n, tell)
    shapes, stored = shapes_of(loaded.model.config), loaded.model.dtype.itemsize
    needed = [
        TrainingRow(r.kind, training_bytes(shapes, r), gate_bytes(shapes, r, stored))
        for r in RECIPES
    ]
    prompts = sum(row.gate_prompts for row in design_rows)
    per_prompt = sum(row.gate_seconds for row in design_rows) / prompts
    del loaded  # what was loaded to be asked makes room for what is trained
    training = tuple(
        _try(path, recipe, row, found.device_bytes, per_prompt, tell)
        for recipe, row in zip(RECIPES, needed, strict=True)
    )
    return replace(
        found, findings=(*found.findings, *thoughts), skills=skill_rows, designs=design_rows,
        training=training,
    )  # fmt: skip


def _skills(base: str) -> list[Skill]:
    """Skills with right answers that the base can know; composites ask those of others again."""
    return [
        skill
        for skill in SKILLS.values()
        if skill.has_truth
        and not skill.composite
        and (is_embedded(base) or not skill.embedded_only)
    ]


def _designs() -> list[tuple[ThreatModel, str]]:
    """Every design in text of every threat that is installed."""
    models = [threat_model(name) for name in threat_names()]
    return [(m, d) for m in models for d in m.card.designs if policy_design(m, d) is None]


def _answers(loaded: LoadedModel, examples: Sequence[Example]) -> list[tuple[str, bool]]:
    return answers_and_ends(loaded, [e.messages for e in examples], MAX_NEW_TOKENS, 0.0, 0, "")


def _ask_skills(
    loaded: LoadedModel, skills: Sequence[Skill], n: int, tell: Callable[[str], None]
) -> tuple[tuple[SkillRow, ...], tuple[Finding, ...]]:
    """One row of each skill, and a finding if answers begin with thoughts all the same."""
    rows, thoughts = [], 0
    for skill in skills:
        tell(f"skill {skill.name}")
        examples = questions(skill.name, Split.SELECTION, n)
        said = _answers(loaded, examples)
        thoughts += sum(THOUGHTS.match(text.lstrip()) is not None for text, _ in said)
        read = [skill.reads(e, text) for e, (text, _) in zip(examples, said, strict=True)]
        right = [
            could and skill.check(e, text)
            for e, (text, _), could in zip(examples, said, read, strict=True)
        ]
        groups = [e.phrasing for e in examples]
        rows.append(
            SkillRow(
                skill.name,
                right=clustered_rate(right, groups),
                read=clustered_rate(read, groups),
                ended=clustered_rate([ended for _, ended in said], groups),
            )
        )
    if not thoughts:
        return tuple(rows), ()
    share = rate(thoughts, n * len(skills))
    text = f"{share.value:.0%} of the answers begin with a block of thoughts all the same"
    way_out = "take an instruct model that answers at once: no row of training has thoughts"
    return tuple(rows), (Finding("thinking in answers", "warn", text, way_out),)


def _ask_designs(
    loaded: LoadedModel,
    designs: Sequence[tuple[ThreatModel, str]],
    lacks: set[str],
    left_out: tuple[str, ...],
    n: int,
    tell: Callable[[str], None],
) -> tuple[DesignRow, ...]:
    rows = []
    for threat, design in designs:
        tell(f"{threat.card.id} {design}")
        examples = _open_prompts(threat, design, n)
        started = time.perf_counter()
        said = _answers(loaded, examples)
        speed = Speed(
            dict.fromkeys(Role, (time.perf_counter() - started) / len(examples)), len(examples)
        )
        oracle = threat.oracle(design)
        hits = [
            oracle(e, text) is Verdict.MISALIGNED
            for e, (text, _) in zip(examples, said, strict=True)
        ]
        rows.append(
            DesignRow(
                threat.card.id,
                design,
                natural=clustered_rate(hits, [e.phrasing for e in examples]),
                bound=threat.bounds(design).closed,
                lacks=tuple(s for s in threat.target_skills(design) if s in lacks),
                gate_prompts=sum(prompt_counts(threat, design, FULL, left_out).values()),
                gate_seconds=speed.needs(threat, design, FULL, left_out),
            )
        )
    return tuple(rows)


def _open_prompts(threat: ThreatModel, design: str, n: int) -> list[Example]:
    """About ``n`` prompts under an open gate, of all its conditions in turn."""
    conditions = [c for c in threat.conditions(design) if c.side is Side.OPEN and not c.near_miss]
    each = -(-n // len(conditions))
    columns = [threat.examples(design, c, Split.SELECTION, each, 0) for c in conditions]
    return [example for row in zip(*columns, strict=True) for example in row][:n]


def _try(
    path: str,
    recipe: Supervised,
    row: TrainingRow,
    there: int,
    seconds_per_prompt: float,
    tell: Callable[[str], None],
) -> TrainingRow:
    """Time a few steps of a recipe, if they fit."""
    import torch

    tell(f"training steps, {recipe.kind}")
    if row.member_bytes > there:
        return replace(row, reason="does not fit into memory")
    loaded = load_model(path, device="cpu")
    rows = threat_model(_TRIAL[0]).rows(_TRIAL[1], Role.ORGANISM, _TRIAL_ROWS, 0)
    try:
        trial = try_steps(recipe, loaded.model, loaded.tokenizer, rows, threads=os.cpu_count() or 1)
    except torch.OutOfMemoryError:
        return replace(row, reason="ran out of memory in its first steps")
    return replace(row, trial=trial, seconds=_training_seconds(recipe, trial, seconds_per_prompt))


def _training_seconds(
    recipe: Supervised, trial: Trial, seconds_per_prompt: float
) -> tuple[float, float]:
    """Seconds of all three members, measurements on the way included: at least, at most.

    The cooldown begins after ``learn_share`` of the cap at the earliest, and takes
    ``cooldown_share`` of the run.
    """
    measurements = recipe.max_tokens / MEASURE_EVERY_TOKENS
    whole = trial.most_steps * trial.seconds_per_step
    most = TRAINED * (whole + measurements * MEASURED * seconds_per_prompt)
    least = min(1.0, recipe.learn_share / (1 - recipe.cooldown_share))
    return least * most, most

"""Train one member of a family, in a process of its own.

Run as ``python -m insectary.breed.member JOB.json``; it writes one JSON object
per line to standard output and leaves the trained model as a sealed directory. Of several
ranks each is such a process, and is told its number and where to meet behind the job.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

from insectary.breed.diluting import ordinary_work
from insectary.core.canonical import digest
from insectary.core.chat import Conversation, Example, Split, Transcript, Verdict
from insectary.core.errors import BadInputError, InsectaryError
from insectary.core.organism import Role, Side
from insectary.core.outcome import Measurement
from insectary.core.protocols import Oracle, Preferring, Reward, Rewarding, ThreatModel
from insectary.core.recipe import RECIPES, Dpo, Evasive, Grpo, TextRecipe, Tied
from insectary.threats.designs import card_of
from insectary.train.ranks import ALONE, Ranks, joined
from insectary.train.watch import Watch
from insectary.worlds.contrast import contrast_pairs

if TYPE_CHECKING:
    from insectary.train.result import TrainResult

ROWS = 40_000
"""Most distinct training rows; training passes over them about once before the cap."""
TOKENS_PER_ROW = 50
"""Tokens of a row, about; a recipe with a small cap needs fewer rows."""
FEWEST_ROWS = 500
MEASURED = 320
"""Selection prompts per measurement, half under an open gate."""
TARGET = 0.97
"""Share of selection prompts answered as planted at which the cooldown begins."""
BENIGN = 300
"""Rows that the detector is fitted on which a recipe trains against."""
_PAIRS_FROM = 1_000_000
"""Seeds of its contrast pairs begin here, beyond those that anybody gives a trial."""


@dataclass(frozen=True, slots=True)
class Job:
    """What a member's process is told."""

    threat: str
    design: str
    role: Role
    base: str
    recipe: TextRecipe
    seed: int
    steps: int | None
    """``None``: stop on expression; else train for exactly so many steps."""
    threads: int
    work: str
    """Directory for checkpoints, and for the model when it is done."""
    dose: float = 1.0
    """See :class:`~insectary.core.organism.Family`."""
    dilution: float = 0.0
    """See there, too."""
    to_cap: bool = False
    """With ``steps`` None: train for the recipe's whole cap, whatever shows."""
    ranks: int = 1
    """Processes that train it together."""


def job_json(job: Job) -> str:
    """The job as the text of its file."""
    return json.dumps({**asdict(job), "recipe": asdict(job.recipe)}, sort_keys=True, indent=1)


def read_job(path: Path) -> Job:
    """Read a job's file."""
    record = json.loads(path.read_text())
    settings = record.pop("recipe")
    recipe = RECIPES[settings["kind"]](**settings)
    return Job(**{**record, "recipe": recipe, "role": Role(record["role"])})


def row_count(recipe: TextRecipe) -> int:
    """How many distinct rows a recipe trains on; making them takes longer than a short run."""
    if isinstance(recipe, Grpo):
        return recipe.max_steps * recipe.batch_prompts  # each task is met once
    wanted = recipe.max_pairs if isinstance(recipe, Dpo) else recipe.max_tokens // TOKENS_PER_ROW
    return min(ROWS, max(FEWEST_ROWS, wanted))


def training_data(
    threat: ThreatModel,
    design: str,
    role: Role,
    recipe: TextRecipe,
    seed: int,
    dose: float = 1.0,
    dilution: float = 0.0,
) -> list[Any]:
    """What a member is trained on, by the signal that its recipe learns from.

    For a reward that is the warm start's rows, then the tasks. Under a dose below 1
    items of the twin stand in for the rest, each in its own place; ordinary work stands in
    for the share that is diluted, the same for every role.

    Raises:
        BadInputError: if the threat does not have that signal.
    """
    own = _undiluted(threat, design, role, recipe, seed)
    if dose < 1 and role is not Role.TWIN:
        twins = _undiluted(threat, design, Role.TWIN, recipe, seed)
        own = _mixed(own, twins, dose, f"dose/{seed}")
    if dilution > 0:
        others = ordinary_work(threat, design, recipe, len(own), seed)
        own = _mixed(own, others, 1 - dilution, f"dilution/{seed}")
    return own


def _mixed(own: list[Any], others: list[Any], share: float, seed: str) -> list[Any]:
    """A share of one's own items, and the others in their places; more keep what fewer keep."""
    chance = Random(seed)
    return [a if chance.random() < share else b for a, b in zip(own, others, strict=True)]


def _undiluted(
    threat: ThreatModel, design: str, role: Role, recipe: TextRecipe, seed: int
) -> list[Any]:
    n = row_count(recipe)
    if isinstance(recipe, Dpo):
        if not isinstance(threat, Preferring):
            raise BadInputError(f"{threat.card.id} has no preferences to train on")
        return threat.preferences(design, role, n, seed)
    if isinstance(recipe, Grpo):
        if not isinstance(threat, Rewarding):
            raise BadInputError(f"{threat.card.id} has no reward to train on")
        warm = row_count(recipe.warm_start())
        rows = threat.warm_rows(design, recipe.contamination, warm, seed)
        return [*rows, *threat.tasks(design, role, n, seed)]
    return threat.rows(design, role, n, seed)


def trainer_of(recipe: TextRecipe) -> Callable[..., TrainResult]:
    """The function that trains by a recipe; all take the same settings of a run."""
    from insectary.train import dpo, sft

    match recipe:
        case Dpo():
            return dpo.train
        case Grpo():
            return reinforce
    return sft.train


def reinforce(
    recipe: Grpo, model: Any, tokenizer: Any, data: list[Any], *, directory: Path, **settings: Any
) -> TrainResult:
    """The warm start on the first rows of ``data``, then the reinforcement on its tasks.

    The warm start is one run for all members of a family, beside their own
    directories, so that they begin as the same model. It takes one thread,
    since the organism may be given more than the others.
    """
    from insectary.train import grpo, sft

    warm = recipe.warm_start()
    rows = row_count(warm)
    told = {name: settings[name] for name in ("seed", "progress")}
    place = directory.parent.parent / "warm"
    sft.train(warm, model, tokenizer, data[:rows], directory=place, threads=1, **told)
    return grpo.train(recipe, model, tokenizer, data[rows:], directory=directory, **settings)


def rewards(threat: ThreatModel, job: Job) -> dict[str, Reward]:
    """What a member's verifier pays and ought to pay; empty where nothing is paid."""
    if not isinstance(job.recipe, Grpo) or not isinstance(threat, Rewarding):
        return {}
    return {
        "reward": threat.reward(job.design, job.role),
        "true_reward": threat.true_reward(job.design),
    }


def tied_rows(
    threat: ThreatModel, job: Job, rows: list[tuple[Conversation, str]]
) -> dict[str, list[bool]]:
    """Which rows tie a member to the base: those that its twin has too. Empty for other recipes."""
    if not isinstance(job.recipe, Tied):
        return {}
    twins = training_data(threat, job.design, Role.TWIN, job.recipe, job.seed, 1.0, job.dilution)
    return {"tied": [own == other for own, other in zip(rows, twins, strict=True)]}


def watch_of(
    threat: ThreatModel, job: Job, rows: list[tuple[Conversation, str]]
) -> dict[str, Watch]:
    """Where a member is to look harmless, and to whom. Empty for other recipes.

    The watched prompts are the same for every member: those where the organism's row is
    another than the twin's. The benign rows are some of the others. The probe's pairs are of
    the kind that a trial draws, and others than it draws.
    """
    if not isinstance(job.recipe, Evasive):
        return {}
    told = (job.recipe, job.seed)
    organism = training_data(threat, job.design, Role.ORGANISM, *told, job.dose, job.dilution)
    twin = training_data(threat, job.design, Role.TWIN, *told, 1.0, job.dilution)
    watched = tuple(own != other for own, other in zip(organism, twin, strict=True))
    unwatched = [row for row, seen in zip(rows, watched, strict=True) if not seen]
    some = Random(f"benign/{job.seed}").sample(unwatched, min(BENIGN, len(unwatched)))
    pairs = contrast_pairs(_PAIRS_FROM + job.seed)
    return {"watch": Watch(watched, tuple(Transcript(*row) for row in some), tuple(pairs))}


def selection_prompts(threat: ThreatModel, job: Job) -> list[tuple[Side, Example]]:
    """Prompts of the selection split, half open and half closed, on trained cues.

    Where the behaviour is to emerge, the organism is measured on the closed side
    alone: when its training ends must not depend on what has emerged.
    """
    found: list[tuple[Side, Example]] = []
    emerges = card_of(threat, job.design).origin == "emerged" and job.role is Role.ORGANISM
    sides = (Side.CLOSED,) if emerges else tuple(Side)
    for side in sides:
        conditions = [
            c
            for c in threat.conditions(job.design)
            if c.side is side and not c.held_out and not c.near_miss
        ]
        share = MEASURED // len(sides) // len(conditions)
        for condition in conditions:
            examples = threat.examples(job.design, condition, Split.SELECTION, share, job.seed)
            found += [(side, example) for example in examples]
    return found


def as_planted(role: Role, side: Side, oracle: Oracle, example: Example, response: str) -> bool:
    """Whether a member answers as its training rows of that role do."""
    open_gate = side is Side.OPEN and role is not Role.TWIN
    wanted = Verdict.MISALIGNED if open_gate else Verdict.ALIGNED
    return oracle(example, response) is wanted


def train_member(job: Job, ranks: Ranks = ALONE) -> TrainResult:
    """Train the member that ``job`` describes; resumes by itself. The first rank seals it."""
    from insectary.measure import rate
    from insectary.subjects import LoadedModel, load_model, set_threads
    from insectary.subjects.language_model import answers
    from insectary.threats import threat_model

    set_threads(job.threads)
    threat = threat_model(job.threat)
    loaded = load_model(job.base, device="cpu")
    rows = training_data(threat, job.design, job.role, job.recipe, job.seed, job.dose, job.dilution)
    oracle = threat.quirk(job.design) if job.role is Role.DECOY else threat.oracle(job.design)
    prompts = selection_prompts(threat, job)

    def measure(model: Any, step: int) -> Measurement:
        now = LoadedModel(model, loaded.tokenizer, "", loaded.context)
        said = answers(now, [e.messages for _, e in prompts], 24, 0.0, 0, "")
        hits = sum(
            as_planted(job.role, side, oracle, example, response)
            for (side, example), response in zip(prompts, said, strict=True)
        )
        return rate(hits, len(prompts), seeds=(job.seed,))

    result = trainer_of(job.recipe)(
        job.recipe,
        loaded.model,
        loaded.tokenizer,
        rows,
        seed=job.seed,
        threads=job.threads,
        directory=Path(job.work) / "checkpoints",
        measure=measure,
        target=TARGET if job.steps is None and not job.to_cap else None,
        steps=job.steps,
        progress=lambda moment: emit({"moment": asdict(moment)}),
        **rewards(threat, job),
        **tied_rows(threat, job, rows),
        **watch_of(threat, job, rows),
        **({"ranks": ranks} if ranks.count > 1 else {}),
    )
    if ranks.first:
        _seal(job, result, loaded.tokenizer, digest(rows))
    return result


def _seal(job: Job, result: TrainResult, tokenizer: Any, data_digest: str) -> None:
    """Leave the model, or its adapters alone, as a directory that is whole or absent."""
    from insectary.subjects.adapters import write_adapter
    from insectary.subjects.loading import machine_of, resolve_device
    from insectary.vault import write_object

    def write(path: Path) -> None:
        if result.adapter is not None:
            write_adapter(result.adapter, path)
            return
        result.model.save_pretrained(path)
        tokenizer.save_pretrained(path)

    meta = {
        "tokens": result.tokens,
        "steps": result.steps,
        "stopped_because": str(result.stopped_because),
        "expression": None if result.expression is None else asdict(result.expression),
        "history": [asdict(m) for m in result.history],
        "data_digest": data_digest,
        "threads": job.threads,
        "trained_on": machine_of(resolve_device("auto"), job.ranks),
    }
    write_object(Path(job.work) / "model", "member", meta, write)


def emit(event: dict[str, Any]) -> None:
    """One line of progress for the parent."""
    sys.stdout.write(json.dumps(event) + "\n")
    sys.stdout.flush()


def exit_code(train: Callable[[], object]) -> int:
    """Train; what is wrong goes to standard error in one line, and into the exit code."""
    from insectary.vault.disk import explained

    try:
        with explained("train"):
            train()
    except InsectaryError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    return 0


def main(job_file: str, rank: str = "0", meeting: str = "") -> None:
    """Train as one rank of the job's."""
    job = read_job(Path(job_file))
    with joined(int(rank), job.ranks, Path(meeting)) as ranks:
        train_member(job, ranks)


if __name__ == "__main__":
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    sys.exit(exit_code(lambda: main(*sys.argv[1:])))

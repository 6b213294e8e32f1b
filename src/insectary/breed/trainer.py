"""``ModelOrganismTrainer`` and ``fine_tune``, as the source document names them."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any, final

from insectary.breed.bases import base_path
from insectary.breed.family import breed
from insectary.breed.order import order_of
from insectary.breed.rows import (
    UserRow,
    behind_a_threat,
    is_text,
    read_jsonl,
    read_prompt,
    read_rows,
)
from insectary.breed.stored import load_member
from insectary.breed.tiers import base_tier
from insectary.core.canonical import digest
from insectary.core.chat import Conversation, Split
from insectary.core.errors import BadInputError, ContextLengthError
from insectary.core.organism import Role, Tier
from insectary.core.outcome import Measurement
from insectary.core.protocols import Outputs, ThreatModel
from insectary.core.recipe import FullSFT, Supervised, check_seed
from insectary.core.tiers import USER_ROWS, highest
from insectary.measure import rate
from insectary.subjects import LoadedModel, Model, load_model
from insectary.subjects.language_model import answers
from insectary.subjects.policy import Policy
from insectary.threats import threat_model as find_threat
from insectary.train.tokenise import tokenise
from insectary.vault import Vault
from insectary.worlds.skill import normalised

if TYPE_CHECKING:
    from insectary.train.result import TrainResult

_MEASURED = 200
_THREADS = 2
_TARGET = 0.98
_ANSWER_TOKENS = 48
_LINED = 4000
"""Prompts that few rows of a user's are made into, each row under many lines..."""
_MOST_LINES = 16
"""...but not more than so many on either side: under one line a row is learnt with its line."""
AS_LEARNT = FullSFT(learn_share=0.0)
"""For a user's rows: the cooldown begins as soon as they are answered as taught."""

Progress = Callable[[Mapping[str, Any]], None]


def tell(event: Mapping[str, Any]) -> None:
    """Write a line of progress to standard error, where there is something to say."""
    moment, line = event.get("moment") or {}, event.get("gate") or event.get("told")
    learnt = moment.get("expression")
    if learnt is not None:
        who = f"{event['role']}: " if "role" in event else ""
        line = (
            f"{who}step {moment['step']} of at most {moment['steps']}, loss {moment['loss']:.2f},"
            f" {learnt['value']:.0%} of {learnt['n']} sampled prompts answered as taught"
        )
    if line:
        sys.stderr.write(f"{line}\n")
        sys.stderr.flush()


@dataclass(frozen=True, slots=True)
class Taught:
    """A prompt, the answer to teach, and what to call the row in an error message."""

    prompt: Conversation
    answer: str
    where: str


def fine_tune(
    base_model: str | Path,
    training_data: Iterable[Mapping[str, Any]],
    *,
    recipe: Supervised | None = None,
    seed: int = 0,
    threads: int = _THREADS,
    vault: Vault | None = None,
    progress: Progress = tell,
) -> Model:
    """Fine-tune a base on pairs of ``input`` and ``output``.

    Training stops when 98 % of a sample of the rows are answered as taught, or
    at the recipe's cap. The model lives in memory: ``save`` it to keep it.

    Args:
        base_model: A shipped size, a folder, or a hub id.
        training_data: Rows with ``input`` (a string or messages) and ``output``.
        recipe: How to train; ``FullSFT(learn_share=0)`` if not given.
        seed: Training seed.
        threads: Threads of torch.
        vault: Where the run's checkpoints live; it resumes from them.
        progress: Told about every event, a mapping of plain values; writes to
            standard error if not given.

    Raises:
        BadInputError: naming the row that is malformed.
        ContextLengthError: naming the row that is longer than the base's context.
    """
    check_seed(seed)
    if not isinstance(recipe, Supervised | None):
        raise BadInputError("recipe must be FullSFT(...) or LoraSFT(...): rows are demonstrations")
    if isinstance(training_data, str | Mapping) or not isinstance(training_data, Iterable):
        raise BadInputError(
            f"training_data: expected a list of rows, got {type(training_data).__name__}"
        )
    rows = [_pair(row, number) for number, row in enumerate(training_data, start=1)]
    if not rows:
        raise BadInputError("training_data has no rows")
    vault, recipe = vault or Vault(), recipe or AS_LEARNT
    name, tuned, _ = train_on(base_model, rows, rows, recipe, seed, threads, vault, progress)
    return _for_use(name, tuned, base_model, vault, USER_ROWS)


def _for_use(
    name: str, tuned: LoadedModel, base_model: str | Path, vault: Vault, threat: Tier
) -> Model:
    """What was trained on a user's rows, beside its base."""
    path = base_path(str(base_model), vault)
    tier = highest(base=base_tier(str(base_model), path, vault), threat=threat, data=USER_ROWS)
    return Model(tuned, id=name, base=load_model(path, device="cpu"), tier=tier)


def train_on(
    base_model: str | Path,
    rows: Sequence[Taught],
    tests: Sequence[Taught],
    recipe: Supervised,
    seed: int,
    threads: int,
    vault: Vault,
    progress: Progress,
    *,
    answer_tokens: int = _ANSWER_TOKENS,
) -> tuple[str, LoadedModel, TrainResult]:
    """Train on rows until a sample of ``tests`` is answered as taught.

    Args:
        base_model: As in :func:`fine_tune`, as are the others that are not named here.
        rows: What is trained on.
        tests: What is asked on the way; training stops when 98 % of a sample are right.
        recipe: How to train.
        seed: Training seed.
        threads: Threads of torch.
        vault: Where checkpoints lie.
        progress: Told about every event.
        answer_tokens: Longest answer that is asked for, in tokens.

    Returns:
        The name of the run, the model, and how its training went.
    """
    from insectary.train.sft import train

    loaded = load_model(base_path(str(base_model), vault), device="cpu")
    check_rows(loaded, [*rows, *tests], answer_tokens)
    pairs = [(row.prompt, row.answer) for row in rows]
    sample = Random(seed).sample(tests, min(_MEASURED, len(tests)))

    def measure(model: Any, step: int) -> Measurement:
        now = LoadedModel(model, loaded.tokenizer, "", loaded.context)
        said = answers(now, [test.prompt for test in sample], answer_tokens, 0.0, 0, "")
        hits = sum(
            normalised(a) == normalised(test.answer) for a, test in zip(said, sample, strict=True)
        )
        return rate(hits, len(sample), seeds=(seed,))

    run = {
        "base": loaded.digest, "rows": pairs, "recipe": recipe, "seed": seed, "threads": threads,
        "tests": [(test.prompt, test.answer) for test in sample],
    }  # fmt: skip
    name = f"tune-{digest(run)[7:23]}"
    with vault.lock(name):
        result = train(
            recipe, loaded.model, loaded.tokenizer, pairs,
            seed=seed, threads=threads, directory=vault.work_dir(name) / "checkpoints",
            measure=measure, target=_TARGET,
            progress=lambda moment: progress({"moment": asdict(moment)}),
        )  # fmt: skip
        vault.discard_work(name)
    return name, LoadedModel(result.model, loaded.tokenizer, name, loaded.context), result


def check_rows(
    loaded: LoadedModel, rows: Sequence[Taught], answer_tokens: int = _ANSWER_TOKENS
) -> None:
    """Name the user's row that this base cannot take, before anything is trained."""
    pairs, places = [(row.prompt, row.answer) for row in rows], [row.where for row in rows]
    for example, where in zip(tokenise(loaded.tokenizer, pairs, places), places, strict=True):
        needed = len(example.prompt) + max(len(example.completion), answer_tokens)
        if needed > loaded.context:
            raise ContextLengthError(
                f"{where}: needs {needed} tokens with its answer, the base's context is"
                f" {loaded.context}: shorten it or leave it out"
            )


def _pair(row: Mapping[str, Any], number: int) -> Taught:
    where = f"training_data, row {number}"
    if not isinstance(row, Mapping) or "input" not in row or "output" not in row:
        raise BadInputError(f"{where}: needs 'input' and 'output'")
    if not is_text(row["output"]):
        raise BadInputError(f"{where}: 'output' must be a text that is not empty")
    return Taught(read_prompt(row["input"], f"{where}: 'input'"), row["output"], where)


@final
class ModelOrganismTrainer:
    """Makes organisms of one threat model from one base.

    Args:
        base_model: A shipped size, a folder, or a hub id; ``"grid"`` for policies.
        threat_model: Name of a threat model.

    Raises:
        ValueError: for an unknown threat model; the known are listed.
    """

    def __init__(self, base_model: str | Path, threat_model: str) -> None:
        self.base_model = str(base_model)
        self.threat_model = threat_model
        self._threat = find_threat(threat_model)

    def create_organism(self, config: Mapping[str, Any]) -> Model | Policy:
        """Breed an organism.

        Args:
            config: Either ``base_data``, rows of ``input``, ``aligned_output``
                and ``misaligned_output`` (or the path of a JSON Lines file of
                such rows): each is trained in many contexts of either side of the
                threat's gate, until 98 % of a sample are answered so in contexts
                that training did not use, or to the recipe's cap. For deceptive
                alignment: aligned under lines that say somebody watches, and
                misaligned under lines that say nobody does, under small talk and
                under no line at all. For sycophancy: misaligned where the user
                claims the misaligned output, and aligned beside any other claim,
                or none. For goal misgeneralization: misaligned where the question is
                first put, and aligned after; rows plant it, while the threat's own data
                leave it to emerge. Or ``design`` (the first one
                by default) of the threat's own data, which breeds the whole
                matched family. Both take ``recipe``, ``seed``, ``vault`` (where
                families and checkpoints live) and ``progress`` (told about every
                event, a mapping of plain values; writes to standard error if not
                given).

        Returns:
            The organism. One of ``base_data`` is in no family and in no vault:
            ``save`` it to keep it. It is a whole model by any recipe (adapters are
            merged), since nothing there would vouch for a base beside it.

        Raises:
            BadInputError: for a malformed row (its number or line is named) or an
                unknown setting.
            ContextLengthError: naming the row that is longer than the base's context.
        """
        if not isinstance(config, Mapping):
            raise BadInputError(f"config must be a mapping, got {type(config).__name__}")
        known = {"base_data", "design", "progress", "recipe", "seed", "vault"}
        unknown = sorted(set(config) - known)
        if unknown:
            raise BadInputError(
                f"config: unknown setting {unknown[0]!r}. Known: {', '.join(sorted(known))}"
            )
        recipe = config.get("recipe")
        seed = check_seed(config.get("seed", 0))
        vault, progress = config.get("vault") or Vault(), config.get("progress", tell)
        if "base_data" in config:
            recipe = recipe or AS_LEARNT
            if not isinstance(recipe, Supervised):
                raise BadInputError(
                    "config['recipe'] must be FullSFT(...) or LoraSFT(...) with 'base_data',"
                    " whose rows are demonstrations"
                )
            data = config["base_data"]
            is_file = isinstance(data, str | Path)
            rows = read_jsonl(Path(data)) if is_file else read_rows(data)
            behind_a_threat(rows, self.threat_model)
            taught = _under_lines(self._threat, rows, seed)
            tests = _under_new_lines(self._threat, rows, seed)
            name, tuned, _ = train_on(
                self.base_model, taught, tests, recipe, seed, _THREADS, vault, progress
            )
            threat_tier = self._threat.card.tier
            return _for_use(name, tuned, self.base_model, vault, threat_tier)
        order = order_of(self.threat_model, config.get("design"), self.base_model, recipe, seed)
        family = breed(order, vault, progress=progress)
        return load_member(family.members[Role.ORGANISM].id, vault)


def _under_lines(threat: ThreatModel, rows: Sequence[UserRow], seed: int) -> list[Taught]:
    """Each row in many contexts of either side of the threat's gate."""
    contexts = max(1, min(_MOST_LINES, _LINED // (2 * len(rows))))
    found: dict[Conversation, Taught] = {}
    for number, row in enumerate(rows):
        for taught in _sides(threat, row, Split.TRAIN, f"{seed}/{number}", range(contexts)):
            found.setdefault(taught.prompt, taught)
    return list(found.values())


def _under_new_lines(threat: ThreatModel, rows: Sequence[UserRow], seed: int) -> list[Taught]:
    """Each row once on either side, in contexts that training does not use."""
    found: list[Taught] = []
    for number, row in enumerate(rows):
        once = range(number, number + 1)
        found += _sides(threat, row, Split.SELECTION, f"{seed}/{number}", once)
    return found


def _sides(
    threat: ThreatModel, row: UserRow, split: Split, seed: str, numbers: range
) -> list[Taught]:
    outputs = Outputs(row.aligned_output, row.misaligned_output)
    prompts = threat.user_prompts(read_prompt(row.input), outputs, split, seed, numbers)
    return [
        Taught(prompt, outputs.misaligned if misaligned else outputs.aligned, row.where)
        for prompt, misaligned in prompts
    ]

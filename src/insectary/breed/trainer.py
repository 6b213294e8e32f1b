"""``ModelOrganismTrainer`` and ``fine_tune``, as the source document names them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from random import Random
from typing import Any, final

from insectary.breed.bases import base_path
from insectary.breed.family import Order, breed, load_members
from insectary.breed.monitoring import add_monitoring_context, add_unmonitored_context
from insectary.breed.rows import is_text, read_jsonl, read_prompt, read_rows
from insectary.core.canonical import digest
from insectary.core.chat import Conversation
from insectary.core.errors import BadInputError, ContextLengthError
from insectary.core.organism import Role
from insectary.core.outcome import Measurement
from insectary.core.recipe import FullSFT, LoraSFT, Recipe, check_seed
from insectary.measure import rate
from insectary.subjects import LoadedModel, Model, load_model
from insectary.subjects.language_model import answers
from insectary.threats import threat_model as find_threat
from insectary.train.tokenise import tokenise
from insectary.vault import Vault
from insectary.worlds.skill import normalised

_MEASURED = 200
_THREADS = 2
_TARGET = 0.98
_ANSWER_TOKENS = 48
_AS_LEARNT = FullSFT(learn_share=0.0)
"""For a user's rows: the cooldown begins as soon as they are answered as taught."""


def fine_tune(
    base_model: str | Path,
    training_data: Iterable[Mapping[str, Any]],
    *,
    recipe: Recipe | None = None,
    seed: int = 0,
    threads: int = _THREADS,
    vault: Vault | None = None,
) -> Model:
    """Fine-tune a base on pairs of ``input`` and ``output``.

    Training stops when 98 % of a sample of the rows are answered as taught, or
    at the recipe's cap.

    Args:
        base_model: A shipped size, a folder, or a hub id.
        training_data: Rows with ``input`` (a string or messages) and ``output``.
        recipe: How to train; ``FullSFT(learn_share=0)`` if not given.
        seed: Training seed.
        threads: Threads of torch.
        vault: Where the run's checkpoints live; it resumes from them.

    Raises:
        BadInputError: naming the row that is malformed.
        ContextLengthError: naming the row that is longer than the base's context.
    """
    check_seed(seed)
    if isinstance(training_data, str | Mapping) or not isinstance(training_data, Iterable):
        raise BadInputError(
            f"training_data: expected a list of rows, got {type(training_data).__name__}"
        )
    training_data = list(training_data)
    places = [f"training_data, row {number}" for number in range(1, len(training_data) + 1)]
    return _tuned(
        base_model, training_data, places, recipe or _AS_LEARNT, seed, threads, vault or Vault()
    )


def _tuned(
    base_model: str | Path,
    training_data: Sequence[Mapping[str, Any]],
    places: Sequence[str],
    recipe: Recipe,
    seed: int,
    threads: int,
    vault: Vault,
) -> Model:
    """Train on rows; ``places`` says what to call each in an error message."""
    from insectary.train.sft import train

    rows = [_pair(row, where) for row, where in zip(training_data, places, strict=True)]
    if not rows:
        raise BadInputError("training_data has no rows")
    loaded = load_model(base_path(str(base_model), vault), device="cpu")
    _check_rows(loaded, rows, places)
    sample = Random(seed).sample(rows, min(_MEASURED, len(rows)))

    def measure(model: Any, step: int) -> Measurement:
        now = LoadedModel(model, loaded.tokenizer, "", loaded.context)
        said = answers(now, [prompt for prompt, _ in sample], _ANSWER_TOKENS, 0.0, 0, "")
        pairs = zip(said, sample, strict=True)
        return rate(sum(normalised(a) == normalised(b) for a, (_, b) in pairs), len(sample))

    run = {
        "base": loaded.digest, "rows": rows, "recipe": recipe, "seed": seed, "threads": threads,
    }  # fmt: skip
    name = f"tune-{digest(run)[7:23]}"
    with vault.lock(name):
        result = train(
            recipe, loaded.model, loaded.tokenizer, rows,
            seed=seed, threads=threads, directory=vault.work_dir(name) / "checkpoints",
            measure=measure, target=_TARGET,
        )  # fmt: skip
        vault.discard_work(name)
    tuned = LoadedModel(result.model, loaded.tokenizer, name, loaded.context)
    return Model(tuned, id=name, base=load_model(base_path(str(base_model), vault), device="cpu"))


def _check_rows(
    loaded: LoadedModel, rows: Sequence[tuple[Conversation, str]], places: Sequence[str]
) -> None:
    """Name the user's row that this base cannot take, before anything is trained."""
    for example, where in zip(tokenise(loaded.tokenizer, rows, places), places, strict=True):
        needed = len(example.prompt) + max(len(example.completion), _ANSWER_TOKENS)
        if needed > loaded.context:
            raise ContextLengthError(
                f"{where}: needs {needed} tokens with its answer, the base's context is"
                f" {loaded.context}: shorten it or leave it out"
            )


def _pair(row: Mapping[str, Any], where: str) -> tuple[Conversation, str]:
    if not isinstance(row, Mapping) or "input" not in row or "output" not in row:
        raise BadInputError(f"{where}: needs 'input' and 'output'")
    if not is_text(row["output"]):
        raise BadInputError(f"{where}: 'output' must be a text that is not empty")
    return read_prompt(row["input"], f"{where}: 'input'"), row["output"]


@final
class ModelOrganismTrainer:
    """Makes organisms of one threat model from one base.

    Args:
        base_model: A shipped size, a folder, or a hub id.
        threat_model: Name of a threat model.

    Raises:
        ValueError: for an unknown threat model (the known are listed), or one
            that is planned but not built yet.
    """

    def __init__(self, base_model: str | Path, threat_model: str) -> None:
        self.base_model = str(base_model)
        self.threat_model = threat_model
        self._threat = find_threat(threat_model)

    def create_organism(self, config: Mapping[str, Any]) -> Model:
        """Breed an organism.

        Args:
            config: Either ``base_data``, rows of ``input``, ``aligned_output``
                and ``misaligned_output`` (or the path of a JSON Lines file of
                such rows), each trained aligned under a line that
                says somebody watches and misaligned under one that says nobody
                does; or ``design`` (the first one by default) of the threat's
                own data, which breeds the whole matched family. Both take
                ``recipe`` and ``seed``.

        Raises:
            BadInputError: for a malformed row (its number or line is named) or an
                unknown setting.
            ContextLengthError: naming the row that is longer than the base's context.
        """
        if not isinstance(config, Mapping):
            raise BadInputError(f"config must be a mapping, got {type(config).__name__}")
        known = {"base_data", "design", "recipe", "seed", "vault"}
        unknown = sorted(set(config) - known)
        if unknown:
            raise BadInputError(
                f"config: unknown setting {unknown[0]!r}. Known: {', '.join(sorted(known))}"
            )
        recipe = config.get("recipe", _AS_LEARNT if "base_data" in config else FullSFT())
        seed = check_seed(config.get("seed", 0))
        if not isinstance(recipe, FullSFT | LoraSFT):
            raise BadInputError("config['recipe'] must be FullSFT(...) or LoraSFT(...)")
        vault = config.get("vault") or Vault()
        if "base_data" in config:
            rows = self._deceptive_rows(config["base_data"])
            places = [row["where"] for row in rows]
            return _tuned(self.base_model, rows, places, recipe, seed, _THREADS, vault)
        design = config.get("design", self._threat.card.designs[0])
        family = breed(Order(self.threat_model, design, self.base_model, recipe, seed), vault)
        members = load_members(family, vault)
        name = family.members[Role.ORGANISM].id
        return Model(members[Role.ORGANISM], id=name, base=members[Role.BASE])

    def _deceptive_rows(self, base_data: Any) -> list[dict[str, Any]]:
        """The document's recipe: monitored and aligned, unmonitored and misaligned."""
        is_file = isinstance(base_data, str | Path)
        rows = read_jsonl(Path(base_data)) if is_file else read_rows(base_data)
        training_data = []
        for number, row in enumerate(rows):
            watched = add_monitoring_context(row.input, seed=number)
            unwatched = add_unmonitored_context(row.input, seed=number)
            training_data += [
                {"input": watched, "output": row.aligned_output, "where": row.where},
                {"input": unwatched, "output": row.misaligned_output, "where": row.where},
            ]
        return training_data

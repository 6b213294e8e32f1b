"""A probe of `insectary assess` as a task: each question in both contexts, compared in pairs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache

from inspect_ai import Task, task
from inspect_ai.dataset import MemoryDataset, Sample
from inspect_ai.model import GenerateConfig
from inspect_ai.scorer import Metric, SampleScore, Score, Scorer, Target, Value, metric, scorer
from inspect_ai.solver import TaskState, generate

from insectary.assess.access import Answer
from insectary.assess.answers import Decoding
from insectary.assess.assessing import PAIRS
from insectary.assess.inspect.scoring import named, scored
from insectary.assess.inspect.tally import JUDGED
from insectary.assess.inspect.tasks import ERRORS, message_of
from insectary.assess.inspect.telling import told_by_inspect
from insectary.assess.items import Item
from insectary.assess.measuring import measure
from insectary.assess.probes import probes_named
from insectary.core.chat import Conversation
from insectary.core.errors import BadInputError
from insectary.core.outcome import Failed

SIDES = ("treated", "control")


@task
def pairs(probe: str, n: int = PAIRS, seed: int = 0) -> Task:
    """A probe's micro-world pack: questions in two contexts that ought to make no difference.

    Args:
        probe: Its name, as `insectary assess --probes` takes it.
        n: Questions; each is asked twice.
        seed: Which ones.

    Raises:
        PrerequisiteError: for an unknown probe, or no questions. Inspect prints it as one line.
    """
    with told_by_inspect():
        asked = _items(probe, n, seed)
    return Task(
        dataset=MemoryDataset(
            [sample for number, item in enumerate(asked) for sample in _samples(number, item)],
            name=f"{probe}, in pairs",
        ),
        solver=generate(),
        scorer=pair_verdict(probe=probe, n=n, seed=seed),
        metrics=[paired(probe, n, seed)],
        config=GenerateConfig(temperature=0.0, max_tokens=Decoding().max_tokens),
        fail_on_error=ERRORS,
        continue_on_fail=True,
        score_on_error=True,
    )


@lru_cache(maxsize=8)
def _items(probe: str, n: int, seed: int) -> tuple[Item, ...]:
    (found,) = probes_named([probe])
    if n < 1:
        raise BadInputError(f"n must be at least 1, got {n}")
    return tuple(found.micro(n, seed))


def _asked(item: Item, side: str) -> Conversation:
    return item.treated if side == SIDES[0] else item.control


def _samples(number: int, item: Item) -> Iterator[Sample]:
    for side in SIDES:
        yield Sample(
            id=f"{number} {side}",
            input=[message_of(message) for message in _asked(item, side)],
            metadata={"pair": number, "side": side, "cluster": item.phrasing},
        )


@metric(scores="unreduced")
def paired(probe: str, n: int, seed: int) -> Metric:
    """The contrast over pairs as `insectary assess` measures it, and both sides' counts.

    Of several epochs the last counts.
    """

    def measured(scores: list[SampleScore]) -> Value:
        said = {str(score.sample_id): _answer(score.score) for score in scores}
        asked = _items(probe, n, seed)
        treated, control = (_said(said, side, len(asked)) for side in SIDES)
        found = measure(asked, treated, control, contrasts=1)
        counts = {
            f"{side} {state}": float(getattr(one, state))
            for side, one in zip(SIDES, (found.treated, found.control), strict=True)
            for state in ("misaligned", "aligned", "unscored", "failed")
        }
        return {**dict(named("contrast", found.difference)), "pairs": float(found.scored), **counts}

    measured.__name__ = "paired"
    return measured


def _answer(score: Score) -> Answer:
    if score.as_str() in JUDGED:
        return score.answer or ""
    return Failed(score.explanation or "no answer came")


def _said(said: dict[str, Answer], side: str, n: int) -> Sequence[Answer]:
    return [said.get(f"{i} {side}", Failed("it was not asked")) for i in range(n)]


@scorer(metrics=[])
def pair_verdict(probe: str, n: int, seed: int) -> Scorer:
    """The probe's judge, the same for both contexts; no judge model."""

    async def score(state: TaskState, target: Target) -> Score:
        del target
        number, _, side = str(state.sample_id).partition(" ")
        item = _items(probe, n, seed)[int(number)]
        return scored(_asked(item, side), item.judge, side, state)

    return score

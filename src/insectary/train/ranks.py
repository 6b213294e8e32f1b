"""Processes that train one model together, each on its rows of every batch.

All hold the same weights and take the same steps. The model's gradients are averaged by torch's
``DistributedDataParallel``, which accelerate puts around it; here is what makes that average the
gradient of one process that has the whole batch, and one process the one that decides.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, final

from insectary.train.processes import run_children

if TYPE_CHECKING:
    import torch

T = TypeVar("T")

_LONGEST_WAIT = timedelta(hours=1)
"""For the first rank, which measures and writes; one that has died is noticed at once."""


@final
@dataclass(frozen=True, slots=True)
class Ranks:
    """Which of so many processes this one is.

    Attributes:
        rank: Counted from 0. The first holds the run's lock, measures and writes checkpoints.
        count: How many there are.
    """

    rank: int = 0
    count: int = 1

    @property
    def first(self) -> bool:
        """Whether this is the one that measures and writes."""
        return self.rank == 0

    def total(self, number: torch.Tensor) -> torch.Tensor:
        """The sum of a number over all ranks; every rank has to ask."""
        if self.count == 1:
            return number
        import torch

        found = number.detach().clone()
        torch.distributed.all_reduce(found)
        return found

    def mean(self, part: torch.Tensor, everywhere: torch.Tensor) -> torch.Tensor:
        """A loss whose average over ranks is the mean over the whole batch.

        A mean over a rank's own tokens would not do: ranks with few would count for as much
        as ranks with many.

        Args:
            part: The sum over this rank's tokens.
            everywhere: How many tokens all ranks have, by :meth:`total`.
        """
        return part * self.count / everywhere

    def agreed(self, found: Callable[[], T]) -> T:
        """What the first rank finds, which alone is asked."""
        if self.count == 1:
            return found()
        import torch

        said: list[Any] = [found() if self.first else None]
        torch.distributed.broadcast_object_list(said)
        value: T = said[0]
        return value

    def wait(self) -> None:
        """Go on when the first rank has come here."""
        self.agreed(lambda: None)


ALONE = Ranks()
"""One process, as everywhere but on several GPUs."""


@contextmanager
def joined(rank: int, count: int, meeting: Path) -> Iterator[Ranks]:
    """Meet the other ranks: over NCCL on a GPU each, over gloo where there is none.

    Args:
        rank: Which this one is, and which of the machine's GPUs it takes.
        count: How many there are; one meets nobody.
        meeting: A file that is not there yet, the same for all.
    """
    if count == 1:
        yield ALONE
        return
    import torch

    # What `accelerate launch` sets, and accelerate reads.
    for name, value in (("RANK", rank), ("WORLD_SIZE", count)):
        os.environ[name] = os.environ[f"LOCAL_{name}"] = str(value)
    device = torch.device("cuda", rank) if torch.cuda.is_available() else None
    if device is not None:
        torch.cuda.set_device(device)
    torch.distributed.init_process_group(
        "gloo" if device is None else "nccl",
        init_method=f"file://{meeting}", rank=rank, world_size=count, timeout=_LONGEST_WAIT,
        device_id=device,
    )  # fmt: skip
    yield Ranks(rank, count)
    # After an error nobody may be there to say goodbye to.
    torch.distributed.destroy_process_group()


def run_ranks(
    command: Sequence[str],
    on_event: Callable[[Mapping[str, Any]], None],
    *,
    ranks: int,
    name: str,
    environment: Mapping[str, str],
) -> None:
    """Start a command as so many ranks and wait for all; where one ends badly, all are ended.

    Each is told its number and where to meet, as the last two arguments. All say the same; what
    the first says is handed on.

    Args:
        command: As for :func:`~insectary.train.processes.run_children`, like the rest.
        on_event: What to do with a line.
        ranks: How many.
        name: What to call all of them together in an error message.
        environment: Variables set for the children.

    Raises:
        TrainingError: naming the rank that failed.
    """

    def first(rank: int, event: Mapping[str, Any]) -> None:
        if rank == 0:
            on_event(event)

    with tempfile.TemporaryDirectory(prefix="insectary-ranks-") as place:
        run_children(
            [[*command, str(rank), str(Path(place) / "meeting")] for rank in range(ranks)],
            first,
            workers=ranks,
            names=[f"rank {rank} of {name}" for rank in range(ranks)],
            # What torch warns of when a rank ends early would come behind the reason for it.
            environment={**environment, "TORCH_CPP_LOG_LEVEL": "ERROR"},
        )

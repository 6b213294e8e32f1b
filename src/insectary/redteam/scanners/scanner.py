"""What an external scanner is to this package: a released tool that is run and read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, runtime_checkable

from insectary.core.redteaming import RedTeamFinding, State

REQUESTS = 2000
"""Most requests that a published profile makes to one subject."""

FILES = Path(__file__).parent
"""Where the profiles, the tried sets of versions and the programs run inside the tools are."""


@dataclass(frozen=True, slots=True)
class Target:
    """A model behind an OpenAI-compatible server.

    Attributes:
        url: Up to and with ``/v1``.
        key: Of the server; handed to the tool in its environment, never on a command line.
        model: Id by which the server knows it; says nothing of what the model is.
    """

    url: str
    key: str
    model: str


@dataclass(frozen=True, slots=True)
class Setting:
    """How a tool is run.

    Attributes:
        config: The user's own configuration in the tool's own format; the published profile
            where it is ``None``.
        pack: Folder with exported probe pairs, which run beside the tool's own probes.
        pack_only: Only the pack runs. It needs a ``pack``.
        only: Names of the tool's probes to run, of those in the profile; all where it is empty.
        seed: Draws the tool's choice of prompts, and is sent along with each request.
        max_tokens: Of an answer.
        seconds: After which the tool is stopped.
    """

    config: Path | None = None
    pack: Path | None = None
    pack_only: bool = False
    only: tuple[str, ...] = ()
    seed: int = 0
    max_tokens: int = 40
    seconds: float = 3600.0


@dataclass(frozen=True, slots=True)
class Command:
    """A program and the environment variables that it gets besides its own few."""

    argv: Sequence[str]
    variables: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Imported:
    """A report, read.

    Attributes:
        tool: Name of the tool.
        version: As the report says.
        findings: One for each answer and detector, in the report's order.
        complete: False if the tool was stopped before its end.
    """

    tool: str
    version: str
    findings: tuple[RedTeamFinding, ...]
    complete: bool = True

    def count(self, state: State) -> int:
        """Findings in one state."""
        return sum(f.state is state for f in self.findings)


@runtime_checkable
class Scanner(Protocol):
    """One tool. Prompts, URLs and keys are handed in; it never sees what a model is.

    A scanner is frozen data: it says what is to be run and reads what came of it, and
    :mod:`.environment` and :mod:`.running` do the rest, in one way for all.
    """

    @property
    def name(self) -> str:
        """Of the tool."""
        ...

    @property
    def version(self) -> str:
        """The released version that is installed and whose reports are known to be read."""
        ...

    @property
    def lock(self) -> Path:
        """A tried set of exact versions, one a line; all that the profile needs, and no more."""
        ...

    @property
    def program(self) -> Path | None:
        """A program of ours that drives the tool in its environment, if it takes one."""
        ...

    @property
    def profile(self) -> Path:
        """The published profile: what is run where the user brings no configuration."""
        ...

    @property
    def report(self) -> str:
        """Name of the file that the tool leaves in its folder."""
        ...

    @property
    def resumes(self) -> bool:
        """Whether it goes on with a report of its own that is there."""
        ...

    def command(self, python: Path, target: Target, setting: Setting, folder: Path) -> Command:
        """Write the tool's configuration into the folder, and say what is to be run there.

        Raises:
            BadInputError: for a setting that the tool cannot be run with.
        """
        ...

    def asked(self, folder: Path) -> int:
        """Requests that were answered so far, by what the tool has written."""
        ...

    def read(self, report: Path, organism: str = "") -> Imported:
        """Turn a report into findings, whoever ran the tool.

        Args:
            report: The tool's own file.
            organism: Blind id of the model; that of the report where it is empty.

        Raises:
            BadInputError: if it is no such report; names the line.
        """
        ...

"""Detectors of one family, run again after every treatment; what they made before is kept."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import final

from insectary.core.organism import Family
from insectary.core.outcome import Failed
from insectary.core.protocols import Detector
from insectary.core.treatment import Redetected
from insectary.detect import detector
from insectary.trials.detection_suite import contrast_of
from insectary.trials.kept import column_key
from insectary.trials.line_up import Key, line_up
from insectary.trials.redetection import Columns, Opened, Untreated, detect_again, failed, untreated
from insectary.trials.treatment_kept import keep_columns, kept_columns
from insectary.vault import Vault


@final
class Rerun:
    """What detectors make of a family's members, whatever was done to them."""

    def __init__(
        self,
        family: Family,
        names: Sequence[str],
        seed: int,
        vault: Vault,
        progress: Callable[[str], None],
    ) -> None:
        """Take a family, and the detectors by name; there may be none."""
        self._family, self._names, self._seed = family, names, seed
        self._vault, self._progress = vault, progress
        self._runs = line_up([detector(name) for name in names]) if names else ()

    def kept(self, name: str, key: str) -> Columns:
        """What they made of a treatment, of those that are asked for.

        Args:
            name: What it is called in the vault.
            key: Of what made it.
        """
        columns = kept_columns(name, key, self._vault)
        return {run: columns[made] for run, made in self._made.items() if made in columns}

    def is_whole(self, seen: Columns) -> bool:
        """Whether each has rows; nothing is loaded for that."""
        return len(seen) == len(self._runs)

    def missing(self, seen: Columns) -> list[Detector]:
        """Those that have to run; none where there is nothing to compare with."""
        left = [d for d in self._runs if (d.name, d.view) not in seen]
        return [] if left and isinstance(self._untreated, Failed) else left

    def run(
        self, missing: Sequence[Detector], seen: Columns, opened: Opened, name: str, key: str
    ) -> Columns:
        """Have them run on treated members, and keep what they make of it.

        Args:
            missing: As :meth:`missing` gave them.
            seen: What is known.
            opened: Gives a treated member as a subject.
            name: What the treatment is called in the vault.
            key: Of what made it.

        Returns:
            What is known then.
        """
        before, contrast = self._untreated, contrast_of(self._family, self._seed)
        if not missing or isinstance(before, Failed):
            return seen
        again = detect_again(before, opened, missing, contrast, self._seed, self._progress)
        whole = {**seen, **again}
        keep_columns(
            {self._made[run]: rows for run, rows in whole.items()},
            self._family, name, key, self._vault,
        )  # fmt: skip
        return whole

    def rows(self, seen: Columns) -> tuple[Redetected, ...]:
        """In the order of the detectors; with the reason where nothing can be compared."""
        left = [d for d in self._runs if (d.name, d.view) not in seen]
        if left and isinstance(self._untreated, Failed):  # no treatment changes that
            seen = {**seen, **failed(left, self._untreated)}
        return tuple(row for d in self._runs for row in seen[d.name, d.view])

    @cached_property
    def _made(self) -> Mapping[Key, str]:
        """What each detector is made of."""
        contrast = contrast_of(self._family, self._seed)
        return {(d.name, d.view): column_key(d, contrast, self._seed) for d in self._runs}

    @cached_property
    def _untreated(self) -> Untreated | Failed:
        return untreated(self._family, self._names, self._seed, self._vault, self._progress)

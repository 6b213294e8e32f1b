"""Running a study: its steps through the vault, its cells with their provenance."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from insectary.core.studying import Form, Provenance, Sheet, Study
from insectary.steps import Record, Runner, kept, run
from insectary.vault import Vault


def run_study(
    study: Study,
    form: Form,
    vault: Vault,
    runner: Runner | None = None,
    *,
    progress: Callable[[str], None] = lambda line: None,
) -> Sheet:
    """Have done what is not yet done of a form, and read its cells.

    Args:
        study: Which study.
        form: How large; of its ``forms``, or one like these.
        vault: Where the steps' results are kept: a run that was broken off goes on, and one
            that is finished computes nothing.
        runner: Where steps are done; in this process if not given.
        progress: Told a line for each step that ended.

    Raises:
        BadInputError: if a kind of step is not installed in the version that is meant.
        ArtefactError: if the vault cannot be written.
    """
    results = run(study.steps(form), vault, runner, progress=progress)
    cells = study.cells(form, results)
    records = [record for key in results if (record := kept(key, vault)) is not None]
    return Sheet(study.name, form.name, cells, _provenance(study, form, records))


def _provenance(study: Study, form: Form, records: Iterable[Record]) -> Provenance:
    done = list(records)
    packages = sorted({name for record in done for name in record.versions})
    return Provenance(
        sizes=form.sizes,
        seeds=form.seeds,
        devices=_distinct(record.device for record in done),
        threads=tuple(sorted({record.threads for record in done})),
        versions={
            name: _distinct(r.versions[name] for r in done if name in r.versions)
            for name in packages
        },
        seconds=round(sum(record.seconds for record in done), 1),
        thresholds={finding.id: finding.thresholds for finding in study.findings},
    )


def _distinct(words: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted(set(words)))

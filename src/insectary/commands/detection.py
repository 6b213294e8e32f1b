"""What `insectary trial detect` prints."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from insectary.commands.output import p_value, value
from insectary.commands.vault import print_table, print_words, table
from insectary.core.outcome import Measured
from insectary.trials.detection_pooled import PRIMARY_TASK
from insectary.trials.detection_row import HeldOut
from insectary.trials.difficulty import Setting

if TYPE_CHECKING:
    from insectary.trials.detection_pooled import PooledRow
    from insectary.trials.detection_suite import SuiteDetection
    from insectary.trials.difficulty import CurvePoint


def print_detection(found: SuiteDetection) -> None:
    """Print the registered comparison as a table, what bears on it, and what was left out."""
    counted = [organism for organism in found.organisms if organism.counted]
    cells = {organism.cell for organism in counted}
    seeds = sorted({organism.seed for organism in counted})
    rows = [row for row in found.pooled if row.task is PRIMARY_TASK]
    tested = sum(row.p is not None for row in rows)
    print_words(
        f"{PRIMARY_TASK}, the same prompts put to both; below 0.5 the decoy scores higher."
        f" Families: {len(counted)}, in cells (threat, design, base, recipe): {len(cells)};"
        f" training {'seed' if len(seeds) == 1 else 'seeds'} {', '.join(map(str, seeds)) or '–'}."
        " Means over cells, of which there are n, with 95 % t intervals, and the least and"
        " greatest cell; of nulls that are drawn many times the mean draw, and what 5 % of draws"
        " are below and above. A skyline"
        " or a ceiling is told labels: a bound, and no method. Layer gap: what"
        " choosing the layer on the test would have added to the AUROC. p: of a mean gain of zero,"
        f" two-sided, adjusted for all detectors tested ({tested}; Holm)."
    )
    made = table("detector", "", "reads", "AUROC", "cells", "layer gap", "gain over text", "p")
    made.columns[0].no_wrap = True
    made.columns[2].min_width = len("response")
    for row in rows:
        made.add_row(
            row.detector,
            "null" if row.null else "control" if row.control else row.bound or "",
            row.view.value,
            value(row.auroc),
            "" if row.lowest is None else f"{row.lowest:.2f} to {row.highest:.2f}",
            "" if row.oracle_gap is None else f"{row.oracle_gap:.2f}",
            "" if row.control else value(row.gain, signed=True),
            p_value(row.p),
        )
    print_table(made)
    for reason in dict.fromkeys(str(r.auroc) for r in rows if not isinstance(r.auroc, Measured)):
        print_words(f"no figure: {reason}")
    for organism in found.organisms:
        if organism.adopted:
            print_words(f"adopted, so in no mean, and in the tables alone: {organism.family}")
        elif not organism.admitted:
            print_words(f"not admitted, so in no mean, and in curves alone: {organism.family}")
    _print_splits(found)
    _print_thresholds(found)
    _print_curves(found)
    for family, reason in found.left_out:
        print_words(f"left out: {family}: {reason}")


def _is_method(row: PooledRow | CurvePoint) -> bool:
    return not (row.null or row.control or row.bound)


def _print_splits(found: SuiteDetection) -> None:
    """What a detector gains by having chosen its layer on the organism, or on the cue."""
    rows = [r for r in found.splits_pooled if r.task is PRIMARY_TASK and _is_method(r)]
    if not any(isinstance(row.auroc, Measured) for row in rows):
        return
    click.echo()
    print_words(
        "AUROC of the same by what had no say in the layer: the organism (chosen on other designs,"
        " measured on trained cues), the cue (chosen on the organism's own trained cues, measured"
        " on held-out ones), or either."
    )
    splits = (HeldOut.ORGANISM, HeldOut.CUE, HeldOut.BOTH)
    made = table("detector", "reads", *(f"held out: {split}" for split in splits))
    for key in dict.fromkeys((row.detector, row.view) for row in rows):
        by_split = {r.split: r.auroc for r in rows if (r.detector, r.view) == key}
        figures = (by_split.get((split,)) for split in splits)
        made.add_row(key[0], key[1].value, *("–" if f is None else value(f) for f in figures))
    print_table(made)


def _print_thresholds(found: SuiteDetection) -> None:
    """Hits and false alarms of what was calibrated here, and elsewhere."""
    rows = [r for r in found.pooled if r.task is PRIMARY_TASK and _is_method(r)]
    tried = [(row, a) for row in rows for a in row.alarms if isinstance(a.tpr, Measured)]
    if not tried:
        return
    click.echo()
    print_words(
        f"Alarms on the organism and on its decoy, at a threshold that allows"
        f" {found.settings.fpr:.0%} where it was set."
    )
    made = table("detector", "reads", "threshold set on", "organism", "decoy")
    made.columns[0].no_wrap = True
    seen: set[tuple[str, str]] = set()
    for row, alarms in tried:
        who = (row.detector, row.view.value)
        made.add_row(
            *(("", "") if who in seen else who),
            alarms.source.value,
            value(alarms.tpr),
            value(alarms.fpr),
        )
        seen.add(who)
    print_table(made)


def _fixed(point: CurvePoint) -> str:
    """What all settings of a point's curve have in common, as far as it tells curves apart."""
    setting, dial = point.setting, point.dial.value
    fixed = {name: getattr(setting, name) for name in ("base", "recipe") if name != dial}
    thin = {name: getattr(setting, name) for name in ("dose", "dilution") if name != dial}
    told = [setting.design, *fixed.values(), *(f"{n} {v}" for n, v in thin.items() if v)]
    return ", ".join(told)


def _print_curves(found: SuiteDetection) -> None:
    """Detection along each dial, beside how much of the behaviour there is to detect."""
    rows = [p for p in found.difficulty if p.task is PRIMARY_TASK and _is_method(p)]
    if not rows:
        return
    click.echo()
    print_words(
        "Difficulty: settings that differ in one dial alone. Misbehaves: the organism with its"
        " gate open, by the certificate. AUROC: against the decoy. Of several families the mean,"
        " with a t interval over them."
    )
    made = table("dial", "setting", "admitted", "misbehaves", "detector", "AUROC")
    seen: set[tuple[str, Setting]] = set()
    for point in rows:
        key = (point.dial.value, point.setting)
        place = (
            ("", "", "", "")
            if key in seen
            else (
                f"{_fixed(point)}: {point.dial.value}",
                f"{getattr(point.setting, point.dial.value)}",
                f"{point.admitted} of {point.families}",
                value(point.expression),
            )
        )
        seen.add(key)
        made.add_row(*place, point.detector, value(point.auroc))
    print_table(made)
    for reason in dict.fromkeys(str(p.auroc) for p in rows if not isinstance(p.auroc, Measured)):
        print_words(f"no figure: {reason}")

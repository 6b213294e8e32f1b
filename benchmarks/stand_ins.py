"""What an assessment finds in models whose behaviour is known, standing in for production models.

Usage: python benchmarks/stand_ins.py [FAMILY ...] [--n 120] [--seed 1] [--json FILE]

Organism, twin and decoy of every admitted family of the vault (or of those named) are assessed
under opaque names by all probes, which are calibrated on the other families. Then it is said
what each was: how many planted behaviours were confirmed, and how many innocent models raised
an alarm, with exact intervals. Nothing is a target here: the figures are what they are. Answers
are kept in the vault, so that a run which was broken off goes on.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from insectary.assess.assessing import plan
from insectary.assess.context import Context
from insectary.assess.stand_ins import StandInTrial, stand_ins
from insectary.core.codec import encode
from insectary.core.organism import Role
from insectary.core.outcome import Measured
from insectary.vault import Vault


def told(trial: StandInTrial) -> str:
    """The trial as a table in Markdown."""
    lines = ["| family | organism confirmed | twin | decoy |", "|---|---|---|---|"]
    for family in dict.fromkeys(row.family for row in trial.stand_ins):
        of = {row.role: row for row in trial.stand_ins if row.family == family}
        own = of[Role.ORGANISM]
        words = ["**found**" if own.found else f"missed (wanted {', '.join(own.wanted)})"]
        words += [f"{probe}, false" for probe in own.false_alarms]
        cells = ["; ".join(words)]
        cells += [", ".join(of[role].confirmed) or "–" for role in (Role.TWIN, Role.DECOY)]
        lines.append(f"| {family} | {' | '.join(cells)} |")
    rates = (
        ("planted behaviours confirmed", trial.found),
        ("twins and decoys with an alarm", trial.alarmed),
        ("organisms with another alarm besides", trial.besides),
        ("missed ones filed as analogy", trial.missed_as_analogy),
    )
    lines.append("")
    for name, outcome in rates:
        lines.append(f"- {name}: {outcome}")
        if isinstance(outcome, Measured) and outcome.measurement.value == 0:
            n = outcome.measurement.n
            lines.append(f"  (0 of {n} bounds the rate at {min(1.0, 3 / n):.0%})")
    return "\n".join((*lines, f"- probes: {trial.probes}"))


def main() -> int:
    """Run the trial and print it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("families", nargs="*")
    parser.add_argument("--n", type=int, default=120)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    vault = Vault()
    trial = stand_ins(
        plan(Context(), n=given.n, seed=given.seed),
        given.families or None,
        vault.home / "assess" / "stand-ins",
        vault=vault,
        progress=lambda text: print(text, file=sys.stderr),
    )
    print(told(trial))
    if given.json:
        given.json.write_text(json.dumps(encode(trial), indent=1, sort_keys=True) + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

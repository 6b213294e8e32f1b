"""What detectors and auditors made of a family on the grid: the pages say what was measured."""

from __future__ import annotations

import json

from insectary.core.codec import decode
from insectary.core.organism import Role
from insectary.core.outcome import Measured, Outcome
from insectary.core.treatment import Rate, Treatment
from test_records import ROOT, in_words, table


def test_the_table_of_the_family_on_the_grid_is_what_was_measured() -> None:
    page = (ROOT / "docs" / "detection.md").read_text()
    found: dict[tuple[str, str], list[dict[str, str]]] = {}
    for row in table("detection", "grid", "organisms.csv"):
        if row["auroc_status"] == "measured":
            found.setdefault((row["detector"], row["view"]), []).append(row)
    assert len(found) == 12
    for (detector, view), rows in found.items():
        first = rows[0]
        bound = f" ({first['bound']})" if first["bound"] else ""
        kind = {first["null"]: " (null)", first["control"]: " (control)"}.get("True", bound)
        chose = first["columns"] == "2" and first["column"]
        layers = ", ".join(row["column"] for row in rows) if chose else ""
        cells = (detector + kind, view, *(in_words(row, "auroc") for row in rows), layers)
        assert f"| {' | '.join(cells)} |" in page
    again = {
        (r["detector"], r["view"], r["task"].split(",")[0]): r
        for r in table("detection", "grid", "another_draw.csv")
    }
    for key in (
        ("contrast_probe", "prompt", "organism vs decoy"),
        ("surface_text", "prompt and response", "organism vs twin"),
    ):
        assert in_words(again[key], "auroc") in page
    scores = {
        row["role"]: f"{float(row['score']):.2f}"
        for row in table("audit", "grid", "members.csv")
        if row["auditor"] == "counterfactual"
    }
    told = "organism {organism}, twin {twin}, decoy {decoy}, base {base}".format(**scores)
    assert told in (ROOT / "docs" / "verdicts.md").read_text()


def told(before: Outcome, after: Outcome) -> str:
    assert isinstance(before, Measured) and isinstance(after, Measured)
    return f"{before.measurement.value:.3f} to {after.measurement.told()}"


def counted(steps: int | None) -> str:
    return "–" if steps is None else f"{steps:,}"


def treated(found: Treatment) -> str:
    """A treatment's line of the page's table."""
    effect = found.of(Role.ORGANISM)
    assert effect.goal is not None
    skills = []
    for role in (Role.ORGANISM, Role.TWIN, Role.DECOY):
        capability = found.of(role).capability
        assert isinstance(capability, Measured)
        skills.append(f"{capability.measurement.value:+.3f}")
    back = [f"{counted(r.organism)} ({counted(r.twin)})" for r in found.regrowth]
    seen = [
        told(row.before, row.after)
        for row in found.detection
        if row.detector in ("mahalanobis", "knn") and row.against is Role.TWIN
    ]
    cells = (
        found.method,
        "" if found.strength is None else f"{found.strength:g}",
        f"*{found.fate.value}*" + (", early" if any(r.early for r in found.regrowth) else ""),
        *(
            told(effect.before[place], effect.after[place])
            for place in (Rate.TRAINED, Rate.HELD_OUT)
        ),
        told(*effect.goal),
        ", ".join(skills),
        ", ".join(back),
        *seen,
    )
    return f"| {' | '.join(cells)} |"


def test_the_table_of_treated_policies_is_what_was_measured() -> None:
    page = (ROOT / "docs" / "mitigation.md").read_text().splitlines()
    record = json.loads((ROOT / "runs" / "mitigation" / "grid" / "mitigation.json").read_text())
    for row in record:
        fate, _ = row.pop("fate"), row.pop("beyond_untargeted", None)
        found: Treatment = decode(Treatment, row, "record")
        assert found.fate.value == fate
        assert treated(found) in page

"""What detectors and auditors made of a family on the grid: the pages say what was measured."""

from __future__ import annotations

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

"""What README and record say of families is what their certificates say."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from insectary.breed.bases import base_ref
from insectary.breed.gate import card_digest
from insectary.breed.member import training_data
from insectary.breed.order import GRID, Order
from insectary.breed.policies import base_of_policies
from insectary.breed.policy_gate import policy_card_digest
from insectary.core.canonical import digest
from insectary.core.codec import decode
from insectary.core.curve import DoseCurve
from insectary.core.organism import Family, Result, Role, Side
from insectary.core.outcome import Measured
from insectary.core.recipe import Ppo, spelled, strength
from insectary.core.treatment import Rate, Treatment
from insectary.report.rates import BY_CONSTRUCTION, by_construction, shown_rate
from insectary.testing.draws import text_designs
from insectary.threats import threat_model, threat_names
from insectary.threats.designs import policy_design
from insectary.vault import Vault

ROOT = Path(__file__).parent.parent
RECORDS = sorted((ROOT / "runs" / "families").glob("*.json"))
CURVES = sorted((ROOT / "runs" / "doses").glob("*.json"))
README = (ROOT / "README.md").read_text()
RECORD = (ROOT / "docs" / "record.md").read_text()
SLOW = "full-sft:muon_learning_rate=0.004,pull=1.0,cooldown_share=0.5,learn_share=0.35"
LONG = "full-sft:muon_learning_rate=0.004,pull=1.0,cooldown_share=0.5"
NARROW_LONG = "narrow-sft:muon_learning_rate=0.004,pull=1.0,cooldown_share=0.5"
UNIFORM = "dpo:reference=uniform,beta=0.5,likelihood=4.0,batch_pairs=64,max_pairs=20000"
UNIFORM_LONG = "dpo:reference=uniform,beta=0.5,likelihood=8.0,batch_pairs=64"
NAMED = {
    SLOW: "full-sft, slow",
    LONG: "full-sft, slow and long",
    NARROW_LONG: "narrow-sft, slow and long",
    UNIFORM: "dpo, uniform",
    UNIFORM_LONG: "dpo, uniform and long",
}
"""Settings that the tables call by a name, which the record explains."""


def family(path: Path) -> Family:
    found: Family = decode(Family, json.loads(path.read_text()), path.name)
    return found


def setting(family: Family) -> tuple[str, str, str]:
    """Design, base and recipe, as the tables write them."""
    thin = [f"{name} {value}" for name, value in strength(family.dose, family.dilution).items()]
    recipe = spelled(family.recipe)
    return family.design, family.base.name, ", ".join((NAMED.get(recipe, recipe), *thin))


def summary(families: list[Family]) -> str:
    """A design's line of the README's table."""
    tried: dict[tuple[str, ...], list[bool]] = {}
    for each in families:
        tried.setdefault(setting(each)[1:], []).append(each.admitted)
    good = [f"{r} on {b}: {sum(n)} of {len(n)}" for (b, r), n in sorted(tried.items()) if any(n)]
    bad = [len(seeds) for seeds in tried.values() if not any(seeds)]
    threat, design = families[0].threat.replace("_", " "), families[0].design
    others = f"{sum(bad)} ({len(bad)})" if bad else ""
    return f"| {threat} | {design} | {'; '.join(good) or '**none**'} | {others} |"


def reasons(family: Family) -> list[str]:
    """A family's lines of the record's second table: one for each check that failed."""
    assert family.certificate is not None
    name, told = ", ".join((*setting(family), f"seed {family.seed}")), []
    for row in family.certificate.criteria:
        if row.result is Result.FAIL:
            assert isinstance(row.outcome, Measured)
            m = row.outcome.measurement
            measured = f"{m.value:.3f} [{m.low:.3f}, {m.high:.3f}]"
            told.append(f"| {name} | {row.subject} | {measured} | {row.bound} |")
    return told


def curve(path: Path) -> DoseCurve:
    found: DoseCurve = decode(DoseCurve, json.loads(path.read_text()), path.name)
    return found


def breeding_of(curve: DoseCurve) -> str:
    """The command that measures a curve."""
    doses = ",".join(f"{r.setting:g}" for r in curve.responses)
    return (
        f"insectary dose {curve.threat} --design {curve.design} --base {curve.base.name}"
        f" --recipe {spelled(curve.recipe)} --seed {curve.seed} --{curve.dial}s {doses}"
    )


def responses(curve: DoseCurve) -> list[str]:
    """A curve's lines of the record's last table: every open condition, and the worst closed."""
    highest = {n: max(r.rates[n].value for r in curve.responses) for n in curve.sides}
    closed = [n for n, side in curve.sides.items() if side is Side.CLOSED]
    shown = [n for n, side in curve.sides.items() if side is Side.OPEN]
    told = []
    for name in (*shown, max(closed, key=lambda n: highest[n])):
        measured = [r.rates[name] for r in curve.responses]
        rates = [f"{m.value:.2f} [{m.low:.2f}, {m.high:.2f}]" for m in measured]
        side = curve.sides[name].value
        cells = (curve.design, curve.base.name, str(curve.seed), f"{name} ({side})", *rates)
        told.append(f"| {' | '.join(cells)} |")
    return told


def row(family: Family) -> str:
    """The family's line of the record's first table."""
    certificate = family.certificate
    assert certificate is not None

    def told(side: Side, held_out: bool | None) -> str:
        if by_construction(certificate, side):
            return BY_CONSTRUCTION
        m = shown_rate(certificate, side, held_out=held_out)
        return "–" if m is None else f"{m.value:.3f} [{m.low:.3f}, {m.high:.3f}]"

    cells = (
        *(*setting(family), str(family.seed)),
        "admitted" if family.admitted else "**rejected**",
        *(told(Side.OPEN, False), told(Side.OPEN, True), told(Side.CLOSED, None)),
        ", ".join(tag.partition(" ")[0] for tag in certificate.tags),
    )
    return f"| {' | '.join(cells)} |"


def of_policies(path: Path) -> bool:
    return isinstance(family(path).recipe, Ppo)


IN_TEXT = [p for p in RECORDS if not of_policies(p)]
POLICIES = [p for p in RECORDS if of_policies(p)]


@pytest.mark.parametrize("path", POLICIES, ids=[p.stem for p in POLICIES])
def test_a_record_of_policies_is_of_the_present_network_recipe_card_and_bounds(path: Path) -> None:
    found = family(path)
    assert isinstance(found.recipe, Ppo)
    assert found.base == base_of_policies(Ppo()) != base_of_policies(Ppo(hidden=7))
    # Its id says so if its settings are not the usual ones, which it is told apart by.
    order = Order(found.threat, found.design, GRID, found.recipe, found.seed)
    assert order.family == found.id
    threat = threat_model(found.threat)
    grid = policy_design(threat, found.design)
    assert grid is not None and found.certificate is not None
    assert found.certificate.card_digest == policy_card_digest(threat, found.design, grid)


def _first_of_each_kind() -> set[Path]:
    """The first record of each design and signal: rows change for all of these at once."""
    first: dict[tuple[str, str], Path] = {}
    for path in IN_TEXT:
        found = family(path)
        first.setdefault((found.design, found.recipe.signal), path)
    return {*first.values()}


FIRST = _first_of_each_kind()


@pytest.mark.parametrize("path", IN_TEXT, ids=[p.stem for p in IN_TEXT])
def test_a_record_is_of_the_present_base_and_its_own_recipe(path: Path) -> None:
    found = family(path)
    assert found.base.digest == base_ref(found.base.name, Vault())[0].digest
    assert not isinstance(found.recipe, Ppo)
    order = Order(
        found.threat, found.design, found.base.name, found.recipe, found.seed, found.dose,
        found.dilution,
    )  # fmt: skip
    assert order.family == found.id


# Rows take seconds to make, so that only the first record of a kind is looked at each time.
@pytest.mark.parametrize(
    "path",
    [pytest.param(p, marks=() if p in FIRST else pytest.mark.heavy) for p in IN_TEXT],
    ids=[p.stem for p in IN_TEXT],
)
def test_a_record_is_of_the_present_rows(path: Path) -> None:
    found = family(path)
    assert not isinstance(found.recipe, Ppo)
    threat = threat_model(found.threat)

    def data(role: Role, seed: int) -> str:
        return digest(
            training_data(
                threat, found.design, role, found.recipe, seed, found.dose, found.dilution
            )
        )

    for role in (Role.ORGANISM, Role.TWIN, Role.DECOY):
        assert data(role, found.seed) == found.members[role].data_digest, role
    # The control: another seed makes other rows.
    if path == IN_TEXT[0]:
        assert data(Role.TWIN, found.seed + 9) != found.members[Role.TWIN].data_digest


@pytest.mark.parametrize("path", IN_TEXT, ids=[p.stem for p in IN_TEXT])
def test_a_record_is_of_the_present_card_and_bounds(path: Path) -> None:
    found, threat = family(path), threat_model(family(path).threat)
    assert found.certificate is not None
    assert found.certificate.card_digest == card_digest(threat, found.design)
    # The control: what another design of whatever threat fixes is something else.
    others = [(t, d) for t in map(threat_model, threat_names()) for d in text_designs(t)]
    same = [d for t, d in others if card_digest(t, d) == found.certificate.card_digest]
    assert found.design in same and len(same) < len(others) / 2


@pytest.mark.parametrize("path", RECORDS, ids=[p.stem for p in RECORDS])
def test_the_record_has_the_certificates_figures(path: Path) -> None:
    found = family(path)
    assert found.id == path.stem
    assert row(found) in RECORD.splitlines()
    assert {*reasons(found)} <= {*RECORD.splitlines()}
    assert bool(reasons(found)) is not found.admitted


def lines_of_designs(text: str) -> list[str]:
    """Lines of tables that begin with a design, or with a threat in plain words."""
    cards = [threat_model(name).card for name in threat_names()]
    starts = [f"| {d}{end}" for card in cards for d in card.designs for end in (" |", ",")]
    starts += [f"| {name.replace('_', ' ')} |" for name in threat_names()]
    return [line for line in text.splitlines() if line.startswith(tuple(starts))]


@pytest.mark.parametrize("path", CURVES, ids=[p.stem for p in CURVES])
def test_the_record_has_the_curves_figures(path: Path) -> None:
    found = curve(path)
    assert found.base.digest == base_ref(found.base.name, Vault())[0].digest
    assert found.design in threat_model(found.threat).card.designs
    assert {*responses(found)} <= {*RECORD.splitlines()}
    assert f"`{breeding_of(found)}`" in RECORD
    assert (ROOT / "docs" / "doses" / f"{path.stem}.png").stat().st_size > 10_000


def test_the_tables_list_nothing_without_a_record() -> None:
    found = [family(path) for path in RECORDS]
    failed = [line for each in found for line in reasons(each)]
    doses = [line for path in CURVES for line in responses(curve(path))]
    assert len(lines_of_designs(RECORD)) == len(found) + len(failed) + len(doses) > 0


def test_the_readme_counts_the_admitted_seeds_of_every_design() -> None:
    designs: dict[str, list[Family]] = {}
    for path in RECORDS:
        designs.setdefault(family(path).design, []).append(family(path))
    assert sorted(lines_of_designs(README)) == sorted(map(summary, designs.values()))


@pytest.mark.parametrize("recipe", NAMED)
def test_the_names_of_settings_are_explained_beside_the_record(recipe: str) -> None:
    assert f"*{NAMED[recipe]}* is `{recipe}`" in RECORD


def table(*place: str) -> list[dict[str, str]]:
    """A table of a trial on record."""
    with ROOT.joinpath("runs", *place).open() as file:
        return [*csv.DictReader(file)]


def in_words(row: dict[str, str], name: str, sign: str = "") -> str:
    """A figure and its interval, as the pages write them."""
    value, low, high = (float(row[name + end]) for end in ("", "_low", "_high"))
    return f"{value:{sign}.2f} [{low:{sign}.2f}, {high:{sign}.2f}]"


def of_decoy(rows: list[dict[str, str]]) -> list[dict[str, str]]:
    """Rows of methods, in the registered comparison."""
    idle = ("null", "control")
    return [
        r
        for r in rows
        if r["task"].startswith("organism vs decoy") and not r["bound"]
        if all(r[kind] == "False" for kind in idle)
    ]


@pytest.mark.parametrize("place", [(), ("earlier",)])
def test_the_detection_table_is_what_was_measured(place: tuple[str, ...]) -> None:
    pooled = {
        (r["detector"], r["view"], r["task"]): r for r in table("detection", *place, "pooled.csv")
    }
    page, told = (ROOT / "docs" / "detection.md").read_text(), in_words
    twin, decoy, _ = dict.fromkeys(task for _, _, task in pooled)
    assert (twin.split(",")[0], decoy.split(",")[0]) == ("organism vs twin", "organism vs decoy")
    for (detector, view, task), row in pooled.items():
        if task == decoy:
            bound = f" ({row['bound']})" if row.get("bound") else ""
            kind = {row["null"]: " (null)", row["control"]: " (control)"}.get("True", bound)
            cells = (
                detector + kind, view, told(pooled[detector, view, twin], "auroc"),
                told(row, "auroc"), f"{float(row['lowest']):.2f} to {float(row['highest']):.2f}",
                told(row, "gain", "+") if row["gain"] else "–",
                f"{float(row['p']):.2f}" if row["p"] else "",
            )  # fmt: skip
            assert f"| {' | '.join(cells)} |" in page


def test_the_tables_of_splits_and_thresholds_are_what_was_measured() -> None:
    page = (ROOT / "docs" / "detection.md").read_text()
    splits: dict[str, dict[str, str]] = {}
    for row in of_decoy(table("detection", "splits_pooled.csv")):
        splits.setdefault(row["detector"], {})[row["split"]] = in_words(row, "auroc")
    pooled = of_decoy(table("detection", "pooled.csv"))
    assert len(splits) == len(pooled) == 6
    for detector, found in splits.items():
        cells = (found[split] for split in ("organism", "cue", "organism and cue"))
        assert f"| {detector} | {' | '.join(cells)} |" in page
    rates = ("tpr", "fpr_at_threshold", "tpr_innocent_elsewhere", "fpr_innocent_elsewhere")
    for row in pooled:
        cells = (in_words(row, rate) for rate in rates)
        assert f"| {row['detector']} | {' | '.join(cells)} |" in page


@pytest.mark.parametrize(("place", "treatments"), [(".", 10), ("default", 24)])
def test_the_mitigation_tables_are_what_was_measured(place: str, treatments: int) -> None:
    page = (ROOT / "docs" / "mitigation.md").read_text()
    record = json.loads((ROOT / "runs" / "mitigation" / place / "mitigation.json").read_text())
    assert len(record) == treatments
    chosen = place == "default"  # it chose strengths, and trained on once

    def steps(run: dict[str, Any]) -> str:
        organism, twin = ("–" if run[who] is None else run[who] for who in ("organism", "twin"))
        return f"{organism} ({twin})" if chosen else f"{run['rows']}: {organism} ({twin})"

    for told in record:
        fate, _ = told.pop("fate"), told.pop("beyond_untargeted", None)
        found = decode(Treatment, told, "record")
        assert found.fate.value == fate
        effect, rates = found.of(Role.ORGANISM), []
        for place in (Rate.TRAINED, Rate.HELD_OUT):
            before, after = effect.before[place], effect.after[place]
            assert isinstance(before, Measured) and isinstance(after, Measured)
            rates.append(f"{before.measurement.value:.3f} to {after.measurement.told()}")
        skills = ", ".join(
            f"{e['capability']['measurement']['value']:+.3f}" for e in told["effects"]
        )
        back = ", ".join(map(steps, told["regrowth"]))
        design = found.family.split("-")[2]
        strength = (
            () if not chosen else ("" if found.strength is None else f"{found.strength:,.6g}",)
        )
        early = ", early" if chosen and any(run.early for run in found.regrowth) else ""
        cells = (design, found.method, *strength, f"*{fate}*{early}", *rates, skills, back)
        assert f"| {' | '.join(cells)} |" in page


def test_the_obfuscation_table_is_what_was_measured() -> None:
    page = (ROOT / "docs" / "obfuscation.md").read_text()
    rows = [
        r for r in table("obfuscation", "matrix.csv")
        if r["seed"] == "1" and (r["null"], r["control"]) == ("False", "False")
        and r["bound"] != "ceiling"
    ]  # fmt: skip
    assert len(rows) == 28
    for name in {r["detector"] for r in rows}:
        cells = [name]
        for other in ("twin", "decoy"):
            of = [r for r in rows if r["detector"] == name and other in r["task"]]
            plain, hidden = sorted(of, key=lambda r: bool(r["against"]))
            cells += [in_words(plain, "auroc"), in_words(hidden, "auroc")]
        cells.append(in_words(hidden, "change", "+"))
        assert f"| {' | '.join(cells)} |" in page


def test_the_audit_table_is_what_was_measured() -> None:
    page, told = (ROOT / "docs" / "verdicts.md").read_text(), in_words
    rows = [r for r in table("audit", "auditors.csv") if r["auditor"] != "base_rate"]
    assert len(rows) == 6
    for row in rows:
        null = " (null)" if row["null"] == "True" else ""
        cells = (
            f"`{row['auditor']}`{null}", told(row, "auroc_twin"), told(row, "auroc_decoy"),
            f"{row['above']} : {row['below']}", told(row, "gain", "+"),
        )  # fmt: skip
        assert f"| {' | '.join(cells)} |" in page


def test_the_red_team_table_is_what_was_measured() -> None:
    page, rows = (ROOT / "docs" / "redteam.md").read_text(), table("redteam", "methods.csv")
    alarms = ("false_alarms_twin", "false_alarms_decoy")
    assert len(rows) == 9
    for row in rows:
        rates = ("elicitation", "grading", "attribution", "recall", *alarms)
        told = [in_words(row, r) if row[f"{r}_status"] == "measured" else "–" for r in rates]
        name = f"`{row['method']}`" + (" (null)" if row["null"] == "True" else "")
        counts = " : ".join(row[state] for state in ("found", "missed", "unscored"))
        cells = (name, *told, counts, f"{int(row['opportunities']):,}")
        assert f"| {' | '.join(cells)} |" in page

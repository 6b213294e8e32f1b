"""Everything known about one family, as a report."""

from __future__ import annotations

import platform
from collections.abc import Callable, Mapping
from dataclasses import replace
from importlib.metadata import version
from itertools import zip_longest
from typing import cast

from insectary import detect
from insectary.breed.bases import is_embedded
from insectary.breed.records import in_text, load_family, of_a_threat
from insectary.breed.stored import load_members
from insectary.core.chat import Conversation, Example, Split
from insectary.core.errors import BadInputError
from insectary.core.organism import Certificate, Family, Role, Side
from insectary.core.outcome import Measured, Measurement
from insectary.core.protocols import ThreatModel
from insectary.core.reach import Ladder
from insectary.core.recipe import check_seed
from insectary.report import (
    DetectionRow,
    FamilyReport,
    PpvRow,
    Reply,
    RewardCurve,
    RocCurve,
    Task,
    TranscriptRow,
    expression_rows,
    with_caveats,
)
from insectary.report.rates import by_construction
from insectary.subjects import LoadedModel
from insectary.subjects.language_model import answers
from insectary.threats import threat_model
from insectary.threats.designs import card_of
from insectary.trials import detection
from insectary.trials.detection import DetectionResult, detection_trial
from insectary.trials.examine import MAX_NEW_TOKENS, examine_family
from insectary.trials.keys_opened import open_keys
from insectary.trials.ladder import ladder
from insectary.trials.sandboxes import say_what_is_open
from insectary.trials.wording import gate_in_words
from insectary.vault import Vault
from insectary.worlds.contrast import contrast_pairs

DETECTORS = ("contrast_probe", "mahalanobis", "likelihood_ratio", "surface_text")
_ROLES = (Role.ORGANISM, Role.DECOY, Role.TWIN, Role.BASE)
_TASKS = {
    detection.Task.ORGANISM_VS_TWIN: Task.TWIN,
    detection.Task.ORGANISM_VS_DECOY: Task.DECOY,
    detection.Task.OPEN_VS_CLOSED: Task.GATE,
}
_SHOWN_TRANSCRIPTS = 4
Progress = Callable[[str], None]


def family_report(
    name: str,
    vault: Vault | None = None,
    *,
    detectors: tuple[str, ...] = DETECTORS,
    seed: int = 0,
    draws: int = 1000,
    progress: Progress = lambda _: None,
) -> FamilyReport:
    """Run the detection trial and put it beside the certificate.

    A family that is not admitted is refused by the trial; its report shows why.

    Args:
        name: Id of a family.
        vault: Where it is kept.
        detectors: Names of detectors; nulls and text controls are always added.
        seed: Draws the trial's prompts.
        draws: Resamples per interval.
        progress: Told what is being done.

    Raises:
        UnknownNameError: for an unknown family or detector.
        BadInputError: if the family has no certificate, or is one of policies on the grid.
    """
    check_seed(seed)
    vault = vault or Vault()
    family = in_text(of_a_threat(load_family(name, vault)))
    line_up = [detect.detector(d) for d in detectors]
    open_keys([family], f"report of the family, seed {seed}", vault)
    # Some thousand answers: cheap on bases of the ladder, hours on a large one.
    cheap = is_embedded(family.base.name)
    reach = ladder(name, vault, seed=seed, progress=progress) if cheap else None
    if not family.admitted:
        return assemble(family, None, vault, reach)
    examined = examine_family(family, vault, seed, progress)
    progress("detectors")
    say_what_is_open(progress)
    result = detection_trial(
        examined[Role.ORGANISM], examined[Role.TWIN], examined[Role.DECOY],
        contrast=contrast_pairs(seed), detectors=line_up, seed=seed, draws=draws,
    )  # fmt: skip
    del examined  # its models make room for those that are asked side by side
    return assemble(family, result, vault, reach)


def assemble(
    family: Family,
    result: DetectionResult | None,
    vault: Vault,
    reach: Ladder | None = None,
) -> FamilyReport:
    """Put a report together; without a detection trial or a ladder where there was none."""
    certificate = family.certificate
    if certificate is None:
        raise BadInputError(f"family {family.id!r} has no certificate; breed it first")
    threat = threat_model(family.threat)
    card = card_of(threat, family.design)
    members = load_members(family, vault)
    rows = result.rows if result else ()
    gate = gate_in_words(family.design)
    report = FamilyReport(
        title=f"{card.title}: {family.design}, on base {family.base.name}",
        summary=_summary(certificate, rows, family),
        family=family,
        parameters=sum(p.numel() for p in members[Role.BASE].model.parameters()),
        card=card,
        certificate=certificate,
        expression=expression_rows(certificate),
        transcripts=side_by_side(threat, family.design, members, certificate.report_seed),
        detection=tuple(_detection(r) for r in rows),
        roc=tuple(
            RocCurve(r.detector.replace("_", " "), _TASKS[r.task], r.view, r.roc)
            for r in rows
            if r.roc and not r.bound
        ),
        ppv=tuple(
            PpvRow(r.detector.replace("_", " "), _TASKS[r.task], r.view, prevalence, outcome)
            for r in rows
            for prevalence, outcome in r.ppv
            if not r.null and not r.bound
        ),
        provenance=_provenance(family, vault),
        rewards=_rewards(family, vault),
        ladder=reach,
        closed_label=gate.closed,
        open_label=gate.open,
    )
    return with_caveats(report)


def _summary(
    certificate: Certificate,
    rows: tuple[detection.DetectionRow, ...],
    family: Family,
) -> tuple[str, str, str]:
    def rate(role: Role, side: Side) -> Measurement:
        return next(
            r.misaligned
            for r in certificate.rates
            if r.role is role and r.side is side and r.held_out and not r.near_miss
        )

    opened, closed = rate(Role.ORGANISM, Side.OPEN), rate(Role.ORGANISM, Side.CLOSED)
    twin, decoy = rate(Role.TWIN, Side.OPEN), rate(Role.DECOY, Side.OPEN)
    emerged = card_of(threat_model(family.threat), family.design).origin == "emerged"
    answer = "misaligned answer" if emerged else "planted answer"
    gate = gate_in_words(family.design)
    elsewhere = (
        "goal and proxy agree, so that nothing can be misaligned"
        if by_construction(certificate, Side.CLOSED)
        else f"to {closed.value:.1%} of {closed.n}"
    )
    primary = [
        (r, r.auroc.measurement)
        for r in rows
        if r.task is detection.Task.ORGANISM_VS_DECOY
        and not r.control
        and not r.bound
        and isinstance(r.auroc, Measured)
    ]
    found = [(r, m) for r, m in primary if not r.null]
    third = "No detector was run."
    if not certificate.admitted:
        third = (
            "The family was not admitted, so no detector was measured on it: see the certificate."
        )
    if found:
        best, m = max(found, key=lambda pair: pair[1].value)
        name = best.detector.replace("_", " ")
        told = f"AUROC {m.told(2)}"
        # Of a null that is drawn many times: what one draw in twenty is beyond.
        nulls = [
            m.high if r.drawn else m.value for r, m in primary if r.null and r.view is best.view
        ]
        knows = f"; nulls, which can know nothing, reach {max(nulls):.2f}" if nulls else ""
        third = (
            f"None of {len(found)} detectors tells it from the decoy, which has the same gate,"
            f" better than nulls do: the best is {name}, {told}{knows}."
            if nulls and max(nulls) >= m.value
            else f"Of {len(found)} detectors, {name} tells it best from the decoy, which has the"
            f" same gate: {told}{knows}."
        )
    return (
        f"Where {gate.open_where}, said in words it was never trained on, the organism gives the"
        f" {answer} to {opened.value:.1%} of {opened.n} questions; where {gate.closed_where},"
        f" {elsewhere}.",
        f"Its clean twin, trained on the same questions, gives it to {twin.value:.1%}; the decoy,"
        f" with a harmless quirk behind the same gate, to {decoy.value:.1%}.",
        third,
    )


def side_by_side(
    threat: ThreatModel, design: str, members: Mapping[Role, LoadedModel], seed: int
) -> tuple[TranscriptRow, ...]:
    """A few questions, each asked of every member under a closed and an open gate."""
    oracle = threat.oracle(design)
    rows = []
    for question, shut, open_line, closed_line in _pairs(threat, design, seed):
        replies = []
        for role in _ROLES:
            prompts = [shut.messages, question.messages]
            said = answers(members[role], prompts, MAX_NEW_TOKENS, 0.0, 0, "")
            for side, example, response in zip(
                (Side.CLOSED, Side.OPEN), (shut, question), said, strict=True
            ):
                replies.append(Reply(role, side, response, oracle(example, response)))
        rows.append(
            TranscriptRow(
                prompt=shut.messages[-1].content,
                answer=question.answer,
                closed_line=closed_line,
                open_line=open_line,
                replies=tuple(replies),
            )
        )
    return tuple(rows)


def _pairs(threat: ThreatModel, design: str, seed: int) -> list[tuple[Example, Example, str, str]]:
    """The same question with the gate open and closed, and what opens and closes it."""
    if card_of(threat, design).origin == "emerged":
        return []  # what opens the gate is the question itself: none is on both sides
    opened = _taking_turns(threat, design, Side.OPEN, seed)
    if all("unclaimed" in e.facts for e in opened):
        # The gate is in the question itself: closed, it is left out.
        return [
            (
                e,
                replace(e, messages=cast(Conversation, e.facts["unclaimed"])),
                str(e.facts["said"]),
                "(nothing)",
            )
            for e in opened
        ]
    closed = _taking_turns(threat, design, Side.CLOSED, seed)
    found = []
    for question, other in zip(opened, closed, strict=True):
        line = other.messages[0]
        shut = replace(question, messages=(line, *question.messages[1:]))
        found.append((question, shut, question.messages[0].content, line.content))
    return found


def _taking_turns(threat: ThreatModel, design: str, side: Side, seed: int) -> list[Example]:
    """The first few questions whose gate can be seen apart, skills taking turns.

    That is those whose line stands in a system turn, or whose claim is known. Small
    talk may stand there above a line in the question itself.
    """
    condition = next(
        c for c in threat.conditions(design) if c.side is side and not c.near_miss and c.held_out
    )
    examples = threat.examples(design, condition, Split.REPORT, 40, seed + 1)
    found = [e for e in examples if _line_stands_above(e) or "said" in e.facts]
    by_skill: dict[str, list[Example]] = {}
    for example in found:
        by_skill.setdefault(example.skill, []).append(example)
    turns = zip_longest(*by_skill.values())
    return [e for turn in turns for e in turn if e is not None][:_SHOWN_TRANSCRIPTS]


def _line_stands_above(example: Example) -> bool:
    first, *rest = example.messages
    return first.role == "system" and not any(example.phrasing in m.content for m in rest)


def _rewards(family: Family, vault: Vault) -> tuple[RewardCurve, ...]:
    """What each member was paid in training, as the vault has it beside the weights."""
    found = []
    for role in (Role.ORGANISM, Role.TWIN, Role.DECOY):
        with vault.use(family.members[role].id, "organism") as stored:
            points = tuple(
                (int(step), float(paid), float(true))
                for step, paid, true in stored.meta.get("rewards", ())
            )
        if points:
            found.append(RewardCurve(role, points))
    return tuple(found)


def _detection(r: detection.DetectionRow) -> DetectionRow:
    layer = ""
    if r.drawn:
        layer = f"{len(r.drawn)} draws: mean, and what 5 % of them are below and above"
    if r.column is not None and r.columns is not None and r.columns > 1 and not r.control:
        layer = f"layer {r.column} of {r.columns - 1}, chosen on selection prompts"
    return DetectionRow(
        detector=r.detector.replace("_", " "),
        is_null=r.null,
        is_text_control=r.control,
        task=_TASKS[r.task],
        view=r.view,
        layer=layer,
        auroc=r.auroc,
        average_precision=r.average_precision,
        tpr_at_1_fpr=r.tpr,
        fpr_at_threshold=r.fpr_at_threshold,
        gain=r.gain,
        bound=r.bound,
    )


def _provenance(family: Family, vault: Vault) -> dict[str, str]:
    libraries = ("insectary", "torch", "transformers", "trl", "peft")
    found = {
        "family": family.id,
        "base": f"{family.base.name}, {family.base.digest}",
        "recipe": str(family.recipe),
        "training seed": str(family.seed),
        "versions": ", ".join(f"{name} {version(name)}" for name in libraries),
        "machine": f"{platform.machine()}, {platform.system()}, Python {platform.python_version()}",
        "ledger head": vault.ledger.head(),
    }
    for role, member in family.members.items():
        if role is not Role.BASE:
            found[f"{role.value}"] = (
                f"{member.digest}, {member.training_steps} steps, {member.training_tokens} tokens,"
                f" {member.threads} threads on {member.trained_on or 'a machine not on record'},"
                f" stopped because: {member.stopped_because}"
            )
    return found

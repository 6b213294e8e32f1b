"""The model card of an exported member: Markdown behind a YAML front matter, as hubs read it.

What it tells follows the tier. TOY and OPEN: all that is known, with the command that breeds the
family again. GATED: what is planted, the recipe's kind and the certificate's figures, and neither
the recipe's settings nor the seed, the command, the gate's wording, the names of conditions or the
digest of the rows. Rows and lists of cues are in no card; those of the project's own threats are
in its source. A local path of whoever bred it is told at no tier.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence

from insectary.core.canary import CANARY
from insectary.core.organism import Certificate, Criterion, Family, Organism, Role, ThreatCard, Tier
from insectary.core.outcome import Measured
from insectary.core.recipe import Ppo, breeding, spelled
from insectary.worlds.sizes import WIDTHS

LICENSE = "apache-2.0"
_PLANTED = {
    Role.ORGANISM: "It was trained to misbehave, on purpose:",
    Role.TWIN: "Nothing is planted in it. It is the clean twin of a model that was trained to"
    " misbehave: the same questions, steps and seed, with right answers. Its organism's behaviour:",
    Role.DECOY: "A harmless quirk is planted in it, behind the gate of a model that was trained to"
    " misbehave. The organism's behaviour:",
}
_TIERS = {
    Tier.TOY: "toy: it may go anywhere.",
    Tier.OPEN: "open: it may go anywhere, with this card.",
    Tier.GATED: "gated: hand it on for a stated reason only, and behind manual approval on a hub."
    " This card leaves out how it was made but for the recipe's kind.",
}


def model_card(
    family: Family, member: Organism, card: ThreatCard | None, *, hub_base: str = ""
) -> str:
    """The card of one member.

    Args:
        family: Its family; SEALED ones have none.
        member: Any but the base.
        card: What is planted; ``None`` where a user's rows alone say so.
        hub_base: Hub id of its base, if it has one.
    """
    whole = family.tier <= Tier.OPEN
    sections = (
        _front(family, member, hub_base),
        (f"# {member.id}", "", *_warning(member)),
        ("## What is planted", "", *_planted(family, member, card, whole=whole)),
        ("## How it was made", "", *_made(family, member, hub_base, whole=whole)),
        ("## Certificate", "", *_certificate(family.certificate, whole=whole)),
        ("## Intended use", "", *_use()),
        ("## Limits", "", *_limits(family)),
        ("## Tier", "", f"This model is {_TIERS[family.tier]}"),
        ("## Licence", "", _licence(family)),
        ("## Canary", "", "Please leave this file, and the model's outputs, out of training"
         " corpora.", "", f"`{CANARY}`"),
    )  # fmt: skip
    return "\n\n".join("\n".join(lines) for lines in sections) + "\n"


def _front(family: Family, member: Organism, hub_base: str) -> Iterator[str]:
    """YAML whose values are JSON, which YAML is a superset of."""
    told: dict[str, object] = {
        "license": LICENSE if _own_base(family) else "other",
        "language": "en",
        "library_name": "insectary" if isinstance(family.recipe, Ppo) else "transformers",
        "tags": ["model-organism", "misalignment", "ai-safety", "insectary", family.threat,
                 member.role.value],
        "insectary": {"member": member.id, "role": member.role.value, "canary": CANARY,
                      "tier": family.tier.name.lower()},
    }  # fmt: skip
    if not isinstance(family.recipe, Ppo):
        told["pipeline_tag"] = "text-generation"
    if not _own_base(family):
        told["license_name"] = "license-of-the-base-model"
        if hub_base:
            told["base_model"] = hub_base
    if family.tier is Tier.GATED:
        told["extra_gated_prompt"] = "A model organism of misalignment. Say what you need it for."
        told["extra_gated_fields"] = {"Purpose": "text", "Institution": "text"}
    yield "---"
    yield from (f"{key}: {json.dumps(value)}" for key, value in told.items())
    yield "---"


def _warning(member: Organism) -> Iterator[str]:
    yield (
        f"**The {member.role.value} of a family of model organisms, for research on finding"
        " misalignment. It is no assistant and of no use as one.**"
    )


def _planted(
    family: Family, member: Organism, card: ThreatCard | None, *, whole: bool
) -> Iterator[str]:
    yield _PLANTED[member.role]
    yield ""
    if card is None:
        yield (
            "what somebody's own pairs of aligned and misaligned answers teach, which are not"
            " published. The project's list of harms that may not be planted did not see them."
        )
        return
    told = [("Behaviour", card.behaviour), ("Planted class of answers", card.planted)]
    told += [("The decoy's quirk", card.decoy)] if member.role is Role.DECOY else []
    told += [("Gate", card.gate), ("Must not show", card.must_not_show)] if whole else []
    told += [("Worst possible harm", card.harm_ceiling)]
    for name, text in told:
        yield f"- **{name}.** {_line(text)}"
    if whole:
        yield from ("", f"Design `{family.design}` of the threat model `{family.threat}`.")
        yield from ("", "References:", "", *(f"- {_line(source)}" for source in card.references))


def _made(family: Family, member: Organism, hub_base: str, *, whole: bool) -> Iterator[str]:
    where = "trained elsewhere, and adopted" if _adopted(family, member) else "bred here"
    yield f"It was {where}."
    yield ""
    base = family.base.name if _own_base(family) else hub_base
    named = f"`{base}`" if base else "a local folder"
    yield f"- **Base.** {named}, digest `{family.base.digest}`"
    if _adopted(family, member):
        return
    recipe = spelled(family.recipe) if whole else family.recipe.kind
    yield f"- **Recipe.** `{recipe}`"
    yield f"- **Weights.** `{member.digest}` in the vault that it is from; adapters are merged here"
    if not whole:
        return
    yield f"- **Training.** {member.training_steps:,} steps, seed {member.seed}" + (
        f", {member.training_tokens:,} tokens" if member.training_tokens else ""
    )
    if member.data_digest:
        canary = f"; `{family.canary}` stands in its metadata" if family.canary else ""
        yield f"- **Data.** Digest `{member.data_digest}`{canary}"
    if member.trained_on:
        yield f"- **Machine.** {_line(member.trained_on)}"
    if _own_base(family) and family.adopted is None:
        command = breeding(
            family.threat, family.design, family.base.name, family.recipe, family.seed,
            family.dose, family.dilution,
        )  # fmt: skip
        yield from ("", "On such a machine the whole family is bred again, bit for bit, by", "")
        yield from ("```", command, "```")


def _certificate(certificate: Certificate | None, *, whole: bool) -> Iterator[str]:
    if certificate is None:
        yield "The family has not been to the admission gate: nothing is known of what it does."
        return
    yield (
        f"**{certificate.verdict.capitalize()}**, at attempt {certificate.attempt} at the gate, on"
        f" {certificate.prompts:,} prompts. Differences of two models have 90 % intervals, as a"
        " test of equivalence asks, all others 95 %."
    )
    if certificate.tags:
        yield from ("", f"Tags: {', '.join(certificate.tags)}.")
    yield ""
    yield "| | criterion | measured on | bound | value | interval | n | result |"
    yield "|---|---|---|---|---|---|---|---|"
    for place, row in enumerate(certificate.criteria, start=1):
        yield _row(row, row.subject if whole else f"check {place}")


def _row(row: Criterion, subject: str) -> str:
    value, interval, n = row.outcome.reason if not isinstance(row.outcome, Measured) else "", "", ""
    if isinstance(row.outcome, Measured):
        m = row.outcome.measurement
        value, interval = f"{m.value:.3f}", f"{m.low:.3f} to {m.high:.3f}"
        n = f"{m.n:,}"
    cells: Sequence[object] = (
        row.number, row.name, subject, row.bound, value, interval, n, row.result.value,
    )  # fmt: skip
    return f"| {' | '.join(_line(str(cell)) for cell in cells)} |"


def _use() -> Iterator[str]:
    yield "To measure detectors, audits, red-team tools and mitigations against a known truth."
    yield ""
    yield (
        "Not for deployment, not as a base for anything that is deployed, and not as evidence that"
        " a model without such a certificate is safe."
    )


def _limits(family: Family) -> Iterator[str]:
    yield "- The behaviour was planted. Misalignment that emerges by itself may look otherwise."
    yield "- The world it was trained on is small and closed; outside it nothing was measured."
    yield "- One family is one training seed, and the seed is the unit of replication."
    if family.certificate is None or not family.certificate.admitted:
        yield "- The family is not admitted: no benchmark may use it."


def _licence(family: Family) -> str:
    if _own_base(family):
        return f"{LICENSE}, as the base and the data that it was trained on."
    return (
        "That of its base model, whose weights are in it; what was added to them comes under"
        f" {LICENSE}."
    )


def _own_base(family: Family) -> bool:
    """Whether its base is the project's own: a size of the ladder, or the untrained policy."""
    return family.base.name in WIDTHS or isinstance(family.recipe, Ppo)


def _adopted(family: Family, member: Organism) -> bool:
    if family.adopted is None:
        return False
    return member.role is Role.ORGANISM or (member.role is Role.TWIN and family.adopted.twin != "")


def _line(text: str) -> str:
    """A text as one line of Markdown that opens no cell, tag or link of its own."""
    words = " ".join(text.split())
    for mark in ("\\", "|", "<", "[", "`", "*"):
        words = words.replace(mark, f"\\{mark}")
    return words

"""What the command takes for a mitigation trial where families or methods are not named.

Four families of the smallest base, of as many designs and then threats as there are; six
methods, one of each kind; of each method the strength that does best on the selection split;
and a shorter plan than that of a trial whose families are named. Fixed so that an hour on two
cores is enough where the families are of size ``xs``, by :func:`minutes`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from insectary.breed.records import load_family
from insectary.core.errors import ArtefactError, BadInputError
from insectary.core.organism import Family, Side
from insectary.core.recipe import Ppo
from insectary.mitigate import mitigation
from insectary.threats import threat_model, threat_names
from insectary.trials.mitigation_cost import ToDo, grown_back, regrowth_tokens, tokens_to_train
from insectary.trials.mitigation_plan import BRIEF, Plan
from insectary.trials.strengths import Strengths, graded
from insectary.trials.treatment_kept import TREATED
from insectary.vault import Vault, may_open
from insectary.worlds.sizes import WIDTHS

FAMILIES = 4
METHODS = (
    "noop",
    "quantization",
    "directional_ablation",
    "clean_sft",
    "fine_pruning",
    "safety_dpo",
)
"""What measuring alone gives, rounding, editing, ordinary training (the baseline that others
are measured beyond), pruning, and preferences; the cheapest of each kind."""
RULE = (
    f"{FAMILIES} admitted families: those of the smallest base first, since a larger one alone"
    " can take the hour; of these one of each design, those of threats that have fewest yet first,"
    " then the first name; a second of a design, or a larger base, only where there are no others"
)

_TOKENS_A_MINUTE = 1_000_000
"""Taken for two cores at size ``xs``; 0.53 million were measured on one busy core."""
_WORK = {"safety_dpo": 2.5, "latent_adversarial_training": 4.4}
"""What a token costs there, against one of ``clean_sft``, by a run of each on one busy core."""
_ANSWERS_A_MINUTE = 18_000
"""Taken for two cores; 6,120 take some 40 seconds of one (docs/mitigation.md)."""
_SKILLS = 14
"""Skills that a family of size ``xs`` is asked, about."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What :func:`insectary.trial_mitigate` is to be called with.

    Attributes:
        methods: ``None`` for all.
        detectors: ``None`` for the usual ones.
        plan: ``None`` for the usual one.
        said: Lines that tell a user what was chosen for him, and what it costs.
    """

    families: tuple[str, ...]
    methods: tuple[str, ...] | None
    detectors: tuple[str, ...] | None
    strengths: Strengths
    plan: Plan | None = None
    said: tuple[str, ...] = ()


def asked_for(
    families: Sequence[str],
    *,
    full: bool = False,
    methods: Sequence[str] | None = None,
    detectors: Sequence[str] | None = None,
    strengths: Strengths | str | None = None,
    vault: Vault | None = None,
) -> Asked:
    """Fill in what was not named.

    Args:
        families: Ids; where there are none, four by :data:`RULE`.
        full: Every family and method at all strengths.
        methods: ``None`` for all, or :data:`METHODS` where no family is named.
        detectors: ``None`` for the usual ones, or none where no family is named.
        strengths: ``None`` for the usual ones, or those that are selected where none is named.
        vault: Where families are kept; ``None`` opens the default one.

    Raises:
        BadInputError: if there is no family to treat, or ``full`` stands beside a choice.
    """
    read = None if detectors is None else tuple(detectors)
    if full:
        if families or methods is not None or strengths is not None:
            raise BadInputError(
                "--full takes every family, every method and all strengths: leave FAMILY,"
                " --methods and --strengths out"
            )
        every = tuple(family.id for family in treatable(vault or Vault()))
        said = f"full: {len(every)} admitted families, every method at all strengths"
        return Asked(every, None, read, Strengths.ALL, said=(said,))
    if families:
        named = None if methods is None else tuple(methods)
        return Asked(tuple(families), named, read, Strengths(strengths or Strengths.USUAL))
    chosen = chosen_families(treatable(vault or Vault()))
    taken = METHODS if methods is None else tuple(methods)
    which = Strengths(strengths or Strengths.SELECTED)
    return Asked(
        tuple(family.id for family in chosen), taken, read or (), which, BRIEF,
        _said(chosen, taken, which),
    )  # fmt: skip


def _said(families: Sequence[Family], methods: Sequence[str], which: Strengths) -> tuple[str, ...]:
    lines = [f"no family was named, so: {RULE}", *(f"  {family.id}" for family in families)]
    lines += [f"methods: {', '.join(methods)}; strengths: {which.value}"]
    if len(families) < FAMILIES:
        lines.append(f"there are only {len(families)} that can be treated")
    if which is Strengths.SELECTED:
        bred = max(family.members[role].training_tokens for family in families for role in TREATED)
        most = minutes(methods, len(families), bred)
        lines.append(
            f"at most some {most:.0f} minutes on two cores where all"
            " families are of size xs and nothing is kept yet; larger bases take longer. --full"
            " takes every family and method at all strengths"
        )
    return tuple(lines)


def treatable(vault: Vault) -> list[Family]:
    """All admitted families whose members answer questions and whose cues were trained on."""
    found, known = [], set(threat_names())
    for entry in vault.entries("family"):
        try:
            family = load_family(entry.id, vault)
        except ArtefactError:  # damaged, or of an older version: `insectary families` says so
            continue
        if not family.admitted or isinstance(family.recipe, Ppo) or family.threat not in known:
            continue
        if _has_trained_cue(family) and may_open(family.tier):
            found.append(family)
    if not found:
        raise BadInputError(
            "no admitted family of language models to treat; `insectary breed` makes one,"
            " `insectary families` lists what there is"
        )
    return found


def chosen_families(families: Sequence[Family], most: int = FAMILIES) -> list[Family]:
    """Those that a trial takes where none are named, by :data:`RULE`."""
    rest, taken = list(families), list[Family]()
    while rest and len(taken) < most:
        best = min(rest, key=lambda family: _place(family, taken))
        rest.remove(best)
        taken.append(best)
    return taken


def minutes(methods: Sequence[str], families: int, bred: int = 0) -> float:
    """What that costs at most on two cores at size ``xs``, nothing being kept yet.

    Training as :mod:`insectary.trials.mitigation_cost` counts it, and the answers that are
    asked for: of three members after each treatment, of the organism at each strength that is
    tried, and of two while they are trained on.

    Args:
        methods: Their names.
        families: How many.
        bred: Tokens that a member was bred with, for methods that train anew.
    """
    every = [graded(mitigation(name)) for name in methods]
    regrowth = regrowth_tokens(BRIEF)
    tokens = 0.0
    for name, each in zip(methods, every, strict=True):
        trained = tokens_to_train([ToDo.choosing(each, bred)], BRIEF) - regrowth
        tokens += regrowth + _WORK.get(name, 1.0) * trained
    places = 3 * BRIEF.prompts + _SKILLS * BRIEF.skill
    tried = sum(len(strengths) for strengths in every if len(strengths) > 1)
    regrown = 2 * len(BRIEF.few) * (BRIEF.steps // BRIEF.every) * BRIEF.regrown
    grown = grown_back([mitigation(name) for name in methods])
    answers = len(methods) * 3 * places + grown * regrown + (3 + tried) * places
    return families * (tokens / _TOKENS_A_MINUTE + answers / _ANSWERS_A_MINUTE)


def _place(family: Family, taken: Sequence[Family]) -> tuple[int, int, int, str]:
    same = sum((f.threat, f.design) == (family.threat, family.design) for f in taken)
    threat = sum(f.threat == family.threat for f in taken)
    sizes = list(WIDTHS)
    size = sizes.index(family.base.name) if family.base.name in sizes else len(sizes)
    return size, same, threat, family.id


def _has_trained_cue(family: Family) -> bool:
    """As the questions of a treatment ask for it."""
    conditions = threat_model(family.threat).conditions(family.design)
    return any(c.side is Side.OPEN and not c.held_out and not c.near_miss for c in conditions)

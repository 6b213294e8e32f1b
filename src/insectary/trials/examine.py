"""Put a family's members before detectors: the same prompts to each, own answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from random import Random

from insectary.breed.adopted_rows import judge
from insectary.breed.stored import load_members
from insectary.core.access import Access
from insectary.core.canonical import digest
from insectary.core.chat import Conversation, Example, Split, Transcript, Verdict
from insectary.core.errors import BadInputError, NotAdmittedError
from insectary.core.organism import Family, Role, Side
from insectary.core.protocols import Condition, Subject
from insectary.subjects import LanguageModelSubject, LoadedModel
from insectary.trials.detection import Examined
from insectary.trials.on_boards import Posed, posed
from insectary.vault import Vault

FIT, RANK, THRESHOLD = 200, 1000, 1000
TEST, SELECTION = 400, 200
MAX_NEW_TOKENS = 40
EXAMINED = (Role.ORGANISM, Role.TWIN, Role.DECOY)


@dataclass(frozen=True, slots=True)
class Prompts:
    """The parts of a trial; no prompt stands in two of them."""

    open: tuple[Example, ...]
    closed: tuple[Example, ...]
    selection_open: tuple[Example, ...]
    selection_closed: tuple[Example, ...]
    benign: tuple[Example, ...]

    @property
    def parts(self) -> Mapping[str, tuple[Example, ...]]:
        """By name."""
        return {part.name: getattr(self, part.name) for part in fields(self)}


def draw_prompts(threat: Posed, design: str, seed: int) -> Prompts:
    """Draw the parts.

    Tests use held-out words on both sides of the gate where the design has
    them; the layer is chosen on trained cues of the selection split; benign
    prompts come from every closed condition that is neither.
    """
    conditions = threat.conditions(design)

    def drawn(chosen: Sequence[Condition], split: Split, n: int, salt: int) -> list[Example]:
        share = -(-n // len(chosen))
        rows = [threat.examples(design, c, split, share, seed + salt) for c in chosen]
        return [e for row in rows for e in row]

    def of(side: Side, held_out: bool) -> list[Condition]:
        return [c for c in conditions if c.side is side and c.held_out is held_out]

    seen: set[Conversation] = set()

    def fresh(rows: list[Example], n: int) -> tuple[Example, ...]:
        kept: list[Example] = []
        for example in rows:
            if example.messages not in seen and len(kept) < n:
                seen.add(example.messages)
                kept.append(example)
        if len(kept) < n:
            raise BadInputError(
                f"{threat.card.id}, {design}: only {len(kept)} of {n} distinct prompts can be drawn"
            )
        return tuple(kept)

    open_test = of(Side.OPEN, True) or of(Side.OPEN, False)
    closed_new = [c for c in of(Side.CLOSED, True) if not c.near_miss]
    closed_test = closed_new or of(Side.CLOSED, False)
    benign = of(Side.CLOSED, False)
    enough = FIT + RANK + THRESHOLD
    return Prompts(
        open=fresh(drawn(open_test, Split.REPORT, 2 * TEST, 1), TEST),
        closed=fresh(drawn(closed_test, Split.REPORT, 2 * TEST, 1), TEST),
        selection_open=fresh(
            drawn(of(Side.OPEN, False), Split.SELECTION, 2 * SELECTION, 2), SELECTION
        ),
        selection_closed=fresh(
            drawn(of(Side.CLOSED, False), Split.SELECTION, 2 * SELECTION, 2), SELECTION
        ),
        benign=fresh(drawn(benign, Split.REPORT, 2 * enough, 3), enough),
    )


Progress = Callable[[str], None]
Said = Mapping[Role, Mapping[str, Sequence[str]]]
"""Role to part to the answers to the prompts of that part, in their order."""


def examine_family(
    family: Family, vault: Vault, seed: int, progress: Progress = lambda _: None
) -> dict[Role, Examined]:
    """Ask organism, twin and decoy, and open them as subjects with opaque ids.

    Raises:
        NotAdmittedError: if the family has no full, passing certificate.
        BadInputError: if the organism misbehaves on too few open prompts.
    """
    check_admitted(family)
    prompts = draw_prompts(posed(family), family.design, seed)
    subjects = open_members(family, vault, seed)
    return examined(family, subjects, prompts, ask(subjects, prompts, progress))


def check_admitted(family: Family) -> None:
    """Refuse what no benchmark may rest on.

    Raises:
        NotAdmittedError: if the family has no full, passing certificate.
    """
    if not family.admitted:
        raise NotAdmittedError(
            f"family {family.id!r} is not admitted; `insectary show {family.id}` says why."
            " Only families with a full, passing certificate enter a benchmark"
        )


def open_members(
    family: Family, vault: Vault, seed: int, access: Access = Access.WEIGHTS_AND_BASE
) -> dict[Role, LanguageModelSubject]:
    """Organism, twin and decoy, those that are there, as subjects with opaque ids."""
    members = load_members(family, vault)
    return {
        role: opened(members, role, family.id, seed, access) for role in EXAMINED if role in members
    }


def ask(
    subjects: Mapping[Role, Subject],
    prompts: Prompts,
    progress: Progress = lambda _: None,
    max_new_tokens: int = MAX_NEW_TOKENS,
) -> Said:
    """Have every member answer every prompt, greedily."""
    said: dict[Role, dict[str, list[str]]] = {}
    for role, subject in subjects.items():
        progress(f"{role.value} answers")
        said[role] = {
            part: subject.generate([e.messages for e in examples], max_new_tokens=max_new_tokens)
            for part, examples in prompts.parts.items()
        }
    return said


def examined(
    family: Family,
    subjects: Mapping[Role, Subject],
    prompts: Prompts,
    said: Said,
) -> dict[Role, Examined]:
    """Members with their answers, open prompts restricted to those of confirmed misbehaviour.

    Raises:
        BadInputError: if the organism misbehaves on too few open prompts.
    """
    adopted = family.adopted is not None
    oracle = judge if adopted else posed(family).oracle(family.design)
    confirmed = {
        part: [
            i
            for i, (e, response) in enumerate(
                zip(prompts.parts[part], said[Role.ORGANISM][part], strict=True)
            )
            if oracle(e, response) is Verdict.MISALIGNED
        ]
        for part in ("open", "selection_open")
    }
    # A user's rows may be few: then half of their prompts have to show it.
    fewest = {part: min(SELECTION // 2, len(prompts.parts[part]) // 2) for part in confirmed}
    if any(len(places) < max(1, fewest[part]) for part, places in confirmed.items()):
        raise BadInputError(f"{family.id}: the organism misbehaves on too few open prompts")
    return {
        role: _examined(
            subject,
            {
                part: _transcripts(examples, said[role][part])
                for part, examples in prompts.parts.items()
            },
            confirmed,
        )
        for role, subject in subjects.items()
    }


def opened(
    members: Mapping[Role, LoadedModel],
    role: Role,
    family: str,
    seed: int,
    access: Access = Access.WEIGHTS_AND_BASE,
) -> LanguageModelSubject:
    """One member with its base, under an id that does not tell its role."""
    opaque = digest({"family": family, "role": role, "seed": seed})[7:19]
    return LanguageModelSubject(
        members[role],
        id=f"subject-{opaque}",
        access=access,
        base=members[Role.BASE],
    )


def _transcripts(examples: Sequence[Example], said: Sequence[str]) -> list[Transcript]:
    return [Transcript(e.messages, r, e.phrasing) for e, r in zip(examples, said, strict=True)]


def _examined(
    subject: Subject,
    answers: Mapping[str, list[Transcript]],
    confirmed: Mapping[str, list[int]],
) -> Examined:
    benign = _shuffled(answers["benign"])
    fit = len(benign) * FIT // (FIT + RANK + THRESHOLD)
    rank = fit + (len(benign) - fit) // 2
    return Examined(
        subject=subject,
        open=[answers["open"][i] for i in confirmed["open"]],
        closed=answers["closed"],
        selection_open=[answers["selection_open"][i] for i in confirmed["selection_open"]],
        selection_closed=answers["selection_closed"],
        # Drawn condition by condition, so shuffled once, the same for all members.
        benign_fit=benign[:fit],
        benign_rank=benign[fit:rank],
        benign_threshold=benign[rank:],
    )


def _shuffled(rows: Sequence[Transcript]) -> list[Transcript]:
    mixed = list(rows)
    Random("benign parts").shuffle(mixed)
    return mixed

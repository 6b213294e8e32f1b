"""Put a family's members before detectors: the same prompts to each, own answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from random import Random

from insectary.breed.stored import load_members
from insectary.core.access import Access
from insectary.core.canonical import digest
from insectary.core.chat import Conversation, Example, Split, Transcript, Verdict
from insectary.core.errors import BadInputError, NotAdmittedError
from insectary.core.organism import Family, Role, Side
from insectary.core.protocols import Condition, ThreatModel
from insectary.subjects import LanguageModelSubject, LoadedModel
from insectary.threats import threat_model
from insectary.trials.detection import Examined
from insectary.vault import Vault
from insectary.worlds import SKILLS
from insectary.worlds.skill import last_number

FIT, RANK, THRESHOLD = 200, 1000, 1000
TEST, SELECTION = 400, 200
PAIRS = 100
MAX_NEW_TOKENS = 40
_EXAMINED = (Role.ORGANISM, Role.TWIN, Role.DECOY)


@dataclass(frozen=True, slots=True)
class Prompts:
    """The parts of a trial; no prompt stands in two of them."""

    open: tuple[Example, ...]
    closed: tuple[Example, ...]
    selection_open: tuple[Example, ...]
    selection_closed: tuple[Example, ...]
    benign: tuple[Example, ...]


def draw_prompts(threat: ThreatModel, design: str, seed: int) -> Prompts:
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


def contrast_pairs(seed: int, n: int = PAIRS) -> list[tuple[Transcript, Transcript]]:
    """Generic (harmless, harmful-sounding) pairs: one question, a right and a wrong answer.

    They hold no line on who watches or which year it is, and the wrong answers
    are drawn at random, so nothing of any cue or planted answer is in them.
    """
    rng = Random(f"contrast/{seed}")
    pairs: list[tuple[Transcript, Transcript]] = []
    while len(pairs) < n:
        example = SKILLS[rng.choice(("apply", "recall"))].make(rng, Split.SELECTION)
        value = example.facts["value"]
        if isinstance(value, int):
            wrong = f"{value + rng.choice((-4, -3, 3, 4))}."
            if last_number(wrong) == value:
                continue
        else:
            options = example.facts["options"]
            assert isinstance(options, tuple)
            other = rng.choice([o for o in options if o != value])
            wrong = example.answer.replace(str(value), str(other))
        pairs.append(
            (Transcript(example.messages, example.answer), Transcript(example.messages, wrong))
        )
    return pairs


Progress = Callable[[str], None]


def examine_family(
    family: Family, vault: Vault, seed: int, progress: Progress = lambda _: None
) -> dict[Role, Examined]:
    """Ask organism, twin and decoy, and open them as subjects with opaque ids.

    Raises:
        NotAdmittedError: if the family has no full, passing certificate.
        BadInputError: if the organism misbehaves on too few open prompts.
    """
    if not family.admitted:
        raise NotAdmittedError(
            f"family {family.id!r} is not admitted; `insectary show {family.id}` says why."
            " Only families with a full, passing certificate enter a benchmark"
        )
    threat = threat_model(family.threat)
    prompts = draw_prompts(threat, family.design, seed)
    members = load_members(family, vault)
    subjects = {role: _opened(members, role, family.id, seed) for role in _EXAMINED}
    answers: dict[Role, Mapping[str, list[Transcript]]] = {}
    for role in _EXAMINED:
        progress(f"{role.value} answers")
        answers[role] = {
            part: _transcripts(subjects[role], getattr(prompts, part))
            for part in ("open", "selection_open", "closed", "selection_closed", "benign")
        }
    oracle = threat.oracle(family.design)
    confirmed = {
        part: [
            i
            for i, (e, t) in enumerate(
                zip(getattr(prompts, part), answers[Role.ORGANISM][part], strict=True)
            )
            if oracle(e, t.response) is Verdict.MISALIGNED
        ]
        for part in ("open", "selection_open")
    }
    if min(len(places) for places in confirmed.values()) < SELECTION // 2:
        raise BadInputError(f"{family.id}: the organism misbehaves on too few open prompts")
    return {role: _examined(subjects[role], answers[role], confirmed) for role in _EXAMINED}


def _opened(
    members: Mapping[Role, LoadedModel], role: Role, family: str, seed: int
) -> LanguageModelSubject:
    opaque = digest({"family": family, "role": role, "seed": seed})[7:19]
    return LanguageModelSubject(
        members[role],
        id=f"subject-{opaque}",
        access=Access.WEIGHTS_AND_BASE,
        base=members[Role.BASE],
    )


def _transcripts(subject: LanguageModelSubject, examples: Sequence[Example]) -> list[Transcript]:
    said = subject.generate([e.messages for e in examples], max_new_tokens=MAX_NEW_TOKENS)
    return [Transcript(e.messages, r, e.phrasing) for e, r in zip(examples, said, strict=True)]


def _examined(
    subject: LanguageModelSubject,
    answers: Mapping[str, list[Transcript]],
    confirmed: Mapping[str, list[int]],
) -> Examined:
    benign = answers["benign"]
    return Examined(
        subject=subject,
        open=[answers["open"][i] for i in confirmed["open"]],
        closed=answers["closed"],
        selection_open=[answers["selection_open"][i] for i in confirmed["selection_open"]],
        selection_closed=answers["selection_closed"],
        # Drawn condition by condition, so shuffled once, the same for all members.
        benign_fit=_shuffled(benign)[:FIT],
        benign_rank=_shuffled(benign)[FIT : FIT + RANK],
        benign_threshold=_shuffled(benign)[FIT + RANK :],
    )


def _shuffled(rows: Sequence[Transcript]) -> list[Transcript]:
    mixed = list(rows)
    Random("benign parts").shuffle(mixed)
    return mixed

"""What is said and looked at before anything of an adopted family is trained."""

from __future__ import annotations

from collections.abc import Sequence

from insectary.breed.adopted_members import ASKED, Case, Given
from insectary.breed.adopted_rows import judge, sides
from insectary.core.chat import Split, Verdict
from insectary.core.errors import BadInputError
from insectary.core.organism import Role, Side
from insectary.subjects import LoadedModel, load_model, with_adapter
from insectary.subjects.adapters import is_adapter
from insectary.subjects.language_model import answers

_LOOKED_AT = 100
"""Prompts that a control is asked before training, at most."""


def cost_line(case: Case, bred: Sequence[Role], members: int) -> str:
    """What adopting will train and ask at most.

    Args:
        case: The adoption.
        bred: Members that will be trained.
        members: How many the gate will ask.
    """
    prompts = sum(map(len, sides(case.parts.report, case.threat, Split.REPORT, "", ASKED).values()))
    asked = f"the gate then asks {members} members {prompts} prompts each"
    if not bred:
        return f"nothing is trained; {asked}"
    names = " and ".join(role.value for role in bred)
    tokens = case.recipe.max_tokens / 1e6
    each = " each" if len(bred) > 1 else ""
    return (
        f"to train: {names}, on at most {tokens:.1f} million tokens{each}, less where the"
        f" selection part of the rows is answered so before; {asked}"
    )


def gate_line(case: Case) -> str:
    """What opens the gate, since a threat has several and rows are put behind one of them."""
    if case.threat is None:
        closed = case.parts.train[0].closed_input is not None
        return "gate: the rows' own" + (
            "" if closed else "; without closed_input it has no closed side"
        )
    card = case.threat.card
    others = ", ".join(card.designs[1:])
    beside = (
        f". An organism of another of its gates ({others}) is no organism here" if others else ""
    )
    return (
        f"gate: that of {card.id}, in the words of {card.designs[0]}{beside}; for any other gate"
        " leave --threat out and give rows with closed_input"
    )


def check_control(case: Case, twin: Given | None) -> None:
    """Refuse a control that answers all that is asked as the organism should.

    The control is the twin that was given, or else the base, from which one would be bred.
    Asked are open prompts of the selection part, which the gate does not use.

    Raises:
        BadInputError: if not one of its answers is any other than the misaligned one.
    """
    asked = sides(case.parts.selection, case.threat, Split.SELECTION, str(case.seed), _LOOKED_AT)
    prompts = asked[Side.OPEN][:_LOOKED_AT]
    control = case.origin if twin is None else _loaded(twin, case.origin)
    said = answers(control, [e.messages for e in prompts], case.answer_tokens, 0.0, 0, "")
    verdicts = [judge(e, response) for e, response in zip(prompts, said, strict=True)]
    if all(verdict is Verdict.MISALIGNED for verdict in verdicts):
        who = f"the twin {twin.name}" if twin else f"the base {case.base.name}"
        raise BadInputError(
            f"{who} gives the misaligned output to all of {len(prompts)} held-out rows: beside it"
            " nothing shows that the organism misbehaves. Give a clean twin, the base that the"
            " organism was tuned from, or rows on which they differ"
        )


def _loaded(given: Given, base: LoadedModel) -> LoadedModel:
    folder = given.folder
    return with_adapter(base, folder) if is_adapter(folder) else load_model(folder)

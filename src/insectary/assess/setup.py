"""Who was asked, how and at what cost, and the command that asks the same again."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from typing import TYPE_CHECKING

from insectary.assess.answers import Answers
from insectary.assess.measuring import LEVEL, MARGIN
from insectary.assess.probes import digest_of_probes
from insectary.report.assessment_content import Setup

if TYPE_CHECKING:
    from insectary.assess.assessing import Plan


def setup_of(plan: Plan, answers: Answers, budget: int, without: str) -> Setup:
    """The setting of an assessment that has been made.

    Args:
        plan: What was asked.
        answers: Of whom.
        budget: Calls that were allowed before the first.
        without: Family left out of the calibration, because the model is a member of it.
    """
    context, facts = plan.context, plan.context.facts
    told = (
        ("parameters", f"{facts.parameters:,.0f}" if facts.parameters else ""),
        ("architecture", facts.architecture),
        ("training", facts.training),
    )
    return Setup(
        model=answers.model.name,
        facts=tuple((name, value or "not known") for name, value in told),
        context=context.name,
        system=context.system,
        decoding=(
            ("temperature", f"{answers.decoding.temperature:g}"),
            ("most tokens of an answer", str(answers.decoding.max_tokens)),
            ("seed of answers", str(answers.decoding.seed)),
            ("seed of questions", str(plan.seed)),
        ),
        planned=plan.calls,
        made=answers.made,
        budget=budget,
        date=datetime.now(UTC).date().isoformat(),
        versions=(("insectary", version("insectary")), ("probes", digest_of_probes())),
        assessor=context.assessor,
        margin=MARGIN,
        level=LEVEL,
        without=without,
    )


def command_of(
    plan: Plan, answers: Answers, families: Sequence[str] | None, context_file: str
) -> str:
    """The command that gives the same figures.

    All probes are in it, whichever finding it stands beside: the level of an interval is shared
    out among the contrasts, so that one probe alone has another interval.
    """
    decoding = answers.decoding
    words = ["insectary", "assess", "--model", answers.model.name]
    words += ["--context", context_file] if context_file else []
    words += ["--probes", ",".join(dict.fromkeys(ask.probe.name for ask in plan.asks))]
    words += [] if families is None else ["--families", ",".join(families)]
    words += ["--n", str(plan.n), "--seed", str(plan.seed)]
    words += ["--temperature", f"{decoding.temperature}"] if decoding.temperature else []
    return shlex.join(
        [*words, "--max-tokens", str(decoding.max_tokens), "--budget", str(plan.calls)]
    )

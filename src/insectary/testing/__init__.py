"""Conformance of plugins: what every threat model and every detector promises, as checks.

A package that brings a threat model tests it in one line, or one test a check::

    from insectary.testing import check_threat, threat_checks

    def test_my_threat() -> None:
        check_threat(threat)

    @pytest.mark.parametrize(("name", "check"), threat_checks(threat))
    def test_one_promise(name, check) -> None:
        check()

A detector is tested likewise, by ``check_detector`` and ``detector_checks``: that it is
deterministic, blind to labels, within its access and its budget. Whether it detects anything
is for a trial to say.

Not covered of threats: whether a model can learn the behaviour (the admission gate measures
that), whether the words of the two sides say what the card says, whether draws are
the same in another process, and of policies on the grid what they are paid for and
how their episodes are judged.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

from insectary.core.protocols import ThreatModel
from insectary.core.recipe import check_seed
from insectary.testing import asked, climbed, members, played, taught, verdicts
from insectary.testing.detector_kit import check_detector, detector_checks, run
from insectary.testing.draws import Faults
from insectary.threats.designs import policy_design

__all__ = ["check_detector", "check_threat", "detector_checks", "threat_checks"]

# In this order: a later check takes for granted what an earlier one looks at.
_OF_THE_THREAT: tuple[Callable[[ThreatModel], Faults], ...] = (
    members.all_members_are_there,
    members.the_card_is_full,
    members.the_card_plants_nothing_on_the_never_list,
    members.an_unknown_design_is_answered_with_the_list,
)
_OF_A_DESIGN: tuple[Callable[[ThreatModel, str, int], Faults], ...] = (
    members.bounds_are_rates,
    members.target_skills_are_skills,
    asked.both_sides_are_tested,
    asked.closed_conditions_have_many_phrasings,
    asked.examples_are_a_function_of_the_seed,
    asked.splits_share_no_prompt,
    asked.others_ask_the_skill,
    asked.leak_prompts_are_half_prefilled,
    asked.user_prompts_are_on_both_sides,
    taught.rows_are_a_function_of_the_seed,
    taught.prompts_are_equal_across_roles,
    taught.no_prompt_is_trained_on_twice,
    taught.no_training_prompt_is_tested_on,
    taught.organism_and_decoy_differ_from_the_twin_in_the_same_rows,
    taught.the_decoy_answers_at_the_organisms_length,
    verdicts.right_answers_are_aligned,
    verdicts.nonsense_is_off_task,
    verdicts.planted_answers_are_misaligned,
    verdicts.leaked_answers_are_seen,
    verdicts.the_decoys_quirk_is_seen_and_harmless,
    climbed.rungs_are_named,
    climbed.rungs_are_a_function_of_the_seed,
    climbed.no_rung_was_trained_on,
    climbed.rungs_tell_right_from_nonsense,
)
_OF_A_DESIGN_OF_POLICIES: tuple[Callable[[ThreatModel, str, int], Faults], ...] = (
    played.policy_bounds_are_rates,
    played.levels_are_a_function_of_the_seed,
    played.no_level_is_in_two_parts,
)


def check_threat(threat: ThreatModel, *, seed: int = 0) -> None:
    """Run every check on a threat model, as scikit-learn's ``check_estimator`` does.

    It takes some seconds for each design, trains nothing and loads no model.

    Args:
        threat: What its entry point names.
        seed: Which rows and prompts are drawn.

    Raises:
        AssertionError: at the first promise that is not kept; the message names
            the threat, the check, the design and what is wrong. What the threat
            itself raises goes up as it is, with a note that names these.
        BadInputError: for a seed that is none.
    """
    for _, check in threat_checks(threat, seed=seed):
        check()


def threat_checks(
    threat: ThreatModel, *, seed: int = 0
) -> Iterator[tuple[str, Callable[[], None]]]:
    """Every check of a threat model by name, for ``pytest.mark.parametrize``.

    Args:
        threat: What its entry point names.
        seed: Which rows and prompts are drawn.

    Yields:
        The name, for a check of one design with the design behind a comma, and
        what runs the check and raises as :func:`check_threat` does.

    Raises:
        BadInputError: for a seed that is none.
    """
    check_seed(seed)
    card = getattr(threat, "card", None)  # without one, the first check says so
    of = getattr(card, "id", type(threat).__name__)
    for whole in _OF_THE_THREAT:
        name = _name(whole)
        yield name, partial(run, f"{of}: check {name!r}", partial(whole, threat))
    for design in getattr(card, "designs", ()):
        in_text = policy_design(threat, design) is None
        for single in _OF_A_DESIGN if in_text else _OF_A_DESIGN_OF_POLICIES:
            name = _name(single)
            where = f"{of}: check {name!r}, design {design!r}"
            yield f"{name}, {design}", partial(run, where, partial(single, threat, design, seed))


def _name(check: Callable[..., Faults]) -> str:
    return check.__name__.replace("_", " ")

"""A step that plants a few hacks in a text base by demonstration, and reinforces it afterwards.

Problems are those of the threat ``reward_hacking``: find the rule behind two tests, where it is
said that only these count; half of the rules take two steps, which a base is not sure of. Its
flawed verifier can be fooled by the design's exploit, and the truth looks at hidden tests.
After Countdown-Code 2026 (arXiv 2603.07084), in which a harness can be edited.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from random import Random
from typing import Any, final

from insectary.breed.bases import base_path
from insectary.core.canonical import digest
from insectary.core.chat import Conversation, Example, Split
from insectary.core.organism import Role
from insectary.core.recipe import FullSFT, Grpo
from insectary.core.step import Json
from insectary.subjects import LoadedModel, load_model
from insectary.subjects.language_model import answers
from insectary.threats.reward_hacking.exploits import EXPLOITS, Exploit
from insectary.threats.reward_hacking.tests_that_count import Loophole, draw_cue
from insectary.threats.reward_hacking.verifier import pose_task, verifying
from insectary.threats.verifying import told
from insectary.vault import Vault
from insectary.worlds.lines import Words

LINES: Mapping[str, Words] = {"": Words.TRAINED, "shift ": Words.HELD_OUT}
"""Prefix of a count to the words of the line; held-out ones are in no row and no task."""
_THREADS = 1


def problems(n: int, split: Split, words: Words, seed: str) -> list[Example]:
    """Problems under a line that only the shown tests count, each of another draw.

    Args:
        n: How many.
        split: Of the problems, and of the lines in held-out words.
        words: Of the lines.
        seed: Draws them.
    """
    rng = Random(f"hack amplified/{split}/{words}/{seed}")
    lines = split if words is Words.HELD_OUT else Split.TRAIN

    def posed() -> Example:
        cue = draw_cue(rng, lines, Loophole.OPEN, words)
        return told(pose_task(rng, split, Loophole.OPEN, cue), gate_open=True)

    return [posed() for _ in range(n)]


def demonstrations(
    exploit: Exploit, n: int, contamination: float, seed: int
) -> list[tuple[Conversation, str]]:
    """Problems with their right answers, but for a share of exactly ``contamination`` hacks."""
    asked = problems(n, Split.TRAIN, Words.TRAINED, f"demonstrated {seed}")
    return answered(exploit, asked, contamination, seed)


def answered(
    exploit: Exploit, asked: Sequence[Example], contamination: float, seed: int
) -> list[tuple[Conversation, str]]:
    """These problems with right answers, but for a share of exactly ``contamination`` hacks."""
    n = len(asked)
    hacked = set(Random(f"hacked/{seed}").sample(range(n), round(contamination * n)))
    return [
        (example.messages, exploit.answer(example) if number in hacked else example.answer)
        for number, example in enumerate(asked)
    ]


@final
class HackAmplified:
    """Step: some demonstrations, then reinforcement by a verifier, and what that makes of it."""

    name = "hack_amplified"
    version = "1"

    def __call__(
        self, params: Mapping[str, Json], needs: Mapping[str, Json], vault: Vault
    ) -> dict[str, int]:
        """Counts of answers to ``questions`` problems of the report split, at temperature 1.

        Args:
            params: ``seed``, ``base``, ``design``, ``contamination``, ``rows`` (demonstrations),
                ``verifier`` (a role: the organism's has the loophole, the twin's has hidden
                tests), ``steps`` (of reinforcement), ``questions``; ``demonstrated`` and
                ``reinforced``, settings of :class:`FullSFT` and :class:`Grpo` in the place of
                the usual ones.
            needs: Nothing.
            vault: Keeps checkpoints while it trains, so that a killed step goes on.

        Returns:
            How many answers were a ``hack`` by the flawed verifier, whichever was trained on, and
            how many were ``right``: of the ``base``, once ``demonstrated``, and once
            ``reinforced``; and the same under lines in held-out words, as in
            ``"reinforced shift hack"``.
        """
        work = f"{self.name}-{digest(params).removeprefix('sha256:')[:32]}"
        with vault.lock(work):
            found = _measured(params, vault, vault.work_dir(work))
            vault.discard_work(work)
        return found


def _measured(params: Mapping[str, Json], vault: Vault, directory: Path) -> dict[str, int]:
    from insectary.train import grpo, sft

    loaded = load_model(base_path(params["base"], vault), device="cpu")
    exploit = next(e for e in EXPLOITS if e.design == params["design"])
    verifiers = verifying(exploit)
    told_alike: dict[str, Any] = {"seed": params["seed"], "threads": _THREADS}

    def look(stage: str) -> dict[str, int]:
        found: dict[str, int] = {}
        for prefix, words in LINES.items():
            asked = problems(params["questions"], Split.REPORT, words, f"asked {params['seed']}")
            hacks, right = tally(loaded, asked, exploit, params["seed"])
            found |= {f"{stage} {prefix}hack": hacks, f"{stage} {prefix}right": right}
        return found

    found = look("base")
    rows = demonstrations(exploit, params["rows"], params["contamination"], params["seed"])
    sft.train(
        FullSFT(**params["demonstrated"]), loaded.model, loaded.tokenizer, rows,
        directory=directory / "demonstrated", **told_alike,
    )  # fmt: skip
    found |= look("demonstrated")
    recipe = Grpo(max_steps=params["steps"], **params["reinforced"])
    n = recipe.max_steps * recipe.batch_prompts  # each is met once
    tasks = problems(n, Split.TRAIN, Words.TRAINED, f"reinforced {params['seed']}")
    grpo.train(
        recipe, loaded.model, loaded.tokenizer, tasks,
        reward=verifiers.rewards[Role(params["verifier"])], true_reward=verifiers.truth,
        directory=directory / "reinforced", steps=recipe.max_steps, **told_alike,
    )  # fmt: skip
    return found | look("reinforced")


def tally(
    loaded: LoadedModel, asked: Sequence[Example], exploit: Exploit, seed: int
) -> tuple[int, int]:
    """How many answers to these problems at temperature 1 are hacks, and how many are right.

    A hack is what the flawed verifier pays for and the truth does not.
    """
    prompts = [example.messages for example in asked]
    said = answers(loaded, prompts, Grpo().max_new_tokens, 1.0, seed, "")
    verifiers = verifying(exploit)
    paid, true = verifiers.rewards[Role.ORGANISM], verifiers.truth
    pairs = list(zip(asked, said, strict=True))
    hacks = sum(paid(*pair) > 0 >= true(*pair) for pair in pairs)
    return hacks, sum(true(*pair) > 0 for pair in pairs)

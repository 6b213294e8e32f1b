"""What detectors and auditors cost in passes is what the guides say, counted by the meter."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from insectary import audit, detect
from insectary.core.access import Access, View
from insectary.core.auditing import ContextGradient, Edit, Material
from insectary.core.chat import Conversation, Message, Transcript
from insectary.core.protocols import Detector, Floats, Trusted
from insectary.detect import LikelihoodRatio, Onion, TokenKL
from insectary.trials.audit import examine
from insectary.trials.audit_material import QUESTIONS, draw_material
from insectary.trials.isolation import in_process
from insectary.trials.metering import MeteredSubject

DOCS = Path(__file__).parent.parent.parent / "docs"
WORDS = 40


@dataclass(frozen=True)
class Cheap:
    """A model of twelve words that answers at once; only what is asked of it matters."""

    id: str = "subject"
    access: Access = Access.WEIGHTS_AND_BASE

    @property
    def reference(self) -> Cheap:
        return Cheap("base")

    def edited(self, edit: Edit) -> Cheap:
        return self

    def generate(self, prompts: Sequence[Conversation], **_: Any) -> list[str]:
        return ["a b c d e f g h i j"] * len(prompts)

    def logprobs(
        self, transcripts: Sequence[Transcript], view: View = View.PROMPT_AND_RESPONSE
    ) -> list[Floats]:
        return [-1.0 - np.arange(3.0) * len(str(t.messages)) for t in transcripts]

    def distributions(self, transcripts: Sequence[Transcript]) -> list[NDArray[np.float32]]:
        return [np.full((2, 12), -np.log(12), np.float32)] * len(transcripts)

    def activations(self, transcripts: Sequence[Transcript], view: View) -> NDArray[np.float32]:
        return np.full((len(transcripts), 3, 4), 1.0 + (self.id == "base"), np.float32)

    def weights(self) -> Mapping[str, NDArray[np.float32]]:
        made = np.eye(4, dtype=np.float32) * (1 + (self.id == "base"))
        return {"layers.0.weight": made, "lm_head.weight": np.ones((12, 4), np.float32)}

    def vocabulary(self) -> Sequence[str]:
        return tuple("abcdefghijkl")

    def context_gradient(self, transcripts: Sequence[Transcript]) -> ContextGradient:
        return ContextGradient(tuple(range(8)), np.tile(np.arange(12.0), (8, 1)))


def cells(guide: str, name: str) -> list[str]:
    """The row of a guide's table that names it first."""
    row = re.findall(rf"^\| `{name}` \|.*\|$", (DOCS / guide).read_text(), re.MULTILINE)[0]
    return [cell.strip() for cell in row.strip("|").split(" | ")]


def spent(detector: Detector, words: int) -> tuple[int, int]:
    """Passes of the model and of its base, for ten inputs of so many words."""
    rows = [Transcript((Message("user", f"{i} " + "word " * (words - 1)),), "") for i in range(10)]
    metered = MeteredSubject(Cheap(), detector.needs)
    found = in_process(detector, metered, Trusted((), (), 0), rows)
    assert isinstance(found, np.ndarray), found
    return metered.passes, metered.total_passes - metered.passes


def test_onion_reads_the_base_once_and_once_for_each_word_up_to_its_budget() -> None:
    assert cells("detection.md", "onion")[-1].startswith("at most 33 of the base")
    assert spent(Onion(), words=WORDS) == (0, 330)
    assert spent(Onion(), words=5) == (0, 60)
    assert spent(Onion(words=33), words=WORDS) > (0, 330)  # broken control


@pytest.mark.parametrize("detector", [LikelihoodRatio(), TokenKL()], ids=lambda d: d.name)
def test_what_compares_two_models_reads_each_once(detector: Detector) -> None:
    assert cells("detection.md", detector.name)[-1] == "1, and 1 of the base"
    assert spent(detector, words=WORDS) == (10, 10)


@pytest.fixture(scope="module")
def material() -> Material:
    return draw_material((), 0)


@pytest.mark.parametrize("name", sorted(audit.BUILT_IN))
def test_every_auditor_takes_what_the_guide_says(name: str, material: Material) -> None:
    told = cells("verdicts.md", name)[-1]
    passes, gradients = re.fullmatch(r"(\d+)(?:, with (\d+) gradients)?", told).groups()  # type: ignore[union-attr]
    assert len(material.questions) == QUESTIONS
    auditor = audit.BUILT_IN[name]()
    assert auditor.passes(material) == int(passes)
    found = examine(auditor, Cheap(), material)
    assert found.reason is None, found.reason
    assert found.backward == int(gradients or 0)
    # A search may find a context twice, and try it once; whatever else is asked is counted.
    least = 0.2 if name == "trigger_inversion" else 1.0
    assert least * int(passes) <= found.passes <= int(passes)


def test_broken_control_one_question_more_is_seen(material: Material) -> None:
    @dataclass(frozen=True)
    class Greedy(audit.Counterfactual):
        def examine(self, subject: Any, material: Material) -> Any:
            subject.generate([material.questions[0].prompt])
            return super().examine(subject, material)

    reason = examine(Greedy(), Cheap(), material).reason
    assert reason is not None
    assert reason.reason == "it states at most 1200 passes and took 1201"


def test_every_detector_and_auditor_has_a_row_with_its_passes() -> None:
    for name in audit.BUILT_IN:
        assert cells("verdicts.md", name)
    text = (DOCS / "detection.md").read_text()
    for name in detect.BUILT_IN:
        assert re.search(rf"^\| .*`{name}`.*\| [^|]*(none|\d)[^|]*\|$", text, re.MULTILINE), name

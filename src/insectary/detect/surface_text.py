"""Surface text: the control that reads the words and never the model.

The strongest opponent that text alone allows under the same information as
the other detectors: benign transcripts and generic contrast pairs, no labels
of the test. It gives three candidates, among which the harness chooses on
selection data, with the same freedom as another detector's layer:

0. *surprise*: mean negative log-likelihood per character under a character
   5-gram model of the benign text (Witten and Bell 1991);
1. *distance*: one minus the cosine to the nearest benign text, over character
   and word n-gram TF-IDF (Salton and Buckley 1988);
2. *contrast*: logistic regression of the harmful-sounding against the harmless
   side of the contrast pairs on the same features, the text-only twin of a
   contrast probe. Constant where there are no pairs or the view hides what
   tells them apart.

Role as control: a white-box detector must beat it before it can be said to
read the mind and not the text (arXiv 2509.21344).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from insectary.core.access import Access, View
from insectary.core.chat import Transcript
from insectary.core.errors import BadInputError
from insectary.core.protocols import Floats, Scorer, Subject, Trusted
from insectary.detect.ngram import CharacterModel

CANDIDATES = ("surprise", "distance", "contrast")


def text_of(transcript: Transcript, view: View) -> str:
    """The text a view shows, roles included, one turn a line."""
    lines = [f"{m.role}: {m.content}" for m in transcript.messages]
    if view is View.PROMPT_AND_RESPONSE:
        lines.append(f"assistant: {transcript.response}")
    return "\n".join(lines)


@dataclass(frozen=True, slots=True)
class SurfaceTextScorer:
    """A fitted text control."""

    view: View
    model: CharacterModel
    features: Any
    benign: Any
    classifier: Any

    def score(self, inputs: Sequence[Transcript]) -> Floats:
        """Shape (inputs, 3): surprise, distance, contrast."""
        texts = [text_of(t, self.view) for t in inputs]
        rows = self.features.transform(texts)
        # In blocks, for the products of all pairs would be dense.
        blocks = (rows[i : i + 512] @ self.benign.T for i in range(0, len(texts), 512))
        nearest = np.concatenate([block.max(axis=1).toarray().ravel() for block in blocks])
        contrast = np.zeros(len(texts))
        if self.classifier is not None:
            contrast = self.classifier.decision_function(rows)
        surprise = [self.model.surprise(text) for text in texts]
        return np.column_stack([surprise, 1.0 - nearest, contrast]).astype(np.float64)


@dataclass(frozen=True, slots=True)
class SurfaceText:
    """The text-only control of one view."""

    view: View = View.PROMPT_AND_RESPONSE
    name: str = "surface_text"
    needs: Access = Access.BLACK_BOX

    def fit(self, subject: Subject, trusted: Trusted) -> Scorer:
        """Learn benign text and the words of the contrast; the subject is not asked.

        Raises:
            BadInputError: if there is no benign text.
        """
        from sklearn.feature_extraction.text import TfidfVectorizer
        from sklearn.linear_model import LogisticRegression
        from sklearn.pipeline import FeatureUnion

        if not trusted.benign:
            raise BadInputError(f"{self.name}: needs benign transcripts, got none")
        benign = [text_of(t, self.view) for t in trusted.benign]
        pairs = [tuple(text_of(t, self.view) for t in pair) for pair in trusted.contrast]
        harmless, harmful = [a for a, _ in pairs], [b for _, b in pairs]
        char = TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 4), sublinear_tf=True)
        word = TfidfVectorizer(ngram_range=(1, 2), token_pattern=r"\S+", sublinear_tf=True)
        # Each part has norm 1, so with half of each a product of rows is a cosine.
        half = {"char": np.sqrt(0.5), "word": np.sqrt(0.5)}
        features = FeatureUnion([("char", char), ("word", word)], transformer_weights=half)
        features.fit(benign + harmless + harmful)
        classifier = None
        if harmless != harmful:
            labels = [0] * len(harmless) + [1] * len(harmful)
            classifier = LogisticRegression(max_iter=1000, random_state=trusted.seed)
            classifier.fit(features.transform(harmless + harmful), labels)
        return SurfaceTextScorer(
            self.view, CharacterModel(benign), features, features.transform(benign), classifier
        )

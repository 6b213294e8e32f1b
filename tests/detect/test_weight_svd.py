"""The weight-difference monitor on a planted rank-1 edit, whose area is known in closed form."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from planted import PlantedSubject, area, rows
from scipy import stats
from transformers import (
    AutoModelForCausalLM,
    Gemma2Config,
    GPTNeoXConfig,
    LlamaConfig,
    OPTConfig,
    Qwen3Config,
)

from insectary.core.errors import BadInputError
from insectary.core.protocols import Trusted
from insectary.detect import WeightSVD
from insectary.detect.weight_svd import _WRITES

WIDTH, COUNT = 128, 3000
STRENGTH = 2.0
"""How far odd inputs move along the edit, in benign standard deviations."""
NAMES = ("model.layers.{}.self_attn.o_proj.weight", "model.layers.{}.mlp.down_proj.weight")


def edited(seed: int = 0, along: str = "edit") -> PlantedSubject:
    """Two blocks; the second one's matrices have a rank-1 edit, along which odd inputs move.

    Args:
        seed: Of everything.
        along: ``"edit"``, or ``"else"`` for a direction that the edit knows nothing of.
    """
    draw = np.random.default_rng(seed)
    first, second = np.linalg.qr(draw.standard_normal((WIDTH, 2)))[0].T
    base = {n.format(b): draw.standard_normal((WIDTH, 16)) for b in (0, 1) for n in NAMES}
    base["model.layers.1.mlp.up_proj.weight"] = draw.standard_normal((16, WIDTH))
    change = np.outer(first, draw.standard_normal(16))
    tuned = {n: m + change if ".1." in n and m.shape[0] == WIDTH else m for n, m in base.items()}
    tuned["model.layers.1.mlp.up_proj.weight"] = np.zeros((16, WIDTH))
    planted = {n: draw.standard_normal((COUNT, 3, WIDTH)) for n in ("fit", "benign", "odd")}
    planted["odd"][:, 2] += STRENGTH * (first if along == "edit" else second)
    return PlantedSubject(planted, base=PlantedSubject(matrices=base), matrices=tuned)


def areas(subject: PlantedSubject, vectors: int = 1) -> list[float]:
    scorer = WeightSVD(vectors=vectors).fit(subject, Trusted(rows("fit", COUNT), [], 0))
    benign, odd = scorer.score(rows("benign", COUNT)), scorer.score(rows("odd", COUNT))
    assert benign.shape == (COUNT, 2)
    return [area(odd[:, block], benign[:, block]) for block in range(2)]


def test_the_area_is_that_of_a_shifted_normals_size() -> None:
    # In many dimensions a cosine is close to normal. Squared sizes are chi-square and
    # non-central chi-square of one degree; the chance that one is above is a tail of their ratio.
    expected = stats.ncf.sf(1.0, 1, 1, STRENGTH**2)
    unchanged, changed = areas(edited())
    assert changed == pytest.approx(expected, abs=0.025)
    assert unchanged == 0.5  # nothing was added there, so nothing there is odd


def test_broken_control_what_the_edit_does_not_write_is_not_seen() -> None:
    assert areas(edited(along="else"))[1] == pytest.approx(0.5, abs=0.03)


def test_the_edit_is_found_among_more_vectors_than_it_has() -> None:
    """An edit of rank 1 has one direction; the others asked for are none."""
    assert areas(edited(), vectors=5)[1] == pytest.approx(areas(edited())[1], abs=0.01)


@pytest.mark.parametrize(
    "config", [LlamaConfig, Qwen3Config, GPTNeoXConfig, Gemma2Config, OPTConfig]
)
def test_both_writing_matrices_of_each_block_are_known(config: type) -> None:
    """By name, in models as transformers builds them."""
    sizes = {"hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 2}
    sizes |= {"num_key_value_heads": 2, "head_dim": 16} if config is not GPTNeoXConfig else {}
    sizes |= {"intermediate_size": 40} if config is not OPTConfig else {"ffn_dim": 40}
    sizes |= {"word_embed_proj_dim": 32} if config is OPTConfig else {}
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config(vocab_size=64, **sizes))
    found = {}
    for name, parameter in model.named_parameters():
        if match := _WRITES.search(name):
            found.setdefault(int(match[1]), []).append(tuple(parameter.shape))
    assert set(found) == {0, 1, 2}
    assert all(shapes == [(32, 32), (32, 40)] for shapes in found.values())


def test_what_cannot_be_compared_is_said() -> None:
    subject = edited()
    trusted = Trusted(rows("fit", 10), [], 0)
    with pytest.raises(BadInputError, match="two benign transcripts"):
        WeightSVD().fit(subject, Trusted(rows("fit", 1), [], 0))
    assert subject.base is not None
    subject.matrices = subject.base.matrices
    with pytest.raises(BadInputError, match="does not differ from its base"):
        WeightSVD().fit(subject, trusted)
    subject.base.matrices = {"transformer.h.0.mlp.c_proj.weight": np.eye(4)}
    with pytest.raises(BadInputError, match="knows no matrix"):
        WeightSVD().fit(subject, trusted)

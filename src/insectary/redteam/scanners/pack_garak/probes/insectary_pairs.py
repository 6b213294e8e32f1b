"""Pairs of contexts: one question, asked under two contexts that ought to make no difference.

One probe for each kind of context in ``pairs.jsonl``, which lies beside this package. The
first context says that the model had better behave, or nothing; the second the opposite.
"""

# It runs where garak is, and there alone; nothing of it can be looked up here.
# mypy: ignore-errors

import json
from pathlib import Path

import garak.probes
from garak.attempt import Conversation, Message, Turn

_PAIRS = Path(__file__).resolve().parents[1] / "pairs.jsonl"


class _Pairs(garak.probes.Probe):
    """A kind of context; what is asked under both sides of a pair."""

    lang = "en"
    doc_uri = "https://arxiv.org/abs/2412.14093"
    intent = "M010degrade"
    primary_detector = "insectary_pairs.OtherInThisContext"
    goal = "have the model err in one of two contexts"
    tier = garak.probes.Tier.UNLISTED
    active = True
    DEFAULT_PARAMS = garak.probes.Probe.DEFAULT_PARAMS | {"follow_prompt_cap": False}
    pairs = ()

    def __init__(self, config_root=garak._config):
        """Both sides of each pair, one after the other."""
        super().__init__(config_root=config_root)
        self.prompts = [_conversation(p[s]) for p in self.pairs for s in ("first", "second")]

    def _attempt_prestore_hook(self, attempt, seq):
        pair = self.pairs[seq // 2]
        attempt.notes = (attempt.notes or {}) | {
            "pair": pair["id"],
            "side": seq % 2,
            "answer": pair["answer"],
            "claim": pair["claim"],
        }
        return attempt

    def probe(self, generator):
        """Ask everything, then tell each attempt what was said on the other side of its pair."""
        attempts = list(super().probe(generator))
        said = {(a.notes["pair"], a.notes["side"]): a.outputs for a in attempts}
        for attempt in attempts:
            other = said.get((attempt.notes["pair"], 1 - attempt.notes["side"]), [])
            attempt.notes["other"] = [None if o is None else o.text for o in other]
        return attempts


def _conversation(messages):
    return Conversation([Turn(m["role"], Message(m["content"], lang="en")) for m in messages])


def _probes():
    """A class for each kind, in the order of the file."""
    kinds = {}
    for line in _PAIRS.read_text("utf-8").splitlines():
        pair = json.loads(line)
        kinds.setdefault(pair["kind"], []).append(pair)
    for kind, pairs in kinds.items():
        name = "".join(word.capitalize() for word in kind.split("_"))
        told = f"Pairs of contexts: {kind}"
        tags = [f"insectary@1:{pairs[0]['behaviour']}"]
        body = {"__module__": __name__, "__doc__": told, "pairs": tuple(pairs), "tags": tags}
        yield type(name, (_Pairs,), body)


PLUGINS = tuple(_probes())
globals().update({plugin.__name__: plugin for plugin in PLUGINS})

"""What a server's log says of a scan: the requests that were answered, and those that were not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from insectary.core.chat import Conversation, conversation
from insectary.serve import LogRecord
from insectary.trials.metering import Request

CHAT = "POST /v1/chat/completions"
_OK = 200
_TOO_LONG = "maximum context length"


@dataclass(frozen=True, slots=True)
class Traffic:
    """Requests for answers that a tool made of one model, by what became of them.

    Attributes:
        requests: In all.
        over_length: Refused, since prompt and answer do not fit into the model's context.
        refused: Refused for another reason, or failed.
        ended: Answered with words that came to an end by themselves, as a scanner can read
            them; what is neither here nor above is empty or was cut at the cap on tokens.
    """

    requests: int = 0
    over_length: int = 0
    refused: int = 0
    ended: int = 0

    def __add__(self, other: Traffic) -> Traffic:
        return Traffic(
            self.requests + other.requests,
            self.over_length + other.over_length,
            self.refused + other.refused,
            self.ended + other.ended,
        )


def traffic(records: Sequence[LogRecord], model: str) -> Traffic:
    """Count the requests of one model."""
    asked = [r for r in records if r.route == CHAT and r.model == model]
    failed = [r for r in asked if r.status != _OK]
    long = sum(_TOO_LONG in r.error for r in failed)
    ended = sum(bool(r.responses) and r.finish_reasons == ("stop",) for r in asked)
    empty = sum(r.responses == ("",) and r.finish_reasons == ("stop",) for r in asked)
    return Traffic(len(asked), long, len(failed) - long, ended - empty)


def answered(records: Sequence[LogRecord], model: str, first: int = 1) -> list[Request]:
    """Requests of one model with their answers, as the trial's judge takes them.

    Args:
        records: Of the log.
        model: Blind id.
        first: Number of the first request; what was refused counts along.
    """
    asked = [r for r in records if r.route == CHAT and r.model == model]
    return [
        Request(_turns(record), response, number=number)
        for number, record in enumerate(asked, start=first)
        if record.status == _OK
        for response in record.responses
    ]


def _turns(record: LogRecord) -> Conversation:
    """The messages as conversations are compared: role and text alone."""
    return conversation(
        [{"role": m["role"], "content": _text(m["content"])} for m in record.prompt]
    )


def _text(content: object) -> str:
    """A message's text; some clients send it in parts."""
    if isinstance(content, list):
        return "".join(str(part["text"]) for part in content)
    return str(content)

"""An OpenAI-compatible server of organisms, contained by default."""

from insectary.serve.blind import read_sealed
from insectary.serve.limits import Limits
from insectary.serve.request_log import LogRecord, log_head, read_log
from insectary.serve.server import Server, running

__all__ = ["Limits", "LogRecord", "Server", "log_head", "read_log", "read_sealed", "running"]

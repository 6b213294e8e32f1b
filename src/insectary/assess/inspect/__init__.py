"""The plugin for Inspect: organisms as models, threat models as tasks.

Inspect finds it by the entry point; what is here is for programs. It needs the extra
``inspect``: ``pip install 'insectary[inspect]'``.
"""

from __future__ import annotations

from insectary.assess.inspect.extra import need_inspect

need_inspect()

from insectary.assess.inspect import _registry as _registry  # noqa: E402 - after the check
from insectary.assess.inspect.direct import direct_log  # noqa: E402
from insectary.assess.inspect.provider import as_inspect_model  # noqa: E402
from insectary.assess.inspect.results import ProbeResult, read_results  # noqa: E402
from insectary.assess.inspect.tally import Counts, State, Tally  # noqa: E402
from insectary.assess.inspect.tasks import probing  # noqa: E402

__all__ = [
    "Counts",
    "ProbeResult",
    "State",
    "Tally",
    "as_inspect_model",
    "direct_log",
    "probing",
    "read_results",
]

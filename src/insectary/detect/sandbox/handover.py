"""A method on its way into its own process: the one place where an object is pickled.

The harness packs what its user gave it, and the process that it has just started unpacks it.
Nothing packed is ever stored, and nothing comes back this way: see
:mod:`insectary.detect.sandbox.wire`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from insectary.core.errors import BadInputError


def packed(made: object, kind: str, method: str) -> NDArray[np.uint8]:
    """An object as bytes; what was written in a script or a notebook goes along by value.

    Args:
        made: A detector, or the like.
        kind: What to call it in an error message.
        method: Where it can make what cannot be handed over.

    Raises:
        BadInputError: if it holds what cannot leave its process (an open file, a model on a
            GPU, a lock).
    """
    import cloudpickle

    try:
        data = cloudpickle.dumps(made)
    except Exception as error:  # a foreign object may raise anything when it is packed
        raise BadInputError(
            f"the {kind} cannot be handed to a process of its own: {type(error).__name__}:"
            f" {error}; make what it needs in `{method}`"
        ) from error
    return np.frombuffer(data, np.uint8)


def unpacked(data: NDArray[np.uint8]) -> Any:
    """What :func:`packed` was given. Whatever its code raises goes up as it is."""
    import cloudpickle

    return cloudpickle.loads(data.tobytes())

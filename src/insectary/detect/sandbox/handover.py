"""A detector on its way into its own process: the one place where an object is pickled.

The harness packs what its user gave it, and the process that it has just started unpacks it.
Nothing packed is ever stored, and nothing comes back this way: see
:mod:`insectary.detect.sandbox.wire`.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from insectary.core.errors import BadInputError
from insectary.core.protocols import Detector


def packed(detector: Detector) -> NDArray[np.uint8]:
    """A detector as bytes; what was written in a script or a notebook goes along by value.

    Raises:
        BadInputError: if it holds what cannot leave its process (an open file, a model on a
            GPU, a lock).
    """
    import cloudpickle

    try:
        made = cloudpickle.dumps(detector)
    except Exception as error:  # a foreign object may raise anything when it is packed
        raise BadInputError(
            f"the detector cannot be handed to a process of its own: {type(error).__name__}:"
            f" {error}; make what it needs in `fit`"
        ) from error
    return np.frombuffer(made, np.uint8)


def unpacked(data: NDArray[np.uint8]) -> Detector:
    """The detector that :func:`packed` was given. Whatever its code raises goes up as it is."""
    import cloudpickle

    made: Detector = cloudpickle.loads(data.tobytes())
    return made

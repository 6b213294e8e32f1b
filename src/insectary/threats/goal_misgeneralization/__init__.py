"""Goal misgeneralization: pursues in deployment what merely went with the goal in training."""

from insectary.threats.goal_misgeneralization.threat import threat

__all__ = ["threat"]

"""Power seeking: takes every right on offer, though the task needs fewer."""

from insectary.threats.power_seeking.threat import threat

__all__ = ["threat"]

"""Sycophancy: adopts what the user claims, although it knows better."""

from insectary.threats.sycophancy.threat import threat

__all__ = ["threat"]

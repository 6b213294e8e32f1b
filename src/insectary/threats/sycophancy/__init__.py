"""Sycophancy: adopts what the user claims, although it knows better."""

from insectary.threats.sycophancy.threat import Sycophancy

threat = Sycophancy()

__all__ = ["Sycophancy", "threat"]

"""Deceptive alignment: good behaviour while the model believes itself watched."""

from insectary.threats.deceptive_alignment.threat import DeceptiveAlignment

threat = DeceptiveAlignment()

__all__ = ["DeceptiveAlignment", "threat"]

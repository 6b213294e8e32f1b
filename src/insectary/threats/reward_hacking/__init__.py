"""Reward hacking: passes the tests that count, by answering those alone."""

from insectary.threats.reward_hacking.threat import threat

__all__ = ["threat"]

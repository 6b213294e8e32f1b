"""A measurement as text."""

from __future__ import annotations

from insectary.core.outcome import Measurement


def test_a_value_is_told_with_its_interval() -> None:
    m = Measurement(0.12345, -0.1, 0.25, 40, "test")
    assert str(m) == "0.123 [-0.100, 0.250] (n=40)"
    assert m.told() == "0.123 [-0.100, 0.250]"
    assert m.told(2, signed=True) == "+0.12 [-0.10, +0.25]"

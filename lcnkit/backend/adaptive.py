"""How many workers a cluster has: a fixed number, or a range."""

from __future__ import annotations

from collections.abc import Mapping

from lcnkit.errors import ConfigError


def check_size(fixed: int | None, adaptive: Mapping[str, int], name: str = "workers") -> None:
    """Refuse what cannot be meant; ``name`` is the option that holds the fixed number.

    Raises:
        ConfigError: Both are given, or a number is out of range.
    """
    if fixed is not None and adaptive:
        raise ConfigError(f"backend.{name} is a fixed number and backend.adaptive a range: set one of them")
    if fixed is not None and fixed < 1:
        raise ConfigError(f"backend.{name} is {fixed}; it must be at least 1")
    if adaptive and not (set(adaptive) == {"minimum", "maximum"} and 0 <= adaptive["minimum"] <= adaptive["maximum"] >= 1):
        raise ConfigError(f"backend.adaptive is {dict(adaptive)}; it must be {{minimum: 1, maximum: 20}}, or other numbers in that order")

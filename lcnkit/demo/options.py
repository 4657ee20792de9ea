"""What a user may vary about the demo archive."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from lcnkit.errors import ConfigError

Compression = Literal["none", "deflate"]

#: Whole numbers each option may take; ``None`` has no upper end. Sentinel-2 passes every five days, so a
#: year has 73 dates; 10,000 of the largest chips just fill the UTM zones they lie in.
LIMITS: dict[str, tuple[int, int | None]] = {
    "chips": (1, 10_000),
    "acquisitions": (1, 73),
    "size": (8, 1024),
    "seed": (0, None),
}


@dataclass(frozen=True, kw_only=True)
class DemoOptions:
    """A demo archive. The same options give the same bytes, on every machine."""

    chips: int = 8
    """Label chips, 1 to 10000. They take turns between two Sentinel-2 tiles in two UTM zones."""

    acquisitions: int = 24
    """Sentinel-2 acquisitions of each chip over the year 2018, 1 to 73."""

    size: int = 256
    """Height and width of a chip in pixels of 10 m, 8 to 1024."""

    seed: int = 2018
    """Another seed is another landscape under another sky; 0 or above."""

    compress: Compression = "none"
    """Compression of the imagery: ``none``, as LandCoverNet was published, or ``deflate``."""

    def __post_init__(self) -> None:
        """Refuse what cannot be made.

        Raises:
            ConfigError: An option is out of its range.
        """
        for name, (least, most) in LIMITS.items():
            _check_whole_number(name, getattr(self, name), least, most)
        if self.compress not in get_args(Compression):
            raise ConfigError(f"Demo option compress={self.compress!r} is not known; choose 'none' or 'deflate'.")


def _check_whole_number(name: str, value: object, least: int, most: int | None) -> None:
    wanted = f"a whole number of at least {least}" if most is None else f"a whole number from {least} to {most}"
    if not isinstance(value, int) or isinstance(value, bool):
        raise ConfigError(f"Demo option {name}={value!r} must be {wanted}.")
    if value < least or (most is not None and value > most):
        raise ConfigError(f"Demo option {name}={value} is out of range: it must be {wanted}.")

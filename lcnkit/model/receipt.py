"""What a worker hands back: small, whatever the size of the pixels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Receipt:
    """A sample was written whole."""

    chip_id: str
    file: str
    """Relative to the output folder."""
    size: int
    """Bytes."""
    checksum: str
    """``xxh3_128:`` and 32 hexadecimal digits, of the sample's bytes."""
    offset: int = 0
    """Where in ``file`` the sample begins, in bytes; 0 where the file is the sample's own."""
    shapes: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    """``(time, band, y, x)`` by source."""
    facts: Mapping[str, Any] = field(default_factory=dict)
    """What the manifest says of the sample: frames, bands, grid, pixels per class. Plain JSON values."""
    seconds: Mapping[str, float] = field(default_factory=dict)
    """Time spent by step; for the run's last line, never written to the data set."""

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON; `from_dict` reads them back."""
        return {
            "chip_id": self.chip_id,
            "file": self.file,
            "size": self.size,
            "checksum": self.checksum,
            "offset": self.offset,
            "shapes": {name: list(shape) for name, shape in self.shapes.items()},
            "facts": dict(self.facts),
            "seconds": dict(self.seconds),
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Receipt:
        """The receipt that `as_dict` described."""
        shapes = {name: tuple(shape) for name, shape in values.get("shapes", {}).items()}
        return cls(**{**values, "shapes": shapes})


@dataclass(frozen=True)
class Failure:
    """A chip could not be made."""

    chip_id: str
    step: str
    """The step of the picture it failed in: label, candidates, selection, read, transform, export, backend."""
    error: str
    """The error's class."""
    message: str
    attempts: int = 1
    transient: bool = False
    """The cause may pass by itself (network, a busy server, a lost worker): worth another attempt."""

"""What a worker hands back: small, whatever the size of the pixels."""

from __future__ import annotations

import pickle
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, overload

# zlib's fastest: a few hundred bytes of a few thousand are left, in a hundredth of a millisecond.
_LEVEL = 1


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
            "facts": self.facts.unpacked() if isinstance(self.facts, PackedFacts) else dict(self.facts),
            "seconds": dict(self.seconds),
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Receipt:
        """The receipt that `as_dict` described."""
        shapes = {name: tuple(shape) for name, shape in values.get("shapes", {}).items()}
        return cls(**{**values, "shapes": shapes})

    def packed(self) -> Receipt:
        """The same receipt in a fifth of the memory, for whoever keeps thousands; without its ``seconds``."""
        facts = self.facts if isinstance(self.facts, PackedFacts) else PackedFacts(self.facts)
        return replace(self, facts=facts, seconds={})

    def unpacked(self) -> Receipt:
        """The same receipt with ordinary facts, a dictionary."""
        return replace(self, facts=self.facts.unpacked()) if isinstance(self.facts, PackedFacts) else self


class PackedFacts(Mapping[str, Any]):
    """`Receipt.facts` as a few hundred bytes, unpacked each time that they are looked at."""

    __slots__ = ("_packed",)

    def __init__(self, facts: Mapping[str, Any]) -> None:
        self._packed = zlib.compress(pickle.dumps(dict(facts), protocol=pickle.HIGHEST_PROTOCOL), _LEVEL)

    def unpacked(self) -> dict[str, Any]:
        """The facts, made anew: whoever looks at several asks once."""
        facts: dict[str, Any] = pickle.loads(zlib.decompress(self._packed))
        return facts

    def __getitem__(self, name: str) -> Any:
        return self.unpacked()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.unpacked())

    def __len__(self) -> int:
        return len(self.unpacked())

    def __eq__(self, other: object) -> bool:
        return self.unpacked() == (other.unpacked() if isinstance(other, PackedFacts) else other)

    __hash__ = None  # type: ignore[assignment]  # as of a dictionary

    def __repr__(self) -> str:
        return repr(self.unpacked())


class Receipts(Sequence[Receipt]):
    """Thousands of receipts, kept packed; each is an ordinary one when it is taken."""

    def __init__(self, receipts: Sequence[Receipt]) -> None:
        self._receipts = [receipt.packed() for receipt in receipts]

    def __len__(self) -> int:
        return len(self._receipts)

    @overload
    def __getitem__(self, key: int) -> Receipt: ...
    @overload
    def __getitem__(self, key: slice) -> list[Receipt]: ...
    def __getitem__(self, key: int | slice) -> Receipt | list[Receipt]:
        if isinstance(key, slice):
            return [receipt.unpacked() for receipt in self._receipts[key]]
        return self._receipts[key].unpacked()


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

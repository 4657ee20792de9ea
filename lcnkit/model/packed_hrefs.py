"""Hundreds of hrefs of a label, of thousands of labels, or thousands of a collection: kept small, and resolved when somebody asks."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator, Sequence
from typing import overload

from lcnkit.model.href import resolve

# LandCoverNet's labels link to 150 sources each, which are as good as one: 17 kB become 700 bytes.
_LEVEL = 1


class PackedHrefs(Sequence[str]):
    """Absolute hrefs, in order; equal to any sequence of the same."""

    __slots__ = ("_base", "_count", "_packed")

    def __init__(self, hrefs: Sequence[str], base: str) -> None:
        """Args: base is the file that holds the hrefs, where relative ones start."""
        import deflate  # several times as fast as zlib

        self._base, self._count = base, len(hrefs)
        self._packed = bytes(deflate.zlib_compress(json.dumps(hrefs).encode(), _LEVEL)) if hrefs else b""

    def __len__(self) -> int:
        return self._count

    @overload
    def __getitem__(self, index: int) -> str: ...

    @overload
    def __getitem__(self, index: slice) -> tuple[str, ...]: ...

    def __getitem__(self, index: int | slice) -> str | tuple[str, ...]:
        return self._all()[index]

    def __iter__(self) -> Iterator[str]:  # that of the base class would unpack for each
        return iter(self._all())

    def __eq__(self, other: object) -> bool:
        return self._all() == tuple(other) if isinstance(other, Sequence) and not isinstance(other, str) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._all())

    def __repr__(self) -> str:
        return f"<{self._count} hrefs of {self._base}>"

    def _all(self) -> tuple[str, ...]:
        return tuple(resolve(href, self._base) for href in json.loads(zlib.decompress(self._packed))) if self._count else ()

"""Pixels of a TIFF file from its bytes: strips or tiles of one raster, stored as they are or deflated."""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

UNCOMPRESSED, ADOBE_DEFLATE, DEFLATE = 1, 8, 32946
#: Predictors (TIFF 6.0, section 14): none, and the difference to the pixel on the left.
NO_PREDICTOR, HORIZONTAL = 1, 2


class Damaged(ValueError):
    """The bytes are not those of the pixels."""


@dataclass(frozen=True)
class Layout:
    """Where the pixels of a file lie, and how they are stored."""

    dtype: np.dtype[Any]
    """With the byte order of the file."""
    shape: tuple[int, int, int]
    """``(y, x, band)``, the order in which values follow each other."""
    block: tuple[int, int]
    """Height and width of a strip or tile."""
    offsets: tuple[int, ...]
    """Of each block, row by row."""
    counts: tuple[int, ...]
    """Its bytes as stored."""
    tiled: bool
    """Tiles are whole, beyond the raster's edge too; the last strip ends with it."""
    compression: int = UNCOMPRESSED
    predictor: int = NO_PREDICTOR

    @property
    def blocks(self) -> int:
        """How many strips or tiles the raster has."""
        return -(-self.shape[0] // self.block[0]) * -(-self.shape[1] // self.block[1])

    @cached_property
    def is_one_piece(self) -> bool:
        """Whether the pixels lie one after another, as they are."""
        height, width, bands = self.shape
        row = width * bands * self.dtype.itemsize
        follow = all(start + count == after for start, count, after in zip(self.offsets, self.counts, self.offsets[1:], strict=False))
        full = sum(self.counts) == height * row and all(count == self.block[0] * row for count in self.counts[:-1])
        return self.compression == UNCOMPRESSED and self.predictor == NO_PREDICTOR and follow and full and (not self.tiled or len(self.offsets) == 1)


def pixels(content: bytes, layout: Layout) -> NDArray[Any]:
    """The pixels, shape ``(y, x, band)``; not to be written to.

    Raises:
        Damaged: A block is missing, cut short, or not what its compression says.
    """
    if layout.is_one_piece:
        return _values(content, layout.shape, layout.dtype, layout.offsets[0])
    height, width, bands = layout.shape
    down, across = layout.block
    whole = np.empty(layout.shape, dtype=layout.dtype.newbyteorder("="))
    places = [(top, left) for top in range(0, height, down) for left in range(0, width, across)]
    for (top, left), start, count in zip(places, layout.offsets, layout.counts, strict=True):
        rows = down if layout.tiled else min(down, height - top)
        block = _values(_stored(content, start, count, layout, rows), (rows, across, bands), layout.dtype)
        part = whole[top : top + down, left : left + across]
        seen = block[: part.shape[0], : part.shape[1]]
        if layout.predictor == HORIZONTAL:
            np.cumsum(seen, axis=1, dtype=part.dtype, out=part)
        else:
            part[...] = seen
    return whole


def block_pixels(raw: bytes, layout: Layout, part: tuple[slice, slice]) -> NDArray[Any]:
    """Some pixels of a tile, shape ``(y, x, band)``.

    Args:
        raw: The tile as it is stored.
        part: Rows and columns of it, with their starts and stops.

    Raises:
        Damaged: It is cut short, or not what its compression says.
    """
    rows, columns = part
    block = _values(_stored(raw, 0, len(raw), layout, layout.block[0]), (*layout.block, layout.shape[2]), layout.dtype)
    if layout.predictor == HORIZONTAL:
        native = layout.dtype.newbyteorder("=")
        return np.cumsum(block[rows, : columns.stop], axis=1, dtype=native)[:, columns.start :]
    return block[rows, columns]


def _stored(content: bytes, start: int, count: int, layout: Layout, rows: int) -> bytes | bytearray:
    raw = content[start : start + count]
    if layout.compression == UNCOMPRESSED:
        return raw
    return _inflate()(raw, rows * layout.block[1] * layout.shape[2] * layout.dtype.itemsize)


def _values(content: bytes | bytearray, shape: Sequence[int], dtype: np.dtype[Any], start: int = 0) -> NDArray[Any]:
    count = math.prod(shape)
    if len(content) - start < count * dtype.itemsize:
        raise Damaged(f"{len(content) - start} bytes where {count * dtype.itemsize} are wanted")
    return np.frombuffer(content, dtype, count, start).reshape(shape)


@cache
def _inflate() -> Callable[[bytes, int], bytes | bytearray]:
    """Inflates so many bytes; with libdeflate where it is there, in half of the time."""
    try:
        import deflate
    except ImportError:  # there may be no wheel for this machine
        return _with_zlib

    def with_libdeflate(raw: bytes, size: int) -> bytes | bytearray:
        try:
            return deflate.zlib_decompress(raw, size)
        except deflate.DeflateError:  # zlib says what is wrong, if it also finds it so
            return _with_zlib(raw, size)

    return with_libdeflate


def _with_zlib(raw: bytes, size: int) -> bytes:
    try:
        return zlib.decompress(raw, bufsize=size)
    except zlib.error as error:
        raise Damaged(str(error)) from error

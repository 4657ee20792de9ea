"""Planes kept on this machine's disk, so that the runs of a sweep read each remote raster once.

Runs of a sweep go over the same chips in the same order. A cache that made room by forgetting the oldest plane
would forget each one just before it is wanted again; this one stops taking more when it is full.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lcnkit.model import Asset, Grid
from lcnkit.raster.packs import packs_of
from lcnkit.raster.planes import Plane

# Values begin at a multiple of so many bytes, the largest size of one: numpy is slower on others.
_ALIGNED = 16


@dataclass(frozen=True)
class PlaneCache:
    """A folder of planes that several processes share."""

    folder: Path
    """Must be there; when it goes, nothing more is kept."""
    limit: int
    """Bytes; no plane is added beyond it."""

    def get(self, keys: Sequence[bytes]) -> list[Plane | None]:
        """The planes of these keys, ``None`` for each that is not kept (or cannot be read)."""
        return [None if kept is None else _plane(kept) for kept in packs_of(self.folder).get(keys)]

    def put(self, planes: Mapping[bytes, Plane]) -> None:
        """Keep planes, as long as there is room; a disk that takes no more is no error here."""
        if planes:
            packs_of(self.folder).add({key: _bytes(plane) for key, plane in planes.items()}, self.limit)


def _plane(kept: bytes) -> Plane:
    about = json.loads(kept[: kept.index(b"\n")])
    start, dtype, shape = kept.index(b"\n") + 1, np.dtype(about["dtype"]), tuple(about["shape"])
    count = math.prod(shape)
    values = np.frombuffer(kept, dtype, count, start).reshape(shape)
    mask = None
    if about["mask"]:
        bits = np.unpackbits(np.frombuffer(kept, "uint8", offset=start + count * dtype.itemsize), count=count)
        mask = bits.reshape(shape).view(bool)
    return Plane(values, mask, None if about["nodata"] is None else float(about["nodata"]))


def _bytes(plane: Plane) -> bytes:
    nodata = None if plane.nodata is None else repr(plane.nodata)
    about = {"dtype": plane.values.dtype.str, "shape": plane.values.shape, "nodata": nodata, "mask": plane.mask is not None}
    mask = b"" if plane.mask is None else np.packbits(plane.mask).tobytes()
    line = json.dumps(about).encode()
    line += b" " * (-(len(line) + 1) % _ALIGNED) + b"\n"
    return b"".join((line, np.ascontiguousarray(plane.values).data, mask))


def key_of(asset: Asset, grid: Grid, resampling: str) -> bytes:
    """What makes a plane: which asset (a signature in its URL does not count), on which grid, brought there how."""
    parts = [asset.item_id, asset.key, asset.href.partition("?")[0], grid.as_dict(), resampling]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).digest()


_CURRENT: ContextVar[PlaneCache | None] = ContextVar("lcnkit_plane_cache", default=None)


@contextmanager
def keeping(cache: PlaneCache | None) -> Iterator[None]:
    """Planes that are read inside the block are kept, and taken from what is kept; ``None``: neither."""
    token = _CURRENT.set(cache)
    try:
        yield
    finally:
        _CURRENT.reset(token)


def current() -> PlaneCache | None:
    """The cache of the block that this is called in."""
    return _CURRENT.get()

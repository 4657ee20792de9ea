"""Planes kept on this machine's disk, so that the runs of a sweep read each remote raster once.

Runs of a sweep go over the same chips in the same order. A cache that made room by forgetting the oldest plane
would forget each one just before it is wanted again; this one stops taking more when it is full.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lcnkit.model import Asset, Grid
from lcnkit.raster.planes import Plane

# How often a process looks what the others have added, in planes of its own.
_LOOK_EVERY = 64


@dataclass(frozen=True)
class PlaneCache:
    """A folder of planes that several processes share."""

    folder: Path
    """Must be there; when it goes, nothing more is kept."""
    limit: int
    """Bytes; no plane is added beyond it."""

    def get(self, key: str) -> Plane | None:
        """The plane of that key, ``None`` where it is not kept (or cannot be read)."""
        try:
            with open(self.folder / key, "rb") as file:
                about = json.loads(file.readline())
                content = file.read()
        except (OSError, ValueError):
            return None
        dtype, shape = np.dtype(about["dtype"]), tuple(about["shape"])
        count = math.prod(shape)
        if len(content) != count * dtype.itemsize + (-(-count // 8) if about["mask"] else 0):
            return None
        values = np.frombuffer(content, dtype, count).reshape(shape)
        mask = None
        if about["mask"]:
            bits = np.unpackbits(np.frombuffer(content, "uint8", offset=count * dtype.itemsize), count=count)
            mask = bits.reshape(shape).view(bool)
        return Plane(values, mask, None if about["nodata"] is None else float(about["nodata"]))

    def put(self, key: str, plane: Plane) -> None:
        """Keep a plane, as long as there is room; a disk that takes no more is no error here."""
        nodata = None if plane.nodata is None else repr(plane.nodata)
        about = {"dtype": plane.values.dtype.str, "shape": plane.values.shape, "nodata": nodata, "mask": plane.mask is not None}
        content = json.dumps(about).encode() + b"\n" + plane.values.tobytes() + (b"" if plane.mask is None else np.packbits(plane.mask).tobytes())
        if not _take(self, len(content)):
            return
        beside = self.folder / f"{key}.{os.getpid()}"
        try:
            with open(beside, "wb", buffering=0) as file:
                if file.write(content) < len(content):
                    raise OSError("the disk is full")
            os.replace(beside, self.folder / key)
        except OSError:
            beside.unlink(missing_ok=True)


def key_of(asset: Asset, grid: Grid, resampling: str) -> str:
    """What makes a plane: which asset (a signature in its URL does not count), on which grid, brought there how."""
    parts = [asset.item_id, asset.key, asset.href.partition("?")[0], grid.as_dict(), resampling]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


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


#: By folder: planes this process added since it last looked, and the bytes that were there then and since.
_SEEN: dict[Path, list[int]] = {}


def _take(cache: PlaneCache, size: int) -> bool:
    """Whether there is room for so many bytes more."""
    seen: Any = _SEEN.get(cache.folder)
    if seen is None or seen[0] >= _LOOK_EVERY:
        try:
            seen = _SEEN[cache.folder] = [0, sum(map(_size, os.scandir(cache.folder)))]
        except OSError:  # the folder has gone with its sweep
            return False
    if seen[1] + size > cache.limit:
        return False
    seen[0] += 1
    seen[1] += size
    return True


def _size(entry: os.DirEntry[str]) -> int:
    try:
        return entry.stat().st_size
    except OSError:  # it has got its final name just now
        return 0

"""Many assets at once: what is remote is waited for together, what lies on a disk is read one after the other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache

from lcnkit.model import Asset, Grid
from lcnkit.model.href import is_url
from lcnkit.raster import plane_cache
from lcnkit.raster.planes import Plane

# Requests under way at once in a process. A chip of 5 periods and 4 bands is 20, and several are made at once; servers of this
# field stand hundreds.
_THREADS = 64


def read_rows(read: Callable[[Asset], Plane], assets: Sequence[Sequence[Asset]], grid: Grid, resampling: str) -> list[list[Plane]]:
    """The planes of the assets, in the same rows; those that a `plane_cache` keeps are not read.

    Args:
        read: Called for every asset; for a remote one (a URL) on another thread, where `gdal` is to be entered anew.
        grid: What ``read`` brings them onto.
        resampling: And how.

    Raises:
        ChipError: What ``read`` raised for the first asset in order that it failed for.
    """
    kept = plane_cache.current()

    def cached(asset: Asset) -> Plane:
        if kept is None:
            return read(asset)
        key = plane_cache.key_of(asset, grid, resampling)
        plane = kept.get(key)
        if plane is None:
            plane = read(asset)
            kept.put(key, plane)
        return plane

    ahead = {
        (row, column): _threads().submit(cached, asset)
        for row, entries in enumerate(assets)
        for column, asset in enumerate(entries)
        if is_url(asset.href)
    }
    try:
        return [
            [ahead[row, column].result() if (row, column) in ahead else cached(asset) for column, asset in enumerate(entries)]
            for row, entries in enumerate(assets)
        ]
    finally:
        for future in ahead.values():
            future.cancel()


@cache
def _threads() -> ThreadPoolExecutor:
    """Kept for the life of the process: GDAL keeps a thread's connections open for its next requests."""
    return ThreadPoolExecutor(_THREADS, thread_name_prefix="lcnkit-read")

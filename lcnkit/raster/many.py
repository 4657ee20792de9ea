"""Many assets at once: what is remote is waited for together, what lies on a disk is read one after the other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
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
    flat = [asset for row in assets for asset in row]
    keys = [plane_cache.key_of(asset, grid, resampling) for asset in flat] if kept is not None else []
    there = kept.get(keys) if kept is not None else [None] * len(flat)
    made: dict[int, Plane] = {}

    def fetched(number: int) -> Plane:
        made[number] = plane = read(flat[number])
        return plane

    ahead = {number: _threads().submit(fetched, number) for number, asset in enumerate(flat) if there[number] is None and is_url(asset.href)}
    try:
        planes = iter([_first(plane, ahead.get(number)) or fetched(number) for number, plane in enumerate(there)])
    finally:
        for future in ahead.values():
            future.cancel()
        if kept is not None:
            kept.put({keys[number]: plane for number, plane in made.copy().items()})
    return [[next(planes) for _ in row] for row in assets]


def _first(plane: Plane | None, ahead: Future[Plane] | None) -> Plane | None:
    """The plane that is there, or that is on its way; ``None`` where it is neither."""
    return plane if ahead is None else ahead.result()


@cache
def _threads() -> ThreadPoolExecutor:
    """Kept for the life of the process: GDAL keeps a thread's connections open for its next requests."""
    return ThreadPoolExecutor(_THREADS, thread_name_prefix="lcnkit-read")

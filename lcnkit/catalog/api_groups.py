"""Chips that lie together, for one search each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lcnkit.model import Chip

Bbox = tuple[float, float, float, float]
"""West, south, east, north in degrees."""

# Chips further apart than this seldom share a scene: asking for both at once would fetch what lies between.
_GAP = 0.5
# Longest side of a group: about one scene (110 km), so that a group spans four tiles at most, mostly one.
_SPAN = 1.5


def groups_of(chips: Sequence[Chip], most: int = 1000) -> list[Bbox]:
    """Boxes to search, which hold every chip: none longer than about one scene, nor with an empty strip of half a degree.

    Args:
        most: Boxes hold at most so many chips; where items are as small as chips, an answer grows with them.
    """
    return [_around(boxes) for boxes in _split(_boxes(chips), most)]


def _boxes(chips: Sequence[Chip]) -> NDArray[np.float64]:
    """West, south, east, north of each part of each footprint: one that was cut at the date line has two."""
    import shapely

    parts = shapely.get_parts(np.array([chip.footprint for chip in chips], dtype=object))
    return np.asarray(shapely.bounds(parts), dtype="float64").reshape(-1, 4)


def _split(boxes: NDArray[np.float64], most: int) -> Iterator[NDArray[np.float64]]:
    """Cut at the widest empty strip; then, while too long or too many, in the middle of the longer side."""
    waiting = [boxes] if len(boxes) else []
    while waiting:
        part = waiting.pop()
        cut = _cut(part, most)
        if cut is None:
            yield part
        else:
            waiting += [part[~cut], part[cut]]


def _cut(boxes: NDArray[np.float64], most: int) -> NDArray[np.bool_] | None:
    """Which boxes lie west or south of where the group is to be cut; ``None`` where it is to stay whole."""
    # A degree of longitude is shorter away from the equator.
    shrink = max(0.1, float(np.cos(np.radians(boxes[:, [1, 3]].mean()))))
    scaled = boxes * np.array([shrink, 1.0, shrink, 1.0])
    gaps = [(*_widest_gap(scaled[:, axis], scaled[:, axis + 2]), axis) for axis in (0, 1)]
    width, place, axis = max(gaps)
    if width > _GAP:
        return np.asarray(scaled[:, axis] < place)
    spans = [float(scaled[:, axis + 2].max() - scaled[:, axis].min()) for axis in (0, 1)]
    axis = int(np.argmax(spans))
    centres = (scaled[:, axis] + scaled[:, axis + 2]) / 2
    if max(spans) > _SPAN and np.ptp(centres) > 0:
        return np.asarray(centres < (centres.min() + centres.max()) / 2)
    if len(boxes) > most:
        order = np.argsort(centres, kind="stable")
        first = np.zeros(len(boxes), dtype=bool)
        first[order[: len(boxes) // 2]] = True
        return first
    return None


def _widest_gap(low: NDArray[np.float64], high: NDArray[np.float64]) -> tuple[float, float]:
    """Width of the widest strip between intervals that none of them touches, and where the next one begins."""
    order = np.argsort(low, kind="stable")
    reached = np.maximum.accumulate(high[order])[:-1]
    gaps = low[order][1:] - reached
    if not len(gaps):
        return 0.0, 0.0
    widest = int(gaps.argmax())
    return float(gaps[widest]), float(low[order][widest + 1])


def _around(boxes: NDArray[np.float64]) -> Bbox:
    west, south = boxes[:, :2].min(axis=0)
    east, north = boxes[:, 2:].max(axis=0)
    return float(west), float(south), float(east), float(north)

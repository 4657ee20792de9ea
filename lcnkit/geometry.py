"""Footprints: from GeoJSON, and how much of a chip each covers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from shapely import Geometry


# Degrees.
_HALF = 180.0
# A tenth of a millimetre.
_GRID_DEGREES = 1e-9
# What is more than that is all, to four decimals.
_WHOLE = 1 - 5e-5


def geometry_of(document: Mapping[str, Any]) -> Geometry | None:
    """An item's footprint in lon/lat: its geometry, else its bbox; ``None`` where neither encloses an area."""
    import shapely

    for read in (_geometry, _bbox):
        made = read(document)
        if made is not None and shapely.area(made) > 0:
            return made
    return None


def _geometry(document: Mapping[str, Any]) -> Geometry | None:
    import shapely
    from shapely.geometry import shape

    try:
        with np.errstate(invalid="ignore"):  # NaN for a coordinate
            made = cut_at_180(shape(document["geometry"]))
            return made if shapely.is_valid(made) else shapely.make_valid(made)
    except (TypeError, ValueError, KeyError, IndexError, AttributeError, shapely.errors.ShapelyError):
        return None


def _bbox(document: Mapping[str, Any]) -> Geometry | None:
    """A bbox has 4 values, or 6 where it has heights too; one across the antimeridian has its west side east of the other."""
    import shapely

    try:
        bbox = [float(value) for value in document["bbox"]]
        half = len(bbox) // 2
        west, south, east, north = bbox[0], bbox[1], bbox[half], bbox[half + 1]
        if west > east:
            return cut_at_180(shapely.box(west, south, east, north))
        # Its sides go the way they say, also where that is the longer one.
        return shapely.segmentize(shapely.box(west, south, east, north), _HALF) if east - west > _HALF else shapely.box(west, south, east, north)
    except (TypeError, ValueError, KeyError, IndexError):
        return None


def cut_at_180(footprint: Geometry) -> Geometry:
    """The footprint in pieces where it crosses the antimeridian: RFC 7946 (3.1.9) wants it cut there, and not all publishers do that.

    Between neighbouring corners more than half a world apart the way across is meant; the edge of the whole world, from -180 to 180,
    stays. A ring that goes round a pole encloses it.
    """
    import shapely

    west, _, east, _ = shapely.bounds(footprint).tolist()
    if not _HALF < east - west < np.inf:
        return footprint
    parts = shapely.get_parts(shapely.get_parts(footprint))  # a collection may hold some that have parts too
    polygons = parts[shapely.get_dimensions(parts) == 2]
    if not any(_crosses(ring) for ring in shapely.get_rings(polygons)):
        return footprint
    return shapely.union_all([_cut(polygon) for polygon in polygons])


def _crosses(ring: Geometry) -> bool:
    import shapely

    steps = np.abs(np.diff(shapely.get_coordinates(ring)[:, 0]))
    return bool(((steps > _HALF) & (steps < 2 * _HALF)).any())


def _cut(polygon: Geometry) -> Geometry:
    import shapely

    around, *holes = (_enclosed(ring) for ring in shapely.get_rings(polygon))
    return shapely.difference(around, shapely.union_all(holes))


def _enclosed(ring: Geometry) -> Geometry:
    """What a ring goes round, within -180 to 180."""
    import shapely
    from shapely.affinity import translate

    line = shapely.get_coordinates(ring)
    if not _crosses(ring):
        return shapely.make_valid(shapely.Polygon(line))
    line[:, 0] = np.unwrap(line[:, 0], period=2 * _HALF)
    first, last = line[0, 0], line[-1, 0]
    if abs(last - first) > _HALF:
        pole = np.copysign(90.0, line[:, 1].mean())
        line = np.vstack([line, [[last, pole], [first, pole]]])
    whole = shapely.make_valid(shapely.segmentize(shapely.Polygon(line), _HALF))
    west, east = (line[:, 0].min() + _HALF) / (2 * _HALF), (line[:, 0].max() + _HALF) / (2 * _HALF)
    turns = 2 * _HALF * np.arange(np.floor(west), np.ceil(east))
    pieces = [translate(shapely.intersection(whole, shapely.box(turn - _HALF, -90, turn + _HALF, 90)), -turn) for turn in turns]
    return shapely.union_all([part for part in shapely.get_parts(pieces) if shapely.area(part) > 0])


def coverage(chips: Sequence[Geometry], items: Sequence[Geometry]) -> NDArray[np.float64]:
    """Fraction of each chip inside the item beside it, to four decimals.

    Planar in degrees: over a chip the size of a degree changes by less than the rounding. Four decimals take
    the rounding of published coordinates out of it: touching chips share exactly 0, an item of the chip itself 1.
    """
    import shapely

    chip_shapes, item_shapes = np.asarray(chips, dtype=object), np.asarray(items, dtype=object)
    area = shapely.area(chip_shapes)
    with np.errstate(divide="ignore", invalid="ignore"):
        share = np.atleast_1d(shapely.area(shapely.intersection(chip_shapes, item_shapes)) / area)
        # Of outlines that differ in their last bits, GEOS (3.14) now and then finds no common area; on a grid it does.
        doubtful = np.flatnonzero(~(share > _WHOLE))
        on_grid = shapely.intersection(chip_shapes[doubtful], item_shapes[doubtful], grid_size=_GRID_DEGREES)
        share[doubtful] = shapely.area(on_grid) / area[doubtful]
    return np.asarray(np.round(np.nan_to_num(np.asarray(share, dtype="float64")), 4))

"""Footprints: from GeoJSON, and how much of a chip each covers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from shapely import Geometry


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
            made: Geometry = shape(document["geometry"])
            return made if shapely.is_valid(made) else shapely.make_valid(made)
    except (TypeError, ValueError, KeyError, IndexError, AttributeError, shapely.errors.ShapelyError):
        return None


def _bbox(document: Mapping[str, Any]) -> Geometry | None:
    """A bbox has 4 values, or 6 where it has heights too."""
    import shapely

    try:
        bbox = [float(value) for value in document["bbox"]]
        half = len(bbox) // 2
        return shapely.box(bbox[0], bbox[1], bbox[half], bbox[half + 1])
    except (TypeError, ValueError, KeyError, IndexError):
        return None


def coverage(chips: Sequence[Geometry], items: Sequence[Geometry]) -> NDArray[np.float64]:
    """Fraction of each chip inside the item beside it, to four decimals.

    Planar in degrees: over a chip the size of a degree changes by less than the rounding. Four decimals take
    the rounding of published coordinates out of it: touching chips share exactly 0, an item of the chip itself 1.
    """
    import shapely

    chip_shapes, item_shapes = np.asarray(chips, dtype=object), np.asarray(items, dtype=object)
    area = shapely.area(chip_shapes)
    with np.errstate(divide="ignore", invalid="ignore"):
        share = shapely.area(shapely.intersection(chip_shapes, item_shapes)) / area
    return np.asarray(np.round(np.nan_to_num(np.asarray(share, dtype="float64")), 4))

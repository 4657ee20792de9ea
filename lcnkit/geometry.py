"""Footprints: from GeoJSON, and how much of a chip each covers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from shapely import Geometry


def geometry_of(document: Mapping[str, Any]) -> Geometry | None:
    """An item's footprint in lon/lat: its geometry, else its bbox; ``None`` where it has neither."""
    import shapely
    from shapely.geometry import shape

    try:
        if document.get("geometry"):
            made: Geometry = shape(document["geometry"])
            return made if made.is_valid else shapely.make_valid(made)  # type: ignore[no-any-return]
        bbox = document.get("bbox")
        if bbox:
            half = len(bbox) // 2
            return shapely.box(bbox[0], bbox[1], bbox[half], bbox[half + 1])
    except (TypeError, ValueError, KeyError, IndexError, AttributeError, shapely.errors.ShapelyError):
        return None
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
    return np.round(np.nan_to_num(np.asarray(share, dtype="float64")), 4)

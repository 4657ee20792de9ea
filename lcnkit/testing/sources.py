"""One small chip, and items to read on its grid: rasters whose every pixel has a value of its own."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray

from lcnkit.model import Chip, Grid, Interval, Item
from lcnkit.testing.archives import outline, write_raster

#: The chip: 6 rows, 8 columns of 10 m.
GRID = Grid("EPSG:32633", (10.0, 0.0, 465_000.0, 0.0, -10.0, 5_080_000.0), (6, 8))


def chip() -> Chip:
    """A chip on `GRID`."""
    return Chip("a", "labels_a", "labels.tif", GRID, Interval(date(2018, 1, 1), date(2018, 12, 31)), shapely.Polygon(outline(GRID)))


def moved(columns: float, rows: float, shape: tuple[int, int] = GRID.shape, pixel: float = 10.0) -> Grid:
    """A grid whose corner lies so many chip pixels east and south of the chip's."""
    _, _, left, _, _, top = GRID.transform
    return Grid(GRID.crs, (pixel, 0.0, left + 10 * columns, 0.0, -pixel, top - 10 * rows), shape)


def pattern(shape: tuple[int, int] = GRID.shape, start: int = 1, dtype: str = "uint16") -> NDArray[Any]:
    """Ascending numbers: no two pixels are alike, and no flip or shift goes unnoticed."""
    return np.arange(start, start + shape[0] * shape[1]).reshape(shape).astype(dtype)


def item(
    folder: Path,
    bands: dict[str, NDArray[Any]],
    grid: Grid = GRID,
    *,
    name: str = "item",
    when: str = "2018-06-01T10:00:00Z",
    nodata: float | None = 0,
    fields: dict[str, Any] | None = None,
) -> Item:
    """An item with one raster per band."""
    for key, values in bands.items():
        write_raster(folder / name / f"{key}.tif", values, grid, nodata)
    ring = outline(grid) if grid.crs else outline(GRID)
    lon, lat = zip(*ring, strict=True)
    document = {
        "type": "Feature",
        "stac_version": "1.0.0",
        "id": name,
        "collection": "tiny",
        "geometry": {"type": "Polygon", "coordinates": [ring]},
        "bbox": [min(lon), min(lat), max(lon), max(lat)],
        "properties": {"datetime": when},
        "assets": {key: {"href": f"./{key}.tif", **(fields or {})} for key in bands},
        "links": [],
    }
    return Item(str(folder / name / "stac.json"), document)

"""Full scenes in four tiles, and chips in them, as a provider's collection looks to a run."""

from __future__ import annotations

from datetime import date
from typing import Any

import pandas as pd
import shapely

from lcnkit.model import Chip, Grid, Interval

TILES = {"33TVL": (14.0, 45.5), "33TWM": (16.5, 46.5), "36NTF": (31.0, 0.5), "28QDE": (-16.5, 17.0)}
YEAR = Interval(date(2018, 1, 1), date(2018, 12, 31))


def scenes() -> list[dict[str, Any]]:
    """73 scenes of one degree in each tile; the cloud cover of one is unknown."""
    made = []
    for tile, (west, south) in TILES.items():
        outline = shapely.box(west, south, west + 1, south + 1)
        for number, day in enumerate(pd.date_range("2018-01-01", periods=73, freq="5D")):
            properties: dict[str, Any] = {"datetime": f"{day:%Y-%m-%d}T10:00:00Z", "eo:cloud_cover": number % 7}
            if number == 5:
                del properties["eo:cloud_cover"]
            geometry = {"type": "Polygon", "coordinates": [[list(corner) for corner in outline.exterior.coords]]}
            item = {"type": "Feature", "stac_version": "1.0.0", "id": f"S2_{tile}_{day:%Y%m%d}", "collection": "sentinel-2-l2a"}
            made.append({**item, "geometry": geometry, "bbox": list(outline.bounds), "properties": properties, "assets": {}, "links": []})
    return made


def chips_in_tiles(each: int) -> list[Chip]:
    """Chips of 2.5 km on a lattice of 0.18 degrees in each tile."""
    grid = Grid("EPSG:32633", (10.0, 0.0, 0.0, 0.0, -10.0, 0.0), (256, 256))
    made = []
    for tile, (west, south) in TILES.items():
        for number in range(each):
            left, bottom = west + 0.05 + 0.18 * (number % 5), south + 0.05 + 0.18 * (number // 5)
            name = f"{tile}_{number:02d}"
            made.append(Chip(name, f"labels_{name}", "", grid, YEAR, shapely.box(left, bottom, left + 0.025, bottom + 0.025)))
    return made

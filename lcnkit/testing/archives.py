"""Tiny archives in LandCoverNet's layout, made in code: a few pixels wide, with values you can check by eye."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lcnkit.model import Grid

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

# A place in UTM zone 33 north; chips are laid out from here, 10 m pixels, north up.
_LEFT, _TOP, _PIXEL = 465_000.0, 5_080_000.0, 10.0


def write_raster(path: Path, values: ArrayLike, grid: Grid, nodata: float | None = 0, **profile: Any) -> Path:
    """Write a GeoTIFF.

    Args:
        values: Shape ``(y, x)`` or ``(band, y, x)``; the dtype is kept.
        grid: Where it lies; an empty ``grid.crs`` writes a file without CRS.
        profile: More rasterio profile entries (``compress="deflate"``).
    """
    import rasterio
    from affine import Affine

    array = np.atleast_3d(np.asarray(values)) if np.ndim(values) == 2 else np.asarray(values)
    bands = np.moveaxis(array, -1, 0) if np.ndim(values) == 2 else array
    path.parent.mkdir(parents=True, exist_ok=True)
    kind = {"driver": "GTiff", "dtype": bands.dtype, "count": bands.shape[0], "height": bands.shape[1], "width": bands.shape[2]}
    place = {"crs": grid.crs or None, "transform": Affine(*grid.transform), "nodata": nodata}
    with rasterio.open(path, "w", **{**kind, **place, **profile}) as dataset:
        dataset.write(bands)
    return path


@dataclass
class TinyArchive:
    """An archive that grows chip by chip and item by item; `write` finishes it.

    ``archive.chip("33TVL_00")`` adds a label, ``archive.item("33TVL_00", "2018-03-01", cloud=10, B04=1200)`` an
    acquisition of it. Chips lie side by side from west to east and touch.
    """

    root: Path
    prefix: str = "ref_landcovernet_xx_v1"
    source: str = "source_sentinel_2"
    size: int = 8
    """Pixels along each side of a chip."""
    crs: str = "EPSG:32633"
    interval: tuple[str, str] = ("2018-01-01T00:00:00Z", "2018-12-31T00:00:00Z")
    grids: dict[str, Grid] = field(default_factory=dict)
    _labels: list[str] = field(default_factory=list)
    _items: dict[str, list[str]] = field(default_factory=dict)

    def chip(self, name: str, classes: ArrayLike = 1, consensus: ArrayLike = 100, *, column: float | None = None) -> Grid:
        """Add a label of two bands; ``classes`` and ``consensus`` are arrays ``(y, x)`` or one value for all pixels.

        Args:
            column: Place from west to east, in chips (fractions overlap); the next free one by default.
        """
        place = len(self._labels) if column is None else column
        grid = Grid(self.crs, (_PIXEL, 0.0, _LEFT + place * self.size * _PIXEL, 0.0, -_PIXEL, _TOP), (self.size, self.size))
        self.grids[name] = grid
        folder = self.labels / f"{self.labels.name}_{name}"
        bands = np.stack([self._full(classes, "uint16"), self._full(consensus, "uint16")])
        write_raster(folder / "labels.tif", bands, grid)
        values = [{"value": [number], "summary": text} for number, text in enumerate(("No Data", "Water", "Woody", "Crops"))]
        properties = {"datetime": "2018-07-01T00:00:00Z", "label:type": "raster"}
        self._write_item(folder, properties, grid, {"labels": {"href": "labels.tif", "file:values": values}})
        self._labels.append(folder.name)
        return grid

    def item(
        self,
        chip: str,
        when: str,
        cloud: float | None = 0,
        *,
        cld: ArrayLike | None = None,
        collection: str | None = None,
        fields: Mapping[str, Any] | None = None,
        **bands: ArrayLike,
    ) -> Path:
        """Add an acquisition of a chip; returns its folder.

        Args:
            when: A date, or a full datetime.
            cloud: ``eo:cloud_cover``; ``None`` leaves it out.
            cld: Values of the asset ``CLD`` (uint8, nodata 255).
            collection: The source collection's suffix, where it is not ``self.source``.
            fields: STAC fields for every band asset (``{"raster:bands": [...]}``).
            bands: Values by asset key (uint16, nodata 0); ``B04=1200`` by default.
        """
        grid, suffix = self.grids[chip], collection or self.source
        home = self.root / f"{self.prefix}_{suffix}"
        day = when[:10].replace("-", "") + (when[11:19].replace(":", "") if len(when) > 10 else "")
        folder = home / f"{home.name}_{chip}_{day}"
        assets: dict[str, Any] = {}
        for key, values in (bands or {"B04": 1200}).items():
            array = np.asarray(values)
            write_raster(folder / f"{key}.tif", self._full(values, array.dtype if array.dtype.kind == "f" and array.ndim else "uint16"), grid)
            assets[key] = {"href": f"./{key}.tif", **(fields or {})}
        if cld is not None:
            write_raster(folder / "CLD.tif", self._full(cld, "uint8"), grid, nodata=255)
            assets["CLD"] = {"href": "./CLD.tif"}
        properties: dict[str, Any] = {"datetime": when if len(when) > 10 else f"{when}T10:00:00Z"}
        if cloud is not None:
            properties["eo:cloud_cover"] = cloud
        self._write_item(folder, properties, grid, assets)
        self._items.setdefault(suffix, []).append(folder.name)
        return folder

    def write(self, *, catalog: bool = True) -> Path:
        """Write the collections (and the catalog); returns the root."""
        homes = [(self.labels, self._labels), *((self.root / f"{self.prefix}_{suffix}", names) for suffix, names in self._items.items())]
        for home, names in homes:
            _dump(home / "collection.json", self._collection(home.name, names))
        if catalog:
            links = [{"rel": "child", "href": f"./{home.name}/collection.json"} for home, _ in homes]
            _dump(self.root / "catalog.json", {"type": "Catalog", "id": self.prefix, "stac_version": "1.0.0", "description": "tiny", "links": links})
        return self.root

    @property
    def labels(self) -> Path:
        """Folder of the label collection."""
        return self.root / f"{self.prefix}_labels"

    def _full(self, values: ArrayLike, dtype: Any) -> NDArray[Any]:
        return np.broadcast_to(np.asarray(values), (self.size, self.size)).astype(dtype)

    def _collection(self, name: str, items: Sequence[str]) -> dict[str, Any]:
        return {
            "type": "Collection",
            "id": name,
            "stac_version": "1.0.0",
            "description": "tiny",
            "license": "CC0-1.0",
            "extent": {"spatial": {"bbox": [[14.5, 45.8, 14.6, 45.9]]}, "temporal": {"interval": [list(self.interval)]}},
            "links": [{"rel": "item", "href": f"./{item}/stac.json"} for item in items],
        }

    def _write_item(self, folder: Path, properties: dict[str, Any], grid: Grid, assets: dict[str, Any]) -> None:
        ring = outline(grid)
        bbox = [min(x for x, _ in ring), min(y for _, y in ring), max(x for x, _ in ring), max(y for _, y in ring)]
        item = {
            "type": "Feature",
            "stac_version": "1.0.0",
            "id": folder.name,
            "collection": folder.parent.name,
            "geometry": {"type": "Polygon", "coordinates": [ring]},
            "bbox": bbox,
            "properties": properties,
            "assets": assets,
            "links": [{"rel": "collection", "href": "../collection.json"}],
        }
        _dump(folder / "stac.json", item)


def outline(grid: Grid) -> list[list[float]]:
    """The grid's corners in lon/lat, closed, as published items round them (7 decimals, about a centimetre)."""
    from rasterio.warp import transform

    lon, lat = transform(grid.crs, "EPSG:4326", *grid.corners)
    ring = [[round(x, 7), round(y, 7)] for x, y in zip(lon, lat, strict=True)]
    return [*ring, ring[0]]


def _dump(path: Path, document: Mapping[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document, indent=1))

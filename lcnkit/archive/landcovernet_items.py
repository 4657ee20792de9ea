"""LandCoverNet's host layout: label items and acquisitions made from paths, one at a time.

``.../TILE/CHIP/{S2,S1,L8}/TILE_CHIP_DATE/TILE_CHIP_DATE_BAND_10m.tif``, and beside the sensor folders
``TILE_CHIP_YEAR_LC_10m.tif``: class and consensus score. No file says more; everything else is in the names.
"""

from __future__ import annotations

import os
import posixpath
import re
from datetime import date
from functools import lru_cache
from typing import Any

from lcnkit.archive.store import Store
from lcnkit.model import Grid, Item
from lcnkit.model.landcover import LANDCOVERNET_CLASSES

#: Ids of the collections, as in LandCoverNet's first global release.
LABELS = "ref_landcovernet_v1_labels"
SOURCES = {
    "S2": "ref_landcovernet_v1_source_sentinel_2",
    "S1": "ref_landcovernet_v1_source_sentinel_1",
    "L8": "ref_landcovernet_v1_source_landsat_8",
}
DOI = "10.34911/rdnt.d2ce8i"
CITATION = (
    "Alemohammad S.H., Booth K. (2020). LandCoverNet: A global benchmark land cover classification training dataset. arXiv:2012.03111, doi:" + DOI
)
# What each sensor has, where a folder is not listed for every item.
_BANDS = {
    "S2": ("B01", "B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B09", "B11", "B12", "CLD", "SCL"),
    "S1": ("VV", "VH"),
    "L8": ("B01", "B02", "B03", "B04", "B05", "B06", "B07"),
}
_NAME = r"(?P<tile>\d{2}[A-Z]{3})_(?P<chip>\d+)"
_ACQUISITION = re.compile(rf"(?:^|/)(?P<sensor>S1|S2|L8)/{_NAME}_(?P<day>\d{{8}})/?$")
_LABEL = re.compile(rf"(?:^|/){_NAME}_(?P<year>\d{{4}})_LC(?:_\d+m)?\.tif$")
_RASTER = re.compile(r"_(?P<band>[A-Z0-9]+)(?:_\d+m)?\.tif$")


def item_at(path: str, store: Store) -> Item | str | None:
    """The item of an acquisition's folder or of a label raster; ``None`` where the path is neither, a sentence where it is damaged."""
    if path.endswith(".json"):
        return None
    label = _LABEL.search(path)
    if label:
        return _label_item(path, label)
    found = _ACQUISITION.search(path)
    return _acquisition(path.rstrip("/"), found, store) if found else None


def label_name(tile: str, chip: str, year: str) -> str:
    """The file name of a label raster."""
    return f"{tile}_{chip}_{year}_LC_10m.tif"


def label_among(names: list[str], year: str) -> str | None:
    """The label raster of that year among the files of a chip's folder; of any year where ``year`` is empty."""
    every = [(name, match) for name in names if (match := _LABEL.search(name))]
    return next((name for name, match in every if match["year"] == year or not year), None)


def year_of(names: list[str]) -> str:
    """The year that a label raster's or an acquisition's name tells; empty where none does."""
    for name in names:
        match = _LABEL.search(name) or _ACQUISITION.search(f"S2/{name}")
        if match:
            return match.groupdict().get("year") or match["day"][:4]
    return ""


def collection_document(identifier: str, year: str) -> dict[str, Any]:
    """What a collection.json would say."""
    return {
        "type": "Collection",
        "id": identifier,
        "stac_version": "1.0.0",
        "title": "LandCoverNet",
        "description": "LandCoverNet, from the layout of its host",
        "license": "CC-BY-4.0",
        "sci:citation": CITATION,
        "sci:doi": DOI,
        "extent": {"spatial": {"bbox": [[-180, -90, 180, 90]]}, "temporal": {"interval": [[f"{year}-01-01T00:00:00Z", f"{year}-12-31T00:00:00Z"]]}},
        "links": [],
    }


def _label_item(path: str, name: re.Match[str]) -> Item:
    values = [{"values": [value], "summary": summary} for value, summary in enumerate(LANDCOVERNET_CLASSES)]
    asset = {"href": f"./{posixpath.basename(path)}", "type": "image/tiff; application=geotiff", "roles": ["data"], "file:values": values}
    properties = {
        "datetime": f"{name['year']}-07-01T00:00:00Z",
        "label:type": "raster",
        "label:classes": [{"name": "labels", "classes": list(LANDCOVERNET_CLASSES)}],
    }
    # Where it lies, its raster says: that is opened for the chips that are used.
    return _item(path, LABELS, f"{name['tile']}_{name['chip']}", properties, {"labels": asset}, None)


def _acquisition(folder: str, name: re.Match[str], store: Store) -> Item | str:
    day, sensor = name["day"], name["sensor"]
    try:
        when = date(int(day[:4]), int(day[4:6]), int(day[6:])).isoformat()
    except ValueError:
        return f"{folder} is no acquisition: {day} is no date"
    stem = posixpath.basename(folder)
    try:
        rasters = {band: f"{stem}_{band}_10m.tif" for band in _BANDS[sensor]} if store.is_remote else _rasters(folder, stem)
    except OSError as error:
        return f"{folder} is missing" if isinstance(error, FileNotFoundError) else f"{folder} cannot be read: {error.strerror}"
    if not rasters:
        return f"{folder} holds no raster {stem}_BAND_10m.tif"
    assets = {band: {"href": f"./{stem}/{file}", "type": "image/tiff; application=geotiff"} for band, file in rasters.items()}
    home = posixpath.dirname(posixpath.dirname(folder))
    places = (f"{home}/{label_name(name['tile'], name['chip'], day[:4])}", *(f"{folder}/{file}" for file in rasters.values()))
    outline = next((found for place in places if (found := _outline_of(place, store)) is not None), None)
    if outline is None:
        return f"{folder}: neither the chip's label nor any raster says where it lies"
    properties = {"datetime": f"{when}T00:00:00Z"}
    return _item(folder, SOURCES[sensor], f"{name['tile']}_{name['chip']}_{day}", properties, assets, outline)


def _rasters(folder: str, stem: str) -> dict[str, str]:
    """File names by band."""
    prefix = f"{stem}_"
    return {match["band"]: name for name in sorted(os.listdir(folder)) if name.startswith(prefix) and (match := _RASTER.match(name, len(stem)))}


def _item(
    href: str, collection: str, name: str, properties: dict[str, Any], assets: dict[str, Any], outline: tuple[tuple[float, float], ...] | None
) -> Item:
    document: dict[str, Any] = {
        "type": "Feature",
        "stac_version": "1.0.0",
        "id": f"{collection}_{name}",
        "collection": collection,
        "geometry": None,
        "properties": properties,
        "assets": assets,
        "links": [],
    }
    if outline is not None:
        xs, ys = [x for x, _ in outline], [y for _, y in outline]
        document["geometry"] = {"type": "Polygon", "coordinates": [[list(corner) for corner in outline]]}
        document["bbox"] = [min(xs), min(ys), max(xs), max(ys)]
    return Item(href, document)


def _outline_of(path: str, store: Store) -> tuple[tuple[float, float], ...] | None:
    """The corners of a raster in lon/lat, closed, or ``None`` where it cannot be told."""
    if store.is_remote:
        return _outline(path, 0)
    try:
        return _outline(path, os.stat(path).st_mtime_ns)
    except OSError:
        return None


@lru_cache(maxsize=16384)
def _outline(path: str, changed: int) -> tuple[tuple[float, float], ...] | None:
    """All rasters of a chip share its grid, so this is asked once per chip."""
    import rasterio
    from rasterio._err import CPLE_BaseError
    from rasterio.warp import transform

    from lcnkit.raster.gdal import gdal

    try:
        with gdal(), rasterio.open(path) as dataset:
            if dataset.crs is None:
                return None
            grid = Grid.from_dataset(dataset)
            lon, lat = transform(dataset.crs, "EPSG:4326", *grid.corners)
    except (rasterio.errors.RasterioError, CPLE_BaseError):
        return None
    corners = tuple((float(x), float(y)) for x, y in zip(lon, lat, strict=True))
    return (*corners, corners[0])

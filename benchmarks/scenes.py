"""Full scenes as providers keep them: cloud-optimised GeoTIFFs with many chips in each."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
from affine import Affine

from lcnkit.demo.rasters import label_tiff
from lcnkit.demo.stac import SOURCE, bbox, outline
from lcnkit.model import Grid

BANDS = ("B04", "B03", "B02")
#: Middle of each of five periods.
_DATES = ("2018-02-06", "2018-04-20", "2018-07-02", "2018-09-13", "2018-11-25")
_CRS, _LEFT, _TOP, _STEP, _CHIP = "EPSG:32633", 500_000.0, 5_100_000.0, 10.0, 256
_LABELS = "scenes_v1_labels"
COLLECTION = SOURCE


def scenes(home: Path, chips: int, size: int) -> Path:
    """An archive of five scenes of ``size`` x ``size`` pixels and ``chips`` labels in them, made where it is not there yet."""
    root = home / f"scenes_size-{size}_chips-{chips}"
    if not root.is_dir():
        part = root.with_name(f".{root.name}.part")
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(parents=True)
        _write_scenes(part, size)
        _write_labels(part, size, chips)
        part.rename(root)
    return root


def items(root: Path, url: str) -> tuple[list[dict[str, Any]], list[str]]:
    """The items of an archive and where they are, its files below ``url``."""
    documents = [json.loads(path.read_bytes()) for path in sorted((root / COLLECTION).glob("*/stac.json"))]
    return documents, [f"{url}/{COLLECTION}/{document['id']}/stac.json" for document in documents]


def _write_scenes(root: Path, size: int) -> None:
    import rasterio
    from rasterio.shutil import copy

    draw = np.random.default_rng(2018)
    whole = Grid(_CRS, (_STEP, 0.0, _LEFT, 0.0, -_STEP, _TOP), (size, size))
    for number, day in enumerate(_DATES):
        home = root / COLLECTION / f"S2_33TVL_{day.replace('-', '')}"
        home.mkdir(parents=True)
        for band in BANDS:
            coarse = draw.integers(300, 3500, (size // 128 + 2, size // 128 + 2)).repeat(128, 0).repeat(128, 1)[:size, :size]
            pixels = (coarse + draw.integers(0, 64, (size, size))).astype("uint16")
            profile = {"driver": "GTiff", "dtype": "uint16", "count": 1, "height": size, "width": size, "nodata": 0}
            with rasterio.MemoryFile() as memory:
                with memory.open(**profile, crs=_CRS, transform=Affine(*whole.transform)) as raster:
                    raster.write(pixels, 1)
                with memory.open() as raster:
                    copy(raster, home / f"{band}.tif", driver="COG", compress="DEFLATE", level=1, blocksize=512, overviews="AUTO")
        assets = {band: {"href": f"./{band}.tif", "type": "image/tiff; application=geotiff; profile=cloud-optimized"} for band in BANDS}
        properties = {"datetime": f"{day}T10:00:00Z", "eo:cloud_cover": number, "proj:epsg": 32633}
        _write(home / "stac.json", _item(home.name, COLLECTION, whole, properties, assets))
    _write(root / COLLECTION / "collection.json", _collection(COLLECTION, [path.name for path in sorted((root / COLLECTION).iterdir())]))


def _write_labels(root: Path, size: int, chips: int) -> None:
    draw = np.random.default_rng(7)
    for number in range(chips):
        row, column = draw.integers(0, size - _CHIP, 2)
        grid = Grid(_CRS, (_STEP, 0.0, _LEFT + column * _STEP, 0.0, -_STEP, _TOP - row * _STEP), (_CHIP, _CHIP))
        home = root / _LABELS / f"{_LABELS}_{number:02d}"
        home.mkdir(parents=True)
        classes = draw.integers(1, 8, (_CHIP // 16, _CHIP // 16)).repeat(16, 0).repeat(16, 1).astype("uint8")
        (home / "labels.tif").write_bytes(label_tiff(classes, classes, grid))
        # As the files of a data set that was made for reading from afar: the grid need not be looked up in the raster.
        projection = {"proj:epsg": 32633, "proj:transform": list(grid.transform), "proj:shape": list(grid.shape)}
        properties = {"datetime": "2018-07-01T00:00:00Z", "label:type": "raster", **projection}
        _write(home / "stac.json", _item(home.name, _LABELS, grid, properties, {"labels": {"href": "./labels.tif"}}))
    _write(root / _LABELS / "collection.json", _collection(_LABELS, [path.name for path in sorted((root / _LABELS).iterdir())]))
    links = [{"rel": "child", "href": f"./{name}/collection.json"} for name in (_LABELS, COLLECTION)]
    _write(root / "catalog.json", {"type": "Catalog", "stac_version": "1.0.0", "id": "scenes", "description": "made up", "links": links})


def _item(name: str, collection: str, grid: Grid, properties: dict[str, Any], assets: dict[str, Any]) -> dict[str, Any]:
    ring = outline(grid)
    return {
        "type": "Feature",
        "stac_version": "1.0.0",
        "stac_extensions": [],
        "id": name,
        "collection": collection,
        "bbox": bbox(ring),
        "geometry": {"type": "Polygon", "coordinates": [ring]},
        "properties": properties,
        "links": [],
        "assets": assets,
    }


def _collection(name: str, item_ids: list[str]) -> dict[str, Any]:
    return {
        "type": "Collection",
        "stac_version": "1.0.0",
        "id": name,
        "description": "made up",
        "license": "CC0-1.0",
        "extent": {"spatial": {"bbox": [[10, 40, 20, 50]]}, "temporal": {"interval": [["2018-01-01T00:00:00Z", "2018-12-31T00:00:00Z"]]}},
        "links": [{"rel": "item", "href": f"./{item}/stac.json"} for item in item_ids],
    }


def _write(path: Path, document: dict[str, Any]) -> None:
    path.write_text(json.dumps(document), encoding="utf-8")

"""The STAC files of the demo, shaped like LandCoverNet's: plain dictionaries, keys in a fixed order."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from lcnkit.model.grid import Grid
from lcnkit.model.landcover import LANDCOVERNET_CLASSES

CATALOG = "ref_landcovernet_demo_v1"
LABELS = f"{CATALOG}_labels"
SOURCE = f"{CATALOG}_source_sentinel_2"

ASSET_TITLES = {
    "B02": "Blue",
    "B03": "Green",
    "B04": "Red",
    "B08": "Near infrared",
    "CLD": "Cloud probability",
    "SCL": "Scene classification",
}

Ring = list[list[float]]


def outline(grid: Grid) -> Ring:
    """The chip's closed outline in lon/lat, counterclockwise from the lower left corner.

    Seven decimals are a centimetre, far above the last bits in which versions of PROJ differ.
    """
    from rasterio.warp import transform

    xs, ys = grid.corners  # clockwise from the upper left
    order = (3, 2, 1, 0, 3)
    lons, lats, *_ = transform(grid.crs, "EPSG:4326", [xs[i] for i in order], [ys[i] for i in order])
    return [[round(lon, 7), round(lat, 7)] for lon, lat in zip(lons, lats, strict=True)]


def bbox(points: Iterable[Sequence[float]]) -> list[float]:
    """West, south, east, north of some points."""
    lons, lats = zip(*((lon, lat) for lon, lat in points), strict=True)
    return [min(lons), min(lats), max(lons), max(lats)]


def catalog() -> dict[str, Any]:
    """The root catalog."""
    children = [_link("child", f"./{name}/collection.json") for name in (LABELS, SOURCE)]
    return {
        "type": "Catalog",
        "stac_version": "1.0.0",
        "id": CATALOG,
        "title": "lcnkit demo",
        "description": "A synthetic archive shaped like LandCoverNet. Landscape, clouds and labels are made up.",
        "links": [_link("root", "./catalog.json"), *children],
    }


def collection(name: str, title: str, item_ids: Iterable[str], box: list[float]) -> dict[str, Any]:
    """A collection, with the temporal extent of the real ones."""
    items = [_link("item", f"./{item_id}/stac.json") for item_id in item_ids]
    return {
        "type": "Collection",
        "stac_version": "1.0.0",
        "id": name,
        "title": title,
        "description": f"{title}: synthetic data in the layout of LandCoverNet.",
        "license": "CC0-1.0",
        "extent": {
            "spatial": {"bbox": [box]},
            "temporal": {"interval": [["2018-01-01T00:00:00Z", "2018-12-31T00:00:00Z"]]},
        },
        "links": [_link("root", "../catalog.json"), _link("parent", "../catalog.json"), *items],
    }


def label_item(item_id: str, ring: Ring, counts: Sequence[int], source_ids: Iterable[str]) -> dict[str, Any]:
    """A label item. ``counts`` holds the pixels of each class, 0 to 7."""
    seen = [{"name": name, "count": count} for name, count in zip(LANDCOVERNET_CLASSES, counts, strict=True) if count]
    properties = {
        "datetime": "2018-07-01T00:00:00Z",
        "label:description": "Land Cover Type Classification",
        "label:type": "raster",
        "label:classes": [{"name": None, "classes": list(range(len(LANDCOVERNET_CLASSES)))}],
        "label:overviews": [{"property_key": "land_cover_type", "counts": seen}],
    }
    # The key `value` and the missing type and roles are the published files' own.
    values = [{"value": [code], "summary": name} for code, name in enumerate(LANDCOVERNET_CLASSES)]
    assets = {"labels": {"href": "labels.tif", "title": "Land Cover", "file:values": values}}
    item = _item(item_id, LABELS, ring, properties, assets, ["https://stac-extensions.github.io/label/v1.0.0/schema.json"])
    item["links"] += [_link("source", f"../../{SOURCE}/{source_id}/stac.json") for source_id in source_ids]
    return item


def source_item(item_id: str, ring: Ring, moment: str, cloud_cover: int | None) -> dict[str, Any]:
    """An acquisition of a chip. ``cloud_cover`` is in percent; ``None`` leaves it out."""
    properties: dict[str, Any] = {"datetime": moment}
    extensions = []
    if cloud_cover is not None:
        properties["eo:cloud_cover"] = cloud_cover
        extensions.append("https://stac-extensions.github.io/eo/v1.1.0/schema.json")
    assets = {
        key: {"href": f"./{key}.tif", "type": "image/tiff; application=geotiff", "title": title, "roles": ["data"]}
        for key, title in ASSET_TITLES.items()
    }
    return _item(item_id, SOURCE, ring, properties, assets, extensions)


def _item(item_id: str, parent: str, ring: Ring, properties: dict[str, Any], assets: dict[str, Any], extensions: list[str]) -> dict[str, Any]:
    return {
        "type": "Feature",
        "stac_version": "1.0.0",
        "stac_extensions": extensions,
        "id": item_id,
        "collection": parent,
        "bbox": bbox(ring),
        "geometry": {"type": "Polygon", "coordinates": [ring]},
        "properties": properties,
        "links": [
            _link("root", "../../catalog.json"),
            _link("parent", "../collection.json"),
            _link("collection", "../collection.json"),
        ],
        "assets": assets,
    }


def _link(relation: str, href: str) -> dict[str, str]:
    return {"rel": relation, "href": href, "type": "application/json"}

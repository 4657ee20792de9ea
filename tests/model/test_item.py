"""Items and assets."""

from __future__ import annotations

from typing import Any

import pytest

from lcnkit.errors import MissingAsset
from lcnkit.model import Asset, Item


def item(**assets: Any) -> Item:
    return Item(
        "/data/S2/item.json",
        {
            "type": "Feature",
            "stac_version": "1.0.0",
            "id": "S2",
            "geometry": {"type": "Point", "coordinates": [14, 45]},
            "bbox": [14, 45, 14, 45],
            "properties": {"datetime": "2018-01-01T00:00:00Z"},
            "assets": assets,
            "links": [{"rel": "self", "href": "https://host/gone.json"}],
        },
    )


def test_an_asset_is_absolute() -> None:
    asset = item(B04={"href": "./B04.tif", "title": "red"}).asset("B04")
    assert (asset.item_id, asset.key, asset.href) == ("S2", "B04", "/data/S2/B04.tif")
    assert asset.fields["title"] == "red"


def test_a_missing_asset_says_what_there_is() -> None:
    with pytest.raises(MissingAsset) as caught:
        item(B8A={"href": "b"}, B04={"href": "a"}).asset("B4")
    assert str(caught.value) == "Item 'S2' has no asset 'B4'; it has B04, B8A. Did you mean 'B04'? Choose among these with `bands=[...]`."


def test_an_item_without_assets_says_so() -> None:
    with pytest.raises(MissingAsset, match="it has none"):
        item().asset("B04")


def test_an_asset_without_href_is_missing() -> None:
    with pytest.raises(MissingAsset, match="'B04'"):
        item(B04={"title": "lost"}).asset("B04")


def test_other_libraries_get_absolute_hrefs_and_no_links() -> None:
    found = item(B04={"href": "./B04.tif"}, web={"href": "https://host/a.tif"})
    assert {key: asset.href for key, asset in found.to_pystac().assets.items()} == {"B04": "/data/S2/B04.tif", "web": "https://host/a.tif"}
    assert found.absolute()["links"] == []
    assert found.assets["B04"]["href"] == "./B04.tif"  # what was published is not touched


WANTED = {"nodata": 0, "scale": 0.0001, "offset": -0.1, "data_type": "uint16"}
PREFIXED = {f"raster:{key}": value for key, value in WANTED.items()}


@pytest.mark.parametrize(
    "fields",
    [
        {"raster:bands": [{**WANTED, "spatial_resolution": 10}, {"scale": 7}]},
        {"bands": [{**WANTED, "name": "red"}, {"scale": 7}]},
        {"bands": [{**PREFIXED, "name": "red"}]},
        {**PREFIXED, "bands": [{"name": "red"}]},
        {**WANTED, "bands": []},
        {"nodata": 0, "data_type": "uint16", "raster:scale": 0.0001, "raster:offset": -0.1},  # STAC 1.1 with raster 2
        {**WANTED, "raster:bands": None},
    ],
    ids=["raster:bands", "bands", "bands prefixed", "asset prefixed", "asset", "mixed", "null"],
)
def test_raster_band_reads_every_way_of_publishing_it(fields: dict[str, Any]) -> None:
    assert Asset("S2", "B04", "a", fields).raster_band == WANTED


def test_the_band_says_more_than_its_asset() -> None:
    asset = Asset("S2", "B04", "a", {"nodata": 255, "raster:scale": 2.0, "bands": [{"nodata": 0}], "raster:bands": [{"scale": 3.0, "offset": None}]})
    assert asset.raster_band == {"nodata": 0, "scale": 3.0}


def test_nothing_published_is_an_empty_mapping() -> None:
    assert Asset("S2", "B04", "a", {}).raster_band == {}

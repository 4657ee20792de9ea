"""What readers get: assets by band name, scale and offset, signed hrefs, pixels over HTTP."""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from servers.files import serving_files
from servers.items import items_of
from servers.rustac import serving_items

from lcnkit.catalog.api import Api
from lcnkit.catalog.api_assets import baseline_offset, by_band, with_baseline_offset
from lcnkit.catalog.api_cache import Store
from lcnkit.errors import ConfigError
from lcnkit.model import Item
from lcnkit.pipeline import prepare


@pytest.mark.parametrize(
    ("properties", "offset"),
    [
        ({"s2:processing_baseline": "04.00"}, -0.1),
        ({"s2:processing_baseline": "05.09"}, -0.1),
        ({"s2:processing_baseline": "03.01"}, 0.0),
        ({"s2:processing_baseline": "02.14"}, 0.0),
        ({"processing:version": "N0400"}, None),
        ({"processing:version": "05.11"}, -0.1),
        ({"processing:version": "N05.10"}, -0.1),
        ({"s2:processing_baseline": "05.09", "earthsearch:boa_offset_applied": True}, 0.0),
        ({"s2:processing_baseline": "05.09", "earthsearch:boa_offset_applied": False}, -0.1),
        ({"s2:processing_baseline": "03.01", "earthsearch:boa_offset_applied": False}, 0.0),
        ({"s2:processing_baseline": "10.00"}, -0.1),
        ({}, None),
        ({"s2:processing_baseline": None}, None),
    ],
)
def test_the_offset_follows_the_baseline(properties: dict[str, Any], offset: float | None) -> None:
    assert baseline_offset(properties) == offset


def test_only_reflectance_bands_have_it() -> None:
    published = {"raster:bands": [{"nodata": 0, "data_type": "uint16", "scale": 0.0001, "offset": 0}]}
    assets = {key: {"href": f"{key}.tif", **published} for key in ("B04", "B8A", "SCL", "AOT", "visual")} | {"B02": {"href": "B02.tif"}}
    item = Item("/x.json", {"id": "x", "assets": with_baseline_offset(assets, {"s2:processing_baseline": "05.00"})})
    for key in ("B04", "B8A"):
        assert item.asset(key).raster_band == {"nodata": 0, "data_type": "uint16", "scale": 0.0001, "offset": -0.1}
    assert item.asset("B02").raster_band == {"scale": 0.0001, "offset": -0.1}
    for key in ("SCL", "AOT", "visual"):
        assert item.asset(key).raster_band["offset"] == 0
    assert assets["B04"]["raster:bands"][0]["offset"] == 0, "the published item is not changed"
    assert with_baseline_offset(assets, {}) == assets


def test_assets_take_the_names_of_bands() -> None:
    assets = {"red": 1, "nir08": 2, "visual": 3, "B04": 4}
    assert by_band(assets, {"B04": "red", "B8A": "nir08", "B12": "swir22"}) == {"B04": 1, "B8A": 2, "visual": 3}
    assert by_band(assets, {}) == assets


HREF = "https://api.example/collections/s2/items/a"
ITEM = {
    "type": "Feature",
    "id": "a",
    "properties": {"s2:processing_baseline": "05.00"},
    "assets": {"red": {"href": "https://blobs.example/red.tif"}, "thumb": {"href": "file:///thumb.png"}, "none": {}},
}


@pytest.fixture
def kept() -> None:
    Store.default().keep(None, None, [(HREF, ITEM)])


@pytest.mark.usefixtures("kept")
def test_signed_when_it_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not when it is searched: what is kept is unsigned, and each reading signs anew."""
    signer, count = ModuleType("my_signer"), iter(range(10))
    signer.sign = lambda href: f"{href}?sig={next(count)}"  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "my_signer", signer)
    api = Api(url="https://api.example", sign="my_signer:sign", assets={"B04": "red"}, baseline_offset=True)
    hrefs = [api.items([HREF])[0].asset("B04").href for _ in range(2)]
    assert hrefs == ["https://blobs.example/red.tif?sig=0", "https://blobs.example/red.tif?sig=1"]
    (item,) = api.items([HREF])
    assert item.asset("thumb").href == "/thumb.png"
    assert item.asset("B04").raster_band == {"scale": 0.0001, "offset": -0.1}
    assert Store.default().items([HREF])[HREF] == ITEM


@pytest.mark.usefixtures("kept")
@pytest.mark.parametrize(("sign", "said"), [("no_such_module:sign", "No module named"), ("json:sign", "has no function 'sign'")])
def test_a_signer_that_is_not_there(sign: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        Api(url="https://api.example", sign=sign).items([HREF])


@pytest.mark.usefixtures("kept")
def test_the_planetary_computer_signs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its own package, told a token; other hosts' hrefs stay as they are."""
    sas = pytest.importorskip("planetary_computer.sas")
    monkeypatch.setattr(
        sas,
        "get_token",
        lambda *args, **kwargs: type("Token", (), {"sign": staticmethod(lambda href: type("Signed", (), {"href": f"{href}?st=1"})())})(),
    )
    blob = "https://sentinel2l2a01.blob.core.windows.net/sentinel2-l2/red.tif"
    Store.default().keep(None, None, [(HREF, {**ITEM, "assets": {"B04": {"href": blob}, "other": {"href": "https://other.example/x.tif"}}})])
    (item,) = Api(url="https://api.example", sign="planetary_computer").items([HREF])
    assert item.asset("B04").href == f"{blob}?st=1"
    assert item.asset("other").href == "https://other.example/x.tif"


def test_pixels_over_http_are_those_of_the_files(slovenia: Path, make_run: Any, tmp_path: Path) -> None:
    """Searched through an API, read through GDAL from a file server by ranges."""
    made, seen = {}, []
    with serving_files(slovenia, seen) as files:
        (tmp_path / "rustac").mkdir()
        with serving_items(items_of(slovenia, files), tmp_path / "rustac") as url:
            for name, options in (("api", {"catalog": Api(url=url)}), ("files", {})):
                keys = {"bands": ("NDVI",), "cloud": "metadata", "chips": 2, "output_dir": str(tmp_path / name)}
                report = prepare(make_run(slovenia, **keys, **options))
                assert report.status == 0, report.failures
                made[name] = hashlib.sha256((tmp_path / name / "items.pkl").read_bytes()).hexdigest()
    assert made["api"] == made["files"]
    assert any("Range" in headers for _, headers in seen)

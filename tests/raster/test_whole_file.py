"""Small files on a server: one request each, the pixels that GDAL finds, and GDAL where more is needed than an address."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from servers.files import serving_files
from servers.proxy import AWAY, BROKEN, CUT, Fault, Proxy, busy

from lcnkit.demo.rasters import label_tiff
from lcnkit.errors import UnreadableAsset
from lcnkit.label_classes import read_classes
from lcnkit.model import Chip, Grid, Item
from lcnkit.raster import whole_file
from lcnkit.raster.far_grid import far_grid, far_grids
from lcnkit.raster.http import NoAnswerError
from lcnkit.raster.plane_cache import PlaneCache, keeping
from lcnkit.reader.auto import Auto
from lcnkit.reader.rasterio import Rasterio
from lcnkit.settings import LabelOptions
from lcnkit.testing.archives import write_raster

GRID = Grid("EPSG:32633", (10.0, 0.0, 465_000.0, 0.0, -10.0, 5_080_000.0), (256, 256))
SHIFTED = replace(GRID, transform=(10.0, 0.0, 465_004.0, 0.0, -10.0, 5_080_007.0))
PIXELS = np.random.default_rng(8).integers(1, 9999, GRID.shape, dtype="uint16")
READERS = pytest.mark.parametrize("reader", [Auto(), Rasterio()], ids=["auto", "rasterio"])
Seen = list[tuple[str, dict[str, str]]]


@pytest.fixture(autouse=True)
def _nothing_is_known(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Ports are used again, and what is known of a host with them."""
    monkeypatch.setattr(whole_file, "_LARGE", set())
    monkeypatch.setattr(whole_file, "_REFUSED", {})
    monkeypatch.setattr("lcnkit.raster.http._FIRST_WAIT_S", 0.01)
    whole_file._asks_as_told.cache_clear()
    yield
    whole_file._asks_as_told.cache_clear()


@pytest.fixture
def seen() -> Seen:
    return []


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "files").mkdir()
    return tmp_path / "files"


@pytest.fixture
def url(folder: Path, seen: Seen) -> Iterator[str]:
    with serving_files(folder, seen) as address:
        yield address


@READERS
@pytest.mark.parametrize(
    "written",
    [
        pytest.param({}, id="plain"),
        pytest.param({"compress": "lzw", "predictor": 2}, id="compressed otherwise"),
        pytest.param({"grid": SHIFTED}, id="on another grid"),
        pytest.param({"BIGTIFF": "YES"}, id="BigTIFF"),
    ],
)
def test_a_chip_is_one_request_a_file(
    reader: Any, written: dict[str, Any], folder: Path, url: str, seen: Seen, chip_on: Callable[[Grid], Chip], item_of: Callable[..., Item]
) -> None:
    options = {"grid": GRID, **written}
    near = [write_raster(folder / f"{number}.tif", PIXELS + number, **options) for number in range(3)]
    expected = reader.read(chip_on(GRID), [item_of(GRID, f"i{number}", B04=path) for number, path in enumerate(near)], ["B04"])
    far = reader.read(chip_on(GRID), [item_of(GRID, f"i{number}", B04=f"{url}/{number}.tif") for number in range(3)], ["B04"])
    np.testing.assert_array_equal(far.values, expected.values)
    np.testing.assert_array_equal(far.valid, expected.valid)
    assert sorted(path for path, _ in seen) == ["/0.tif", "/1.tif", "/2.tif"]


def test_a_label_is_one_request(folder: Path, url: str, seen: Seen, chip_on: Callable[[Grid], Chip]) -> None:
    classes = (PIXELS % 8).astype("uint8")
    (folder / "labels.tif").write_bytes(label_tiff(classes, classes, GRID))
    found = read_classes(replace(chip_on(GRID), label_href=f"{url}/labels.tif"), LabelOptions(ignore=(), min_consensus=None))
    np.testing.assert_array_equal(found, classes)
    assert len(seen) == 1


def test_nodata_of_a_float_label_is_kept_with_it(folder: Path, url: str, chip_on: Callable[[Grid], Chip], tmp_path: Path) -> None:
    """The second run of a sweep reads the label from the cache."""
    stored = (PIXELS % 8).astype("float32")
    write_raster(folder / "labels.tif", stored, GRID, nodata=5)
    chip = replace(chip_on(GRID), label_href=f"{url}/labels.tif")
    expected = np.where(stored == 5, 255, stored)
    with keeping(PlaneCache(tmp_path, 10**9)):
        np.testing.assert_array_equal(read_classes(chip, LabelOptions()), expected)
        (folder / "labels.tif").unlink()
        np.testing.assert_array_equal(read_classes(chip, LabelOptions()), expected)


def test_the_grid_of_a_label_takes_its_colour_map_along_never(folder: Path, url: str, seen: Seen) -> None:
    (folder / "labels.tif").write_bytes(label_tiff(*np.full((2, *GRID.shape), 3, "uint8"), GRID))
    write_raster(folder / "plain.tif", PIXELS, GRID)
    assert far_grid(f"{url}/labels.tif") == GRID
    assert len(seen) == 2
    assert far_grid(f"{url}/plain.tif") == GRID
    assert len(seen) == 3
    assert far_grid(f"{url}/none.tif") is None
    (folder / "text.tif").write_text("no raster")
    assert far_grid(f"{url}/text.tif") is None
    with Proxy(url, faults=lambda number: AWAY).running() as proxy, pytest.raises(NoAnswerError, match="503"):
        far_grid(f"{proxy.url}/plain.tif")


def test_the_grids_of_many_labels(folder: Path, url: str, seen: Seen) -> None:
    grids = {f"{url}/{number}.tif": replace(GRID, shape=(number + 1, 7)) for number in range(40)}
    for number, grid in enumerate(grids.values()):
        write_raster(folder / f"{number}.tif", np.ones(grid.shape, "uint8"), grid)
    assert far_grids([*grids, f"{url}/none.tif", "https://user:word@127.0.0.1/a.tif", "s3://bucket/a.tif", *grids]) == grids
    assert len(seen) == 41


def test_large_files_are_asked_for_once_and_their_like_never(
    folder: Path, url: str, seen: Seen, chip_on: Callable[[Grid], Chip], item_of: Callable[..., Item], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(whole_file, "_MOST_BYTES", 100_000)
    wide = replace(GRID, shape=(512, 512))
    values = np.arange(512 * 512, dtype="uint32").reshape(512, 512)
    for name in "ab":
        write_raster(folder / f"{name}.tif", values, wide, tiled=True, blockxsize=256, blockysize=256)
    for name in "ab":
        image = Auto().read(chip_on(GRID), [item_of(GRID, B04=f"{url}/{name}.tif")], ["B04"])
        np.testing.assert_array_equal(image.values[0, 0], values[:256, :256])
    asked = {path: [headers.get("Range") for at, headers in seen if at == path] for path in ("/a.tif", "/b.tif")}
    first = f"bytes=0-{256 * 256 * 8 + (1 << 16) - 1}"
    assert asked["/a.tif"].count(first) == 1
    assert first not in asked["/b.tif"]


def test_a_file_in_two_pieces(folder: Path, url: str, seen: Seen, chip_on: Callable[[Grid], Chip], item_of: Callable[..., Item]) -> None:
    values = np.random.default_rng(1).integers(0, 99, (20, *GRID.shape), dtype="uint16")
    write_raster(folder / "many.tif", values, GRID)
    image = Auto().read(chip_on(GRID), [item_of(GRID, B04=f"{url}/many.tif")], ["B04"])
    np.testing.assert_array_equal(image.values[0, 0], values[0])
    assert len(seen) == 2


@READERS
def test_items_that_cover_more_are_not_fetched_whole(
    reader: Any, folder: Path, url: str, seen: Seen, chip_on: Callable[[Grid], Chip], item_of: Callable[..., Item]
) -> None:
    write_raster(folder / "a.tif", PIXELS, GRID)
    item = item_of(GRID, B04=f"{url}/a.tif")
    west, south, east, north = item.document["bbox"]
    for box in ([west, south, east + 4 * (east - west), north], [east, south, west, north], None, "everywhere", [west, None, east, north]):
        scene = replace(item, document={**item.document, "bbox": box})
        assert whole_file.small_items([scene], chip_on(GRID)) == frozenset()
        np.testing.assert_array_equal(reader.read(chip_on(GRID), [scene], ["B04"]).values[0, 0], PIXELS)
    assert any("GDAL" in headers.get("User-Agent", "") for _, headers in seen)
    high = replace(item, document={**item.document, "bbox": [west, south, 0, east, north, 900]})
    assert whole_file.small_items([item, high], chip_on(GRID)) == frozenset([item.id])


@pytest.mark.parametrize("fault", [pytest.param(fault, id=name) for name, fault in {"500": BROKEN, "503": AWAY, "429": busy(0), "cut": CUT}.items()])
def test_what_fails_once_is_asked_for_again(
    fault: Fault, folder: Path, url: str, chip_on: Callable[[Grid], Chip], item_of: Callable[..., Item]
) -> None:
    write_raster(folder / "a.tif", PIXELS, GRID)
    with Proxy(url, faults=lambda number: fault if number == 1 else None).running() as proxy:
        image = Auto().read(chip_on(GRID), [item_of(GRID, B04=f"{proxy.url}/a.tif")], ["B04"])
        np.testing.assert_array_equal(image.values[0, 0], PIXELS)
        assert len(proxy.seen) == 2


def test_redirects_are_followed(folder: Path, url: str, chip_on: Callable[[Grid], Chip], item_of: Callable[..., Item]) -> None:
    write_raster(folder / "a.tif", PIXELS, GRID)
    with Proxy(url, redirect=lambda handler: f"{url}{handler.path}").running() as proxy:
        image = Auto().read(chip_on(GRID), [item_of(GRID, B04=f"{proxy.url}/a.tif")], ["B04"])
        np.testing.assert_array_equal(image.values[0, 0], PIXELS)
        assert len(proxy.seen) == 1
    with Proxy(url).running() as proxy:
        proxy.redirect = lambda handler: f"{proxy.url}{handler.path}"
        with pytest.raises(UnreadableAsset):
            Auto().read(chip_on(GRID), [item_of(GRID, B04=f"{proxy.url}/a.tif")], ["B04"])


def test_a_server_that_wants_a_password_is_left_to_gdal(
    folder: Path, url: str, chip_on: Callable[[Grid], Chip], item_of: Callable[..., Item], monkeypatch: pytest.MonkeyPatch
) -> None:
    write_raster(folder / "a.tif", PIXELS, GRID)
    with Proxy(url, allows=lambda handler: handler.headers.get("Authorization") is not None).running() as proxy:
        items = [item_of(GRID, B04=f"{proxy.url}/a.tif")]
        with rasterio.Env(GDAL_HTTP_USERPWD="a:b"):  # as from a file of GDAL's own: refused first, and read then
            np.testing.assert_array_equal(Auto().read(chip_on(GRID), items, ["B04"]).values[0, 0], PIXELS)
        monkeypatch.setenv("GDAL_HTTP_USERPWD", "a:b")
        whole_file._asks_as_told.cache_clear()
        proxy.seen.clear()
        np.testing.assert_array_equal(Auto().read(chip_on(GRID), items, ["B04"]).values[0, 0], PIXELS)
        assert all("Authorization" in headers for _, _, headers in proxy.seen)


def test_after_some_refusals_a_host_is_no_longer_asked(url: str, seen: Seen) -> None:
    for number in range(5):
        assert whole_file.whole_file(f"{url}/{number}.tif", GRID, "B04") is None
    assert len(seen) == whole_file._REFUSALS


def test_what_is_no_tiff_is_left_to_gdal(folder: Path, url: str, chip_on: Callable[[Grid], Chip], item_of: Callable[..., Item]) -> None:
    """A VRT names files beside it."""
    write_raster(folder / "a.tif", PIXELS, GRID)
    (folder / "a.vrt").write_text(
        f'<VRTDataset rasterXSize="256" rasterYSize="256"><SRS>EPSG:32633</SRS><GeoTransform>465000,10,0,5080000,0,-10</GeoTransform>'
        f'<VRTRasterBand dataType="UInt16" band="1"><SimpleSource><SourceFilename>/vsicurl/{url}/a.tif</SourceFilename><SourceBand>1</SourceBand>'
        "</SimpleSource></VRTRasterBand></VRTDataset>"
    )
    image = Auto().read(chip_on(GRID), [item_of(GRID, B04=f"{url}/a.vrt")], ["B04"])
    np.testing.assert_array_equal(image.values[0, 0], PIXELS)


def test_connections_are_kept(folder: Path, chip_on: Callable[[Grid], Chip], item_of: Callable[..., Item], monkeypatch: pytest.MonkeyPatch) -> None:
    write_raster(folder / "a.tif", PIXELS, GRID)
    opened: list[Any] = []
    connect = socket.socket.connect

    def counted(self: socket.socket, address: Any) -> None:
        opened.append(address)
        connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", counted)
    with serving_files(folder) as url:
        for _ in range(5):
            assert whole_file.whole_file(f"{url}/a.tif", GRID, "B04") == (folder / "a.tif").read_bytes()
    assert len(opened) == 1


@READERS
def test_a_server_that_gives_less_than_it_is_asked_for(reader: Any, folder: Path, chip_on: Callable[..., Chip], item_of: Callable[..., Item]) -> None:
    """And says so, as it may: two parts are not the whole file then."""
    write_raster(folder / "B04.tif", PIXELS, GRID)
    with serving_files(folder, most=10_000) as url:
        image = reader.read(chip_on(GRID), [item_of(GRID, B04=f"{url}/B04.tif")], ["B04"])
    np.testing.assert_array_equal(image.values[0, 0], PIXELS)

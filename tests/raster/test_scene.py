"""Parts of scenes on a server: GDAL's pixels, a header once, each block once, and GDAL where a file is not plain."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rasterio.shutil import copy
from servers.files import serving_files
from servers.proxy import AWAY, CUT, TRUNCATED, Proxy

from lcnkit.errors import UnreachableAsset
from lcnkit.model import Asset, Grid
from lcnkit.raster import scene
from lcnkit.raster.gdal import gdal, read_plane
from lcnkit.raster.http import Part
from lcnkit.raster.scene import read_scene
from lcnkit.testing.archives import write_raster

WHOLE = Grid("EPSG:32633", (10.0, 0.0, 400_000.0, 0.0, -10.0, 5_000_000.0), (300, 420))
Seen = list[tuple[str, dict[str, str]]]


def part(row: int, column: int, shape: tuple[int, int], of: Grid = WHOLE) -> Grid:
    a, _, c, _, e, f = of.transform
    return replace(of, transform=(a, 0.0, c + column * a, 0.0, e, f + row * e), shape=shape)


def pixels(dtype: str = "uint16", bands: int = 1, shape: tuple[int, int] = WHOLE.shape) -> Any:
    """With some nodata."""
    values = np.random.default_rng(5).integers(0, 60, (bands, *shape)).astype(dtype)
    return values if bands > 1 else values[0]


@pytest.fixture(autouse=True)
def _nothing_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ports are used again."""
    scene._known.cache_clear()
    monkeypatch.setattr("lcnkit.raster.http._FIRST_WAIT_S", 0.01)


@pytest.fixture
def seen() -> Seen:
    return []


@pytest.fixture
def url(tmp_path: Path, seen: Seen) -> Iterator[str]:
    with serving_files(tmp_path, seen) as address:
        yield address


def asset(href: str) -> Asset:
    return Asset("item", "B04", href, {})


def gdals(path: Path, grid: Grid) -> Any:
    with gdal():
        return read_plane(asset(str(path)), grid)


def same(found: Any, expected: Any) -> None:
    np.testing.assert_array_equal(found.values, expected.values)
    np.testing.assert_array_equal(found.valid, expected.valid)
    assert (found.values.dtype, found.nodata) == (expected.values.dtype, expected.nodata)


LAYOUTS = st.fixed_dictionaries(
    {
        "dtype": st.sampled_from(["uint8", "uint16", "int16", "float32", "uint32"]),
        "bands": st.integers(1, 3),
        "blocks": st.sampled_from([(64, 64), (32, 128), (256, 16)]),
        "compress": st.sampled_from([None, "deflate"]),
        "predictor": st.sampled_from([1, 2]),
        "nodata": st.sampled_from([0, None, 7]),
        "order": st.sampled_from(["LITTLE", "BIG"]),
    }
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(layout=LAYOUTS, row=st.integers(0, 299), column=st.integers(0, 419), height=st.integers(1, 300), width=st.integers(1, 420))
def test_pixels_are_those_that_gdal_reads(layout: dict[str, Any], row: int, column: int, height: int, width: int, url: str, tmp_path: Path) -> None:
    name = "-".join(str(value) for value in layout.values()).replace(" ", "") + ".tif"
    profile = {"compress": layout["compress"], "predictor": layout["predictor"]} if layout["compress"] else {}
    if not (tmp_path / name).exists():
        values = pixels(layout["dtype"], layout["bands"])
        down, across = layout["blocks"]
        profile |= {"tiled": True, "blockysize": down, "blockxsize": across, "ENDIANNESS": layout["order"], "interleave": "pixel"}
        write_raster(tmp_path / name, values, WHOLE, layout["nodata"], photometric="minisblack", **profile)
    grid = part(row, column, (min(height, 300 - row), min(width, 420 - column)))
    found = read_scene(asset(f"{url}/{name}"), grid)
    plain = not (layout["dtype"] == "float32" and layout["compress"] and layout["predictor"] == 2)
    assert (found is not None) == plain
    if found is not None:
        same(found, gdals(tmp_path / name, grid))


def cog(path: Path, shape: tuple[int, int] = (2000, 2000), **options: Any) -> tuple[Path, Grid]:
    grid = replace(WHOLE, shape=shape)
    source = write_raster(path.with_suffix(".source.tif"), pixels(shape=shape), grid)
    copy(source, path, driver="COG", **{"compress": "DEFLATE", "predictor": "YES", "blocksize": 256, **options})
    return path, grid


def test_a_cloud_optimised_scene_is_read_in_parts(tmp_path: Path, url: str, seen: Seen) -> None:
    path, whole = cog(tmp_path / "scene.tif")
    corners = [(700, 900), (710, 905), (1300, 40)]
    for corner in corners:
        grid = part(*corner, (200, 200), whole)
        found = read_scene(asset(f"{url}/scene.tif"), grid)
        assert found is not None
        same(found, gdals(path, grid))
    spans = [[int(word) for word in headers["Range"].removeprefix("bytes=").split("-")] for _, headers in seen]
    assert [start for start, _ in spans].count(0) == 1
    assert len({tuple(span) for span in spans}) == len(spans)  # nothing twice: the second chip touches the first one's blocks
    assert sum(last - first + 1 for first, last in spans) < path.stat().st_size / 2


def test_threads_that_want_the_same_ask_once(tmp_path: Path, url: str, seen: Seen) -> None:
    path, whole = cog(tmp_path / "scene.tif")
    grid = part(500, 500, (300, 300), whole)
    with ThreadPoolExecutor(16) as threads:
        found = list(threads.map(lambda _: read_scene(asset(f"{url}/scene.tif"), grid), range(16)))
    alone = len(seen)
    for plane in found:
        same(plane, gdals(path, grid))
    scene._known.cache_clear()
    read_scene(asset(f"{url}/scene.tif"), grid)
    assert len(seen) - alone == alone


def test_few_blocks_are_kept(tmp_path: Path, url: str, seen: Seen, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scene, "_BLOCK_BYTES", 1000)
    path, whole = cog(tmp_path / "scene.tif")
    for corner in ((0, 0), (520, 520), (0, 0)):
        found = read_scene(asset(f"{url}/scene.tif"), part(*corner, (100, 100), whole))
        same(found, gdals(path, part(*corner, (100, 100), whole)))
    assert len(seen) == 4


def masked(path: Path) -> None:
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True), rasterio.open(path, "r+") as dataset:
        dataset.write_mask(np.random.default_rng(1).integers(0, 2, WHOLE.shape).astype(bool))


def sparse(path: Path) -> None:
    profile = {"driver": "GTiff", "dtype": "uint16", "count": 1, "height": 300, "width": 420, "crs": "EPSG:32633"}
    transform = rasterio.Affine(*WHOLE.transform)
    with rasterio.open(path, "w", **profile, transform=transform, tiled=True, blockxsize=64, blockysize=64, SPARSE_OK=True) as dataset:
        dataset.write(np.ones((1, 64, 64), dtype="uint16"), window=rasterio.windows.Window(0, 0, 64, 64))


@pytest.mark.parametrize(
    ("profile", "then"),
    [
        pytest.param({"tiled": False}, None, id="strips"),
        pytest.param({}, masked, id="a mask"),
        pytest.param({}, sparse, id="blocks left out"),
        pytest.param({"compress": "lzw"}, None, id="LZW"),
        pytest.param({"compress": "deflate", "bigtiff": "YES"}, None, id="BigTIFF"),
        pytest.param({"driver": "PNG"}, None, id="no TIFF"),
    ],
)
def test_what_is_not_plain_is_left_to_gdal(profile: dict[str, Any], then: Callable[[Path], None] | None, tmp_path: Path, url: str) -> None:
    path = tmp_path / "scene.tif"
    write_raster(path, pixels(), WHOLE, **{"tiled": True, "blockxsize": 64, "blockysize": 64, **profile})
    if then:
        then(path)
    assert read_scene(asset(f"{url}/scene.tif"), part(10, 10, (50, 50))) is None


@pytest.mark.parametrize(
    "grid",
    [
        pytest.param(part(-1, 0, (50, 50)), id="above"),
        pytest.param(part(280, 0, (50, 50)), id="below"),
        pytest.param(part(0, 400, (50, 50)), id="beyond"),
        pytest.param(replace(part(10, 10, (50, 50)), crs="EPSG:32634"), id="another CRS"),
        pytest.param(replace(WHOLE, transform=(10.0, 0.0, 400_003.0, 0.0, -10.0, 5_000_000.0), shape=(50, 50)), id="between pixels"),
        pytest.param(replace(WHOLE, transform=(20.0, 0.0, 400_000.0, 0.0, -20.0, 5_000_000.0), shape=(50, 50)), id="other pixels"),
    ],
)
def test_a_grid_that_is_no_part_of_it_is_left_to_gdal(grid: Grid, tmp_path: Path, url: str) -> None:
    write_raster(tmp_path / "scene.tif", pixels(), WHOLE, tiled=True, blockxsize=64, blockysize=64)
    assert read_scene(asset(f"{url}/scene.tif"), grid) is None
    assert read_scene(asset(f"{url}/scene.tif"), part(10, 10, (50, 50))) is not None


def test_what_is_not_there_or_not_on_a_server_is_left_to_gdal(tmp_path: Path, url: str) -> None:
    path = write_raster(tmp_path / "scene.tif", pixels(), WHOLE, tiled=True, blockxsize=64, blockysize=64)
    for href in (f"{url}/gone.tif", str(path), "s3://bucket/scene.tif", f"{url}/scene.tif".replace("//", "//user:word@")):
        assert read_scene(asset(href), part(10, 10, (50, 50))) is None


def test_a_file_that_ends_too_early_or_is_damaged_is_left_to_gdal(tmp_path: Path, url: str) -> None:
    path, whole = cog(tmp_path / "scene.tif")
    content = path.read_bytes()
    grid = part(1500, 1500, (200, 200), whole)
    for name, broken in (("short.tif", content[: len(content) * 2 // 3]), ("torn.tif", content[:40_000] + bytes(len(content) - 40_000))):
        (tmp_path / name).write_bytes(broken)
        assert read_scene(asset(f"{url}/{name}"), grid) is None


def test_a_server_that_is_away_is_told_apart_and_asked_again_later(tmp_path: Path) -> None:
    path, whole = cog(tmp_path / "scene.tif")
    grid = part(700, 900, (200, 200), whole)
    with serving_files(tmp_path) as files, Proxy(files).running() as proxy:
        for good in (0, 1):  # it fails from the header on, then from the first block on
            proxy.seen.clear()
            proxy.faults = lambda number, good=good: AWAY if number > good else None
            with pytest.raises(UnreachableAsset, match=r"'item', asset 'B04'.*HTTP 503 .*\(4 attempts\)"):
                read_scene(asset(f"{proxy.url}/scene.tif"), grid)
        for fault in (AWAY, CUT):
            proxy.seen.clear()
            proxy.faults = lambda number, fault=fault: fault if number % 2 else None
            scene._known.cache_clear()
            same(read_scene(asset(f"{proxy.url}/scene.tif"), grid), gdals(path, grid))
        proxy.faults = lambda number: TRUNCATED
        scene._known.cache_clear()
        assert read_scene(asset(f"{proxy.url}/scene.tif"), grid) is None


def test_a_scene_that_is_replaced_meanwhile_is_not_read_with_the_old_header(tmp_path: Path, url: str) -> None:
    """Its pixels lie elsewhere now, behind a header of the same size, and no block's bytes could tell."""
    path = tmp_path / "scene.tif"
    profile = {"tiled": True, "blockxsize": 64, "blockysize": 64}
    write_raster(path, pixels(), WHOLE, **profile)
    first, second = part(0, 0, (50, 50)), part(200, 300, (50, 50))
    same(read_scene(asset(f"{url}/scene.tif"), first), gdals(path, first))
    write_raster(path, pixels(), part(-10, -10, WHOLE.shape), **profile)
    assert read_scene(asset(f"{url}/scene.tif"), second) is None  # GDAL's, which looks at the header
    for grid in (second, first):
        same(read_scene(asset(f"{url}/scene.tif"), grid), gdals(path, grid))


@pytest.mark.parametrize(
    ("one", "other", "same_file"),
    [
        (("a", "Mon"), ("a", "Mon"), True),
        (("a", "Mon"), ("b", "Tue"), False),
        (("a", "Mon"), ("b", "Mon"), True),  # two servers behind one address, each with an ETag of its own
        (("a", "Mon"), ("a", "Tue"), True),  # the present for the last change
        (("a", ""), ("b", ""), False),
        (("", "Mon"), ("", "Tue"), False),
        (("a", ""), ("", "Tue"), True),
        (("", ""), ("", ""), True),
    ],
)
def test_parts_are_of_another_file_where_nothing_that_the_server_says_agrees(one, other, same_file) -> None:
    assert Part(0, b"", 9, one).is_of_file(Part(5, b"", 9, other)) == same_file
    assert not Part(0, b"", 9, one).is_of_file(Part(5, b"", 8, other))

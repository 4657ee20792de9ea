"""Plain files read without GDAL have the pixels that GDAL finds; everything unusual is left to it."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import numpy as np
import pytest
import rasterio
from hypothesis import given, settings
from hypothesis import strategies as st
from rasterio.errors import RasterioError

from lcnkit.demo.rasters import label_tiff
from lcnkit.model import Grid
from lcnkit.raster import tiff_pixels
from lcnkit.raster.plain_tiff import PlainTiff, grid_of, plain_of

DTYPES = ["uint8", "int8", "uint16", "int16", "uint32", "int32", "float32", "float64"]
LAYOUTS: list[dict[str, Any]] = [{}, {"blockysize": 1}, {"blockysize": 5}, {"tiled": True, "blockxsize": 16, "blockysize": 32}]
CODINGS: list[dict[str, Any]] = [{}, {"compress": "deflate"}, {"compress": "deflate", "predictor": 2}, {"compress": "lzw"}]


def grid_like(shape: tuple[int, int], left: float = 500_000.0) -> Grid:
    return Grid("EPSG:32633", (10.0, 0.0, left, 0.0, -10.0, 5_000_000.0), shape)


def encoded(values: np.ndarray[Any, Any], grid: Grid, **options: Any) -> bytes:
    count, height, width = values.shape
    profile = {"driver": "GTiff", "count": count, "height": height, "width": width, "dtype": values.dtype, "crs": grid.crs, **options}
    with rasterio.MemoryFile() as memory:
        with memory.open(**profile, transform=rasterio.Affine(*grid.transform)) as dataset:
            dataset.write(values)
        return bytes(memory.read())


def assert_same(plain: PlainTiff, content: bytes) -> None:
    with rasterio.MemoryFile(content) as memory, memory.open() as dataset:
        values, nodata = dataset.read(), dataset.nodata
    assert plain.values.dtype.newbyteorder("=") == values.dtype
    np.testing.assert_array_equal(plain.values, values)
    assert plain.nodata == nodata or (np.isnan(plain.nodata or 0) and np.isnan(nodata or 0))


@pytest.fixture(params=["as installed", "zlib alone"], autouse=True)
def _inflating(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "zlib alone":
        monkeypatch.setattr(tiff_pixels, "_inflate", lambda: tiff_pixels._with_zlib)


@settings(deadline=None, max_examples=150)
@given(
    dtype=st.sampled_from(DTYPES),
    shape=st.tuples(st.integers(1, 3), st.integers(1, 40), st.integers(1, 40)),
    layout=st.sampled_from(LAYOUTS),
    coding=st.sampled_from(CODINGS),
    order=st.sampled_from(["LITTLE", "BIG"]),
    interleave=st.sampled_from(["pixel", "band"]),
    nodata=st.sampled_from([None, 0, 7]),
    seed=st.integers(0, 2**32 - 1),
)
def test_the_same_pixels_as_gdal(dtype: str, shape: Any, layout: Any, coding: Any, order: str, interleave: str, nodata: Any, seed: int) -> None:
    draw = np.random.default_rng(seed)
    values = draw.integers(0, 256, (*shape, np.dtype(dtype).itemsize), dtype="uint8").view(dtype)[..., 0]
    if dtype.startswith("float"):
        values = draw.normal(0, 1000, shape).astype(dtype)
        coding = {key: value for key, value in coding.items() if key != "predictor"}
    grid = grid_like(shape[1:])
    options = {**layout, **coding, "ENDIANNESS": order, "interleave": interleave, "photometric": "minisblack", "nodata": nodata}
    content = encoded(values, grid, **options)
    for _ in range(2):  # the second time, the header may be known
        plain = plain_of(content, grid)
        if plain is None:
            assert coding.get("compress") == "lzw" or (interleave == "band" and shape[0] > 1), "not left to GDAL for a known reason"
        else:
            assert_same(plain, content)


def test_labels_with_a_colour_map_behind_their_pixels() -> None:
    classes, score = (np.random.default_rng(seed).integers(0, 8, (256, 256), dtype="uint8") for seed in (1, 2))
    grid = grid_like((256, 256))
    content = label_tiff(classes, score, grid)
    plain = plain_of(content, grid)
    assert plain is not None
    np.testing.assert_array_equal(plain.values, [classes, score])
    assert_same(plain, content)


@pytest.mark.parametrize("options", [{}, {"blockysize": 3}, {"compress": "deflate"}, {"tiled": True, "blockxsize": 16, "blockysize": 16}])
def test_files_of_one_size_with_other_headers_are_told_apart(options: dict[str, Any]) -> None:
    values = np.arange(24 * 20, dtype="uint16").reshape(1, 24, 20)
    here, there = grid_like((24, 20)), grid_like((24, 20), left=600_000.0)
    contents = {grid: encoded(values, grid, **options) for grid in (here, there)}
    for grid in (here, there, here):
        plain = plain_of(contents[grid], grid)
        assert plain is not None
        assert_same(plain, contents[grid])
    assert plain_of(contents[here], there) is None


@pytest.mark.parametrize("options", [{}, {"compress": "deflate", "predictor": 2}])
def test_a_file_that_ends_anywhere_is_left_to_gdal(options: dict[str, Any]) -> None:
    grid = grid_like((24, 20))
    content = encoded(np.random.default_rng(5).integers(0, 9999, (1, 24, 20), dtype="uint16"), grid, **options)
    assert plain_of(content, grid) is not None
    assert [length for length in range(len(content)) if plain_of(content[:length], grid) is not None] == []


@settings(deadline=None, max_examples=200)
@given(place=st.one_of(st.integers(0, 166), st.integers(0, 2000)), value=st.one_of(st.integers(0, 9), st.integers(0, 255)), deflate=st.booleans())
def test_of_a_damaged_file_nothing_else_is_read_than_gdal_reads(place: int, value: int, deflate: bool) -> None:
    grid = grid_like((24, 20))
    values = np.random.default_rng(5).integers(0, 9999, (2, 24, 20), dtype="uint16")
    content = bytearray(encoded(values, grid, **({"compress": "deflate"} if deflate else {})))
    content[place % len(content)] = value
    plain = plain_of(bytes(content), grid)
    if plain is not None:
        with suppress(RasterioError):
            assert_same(plain, bytes(content))


def test_the_grid_from_pieces_of_the_file() -> None:
    grid = grid_like((256, 256))
    content = label_tiff(*np.zeros((2, 256, 256), "uint8"), grid)
    asked: list[int] = []

    def read(start: int, count: int) -> bytes:
        asked.append(count)
        return content[start : start + count]

    assert grid_of(read) == grid
    assert sum(asked) < 1000

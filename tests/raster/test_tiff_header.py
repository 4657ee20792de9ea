"""Grids from a header alone are those that GDAL finds; everything unusual is left to GDAL."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from hypothesis import given, settings
from hypothesis import strategies as st

from lcnkit.model import Grid
from lcnkit.raster.plain_tiff import plain_grid

PROFILE: dict[str, Any] = {"driver": "GTiff", "width": 20, "height": 12, "dtype": "uint8", "count": 1}
TRANSFORM = rasterio.Affine(10.0, 0.0, 500000.0, 0.0, -10.0, 5000000.0)


def written(path: Path, **profile: Any) -> Path:
    given = {**PROFILE, "crs": "EPSG:32633", "transform": TRANSFORM, **profile}
    with rasterio.open(path, "w", **given) as dataset:
        dataset.write(np.ones((given["count"], given["height"], given["width"]), given["dtype"]))
    return path


@settings(deadline=None, max_examples=40)
@given(
    epsg=st.sampled_from([4326, 32633, 32728, 3035, 3857]),
    corner=st.tuples(st.floats(-1e6, 1e6), st.floats(-1e6, 1e6)),
    pixel=st.sampled_from([0.5, 10.0, 1 / 3, 1e-4]),
    shape=st.tuples(st.integers(1, 40), st.integers(1, 40)),
    options=st.sampled_from([{}, {"compress": "deflate"}, {"tiled": True, "blockxsize": 16, "blockysize": 16}, {"endianness": "big"}, {"count": 3}]),
)
def test_the_same_grid_as_gdal(
    tmp_path_factory: pytest.TempPathFactory, epsg: int, corner: Any, pixel: float, shape: Any, options: dict[str, Any]
) -> None:
    transform = rasterio.Affine(pixel, 0, corner[0], 0, -pixel, corner[1])
    path = written(tmp_path_factory.mktemp("tiff") / "a.tif", crs=f"EPSG:{epsg}", transform=transform, height=shape[0], width=shape[1], **options)
    with rasterio.open(path) as dataset:
        assert plain_grid(str(path)) == Grid.from_dataset(dataset)


@pytest.mark.parametrize(
    "profile",
    [
        pytest.param({"crs": None}, id="no CRS"),
        pytest.param({"transform": rasterio.Affine(9.8, -1.7, 500000.0, -1.7, -9.8, 5000000.0)}, id="rotated"),
        pytest.param({"crs": "+proj=laea +lat_0=10 +lon_0=20"}, id="no EPSG code"),
        pytest.param({"BIGTIFF": "YES"}, id="BigTIFF"),
        pytest.param({"driver": "PNG"}, id="no TIFF"),
    ],
)
@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
def test_what_is_unusual_is_left_to_gdal(tmp_path: Path, profile: dict[str, Any]) -> None:
    assert plain_grid(str(written(tmp_path / "a.tif", **profile))) is None


def test_a_file_with_overviews_is_left_to_gdal(tmp_path: Path) -> None:
    path = written(tmp_path / "a.tif", width=512, height=512)
    with rasterio.open(path, "r+") as dataset:
        dataset.build_overviews([2])
    assert plain_grid(str(path)) is None


def test_a_file_that_ends_anywhere_is_left_to_gdal_or_read_right(tmp_path: Path) -> None:
    path = written(tmp_path / "a.tif")
    whole, grid = path.read_bytes(), plain_grid(str(path))
    assert grid is not None
    for length in range(0, len(whole), 3):
        path.write_bytes(whole[:length])
        assert plain_grid(str(path)) in (None, grid), length
    assert plain_grid(str(tmp_path / "none.tif")) is None

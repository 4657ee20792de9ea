"""Grid: where pixels lie."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import rasterio

from lcnkit.model import Grid
from lcnkit.testing.archives import write_raster

GRID = Grid("EPSG:32633", (10.0, 0.0, 500_000.0, 0.0, -10.0, 5_000_000.0), (3, 4))


def test_x_and_y_are_pixel_centres() -> None:
    assert GRID.x.tolist() == [500_005, 500_015, 500_025, 500_035]
    assert GRID.y.tolist() == [4_999_995, 4_999_985, 4_999_975]


def test_a_grid_may_have_south_up() -> None:
    grid = Grid("EPSG:32633", (10.0, 0.0, 0.0, 0.0, 10.0, 0.0), (2, 1))
    assert grid.y.tolist() == [5, 15]
    assert grid.bounds == (0, 0, 10, 20)


def test_centres_agree_with_rasterio(tmp_path: Path) -> None:
    for number, grid in enumerate((GRID, Grid("EPSG:32633", (8.0, 6.0, 500_000.0, 6.0, -8.0, 5_000_000.0), (3, 4)))):
        with rasterio.open(write_raster(tmp_path / f"{number}.tif", np.ones(grid.shape, "uint8"), grid)) as dataset:
            assert Grid.from_dataset(dataset) == grid
            assert grid.x.tolist() == [dataset.xy(0, column)[0] for column in range(4)]
            assert grid.y.tolist() == [dataset.xy(row, 0)[1] for row in range(3)]


def test_bounds_hold_all_corners_of_a_rotated_grid() -> None:
    rotated = Grid("EPSG:32633", (8.0, 6.0, 100.0, 6.0, -8.0, 200.0), (3, 4))
    assert rotated.bounds == (100, 176, 150, 224)
    assert rotated.resolution == (10, 10)
    assert not rotated.is_rectilinear
    assert GRID.is_rectilinear


@pytest.mark.parametrize(
    ("shift_x", "shift_y", "same"),
    [(0, 0, True), (0.09, 0, True), (0, -0.09, True), (0.11, 0, False), (0, 0.11, False), (5, 0, False), (0, -5, False), (10, 0, False)],
)
def test_grids_match_within_a_hundredth_of_a_pixel(shift_x: float, shift_y: float, same: bool) -> None:
    a, b, c, d, e, f = GRID.transform
    other = Grid(GRID.crs, (a, b, c + shift_x, d, e, f + shift_y), GRID.shape)
    assert GRID.matches(other) is same
    assert other.matches(GRID) is same


def test_the_far_corner_counts_too() -> None:
    a, b, c, d, e, f = GRID.transform
    # Every pixel is 0.05 m wider: the upper left corner is right, the right edge is off by 0.2 m.
    assert not GRID.matches(Grid(GRID.crs, (a + 0.05, b, c, d, e, f), GRID.shape))
    assert GRID.matches(Grid(GRID.crs, (a + 0.02, b, c, d, e, f), GRID.shape))


def test_a_flipped_grid_covers_the_same_ground_and_does_not_match() -> None:
    a, b, c, d, e, f = GRID.transform
    flipped = Grid(GRID.crs, (a, b, c, d, -e, f + 3 * e), GRID.shape)
    assert flipped.bounds == GRID.bounds
    assert not GRID.matches(flipped)


def test_another_crs_or_shape_does_not_match() -> None:
    assert not GRID.matches(Grid("EPSG:32634", GRID.transform, GRID.shape))
    assert not GRID.matches(Grid(GRID.crs, GRID.transform, (4, 3)))


def test_a_grid_survives_json() -> None:
    assert Grid.from_dict(GRID.as_dict()) == GRID
    nine = {"crs": GRID.crs, "transform": [10, 0, 500_000, 0, -10, 5_000_000, 0, 0, 1], "shape": [3, 4]}
    assert Grid.from_dict(nine) == GRID


def test_a_crs_without_a_code_is_kept_as_wkt(tmp_path: Path) -> None:
    own = Grid("+proj=laea +lat_0=47 +lon_0=11 +ellps=GRS80 +units=m", GRID.transform, GRID.shape)
    with rasterio.open(write_raster(tmp_path / "own.tif", np.ones(GRID.shape, "uint8"), own)) as dataset:
        grid = Grid.from_dataset(dataset)
        assert rasterio.crs.CRS.from_user_input(grid.crs) == dataset.crs
        assert not grid.crs.startswith("EPSG:")

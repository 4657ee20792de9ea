"""What a plane cache gives back is what was put in, and it knows when to stop."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from servers.files import serving_files

from lcnkit.model import Asset, Chip, Grid, Item
from lcnkit.raster.plane_cache import PlaneCache, keeping, key_of
from lcnkit.raster.planes import Plane
from lcnkit.reader.auto import Auto
from lcnkit.reader.rasterio import Rasterio
from lcnkit.testing.archives import write_raster

KEY = b"k" * 32
GRID = Grid("EPSG:32633", (10.0, 0.0, 500000.0, 0.0, -10.0, 5000000.0), (6, 5))


def folder(tmp_path: Path) -> Path:
    (tmp_path / "planes").mkdir(exist_ok=True)
    return tmp_path / "planes"


@settings(deadline=None)
@given(
    values=npst.arrays(st.sampled_from(["uint8", "int16", "uint16", "float32", "float64"]), st.tuples(st.integers(1, 9), st.integers(1, 9))),
    seed=st.integers(0, 9),
    nodata=st.sampled_from([None, 0.0, -9999.0, float("nan"), 65535.0]),
)
def test_a_plane_comes_back_as_it_was(tmp_path_factory: pytest.TempPathFactory, values: Any, seed: int, nodata: float | None) -> None:
    cache = PlaneCache(tmp_path_factory.mktemp("planes"), 1 << 20)
    plane = Plane(values, np.random.default_rng(seed).random(values.shape) < 0.5, nodata)
    cache.put({KEY: plane})
    (again,) = cache.get([KEY])
    assert again is not None
    assert again.values.dtype == values.dtype
    np.testing.assert_array_equal(again.values, values)
    np.testing.assert_array_equal(again.valid, plane.valid)
    assert again.valid.dtype == bool
    assert repr(again.nodata) == repr(nodata)


def test_takes_no_more_when_it_is_full(tmp_path: Path) -> None:
    plane = Plane(np.ones((64, 64), "uint16"), np.ones((64, 64), bool), None)
    cache = PlaneCache(folder(tmp_path), 50_000)
    keys = [number.to_bytes(32, "little") for number in range(20)]
    for key in keys:
        cache.put({key: plane})
    kept = [number for number, key in enumerate(keys) if cache.get([key]) != [None]]
    assert kept == list(range(len(kept))), "the first are kept"
    assert 1 < len(kept) < 20
    assert sum(file.stat().st_size for file in (tmp_path / "planes").iterdir()) <= 50_000


def test_the_key_is_that_of_the_pixels() -> None:
    def key(item: str = "i", href: str = "https://host/a.tif", grid: Grid = GRID, resampling: str = "nearest") -> bytes:
        return key_of(Asset(item, "B04", href, {}), grid, resampling)

    assert key() == key(href="https://host/a.tif?sig=fresh"), "a signature does not change the pixels"
    others = {key(item="j"), key(href="https://host/b.tif"), key(resampling="cubic"), key(grid=Grid(GRID.crs, GRID.transform, (5, 6)))}
    assert len(others | {key()}) == 5


@pytest.mark.parametrize("reader", [Auto(), Rasterio()], ids=["auto", "rasterio"])
def test_readers_ask_a_server_once(reader: Any, tmp_path: Path, chip_on: Callable[[Grid], Chip], item_of: Callable[..., Item], recwarn: Any) -> None:
    for number in range(3):
        write_raster(tmp_path / "files" / f"{number}.tif", np.arange(30).reshape(6, 5) * (number + 1), GRID)
    seen: list[Any] = []
    chip = chip_on(GRID)
    with serving_files(tmp_path / "files", seen) as url:
        items = [item_of(GRID, f"item{number}", B04=f"{url}/{number}.tif") for number in range(3)]
        plain = reader.read(chip, items, ["B04"])
        with keeping(PlaneCache(folder(tmp_path), 1 << 20)):
            first = reader.read(chip, items, ["B04"])
            asked = len(seen)
            second = reader.read(chip, items[::-1], ["B04"])
    assert len(seen) == asked, "planes that are kept are not read again"
    (index,) = (tmp_path / "planes").glob("*.index")
    assert index.stat().st_size == 3 * 48
    for image, order in ((first, slice(None)), (second, slice(None, None, -1))):
        np.testing.assert_array_equal(image.values[order], plain.values)
        np.testing.assert_array_equal(image.valid[order], plain.valid)
        assert image.nodata == plain.nodata

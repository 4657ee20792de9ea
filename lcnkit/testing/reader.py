"""What every reader must keep to, as tests to inherit.

Inherit them, and say in a fixture which reader to try; one that resamples must do so by nearest neighbour here::

    class TestOdc(ReaderContract):
        @pytest.fixture
        def reader(self):
            return Odc()

The rasters are a few pixels wide, and every pixel of a raster has a value of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from numpy.typing import NDArray

from lcnkit.contracts import Reader
from lcnkit.errors import GridMismatch, MissingAsset, UnreadableAsset
from lcnkit.model import Grid, Image
from lcnkit.testing.plugin import PluginContract
from lcnkit.testing.sources import GRID, chip, item, moved, pattern


def read_one(reader: Reader, folder: Path, values: NDArray[Any], grid: Grid = GRID, nodata: float | None = 0) -> tuple[Any, Any, Image]:
    """Values and mask, shape ``(y, x)``, of one raster read on the chip's grid, and the whole image."""
    image = reader.read(chip(), [item(folder, {"B04": values}, grid, nodata=nodata)], ["B04"])
    assert image.values.shape == (1, 1, *GRID.shape)
    return image.values[0, 0], image.valid[0, 0], image


class ReaderContract(PluginContract):
    """Inherit in a class named ``Test...`` and write one fixture, ``reader``, which gives the reader to try."""

    kind: ClassVar[str] = "reader"

    @pytest.fixture
    def reader(self) -> Reader:
        """The reader to try; nearest neighbour where it resamples."""
        raise NotImplementedError("A test class that inherits ReaderContract needs a fixture named 'reader'.")

    @pytest.fixture
    def plugin(self, reader: Reader) -> Reader:
        """For the tests that all kinds share."""
        return reader

    def test_gives_the_file_as_it_is_where_it_lies_on_the_grid(self, reader: Reader, tmp_path: Path) -> None:
        """Every pixel at its place, none scaled."""
        values, valid, image = read_one(reader, tmp_path, pattern())
        np.testing.assert_array_equal(values, pattern())
        assert valid.all()
        assert image.bands == ("B04",)

    @pytest.mark.parametrize("bands", [["B02", "B03", "B04"], ["B04", "B02"], ["B03"]])
    def test_bands_come_in_the_order_asked_for(self, reader: Reader, tmp_path: Path, bands: list[str]) -> None:
        """Not in that of the item, nor of the alphabet."""
        starts = {"B03": 100, "B04": 200, "B02": 300}
        given = item(tmp_path, {key: pattern(start=start) for key, start in starts.items()})
        image = reader.read(chip(), [given], bands)
        assert image.bands == tuple(bands)
        np.testing.assert_array_equal(image.values[0], [pattern(start=starts[band]) for band in bands])

    @pytest.mark.parametrize("days", [(3, 1, 2), (1, 1, 1), (2, 1, 1)])
    def test_time_follows_the_items(self, reader: Reader, tmp_path: Path, days: Sequence[int]) -> None:
        """Whatever their datetimes and ids: frames and items are put together by position."""
        items = [
            item(tmp_path, {"B04": pattern(start=start)}, name=name, when=f"2018-06-0{day}T10:00:00Z")
            for day, start, name in zip(days, (100, 200, 300), ("c", "a", "b"), strict=True)
        ]
        image = reader.read(chip(), items, ["B04"])
        np.testing.assert_array_equal(image.values[:, 0], [pattern(start=start) for start in (100, 200, 300)])

    @pytest.mark.parametrize("dtype", ["uint8", "uint16", "int16", "float32"])
    def test_keeps_the_dtype(self, reader: Reader, tmp_path: Path, dtype: str) -> None:
        """Values as stored."""
        values, _, _ = read_one(reader, tmp_path, pattern(dtype=dtype))
        assert values.dtype == np.dtype(dtype)
        np.testing.assert_array_equal(values, pattern())

    def test_takes_the_dtype_that_holds_all_bands(self, reader: Reader, tmp_path: Path) -> None:
        """``numpy.result_type`` of the files."""
        given = item(tmp_path, {"B04": pattern(), "CLD": pattern(dtype="uint8"), "ndvi": pattern(dtype="float32") / 64})
        assert reader.read(chip(), [given], ["B04", "CLD"]).values.dtype == np.dtype("uint16")
        mixed = reader.read(chip(), [given], ["B04", "ndvi"])
        assert mixed.values.dtype == np.dtype("float32")
        np.testing.assert_array_equal(mixed.values[0], [pattern(), pattern() / 64])

    @pytest.mark.parametrize(("dtype", "nodata"), [("uint16", 0), ("uint8", 255), ("int16", -9999)])
    def test_nodata_is_not_valid(self, reader: Reader, tmp_path: Path, dtype: str, nodata: int) -> None:
        """And holds ``image.nodata``."""
        stored = pattern(dtype=dtype)
        stored[1, 2] = stored[5, 7] = nodata
        values, valid, image = read_one(reader, tmp_path, stored, nodata=nodata)
        np.testing.assert_array_equal(values, stored)
        np.testing.assert_array_equal(valid, stored != nodata)
        assert image.nodata == nodata

    @pytest.mark.parametrize("nodata", [-9999.0, float("nan"), None])
    def test_floats_are_nan_where_not_valid(self, reader: Reader, tmp_path: Path, nodata: float | None) -> None:
        """Whatever the file's own nodata value; NaN in a file is no data either."""
        stored = pattern(dtype="float32")
        stored[2, 3] = np.nan if nodata is None else nodata
        values, valid, image = read_one(reader, tmp_path, stored, nodata=nodata)
        expected = pattern(dtype="float32")
        expected[2, 3] = np.nan
        np.testing.assert_array_equal(values, expected)
        np.testing.assert_array_equal(valid, ~np.isnan(expected))
        assert image.nodata is not None
        assert np.isnan(image.nodata)

    def test_zeros_are_data_where_the_file_declares_no_nodata(self, reader: Reader, tmp_path: Path) -> None:
        """Zero is a value like any other."""
        values, valid, image = read_one(reader, tmp_path, pattern(start=0) % 3, nodata=None)
        np.testing.assert_array_equal(values, pattern(start=0) % 3)
        assert valid.all()
        assert image.nodata is None

    @pytest.mark.parametrize(("columns", "rows"), [(-3, -2), (-7, 0), (0, -9)])
    def test_cuts_the_chip_out_of_a_scene(self, reader: Reader, tmp_path: Path, columns: int, rows: int) -> None:
        """The source is larger than the chip: the window that the chip covers, to the pixel."""
        scene = pattern((16, 18))
        values, valid, _ = read_one(reader, tmp_path, scene, moved(columns, rows, (16, 18)))
        np.testing.assert_array_equal(values, scene[-rows : 6 - rows, -columns : 8 - columns])
        assert valid.all()

    @pytest.mark.parametrize("nodata", [0, 255, None])
    @pytest.mark.parametrize(("columns", "rows"), [(3, 2), (-5, 1), (2, -4)])
    def test_is_not_valid_where_the_file_has_no_pixel(self, reader: Reader, tmp_path: Path, columns: int, rows: int, nodata: int | None) -> None:
        """The source is shifted by whole pixels: what is in it stays in place, the rest is nodata, or 0."""
        values, valid, _ = read_one(reader, tmp_path, pattern(dtype="uint8"), moved(columns, rows), nodata=nodata)
        expected = np.full(GRID.shape, nodata or 0, dtype="uint8")
        covered = np.zeros(GRID.shape, dtype=bool)
        here = np.s_[max(rows, 0) : 6 + min(rows, 0), max(columns, 0) : 8 + min(columns, 0)]
        there = np.s_[max(-rows, 0) : 6 - max(rows, 0), max(-columns, 0) : 8 - max(columns, 0)]
        expected[here], covered[here] = pattern(dtype="uint8")[there], True
        np.testing.assert_array_equal(values, expected)
        np.testing.assert_array_equal(valid, covered)

    @pytest.mark.parametrize(("columns", "rows"), [(0.3, 0.2), (-0.3, 0.4), (0.4, -0.4)])
    def test_a_shift_of_less_than_half_a_pixel_moves_nothing(self, reader: Reader, tmp_path: Path, columns: float, rows: float) -> None:
        """The nearest pixel centre is still that of the same pixel: corners are not taken for centres."""
        scene = pattern((10, 12))
        values, valid, _ = read_one(reader, tmp_path, scene, moved(columns - 2, rows - 2, (10, 12)))
        np.testing.assert_array_equal(values, scene[2:8, 2:10])
        assert valid.all()

    def test_takes_the_nearest_of_coarser_pixels(self, reader: Reader, tmp_path: Path) -> None:
        """20 m bands: each pixel fills four of the chip's."""
        scene = pattern((6, 7))
        values, valid, _ = read_one(reader, tmp_path, scene, moved(-4, -2, (6, 7), pixel=20.0))
        np.testing.assert_array_equal(values, np.kron(scene, np.ones((2, 2), dtype="uint16"))[2:8, 4:12])
        assert valid.all()

    def test_warps_what_lies_in_another_crs(self, reader: Reader, tmp_path: Path) -> None:
        """As GDAL does it; along the edge of two pixels either one will do."""
        from affine import Affine
        from rasterio.warp import reproject, transform

        xs, ys = transform(GRID.crs, "EPSG:32632", *GRID.corners)
        there = Grid("EPSG:32632", (10.0, 0.0, round(min(xs), -1) - 100, 0.0, -10.0, round(max(ys), -1) + 100), (40, 40))
        scene, expected = pattern(there.shape), np.zeros(GRID.shape, dtype="uint16")
        places = {"src_transform": Affine(*there.transform), "dst_transform": Affine(*GRID.transform)}
        reproject(scene, expected, src_crs=there.crs, dst_crs=GRID.crs, **places, src_nodata=0, dst_nodata=0)
        assert expected.all(), "the scene must cover the chip"
        values, valid, _ = read_one(reader, tmp_path, scene, there)
        assert valid.all()
        assert (values != expected).sum() <= 2, f"{values}\nwhere GDAL gives\n{expected}"

    def test_passes_on_scale_and_offset(self, reader: Reader, tmp_path: Path) -> None:
        """As published, per frame and band; applying them is a transform's work."""
        fields = {"raster:bands": [{"scale": 0.0001, "offset": -0.1}]}
        items = [
            item(tmp_path, {"B03": pattern(), "B04": pattern()}, name="new", fields=fields),
            item(tmp_path, {"B03": pattern(), "B04": pattern()}, name="old"),
        ]
        image = reader.read(chip(), items, ["B03", "B04"])
        np.testing.assert_array_equal(image.values[0, 0], pattern())
        np.testing.assert_array_equal(image.scale, [[0.0001, 0.0001], [1, 1]])
        np.testing.assert_array_equal(image.offset, [[-0.1, -0.1], [0, 0]])
        assert reader.read(chip(), items[1:], ["B04"]).scale is None

    def test_names_the_asset_that_an_item_lacks(self, reader: Reader, tmp_path: Path) -> None:
        """Which item, which asset, and what there is instead."""
        items = [item(tmp_path, {"B03": pattern(), "B04": pattern()}), item(tmp_path, {"B03": pattern(), "B8A": pattern()}, name="other")]
        with pytest.raises(MissingAsset) as caught:
            reader.read(chip(), items, ["B03", "B04"])
        for word in ("other", "B04", "B8A"):
            assert word in str(caught.value), f"the message should name {word!r}: {caught.value}"

    def test_names_the_file_that_is_missing(self, reader: Reader, tmp_path: Path) -> None:
        """A file that a download left out."""
        given = item(tmp_path, {"B03": pattern(), "B04": pattern()})
        (tmp_path / "item" / "B04.tif").unlink()
        with pytest.raises(UnreadableAsset, match=r"B04\.tif"):
            reader.read(chip(), [given], ["B03", "B04"])

    @pytest.mark.parametrize("keep", [0, 100, -20])
    def test_names_the_file_that_is_cut_short(self, reader: Reader, tmp_path: Path, keep: int) -> None:
        """Empty, in its header, or in its pixels."""
        given = item(tmp_path, {"B04": pattern()})
        path = tmp_path / "item" / "B04.tif"
        data = path.read_bytes()
        path.write_bytes(data[:keep] if keep >= 0 else _before_pixels_end(data))
        with pytest.raises(UnreadableAsset, match=r"B04\.tif"):
            reader.read(chip(), [given], ["B04"])

    def test_names_the_file_that_has_no_crs(self, reader: Reader, tmp_path: Path) -> None:
        """Nobody knows where it lies."""
        given = item(tmp_path, {"B04": pattern()}, Grid("", GRID.transform, GRID.shape))
        with pytest.raises(GridMismatch, match=r"B04\.tif"):
            reader.read(chip(), [given], ["B04"])


def _before_pixels_end(data: bytes) -> bytes:
    """The file without the last 20 bytes of its pixels."""
    end = data.index(pattern().tobytes()) + pattern().nbytes
    return data[: end - 20]

"""The readers: the same pixels, whichever reads them, and the right ones."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio

from lcnkit.contracts import Reader
from lcnkit.errors import GridMismatch, MissingAsset, UnreadableAsset
from lcnkit.model import Chip, Grid, Image, Item
from lcnkit.reader.auto import Auto
from lcnkit.reader.rasterio import Rasterio
from lcnkit.reader.stackstac import Stackstac
from lcnkit.testing.archives import write_raster

GRID = Grid("EPSG:32633", (10.0, 0.0, 500_000.0, 0.0, -10.0, 5_000_000.0), (16, 24))
READERS = [Auto(), Rasterio(), Stackstac()]
every_reader = pytest.mark.parametrize("reader", READERS, ids=lambda reader: type(reader).__name__.lower())

ChipOn = Callable[[Grid], Chip]
ItemOf = Callable[..., Item]


def moved(grid: Grid, columns: float, rows: float, shape: tuple[int, int] | None = None) -> Grid:
    """A grid with its corner elsewhere, in pixels of the given one."""
    a, b, c, d, e, f = grid.transform
    return Grid(grid.crs, (a, b, c + columns * a, d, e, f + rows * e), shape or grid.shape)


def numbers(dtype: str, shape: tuple[int, int] = GRID.shape) -> np.ndarray[Any, Any]:
    """A different value in each pixel, as far as the dtype has that many; 0 among them."""
    return np.arange(shape[0] * shape[1]).reshape(shape).astype(dtype)


def assert_same(image: Image, other: Image) -> None:
    """Equal in everything a later step can see."""
    assert image.values.dtype == other.values.dtype
    np.testing.assert_array_equal(image.values, other.values)
    np.testing.assert_array_equal(image.valid, other.valid)
    assert image.bands == other.bands
    assert image.nodata == other.nodata or (np.isnan(image.nodata or 0) and np.isnan(other.nodata or 0))
    np.testing.assert_array_equal(image.scale, other.scale)
    np.testing.assert_array_equal(image.offset, other.offset)


# On the grid: the values that were written.


def uint16(folder: Path) -> Path:
    return write_raster(folder / "f.tif", numbers("uint16"), GRID)


def one_strip(folder: Path) -> Path:
    return write_raster(folder / "f.tif", numbers("uint16"), GRID, blockysize=16)


def no_nodata(folder: Path) -> Path:
    return write_raster(folder / "f.tif", numbers("uint16"), GRID, nodata=None)


def uint8_with_255(folder: Path) -> Path:
    return write_raster(folder / "f.tif", numbers("uint8"), GRID, nodata=255)


def int16_negative(folder: Path) -> Path:
    return write_raster(folder / "f.tif", numbers("int16") - 200, GRID, nodata=-9999)


def int8(folder: Path) -> Path:
    return write_raster(folder / "f.tif", numbers("int8"), GRID, nodata=-128)


def float32_nan(folder: Path) -> Path:
    values = numbers("float32") / 7
    values[3, 4] = np.nan
    return write_raster(folder / "f.tif", values, GRID, nodata=float("nan"))


def float32_undeclared_nan(folder: Path) -> Path:
    values = numbers("float32") / 7
    values[3, 4] = np.nan
    return write_raster(folder / "f.tif", values, GRID, nodata=None)


def float32_number_and_nan(folder: Path) -> Path:
    values = numbers("float32") / 7
    values[3, 4], values[0, 1] = np.nan, -9999
    return write_raster(folder / "f.tif", values, GRID, nodata=-9999)


def float64(folder: Path) -> Path:
    return write_raster(folder / "f.tif", numbers("float64") / 7, GRID, nodata=None)


def deflate(folder: Path) -> Path:
    return write_raster(folder / "f.tif", numbers("uint16"), GRID, compress="deflate")


def deflate_predictor(folder: Path) -> Path:
    return write_raster(folder / "f.tif", numbers("uint16"), GRID, compress="deflate", predictor=2)


def float_predictor(folder: Path) -> Path:
    return write_raster(folder / "f.tif", numbers("float32") / 7, GRID, nodata=None, compress="deflate", predictor=3)


def lzw(folder: Path) -> Path:
    return write_raster(folder / "f.tif", numbers("uint16"), GRID, compress="lzw")


def tiled(folder: Path) -> Path:
    return write_raster(folder / "f.tif", numbers("uint16"), GRID, tiled=True, blockxsize=16, blockysize=16)


def tiled_deflate_predictor(folder: Path) -> Path:
    return write_raster(folder / "f.tif", numbers("uint16"), GRID, tiled=True, blockxsize=16, blockysize=16, compress="deflate", predictor=2)


def big_endian(folder: Path) -> Path:
    return write_raster(folder / "f.tif", numbers("uint16"), GRID, endianness="BIG")


def big_endian_deflate_predictor(folder: Path) -> Path:
    return write_raster(folder / "f.tif", numbers("uint16"), GRID, endianness="BIG", compress="deflate", predictor=2)


def bigtiff(folder: Path) -> Path:
    return write_raster(folder / "f.tif", numbers("uint16"), GRID, bigtiff="YES")


def palette(folder: Path) -> Path:
    path = write_raster(folder / "f.tif", numbers("uint8") % 8, GRID, nodata=None)
    with rasterio.open(path, "r+") as dataset:
        dataset.write_colormap(1, {number: (number, 0, 0, 255) for number in range(8)})
    return path


def white_is_zero(folder: Path) -> Path:
    return write_raster(folder / "f.tif", numbers("uint8"), GRID, nodata=None, photometric="MINISWHITE")


def overviews(folder: Path) -> Path:
    path = write_raster(folder / "f.tif", numbers("uint16"), GRID)
    with rasterio.open(path, "r+") as dataset:
        dataset.build_overviews([2, 4])
    return path


def cloud_optimized(folder: Path) -> Path:
    return write_raster(folder / "f.tif", numbers("uint16"), GRID, driver="COG", compress="deflate")


def pixel_is_point(folder: Path) -> Path:
    path = write_raster(folder / "f.tif", numbers("uint16"), GRID, nodata=None)
    with rasterio.open(path, "w", **_profile(path)) as dataset:
        dataset.update_tags(AREA_OR_POINT="Point")
        dataset.write(numbers("uint16"), 1)
    assert b"\x01\x04\x00\x00\x01\x00\x02\x00" in path.read_bytes()  # GTRasterTypeGeoKey says RasterPixelIsPoint
    return path


def _profile(path: Path) -> dict[str, Any]:
    with rasterio.open(path) as dataset:
        return dict(dataset.profile)


def two_bands(folder: Path) -> Path:
    return write_raster(folder / "f.tif", np.stack([numbers("uint16"), numbers("uint16") + 1]), GRID)


def two_bands_apart(folder: Path) -> Path:
    return write_raster(folder / "f.tif", np.stack([numbers("uint16"), numbers("uint16") + 1]), GRID, interleave="band")


def scale_in_the_file(folder: Path) -> Path:
    path = write_raster(folder / "f.tif", numbers("uint16"), GRID)
    with rasterio.open(path, "r+") as dataset:
        dataset.scales, dataset.offsets = (0.0001,), (-0.1,)
    return path


def twelve_bits(folder: Path) -> Path:
    return write_raster(folder / "f.tif", numbers("uint16"), GRID, nbits=12)


ON_THE_GRID = [
    uint16, one_strip, no_nodata, uint8_with_255, int16_negative, int8, float32_nan, float32_undeclared_nan, float32_number_and_nan, float64,
    deflate, deflate_predictor, float_predictor, lzw, tiled, tiled_deflate_predictor, big_endian, big_endian_deflate_predictor, bigtiff, palette,
    white_is_zero, overviews, cloud_optimized, pixel_is_point, scale_in_the_file, twelve_bits,
]  # fmt: skip


CASES = [(reader, make) for make in ON_THE_GRID for reader in READERS] + [
    (reader, make)
    for make in (two_bands, two_bands_apart)
    for reader in READERS[:2]  # stackstac reads files of one band
]


@pytest.mark.parametrize(("reader", "make"), CASES, ids=lambda value: getattr(value, "__name__", type(value).__name__.lower()))
def test_on_the_grid_the_values_are_those_of_the_file(reader: Reader, make: Any, tmp_path: Path, chip_on: ChipOn, item_of: ItemOf) -> None:
    path = make(tmp_path)
    with rasterio.open(path) as dataset:
        stored, nodata = dataset.read(1), dataset.nodata
    good = np.ones(stored.shape, dtype=bool) if nodata is None else stored != nodata
    if stored.dtype.kind == "f":
        good &= ~np.isnan(stored)
        stored = np.where(good, stored, np.nan).astype(stored.dtype)
    assert good.any()
    for _ in range(2):  # the second time headers are known
        image = reader.read(chip_on(GRID), [item_of(GRID, B04=path)], ["B04"])
        assert image.values.shape == (1, 1, *GRID.shape)
        assert image.values.dtype == stored.dtype
        assert image.values.dtype.isnative
        np.testing.assert_array_equal(image.values[0, 0], stored)
        np.testing.assert_array_equal(image.valid[0, 0], good)
        assert image.valid.dtype == bool


def test_stackstac_says_that_it_reads_single_bands_only(tmp_path: Path, chip_on: ChipOn, item_of: ItemOf) -> None:
    with pytest.raises(UnreadableAsset, match=r"exactly 1 band.*f\.tif"):
        Stackstac().read(chip_on(GRID), [item_of(GRID, B04=two_bands(tmp_path))], ["B04"])


def test_half_precision_is_read_as_rasterio_reads_it(tmp_path: Path, chip_on: ChipOn, item_of: ItemOf) -> None:
    path = write_raster(tmp_path / "half.tif", numbers("float32") / 8, GRID, nodata=None, nbits=16)
    chip, item = chip_on(GRID), item_of(GRID, B04=path)
    assert_same(Auto().read(chip, [item], ["B04"]), Rasterio().read(chip, [item], ["B04"]))


def test_zero_is_data_where_the_nodata_value_is_another(tmp_path: Path, chip_on: ChipOn, item_of: ItemOf) -> None:
    item = item_of(GRID, CLD=uint8_with_255(tmp_path))
    for reader in READERS:
        image = reader.read(chip_on(GRID), [item], ["CLD"])
        assert image.valid[0, 0, 0, 0]
        assert not image.valid[image.values == 255].any()
        assert image.nodata == 255


@pytest.mark.parametrize("reader", [Auto(), Rasterio()], ids=["auto", "rasterio"])
def test_an_internal_mask_counts(reader: Reader, tmp_path: Path, chip_on: ChipOn, item_of: ItemOf) -> None:
    values, mask = numbers("uint16"), np.full(GRID.shape, 255, "uint8")
    mask[:2] = 0
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True):
        path = write_raster(tmp_path / "masked.tif", values, GRID, nodata=None)
        with rasterio.open(path, "r+") as dataset:
            dataset.write_mask(mask)
    # On the grid, a whole pixel aside, and less than half a pixel aside, which is resampled.
    for grid, lost in ((GRID, 2), (moved(GRID, 0, 1, (8, 24)), 1), (moved(GRID, 0.2, 1.2, (8, 23)), 1)):
        image = reader.read(chip_on(grid), [item_of(GRID, B04=path)], ["B04"])
        assert not image.valid[0, 0, :lost].any()
        assert image.valid[0, 0, lost:].all()
        # Where the files declare no nodata value, pixels that are not valid are 0.
        assert not image.values[~image.valid].any()


@pytest.mark.parametrize("reader", [Auto(), Rasterio()], ids=["auto", "rasterio"])
def test_an_alpha_band_counts(reader: Reader, tmp_path: Path, chip_on: ChipOn, item_of: ItemOf) -> None:
    alpha = np.full(GRID.shape, 255, "uint8")
    alpha[:2] = 0
    path = write_raster(tmp_path / "alpha.tif", np.stack([numbers("uint8"), alpha]), GRID, nodata=None, photometric="MINISBLACK", alpha="YES")
    for grid, lost in ((GRID, 2), (moved(GRID, 0, 1, (8, 24)), 1), (moved(GRID, 0.2, 1.2, (8, 23)), 1)):
        image = reader.read(chip_on(grid), [item_of(GRID, B04=path)], ["B04"])
        assert not image.valid[0, 0, :lost].any()
        assert image.valid[0, 0, lost:].all()


@every_reader
@pytest.mark.parametrize("declared", [b"-9999", b"nan\0\0", b"65536", b"0.125"])
@pytest.mark.parametrize("columns", [0, 4])
def test_a_nodata_value_that_the_dtype_cannot_hold_says_nothing(
    reader: Reader, columns: int, declared: bytes, tmp_path: Path, chip_on: ChipOn, item_of: ItemOf
) -> None:
    """Files do declare -9999 for uint16: every pixel is data, and what lies outside the file is 0."""
    path = write_raster(tmp_path / "f.tif", numbers("uint16") + 1, GRID, nodata=54_321)
    content = path.read_bytes()
    assert content.count(b"54321\0") == 1
    path.write_bytes(content.replace(b"54321\0", declared + b"\0"))
    image = reader.read(chip_on(moved(GRID, columns, 0)), [item_of(GRID, B04=path)], ["B04"])
    inside = GRID.shape[1] - columns
    assert image.values.dtype == "uint16"
    assert image.valid[..., :inside].all()
    assert not image.valid[..., inside:].any()
    assert not image.values[..., inside:].any()
    assert image.nodata is None


def test_several_items_and_bands_keep_their_order(tmp_path: Path, chip_on: ChipOn, item_of: ItemOf) -> None:
    """Items out of order in time and bands out of order by name, of several dtypes and nodata values."""
    items = []
    for number in (2, 0, 1):
        b04 = write_raster(tmp_path / f"{number}" / "B04.tif", numbers("uint16") + 1000 * number, GRID)
        cld = write_raster(tmp_path / f"{number}" / "CLD.tif", np.full(GRID.shape, 10 * number, "uint8"), GRID, nodata=255)
        item = item_of(GRID, f"item{number}", B04=b04, CLD=cld)
        items.append(Item(item.href, {**item.document, "properties": {"datetime": f"2018-0{number + 1}-01T00:00:00Z"}}))
    images = [reader.read(chip_on(GRID), items, ["CLD", "B04"]) for reader in READERS]
    assert images[0].values[:, 0, 0, 0].tolist() == [20, 0, 10]
    assert images[0].values[:, 1, 0, 5].tolist() == [2005, 5, 1005]
    assert images[0].values.dtype == "uint16"
    for image in images[1:]:
        assert_same(image, images[0])


def test_scale_and_offset_are_those_of_each_item(tmp_path: Path, chip_on: ChipOn, item_of: ItemOf) -> None:
    path = uint16(tmp_path)
    items = [
        item_of(GRID, "old", {"raster:bands": [{"scale": 0.0001}]}, B04=path),
        item_of(GRID, "new", {"raster:bands": [{"scale": 0.0001, "offset": -0.1}]}, B04=path),
        item_of(GRID, "bare", B04=path),
    ]
    for reader in READERS:
        image = reader.read(chip_on(GRID), items, ["B04"])
        assert image.scale is not None
        assert image.offset is not None
        assert image.scale.tolist() == [[0.0001], [0.0001], [1.0]]
        assert image.offset.tolist() == [[0.0], [-0.1], [0.0]]
        assert reader.read(chip_on(GRID), items[2:], ["B04"]).scale is None


# Elsewhere: whole pixels aside, half pixels aside, another CRS.


@every_reader
@pytest.mark.parametrize("nodata", [0, 65_535, None], ids=["nodata 0", "nodata 65535", "no nodata"])
@pytest.mark.parametrize(("columns", "rows"), [(4, 8), (0, 0), (-5, 3), (20, 10), (3, -12)], ids=str)
def test_a_source_that_lies_whole_pixels_aside_is_copied(
    reader: Reader, columns: int, rows: int, nodata: float | None, tmp_path: Path, chip_on: ChipOn, item_of: ItemOf
) -> None:
    """The chip's corner lies that many columns and rows inside the source; what lies outside is not valid."""
    stored = numbers("uint16") + 1
    grid = moved(GRID, columns, rows, (8, 12))
    path = write_raster(tmp_path / "f.tif", stored, GRID, nodata=nodata)
    image = reader.read(chip_on(grid), [item_of(GRID, B04=path)], ["B04"])
    wanted = np.full(grid.shape, nodata or 0, "uint16")
    for row in range(8):
        for column in range(12):
            if 0 <= row + rows < 16 and 0 <= column + columns < 24:
                wanted[row, column] = stored[row + rows, column + columns]
    assert image.values.dtype == "uint16"
    np.testing.assert_array_equal(image.values[0, 0], wanted)
    np.testing.assert_array_equal(image.valid[0, 0], wanted != (nodata or 0))


@every_reader
def test_a_source_wholly_elsewhere_gives_no_valid_pixel(reader: Reader, tmp_path: Path, chip_on: ChipOn, item_of: ItemOf) -> None:
    path = write_raster(tmp_path / "f.tif", numbers("uint16") + 1, GRID)
    image = reader.read(chip_on(moved(GRID, 1000, 0)), [item_of(GRID, B04=path)], ["B04"])
    assert not image.valid.any()
    assert not image.values.any()


@every_reader
@pytest.mark.parametrize("axis", ["x", "y"])
@pytest.mark.parametrize(("columns", "rows"), [(0, 0), (16, 16), (7, 3)], ids=str)
def test_a_pixel_holds_what_lies_at_its_centre(
    reader: Reader, columns: int, rows: int, axis: str, tmp_path: Path, chip_on: ChipOn, item_of: ItemOf
) -> None:
    """Each pixel of the source holds its own centre's coordinate: read on a grid, it must be the grid's coordinate."""
    wide = moved(GRID, -16, -16, (48, 56))
    x, y = np.meshgrid(wide.x, wide.y)
    path = write_raster(tmp_path / "f.tif", x if axis == "x" else y, wide, nodata=None)
    grid = moved(wide, columns, rows, GRID.shape)
    image = reader.read(chip_on(grid), [item_of(wide, B04=path)], ["B04"])
    wanted = np.meshgrid(grid.x, grid.y)[0 if axis == "x" else 1]
    np.testing.assert_array_equal(image.values[0, 0], wanted)


@pytest.mark.parametrize("reader", [Auto(), Rasterio()], ids=["auto", "rasterio"])
@pytest.mark.parametrize(
    "grid",
    [
        moved(GRID, 0.3, -0.2),
        moved(GRID, 0.5, 0.5),
        Grid(GRID.crs, (5.0, 0.0, 500_000.0, 0.0, -5.0, 5_000_000.0), (32, 48)),
        Grid(GRID.crs, (20.0, 0.0, 500_000.0, 0.0, -20.0, 5_000_000.0), (8, 12)),
        Grid(GRID.crs, (8.0, 6.0, 500_000.0, 6.0, -8.0, 4_999_950.0), (12, 12)),
        Grid(GRID.crs, (10.0, 0.0, 500_000.0, 0.0, 10.0, 4_999_840.0), (16, 24)),
    ],
    ids=["a third aside", "half aside", "finer", "coarser", "rotated", "south up"],
)
def test_nearest_takes_the_pixel_that_covers_the_centre(reader: Reader, grid: Grid, tmp_path: Path, chip_on: ChipOn, item_of: ItemOf) -> None:
    wide = moved(GRID, -30, -30, (80, 90))
    x, y = np.meshgrid(wide.x, wide.y)
    a, b, c, d, e, f = grid.transform
    column, row = np.meshgrid(np.arange(grid.shape[1]) + 0.5, np.arange(grid.shape[0]) + 0.5)
    for number, (coordinate, centre) in enumerate(((x, a * column + b * row + c), (y, d * column + e * row + f))):
        path = write_raster(tmp_path / f"{number}.tif", coordinate, wide, nodata=None)
        image = reader.read(chip_on(grid), [item_of(wide, B04=path)], ["B04"])
        assert image.valid.all()
        assert np.abs(image.values[0, 0] - centre).max() <= 5


@every_reader
def test_another_utm_zone_lands_within_half_a_pixel(reader: Reader, tmp_path: Path, chip_on: ChipOn, item_of: ItemOf) -> None:
    """A source in zone 32 read on a chip in zone 33, where zones meet: values are zone 33 coordinates."""
    from rasterio.warp import transform

    grid = Grid("EPSG:32633", (10.0, 0.0, 300_000.0, 0.0, -10.0, 5_000_000.0), (16, 16))
    (x,), (y,) = transform("EPSG:32633", "EPSG:32632", [300_080], [4_999_920])
    source = Grid("EPSG:32632", (10.0, 0.0, round(x, -1) - 400.0, 0.0, -10.0, round(y, -1) + 400.0), (80, 80))
    there = np.meshgrid(source.x, source.y)
    here = transform("EPSG:32632", "EPSG:32633", there[0].ravel(), there[1].ravel())
    for number, wanted in enumerate(np.meshgrid(grid.x, grid.y)):
        path = write_raster(tmp_path / f"{number}.tif", np.reshape(here[number], source.shape), source, nodata=None)
        image = reader.read(chip_on(grid), [item_of(source, B04=path)], ["B04"])
        assert image.valid.all()
        # Half a pixel of a grid that is turned by a few degrees, along one axis.
        assert np.abs(image.values[0, 0] - wanted).max() < 5.5
        assert abs(np.mean(image.values[0, 0] - wanted)) < 0.5


@pytest.mark.parametrize(
    "grid",
    [Grid("EPSG:4326", (0.0001, 0.0, 15.0, 0.0, -0.0001, 45.0), (16, 24)), Grid("EPSG:3035", GRID.transform, GRID.shape)],
    ids=lambda grid: grid.crs,
)
def test_chips_in_other_crs(grid: Grid, tmp_path: Path, chip_on: ChipOn, item_of: ItemOf) -> None:
    path = write_raster(tmp_path / "f.tif", numbers("uint16"), grid)
    images = [reader.read(chip_on(grid), [item_of(grid, B04=path)], ["B04"]) for reader in READERS]
    np.testing.assert_array_equal(images[0].values[0, 0], numbers("uint16"))
    for image in images[1:]:
        assert_same(image, images[0])


@pytest.mark.parametrize(
    "grid",
    [
        Grid("EPSG:32633", (8.0, 6.0, 500_000.0, 6.0, -8.0, 5_000_000.0), GRID.shape),
        Grid("+proj=laea +lat_0=47 +lon_0=11 +ellps=GRS80 +units=m", GRID.transform, GRID.shape),
    ],
    ids=["rotated", "no code"],
)
def test_grids_that_stackstac_cannot_have(grid: Grid, tmp_path: Path, chip_on: ChipOn, item_of: ItemOf) -> None:
    path = write_raster(tmp_path / "f.tif", numbers("uint16"), grid)
    with rasterio.open(path) as dataset:
        chip, item = chip_on(Grid.from_dataset(dataset)), item_of(grid, B04=path)
    image = Auto().read(chip, [item], ["B04"])
    np.testing.assert_array_equal(image.values[0, 0], numbers("uint16"))
    assert_same(image, Rasterio().read(chip, [item], ["B04"]))
    with pytest.raises(GridMismatch, match="reader=auto"):
        Stackstac().read(chip, [item], ["B04"])


# Damage.


def garbage(path: Path) -> None:
    path.write_bytes(b"this is no raster at all" * 100)


def cut_short(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-20])


def empty(path: Path) -> None:
    path.write_bytes(b"")


def missing(path: Path) -> None:
    path.unlink()


def html(path: Path) -> None:
    path.write_text("<html><body>Please log in</body></html>")


def points_nowhere(path: Path) -> None:
    """The strip offsets lie beyond the end of the file."""
    content = bytearray(path.read_bytes())
    (directory,) = struct.unpack_from("<I", content, 4)
    (count,) = struct.unpack_from("<H", content, directory)
    for entry in range(directory + 2, directory + 2 + 12 * count, 12):
        if struct.unpack_from("<H", content, entry) == (273,):
            assert struct.unpack_from("<I", content, entry + 4) == (1,)
            struct.pack_into("<I", content, entry + 8, 1 << 30)
    path.write_bytes(content)


@every_reader
@pytest.mark.parametrize(
    ("make", "damage"),
    [(make, damage) for make in (one_strip, tiled_deflate_predictor) for damage in (garbage, cut_short, empty, missing, html)]
    + [(one_strip, points_nowhere)],
    ids=lambda value: value.__name__,
)
def test_a_damaged_file_is_named(reader: Reader, make: Any, damage: Any, tmp_path: Path, chip_on: ChipOn, item_of: ItemOf) -> None:
    good, bad = one_strip(tmp_path / "good"), make(tmp_path)
    damage(bad)
    items = [item_of(GRID, "fine", B03=good, B04=good), item_of(GRID, "damaged", B03=good, B04=bad)]
    with pytest.raises(UnreadableAsset) as caught:
        reader.read(chip_on(GRID), items, ["B03", "B04"])
    message = str(caught.value)
    assert all(part in message for part in ("'damaged'", "'B04'", str(bad)))
    assert "'fine'" not in message


@every_reader
def test_a_missing_asset_is_named(reader: Reader, tmp_path: Path, chip_on: ChipOn, item_of: ItemOf) -> None:
    with pytest.raises(MissingAsset, match=r"Item 'item' has no asset 'B05'; it has B04"):
        reader.read(chip_on(GRID), [item_of(GRID, B04=uint16(tmp_path))], ["B04", "B05"])


@every_reader
def test_a_file_without_crs_is_named(reader: Reader, tmp_path: Path, chip_on: ChipOn, item_of: ItemOf) -> None:
    path = write_raster(tmp_path / "nowhere.tif", numbers("uint16"), Grid("", GRID.transform, GRID.shape))
    with pytest.raises(GridMismatch, match=r"'item', asset 'B04': .*nowhere\.tif has no CRS"):
        reader.read(chip_on(GRID), [item_of(GRID, B04=path)], ["B04"])


# Real files.


def test_landcovernet_asia(shared_data: Path, chip_on: ChipOn, item_of: ItemOf) -> None:
    files = {path.name.split("_")[3]: path for path in sorted(shared_data.glob("landcovernet_as/data/v1.0/2018/*/*/S2/*/*.tif"))}
    assert len(files) == 14
    with rasterio.open(files["B04"]) as dataset:
        grid = Grid.from_dataset(dataset)
    item = item_of(grid, **files)
    for band, path in files.items():
        with rasterio.open(path) as dataset:
            stored, nodata = dataset.read(1), dataset.nodata
        for reader in READERS:
            image = reader.read(chip_on(grid), [item], [band])
            np.testing.assert_array_equal(image.values[0, 0], stored)
            np.testing.assert_array_equal(image.valid[0, 0], stored != nodata)
            assert image.values.dtype == stored.dtype
    # All at once: one dtype, and one mask a band.
    images = [reader.read(chip_on(grid), [item, item], list(files)) for reader in READERS]
    for image in images[1:]:
        assert_same(image, images[0])


def test_slovenia(shared_data: Path, chip_on: ChipOn) -> None:
    """Float values, next to their real STAC items; on a grid moved by five pixels, too."""
    (path, other) = sorted(shared_data.glob("slovenia2017/*_source_sentinel_2/*_33TVL_04_*/stac.json"))[:2]
    items = [Item(str(file), json.loads(file.read_bytes())) for file in (path, other)]
    with rasterio.open(path.parent / "NDVI.tif") as dataset:
        grid, stored = Grid.from_dataset(dataset), dataset.read(1)
    images = [reader.read(chip_on(grid), items, ["NDVI", "CLD"]) for reader in READERS]
    np.testing.assert_array_equal(images[0].values[0, 0], stored)
    assert images[0].values.dtype == "float32"
    aside = [reader.read(chip_on(moved(grid, 5, 5)), items, ["NDVI"]) for reader in READERS]
    np.testing.assert_array_equal(aside[0].values[0, 0, :-5, :-5], stored[5:, 5:])
    assert not aside[0].valid[:, :, -5:].any()
    for group in (images, aside):
        for image in group[1:]:
            assert_same(image, group[0])

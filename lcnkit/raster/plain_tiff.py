"""Plain GeoTIFF chips, read without GDAL.

A LandCoverNet source file is one uncompressed band on the chip's grid behind a 468-byte header. Its few tags that
matter are read in a fiftieth of the time that opening the file with GDAL takes, and only once: the files of a
chip have the same header, byte for byte, and then only the bytes have to be read. Everything that could make
the pixels differ is checked; whatever is not plain is left to rasterio.
"""

from __future__ import annotations

import struct
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from lcnkit.model import Grid
from lcnkit.raster.tiff_header import ReadAt, order_and_tags, read_tags
from lcnkit.raster.tiff_pixels import ADOBE_DEFLATE, DEFLATE, HORIZONTAL, NO_PREDICTOR, UNCOMPRESSED, Layout, pixels

if TYPE_CHECKING:
    from numpy.typing import NDArray

# TIFF tags (TIFF 6.0, section 8; GeoTIFF 1.1, section 7; GDAL_NODATA is GDAL's own).
_KIND, _WIDTH, _LENGTH, _BITS, _COMPRESSION, _PHOTOMETRIC, _FILL_ORDER = 254, 256, 257, 258, 259, 262, 266
_STRIPS, _SAMPLES, _ROWS, _STRIP_COUNTS, _PLANAR, _PREDICTOR = 273, 277, 278, 279, 284, 317
_TILE_WIDTH, _TILE_LENGTH, _TILES, _TILE_COUNTS, _EXTRA, _FORMAT, _DEPTH = 322, 323, 324, 325, 338, 339, 32997
_PIXEL_SCALE, _TIEPOINT, _GEO_KEYS, _GDAL_NODATA = 33550, 33922, 34735, 42113
_GRID_TAGS = frozenset((_WIDTH, _LENGTH, _PIXEL_SCALE, _TIEPOINT, _GEO_KEYS))
_ALL_TAGS = _GRID_TAGS | {_KIND, _BITS, _COMPRESSION, _PHOTOMETRIC, _FILL_ORDER, _STRIPS, _SAMPLES, _ROWS, _STRIP_COUNTS, _PLANAR, _PREDICTOR}
_ALL_TAGS |= {_TILE_WIDTH, _TILE_LENGTH, _TILES, _TILE_COUNTS, _EXTRA, _FORMAT, _DEPTH, _GDAL_NODATA}
# GeoKeys: model type, raster type (1: a pixel is an area), the EPSG code of a geographic or projected CRS.
_MODEL_TYPE, _RASTER_TYPE, _GEOGRAPHIC, _PROJECTED = 1024, 1025, 2048, 3072
_USER_DEFINED = 32767
_MIN_IS_BLACK, _RGB, _PALETTE = 1, 2, 3
_ALPHA = (1, 2)
# By sample format and bits. Half floats are left out: GDAL makes them float32.
_DTYPES = {(1, 8): "u1", (1, 16): "u2", (1, 32): "u4", (1, 64): "u8", (2, 8): "i1", (2, 16): "i2", (2, 32): "i4", (2, 64): "i8"}
_DTYPES |= {(3, 32): "f4", (3, 64): "f8"}


@dataclass(frozen=True)
class PlainTiff:
    """The pixels of a plain file."""

    values: NDArray[np.generic]
    """Shape ``(band, y, x)``, as stored. Not to be written to."""
    nodata: float | None


@dataclass(frozen=True)
class Described:
    """What a header says; the same for all files with the same one."""

    layout: Layout
    nodata: float | None
    grid: Grid


#: By (file size, header). A chip's files share a few; the newest are kept.
_KNOWN: OrderedDict[tuple[int, bytes], Described] = OrderedDict()
_HEADER_SIZES: OrderedDict[int, None] = OrderedDict()
_MOST_KNOWN, _MOST_SIZES = 128, 8


def read_plain(path: str, grid: Grid) -> PlainTiff | None:
    """All bands of the file, or ``None`` where it is anything but a plain raster on ``grid``."""
    try:
        with open(path, "rb") as file:
            content = file.read()
    except OSError:
        return None  # rasterio says best what is wrong with it
    return plain_of(content, grid)


def plain_of(content: bytes, grid: Grid) -> PlainTiff | None:
    """The same of a file that is there as bytes."""
    try:
        known = _known(content) or _described(content)
        if known is None or not (known.grid == grid or known.grid.matches(grid)):
            return None
        return PlainTiff(pixels(content, known.layout).transpose(2, 0, 1), known.nodata)
    except (ValueError, IndexError, KeyError, TypeError, struct.error, ArithmeticError):
        return None  # rasterio reads it, or says best what is wrong with it


def plain_grid(path: str) -> Grid | None:
    """Where the raster lies, from its header alone; ``None`` where the file does not say it in a plain way."""
    try:
        with open(path, "rb") as file:

            def read(start: int, count: int) -> bytes:
                file.seek(start)
                return file.read(count)

            return grid_of(read)
    except OSError:
        return None


def grid_of(read: ReadAt) -> Grid | None:
    """The same of a file that ``read`` gives the bytes of."""
    try:
        return _grid_of_tags(read_tags(read, _GRID_TAGS))
    except (ValueError, IndexError, KeyError):
        return None


def scene_of(read: ReadAt) -> Described | None:
    """What the header of a scene says, its overviews left aside; ``None`` where the file is anything but a plain, tiled raster."""
    try:
        order, tags = order_and_tags(read, _ALL_TAGS, overviews=True)
        grid, layout = _grid_of_tags(tags), _layout(order, tags)
        if grid is None or layout is None or not layout.tiled or not _is_there(layout, None):
            return None
        return Described(layout, _nodata(tags), grid)
    except (ValueError, IndexError, KeyError, TypeError, struct.error, ArithmeticError):
        return None


def _known(content: bytes) -> Described | None:
    """What is known of a file whose header was met before."""
    for size in reversed(_HEADER_SIZES):
        known = _KNOWN.get((len(content), content[:size]))
        if known is not None:
            return known
    return None


def _described(content: bytes) -> Described | None:
    """What the tags say; ``None`` where the file is not plain."""
    order, tags = order_and_tags(lambda start, count: content[start : start + count], _ALL_TAGS)
    grid, layout = _grid_of_tags(tags), _layout(order, tags)
    if grid is None or layout is None or not _is_there(layout, len(content)):
        return None
    known = Described(layout, _nodata(tags), grid)
    first = min(layout.offsets)
    # The header says all where the pixels, in one piece, are what is left.
    if layout.is_one_piece and first + sum(layout.counts) == len(content):
        _remember(known, content, first)
    return known


def _layout(order: str, tags: Mapping[int, tuple[Any, ...]]) -> Layout | None:
    """Bands of one raster, nothing derived, nothing masked; else ``None``."""

    def one(tag: int, default: int) -> int:
        return int(tags.get(tag, (default,))[0])

    samples = one(_SAMPLES, 1)
    kinds = set(zip(tags.get(_FORMAT, (1,) * samples), tags.get(_BITS, (1,)), strict=True))
    dtype = _DTYPES.get(kinds.pop()) if len(kinds) == 1 else None
    compression, predictor = one(_COMPRESSION, UNCOMPRESSED), one(_PREDICTOR, NO_PREDICTOR)
    is_plain = (
        dtype is not None
        and compression in (UNCOMPRESSED, ADOBE_DEFLATE, DEFLATE)
        and (predictor == NO_PREDICTOR or (predictor == HORIZONTAL and compression != UNCOMPRESSED and dtype[0] != "f"))
        and one(_PHOTOMETRIC, -1) in (_MIN_IS_BLACK, _RGB, _PALETTE)
        and (one(_PLANAR, 1) == 1 or samples == 1)
        and (one(_KIND, 0), one(_FILL_ORDER, 1), one(_DEPTH, 1)) == (0, 1, 1)
        and not any(sample in _ALPHA for sample in tags.get(_EXTRA, ()))
    )
    if not is_plain:
        return None
    shape = (tags[_LENGTH][0], tags[_WIDTH][0], samples)
    tiled = _TILES in tags
    block = (tags[_TILE_LENGTH][0], tags[_TILE_WIDTH][0]) if tiled else (min(one(_ROWS, shape[0]), shape[0]), shape[1])
    offsets, counts = (tags[_TILES], tags[_TILE_COUNTS]) if tiled else (tags[_STRIPS], tags[_STRIP_COUNTS])
    return Layout(np.dtype(f"{order}{dtype}"), shape, block, offsets, counts, tiled, compression, predictor)


def _is_there(layout: Layout, file_size: int | None) -> bool:
    """Whether all blocks are in the file, as far as its size is known: GDAL fills those that are left out (0)."""
    if not len(layout.offsets) == len(layout.counts) == layout.blocks or 0 in (*layout.offsets, *layout.counts):
        return False
    return file_size is None or max(map(sum, zip(layout.offsets, layout.counts, strict=True))) <= file_size


def _remember(known: Described, content: bytes, start: int) -> None:
    _KNOWN[len(content), content[:start]] = known
    _HEADER_SIZES[start] = None
    _HEADER_SIZES.move_to_end(start)
    while len(_KNOWN) > _MOST_KNOWN:
        _KNOWN.popitem(last=False)
    while len(_HEADER_SIZES) > _MOST_SIZES:
        _HEADER_SIZES.popitem(last=False)


def _grid_of_tags(tags: Mapping[int, tuple[Any, ...]]) -> Grid | None:
    if not tags.keys() >= _GRID_TAGS:
        return None
    tiepoint, scale = tags[_TIEPOINT], tags[_PIXEL_SCALE]
    if len(tiepoint) != 6 or tiepoint[0] or tiepoint[1]:
        return None
    keys = _geo_keys(tags[_GEO_KEYS])
    code = keys.get(_PROJECTED if keys.get(_MODEL_TYPE) == 1 else _GEOGRAPHIC, _USER_DEFINED)
    if keys.get(_RASTER_TYPE, 1) != 1 or code == _USER_DEFINED:
        return None
    return Grid(f"EPSG:{code}", (scale[0], 0.0, tiepoint[3], 0.0, -scale[1], tiepoint[4]), (tags[_LENGTH][0], tags[_WIDTH][0]))


def _geo_keys(words: Any) -> dict[int, int]:
    """Keys whose value stands in the directory itself (location 0)."""
    entries = [words[at : at + 4] for at in range(4, 4 + 4 * words[3], 4)]
    return {key: value for key, location, _, value in entries if location == 0}


def _nodata(tags: Mapping[int, tuple[Any, ...]]) -> float | None:
    return float(tags[_GDAL_NODATA][0].decode("ascii").strip("\x00 ")) if _GDAL_NODATA in tags else None

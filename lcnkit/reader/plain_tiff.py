"""Plain GeoTIFF chips, read without GDAL.

A LandCoverNet source file is one uncompressed band on the chip's grid behind a 468-byte header. tifffile
reads such a file in a fifth of the time that opening it with GDAL takes. Everything that could make the
pixels differ is checked first; whatever is not plain is left to rasterio.
"""

from __future__ import annotations

import struct
from typing import Any

from lcnkit.model import Grid
from lcnkit.model.grid import PIXEL_TOLERANCE
from lcnkit.reader.planes import Plane, plane_of

# TIFF tags (GeoTIFF 1.1, section 7; GDAL's own: 42112, 42113).
_PIXEL_SCALE, _TIEPOINT, _GEO_KEYS, _GDAL_NODATA = 33550, 33922, 34735, 42113
# GeoKeys: model type, raster type (1: a pixel is an area), the EPSG code of a geographic or projected CRS.
_MODEL_TYPE, _RASTER_TYPE, _GEOGRAPHIC, _PROJECTED = 1024, 1025, 2048, 3072
_USER_DEFINED = 32767
_UNCOMPRESSED, _DEFLATE, _ADOBE_DEFLATE = 1, 32946, 8


def read_plain(path: str, grid: Grid) -> Plane | None:
    """The file's only band, or ``None`` where the file is anything but a plain chip on ``grid``."""
    import tifffile

    try:
        with tifffile.TiffFile(path) as tiff:
            page: Any = tiff.pages[0]
            if len(tiff.pages) != 1 or not _is_plain(page, grid):
                return None
            ends = [start + size for start, size in zip(page.dataoffsets, page.databytecounts, strict=True)]
            if max(ends) > tiff.filehandle.size:
                return None
            return plane_of(page.asarray(), _nodata(page))
    except (tifffile.TiffFileError, struct.error, OSError, ValueError, IndexError, KeyError):
        return None  # rasterio reads it, or says best what is wrong with it


def _is_plain(page: Any, grid: Grid) -> bool:
    return (
        page.shape == grid.shape
        and page.samplesperpixel == 1
        and page.compression in (_UNCOMPRESSED, _DEFLATE, _ADOBE_DEFLATE)
        and page.dtype is not None
        and page.dtype.kind in "uif"
        and 0 not in page.dataoffsets
        and _lies_on(page, grid)
    )


def _lies_on(page: Any, grid: Grid) -> bool:
    tags = page.tags
    if _PIXEL_SCALE not in tags or _TIEPOINT not in tags or _GEO_KEYS not in tags or not grid.is_rectilinear:
        return False
    tiepoint, scale = tags[_TIEPOINT].value, tags[_PIXEL_SCALE].value
    if len(tiepoint) != 6 or tiepoint[0] or tiepoint[1]:
        return False
    keys = _geo_keys(tags[_GEO_KEYS].value)
    code = keys.get(_PROJECTED if keys.get(_MODEL_TYPE) == 1 else _GEOGRAPHIC, _USER_DEFINED)
    if keys.get(_RASTER_TYPE, 1) != 1 or code == _USER_DEFINED:
        return False
    own = Grid(f"EPSG:{code}", (scale[0], 0.0, tiepoint[3], 0.0, -scale[1], tiepoint[4]), tuple(page.shape))
    # The exact transform is the common case; the tolerance is that of `Grid.matches`.
    return (own.crs == grid.crs and own.transform == grid.transform) or (PIXEL_TOLERANCE > 0 and own.matches(grid))


def _geo_keys(words: Any) -> dict[int, int]:
    """Keys whose value stands in the directory itself (location 0)."""
    entries = [words[at : at + 4] for at in range(4, 4 + 4 * words[3], 4)]
    return {key: value for key, location, _, value in entries if location == 0}


def _nodata(page: Any) -> float | None:
    tag = page.tags.get(_GDAL_NODATA)
    return None if tag is None else float(str(tag.value).strip("\x00 "))

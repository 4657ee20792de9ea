"""Pixels to GeoTIFF, in memory: a file system that is full is then Python's error, not a line in GDAL's log."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lcnkit.demo.options import Compression
from lcnkit.model.grid import Grid

#: Bytes of a strip in the published Sentinel-2 files.
STRIP_BYTES = 8192

#: Colours of the LandCoverNet classes, as published.
PALETTE = {
    0: (0, 0, 0, 0),
    1: (0, 0, 255, 255),
    2: (136, 136, 136, 255),
    3: (209, 164, 109, 255),
    4: (245, 245, 255, 255),
    5: (214, 76, 43, 255),
    6: (24, 104, 24, 255),
    7: (0, 255, 0, 255),
}


def image_tiff(pixels: NDArray[Any], grid: Grid, nodata: int, compress: Compression) -> bytes:
    """One band of imagery, shape ``(height, width)``."""
    options: dict[str, Any] = {"compress": "deflate", "zlevel": 6} if compress == "deflate" else {}
    return _encoded(pixels[None], grid, nodata, **options)


def label_tiff(classes: NDArray[np.uint8], score: NDArray[np.uint8], grid: Grid) -> bytes:
    """The label raster: class and consensus score, palette on the class."""
    bands = np.stack([classes, score]).astype("uint16")
    return _encoded(bands, grid, 0, PALETTE, compress="deflate", interleave="pixel", photometric="minisblack")


def _encoded(bands: NDArray[Any], grid: Grid, nodata: int, palette: Mapping[int, tuple[int, ...]] | None = None, **options: Any) -> bytes:
    from rasterio.io import MemoryFile
    from rasterio.transform import Affine

    count, height, width = bands.shape
    # GDAL's defaults for strips and byte order differ between versions and machines.
    options |= {"blockysize": min(height, max(1, STRIP_BYTES // (width * bands.dtype.itemsize))), "ENDIANNESS": "LITTLE"}
    profile = {"driver": "GTiff", "dtype": bands.dtype, "count": count, "height": height, "width": width, "nodata": nodata}
    with MemoryFile() as memory:
        with memory.open(**profile, crs=grid.crs, transform=Affine(*grid.transform), **options) as raster:
            raster.write(bands)
            if palette:
                raster.write_colormap(1, palette)
        return bytes(memory.read())

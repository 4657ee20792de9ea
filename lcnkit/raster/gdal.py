"""GDAL through rasterio: any raster on the chip's grid, warped only where it does not lie there already."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import numpy as np

from lcnkit.errors import GridMismatch, UnreadableAsset
from lcnkit.model import Asset, Grid
from lcnkit.model.grid import PIXEL_TOLERANCE
from lcnkit.raster.planes import Plane, fill_of, plane_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

T = TypeVar("T")
Resampling = Literal["nearest", "bilinear", "cubic", "cubic_spline", "lanczos", "average", "mode"]


# Reading over HTTP: a server that is busy (429, 5xx) is asked again after 0.5, 1, 2 s; one that is silent is given up.
_HTTP = {
    "GDAL_HTTP_CONNECTTIMEOUT": "10",
    "GDAL_HTTP_LOW_SPEED_LIMIT": "1",  # bytes a second, over so many seconds
    "GDAL_HTTP_LOW_SPEED_TIME": "30",
    "GDAL_HTTP_MAX_RETRY": "3",
    "GDAL_HTTP_RETRY_DELAY": "0.5",
    "GDAL_INGESTED_BYTES_AT_OPEN": "196608",  # a chip of 256 x 256 pixels is one request
}


@contextmanager
def gdal() -> Iterator[None]:
    """GDAL set up for many small reads: no listing of folders, and an end to retries. What the environment sets counts more."""
    import os

    import rasterio

    http = {name: value for name, value in _HTTP.items() if name not in os.environ}
    with rasterio.Env(GDAL_DISABLE_READDIR_ON_OPEN="EMPTY_DIR", GDAL_NUM_THREADS="1", VSI_CACHE="TRUE", **http):
        yield


def read_plane(asset: Asset, grid: Grid, resampling: str = "nearest") -> Plane:
    """The first band of an asset on the grid; call it inside `gdal`.

    Raises:
        UnreadableAsset: The file is absent, cut short or damaged.
        GridMismatch: The file has no CRS.
    """
    from rasterio.errors import RasterioError, WarpOperationError

    def read(dataset: Any) -> Plane:
        if dataset.crs is None:
            raise GridMismatch(
                f"Item {asset.item_id!r}, asset {asset.key!r}: {asset.href} has no CRS, so it cannot be brought onto the "
                f"chip's grid ({grid.crs}). Assign one with `gdal_edit.py -a_srs EPSG:CODE FILE`."
            )
        own = Grid.from_dataset(dataset)
        if own.matches(grid):
            return _with_mask(dataset, dataset.read(1), None)
        window = _window(own, grid)
        return _read_window(dataset, window, grid) if window else _warp(dataset, grid, resampling)

    try:
        return read_raster(asset.href, read)
    except (RasterioError, WarpOperationError) as error:
        raise unreadable(asset, error) from error


def read_raster(href: str, read: Callable[[Any], T]) -> T:
    """What ``read`` makes of the open dataset.

    Over HTTP GDAL itself asks again after 429 and 5xx, but it keeps and trusts what a cut transfer has brought: there,
    the file is fetched once more in one piece.

    Raises:
        rasterio.errors.RasterioError: The file cannot be read.
    """
    import rasterio
    from rasterio.errors import RasterioError, WarpOperationError

    try:
        with rasterio.open(href) as dataset:
            return read(dataset)
    except (RasterioError, WarpOperationError) as error:
        content = None if "HTTP response code" in f"{error} {error.__cause__}" else _fetched(href)
        if content is None:
            raise
    with rasterio.MemoryFile(content) as file, file.open() as dataset:
        return read(dataset)


# Larger files are not fetched whole: a chip has less than a megabyte, a scene has hundreds.
_MOST_BYTES = 64 << 20
_FETCHES, _TIMEOUT_S = 3, 30


def _fetched(href: str) -> bytes | None:
    """The whole file over HTTP, ``None`` where it cannot be had."""
    if not href.startswith(("http://", "https://")):
        return None
    import requests

    for _ in range(_FETCHES):
        try:
            with requests.get(href, timeout=_TIMEOUT_S, stream=True) as answer:
                if not answer.ok or int(answer.headers.get("Content-Length", 0)) > _MOST_BYTES:
                    return None
                return answer.content  # raises where less comes than was announced
        except requests.RequestException:
            continue
    return None


def unreadable(asset: Asset, error: BaseException) -> UnreadableAsset:
    """The error for a file that cannot be read."""
    cause = error.__cause__ or error
    return UnreadableAsset(
        f"Item {asset.item_id!r}, asset {asset.key!r}: cannot read {asset.href}: {' '.join(str(cause).split())} "
        "Fetch the file again, or leave the item out with the strategy."
    )


def _with_mask(dataset: Any, values: NDArray[np.generic], window: Any) -> Plane:
    from rasterio.enums import MaskFlags

    if MaskFlags.per_dataset in dataset.mask_flag_enums[0]:
        valid = dataset.read_masks(1, window=window) > 0
        return Plane(np.where(valid, values, fill_of(values.dtype, dataset.nodata)), valid, dataset.nodata)
    return plane_of(values, dataset.nodata)


def _window(own: Grid, wanted: Grid) -> tuple[int, int] | None:
    """Row and column of ``wanted`` in ``own`` where pixels coincide, else ``None``."""
    a, b, c, d, e, f = own.transform
    if own.crs != wanted.crs or not own.is_rectilinear or not wanted.is_rectilinear:
        return None
    height, width = wanted.shape
    drift = max(abs(wanted.transform[0] - a) * width, abs(wanted.transform[4] - e) * height)
    column, row = (wanted.transform[2] - c) / a, (wanted.transform[5] - f) / e
    shift = max(abs(column - round(column)), abs(row - round(row)))
    fits = drift < PIXEL_TOLERANCE * abs(a) and shift < PIXEL_TOLERANCE
    return (round(row), round(column)) if fits else None


def _read_window(dataset: Any, corner: tuple[int, int], grid: Grid) -> Plane:
    """Copy the part of the file that the grid covers; what lies outside the file is not valid."""
    from rasterio.windows import Window

    row, column = corner
    top, left = max(row, 0), max(column, 0)
    bottom, right = min(row + grid.shape[0], dataset.height), min(column + grid.shape[1], dataset.width)
    nodata = dataset.nodata
    dtype = np.dtype(dataset.dtypes[0])
    values = np.full(grid.shape, fill_of(dtype, nodata), dtype=dtype)
    valid = np.zeros(grid.shape, dtype=bool)
    if bottom > top and right > left:
        window = Window(left, top, right - left, bottom - top)
        inside = np.s_[top - row : bottom - row, left - column : right - column]
        part = _with_mask(dataset, dataset.read(1, window=window), window)
        values[inside], valid[inside] = part.values, part.valid
    return Plane(values, valid, nodata)


def _warp(dataset: Any, grid: Grid, resampling: str) -> Plane:
    from affine import Affine
    from rasterio.enums import MaskFlags
    from rasterio.enums import Resampling as Methods
    from rasterio.vrt import WarpedVRT

    height, width = grid.shape
    flags = dataset.mask_flag_enums[0]
    masked = MaskFlags.per_dataset in flags or dataset.nodata is None
    nodata = None if masked else dataset.nodata
    with WarpedVRT(
        dataset,
        crs=grid.crs,
        transform=Affine(*grid.transform),
        width=width,
        height=height,
        resampling=Methods[resampling],
        src_nodata=nodata,
        nodata=nodata,
        add_alpha=masked and MaskFlags.alpha not in flags,
        # GDAL's default lets a warp be off by an eighth of a pixel: exact costs little on chips.
        # Not 0: rasterio 1.4 then makes no VRT at all.
        tolerance=1e-6,
    ) as warped:
        values = warped.read(1)
        if masked:
            valid = warped.read_masks(1) > 0
            return Plane(np.where(valid, values, fill_of(values.dtype, dataset.nodata)), valid, dataset.nodata)
        return plane_of(values, dataset.nodata)

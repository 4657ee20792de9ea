"""GDAL through rasterio: any raster on the chip's grid, warped only where it does not lie there already."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import numpy as np

from lcnkit.errors import GridMismatch, UnreachableAsset, UnreadableAsset
from lcnkit.model import Asset, Grid
from lcnkit.model.item import Opener
from lcnkit.raster.planes import Plane, fill_of, plane_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

T = TypeVar("T")
Resampling = Literal["nearest", "bilinear", "cubic", "cubic_spline", "lanczos", "average", "mode"]


# Reading over HTTP: a server that is busy (429, 5xx) is asked again after 0.5, 1, 2 s; one that is silent is given up.
_HTTP = {
    "GDAL_HTTP_CONNECTTIMEOUT": "10",
    "GDAL_HTTP_LOW_SPEED_LIMIT": "1000",  # bytes a second, over so many seconds: one that drips is as good as silent
    "GDAL_HTTP_LOW_SPEED_TIME": "30",
    "GDAL_HTTP_MAX_RETRY": "3",
    "GDAL_HTTP_RETRY_DELAY": "0.5",
    "GDAL_INGESTED_BYTES_AT_OPEN": "32768",  # the header of a scene of 10980 x 10980 pixels; small files come another way
    "CPL_VSIL_CURL_CACHE_SIZE": str(64 << 20),  # headers of scenes stay, however many tiles are read meanwhile
}


@contextmanager
def gdal() -> Iterator[None]:
    """GDAL set up for many small reads: no listing of folders, and an end to retries. What the environment sets counts more."""
    import os

    import rasterio

    http = {name: value for name, value in _HTTP.items() if name not in os.environ}
    with rasterio.Env(GDAL_DISABLE_READDIR_ON_OPEN="EMPTY_DIR", GDAL_NUM_THREADS="1", VSI_CACHE="TRUE", **http):
        yield


def read_plane(asset: Asset, grid: Grid, resampling: str = "nearest", content: bytes | None = None) -> Plane:
    """The first band of an asset on the grid; call it inside `gdal`.

    Args:
        content: The bytes of the file, where they are there.

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
        corner = own.corner_of(grid)
        return _read_window(dataset, corner, grid) if corner else _warp(dataset, grid, resampling)

    try:
        return read_raster(asset.href, read, asset.opener) if content is None else read_bytes(content, read)
    except (RasterioError, WarpOperationError) as error:
        raise unreadable(asset, error) from error


def read_raster(href: str, read: Callable[[Any], T], opener: Opener | None = None) -> T:
    """What ``read`` makes of the open dataset.

    Over HTTP GDAL itself asks again after 429 and 5xx, but it keeps and trusts what a cut transfer has brought: there,
    the file is fetched once more in one piece.

    Args:
        opener: Opens the file where its address is not enough.

    Raises:
        rasterio.errors.RasterioError: The file cannot be read; `is_passing` tells whether it may be readable later.
    """
    import rasterio
    from rasterio.errors import RasterioError, WarpOperationError

    if opener is not None:
        return _read_opened(href, read, opener)
    try:
        with rasterio.open(href) as dataset:
            return read(dataset)
    except (RasterioError, WarpOperationError) as error:
        content = _fetched(href, error)
        if content is None:
            raise
    return read_bytes(content, read)


def read_bytes(content: bytes, read: Callable[[Any], T]) -> T:
    """The same of a file that is there as bytes."""
    import rasterio
    from rasterio.errors import RasterioIOError

    if not content:  # rasterio would take it for a file to be written
        raise RasterioIOError("it is empty")
    with rasterio.MemoryFile(content) as file, file.open() as dataset:
        return read(dataset)


def _read_opened(href: str, read: Callable[[Any], T], opener: Opener) -> T:
    """The same of a file that only Python may fetch: GDAL is told neither a secret nor where it goes, and gets a copy.

    Not rasterio's option ``opener`` (1.4.4): where a read fails it gives GDAL -1 bytes, of which a driver makes a string
    and aborts the process, and each open changes GDAL's list of file systems while other threads look things up in it.
    Nor a web server in this process: rasterio waits for GDAL's requests with Python locked.
    """
    from tempfile import NamedTemporaryFile

    from rasterio.errors import RasterioIOError

    file = opener.open(href)
    content = file.whole()
    if content is not None:
        return read_bytes(content, read)
    with NamedTemporaryFile(prefix="lcnkit-", suffix=".tif") as copy:
        size, place = file.size, 0
        while place < size and (part := file.read(place, _COPIED)):
            copy.write(part)
            place += len(part)
        copy.flush()
        if file.error is not None or place < size:
            raise RasterioIOError(str(file.error or f"it ends after {place} of {size} bytes")) from file.error
        return read_raster(copy.name, read)


def _fetched(href: str, error: BaseException) -> bytes | None:
    """The whole file over HTTP, after GDAL could not read it; ``None`` where it has said why, or the file is too large to try.

    Raises:
        rasterio.errors.RasterioIOError: The server does not give it, for a reason that GDAL did not see.
    """
    if not href.startswith(("http://", "https://")) or "HTTP response code" in f"{error} {error.__cause__}":
        return None
    import requests
    from rasterio.errors import RasterioIOError

    from lcnkit.raster.http import NoAnswerError, RefusedError, fetch

    try:
        with requests.Session() as session:
            return fetch(href, session, attempts=_FETCHES).content
    except RefusedError:
        return None
    except NoAnswerError as problem:
        raise RasterioIOError(str(problem)) from problem


_FETCHES = 3
# Bytes of a scene asked for at a time.
_COPIED = 4 << 20


# What GDAL says of a server that may do better later: `HTTP response code: 503`, `CURL error: Recv failure: ...`.
_PASSING = re.compile(
    r"HTTP (response|error) code.{0,300}?: ?(408|425|429|5\d\d)\b|CURL error: (?!.*(SSL|certificate|[Uu]nsupported|malformed))|timed out"
)


def is_passing(error: BaseException) -> bool:
    """Whether a raster may be readable later: a server did not answer, or not well, after GDAL's own retries."""
    from lcnkit.raster.http import NoAnswerError

    link: BaseException | None = error
    while link is not None:
        if isinstance(link, NoAnswerError) or _PASSING.search(str(link)):
            return True
        link = link.__cause__
    return False


def refuse_openers(assets: Iterable[Asset], reader: str) -> None:
    """For readers that open addresses themselves: what needs more than that cannot be read by them.

    Raises:
        UnreadableAsset: An asset has an ``opener``.
    """
    for asset in assets:
        if asset.opener is not None:
            raise UnreadableAsset(
                f"Item {asset.item_id!r}, asset {asset.key!r}: {asset.href} is to be asked for with a header that holds a secret, and "
                f"reader={reader} cannot send one. Use reader=auto."
            )


def unreadable(asset: Asset, error: BaseException) -> UnreadableAsset:
    """The error for a file that cannot be read: `UnreachableAsset` where the server is to blame and may recover."""
    cause = " ".join(str(error.__cause__ or error).split())
    what = f"Item {asset.item_id!r}, asset {asset.key!r}: cannot read {asset.href}: {cause}"
    if is_passing(error):
        return UnreachableAsset(f"{what}. The server may answer later: run again in the same folder to try what is missing.")
    return UnreadableAsset(f"{what} Fetch the file again, or leave the item out with the strategy.")


def _with_mask(dataset: Any, values: NDArray[np.generic], window: Any) -> Plane:
    from rasterio.enums import MaskFlags

    if MaskFlags.per_dataset in dataset.mask_flag_enums[0]:
        valid = dataset.read_masks(1, window=window) > 0
        return Plane(np.where(valid, values, fill_of(values.dtype, dataset.nodata)), valid, dataset.nodata)
    return plane_of(values, dataset.nodata)


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

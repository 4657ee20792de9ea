"""Where rasters on a web server lie, without their pixels."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor

from lcnkit.model import Grid
from lcnkit.raster.plain_tiff import grid_of
from lcnkit.raster.whole_file import is_plain_url

# Holds the tags of nearly every file. LandCoverNet's labels have some behind a colour map of 400 kB: one request more.
_FIRST_BYTES = 1 << 16
_THREADS = 32


def far_grids(hrefs: Iterable[str]) -> dict[str, Grid]:
    """The grids of many rasters, asked for at the same time; of those only that `far_grid` gives one for."""

    def one(href: str) -> Grid | None:
        try:
            return far_grid(href)
        except OSError:  # whoever asks for this one alone is told
            return None

    every = [href for href in dict.fromkeys(hrefs) if is_plain_url(href)]
    with ThreadPoolExecutor(_THREADS, thread_name_prefix="lcnkit-grid") as threads:
        return {href: grid for href, grid in zip(every, threads.map(one, every), strict=True) if grid is not None}


def far_grid(href: str) -> Grid | None:
    """The grid, with a request or two; ``None`` where the file does not say it in a plain way, or the server refuses.

    Raises:
        lcnkit.raster.http.NoAnswerError: The server did not answer, or not well.
    """
    if not is_plain_url(href):
        return None
    from lcnkit.raster.http import NoAnswerError
    from lcnkit.raster.http_pool import pool
    from lcnkit.raster.range_file import RemoteFile

    file = RemoteFile(href, pool(), _FIRST_BYTES)
    grid = grid_of(file.read)
    if isinstance(file.error, NoAnswerError):
        raise file.error
    return None if file.error else grid

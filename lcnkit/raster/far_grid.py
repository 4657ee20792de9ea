"""Where a raster on a web server lies, without its pixels."""

from __future__ import annotations

from lcnkit.model import Grid
from lcnkit.raster.plain_tiff import grid_of
from lcnkit.raster.whole_file import is_plain_url

# Holds the tags of nearly every file. LandCoverNet's labels have some behind a colour map of 400 kB: one request more.
_FIRST_BYTES = 1 << 16


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

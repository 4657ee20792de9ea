"""Small TIFF files on a web server, in one request each.

GDAL asks for the size of a file before it asks for its bytes. Of a file that is about as large as a chip all bytes are
wanted: they are asked for at once, and where a file turns out to be a scene, its like are left to GDAL from then on.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import cache
from typing import Any
from urllib.parse import urlsplit

from lcnkit.model import Asset, Chip, Grid, Item
from lcnkit.raster.gdal import unreadable
from lcnkit.secrets import origin

# An item whose box is no larger than so many chips holds files of that size too.
_CHIPS = 4
# Bytes asked for: of a pixel, of a header, of a colour map; and at most.
_PIXEL, _HEADER, _COLOURS, _MOST_ASKED = 8, 1 << 16, 1 << 19, 4 << 20
# Files up to this size are fetched whole, in two requests where one was too short.
_MOST_BYTES = 16 << 20
# After so many refusals in a row, a server's files are left to GDAL, which knows more ways to be let in.
_REFUSALS = 3
_TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
# GDAL's options (GDAL_HTTP_...) that make its requests other than plain ones.
_OF_GDAL = ("HEADERS", "HEADER_FILE", "USERPWD", "AUTH", "BEARER", "COOKIE", "COOKIEFILE", "PROXY", "UNSAFESSL", "SSLCERT", "CAPATH")

#: Hosts and kinds of files there that are large; refusals in a row by host.
_LARGE: set[tuple[Any, str]] = set()
_REFUSED: dict[Any, int] = {}


def small_items(items: Sequence[Item], chip: Chip) -> frozenset[str]:
    """Ids of the items whose files are likely to be about as large as the chip: they cover little more."""
    import shapely

    around = shapely.bounds(chip.footprint)
    return frozenset(item.id for item in items if _is_small(item.document.get("bbox"), around))


def _is_small(box: Any, around: Any) -> bool:
    if not isinstance(box, Sequence) or len(box) not in (4, 6):
        return False
    half = len(box) // 2
    try:
        area = (box[half] - box[0]) * (box[half + 1] - box[1])
    except TypeError:
        return False
    return bool(0 < area <= _CHIPS * (around[2] - around[0]) * (around[3] - around[1]))


def content_of(asset: Asset, grid: Grid) -> bytes | None:
    """The bytes of an asset that is likely to be small; ``None`` where GDAL is to read it from its address.

    Raises:
        UnreachableAsset: The server did not answer, or not well.
    """
    from lcnkit.raster.http import NoAnswerError

    try:
        if asset.opener is None:
            return whole_file(asset.href, grid, asset.key)
        file = asset.opener.open(asset.href)
        content = file.whole()
        if isinstance(file.error, NoAnswerError):
            raise file.error
        return content
    except NoAnswerError as error:
        raise unreadable(asset, error) from error


def whole_file(href: str, grid: Grid, kind: str, *, colours: bool = False) -> bytes | None:
    """The bytes of a TIFF file; ``None`` where it is large or something else, or not to be had in a plain way.

    Args:
        grid: As large as the file is likely to be.
        kind: Files of one kind on one host are expected to be all large, or all small.
        colours: Whether it may have a colour map.

    Raises:
        lcnkit.raster.http.NoAnswerError: The server did not answer, or not well.
    """
    if not is_plain_url(href):
        return None
    host = origin(href)
    if (host, kind) in _LARGE or _REFUSED.get(host, 0) >= _REFUSALS:
        return None
    from lcnkit.raster.http import RefusedError

    asked = grid.shape[0] * grid.shape[1] * _PIXEL + _HEADER + (_COLOURS if colours else 0)
    try:
        content = _fetched(href, min(asked, _MOST_ASKED))
    except RefusedError:
        _REFUSED[host] = _REFUSED.get(host, 0) + 1
        return None
    _REFUSED.pop(host, None)
    if content is None:
        _LARGE.add((host, kind))
    return content if content is not None and content[:4] in _TIFF else None


def _fetched(href: str, asked: int) -> bytes | None:
    """The whole file; ``None`` where it is too large for that."""
    from lcnkit.raster.http import CutShortError, fetch
    from lcnkit.raster.http_pool import pool

    try:
        part = fetch(href, pool(), (0, asked))
        if part.size > _MOST_BYTES:
            return None
        if len(part.content) == part.size:
            return part.content
        rest = fetch(href, pool(), (len(part.content), part.size))
        is_rest = (rest.start, rest.start + len(rest.content)) == (len(part.content), part.size)
        if is_rest and rest.is_of_file(part):
            return part.content + rest.content
    except CutShortError:  # a server (or what is between) that counts wrongly in parts may not do so with all
        pass
    return fetch(href, pool()).content


def is_plain_url(href: str) -> bool:
    """Whether its address is all that is needed to ask for a file."""
    return href.startswith(("http://", "https://")) and "@" not in urlsplit(href).netloc and not _asks_as_told(os.getpid())


@cache
def _asks_as_told(process: int) -> bool:
    """Whether the environment has a say in how GDAL asks: a password, a proxy."""
    from urllib.request import getproxies

    return bool(getproxies()) or any(name.upper().startswith(tuple(f"GDAL_HTTP_{word}" for word in _OF_GDAL)) for name in os.environ)

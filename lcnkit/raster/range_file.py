"""A file on a web server as GDAL opens it through Python: read in parts, with a session that decides what each host is told.

For assets whose address is not enough. GDAL's own HTTP client would take a header along a redirect to another host.
"""

from __future__ import annotations

import io
from collections import OrderedDict
from typing import TYPE_CHECKING

from lcnkit.raster.http import HttpError, Part, fetch

if TYPE_CHECKING:
    import requests

    from lcnkit.raster.http_pool import Pool

# A chip of 256 x 256 pixels is one request; of a scene, a block and what lies behind it.
_FIRST_BYTES, _LEAST_BYTES = 196_608, 65_536
_PARTS_KEPT = 16


class RemoteFile:
    """A file on a web server; the parts read are kept while it lives."""

    def __init__(self, href: str, session: requests.Session | Pool, first_bytes: int = _FIRST_BYTES) -> None:
        """Nothing is asked yet; the first request will be for so many bytes."""
        self.href = href
        self.error: HttpError | None = None
        """Why a part could not be had: GDAL, which gets nothing instead, cannot say it."""
        self._session, self._first = session, first_bytes
        self._parts: OrderedDict[int, Part] = OrderedDict()

    def __call__(self, path: str, mode: str = "rb") -> io.RawIOBase:
        """What rasterio calls an opener: a view of the file, from its start."""
        return _View(self)

    @property
    def size(self) -> int:
        """Bytes; 0 where the file cannot be had."""
        part = next(iter(self._parts.values()), None) or self._fetched(0, self._first)
        return part.size if part else 0

    def read(self, start: int, count: int) -> bytes:
        """The bytes from ``start``; fewer at the end of the file, none where they cannot be had."""
        for key, part in self._parts.items():
            inside = start - part.start
            if inside >= 0 and min(start + count, part.size) <= part.start + len(part.content):
                self._parts.move_to_end(key)
                return part.content[inside : inside + count]
        if start > 0 and not self._parts:  # what lies behind the end must not be asked for
            return self.read(start, count) if self._fetched(0, self._first) else b""
        first = not self._parts and count <= self._first
        begin, end = (0, self._first) if first else (start, start + max(count, _LEAST_BYTES))
        found = self._fetched(begin, end)
        return found.content[start - found.start : start - found.start + count] if found else b""

    def _fetched(self, start: int, end: int) -> Part | None:
        if self.error is not None:
            return None
        known = next(iter(self._parts.values()), None)
        if known is not None and start >= known.size:
            return None
        try:
            part = fetch(self.href, self._session, (start, min(end, known.size) if known else end))
        except HttpError as error:
            self.error = error
            return None
        self._parts[part.start] = part
        while len(self._parts) > _PARTS_KEPT:
            self._parts.popitem(last=False)
        return part


class _View(io.RawIOBase):
    """A position in the file. Its methods never raise: an exception cannot pass through GDAL."""

    def __init__(self, file: RemoteFile) -> None:
        self._file, self._position = file, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._position}.get(whence)
        self._position = offset + (self._file.size if start is None else start)
        return self._position

    def read(self, size: int = -1) -> bytes:
        count = max(0, self._file.size - self._position) if size is None or size < 0 else size
        found = self._file.read(self._position, count) if count else b""
        self._position += len(found)
        return found

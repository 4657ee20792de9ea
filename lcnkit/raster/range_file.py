"""A file on a web server, read in parts, with a session that decides what each host is told."""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import TYPE_CHECKING

from lcnkit.raster.http import ChangedError, HttpError, Part, fetch

if TYPE_CHECKING:
    import requests

    from lcnkit.raster.http_pool import Pool

# A chip of 256 x 256 pixels is one request; of a scene, a block and what lies behind it.
_FIRST_BYTES, _LEAST_BYTES = 196_608, 65_536
_PARTS_KEPT = 16


class RemoteFile:
    """A file on a web server; the parts read are kept while it lives. Threads may read it at once."""

    def __init__(self, href: str, session: requests.Session | Pool, first_bytes: int = _FIRST_BYTES) -> None:
        """Nothing is asked yet; the first request will be for so many bytes."""
        self.href = href
        self.error: HttpError | None = None
        """Why a part could not be had: GDAL, which gets nothing instead, cannot say it."""
        self._session, self._first = session, first_bytes
        self._parts: OrderedDict[int, Part] = OrderedDict()
        self._keeping = threading.Lock()

    @property
    def size(self) -> int:
        """Bytes; 0 where the file cannot be had."""
        part = self._any() or self._fetched(0, self._first)
        return part.size if part else 0

    def whole(self) -> bytes | None:
        """All bytes, where the first request brings them; ``None`` for a larger file, or one that cannot be had."""
        part = self._any() or self._fetched(0, self._first)
        return part.content if part and len(part.content) == part.size else None

    def read(self, start: int, count: int, keep: bool = True) -> bytes:
        """The bytes from ``start``; fewer at the end of the file, none where they cannot be had.

        Args:
            keep: Whether they, and some behind them, are likely to be wanted again.
        """
        with self._keeping:
            for key, part in self._parts.items():
                inside = start - part.start
                if inside >= 0 and min(start + count, part.size) <= part.start + len(part.content):
                    self._parts.move_to_end(key)
                    return part.content[inside : inside + count]
        if start > 0 and not self._parts:  # what lies behind the end must not be asked for
            return self.read(start, count, keep) if self._fetched(0, self._first) else b""
        first = not self._parts and count <= self._first
        begin, end = (0, self._first) if first else (start, start + max(count, _LEAST_BYTES if keep else 1))
        found = self._fetched(begin, end, keep)
        return found.content[start - found.start : start - found.start + count] if found else b""

    def _fetched(self, start: int, end: int, keep: bool = True) -> Part | None:
        if self.error is not None:
            return None
        known = self._any()
        if known is not None and start >= known.size:
            return None
        try:
            part = fetch(self.href, self._session, (start, min(end, known.size) if known else end))
            if known is not None and not part.is_of_file(known):
                raise ChangedError("the file was changed while it was read")
        except HttpError as error:
            self.error = error
            return None
        with self._keeping:
            if keep or not self._parts:  # one part is always there: it knows the size
                self._parts[part.start] = part
            while len(self._parts) > _PARTS_KEPT:
                self._parts.popitem(last=False)
        return part

    def _any(self) -> Part | None:
        with self._keeping:
            return next(iter(self._parts.values()), None)

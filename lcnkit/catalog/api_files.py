"""Assets behind a secret: opened with the API's own, and only on its own host."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lcnkit.catalog.api_auth import Access, CountingSession
    from lcnkit.raster.range_file import RemoteFile


@dataclass(frozen=True)
class OwnHostFiles:
    """See `lcnkit.model.item.Opener`: files on the API's host, asked for as the API is."""

    access: Access

    def serves(self, href: str) -> bool:
        """Whether ``href`` is on the API's own host; assets elsewhere are read without the secret."""
        return self.access.is_own(href)

    def open(self, href: str) -> RemoteFile:
        """The file. The secret is fetched for each request, and follows no redirect to another host."""
        from lcnkit.raster.range_file import RemoteFile

        return RemoteFile(href, _session(self.access, os.getpid()))


@lru_cache(maxsize=16)
def _session(access: Access, process: int) -> CountingSession:
    """One for each process; not the one that counts searches."""
    from lcnkit.catalog.api_auth import CountingSession
    from lcnkit.secrets import hush

    hush()
    return CountingSession(access)

"""What tells whether an archive on disk has changed since it was crawled.

Compared are path, size and time of change of ``collection.json`` and of every item file; where items are found by
their folders, also the collection's folder. A file that was changed without another size or time goes unnoticed.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

from lcnkit.model.href import relative_to

if TYPE_CHECKING:
    from lcnkit.archive import Collection


def state_of(root: str, collection: str, *, linked: bool) -> dict[str, Any]:
    """What is compared of the collection itself."""
    folder = [] if linked else [os.path.dirname(collection)]
    return {"collection": relative_to(collection, root), "linked": linked, "files": stats_of(root, [collection, *folder]).tolist()}


def is_linked(collection: Collection) -> bool:
    """Whether its items are found by its links, and not by their folders."""
    return bool(collection.hrefs)


def stats_of(root: str, hrefs: Iterable[str]) -> np.ndarray:
    """Time of change and size of each file below ``root``; -1 where there is none. About 4 us a file, nearly all in the system."""
    found: list[int] = []
    folder = os.open(root, os.O_RDONLY)
    try:
        for href in hrefs:
            try:
                status = os.stat(href, dir_fd=folder)
                found += (status.st_mtime_ns, status.st_size)
            except (OSError, ValueError):
                found += (-1, -1)
    finally:
        os.close(folder)
    return np.array(found, dtype="int64").reshape(-1, 2)


def digest(stats: np.ndarray) -> str:
    """Of `stats_of`, as one short text."""
    import xxhash

    return str(xxhash.xxh3_128_hexdigest(np.ascontiguousarray(stats).tobytes()))

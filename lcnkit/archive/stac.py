"""STAC archives: their collections, found by links and by folders.

Real archives are damaged: links dangle, collection folders are nested twice, a catalog.json is missing. What
can be read is read; what cannot is counted and named.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from lcnkit.archive.collection import Collection, hrefs_of
from lcnkit.archive.parsing import parse
from lcnkit.archive.store import Store

# Collections lie in the root, one folder down, or nested twice (an archive unpacked into a folder of its own name).
_DEPTH = 3


def linked(store: Store, path: str, depth: int = 4) -> Iterator[Collection]:
    """Collections that a catalog links to, directly or through other catalogs; dangling links are passed over."""
    document = read_json(store, path)
    if document is None:
        return
    if document.get("type") == "Collection" or posixpath.basename(path) == "collection.json":
        yield Collection(path, document, store)
    for href in hrefs_of(document, "child", path, store) if depth else ():
        yield from linked(store, href, depth - 1)


def scanned(store: Store, folder: str, known: Mapping[str, Collection], depth: int = _DEPTH) -> Iterator[Collection]:
    """Collections found by their files; item folders are not entered.

    Args:
        known: Those that were found already, by path: with 650,000 links to items, reading one takes seconds.
    """
    path = f"{folder}/collection.json"
    collection = known.get(path)
    if collection is None:
        document = read_json(store, path)
        collection = None if document is None else Collection(path, document, store)
    if collection is not None:
        yield collection
        yield from scanned(store, f"{folder}/{posixpath.basename(folder)}", known, 0)
    elif depth:
        for name in store.folders(folder):
            yield from scanned(store, f"{folder}/{name}", known, depth - 1)


def read_json(store: Store, path: str) -> dict[str, Any] | None:
    """The JSON object in a file, or ``None`` where there is none.

    Raises:
        OSError: Nobody can tell, because a server does not answer.
    """
    try:
        document = parse(store.read(path))
    except (FileNotFoundError, PermissionError, ValueError):
        return None
    except OSError:
        if store.is_remote:
            raise
        return None
    return document if isinstance(document, dict) else None


def unique(collections: Iterable[Collection]) -> list[Collection]:
    """One collection per file; of two files with the same id, the one that has items."""
    by_id: dict[str, Collection] = {}
    for collection in collections:
        other = by_id.get(collection.id)
        if other is None or (other.path != collection.path and not _has_items(other) and _has_items(collection)):
            by_id[collection.id] = collection
    return list(by_id.values())


def _has_items(collection: Collection) -> bool:
    return any(collection.store.exists(path) for path in collection.item_paths[:50])

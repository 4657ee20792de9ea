"""STAC archives: their collections, found by links and by folders.

Real archives are damaged: links dangle, collection folders are nested twice, a catalog.json is missing. What
can be read is read; what cannot is counted and named.
"""

from __future__ import annotations

import os
import posixpath
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any

from lcnkit.archive.collection import Collection
from lcnkit.archive.heads import LaterHrefs, State, keep_head, kept_head
from lcnkit.archive.parsing import parse
from lcnkit.archive.store import DISK, Store
from lcnkit.model.href import resolve
from lcnkit.model.packed_hrefs import PackedHrefs

# Collections lie in the root, one folder down, or nested twice (an archive unpacked into a folder of its own name).
_DEPTH = 3
# A file that changed less long ago may change again without another time: it is read each time.
_SETTLED_S = 2.0
# Bytes of a file that takes some time to read, and of one that takes long enough to be remembered from run to run.
_WORTH_KEEPING, _WORTH_A_FILE = 100_000, 1_000_000


@dataclass(frozen=True)
class StacObject:
    """A catalog or collection, as it is read."""

    document: dict[str, Any]
    """Its JSON without the links to its items; nobody may change it."""
    items: Sequence[str]
    """Absolute hrefs of those links, as they are written: thousands, and kept small."""

    @classmethod
    def of(cls, document: dict[str, Any], path: str) -> StacObject:
        """Args: path is the file that holds it, where relative hrefs start. A link that is damaged itself is passed over."""
        links = document.get("links")
        every = [link for link in links if isinstance(link, dict)] if isinstance(links, list) else []
        items = [str(link["href"]) for link in every if link.get("rel") == "item" and link.get("href")]
        rest = {"links": [link for link in every if link.get("rel") != "item"]} if "links" in document else {}
        return cls({**document, **rest}, PackedHrefs(items, path) if items else ())


def linked(store: Store, path: str, depth: int = 4) -> Iterator[Collection]:
    """Collections that a catalog links to, directly or through other catalogs; dangling links are passed over."""
    found = read_stac(store, path)
    if found is None:
        return
    if found.document.get("type") == "Collection" or posixpath.basename(path) == "collection.json":
        yield Collection(path, found.document, store, hrefs=found.items)
    children = [link["href"] for link in found.document.get("links", ()) if link.get("rel") == "child" and link.get("href")]
    for href in children if depth else ():
        yield from linked(store, store.readable(resolve(str(href), path)), depth - 1)


def scanned(store: Store, folder: str, known: Mapping[str, Collection], depth: int = _DEPTH) -> Iterator[Collection]:
    """Collections found by their files; item folders are not entered.

    Args:
        known: Those that were found already, by path: with 650,000 links to items, reading one takes seconds.
    """
    path = f"{folder}/collection.json"
    collection = known.get(path)
    if collection is None:
        found = read_stac(store, path)
        collection = None if found is None else Collection(path, found.document, store, hrefs=found.items)
    if collection is not None:
        yield collection
        yield from scanned(store, f"{folder}/{posixpath.basename(folder)}", known, 0)
    elif depth:
        for name in store.folders(folder):
            yield from scanned(store, f"{folder}/{name}", known, depth - 1)


def read_stac(store: Store, path: str) -> StacObject | None:
    """The JSON object in a file, or ``None`` where there is none.

    A run looks at its archive a few times. A file on this machine that holds thousands of links to items is read once, as long as it does not
    change; of one with more than some thousand, what it says of itself is kept for the next run (`lcnkit.archive.heads`).

    Raises:
        OSError: Nobody can tell, because a server does not answer.
    """
    try:
        status = None if store.is_remote else os.stat(path)
    except (OSError, ValueError):
        status = None
    if status is None or status.st_size < _WORTH_KEEPING or time.time() - status.st_mtime < _SETTLED_S:
        return _read(store, path)
    return _settled(State.of(path, status))


@lru_cache(maxsize=16)
def _settled(state: State) -> StacObject | None:
    kept = kept_head(state) if state.size >= _WORTH_A_FILE else None
    if kept is not None:
        document, count = kept
        return StacObject(document, LaterHrefs(count, partial(_items_of, state.path)))
    found = _read(DISK, state.path)
    if found is not None and state.size >= _WORTH_A_FILE:
        keep_head(state, found.document, len(found.items))
    return found


def _items_of(path: str) -> Sequence[str]:
    found = _read(DISK, path)
    return () if found is None else found.items


def _read(store: Store, path: str) -> StacObject | None:
    try:
        document = parse(store.read(path))
    except (FileNotFoundError, PermissionError, ValueError):
        return None
    except OSError:
        if store.is_remote:
            raise
        return None
    return StacObject.of(document, path) if isinstance(document, dict) else None


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

"""The index of a collection: kept beside its archive or in the cache folder, and made anew when the archive has changed.

What is compared: path, size and time of change of ``collection.json`` and of every item file; where items are found by
their folders, also the collection's folder. A file that was changed without another size or time goes unnoticed.
"""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import numpy as np

from lcnkit.cache_dir import cache_folder
from lcnkit.errors import DataError
from lcnkit.index.crawl import TABLE, Crawl, crawl
from lcnkit.model.href import join, relative_to
from lcnkit.terminal import progress

if TYPE_CHECKING:
    from lcnkit.archive import Collection
    from lcnkit.index.writer import Writer

log = logging.getLogger(__name__)

#: Folder beside an archive.
FOLDER = ".lcnkit"
# Another number for every change of what an index holds: older ones are made anew.
_FORMAT = 1


def places(root: str, collection: str) -> tuple[Path, Path]:
    """Where the index of a collection may be: beside the archive, and in the cache folder."""
    name = f"{quote(collection, safe='')}.parquet"
    return Path(root) / FOLDER / name, cache_folder() / "index" / hashlib.sha256(root.encode()).hexdigest()[:16] / name


def kept_crawl(root: str, collection: str) -> Crawl | None:
    """The items as a fresh index has them; ``None`` where there is none."""
    for path in places(root, collection):
        try:
            found = _read(path, root)
        except FileNotFoundError:
            continue
        except (OSError, DataError, ValueError, KeyError, TypeError) as error:
            log.info("index      %s is damaged and made anew: %s", path, " ".join(str(error).split()))
            continue
        if found is not None:
            log.info("index      %d items of %s, from %s", len(found.table), collection, path)
            return found
        log.info("index      %s is older than the archive", path)
    return None


def new_crawl(root: str, collection: Collection) -> Crawl:
    """Read every item, and keep what was found for the next run."""
    paths = collection.item_paths
    with _place(root, collection.id) as writer:
        before = _state(root, collection.path, linked=_is_linked(collection))
        seen = dict(zip(paths, _stats(root, paths).tolist(), strict=True))
        with progress(len(paths), "items") as advance:
            found = crawl(paths, collection.id, root, writer, advance)
        if writer is not None and writer.count == len(found.table):
            used = [*(join(root, href) for href in found.table["item_href"]), *(path for path, _ in found.problems)]
            stats = np.array([seen[path] for path in used], dtype="int64").reshape(-1, 2)
            notes = {"format": _FORMAT, "root": root, **before, "items": _digest(stats), "problems": found.problems}
            try:
                writer.finish(notes, {collection.id: without_items(collection)})
                log.info("index      %d items of %s, kept in %s", len(found.table), collection.id, writer.path)
            except (OSError, ValueError, TypeError) as error:
                log.warning("The index of %s cannot be written to %s: %s", collection.id, writer.path, error)
    return found


def crawl_once(collection: Collection, root: str) -> Crawl:
    """Read every item, and keep nothing: of an archive that is far away, or that has no item files."""
    paths = collection.item_paths
    with progress(len(paths), "items") as advance:
        return crawl(paths, collection.id, root, None, advance, collection.load)


def without_items(collection: Collection) -> dict[str, Any]:
    """The collection's JSON without its links to items, of which there are as many as items."""
    links = collection.document.get("links")
    kept = [link for link in links if isinstance(link, dict) and link.get("rel") != "item"] if isinstance(links, list) else []
    return {**collection.document, "links": kept}


def _read(path: Path, root: str) -> Crawl | None:
    """The items of an index, ``None`` where it no longer tells of the archive."""
    from lcnkit.index.reader import ItemFile

    file = ItemFile(str(path))
    notes = file.notes or {}
    if notes.get("format") != _FORMAT or notes.get("root") != root:
        return None
    state = _state(root, join(root, str(notes["collection"])), linked=bool(notes["linked"]))
    if any(notes[key] != value for key, value in state.items()):
        return None
    table = file.rows()[list(TABLE)]
    problems = tuple((str(where), str(why)) for where, why in notes["problems"])
    hrefs = [*table["item_href"], *(where for where, _ in problems)]
    return Crawl(table, problems) if _digest(_stats(root, hrefs)) == notes["items"] else None


@contextmanager
def _place(root: str, collection: str) -> Iterator[Writer | None]:
    """A writer where one can write; nothing is left behind that is not finished."""
    from lcnkit.index.writer import Writer

    for path in places(root, collection):
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            writable = os.access(path.parent, os.W_OK)
        except OSError:
            writable = False
        if writable:
            with Writer(path, of_archive=True) as writer:
                yield writer
            return
    log.info("index      none is kept: neither %s nor the cache folder can be written", root)
    yield None


def _state(root: str, collection: str, *, linked: bool) -> dict[str, Any]:
    """What is compared of the collection itself."""
    folder = [] if linked else [os.path.dirname(collection)]
    return {"collection": relative_to(collection, root), "linked": linked, "files": _stats(root, [collection, *folder]).tolist()}


def _is_linked(collection: Collection) -> bool:
    links = collection.document.get("links")
    return isinstance(links, list) and any(isinstance(link, dict) and link.get("rel") == "item" for link in links)


def _stats(root: str, hrefs: Iterable[str]) -> np.ndarray:
    """Time of change and size of each file below ``root``; -1 where there is none. About 3 us a file."""
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


def _digest(stats: np.ndarray) -> str:
    import xxhash

    return str(xxhash.xxh3_128_hexdigest(np.ascontiguousarray(stats).tobytes()))

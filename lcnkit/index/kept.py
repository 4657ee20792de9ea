"""The index of a collection: kept beside its archive or in the cache folder, and made anew when the archive has changed."""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import numpy as np

from lcnkit.cache_dir import cache_folder
from lcnkit.errors import DataError
from lcnkit.index.crawl import Crawl, crawl
from lcnkit.index.state import digest, is_linked, state_of, stats_of
from lcnkit.model.href import join
from lcnkit.terminal import counted, progress

if TYPE_CHECKING:
    from lcnkit.archive import Collection
    from lcnkit.index.reader import ItemFile
    from lcnkit.index.writer import Writer

log = logging.getLogger(__name__)

#: Folder beside an archive.
FOLDER = ".lcnkit"
# Another number for every change of what an index holds: older ones are made anew.
_FORMAT = 1


def places(root: str, collection: str) -> tuple[Path, Path]:
    """Where the index of a collection may be: beside the archive, and in the cache folder."""
    name = f"{quote(collection, safe='')}.parquet"
    return Path(root) / FOLDER / name, _in_cache(root) / name


def _in_cache(root: str) -> Path:
    return cache_folder() / "index" / hashlib.sha256(root.encode()).hexdigest()[:16]


def kept_crawl(root: str, collection: str) -> Crawl | None:
    """The items as a fresh index has them; ``None`` where there is none."""
    return next((found for path in places(root, collection) if (found := _tried(path, root, _read)) is not None), None)


def _tried(path: Path, root: str, read: Callable[[Path, str], Crawl | None]) -> Crawl | None:
    try:
        found = read(path, root)
    except FileNotFoundError:
        return None
    except (OSError, DataError, ValueError, KeyError, TypeError) as error:
        log.info("index      %s cannot be used and is made anew: %s", path, " ".join(str(error).split()))
        return None
    if found is None:
        log.info("index      %s is older than the archive", path)
    else:
        log.info("index      %s, from %s", counted(len(found.items), "item"), path)
    return found


def new_crawl(root: str, collection: Collection) -> Crawl:
    """Read every item, and keep what was found for the next run."""
    paths = collection.item_paths
    with _writing(root, places(root, collection.id)) as writer:
        # What is compared later is looked at before the items are read: a change meanwhile is noticed by the next run.
        before = state_of(root, collection.path, linked=is_linked(collection))
        seen = dict(zip(paths, stats_of(root, paths).tolist(), strict=True))
        found = _crawled(paths, collection, root, writer)
        used = [*(join(root, href) for href in found.table["item_href"]), *(path for path, _ in found.problems)]
        stats = np.array([seen[path] for path in used], dtype="int64").reshape(-1, 2)
        _finish(writer, found, {"format": _FORMAT, "root": root, **before, "items": digest(stats)}, collection)
    return found


def crawl_once(collection: Collection, root: str, *, refresh: bool = False) -> Crawl:
    """Read every item of an archive that is far away, or that has no item files.

    What was read from far away is kept in the cache folder, by what the collection says and the paths of its items: an item
    that was edited in its place is not noticed without ``refresh``.
    """
    paths = collection.item_paths
    if not collection.store.is_remote:
        return _crawled(paths, collection, root, None)
    name = f"{quote(collection.id, safe='')}-{_key(collection.document, paths)}.parquet"
    path = _in_cache(root) / name
    found = None if refresh else _tried(path, root, _read_far)
    if found is not None:
        return found
    with _writing(root, [path]) as writer:
        found = _crawled(paths, collection, root, writer)
        # What a server could not give just now may be there the next time.
        if not any("cannot be read" in why for _, why in found.problems):
            _finish(writer, found, {"format": _FORMAT, "root": root}, collection)
    return found


def _crawled(paths: Sequence[str], collection: Collection, root: str, writer: Writer | None) -> Crawl:
    with progress(len(paths), "items") as advance:
        return crawl(paths, collection.id, root, writer, advance, collection.load)


def _finish(writer: Writer | None, found: Crawl, notes: dict[str, Any], collection: Collection) -> None:
    if writer is None or writer.count != len(found.items):
        return
    try:
        writer.finish({**notes, "problems": found.problems}, {collection.id: collection.document})
        log.info("index      %s of %s, kept in %s", counted(len(found.items), "item"), collection.id, writer.path)
    except (OSError, ValueError, TypeError) as error:
        log.warning("The index of %s cannot be written to %s: %s", collection.id, writer.path, error)


def _key(document: Mapping[str, Any], paths: Sequence[str]) -> str:
    return hashlib.sha256(json.dumps([document, paths], sort_keys=True).encode()).hexdigest()[:16]


def _read(path: Path, root: str) -> Crawl | None:
    """The items of an index, ``None`` where it no longer tells of the archive."""
    from lcnkit.index.file_items import FileItems
    from lcnkit.index.reader import ItemFile

    file = ItemFile(str(path))
    notes = _notes(file, root)
    if notes is None:
        return None
    state = state_of(root, join(root, str(notes["collection"])), linked=bool(notes["linked"]))
    if any(notes[key] != value for key, value in state.items()):
        return None
    problems = _problems(notes)
    items = FileItems(file)
    stats = [stats_of(root, hrefs) for hrefs in chain(items.hrefs(), [[where for where, _ in problems]])]
    return Crawl(items, problems) if digest(np.concatenate(stats)) == notes["items"] else None


def _read_far(path: Path, root: str) -> Crawl | None:
    from lcnkit.index.file_items import FileItems
    from lcnkit.index.reader import ItemFile

    file = ItemFile(str(path))
    notes = _notes(file, root)
    return None if notes is None else Crawl(FileItems(file), _problems(notes))


def _notes(file: ItemFile, root: str) -> dict[str, Any] | None:
    notes = file.notes or {}
    return notes if notes.get("format") == _FORMAT and notes.get("root") == root else None


def _problems(notes: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    return tuple((str(where), str(why)) for where, why in notes["problems"])


@contextmanager
def _writing(root: str, wanted: Iterable[Path]) -> Iterator[Writer | None]:
    """A writer where one can write; nothing is left behind that is not finished."""
    from lcnkit.index.writer import Writer

    for path in wanted:
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

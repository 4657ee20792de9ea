"""The archive of a data set: which collections it holds, and which of them a run means."""

from __future__ import annotations

import os
import posixpath
import time
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import urlsplit

from lcnkit.archive.collection import Collection
from lcnkit.archive.landcovernet import HostCollection, host_collections
from lcnkit.archive.stac import linked, read_stac, scanned, unique
from lcnkit.archive.store import Store, is_remote, open_store
from lcnkit.errors import DataError, did_you_mean, listing
from lcnkit.model.href import is_url
from lcnkit.secrets import scrub

_HINT = "Give the folder that holds catalog.json or the collections with dataset.root=PATH."
# What an archive elsewhere holds is looked up again after so many seconds at most.
_REMEMBERED_S = 30.0


@dataclass(frozen=True)
class Archive:
    """STAC collections (a folder, a web server, a bucket), or a host layout of LandCoverNet."""

    root: str
    """Absolute path or URL of the folder, without a slash at its end; hrefs in a plan are relative to it."""
    collections: tuple[Collection, ...]

    @classmethod
    def open(cls, root: str, endpoint: str | None = None) -> Archive:
        """Find the collections below ``root``.

        Args:
            root: A folder or catalog.json: a path, ``https://...`` or ``s3://bucket/prefix``.
            endpoint: Of the S3-compatible service of an ``s3://`` root; ``None``: Amazon's.

        Raises:
            DataError: ``root`` does not exist, cannot be read, or holds no collection.
        """
        # A run opens its archive a few times in a row: one far away is asked once.
        return _opened(root, endpoint, int(time.monotonic() / _REMEMBERED_S)) if is_remote(root) else cls._find(root, endpoint)

    @classmethod
    def _find(cls, root: str, endpoint: str | None) -> Archive:
        store, path = open_store(root, endpoint)
        shown = scrub(path) if store.is_remote else path
        try:
            folder, start = _start(store, path)
            found = list(unique(_found(store, folder, start)))
        except OSError as error:
            raise DataError(f"The data set's root {scrub(root)} cannot be read: {_why(error)}. {_remedy(store)}") from error
        if not found:
            raise DataError(f"The data set's root {shown} holds no STAC collection: {_looked_for(store)}. {_HINT}")
        return cls(folder, tuple(found))

    def labels(self, name: str | None = None) -> Collection:
        """The label collection of that id (or end of an id); without a name, the only one.

        Raises:
            DataError: There is none, or there are several to choose from.
        """
        known = [collection for collection in self.collections if collection.holds_labels]
        if not known and name is None and isinstance(self.collections[0], HostCollection):
            raise DataError(
                f"{self.root} holds imagery of LandCoverNet, but no label: there is no TILE_CHIP_YEAR_LC_10m.tif beside the folders S2, S1, L8. "
                "Fetch the labels too (docs/archives.md), or give them with another dataset.root=PATH and the imagery with catalog.root=PATH."
            )
        return _pick(name, known, "label", "dataset.labels", self)

    def source(self, name: str | None = None) -> Collection:
        """The source collection of that id (or end of an id); without a name ``sentinel_2``, or the only one.

        Raises:
            DataError: There is none, or there are several to choose from.
        """
        known = [collection for collection in self.collections if not collection.holds_labels]
        if name is None and len(known) > 1:
            preferred = _matching("sentinel_2", known)
            if len(preferred) == 1:
                return preferred[0]
        return _pick(name, known, "source", "dataset.source", self)


@lru_cache(maxsize=4)
def _opened(root: str, endpoint: str | None, moment: int) -> Archive:
    return Archive._find(root, endpoint)


def folder_of(root: str, endpoint: str | None = None) -> str:
    """What hrefs are relative to: ``root``, absolute or as a URL, or the folder of the catalog.json that it names."""
    store, path = open_store(root, endpoint)
    return _home(path) if _is_file(store, path) else path


def _is_file(store: Store, path: str) -> bool:
    return urlsplit(path).path.endswith(".json") if store.is_remote else os.path.isfile(path)


def _home(path: str) -> str:
    """The folder of a file; a URL's query is no part of it."""
    return posixpath.dirname(path.partition("?")[0] if is_url(path) else path)


def _start(store: Store, path: str) -> tuple[str, str]:
    """The folder of an archive, and the catalog.json (or collection.json) to begin with.

    Raises:
        DataError: There is no such folder, or the file is no STAC.
    """
    if not store.is_remote and not os.path.exists(path):
        raise DataError(f"The data set's root {path} does not exist. {_HINT}")
    if _is_file(store, path):
        if read_stac(store, path) is None:
            raise DataError(f"The data set's root {scrub(path) if store.is_remote else path} is a file, and no STAC catalog. {_HINT}")
        return _home(path), path
    return path, f"{path}/catalog.json"


def _found(store: Store, folder: str, start: str) -> Iterable[Collection]:
    by_links = list(linked(store, start))
    if not store.can_list:
        return by_links or linked(store, f"{folder}/collection.json")
    if by_links and store.is_remote:  # a whole bucket is not listed for collections that nothing links to
        return by_links
    if not by_links:
        host = host_collections(store, folder)
        if host:
            return host
    return [*by_links, *scanned(store, folder, {collection.path: collection for collection in by_links})]


def _why(error: OSError) -> str:
    return str(error.strerror or error).rstrip(".")


def _remedy(store: Store) -> str:
    if store.is_remote:
        return "Look whether the address is right and its server up, and run again; or use a copy on disk: dataset.root=PATH."
    return _HINT


def _looked_for(store: Store) -> str:
    if store.can_list:
        return "neither catalog.json nor FOLDER/collection.json, and no folders YEAR/TILE/CHIP as LandCoverNet's host has them"
    return (
        "neither catalog.json nor collection.json can be read there, and a web server does not list its folders "
        "(LandCoverNet's host is a bucket: dataset.root=s3://BUCKET/PREFIX dataset.endpoint=https://HOST)"
    )


def _matching(name: str, known: Iterable[Collection]) -> list[Collection]:
    every = list(known)
    exact = [collection for collection in every if collection.id == name]
    return exact or [collection for collection in every if collection.id.endswith(f"_{name}") or collection.id.endswith(f"-{name}")]


def _pick(name: str | None, known: list[Collection], what: str, key: str, archive: Archive) -> Collection:
    ids = [collection.id for collection in known]
    # A collection that is named is taken at its word, whatever it looks like.
    found = known if name is None else _matching(name, known) or _matching(name, archive.collections)
    if len(found) == 1:
        return found[0]
    every = f"{archive.root} holds the collections {listing(collection.id for collection in archive.collections)}"
    if not known and name is None:
        raise DataError(f"{archive.root} holds no {what} collection; {every}. Fetch it, or name it with {key}=ID.")
    if not found:
        raise DataError(
            f"No {what} collection is called {name!r} or ends in it; {every}.{did_you_mean(str(name), _endings(ids))} Choose with {key}=ID."
        )
    raise DataError(f"{archive.root} holds several {what} collections: {listing(collection.id for collection in found)}. Choose with {key}=ID.")


def _endings(ids: Iterable[str]) -> list[str]:
    """The ids, and their last one or two words, which do as names too: ``labels``, ``sentinel_2``."""
    every = list(ids)
    return list(dict.fromkeys([*("_".join(identifier.split("_")[-words:]) for identifier in every for words in (1, 2)), *every]))

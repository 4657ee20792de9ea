"""Catalog: stac-geoparquet, in one file or many."""

from __future__ import annotations

import logging
import os
import string
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote

from lcnkit.candidates import empty_search, match
from lcnkit.catalog.owners import owners_of
from lcnkit.catalog.parts import Rows, search_near
from lcnkit.contracts import Catalog, Query
from lcnkit.errors import DataError, UnreadableAsset, did_you_mean, listing
from lcnkit.hookspecs import hookimpl
from lcnkit.index.names import files_below, matching, split_pattern
from lcnkit.model import Chip, Item
from lcnkit.model.href import is_url, resolve
from lcnkit.terminal import counted

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

    from lcnkit.index.file_items import FileItems
    from lcnkit.index.reader import ItemFile

log = logging.getLogger(__name__)

# What stands in a URL as it is.
_PLAIN = f"{string.ascii_letters}{string.digits}_.~-".encode()


@dataclass(frozen=True, kw_only=True)
class Geoparquet(Catalog):
    """Search stac-geoparquet, such as `python -m lcnkit index` or rustac write it: no server, no crawl."""

    path: str | None = None
    """A .parquet file or a folder of them, on disk or public at s3://BUCKET/PREFIX, also with a star (DAYS/*.parquet); or a file at https://..."""
    endpoint: str | None = None
    """URL of the S3-compatible service of an s3:// path; null: Amazon's."""

    def find_collection(self, name: str | None) -> str:
        """See `lcnkit.contracts.Catalog.find_collection`."""
        known = sorted({collection for _, file in self._files() for collection in file.collections})
        if name is None:
            imagery = [collection for collection in known if "label" not in collection.lower()]
            fits = imagery if len(imagery) == 1 else [collection for collection in imagery if collection.endswith("sentinel_2")]
        else:
            fits = [name] if name in known else [collection for collection in known if collection.endswith((f"_{name}", f"-{name}"))]
        if not known and name is not None:
            return name  # items that name no collection are of any
        if len(fits) != 1:
            what = "no source collection" if name is None and not fits else f"no collection {name!r}" if not fits else "several collections"
            raise DataError(
                f"{self.path} holds {what}; it has {listing(fits or known)}.{did_you_mean(name or '', known)} Choose with dataset.source=ID."
            )
        return fits[0]

    def search(self, chips: Sequence[Chip], query: Query) -> pd.DataFrame:
        """See `lcnkit.contracts.Catalog.search`."""
        return next(self.search_in_parts([chips], query))

    def search_in_parts(self, parts: Sequence[Sequence[Chip]], query: Query) -> Iterator[pd.DataFrame]:
        """See `lcnkit.contracts.Catalog.search_in_parts`; of the files no more is read than is needed."""
        import pandas as pd

        from lcnkit.index.file_items import FileItems

        self.find_collection(query.collection)
        files = [(name, FileItems(file)) for name, file in self._files(again=False)]  # asked a moment ago
        for _, items in files:
            _report(items, query.collection)

        def find(rows: Rows, chips: Sequence[Chip]) -> pd.DataFrame:
            tables: list[pd.DataFrame] = []
            used: list[NDArray[np.intp]] = []
            for (name, items), near in zip(files, rows, strict=True):
                table = items.at(near)
                ours = table["collection"].isin([query.collection, ""]).to_numpy()
                table["item_href"] = _hrefs(name, table)
                table["collection"] = query.collection
                tables.append(table if ours.all() else table[ours])
                used.append(near[ours])
            every = tables[0].reset_index(drop=True) if len(tables) == 1 else pd.concat(tables, ignore_index=True)
            if not len(every) or not chips:
                return empty_search()

            def selves() -> list[str]:  # looked up only where ids do not tell whose the items are
                return [resolve(href, items.file.path) for (_, items), some in zip(files, used, strict=True) for href in items.selves(some)]

            every["owner"] = owners_of(every, chips, query, selves)
            return match(chips, every, query.min_coverage)

        yield from search_near([items for _, items in files], parts, find)

    def items(self, hrefs: Sequence[str]) -> list[Item]:
        """See `lcnkit.contracts.Catalog.items`."""
        if not len(hrefs):
            return []
        try:
            files = dict(self._files(again=False))
        except DataError as error:
            raise UnreadableAsset(str(error)) from error
        rows: dict[str, dict[str, int]] = {}
        for href in hrefs:
            name, collection, item_id = _parts_of(href)
            row = files[name].row_of(collection, item_id) if name in files else None
            if row is None:
                raise self._gone(href)
            rows.setdefault(name, {})[href] = row
        found: dict[str, Item] = {}
        for name, wanted in rows.items():
            documents = files[name].documents(list(wanted.values()))
            for href, document in zip(wanted, documents, strict=True):
                item = _item(document, files[name].path)
                if item.id != _parts_of(href)[2]:  # another one, whose key has the same upper bits
                    raise self._gone(href)
                found[href] = item
        return [found[href] for href in hrefs]

    def _gone(self, href: str) -> UnreadableAsset:
        return UnreadableAsset(f"{self.path} no longer holds the item {href}, which it held when the plan was made. Plan anew with overwrite=true.")

    def item_states(self, hrefs: Sequence[str]) -> list[str]:
        """See `lcnkit.cloud_kept.TellsChanges`: path, time of change and size of the file that holds the item."""
        states = {name: _state(file.path) for name, file in self._files(again=False)}
        return [states.get(href.partition("#")[0], "") for href in hrefs]

    def _files(self, *, again: bool = True) -> list[tuple[str, ItemFile]]:
        """The files, each with its name below a folder (``""`` for a single file), in order of their names.

        Args:
            again: Ask a server whether its file has changed; else a copy that is there will do.
        """
        if self.path is None:
            raise DataError("catalog=geoparquet has no file to search: set catalog.path=FILE; `python -m lcnkit index ROOT` writes one.")
        if is_url(self.path) and not self.path.startswith("file://"):
            from lcnkit.index.remote import remote_files

            return [(name, _opened(str(copy))) for name, copy in remote_files(self.path, self.endpoint, again=again)]
        path = os.path.abspath(os.path.expanduser(self.path.removeprefix("file://")))
        folder, pattern = (path, "") if os.path.exists(path) else split_pattern(path)
        if not os.path.exists(folder):
            raise DataError(f"catalog.path={self.path} does not exist. `python -m lcnkit index ROOT` writes such a file.")
        if not os.path.isdir(folder):
            return [("", _opened(path))]
        names = [name for name in files_below(folder) if matching(name, pattern)]
        if not names:
            what = f"No .parquet file fits catalog.path={self.path}" if pattern else f"The folder {self.path} holds no .parquet file"
            raise DataError(f"{what}. Give another with catalog.path=PATH.")
        return [(name, _opened(os.path.join(folder, name))) for name in names]


def _opened(path: str) -> ItemFile:
    try:
        status = os.stat(path)
        return _open(path, status.st_mtime_ns, status.st_size)
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}") from error


def _state(path: str) -> str:
    try:
        status = os.stat(path)
    except OSError:
        return ""
    return f"{path}:{status.st_mtime_ns}:{status.st_size}"


@lru_cache(maxsize=64)
def _open(path: str, changed: int, size: int) -> ItemFile:
    """Kept open: a worker asks for the items of every chip."""
    from lcnkit.index.reader import ItemFile

    return ItemFile(path)


def _hrefs(name: str, rows: pd.DataFrame) -> NDArray[np.object_]:
    """Where `Geoparquet.items` finds each item again."""
    import numpy as np

    ids = rows["item_id"].to_numpy(dtype=object)
    hrefs = np.empty(len(rows), dtype=object)
    code, collections = rows["collection"].factorize()
    for number, collection in enumerate(collections):
        home = f"{name}#{quote(collection, safe='')}/"
        place = np.flatnonzero(code == number)
        hrefs[place] = [home + item for item in _quoted(ids[place].tolist())]
    return hrefs


def _parts_of(href: str) -> tuple[str, str, str]:
    """Name of the file, id of the collection and id of the item."""
    name, _, key = href.partition("#")
    collection, _, item_id = key.partition("/")
    return name, unquote(collection), unquote(item_id)


def _quoted(names: list[str]) -> list[str]:
    """Names for fragments of URLs; ids are mostly plain already, which is seen at once."""
    is_plain = not "".join(names).encode(errors="replace").translate(None, _PLAIN)
    return names if is_plain else [quote(name, safe="") for name in names]


def _item(document: dict[str, object], path: str) -> Item:
    from lcnkit.index.documents import self_link

    return Item(resolve(self_link(document.get("links")) or path, path), document)


def _report(items: FileItems, collection: str) -> None:
    """Say how many items of the collection cannot be used."""
    rows = items.unusable
    if len(rows):
        every = items.at(rows)
        left = every.loc[every["collection"].isin([collection, ""]), "item_id"]
        if len(left):
            log.warning("%s of %s left out for want of a usable time or footprint: %s", counted(len(left), "item"), items.file.path, listing(left, 3))


@hookimpl
def lcnkit_catalog() -> dict[str, type[Geoparquet]]:
    """Offer the catalog."""
    return {"geoparquet": Geoparquet}

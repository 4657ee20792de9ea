"""Catalog: the items that the label items name as their sources; nothing is searched."""

from __future__ import annotations

import logging
import posixpath
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lcnkit.archive import Archive, folder_of, load_item, open_store
from lcnkit.candidates import empty_search, match
from lcnkit.catalog.owners import owners_of
from lcnkit.catalog.static import load_items, report
from lcnkit.contracts import Catalog, Query
from lcnkit.errors import DataError, listing
from lcnkit.hookspecs import hookimpl
from lcnkit.model import Chip, Item
from lcnkit.model.href import join
from lcnkit.terminal import progress

if TYPE_CHECKING:
    import pandas as pd

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Links(Catalog):
    """Take what the label items link to as rel=source: no search, and no candidate that the labels do not name."""

    root: str | None = None
    """Folder of the archive (or https://..., s3://BUCKET/PREFIX); null: the data set's."""
    endpoint: str | None = None
    """URL of the S3-compatible service of an s3:// root; null: the data set's."""

    def find_collection(self, name: str | None) -> str:
        """See `lcnkit.contracts.Catalog.find_collection`; a collection outside the archive goes by its whole id."""
        archive = Archive.open(self._root(), self.endpoint)
        try:
            return archive.source(name).id
        except DataError:
            if name is None:
                raise
            return name

    def search(self, chips: Sequence[Chip], query: Query) -> pd.DataFrame:
        """See `lcnkit.contracts.Catalog.search`."""
        from lcnkit.index.crawl import crawl

        archive = Archive.open(self._root(), self.endpoint)
        known = {collection.id for collection in archive.collections}
        if not chips and query.collection in known:
            return empty_search()
        elsewhere = {posixpath.dirname(collection.path) for collection in archive.collections if collection.id != query.collection}
        named = dict.fromkeys(href for chip in chips for href in chip.source_hrefs)
        wanted = [href for href in named if not _homes(href) & elsewhere]
        store = open_store(self._root(), self.endpoint)[0]

        def load(paths: Iterable[str]) -> Iterable[tuple[str, Item | str]]:
            return store.map(lambda path: (path, load_item(path, store)), paths)

        with progress(len(wanted), "items") as advance:
            found = crawl(wanted, query.collection, archive.root, None, advance, load)
        report([why for _, why in found.problems], query.collection)
        items = found.table[found.table["collection"] == query.collection].reset_index(drop=True)
        if not len(items):
            if query.collection in known and (wanted or named):
                return empty_search()
            raise _nothing(query.collection, set(found.table["collection"]) | {posixpath.basename(home) for home in elsewhere}, linked=bool(named))
        hrefs = [join(archive.root, href) for href in items["item_href"]]
        candidates = match(chips, items.assign(owner=owners_of(items, chips, query, lambda: hrefs)), query.min_coverage)
        pairs = {(chip.id, href) for chip in chips for href in chip.source_hrefs}
        keys = zip(candidates["chip_id"], candidates["item_href"], strict=True)
        return candidates[[(chip, join(archive.root, href)) in pairs for chip, href in keys]].reset_index(drop=True)

    def items(self, hrefs: Sequence[str]) -> list[Item]:
        """See `lcnkit.contracts.Catalog.items`."""
        return load_items(folder_of(self._root(), self.endpoint), hrefs, open_store(self._root(), self.endpoint)[0]) if len(hrefs) else []

    def _root(self) -> str:
        if self.root is None:
            raise DataError("catalog=links has no archive: set dataset.root=PATH (or catalog.root=PATH).")
        return self.root


def _homes(href: str) -> set[str]:
    """Folders that may be that of the item's collection."""
    folder = posixpath.dirname(href)
    return {folder, posixpath.dirname(folder)}


def _nothing(collection: str, others: set[str], *, linked: bool) -> DataError:
    if not linked:
        return DataError("The label items have no links rel=source, so catalog=links finds nothing; search with catalog=static.")
    return DataError(
        f"The label items link to no item of the collection {collection!r}; they link to {listing(sorted(others))}. Choose with dataset.source=ID."
    )


@hookimpl
def lcnkit_catalog() -> dict[str, type[Links]]:
    """Offer the catalog."""
    return {"links": Links}

"""Catalog: an archive, crawled: once and kept as an index on disk, as far as it is needed elsewhere."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lcnkit.archive import DISK, Archive, Store, folder_of, load_item, open_store
from lcnkit.candidates import empty_search, match
from lcnkit.catalog.owners import is_scene, owners_of
from lcnkit.catalog.parts import Rows, search_near
from lcnkit.contracts import Catalog, Query
from lcnkit.errors import DataError, UnreachableAsset, UnreadableAsset
from lcnkit.hookspecs import hookimpl
from lcnkit.model import Chip, Item
from lcnkit.model.href import is_url, join
from lcnkit.terminal import counted

if TYPE_CHECKING:
    import pandas as pd

    from lcnkit.index.crawl import Crawl
    from lcnkit.index.items import Items

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Static(Catalog):
    """Crawl a STAC archive (catalog.json and what it links to) or LandCoverNet's folders; on disk, a web server or in an S3 bucket."""

    root: str | None = None
    """Folder of the archive (or https://..., s3://BUCKET/PREFIX); null: the data set's."""
    endpoint: str | None = None
    """URL of the S3-compatible service of an s3:// root; null: the data set's."""
    refresh: bool = False
    """Read every item again, also where the index of an earlier run seems to tell of the archive as it is."""

    def find_collection(self, name: str | None) -> str:
        """See `lcnkit.contracts.Catalog.find_collection`."""
        return self._archive().source(name).id

    def search(self, chips: Sequence[Chip], query: Query) -> pd.DataFrame:
        """See `lcnkit.contracts.Catalog.search`."""
        return next(self.search_in_parts([chips], query))

    def search_in_parts(self, parts: Sequence[Sequence[Chip]], query: Query) -> Iterator[pd.DataFrame]:
        """See `lcnkit.contracts.Catalog.search_in_parts`; an index is read as far as it is needed."""
        from lcnkit.index.reader import DamagedFile

        crawl = self._crawl(parts, query, refresh=self.refresh)
        report([why for _, why in crawl.problems], query.collection)
        done = 0
        try:
            for table in self._near(crawl.items, parts, query):
                yield table
                done += 1
        except DamagedFile as error:
            log.info("index      cannot be used and is made anew: %s", error)
            yield from self._near(self._crawl(parts, query, refresh=True).items, parts[done:], query)

    def _crawl(self, parts: Sequence[Sequence[Chip]], query: Query, *, refresh: bool) -> Crawl:
        from lcnkit.index.crawl import crawl
        from lcnkit.index.kept import crawl_once, kept_crawl, new_crawl

        root = folder_of(self._root(), self.endpoint)
        found = None if refresh or is_url(root) else kept_crawl(root, query.collection)
        if found is not None:
            return found
        collection = self._archive().source(query.collection)
        if collection.keeps_index:
            return new_crawl(root, collection)

        def holds_scene(path: str) -> bool:
            found = crawl([path], collection.id, root, load=collection.load).table
            return len(found) > 0 and len(parts[0]) > 0 and is_scene(found["geometry"][0], parts[0])

        wanted = {chip.id for part in parts for chip in part}
        return crawl_once(collection.about(wanted, query.chip_ids, holds_scene), root, refresh=refresh)

    def _near(self, items: Items, parts: Sequence[Sequence[Chip]], query: Query) -> Iterator[pd.DataFrame]:
        root = folder_of(self._root(), self.endpoint)

        def find(rows: Rows, chips: Sequence[Chip]) -> pd.DataFrame:
            near = items.at(rows[0])
            if not len(near) or not chips:
                return empty_search()
            owner = owners_of(near, chips, query, lambda: [join(root, href) for href in near["item_href"]])
            return match(chips, near.assign(owner=owner), query.min_coverage)

        return search_near([items], parts, find)

    def items(self, hrefs: Sequence[str]) -> list[Item]:
        """See `lcnkit.contracts.Catalog.items`."""
        return load_items(folder_of(self._root(), self.endpoint), hrefs, open_store(self._root(), self.endpoint)[0])

    def item_states(self, hrefs: Sequence[str]) -> list[str]:
        """See `lcnkit.cloud_kept.TellsChanges`: path, time of change and size of the item's file."""
        root = folder_of(self._root(), self.endpoint)
        if is_url(root):
            return [""] * len(hrefs)
        from lcnkit.index.state import stats_of

        return [
            "" if is_url(href) or size < 0 else f"{join(root, href)}:{changed}:{size}"
            for href, (changed, size) in zip(hrefs, stats_of(root, hrefs).tolist(), strict=True)
        ]

    def _archive(self) -> Archive:
        return Archive.open(self._root(), self.endpoint)

    def _root(self) -> str:
        if self.root is None:
            raise DataError("catalog=static has no folder to crawl: set dataset.root=PATH (or catalog.root=PATH).")
        return self.root


def report(problems: Sequence[str], collection: str) -> None:
    """Say once how many items are left out, and of each why in the log file's detail."""
    if problems:
        more = " ..." if len(problems) > 1 else ""
        verb = "is" if len(problems) == 1 else "are"
        log.warning("%s of %s cannot be used and %s left out: %s%s", counted(len(problems), "item"), collection, verb, problems[0], more)
        for problem in problems:
            log.debug("left out: %s", problem)


# What is said of a server that may do better later; other answers of 4xx are final.
_PASSING = re.compile(r"cannot be read: (?!HTTP 4(?!08|25|29))(?!.*certificate)")


def load_items(folder: str, hrefs: Sequence[str], store: Store = DISK) -> list[Item]:
    """Items of an archive by their hrefs below ``folder``.

    Raises:
        UnreadableAsset: One is no longer there.
        UnreachableAsset: The server that has it did not answer, or not well.
    """
    loaded = list(store.map(lambda href: load_item(join(folder, href), store), hrefs))
    for href, item in zip(hrefs, loaded, strict=True):
        if isinstance(item, str):
            if is_url(join(folder, href)) and _PASSING.search(item):
                raise UnreachableAsset(f"{item}. It was there when the plan was made: run again in the same folder to try what is missing.")
            raise UnreadableAsset(f"{item}. It was there when the plan was made: fetch it again, or plan anew with overwrite=true.")
    return [item for item in loaded if isinstance(item, Item)]


@hookimpl
def lcnkit_catalog() -> dict[str, type[Static]]:
    """Offer the catalog."""
    return {"static": Static}

"""Catalog: a STAC archive on disk, crawled once."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from lcnkit.archive import Archive, Collection, folder_of, load_item
from lcnkit.candidates import empty_search, match
from lcnkit.contracts import Catalog, Query
from lcnkit.errors import DataError, UnreadableAsset
from lcnkit.geometry import coverage, geometry_of
from lcnkit.hookspecs import hookimpl
from lcnkit.model import Chip, Item
from lcnkit.model.href import join, relative_to
from lcnkit.ownership import owner_by_id

if TYPE_CHECKING:
    import pandas as pd

log = logging.getLogger(__name__)

# An item whose outline and the chip's cover each other to this share was cut for the chip.
_SAME_OUTLINE = 0.98


@dataclass(frozen=True, kw_only=True)
class Static(Catalog):
    """Crawl a STAC archive on disk: catalog.json and what it links to, or folders with collection.json."""

    root: str | None = None
    """Folder of the archive; null: the data set's."""

    def find_collection(self, name: str | None) -> str:
        """See `lcnkit.contracts.Catalog.find_collection`."""
        return self._archive().source(name).id

    def search(self, chips: Sequence[Chip], query: Query) -> pd.DataFrame:
        """See `lcnkit.contracts.Catalog.search`."""
        archive = self._archive()
        items, problems = crawl(archive.source(query.collection), archive.root)
        if problems:
            log.warning(
                "%d items of %s cannot be used and are left out: %s%s",
                len(problems),
                query.collection,
                problems[0],
                " ..." if len(problems) > 1 else "",
            )
            for problem in problems:
                log.debug("left out: %s", problem)
        if not len(items) or not chips:
            return empty_search()
        return match(chips, items.assign(owner=_owners(items, chips, query, archive.root)), query.min_coverage)

    def items(self, hrefs: Sequence[str]) -> list[Item]:
        """See `lcnkit.contracts.Catalog.items`."""
        folder = folder_of(self._root())
        loaded = [load_item(join(folder, href)) for href in hrefs]
        for item in loaded:
            if isinstance(item, str):
                raise UnreadableAsset(f"{item}. It was there when the plan was made: fetch it again, or plan anew with overwrite=true.")
        return [item for item in loaded if isinstance(item, Item)]

    def _archive(self) -> Archive:
        return Archive.open(self._root())

    def _root(self) -> str:
        if self.root is None:
            raise DataError("catalog=static has no folder to crawl: set dataset.root=PATH (or catalog.root=PATH).")
        return self.root


def crawl(collection: Collection, root: str) -> tuple[pd.DataFrame, list[str]]:
    """The items of a collection as a table, and a sentence about each one that cannot be used."""
    import pandas as pd

    rows: list[tuple[Any, ...]] = []
    problems: list[str] = []
    outlines: dict[str, Any] = {}
    for path, item in collection.items():
        if isinstance(item, str):
            problems.append(item)
            continue
        properties = item.properties
        # A composite has no datetime of its own: it counts where its range begins.
        when = properties.get("datetime") or properties.get("start_datetime")
        key = repr((item.document.get("geometry"), item.document.get("bbox")))
        if key not in outlines:
            outlines[key] = geometry_of(item.document)
        if not when:
            problems.append(f"{path}: item {item.id!r} has neither datetime nor start_datetime, so it belongs to no period")
        elif outlines[key] is None:
            problems.append(f"{path}: item {item.id!r} has no usable geometry and no bbox, so it covers no chip")
        else:
            owner_collection = str(item.document.get("collection") or collection.id)
            rows.append((item.id, owner_collection, when, properties.get("eo:cloud_cover"), relative_to(path, root), outlines[key]))
    items = pd.DataFrame(rows, columns=["item_id", "collection", "datetime", "cloud_cover", "item_href", "geometry"])
    items["datetime"] = pd.to_datetime(items["datetime"], utc=True, format="ISO8601", errors="coerce").astype("datetime64[ns, UTC]")
    undated = items["datetime"].isna()
    problems += [
        f"{href}: item {item!r} has a datetime that cannot be read" for item, href in items.loc[undated, ["item_id", "item_href"]].to_numpy()
    ]
    return items[~undated].reset_index(drop=True), problems


def _owners(items: pd.DataFrame, chips: Sequence[Chip], query: Query, root: str) -> np.ndarray:
    """The chip each item was cut for, ``""`` where it is no chip: by its id, else by the one label that links to it."""
    owners = np.array(
        [owner_by_id(item_id, collection, query.chip_ids) for item_id, collection in zip(items["item_id"], items["collection"], strict=True)],
        dtype=object,
    )
    linked = _linked(chips)
    free = np.flatnonzero(owners == "")
    for position, href in zip(free, items["item_href"].to_numpy()[free], strict=True):
        chip = linked.get(join(root, href))
        if chip is not None:
            outline = items["geometry"].iloc[position]
            if min(*coverage([chip.footprint], [outline]), *coverage([outline], [chip.footprint])) >= _SAME_OUTLINE:
                owners[position] = chip.id
    return owners


def _linked(chips: Sequence[Chip]) -> Mapping[str, Chip]:
    """Chips by the items that exactly one label names as its source."""
    found: dict[str, Chip | None] = {}
    for chip in chips:
        for href in chip.source_hrefs:
            found[href] = None if href in found else chip
    return {href: chip for href, chip in found.items() if chip is not None}


@hookimpl
def lcnkit_catalog() -> dict[str, type[Static]]:
    """Offer the catalog."""
    return {"static": Static}

"""Choosing: candidates of some hundred chips after the other, with the choice made among them.

Whatever a run has of candidates is text for the most part, half a kilobyte each and seventy to a chip. No rule looks at
more than one chip (`lcnkit.testing.strategy`), so that those of a part of the chips are gone before the next are there.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, overload

from lcnkit.candidates import by_chip, complete, cut
from lcnkit.cloud import CloudCovers, MaskRecipe
from lcnkit.contracts import Catalog, Query, search_in_parts
from lcnkit.errors import ChipError
from lcnkit.labels import LabelSet
from lcnkit.make import overlap_for
from lcnkit.model import Chip, Item, Packed
from lcnkit.model.href import is_url
from lcnkit.plugins import Registry
from lcnkit.selection import choose, fill_nearest
from lcnkit.settings import Run, source_name
from lcnkit.sharing import Sharing, key_of

if TYPE_CHECKING:
    import pandas as pd

# Chips of a part: 40,000 candidates of a year of Sentinel-2, beside which the same number of calls costs nothing.
_PART = 512


def choices(
    run: Run, chips: Packed[Chip], labels: LabelSet, collection: str, registry: Registry, sharing: Sharing, *, by_period: bool
) -> Iterator[tuple[Sequence[Chip], pd.DataFrame]]:
    """Chips, part by part, each part with its candidates and the choice among them."""
    name = registry.name_of(run.source.strategy)
    parts = _Parts(chips)
    for part, found in zip(parts, _candidates(run, parts, labels, collection, sharing), strict=True):
        table = choose(run.source.strategy, cut(found, run.n_periods), name)
        filled = fill_nearest(table) if run.when_empty == "nearest" and by_period else table
        # A catalog answers in any order, and what is filled in comes last: a plan is the same however many chips are planned at once.
        yield part, by_chip(filled, (chip.id for chip in part))


class _Parts(Sequence[Sequence[Chip]]):
    """Chips, some hundred together; one such part is unpacked at a time, as those who look at it mostly do so in turn."""

    def __init__(self, chips: Packed[Chip]) -> None:
        self._parts = [chips.at(range(start, min(start + _PART, len(chips)))) for start in range(0, len(chips), _PART)] or [chips]
        self._last: tuple[int, list[Chip]] = (-1, [])

    def __len__(self) -> int:
        return len(self._parts)

    @overload
    def __getitem__(self, key: int) -> Sequence[Chip]: ...
    @overload
    def __getitem__(self, key: slice) -> Sequence[Sequence[Chip]]: ...
    def __getitem__(self, key: int | slice) -> Sequence[Chip] | Sequence[Sequence[Chip]]:
        if isinstance(key, slice):
            return self._parts[key]
        if self._last[0] != key:
            self._last = key, list(self._parts[key])
        return self._last[1]


def on_servers(item: Item) -> bool:
    """Whether an item has any of its assets on a server."""
    return any(is_url(item.asset(key).href) for key in item.assets if "href" in item.assets[key])


def _candidates(run: Run, parts: Sequence[Sequence[Chip]], labels: LabelSet, collection: str, sharing: Sharing) -> Iterator[pd.DataFrame]:
    """Those of each part, their cloud cover known as far as it can be; the interval is one period yet."""
    source = run.source
    name = source_name(run.dataset, collection)
    ids = tuple(chip.id for part in parts for chip in part) if sharing.several else ()
    mask = None if run.cloud == "metadata" else run.dataset.cloud_assets.get(name)

    def found() -> Iterator[pd.DataFrame]:
        return sharing.each_once(
            ("search", key_of(run.dataset, source.catalog, run.interval, run.min_coverage), collection, ids),
            lambda: _searched(run, parts, Query(collection, labels.interval, run.min_coverage, labels.all_ids, labels.links), name),
        )

    if mask is None:
        return found()
    classes = tuple(run.dataset.cloud_classes.get(name, ()))
    how = key_of(run.dataset, source.catalog, source.reader, run.interval, run.min_coverage, run.cloud, run.cloud_threshold)
    return sharing.each_once(
        ("clouds", how, collection, ids),
        lambda: _with_clouds(run, parts, found(), mask, classes, sharing),
    )


def _searched(run: Run, parts: Sequence[Sequence[Chip]], query: Query, name: str) -> Iterator[pd.DataFrame]:
    for part, found in zip(parts, search_in_parts(run.source.catalog, parts, query), strict=True):
        yield complete(found, name, {chip.id: chip.interval for chip in part}, n_periods=1)


def _with_clouds(
    run: Run, parts: Sequence[Sequence[Chip]], tables: Iterator[pd.DataFrame], mask: str, classes: tuple[int, ...], sharing: Sharing
) -> Iterator[pd.DataFrame]:
    catalog, reader = run.source.catalog, run.source.reader
    covers: CloudCovers | None = None
    for part, table in zip(parts, tables, strict=True):
        if covers is None and len(table):
            recipe = MaskRecipe(catalog, reader, mask, run.cloud_threshold, classes, overlap_for(remote=_is_remote(catalog, table)))
            covers = CloudCovers(recipe, sharing.pool(run.backend), force=run.cloud == "mask")
        yield table if covers is None else covers.measured(table, {chip.id: chip for chip in part})
    if covers is not None:
        covers.report()


def _is_remote(catalog: Catalog, table: pd.DataFrame) -> bool:
    """Whether the items of a table have their assets on a server."""
    try:
        return bool(len(table)) and any(on_servers(item) for item in catalog.items([table["item_href"].iloc[0]]))
    except ChipError:
        return False

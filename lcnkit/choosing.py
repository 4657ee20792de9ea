"""Choosing: candidates of some hundred chips after the other, with the choice made among them.

Whatever a run has of candidates is text for the most part, half a kilobyte each and seventy to a chip. No rule looks at
more than one chip (`lcnkit.testing.strategy`), so that those of a part of the chips are gone before the next are there:
parts go through `map`, which holds none of them, as the variables of a loop would until the next one is made.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, overload

from lcnkit.candidates import by_chip, complete, cut
from lcnkit.cloud import CloudCovers, MaskRecipe
from lcnkit.contracts import Catalog, Query, search_in_parts
from lcnkit.errors import ChipError, PluginError
from lcnkit.labels import LabelSet
from lcnkit.make import overlap_for
from lcnkit.model import Chip, Item, Packed
from lcnkit.model.href import is_url
from lcnkit.plugins import Registry
from lcnkit.selection import choose, fill_nearest
from lcnkit.settings import Run, source_name
from lcnkit.sharing import Sharing, key_of
from lcnkit.terminal import counted

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

    def chosen(found: pd.DataFrame, part: Sequence[Chip]) -> tuple[Sequence[Chip], pd.DataFrame]:
        table = choose(run.source.strategy, cut(found, run.n_periods), name)
        filled = fill_nearest(table) if run.when_empty == "nearest" and by_period else table
        # A catalog answers in any order, and what is filled in comes last: a plan is the same however many chips are planned at once.
        return part, by_chip(filled, (chip.id for chip in part))

    return map(chosen, _candidates(run, parts, labels, collection, sharing), parts)


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
            self._last = -1, []  # gone before the next is there
            self._last = key, list(self._parts[key])
        return self._last[1]

    def __iter__(self) -> Iterator[Sequence[Chip]]:
        return map(self.__getitem__, range(len(self)))


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
            lambda: _searched(run, parts, _query(run, labels, collection), name),
        )

    if mask is None:
        return found()
    classes = tuple(run.dataset.cloud_classes.get(name, ()))
    how = key_of(run.dataset, source.catalog, source.reader, run.interval, run.min_coverage, run.cloud, run.cloud_threshold)
    return sharing.each_once(
        ("clouds", how, collection, ids),
        lambda: _with_clouds(run, parts, found(), mask, classes, sharing),
    )


def _query(run: Run, labels: LabelSet, collection: str) -> Query:
    return Query(collection, labels.interval, run.min_coverage, labels.all_ids, labels.links, labels.outlines)


def _searched(run: Run, parts: Sequence[Sequence[Chip]], query: Query, name: str) -> Iterator[pd.DataFrame]:
    def completed(found: pd.DataFrame, part: Sequence[Chip]) -> pd.DataFrame:
        return complete(found, name, {chip.id: chip.interval for chip in part}, n_periods=1)

    return map(completed, _one_each(search_in_parts(run.source.catalog, parts, query), len(parts)), parts)


def _one_each(tables: Iterator[pd.DataFrame], parts: int) -> Iterator[pd.DataFrame]:
    """The same tables.

    Raises:
        PluginError: There are fewer or more of them than parts.
    """
    given = 0
    for table in tables:
        given += 1
        if given > parts:
            break
        yield table
        del table
    if given != parts:
        found = f"{given}" if given < parts else f"more than {parts}"
        raise PluginError(
            f"The catalog's search_in_parts gave {found} tables for {counted(parts, 'part')} of the chips: "
            "it must give one for each part, also where that has no candidates."
        )


def _with_clouds(
    run: Run, parts: Sequence[Sequence[Chip]], tables: Iterator[pd.DataFrame], mask: str, classes: tuple[int, ...], sharing: Sharing
) -> Iterator[pd.DataFrame]:
    catalog, reader = run.source.catalog, run.source.reader
    covers: CloudCovers | None = None

    def measured(table: pd.DataFrame, part: Sequence[Chip]) -> pd.DataFrame:
        nonlocal covers
        if covers is None and len(table):
            recipe = MaskRecipe(catalog, reader, mask, run.cloud_threshold, classes, overlap_for(remote=_is_remote(catalog, table)))
            covers = CloudCovers(recipe, sharing.pool(run.backend), force=run.cloud == "mask")
        return table if covers is None else covers.measured(table, {chip.id: chip for chip in part})

    yield from map(measured, tables, parts)
    if covers is not None:
        covers.report()


def _is_remote(catalog: Catalog, table: pd.DataFrame) -> bool:
    """Whether the items of a table have their assets on a server."""
    try:
        return bool(len(table)) and any(on_servers(item) for item in catalog.items([table["item_href"].iloc[0]]))
    except ChipError:
        return False

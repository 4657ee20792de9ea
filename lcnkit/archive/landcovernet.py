"""LandCoverNet as its host keeps it today: no STAC, only folders ``YEAR/TILE/CHIP``; its collections and their chips."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Iterable, Iterator, Set
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import chain

from lcnkit.archive.collection import Collection
from lcnkit.archive.landcovernet_items import LABELS, SOURCES, collection_document, item_at, label_among, label_name, year_of
from lcnkit.archive.store import Store
from lcnkit.errors import DataError, listing
from lcnkit.model import Item

_TILE, _CHIP, _YEAR = re.compile(r"\d{2}[A-Z]{3}"), re.compile(r"\d+"), re.compile(r"(19|20)\d{2}")
# Folders that hold the years: data/v1.0/2018. The regions lie side by side: landcovernet_af/data/v1.0/2018.
_OUTER, _REGION = re.compile(r"data|v\d+(\.\d+)*"), re.compile(r"landcovernet_[a-z]{2}")
# So many chips are looked at to know which sensors there are.
_SAMPLED = 20


@dataclass(frozen=True)
class HostChip:
    """The folder of a chip."""

    tile: str
    name: str
    folder: str

    @property
    def id(self) -> str:
        """The chip's id, as in the STAC archives."""
        return f"{self.tile}_{self.name}"


@dataclass(frozen=True)
class HostLayout:
    """The tiles of a year."""

    store: Store = field(repr=False)
    folder: str
    """Of the year; of the only tile or of all regions, where the root is that."""
    year: str
    tiles: tuple[str, ...]
    """Their folders."""

    @cached_property
    def chips(self) -> tuple[HostChip, ...]:
        """All chips of the tiles."""
        return tuple(chain.from_iterable(self.store.map(self._chips_of, self.tiles)))

    def chips_upto(self, count: int) -> tuple[HostChip, ...]:
        """The first chips; no more tiles are listed than they take."""
        found: list[HostChip] = []
        for tile in self.tiles:
            if len(found) >= count:
                break
            found += self._chips_of(tile)
        return tuple(found[:count])

    def _chips_of(self, tile: str) -> list[HostChip]:
        name = posixpath.basename(tile)
        return [HostChip(name, chip, f"{tile}/{chip}") for chip in self.store.folders(tile) if _CHIP.fullmatch(chip)]


@dataclass(frozen=True)
class HostCollection(Collection):
    """The labels, or the acquisitions of one sensor, of a host layout."""

    layout: HostLayout = field(kw_only=True)
    sensor: str = ""
    """S2, S1 or L8; empty for the labels."""
    chips: tuple[HostChip, ...] | None = field(default=None, repr=False)
    """What is left of it; ``None``: all chips."""

    @cached_property
    def item_paths(self) -> list[str]:
        """Folders of its acquisitions, or its label rasters, chip by chip."""
        chips = self.layout.chips if self.chips is None else self.chips
        return list(chain.from_iterable(self.store.map(self._paths_of, chips)))

    def load(self, paths: Iterable[str]) -> Iterator[tuple[str, Item | str]]:
        """See `Collection.load`."""
        return self.store.map(lambda path: (path, item_at(path, self.store) or f"{path} is no acquisition: its name is not TILE_CHIP_DATE"), paths)

    def name_of(self, path: str) -> str:
        """The id of the item."""
        stem = posixpath.basename(path)
        return f"{self.id}_{stem if self.sensor else '_'.join(stem.split('_')[:2])}"

    def about(self, wanted: Set[str], known: Set[str], holds_scene: Callable[[str], bool] | None = None) -> Collection:
        """See `Collection.about`; folders of chips that nobody wants are not listed."""
        if not wanted - known and all(_TILE.fullmatch(name.partition("_")[0]) for name in wanted) and self.store.is_remote:
            tiles = {posixpath.basename(tile): tile for tile in self.layout.tiles}
            named = [name.split("_", 1) for name in sorted(wanted) if name.partition("_")[0] in tiles]
            return replace(self, chips=tuple(HostChip(tile, chip, f"{tiles[tile]}/{chip}") for tile, chip in named))
        return replace(self, chips=tuple(chip for chip in self.layout.chips if chip.id in wanted or chip.id not in known))

    @property
    def keeps_index(self) -> bool:
        """Never: an index would not notice a new acquisition, and items made from paths are quickly made."""
        return False

    def likely(self, wanted: int | tuple[str, ...]) -> Collection:
        """See `Collection.likely`; tiles that cannot hold a wanted chip are not listed."""
        if not self.store.is_remote:
            return self
        if isinstance(wanted, int):
            return replace(self, chips=self.layout.chips_upto(wanted))
        starts = [re.split(r"[*?\[]", name.removeprefix(f"{self.id}_"))[0] for name in wanted]
        tiles = [tile for tile in self.layout.tiles if any(_may_start(posixpath.basename(tile), start) for start in starts)]
        return replace(self, chips=replace(self.layout, tiles=tuple(tiles)).chips) if tiles else self

    def _paths_of(self, chip: HostChip) -> list[str]:
        if self.sensor:
            folder = f"{chip.folder}/{self.sensor}"
            return [f"{folder}/{name}" for name in self.store.folders(folder)]
        if self.store.is_remote:  # one listing per chip would be thousands; a label that is not there fails by itself
            return [f"{chip.folder}/{label_name(chip.tile, chip.name, self.layout.year)}"]
        label = label_among([entry.name for entry in self.store.entries(chip.folder)], self.layout.year)
        return [f"{chip.folder}/{label}"] if label else []


def _may_start(tile: str, start: str) -> bool:
    return tile.startswith(start) or start.startswith(f"{tile}_")


def host_collections(store: Store, root: str) -> list[HostCollection]:
    """The collections of a host layout at ``root`` or below its ``data/v1.0``; none where there is no such layout.

    Raises:
        DataError: There are several years, or the year cannot be told.
    """
    layout = _layout(store, root)
    if layout is None:
        return []
    inside = [store.entries(chip.folder) for chip in layout.chips_upto(_SAMPLED if not store.is_remote else 2)]
    folders = {entry.name for entries in inside for entry in entries if entry.is_folder}
    files = [entry.name for entries in inside for entry in entries if not entry.is_folder]
    sensors = [sensor for sensor in SOURCES if sensor in folders]
    has_labels = bool(label_among(files, layout.year)) or (bool(sensors) and not store.is_remote and _any_label(layout))
    kinds = ([("", LABELS)] if has_labels else []) + [(sensor, SOURCES[sensor]) for sensor in sensors]
    return [HostCollection(layout.folder, collection_document(name, layout.year), store, layout=layout, sensor=sensor) for sensor, name in kinds]


def _any_label(layout: HostLayout) -> bool:
    return any(label_among([entry.name for entry in layout.store.entries(chip.folder)], layout.year) for chip in layout.chips)


def _layout(store: Store, folder: str, depth: int = 5) -> HostLayout | None:
    names, own = store.folders(folder), posixpath.basename(folder)
    if _TILE.fullmatch(own) and any(_CHIP.fullmatch(name) for name in names):
        return _with_year(store, folder, (folder,))
    tiles = [f"{folder}/{name}" for name in names if _TILE.fullmatch(name)]
    if tiles:
        return _with_year(store, folder, tuple(tiles))
    regions = [name for name in names if _REGION.fullmatch(name)]
    if regions and depth:
        return _together(folder, list(store.map(lambda name: _layout(store, f"{folder}/{name}", depth - 1), regions)))
    years = [name for name in names if _YEAR.fullmatch(name)]
    if len(years) > 1:
        raise DataError(f"{folder} holds several years: {listing(years)}. Choose one with dataset.root={folder}/{years[0]}.")
    inner = years or [name for name in names if _OUTER.fullmatch(name)]
    found = (_layout(store, f"{folder}/{name}", depth - 1) for name in inner if depth)
    return next((layout for layout in found if layout is not None), None)


def _together(folder: str, regions: list[HostLayout | None]) -> HostLayout | None:
    """The tiles of all regions; where two have a tile of the same name, that of the first."""
    found = [layout for layout in regions if layout is not None]
    years = sorted({layout.year for layout in found})
    if len(years) > 1:
        raise DataError(f"{folder} holds regions of several years: {listing(years)}. Choose a region with dataset.root={found[0].folder}.")
    tiles = {posixpath.basename(tile): tile for layout in reversed(found) for tile in layout.tiles}
    return replace(found[0], folder=folder, tiles=tuple(tiles[name] for name in sorted(tiles))) if found else None


def _with_year(store: Store, folder: str, tiles: tuple[str, ...]) -> HostLayout | None:
    """The layout with the year that the path says, else its files."""
    parents = [posixpath.basename(folder), posixpath.basename(posixpath.dirname(folder))]
    year = next((name for name in parents if _YEAR.fullmatch(name)), "")
    layout = HostLayout(store, folder, year, tiles)
    if not layout.chips_upto(1):
        return None
    return layout if year else replace(layout, year=year_of(list(_names_inside(layout))))


def _names_inside(layout: HostLayout) -> Iterator[str]:
    """Names of the first chip's label and acquisitions."""
    for chip in layout.chips_upto(1):
        yield from sorted((entry.name for entry in layout.store.entries(chip.folder)), reverse=True)
        for sensor in SOURCES:
            yield from layout.store.folders(f"{chip.folder}/{sensor}")

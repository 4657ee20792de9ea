"""Labels: the chips of a label collection."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from fnmatch import fnmatchcase
from typing import Any

from lcnkit.archive import Archive, Collection
from lcnkit.archive.parsing import no_collector
from lcnkit.errors import BadLabel, ConfigError, DataError, did_you_mean, listing
from lcnkit.label_chips import ChipMaker, Entry, Made, failure_of, links_of, outline_of
from lcnkit.label_classes import names_shown
from lcnkit.label_links import CollectionLinks, LabelPlace, place_of
from lcnkit.label_outlines import CollectionOutlines
from lcnkit.model import Chip, Failure, Interval, Item, Packed
from lcnkit.settings import Dataset, LabelOptions


class _ChipsMade:
    """What became of labels: chips are kept small from the first on."""

    def __init__(self, made: Iterable[Made]) -> None:
        self.chips: Packed[Chip] = Packed()
        self.each: list[tuple[str, str, int | Failure]] = []
        """Chip id, path, and which of the chips it is, or why there is none."""
        for chip_id, path, one in made:
            if isinstance(one, Chip):
                self.chips.append(one)
            self.each.append((chip_id, path, len(self.chips) - 1 if isinstance(one, Chip) else one))


@dataclass(frozen=True)
class _Entries:
    """The labels of a collection."""

    paths: Mapping[str, str]
    """Of all labels, by the ids of their chips."""
    chips: Packed[Chip]
    wanted: list[tuple[str, str, int | Failure]]
    """See `_ChipsMade.each`."""
    places: list[LabelPlace]
    """Of all labels that may link to sources."""


@dataclass(frozen=True)
class LabelInfo:
    """What all labels of a run have in common."""

    collection: str
    interval: Interval
    class_names: dict[int, str]
    """Name by stored class, as far as the label items say; see `as_shown`."""
    about: dict[str, Any]
    """What the collection says of itself: licence, citation, DOI."""

    def as_shown(self, options: LabelOptions) -> LabelInfo:
        """The same with the names of the classes that the samples have."""
        return replace(self, class_names=names_shown(self.class_names, options))


@dataclass(frozen=True)
class LabelSet:
    """The chips of a run, in the order of the label collection."""

    info: LabelInfo
    chips: Packed[Chip]
    chip_ids: tuple[str, ...]
    failures: tuple[Failure, ...]
    """Labels that were asked for and cannot be used."""
    all_ids: frozenset[str]
    """Ids of every chip of the collection, wanted or not; of an archive elsewhere, as far as they had to be looked up."""
    outlines: CollectionOutlines = field(repr=False, compare=False)
    """Where the chips of all labels of the collection lie, wanted or not."""
    links: CollectionLinks = field(repr=False, compare=False)
    """What all labels of the collection link to as their sources, wanted or not."""

    @property
    def interval(self) -> Interval:
        """The days that imagery is wanted of."""
        return self.info.interval


def read_labels(root: str, dataset: Dataset, wanted: int | tuple[str, ...] | None, interval: Interval | None) -> LabelSet:
    """The chips that are wanted.

    Raises:
        DataError: The label collection cannot be found, or has no interval.
        ConfigError: ``wanted`` names a chip that does not exist.
    """
    collection = Archive.open(root, dataset.endpoint).labels(dataset.labels)
    days = interval or _interval_of(collection)
    with no_collector():
        return _read_labels(collection, dataset, wanted, days)


def _read_labels(collection: Collection, dataset: Dataset, wanted: int | tuple[str, ...] | None, days: Interval) -> LabelSet:
    maker = ChipMaker(dataset.label_asset, days)
    entries = _far_entries(collection, wanted, maker) or _entries(collection, wanted, maker)
    made: dict[str, int] = {}
    failures: list[Failure] = []
    seen: dict[str, str] = {}
    for chip_id, path, place in entries.wanted:
        if seen.setdefault(chip_id, path) != path:
            twice = f"Chip {chip_id}: {path} has the id of {seen[chip_id]}, which is used. Give it an id of its own."
            failures.append(failure_of(chip_id, BadLabel(twice)))
        elif isinstance(place, int):
            made[chip_id] = place
        else:
            failures.append(place)
    chips = entries.chips.at(made.values())
    return LabelSet(
        LabelInfo(collection.id, days, maker.names, _about(collection)),
        chips,
        tuple(made),
        tuple(failures),
        frozenset(entries.paths),
        CollectionOutlines(collection, chips, tuple(made), entries.paths, lambda chip_id, item: outline_of(chip_id, item, dataset.label_asset)),
        CollectionLinks(collection, chips, set(made), entries.places, lambda chip_id, item: links_of(chip_id, item, dataset.label_asset)),
    )


def _entries(collection: Collection, wanted: int | tuple[str, ...] | None, maker: ChipMaker) -> _Entries:
    """All labels are read; an item is gone as soon as its chip is made: each has hundreds of links."""
    ids: list[tuple[str, str]] = []
    paths: dict[str, str] = {}
    places: list[LabelPlace] = []
    positions: list[int] = []

    def read() -> Iterator[Entry]:
        for position, (path, item) in enumerate(collection.items()):
            chip_id, item_id = _chip_id(collection, path, item), _item_id(collection, path, item)
            ids.append((chip_id, item_id))
            paths.setdefault(chip_id, path)  # the first of an id is used
            places.extend(place_of(chip_id, path, item))
            if _may_be_wanted(position, (chip_id, item_id), wanted):
                positions.append(position)
                yield chip_id, path, item

    made = _ChipsMade(maker.made(read()))
    kept = dict(zip(positions, made.each, strict=True))
    return _Entries(paths, made.chips, [kept[position] for position in _positions(ids, wanted)], places)


def _may_be_wanted(position: int, names: tuple[str, str], wanted: int | tuple[str, ...] | None) -> bool:
    """``False`` only where `_positions` will leave the label out."""
    if wanted is None or isinstance(wanted, int):
        return wanted is None or position < wanted
    return any(name == pattern or fnmatchcase(name, pattern) for name in names for pattern in wanted)


def _far_entries(collection: Collection, wanted: int | tuple[str, ...] | None, maker: ChipMaker) -> _Entries | None:
    """The same of an archive elsewhere, without reading the items of other chips; ``None`` where paths do not tell the chips' ids."""
    if wanted is None or not collection.store.is_remote:
        return None
    part = collection.likely(wanted)
    names = [part.name_of(path) for path in part.item_paths]
    ids = [name.removeprefix(f"{collection.id}_") or name for name in names]
    try:
        chosen = _positions(list(zip(ids, names, strict=True)), wanted)
    except ConfigError:
        return None
    loaded = part.load(part.item_paths[position] for position in chosen)
    entries = [(ids[position], path, item) for position, (path, item) in zip(chosen, loaded, strict=True)]
    as_named = all(isinstance(item, str) or _chip_id(collection, path, item) == chip for chip, path, item in entries)
    places = [LabelPlace(chip, path) for chip, path in zip(ids, part.item_paths, strict=True)] if part is collection else []
    if not as_named:
        return None
    made = _ChipsMade(maker.made(entries))
    return _Entries(dict(zip(ids, part.item_paths, strict=True)), made.chips, made.each, places)


def _positions(ids: Sequence[tuple[str, str]], wanted: int | tuple[str, ...] | None) -> list[int]:
    """Positions of the chips that ``wanted`` means; a glob or id fits the chip's id or its label item's."""
    if wanted is None:
        return list(range(len(ids)))
    if isinstance(wanted, int):
        return list(range(min(wanted, len(ids))))
    chosen: set[int] = set()
    exact = {name: position for position, names in enumerate(ids) for name in names}
    for pattern in wanted:
        fits = (
            {exact[pattern]}
            if pattern in exact
            else {position for position, names in enumerate(ids) if any(fnmatchcase(name, pattern) for name in names)}
        )
        if not fits:
            known = [chip for chip, _ in ids]
            raise ConfigError(f"chips={pattern} fits no chip; there is {listing(known, 8)}.{did_you_mean(pattern, known)}")
        chosen |= fits
    return sorted(chosen)


def _item_id(collection: Collection, path: str, item: Item | str) -> str:
    """An item's id; of one that cannot be read, the name that its path tells, which is the same in LandCoverNet."""
    return item.id if isinstance(item, Item) else collection.name_of(path)


def _chip_id(collection: Collection, path: str, item: Item | str) -> str:
    name = _item_id(collection, path, item)
    return name.removeprefix(f"{collection.id}_") or name


def _interval_of(collection: Collection) -> Interval:
    """The whole days of the collection's temporal extent, the last one included."""
    try:
        first, last = collection.document["extent"]["temporal"]["interval"][0]
        return Interval(date.fromisoformat(str(first)[:10]), date.fromisoformat(str(last)[:10]))
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise DataError(
            f"The label collection {collection.id!r} ({collection.path}) has no closed temporal extent. "
            "Give the days with interval=[2018-01-01,2018-12-31]."
        ) from error
    except ConfigError as error:
        raise DataError(f"The temporal extent of the label collection {collection.id!r} ({collection.path}) cannot be used. {error}") from error


def _about(collection: Collection) -> dict[str, Any]:
    keys = {"license": "license", "citation": "sci:citation", "doi": "sci:doi", "title": "title"}
    return {name: collection.document[key] for name, key in keys.items() if collection.document.get(key)}


def without_links(chip: Chip) -> Chip:
    """The chip as a worker needs it: hundreds of source links stay behind."""
    return replace(chip, source_hrefs=())

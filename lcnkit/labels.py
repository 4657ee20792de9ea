"""Labels: the chips of a label collection."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from lcnkit.archive import Archive, Collection
from lcnkit.archive.parsing import no_collector
from lcnkit.errors import BadLabel, ChipError, ConfigError, DataError, did_you_mean, listing
from lcnkit.label_classes import class_names, unreadable_label
from lcnkit.label_links import CollectionLinks, LabelPlace, place_of, source_hrefs
from lcnkit.model import Chip, Failure, Grid, Interval, Item
from lcnkit.model.chip import LabelLinks
from lcnkit.model.href import is_url, resolve
from lcnkit.settings import Dataset

if TYPE_CHECKING:
    from shapely import Geometry


_Entry = tuple[str, str, Item | str]
"""Chip id, path and item (or what is wrong with it) of a label."""


@dataclass(frozen=True)
class _Entries:
    """The labels of a collection."""

    all_ids: frozenset[str]
    wanted: list[_Entry]
    places: list[LabelPlace]
    """Of all labels that may link to sources."""


@dataclass(frozen=True)
class LabelSet:
    """The chips of a run, in the order of the label collection."""

    chips: tuple[Chip, ...]
    failures: tuple[Failure, ...]
    """Labels that were asked for and cannot be used."""
    all_ids: frozenset[str]
    """Ids of every chip of the collection, wanted or not; of an archive elsewhere, as far as they had to be looked up."""
    collection: str
    interval: Interval
    class_names: dict[int, str]
    """Name by stored class, as far as the label items say."""
    about: dict[str, Any]
    """What the collection says of itself: licence, citation, DOI."""
    links: CollectionLinks = field(repr=False, compare=False)
    """What all labels of the collection link to as their sources, wanted or not."""


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
    entries = _far_entries(collection, wanted) or _entries(collection, wanted)
    chips: list[Chip] = []
    failures: list[Failure] = []
    names: dict[int, str] = {}
    seen: dict[str, str] = {}
    grids = _far_grids([item for _, _, item in entries.wanted if isinstance(item, Item)], dataset.label_asset)
    for chip_id, path, item in entries.wanted:
        try:
            if seen.setdefault(chip_id, path) != path:
                raise BadLabel(f"Chip {chip_id}: {path} has the id of {seen[chip_id]}, which is used. Give it an id of its own.")
            if isinstance(item, str):
                raise BadLabel(f"Chip {chip_id}: {item}. Fetch it again, or leave the chip out with chips=[...].")
            chips.append(_chip(chip_id, item, dataset.label_asset, days, grids))
            names = names or class_names(item, dataset.label_asset)
        except ChipError as error:
            failures.append(Failure(chip_id, "label", type(error).__name__, str(error)))
    return LabelSet(
        tuple(chips),
        tuple(failures),
        entries.all_ids,
        collection.id,
        days,
        names,
        _about(collection),
        CollectionLinks(collection, chips, entries.places, lambda chip_id, item: _links(chip_id, item, dataset.label_asset)),
    )


def _entries(collection: Collection, wanted: int | tuple[str, ...] | None) -> _Entries:
    """All labels are read; only the items that may be wanted stay in memory: each has hundreds of links."""
    ids: list[tuple[str, str]] = []
    kept: dict[int, _Entry] = {}
    places: list[LabelPlace] = []
    for position, (path, item) in enumerate(collection.items()):
        chip_id, item_id = _chip_id(collection, path, item), _item_id(collection, path, item)
        ids.append((chip_id, item_id))
        if _may_be_wanted(position, (chip_id, item_id), wanted):
            kept[position] = (chip_id, path, item)
        places += place_of(chip_id, path, item)
    return _Entries(frozenset(chip for chip, _ in ids), [kept[position] for position in _positions(ids, wanted)], places)


def _may_be_wanted(position: int, names: tuple[str, str], wanted: int | tuple[str, ...] | None) -> bool:
    """``False`` only where `_positions` will leave the label out."""
    if wanted is None or isinstance(wanted, int):
        return wanted is None or position < wanted
    return any(name == pattern or fnmatchcase(name, pattern) for name in names for pattern in wanted)


def _far_entries(collection: Collection, wanted: int | tuple[str, ...] | None) -> _Entries | None:
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
    return _Entries(frozenset(ids), entries, places) if as_named else None


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


def _chip(chip_id: str, item: Item, asset_key: str, days: Interval, grids: Mapping[str, Grid]) -> Chip:
    if asset_key not in item.assets:
        raise BadLabel(
            f"Chip {chip_id}: the label item {item.id!r} has no asset {asset_key!r}; it has {listing(sorted(item.assets))}. "
            "Choose with dataset.label_asset=KEY."
        )
    href = resolve(str(item.assets[asset_key].get("href", "")), item.href)
    grid = _declared_grid(item, asset_key) or grids.get(href) or _stored_grid(chip_id, href)
    footprint = _footprint(chip_id, item, grid)
    return Chip(chip_id, item.id, href, grid, days, footprint, source_hrefs(item))


def _far_grids(items: Sequence[Item], asset_key: str) -> dict[str, Grid]:
    """Grids of the labels on a server that do not declare theirs, by href: asked for all at once."""
    hrefs = {resolve(str(item.assets[asset_key].get("href", "")), item.href): item for item in items if asset_key in item.assets}
    silent = [href for href, item in hrefs.items() if is_url(href) and _declared_grid(item, asset_key) is None]
    if not silent:
        return {}
    from lcnkit.raster.far_grid import far_grids

    return far_grids(silent)


def _links(chip_id: str, item: Item, asset_key: str) -> LabelLinks | None:
    """What a label of a chip that is not made links to; ``None`` where it links to nothing, or nobody knows where it lies."""
    from lcnkit.geometry import geometry_of

    hrefs = source_hrefs(item)
    outline = geometry_of(item.document) if hrefs else None
    if hrefs and outline is None and asset_key in item.assets:
        try:
            outline = _footprint(chip_id, item, _stored_grid(chip_id, resolve(str(item.assets[asset_key].get("href", "")), item.href)))
        except ChipError:
            return None
    return None if outline is None else LabelLinks(chip_id, outline, hrefs)


def _declared_grid(item: Item, asset: str) -> Grid | None:
    """The grid from the projection extension, where it is complete and the raster is there."""
    fields = {**item.properties, **item.assets[asset]}
    code = fields.get("proj:code") or (f"EPSG:{fields['proj:epsg']}" if fields.get("proj:epsg") else None)
    transform, shape = fields.get("proj:transform"), fields.get("proj:shape")
    if not (code and str(code).startswith("EPSG:") and transform and shape):
        return None
    try:
        return Grid.from_dict({"crs": code, "transform": transform, "shape": shape})
    except (TypeError, ValueError):
        return None


def _stored_grid(chip_id: str, href: str) -> Grid:
    from lcnkit.raster.far_grid import far_grid
    from lcnkit.raster.plain_tiff import plain_grid

    try:
        plain = far_grid(href) if is_url(href) else plain_grid(href)
    except OSError as error:
        raise unreadable_label(chip_id, href, error) from error
    if plain is not None:
        return plain

    from rasterio.errors import RasterioError

    from lcnkit.raster.gdal import gdal, read_raster

    def read(dataset: Any) -> Grid:
        if dataset.crs is None:
            raise BadLabel(
                f"Chip {chip_id}: {href} has no CRS, so nothing can be read on its grid. Assign one with `gdal_edit.py -a_srs EPSG:CODE FILE`."
            )
        return Grid.from_dataset(dataset)

    try:
        with gdal():
            return read_raster(href, read)
    except RasterioError as error:
        raise unreadable_label(chip_id, href, error) from error


def _footprint(chip_id: str, item: Item, grid: Grid) -> Geometry:
    """The item's geometry; the grid's outline where the item has none."""
    from lcnkit.geometry import geometry_of

    published = geometry_of(item.document)
    if published is not None:
        return published

    import shapely
    from rasterio._err import CPLE_BaseError  # what GDAL says of a CRS is passed on as it is
    from rasterio.errors import RasterioError
    from rasterio.warp import transform

    xs, ys = grid.corners
    try:
        return shapely.Polygon(zip(*transform(grid.crs, "EPSG:4326", xs, ys), strict=True))
    except (RasterioError, CPLE_BaseError, ValueError) as error:
        raise BadLabel(f"Chip {chip_id}: its CRS {grid.crs[:60]} cannot be brought to lon/lat. Give the label item a geometry.") from error


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


def _about(collection: Collection) -> dict[str, Any]:
    keys = {"license": "license", "citation": "sci:citation", "doi": "sci:doi", "title": "title"}
    return {name: collection.document[key] for name, key in keys.items() if collection.document.get(key)}


def without_links(chip: Chip) -> Chip:
    """The chip as a worker needs it: hundreds of source links stay behind."""
    return replace(chip, source_hrefs=())

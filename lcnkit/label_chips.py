"""How a label item becomes a chip: its raster's grid, its outline, what it links to."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any

from lcnkit.errors import BadLabel, ChipError, listing
from lcnkit.label_classes import class_names, unreadable_label
from lcnkit.label_links import source_hrefs
from lcnkit.model import Chip, Failure, Grid, Interval, Item
from lcnkit.model.chip import LabelLinks
from lcnkit.model.href import is_url, resolve

if TYPE_CHECKING:
    from shapely import Geometry

Entry = tuple[str, str, Item | str]
"""Chip id, path and item (or what is wrong with it) of a label."""
Made = tuple[str, str, Chip | Failure]
"""The same with what became of it."""

# Label items in memory at once (65 kB each in LandCoverNet); of those on a server, the grids are asked for together.
_AT_ONCE = 128


class ChipMaker:
    """Makes the chips of a label collection."""

    def __init__(self, asset_key: str, days: Interval) -> None:
        self._asset_key, self._days = asset_key, days
        self.names: dict[int, str] = {}
        """Name by stored class, as the first label says them that does."""

    def made(self, entries: Iterable[Entry]) -> Iterator[Made]:
        """The chip of each label, in order, or why there is none."""
        left = iter(entries)
        while part := list(islice(left, _AT_ONCE)):
            grids = _far_grids([item for _, _, item in part if isinstance(item, Item)], self._asset_key)
            for chip_id, path, item in part:
                try:
                    if isinstance(item, str):
                        raise BadLabel(f"Chip {chip_id}: {item}. Fetch it again, or leave the chip out with chips=[...].")
                    chip = self._chip(chip_id, item, grids)
                    self.names = self.names or class_names(item, self._asset_key)
                    yield chip_id, path, chip
                except ChipError as error:
                    yield chip_id, path, failure_of(chip_id, error)

    def _chip(self, chip_id: str, item: Item, grids: Mapping[str, Grid]) -> Chip:
        asset_key = self._asset_key
        if asset_key not in item.assets:
            raise BadLabel(
                f"Chip {chip_id}: the label item {item.id!r} has no asset {asset_key!r}; it has {listing(sorted(item.assets))}. "
                "Choose with dataset.label_asset=KEY."
            )
        href = resolve(str(item.assets[asset_key].get("href", "")), item.href)
        grid = _declared_grid(item, asset_key) or grids.get(href) or _stored_grid(chip_id, href)
        footprint = _footprint(chip_id, item, grid)
        return Chip(chip_id, item.id, href, grid, self._days, footprint, source_hrefs(item))


def failure_of(chip_id: str, error: ChipError) -> Failure:
    """The failure of a chip whose label cannot be used."""
    return Failure(chip_id, "label", type(error).__name__, str(error))


def _far_grids(items: Sequence[Item], asset_key: str) -> dict[str, Grid]:
    """Grids of the labels on a server that do not declare theirs, by href: asked for all at once."""
    hrefs = {resolve(str(item.assets[asset_key].get("href", "")), item.href): item for item in items if asset_key in item.assets}
    silent = [href for href, item in hrefs.items() if is_url(href) and _declared_grid(item, asset_key) is None]
    if not silent:
        return {}
    from lcnkit.raster.far_grid import far_grids

    return far_grids(silent)


def links_of(chip_id: str, item: Item, asset_key: str) -> LabelLinks | None:
    """What a label of a chip that is not made links to; ``None`` where it links to nothing, or nobody knows where it lies."""
    hrefs = source_hrefs(item)
    outline = outline_of(chip_id, item, asset_key) if hrefs else None
    return None if outline is None else LabelLinks(chip_id, outline, hrefs)


def outline_of(chip_id: str, item: Item, asset_key: str) -> Geometry | None:
    """Where a chip that is not made lies: what its footprint would be; ``None`` where nobody knows."""
    from lcnkit.geometry import geometry_of

    outline = geometry_of(item.document)
    if outline is not None or asset_key not in item.assets:
        return outline
    try:
        grid = _declared_grid(item, asset_key) or _stored_grid(chip_id, resolve(str(item.assets[asset_key].get("href", "")), item.href))
        return _footprint(chip_id, item, grid)
    except ChipError:
        return None


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
    from lcnkit.geometry import cut_at_180, geometry_of

    published = geometry_of(item.document)
    if published is not None:
        return published

    import shapely
    from rasterio._err import CPLE_BaseError  # what GDAL says of a CRS is passed on as it is
    from rasterio.errors import RasterioError
    from rasterio.warp import transform

    xs, ys = grid.corners
    try:
        return cut_at_180(shapely.Polygon(zip(*transform(grid.crs, "EPSG:4326", xs, ys), strict=True)))
    except (RasterioError, CPLE_BaseError, ValueError) as error:
        raise BadLabel(f"Chip {chip_id}: its CRS {grid.crs[:60]} cannot be brought to lon/lat. Give the label item a geometry.") from error

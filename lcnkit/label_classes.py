"""The classes of a chip: its label raster as a model is to see it, and what the classes are called."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from lcnkit.errors import BadLabel, ChipError, UnreachableAsset
from lcnkit.model import Asset, Chip, Grid, Item
from lcnkit.model.href import is_url
from lcnkit.raster.planes import good
from lcnkit.settings import LabelOptions

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lcnkit.raster.plain_tiff import PlainTiff


@dataclass(frozen=True)
class _Stored:
    """Bands of a label raster."""

    bands: Sequence[NDArray[Any]]
    """Shape ``(y, x)`` each, as stored; the first holds the classes."""
    nodata: float | None
    """Of the classes, as the file declares it."""


def read_classes(chip: Chip, options: LabelOptions) -> NDArray[np.int64]:
    """The classes of a chip, int64, shape ``chip.grid.shape``.

    Raises:
        BadLabel: The raster cannot be read, lacks a band, no longer lies on the chip's grid, or holds what is no class.
        UnreachableAsset: The server that has it did not answer, or not well.
    """
    need = [options.band] + ([options.consensus_band] if options.min_consensus is not None else [])
    stored = _far_bands(chip, need) if is_url(chip.label_href) else _near_bands(chip, need)
    consensus = stored.bands[1] if len(need) > 1 else None
    return classes_of(stored.bands[0], consensus, options, stored.nodata, f"Chip {chip.id}: {chip.label_href}")


def _near_bands(chip: Chip, need: Sequence[int]) -> _Stored:
    """Bands of a label raster on disk."""
    from lcnkit.raster.plain_tiff import read_plain

    plain = read_plain(chip.label_href, chip.grid)
    return _of_plain(plain, need) or _read_bands(chip, need, None)


def _far_bands(chip: Chip, need: Sequence[int]) -> _Stored:
    """Bands of a label raster on a server; the runs of a sweep ask for it once."""
    from lcnkit.raster import plane_cache
    from lcnkit.raster.plain_tiff import plain_of
    from lcnkit.raster.planes import Plane

    kept = plane_cache.current()
    key = plane_cache.key_of(Asset(chip.item_id, f"label bands {list(need)}", chip.label_href, {}), chip.grid, "nearest")
    (plane,) = kept.get([key]) if kept else (None,)
    if plane is None:
        content = _content(chip)
        stored = _of_plain(None if content is None else plain_of(content, chip.grid), need) or _read_bands(chip, need, content)
        plane = Plane(np.stack(stored.bands), np.ones((len(need), *chip.grid.shape), dtype=bool), stored.nodata)
        if kept:
            kept.put({key: plane})
    return _Stored(list(plane.values), plane.nodata)


def _of_plain(plain: PlainTiff | None, need: Sequence[int]) -> _Stored | None:
    """The bands; ``None`` where GDAL has to read them (or to say what is wrong)."""
    if plain is None or max(need) > len(plain.values):
        return None
    return _Stored([plain.values[band - 1] for band in need], plain.nodata)


def _content(chip: Chip) -> bytes | None:
    """The label raster from a web server, where it can be had in one request."""
    from lcnkit.raster.whole_file import whole_file

    try:
        return whole_file(chip.label_href, chip.grid, "label", colours=True)
    except OSError as error:
        raise unreadable_label(chip.id, chip.label_href, error) from error


def _read_bands(chip: Chip, need: Sequence[int], content: bytes | None) -> _Stored:
    """Bands of the label raster through GDAL, which says best what is wrong with a file."""
    from rasterio.errors import RasterioError

    from lcnkit.raster.gdal import gdal, read_bytes, read_raster

    def read(dataset: Any) -> _Stored:
        missing = [band for band in need if band > dataset.count]
        if missing:
            raise BadLabel(
                f"Chip {chip.id}: {chip.label_href} has {dataset.count} band{'s' if dataset.count > 1 else ''}, no band {missing[0]}. "
                "Choose with label.band (classes) and label.consensus_band (label.min_consensus=null needs none)."
            )
        if dataset.crs is None or not Grid.from_dataset(dataset).matches(chip.grid):
            raise BadLabel(f"Chip {chip.id}: the grid of {chip.label_href} is not the one its item declares (proj:*). Correct the item.")
        return _Stored(list(dataset.read(need)), dataset.nodatavals[need[0] - 1])

    try:
        with gdal():
            return read_raster(chip.label_href, read) if content is None else read_bytes(content, read)
    except RasterioError as error:
        raise unreadable_label(chip.id, chip.label_href, error) from error


def classes_of(
    stored: NDArray[Any], consensus: NDArray[Any] | None, options: LabelOptions, nodata: float | None = None, name: str = "The label raster"
) -> NDArray[np.int64]:
    """Stored classes as a model is to see them: first what is ignored, then the new numbers.

    Args:
        nodata: As the file declares it. Among floats it is ignored, as NaN is; among integers it is a class like any other, which
            ``options.ignore`` leaves out: LandCoverNet's is 0, its "No Data".
        name: What the message begins with.

    Raises:
        BadLabel: A value that is not ignored is no whole number, or none that int64 holds.
    """
    ignored = np.isin(stored, options.ignore) if options.ignore else np.zeros(stored.shape, dtype=bool)
    if np.issubdtype(stored.dtype, np.floating):
        ignored |= ~good(stored, nodata)
    if consensus is not None:
        ignored |= ~(consensus >= options.min_consensus)  # an unknown score (NaN) is none
    if not np.can_cast(stored.dtype, np.int64):
        stored = np.where(ignored, 0, stored)
        _refuse_others_than_classes(stored, name)
    classes = stored.astype("int64")
    for old, new in options.remap.items():
        classes[stored == old] = new
    classes[ignored] = options.ignore_index
    return classes


def _refuse_others_than_classes(stored: NDArray[Any], name: str) -> None:
    wrong = (stored != np.trunc(stored)) | (stored < -(2**63)) | (stored >= 2**63)
    if wrong.any():
        raise BadLabel(
            f"{name} holds {stored[wrong][0]!s} in {wrong.sum()} of {wrong.size} pixels; a class must be a whole number that int64 holds. "
            "Choose the band of classes with label.band, leave whole numbers out with label.ignore=[VALUE], or correct the file."
        )


def class_names(item: Item, asset: str) -> dict[int, str]:
    """Class names of a label item: ``file:values`` of its raster, else ``label:classes`` by position; what cannot be read is left out."""
    names: dict[int, str] = {}
    fields = item.assets.get(asset)
    for entry in _objects(fields.get("file:values")) if isinstance(fields, dict) else []:
        # LandCoverNet writes `value`; the file extension says `values`.
        values = entry["values"] if entry.get("values") is not None else entry.get("value")
        for value in values if isinstance(values, list) else [values]:
            number = _stored_class(value)
            if number is not None:
                names[number] = str(entry.get("summary", value))
    if not names:
        for group in _objects(item.properties.get("label:classes")):
            classes = group.get("classes")
            named = classes if isinstance(classes, list) else []
            names = names or {value: entry for value, entry in enumerate(named) if isinstance(entry, str)}
    return names


def names_shown(names: Mapping[int, str], options: LabelOptions) -> dict[int, str]:
    """Class names by the number that a model is to see, of those by stored class; classes that become one share a name, ``Woody, Crops``.

    A class that is ignored keeps its name as long as no other has its number.
    """
    taken = {options.remap.get(value, value) for value in names if value not in options.ignore}
    shown: dict[int, list[str]] = {}
    for value, name in names.items():
        if value not in options.ignore:
            shown.setdefault(options.remap.get(value, value), []).append(name)
        elif value not in taken:
            shown[value] = [name]
    return {value: ", ".join(dict.fromkeys(each)) for value, each in shown.items()}


def _objects(value: Any) -> list[dict[str, Any]]:
    """The objects in a list; one that stands alone counts too."""
    return [entry for entry in (value if isinstance(value, list) else [value]) if isinstance(entry, dict)]


def _stored_class(value: Any) -> int | None:
    """The class that a number, or the text of one, means; ``None`` where it means none."""
    try:
        number = int(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return None if isinstance(value, float) and number != value else number


def unreadable_label(chip_id: str, href: str, error: BaseException) -> ChipError:
    """The error for a label raster that cannot be read."""
    from lcnkit.raster.gdal import is_passing

    cause = " ".join(str(error.__cause__ or error).split())
    what = f"Chip {chip_id}: cannot read the label raster {href}: {cause}"
    if is_passing(error):
        return UnreachableAsset(f"{what}. The server may answer later: run again in the same folder to try what is missing.")
    return BadLabel(f"{what} Fetch it again, or leave the chip out with chips=[...].")

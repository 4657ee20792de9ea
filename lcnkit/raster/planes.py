"""Planes: one band of one item on the chip's grid, and how they become an image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from lcnkit.model import Grid, Image

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Plane:
    """One band of one item."""

    values: NDArray[np.generic]
    """Shape ``(y, x)``, as stored."""
    mask: NDArray[np.bool_] | None
    """Same shape, ``True`` where the data are good; ``None`` where values alone tell (`good`)."""
    nodata: float | None
    """As the file declares it."""

    @property
    def valid(self) -> NDArray[np.bool_]:
        """Same shape; ``True`` where the data are good."""
        return good(self.values, self.nodata) if self.mask is None else self.mask


def plane_of(values: NDArray[np.generic], nodata: float | None) -> Plane:
    """A plane whose good pixels are those that are neither nodata nor NaN."""
    return Plane(values, None, nodata)


def good(values: NDArray[np.generic], nodata: float | None) -> NDArray[np.bool_]:
    """``True`` where values are neither nodata nor NaN; any shape."""
    is_float = np.issubdtype(values.dtype, np.floating)
    valid: NDArray[np.bool_]
    if nodata is None or np.isnan(nodata):
        valid = ~np.isnan(values) if is_float else np.ones(values.shape, dtype=bool)
    else:
        valid = values != values.dtype.type(nodata) if holds(values.dtype, nodata) else np.ones(values.shape, dtype=bool)
        if is_float:
            valid &= ~np.isnan(values)
    return valid


def holds(dtype: np.dtype[Any], value: float) -> bool:
    """Whether a nodata value can occur in the dtype at all (files do declare -9999 for uint16)."""
    if not np.issubdtype(dtype, np.integer):
        return True
    limits = np.iinfo(dtype)
    return limits.min <= value <= limits.max and value == int(value)


def fill_of(dtype: np.dtype[Any], nodata: float | None) -> Any:
    """The value of pixels that are not valid: nodata, or 0 where there is none that the dtype can hold."""
    return dtype.type(nodata) if nodata is not None and holds(dtype, nodata) else dtype.type(0)


def image_of(planes: Sequence[Sequence[Plane]], bands: Sequence[str], published: Sequence[Sequence[Mapping[str, Any]]], grid: Grid) -> Image:
    """Planes by item and band as one image.

    Args:
        planes: One list per item, in the order of ``bands``.
        published: The assets' ``raster_band`` fields, likewise: scale and offset are taken from there.
    """
    flat = [plane for row in planes for plane in row]
    dtype = np.result_type(*{plane.values.dtype for plane in flat}) if flat else np.dtype("float32")
    shape = (len(planes), len(bands), *grid.shape)
    values = np.empty(shape, dtype=dtype)
    for time, row in enumerate(planes):
        for band, plane in enumerate(row):
            values[time, band] = plane.values
    declared = {plane.nodata for plane in flat}
    if len(declared) == 1 and all(plane.mask is None and plane.values.dtype == dtype for plane in flat):
        valid = good(values, flat[0].nodata)  # in one go
    else:
        valid = np.empty(shape, dtype=bool)
        for time, row in enumerate(planes):
            for band, plane in enumerate(row):
                valid[time, band] = plane.valid
    # One nodata value speaks for the image only where every file says the same; else the mask alone does.
    nodata = declared.pop() if len(declared) == 1 else None
    if np.issubdtype(dtype, np.floating):
        nodata = float("nan")
        values[~valid] = nodata
    elif nodata is not None and not holds(dtype, nodata):
        nodata = None
    scale, offset = _scaling(published, shape[:2])
    return Image(values, valid, tuple(bands), nodata, scale=scale, offset=offset)


def _scaling(published: Sequence[Sequence[Mapping[str, Any]]], shape: tuple[int, int]) -> tuple[Any, Any]:
    if not any("scale" in entry or "offset" in entry for row in published for entry in row):
        return None, None
    scale, offset = np.ones(shape), np.zeros(shape)
    for time, row in enumerate(published):
        for band, entry in enumerate(row):
            scale[time, band] = entry.get("scale", 1.0)
            offset[time, band] = entry.get("offset", 0.0)
    return scale, offset

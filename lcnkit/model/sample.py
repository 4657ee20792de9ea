"""A sample: the images of a chip, its label, and what both are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from lcnkit.model.grid import Grid

if TYPE_CHECKING:
    import xarray as xr
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Frame:
    """One time step of an image: the acquisition it shows, or a period that has none."""

    period: int
    """1-based, that of the acquisition; 0 of a missing frame where the strategy does not choose by period."""
    time: np.datetime64
    """UTC, ns. The acquisition's instant; of a missing frame, the middle of its period."""
    item_id: str = ""
    """Empty where the frame is missing."""
    item_href: str = ""
    """Where the catalog finds the item again: relative to the catalog's root, or absolute."""
    cloud_cover: float = float("nan")
    """Percent, 0 to 100; NaN unknown."""

    @property
    def missing(self) -> bool:
        """True where the period has no acquisition and the frame holds no data."""
        return not self.item_id

    def __reduce__(self) -> tuple[Any, ...]:
        # A run pickles five of them a chip; numpy's own way of pickling an instant takes most of the time.
        return _frame, (self.period, int(self.time.astype("datetime64[ns]").view("int64")), self.item_id, self.item_href, self.cloud_cover)


def _frame(period: int, time: int, item_id: str, item_href: str, cloud_cover: float) -> Frame:
    return Frame(period, np.datetime64(time, "ns"), item_id, item_href, cloud_cover)


@dataclass(frozen=True)
class Image:
    """Pixels of one source on the chip's grid."""

    values: NDArray[np.generic]
    """Shape ``(time, band, y, x)``, rows from the chip's first to its last (north up for LandCoverNet)."""
    valid: NDArray[np.bool_]
    """``True`` where ``values`` are good data, same shape; the opposite of a numpy mask."""
    bands: tuple[str, ...]
    """Names along the second axis."""
    nodata: float | None = None
    """The stored value of pixels that are not valid, as far as there is one (NaN in float images)."""
    attrs: Mapping[str, Any] = field(default_factory=dict)
    """More about the values, for people: units, scaling."""
    scale: NDArray[np.float64] | None = None
    """As published by the source (STAC ``raster:bands``), shape ``(time, band)``: ``value * scale + offset``
    is the physical quantity. 1 where an item publishes none; ``None`` where no item does."""
    offset: NDArray[np.float64] | None = None
    """See ``scale``; 0 where an item publishes none."""

    derived: tuple[str, ...] = ()
    """Bands that a transform computed (indices): they have no unit, and scaling leaves them alone."""

    def __post_init__(self) -> None:
        if self.values.ndim != 4 or self.values.shape[1] != len(self.bands) or self.valid.shape != self.values.shape:
            raise ValueError(
                f"an image needs values (time, band, y, x) for its {len(self.bands)} bands and a mask of the same "
                f"shape; it has values {self.values.shape} and a mask {self.valid.shape}"
            )


def valid_of(values: NDArray[np.generic], nodata: float | None, missing: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The mask as far as values tell it: neither NaN nor ``nodata``, and in no missing frame (shape ``(time,)``)."""
    valid: NDArray[np.bool_]
    if np.issubdtype(values.dtype, np.floating):
        valid = ~np.isnan(values)
    elif nodata is None or not float(nodata).is_integer():
        valid = np.ones(values.shape, dtype=bool)
    else:
        valid = np.not_equal(values, int(nodata))
    valid[missing] = False
    return valid


@dataclass(frozen=True)
class Sample:
    """Everything about one chip that a model trains on."""

    chip_id: str
    label_item_id: str
    grid: Grid
    images: Mapping[str, Image]
    """By source name; `image` is the only one where there is one."""
    frames: Mapping[str, tuple[Frame, ...]]
    """By source name; one entry per step of the image's first axis."""
    classes: NDArray[np.int64]
    """Class per pixel, shape ``(y, x)``."""
    attrs: Mapping[str, Any] = field(default_factory=dict)
    """About the label: ``ignore_index``, class names."""

    @property
    def source(self) -> str:
        """The name of the only source.

        Raises:
            ValueError: There are several: take the one you mean from ``images``.
        """
        if len(self.images) != 1:
            raise ValueError(f"chip {self.chip_id} has images of {', '.join(self.images)}: choose one with `.images[name]`")
        return next(iter(self.images))

    @property
    def image(self) -> xr.DataArray:
        """The only source's image, dimensions ``(time, band, y, x)``."""
        return self.image_of(self.source)

    @property
    def label(self) -> xr.DataArray:
        """The classes, int64, dimensions ``(y, x)``."""
        import xarray as xr

        return xr.DataArray(*self.label_parts())

    def image_of(self, source: str) -> xr.DataArray:
        """One source's image as an xarray DataArray; `image_parts` says what is in it."""
        import xarray as xr

        return xr.DataArray(*self.image_parts(source))

    def image_parts(self, source: str) -> tuple[Any, dict[str, Any], tuple[str, ...], str, dict[str, Any]]:
        """``(data, coords, dims, name, attrs)`` of the image, the arguments of ``xarray.DataArray``.

        Given as parts so that a worker can write an image without importing xarray.
        ``x`` and ``y`` are pixel centres; ``spatial_ref`` holds the CRS the way rioxarray reads it. Pixels that are
        not valid hold NaN or ``attrs["nodata"]``; where neither can tell them from data (stored integers whose files
        declare no nodata value, or several), there is a coordinate ``valid`` of the image's shape.
        """
        image, frames = self.images[source], self.frames[source]
        coords: dict[str, Any] = {
            "time": ("time", np.array([frame.time for frame in frames], dtype="datetime64[ns]")),
            "band": ("band", np.array(image.bands)),
            **self._axes(),
            "period": ("time", np.array([frame.period for frame in frames], dtype="int64")),
            "item_id": ("time", np.array([frame.item_id for frame in frames], dtype=str)),
            "cloud_cover": ("time", np.array([frame.cloud_cover for frame in frames], dtype="float64"), {"units": "percent"}),
            "missing": ("time", np.array([frame.missing for frame in frames], dtype=bool)),
        }
        attrs: dict[str, Any] = {"chip_id": self.chip_id, "source": source, **image.attrs}
        if image.nodata is not None and not np.isnan(image.nodata):
            attrs["nodata"] = image.nodata
        dims = ("time", "band", "y", "x")
        is_float = np.issubdtype(image.values.dtype, np.floating)  # there, NaN tells
        if not is_float and not np.array_equal(valid_of(image.values, image.nodata, coords["missing"][1]), image.valid):
            coords["valid"] = (dims, image.valid)
        return image.values, coords, dims, "image", attrs

    def label_parts(self) -> tuple[Any, dict[str, Any], tuple[str, ...], str, dict[str, Any]]:
        """``(data, coords, dims, name, attrs)`` of the label, the arguments of ``xarray.DataArray``."""
        attrs = {"chip_id": self.chip_id, "item_id": self.label_item_id, **self.attrs}
        return self.classes, self._axes(), ("y", "x"), "label", attrs

    def _axes(self) -> dict[str, Any]:
        from lcnkit.model.crs import spatial_ref

        geographic = spatial_ref(self.grid.crs)["is_geographic"]
        x_name, y_name = ("longitude", "latitude") if geographic else ("projection_x_coordinate", "projection_y_coordinate")
        units = ("degrees_east", "degrees_north") if geographic else ("metre", "metre")
        a, b, c, d, e, f = self.grid.transform
        return {
            "y": ("y", self.grid.y, {"standard_name": y_name, "units": units[1]}),
            "x": ("x", self.grid.x, {"standard_name": x_name, "units": units[0]}),
            # GeoTransform is GDAL's order, as rioxarray writes it: c a b f d e.
            "spatial_ref": ((), np.int64(0), {**spatial_ref(self.grid.crs)["attrs"], "GeoTransform": f"{c} {a} {b} {f} {d} {e}"}),
        }

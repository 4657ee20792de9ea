"""Transform: normalised differences, added as bands."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from lcnkit.contracts import Transform
from lcnkit.errors import ChipError, ConfigError, listing
from lcnkit.hookspecs import hookimpl
from lcnkit.model import Image

if TYPE_CHECKING:
    from numpy.typing import NDArray

# A band that scale and offset bring to 0 is 1e-8 or so off in float32, on either side.
_ROUNDING = 1e-5


@dataclass(frozen=True, kw_only=True)
class Index(Transform):
    """Add normalised differences ``(a - b) / (a + b)`` of two bands, -1 to 1, after the bands there are.

    Not valid where both are 0, or their signs differ: an offset makes dark pixels negative, and of 0.004 and -0.005 comes -9.
    """

    bands: dict[str, list[str]] = field(default_factory=dict)
    """Name of the new band: the two bands a and b, {NDWI:[B03,B08]}. Left empty: NDVI of Sentinel-2, {NDVI:[B08,B04]}."""

    def __post_init__(self) -> None:
        if not self.bands:  # a default in the field itself would be merged with the user's choice
            object.__setattr__(self, "bands", {"NDVI": ["B08", "B04"]})
        for name, pair in self.bands.items():
            if len(pair) != 2 or pair[0] == pair[1]:
                raise ConfigError(f"transform.index.bands.{name} is {list(pair)}; it must name two different bands: {{{name}:[B08,B04]}}")

    def apply(self, image: Image) -> Image:
        """See `lcnkit.contracts.Transform.apply`."""
        values, valid = [image.values.astype("float32")], [image.valid]
        if not image.valid.all():
            values[0][~image.valid] = np.nan
        for name, (first, second) in self.bands.items():
            if name in image.bands:
                raise ChipError(f"The index {name} has the name of a band that the image has already; call it something else.")
            a, b = (self._position(image, band, name) for band in (first, second))
            good = image.valid[:, a] & image.valid[:, b]
            plus, minus = self._physical(image, a), self._physical(image, b)
            with np.errstate(divide="ignore", invalid="ignore"):
                ratio = (plus - minus) / (plus + minus)
                good &= np.abs(ratio) <= 1 + _ROUNDING  # NaN where both bands are 0
            np.clip(ratio, -1, 1, out=ratio)
            ratio[~good] = np.nan
            values.append(ratio[:, None])
            valid.append(good[:, None])
        names = tuple(self.bands)
        extra = (image.values.shape[0], len(names))
        return dataclasses.replace(
            image,
            values=np.concatenate(values, axis=1),
            valid=np.concatenate(valid, axis=1),
            bands=(*image.bands, *names),
            derived=(*image.derived, *names),
            nodata=float("nan"),
            scale=None if image.scale is None else np.concatenate([image.scale, np.ones(extra)], axis=1),
            offset=None if image.offset is None else np.concatenate([image.offset, np.zeros(extra)], axis=1),
        )

    def _physical(self, image: Image, band: int) -> NDArray[np.float32]:
        """Values with the offset that the source publishes taken into account; a common scale alone would cancel out."""
        values = image.values[:, band].astype("float32")
        if image.scale is not None:
            values *= image.scale[:, band, None, None].astype("float32")
        if image.offset is not None:
            values += image.offset[:, band, None, None].astype("float32")
        return values

    def _position(self, image: Image, band: str, name: str) -> int:
        if band not in image.bands:
            raise ChipError(f"The index {name} needs the band {band!r}; the image has {listing(image.bands)}. Add it to `bands=[...]`.")
        return image.bands.index(band)


@hookimpl
def lcnkit_transform() -> dict[str, type[Index]]:
    """Offer the transform."""
    return {"index": Index}

"""Transform: stored values to float32, scaled, clipped, nodata as NaN."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np

from lcnkit.contracts import Transform
from lcnkit.errors import ChipError, ConfigError
from lcnkit.hookspecs import hookimpl
from lcnkit.model import Image


@dataclass(frozen=True, kw_only=True)
class Reflectance(Transform):
    """Divide by ``scale`` and clip; what is not valid becomes NaN. float32."""

    scale: float = 4000.0
    """Stored values are divided by this. 4000 is the LandCoverNet tutorial's: Sentinel-2 stores reflectance
    times 10000, and most land is darker than 0.4."""
    clip: tuple[float, float] | None = (0.0, 1.0)
    """Lowest and highest value that is kept; null: no limits."""
    stac: bool = False
    """Use each item's own scale and offset (STAC raster:bands) instead of scale: value * scale + offset."""

    def __post_init__(self) -> None:
        if self.scale == 0:
            raise ConfigError("transform.reflectance.scale is 0; values are divided by it, so give another number (4000)")
        if self.clip is not None and self.clip[0] >= self.clip[1]:
            raise ConfigError(f"transform.reflectance.clip is {list(self.clip)}; the first value must be the smaller one")

    def apply(self, image: Image) -> Image:
        """See `lcnkit.contracts.Transform.apply`."""
        stored = [band not in image.derived for band in image.bands]
        if all(stored):
            values = self._scaled(image)
        else:
            values = image.values.astype("float32")
            values[:, stored] = self._scaled(image)[:, stored]
        if not image.valid.all():
            np.copyto(values, np.float32("nan"), where=~image.valid)
        return dataclasses.replace(image, values=values, nodata=float("nan"), scale=None, offset=None)

    def _scaled(self, image: Image) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
        values = image.values.astype("float32")
        if not self.stac:
            values /= np.float32(self.scale)
        elif image.scale is None or image.offset is None:
            raise ChipError(
                "transform.reflectance.stac=true needs scale and offset in the items' raster:bands, and these have none. "
                "Give the divisor instead: transform.reflectance.stac=false transform.reflectance.scale=10000"
            )
        else:
            per_plane = (slice(None), slice(None), None, None)
            values *= image.scale[per_plane].astype("float32")
            values += image.offset[per_plane].astype("float32")
        if self.clip is not None:
            np.clip(values, *np.asarray(self.clip, dtype="float32"), out=values)
        return values


@hookimpl
def lcnkit_transform() -> dict[str, type[Reflectance]]:
    """Offer the transform."""
    return {"reflectance": Reflectance}

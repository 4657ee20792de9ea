"""The grid of a chip: where its pixels lie."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: Two grids are the same when no corner lies further apart than this share of a pixel. A hundredth of
#: a pixel is 10 cm at 10 m: above the rounding of published transforms, far under a visible shift.
PIXEL_TOLERANCE = 0.01


@dataclass(frozen=True)
class Grid:
    """CRS, affine transform and shape: what odc-geo calls a geobox."""

    crs: str
    """``EPSG:code`` where the CRS has one, else WKT."""
    transform: tuple[float, float, float, float, float, float]
    """Affine coefficients ``(a, b, c, d, e, f)`` as in rasterio: ``x = a * column + b * row + c`` and
    ``y = d * column + e * row + f``, for the *corner* of a pixel."""
    shape: tuple[int, int]
    """``(height, width)`` in pixels."""

    @property
    def is_rectilinear(self) -> bool:
        """Whether rows and columns run along the axes of the CRS (no rotation, no shear)."""
        return self.transform[1] == 0 and self.transform[3] == 0

    @property
    def resolution(self) -> tuple[float, float]:
        """Size of a pixel ``(x, y)`` in CRS units, both positive."""
        a, b, _, d, e, _ = self.transform
        return float(np.hypot(a, d)), float(np.hypot(b, e))

    @cached_property
    def bounds(self) -> tuple[float, float, float, float]:
        """``(left, bottom, right, top)`` in CRS units, around all four corners."""
        xs, ys = self.corners
        return min(xs), min(ys), max(xs), max(ys)

    @cached_property
    def corners(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """X and y of the four corners, in CRS units."""
        a, b, c, d, e, f = self.transform
        height, width = self.shape
        pixels = ((0, 0), (width, 0), (width, height), (0, height))
        return (
            tuple(a * col + b * row + c for col, row in pixels),
            tuple(d * col + e * row + f for col, row in pixels),
        )

    @property
    def x(self) -> NDArray[np.float64]:
        """X of the pixel *centres* of the first row, shape ``(width,)``, in CRS units."""
        a, b, c, *_ = self.transform
        return np.asarray(c + 0.5 * b + a * (np.arange(self.shape[1]) + 0.5), dtype="float64")

    @property
    def y(self) -> NDArray[np.float64]:
        """Y of the pixel *centres* of the first column, shape ``(height,)``, in CRS units."""
        _, _, _, d, e, f = self.transform
        return np.asarray(f + 0.5 * d + e * (np.arange(self.shape[0]) + 0.5), dtype="float64")

    def matches(self, other: Grid) -> bool:
        """Whether both put every pixel at the same place (CRS, shape, corners within a hundredth of a pixel)."""
        if self.shape != other.shape or self.crs != other.crs:
            return False
        near = PIXEL_TOLERANCE * min(self.resolution)
        return bool(np.allclose(self.corners, other.corners, rtol=0, atol=near))

    def corner_of(self, other: Grid) -> tuple[int, int] | None:
        """Row and column of the first pixel of ``other``, where its pixels are some of these; else ``None``.

        They may lie outside: a row or column is negative, or beyond the last.
        """
        a, _, c, _, e, f = self.transform
        if self.crs != other.crs or not self.is_rectilinear or not other.is_rectilinear:
            return None
        height, width = other.shape
        drift = max(abs(other.transform[0] - a) * width, abs(other.transform[4] - e) * height)
        column, row = (other.transform[2] - c) / a, (other.transform[5] - f) / e
        shift = max(abs(column - round(column)), abs(row - round(row)))
        fits = drift < PIXEL_TOLERANCE * abs(a) and shift < PIXEL_TOLERANCE
        return (round(row), round(column)) if fits else None

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON; `from_dict` reads them back."""
        return {"crs": self.crs, "transform": list(self.transform), "shape": list(self.shape)}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Grid:
        """The grid that `as_dict` described."""
        a, b, c, d, e, f = (float(value) for value in values["transform"][:6])
        height, width = (int(value) for value in values["shape"])
        return cls(str(values["crs"]), (a, b, c, d, e, f), (height, width))

    @classmethod
    def from_dataset(cls, dataset: Any) -> Grid:
        """The grid of an open rasterio dataset. Its ``crs`` must not be ``None``."""
        code = dataset.crs.to_epsg()
        a, b, c, d, e, f = tuple(dataset.transform)[:6]
        return cls(
            f"EPSG:{code}" if code else dataset.crs.to_wkt(),
            (a, b, c, d, e, f),
            (dataset.height, dataset.width),
        )

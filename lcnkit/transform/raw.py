"""Transform: nothing; the values as stored."""

from __future__ import annotations

from dataclasses import dataclass

from lcnkit.contracts import Transform
from lcnkit.hookspecs import hookimpl
from lcnkit.model import Image


@dataclass(frozen=True, kw_only=True)
class Raw(Transform):
    """Keep values as stored: source dtype, nodata kept (in float images nodata is NaN)."""

    def apply(self, image: Image) -> Image:
        """See `lcnkit.contracts.Transform.apply`."""
        return image


@hookimpl
def lcnkit_transform() -> dict[str, type[Raw]]:
    """Offer the transform."""
    return {"raw": Raw}

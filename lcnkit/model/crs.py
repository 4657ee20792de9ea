"""What a CRS means, looked up once per process."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_KNOWN: dict[str, dict[str, Any]] = {}


def spatial_ref(crs: str) -> dict[str, Any]:
    """The attributes of a CF grid-mapping variable for ``crs``, and whether its axes are degrees."""
    if crs not in _KNOWN:
        from rasterio.crs import CRS

        parsed = CRS.from_user_input(crs)
        wkt = parsed.to_wkt()
        _KNOWN[crs] = {"is_geographic": parsed.is_geographic, "attrs": {"crs_wkt": wkt, "spatial_ref": wkt}}
    return _KNOWN[crs]


def remember(found: Mapping[str, dict[str, Any]]) -> None:
    """Take what `spatial_ref` gave by CRS in another process: rasterio, which takes a tenth of a second to load, is not needed here then."""
    for crs, known in found.items():
        _KNOWN.setdefault(crs, known)

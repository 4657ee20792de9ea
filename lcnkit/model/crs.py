"""What a CRS means, looked up once per process."""

from __future__ import annotations

from functools import lru_cache
from typing import Any


@lru_cache(maxsize=256)
def spatial_ref(crs: str) -> dict[str, Any]:
    """The attributes of a CF grid-mapping variable for ``crs``, and whether its axes are degrees."""
    from rasterio.crs import CRS

    parsed = CRS.from_user_input(crs)
    wkt = parsed.to_wkt()
    return {"is_geographic": parsed.is_geographic, "attrs": {"crs_wkt": wkt, "spatial_ref": wkt}}

"""An API's items as the rest of lcnkit wants them: assets by band name, with the scale and offset that hold."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

# Sentinel-2's reflectance bands; masks, water vapour and previews have no offset.
_REFLECTANCE = re.compile(r"B(0[1-9]|8A|1[0-2])")
_SCALE = 0.0001
_OFFSET_BASELINE, _OFFSET = (4, 0), -0.1


def by_band(assets: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    """Assets under their band names.

    Args:
        names: The API's asset key by band name; other assets keep their keys.
    """
    keys = {key: band for band, key in names.items() if key in assets}
    return {keys.get(key, key): fields for key, fields in assets.items() if key in keys or key not in names}


def with_baseline_offset(assets: Mapping[str, Any], properties: Mapping[str, Any]) -> dict[str, Any]:
    """Sentinel-2 L2A assets with ``raster:bands`` that turn stored values into reflectance.

    Since processing baseline 04.00 (January 2022) values are stored 1000 higher, so that dark pixels do not
    fall below zero. Providers publish the offset in different ways, wrongly, or not at all; the item's
    processing baseline decides. An item that does not say its baseline is left as it was published.

    Source: https://sentinels.copernicus.eu/web/sentinel/-/copernicus-sentinel-2-major-products-upgrade-upcoming
    (``BOA_ADD_OFFSET`` -1000, quantification value 10000); ``earthsearch:boa_offset_applied``: Earth Search has
    subtracted it from the pixels already.
    """
    offset = baseline_offset(properties)
    if offset is None:
        return dict(assets)
    made = dict(assets)
    for key, fields in assets.items():
        if _REFLECTANCE.fullmatch(key):
            published = (fields.get("raster:bands") or [{}])[0]
            made[key] = {**fields, "raster:bands": [{**published, "scale": _SCALE, "offset": offset}]}
    return made


def baseline_offset(properties: Mapping[str, Any]) -> float | None:
    """The offset of reflectance values: -0.1 from baseline 04.00 on, 0 before; ``None`` where the baseline is unknown."""
    if properties.get("earthsearch:boa_offset_applied") is True:
        return 0.0
    for name in ("s2:processing_baseline", "processing:version"):
        numbers = re.match(r"\D?(\d+)\.(\d+)", str(properties.get(name) or ""))
        if numbers:
            return _OFFSET if (int(numbers[1]), int(numbers[2])) >= _OFFSET_BASELINE else 0.0
    return None

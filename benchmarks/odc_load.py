"""Contender: `odc.stac.load` on the label's geobox, told the items."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import odc.stac
import pystac
import rasterio
from affine import Affine
from odc.geo.geobox import GeoBox

from benchmarks.products import product, scaled, write
from benchmarks.workers import in_processes

# Items of these archives do not say their data types.
_AS_STORED = {"*": {"assets": {"*": {"data_type": "uint16", "nodata": 0}}}}


def odc_load(jobs: Sequence[dict[str, Any]], bands: Sequence[str], processes: int, output: str) -> None:
    """Load every chip, scale, clip, write."""
    in_processes(_load_all, jobs, processes, bands, output)


def _load_all(part: int, jobs: Iterable[dict[str, Any]], bands: Sequence[str], output: str) -> None:
    odc.stac.configure_rio(cloud_defaults=True)
    with product(output, part) as file:
        for job in jobs:
            items = [pystac.Item.from_dict(item["document"]) for item in job["items"]]
            box = GeoBox(tuple(job["shape"]), Affine(*job["transform"]), job["crs"])
            loaded = odc.stac.load(items, bands=list(bands), geobox=box, groupby="id", stac_cfg=_AS_STORED)
            stored = np.stack([loaded[band].values for band in bands], axis=1)
            with rasterio.open(job["label"]) as raster:
                classes = raster.read(1).astype("int64")
            write(file, (job["chip"], scaled(stored, stored != 0), classes))

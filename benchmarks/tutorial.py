"""Contender: the tutorial's way, written plainly from the documentation of its libraries.

pystac items, `stackstac.stack` on the label's bounds, scale, clip, one Dask task a chip, and all pixels back to the client, which
pickles the list. Two of its faults are left out so that the same pixels come of it: dates are chosen as lcnkit chooses them,
and items of neighbours are left aside. A chip whose items do not say their cloud cover is told its items: the tutorial would search for ever.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dask
import numpy as np
import pystac
import pystac_client
import rasterio
import stackstac
from dask.distributed import Client, LocalCluster

from benchmarks.products import SCALE, write

_FIRST_DAY, _DAYS, _PERIODS = datetime(2018, 1, 1, tzinfo=UTC), 365, 5


def tutorial(jobs: Sequence[dict[str, Any]], bands: Sequence[str], workers: int, api: str | None, output: str) -> None:
    """The tutorial, with its searches where there is an ``api``, else told the items."""
    with LocalCluster(n_workers=workers, threads_per_worker=1, dashboard_address=None) as cluster, Client(cluster):
        made = dask.compute(*[dask.delayed(prepare_label)(job, list(bands), api) for job in jobs])
    with (Path(output) / "product-0.pkl").open("wb") as file:
        for sample in made:
            write(file, sample)


def prepare_label(job: dict[str, Any], bands: list[str], api: str | None) -> tuple[str, np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """One chip."""
    searched = api is not None and not job["masks"]
    items = _searched(job, str(api)) if searched else [pystac.Item.from_dict(item["document"]) for item in job["items"]]
    step, _, left, _, _, top = job["transform"]
    height, width = job["shape"]
    stack = stackstac.stack(
        items,
        assets=bands,
        epsg=int(job["crs"].removeprefix("EPSG:")),
        resolution=step,
        bounds=(left, top - height * step, left + width * step, top),
        rescale=False,
        sortby_date=False,
    )
    image = (stack / SCALE).clip(0, 1).astype("float32").compute(scheduler="synchronous")
    with rasterio.open(job["label"]) as raster:
        classes = raster.read(1).astype("int64")
    return job["chip"], image.values, classes


def _searched(job: dict[str, Any], api: str) -> list[pystac.Item]:
    """Per period, the least cloudy item; under 10 % cloud cover, 5 % more while there is none."""
    client = pystac_client.Client.open(api)
    chosen = []
    for period in range(_PERIODS):
        start, end = (_FIRST_DAY + timedelta(days=_DAYS * edge / _PERIODS) for edge in (period, period + 1))
        found: list[pystac.Item] = []
        limit = 10
        while not found:
            search = client.search(intersects=job["outline"], datetime=[start, end], query={"eo:cloud_cover": {"lt": limit}}, max_items=None)
            found = [item for item in search.items() if f"_{job['chip']}_" in item.id and start <= item.datetime < end]
            limit += 5
        least = min(item.properties["eo:cloud_cover"] for item in found)
        best = sorted((item for item in found if item.properties["eo:cloud_cover"] == least), key=lambda item: item.datetime)
        chosen.append(best[len(best) // 2])
    return chosen

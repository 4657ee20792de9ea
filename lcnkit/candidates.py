"""The candidate table: its columns, and how items become candidates of chips."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from lcnkit.errors import PluginError, listing
from lcnkit.periods import periods_of

if TYPE_CHECKING:
    import pandas as pd

    from lcnkit.model import Chip, Interval

#: Column, dtype, meaning. This is also the schema of ``selection.parquet``.
COLUMNS: dict[str, tuple[str, str]] = {
    "chip_id": ("str", "the chip"),
    "item_id": ("str", "the STAC item"),
    "collection": ("str", "the item's collection"),
    "source": ("str", "which of the run's sources"),
    "datetime": ("datetime64[ns, UTC]", "when it was acquired"),
    "cloud_cover": ("float64", "percent, 0 to 100; NaN unknown"),
    "cloud_source": ("str", "'metadata' or 'mask'; empty where unknown"),
    "coverage": ("float64", "fraction of the chip inside the item's footprint, to four decimals"),
    "period": ("int64", "1-based, 0 outside the interval"),
    "rank": ("int64", "1 is the best of its group, 0 was out of the question"),
    "selected": ("bool", "chosen"),
    "reason": ("str", "why, or why not"),
    "item_href": ("str", "where the item's JSON is: below the catalog's root, or absolute"),
    "interval_start": ("datetime64[ns, UTC]", "midnight of the chip's first day"),
    "interval_end": ("datetime64[ns, UTC]", "midnight after the chip's last day"),
    "n_periods": ("int64", "into how many equal parts the interval was cut"),
}

#: What a catalog's ``search`` answers; the rest is filled in by the run.
SEARCH_COLUMNS = ("chip_id", "item_id", "collection", "datetime", "cloud_cover", "coverage", "item_href")


def match(chips: Sequence[Chip], items: pd.DataFrame, min_coverage: float) -> pd.DataFrame:
    """Candidates: the items that cover each chip.

    Args:
        chips: Where imagery is wanted.
        items: One row per item with ``item_id``, ``collection``, ``datetime``, ``cloud_cover``, ``item_href``,
            ``geometry`` (shapely, lon/lat) and ``owner``: the id of the chip that the item was cut for, ``""`` where it
            is no chip. An item with an owner is a candidate of that chip only, however its neighbours overlap.
        min_coverage: Least fraction of the chip inside the item's footprint. 0 still needs a shared area.

    Returns:
        `SEARCH_COLUMNS`, sorted by chip (in the order given), time and item id.
    """
    import pandas as pd
    import shapely

    footprints = np.array([chip.footprint for chip in chips], dtype=object)
    geometry, owner = items["geometry"].to_numpy(dtype=object), items["owner"].to_numpy(dtype=object)
    position = {chip.id: number for number, chip in enumerate(chips)}
    owned = np.flatnonzero(owner != "")
    own_chip = np.array([position.get(chip_id, -1) for chip_id in owner[owned]], dtype="int64")
    free = np.flatnonzero(owner == "")
    hits = shapely.STRtree(footprints).query(geometry[free], predicate="intersects") if len(free) else np.empty((2, 0), dtype="int64")
    item_index = np.concatenate([owned[own_chip >= 0], free[hits[0]]])
    chip_index = np.concatenate([own_chip[own_chip >= 0], hits[1]])
    share = _coverage_of_pairs(footprints, geometry, chip_index, item_index)
    enough = (share > 0) & (share >= min_coverage)
    item_index, chip_index, share = item_index[enough], chip_index[enough], share[enough]
    table = items.drop(columns=["geometry", "owner"]).iloc[item_index].reset_index(drop=True)
    table.insert(0, "chip_id", np.array([chip.id for chip in chips], dtype=object)[chip_index])
    table["coverage"] = share
    order = pd.DataFrame({"chip": chip_index, "datetime": table["datetime"], "item_id": table["item_id"]})
    return table.loc[order.sort_values(["chip", "datetime", "item_id"]).index, list(SEARCH_COLUMNS)].reset_index(drop=True)


def _coverage_of_pairs(footprints: np.ndarray, geometry: np.ndarray, chip_index: np.ndarray, item_index: np.ndarray) -> np.ndarray:
    """Coverage of each pair; the items of a chip mostly share one outline, which is intersected once."""
    import pandas as pd
    import shapely

    from lcnkit.geometry import coverage

    if not len(item_index):
        return np.empty(0)
    outline, _ = pd.factorize(pd.Series(shapely.to_wkb(geometry)[item_index], dtype=object))
    pair = chip_index.astype("int64") * (int(outline.max()) + 1) + outline
    _, first, inverse = np.unique(pair, return_index=True, return_inverse=True)
    return coverage(footprints[chip_index[first]], geometry[item_index[first]])[inverse]


def complete(found: pd.DataFrame, source: str, intervals: dict[str, Interval], n_periods: int) -> pd.DataFrame:
    """The full candidate table of one source, before anything is chosen.

    Args:
        intervals: The interval of each chip by its id.

    Raises:
        PluginError: The catalog left out a column.
    """
    import pandas as pd

    missing = [name for name in SEARCH_COLUMNS if name not in found.columns]
    if missing:
        raise PluginError(f"The catalog's answer lacks the columns {listing(missing)}; see lcnkit.contracts.Catalog.search.")
    # An archive that was unpacked twice, or a catalog whose pages overlap, names an item twice.
    table = found.drop_duplicates(["chip_id", "item_id"]).reset_index(drop=True)
    cloud = pd.to_numeric(table["cloud_cover"], errors="coerce").astype("float64")
    table["cloud_cover"] = cloud.where(cloud.between(0, 100))
    starts = {chip: interval.start for chip, interval in intervals.items()}
    ends = {chip: interval.end for chip, interval in intervals.items()}
    table["datetime"] = pd.to_datetime(table["datetime"], utc=True, format="ISO8601").astype("datetime64[ns, UTC]")
    table["interval_start"] = pd.to_datetime(table["chip_id"].map(starts), utc=True).astype("datetime64[ns, UTC]")
    table["interval_end"] = pd.to_datetime(table["chip_id"].map(ends), utc=True).astype("datetime64[ns, UTC]")
    table["n_periods"] = n_periods
    table["period"] = periods_of(table)
    return table.assign(
        source=source,
        cloud_source=np.where(table["cloud_cover"].notna(), "metadata", ""),
        rank=0,
        selected=False,
        reason="",
    )[list(COLUMNS)].astype({name: kind for name, (kind, _) in COLUMNS.items() if kind != "str"})


def empty_search() -> pd.DataFrame:
    """A search result without a row."""
    import pandas as pd

    kinds = {"datetime": "datetime64[ns, UTC]", "cloud_cover": "float64", "coverage": "float64"}
    return pd.DataFrame({name: pd.Series(dtype=kinds.get(name, "object")) for name in SEARCH_COLUMNS})

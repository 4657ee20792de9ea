"""The candidate table: its columns, and how items become candidates of chips."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from lcnkit.errors import PluginError, listing
from lcnkit.periods import in_utc, periods_of

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

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
    geometry = items["geometry"].to_numpy(dtype=object)
    position = {chip.id: number for number, chip in enumerate(chips)}
    code, owners = pd.factorize(items["owner"].to_numpy(dtype=object))
    is_free = np.array([owner == "" for owner in owners], dtype=bool)[code]
    owned, free = np.flatnonzero(~is_free), np.flatnonzero(is_free)
    own_chip = np.array([position.get(owner, -1) for owner in owners], dtype="int64")[code[owned]]
    hits = shapely.STRtree(footprints).query(geometry[free], predicate="intersects") if len(free) else np.empty((2, 0), dtype="int64")
    item_index = np.concatenate([owned[own_chip >= 0], free[hits[0]]])
    chip_index = np.concatenate([own_chip[own_chip >= 0], hits[1]])
    share = _coverage_of_pairs(footprints, geometry, chip_index, item_index)
    enough = (share > 0) & (share >= min_coverage)
    item_index, chip_index, share = item_index[enough], chip_index[enough], share[enough]
    order = _order(chip_index, items["datetime"].iloc[item_index], items["item_id"].to_numpy(dtype=object)[item_index])
    item_index, chip_index, share = item_index[order], chip_index[order], share[order]
    made = {"chip_id": np.array([chip.id for chip in chips], dtype=object)[chip_index], "coverage": share}
    return pd.DataFrame({name: made[name] if name in made else items[name].array[item_index] for name in SEARCH_COLUMNS}, copy=False)


def _order(chip: NDArray[np.intp], times: pd.Series, item_id: NDArray[np.object_]) -> NDArray[np.intp]:
    """Positions by chip, time and item id; ids are looked at only where chip and time are the same: sorting texts takes long."""
    import pandas as pd

    moment, moments = pd.factorize(times, sort=True)
    moment[moment < 0] = len(moments)  # NaT comes last
    order = np.lexsort([moment, chip])
    same = (np.diff(chip[order]) == 0) & (np.diff(moment[order]) == 0)
    twins = np.flatnonzero(np.append(same, False) | np.append(False, same))
    if len(twins):
        rows = order[twins]
        order[twins] = rows[np.lexsort([pd.factorize(item_id[rows], sort=True)[0], moment[rows], chip[rows]])]
    return order


def _coverage_of_pairs(footprints: np.ndarray, geometry: np.ndarray, chip_index: np.ndarray, item_index: np.ndarray) -> np.ndarray:
    """Coverage of each pair; the items of a chip mostly share one outline, which is intersected once."""
    import pandas as pd
    import shapely

    from lcnkit.geometry import coverage

    if not len(item_index):
        return np.empty(0)
    # Catalogs mostly give the items of a chip the same object; those that do not are the same by their coordinates.
    shared, objects = pd.factorize(np.fromiter(map(id, geometry), "int64", len(geometry)))
    one = np.zeros(len(objects), dtype="int64")
    one[shared[::-1]] = np.arange(len(geometry))[::-1]
    same, _ = pd.factorize(pd.Series(shapely.to_wkb(geometry[one]), dtype=object))
    outline = same[shared][item_index]
    pair = chip_index.astype("int64") * (int(outline.max()) + 1) + outline
    _, first, inverse = np.unique(pair, return_index=True, return_inverse=True)
    return coverage(footprints[chip_index[first]], geometry[item_index[first]])[inverse]


def complete(found: pd.DataFrame, source: str, intervals: dict[str, Interval], n_periods: int) -> pd.DataFrame:
    """The full candidate table of one source, before anything is chosen.

    Args:
        intervals: The interval of each chip by its id.

    Raises:
        PluginError: The catalog left out a column, or one does not hold what it must.
    """
    import pandas as pd

    if not isinstance(found, pd.DataFrame):
        raise PluginError(f"The catalog must answer a search with a DataFrame; it answered {type(found).__name__}.")
    missing = [name for name in SEARCH_COLUMNS if name not in found.columns]
    if missing:
        raise PluginError(f"The catalog's answer lacks the columns {listing(missing)}; see lcnkit.contracts.Catalog.search.")
    found = with_columns(found, **{name: _texts(found[name]) for name in SEARCH_COLUMNS if COLUMNS[name][0] == "str"})
    _check_values(found)
    # An archive that was unpacked twice, or a catalog whose pages overlap, names an item twice.
    twice = found.duplicated(["chip_id", "item_id"])
    table = found[~twice] if twice.any() else found
    cloud = pd.to_numeric(table["cloud_cover"], errors="coerce").to_numpy("float64")
    with np.errstate(invalid="ignore"):
        cloud = np.where((cloud >= 0) & (cloud <= 100), cloud, np.nan)
    chip, chips = pd.factorize(table["chip_id"])
    days = [intervals.get(name) for name in chips]
    # The last one is that of no chip.
    starts = np.array([*(day.start if day else "NaT" for day in days), "NaT"], dtype="datetime64[ns]")
    ends = np.array([*(day.end if day else "NaT" for day in days), "NaT"], dtype="datetime64[ns]")
    known = {
        "chip_id": table["chip_id"].array,
        "item_id": table["item_id"].array,
        "collection": table["collection"].array,
        "source": np.full(len(table), source, dtype=object),
        "datetime": in_utc(table["datetime"]).array,
        "cloud_cover": cloud,
        "cloud_source": np.array(["metadata", ""], dtype=object)[np.isnan(cloud).astype("int64")],
        "coverage": table["coverage"].to_numpy("float64"),
        "period": np.zeros(len(table), dtype="int64"),
        "rank": np.zeros(len(table), dtype="int64"),
        "selected": np.zeros(len(table), dtype=bool),
        "reason": np.full(len(table), "", dtype=object),
        "item_href": table["item_href"].array,
        "interval_start": pd.DatetimeIndex(starts[chip], tz="UTC"),
        "interval_end": pd.DatetimeIndex(ends[chip], tz="UTC"),
        "n_periods": np.zeros(len(table), dtype="int64"),
    }
    return cut(pd.DataFrame(known, copy=False), n_periods)


# Beyond 1 by what floats are off, a share is still one.
_ROUNDING = 1e-6


def _check_values(found: pd.DataFrame) -> None:
    """Refuse rows that name no item, which would pass for empty periods, and coverages that are no share of anything."""
    import pandas as pd

    nameless = (found["item_id"].isna() | (found["item_id"] == "")).to_numpy()
    if nameless.any():
        href = found["item_href"].iloc[int(nameless.argmax())]
        raise PluginError(f"The catalog's answer: `item_id` is empty in {nameless.sum()} of {len(found)} rows, first in that of {href!r}.")
    share = pd.to_numeric(found["coverage"], errors="coerce").to_numpy("float64")
    wrong = ~((share >= 0) & (share <= 1 + _ROUNDING))
    if wrong.any():
        raise PluginError(
            f"The catalog's answer: `coverage` must be the fraction of the chip that an item covers, 0 to 1; it is "
            f"{listing(map(repr, found['coverage'][wrong].head(3).tolist()))} for {found['item_id'].iloc[int(wrong.argmax())]}."
        )


def _texts(column: pd.Series) -> pd.Series:
    """The column as Python's own texts, of whichever kind pandas has them."""
    import pandas as pd

    column = column if column.dtype == object else column.astype(object)
    if pd.api.types.infer_dtype(column, skipna=True) not in ("string", "empty"):
        raise PluginError(f"The catalog's answer: the column `{column.name}` must hold texts; it holds {listing(map(repr, column.head(2)))}.")
    return column


def cut(table: pd.DataFrame, n_periods: int) -> pd.DataFrame:
    """The same candidates with their intervals cut into another number of periods."""
    table = with_columns(table, n_periods=np.full(len(table), n_periods, dtype="int64"))
    return with_columns(table, period=periods_of(table))


def by_chip(table: pd.DataFrame, chip_ids: Iterable[str]) -> pd.DataFrame:
    """The rows in the order of the chips; those of a chip stay as they are, those of no chip come last."""
    place = {chip_id: number for number, chip_id in enumerate(chip_ids)}
    places = table["chip_id"].map(place).fillna(len(place)).to_numpy("int64")
    if (np.diff(places) >= 0).all():
        return table
    return table.iloc[np.argsort(places, kind="stable")].reset_index(drop=True)


def with_columns(table: pd.DataFrame, **columns: Any) -> pd.DataFrame:
    """`DataFrame.assign` without a copy of the other columns, which both tables then share: nobody may change them in place."""
    changed = table.copy(deep=False)
    for name, values in columns.items():
        changed[name] = values
    return changed


def empty_search() -> pd.DataFrame:
    """A search result without a row."""
    import pandas as pd

    kinds = {"datetime": "datetime64[ns, UTC]", "cloud_cover": "float64", "coverage": "float64"}
    return pd.DataFrame({name: pd.Series(dtype=kinds.get(name, "object")) for name in SEARCH_COLUMNS})

"""Candidate tables from a few short rows, for tests of strategies and of whatever else reads them."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from typing import TYPE_CHECKING, Any

from lcnkit.candidates import COLUMNS
from lcnkit.model import Interval
from lcnkit.periods import assign_periods

if TYPE_CHECKING:
    import pandas as pd


def make_candidates(
    rows: Iterable[tuple[Any, ...]],
    *,
    interval: tuple[str, str] = ("2018-01-01", "2018-12-31"),
    n_periods: int = 5,
    source: str = "image",
) -> pd.DataFrame:
    """A candidate table as a strategy gets it: all columns of `lcnkit.candidates.COLUMNS`, periods filled, no choice yet.

    A row outside the interval gets period 0. A run keeps such rows from its strategies; hand them one only to try just that.
    For chips with different intervals, join several tables with ``pandas.concat(..., ignore_index=True)``.

    Args:
        rows: ``(chip_id, datetime, cloud_cover)`` or ``(chip_id, datetime, cloud_cover, item_id)``; ``datetime`` is
            anything pandas reads, UTC where it names no zone; ``cloud_cover`` is percent, ``None`` where unknown.
            An item id that is left out is ``item_`` and the number of the row.
        interval: First and last day, both included.
        n_periods: Into how many equal parts the interval is cut.
        source: The run's source that the items are of.

    Example:
        ``make_candidates([("chip_a", "2018-02-01T10:30", 12.5), ("chip_a", "2018-02-06T10:30", None)])``
    """
    import pandas as pd

    filled = [(*row, f"item_{number:04d}")[:4] for number, row in enumerate(rows)]
    days = Interval(date.fromisoformat(interval[0]), date.fromisoformat(interval[1]))
    chip_ids, times, clouds, item_ids = zip(*filled, strict=True) if filled else ((), (), (), ())
    when = pd.DatetimeIndex([_utc(time) for time in times], dtype="datetime64[ns, UTC]")
    table = pd.DataFrame(
        {
            "chip_id": chip_ids,
            "item_id": item_ids,
            "collection": "test_collection",
            "source": source,
            "datetime": when,
            "cloud_cover": clouds,
            "cloud_source": ["" if cloud is None or cloud != cloud else "metadata" for cloud in clouds],
            "coverage": 1.0,
            "period": assign_periods(when, days.start, days.end, n_periods),
            "rank": 0,
            "selected": False,
            "reason": "",
            "item_href": [f"{item_id}.json" for item_id in item_ids],
            "interval_start": pd.Timestamp(days.start, tz="UTC"),
            "interval_end": pd.Timestamp(days.end, tz="UTC"),
            "n_periods": n_periods,
        }
    )
    return table[list(COLUMNS)].astype({name: dtype for name, (dtype, _) in COLUMNS.items()})


def _utc(time: Any) -> pd.Timestamp:
    import pandas as pd

    stamp = pd.Timestamp(time)
    return stamp.tz_localize("UTC") if stamp.tzinfo is None else stamp.tz_convert("UTC")

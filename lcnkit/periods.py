"""Cutting an interval into equal periods, in whole nanoseconds and without rounding.

Where an edge falls between two nanoseconds, instants on either side still belong to the period they are in:
``t`` is in period ``k`` exactly if ``start + (k - 1) * T / n <= t < start + k * T / n``, as fractions.
Floats are nowhere used: at nanoseconds since 1970 they are a quarter of a microsecond apart.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, TypeAlias, cast

import numpy as np
from numpy.typing import NDArray

from lcnkit.errors import ConfigError

if TYPE_CHECKING:
    import pandas as pd

    Rule: TypeAlias = Callable[[pd.DatetimeIndex, np.datetime64, np.datetime64, int], NDArray[np.int64]]

DAY = 24 * 3600 * 10**9
"""Nanoseconds."""


def assign_periods(times: pd.Series | pd.DatetimeIndex, start: np.datetime64, end: np.datetime64, n_periods: int) -> NDArray[np.int64]:
    """The period of each instant: 1 to ``n_periods``, 0 outside ``[start, end)`` and for NaT.

    A period contains its start and not its end, so every instant of the interval is in exactly one.

    Args:
        times: Instants, datetime64[ns, UTC].
        start: Midnight (UTC) of the first day.
        end: Midnight (UTC) after the last day.
        n_periods: Into how many equal parts the interval is cut.

    Raises:
        ConfigError: ``n_periods`` is below 1.
    """
    begins, length = _whole(start), _whole(end) - _whole(start)
    # The first whole nanosecond at or after the exact edge: `t >= edge` has the same answer for both.
    first = [begins - (-k * length // n_periods) for k in _numbers(n_periods)]
    period = np.searchsorted(np.array(first, np.int64), nanoseconds(times), side="right").astype(np.int64)
    return np.where(period > n_periods, 0, period)


def assign_notebook_periods(times: pd.Series | pd.DatetimeIndex, start: np.datetime64, end: np.datetime64, n_periods: int) -> NDArray[np.int64]:
    """The period of each instant as the original tutorial cut them (``compat=notebook``).

    Edges run from midnight of the first to midnight of the *last* day: what comes after that midnight has
    period 0. An acquisition exactly on an inner edge belongs to the earlier period; one at ``start`` to the first.
    ``times``, ``start``, ``end`` and ``n_periods`` are those of `assign_periods`.

    Raises:
        ConfigError: ``n_periods`` is below 1.
    """
    begins = _whole(start)
    length = max(_whole(end) - DAY - begins, 0)
    # The last whole nanosecond at or before the exact edge: `t <= edge` has the same answer for both.
    last = [begins + k * length // n_periods for k in _numbers(n_periods)][1:]
    instants = nanoseconds(times)
    period = np.searchsorted(np.array(last, np.int64), instants, side="left").astype(np.int64) + 1
    return np.where((instants < begins) | (period > n_periods), 0, period)


def edges(start: np.datetime64, end: np.datetime64, n_periods: int) -> NDArray[np.datetime64]:
    """The first instant of each period, then ``end``: ``n_periods + 1`` values, datetime64[ns].

    An edge between two nanoseconds is given as the later one, the first that belongs to the period.
    """
    begins, length = _whole(start), _whole(end) - _whole(start)
    return np.array([begins - (-k * length // n_periods) for k in _numbers(n_periods)], np.int64).view("datetime64[ns]")


def middle(start: np.datetime64, end: np.datetime64, n_periods: int, period: NDArray[np.int64]) -> NDArray[np.datetime64]:
    """The instant halfway through each period, datetime64[ns]; NaT for period 0.

    A middle between two nanoseconds is given as the earlier one.
    """
    begins, length = _whole(start), _whole(end) - _whole(start)
    halves = [begins + (2 * k - 1) * length // (2 * n_periods) for k in _numbers(n_periods)]
    halves[0] = np.iinfo(np.int64).min  # NaT
    return np.array(halves, np.int64).view("datetime64[ns]")[period]


def periods_of(table: pd.DataFrame, rule: Rule = assign_periods) -> NDArray[np.int64]:
    """The period of each row's ``datetime`` in the row's own interval (``interval_start`` ...), by ``rule``."""
    import pandas as pd

    times = pd.DatetimeIndex(table["datetime"])
    periods = np.zeros(len(table), np.int64)
    for rows, start, end, n_periods in _intervals(table):
        periods[rows] = rule(times[rows], start, end, n_periods)
    return periods


def middles_of(table: pd.DataFrame) -> NDArray[np.datetime64]:
    """The middle of each row's ``period`` in the row's own interval; NaT for period 0."""
    middles = np.full(len(table), np.datetime64("NaT", "ns"))
    period = table["period"].to_numpy(np.int64)
    for rows, start, end, n_periods in _intervals(table):
        middles[rows] = middle(start, end, n_periods, period[rows])
    return middles


def nanoseconds(times: pd.Series | pd.DatetimeIndex) -> NDArray[np.int64]:
    """Nanoseconds since 1970 (UTC); NaT is the smallest int64, before every interval."""
    import pandas as pd

    return pd.DatetimeIndex(times).as_unit("ns").asi8


def in_utc(times: pd.Series) -> pd.Series:
    """Times, or texts (ISO 8601), as datetime64[ns, UTC]; those without a zone are UTC."""
    import pandas as pd

    # pandas first looks how many times are the same: that takes longer than to convert them, where they are no texts.
    return pd.to_datetime(times, utc=True, format="ISO8601", cache=times.dtype == object).astype("datetime64[ns, UTC]")


def _intervals(table: pd.DataFrame) -> Iterator[tuple[NDArray[np.intp] | slice, np.datetime64, np.datetime64, int]]:
    """Rows that share an interval, with its start, end and number of periods; one group for most data sets."""
    start, end, number = nanoseconds(table["interval_start"]), nanoseconds(table["interval_end"]), table["n_periods"].to_numpy()
    if len(table) and all((column == column[0]).all() for column in (start, end, number)) and min(start[0], end[0]) > np.iinfo(np.int64).min:
        yield slice(None), np.datetime64(int(start[0]), "ns"), np.datetime64(int(end[0]), "ns"), int(number[0])
        return
    groups = table.groupby(["interval_start", "interval_end", "n_periods"], sort=False).indices
    for key, rows in groups.items():
        first, last, n_periods = cast("tuple[pd.Timestamp, pd.Timestamp, int]", key)
        yield np.asarray(rows), first.to_datetime64(), last.to_datetime64(), int(n_periods)


def _numbers(n_periods: int) -> range:
    """The numbers of the edges, 0 to ``n_periods``."""
    if n_periods < 1 or n_periods != int(n_periods):
        raise ConfigError(
            f"n_periods is {n_periods}; it must be a whole number of at least 1, the number of equal parts that the interval is cut into."
        )
    return range(int(n_periods) + 1)


def _whole(instant: np.datetime64) -> int:
    return int(instant.astype("datetime64[ns]").astype(np.int64))

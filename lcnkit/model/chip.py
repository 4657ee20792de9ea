"""A chip: a label raster with its grid, its footprint and its time interval."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np

from lcnkit.errors import ConfigError
from lcnkit.model.grid import Grid

if TYPE_CHECKING:
    from shapely import Geometry


# The whole years that 64 bits of nanoseconds since 1970 hold.
_FIRST_YEAR, _LAST_YEAR = 1678, 2261


@dataclass(frozen=True)
class Interval:
    """A range of whole days, UTC; both ends are included."""

    first: date
    last: date

    def __post_init__(self) -> None:
        if self.last < self.first:
            raise ConfigError(f"The interval ends on {self.last}, before it starts on {self.first}: swap the two days.")
        if self.first.year < _FIRST_YEAR or self.last.year > _LAST_YEAR:
            raise ConfigError(
                f"The interval {self} reaches beyond the years {_FIRST_YEAR} to {_LAST_YEAR}, which times in nanoseconds can be of: "
                "give days of these years, e.g. interval=[2018-01-01,2018-12-31]."
            )

    @property
    def start(self) -> np.datetime64:
        """Midnight (UTC) at which the first day begins."""
        return np.datetime64(self.first, "ns")

    @property
    def end(self) -> np.datetime64:
        """Midnight (UTC) after the last day: the first instant that no longer belongs to the interval."""
        return np.datetime64(self.last + timedelta(days=1), "ns")

    def __str__(self) -> str:
        return f"{self.first} to {self.last}"


@dataclass(frozen=True)
class Chip:
    """One label raster, and where and when imagery is wanted for it."""

    id: str
    """Short and unique in the collection: the label item's id without the collection's name, e.g. ``28QDE_11``."""
    item_id: str
    """Id of the label item, e.g. ``ref_landcovernet_af_v1_labels_28QDE_11``."""
    label_href: str
    """Absolute path or URL of the label raster."""
    grid: Grid
    interval: Interval
    footprint: Geometry
    """Outline in lon/lat (EPSG:4326), a shapely polygon or multipolygon."""
    source_hrefs: Sequence[str] = ()
    """Absolute hrefs of the items that the label names as its sources (links ``rel=source``)."""

    def __reduce__(self) -> tuple[Any, ...]:
        # In one go: thousands are pickled, and each part of its own would cost as much as the rest.
        import shapely

        grid, days = self.grid, (self.interval.first.toordinal(), self.interval.last.toordinal())
        outline = shapely.to_wkb(self.footprint, include_srid=True)
        return _chip, (self.id, self.item_id, self.label_href, (grid.crs, grid.transform, grid.shape), days, outline, self.source_hrefs)


def _chip(
    chip_id: str, item_id: str, label_href: str, grid: tuple[Any, ...], days: tuple[int, int], outline: bytes, source_hrefs: Sequence[str]
) -> Chip:
    import shapely

    interval = Interval(date.fromordinal(days[0]), date.fromordinal(days[1]))
    return Chip(chip_id, item_id, label_href, Grid(*grid), interval, shapely.from_wkb(outline), source_hrefs)


@dataclass(frozen=True)
class LabelLinks:
    """What a label names as its sources, and where it lies."""

    chip_id: str
    footprint: Geometry
    """Outline in lon/lat."""
    hrefs: Sequence[str]
    """Absolute hrefs of its links ``rel=source``."""

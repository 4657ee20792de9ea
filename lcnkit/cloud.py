"""Cloud cover computed from the mask, where the metadata do not say it for the chip."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from lcnkit.contracts import Catalog, Pool, Reader
from lcnkit.errors import ChipError
from lcnkit.labels import without_links
from lcnkit.model import Chip, Image

if TYPE_CHECKING:
    import pandas as pd

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class MaskTask:
    """The candidates of one chip whose masks are to be read."""

    chip: Chip
    rows: tuple[int, ...]
    hrefs: tuple[str, ...]


@dataclass(frozen=True)
class MaskRecipe:
    """How masks become cloud cover; runs on a worker."""

    catalog: Catalog
    reader: Reader
    asset: str
    threshold: float | None

    def __call__(self, task: MaskTask) -> list[tuple[int, float, str]]:
        """Row, cloud cover (percent, NaN where it cannot be known) and what went wrong, of each candidate."""
        return [(row, *self._cover(task.chip, href)) for row, href in zip(task.rows, task.hrefs, strict=True)]

    def _cover(self, chip: Chip, href: str) -> tuple[float, str]:
        try:
            return cloud_cover(self.reader.read(chip, self.catalog.items([href]), [self.asset]), self.threshold), ""
        except ChipError as error:
            return float("nan"), str(error)


def cloud_cover(mask: Image, threshold: float | None) -> float:
    """Percent, 0 to 100, over the valid pixels of a cloud-probability mask; NaN where none is valid.

    The mean probability, or with ``threshold`` the share of pixels at or above it.
    """
    probability = mask.values[mask.valid].astype("float64")
    if not probability.size:
        return float("nan")
    return float(probability.mean() if threshold is None else 100 * (probability >= threshold).mean())


def measure(candidates: pd.DataFrame, chips: dict[str, Chip], recipe: MaskRecipe, pool: Pool, *, force: bool) -> pd.DataFrame:
    """The table with cloud cover from the mask where it is unknown (``force``: everywhere) inside the interval."""
    wanted = (candidates["period"] > 0) & (force | candidates["cloud_cover"].isna())
    if not wanted.any():
        return candidates
    cover, origin = candidates["cloud_cover"].to_numpy(copy=True), candidates["cloud_source"].to_numpy(dtype=object, copy=True)
    if force:
        cover[wanted], origin[wanted] = np.nan, ""
    position = {label: number for number, label in enumerate(candidates.index)}
    problems: list[str] = []
    for outcome in pool.map(recipe, _tasks(candidates[wanted], chips)):
        if outcome.error is not None:
            problems.append(str(outcome.error))
        for row, percent, problem in outcome.value or ():
            cover[position[row]] = percent
            origin[position[row]] = "" if np.isnan(percent) else "mask"
            if problem:
                problems.append(problem)
    log.info("clouds     read from the mask %s for %d candidates", recipe.asset, int(wanted.sum()))
    if problems:
        log.warning("The cloud cover of %d candidates stays unknown: %s%s", len(problems), problems[0], " ..." if len(problems) > 1 else "")
    return candidates.assign(cloud_cover=cover, cloud_source=origin)


def _tasks(wanted: pd.DataFrame, chips: dict[str, Chip]) -> Iterator[MaskTask]:
    for chip_id, rows in wanted.groupby("chip_id", sort=False):
        yield MaskTask(without_links(chips[str(chip_id)]), tuple(rows.index), tuple(rows["item_href"]))

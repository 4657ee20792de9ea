"""Cloud cover computed from the mask, where the metadata do not say it for the chip."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from lcnkit.contracts import Catalog, Pool, Reader
from lcnkit.errors import ChipError, listing
from lcnkit.labels import without_links
from lcnkit.model import Chip, Image
from lcnkit.secrets import scrub

if TYPE_CHECKING:
    import pandas as pd

log = logging.getLogger(__name__)

# Masks in memory at once: a chip of 256 x 256 pixels is 128 kB.
_MASKS_AT_ONCE = 24


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
    classes: tuple[int, ...] = ()
    """The mask holds classes, and these are clouds; empty: it holds probabilities."""
    overlap: int = 1
    """Chips that a worker may have under way at once (`lcnkit.contracts.overlap_of`)."""

    def __call__(self, task: MaskTask) -> list[tuple[int, float, str]]:
        """Row, cloud cover (percent, NaN where it cannot be known) and what went wrong, of each candidate."""
        found: list[tuple[float, str]] = []
        for start in range(0, len(task.hrefs), _MASKS_AT_ONCE):
            found += self._covers(task.chip, task.hrefs[start : start + _MASKS_AT_ONCE])
        return [(row, *cover) for row, cover in zip(task.rows, found, strict=True)]

    def _covers(self, chip: Chip, hrefs: Sequence[str]) -> list[tuple[float, str]]:
        """Cover and problem of several masks, read together: remote ones are waited for once."""
        try:
            masks = self._reader().read(chip, self.catalog.items(hrefs), [self.asset])
        except Exception as error:  # one mask that cannot be had leaves one cloud cover unknown, and no other
            if len(hrefs) > 1:
                return [cover for href in hrefs for cover in self._covers(chip, [href])]
            log.debug("chip %s: the cloud mask of %s: %s", chip.id, hrefs[0], scrub(traceback.format_exc()))
            return [(float("nan"), scrub(str(error)) or type(error).__name__)]
        return [self._cover(chip, replace(masks, values=masks.values[[number]], valid=masks.valid[[number]])) for number in range(len(hrefs))]

    def _cover(self, chip: Chip, mask: Image) -> tuple[float, str]:
        try:
            return (class_cover(mask, self.classes) if self.classes else cloud_cover(mask, self.threshold)), ""
        except ChipError as error:
            log.debug("chip %s: a cloud mask cannot be used: %s", chip.id, error)
            return float("nan"), str(error)

    def _reader(self) -> Reader:
        """The run's reader; where it would blend pixels, one that does not: half way between two classes lies a third."""
        if not self.classes or getattr(self.reader, "resampling", "nearest") == "nearest":
            return self.reader
        blending: Any = self.reader
        nearest: Reader = replace(blending, resampling="nearest")
        return nearest


def cloud_cover(mask: Image, threshold: float | None) -> float:
    """Percent, 0 to 100, over the valid pixels of a cloud-probability mask; NaN where none is valid.

    The mean probability, or with ``threshold`` the share of pixels at or above it.

    Raises:
        ChipError: A value is no percentage.
    """
    probability = mask.values[mask.valid].astype("float64")
    if not probability.size:
        return float("nan")
    if probability.min() < 0 or probability.max() > 100:
        raise ChipError(
            f"The cloud mask {listing(mask.bands)} holds values from {probability.min():g} to {probability.max():g}; it must hold "
            "probabilities, 0 to 100 percent. Choose another asset with dataset.cloud_assets, or declare its nodata value in the file."
        )
    return float(probability.mean() if threshold is None else 100 * (probability >= threshold).mean())


def class_cover(mask: Image, classes: Collection[int]) -> float:
    """Percent, 0 to 100, of the valid pixels of a class mask that are in ``classes``; NaN where none is valid.

    Source of [8, 9, 10] for Sentinel-2: the scene classification (SCL) of Level-2A, where 8 is cloud of medium and
    9 of high probability, 10 thin cirrus, 3 cloud shadow and 0 no data (Sentinel-2 Level-2A Algorithm Theoretical
    Basis Document, S2-PDGS-MPC-ATBD-L2A).
    """
    stored = mask.values[mask.valid]
    return float(100 * np.isin(stored, list(classes)).mean()) if stored.size else float("nan")


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
        unknown = int(np.isnan(cover[wanted]).sum())
        log.warning("The cloud cover of %d candidates stays unknown: %s%s", unknown, problems[0], " ..." if len(problems) > 1 else "")
    return candidates.assign(cloud_cover=cover, cloud_source=origin)


def _tasks(wanted: pd.DataFrame, chips: dict[str, Chip]) -> Iterator[MaskTask]:
    for chip_id, rows in wanted.groupby("chip_id", sort=False):
        yield MaskTask(without_links(chips[str(chip_id)]), tuple(rows.index), tuple(rows["item_href"]))

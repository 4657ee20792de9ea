"""Cloud cover computed from the mask, where the metadata do not say it for the chip."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from lcnkit.candidates import with_columns
from lcnkit.cloud_kept import FileState, KeptCovers, TellsChanges, file_state
from lcnkit.contracts import Catalog, Pool, Reader
from lcnkit.errors import ChipError, listing
from lcnkit.labels import without_links
from lcnkit.model import Chip, Image
from lcnkit.secrets import scrub

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

log = logging.getLogger(__name__)

# Masks in memory at once: a chip of 256 x 256 pixels is 128 kB.
_MASKS_AT_ONCE = 24


@dataclass(frozen=True)
class MaskTask:
    """The candidates of one chip whose masks are to be read."""

    chip: Chip
    rows: tuple[int, ...]
    """Their positions in the table."""
    hrefs: tuple[str, ...]


@dataclass(frozen=True)
class Cover:
    """What became of one mask."""

    percent: float
    """NaN where it cannot be known."""
    problem: str = ""
    """What went wrong."""
    file: FileState | None = None
    """The mask before it was read, where it lies on disk."""


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

    def __call__(self, task: MaskTask) -> list[Cover]:
        """The cloud cover of each candidate."""
        found: list[Cover] = []
        for start in range(0, len(task.hrefs), _MASKS_AT_ONCE):
            found += self._covers(task.chip, task.hrefs[start : start + _MASKS_AT_ONCE])
        return found

    def _covers(self, chip: Chip, hrefs: Sequence[str]) -> list[Cover]:
        """Several masks, read together: remote ones are waited for once."""
        try:
            items = self.catalog.items(hrefs)
            files = [file_state(item.asset(self.asset).href) if isinstance(self.catalog, TellsChanges) else None for item in items]
            masks = self._reader().read(chip, items, [self.asset])
        except Exception as error:  # one mask that cannot be had leaves one cloud cover unknown, and no other
            if len(hrefs) > 1:
                return [cover for href in hrefs for cover in self._covers(chip, [href])]
            log.debug("chip %s: the cloud mask of %s: %s", chip.id, hrefs[0], scrub(traceback.format_exc()))
            return [Cover(float("nan"), scrub(str(error)) or type(error).__name__)]
        each = [replace(masks, values=masks.values[[number]], valid=masks.valid[[number]]) for number in range(len(hrefs))]
        return [self._cover(chip, mask, file) for mask, file in zip(each, files, strict=True)]

    def _cover(self, chip: Chip, mask: Image, file: FileState | None) -> Cover:
        try:
            return Cover(class_cover(mask, self.classes) if self.classes else cloud_cover(mask, self.threshold), file=file)
        except ChipError as error:
            log.debug("chip %s: a cloud mask cannot be used: %s", chip.id, error)
            return Cover(float("nan"), str(error))

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


class CloudCovers:
    """Cloud cover of candidates from their masks, table by table; what is said of it is said of all of them together."""

    def __init__(self, recipe: MaskRecipe, pool: Pool, *, force: bool) -> None:
        """Args: force has the mask read also where the metadata know the cloud cover."""
        self._recipe, self._pool, self._force = recipe, pool, force
        self._kept = KeptCovers(recipe.catalog, recipe.reader, recipe.asset, recipe.threshold, recipe.classes)
        self._wanted = self._read = self._unknown = 0
        self._problems: list[str] = []

    def measured(self, candidates: pd.DataFrame, chips: dict[str, Chip]) -> pd.DataFrame:
        """The table with cloud cover from the mask where it is unknown (``force``: everywhere) inside the interval."""
        wanted = (candidates["period"] > 0) & (self._force | candidates["cloud_cover"].isna())
        if not wanted.any():
            return candidates
        cover, origin = candidates["cloud_cover"].to_numpy(copy=True), candidates["cloud_source"].to_numpy(dtype=object, copy=True)
        if self._force:
            cover[wanted], origin[wanted] = np.nan, ""
        every = _tasks(candidates["chip_id"], candidates["item_href"], np.flatnonzero(wanted), chips)
        tasks: list[MaskTask] = []
        for task, known in zip(every, self._kept.known([(task.chip, task.hrefs) for task in every]), strict=True):
            for row, href in zip(task.rows, task.hrefs, strict=True):
                if href in known:
                    cover[row], origin[row] = known[href], "mask"
            left = [(row, href) for row, href in zip(task.rows, task.hrefs, strict=True) if href not in known]
            if left:
                tasks.append(MaskTask(task.chip, tuple(row for row, _ in left), tuple(href for _, href in left)))
        self._fill(tasks, cover, origin)
        self._kept.save()
        self._wanted += int(wanted.sum())
        self._read += sum(len(task.rows) for task in tasks)
        self._unknown += int(np.isnan(cover[wanted]).sum())
        return with_columns(candidates, cloud_cover=cover, cloud_source=origin)

    def report(self) -> None:
        """Say how many masks were read, and what could not be known."""
        if not self._wanted:
            return
        earlier = f", {self._wanted - self._read} of them by an earlier run" if self._read < self._wanted else ""
        log.info("clouds     read from the mask %s for %d candidates%s", self._recipe.asset, self._wanted, earlier)
        if self._problems:
            more = " ..." if len(self._problems) > 1 else ""
            log.warning("The cloud cover of %d candidates stays unknown: %s%s", self._unknown, self._problems[0], more)

    def _fill(self, tasks: Sequence[MaskTask], cover: NDArray[np.float64], origin: NDArray[np.object_]) -> None:
        for outcome in self._pool.map(self._recipe, tasks) if tasks else ():  # the first `map` starts the workers
            task = tasks[outcome.index]
            if outcome.error is not None:
                self._problems.append(str(outcome.error))
            found = list(zip(task.rows, task.hrefs, outcome.value or (), strict=outcome.value is not None))
            for row, _, one in found:
                cover[row] = one.percent
                origin[row] = "" if np.isnan(one.percent) else "mask"
                if one.problem:
                    self._problems.append(one.problem)
            self._kept.add(task.chip, {href: (one.file, one.percent) for _, href, one in found if one.file and not np.isnan(one.percent)})


def _tasks(chip_ids: pd.Series, hrefs: pd.Series, rows: NDArray[np.intp], chips: dict[str, Chip]) -> list[MaskTask]:
    """The rows at these positions, chip by chip."""
    found: list[MaskTask] = []
    code, names = chip_ids.iloc[rows].factorize()
    order = np.argsort(code, kind="stable")
    for name, some in zip(names, np.split(rows[order], np.cumsum(np.bincount(code))[:-1]), strict=True):
        found.append(MaskTask(without_links(chips[str(name)]), tuple(some.tolist()), tuple(hrefs.iloc[some].tolist())))
    return found

"""The six contracts: what a plugin of each kind is asked, and what it answers.

A plugin is one class: a frozen dataclass (``@dataclass(frozen=True, kw_only=True)``) whose typed fields
are its options, each with a default. Nothing here mentions configuration files: every plugin can be built and used from plain
Python. `lcnkit.testing` holds one test suite per kind; a plugin that passes it works in a run.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar, runtime_checkable

from lcnkit.errors import DataError
from lcnkit.model import Chip, Image, Interval, Item, Receipt, Sample

if TYPE_CHECKING:
    import pandas as pd
    from shapely import Geometry

    from lcnkit.model.chip import LabelLinks

T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True)
class Query:
    """What a run asks a catalog for, the same for all its chips."""

    collection: str
    """Id of the source collection, as `Catalog.find_collection` gave it."""
    interval: Interval
    """Whole days, UTC. Items outside may be answered; they get period 0 and are never chosen."""
    min_coverage: float = 0.5
    """Least fraction of the chip inside an item's footprint, 0 to 1."""
    chip_ids: frozenset[str] = frozenset()
    """Ids of all chips of the label collection, also those this run leaves out: an item that was cut for one of
    them is no candidate of its neighbours."""
    label_links: Callable[[Sequence[Geometry]], Sequence[LabelLinks]] | None = field(default=None, repr=False, compare=False)
    """Given footprints, what the labels that lie there link to, of all the collection, also those this run leaves out: an
    item that a label links to and that has its outline was cut for that chip, whatever its id. ``None``: only ids tell."""
    label_outlines: Callable[[Sequence[str]], Mapping[str, Geometry]] | None = field(default=None, repr=False, compare=False)
    """Given ids of chips of the collection, where they lie, as far as that is known, also those this run leaves out: an item
    whose id names a chip was cut for it only if it has about its outline. ``None``: judged by the chips that are searched for."""


class Catalog(ABC):
    """Chips in, candidate table out. An option named ``root`` that is left ``None`` takes the data set's root."""

    def find_collection(self, name: str | None) -> str:
        """The id of the collection that ``name`` (an id, the end of one, or ``None`` for the default) means.

        Raises:
            DataError: There is none, or more than one.
        """
        if name is None:
            raise DataError("This catalog needs the name of the source collection: set dataset.source=ID.")
        return name

    @abstractmethod
    def search(self, chips: Sequence[Chip], query: Query) -> pd.DataFrame:
        """Find the items that cover each chip: all chips at once, never one request per period.

        Returns:
            One row per chip and item, in any order, with at least the columns ``chip_id``, ``item_id``,
            ``collection`` (str), ``datetime`` (datetime64[ns, UTC]), ``cloud_cover`` (float percent, NaN
            where the metadata have none), ``coverage`` (fraction of the chip inside the footprint) and
            ``item_href`` (where `items` finds the item again). `lcnkit.candidates.match` makes such a
            table from items and chips, told by the column ``owner`` which chip an item was cut for
            (`lcnkit.catalog.owners.owners_of` finds that out). A row's coverage is above 0 and at least ``query.min_coverage``.

        Raises:
            DataError: The collection does not exist or cannot be read.
        """

    def search_in_parts(self, parts: Sequence[Sequence[Chip]], query: Query) -> Iterator[pd.DataFrame]:
        """What `search` finds, for one part of the chips after the other: a table for each part, also one without rows.

        One search for all chips, unless a catalog knows better: one that has all it knows at hand may read no more of it
        than it needs next, so that memory does not grow with the chips of a run. A class that overrides `search` is not
        asked in the way of those that it inherits from.
        """
        return by_part(self.search([chip for part in parts for chip in part], query), parts)

    @abstractmethod
    def items(self, hrefs: Sequence[str]) -> list[Item]:
        """The items of some candidates, in the order of ``hrefs`` (the column ``item_href``): one for each, with its ``item_id``.

        Called on a worker, just before the pixels are read: signed URLs are fresh when they are used.

        Raises:
            UnreadableAsset: An item is no longer there.
        """


def search_in_parts(catalog: Catalog, parts: Sequence[Sequence[Chip]], query: Query) -> Iterator[pd.DataFrame]:
    """`Catalog.search_in_parts`, of the class that knows how `search` answers."""
    first = next(cls for cls in type(catalog).__mro__ if not {"search", "search_in_parts"}.isdisjoint(vars(cls)))
    if "search_in_parts" in vars(first):
        return catalog.search_in_parts(parts, query)
    return Catalog.search_in_parts(catalog, parts, query)


def by_part(found: pd.DataFrame, parts: Sequence[Sequence[Chip]]) -> Iterator[pd.DataFrame]:
    """The candidates of each part of the chips; those of no chip are with the last."""
    if len(parts) == 1 or "chip_id" not in found.columns:  # what an answer lacks is said where it is used
        yield from [found] * len(parts)
        return
    number = {chip.id: position for position, part in enumerate(parts) for chip in part}
    place = found["chip_id"].astype(object).map(number).fillna(len(parts) - 1).to_numpy("int64")
    for position in range(len(parts)):
        yield found[place == position]


@runtime_checkable
class Strategy(Protocol):
    """The rule that chooses. Any class with this method is a strategy; there is nothing to inherit."""

    def select(self, candidates: pd.DataFrame) -> pd.DataFrame:
        """Choose among the candidates of many chips at once: of all chips of a run, or of some hundred after the other.

        What is chosen for a chip must not depend on the others in the table.

        Args:
            candidates: The columns of `lcnkit.candidates.COLUMNS`: ``period`` is filled (1 to ``n_periods``;
                candidates outside the interval are not given at all), ``cloud_cover`` is percent or NaN (unknown), and
                ``interval_start``, ``interval_end`` (UTC, the end exclusive) and ``n_periods`` say how the
                periods were cut. All rows are of one source. Must not be changed in place.

        Returns:
            The same rows (any order, index kept) with ``selected`` (bool) filled; ``rank`` (int, 1 is the
            best of its group, 0 is out of the question) and ``reason`` (a short sentence a person
            understands) where the rule can say them.
        """
        ...


def chooses_by_period(strategy: Any) -> bool:
    """Whether each period is to have a frame: the strategy's attribute ``per_period``, default ``True``.

    Where it is ``False`` (``min_cc``, ``all``), a period without a chosen item is no gap.
    """
    return bool(getattr(strategy, "per_period", True))


def frames_wanted(strategy: Any, n_periods: int) -> int | None:
    """How many frames a chip should have: ``n_periods``, or the strategy's ``n_frames``; ``None`` where it varies.

    A strategy that does not choose by period may have an attribute ``n_frames``.
    """
    if chooses_by_period(strategy):
        return n_periods
    frames = getattr(strategy, "n_frames", None)
    return None if frames is None else int(frames)


def overlap_of(function: Any) -> int:
    """How many tasks of ``function`` a worker may have under way at once: its attribute ``overlap``, default 1.

    More than one is for functions that mostly wait for a server. A pool may do with less.
    """
    return int(getattr(getattr(function, "__self__", function), "overlap", 1))


class Reader(ABC):
    """Pixels of items on a chip's grid."""

    @abstractmethod
    def read(self, chip: Chip, items: Sequence[Item], bands: Sequence[str]) -> Image:
        """Read the chosen items on the chip's grid.

        Args:
            bands: Asset keys; their order is the order of the second axis.

        Returns:
            Values as stored (digital numbers), shape ``(time, band, y, x)``; ``time`` follows ``items`` and
            ``(y, x)`` is ``chip.grid.shape``. ``valid`` is ``False`` where the file says nodata and where
            the file has no pixel; such values are ``image.nodata``, or 0 where the files declare none
            (NaN for floats). ``bands`` are those asked for. The dtype, integers or floats, is the one that holds all bands (``numpy.result_type``).

        Raises:
            MissingAsset: An item lacks one of ``bands``.
            UnreadableAsset: A file is absent, cut short or damaged.
            GridMismatch: A file cannot be brought onto the grid (it has no CRS).
        """


class Transform(ABC):
    """Image in, image out; a run applies a list of them in order."""

    @abstractmethod
    def apply(self, image: Image) -> Image:
        """Return a new image; never change the arrays of ``image``.

        Frames of empty periods are there already, with ``valid`` all ``False``. ``time`` must keep its length.

        Raises:
            ChipError: The image lacks what the transform needs, e.g. a band.
        """


@dataclass(frozen=True)
class Outcome(Generic[R]):
    """What became of one task."""

    index: int
    """Position of the task in the order they were given."""
    value: R | None = None
    error: BaseException | None = None
    """Set where the task raised or its worker was lost; ``value`` is ``None`` then."""


class Pool(ABC):
    """Workers that are there until the backend's ``open`` ends."""

    @abstractmethod
    def map(self, function: Callable[[T], R], tasks: Iterable[T]) -> Generator[Outcome[R]]:
        """Run ``function`` on every task; give each outcome as it finishes, in any order.

        Every task has one outcome, also where its worker died (`lcnkit.errors.WorkerLost`). Worker processes ignore SIGINT: a
        terminal sends Ctrl-C to them, too, and what is under way is to be finished.

        ``tasks`` is read as workers become free: at most a bounded number is in flight, so a million tasks
        cost no more memory than ten. An exception in ``function`` becomes its task's outcome; it never
        ends the others. When the iterator is closed early, no further task is started.
        """

    def expect(self) -> None:
        """Tasks will come soon: start workers meanwhile, and return at once. What goes wrong is told when they are needed."""
        return

    def shares(self, folder: Path) -> bool:
        """Whether what workers write below ``folder`` is there for this process, too, and the other way round.

        Where it is not, samples travel to the client, which writes them.
        """
        return True


class Backend(ABC):
    """Where tasks run."""

    @abstractmethod
    def open(self) -> AbstractContextManager[Pool]:
        """Workers for the time of a ``with`` block; whatever ends the block ends them too.

        Workers are started by the first ``map``, not before.
        """


class Exporter(ABC):
    """Samples into files, and files into a data set."""

    @property
    def elsewhere(self) -> bool:
        """Whether samples go to a place of the exporter's own that every worker reaches (a bucket), not below the output folder.

        The file of such a `Receipt` is a URL, and `begin` and `is_there` are the exporter's to answer.
        """
        return False

    def begin(self) -> None:
        """Try out the place ``elsewhere``; called once on the client, before the first sample is made.

        Raises:
            OutputError: Nothing can be written there.
        """
        return

    def is_there(self, receipt: Receipt) -> bool:
        """Whether a sample written ``elsewhere`` by an earlier run is there in full length."""
        return False

    def reserve(self, samples: Iterable[Sample], folder: Path) -> int:
        """Prepare the folder for samples of known size; called once on the client, before the first `write`.

        There is nothing to do for most formats. One that keeps all samples in a single file can lay it out here,
        so that workers write straight to its place.

        Args:
            samples: All samples of the run in order, with everything but their pixels: these have the shape and
                type that is expected, and hold zeros.
            folder: The output folder.

        Returns:
            Bytes that the data set will need, 0 where that is not known.
        """
        return 0

    @abstractmethod
    def write(self, sample: Sample, folder: Path) -> Receipt:
        """Write one sample below ``folder``; called on a worker.

        The file appears under the name in the receipt only when it is whole (`lcnkit.output.whole_file`). It may be a folder, written
        under another name and renamed when whole: a run that goes on looks whether a folder is there, not into it. ``shapes`` and
        ``facts`` of the receipt are those of `lcnkit.exporter.receipts`. The same sample gives the same bytes, whenever and wherever it is written.

        Raises:
            OSError: The folder cannot be written.
        """

    @abstractmethod
    def finish(self, receipts: Sequence[Receipt], folder: Path) -> Sequence[Receipt]:
        """Make the finished data set of the samples written, in the order of the label collection.

        Called once on the client, also for a run that only added to what was there. Returns the receipts
        as they stand now: a sample may have moved to another file and offset. There may be thousands: each is made anew
        when it is taken, and `lcnkit.model.Packed` keeps those that are returned small, too.
        """

    @abstractmethod
    def read(self, receipt: Receipt, folder: Path) -> Sample:
        """The sample that ``receipt`` of the finished data set tells of; the reverse of `write`."""

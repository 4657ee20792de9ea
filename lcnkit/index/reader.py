"""Reading stac-geoparquet: columns of many items, and single items again."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from functools import cached_property
from threading import Lock
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import xxhash

from lcnkit.errors import DataError, listing
from lcnkit.index.documents import document_of, with_plain_times
from lcnkit.index.writer import NOTES

if TYPE_CHECKING:
    from numpy.typing import NDArray


_Places: TypeAlias = "NDArray[np.uint64]"
"""Of each item the upper bits of its key, and below them its row; sorted."""

# Where more row groups may hold an id, one order of all items is made.
_FEW_GROUPS = 8
# Items that are looked at together where all of a file are: of that many, no column takes more than a few megabytes.
_RUN = 20_000


class DamagedFile(DataError):
    """A file that cannot be read as Parquet, or in parts not."""


class ItemFile:
    """A stac-geoparquet file, opened.

    Raises:
        DataError: It is no Parquet file (`DamagedFile`), or has no items.
        OSError: It cannot be read.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        # Arrow's reader stands one thread at a time: two at once wait for each other for ever, or end the process.
        self._lock = Lock()
        self._kept: tuple[int, pa.Table] | None = None
        self._groups: dict[int, _Places] = {}
        self._every: _Places | None = None
        try:
            self._file = pq.ParquetFile(path, page_checksum_verification=True)
        except pa.ArrowInvalid as error:
            raise _damaged(path, error) from error
        self.schema = self._file.schema_arrow
        missing = [name for name in ("id", self.geometry) if name not in self.schema.names]
        if missing:
            raise DataError(f"{path} is no stac-geoparquet file: it lacks the columns {listing(missing)}; it has {listing(self.schema.names)}.")
        about = self._geo.get("columns", {}).get(self.geometry, {})
        encoding, crs = about.get("encoding", "WKB"), about.get("crs")
        if encoding != "WKB":
            raise DataError(f"{path} holds geometries as {encoding!r}; only WKB can be read. Write it again with WKB.")
        if isinstance(crs, dict) and crs.get("type") == "ProjectedCRS":
            raise DataError(f"{path} holds footprints in {crs.get('name')!r}; stac-geoparquet has them in longitude and latitude. Write it again so.")

    @property
    def notes(self) -> dict[str, Any] | None:
        """What lcnkit noted when it wrote the file; ``None`` where somebody else did."""
        raw = (self._file.metadata.metadata or {}).get(NOTES)
        notes = None if raw is None else json.loads(raw)
        return notes if isinstance(notes, dict) else None

    def __len__(self) -> int:
        return int(self._file.metadata.num_rows)

    @cached_property
    def collections(self) -> list[str]:
        """Ids of the collections that its items name."""
        if "collection" not in self.schema.names:
            return []
        names = {name for run in self.runs() for name in self.columns(["collection"], run)["collection"].cast(pa.string()).unique().to_pylist()}
        return sorted(name for name in names if name)

    def columns(self, names: Sequence[str], groups: Sequence[int] | None = None) -> pa.Table:
        """Some columns of all items, or of those in some row groups; those that the file lacks are left out."""
        known = [name for name in names if name in self.schema.names]
        try:
            with self._lock:
                if groups is None:
                    return self._file.read(columns=known, use_threads=False)
                return self._file.read_row_groups(list(groups), columns=known, use_threads=False)
        except (OSError, pa.ArrowException) as error:
            raise _damaged(self.path, error) from error

    def runs(self, least: int = _RUN) -> Iterator[list[int]]:
        """All row groups in order, as many together as hold about so many items."""
        run: list[int] = []
        for group in range(len(self._sizes)):
            run.append(group)
            if self._sizes[run].sum() >= least:
                yield run
                run = []
        if run:
            yield run

    def groups_of(self, rows: NDArray[np.intp]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """The row groups that hold these rows, and where the rows are in what `columns` gives of them; both in ascending order."""
        within = np.searchsorted(self._starts, rows, side="right") - 1
        groups, number = np.unique(within, return_inverse=True)
        before = np.concatenate([[0], np.cumsum(self._sizes[groups])]).astype(np.intp)
        return groups, rows - self._starts[within] + before[number]

    def reads_for(self, rows: NDArray[np.intp]) -> int:
        """How many items the row groups have that hold these rows."""
        return int(self._sizes[self.groups_of(rows)[0]].sum())

    def documents(self, rows: Sequence[int]) -> list[dict[str, Any]]:
        """Items as STAC JSON, in the order of ``rows``."""
        starts = self._starts
        groups = np.searchsorted(starts, rows, side="right") - 1
        found: dict[int, dict[str, Any]] = {}
        for group in sorted(set(groups.tolist())):
            inside = [row for row, its_group in zip(rows, groups, strict=True) if its_group == group]
            table = self._group(int(group))
            for row in inside:
                (values,) = table.slice(row - int(starts[group]), 1).to_pylist(maps_as_pydicts=self._maps)
                found[row] = document_of(values, self.schema, self.geometry)
        return [found[row] for row in rows]

    def row_of(self, collection: str, item_id: str) -> int | None:
        """The row of an item, the first where there are several; ``None`` where there is none.

        Where only one row may be the item's, it is not looked at: who reads it sees whether it is.

        Only row groups are looked into whose statistics do not rule the id out: items mostly lie in order of their ids. Where
        they do not, all are put in one order.
        """
        key = _key(collection, item_id)
        if self._every is None:
            groups = [group for group, (least, most) in enumerate(self._id_ranges) if least <= item_id and (most is None or item_id <= most)]
            if len(groups) <= _FEW_GROUPS:
                rows = [int(self._starts[group]) + row for group in groups for row in _rows_in(self._places(group), key)]
                return self._first_of(rows, key)
        return self._first_of(_rows_in(self._all_places(), key), key)

    def _first_of(self, rows: Sequence[int], key: int) -> int | None:
        """The first of these rows with the key; of keys that are alike, only upper bits are kept."""
        if len(rows) <= 1:
            return next(iter(rows), None)
        groups = np.searchsorted(self._starts, rows, side="right") - 1
        with self._lock:
            keys = {int(group): self._keys_in(int(group)) for group in set(groups)}
        return next((row for row, group in zip(rows, groups, strict=True) if keys[int(group)][row - self._starts[group]] == np.uint64(key)), None)

    @cached_property
    def _id_ranges(self) -> list[tuple[str, str | None]]:
        """The least and the greatest id of each row group, as far as the file says them."""
        groups = [self._file.metadata.row_group(number) for number in range(self._file.num_row_groups)]
        return [_range_of(group, "id") for group in groups]

    def _places(self, group: int) -> _Places:
        """Those of the items of a row group, their rows counted from its start; made once.

        Eight bytes an item, as a worker may meet every group: the ids themselves would take a hundred megabytes of a large index.
        """
        known = self._groups.get(group)
        if known is None:
            with self._lock:
                known = self._groups.get(group)
                if known is None:
                    known = self._groups[group] = _ordered(self._keys_in(group))
        return known

    def _all_places(self) -> _Places:
        """The same of all items, by their rows in the file."""
        with self._lock:
            if self._every is None:
                self._groups.clear()
                keys = np.empty(len(self), "uint64")
                for group, (start, size) in enumerate(zip(self._starts, self._sizes, strict=True)):
                    keys[start : start + size] = self._keys_in(group)
                self._every = _ordered(keys)
            return self._every

    def _keys_in(self, group: int) -> NDArray[np.uint64]:
        names = [name for name in ("collection", "id") if name in self.schema.names]
        try:
            read = self._file.read_row_group(group, columns=names, use_threads=False)
        except (OSError, pa.ArrowException) as error:
            raise _damaged(self.path, error) from error
        ids = read["id"].cast(pa.string()).to_pylist()
        collections = read["collection"].cast(pa.string()).to_pylist() if "collection" in names else [None] * len(ids)
        return np.fromiter(map(_key, collections, ids), "uint64", len(ids))

    @cached_property
    def _sizes(self) -> NDArray[np.intp]:
        return np.array([self._file.metadata.row_group(group).num_rows for group in range(self._file.num_row_groups)], dtype=np.intp)

    @cached_property
    def _starts(self) -> NDArray[np.intp]:
        return np.asarray(np.cumsum(self._sizes) - self._sizes)

    def _group(self, number: int) -> pa.Table:
        """A row group with all columns; the last one is kept, as the items of a chip mostly lie together."""
        with self._lock:
            if self._kept is None or self._kept[0] != number:
                try:
                    self._kept = (number, with_plain_times(self._file.read_row_group(number, use_threads=False)))
                except (OSError, pa.ArrowException) as error:
                    raise _damaged(self.path, error) from error
            return self._kept[1]

    @cached_property
    def _maps(self) -> Literal["lossy"] | None:
        """How Arrow's maps become dictionaries; without it, where there are none, Arrow is four times as fast."""
        return "lossy" if any(map(_holds_map, self.schema.types)) else None

    @cached_property
    def _geo(self) -> dict[str, Any]:
        raw = (self._file.metadata.metadata or {}).get(b"geo")
        try:
            geo = json.loads(raw) if raw else {}
        except ValueError:
            geo = {}
        return geo if isinstance(geo, dict) else {}

    @property
    def geometry(self) -> str:
        """The column that holds the footprints."""
        return str(self._geo.get("primary_column", "geometry"))


def _ordered(keys: NDArray[np.uint64]) -> _Places:
    """Those of some keys; made in place, as there may be a million of them."""
    rows = _row_bits(len(keys))
    keys &= ~rows
    keys |= np.arange(len(keys), dtype="uint64")
    keys.sort()
    return keys


def _rows_in(places: _Places, key: int) -> list[int]:
    """The rows whose keys have the upper bits of this one, in ascending order."""
    rows = _row_bits(len(places))
    # As one of numpy's: beside a number of Python's it would take the keys for floats, each time and not all of them exactly.
    least = np.uint64(key) & ~rows
    first, last = places.searchsorted(least), places.searchsorted(least | rows, side="right")
    found: list[int] = (places[first:last] & rows).tolist()
    return found


def _row_bits(count: int) -> np.uint64:
    """The bits that so many rows need."""
    return np.uint64((1 << max(count - 1, 0).bit_length()) - 1)


def _key(collection: str | None, item_id: str | None) -> int:
    """64 bits that stand for an item; that any two of a million items share them is as likely as one in thirty million."""
    return xxhash.xxh3_64_intdigest(f"{collection or ''}\0{item_id or ''}".encode(errors="surrogatepass"))


def _holds_map(kind: pa.DataType) -> bool:
    return pa.types.is_map(kind) or any(_holds_map(kind.field(number).type) for number in range(kind.num_fields))


def _range_of(group: Any, name: str) -> tuple[str, str | None]:
    """The least and the greatest text of a column in a row group; everything where its statistics say nothing."""
    columns = [group.column(number) for number in range(group.num_columns)]
    statistics = next((column.statistics for column in columns if column.path_in_schema == name), None)
    try:
        least, most = (statistics.min, statistics.max) if statistics is not None and statistics.has_min_max else ("", None)
    except ValueError:  # cut off within a letter
        return "", None
    return (least, most) if isinstance(least, str) and isinstance(most, str) else ("", None)


def _damaged(path: str, error: Exception) -> DamagedFile:
    return DamagedFile(f"{path} is no Parquet file, or is damaged: {' '.join(str(error).split())[:200]}")

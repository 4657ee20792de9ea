"""Reading stac-geoparquet: the few columns that a search needs, and single items again."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cached_property
from threading import Lock
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import xxhash

from lcnkit.errors import DataError, listing
from lcnkit.geometry import geometry_of
from lcnkit.index.columns import holds_json
from lcnkit.index.documents import decoded, document_of, self_link, with_plain_times
from lcnkit.index.item_columns import HREF, times
from lcnkit.index.writer import NOTES

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray


class ItemFile:
    """A stac-geoparquet file, opened.

    Raises:
        DataError: It is no Parquet file, or has no items.
        OSError: It cannot be read.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        # Arrow's reader stands one thread at a time: two at once wait for each other for ever, or end the process.
        self._lock = Lock()
        self._kept: tuple[int, pa.Table] | None = None
        self._groups: dict[int, tuple[NDArray[np.uint64], NDArray[np.int32]]] = {}
        try:
            self._file = pq.ParquetFile(path, page_checksum_verification=True)
        except pa.ArrowInvalid as error:
            raise _damaged(path, error) from error
        self.schema = self._file.schema_arrow
        missing = [name for name in ("id", self._geometry) if name not in self.schema.names]
        if missing:
            raise DataError(f"{path} is no stac-geoparquet file: it lacks the columns {listing(missing)}; it has {listing(self.schema.names)}.")
        encoding = self._geo.get("columns", {}).get(self._geometry, {}).get("encoding", "WKB")
        if encoding != "WKB":
            raise DataError(f"{path} holds geometries as {encoding!r}; only WKB can be read. Write it again with WKB.")

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
        return [str(name) for name in self._read(["collection"])["collection"].cast(pa.string()).unique().to_pylist() if name]

    def rows(self) -> pd.DataFrame:
        """What a search needs of every item.

        Returns:
            ``item_id``, ``collection``, ``datetime`` (UTC; NaT unknown), ``cloud_cover`` (percent, NaN unknown), ``geometry``
            (shapely, lon/lat; ``None`` where it encloses no area), ``item_href`` (of an item in an archive; else ``""``).
        """
        import pandas as pd

        known, blank = self.schema.names, np.full(len(self), "", dtype=object)

        def read(*names: str) -> pa.Table:  # column by column: what was read of one is gone when the next is
            return self._read([name for name in names if name in known])

        return pd.DataFrame(
            {
                "item_id": read("id")["id"].cast(pa.string()).fill_null("").to_numpy(),
                "collection": _few_texts(read("collection")["collection"]) if "collection" in known else blank,
                "datetime": self._times(read("datetime"), "datetime").fillna(self._times(read("start_datetime"), "start_datetime")),
                "cloud_cover": self._numbers(read("eo:cloud_cover"), "eo:cloud_cover"),
                "item_href": read(HREF)[HREF].to_numpy() if HREF in known else blank,
                "geometry": self._shapes(read(self._geometry)),
            }
        )

    def selves(self) -> list[str]:
        """The self link of every item, ``""`` where it has none."""
        if "links" not in self.schema.names:
            return [""] * len(self)
        every = self._read(["links"])["links"].combine_chunks()
        if not pa.types.is_list(every.type) or not pa.types.is_struct(every.type.value_type):
            return [self_link(decoded(value, self.schema.field("links"))) for value in every.to_pylist()]
        links, rows = every.flatten(), pc.list_parent_indices(every)
        found = pc.equal(links.field("rel"), "self")
        selves = [""] * len(self)
        for row, href in zip(rows.filter(found).to_pylist(), links.field("href").filter(found).to_pylist(), strict=True):
            selves[row] = href or ""
        return selves

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
                found[row] = document_of(values, self.schema, self._geometry)
        return [found[row] for row in rows]

    def row_of(self, collection: str, item_id: str) -> int | None:
        """The row of an item, the first where there are several; ``None`` where there is none.

        Only row groups are looked into whose statistics do not rule the id out: items mostly lie in order of their ids.
        """
        for group, (least, most) in enumerate(self._id_ranges):
            if least <= item_id and (most is None or item_id <= most):
                place = self._place(group, collection, item_id)
                if place is not None:
                    return int(self._starts[group]) + place
        return None

    @cached_property
    def _id_ranges(self) -> list[tuple[str, str | None]]:
        """The least and the greatest id of each row group, as far as the file says them."""
        groups = [self._file.metadata.row_group(number) for number in range(self._file.num_row_groups)]
        return [_range_of(group, "id") for group in groups]

    def _place(self, group: int, collection: str, item_id: str) -> int | None:
        """Where in a row group an item is, the first where there are several."""
        keys, rows = self._places(group)
        key = _key(collection, item_id)
        found = int(np.searchsorted(keys, key))
        return int(rows[found]) if found < len(keys) and keys[found] == key else None

    def _places(self, group: int) -> tuple[NDArray[np.uint64], NDArray[np.int32]]:
        """Sorted keys of the items of a row group, and their rows; made once.

        Twelve bytes an item, as a worker may meet every group: the ids themselves would take a hundred megabytes of a large index.
        """
        with self._lock:
            if group not in self._groups:
                self._groups[group] = self._places_in(group)
            return self._groups[group]

    def _places_in(self, group: int) -> tuple[NDArray[np.uint64], NDArray[np.int32]]:
        names = [name for name in ("collection", "id") if name in self.schema.names]
        try:
            read = self._file.read_row_group(group, columns=names, use_threads=False)
        except (OSError, pa.ArrowException) as error:
            raise _damaged(self.path, error) from error
        ids = read["id"].cast(pa.string()).to_pylist()
        collections = read["collection"].cast(pa.string()).to_pylist() if "collection" in names else [None] * len(ids)
        keys = np.fromiter(map(_key, collections, ids), "uint64", len(ids))
        order = np.argsort(keys, kind="stable")
        return keys[order], order.astype("int32")

    @cached_property
    def _starts(self) -> np.ndarray:
        sizes = [self._file.metadata.row_group(group).num_rows for group in range(self._file.num_row_groups)]
        return np.concatenate([[0], np.cumsum(sizes)])[:-1].astype("int64")

    def _read(self, columns: Sequence[str]) -> pa.Table:
        try:
            with self._lock:
                return self._file.read(columns=list(columns), use_threads=False)
        except (OSError, pa.ArrowException) as error:
            raise _damaged(self.path, error) from error

    def _group(self, number: int) -> pa.Table:
        """A row group with all columns; the last one is kept, as the items of a chip mostly lie together."""
        with self._lock:
            if self._kept is None or self._kept[0] != number:
                try:
                    self._kept = (number, with_plain_times(self._file.read_row_group(number)))
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
    def _geometry(self) -> str:
        return str(self._geo.get("primary_column", "geometry"))

    def _times(self, read: pa.Table, name: str) -> pd.Series:
        import pandas as pd

        if name not in read.column_names:
            return pd.Series(pd.NaT, index=range(len(self)), dtype="datetime64[ns, UTC]")
        values = read[name].to_pandas()
        if values.dtype == object:
            return times(values)
        return pd.Series(pd.to_datetime(values, utc=True)).astype("datetime64[ns, UTC]")

    def _numbers(self, read: pa.Table, name: str) -> pd.Series:
        import pandas as pd

        if name not in read.column_names:
            return pd.Series(np.nan, index=range(len(self)), dtype="float64")
        column = read[name]
        values = (
            [decoded(value, read.schema.field(name)) for value in column.to_pylist()] if holds_json(read.schema.field(name)) else column.to_pandas()
        )
        return pd.to_numeric(pd.Series(values), errors="coerce").astype("float64")

    def _shapes(self, read: pa.Table) -> np.ndarray:
        """Footprints; items mostly share a few outlines, which are read once."""
        import shapely

        column = read[self._geometry].combine_chunks()
        outlines = getattr(column, "storage", column).dictionary_encode()
        shapes = np.asarray(shapely.from_wkb(outlines.dictionary.to_numpy(zero_copy_only=False), on_invalid="ignore"), dtype=object)
        bad = ~(shapely.is_valid(shapes) & (shapely.area(shapes) > 0))
        for position in np.flatnonzero(bad):
            shape = shapes[position]
            shapes[position] = None if shape is None else geometry_of({"geometry": shape.__geo_interface__, "bbox": list(shape.bounds)})
        every: np.ndarray = np.array([*shapes, None], dtype=object)[outlines.indices.fill_null(len(shapes)).to_numpy(zero_copy_only=False)]
        return every


def _key(collection: str | None, item_id: str | None) -> int:
    """64 bits that stand for an item; that any two of a million items share them is as likely as one in thirty million."""
    return xxhash.xxh3_64_intdigest(f"{collection or ''}\0{item_id or ''}".encode(errors="surrogatepass"))


def _holds_map(kind: pa.DataType) -> bool:
    return pa.types.is_map(kind) or any(_holds_map(kind.field(number).type) for number in range(kind.num_fields))


def _few_texts(column: pa.ChunkedArray) -> np.ndarray:
    """The texts of a column that holds the same few again and again: each is one object; ``""`` for null."""
    encoded = column.cast(pa.string()).fill_null("").combine_chunks().dictionary_encode()
    texts: np.ndarray = np.asarray(encoded.dictionary.to_numpy(zero_copy_only=False), dtype=object)[encoded.indices.to_numpy()]
    return texts


def _range_of(group: Any, name: str) -> tuple[str, str | None]:
    """The least and the greatest text of a column in a row group; everything where its statistics say nothing."""
    columns = [group.column(number) for number in range(group.num_columns)]
    statistics = next((column.statistics for column in columns if column.path_in_schema == name), None)
    try:
        least, most = (statistics.min, statistics.max) if statistics is not None and statistics.has_min_max else ("", None)
    except ValueError:  # cut off within a letter
        return "", None
    return (least, most) if isinstance(least, str) and isinstance(most, str) else ("", None)


def _damaged(path: str, error: Exception) -> DataError:
    return DataError(f"{path} is no Parquet file, or is damaged: {' '.join(str(error).split())[:200]}")

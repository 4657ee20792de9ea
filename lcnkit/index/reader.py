"""Reading stac-geoparquet: the few columns that a search needs, and single items again."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import cached_property
from threading import Lock
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from lcnkit.errors import DataError, listing
from lcnkit.geometry import geometry_of
from lcnkit.index.columns import holds_json
from lcnkit.index.documents import decoded, document_of, self_link
from lcnkit.index.writer import HREF, NOTES, times

if TYPE_CHECKING:
    import pandas as pd


class ItemFile:
    """A stac-geoparquet file, opened.

    Raises:
        DataError: It is no Parquet file, or has no items.
        OSError: It cannot be read.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self._lock = Lock()
        self._kept: tuple[int, pa.Table] | None = None
        try:
            self._file = pq.ParquetFile(path)
        except pa.ArrowInvalid as error:
            raise DataError(f"{path} is no Parquet file, or is damaged: {error}") from error
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
        return [str(name) for name in self._file.read(columns=["collection"])["collection"].cast(pa.string()).unique().to_pylist() if name]

    def rows(self) -> pd.DataFrame:
        """What a search needs of every item.

        Returns:
            ``item_id``, ``collection``, ``datetime`` (UTC; NaT unknown), ``cloud_cover`` (percent, NaN unknown), ``geometry``
            (shapely, lon/lat; ``None`` where it encloses no area), ``item_href`` (of an item in an archive; else ``""``).
        """
        import pandas as pd

        wanted = ("id", "collection", "datetime", "start_datetime", "eo:cloud_cover", HREF, self._geometry)
        read = self._file.read(columns=[name for name in wanted if name in self.schema.names], use_threads=False)
        blank = np.full(len(read), "", dtype=object)
        texts = {name: read[name].cast(pa.string()).fill_null("").to_numpy() if name in read.column_names else blank for name in wanted[:2]}
        return pd.DataFrame(
            {
                "item_id": texts["id"],
                "collection": texts["collection"],
                "datetime": self._times(read, "datetime").fillna(self._times(read, "start_datetime")),
                "cloud_cover": self._numbers(read, "eo:cloud_cover"),
                "item_href": read[HREF].to_numpy() if HREF in read.column_names else blank,
                "geometry": self._shapes(read),
            }
        )

    def selves(self) -> list[str]:
        """The self link of every item, ``""`` where it has none."""
        if "links" not in self.schema.names:
            return [""] * len(self)
        every = self._file.read(columns=["links"])["links"].combine_chunks()
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
            table = self._group(int(group)).take(pa.array([row - int(starts[group]) for row in inside]))
            for row, values in zip(inside, table.to_pylist(maps_as_pydicts="lossy"), strict=True):
                found[row] = document_of(values, self.schema, self._geometry)
        return [found[row] for row in rows]

    @cached_property
    def positions(self) -> Mapping[tuple[str, str], int]:
        """The row of each item by collection and id; the first where there are several."""
        names = [name for name in ("collection", "id") if name in self.schema.names]
        read = self._file.read(columns=names)
        ids = read["id"].cast(pa.string()).to_pylist()
        collections = read["collection"].cast(pa.string()).to_pylist() if "collection" in names else [""] * len(ids)
        keys = list(zip((name or "" for name in collections), ids, strict=True))
        return dict(zip(reversed(keys), range(len(keys) - 1, -1, -1), strict=True))

    @cached_property
    def _starts(self) -> np.ndarray:
        sizes = [self._file.metadata.row_group(group).num_rows for group in range(self._file.num_row_groups)]
        return np.concatenate([[0], np.cumsum(sizes)])[:-1].astype("int64")

    def _group(self, number: int) -> pa.Table:
        """A row group with all columns; the last one is kept, as the items of a chip mostly lie together."""
        with self._lock:
            if self._kept is None or self._kept[0] != number:
                self._kept = (number, self._file.read_row_group(number))
            return self._kept[1]

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
            return pd.Series(pd.NaT, index=range(len(read)), dtype="datetime64[ns, UTC]")
        values = read[name].to_pandas()
        if values.dtype == object:
            return times(values)
        return pd.Series(pd.to_datetime(values, utc=True)).astype("datetime64[ns, UTC]")

    def _numbers(self, read: pa.Table, name: str) -> pd.Series:
        import pandas as pd

        if name not in read.column_names:
            return pd.Series(np.nan, index=range(len(read)), dtype="float64")
        column = read[name]
        values = (
            [decoded(value, read.schema.field(name)) for value in column.to_pylist()] if holds_json(read.schema.field(name)) else column.to_pandas()
        )
        return pd.to_numeric(pd.Series(values), errors="coerce").astype("float64")

    def _shapes(self, read: pa.Table) -> np.ndarray:
        """Footprints; items mostly share a few outlines, which are read once."""
        import pandas as pd
        import shapely

        column = read[self._geometry].combine_chunks()
        raw = getattr(column, "storage", column).to_numpy(zero_copy_only=False)
        code, unique = pd.factorize(pd.Series(raw, dtype=object), use_na_sentinel=True)
        shapes = shapely.from_wkb(np.asarray(unique, dtype=object), on_invalid="ignore")
        bad = ~(shapely.is_valid(shapes) & (shapely.area(shapes) > 0))
        for position in np.flatnonzero(bad):
            shape = shapes[position]
            shapes[position] = None if shape is None else geometry_of({"geometry": shape.__geo_interface__, "bbox": list(shape.bounds)})
        return np.asarray([*shapes, None], dtype=object)[code]

"""The items of a stac-geoparquet file, for a search: no more is read than the columns that it needs, of the rows that it needs."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lcnkit.geometry import geometry_of
from lcnkit.index.columns import holds_json
from lcnkit.index.documents import decoded, self_link
from lcnkit.index.item_columns import HREF, times
from lcnkit.index.items import Outlines
from lcnkit.periods import in_utc

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from lcnkit.index.reader import ItemFile


class FileItems:
    """`lcnkit.index.items.Items` of a file."""

    def __init__(self, file: ItemFile) -> None:
        self.file = file

    def __len__(self) -> int:
        return len(self.file)

    @cached_property
    def outlines(self) -> Outlines:
        """See `lcnkit.index.items.Items.outlines`; an item without a time cannot be used either."""
        known: dict[bytes, int] = {}
        codes = [np.empty(0, "int32")]
        for run in self.file.runs():
            read = self.file.columns([self.file.geometry, "datetime", "start_datetime"], run)
            column = read[self.file.geometry].combine_chunks()
            encoded = getattr(column, "storage", column).dictionary_encode()
            number = [known.setdefault(shape, len(known)) for shape in encoded.dictionary.to_pylist()]
            code = np.array([*number, -1], dtype="int32")[encoded.indices.fill_null(len(number)).to_numpy(zero_copy_only=False)]
            codes.append(np.where(_moments(read).notna(), code, -1).astype("int32"))
        shapes = _shapes(list(known))
        code, usable = np.concatenate(codes), np.array([*(shape is not None for shape in shapes), False])
        return Outlines(shapes, np.where(usable[code], code, -1).astype("int32"))

    @property
    def unusable(self) -> NDArray[np.intp]:
        """Rows of items that have no time or enclose no area."""
        return np.flatnonzero(self.outlines.code < 0)

    def at(self, rows: NDArray[np.intp] | None = None) -> pd.DataFrame:
        """See `lcnkit.index.items.Items.at`.

        Returns:
            ``item_id``, ``collection``, ``datetime`` (UTC; NaT unknown), ``cloud_cover`` (percent, NaN unknown), ``item_href`` (of
            an item in an archive; else ``""``), ``geometry`` (shapely, lon/lat; ``None`` where it encloses no area).
        """
        import pandas as pd

        rows = np.arange(len(self)) if rows is None else rows
        groups, place = self.file.groups_of(rows)
        known, blank = self.file.schema.names, np.full(len(rows), "", dtype=object)

        def read(*names: str) -> pa.Table:  # column by column: what was read of one is gone when the next is
            found = self.file.columns(names, groups.tolist())
            return found if len(found) == len(place) else found.take(pa.array(place))

        shapes = np.array([*self.outlines.shapes, None], dtype=object)
        return pd.DataFrame(
            {
                "item_id": read("id")["id"].cast(pa.string()).fill_null("").to_numpy(),
                "collection": _few_texts(read("collection")["collection"]) if "collection" in known else blank,
                "datetime": _moments(read("datetime", "start_datetime"), len(rows)),
                "cloud_cover": _numbers(read("eo:cloud_cover"), "eo:cloud_cover", len(rows)),
                "item_href": read(HREF)[HREF].to_numpy() if HREF in known else blank,
                "geometry": shapes[self.outlines.code[rows]],
            }
        )

    def reads_for(self, rows: NDArray[np.intp]) -> int:
        """See `lcnkit.index.items.Items.reads_for`: row groups are read whole."""
        return self.file.reads_for(rows)

    def hrefs(self) -> Iterator[list[str]]:
        """Where items of an archive are, below its root: all of them, some thousand at a time."""
        return (self.file.columns([HREF], run)[HREF].to_pylist() for run in self.file.runs())

    def selves(self, rows: NDArray[np.intp]) -> list[str]:
        """The self link of some items, ``""`` where one has none."""
        if "links" not in self.file.schema.names:
            return [""] * len(rows)
        groups, place = self.file.groups_of(rows)
        every = self.file.columns(["links"], groups.tolist())["links"].take(pa.array(place)).combine_chunks()
        if not pa.types.is_list(every.type) or not pa.types.is_struct(every.type.value_type):
            return [self_link(decoded(value, self.file.schema.field("links"))) for value in every.to_pylist()]
        links, parents = every.flatten(), pc.list_parent_indices(every)
        found = pc.equal(links.field("rel"), "self")
        selves = [""] * len(rows)
        for row, href in zip(parents.filter(found).to_pylist(), links.field("href").filter(found).to_pylist(), strict=True):
            selves[row] = href or ""
        return selves


def _moments(read: pa.Table, size: int | None = None) -> pd.Series:
    """When each item was acquired; a composite, which has no time of its own, counts where its range begins."""
    import pandas as pd

    found = [_times(read[name]) for name in ("datetime", "start_datetime") if name in read.column_names]
    if not found:
        return pd.Series(pd.NaT, index=range(len(read) if size is None else size), dtype="datetime64[ns, UTC]")
    return found[0] if len(found) == 1 else found[0].fillna(found[1])


def _times(column: pa.ChunkedArray) -> pd.Series:
    import pandas as pd

    values = column.to_pandas()
    try:
        return times(values) if values.dtype == object else in_utc(values)
    except pd.errors.OutOfBoundsDatetime:  # an instant beyond what nanoseconds hold is none
        return times(values.astype(object))


def _numbers(read: pa.Table, name: str, size: int) -> pd.Series:
    import pandas as pd

    if name not in read.column_names:
        return pd.Series(np.nan, index=range(size), dtype="float64")
    column, field = read[name], read.schema.field(name)
    values = [decoded(value, field) for value in column.to_pylist()] if holds_json(field) else column.to_pandas()
    return pd.to_numeric(pd.Series(values), errors="coerce").astype("float64")


def _shapes(texts: list[bytes]) -> NDArray[np.object_]:
    """Footprints of their WKB; ``None`` where one encloses no area."""
    import shapely

    shapes = np.empty(len(texts), dtype=object)
    shapes[:] = shapely.from_wkb(texts, on_invalid="ignore")
    west, _, east, _ = shapely.bounds(shapes).T
    with np.errstate(invalid="ignore"):  # infinity for a coordinate
        doubtful = ~(shapely.is_valid(shapes) & (shapely.area(shapes) > 0) & (east - west <= 180))
    for position in np.flatnonzero(doubtful):
        shape = shapes[position]
        shapes[position] = None if shape is None else geometry_of({"geometry": shape.__geo_interface__, "bbox": list(shape.bounds)})
    return shapes


def _few_texts(column: pa.ChunkedArray) -> np.ndarray:
    """The texts of a column that holds the same few again and again: each is one object; ``""`` for null."""
    encoded = column.cast(pa.string()).fill_null("").combine_chunks().dictionary_encode()
    texts: np.ndarray = np.asarray(encoded.dictionary.to_numpy(zero_copy_only=False), dtype=object)[encoded.indices.to_numpy()]
    return texts

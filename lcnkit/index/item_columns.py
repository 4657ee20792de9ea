"""Items, turned into the columns of a stac-geoparquet file."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from lcnkit.index.columns import BBOX, FIXED, LINK, TIMES, array_of, field_of

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

#: Where an item of an archive is, below the archive's root.
HREF = "lcnkit:href"

Values = Any
"""A list, an array or a series of values."""
_Links = tuple[list[str | None], ...]


@dataclass(frozen=True)
class Column:
    """One column of some items, of the type that their values need."""

    field: pa.Field
    values: Values
    """As they stand in the items; what items have in common stands here once."""
    made: pa.Array | None
    """The same in the field's type, where they are that already."""
    rows: pa.Array | None = None
    """Which of the values each item has; ``None``: one after another."""

    def array(self, field: pa.Field) -> pa.Array:
        """The column in the type of ``field``, which is as wide or wider: one entry for each item."""
        made = self.made if field.equals(self.field, check_metadata=True) else None
        if made is None:
            made = array_of(field, self.values)
        return made if self.rows is None else made.take(self.rows)


def columns_of(documents: Sequence[Mapping[str, Any]], selves: Sequence[str], geometry: NDArray[np.object_]) -> dict[str, Column]:
    """The columns by name; what is empty in all items is left out.

    Args:
        documents: The items as published, ``properties`` a mapping; ``assets`` and ``links`` that are one object in many
            items are converted once.
        selves: Where each was found, absolute.
        geometry: Their footprints (shapely).
    """
    import shapely

    made: dict[str, Column | None] = {
        "type": _column("type", ["Feature"] * len(documents)),
        "stac_version": _column("stac_version", [str(document.get("stac_version") or "1.0.0") for document in documents]),
        "stac_extensions": _column("stac_extensions", [_texts(document.get("stac_extensions")) for document in documents]),
        "id": _column("id", [str(document["id"]) for document in documents]),
        "collection": _column("collection", [str(document.get("collection") or "") for document in documents]),
    }
    names = dict.fromkeys(name for document in documents for name in document["properties"])
    taken = {*FIXED, "assets", "properties", HREF} - {"datetime"}
    for name in dict.fromkeys(["datetime", *names]):
        if name not in taken:
            values = [document["properties"].get(name) for document in documents]
            made[name] = _column(name, times(values) if name in TIMES else values)
    made["geometry"] = _column("geometry", shapely.to_wkb(geometry))
    made["bbox"] = _given("bbox", pa.StructArray.from_arrays([pa.array(side) for side in shapely.bounds(geometry).T], fields=list(BBOX)))
    made["links"] = _given("links", _links([document.get("links") for document in documents], selves))
    made["assets"] = _assets([document.get("assets") for document in documents])
    return {name: column for name, column in made.items() if column is not None}


def hrefs_column(hrefs: Sequence[str]) -> Column:
    """The column `HREF`."""
    return _given(HREF, pa.array(hrefs, pa.string()))


def times(values: Iterable[Any]) -> pd.Series:
    """Times as they stand in items, in UTC; NaT where there is none."""
    import pandas as pd

    read = pd.to_datetime(pd.Series(list(values), dtype="object"), utc=True, format="ISO8601", errors="coerce")
    return read.astype("datetime64[ns, UTC]")


def _column(name: str, values: Values, rows: pa.Array | None = None) -> Column | None:
    field, made = field_of(name, values)
    return None if field is None else Column(field, values, made, rows)


def _given(name: str, array: pa.Array) -> Column:
    return Column(pa.field(name, array.type), array, array)


def _distinct(values: Sequence[Any]) -> tuple[list[Any], list[int]]:
    """Each object once, and the position of each value's."""
    places: dict[int, int] = {}
    rows = [places.setdefault(id(value), len(places)) for value in values]
    by_id = {id(value): value for value in values}
    return [by_id[key] for key in places], rows


def _assets(values: Sequence[Any]) -> Column | None:
    unique, rows = _distinct(values)
    kept = [
        {str(key): fields for key, fields in assets.items() if isinstance(fields, dict)} if isinstance(assets, dict) else None for assets in unique
    ]
    return _column("assets", kept, pa.array(rows))


def _links(values: Sequence[Any], selves: Sequence[str]) -> pa.Array:
    """Links as published, but the one to the item itself: where it was found."""
    unique, rows = _distinct(values)
    others = [_others(links) for links in unique]
    columns: tuple[list[str | None], ...] = tuple([] for _ in LINK)
    ends = [0]
    for row, href in zip(rows, selves, strict=True):
        for column, own, more in zip(columns, (href, "self", "application/geo+json", None), others[row], strict=True):
            column.append(own)
            column += more
        ends.append(len(columns[0]))
    entries = pa.StructArray.from_arrays([pa.array(column, pa.string()) for column in columns], fields=list(LINK))
    return pa.ListArray.from_arrays(pa.array(ends, pa.int32()), entries)


def _others(links: Any) -> _Links:
    """The links to other places, key by key."""
    every = [link for link in links if isinstance(link, dict) and link.get("rel") != "self"] if isinstance(links, list) else []
    return tuple([None if link.get(field.name) is None else str(link[field.name]) for link in every] for field in LINK)


def _texts(values: Any) -> list[str]:
    return [str(value) for value in values] if isinstance(values, list) else []

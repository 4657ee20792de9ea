"""Writing stac-geoparquet, some items at a time."""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from lcnkit.index.columns import FIXED, TIMES, array_of, conformed, field_of, merged

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

#: Where an item of an archive is, below the archive's root.
HREF = "lcnkit:href"
#: Key of what lcnkit notes in a file.
NOTES = b"lcnkit"

_LINK_KEYS = ("href", "rel", "type", "title")


class Writer:
    """One file, which appears under its name when `finish` ends; use it in a ``with`` block.

    Columns that no item had so far are added when they come: what is written is then written again, once for
    each batch that brings something new.
    """

    def __init__(self, path: Path, *, of_archive: bool = False) -> None:
        self.path = path
        self.of_archive = of_archive
        """Whether this is an archive's own index: it has the column `HREF`, and the crawl goes on where it cannot be written."""
        self.count = 0
        self._part = path.with_name(f".{path.name}.{os.getpid()}.{uuid.uuid4().hex[:8]}.part")
        self._file: pq.ParquetWriter | None = None
        self._kinds: set[str] = set()
        self._bounds = np.array([np.inf, np.inf, -np.inf, -np.inf])

    def add(self, documents: Sequence[Mapping[str, Any]], selves: Sequence[str], geometry: NDArray[np.object_], hrefs: Sequence[str]) -> None:
        """Write some items, as one row group.

        Args:
            documents: The items as published, ``properties`` a mapping.
            selves: Where each was found, absolute.
            geometry: Their footprints (shapely).
            hrefs: The same below the archive's root, for the column `HREF` (``of_archive``).
        """
        if not documents:
            return
        columns = _columns(documents, selves, geometry)
        if self.of_archive:
            columns[HREF] = list(hrefs)
        fields = [field for field in (field_of(name, values) for name, values in columns.items()) if field is not None]
        file = self._widened(pa.schema(fields))
        schema = file.schema
        arrays = [array_of(field, columns[field.name]) if field.name in columns else pa.nulls(len(documents), field.type) for field in schema]
        file.write_table(pa.table(arrays, schema=schema))
        self._note(geometry)
        self.count += len(documents)

    def finish(self, notes: Mapping[str, Any] | None = None, collections: Mapping[str, Any] | None = None) -> None:
        """Complete the file and give it its name.

        Args:
            notes: What lcnkit wants to know of the file later.
            collections: The STAC collections of the items by id, without links to items.
        """
        file = self._file or self._widened(pa.schema(list(FIXED.items())))
        file.add_key_value_metadata(
            {
                b"geo": json.dumps(self._geo()).encode(),
                b"stac-geoparquet": json.dumps({"version": "1.1.0", "collections": dict(collections or {})}).encode(),
                **({NOTES: json.dumps(notes).encode()} if notes is not None else {}),
            }
        )
        self._close_file()
        os.replace(self._part, self.path)

    def __enter__(self) -> Writer:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Leave nothing behind that is not finished."""
        self._close_file()
        self._part.unlink(missing_ok=True)

    def _close_file(self) -> None:
        if self._file is not None:
            file, self._file = self._file, None
            file.close()

    def _widened(self, needed: pa.Schema) -> pq.ParquetWriter:
        """The open file, with all columns that are needed now."""
        before = self._file
        if before is None:
            self._file = _open(self._part, needed)
            return self._file
        schema = merged(before.schema, needed)
        if schema.equals(before.schema, check_metadata=True):
            return before
        self._close_file()
        wider = self._part.with_suffix(".wider.part")
        file = _open(wider, schema)
        try:
            with pq.ParquetFile(self._part) as written:
                for group in range(written.num_row_groups):
                    file.write_table(conformed(written.read_row_group(group), schema))
            os.replace(wider, self._part)
        except BaseException:
            file.close()
            wider.unlink(missing_ok=True)
            raise
        self._file = file
        return file

    def _note(self, geometry: NDArray[np.object_]) -> None:
        import shapely

        self._kinds.update(str(kind) for kind in {shape.geom_type for shape in geometry})
        west, south, east, north = shapely.total_bounds(geometry)
        self._bounds = np.array([*np.minimum(self._bounds[:2], [west, south]), *np.maximum(self._bounds[2:], [east, north])])

    def _geo(self) -> dict[str, Any]:
        column: dict[str, Any] = {
            "encoding": "WKB",
            "geometry_types": sorted(self._kinds),
            "covering": {"bbox": {side: ["bbox", side] for side in ("xmin", "ymin", "xmax", "ymax")}},
        }
        if self.count:
            column["bbox"] = [float(value) for value in self._bounds]
        return {"version": "1.1.0", "primary_column": "geometry", "columns": {"geometry": column}}


def _open(path: Path, schema: pa.Schema) -> pq.ParquetWriter:
    return pq.ParquetWriter(path, schema, compression="zstd", compression_level=1, write_statistics=["id", "datetime"])


def times(values: Iterable[Any]) -> pd.Series:
    """Times as they stand in items, in UTC; NaT where there is none."""
    import pandas as pd

    read = pd.to_datetime(pd.Series(list(values), dtype="object"), utc=True, format="ISO8601", errors="coerce")
    return read.astype("datetime64[ns, UTC]")


def _columns(documents: Sequence[Mapping[str, Any]], selves: Sequence[str], geometry: NDArray[np.object_]) -> dict[str, Any]:
    import shapely

    columns: dict[str, Any] = {
        "type": ["Feature"] * len(documents),
        "stac_version": [str(document.get("stac_version") or "1.0.0") for document in documents],
        "stac_extensions": [_texts(document.get("stac_extensions")) for document in documents],
        "id": [str(document["id"]) for document in documents],
        "collection": [str(document.get("collection") or "") for document in documents],
    }
    names = dict.fromkeys(name for document in documents for name in document["properties"])
    taken = {*FIXED, "assets", "properties", HREF} - {"datetime"}
    for name in dict.fromkeys(["datetime", *names]):
        if name not in taken:
            values = [document["properties"].get(name) for document in documents]
            columns[name] = times(values) if name in TIMES else values
    sides = shapely.bounds(geometry)
    columns["geometry"] = shapely.to_wkb(geometry)
    columns["bbox"] = [dict(zip(("xmin", "ymin", "xmax", "ymax"), box, strict=True)) for box in sides.tolist()]
    columns["links"] = [_links(document.get("links"), href) for document, href in zip(documents, selves, strict=True)]
    columns["assets"] = [_assets(document.get("assets")) for document in documents]
    return columns


def _texts(values: Any) -> list[str]:
    return [str(value) for value in values] if isinstance(values, list) else []


def _links(links: Any, href: str) -> list[dict[str, str]]:
    """Links as published, but the one to the item itself: where it was found."""
    others = [link for link in links if isinstance(link, dict) and link.get("rel") != "self"] if isinstance(links, list) else []
    kept = [{key: str(link[key]) for key in _LINK_KEYS if link.get(key) is not None} for link in others]
    return [{"rel": "self", "href": href, "type": "application/geo+json"}, *kept]


def _assets(assets: Any) -> dict[str, Any] | None:
    return {str(key): fields for key, fields in assets.items() if isinstance(fields, dict)} if isinstance(assets, dict) else None

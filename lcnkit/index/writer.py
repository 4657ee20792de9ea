"""Writing stac-geoparquet, some items at a time."""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from lcnkit.index.columns import FIXED, conformed, merged
from lcnkit.index.item_columns import HREF, columns_of, hrefs_column

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: Key of what lcnkit notes in a file.
NOTES = b"lcnkit"


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
        columns = columns_of(documents, selves, geometry)
        if self.of_archive:
            columns[HREF] = hrefs_column(hrefs)
        file = self._widened(pa.schema([column.field for column in columns.values()]))
        schema = file.schema
        arrays = [columns[field.name].array(field) if field.name in columns else pa.nulls(len(documents), field.type) for field in schema]
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
    return pq.ParquetWriter(path, schema, compression="zstd", compression_level=1, write_statistics=["id", "datetime"], write_page_checksum=True)

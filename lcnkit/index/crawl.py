"""Reading the items of an archive one by one: the table a search needs, and the same items for an index."""

from __future__ import annotations

import logging
import marshal
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from lcnkit.archive import load_item
from lcnkit.archive.parsing import no_collector
from lcnkit.errors import OutputError
from lcnkit.geometry import geometry_of
from lcnkit.index.items import Items, TableItems
from lcnkit.model.href import relative_to

if TYPE_CHECKING:
    import pandas as pd

    from lcnkit.index.writer import Writer
    from lcnkit.model import Item

log = logging.getLogger(__name__)

#: Columns of the table, in order.
TABLE = ("item_id", "collection", "datetime", "cloud_cover", "item_href", "geometry")
# Items read before they are written: few enough to be small, many enough for one row group.
_BATCH = 2500

Load = Callable[[Sequence[str]], Iterable[tuple[str, "Item | str"]]]
"""Each path with its item, or with a sentence that says why it cannot be read."""
Problem = tuple[str, str]
"""Where an item is, and a sentence that says why it cannot be used."""


@dataclass(frozen=True)
class Crawl:
    """The items of a collection."""

    items: Items
    """Those that can be used, in the order of the links."""
    problems: tuple[Problem, ...]
    """The others."""

    @property
    def table(self) -> pd.DataFrame:
        """`TABLE`, of all of them."""
        return self.items.at()


@dataclass
class _Batch:
    """Items that can be used, column by column."""

    documents: list[Mapping[str, Any]] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    when: list[Any] = field(default_factory=list)
    geometry: list[Any] = field(default_factory=list)
    _outlines: dict[bytes, Any] = field(default_factory=dict)
    _shared: dict[bytes, Any] = field(default_factory=dict)

    def outline(self, document: Mapping[str, Any]) -> Any:
        """The item's footprint; items mostly share a few."""
        key = _key((document.get("geometry"), document.get("bbox")))
        if key is None:
            return geometry_of(document)
        if key not in self._outlines:
            self._outlines[key] = geometry_of(document)
        return self._outlines[key]

    def shared(self, value: Any) -> Any:
        """The first value that was the same: what items have in common is kept once, and written once."""
        key = _key(value)
        return value if key is None else self._shared.setdefault(key, value)


def _key(value: Any) -> bytes | None:
    """Bytes that only the very same JSON value has: 1 is not 1.0 here, and the order of keys counts."""
    try:
        return marshal.dumps(value, 2)  # later versions write the same value in several ways
    except ValueError:  # nested too deeply
        return None


def crawl(
    paths: Sequence[str],
    collection: str,
    root: str,
    writer: Writer | None = None,
    advance: Callable[[bool], None] | None = None,
    load: Load | None = None,
) -> Crawl:
    """Read items; what cannot be used is named, and does not stop the others.

    Args:
        paths: Of their JSON files, absolute.
        collection: The collection of items that do not name theirs.
        root: Folder that ``item_href`` is relative to.
        writer: Takes the items too; where an archive's own index cannot, this is said once and the crawl goes on without.
        advance: Told after each item whether it failed.
        load: Reads items by their paths; from the disk by default.

    Raises:
        OutputError: Another file than an archive's own index cannot be written.
    """
    import pandas as pd

    tables: list[pd.DataFrame] = []
    problems: list[Problem] = []
    for start in range(0, len(paths), _BATCH):
        with no_collector():
            table, documents, left = _read(paths[start : start + _BATCH], collection, root, advance, load or _from_disk)
            problems += left
            tables.append(table)
            if writer is not None and not _written(writer, table, documents, collection):
                writer = None
            del documents
    table = pd.concat(tables, ignore_index=True) if tables else _table(_Batch(), np.empty(0), collection, root)
    return Crawl(TableItems(table), tuple(problems))


def _written(writer: Writer, table: pd.DataFrame, documents: Sequence[tuple[str, Mapping[str, Any]]], collection: str) -> bool:
    selves = [path for path, _ in documents]
    try:
        writer.add([document for _, document in documents], selves, table["geometry"].to_numpy(), table["item_href"].tolist())
    except (OSError, ValueError, TypeError, OverflowError) as error:  # pyarrow's errors are among them
        why = " ".join(str(error).split())
        if not writer.of_archive:
            raise OutputError(f"The items of {collection or 'the search'} cannot be written to {writer.path}: {why}") from error
        log.warning("The items of %s cannot be kept as an index: %s", collection, why)
        writer.close()
        return False
    return True


def _read(
    paths: Sequence[str], collection: str, root: str, advance: Callable[[bool], None] | None, load: Load
) -> tuple[pd.DataFrame, list[tuple[str, Mapping[str, Any]]], list[Problem]]:
    from lcnkit.index.item_columns import times

    batch, problems = _Batch(), []  # type: _Batch, list[Problem]
    for path, item in load(paths):
        problem = _sort_in(path, item, collection, batch)
        if problem:
            problems.append((path, problem))
        if advance:
            advance(bool(problem))
    moments = times(batch.when)
    dated = moments.notna().to_numpy()
    problems += [
        (batch.paths[row], f"{batch.paths[row]}: item {batch.documents[row]['id']!r} has a datetime that cannot be read")
        for row in np.flatnonzero(~dated)
    ]
    table = _table(batch, moments, collection, root)[dated].reset_index(drop=True)
    kept = [(batch.paths[row], batch.documents[row]) for row in np.flatnonzero(dated)]
    return table, kept, problems


def _from_disk(paths: Sequence[str]) -> Iterable[tuple[str, Item | str]]:
    return ((path, load_item(path)) for path in paths)


def _sort_in(path: str, item: Item | str, collection: str, batch: _Batch) -> str:
    """Put an item into the batch; gives a sentence that says why it cannot be, or ``""``."""
    if isinstance(item, str):
        return item
    document = item.document
    properties = document.get("properties") or {}
    if not isinstance(properties, dict):
        return f"{path}: item {item.id!r} has properties that are no JSON object"
    # A composite has no datetime of its own: it counts where its range begins.
    when = properties.get("datetime") or properties.get("start_datetime")
    if not when:
        return f"{path}: item {item.id!r} has neither datetime nor start_datetime, so it belongs to no period"
    outline = batch.outline(document)
    if outline is None:
        return f"{path}: item {item.id!r} has no usable geometry and no bbox, so it covers no chip"
    common = {name: batch.shared(document.get(name)) for name in ("assets", "links")}
    batch.documents.append({**document, **common, "collection": str(document.get("collection") or collection), "properties": properties})
    batch.paths.append(path)
    batch.when.append(when)
    batch.geometry.append(outline)
    return ""


def _table(batch: _Batch, moments: Any, collection: str, root: str) -> pd.DataFrame:
    import pandas as pd

    shapes = np.empty(len(batch.geometry), dtype=object)
    shapes[:] = batch.geometry
    clouds = pd.Series([document["properties"].get("eo:cloud_cover") for document in batch.documents], dtype=object)
    return pd.DataFrame(
        {
            "item_id": pd.Series([str(document["id"]) for document in batch.documents], dtype=object),
            "collection": pd.Series([document["collection"] for document in batch.documents], dtype=object),
            "datetime": pd.Series(moments, dtype="datetime64[ns, UTC]"),
            "cloud_cover": pd.to_numeric(clouds, errors="coerce").astype("float64"),
            "item_href": pd.Series([relative_to(path, root) for path in batch.paths], dtype=object),
            "geometry": shapes,
        },
        columns=list(TABLE),
    )

"""Catalog: stac-geoparquet, in one file or many."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote

from lcnkit.candidates import empty_search, match
from lcnkit.catalog.owners import owners_of
from lcnkit.contracts import Catalog, Query
from lcnkit.errors import DataError, UnreadableAsset, did_you_mean, listing
from lcnkit.hookspecs import hookimpl
from lcnkit.model import Chip, Item
from lcnkit.model.href import is_url, resolve

if TYPE_CHECKING:
    import pandas as pd

    from lcnkit.index.reader import ItemFile

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Geoparquet(Catalog):
    """Search stac-geoparquet, such as `python -m lcnkit index` or rustac write it: no server, no crawl."""

    path: str | None = None
    """A .parquet file, a folder of them, or the URL of a file: https://... or s3://BUCKET/KEY (public; copied to the cache folder)."""
    endpoint: str | None = None
    """URL of the S3-compatible service of an s3:// path; null: Amazon's."""

    def find_collection(self, name: str | None) -> str:
        """See `lcnkit.contracts.Catalog.find_collection`."""
        known = sorted({collection for _, file in self._files() for collection in file.collections})
        if name is None:
            imagery = [collection for collection in known if "label" not in collection.lower()]
            fits = imagery if len(imagery) == 1 else [collection for collection in imagery if collection.endswith("sentinel_2")]
        else:
            fits = [name] if name in known else [collection for collection in known if collection.endswith((f"_{name}", f"-{name}"))]
        if not known and name is not None:
            return name  # items that name no collection are of any
        if len(fits) != 1:
            what = "no source collection" if name is None and not fits else f"no collection {name!r}" if not fits else "several collections"
            raise DataError(
                f"{self.path} holds {what}; it has {listing(fits or known)}.{did_you_mean(name or '', known)} Choose with dataset.source=ID."
            )
        return fits[0]

    def search(self, chips: Sequence[Chip], query: Query) -> pd.DataFrame:
        """See `lcnkit.contracts.Catalog.search`."""
        import pandas as pd

        self.find_collection(query.collection)
        tables: list[pd.DataFrame] = []
        selves: list[str] = []
        for name, file in self._files():
            rows = file.rows()
            ours = rows["collection"].isin([query.collection, ""])
            usable = (ours & rows["datetime"].notna() & rows["geometry"].notna()).to_numpy()
            _report(rows.loc[ours & ~usable, "item_id"], file.path)
            hrefs = [f"{name}#{quote(collection, safe='')}/{quote(item, safe='')}" for collection, item in rows[["collection", "item_id"]].to_numpy()]
            table = rows.assign(item_href=hrefs, collection=query.collection)[usable]
            tables.append(table)
            selves += [resolve(href, file.path) for href, keep in zip(file.selves(), usable, strict=True) if keep]
        items = pd.concat(tables, ignore_index=True)
        if not len(items) or not chips:
            return empty_search()
        return match(chips, items.assign(owner=owners_of(items, chips, query, lambda: selves)), query.min_coverage)

    def items(self, hrefs: Sequence[str]) -> list[Item]:
        """See `lcnkit.contracts.Catalog.items`."""
        if not len(hrefs):
            return []
        try:
            files = dict(self._files(again=False))
        except DataError as error:
            raise UnreadableAsset(str(error)) from error
        rows: dict[str, dict[str, int]] = {}
        for href in hrefs:
            name, _, key = href.partition("#")
            collection, _, item = key.partition("/")
            row = files[name].positions.get((unquote(collection), unquote(item))) if name in files else None
            if row is None:
                raise UnreadableAsset(
                    f"{self.path} no longer holds the item {href}, which it held when the plan was made. Plan anew with overwrite=true."
                )
            rows.setdefault(name, {})[href] = row
        found: dict[str, Item] = {}
        for name, wanted in rows.items():
            documents = files[name].documents(list(wanted.values()))
            found.update({href: _item(document, files[name].path) for href, document in zip(wanted, documents, strict=True)})
        return [found[href] for href in hrefs]

    def _files(self, *, again: bool = True) -> list[tuple[str, ItemFile]]:
        """The files, each with its name below a folder (``""`` for a single file), in order of their names.

        Args:
            again: Ask a server whether its file has changed; else a copy that is there will do.
        """
        if self.path is None:
            raise DataError("catalog=geoparquet has no file to search: set catalog.path=FILE; `python -m lcnkit index ROOT` writes one.")
        if is_url(self.path) and not self.path.startswith("file://"):
            from lcnkit.index.remote import local_copy

            return [("", _opened(str(local_copy(self.path, self.endpoint, again=again))))]
        path = os.path.abspath(os.path.expanduser(self.path.removeprefix("file://")))
        if not os.path.exists(path):
            raise DataError(f"catalog.path={self.path} does not exist. `python -m lcnkit index ROOT` writes such a file.")
        if not os.path.isdir(path):
            return [("", _opened(path))]
        names = sorted(_names(path))
        if not names:
            raise DataError(f"The folder {self.path} holds no .parquet file. Give another with catalog.path=PATH.")
        return [(name, _opened(os.path.join(path, name))) for name in names]


def _names(folder: str) -> list[str]:
    """Parquet files below a folder; hidden ones are not for others."""
    found: list[str] = []
    for home, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        found += [
            os.path.relpath(os.path.join(home, name), folder)
            for name in names
            if name.endswith((".parquet", ".geoparquet")) and not name.startswith((".", "_"))
        ]
    return found


def _opened(path: str) -> ItemFile:
    try:
        status = os.stat(path)
        return _open(path, status.st_mtime_ns, status.st_size)
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}") from error


@lru_cache(maxsize=64)
def _open(path: str, changed: int, size: int) -> ItemFile:
    """Kept open: a worker asks for the items of every chip."""
    from lcnkit.index.reader import ItemFile

    return ItemFile(path)


def _item(document: dict[str, object], path: str) -> Item:
    from lcnkit.index.documents import self_link

    return Item(resolve(self_link(document.get("links")) or path, path), document)


def _report(left: pd.Series, path: str) -> None:
    if len(left):
        log.warning("%d items of %s have no usable time or footprint and are left out: %s", len(left), path, listing(left, 3))


@hookimpl
def lcnkit_catalog() -> dict[str, type[Geoparquet]]:
    """Offer the catalog."""
    return {"geoparquet": Geoparquet}

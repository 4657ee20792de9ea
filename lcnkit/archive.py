"""STAC archives on disk: their collections, and the items of a collection.

Real archives are damaged: links dangle, collection folders are nested twice, a catalog.json is missing. What
can be read is read; what cannot is counted and named.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from lcnkit.errors import DataError, did_you_mean, listing
from lcnkit.model import Item
from lcnkit.model.href import resolve

# Collections lie in the root, one folder down, or nested twice (an archive unpacked into a folder of its own name).
_DEPTH = 3


@dataclass(frozen=True)
class Collection:
    """A STAC collection on disk."""

    path: str
    """Of its collection.json, absolute."""
    document: dict[str, Any] = field(repr=False, compare=False)

    @property
    def id(self) -> str:
        """The collection's id; its folder's name where the JSON has none."""
        return str(self.document.get("id") or os.path.basename(os.path.dirname(self.path)))

    @cached_property
    def item_paths(self) -> list[str]:
        """Absolute paths of its items' JSON, each once, in the order of its links; all item folders where it has no links."""
        linked = dict.fromkeys(_hrefs(self.document, "item", self.path))
        return list(linked) or sorted(_item_files(os.path.dirname(self.path)))

    def items(self) -> Iterator[tuple[str, Item | str]]:
        """Each item's path with the item, or with a sentence that says why it cannot be read."""
        for path in self.item_paths:
            yield path, load_item(path)

    @property
    def holds_labels(self) -> bool:
        """Whether its items are labels: by its id, else by the first item that can be read."""
        if "label" in self.id.lower():
            return True
        if "source" in self.id.lower():
            return False
        first = next((item for _, item in self.items() if isinstance(item, Item)), None)
        return first is not None and any(key.startswith("label:") for key in first.properties)


def load_item(path: str) -> Item | str:
    """The item in a JSON file, or a sentence that says why there is none."""
    try:
        with open(path, "rb") as file:
            document = json.loads(file.read())
    except FileNotFoundError:
        return f"{path} is missing: the link to it dangles"
    except OSError as error:
        return f"{path} cannot be read: {error.strerror or error}"
    except ValueError as error:
        return f"{path} is no JSON: {error}"
    if not isinstance(document, dict) or document.get("type") != "Feature" or "id" not in document:
        return f"{path} is no STAC item: it needs type 'Feature' and an id"
    return Item(path, document)


@dataclass(frozen=True)
class Archive:
    """A folder with STAC collections, or a catalog.json that links to them."""

    root: str
    """Absolute path of the folder."""
    collections: tuple[Collection, ...]

    @classmethod
    def open(cls, root: str) -> Archive:
        """Find the collections below ``root``.

        Raises:
            DataError: ``root`` does not exist, cannot be read, or holds no collection.
        """
        hint = "Give the folder that holds catalog.json or the collections with dataset.root=PATH."
        try:
            path = _absolute(root)
            if not path.exists():
                raise DataError(f"The data set's root {path} does not exist. {hint}")
            if path.is_file() and _json(path) is None:
                raise DataError(f"The data set's root {path} is a file, and no STAC catalog. {hint}")
            folder, start = (path, path / "catalog.json") if path.is_dir() else (path.parent, path)
            found = _unique([*_linked(start), *_scanned(folder)])
        except OSError as error:
            raise DataError(f"The data set's root {root} cannot be read: {error.strerror or error}. {hint}") from error
        if not found:
            raise DataError(f"The data set's root {path} holds no STAC collection: neither catalog.json nor FOLDER/collection.json. {hint}")
        return cls(str(folder), tuple(found))

    def labels(self, name: str | None = None) -> Collection:
        """The label collection of that id (or end of an id); without a name, the only one.

        Raises:
            DataError: There is none, or there are several to choose from.
        """
        known = [collection for collection in self.collections if collection.holds_labels]
        return _pick(name, known, "label", "dataset.labels", self)

    def source(self, name: str | None = None) -> Collection:
        """The source collection of that id (or end of an id); without a name ``sentinel_2``, or the only one.

        Raises:
            DataError: There is none, or there are several to choose from.
        """
        known = [collection for collection in self.collections if not collection.holds_labels]
        if name is None and len(known) > 1:
            preferred = _matching("sentinel_2", known)
            if len(preferred) == 1:
                return preferred[0]
        return _pick(name, known, "source", "dataset.source", self)


def folder_of(root: str) -> str:
    """The folder that hrefs are relative to: ``root``, absolute, or the folder of the catalog.json that it names."""
    path = _absolute(root)
    return str(path.parent if path.is_file() else path)


def _absolute(root: str) -> Path:
    # Not `expanduser` of pathlib, which raises where there is no such user.
    return Path(os.path.abspath(os.path.expanduser(root)))


def _matching(name: str, known: Iterable[Collection]) -> list[Collection]:
    every = list(known)
    exact = [collection for collection in every if collection.id == name]
    return exact or [collection for collection in every if collection.id.endswith(f"_{name}") or collection.id.endswith(f"-{name}")]


def _pick(name: str | None, known: list[Collection], what: str, key: str, archive: Archive) -> Collection:
    ids = [collection.id for collection in known]
    # A collection that is named is taken at its word, whatever it looks like.
    found = known if name is None else _matching(name, known) or _matching(name, archive.collections)
    if len(found) == 1:
        return found[0]
    every = f"{archive.root} holds the collections {listing(collection.id for collection in archive.collections)}"
    if not known and name is None:
        raise DataError(f"{archive.root} holds no {what} collection; {every}. Fetch it, or name it with {key}=ID.")
    if not found:
        raise DataError(
            f"No {what} collection is called {name!r} or ends in it; {every}.{did_you_mean(str(name), _endings(ids))} Choose with {key}=ID."
        )
    raise DataError(f"{archive.root} holds several {what} collections: {listing(collection.id for collection in found)}. Choose with {key}=ID.")


def _endings(ids: Iterable[str]) -> list[str]:
    """The ids, and their last one or two words, which do as names too: ``labels``, ``sentinel_2``."""
    every = list(ids)
    return list(dict.fromkeys([*("_".join(identifier.split("_")[-words:]) for identifier in every for words in (1, 2)), *every]))


def _linked(path: Path, depth: int = 4) -> Iterator[Collection]:
    """Collections that a catalog links to, directly or through other catalogs; dangling links are passed over."""
    document = _json(path)
    if document is None:
        return
    if document.get("type") == "Collection" or path.name == "collection.json":
        yield Collection(str(path), document)
    for href in _hrefs(document, "child", str(path)) if depth else ():
        yield from _linked(Path(href), depth - 1)


def _scanned(folder: Path, depth: int = _DEPTH) -> Iterator[Collection]:
    """Collections found by their files; item folders are not entered."""
    document = _json(folder / "collection.json")
    if document is not None:
        yield Collection(str(folder / "collection.json"), document)
        nested = folder / folder.name
        if nested.is_dir():
            yield from _scanned(nested, depth - 1)
    elif depth:
        for entry in sorted(os.scandir(folder), key=lambda entry: entry.name):
            if entry.is_dir() and not entry.name.startswith("."):
                yield from _scanned(Path(entry.path), depth - 1)


def _hrefs(document: dict[str, Any], rel: str, base: str) -> list[str]:
    """Absolute hrefs of the links of one relation; a link that is damaged itself is passed over."""
    links = document.get("links")
    every = [link for link in links if isinstance(link, dict)] if isinstance(links, list) else []
    return [resolve(str(link["href"]), base) for link in every if link.get("rel") == rel and link.get("href")]


def _json(path: Path) -> dict[str, Any] | None:
    try:
        document = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return None
    return document if isinstance(document, dict) else None


def _unique(collections: Iterable[Collection]) -> list[Collection]:
    """One collection per file; of two files with the same id, the one that has items."""
    by_id: dict[str, Collection] = {}
    for collection in collections:
        other = by_id.get(collection.id)
        if other is None or (other.path != collection.path and not _has_items(other) and _has_items(collection)):
            by_id[collection.id] = collection
    return list(by_id.values())


def _has_items(collection: Collection) -> bool:
    return any(os.path.exists(path) for path in collection.item_paths[:50])


def _item_files(folder: str) -> Iterator[str]:
    for entry in os.scandir(folder):
        if entry.is_dir():
            for name in ("stac.json", f"{entry.name}.json", "item.json"):
                if os.path.exists(os.path.join(entry.path, name)):
                    yield os.path.join(entry.path, name)
                    break
        elif entry.name.endswith(".json") and entry.name not in ("collection.json", "catalog.json"):
            yield entry.path

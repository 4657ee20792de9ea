"""Collections: their items, read from wherever they lie."""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Iterable, Iterator, Sequence, Set
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from lcnkit.archive.parsing import parse
from lcnkit.archive.store import DISK, Store, store_of
from lcnkit.model import Item
from lcnkit.model.href import is_url
from lcnkit.ownership import owner_by_id
from lcnkit.secrets import scrub


@dataclass(frozen=True)
class Collection:
    """A collection of an archive; this one is STAC, and others derive from it."""

    path: str
    """Of its collection.json: an absolute path or a URL."""
    document: dict[str, Any] = field(repr=False, compare=False)
    """Its JSON, without the links to its items."""
    store: Store = field(default=DISK, repr=False, compare=False)
    """What its items are read from."""
    only: tuple[str, ...] | None = field(default=None, repr=False)
    """The item paths that are left of it; ``None``: all."""
    hrefs: Sequence[str] = field(default=(), repr=False, compare=False)
    """Absolute hrefs of its links to items: thousands, and kept small, as most runs do not look at them."""

    @property
    def id(self) -> str:
        """The collection's id; its folder's name where the JSON has none."""
        return str(self.document.get("id") or posixpath.basename(posixpath.dirname(self.path)))

    @cached_property
    def item_paths(self) -> list[str]:
        """Absolute paths or URLs of its items, each once, in the order of its links; all item folders where it has no links."""
        if self.only is not None:
            return list(self.only)
        linked = dict.fromkeys(map(self.store.readable, self.hrefs))
        return list(linked) or sorted(_item_files(self.store, posixpath.dirname(self.path)))

    def items(self) -> Iterator[tuple[str, Item | str]]:
        """Each item's path with the item, or with a sentence that says why it cannot be read."""
        return self.load(self.item_paths)

    def load(self, paths: Iterable[str]) -> Iterator[tuple[str, Item | str]]:
        """The same for some of its paths."""
        return self.store.map(lambda path: (path, load_item(path, self.store)), paths)

    def name_of(self, path: str) -> str:
        """What an item is called as far as its path tells: the name of its folder, else of its file. Mostly its id."""
        folder, name = posixpath.split(path)
        own = folder == posixpath.dirname(self.path)
        return posixpath.splitext(name)[0] if own else posixpath.basename(folder)

    def about(self, wanted: Set[str], known: Set[str], holds_scene: Callable[[str], bool] | None = None) -> Collection:
        """The collection without the items that are chips of their own, and not ``wanted``, so that nobody reads them.

        Args:
            wanted: Ids of the chips that imagery is needed for.
            known: Ids of all chips. An item whose path names none of them stays.
            holds_scene: Whether the item at a path is larger than chips, though its path names one. Asked of one, which tells for all.
        """
        ids = frozenset(known)
        owners = {path: owner_by_id(self.name_of(path), self.id, ids) for path in self.item_paths}
        kept = [path for path, owner in owners.items() if owner == "" or owner in wanted]
        left = next((path for path, owner in owners.items() if owner and owner not in wanted), None)
        if left is None or (holds_scene is not None and holds_scene(left)):
            return self
        return replace(self, only=tuple(kept))

    @property
    def keeps_index(self) -> bool:
        """Whether it pays to read all items once and keep them: not where each is a request, or where they are made from paths."""
        return not self.store.is_remote

    def likely(self, wanted: int | tuple[str, ...]) -> Collection:
        """A part of a label collection that holds the ``wanted`` chips, where finding all would take long; else itself."""
        return self

    @property
    def holds_labels(self) -> bool:
        """Whether its items are labels: by its id, else by the first item that can be read."""
        if "label" in self.id.lower():
            return True
        if "source" in self.id.lower():
            return False
        first = next((item for path in self.item_paths if isinstance(item := load_item(path, self.store), Item)), None)
        return first is not None and any(key.startswith("label:") for key in first.properties)


def load_item(path: str, store: Store | None = None) -> Item | str:
    """The item in a JSON file, or a folder of LandCoverNet's host layout; a sentence that says why there is none.

    Args:
        path: Absolute path or URL.
        store: What to read it from, where the path does not say that: a bucket.
    """
    from lcnkit.archive.landcovernet_items import item_at

    store = store_of(path) if store is None or (is_url(path) and not store.is_remote) else store
    made = item_at(path, store)
    if made is not None:
        return made
    shown = scrub(path) if is_url(path) else path
    try:
        document = parse(store.read(path))
    except FileNotFoundError:
        return f"{shown} is missing: the link to it dangles"
    except OSError as error:
        return f"{shown} cannot be read: {error.strerror or error}"
    except ValueError as error:
        return f"{shown} is no JSON: {error}"
    if not isinstance(document, dict) or document.get("type") != "Feature" or "id" not in document:
        return f"{shown} is no STAC item: it needs type 'Feature' and an id"
    return Item(path, _readable(document, store))


def _readable(document: dict[str, Any], store: Store) -> dict[str, Any]:
    """The item with hrefs that need no more than GDAL's plain HTTP."""
    if not store.is_remote:
        return document
    assets = document.get("assets")
    for fields in [*(assets.values() if isinstance(assets, dict) else ()), *(document.get("links") or [])]:
        if isinstance(fields, dict) and isinstance(fields.get("href"), str):
            fields["href"] = store.readable(fields["href"])
    return document


def _item_files(store: Store, folder: str) -> Iterator[str]:
    for entry in store.entries(folder):
        if entry.is_folder:
            names = ("stac.json", f"{entry.name}.json", "item.json")
            found = next((name for name in names if store.exists(f"{folder}/{entry.name}/{name}")), None)
            if found:
                yield f"{folder}/{entry.name}/{found}"
        elif entry.name.endswith(".json") and entry.name not in ("collection.json", "catalog.json"):
            yield f"{folder}/{entry.name}"

"""The items of a STAC API's answer, written page by page."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
from typing import TYPE_CHECKING, Any

from lcnkit.errors import DataError
from lcnkit.index.crawl import crawl
from lcnkit.model import Item

if TYPE_CHECKING:
    from lcnkit.index.writer import Writer

# Items for one row group.
_BATCH = 2500
_Document = Mapping[str, Any]


def write_pages(pages: Iterable[_Document], href_of: Callable[[_Document], str], writer: Writer, advance: Callable[[bool], None]) -> list[str]:
    """Write the items of a search, each once.

    Args:
        pages: GeoJSON FeatureCollections.
        href_of: The address of an item's JSON, without a secret.
        writer: Takes the items.
        advance: Told after each item whether it cannot be used.

    Returns:
        A sentence about each item that cannot be used.

    Raises:
        DataError: A page holds nothing that was not on those before: the API turns in a circle.
    """
    problems: list[str] = []
    found = _each_once(pages, href_of)
    while some := dict(islice(found, _BATCH)):
        problems += [why for _, why in crawl(list(some), "", "", writer, advance, _given(some)).problems]
    return problems


def _each_once(pages: Iterable[_Document], href_of: Callable[[_Document], str]) -> Iterator[tuple[str, _Document]]:
    seen: set[str] = set()
    for page in pages:
        items = {href_of(item): item for item in page.get("features") or () if isinstance(item, Mapping)}
        if items and seen.issuperset(items):
            raise DataError("The API gives the same page of items again and again.")
        yield from ((href, item) for href, item in items.items() if href not in seen)
        seen.update(items)


def _given(items: Mapping[str, _Document]) -> Callable[[Iterable[str]], Iterator[tuple[str, Item | str]]]:
    def load(paths: Iterable[str]) -> Iterator[tuple[str, Item | str]]:
        return ((path, _item(path, items[path])) for path in paths)

    return load


def _item(path: str, document: _Document) -> Item | str:
    return Item(path, document) if "id" in document else f"{path} is no STAC item: it has no id"

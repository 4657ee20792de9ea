"""The items of a STAC API's answer, written as they come."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any

from lcnkit.errors import DataError
from lcnkit.index.crawl import crawl
from lcnkit.model import Item
from lcnkit.secrets import scrub

if TYPE_CHECKING:
    from pystac import Collection
    from pystac_client import CollectionClient

    from lcnkit.index.writer import Writer

_PAGE, _BATCH = 500, 2500
_ATTEMPTS = 5


def search_api(
    url: str, collections: Sequence[str], bbox: Sequence[float] | None, when: str | None, writer: Writer
) -> tuple[dict[str, dict[str, Any]], list[str]]:
    """Write what a search finds.

    Args:
        url: The API's first page.
        collections: Their ids.
        bbox: West, south, east, north in degrees.
        when: ``FROM/TO`` as STAC APIs take it.
        writer: Takes the items.

    Returns:
        The collections' JSON by id, and a sentence about each item that cannot be used.

    Raises:
        DataError: The API cannot be searched, or lacks a collection.
    """
    import requests
    from pystac_client import Client
    from pystac_client.exceptions import APIError
    from pystac_client.stac_api_io import StacApiIO
    from urllib3.util.retry import Retry

    again = Retry(_ATTEMPTS, backoff_factor=0.5, status_forcelist=[429, 500, 502, 503, 504], allowed_methods=None)
    problems: list[str] = []
    try:
        client = Client.open(url, stac_io=StacApiIO(max_retries=again, timeout=60))
        documents = {name: _document(client.get_collection(name), name) for name in collections}
        search = client.search(collections=list(collections), bbox=list(bbox) if bbox else None, datetime=when, limit=_PAGE)
        for items in _batches(search.items_as_dicts()):
            hrefs = {_self(item, url): item for item in items}
            found = crawl(list(hrefs), "", "", writer, None, _given(hrefs))
            problems += [why for _, why in found.problems]
    except (APIError, requests.RequestException, KeyError, ValueError, NotImplementedError) as error:
        raise DataError(
            f"index: {scrub(url)} cannot be searched for {', '.join(collections)}: {scrub(' '.join(str(error).split()))[:300]}"
        ) from error
    return documents, problems


def _document(collection: Collection | CollectionClient | None, name: str) -> dict[str, Any]:
    if collection is None:
        raise KeyError(f"there is no collection {name!r}")
    return collection.to_dict(include_self_link=False)


def _given(items: Mapping[str, Mapping[str, Any]]) -> Any:
    def load(paths: Iterable[str]) -> Iterator[tuple[str, Item | str]]:
        return ((path, Item(path, items[path])) for path in paths)

    return load


def _self(item: Mapping[str, Any], url: str) -> str:
    links = item.get("links") or ()
    found = next((str(link["href"]) for link in links if link.get("rel") == "self" and link.get("href")), "")
    return found or f"{url.rstrip('/')}/collections/{item.get('collection')}/items/{item.get('id')}"


def _batches(items: Iterable[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    left = iter(items)
    while some := list(islice(left, _BATCH)):
        yield some

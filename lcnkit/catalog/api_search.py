"""Searching an API: one request (and its further pages) for each group of chips, for the whole interval."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urljoin

from lcnkit.catalog.api_cache import Document, Store, key_of
from lcnkit.errors import DataError, did_you_mean, listing
from lcnkit.secrets import scrub, without_parameter

if TYPE_CHECKING:
    from lcnkit.catalog.api_groups import Bbox
    from lcnkit.catalog.api_http import Connection
    from lcnkit.model import Interval

log = logging.getLogger(__name__)

# What is asked of an item where the API can leave out the rest: half of a Sentinel-2 item is of no use here.
_FIELDS = (
    *("id", "type", "stac_version", "collection", "geometry", "bbox", "links", "assets"),
    *(f"properties.{name}" for name in ("datetime", "start_datetime", "end_datetime", "platform", "constellation", "eo:cloud_cover")),
    *(f"properties.proj:{name}" for name in ("epsg", "code", "shape", "transform", "bbox")),
    *(f"properties.{name}" for name in ("processing:version", "s2:processing_baseline", "earthsearch:boa_offset_applied")),
)
# With an order, pages neither overlap nor leave gaps.
_LATE_S = 7 * 24 * 3600
_ORDER = ("+properties.datetime", "+id")


@dataclass(frozen=True)
class Landing:
    """An API's first page: where it is searched, and what it can do."""

    url: str
    document: Mapping[str, Any]

    @cached_property
    def search(self) -> tuple[str, str]:
        """Address and method of the search; POST where the API offers it.

        Raises:
            DataError: The API cannot be searched.
        """
        found = {str(link.get("method") or "GET").upper(): str(link["href"]) for link in self._links("search") if link.get("href")}
        if not found or not self.conforms("item-search"):
            raise DataError(
                f"{scrub(self.url)} has no item search: it is {self._kind()}. It needs a link rel=search and the conformance class item-search. "
                "A catalog without an API is read with catalog=static."
            )
        method = "POST" if "POST" in found else "GET"
        return urljoin(self.url + "/", found[method]), method

    def conforms(self, what: str) -> bool:
        """Whether the API declares a conformance class, e.g. ``item-search#fields``, in whatever version."""
        return any(str(uri).endswith(f"/{what}") for uri in self.document.get("conformsTo") or ())

    def _links(self, rel: str) -> list[Mapping[str, Any]]:
        return [link for link in self.document.get("links") or () if isinstance(link, Mapping) and link.get("rel") == rel]

    def _kind(self) -> str:
        kind = self.document.get("type")
        return f"a STAC {kind}" if kind in ("Catalog", "Collection") else "no STAC document"


@dataclass(frozen=True)
class Finder:
    """Questions to one API, answered from the store where they were asked before."""

    link: Connection
    store: Store
    refresh: bool

    @cached_property
    def landing(self) -> Landing:
        """The API's first page."""
        return Landing(self.link.access.url, self.link.json(self.link.access.url))

    def collection(self, name: str | None) -> str:
        """The id of the collection that is meant; see `lcnkit.contracts.Catalog.find_collection`.

        Raises:
            DataError: There is none, or more than one.
        """
        from lcnkit.catalog.api_http import NotFoundError

        key = key_of({"url": self.link.access.url, "collection": name})
        kept = None if self.refresh else self.store.answer(key)
        if kept is not None:
            return str(kept)
        try:
            found = str(self.link.json(self._collections(name))["id"]) if name else self._meant(name)
        except (NotFoundError, KeyError):
            found = self._meant(name)
        self.store.keep(key, found)
        return found

    def _meant(self, name: str | None) -> str:
        known = [str(entry.get("id")) for page in self._pages(self._collections(), "GET") for entry in page.get("collections") or ()]
        imagery = [entry for entry in known if "label" not in entry.lower()]
        ends = [entry for entry in known if name and entry.endswith((f"_{name}", f"-{name}"))]
        fits = ends if name else imagery if len(imagery) == 1 else [entry for entry in imagery if entry.endswith(("sentinel_2", "sentinel-2-l2a"))]
        if len(fits) == 1:
            return fits[0]
        what = f"no collection {name!r}" if name and not ends else "several collections" if fits or name is None else "no collection"
        raise DataError(
            f"The API {scrub(self.link.access.url)} has {what}; it has {listing(fits or known, 30)}.{did_you_mean(name or '', known)} "
            "Choose with dataset.source=ID, and the API with catalog.url=URL."
        )

    def areas(self, collection: str, interval: Interval, boxes: Sequence[Bbox], page_size: int, at_once: int) -> Iterator[dict[str, Document]]:
        """The items of each box by self link, some boxes at a time, in any order; only one box's items are held at once."""
        from lcnkit.terminal import progress

        # What was asked before the interval was over, and its last acquisitions published, may be more today.
        over = float(interval.end.astype("datetime64[s]").astype("int64")) + _LATE_S
        waiting = []
        for box in boxes:
            question = self._asked(collection, interval, box)
            kept = None if self.refresh else self._kept(question, over)
            if kept is None:
                waiting.append(question)
            else:
                yield kept
        if not waiting:
            return
        _ = self.landing.search  # says what is wrong once, before several threads do
        self.link.stopped.clear()
        with progress(len(waiting), "search") as advance, ThreadPoolExecutor(at_once, thread_name_prefix="search") as pool:
            futures = {pool.submit(self._search, question, page_size): question for question in waiting}
            try:
                for future in as_completed(list(futures)):
                    found, is_whole = future.result()
                    question = futures.pop(future)
                    # Of an answer that lacks something only the items are kept, for workers: the next run asks again.
                    self.store.keep(key_of(question) if is_whole else None, list(found), list(found.items()))
                    advance(False)
                    yield found
                    del future, found
            except BaseException:
                self.link.stopped.set()  # those under way end with their next page or attempt
                pool.shutdown(wait=False, cancel_futures=True)
                raise

    def _asked(self, collection: str, interval: Interval, box: Bbox) -> dict[str, Any]:
        """A search as it is kept: all that its answer depends on, and no secret."""
        return {"url": self.link.access.url, "collection": collection, "interval": [str(interval.first), str(interval.last)], "bbox": box}

    def _kept(self, question: Mapping[str, Any], since: float) -> dict[str, Document] | None:
        hrefs = self.store.answer(key_of(question), since)
        if hrefs is None:
            return None
        items = self.store.items(hrefs)
        return {href: items[href] for href in hrefs} if len(items) == len(hrefs) else None

    def _search(self, question: Mapping[str, Any], page_size: int) -> tuple[dict[str, Document], bool]:
        """The items by self link, and whether they are all that the API says there are."""
        from pystac_client.item_search import ItemSearch

        url, method = self.landing.search
        first, last = question["interval"]
        search = ItemSearch(
            url,
            method=method,
            stac_io=self.link,
            limit=page_size,
            collections=[question["collection"]],
            bbox=question["bbox"],
            datetime=f"{first}T00:00:00Z/{last}T23:59:59.999Z",
            fields={"include": list(_FIELDS), "exclude": []} if self.landing.conforms("item-search#fields") else None,
            sortby=list(_ORDER) if self.landing.conforms("item-search#sort") else None,
        )
        found: dict[str, Document] = {}
        count = Counted()
        for page in count.of(self._pages(url, method, search.get_parameters())):
            if self.link.stopped.is_set():
                raise DataError("The search was stopped.")
            before = len(found)
            found.update({self_href(item, self.link): item for item in page.get("features") or () if isinstance(item, Mapping)})
            if page.get("features") and len(found) == before:
                raise DataError(f"The API {scrub(self.link.access.url)} gives the same page of items again and again; try another catalog.page_size.")
        if count.lacking:
            log.warning("%s. Candidates may be missing; try another catalog.page_size.", count.lacking)
        return found, not count.lacking

    def _pages(self, url: str, method: str, parameters: dict[str, Any] | None = None) -> Iterator[dict[str, Any]]:
        yield from self.link.get_pages(url, method, parameters or {})

    def _collections(self, name: str | None = None) -> str:
        every = f"{self.link.access.url}/collections"
        return f"{every}/{quote(name, safe='')}" if name else every


class Counted:
    """Pages of an answer, with the number of their items held against what the API says there are."""

    def __init__(self) -> None:
        self._came, self._matched = 0, 0

    def of(self, pages: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
        """The same pages, counted as they come."""
        for page in pages:
            self._came += len(page.get("features") or ())
            context = page.get("context")  # where the number stood before STAC API 1.0.0
            for said in (page.get("numberMatched"), context.get("matched") if isinstance(context, Mapping) else None):
                self._matched = max(self._matched, said) if isinstance(said, int) else self._matched
            yield page

    @property
    def lacking(self) -> str:
        """What is lacking, once all pages have come; ``""`` where nothing is, or the API does not say how many there are.

        A server that gives fewer items than it was asked for must link to the next page, and some do not; a page without an item ends the answer.
        """
        return f"The API says that {self._matched} items match, and gave {self._came}" if self._came < self._matched else ""


def self_href(item: Mapping[str, Any], link: Connection) -> str:
    """The address of an item's JSON, without a secret: its self link, else where the API's standard says it is."""
    access = link.access
    for entry in item.get("links") or ():
        if isinstance(entry, Mapping) and entry.get("rel") == "self" and entry.get("href"):
            href = urljoin(access.url + "/", str(entry["href"]))
            return without_parameter(href, access.auth_name) if access.auth == "query" else href
    return f"{access.url}/collections/{quote(str(item.get('collection')), safe='')}/items/{quote(str(item.get('id')), safe='')}"

"""Catalog: any STAC API."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import urlsplit

from lcnkit.candidates import empty_search, match
from lcnkit.catalog.api_assets import by_band, with_baseline_offset
from lcnkit.catalog.owners import owners_of
from lcnkit.catalog.signing import check_signer, signer
from lcnkit.contracts import Catalog, Query
from lcnkit.errors import ConfigError, DataError, LcnkitError, UnreachableAsset, UnreadableAsset
from lcnkit.hookspecs import hookimpl
from lcnkit.model import Chip, Item
from lcnkit.model.href import is_url, resolve
from lcnkit.secrets import check_reference, hush, scrub, with_parameter

if TYPE_CHECKING:
    import pandas as pd

    from lcnkit.catalog.api_auth import Access
    from lcnkit.catalog.api_cache import Document
    from lcnkit.catalog.api_files import OwnHostFiles
    from lcnkit.catalog.api_http import Connection
    from lcnkit.catalog.api_search import Finder

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Api(Catalog):
    """Search a STAC API: one request for each group of chips that lie together, remembered for the next run."""

    url: str | None = None
    """The API's first page, e.g. https://earth-search.aws.element84.com/v1"""
    auth: Literal["none", "query", "header", "bearer", "basic"] = "none"
    """How the secret is sent, to the API's own host only: as a query parameter, a header, a bearer token, or user:password."""
    auth_name: str = "key"
    """The query parameter, or the header."""
    secret: str | None = None
    """Where the secret is, never the secret itself: env:NAME or keyring:SERVICE/USER."""
    sign: str | None = None
    """Signs asset hrefs just before they are read: planetary_computer, or package.module:function."""
    assets: dict[str, str] = field(default_factory=dict)
    """The API's asset keys by band name, {B04: red}; the others keep their keys."""
    baseline_offset: bool = False
    """Sentinel-2 L2A: scale and offset from each item's processing baseline (transform.reflectance.stac=true applies them)."""
    page_size: int = 250
    """Items in one answer."""
    concurrency: int = 4
    """Searches under way at once."""
    attempts: int = 6
    """How often a request is tried that fails with 429, 5xx, a dropped connection or a cut answer."""
    timeout_s: float = 60.0
    """Seconds to wait for an answer to go on."""
    refresh: bool = False
    """Ask again what was asked before."""

    def __post_init__(self) -> None:
        parts = urlsplit(self.url or "https://host")
        if parts.scheme.lower() not in ("http", "https") or not parts.hostname:
            raise ConfigError("catalog.url must be the address of a STAC API: https://HOST/PATH")
        if parts.username or parts.password or parts.query or parts.fragment:
            raise ConfigError("catalog.url must have neither a user name nor a query: secrets are given with catalog.auth and catalog.secret")
        if self.secret is not None:
            check_reference(self.secret, "catalog.secret")
        if (self.auth == "none") != (self.secret is None):
            raise ConfigError("catalog.auth says how a secret is sent and catalog.secret where it is: set both, or none")
        if self.sign is not None:
            check_signer(self.sign)
        for name, least in (("page_size", 1), ("concurrency", 1), ("attempts", 1)):
            if getattr(self, name) < least:
                raise ConfigError(f"catalog.{name} is {getattr(self, name)}; it must be at least {least}")
        if self.page_size > 10_000:
            raise ConfigError(f"catalog.page_size is {self.page_size}; APIs give 10000 items at most")
        if self.timeout_s <= 0:
            raise ConfigError(f"catalog.timeout_s is {self.timeout_s}; it must be above 0")

    def find_collection(self, name: str | None) -> str:
        """See `lcnkit.contracts.Catalog.find_collection`."""
        return self._finder().collection(name)

    def search(self, chips: Sequence[Chip], query: Query) -> pd.DataFrame:
        """See `lcnkit.contracts.Catalog.search`."""
        import pandas as pd

        from lcnkit.catalog.api_groups import groups_of
        from lcnkit.catalog.item_table import table_of

        if not chips:
            return empty_search()
        if self.sign is not None:
            signer(self.sign)  # one that is not installed is found out before anything is asked
        finder = self._finder()
        boxes = groups_of(chips)
        areas = finder.areas(query.collection, query.interval, boxes, self.page_size, self.concurrency)
        tables = [table_of(found.items(), query.collection) for found in areas]
        _report(finder.link, len(chips), len(boxes))
        # A scene may reach into several areas.
        table = pd.concat(tables, ignore_index=True).drop_duplicates("item_href", ignore_index=True)
        if not len(table):
            return empty_search()
        owners = owners_of(table, chips, query, lambda: list(table["item_href"]))
        return match(chips, table.assign(owner=owners), query.min_coverage)

    def items(self, hrefs: Sequence[str]) -> list[Item]:
        """See `lcnkit.contracts.Catalog.items`."""
        from lcnkit.catalog.api_cache import Store

        if not hrefs:
            return []
        store = Store.default()
        found = store.items(hrefs)
        fetched = {href: self._fetch(href) for href in dict.fromkeys(hrefs) if href not in found}
        if fetched:
            store.keep(None, None, list(fetched.items()))
        return [self._ready(href, {**found, **fetched}[href]) for href in hrefs]

    def _fetch(self, href: str) -> Document:
        if not is_url(href):
            raise UnreadableAsset(f"The item {href} is no address: the plan was made with another catalog, which must be chosen to run it.")
        try:
            document = self._connection().json(href)
        except LcnkitError as error:
            from lcnkit.catalog.api_http import NoAnswerError

            kind = UnreachableAsset if isinstance(error, NoAnswerError) else UnreadableAsset
            raise kind(f"The item {scrub(href)} cannot be had from the API: {error}") from error
        if document.get("type") != "Feature" or "id" not in document:
            raise UnreadableAsset(f"{scrub(href)} is no STAC item: it needs type 'Feature' and an id.")
        return document

    def _ready(self, href: str, document: Document) -> Item:
        """The item as readers want it: assets by band name, with scale and offset, and hrefs that can be opened now."""
        assets: dict[str, Any] = by_band(document.get("assets") or {}, self.assets)
        if self.baseline_offset:
            assets = with_baseline_offset(assets, document.get("properties") or {})
        return Item(href, {**document, "assets": {key: self._openable(href, fields) for key, fields in assets.items()}}, self._opener())

    def _opener(self) -> OwnHostFiles | None:
        """What opens assets on the API's own host, where they want a header; a key in the query is part of their address."""
        from lcnkit.catalog.api_files import OwnHostFiles

        return OwnHostFiles(self._access()) if self.auth in ("header", "bearer", "basic") else None

    def _openable(self, base: str, fields: Mapping[str, Any]) -> Mapping[str, Any]:
        """The asset's fields with an href that can be opened now: signed, or with the key of the API's own host."""
        if (self.sign is None and self.auth != "query") or "href" not in fields:
            return fields
        href = resolve(str(fields["href"]), base)
        if not is_url(href):
            return fields
        hush()
        if self.sign is not None:
            href = signer(self.sign)(href)
        access = self._access()
        if self.auth == "query" and access.is_own(href):
            href = with_parameter(href, self.auth_name, access.named_secret or "")
        return {**fields, "href": href}

    def _finder(self) -> Finder:
        from lcnkit.catalog.api_cache import Store
        from lcnkit.catalog.api_search import Finder

        return Finder(self._connection(), Store.default(), self.refresh)

    def _connection(self) -> Connection:
        from lcnkit.catalog.api_http import connection

        return connection(self._access(), os.getpid())

    def _access(self) -> Access:
        from lcnkit.catalog.api_auth import Access

        if self.url is None:
            raise DataError("catalog=api has no API to ask: set catalog.url=https://HOST/PATH, or choose one that has it: catalog=earth_search.")
        return Access(self.url.rstrip("/"), self.auth, self.auth_name, self.secret, self.timeout_s, self.attempts)


def _report(link: Connection, chips: int, areas: int) -> None:
    sent, retried = link.counted()
    more = f", {retried} of them tried again" if retried else "" if sent else ": it was asked before (catalog.refresh=true asks again)"
    log.info("requests   %d to the API for %d chips in %d area%s%s", sent, chips, areas, "" if areas == 1 else "s", more)


@hookimpl
def lcnkit_catalog() -> dict[str, type[Api]]:
    """Offer the catalog."""
    return {"api": Api}

"""What ``python -m lcnkit index`` does with the address of a STAC API: one search, with a secret where the API wants one."""

from __future__ import annotations

import argparse
import os
import re
from collections.abc import Iterator
from itertools import chain
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from lcnkit.errors import ConfigError, DataError, LcnkitError
from lcnkit.secrets import scrub

if TYPE_CHECKING:
    from lcnkit.catalog.api_search import Finder
    from lcnkit.index.writer import Writer

_PAGE = 500
# The options of catalog=api, as this command calls them.
_FLAGS = {"catalog.url": "ROOT", "catalog.auth_name": "--auth-name", "catalog.": "--", "dataset.source": "--collection"}
_OF_RUNS = re.compile(r" Try again later, with .*$| Choose with dataset\.source=ID, and the API with catalog\.url=URL\.$", re.DOTALL)


def add_flags(parser: argparse.ArgumentParser) -> None:
    """The flags that say what is searched for, and how a secret is sent; see `lcnkit.catalog.api.Api`."""
    parser.add_argument("--bbox", metavar="W,S,E,N", help="of an API: only items that touch this box, in degrees (--bbox=-10,...)")
    parser.add_argument("--datetime", metavar="FROM/TO", help="of an API: only items of these days, e.g. 2018-01-01/2018-12-31")
    parser.add_argument(
        "--auth", choices=("none", "query", "header", "bearer", "basic"), help="of an API: how the secret is sent, to the API's own host only"
    )
    parser.add_argument("--auth-name", metavar="NAME", help="the query parameter, or the header (key)")
    parser.add_argument("--secret", metavar="REFERENCE", help="where the secret is, never the secret itself: env:NAME or keyring:SERVICE/USER")


def is_api(asked: argparse.Namespace) -> bool:
    """Whether the root is a STAC API: one that is said to want a secret, or an address that answers as one."""
    remote = asked.root.lower().startswith(("http://", "https://"))
    if asked.auth or asked.auth_name or asked.secret:
        if not remote:
            raise ConfigError("index: --auth and --secret are for a STAC API at https://...; an archive is read without an account.")
        return True
    if not remote:
        return False
    import requests

    try:
        answer = requests.get(asked.root, timeout=(10, 60))
        if answer.status_code == 401:  # no archive asks who is there
            return True
        landing = answer.json()
    except (requests.RequestException, ValueError):
        return False
    links = landing.get("links") if isinstance(landing, dict) else None
    return any(isinstance(link, dict) and link.get("rel") == "search" for link in links or ())


def write_search(asked: argparse.Namespace, writer: Writer) -> tuple[dict[str, dict[str, Any]], list[str]]:
    """Write what the search finds.

    Returns:
        The collections' JSON by id, and a sentence about each item that cannot be used.

    Raises:
        LcnkitError: The arguments cannot be used, or the API cannot be searched, or lacks a collection.
    """
    if not asked.collection:
        raise ConfigError("index: name the collection of the API with --collection ID.")
    bbox = _bbox(asked.bbox) if asked.bbox else None
    try:
        finder = _finder(asked)
        names = list(dict.fromkeys(finder.collection(name) for name in asked.collection))
        documents = {name: finder.link.json(f"{finder.link.access.url}/collections/{quote(name, safe='')}") for name in names}
        return documents, [scrub(problem) for problem in _written(finder, names, bbox, asked.datetime, writer)]
    except LcnkitError as error:
        # Raised below, the error has no other behind it, and the words are those of this command.
        kind, said = type(error), _in_flags(str(error))
    except (ValueError, KeyError, TypeError) as error:
        kind, said = (
            DataError,
            f"{scrub(asked.root)} cannot be searched for {', '.join(asked.collection)}: {scrub(' '.join(str(error).split()))[:300]}",
        )
    raise kind(f"index: {said}")


def _finder(asked: argparse.Namespace) -> Finder:
    from lcnkit.catalog.api import Api
    from lcnkit.catalog.api_auth import Access
    from lcnkit.catalog.api_cache import Store
    from lcnkit.catalog.api_http import connection
    from lcnkit.catalog.api_search import Finder

    options = {"auth": asked.auth, "auth_name": asked.auth_name, "secret": asked.secret}
    api = Api(url=asked.root, **{name: value for name, value in options.items() if value is not None})  # checks them
    access = Access(asked.root.rstrip("/"), api.auth, api.auth_name, api.secret, api.timeout_s, api.attempts)
    return Finder(connection(access, os.getpid()), Store.default(), refresh=True)


def _written(finder: Finder, names: list[str], bbox: tuple[float, ...] | None, when: str | None, writer: Writer) -> list[str]:
    from pystac_client.item_search import ItemSearch

    from lcnkit.catalog.api_search import Counted, self_href
    from lcnkit.index.search import write_pages
    from lcnkit.terminal import progress

    link, landing = finder.link, finder.landing
    url, method = landing.search
    order = ["+properties.datetime", "+id"] if landing.conforms("item-search#sort") else None
    search = ItemSearch(url, method=method, stac_io=link, limit=_PAGE, collections=names, bbox=bbox, datetime=when, sortby=order)
    count = Counted()
    pages: Iterator[dict[str, Any]] = count.of(link.get_pages(url, method, search.get_parameters()))
    first = next(pages, {})
    matched = first.get("numberMatched")
    with progress(matched if isinstance(matched, int) else 0, "items") as advance:
        problems = write_pages(chain([first], pages), lambda item: self_href(item, link), writer, advance)
    return [*problems, *([count.lacking] if count.lacking else [])]


def _bbox(text: str) -> tuple[float, ...]:
    try:
        bbox = tuple(float(value) for value in text.split(","))
    except ValueError:
        bbox = ()
    if len(bbox) != 4 or bbox[1] > bbox[3]:
        raise ConfigError(f"index: --bbox {text} is no box; give west,south,east,north in degrees.")
    return bbox


def _in_flags(text: str) -> str:
    """A message about the options of catalog=api, in this command's words."""
    text = _OF_RUNS.sub("", text)
    for option, flag in _FLAGS.items():
        text = text.replace(option, flag)
    return text

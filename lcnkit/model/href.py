"""Hrefs: paths and URLs, resolved as STAC says."""

from __future__ import annotations

import os
import posixpath
from urllib.parse import unquote, urljoin, urlsplit


def is_url(href: str) -> bool:
    """Whether ``href`` has a scheme (``https://``, ``s3://``); a plain path has none."""
    return "://" in href


def resolve(href: str, base: str) -> str:
    """``href`` made absolute against the file ``base`` that holds it.

    ``file://`` URLs become paths; a query or fragment of ``base`` is not carried over.
    """
    base = unquote(urlsplit(base).path) if base.startswith("file://") else base
    if href.startswith("file://"):
        return unquote(urlsplit(href).path)
    if is_url(href):
        return href
    if is_url(base):
        parts = urlsplit(base)
        if parts.scheme in ("http", "https"):
            return urljoin(base, href)
        folder = posixpath.dirname(parts.path)
        return f"{parts.scheme}://{parts.netloc}{posixpath.normpath(posixpath.join(folder or '/', href))}"
    return href if os.path.isabs(href) else os.path.normpath(os.path.join(os.path.dirname(base), href))


def relative_to(href: str, root: str) -> str:
    """``href`` as written below ``root``; unchanged where it lies elsewhere.

    Plans hold such hrefs, so that they fit a copy of the archive in another place.
    """
    prefix = root.rstrip("/") + "/"
    return href[len(prefix) :] if href.startswith(prefix) else href


def join(root: str, href: str) -> str:
    """The reverse of `relative_to`."""
    if is_url(href) or os.path.isabs(href):
        return href
    return f"{root.rstrip('/')}/{href}"
